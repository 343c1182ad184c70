//! A trace that is read while it is written: everything comes, once, and nothing on its way is damage.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod plain;

use std::fs::File;
use std::io::Write;

use malloscope_traces::*;
use plain::{header, same, steps, written};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// A trace of some batches, always the same, and the records in it.
fn sample() -> (Vec<u8>, Vec<Record>) {
    let mut runner = TestRunner::deterministic();
    let mut all = Vec::new();
    for _ in 0..5 {
        all.extend(steps(24).new_tree(&mut runner).unwrap().current());
        all.push(plain::Step::Flush);
    }
    written(&header(true, 1), &all)
}

#[test]
fn what_is_on_its_way_is_no_damage_and_comes_when_it_is_there() {
    let (bytes, expected) = sample();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut out: File = file.reopen().unwrap();
    // Enough for the header.
    let begun = (1..bytes.len()).find(|&length| Reader::open(std::io::Cursor::new(&bytes[..length])).is_ok());
    let begun = begun.unwrap();
    out.write_all(&bytes[..begun]).unwrap();
    let mut reader = Reader::open_file(file.path()).unwrap();
    let (mut batch, mut records, mut waits) = (Vec::new(), Vec::new(), 0);
    for piece in bytes[begun..].chunks(7) {
        out.write_all(piece).unwrap();
        while let Some(first) = reader.next_batch_yet(&mut batch).unwrap() {
            assert_eq!(first, records.len() as u64);
            records.append(&mut batch);
        }
        waits += u32::from(reader.ending().is_none());
    }
    assert!(records.iter().zip(&expected).all(|(record, expected)| same(record, expected)));
    assert_eq!(records.len(), expected.len());
    assert!(waits > 20 && reader.ending().is_some(), "{waits}");
    assert_eq!(reader.totals().unwrap().records, expected.len() as u64);
}

#[test]
fn what_will_never_come_is_damage_in_the_end() {
    let (bytes, _) = sample();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mark = b"\x8aMSCOPE\n";
    let last = bytes.windows(mark.len()).rposition(|window| window == mark).unwrap();
    file.reopen().unwrap().write_all(&bytes[..last + 20]).unwrap();
    let mut reader = Reader::open_file(file.path()).unwrap();
    while reader.next_batch_yet(&mut Vec::new()).unwrap().is_some() {}
    assert!(matches!(reader.next_batch(&mut Vec::new()), Err(Error::Damaged { .. })));
}

#[test]
fn a_file_is_being_written_until_its_writer_has_closed_it() {
    let (bytes, _) = sample();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut out = file.reopen().unwrap();
    growing::hold(&out);
    out.write_all(&bytes[..bytes.len() - 1]).unwrap();
    let is_being_written = || Reader::open_file(file.path()).unwrap().is_being_written();
    assert!(is_being_written());
    let another = file.reopen().unwrap();
    growing::hold(&another);
    drop(out);
    assert!(is_being_written(), "another writer still has it");
    drop(another);
    assert!(!is_being_written());
}
