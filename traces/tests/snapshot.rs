//! The heap as it stood before the first record travels with a trace; a reader that cannot read it says so.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Cursor;

use malloscope_traces::header::Heap;
use malloscope_traces::snapshot::{self, Arena, Cache, Limits, Mapping, Region, Snapshot};
use malloscope_traces::{
    Call, Ending, Error, Header, Nanos, Placed, Pointer, Reader, Record, Thread, Writer,
};

const START: u64 = 0x5600_0000_1000;

/// A heap of two arenas, in which everything is different from everything else.
fn heap() -> Snapshot {
    let bin = |number: u8, chunks: &[u64]| snapshot::Stack { number, chunks: chunks.to_vec() };
    let heads: Vec<u64> = (0..500).map(|number| 0x20 + number % 40 * 16 + 1).collect();
    let arena = |state: u64| Arena {
        state,
        contiguous: state != START,
        may_hold_fast: true,
        top: state + 7,
        last_remainder: state + 8,
        marked: [state, 1 << 63],
        next_free: Some(1),
        attached_threads: 3,
        system_bytes: 0x21000,
        greatest_system_bytes: 0x42000,
        fast: vec![bin(0, &[1, 2]), bin(3, &[9])],
        lists: vec![bin(1, &[5]), bin(126, &[u64::MAX])],
        regions: vec![Region {
            start: state,
            first: state + 16,
            end: state + 0x21000,
            accessible: 5,
            heads: heads.clone(),
        }],
    };
    Snapshot {
        program_break: START + 0x21000,
        limits: Limits {
            trim_threshold: 1,
            top_pad: 2,
            mmap_threshold: 3,
            arena_test: 4,
            arena_max: 5,
            mmap_max: -6,
            are_dynamic: true,
            mapped_chunks: 7,
            greatest_mapped_chunks: 8,
            mapped_bytes: 9,
            greatest_mapped_bytes: 10,
            heap_start: START,
        },
        arenas: vec![arena(0x7f00_0000_0c60), arena(0x7e00_0000_0030)],
        turn: 1,
        threads: vec![snapshot::Thread {
            id: 77,
            arena: Some(1),
            cache: Some(Cache { chunk: START, stacks: vec![bin(63, &[3])] }),
        }],
        threaded: true,
        mappings: vec![Mapping { start: 4096, length: 8192, chunk: 4112, head: 0x1ff2 }],
        resident: Some(vec![(START, START + 4096)]),
        stopped: 123_456,
    }
}

fn records() -> Vec<Record> {
    let record = |call| Record { time: Nanos(0), thread: Thread(0), program_break: START + 0x21000, call };
    let to = Placed { pointer: Pointer::seen(START + 0x2a0), head: 0x21 };
    vec![
        // One that was made before the trace began: nothing but its address is known.
        record(Call::Free { pointer: Pointer::seen(START + 0x5000) }),
        record(Call::Malloc { request: 24, to }),
    ]
}

fn trace(snapshot: Option<&Snapshot>) -> Vec<u8> {
    let heap = Heap { initial_break: START, placements: true };
    let mut writer = Writer::new(Vec::new(), &Header { heap, ..Header::default() }).unwrap();
    snapshot.iter().for_each(|snapshot| writer.snapshot(snapshot).unwrap());
    records().iter().for_each(|record| writer.record(record).unwrap());
    writer.finish(&Ending::default()).unwrap()
}

fn open(trace: &[u8]) -> Reader<Cursor<&[u8]>> {
    Reader::open(Cursor::new(trace)).unwrap()
}

#[test]
fn what_is_written_is_read_and_the_records_are_there_as_without() {
    let trace = trace(Some(&heap()));
    assert!(trace.len() < 4096, "heads are squeezed: {}", trace.len());
    let mut reader = open(&trace);
    assert_eq!(reader.snapshot().unwrap(), Some(heap()));
    let read: Vec<Record> = reader.records().map(Result::unwrap).collect();
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].call.handed(), Some(Pointer::seen(START + 0x5000)));
}

#[test]
fn a_trace_without_one_says_that_there_is_none() {
    assert_eq!(open(&trace(None)).snapshot().unwrap(), None);
}

#[test]
fn one_that_is_damaged_is_an_error_and_no_heap() {
    let whole = trace(Some(&heap()));
    let none = trace(None);
    let begins = none.iter().zip(&whole).position(|(one, other)| one != other).unwrap();
    let length = whole.len() - none.len();
    let (mut errors, mut missing) = (0, 0);
    for at in begins + 60..begins + length - 12 {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        match open(&damaged).snapshot() {
            Err(Error::Snapshot { .. }) => errors += 1,
            // The frame itself was hit: then there is none, which the records' reader tells of.
            Ok(None) => missing += 1,
            other => panic!("byte {at}: {other:?}"),
        }
    }
    assert!(errors > 100 && missing == 0, "{errors} and {missing}");
}
