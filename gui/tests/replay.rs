//! Replays in the background, without a window.

use malloscope_gui::jobs::WORK;
use malloscope_gui::jobs::replay::{News, Replay};
use malloscope_replayer::run::Job;
use malloscope_replayer::trial::Trial;
use malloscope_replayer::worker::Launcher;
use std::path::Path;
use std::sync::mpsc;

fn job() -> Job {
    let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/samples/xz.mscope");
    Job { compare: true, ..Job::of(trace, Trial::default()) }
}

#[test]
fn a_replay_answers_with_a_report() {
    let launcher =
        Launcher { program: env!("CARGO_BIN_EXE_malloscope-gui").into(), arguments: vec![WORK.into()] };
    let (wake, woken) = mpsc::channel();
    let replay = Replay::start(&launcher, job(), move || wake.send(()).unwrap());
    let replayed = loop {
        woken.recv().unwrap();
        if let Some(News::Done(replayed)) = replay.news().last() {
            break replayed;
        }
    };
    let outcome = &replayed.report.outcome;
    assert!(outcome.calls > 0);
    assert!(outcome.damage.is_empty());
}

#[test]
fn a_replay_that_is_dropped_ends_its_process() {
    // This worker says nothing, and ends when its leash is let go: it reads the leash.
    let launcher = Launcher { program: "cat".into(), arguments: Vec::new() };
    let (wake, woken) = mpsc::channel();
    let replay = Replay::start(&launcher, job(), move || wake.send(()).unwrap());
    drop(replay);
    // The thread that started the process has waited for it.
    assert!(woken.recv().is_ok());
}
