//! Whatever happens to the bytes of a trace, nothing wrong is passed as right, and no more is lost
//! than what was hit.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test fails by panicking")]

mod plain;

use std::io::{self, Cursor, Write};

use malloscope_traces::*;
use plain::{Step, header, read, same, steps, written};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const MARK: &[u8] = b"\x8aMSCOPE\n";

/// A trace of some batches, always the same, and the records in it.
fn sample() -> (Vec<u8>, Vec<Record>) {
    let mut runner = TestRunner::deterministic();
    let mut all = Vec::new();
    for _ in 0..5 {
        all.extend(steps(24).new_tree(&mut runner).unwrap().current());
        all.push(Step::Flush);
    }
    written(&header(true, 1), &all)
}

/// Reads what is left of a trace and checks it against the records it had. Returns how many are
/// lost, and what was said of them; `None` if it could not even be opened.
fn check(damaged: &[u8], expected: &[Record]) -> Option<(usize, Vec<Damage>)> {
    let (records, damages) = match read(damaged) {
        Ok(read) => read,
        Err(Error::NotATrace { .. } | Error::Version { .. } | Error::Header { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    for (number, record) in &records {
        let expected = &expected[*number as usize];
        assert!(same(record, expected), "record {number} is {record:?} instead of {expected:?}");
    }
    assert!(records.windows(2).all(|pair| pair[0].0 < pair[1].0), "records come twice or out of order");
    let reported: u64 = damages.iter().filter_map(|damage| damage.records).sum();
    let lost = expected.len() - records.len();
    let open_end = damages.last().is_some_and(|damage| damage.records.is_none());
    assert!(open_end || ending(damaged).is_none() || reported == lost as u64, "{lost} lost, {damages:?}");
    Some((lost, damages))
}

fn ending(trace: &[u8]) -> Option<Ending> {
    let mut reader = Reader::open(Cursor::new(trace)).unwrap();
    while !matches!(reader.next_batch(&mut Vec::new()), Ok(None)) {}
    reader.ending().cloned()
}

/// The frames of a trace; what comes before the first is in none.
fn frames(trace: &[u8]) -> Vec<&[u8]> {
    let marks = (0..trace.len()).filter(|at| trace[*at..].starts_with(MARK)).collect::<Vec<_>>();
    let ends = marks.iter().copied().skip(1).chain([trace.len()]);
    marks.iter().zip(ends).map(|(begin, end)| &trace[*begin..end]).collect()
}

#[test]
fn a_trace_cut_anywhere_ends_earlier() {
    let (trace, expected) = sample();
    let mut last = usize::MAX;
    for length in 0..trace.len() {
        let cut = &trace[..length];
        let Some((lost, damages)) = check(cut, &expected) else {
            assert_eq!(
                last,
                usize::MAX,
                "what could be opened when it was shorter cannot be at {length} bytes"
            );
            continue;
        };
        assert!(lost <= last, "more is lost at {length} bytes than when it was shorter");
        // Without its very last frame, which only says where the ending is, a trace is still whole.
        assert!(ending(cut).is_none() || !damages.is_empty() || lost == 0);
        last = lost;
    }
    assert_eq!(last, 0);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (mut trace, expected) = sample();
    for bit in 0..trace.len() * 8 {
        trace[bit / 8] ^= 1 << (bit % 8);
        if let Some((lost, damages)) = check(&trace, &expected) {
            assert!(!damages.is_empty(), "bit {bit} flipped and nobody noticed");
            assert!(lost < 40, "bit {bit} cost {lost} records");
        }
        trace[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_damaged_batch_costs_only_itself() {
    let (trace, expected) = sample();
    let index = Reader::open(Cursor::new(&trace)).unwrap().index().unwrap().clone();
    for (number, entry) in index.batches.iter().enumerate() {
        let end = index.batches.get(number + 1).map_or(expected.len() as u64, |next| next.first);
        let mut damaged = trace.clone();
        damaged[entry.at as usize + 60] ^= 1;
        let (lost, damages) = check(&damaged, &expected).unwrap();
        assert_eq!(lost as u64, end - entry.first);
        let [Damage { batch, at, first, records, fault: Fault::BodyChecksum { .. }, .. }] = damages[..]
        else {
            panic!("{damages:?}");
        };
        assert_eq!(
            (batch, at, first, records),
            (number as u32, entry.at, entry.first, Some(end - entry.first))
        );
    }
}

#[test]
fn a_batch_that_is_not_there_is_missed() {
    let (trace, expected) = sample();
    let frames = frames(&trace);
    // Two headers come first, the index, the ending and the tail last.
    for absent in 2..frames.len() - 3 {
        let rest = frames.iter().enumerate().filter(|(number, _)| *number != absent).map(|(_, frame)| *frame);
        let trace = [&trace[..12], &rest.collect::<Vec<_>>().concat()].concat();
        let (lost, damages) = check(&trace, &expected).unwrap();
        assert!(lost > 0);
        assert!(matches!(damages[..], [Damage { fault: Fault::Missing, length: 0, .. }]), "{damages:?}");
    }
}

#[test]
fn the_copy_of_the_header_is_read_where_the_header_is_damaged() {
    let (mut trace, expected) = sample();
    let (_, second) = (frames(&trace)[0].len(), 12 + frames(&trace)[0].len());
    trace[20] ^= 1;
    let (lost, damages) = check(&trace, &expected).unwrap();
    assert_eq!((lost, damages.len()), (0, 1));
    trace[second + 20] ^= 1;
    assert!(matches!(read(&trace), Err(Error::Header { .. })));
}

#[test]
fn what_is_no_trace_is_refused() {
    let refused = |bytes: &[u8]| Reader::open(Cursor::new(bytes)).unwrap_err().to_string();
    assert_eq!(refused(b""), "the trace is not a trace: it does not begin with a trace's mark");
    assert_eq!(
        refused(b"\x7fELF\x02\x01\x01"),
        "the trace is not a trace: it does not begin with a trace's mark"
    );
    let mut newer = sample().0;
    newer[8] = 9;
    assert_eq!(refused(&newer), "the trace is a trace of version 9, and 1 is the newest that is known here");
    let cut = &sample().0[..12];
    assert!(
        refused(cut)
            .starts_with("the trace: the header cannot be read, nor can its copy: batch 0 at byte 12:")
    );
}

#[test]
fn frames_of_unknown_kind_are_stepped_over() {
    let (trace, expected) = sample();
    let frames = frames(&trace);
    let mut unknown = frames[0].to_vec();
    unknown[8] = 99;
    let checksum = crc32fast::hash(&unknown[..48]);
    unknown[48..52].copy_from_slice(&checksum.to_le_bytes());
    let parts = [&trace[..12], frames[0], frames[1], &unknown, &frames[2..].concat()];
    assert_eq!(check(&parts.concat(), &expected), Some((0, Vec::new())));
}

/// A disk that takes so many bytes, is full once, and then takes the rest.
struct FullOnce {
    taken: Vec<u8>,
    room: usize,
}

impl Write for FullOnce {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            self.room = usize::MAX;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.room);
        self.taken.extend_from_slice(&bytes[..taken]);
        self.room -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_no_record() {
    let (trace, expected) = sample();
    let begin = frames(&trace)[0].len() + frames(&trace)[1].len() + 12;
    let again = |record: &Record| Record { program_break: 0, ..*record };
    for room in begin..begin + 400 {
        let mut writer = Writer::new(FullOnce { taken: Vec::new(), room }, &header(true, 1)).unwrap();
        for record in expected.iter().map(again) {
            writer.record(&record).unwrap();
            if record.time.0 % 5 == 0 && writer.flush().is_err() {
                writer.flush().unwrap();
            }
        }
        while writer.flush().is_err() {}
        let trace = writer.finish(&Ending::default()).unwrap().taken;
        let (records, damages) = read(&trace).unwrap();
        assert_eq!(records.len(), expected.len());
        assert!(damages.iter().all(|damage| damage.records == Some(0)));
        let mut reader = Reader::open(Cursor::new(&trace)).unwrap();
        let last = reader.index().unwrap().batches.len() - 1;
        reader.seek_batch(last as u32).unwrap();
        assert!(reader.records().all(|record| record.is_ok()));
    }
}

#[test]
fn a_tail_that_points_anywhere_is_survived() {
    let (trace, expected) = sample();
    let tail = trace.len() - 60;
    for at in [0, 1, trace.len() as u64 - 1, trace.len() as u64, u64::MAX - 1, u64::MAX] {
        let mut trace = trace.clone();
        trace[tail + 52..].copy_from_slice(&at.to_le_bytes());
        let checksum = crc32fast::hash(&trace[tail + 52..]);
        trace[tail + 44..tail + 48].copy_from_slice(&checksum.to_le_bytes());
        let checksum = crc32fast::hash(&trace[tail..tail + 48]);
        trace[tail + 48..tail + 52].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(check(&trace, &expected), Some((0, Vec::new())));
        assert!(ending(&trace).is_some(), "it is found on the way");
    }
}

proptest! {
    #[test]
    fn frames_in_any_order_with_anything_between(
        order in prop::collection::vec((0..10usize, prop::collection::vec(any::<u8>(), 0..80)), 0..20)
    ) {
        let (trace, expected) = sample();
        let frames = frames(&trace);
        let shuffled = order.into_iter().map(|(frame, garbage)| [frames[frame], &garbage].concat());
        let whole = [&trace[..12], frames[0], &shuffled.collect::<Vec<_>>().concat()].concat();
        let (records, _) = read(&whole).unwrap();
        for (number, record) in records {
            prop_assert!(same(&record, &expected[number as usize]));
        }
    }

    #[test]
    fn any_stretch_may_be_replaced(from in 0.0..1.0f64, length in 0..300usize, new in prop::collection::vec(any::<u8>(), 0..300)) {
        let (trace, expected) = sample();
        let from = (trace.len() as f64 * from) as usize;
        let to = (from + length).min(trace.len());
        check(&[&trace[..from], &new, &trace[to..]].concat(), &expected);
    }
}
