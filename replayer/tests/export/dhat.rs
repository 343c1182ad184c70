//! DHAT's files: what its viewer demands, and the trace's sums.

use super::trace::{self, SAMPLED, Site};
use super::{Format, json};
use serde_json::Value;
use std::collections::BTreeSet;

fn number(point: &Value, name: &str) -> u64 {
    point[name].as_u64().unwrap_or_else(|| panic!("{name} is a number: {point}"))
}

#[test]
fn the_points_are_those_of_the_trace() {
    for sampling in [trace::ALL, SAMPLED] {
        let (trace, truth) = trace::random(5000, sampling);
        let file = json(&trace, Format::Dhat);
        // What the viewer looks for before it reads on.
        assert!(file["dhatFileVersion"] == 2 && file["mode"] == "heap" && file["verb"] == "Allocated");
        assert!(file["bklt"] == true && file["bkacc"] == false && file["tu"] == "µs" && file["Mtu"] == "s");
        assert!(file["cmd"] == "app --quietly" && file["pid"] == 4242);
        assert_eq!(number(&file, "tg"), truth.peak_time / 1000);
        assert_eq!(number(&file, "te"), trace::DURATION / 1000);
        assert!(number(&file, "tuth") > 0);
        let points = file["pps"].as_array().unwrap();
        let frames = file["ftbl"].as_array().unwrap();
        assert_eq!(frames[0], "[root]");
        assert!(frames[1..].iter().all(|frame| frame.as_str().unwrap().starts_with("0x")));
        let mut seen = BTreeSet::new();
        for point in points {
            assert!(number(point, "mb") >= number(point, "gb") && number(point, "mb") >= number(point, "eb"));
            assert!(
                number(point, "mb") <= number(point, "tb") && number(point, "mbk") <= number(point, "tbk")
            );
            let frames_of: Vec<u64> =
                point["fs"].as_array().unwrap().iter().map(|frame| frame.as_u64().unwrap()).collect();
            assert!(!frames_of.is_empty());
            assert!(frames_of.iter().all(|frame| (1..frames.len() as u64).contains(frame)));
            assert!(seen.insert(frames_of), "the viewer refuses a stack that is there twice");
        }
        let sum = |name: &str| points.iter().map(|point| number(point, name)).sum::<u64>();
        type Of = fn(&Site) -> f64;
        let expected: [(&str, Of); 6] = [
            ("tb", |site| site.allocated.1),
            ("tbk", |site| site.allocated.0),
            ("gb", |site| site.at_peak.1),
            ("gbk", |site| site.at_peak.0),
            ("eb", |site| site.live.1),
            ("ebk", |site| site.live.0),
        ];
        for (name, of) in expected {
            truth.check(name, sum(name), of);
        }
        let lifetimes = truth.sum(|site| site.lifetimes) / 1000.0;
        assert!((sum("tl") as f64 - lifetimes).abs() <= points.len() as f64, "{} of {lifetimes}", sum("tl"));
        if sampling == trace::ALL {
            assert_eq!(sum("gb"), truth.peak);
        }
    }
}

#[test]
fn without_a_clock_a_record_is_the_unit_of_time() {
    let mut header = trace::header();
    header.clock = Default::default();
    let (trace, truth) = trace::random_with(3000, trace::ALL, &header);
    let file = json(&trace, Format::Dhat);
    assert_eq!((file["tu"].as_str(), file["te"].as_u64()), (Some("records"), Some(truth.records - 1)));
}
