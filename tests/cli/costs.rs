//! What a recording may cost: how large its traces become, which processors it takes, and when it begins.

use super::attach::{is_hooked, target, until};
use super::run::{answer, compiled, folder, malloscope, said};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A file's length; 0 if it is not there.
fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |about| about.len())
}

/// Whether a trace is complete: whoever has not finished it holds it.
fn is_complete(trace: &Path) -> bool {
    length(trace) > 0 && !answer(["info", &trace.display().to_string()]).contains("was cut short")
}

/// What the kernel says of a process under this name.
fn status(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().to_owned()
}

/// How readily a process stands back.
fn nice(pid: u32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()
}

fn end(mut target: Child) {
    drop(target.stdin.take());
    let mut said = String::new();
    target.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(target.wait().unwrap().success() && said.ends_with(" steps\n"), "{said}");
}

fn assert_limited(trace: &Path) {
    // What was in the rings and not yet in the file comes on top.
    assert!((100 << 10..8 << 20).contains(&length(trace)), "{}", length(trace));
    let path = trace.display().to_string();
    let info = answer(["info", &path]);
    assert!(info.contains("ending      Limited { limit: \"100K of traces (--max-size)\" }"), "{info}");
    assert!(info.contains("\nlost        0 calls\n"), "{info}");
    assert!(answer(["replay", &path]).contains("recorded up to the limit of 100K of traces"));
}

#[test]
fn a_recording_that_comes_to_its_limit_ends_and_its_program_does_not() {
    let trace = folder().join("limited.mscope");
    let mut record = malloscope(["record", "--max-size", "100K", "-o"]);
    let record = record.arg(&trace).arg("--").arg(super::attach::steps()).arg("2");
    let mut recorder =
        record.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(|| is_complete(&trace));
    assert!(recorder.try_wait().unwrap().is_none(), "the program goes on");
    let mut err = recorder.stderr.take().unwrap();
    end(recorder);
    let mut text = String::new();
    err.read_to_string(&mut text).unwrap();
    assert!(text.contains("; recorded up to the limit of 100K of traces (--max-size)"), "{text}");
    assert_limited(&trace);
}

#[test]
fn a_process_is_left_when_its_traces_come_to_their_limit() {
    let target = target();
    let trace = folder().join("limited-attached.mscope");
    let pid = target.id();
    let mut record = malloscope(["record", "-q", "--max-size", "100K", "--pid", &pid.to_string(), "-o"]);
    assert_eq!(said(record.arg(&trace)).code, Some(0));
    assert!(!is_hooked(pid));
    assert_limited(&trace);
    end(target);
}

#[test]
fn the_recorder_stands_back_and_its_program_does_not() {
    let trace = folder().join("nice.mscope");
    let mut record = malloscope(["record", "-q", "--nice", "7", "--collector-cpus", "0", "-o"]);
    let record = record.arg(&trace).arg("--").arg(super::attach::steps()).arg("1");
    let recorder = record.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let pid = recorder.id();
    until(|| nice(pid) == 7 && status(pid, "Cpus_allowed_list") == "0" && length(&trace) > 0);
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let program: u32 = children.trim().parse().unwrap();
    let us = std::process::id();
    assert_eq!(nice(program), nice(us));
    assert_eq!(status(program, "Cpus_allowed_list"), status(us, "Cpus_allowed_list"));
    end(recorder);
}

#[test]
fn processors_that_are_not_there_are_refused_before_the_program_is_started() {
    let trace = folder().join("nowhere.mscope");
    let mut record = malloscope(["record", "--collector-cpus", "1000", "-o"]);
    let said = said(record.arg(&trace).args(["--", "echo", "started"]));
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("cannot have the processors or the priority"), "{}", said.err);
    assert!(!said.out.contains("started") && !trace.exists());
}

#[test]
fn a_process_is_attached_to_when_enough_of_it_is_in_memory() {
    let target = target();
    let pid = target.id();
    let attach = |when: &str, name: &str| {
        let mut record =
            malloscope(["record", "--for", "20ms", "--trigger", when, "--pid", &pid.to_string()]);
        record.arg("-o").arg(folder().join(name));
        record
    };
    let now = said(&mut attach("rss>64K", "at-once.mscope"));
    assert_eq!(now.code, Some(0), "{}", now.err);
    // No machine has so much.
    let waiting = attach("rss>1000000G", "never.mscope").stderr(Stdio::piped()).spawn().unwrap();
    let interrupted = attach("rss>1000000G", "never.mscope").spawn().unwrap();
    until(|| {
        status(waiting.id(), "State").starts_with('S') && status(interrupted.id(), "State").starts_with('S')
    });
    assert!(!is_hooked(pid));
    // Whoever has had enough of waiting ends it, and nothing is changed.
    kill_process(Pid::from_raw(interrupted.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    assert!(!interrupted.wait_with_output().unwrap().status.success());
    end(target);
    let waited = waiting.wait_with_output().unwrap();
    let err = String::from_utf8(waited.stderr).unwrap();
    assert_eq!(waited.status.code(), Some(1), "{err}");
    assert!(err.contains("ended"), "{err}");
}

#[test]
fn a_recording_says_how_it_goes_to_whoever_asks_for_its_process_or_its_recorder() {
    let mut record = malloscope(["record", "-q", "-o"]);
    let record = record.arg(folder().join("asked.mscope")).arg("--").arg(super::attach::steps()).arg("1");
    let recorder = record.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let pid = recorder.id();
    let asked = |pid: u32| said(&mut malloscope(["record", "--status", &pid.to_string()]));
    until(|| asked(pid).out.contains("\ncalls      ") && !asked(pid).out.contains("\ncalls      0,"));
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let program: u32 = children.trim().parse().unwrap();
    let out = asked(program).out;
    assert!(out.starts_with(&format!("process    {program}, by recorder {pid}\n")), "{out}");
    assert!(out.contains("\nlost       0 calls\n") && out.contains(" 1 process now\n"), "{out}");
    assert!(out.contains(" of a processor, ") && out.contains(" in memory\n"), "{out}");
    let json = answer(["record", "--status", &program.to_string(), "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&told["schema"], &told["version"]), (&"malloscope.status".into(), &1.into()), "{json}");
    assert_eq!((&told["process"], &told["recorder"]), (&program.into(), &pid.into()), "{json}");
    let numbers =
        ["elapsed_nanos", "calls", "calls_a_second", "recorder_cpu_nanos", "recorder_resident_bytes"];
    assert!(numbers.iter().all(|name| told[name].is_u64()) && told["calls"].as_u64() > Some(0), "{json}");
    assert_eq!((&told["processes"], &told["lost"]), (&1.into(), &0.into()), "{json}");
    end(recorder);
    let nobody = asked(program);
    assert_eq!((nobody.code, nobody.out.as_str()), (Some(1), ""));
    assert!(nobody.err.contains("is not being recorded"), "{}", nobody.err);
}

#[test]
fn a_recorder_that_comes_to_the_end_of_its_memory_ends_its_trace_and_not_the_program() {
    let trace = folder().join("hoard.mscope");
    let mut record = malloscope(["record", "--max-memory", "48M", "-o"]);
    // What lives takes some twenty bytes of the recorder's memory, each.
    let said = said(record.arg(&trace).arg("--").arg(compiled("hoard.c", "hoard", &[])).arg("4000000"));
    assert_eq!(said.code, Some(7), "{}", said.err);
    assert!(said.err.contains("; recorded up to the limit of 48M of memory (--max-memory)"), "{}", said.err);
    let path = trace.display().to_string();
    let info = answer(["info", &path]);
    assert!(info.contains("ending      Limited { limit: \"48M of memory (--max-memory)\" }"), "{info}");
    assert!(info.contains("\nlost        0 calls\n"), "{info}");
    assert!(answer(["verify", &path]).contains("100.0000 %"));
}

/// The recorder, where files may not be longer than 100 KiB.
fn where_files_are_short(arguments: &[&str], trace: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -f 200; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_malloscope")]).args(arguments);
    shell.arg("-o").arg(trace);
    shell
}

#[test]
fn where_files_may_not_be_long_nothing_is_recorded_and_no_process_harmed() {
    let target = target();
    let trace = folder().join("short.mscope");
    let refused = said(&mut where_files_are_short(&["record", "--pid", &target.id().to_string()], &trace));
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(refused.err.contains("cannot be given the memory it would share"), "{}", refused.err);
    assert!(!is_hooked(target.id()));
    end(target);
    let refused = said(where_files_are_short(&["record"], &trace).args(["--", "echo", "started"]));
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(refused.err.contains("the memory shared with the program cannot be made"), "{}", refused.err);
    assert!(!refused.out.contains("started"));
}

#[test]
fn a_process_is_left_when_its_trace_cannot_be_written_any_more() {
    let target = target();
    let pid = target.id();
    // A file that takes nothing, as on a disk that is full. The process has filled its rings long before we leave.
    let left = said(&mut malloscope(["record", "--pid", &pid.to_string(), "-o", "/dev/full"]));
    assert!(
        left.err.contains("the recording stopped early") && left.err.contains("No space left"),
        "{}",
        left.err
    );
    assert_eq!(left.code, Some(1));
    // Who wants to hear nothing hears of that.
    let quiet = said(&mut malloscope(["record", "-q", "--pid", &pid.to_string(), "-o", "/dev/full"]));
    assert_eq!((quiet.code, quiet.err.lines().count()), (Some(1), 1), "{}", quiet.err);
    // What is short is only written when it ends.
    let mut short = malloscope(["record", "-q", "--for", "0s", "--pid", &pid.to_string(), "-o", "/dev/full"]);
    assert_eq!(said(&mut short).code, Some(1));
    let nowhere = said(&mut malloscope(["record", "--pid", &pid.to_string(), "-o", "/no/where.mscope"]));
    assert_eq!(nowhere.code, Some(1), "{}", nowhere.err);
    assert!(!is_hooked(pid));
    end(target);
}

#[test]
fn what_is_redacted_is_not_in_the_trace_which_is_replayed_all_the_same() {
    let traces = ["whole", "redacted"].map(|name| folder().join(format!("{name}-secrets.mscope")));
    for (trace, redact) in traces.iter().zip([None, Some("argv,environment,paths")]) {
        let mut record = malloscope(["record", "-q", "--stacks", "all", "-o"]);
        record.arg(trace).args(redact.map(|what| format!("--redact={what}")));
        record.arg("--").arg(super::attach::steps()).args(["1", "hunter2"]);
        record
            .env("MALLOC_ARENA_MAX", "2")
            .env("MALLOC_TRACE_TO", "/home/alice")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        assert_eq!(said(&mut record).code, Some(0));
    }
    let [whole, redacted] = traces.each_ref().map(|trace| fs::read(trace).unwrap());
    let folder = super::attach::steps().parent().unwrap().display().to_string();
    let has = |trace: &[u8], word: &str| trace.windows(word.len()).any(|bytes| bytes == word.as_bytes());
    for word in ["hunter2", "/home/alice", &folder, "/libc.so.6"] {
        assert!(has(&whole, word) && !has(&redacted, word), "{word}");
    }
    let paths = traces.each_ref().map(|trace| trace.display().to_string());
    let info = answer(["info", &paths[1]]);
    let told =
        "\nredacted    the arguments, words in the environment (numbers are there), folders of files\n";
    assert!(info.contains(told) && info.contains("environment MALLOC_ARENA_MAX=2\n"), "{info}");
    assert!(!answer(["info", &paths[0]]).contains("redacted"));
    assert!(answer(["info", "--format", "json", &paths[1]]).contains("\"redacted\": {"));
    assert_eq!(said(&mut malloscope(["verify", &paths[1]])).code, Some(0));
    // What is found when symbols are looked for says nothing of folders either.
    answer(["symbolize", "--embed-symbols", "--debug-dir", &folder, &paths[1]]);
    assert!(!has(&fs::read(&traces[1]).unwrap(), &folder));
}
