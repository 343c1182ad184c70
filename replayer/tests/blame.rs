//! Who is to blame, in whole runs: what the sums are in the report, and that who pins is found.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

#[path = "common/samples.rs"]
mod samples;

use malloscope_replayer::blame::{Blame, What, fold, recorded};
use malloscope_replayer::export::names::Offsets;
use malloscope_replayer::outcome::Outcome;
use malloscope_replayer::report::stacks::blamed;
use malloscope_replayer::run::{Job, run};
use malloscope_replayer::trial::Trial;
use malloscope_traces::header::{Clock, ClockSource};
use malloscope_traces::stacks::{Capture, Frame, Module, Sampling};
use malloscope_traces::{
    Call, Ending, Header, Nanos, Placed, Pointer, Reader, Record, Stack, Stacks, Thread, Writer,
};
use samples::samples;
use std::fs::File;
use std::path::Path;
use tempfile::NamedTempFile;

const SECOND: u64 = 1_000_000_000;

fn replayed(trace: &Path, trial: Trial, blame: &[What]) -> Outcome {
    let job = Job { blame: blame.to_vec(), ..Job::of(trace, trial) };
    run(&job, &mut std::io::sink(), &mut |_| {}).unwrap()
}

/// A trace of a program's own functions, whose stacks are written as they are made.
struct Program {
    writer: Writer<File>,
    file: NamedTempFile,
    module: malloscope_traces::stacks::ModuleId,
    time: u64,
}

impl Program {
    fn new() -> Program {
        let file = NamedTempFile::new().unwrap();
        let clock = Clock { source: ClockSource::Monotonic, began: 0, resolution: 1 };
        let mut writer = Writer::new(file.reopen().unwrap(), &Header { clock, ..Header::default() }).unwrap();
        writer.capture(Capture { sampling: Sampling::All, depth: 64 });
        let module = writer.module(Module { path: "/usr/bin/app".to_owned(), ..Module::default() });
        Program { writer, file, module, time: 0 }
    }

    /// The stack of a function that another has called.
    fn function(&mut self, caller: Stack, address: u64) -> Stack {
        self.writer.frame(Frame { caller, module: Some(self.module), address })
    }

    fn call(&mut self, call: Call, stack: Stack) {
        let record = Record { time: Nanos(self.time), thread: Thread(0), program_break: 0, call };
        self.writer.record_from(&record, stack).unwrap();
    }

    fn malloc(&mut self, pointer: u64, request: u64, stack: Stack) {
        let to = Placed { pointer: Pointer::seen(pointer), head: 0 };
        self.call(Call::Malloc { request, to }, stack);
    }

    fn free(&mut self, pointer: u64) {
        self.call(Call::Free { pointer: Pointer::seen(pointer) }, Stack::NONE);
    }

    fn finish(self) -> (NamedTempFile, Stacks) {
        self.writer.finish(&Ending::default()).unwrap();
        let stacks = Reader::open_file(self.file.path()).unwrap().stacks().unwrap();
        (self.file, stacks)
    }
}

/// Chunks that 100 MiB are made of, their sizes, and for how long nothing else happens.
const CHUNKS: u64 = 1600;
const CHUNK: u64 = (64 << 10) + 16;
const SECONDS: f64 = 2.5;

/// A program that fills a cache, remembers one name behind it, and throws the cache away.
fn one_small_allocation_above_much_free_memory() -> (NamedTempFile, Stacks, [Stack; 3]) {
    let mut program = Program::new();
    let main = program.function(Stack::NONE, 0x1000);
    let fill = program.function(main, 0x1100);
    let remember = program.function(main, 0x1200);
    for number in 1..=CHUNKS {
        program.malloc(number, 64 << 10, fill);
    }
    // Too large for a tcache: freeing it trims the break.
    program.malloc(9999, 2000, remember);
    program.time = SECOND;
    for number in 1..=CHUNKS {
        program.free(number);
    }
    program.time = SECOND * 7 / 2;
    program.free(9999);
    // Nothing is pinned any more.
    program.time = SECOND * 100;
    program.malloc(1, 8, main);
    let (file, stacks) = program.finish();
    (file, stacks, [main, fill, remember])
}

fn rows(blame: &Blame) -> Vec<(Stack, f64)> {
    blame.rows.iter().map(|row| (row.stack, row.weight)).collect()
}

#[test]
fn who_keeps_100_mib_from_the_kernel_is_named_with_the_bytes_and_the_time() {
    let (trace, stacks, [_, fill, remember]) = one_small_allocation_above_much_free_memory();
    let whats = [What::Pinned, What::Held, What::BreakGrown, What::BreakTrimmed, What::Peak];
    let outcome = replayed(trace.path(), Trial::default(), &whats);
    let [pinned, held, grown, trimmed, peak] = &outcome.blame[..] else { panic!("{:?}", outcome.blame) };
    let bytes = CHUNKS * CHUNK;
    assert_eq!(rows(pinned), [(remember, bytes as f64 * SECONDS)]);
    let of_report = outcome.measured.series.iter().map(|sample| sample.pinned).max();
    assert_eq!(of_report, Some(bytes), "it is what the report calls pinned");
    assert_eq!(rows(held), [(fill, bytes as f64), (remember, 2016.0 * 3.5)]);
    assert_eq!(rows(grown)[0].0, fill);
    // The last free trimmed the break, and has no stack: what it freed has.
    assert_eq!(rows(trimmed)[0].0, remember);
    assert!(rows(trimmed)[0].1 > (bytes - (1 << 20)) as f64);
    assert_eq!(rows(peak), [(fill, (CHUNKS * (64 << 10)) as f64), (remember, 2000.0)]);
    let mut folder = fold::Folder::new(&stacks, Offsets);
    let lines = folder.fold(pinned, fold::Scale::of_lines(pinned.unit));
    let weight = bytes * 2500;
    assert_eq!(lines.into_iter().collect::<Vec<_>>(), [("app+0xfff;app+0x11ff".to_owned(), weight)]);
    let named = &blamed(&outcome.blame, &mut folder)[0];
    assert_eq!((named.what, named.stacks.len()), (What::Pinned, 1));
    assert_eq!(named.stacks[0].frames, ["app+0x11ff", "app+0xfff"]);
    assert_eq!((named.stacks[0].amount, named.stacks[0].share), (pinned.total, 1.0));
}

#[test]
fn another_setting_pins_something_else() {
    let (trace, _, [_, _, remember]) = one_small_allocation_above_much_free_memory();
    let settings = vec![("mmap_threshold".to_owned(), 32 << 10)];
    let outcome = replayed(trace.path(), Trial { settings, ..Trial::default() }, &[What::Pinned]);
    // Two fitted into what the thread's cache had made the break grow by; all others were mapped.
    assert_eq!(rows(&outcome.blame[0]), [(remember, (2 * CHUNK) as f64 * SECONDS)]);
}

#[test]
fn what_all_stacks_are_charged_with_is_what_the_report_says() {
    let whats = [What::Faults, What::BreakGrown, What::BreakTrimmed, What::Misses, What::Peak];
    let mut seen = 0;
    for trace in samples() {
        let outcome = replayed(&trace, Trial::default(), &whats);
        let totals: Vec<f64> = outcome.blame.iter().map(|blame| blame.total).collect();
        let is_slow = |from: &str| !["tcache", "realloc: stayed"].contains(&from);
        let slow = outcome.served.iter().filter(|row| is_slow(&row.from));
        let expected = [
            outcome.measured.faults,
            outcome.kernel.break_grown_bytes,
            outcome.kernel.break_trimmed_bytes,
            slow.map(|row| row.requests).sum(),
            outcome.measured.peaks.live.bytes,
        ];
        assert_eq!(totals, expected.map(|number| number as f64), "{}", trace.display());
        let plain = replayed(&trace, Trial::default(), &[]);
        assert_eq!(plain.measured, outcome.measured, "whoever looks changes nothing");
        seen += 1;
    }
    assert!(seen >= 6);
}

#[test]
fn a_trace_without_a_clock_is_measured_in_records() {
    let file = NamedTempFile::new().unwrap();
    let header = malloscope_traces::ops::header();
    let mut writer = Writer::new(file.reopen().unwrap(), &header).unwrap();
    let script = "0 malloc 1 24\n0 malloc 2 24\n0 free 1\n0 free 2\n";
    malloscope_traces::ops::import(script.as_bytes(), &mut writer).unwrap();
    writer.finish(&Ending::default()).unwrap();
    let outcome = replayed(file.path(), Trial::default(), &[What::Held]);
    assert_eq!((outcome.blame[0].total, outcome.blame[0].unit.name()), (4.0 * 32.0, "byte-records"));
}

#[test]
fn a_damaged_trace_costs_what_is_damaged() {
    let mut program = Program::new();
    let main = program.function(Stack::NONE, 0x1000);
    for number in 1..100_000 {
        program.time += 64;
        program.malloc(number, number % 100, main);
        if number > 50 {
            program.free(number - 50);
        }
    }
    let (file, _) = program.finish();
    let mut bytes = std::fs::read(file.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(file.path(), &bytes).unwrap();
    let mut reader = Reader::open_file(file.path()).unwrap();
    let read = recorded(&mut reader, &[What::Bytes, What::Leaks], &mut |_| {}).unwrap();
    assert_eq!(read.damage.len(), 1);
    assert!(read.blames[0].total > 2_000_000.0);
    let outcome = replayed(file.path(), Trial::default(), &What::ALL);
    assert_eq!(outcome.damage.len(), 1);
    assert_eq!(outcome.blame.len(), What::ALL.len());
}

#[test]
fn what_began_before_a_range_is_charged_with_what_it_does_in_it() {
    let mut program = Program::new();
    let below = program.function(Stack::NONE, 0x1000);
    let pins = program.function(Stack::NONE, 0x2000);
    program.malloc(0x10_0000, 100_000, below);
    program.malloc(0x20_0000, 100, pins);
    program.time = SECOND;
    program.free(0x10_0000);
    // From here on nothing happens but that time passes: the fourth record is 3 seconds after the third.
    program.time = 4 * SECOND;
    program.malloc(0x30_0000, 16, below);
    let (file, _) = program.finish();
    let range = malloscope_replayer::range::Range::new(3, 4).ok();
    let blame = vec![What::Pinned, What::Held];
    let job = Job { range, blame, ..Job::of(file.path(), Trial::default()) };
    let outcome = run(&job, &mut std::io::sink(), &mut |_| {}).unwrap();
    for (blame, bytes) in outcome.blame.iter().zip([100_000.0, 112.0]) {
        let rows: Vec<(Stack, f64)> = blame.rows.iter().map(|row| (row.stack, row.weight)).collect();
        let [(stack, amount)] = rows[..] else { panic!("{rows:?}") };
        assert_eq!(stack, pins);
        assert!((amount / bytes / 3.0 - 1.0).abs() < 0.01, "{:?}: {amount} byte-seconds", blame.what);
    }
}
