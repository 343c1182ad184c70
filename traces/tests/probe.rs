//! What a C library answered when it was probed travels with a trace, and stays apart from its records.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Cursor;

use malloscope_traces::header::{Heap, Libc};
use malloscope_traces::*;

const BREAK: u64 = 0x5600_0000_1000;

fn record(thread: u32, program_break: u64, call: Call) -> Record {
    Record { time: Nanos(0), thread: Thread(thread), program_break, call }
}

fn placed(address: u64, head: u64) -> Placed {
    Placed { pointer: Pointer::seen(address), head }
}

/// What a C library might answer.
fn answers() -> Vec<Record> {
    let at = BREAK + 0x2a0;
    vec![
        record(0, BREAK, Call::ThreadStart { id: 0 }),
        record(0, BREAK + 0x21000, Call::Malloc { request: 24, to: placed(at, 0x21) }),
        record(0, BREAK + 0x21000, Call::Free { pointer: Pointer::seen(at) }),
        record(0, BREAK + 0x21000, Call::Calloc { count: 1, size: 24, to: placed(at, 0x21) }),
        record(
            0,
            BREAK + 0x21000,
            Call::Realloc { old: Pointer::seen(at), request: 500, to: placed(at + 32, 0x201) },
        ),
        record(1, 0, Call::ThreadStart { id: 0 }),
        record(1, 0, Call::Malloc { request: 24, to: placed(0x7000_08d0 + 0x290, 0x25) }),
    ]
}

/// A trace of one record, whose C library answered that.
fn trace(probe: Vec<Record>) -> Vec<u8> {
    let libc = Libc { version: "2.36".to_owned(), probe, ..Libc::default() };
    let heap = Heap { initial_break: BREAK, placements: true };
    let mut writer = Writer::new(Vec::new(), &Header { libc, heap, ..Header::default() }).unwrap();
    // Where one of the answers is, and in another thread: neither is to be told from them.
    let call = Call::Malloc { request: 24, to: placed(BREAK + 0x2a0, 0x21) };
    writer.record(&record(5, BREAK, call)).unwrap();
    writer.finish(&Ending::default()).unwrap()
}

fn open(trace: &[u8]) -> Reader<Cursor<&[u8]>> {
    Reader::open(Cursor::new(trace)).unwrap()
}

/// The answers without slots, which only a reader knows.
fn seen(records: &[Record]) -> Vec<Record> {
    let bare = |pointer: &mut Pointer| pointer.slot = Slot::NONE;
    let mut records = records.to_vec();
    for record in &mut records {
        match &mut record.call {
            Call::Malloc { to, .. } | Call::Calloc { to, .. } => bare(&mut to.pointer),
            Call::Realloc { old, to, .. } => [old, &mut to.pointer].map(bare).into_iter().collect(),
            Call::Free { pointer } => bare(pointer),
            _ => {}
        }
    }
    records
}

#[test]
fn answers_come_back() {
    let trace = trace(answers());
    assert_eq!(seen(&open(&trace).header().libc.probe), answers());
}

#[test]
fn answers_are_not_among_the_records() {
    let (with, without) = (trace(answers()), trace(Vec::new()));
    let records = |trace| open(trace).records().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(records(&with), records(&without));
    assert_eq!(open(&with).totals().map(|totals| totals.slots), Some(1));
    assert!(open(&without).header().libc.probe.is_empty());
}

#[test]
fn damaged_answers_are_none_and_are_told_of() {
    let mut trace = trace(answers());
    let at = trace.windows(12).position(|window| window == b"\x8aMSCOPE\n\x06\0\0\0").unwrap();
    trace[at + 60] ^= 1;
    let mut reader = open(&trace);
    assert!(reader.header().libc.probe.is_empty());
    let read: Vec<_> = reader.records().collect();
    assert!(matches!(read[0], Err(Error::Damaged { .. })), "{:?}", read[0]);
    assert_eq!(read.len(), 2, "the record behind it is read");
}

#[test]
fn answers_are_found_behind_a_damaged_header() {
    let mut trace = trace(answers());
    trace[12 + 60] ^= 1;
    assert_eq!(open(&trace).header().libc.probe.len(), answers().len());
}
