//! What is done with bytes that may be a trace, by libFuzzer and by `tests/fuzz.rs`.

use std::io::Cursor;

use malloscope_traces::foreign::Format;
use malloscope_traces::*;

/// What a trace and a frame begin with, and the version.
const MAGIC: &[u8] = b"\x8aMTRACE\n\x01\0\0\0";
const MARK: &[u8] = b"\x8aMSCOPE\n";

/// How long a frame is, and where in it the length of its body and the two checksums are.
const FRAME: usize = 52;
const STORED: usize = 24;
const BODY_CHECKSUM: usize = 44;
const FRAME_CHECKSUM: usize = 48;

/// Nothing may panic, and what was read once must be written and read again as the same.
pub fn run(bytes: &[u8]) {
    read(bytes);
    // As it is, hardly anything gets past the checksums.
    read(&with_checksums(bytes));
    if let Some(trace) = import(bytes) {
        export(&trace);
    }
    for format in [Format::Aosp, Format::Mtrace, Format::MallocTrace] {
        let mut writer = Writer::new(Vec::new(), &format.header()).expect("memory takes everything");
        let _ = format.import(bytes, &mut writer);
    }
}

fn read(trace: &[u8]) {
    let Ok(mut reader) = Reader::open(Cursor::new(trace)) else {
        return;
    };
    let records = all_records(&mut reader);
    again(reader.header(), &records);
    let _ = reader.readings();
    let batches = reader.index().map_or(0, |index| index.batches.len());
    for batch in (0..batches).rev().take(4) {
        let _ = reader.seek_batch(batch as u32);
        all_records(&mut reader);
    }
    if let Ok(Some(symbols)) = reader.symbols() {
        embed_again(trace, &symbols);
    }
    export(trace);
}

/// Puts symbols that were read into the trace once more.
fn embed_again(trace: &[u8], symbols: &Symbols) {
    let again = embed(Cursor::new(trace), symbols, Vec::new()).expect("they were read from it");
    let mut reader = Reader::open(Cursor::new(again)).expect("it could be opened before");
    assert_eq!(reader.symbols().expect("memory can be read").as_ref(), Some(symbols));
}

/// Reads to the end, and makes sure that there is one and that slots stay as few as they can be.
fn all_records(reader: &mut Reader<Cursor<&[u8]>>) -> Vec<Record> {
    let (mut all, mut batch, mut whole) = (Vec::new(), Vec::new(), true);
    loop {
        match reader.next_batch(&mut batch) {
            Ok(None) => return all,
            Ok(Some(first)) => {
                whole &= first == all.len() as u64;
                all.extend_from_slice(&batch);
            }
            Err(Error::Damaged { damage, .. }) => {
                whole = false;
                assert!(!damage.to_string().is_empty());
            }
            Err(_) => return all,
        }
        let slots = batch.iter().filter_map(|record| record.call.placed()).map(|placed| placed.pointer.slot);
        assert!(!whole || slots.filter(|slot| *slot != Slot::NONE).all(|slot| (slot.0 as usize) < all.len()));
    }
}

/// Writes records that were read, and reads them once more.
fn again(header: &Header, records: &[Record]) {
    let mut writer = Writer::new(Vec::new(), header).expect("it came from a trace");
    for record in records {
        writer.record(record).expect("memory takes everything");
    }
    let trace = writer.finish(&Ending::default()).expect("memory takes everything");
    let mut reader = Reader::open(Cursor::new(trace)).expect("it was just written");
    let read = reader.records().map(|record| record.expect("it was just written"));
    for (again, before) in read.zip(records) {
        assert_eq!(std::mem::discriminant(&again.call), std::mem::discriminant(&before.call));
        assert_eq!((again.time, again.thread), (before.time, before.thread));
    }
}

fn import(script: &[u8]) -> Option<Vec<u8>> {
    let mut writer = Writer::new(Vec::new(), &ops::header()).expect("memory takes everything");
    ops::import(script, &mut writer).ok()?;
    Some(writer.finish(&Ending::default()).expect("memory takes everything"))
}

fn export(trace: &[u8]) {
    let mut reader = Reader::open(Cursor::new(trace)).expect("it could be opened before");
    let mut script = Vec::new();
    if ops::export(&mut reader, &mut script).is_ok() {
        import(&script).expect("what is exported can be imported");
    }
}

/// The trace with every length and checksum put right, and a beginning if it has none.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut trace = bytes.to_vec();
    let begin = MAGIC.len().min(trace.len());
    trace[..begin].copy_from_slice(&MAGIC[..begin]);
    let marks = (0..trace.len()).filter(|at| trace[*at..].starts_with(MARK)).collect::<Vec<_>>();
    let ends = marks.iter().copied().skip(1).chain([trace.len()]).collect::<Vec<_>>();
    for (begin, end) in marks.into_iter().zip(ends) {
        if let Some(body) = end.checked_sub(begin + FRAME) {
            put(&mut trace, begin + STORED, body as u32);
            let checksum = crc32fast::hash(&trace[begin + FRAME..end]);
            put(&mut trace, begin + BODY_CHECKSUM, checksum);
            let checksum = crc32fast::hash(&trace[begin..begin + FRAME_CHECKSUM]);
            put(&mut trace, begin + FRAME_CHECKSUM, checksum);
        }
    }
    trace
}

fn put(trace: &mut [u8], at: usize, word: u32) {
    trace[at..at + 4].copy_from_slice(&word.to_le_bytes());
}
