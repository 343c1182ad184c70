//! Heaps of running programs, taken from outside: held against what their own malloc says of them, and gone on from.
//!
//! By the machine's own glibc, and others from 2.34 on that lie unpacked in folders listed in `MALLOSCOPE_LIBCS`, as
//! for the oracle: `MALLOSCOPE_LIBCS=libcs/2.36:libcs/2.43 cargo test --test snapshot`.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

mod paused;

use malloscope_recorder::heap;
use malloscope_traces::{Call, Reader, Record, Writer};
use paused::{Library, Paused, answer, built, json, libraries, malloscope};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The fields of `mallinfo2`, in its order.
const FIELDS: [&str; 10] = [
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
];

/// Takes the heap of `standing.c` on every C library there is, and holds it against what that says of itself; then
/// against what its malloc gives back when it is asked to.
fn check_standing(arguments: &[&str]) {
    let folder = TempDir::new().unwrap();
    let program = built(&folder, "standing");
    libraries().iter().for_each(|library| check_standing_on(library, &program, arguments));
}

fn check_standing_on(library: &Library, program: &Path, arguments: &[&str]) {
    let command = library.command(program, arguments);
    let (loader, arguments) = command.split_first().unwrap();
    let mut paused = Paused::start(Path::new(loader), arguments);
    let told: Vec<u64> = paused.line().split(' ').map(|word| word.parse().unwrap()).collect();
    let snapshot = json(&["snapshot", &paused.id(), "--format", "json"]);
    let found: Vec<u64> = FIELDS.iter().map(|field| snapshot["mallinfo2"][field].as_u64().unwrap()).collect();
    assert_eq!(found, told, "{arguments:?}");
    assert_eq!(snapshot["mapped"]["found"], snapshot["mapped"]["counted"], "{arguments:?}");
    assert_eq!(snapshot["mapped"]["bytes"], snapshot["mapped"]["counted_bytes"], "{arguments:?}");
    paused.go_on();
    let given_back: Vec<u64> = paused.line().split(' ').map(|word| word.parse().unwrap()).collect();
    let trim = &snapshot["trim"];
    let predicted = [&trim["resident_bytes"], &trim["break_bytes"]].map(|bytes| bytes.as_u64().unwrap());
    assert_eq!(predicted, given_back[..], "{arguments:?}");
}

#[test]
fn a_heap_is_what_its_malloc_says_it_is_and_is_trimmed_by_as_much_as_foreseen() {
    let kinds: [&[&str]; 5] = [&["plain"], &["large"], &["mapped"], &["foreign"], &["empty"]];
    kinds.iter().for_each(|arguments| check_standing(arguments));
}

#[test]
fn so_is_that_of_a_program_with_threads() {
    let kinds: [&[&str]; 4] = [&["plain", "1"], &["plain", "12"], &["large", "3"], &["mapped", "4"]];
    kinds.iter().for_each(|arguments| check_standing(arguments));
}

/// The recording of all that a program did behind the place where it stood still, on the heap as it stood there.
fn cut(full: &Path, taken: &heap::Taken, to: &Path) {
    let mut reader = Reader::open_file(full).unwrap();
    let header = reader.header().clone();
    let ending = reader.ending().cloned().unwrap();
    let records: Vec<Record> = reader.records().map(Result::unwrap).collect();
    let marks = |record: &Record| record.call.request() == Some(123_456_789);
    let mark = records.iter().position(marks).expect("the place is marked");
    assert!(matches!(records[mark + 1].call, Call::Free { .. }));
    let mut writer = Writer::new(File::create(to).unwrap(), &header).unwrap();
    writer.snapshot(&taken.snapshot).unwrap();
    let start = Call::ThreadStart { id: taken.snapshot.threads[0].id };
    writer.record(&Record { call: start, ..records[mark + 1] }).unwrap();
    let rest = &records[mark + 2..];
    assert!(rest.len() > 20_000);
    rest.iter().for_each(|record| writer.record(record).unwrap());
    writer.finish(&ending).unwrap();
}

/// Records `halves.c`, takes its heap where it stands still, and cuts away what came before.
fn halves(folder: &TempDir, seed: &str, library: &Library) -> PathBuf {
    let program = built(folder, "halves");
    let full = folder.path().join("full.mscope");
    let mut arguments = ["record", "-o", full.to_str().unwrap(), "--"].map(str::to_owned).to_vec();
    arguments.extend(library.command(&program, &[seed]));
    let mut recording = Paused::start(Path::new(env!("CARGO_BIN_EXE_malloscope")), &arguments);
    recording.byte();
    let taken = heap::take(recording.child()).unwrap();
    recording.go_on();
    recording.end();
    let cut_off = folder.path().join("cut.mscope");
    cut(&full, &taken, &cut_off);
    cut_off
}

#[test]
fn what_a_program_does_later_is_replayed_exactly_from_the_heap_as_it_stood() {
    for (seed, library) in
        ["1", "2", "3"].iter().flat_map(|seed| libraries().into_iter().map(move |one| (seed, one)))
    {
        let folder = TempDir::new().unwrap();
        let trace = halves(&folder, seed, &library);
        let verified = answer(["verify", trace.to_str().unwrap()]);
        assert!(verified.starts_with("placements  100.0000 %"), "{verified}");
        assert!(verified.contains("0 differ in size or flags"), "{verified}");
        let report = json(&["replay", trace.to_str().unwrap(), "--format", "json"]);
        let outcome = &report["outcome"];
        assert_eq!(outcome["oddities"]["unknown_freed"], 0, "{}", outcome["oddities"]);
        // What lives in the end is what the heap then has in use.
        let heap = json(&["heap", trace.to_str().unwrap(), "--format", "json"]);
        assert_eq!(outcome["measured"]["held"], heap["totals"]["live"]["bytes"]);
    }
}

#[test]
fn without_the_heap_as_it_stood_it_is_not() {
    let folder = TempDir::new().unwrap();
    let trace = halves(&folder, "4", &Library::Own);
    let mut reader = Reader::open_file(&trace).unwrap();
    let bare = folder.path().join("bare.mscope");
    let mut writer = Writer::new(File::create(&bare).unwrap(), &reader.header().clone()).unwrap();
    let ending = reader.ending().cloned().unwrap();
    reader.records().for_each(|record| writer.record(&record.unwrap()).unwrap());
    writer.finish(&ending).unwrap();
    let code = malloscope(["verify", bare.to_str().unwrap()]).output().unwrap().status.code();
    assert_eq!(code, Some(1));
}

#[test]
fn a_heap_that_was_taken_is_a_trace_that_shows_it_chunk_by_chunk() {
    let folder = TempDir::new().unwrap();
    let program = built(&folder, "standing");
    let mut paused = Paused::start(&program, &["plain", "2"]);
    paused.line();
    let trace = folder.path().join("heap.mscope");
    let trace = trace.to_str().unwrap();
    let snapshot = json(&["snapshot", &paused.id(), "--format", "json", "-o", trace]);
    let heap = json(&["heap", trace, "--format", "json"]);
    assert_eq!(heap["moment"]["system_bytes"], snapshot["system_bytes"]);
    let live = |of: &Value| of["live"]["bytes"].as_u64().unwrap();
    assert_eq!(live(&heap["totals"]), live(&snapshot["states"]));
    assert!(live(&heap["totals"]) > 1_000_000);
    let refused = malloscope(["replay", "--memory", "real", trace]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("leave out `--memory real`"));
}

#[test]
fn a_process_that_is_not_there_is_said_not_to_be() {
    let refused = malloscope(["snapshot", "4194305"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is no process 4194305"));
}
