//! Speedscope's files: what its schema demands, and the trace's sums.

use super::trace::{self, Site};
use super::{Format, json};

#[test]
fn every_profile_says_what_the_trace_does() {
    let (trace, truth) = trace::random(5000, trace::ALL);
    let file = json(&trace, Format::Speedscope);
    assert_eq!(file["$schema"], "https://www.speedscope.app/file-format-schema.json");
    assert!(file["name"] == "app --quietly" && file["exporter"] == "malloscope test");
    let frames = file["shared"]["frames"].as_array().unwrap();
    assert!(frames.iter().all(|frame| frame["name"].is_string()));
    assert!(frames.iter().any(|frame| frame["file"] == "app.c"));
    type Of = fn(&Site) -> f64;
    let expected: [(&str, &str, Of); 4] = [
        ("bytes allocated", "bytes", |site| site.allocated.1),
        ("calls", "none", |site| site.allocated.0),
        ("bytes live at the peak", "bytes", |site| site.at_peak.1),
        ("bytes live at the end", "bytes", |site| site.live.1),
    ];
    let profiles = file["profiles"].as_array().unwrap();
    assert_eq!(profiles.len(), expected.len());
    for (profile, (name, unit, of)) in profiles.iter().zip(expected) {
        assert!(profile["type"] == "sampled" && profile["name"] == name && profile["unit"] == unit);
        let samples = profile["samples"].as_array().unwrap();
        let weights = profile["weights"].as_array().unwrap();
        assert_eq!(samples.len(), weights.len(), "{name}");
        let sum = weights.iter().map(|weight| weight.as_u64().unwrap()).sum();
        assert!(profile["startValue"] == 0 && profile["endValue"] == sum, "{name}");
        truth.check(name, sum, of);
        for frame in samples.iter().flat_map(|sample| sample.as_array().unwrap()) {
            assert!(usize::try_from(frame.as_u64().unwrap()).unwrap() < frames.len(), "{name}");
        }
    }
}
