//! What the kernel said of a process travels with its trace; what is damaged of it costs nothing else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Cursor;

use malloscope_traces::readings::{Extent, Mappings, Reading};
use malloscope_traces::{Call, Ending, Header, Nanos, Reader, Record, Thread, Writer};

/// Two readings in which everything is different from everything else.
fn readings() -> [Reading; 2] {
    let first = Reading {
        time: Nanos(1_000_000),
        resident: 5 << 20,
        most_resident: 6 << 20,
        minor_faults: 300,
        major_faults: 2,
        mappings: None,
    };
    let mappings = Mappings {
        proportional: 4 << 20,
        heap: Extent { mapped: 0x42000, resident: 0x21000 },
        arenas: Extent { mapped: 0x84000, resident: 0x1000 },
    };
    [first, Reading { time: Nanos(2_000_000_000), resident: 7 << 20, mappings: Some(mappings), ..first }]
}

/// A record, a reading, another record, another reading.
fn trace() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &Header::default()).unwrap();
    for (number, reading) in (0..).zip(readings()) {
        let call = Call::ThreadStart { id: 70 + number };
        let record =
            Record { time: Nanos(number.into()), thread: Thread(number), program_break: 0x22000, call };
        writer.record(&record).unwrap();
        writer.flush().unwrap();
        writer.reading(&reading).unwrap();
    }
    writer.finish(&Ending::default()).unwrap()
}

fn reader(bytes: &[u8]) -> Reader<Cursor<&[u8]>> {
    Reader::open(Cursor::new(bytes)).unwrap()
}

/// Where the frames of readings begin.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let begins = |bytes: &[u8]| bytes.starts_with(b"\x8aMSCOPE\n\x0a\0\0\0");
    (0..bytes.len()).filter(|at| begins(&bytes[*at..])).collect()
}

#[test]
fn what_was_written_is_read_and_the_records_are_what_they_were() {
    let bytes = trace();
    let mut reader = reader(&bytes);
    assert_eq!(reader.readings().unwrap(), readings());
    assert_eq!(reader.records().map(Result::unwrap).count(), 2);
    // Wherever it is being read.
    assert_eq!(reader.readings().unwrap(), readings());
}

#[test]
fn one_that_is_damaged_costs_itself_alone() {
    let mut bytes = trace();
    let at = frames(&bytes)[0] + 52;
    bytes[at] ^= 1;
    let mut reader = reader(&bytes);
    assert_eq!(reader.readings().unwrap(), readings()[1..]);
    assert_eq!(reader.records().filter_map(Result::ok).count(), 2);
}

#[test]
fn a_trace_that_was_cut_short_has_those_before_the_cut() {
    let bytes = trace();
    let cut = &bytes[..frames(&bytes)[1]];
    assert_eq!(reader(cut).readings().unwrap(), readings()[..1]);
}

/// A reader that does not know the part finds a number in its place that it does not know either.
#[test]
fn a_reader_that_knows_no_readings_steps_over_them() {
    let mut bytes = trace();
    for at in frames(&bytes) {
        bytes[at + 8] = 99;
        let checksum = crc32fast::hash(&bytes[at..at + 48]);
        bytes[at + 48..at + 52].copy_from_slice(&checksum.to_le_bytes());
    }
    let mut reader = reader(&bytes);
    assert_eq!(reader.records().map(Result::unwrap).count(), 2);
    assert_eq!(reader.readings().unwrap(), []);
}

/// `BLESS=1 cargo test -p malloscope-traces --test readings` rewrites what is expected.
#[test]
fn they_have_the_bytes_they_always_had() {
    let bytes = trace();
    let at = frames(&bytes);
    let found: String = at
        .iter()
        .map(|at| {
            let stored = u32::from_le_bytes(*bytes[at + 24..].first_chunk().unwrap());
            let body = &bytes[at + 52..at + 52 + usize::try_from(stored).unwrap()];
            body.iter().map(|byte| format!("{byte:02x} ")).collect::<String>().trim_end().to_owned() + "\n"
        })
        .collect();
    let expected = "tests/golden/readings.hex";
    if std::env::var_os("BLESS").is_some() {
        fs::write(expected, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(expected).unwrap());
}
