//! Scripts come back as scripts that drive malloc in the same way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs;
use std::io::Cursor;

use malloscope_traces::*;

fn import(script: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &ops::header()).unwrap();
    ops::import(script, &mut writer).unwrap();
    writer.finish(&Ending { cause: Cause::Imported, ..Ending::default() }).unwrap()
}

fn export(trace: &[u8]) -> (String, u64) {
    let mut script = Vec::new();
    let unsaid = ops::export(&mut Reader::open(Cursor::new(trace)).unwrap(), &mut script).unwrap();
    (String::from_utf8(script).unwrap(), unsaid)
}

/// What malloc is asked to do by a script: every line with allocations instead of slots.
fn asked(script: &str) -> Vec<String> {
    let (mut slots, mut allocations) = (HashMap::new(), 0);
    let mut fill = |slots: &mut HashMap<String, usize>, slot: &str| {
        allocations += 1;
        slots.insert(slot.to_owned(), allocations);
    };
    let mut asked = Vec::new();
    for line in script.lines() {
        let words = line.split('#').next().unwrap().split_whitespace().collect::<Vec<_>>();
        let [thread, call, slot, rest @ ..] = words.as_slice() else {
            continue;
        };
        let held = slots.get(*slot).copied();
        let numbers = rest.iter().map(|number| number_of(number)).collect::<Vec<_>>();
        asked.push(match *call {
            "free" => {
                slots.remove(*slot);
                format!("{thread} free {held:?}")
            }
            "usable" => format!("{thread} usable {held:?}"),
            "trim" | "sbrk" | "spawn" | "join" => format!("{thread} {call} {}", number_of(slot)),
            "mallopt" => format!("{thread} mallopt {slot} {numbers:?}"),
            "realloc" => {
                match held {
                    Some(_) if numbers == [0] => drop(slots.remove(*slot)),
                    Some(_) => {}
                    None => fill(&mut slots, slot),
                }
                format!("{thread} realloc {held:?} {numbers:?}")
            }
            "calloc" => {
                fill(&mut slots, slot);
                format!("{thread} calloc {}", numbers[0])
            }
            _ => {
                fill(&mut slots, slot);
                format!("{thread} {call} {numbers:?}")
            }
        });
    }
    asked
}

fn number_of(text: &str) -> u64 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let number = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).unwrap(),
        None => digits.parse().unwrap(),
    };
    if sign < 0 { number.wrapping_neg() } else { number }
}

#[test]
fn every_script_comes_back_as_one_that_asks_the_same() {
    let scripts = fs::read_dir("tests/scripts").unwrap().map(|entry| entry.unwrap().path());
    let mut count = 0;
    for path in scripts {
        let script = fs::read_to_string(&path).unwrap();
        let trace = import(script.as_bytes());
        let (exported, unsaid) = export(&trace);
        assert_eq!(unsaid, 0);
        assert_eq!(asked(&exported), asked(&script), "{}", path.display());
        let records = Reader::open(Cursor::new(&trace)).unwrap().totals().unwrap().records;
        assert_eq!(records, asked(&script).len() as u64, "one record for each call");
        assert_eq!(import(exported.as_bytes()), trace, "and the trace is the same again");
        count += 1;
    }
    assert_eq!(count, 21);
}

#[test]
fn a_script_becomes_records() {
    let trace = import(b"0 malloc 7 24\n\n# nothing\n2 realloc 7 0\n0 free 7\n0 calloc 3 8 5\n");
    let mut reader = Reader::open(Cursor::new(&trace)).unwrap();
    assert_eq!(reader.header(), &ops::header());
    let lines = reader.records().zip(0..).map(|(record, number)| {
        text::Line { number, record: &record.unwrap(), placements: false }.to_string()
    });
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "0 0.000000000 t0 malloc(24) = #0",
            "1 0.000000000 t2 realloc(#0, 0) = null",
            "2 0.000000000 t0 free(null)",
            "3 0.000000000 t0 calloc(1, 8) = #0",
        ]
    );
}

#[test]
fn what_is_wrong_with_a_script_is_said_with_its_place() {
    let error = |script: &[u8]| {
        let mut writer = Writer::new(Vec::new(), &ops::header()).unwrap();
        ops::import(script, &mut writer).unwrap_err().to_string()
    };
    assert_eq!(error(b"0 malloc 1 24\n0 fre 1\n"), "line 2, column 3: there is no call `fre`");
    assert_eq!(error(b"0 malloc 1 \xff\n"), "line 1, column 12: this is not text");
    assert_eq!(error(b"MOPSCRP1\0\0\0\0\0\0\0\0\x99"), "record 0, at byte 16, cannot be understood");
}

#[test]
fn a_binary_script_is_the_same_as_its_text() {
    let mut binary = b"MOPSCRP1\x03\0\0\0\x01\0\0\0".to_vec();
    for (code, alignment, slot, size) in
        [(1u8, 0u8, 0u32, 24u64), (5, 6, 1, 100), (4, 0, 0, 0), (11, 0, 0xffff_fff8, 1)]
    {
        binary.extend([code, alignment, 0, 0]);
        binary.extend(slot.to_le_bytes());
        binary.extend(size.to_le_bytes());
    }
    assert_eq!(import(&binary), import(b"0 malloc 0 24\n0 memalign 1 64 100\n0 free 0\n0 mallopt -8 1\n"));
}

#[test]
fn a_recorded_trace_is_exported_as_far_as_a_script_can_say_it() {
    let at = |address| Placed { pointer: Pointer::seen(address), head: 0x21 };
    let failed = Placed { pointer: Pointer::NULL, head: 0 };
    let calls = [
        (0, Call::ThreadStart { id: 70 }),
        (0, Call::Malloc { request: 24, to: at(0x1010) }),
        (1, Call::ThreadStart { id: 71 }),
        (1, Call::Malloc { request: 1 << 60, to: failed }),
        (1, Call::Free { pointer: Pointer::seen(0x9990) }),
        (1, Call::Reallocarray { old: Pointer::seen(0x1010), count: 3, size: 5, to: at(0x1010) }),
        (0, Call::Realloc { old: Pointer::seen(0x8880), request: 8, to: at(0x1030) }),
        (0, Call::Fork { child: 99 }),
        (1, Call::ThreadExit),
        (0, Call::Free { pointer: Pointer::NULL }),
    ];
    let mut writer = Writer::new(Vec::new(), &Header::default()).unwrap();
    for (thread, call) in calls {
        writer.record(&Record { time: Nanos(0), thread: Thread(thread), program_break: 0, call }).unwrap();
    }
    let (script, unsaid) = export(&writer.finish(&Ending::default()).unwrap());
    assert_eq!(unsaid, 3);
    let calls = script.lines().map(|line| line.split(':').next().unwrap());
    assert_eq!(
        calls.collect::<Vec<_>>(),
        [
            "0 malloc 2 24",
            "0 spawn 1",
            "1 malloc 1 1152921504606846976",
            "# not in a script",
            "1 realloc 2 15",
            "# not in a script",
            "0 realloc 3 8",
            "# not in a script",
            "0 join 1",
            "0 free 0",
        ]
    );
}
