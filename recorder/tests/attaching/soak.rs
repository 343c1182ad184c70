//! Coming and going, thousands of times, while a program does all that could be broken by it.

use std::env;

use malloscope_recorder::{Capture, Sampling};

use crate::memory::image;
use crate::programs::{cpp_program, library};
use crate::running::{Running, attach_wanting};
use std::time::{Duration, Instant};

/// Attaches so many times to a program that does everything at once, and compares what is left of it.
fn come_and_go(cycles: u32, stacks: Option<Capture>) {
    let Some(program) = cpp_program("hustle") else { return };
    let loaded = library("loaded");
    let mut command = std::process::Command::new(program);
    // What is bound late would be other words after a first call, recorded or not.
    command.arg(&loaded).env("LD_BIND_NOW", "1");
    let running =
        Running::limited(&mut command, Duration::from_secs(60) + Duration::from_millis(500) * cycles);
    let stays = |path: &str| !path.contains("memfd") && !path.contains("libloaded");
    let before = image(running.pid(), stays);
    let began = Instant::now();
    let mut calls = 0;
    for cycle in 1..=cycles {
        let taken = attach_wanting(running.pid(), Some(Duration::from_millis(10)), stacks, &mut |_| ());
        let taken = taken.unwrap_or_else(|error| panic!("cycle {cycle}: {error}"));
        let trace = &taken.recorded.traces[0];
        assert_eq!(trace.lost, 0, "cycle {cycle}");
        assert!(taken.recorded.trouble.is_none(), "cycle {cycle}: {:?}", taken.recorded.trouble);
        calls += trace.calls;
        if cycle % 100 == 0 {
            eprintln!("{cycle} cycles, {calls} calls, {:?}", began.elapsed());
        }
    }
    before.assert_same(&image(running.pid(), stays));
    assert_eq!(running.end(), "fine");
    assert!(calls > u64::from(cycles));
}

#[test]
fn a_program_that_does_everything_at_once_survives_a_recorder_that_comes_and_goes() {
    come_and_go(10, None);
}

#[test]
fn it_survives_one_that_wants_to_know_from_where_it_is_called() {
    come_and_go(30, Some(Capture { sampling: Sampling::All, depth: 32 }));
}

/// `CYCLES=2000 cargo test -p malloscope-recorder --release --test attaching -- --ignored --nocapture thousands`
#[test]
#[ignore = "takes minutes"]
fn thousands_of_times() {
    let cycles = env::var("CYCLES").ok().and_then(|cycles| cycles.parse().ok()).unwrap_or(2000);
    come_and_go(cycles, None);
}
