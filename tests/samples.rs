//! Every trace in `traces/samples` replays to the placements recorded in it: all of them.

mod common;
#[path = "common/samples.rs"]
mod samples;

use common::{answer, malloscope};
use samples::samples;

#[test]
fn every_sample_replays_to_the_recorded_placements() {
    let samples = samples();
    for path in &samples {
        for memory in ["simulated", "real"] {
            let said = answer(malloscope().args(["verify", "--memory", memory]).arg(path));
            let first = said.lines().next().unwrap_or_default();
            assert!(first.contains("100.0000 %"), "{} with {memory} memory: {said}", path.display());
        }
    }
    assert!(samples.len() >= 8, "there were {}", samples.len());
}
