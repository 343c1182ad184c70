//! Files of other tools come to be the calls they are of.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use malloscope_traces::foreign::{Format, Oddities};
use malloscope_traces::stacks::Frame;
use malloscope_traces::symbols::Function;
use malloscope_traces::{Cause, Ending, Reader, Writer, text};
use proptest::prelude::*;
use std::io::{Cursor, Read};

/// The trace of a file, and what was odd about it.
fn trace(format: Format, file: &[u8]) -> (Reader<Cursor<Vec<u8>>>, Oddities) {
    let mut writer = Writer::new(Vec::new(), &format.header()).unwrap();
    let oddities = format.import(file, &mut writer).unwrap();
    let trace = writer.finish(&Ending { cause: Cause::Imported, ..Ending::default() }).unwrap();
    let reader = Reader::open(Cursor::new(trace)).unwrap();
    assert_eq!(reader.header(), &format.header());
    (reader, oddities)
}

/// The records of a file, as lines, and what was odd about it.
fn imported(format: Format, file: &[u8]) -> (Vec<String>, Oddities) {
    let (mut reader, oddities) = trace(format, file);
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
    assert_eq!(oddities, Oddities { unseen: 1, twice: 0, is_cut: false });
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
    assert_eq!(oddities, Oddities { unseen: 1, twice: 0, is_cut: false });
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
        assert_eq!(oddities, Oddities { unseen: is_raw.into(), twice: 0, is_cut: false });
    }
}

#[test]
fn heaptrack_says_what_is_wrong() {
    assert_eq!(error(Format::Heaptrack, b"+ 10 1 20\n"), "line 1, column 1: something is missing here");
    assert_eq!(error(Format::Heaptrack, b"v 1 3\na 10 1\n+ 1\n"), "line 3, column 3: 1 is too large");
    let file: &[u8] = include_bytes!("foreign_files/calls.zst");
    assert!(error(Format::Heaptrack, &file[..file.len() / 2]).starts_with("it cannot be read"));
}

/// What memray writes of the program twice, one behind the other: alignments are left out, and each time the other thread
/// is a new one.
fn calls_as_memray_has_them() -> Vec<(u8, String)> {
    let has_it = |call: &str| match call.split_once('(') {
        Some(("memalign" | "posix_memalign" | "aligned_alloc", asked)) => {
            format!("malloc({}", asked.split_once(", ").unwrap().1)
        }
        _ => call.replace("calloc(3, 100)", "calloc(1, 300)"),
    };
    let once = |round: u8| {
        calls_of_the_program().into_iter().map(move |(thread, call)| (thread * (round + 1), has_it(&call)))
    };
    once(0).chain(once(1)).collect()
}

/// What Python 3.11 asks malloc for in `foreign_files/calls.py`: objects have headers, and a `bytearray` one byte more.
const OWN_CALLS_OF_PYTHON: [&str; 10] = [
    "calloc(1, 633)", // 600 bytes
    "calloc(1, 733)", // 700 bytes, to be appended to 10 that lie elsewhere
    "malloc(711)",
    "free",
    "calloc(1, 933)", // 900 bytes, to be appended to those
    "realloc(1611)",
    "free",
    "realloc(21)", // What remains stays where it is, although it is small now.
    "free",
    "free",
];

#[test]
fn what_memray_writes_is_every_call_of_the_program_and_of_python() {
    let packed: &[u8] = include_bytes!("foreign_files/calls.memray");
    let mut plain = Vec::new();
    lz4_flex::frame::FrameDecoder::new(packed).read_to_end(&mut plain).unwrap();
    for (file, is_native) in [
        (packed, false),
        (&plain, false),
        (include_bytes!("foreign_files/old.memray"), false),
        (include_bytes!("foreign_files/pymalloc.memray"), false),
        (include_bytes!("foreign_files/native.memray"), true),
    ] {
        let (lines, oddities) = imported(Format::Memray, file);
        let calls: Vec<(u8, String)> = lines.iter().filter_map(|line| without_pointers(line)).collect();
        let mut expected = calls_as_memray_has_them();
        expected.extend(OWN_CALLS_OF_PYTHON.map(|call| (0, call.to_owned())));
        let mut rest = expected.iter().peekable();
        let others: Vec<_> = calls.iter().filter(|call| rest.next_if_eq(call).is_none()).collect();
        assert_eq!(rest.next(), None, "{calls:#?}");
        // Where memray looks for frames of machine code, a thread that ends gives back what that took.
        let from_before = others.iter().filter(|(_, call)| call == "free").count();
        assert_eq!((others.len(), !others.is_empty()), (from_before, is_native), "{others:?}");
        assert_eq!(oddities, Oddities { unseen: from_before as u64, twice: 0, is_cut: false });
    }
}

#[test]
fn where_python_asks_malloc_for_everything_all_of_it_is_there() {
    let (lines, _) = imported(Format::Memray, include_bytes!("foreign_files/malloc.memray"));
    let calls: Vec<String> = lines.iter().filter_map(|line| Some(without_pointers(line)?.1)).collect();
    // The bytes, and the array: `foreign_files/calls.py`.
    let begin = calls.iter().position(|call| call == "calloc(1, 633)").unwrap();
    assert_eq!(calls[begin + 1..begin + 4], ["calloc(1, 63)", "malloc(56)", "realloc(null, 11)"]);
    assert!(calls[begin..].contains(&"realloc(21)".to_owned()));
    let (threads, _) = lines.iter().partition::<Vec<_>, _>(|line| line.contains("thread starts"));
    assert_eq!(threads.len(), 3);
}

/// The stacks of a trace, and for each call that has one its lines, as the trace calls them: the innermost first.
fn stacks(format: Format, file: &[u8]) -> Vec<(String, Vec<String>)> {
    let (mut reader, _) = trace(format, file);
    let (stacks, symbols) = (reader.stacks().unwrap(), reader.symbols().unwrap().unwrap_or_default());
    let line = |frame: Frame| {
        let module = stacks.module(frame).map_or("?", |module| &module.path);
        let function = frame.module.and_then(|id| symbols.of(id, frame.address).next());
        match function {
            Some(Function { name, file: Some(file), line: Some(line) }) => format!("{name} {file}:{line}"),
            Some(Function { name, .. }) => format!("{name} {module}"),
            None => format!("{module}+{:#x}", frame.address),
        }
    };
    let (mut all, mut batch) = (Vec::new(), Vec::new());
    while reader.next_batch(&mut batch).unwrap().is_some() {
        for (record, stack) in batch.iter().zip(reader.batch_stacks()) {
            let text = text::Line { number: 0, record, placements: false }.to_string();
            let Some((_, call)) = without_pointers(&text) else { continue };
            all.push((call, stacks.of(*stack).map(|(_, frame)| line(frame)).collect()));
        }
    }
    all
}

#[test]
fn memrays_stacks_are_pythons_lines() {
    let from = |line: u32| format!("<module> calls.py:{line}");
    let inner = "inner calls.py:16";
    for file in [
        &include_bytes!("foreign_files/calls.memray")[..],
        include_bytes!("foreign_files/old.memray"),
        include_bytes!("foreign_files/native.memray"),
    ] {
        let stacks = stacks(Format::Memray, file);
        let of = |call: &str| -> Vec<&Vec<String>> {
            stacks.iter().filter(|(other, _)| other == call).map(|(_, lines)| lines).collect()
        };
        let outer = |line: u32| vec![inner.to_owned(), format!("outer calls.py:{line}"), from(33)];
        assert_eq!(of("malloc(1976)"), [&outer(20), &outer(21)]);
        assert_eq!(of("realloc(100000)"), [&outer(20), &outer(21)]);
        let own = |line: u32| vec![format!("own calls.py:{line}"), from(34)];
        assert_eq!(of("calloc(1, 633)"), [&own(25)]);
        assert_eq!(of("realloc(1611)"), [&own(27)]);
        // A thread that Python does not know, and ends.
        assert_eq!(of("malloc(77)"), [&Vec::<String>::new(), &Vec::new()]);
        assert!(of("free").iter().all(|lines| lines.is_empty()));
    }
}

/// The stacks of the calls of this kind in what heaptrack wrote.
fn of_heaptrack(file: &[u8], call: &str) -> Vec<Vec<String>> {
    let of_call = |(other, lines): (String, Vec<String>)| (other == call).then_some(lines);
    stacks(Format::Heaptrack, file).into_iter().filter_map(of_call).collect()
}

#[test]
fn heaptracks_stacks_are_addresses_in_files_and_what_it_called_them() {
    let raw: &[u8] = include_bytes!("foreign_files/calls.raw.zst");
    let interpreted: &[u8] = include_bytes!("foreign_files/calls.zst");
    // The first of `main`, which was at 0x55e05262e000 with its program and is called at 0x122d there: `i 55f5a0e4222d 1 14`
    // has the same end, and `objdump -d` would have it there.
    assert_eq!(
        of_heaptrack(raw, "malloc(16)"),
        [[
            "/tmp/calls.d/calls+0x122d",
            "/lib/x86_64-linux-gnu/libc.so.6+0x27249",
            "/lib/x86_64-linux-gnu/libc.so.6+0x27304",
            "/tmp/calls.d/calls+0x10f0",
        ]]
    );
    assert_eq!(
        of_heaptrack(interpreted, "malloc(16)"),
        [[
            "main /tmp/calls.d/calls",
            "__libc_start_call_main ../sysdeps/nptl/libc_start_call_main.h:58",
            "__libc_start_main_impl ../csu/libc-start.c:360",
            "_start /tmp/calls.d/calls",
        ]]
    );
    // Every call that asks for memory has one in both, the other thread's too, and of the same depth.
    for call in ["malloc(77)", "malloc(5000)", "malloc(100000)", "malloc(72704)"] {
        let depths =
            [raw, interpreted].map(|file| of_heaptrack(file, call).iter().map(Vec::len).collect::<Vec<_>>());
        assert!(depths[0] == depths[1] && depths[0].iter().all(|depth| *depth > 1), "{call}: {depths:?}");
    }
    assert!(of_heaptrack(raw, "free").iter().all(|lines| lines.is_empty()));
}

#[test]
fn modules_of_heaptrack_come_and_go_and_older_files_have_texts_without_a_length() {
    let of = |file: &str| stacks(Format::Heaptrack, file.as_bytes());
    let raw = "v 10200 2\nx /bin/p\nm -\nm x 1000 0 100\nm a.so 5000 0 100 800 100\n\
        t 1011 0\n+ 10 1 a0\nt 5881 1\nt 5701 2\n+ 20 3 b0\nm -\nm x 1000 0 100\nm b.so 5000 0 1000\nt 5901 1\n+ 30 4 c0\n\
        t 1100 99\nt 1101 0\n+ 40 5 d0\n+ 50 6 e0\n+ 60 77 f0\n";
    let lines = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        of(raw),
        [
            ("malloc(16)".to_owned(), lines(&["/bin/p+0x11"])),
            // Between the segments is nobody's.
            ("malloc(32)".to_owned(), lines(&["?+0x5701", "a.so+0x881", "/bin/p+0x11"])),
            ("malloc(48)".to_owned(), lines(&["b.so+0x901", "/bin/p+0x11"])),
            // A call may be the last instruction of all, and return behind it.
            ("malloc(64)".to_owned(), lines(&["/bin/p+0x100"])),
            ("malloc(80)".to_owned(), lines(&["?+0x1101"])),
            ("malloc(96)".to_owned(), lines(&[])),
        ]
    );
    let interpreted = "v 10200 2\ns a.so\ns f(int, char)\ns f.c\ni 5901 1 2 3 7 2 3 9\ni 5905 9\nt 1 0\nt 2 1\na 10 2\n+ 0\n";
    let (mut reader, _) = trace(Format::Heaptrack, interpreted.as_bytes());
    let (stacks, symbols) = (reader.stacks().unwrap(), reader.symbols().unwrap().unwrap());
    let functions: Vec<_> = symbols.of(stacks.frames[1].unwrap().module.unwrap(), 0x5901).collect();
    let function = |line| Function { name: "f(int, char)", file: Some("f.c"), line: Some(line) };
    assert_eq!(functions, [function(7), function(9)]);
    assert_eq!(of(interpreted), [("malloc(16)".to_owned(), lines(&["?+0x5905", "f(int, char) f.c:7"]))]);
}

#[test]
fn memray_says_what_is_wrong_and_a_recording_that_broke_off_is_read_as_far_as_it_goes() {
    let mut plain = Vec::new();
    let packed: &[u8] = include_bytes!("foreign_files/calls.memray");
    lz4_flex::frame::FrameDecoder::new(packed).read_to_end(&mut plain).unwrap();
    let changed = |at: usize, byte: u8| {
        let mut file = plain.clone();
        file[at] = byte;
        error(Format::Memray, &file)
    };
    assert_eq!(changed(0, b'M'), "record 0, at byte 0, does not begin as memray's files do");
    assert!(
        changed(7, 11)
            .ends_with("is of a version that is not known: memray 1.19 and 1.20 write those that are")
    );
    assert!(changed(16, 1).contains("--aggregate"));
    assert_eq!(error(Format::Memray, &plain[..100]), "record 0, at byte 0, is cut off");
    assert_eq!(error(Format::Memray, &packed[..packed.len() / 2]), "record 0, at byte 0, is cut off");
    let (whole, _) = imported(Format::Memray, &plain);
    let end = plain.iter().rposition(|byte| *byte != 0).unwrap();
    for cut in (600..end).step_by(7) {
        for zeros in [0, 5000] {
            let broken = [&plain[..cut], &vec![0; zeros]].concat();
            let (lines, oddities) = imported(Format::Memray, &broken);
            assert!(oddities.is_cut);
            // One call and one end may wait for what would have come.
            let as_it_was = lines.iter().zip(&whole).take_while(|(line, other)| line == other).count();
            assert!(as_it_was + 1 >= lines.len(), "{cut}: {:?}, {:?}", lines.last(), whole.get(as_it_was));
        }
    }
}

const FORMATS: [Format; 6] =
    [Format::Aosp, Format::Mtrace, Format::MallocTrace, Format::Heaptrack, Format::Memray, Format::Ltrace];

/// A line of pieces that the formats know, in any order.
fn line() -> impl Strategy<Value = String> {
    let pieces = [
        "1:",
        "\nt 1 0",
        "\ni 10 1 1 1 1",
        "\nm 1 - ",
        "\nm 1 x 10 0 10",
        "\ns 3 abc",
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
        let mut memray = Vec::new();
        let native: &[u8] = include_bytes!("foreign_files/native.memray");
        lz4_flex::frame::FrameDecoder::new(native).read_to_end(&mut memray).unwrap();
        *place.get_mut(&mut memray) = byte;
        let strange = [&memray[..native.len() / 4], &bytes].concat();
        let mut lz4 = native.to_vec();
        *place.get_mut(&mut lz4) = byte;
        let mut ltrace = include_bytes!("foreign_files/calls.ltrace").to_vec();
        *place.get_mut(&mut ltrace) = byte;
        for format in FORMATS {
            for file in [&text, &headed, &bytes, &packed, &memray, &strange, &lz4, &ltrace] {
                let mut writer = Writer::new(Vec::new(), &format.header()).unwrap();
                // Whether it is an error depends; that it comes back does not.
                let _ = format.import(&file[..], &mut writer);
            }
        }
    }
}
