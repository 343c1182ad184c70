//! Traces of what other tools recorded.

use super::run::{answer, compiled, folder, malloscope, said};
use std::process::Command;

/// The calls of a trace, without their pointers.
fn calls(trace: &str) -> Vec<String> {
    let call = |line: &str| {
        let call = line.split(" t0 ").nth(1)?.split(" = ").next()?.to_owned();
        let (name, arguments) = call.split_once('(')?;
        let last = arguments.trim_end_matches(')').rsplit(", ").next()?;
        Some(if name == "free" { name.to_owned() } else { format!("{name}({last})") })
    };
    answer(["dump", trace]).lines().filter_map(call).collect()
}

#[test]
fn what_mtrace_of_the_c_library_writes_is_every_call() {
    let program = compiled("mtraced.c", "mtraced", &["-Wno-alloc-size-larger-than"]);
    let (log, trace) = (folder().join("mtrace.log"), folder().join("mtrace.mscope").display().to_string());
    let mut command = Command::new(program);
    // Since 2.34 it is in a library of its own.
    command.env("LD_PRELOAD", "libc_malloc_debug.so.0").env("MALLOC_TRACE", &log);
    let made = said(&mut command);
    assert_eq!(made.code, Some(0), "{}", made.err);
    if !log.exists() {
        eprintln!("skipped: this C library cannot mtrace: {}", made.err);
        return;
    }
    let log = log.display().to_string();
    let imported = said(&mut malloscope(["import", "--from", "mtrace", &log, "-o", &trace]));
    assert_eq!(imported.code, Some(0), "{}", imported.err);
    assert!(imported.err.contains("All calls are taken for one thread's"), "{}", imported.err);
    let expected: Vec<&str> = made.out.lines().collect();
    assert!(expected.len() > 2000);
    assert_eq!(calls(&trace), expected);
    let report = answer(["replay", "--format", "csv", &trace]);
    assert!(report.lines().any(|line| line.ends_with(&format!(",{}", expected.len()))), "{report}");
}

#[test]
fn what_an_import_does_without_is_said() {
    let file = folder().join("before.txt");
    std::fs::write(&file, "7: free 0x1000\n7: malloc 0x2000 10\n9: malloc 0x2000 20\n7: free 0x2000\n")
        .unwrap();
    let (file, trace) = (file.display().to_string(), folder().join("before.mscope").display().to_string());
    let imported = said(&mut malloscope(["import", "--from", "aosp", &file, "-o", &trace]));
    assert_eq!(imported.code, Some(0), "{}", imported.err);
    assert!(imported.err.contains("from before it: 1\n"), "{}", imported.err);
    assert!(imported.err.contains("the next there: 1\n"), "{}", imported.err);
    assert!(answer(["info", &trace]).contains("imported from aosp"));
}

#[test]
fn half_an_import_is_no_trace() {
    let (file, trace) = (folder().join("half.txt"), folder().join("half.mscope"));
    std::fs::write(&file, "7: malloc 0x2000 10\n7: mallok 0x1000 1\n").unwrap();
    let (file, trace) = (file.display().to_string(), trace.display().to_string());
    let imported = said(&mut malloscope(["import", "--from", "aosp", &file, "-o", &trace]));
    assert_eq!(imported.code, Some(1));
    assert!(
        imported.err.contains("half.txt") && imported.err.contains("line 2, column 4"),
        "{}",
        imported.err
    );
    assert!(!std::path::Path::new(&trace).exists());
}

/// A file of the tests of `traces`, as a trace: what the import said, and the trace.
fn of_a_file(format: &str, file: &str) -> (String, String) {
    let input = format!("{}/traces/tests/foreign_files/{file}", env!("CARGO_MANIFEST_DIR"));
    let trace = folder().join(format!("{file}.mscope")).display().to_string();
    let imported = said(&mut malloscope(["import", "--from", format, &input, "-o", &trace]));
    assert_eq!(imported.code, Some(0), "{}", imported.err);
    (imported.err, trace)
}

#[test]
fn the_stacks_of_memray_and_heaptrack_say_who_allocated() {
    let (err, trace) = of_a_file("memray", "calls.memray");
    assert!(err.contains("Its stacks are those of Python") && !err.contains("broke off"), "{err}");
    let sites = answer(["sites", &trace]);
    assert!(sites.contains("inner ← outer ← <module>") && sites.contains("own ← <module>"), "{sites}");
    let folded = said(&mut malloscope(["export", "--to", "folded", &trace]));
    assert!(folded.out.contains("<module>;outer;inner"), "{}", folded.out);
    let info = answer(["info", &trace]);
    assert!(info.contains("imported from memray") && info.contains("records     217 in 10 ms"), "{info}");
    let (_, trace) = of_a_file("heaptrack", "calls.zst");
    let sites = answer(["sites", &trace]);
    assert!(sites.contains("  main\n") && sites.contains("call_init ← call_init ← _dl_init"), "{sites}");
    // A tool that writes no times says nothing of how long it took.
    let file = folder().join("timeless.txt");
    std::fs::write(&file, "7: malloc 0x1000 8\n").unwrap();
    let (file, trace) = (file.display().to_string(), folder().join("timeless.mscope").display().to_string());
    let imported = said(&mut malloscope(["import", "--from", "aosp", &file, "-o", &trace]));
    assert_eq!(imported.code, Some(0), "{}", imported.err);
    assert!(answer(["info", &trace]).contains("records     2, "), "{}", answer(["info", &trace]));
}
