//! What a trace leaves out is left out, and said to be; all else is what it was.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Cursor;

use malloscope_traces::redaction::Redaction;
use malloscope_traces::stacks::{Capture, Frame, Module, ModuleId, Sampling};
use malloscope_traces::symbols::{Builder, Function};
use malloscope_traces::{
    Call, Cause, Ending, Header, Nanos, Placed, Pointer, Reader, Record, Stack, Thread, Writer, embed,
};

const PATHS: Redaction = Redaction { arguments: false, environment: false, paths: true };

fn header() -> Header {
    let mut header = Header::default();
    header.program.path = "/home/alice/bin/app".to_owned();
    header.program.arguments = ["app", "--password", "hunter2"].map(str::to_owned).into();
    header.program.environment = vec![("MALLOC_TRACE".to_owned(), "/home/alice/trace".to_owned())];
    header.libc.path = "/home/alice/lib/libc.so.6".to_owned();
    header
}

/// A trace of one call, from one frame.
fn trace(redaction: Redaction) -> Vec<u8> {
    let mut header = header();
    redaction.of_header(&mut header);
    let mut writer = Writer::new(Vec::new(), &header).unwrap();
    if redaction.is_any() {
        writer.redacted(&redaction).unwrap();
    }
    writer.capture(Capture { sampling: Sampling::All, depth: 8 });
    let mut module = Module { path: "/home/alice/bin/app".to_owned(), ..Module::default() };
    redaction.of_path(&mut module.path);
    let module = writer.module(module);
    let stack = writer.frame(Frame { caller: Stack::NONE, module: Some(module), address: 0x10 });
    let to = Placed { pointer: Pointer::seen(0x1000), head: 0x21 };
    let call = Call::Malloc { request: 8, to };
    let record = Record { time: Nanos(1), thread: Thread(0), program_break: 0x2000, call };
    writer.record_from(&record, stack).unwrap();
    let mut cause = Cause::Replaced { by: "/home/alice/bin/next".to_owned() };
    redaction.of_cause(&mut cause);
    writer.finish(&Ending { cause, ..Ending::default() }).unwrap()
}

fn says(trace: &[u8], word: &str) -> bool {
    trace.windows(word.len()).any(|bytes| bytes == word.as_bytes())
}

#[test]
fn what_is_left_out_is_said_and_not_there() {
    let all = Redaction { arguments: true, environment: true, paths: true };
    const WORDS: [&str; 4] = ["alice", "hunter2", "alice/trace", "alice/bin/app"];
    for (redaction, words) in [
        (Redaction::default(), &WORDS[..]),
        (PATHS, &["alice", "hunter2", "alice/trace"]),
        (Redaction { paths: false, ..all }, &["alice", "alice/bin/app"]),
        (all, &[]),
    ] {
        let trace = trace(redaction);
        let there: Vec<&str> = WORDS.into_iter().filter(|word| says(&trace, word)).collect();
        assert_eq!(there, words, "{redaction:?}");
        let mut reader = Reader::open(Cursor::new(&trace)).unwrap();
        assert_eq!(reader.redaction().unwrap(), redaction);
        assert_eq!(reader.records().map(Result::unwrap).count(), 1);
        assert!(reader.header().program.path.ends_with("app"));
    }
}

#[test]
fn symbols_that_come_later_leave_out_the_same() {
    for redaction in [Redaction::default(), PATHS] {
        let mut symbols = Builder::default();
        let inlined = Function { name: "inner", file: Some("/home/alice/src/inner.h"), line: Some(3) };
        let function = Function { name: "outer", file: Some("/home/alice/src/main.c"), line: Some(7) };
        symbols.put(ModuleId(0), 0x10, [inlined, function]);
        symbols.put(ModuleId(0), 0x20, [function]);
        let embedded = embed(Cursor::new(trace(redaction)), &symbols.finish(), Vec::new()).unwrap();
        let mut reader = Reader::open(Cursor::new(&embedded)).unwrap();
        let found = reader.symbols().unwrap().unwrap();
        let folder = if redaction.paths { "" } else { "/home/alice/src/" };
        for (address, expected) in [
            (0x10, vec![("inner", "inner.h", 3), ("outer", "main.c", 7)]),
            (0x20, vec![("outer", "main.c", 7)]),
        ] {
            let told: Vec<_> = found.of(ModuleId(0), address).collect();
            let names: Vec<String> = expected.iter().map(|(_, file, _)| format!("{folder}{file}")).collect();
            let expected: Vec<_> = expected
                .iter()
                .zip(&names)
                .map(|((name, _, line), file)| Function { name, file: Some(file), line: Some(*line) })
                .collect();
            assert_eq!(told, expected);
        }
    }
}
