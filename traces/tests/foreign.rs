//! Files of other tools come to be the calls they are of.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use malloscope_traces::foreign::{Format, Oddities};
use malloscope_traces::{Cause, Ending, Reader, Writer, text};
use std::io::Cursor;

/// The records of a file, as lines, and what was odd about it.
fn imported(format: Format, file: &[u8]) -> (Vec<String>, Oddities) {
    let mut writer = Writer::new(Vec::new(), &format.header()).unwrap();
    let oddities = format.import(file, &mut writer).unwrap();
    let trace = writer.finish(&Ending { cause: Cause::Imported, ..Ending::default() }).unwrap();
    let mut reader = Reader::open(Cursor::new(&trace)).unwrap();
    assert_eq!(reader.header(), &format.header());
    let line = |(record, number)| text::Line { number, record: &record, placements: false }.to_string();
    (reader.records().map(Result::unwrap).zip(0..).map(line).collect(), oddities)
}

fn error(format: Format, file: &[u8]) -> String {
    let mut writer = Writer::new(Vec::new(), &format.header()).unwrap();
    format.import(file, &mut writer).unwrap_err().to_string()
}

#[test]
fn calls_of_androids_memory_replay() {
    let file = b"100: malloc 0xb48390a0 48 5000 5100\n\
        200: calloc 0xb48c1100 32 8 6000 6100\n\
        100: realloc 0x96b90920 0xb48390a0 150 6500 6600\n\
        200: memalign 0xae42d080 16 104 7000 7001\n\
        100: free 0x0 7100 7101\n\
        200: free 0x96b90920 7200 7201\n\
        200: thread_done 0x0 7300 0\n\
        200: realloc 0x0 0xb48c1100 0\n\
        100: free 0x1234 8000 8001\n";
    let (lines, oddities) = imported(Format::Aosp, file);
    assert_eq!(
        lines,
        [
            "0 0.000000000 t0 thread starts, id 100",
            "1 0.000000000 t0 malloc(48) = #0",
            "2 0.000001000 t1 thread starts, id 200",
            "3 0.000001000 t1 calloc(32, 8) = #1",
            "4 0.000001500 t0 realloc(#0, 150) = #0",
            "5 0.000002000 t1 memalign(16, 104) = #2",
            "6 0.000002100 t0 free(null)",
            "7 0.000002200 t1 free(#0)",
            "8 0.000002300 t1 thread exits",
            "9 0.000002300 t2 thread starts, id 200",
            "10 0.000002300 t2 realloc(#1, 0) = null",
            "11 0.000003000 t0 free(0x4000000000001234)",
        ]
    );
    assert_eq!(oddities, Oddities { unseen: 1, twice: 0 });
}

#[test]
fn calls_of_mtrace() {
    let file = b"= Start\n@ ./a:[0x401149] + 0x1b6d2a0 0x18\n@ ./a:[0x401152] < 0x1b6d2a0\n\
        @ ./a:[0x401152] > 0x1b6d2c0 0x190\n@ ./a:[0x40115b] ! 0x1b6d2c0 0x7fffffffffffffff\n\
        @ ./a:[0x401160] - 0x1b6d2c0\n= End\n";
    let (lines, oddities) = imported(Format::Mtrace, file);
    assert_eq!(
        lines,
        [
            "0 0.000000000 t0 malloc(24) = #0",
            "1 0.000000000 t0 realloc(#0, 400) = #0",
            "2 0.000000000 t0 realloc(#0, 9223372036854775807) = null",
            "3 0.000000000 t0 free(#0)",
        ]
    );
    assert_eq!(oddities, Oddities::default());
}

/// A record of glibc-malloc-trace-utils.
fn raw(thread: u32, kind: u32, numbers: [u64; 4]) -> Vec<u8> {
    let [handed, returned, size, second] = numbers;
    let words = [u64::from(thread) | u64::from(kind) << 32, handed, returned, size, second, 0, 0, 0];
    words.into_iter().flat_map(u64::to_le_bytes).collect()
}

#[test]
fn records_of_malloc_trace_utils() {
    let file = [
        raw(7, 255, [0x1234, 0, 8, 0]),
        // The bits above the type are malloc's way.
        raw(7, 0x101, [0, 0x1000, 24, 0]),
        raw(8, 8, [0, 0x2000, 100, 64]),
        raw(8, 4, [0x1000, 0x3000, 200, 24]),
        raw(7, 2, [0, 0x1000, 48, 0]),
        raw(7, 0, [0; 4]),
        raw(8, 3, [0x3000, 0, 0, 0]),
        raw(8, 6, [0, 0x4000, 1, 0]),
    ]
    .concat();
    let (lines, oddities) = imported(Format::MallocTrace, &file);
    assert_eq!(
        lines,
        [
            "0 0.000000000 t0 thread starts, id 7",
            "1 0.000000000 t0 malloc(24) = #0",
            "2 0.000000000 t1 thread starts, id 8",
            "3 0.000000000 t1 posix_memalign(64, 100) = #1",
            "4 0.000000000 t1 realloc(#0, 200) = #0",
            "5 0.000000000 t0 calloc(1, 48) = #2",
            "6 0.000000000 t1 free(#0)",
            "7 0.000000000 t1 valloc(1) = #0",
        ]
    );
    assert_eq!(oddities, Oddities::default());
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    assert_eq!(error(Format::Aosp, b"1: free 0x0\n1: fre 0x1\n"), "line 2, column 4: there is no call `fre`");
    assert_eq!(error(Format::Mtrace, b"= Start\n\xff\n"), "line 2, column 1: this is not text");
    assert_eq!(
        error(Format::MallocTrace, &raw(0, 9, [0; 4])),
        "record 0, at byte 0, is of no call that is known"
    );
    let cut = [raw(0, 1, [0, 0x10, 1, 0]), vec![1; 63]].concat();
    assert_eq!(error(Format::MallocTrace, &cut), "record 1, at byte 64, is cut off");
    let other = raw(0, 255, [0x1234_0000_0000_0000, 0, 8, 0]);
    let said = "record 0, at byte 0, is of a machine with another order of bytes, or of 32 bits";
    assert_eq!(error(Format::MallocTrace, &other), said);
    let endless = vec![b'x'; 1 << 20];
    assert_eq!(error(Format::Aosp, &endless), "line 1, column 1: something is missing here");
}
