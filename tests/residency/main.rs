//! Simulated and real memory agree: the same placements, the same break, and as many resident pages.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]
#![expect(clippy::cast_possible_truncation, reason = "the numbers are those of a small script")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../oracle/generate.rs"]
#[expect(dead_code, reason = "it makes more kinds of scripts than are replayed here")]
mod generate;
#[path = "../common/samples.rs"]
mod samples;

use common::{answer, malloscope};
use generate::{KINDS, script};
use samples::samples;
use serde_json::Value;
use tempfile::TempDir;

/// Pages that may differ whatever the trace: those at the edges of what is counted.
const EDGES: u64 = 2;

/// What was measured when a trace was replayed over some memory.
fn measured(trace: &str, memory: &str, touch: &str) -> Value {
    let replay = ["replay", "--format", "json", "--memory", memory, "--touch", touch, trace];
    let report = answer(malloscope().args(replay));
    serde_json::from_str::<Value>(&report).unwrap()["outcome"].take()
}

fn bytes(outcome: &Value, names: &[&str]) -> u64 {
    names.iter().fold(outcome, |value, name| &value[name]).as_u64().unwrap_or_else(|| panic!("{names:?}"))
}

/// Checks that two numbers of bytes differ by no more than one in a hundred.
fn check_close(what: &str, simulated: u64, real: u64) {
    let allowed = simulated.max(real) / 100 + EDGES * 4096;
    assert!(simulated.abs_diff(real) <= allowed, "{what}: {simulated} simulated, {real} real");
}

fn check_agreement(trace: &str, touch: &str) {
    let [simulated, real] = ["simulated", "real"].map(|memory| measured(trace, memory, touch));
    let what = |name: &str| format!("{trace}, touch {touch}: {name}");
    for names in [
        &["measured", "resident"][..],
        &["measured", "peaks", "resident", "bytes"],
        &["measured", "mean_resident"],
    ] {
        check_close(&what(&names.join(" ")), bytes(&simulated, names), bytes(&real, names));
    }
    for same in [
        &["measured", "live"][..],
        &["measured", "held"],
        &["measured", "system"],
        &["measured", "pinned"],
        &["measured", "peaks", "program_break", "bytes"],
        &["measured", "peaks", "system", "bytes"],
        &["kernel", "break_grown_bytes"],
        &["kernel", "break_trimmed_bytes"],
        &["kernel", "mremap"],
        &["kernel", "mprotect"],
        &["kernel", "madvise"],
        &["served"],
        &["bins"],
    ] {
        let [one, other] = [&simulated, &real].map(|run| same.iter().fold(run, |value, name| &value[name]));
        assert_eq!(one, other, "{}", what(&same.join(" ")));
    }
}

fn check_same_placements(trace: &str) {
    let [simulated, real] = ["simulated", "real"]
        .map(|memory| answer(malloscope().args(["replay", "--placements", "--memory", memory, trace])));
    assert!(simulated == real, "{trace}: the placements are the same");
}

#[test]
fn both_memories_agree_on_what_was_recorded() {
    let samples = samples();
    assert!(!samples.is_empty());
    for sample in samples {
        let sample = sample.to_str().unwrap();
        check_same_placements(sample);
        for touch in ["pages", "none"] {
            check_agreement(sample, touch);
        }
    }
}

#[test]
fn both_memories_agree_on_what_was_made_up() {
    let folder = TempDir::new().unwrap();
    for name in ["mixed", "mapped", "oscillating", "cleared", "phases", "threads", "reallocated"] {
        let kind = KINDS.iter().find(|kind| kind.name == name).unwrap();
        let ops = folder.path().join(name).with_extension("ops");
        std::fs::write(&ops, script(kind, 7, 10_000)).unwrap();
        let trace = folder.path().join(name).with_extension("mscope").display().to_string();
        answer(malloscope().args(["import", ops.to_str().unwrap(), "-o", &trace]));
        check_same_placements(&trace);
        for touch in ["pages", "none", "first", "all"] {
            check_agreement(&trace, touch);
        }
    }
}
