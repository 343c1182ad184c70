//! Symbols are put into a trace and read from it again, and change nothing else in it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod plain;

use std::io::Cursor;

use malloscope_traces::stacks::ModuleId;
use malloscope_traces::symbols::{Builder, Function};
use malloscope_traces::*;
use plain::{Step, header, read, steps, written};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// What every frame of symbols begins with.
const SYMBOLS: &[u8] = b"\x8aMSCOPE\n\x08\0\0\0";

/// A trace of some batches, always the same.
fn sample() -> Vec<u8> {
    let mut runner = TestRunner::deterministic();
    let mut all = Vec::new();
    for _ in 0..4 {
        all.extend(steps(24).new_tree(&mut runner).unwrap().current());
        all.push(Step::Flush);
    }
    written(&header(true, 1), &all).0
}

fn function(name: &str) -> Function<'_> {
    Function { name, file: Some("src/größe.c"), line: Some(7) }
}

/// Names of one address, and a line of another.
fn symbols(name: &str) -> Symbols {
    let mut builder = Builder::default();
    builder.put(ModuleId(1), 0x40_1000, [function(name), function("main")]);
    builder.put(ModuleId(0), u64::MAX, [Function { name: "", file: None, line: Some(1) }]);
    builder.finish()
}

fn embedded(trace: &[u8], symbols: &Symbols) -> Vec<u8> {
    embed(Cursor::new(trace), symbols, Vec::new()).unwrap()
}

fn symbols_of(trace: &[u8]) -> Option<Symbols> {
    Reader::open(Cursor::new(trace)).unwrap().symbols().unwrap()
}

/// All that can be read of a trace, but for where it is: records, what is lost, index, ending.
fn content(trace: &[u8]) -> impl PartialEq + std::fmt::Debug {
    let (records, damages) = read(trace).unwrap();
    let damages: Vec<_> = damages.into_iter().map(|damage| Damage { at: 0, ..damage }).collect();
    let mut reader = Reader::open(Cursor::new(trace)).unwrap();
    let batches = &reader.index().unwrap().batches;
    let batches: Vec<_> = batches.iter().map(|batch| (batch.first, batch.time)).collect();
    (records, damages, batches, reader.header().clone(), reader.ending().cloned(), reader.totals().copied())
}

#[test]
fn symbols_come_back_and_nothing_else_changes() {
    let trace = sample();
    assert_eq!(symbols_of(&trace), None);
    let with = embedded(&trace, &symbols("malloc_here"));
    let read = symbols_of(&with).unwrap();
    assert_eq!(read, symbols("malloc_here"));
    let found: Vec<_> = read.of(ModuleId(1), 0x40_1000).collect();
    assert_eq!(found, [function("malloc_here"), function("main")]);
    let line = Function { name: "", file: None, line: Some(1) };
    assert_eq!(read.of(ModuleId(0), u64::MAX).collect::<Vec<_>>(), [line]);
    assert_eq!(read.of(ModuleId(1), u64::MAX).len(), 0);
    assert_eq!(content(&with), content(&trace));
    let at = with.windows(SYMBOLS.len()).position(|window| window == SYMBOLS).unwrap();
    assert_eq!(with[..at], trace[..at], "what is in front of them is as it was");
}

#[test]
fn the_index_that_moved_is_found() {
    let with = embedded(&sample(), &symbols("f"));
    let ending = Reader::open(Cursor::new(&with)).unwrap().ending().cloned();
    assert!(ending.is_some(), "the tail says where the ending is");
    // An index that could not be found would be made anew, and be as good: so it is made a wrong one.
    let mut damaged = with.clone();
    let index = damaged.windows(12).position(|window| window == b"\x8aMSCOPE\n\x03\0\0\0").unwrap();
    let records = damaged.windows(12).position(|window| window == b"\x8aMSCOPE\n\x02\0\0\0").unwrap();
    damaged[records] ^= 1;
    let batches = |trace: &[u8]| Reader::open(Cursor::new(trace)).unwrap().index().unwrap().batches.len();
    assert_eq!(batches(&damaged), batches(&with), "the index in the file knows of a batch that is no more");
    damaged[index] ^= 1;
    assert_eq!(batches(&damaged), batches(&with) - 1);
}

#[test]
fn new_symbols_replace_old_ones() {
    let trace = sample();
    let once = embedded(&trace, &symbols("new"));
    assert_eq!(embedded(&embedded(&trace, &symbols("a much longer old name")), &symbols("new")), once);
    assert_eq!(embedded(&embedded(&once, &symbols("old")), &symbols("new")), once);
}

#[test]
fn a_trace_cut_anywhere_takes_symbols_and_stays_cut() {
    let trace = sample();
    let mut tried = 0;
    for length in 0..trace.len() {
        let cut = &trace[..length];
        if Reader::open(Cursor::new(cut)).is_err() {
            continue;
        }
        let with = embedded(cut, &symbols("f"));
        assert_eq!(symbols_of(&with), Some(symbols("f")), "cut at {length}");
        assert_eq!(content(&with), content(cut), "cut at {length}");
        assert_eq!(embedded(&with, &symbols("f")), with, "cut at {length}");
        tried += 1;
    }
    assert!(tried > trace.len() / 2, "{tried} of {}", trace.len());
}

#[test]
fn damaged_symbols_are_none_and_cost_no_record() {
    let with = embedded(&sample(), &symbols("f"));
    let whole = content(&with);
    let begin = with.windows(SYMBOLS.len()).position(|window| window == SYMBOLS).unwrap();
    let index = with.windows(12).position(|window| window == b"\x8aMSCOPE\n\x03\0\0\0").unwrap();
    let expected = read(&with).unwrap().0;
    for at in begin..index {
        let mut damaged = with.clone();
        damaged[at] ^= 0x10;
        assert_eq!(symbols_of(&damaged), None, "byte {at}");
        let (records, damages) = read(&damaged).unwrap();
        assert_eq!(records, expected, "byte {at}");
        assert!(damages.iter().all(|damage| damage.records == Some(0)), "byte {at}: {damages:?}");
        let again = embedded(&damaged, &symbols("f"));
        assert_eq!(symbols_of(&again), Some(symbols("f")), "byte {at}");
    }
    assert_eq!(content(&with), whole);
}

/// A function's name, file and line.
type Named = (String, Option<String>, Option<u32>);

/// One to three functions at some address.
fn place() -> impl Strategy<Value = (u32, u64, Vec<Named>)> {
    let function = (".{0,8}", proptest::option::of(".{0,3}"), proptest::option::of(1_u32..));
    (0_u32..3, any::<u64>(), proptest::collection::vec(function, 1..4))
}

proptest! {
    #[test]
    fn any_names_come_back(places in proptest::collection::vec(place(), 0..20)) {
        let mut builder = Builder::default();
        for (module, address, functions) in &places {
            let functions = functions.iter();
            let functions = functions.map(|(name, file, line)| Function { name, file: file.as_deref(), line: *line });
            builder.put(ModuleId(*module), *address, functions);
        }
        let symbols = symbols_of(&embedded(&sample(), &builder.finish())).unwrap();
        for (module, address, functions) in &places {
            let read = symbols.of(ModuleId(*module), *address);
            let read: Vec<_> = read.map(|f| (f.name.to_owned(), f.file.map(str::to_owned), f.line)).collect();
            prop_assert_eq!(&read, functions);
        }
    }
}
