//! The bytes of version 1 stay what they are: a small trace byte by byte, and every trace in
//! `samples/`, kept for ever: its first records as text, the others by a checksum of their text.
//!
//! `BLESS=1 cargo test -p malloscope-traces --test golden` rewrites what is expected.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use malloscope_traces::header::{Clock, ClockSource, Heap, Host, Libc, Origin, Program};
use malloscope_traces::*;

/// Records whose text is kept; of the others, so many at a time have one more checksum.
const SHOWN: u64 = 500;

fn check(expected: &Path, found: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(expected, found).unwrap();
    }
    let expected = fs::read_to_string(expected).unwrap();
    assert!(found == expected, "see the difference with BLESS=1 and git diff");
}

#[test]
fn a_small_trace_has_the_bytes_it_always_had() {
    check(Path::new("tests/golden/small.hex"), &hex(&small()));
}

#[test]
fn every_trace_ever_kept_can_be_read() {
    let mut samples = 0;
    for entry in fs::read_dir("samples").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "mscope") {
            check(&path.with_extension("txt"), &text(&path));
            samples += 1;
        }
    }
    assert!(samples > 0);
}

/// Sixteen bytes a line, and what they are as text.
fn hex(bytes: &[u8]) -> String {
    let mut lines = String::new();
    for (number, line) in bytes.chunks(16).enumerate() {
        let hex = line.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
        let text = line.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' });
        writeln!(lines, "{:04x}  {hex:48} {}", number * 16, text.collect::<String>()).unwrap();
    }
    lines
}

fn text(path: &Path) -> String {
    let mut reader = Reader::open_file(path).unwrap();
    let mut text = format!("{:#?}\n{:#?}\n{:#?}\n", reader.header(), reader.ending(), reader.totals());
    let placements = reader.header().heap.placements;
    let mut sum = crc32fast::Hasher::new();
    for (number, record) in (0..).zip(reader.records()) {
        let line = text::Line { number, record: &record.unwrap(), placements }.to_string();
        if number < SHOWN {
            writeln!(text, "{line}").unwrap();
        }
        sum.update(line.as_bytes());
        if number % SHOWN == SHOWN - 1 {
            writeln!(text, "crc32 of the text of records 0 to {number}: {:08x}", sum.clone().finalize())
                .unwrap();
        }
    }
    writeln!(text, "crc32 of the text of all: {:08x}", sum.finalize()).unwrap();
    text
}

/// A trace with a record of every kind, in two batches so short that nothing is compressed.
fn small() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    let mut time = 1_000_000;
    let mut record = |writer: &mut Writer<Vec<u8>>, thread, program_break, call| {
        time += 100;
        writer.record(&Record { time: Nanos(time), thread: Thread(thread), program_break, call }).unwrap();
    };
    let at = |address, head| Placed { pointer: Pointer::seen(address), head };
    let seen = Pointer::seen;
    for (thread, program_break, call) in [
        (0, 0x4000, Call::ThreadStart { id: 1234 }),
        (0, 0x25000, Call::Malloc { request: 24, to: at(0x42a0, 0x21) }),
        (0, 0x25000, Call::Malloc { request: 24, to: at(0x42c0, 0x21) }),
        (0, 0x25000, Call::Free { pointer: seen(0x42a0) }),
        (0, 0x25000, Call::Calloc { count: 3, size: 8, to: at(0x42a0, 0x21) }),
        (7, 0x25000, Call::ThreadStart { id: 1235 }),
        (7, 0x25000, Call::Memalign { alignment: 256, request: 100, to: at(0x7000_0c00, 0x75) }),
        (7, 0x25000, Call::AlignedAlloc { alignment: 64, request: 128, to: at(0x7000_0c80, 0x95) }),
        (
            7,
            0x25000,
            Call::PosixMemalign { alignment: 16, request: 1 << 20, to: at(0x7010_0010, 0x0010_1002) },
        ),
        (0, 0x25000, Call::Malloc { request: u64::MAX, to: Placed { pointer: Pointer::NULL, head: 0 } }),
    ] {
        record(&mut writer, thread, program_break, call);
    }
    writer.flush().unwrap();
    for (thread, program_break, call) in [
        (7, 0x25000, Call::Free { pointer: seen(0x42c0) }),
        (0, 0x25000, Call::Realloc { old: seen(0x42a0), request: 400, to: at(0x42e0, 0x1a1) }),
        (0, 0x25000, Call::Reallocarray { old: seen(0x42e0), count: 2, size: 150, to: at(0x42e0, 0x141) }),
        (
            0,
            0x25000,
            Call::Realloc { old: seen(0x42e0), request: 0, to: Placed { pointer: Pointer::NULL, head: 0 } },
        ),
        (0, 0x25000, Call::Valloc { request: 10, to: at(0x5000, 0x21) }),
        (0, 0x25000, Call::Pvalloc { request: 5000, to: at(0x6000, 0x2011) }),
        (0, 0x25000, Call::UsableSize { pointer: seen(0x6000) }),
        (0, 0x25000, Call::Free { pointer: seen(0xdead_0000) }),
        (0, 0x25000, Call::Free { pointer: Pointer::NULL }),
        (0, 0x8000, Call::Trim { pad: 0, returned: 1 }),
        (0, 0x8000, Call::Mallopt { parameter: -8, value: 1, returned: 1 }),
        (0, 0x7000, Call::MoveBreak { by: -4096 }),
        (0, 0x7000, Call::Spawn { thread: Thread(8) }),
        (0, 0x7000, Call::Join { thread: Thread(8) }),
        (0, 0x7000, Call::Fork { child: 1300 }),
        (7, 0x7000, Call::ThreadExit),
    ] {
        record(&mut writer, thread, program_break, call);
    }
    writer.finish(&ending()).unwrap()
}

#[test]
fn a_recording_that_began_in_the_middle_says_so_in_its_header() {
    let header = Header { origin: Origin::Attached { age: 7, stopped: 9 }, ..header() };
    let bytes = Writer::new(Vec::new(), &header).unwrap().finish(&ending()).unwrap();
    let beginning = b"golden 1\x03\x07\x09";
    assert!(bytes.windows(beginning.len()).any(|window| window == beginning));
    let reader = Reader::open(std::io::Cursor::new(bytes)).unwrap();
    assert_eq!(reader.header(), &header);
}

fn header() -> Header {
    Header {
        recorder: "golden 1".to_owned(),
        origin: Origin::Forked { parent: 3, trace: "3".to_owned(), after: 300 },
        program: Program {
            path: "/bin/p".to_owned(),
            arguments: vec!["p".to_owned(), "-x".to_owned()],
            pid: 4,
            parent: 2,
            environment: vec![("MALLOC_ARENA_MAX".to_owned(), "1".to_owned())],
        },
        host: Host {
            name: "h".to_owned(),
            kernel: "6.1".to_owned(),
            architecture: "x86_64".to_owned(),
            page_size: 4096,
            processors_online: 2,
            processors_allowed: 1,
            huge_pages: "madvise".to_owned(),
            overcommit: 2,
        },
        libc: Libc {
            version: "2.36".to_owned(),
            path: "/l".to_owned(),
            build_id: vec![0xab, 0xcd],
            probe: Vec::new(),
        },
        heap: Heap { initial_break: 0x4000, placements: true },
        clock: Clock { source: ClockSource::Tsc, began: 1_700_000_000_000_000_000, resolution: 64 },
    }
}

fn ending() -> Ending {
    Ending {
        cause: Cause::Killed { signal: 9 },
        duration: Nanos(5_000_000),
        lost: 5,
        lost_by_thread: vec![(Thread(7), 5)],
        observed: Observed { calls: 31, bytes: 992 },
    }
}
