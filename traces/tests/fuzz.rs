//! The fuzzer's body, driven by a plain test: traces that are right but for a few bytes.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test fails by panicking")]

mod plain;

#[path = "../fuzz/body.rs"]
mod body;

use malloscope_traces::ops;
use plain::{header, steps, written};
use proptest::prelude::*;

/// A change to a byte: where, as a share of the length, and by what.
fn mutations() -> impl Strategy<Value = Vec<(f64, u8)>> {
    prop::collection::vec((0.0..1.0f64, any::<u8>()), 0..12)
}

fn mutated(mut bytes: Vec<u8>, mutations: &[(f64, u8)]) -> Vec<u8> {
    for (at, by) in mutations {
        let at = (bytes.len() as f64 * at) as usize;
        bytes[at] ^= by;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_trace_with_some_bytes_changed_is_survived(
        steps in steps(60),
        placements: bool,
        mutations in mutations(),
    ) {
        let (trace, _) = written(&header(placements, 1), &steps);
        body::run(&mutated(trace, &mutations));
    }

    #[test]
    fn a_script_with_some_bytes_changed_is_survived(mutations in mutations()) {
        body::run(&mutated(SCRIPT.to_vec(), &mutations));
    }

    #[test]
    fn files_of_other_tools_with_some_bytes_changed_are_survived(mutations in mutations()) {
        body::run(&mutated(FOREIGN.to_vec(), &mutations));
    }

    #[test]
    fn bytes_that_are_nothing_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        body::run(&bytes);
    }
}

const SCRIPT: &[u8] = b"0 malloc 0 24\n0 calloc 1 48 2\n0 spawn 1\n1 realloc 0 100 # a\n1 memalign 2 64 7\n\
1 free 1\n0 free 5\n0 mallopt -8 1\n0 sbrk -4096\n0 join 1\n0 trim 0\n0 usable 2\n0 realloc 0 0\n0 pvalloc 0 1\n";

const FOREIGN: &[u8] =
    b"1: malloc 0x20 48 5 6\n1: realloc 0x40 0x20 9 5 6\n2: free 0x40\n2: thread_done 0x0\n\
@ a:[0x1] + 0x20 0x18\n@ a:[0x1] < 0x20\n@ a:[0x1] > 0x40 0x30\n@ a:[0x1] ! 0x40 0x8\n@ a:[0x1] - 0x40\n";

#[test]
fn the_script_is_one() {
    let mut writer = malloscope_traces::Writer::new(Vec::new(), &ops::header()).unwrap();
    ops::import(SCRIPT, &mut writer).unwrap();
}
