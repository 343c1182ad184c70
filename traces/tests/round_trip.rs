//! Whatever is written is read back.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test fails by panicking")]

mod plain;

use std::io::Cursor;

use malloscope_traces::*;
use plain::{Step, header, read, steps, written};
use proptest::prelude::*;

fn check(header: &Header, steps: &[Step]) {
    let (trace, expected) = written(header, steps);
    let (records, damages) = read(&trace).unwrap();
    assert_eq!(damages, []);
    assert_eq!(records, (0..).zip(expected).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn any_records_come_back(steps in steps(400), placements: bool, resolution in 0..100u64) {
        check(&header(placements, resolution), &steps);
    }

    #[test]
    fn reading_can_start_at_any_batch(steps in steps(200)) {
        let (trace, expected) = written(&header(true, 1), &steps);
        let mut reader = Reader::open(Cursor::new(&trace)).unwrap();
        let batches = reader.index().unwrap().batches.clone();
        for (number, entry) in batches.iter().enumerate().rev() {
            reader.seek_batch(number as u32).unwrap();
            let read = reader.records().map(Result::unwrap).collect::<Vec<_>>();
            assert_same(&read, &expected[entry.first as usize..]);
            assert_eq!(entry.time, read[0].time);
        }
    }
}

/// Whether records are the same, where an address may be unknown.
fn assert_same(read: &[Record], expected: &[Record]) {
    assert_eq!(read.len(), expected.len());
    for (read, expected) in read.iter().zip(expected) {
        assert!(plain::same(read, expected), "{read:?} instead of {expected:?}");
    }
}

#[test]
fn a_trace_of_nothing_is_a_trace() {
    let (trace, _) = written(&Header::default(), &[]);
    let mut reader = Reader::open(Cursor::new(trace)).unwrap();
    assert_eq!(reader.header(), &Header::default());
    assert_eq!(reader.ending(), Some(&Ending::default()));
    assert_eq!(reader.totals(), Some(&Totals::default()));
    assert_eq!(reader.index().unwrap().batches, []);
    assert_eq!(reader.records().count(), 0);
}

#[test]
fn many_batches_are_read_in_order() {
    let record = |n: u64| Record {
        time: Nanos(n * 10),
        thread: Thread(0),
        program_break: 0,
        call: Call::Malloc { request: n % 100, to: Placed { pointer: Pointer::seen(32 * (n + 1)), head: 0 } },
    };
    let steps = (0..200_000).map(record).map(Step::Record).collect::<Vec<_>>();
    let (trace, expected) = written(&header(true, 10), &steps);
    let mut reader = Reader::open(Cursor::new(&trace)).unwrap();
    let read = reader.records().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(read, expected);
    let index = reader.index().unwrap();
    let batch = index.batch_of_record(150_000);
    assert_eq!(batch, index.batch_at_time(Nanos(1_500_000)));
    let first = index.batches[batch].first as usize;
    reader.seek_batch(batch as u32).unwrap();
    let read = reader.records().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(read, expected[first..]);
}

#[test]
fn a_realloc_under_way_keeps_its_slot_while_its_address_is_given_away() {
    let at = |address| Placed { pointer: Pointer::seen(address), head: 0x31 };
    let record = |call| Record { time: Nanos(0), thread: Thread(0), program_break: 0, call };
    let mut writer = Writer::new(Vec::new(), &header(true, 1)).unwrap();
    writer.record(&record(Call::Malloc { request: 40, to: at(0x100) })).unwrap();
    let claimed = writer.claim(0x100);
    writer.record(&record(Call::Malloc { request: 40, to: at(0x100) })).unwrap();
    let old = Pointer { address: 0x100, slot: claimed };
    writer.record(&record(Call::Realloc { old, request: 400, to: at(0x200) })).unwrap();
    writer.record(&record(Call::Free { pointer: Pointer::seen(0x100) })).unwrap();
    writer.record(&record(Call::Free { pointer: Pointer::seen(0x200) })).unwrap();
    let trace = writer.finish(&Ending::default()).unwrap();
    let slots = read(&trace).unwrap().0.iter().map(|(_, record)| slot(&record.call)).collect::<Vec<_>>();
    assert_eq!(slots, [0, 1, 0, 1, 0]);
}

fn slot(call: &Call) -> u32 {
    call.placed().map(|placed| placed.pointer).or(call.handed()).unwrap().slot.0
}
