//! Requests so near the end of the address space that they go round it when something is added to them: an
//! alignment, a header, a page.
//!
//! What real libraries did is kept as hashes in `RELEASE.wrapping`, as far as it can be compared.

use super::driver::{Driver, X86_64};
use super::generate::{WRAPPING, script};
use super::replay::Trace;
use super::{NOT_SURVIVED, PLACEMENTS, check_golden, comparable, goldens, hashes, settings_of, written};
use std::fmt::Write;

/// What the names of these goldens end with.
const SUFFIX: &str = ".wrapping";

/// Scripts of which there are goldens, by their seeds.
const SEEDS: std::ops::Range<u64> = 0..24;

const LINES: usize = 1500;

/// What is kept of one; nothing where the C library crashes over it.
fn line(seed: u64, script: &str, placements: Option<&str>) -> String {
    match placements {
        Some(placements) => {
            let compared = comparable(script, placements);
            format!("{seed} {} {}", compared.lines().count(), hashes(&compared).join(" "))
        }
        None => format!("{seed} {NOT_SURVIVED}"),
    }
}

#[test]
fn wrapping_requests_land_where_glibc_put_them() {
    let goldens = goldens(SUFFIX, &X86_64);
    assert!(goldens.iter().any(|(release, _)| release == "2.26"), "there are goldens");
    for (release, golden) in goldens {
        for (seed, real) in SEEDS.zip(golden.lines()) {
            let text = script(&WRAPPING, seed, LINES);
            let trace = Trace::import(written(&text).path());
            let ours = trace.replay(&release, PLACEMENTS, "simulated", &settings_of(&WRAPPING));
            let ours = line(seed, &text, Some(&ours));
            assert!(ours == real || real.ends_with(NOT_SURVIVED), "{release}\n{ours}\n{real}");
        }
    }
}

#[test]
fn wrapping_requests_in_the_goldens_are_what_glibc_does() {
    for driver in Driver::all() {
        let mut golden = String::new();
        for seed in SEEDS {
            let text = script(&WRAPPING, seed, LINES);
            let real = driver.placements_unless_it_crashes(written(&text).path(), &settings_of(&WRAPPING));
            writeln!(golden, "{}", line(seed, &text, real.as_deref())).expect("a string takes all");
        }
        check_golden(&format!("{}{SUFFIX}", driver.release), &golden);
    }
}
