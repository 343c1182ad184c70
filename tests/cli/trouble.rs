//! Files that are missing, foreign or cut short; readers that go away; requests that cannot be met.

use super::run::{answer, folder, imported, malloscope, said, trace};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Command;
use std::process::Stdio;

/// Every subcommand that reads a trace.
const READERS: [&[&str]; 9] = [
    &["replay"],
    &["replay", "--memory", "real"],
    &["replay", "--placements"],
    &["replay", "--format", "json"],
    &["verify"],
    &["compare", "--top-pad", "0"],
    &["info"],
    &["symbolize"],
    &["dump"],
];

/// Checks that every reader says, in one line that names the file, why it cannot.
fn check_unreadable(file: &str, why: &str) {
    for arguments in READERS {
        let said = said(malloscope(arguments).arg(file));
        assert_eq!(said.code, Some(1), "{arguments:?}");
        let line = said.err.strip_suffix('\n').unwrap();
        let complains = line.starts_with("malloscope: ") && line.contains(file) && line.contains(why);
        assert!(complains && !line.contains('\n'), "{arguments:?}: {line}");
        assert_eq!(line.matches(why).count(), 1, "{arguments:?} says it twice: {line}");
        assert_eq!(said.out, "", "{arguments:?}");
    }
}

fn written(name: &str, bytes: &[u8]) -> String {
    let path = folder().join(name);
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

#[test]
fn a_missing_file_is_named() {
    check_unreadable(&folder().join("nowhere.mscope").display().to_string(), "No such file or directory");
}

#[test]
fn a_folder_is_no_trace() {
    check_unreadable(&folder().display().to_string(), "Is a directory");
}

#[test]
fn garbage_is_not_a_trace() {
    check_unreadable(&written("empty.mscope", b""), "is not a trace");
    check_unreadable(&written("garbage.mscope", b"\x7fELF and so on"), "is not a trace");
    let mut newer = fs::read(trace()).unwrap();
    newer[8] = 0xee;
    check_unreadable(&written("newer.mscope", &newer), "is a trace of version");
}

#[test]
fn a_trace_cut_short_is_replayed_as_far_as_it_goes_and_the_loss_is_told() {
    let whole = fs::read(trace()).unwrap();
    for tenths in [5, 9] {
        let cut = written(&format!("cut{tenths}.mscope"), &whole[..whole.len() * tenths / 10]);
        let report = answer(["replay", &cut]);
        assert!(report.contains("cut short"), "{report}");
        assert!(report.contains("are lost"), "the loss is in the report: {report}");
        let comparison = answer(["compare", "--top-pad", "0", &cut]);
        assert!(comparison.contains("are lost"), "{comparison}");
        for arguments in [&["verify"][..], &["replay", "--placements"]] {
            let said = said(malloscope(arguments).arg(&cut));
            let told = said.err.starts_with("malloscope: ") && said.err.contains("are lost");
            assert!(told && said.err.contains(&cut), "{arguments:?}: {}", said.err);
        }
        assert!(answer(["info", &cut]).contains("cut short"));
    }
}

#[test]
fn nothing_compared_is_not_all_the_same() {
    // All that is left is the header.
    let whole = fs::read(trace()).unwrap();
    let bare = written("bare.mscope", &whole[..1000.min(whole.len() / 20)]);
    let said = said(&mut malloscope(["verify", &bare]));
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(!said.out.contains("100.0000"), "{}", said.out);
}

#[test]
fn a_replay_whose_parent_has_gone_stops() {
    use std::io::Write;
    use std::process::Stdio;
    let mut worker = malloscope(["work-for-malloscope"]);
    let mut worker = worker.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    drop(worker.stdout.take());
    let trial = r#""trial":{"memory":"simulated","touch":"pages","release":null,"release_changes":[],"settings":[],"variables":[],"transparent_huge_pages":null,"huge_pages":0,"processors":null,"break_offset":null,"break_limit":null}"#;
    let job = format!(r#"{{"trace":{:?},{trial},"compare":false,"lines":null}}"#, trace());
    worker.stdin.take().unwrap().write_all(job.as_bytes()).unwrap();
    // Who only hears of it with the outcome ends well: a closed pipe is no error.
    assert_eq!(worker.wait().unwrap().code(), Some(1));
}

#[test]
fn a_script_has_nothing_to_verify() {
    let trace = imported("nothing_to_verify", "0 malloc 1 100\n");
    let said = said(&mut malloscope(["verify", &trace]));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("imported") && said.err.contains(&trace), "{}", said.err);
}

#[test]
fn a_bad_script_is_refused_and_leaves_nothing_behind() {
    let script = written("bad.ops", b"0 malloc 1 100\n0 mallok 2 100\n");
    let trace = folder().join("bad.mscope");
    let said = said(&mut malloscope(["import", &script, "-o", trace.to_str().unwrap()]));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains(&script) && said.err.contains("line 2, column 3"), "{}", said.err);
    assert!(!trace.exists(), "half a trace would be taken for a whole one");
}

#[test]
fn settings_that_make_no_sense_are_told_with_what_would() {
    for (arguments, word) in [
        (["replay", "--set", "foo=1"], "mmap_threshold"),
        (["replay", "--set", "ARENA_MAX=2"], "MALLOC_ARENA_MAX"),
        (["replay", "--glibc", "1.0"], "2.36"),
        (["replay", "--glibc=2.31", "--introspect=mallinfo2"], "glibc 2.31 has no mallinfo2"),
        (["compare", "--touch", "all"], "--mmap-threshold"),
    ] {
        let said = said(malloscope(arguments).arg(trace()));
        assert_eq!(said.code, Some(1), "{arguments:?}");
        assert!(said.err.contains(word), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn a_program_that_is_not_there_is_named() {
    for program in ["/nowhere/at/all", "no-such-program-anywhere"] {
        let trace = folder().join("unborn.mscope");
        let said = said(&mut malloscope(["record", "-o", trace.to_str().unwrap(), "--", program]));
        assert_eq!(said.code, Some(1));
        assert!(said.err.contains(program), "{}", said.err);
        assert!(!trace.exists());
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let script: String = (0..60_000).map(|slot| format!("0 malloc {slot} 100\n")).collect();
    let long = imported("long", &script);
    let commands: [&[&str]; 9] = [
        &["dump", &long],
        &["dump", "--format", "ops", &long],
        &["replay", "--placements", &long],
        &["replay", &long],
        &["replay", "--format", "json", &long],
        &["info", &long],
        &["replay", "--help"],
        &["generate", "man"],
        &["generate", "completions", "bash"],
    ];
    for arguments in commands {
        for lines in [0, 1] {
            let mut command = malloscope(arguments);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut reader = BufReader::with_capacity(64, child.stdout.take().unwrap());
            let mut line = String::new();
            for _ in 0..lines {
                reader.read_line(&mut line).unwrap();
            }
            drop(reader);
            let mut err = String::new();
            child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
            let status = child.wait().unwrap();
            assert!(status.success() && err.is_empty(), "{arguments:?}: {status}: {err}");
        }
    }
}

/// The most address space a replay may take here, in KiB.
const ROOM: u32 = 3 << 20;

/// Replays a script in little room; returns the last line of its placements.
fn last_placement_in_little_room(name: &str, script: &str, memory: &str) -> String {
    let trace = imported(name, script);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {ROOM}; exec \"$@\""), "sh"]);
    command.arg(env!("CARGO_BIN_EXE_malloscope"));
    let said = said(command.args(["replay", "--placements", "--memory", memory, &trace]));
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{name}, {memory}");
    said.out.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_script_that_asks_for_the_moon_gets_what_a_machine_would_give_it() {
    let spawns = |joins: bool| -> String {
        let join = |thread| if joins { format!("0 join {thread}\n") } else { String::new() };
        let each = |thread| format!("0 spawn {thread}\n{thread} malloc {thread} 24\n{}", join(thread));
        (1..60_000).map(each).collect()
    };
    let (together, in_turn) = (spawns(false), spawns(true));
    let cases = [
        ("a_quarter_of_all", "0 malloc 1 4611686018427387904\n", "0 malloc 0 0 21000 E12"),
        ("terabytes", "0 malloc 1 8796093022208\n", "0 malloc 0 0 21000 E12"),
        ("cleared_terabytes", "0 calloc 1 8796093022208\n", "0 calloc 0 0 21000 E12"),
        ("far_break", "0 sbrk 8796093022208\n", "0 sbrk - 1 0"),
        ("filled", "0 mallopt -6 1\n0 malloc 1 34359738368\n0 free 1\n", "2 free - 0 21000"),
        ("grown", "0 malloc 1 200000\n0 realloc 1 8796093022208\n", "1 realloc 0 0 21000 E12"),
        ("a_high_slot", "0 malloc 4294967294 24\n", "0 malloc m+2a0 21 21000"),
        ("a_high_thread", "0 spawn 4294967294\n4294967294 malloc 1 24\n", "1 malloc a1.h1+b70 25 21000"),
        ("threads_together", &together, "119997 malloc - 0 a71000"),
        ("threads_in_turn", &in_turn, "179996 join - 0 21000"),
    ];
    for (name, script, last) in cases {
        assert_eq!(last_placement_in_little_room(name, script, "simulated"), last, "{name}");
        if name != "threads_together" && name != "threads_in_turn" {
            assert_eq!(last_placement_in_little_room(name, script, "real"), last, "{name}");
        }
    }
}
