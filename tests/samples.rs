//! Every trace in `traces/samples` replays to the placements recorded in it: all of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;

#[test]
fn every_sample_replays_to_the_recorded_placements() {
    let mut samples = 0;
    for entry in fs::read_dir("traces/samples").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "mscope") {
            continue;
        }
        for memory in ["simulated", "real"] {
            let mut verify = Command::new(env!("CARGO_BIN_EXE_malloscope"));
            let verified = verify.args(["verify", "--memory", memory]).arg(&path).output().unwrap();
            let said = String::from_utf8(verified.stdout).unwrap();
            let first = said.lines().next().unwrap_or_default();
            assert!(first.contains("100.0000 %"), "{} with {memory} memory: {said}", path.display());
        }
        samples += 1;
    }
    assert!(samples >= 8, "there were {samples}");
}
