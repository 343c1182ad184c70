//! Predictions beside real runs.

use super::run::{answer, compiled, folder, malloscope, said};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Settings that change how memory is had from the kernel.
const SETTINGS: [&str; 8] = [
    "mmap_threshold=64K",
    "mmap_threshold=1M trim_threshold=1M",
    "top_pad=0",
    "MALLOC_TOP_PAD_=131072",
    "mmap_max=0",
    "tcache_count=0",
    "GLIBC_TUNABLES=glibc.malloc.mxfast=0",
    "arena_max=1",
];

fn moves() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compiled("moves.c", "moves", &["-pthread"]))
}

/// A recording of the program with these arguments.
fn recorded(name: &str, arguments: &[&str]) -> PathBuf {
    recording(name, moves(), arguments)
}

fn recording(name: &str, program: &Path, arguments: &[&str]) -> PathBuf {
    let trace = folder().join(name);
    let mut command = malloscope(["record", "-o"]);
    let said = said(command.arg(&trace).arg("--").arg(program).args(arguments));
    assert_eq!(said.code, Some(0), "{}", said.err);
    trace
}

/// What is proved of a trace of the program under all settings, as JSON.
fn proved(trace: &Path, arguments: &[&str], within: &str) -> Value {
    proved_of(moves(), trace, arguments, within)
}

fn proved_of(program: &Path, trace: &Path, arguments: &[&str], within: &str) -> Value {
    proved_by("1", program, trace, arguments, within)
}

/// The same, by so many runs under each setting.
fn proved_by(times: &str, program: &Path, trace: &Path, arguments: &[&str], within: &str) -> Value {
    let mut command = malloscope(["prove", "--format", "json", "--times", times, "--within", within]);
    command.arg(trace);
    for setting in SETTINGS {
        command.args(["--set", setting]);
    }
    let said = said(command.arg("--").arg(program).args(arguments));
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn what_is_predicted_of_a_program_comes_true_under_every_setting() {
    let proof = proved(&recorded("moves.mscope", &[]), &[], "1");
    let settings = proof["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 1 + SETTINGS.len());
    let actual = |setting: usize, what: &str| settings[setting]["actual"][0][what].as_u64().unwrap();
    // They do change something, and what is seen is not nothing.
    assert!(actual(1, "mmap") > actual(0, "mmap"));
    assert!(actual(3, "break_grown") > actual(0, "break_grown"));
    assert_eq!(actual(5, "mmap"), 0);
    for setting in 0..settings.len() {
        assert!(actual(setting, "faults") > 100, "{setting}");
        assert!(actual(setting, "peak_resident") > 1 << 20, "{setting}");
        // What the program mapped and protected for itself does not count: there is one thread, so one arena.
        assert_eq!(actual(setting, "mprotect"), 0, "{setting}");
        assert_eq!(actual(setting, "madvise"), 0, "{setting}");
    }
}

#[test]
fn so_it_does_of_threads_that_run_one_after_another() {
    // Now and then the kernel happens to put the memory of an arena where one of its ends need not be cut off (`munmap`).
    let proof = proved_by("2", moves(), &recorded("moves3.mscope", &["3"]), &["3"], "1");
    let arenas = &proof["settings"][0]["actual"][0];
    assert!(arenas["mprotect"].as_u64().unwrap() > 10, "{arenas}");
    let one = &proof["settings"][8]["actual"][0];
    assert_eq!(one["mprotect"].as_u64(), Some(0), "{one}");
}

#[test]
fn memory_that_the_program_never_touched_is_predicted_not_to_be() {
    let program = compiled("sparse.c", "sparse", &[]);
    let trace = recording("sparse.mscope", &program, &[]);
    let proof = proved_of(&program, &trace, &[], "1");
    let recorded = &proof["settings"][0];
    let number = |of: &Value| of.as_u64().unwrap();
    // Of ten megabytes, some two.
    let spared = number(&recorded["predicted"]["spared"]);
    assert!(spared > 6 << 20, "{spared}");
    let peak = number(&recorded["actual"][0]["peak_resident"]);
    assert!(peak < 4 << 20, "{peak}");
    // Of whom it is not known it is said what is assumed.
    let shown = answer(["replay", &trace.display().to_string()]);
    assert!(shown.contains("seen untouched"), "{shown}");
}

#[test]
fn so_is_memory_that_was_given_back_before_the_end() {
    let program = compiled("sparse_before.c", "sparse_before", &[]);
    let trace = recording("sparse_before.mscope", &program, &[]);
    let proof = proved_of(&program, &trace, &[], "2");
    let recorded = &proof["settings"][0];
    let number = |of: &Value| of.as_u64().unwrap();
    // Of 40 buffers of 15 pages each, in each of 200 rounds, three pages are touched, and of the last three 3 MiB.
    let faults = number(&recorded["predicted"]["measured"]["faults"]);
    assert!((24_000..34_000).contains(&faults), "{faults}");
    assert_eq!(Some(faults), recorded["actual"][0]["faults"].as_u64());
}

#[test]
fn a_prediction_that_fails_is_told_and_fails_the_command() {
    // The trace is of another run than that of three threads.
    let trace = recorded("alone.mscope", &[]);
    let mut command = malloscope(["prove", "--within", "1"]);
    let said = said(command.arg(&trace).arg("--").arg(moves()).arg("3"));
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.out.contains("Not as predicted: mmap, munmap, mprotect, madvise;"), "{}", said.out);
}

#[test]
fn runs_that_are_repeated_are_shown_as_a_range_or_as_one() {
    let trace = recorded("twice.mscope", &[]).display().to_string();
    let program = moves().display().to_string();
    let csv = answer(["prove", &trace, "--times", "2", "--format", "csv", "--", &program]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "setting,measure,predicted,actual_least,actual_most");
    assert_eq!(lines.len(), 11, "{csv}");
    assert!(lines[1].starts_with("as recorded,break grown,"), "{csv}");
    let shown = answer(["prove", &trace, "--times", "2", "--", &program]);
    assert!(shown.contains("2 real runs"), "{shown}");
    assert!(shown.contains("Every number of calls is as predicted"), "{shown}");
}

#[test]
fn what_cannot_be_run_or_set_is_an_error() {
    let trace = recorded("refused.mscope", &[]).display().to_string();
    for (arguments, why) in [
        (vec!["prove", &trace, "--", "/nowhere/at/all"], "/nowhere/at/all"),
        (vec!["prove", &trace, "--set", "nonsense=1", "--", "true"], "nonsense"),
        (vec!["prove", &trace, "--set", "  ", "--", "true"], "sets nothing"),
        (vec!["prove", "/nowhere.mscope", "--", "true"], "/nowhere.mscope"),
        (vec!["prove", &trace], "PROGRAM"),
    ] {
        let said = said(&mut malloscope(&arguments));
        assert!(said.code != Some(0), "{arguments:?}");
        assert!(said.err.contains(why), "{arguments:?}: {}", said.err);
    }
}
