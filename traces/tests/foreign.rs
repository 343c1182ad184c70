//! Files of other tools come to be the calls they are of.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use malloscope_traces::foreign::{Format, Oddities};
use malloscope_traces::{Cause, Ending, Reader, Writer, text};
use proptest::prelude::*;
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

/// What `foreign_files/calls.c` asks for: the calls of its two threads, and what they were told.
fn calls_of_the_program() -> Vec<(u8, String)> {
    let first = (0..50).map(|i| format!("malloc({})", 16 + i * 40));
    let given_back = (0..25).map(|_| "free".to_owned());
    let aligned =
        ["memalign(64, 1000)", "free", "posix_memalign(256, 300)", "free", "aligned_alloc(32, 320)", "free"];
    let cleared = ["calloc(3, 100)", "realloc(100000)", "free"].into_iter().chain(aligned).map(str::to_owned);
    let remade = (1..50).step_by(4).map(|i| format!("realloc({})", 2000 + i));
    let other = ["malloc(77)", "realloc(5000)", "free", "malloc(33)"];
    let own = |call| (0, call);
    first
        .chain(given_back)
        .chain(cleared)
        .map(own)
        .chain(other.map(|call| (1, call.to_owned())))
        .chain(["free".to_owned()].into_iter().chain(remade).map(own))
        .collect()
}

/// A call without its pointers, and the thread that made it; none if the line is of something else.
fn without_pointers(line: &str) -> Option<(u8, String)> {
    let (thread, call) = line.split_once(" t")?.1.split_once(' ')?;
    let (name, arguments) = call.split(" = ").next()?.split_once('(')?;
    let arguments: Vec<&str> =
        arguments.trim_end_matches(')').split(", ").filter(|word| !word.starts_with(['#', '0'])).collect();
    let call = if name == "free" { name.to_owned() } else { format!("{name}({})", arguments.join(", ")) };
    Some((thread.parse().unwrap(), call))
}

#[test]
fn what_ltrace_writes_is_every_call_of_the_program() {
    let (lines, oddities) = imported(Format::Ltrace, include_bytes!("foreign_files/calls.ltrace"));
    let calls: Vec<(u8, String)> = lines.iter().filter_map(|line| without_pointers(line)).collect();
    assert_eq!(calls, calls_of_the_program());
    assert!(lines.iter().any(|line| line.ends_with("t1 thread exits")), "{lines:?}");
    // The one of posix_memalign, whose pointer is not written down.
    assert_eq!(oddities, Oddities { unseen: 1, twice: 0 });
}

/// The same as heaptrack has it: of one thread, all requests malloc's, realloc in two.
fn calls_as_heaptrack_has_them() -> Vec<(u8, String)> {
    let simple = |(_, call): (u8, String)| {
        let (name, arguments) = call.split_once('(').unwrap_or((&call, ""));
        let size = match arguments.trim_end_matches(')').rsplit_once(", ") {
            Some((count, size)) if name == "calloc" => {
                (count.parse::<u64>().unwrap() * size.parse::<u64>().unwrap()).to_string()
            }
            Some((_, size)) => size.to_owned(),
            None => arguments.trim_end_matches(')').to_owned(),
        };
        let made = format!("malloc({size})");
        match name {
            "free" => vec![(0, call)],
            "realloc" => vec![(0, "free".to_owned()), (0, made)],
            _ => vec![(0, made)],
        }
    };
    calls_of_the_program().into_iter().flat_map(simple).collect()
}

#[test]
fn what_heaptrack_writes_is_every_call_of_the_program() {
    let raw: &[u8] = include_bytes!("foreign_files/calls.raw.zst");
    let interpreted: &[u8] = include_bytes!("foreign_files/calls.zst");
    let plain = zstd::decode_all(raw).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, &plain).unwrap();
    for (file, is_raw) in [(raw, true), (&plain, true), (&gzip.finish().unwrap(), true), (interpreted, false)]
    {
        let (lines, oddities) = imported(Format::Heaptrack, file);
        let calls: Vec<(u8, String)> = lines.iter().filter_map(|line| without_pointers(line)).collect();
        let mut expected = calls_as_heaptrack_has_them();
        // It does not see memalign, and throws away ends that have no beginning when it interprets what it saw.
        let aligned = expected.iter().position(|(_, call)| call == "malloc(1000)").unwrap();
        expected.drain(aligned..aligned + 1 + usize::from(!is_raw));
        let mut rest = expected.iter().peekable();
        let others: Vec<_> = calls.iter().filter(|call| rest.next_if_eq(call).is_none()).collect();
        assert_eq!(rest.next(), None, "{calls:#?}");
        // What the C++ library asks for that heaptrack brings, and what pthread_create does.
        let others: Vec<&str> = others.iter().map(|(_, call)| call.as_str()).collect();
        assert_eq!(others, ["malloc(72704)", "malloc(320)", "free"]);
        assert_eq!(oddities, Oddities { unseen: is_raw.into(), twice: 0 });
    }
}

#[test]
fn heaptrack_says_what_is_wrong() {
    assert_eq!(error(Format::Heaptrack, b"+ 10 1 20\n"), "line 1, column 1: something is missing here");
    assert_eq!(error(Format::Heaptrack, b"v 1 3\na 10 1\n+ 1\n"), "line 3, column 3: 1 is too large");
    let file: &[u8] = include_bytes!("foreign_files/calls.zst");
    assert!(error(Format::Heaptrack, &file[..file.len() / 2]).starts_with("it cannot be read"));
}

const FORMATS: [Format; 5] =
    [Format::Aosp, Format::Mtrace, Format::MallocTrace, Format::Heaptrack, Format::Ltrace];

/// A line of pieces that the formats know, in any order.
fn line() -> impl Strategy<Value = String> {
    let pieces = [
        "1:",
        "malloc",
        "malloc(",
        "realloc(",
        "free(",
        "0x10",
        "10",
        "nil",
        ", ",
        ")",
        " = ",
        "-",
        "+",
        "@",
        "<",
        ">",
        "v",
        "a",
        "c",
        "<unfinished ...>",
        "<... malloc resumed>",
        "+++ exited",
        "[pid 7]",
        "1.5",
        "ffffffffffffffff",
        "->",
        "ä",
        " ",
        "thread_done",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..12).prop_map(|line| line.concat())
}

proptest! {
    #[test]
    fn no_file_is_too_strange(
        lines in proptest::collection::vec(line(), 0..40),
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        place in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let text = lines.join("\n").into_bytes();
        let headed = [b"v 1 3\n", &text[..]].concat();
        let mut packed = include_bytes!("foreign_files/calls.zst").to_vec();
        *place.get_mut(&mut packed) = byte;
        let mut ltrace = include_bytes!("foreign_files/calls.ltrace").to_vec();
        *place.get_mut(&mut ltrace) = byte;
        for format in FORMATS {
            for file in [&text, &headed, &bytes, &packed, &ltrace] {
                let mut writer = Writer::new(Vec::new(), &format.header()).unwrap();
                // Whether it is an error depends; that it comes back does not.
                let _ = format.import(&file[..], &mut writer);
            }
        }
    }
}
