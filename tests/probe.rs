//! What a libc answers when it is probed tells which release it behaves as.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

mod common;

use common::malloscope;
use malloscope_recorder::probe;
use malloscope_replayer::recognition::{self, Recognition, Recording};
use malloscope_replayer::trial::Trial;
use malloscope_traces::header::{Heap, Libc};
use malloscope_traces::{Ending, Header, Reader, Record, Writer};
use serde_json::Value;
use std::io::Cursor;
use std::path::Path;

/// Answers as they come out of a trace: with slots.
fn kept(answers: &[Record]) -> Vec<Record> {
    let libc = Libc { probe: answers.to_vec(), ..Libc::default() };
    let heap = Heap { placements: true, ..Heap::default() };
    let writer = Writer::new(Vec::new(), &Header { libc, heap, ..Header::default() }).unwrap();
    let trace = writer.finish(&Ending::default()).unwrap();
    Reader::open(Cursor::new(trace)).unwrap().header().libc.probe.clone()
}

/// The releases there are, by name.
fn releases() -> Vec<String> {
    let unknown = Trial { release: Some("none".to_owned()), ..Trial::default() };
    let error = unknown.release(&Recording::default()).unwrap_err().to_string();
    let names = error.split_once("the releases are ").unwrap().1;
    names.split(", ").map(str::to_owned).collect()
}

/// The releases that place chunks alike, as far as a program can see that has the machine to itself: what
/// else changed inside of these shows only where arenas are exhausted, memory is refused or links are read.
const ALIKE: &[&[&str]] = &[
    &["2.23", "2.24", "2.25"],
    &["2.26"],
    &["2.26-branch", "2.27", "2.28", "2.29"],
    &["2.28-branch", "2.30", "2.31", "2.32", "2.33", "2.34"],
    &["2.35", "2.36"],
    &["2.37"],
    &["2.38"],
    &["2.38-branch", "2.39", "2.40"],
    &["2.41"],
    &["2.42"],
    &["2.42-branch"],
    &["2.43"],
    &["2.44"],
];

#[test]
fn releases_that_behave_differently_give_different_answers() {
    let calls = kept(&probe::calls());
    for name in releases() {
        let answers = recognition::answers_of(&name, &calls, &[]).unwrap();
        assert_eq!(answers.len(), calls.len(), "{name}");
        let mut alike = recognition::answering_alike(&answers, &[]);
        let expected = ALIKE.iter().find(|names| names.contains(&name.as_str()));
        let expected = expected.unwrap_or_else(|| panic!("{name} has its place in the list"));
        alike.sort_by_key(|name| expected.iter().position(|other| other == name));
        assert_eq!(alike, *expected, "{name}");
    }
}

/// What is known of a trace, as `malloscope info` says it for programs.
fn info(trace: &Path) -> Value {
    serde_json::from_str(&common::answer(malloscope().args(["info", "--format", "json"]).arg(trace))).unwrap()
}

/// Records a program that does next to nothing. Returns what is known of the trace.
fn recorded(folder: &Path, command: &[&str]) -> Value {
    let trace = folder.join("app.mscope");
    let recorded = malloscope().args(["record", "-o"]).arg(&trace).arg("--").args(command).output().unwrap();
    assert!(recorded.status.success(), "{recorded:?}");
    info(&trace)
}

/// The dynamic linker of every program for this processor, where it has to be.
const LINKER: &str = "/lib64/ld-linux-x86-64.so.2";

#[test]
fn the_libc_of_a_recorded_program_behaves_as_its_version_says() {
    let folder = tempfile::tempdir().unwrap();
    let known = recorded(folder.path(), &["sh", "-c", "true"]);
    let version = known["header"]["libc"]["version"].as_str().unwrap();
    let behaves = known["recognition"]["as"].as_str();
    // Others may be older than what was carried back to them.
    if version == "2.36" {
        let row = Trial { release: Some(version.to_owned()), ..Trial::default() };
        assert_eq!(behaves, Some(row.release(&Recording::default()).unwrap().name), "{known}");
    }
    assert_ne!(known["recognition"], "not_probed", "{known}");
    // Through the dynamic linker, and from where it is told to take the same libc.
    let path = Path::new(known["header"]["libc"]["path"].as_str().unwrap());
    let directory = path.parent().unwrap().to_str().unwrap();
    let through = recorded(folder.path(), &[LINKER, "--library-path", directory, "/bin/sh", "-c", "true"]);
    assert_eq!(through["recognition"], known["recognition"]);
    let said = common::answer(malloscope().arg("info").arg(folder.path().join("app.mscope")));
    let line = said.lines().find(|line| line.starts_with("behaves ")).unwrap();
    assert!(line.contains("(probed)"), "{line}");
}

#[test]
fn a_trace_of_before_there_were_probes_is_replayed_as_its_version() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces/samples/pinned.mscope");
    assert_eq!(info(&sample)["recognition"], "not_probed");
    assert!(common::answer(malloscope().arg("info").arg(&sample)).contains("(not probed)"));
    let verified = common::answer(malloscope().arg("verify").arg(&sample));
    assert!(verified.starts_with("placements  100.0000 %"), "{verified}");
}

#[test]
fn a_libc_is_replayed_as_what_it_behaves_as_and_not_as_its_version() {
    let calls = kept(&probe::calls());
    let libc = |version: &str, probe| Libc { version: version.to_owned(), probe, ..Libc::default() };
    let replayed =
        |libc| Trial::default().release(&Recording::from(Header { libc, ..Header::default() })).unwrap().name;
    for (behaves, says, expected) in [
        ("2.26-branch", "2.26", "2.26-branch"),
        ("2.28-branch", "2.28", "2.28-branch"),
        ("2.38-branch", "2.38", "2.38-branch"),
        ("2.42", "2.42-branch", "2.42"),
        ("2.44", "2.43", "2.44"),
        // Several behave alike: its own, or else the nearest.
        ("2.30", "2.34", "2.34"),
        ("2.23", "2.44", "2.25"),
        ("2.36", "of our own", "2.36"),
    ] {
        let mut answers = recognition::answers_of(behaves, &calls, &[]).unwrap();
        assert_eq!(replayed(libc(says, answers.clone())), expected, "{says}");
        // As no release known: its version is all there is.
        answers[1].program_break += 0x1000;
        let unlike = libc(says, answers);
        let header = Header { libc: unlike.clone(), ..Header::default() };
        assert_eq!(recognition::recognize(&header), Recognition::Unlike);
        if says.starts_with('2') {
            assert_eq!(replayed(unlike), says);
        }
    }
}
