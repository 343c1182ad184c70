//! Whole runs: their numbers add up, take no more room the longer the trace, and say what was lost
//! or is not as it was recorded.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

#[path = "common/imported.rs"]
mod imported;

use imported::imported;
use malloscope_replayer::fidelity::{Difference, Fidelity};
use malloscope_replayer::metrics::series::POINTS;
use malloscope_replayer::outcome::Outcome;
use malloscope_replayer::run::{Job, run};
use malloscope_replayer::trial::Trial;
use malloscope_traces::header::{Heap, Libc, Program, SYSTEM_WIDE_TUNABLES};
use malloscope_traces::{Call, Ending, Header, Nanos, Placed, Pointer, Record, Thread, Writer, ops};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use tempfile::NamedTempFile;

fn replayed(trace: &Path, compare: bool) -> Outcome {
    let job = Job { compare, ..Job::of(trace, Trial::default()) };
    run(&job, &mut std::io::sink(), &mut |_| {}).unwrap()
}

/// A script of so many calls of many kinds.
fn busy_script(calls: u64) -> String {
    let mut script = String::new();
    let mut random = 1_u64;
    for call in 0..calls {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let slot = random >> 40 & 255;
        let size = (random >> 33) % [60, 1000, 5000, 200_000][(random >> 20 & 3) as usize];
        let line = match call % 7 {
            0 | 1 => format!("free {slot}"),
            2 => format!("realloc {slot} {}", size + 1),
            3 => format!("calloc {} {size}", 1000 + call),
            4 => format!("free {}", 1000 + call - 1),
            5 => format!("memalign {} 64 {size}", 100_000 + call % 500),
            _ => format!("realloc {slot} {}", size / 2 + 1),
        };
        writeln!(script, "0 {line}").unwrap();
    }
    script
}

#[test]
fn every_request_is_counted_once_where_it_was_served() {
    let outcome = replayed(imported(&busy_script(20_000)).path(), false);
    let served: u64 = outcome.served.iter().map(|row| row.requests).sum();
    assert!(served > 10_000);
    assert_eq!(served, outcome.requests);
    for bin in &outcome.bins {
        assert_eq!(bin.hits + bin.misses, bin.requests, "{bin:?}");
        assert!(bin.hit_rate().is_none_or(|rate| (0.0..=1.0).contains(&rate)), "{bin:?}");
    }
    // Of what is asked for once, no bin is asked more often than there are requests.
    let cached: u64 = outcome.bins.iter().filter(|bin| bin.kind == "tcache").map(|bin| bin.requests).sum();
    assert!(cached <= outcome.requests);
    let kernel = &outcome.kernel;
    let grown = kernel.break_grown_bytes - kernel.break_trimmed_bytes;
    assert_eq!(grown, outcome.measured.program_break, "the break is where its moves have led");
}

#[test]
fn what_is_measured_fits_together() {
    let measured = replayed(imported(&busy_script(20_000)).path(), false).measured;
    assert!(measured.live <= measured.held && measured.held <= measured.system, "{measured:?}");
    assert!(measured.resident <= measured.peaks.resident.bytes);
    assert!(measured.mean_resident <= measured.peaks.resident.bytes && measured.mean_resident > 0);
    assert!(measured.pinned <= measured.program_break);
    for sample in &measured.series {
        assert!(sample.live <= sample.held && sample.live <= sample.greatest_live, "{sample:?}");
        assert!(sample.least_break <= sample.program_break, "{sample:?}");
        assert!(sample.program_break <= sample.greatest_break, "{sample:?}");
        assert!(sample.resident <= sample.greatest_resident, "{sample:?}");
        assert!(sample.greatest_resident <= measured.peaks.resident.bytes, "{sample:?}");
        assert!(sample.greatest_live <= measured.peaks.live.bytes, "{sample:?}");
    }
}

#[test]
fn a_run_is_told_in_few_points_however_long_it_is() {
    for calls in [1, 10, 1500, 60_000] {
        let outcome = replayed(imported(&busy_script(calls)).path(), false);
        let series = &outcome.measured.series;
        assert_eq!(outcome.records, calls);
        assert!(series.len() <= POINTS, "{calls}: {}", series.len());
        assert!(series.len() as u64 >= calls.min(POINTS as u64 / 4), "{calls}: {}", series.len());
        assert_eq!(series.last().unwrap().record, calls);
        assert!(series.windows(2).all(|pair| pair[0].record <= pair[1].record), "{calls}");
        let peak = series.iter().map(|sample| sample.greatest_live).max();
        assert_eq!(peak, Some(outcome.measured.peaks.live.bytes), "{calls}: no peak is between two points");
    }
}

/// Where the recorded process had its break at first.
const BREAK: u64 = 0x5600_0000_0000;
/// What it asked for, ten times.
const REQUEST: u64 = 24;

/// A recorded trace of ten allocations, as glibc makes them, but for what is done to them.
fn recorded(spoil: impl Fn(usize, &mut Placed, &mut u64)) -> NamedTempFile {
    let libc = Libc { version: "2.36".to_owned(), ..Libc::default() };
    let heap = Heap { initial_break: BREAK, placements: true };
    let file = NamedTempFile::new().unwrap();
    let header = Header { libc, heap, ..Header::default() };
    let mut writer = Writer::new(file.reopen().unwrap(), &header).unwrap();
    for number in 0..10 {
        let address = BREAK + 0x2a0 + 0x20 * number as u64;
        let mut to = Placed { pointer: Pointer::seen(address), head: 0x21 };
        let mut program_break = BREAK + 0x21000;
        spoil(number, &mut to, &mut program_break);
        let call = Call::Malloc { request: REQUEST, to };
        let record = Record { thread: Thread(0), time: Default::default(), program_break, call };
        writer.record(&record).unwrap();
    }
    writer.finish(&Ending::default()).unwrap();
    file
}

fn fidelity(spoil: impl Fn(usize, &mut Placed, &mut u64)) -> Fidelity {
    replayed(recorded(spoil).path(), true).fidelity.unwrap()
}

#[test]
fn what_was_recorded_is_found_again() {
    let fidelity = fidelity(|_, _, _| {});
    assert!(fidelity.is_exact(), "{fidelity:?}");
    assert_eq!((fidelity.placements, fidelity.breaks), (10, 10));
    assert_eq!(fidelity.percent_rounded_down(), 100.0);
}

#[test]
fn what_the_machine_set_for_all_programs_is_set() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let environment = vec![
        variable(SYSTEM_WIDE_TUNABLES, "nonoverridable glibc.malloc.arena_max=2"),
        variable("MALLOC_ARENA_MAX", "7"),
    ];
    let set_in = |version: &str| {
        let libc = Libc { version: version.to_owned(), ..Libc::default() };
        let program = Program { environment: environment.clone(), ..Program::default() };
        let header = Header { libc, program, ..ops::header() };
        let file = NamedTempFile::new().unwrap();
        let writer = Writer::new(file.reopen().unwrap(), &header).unwrap();
        writer.finish(&Ending::default()).unwrap();
        replayed(file.path(), false).settings
    };
    let settings = set_in("2.44");
    assert_eq!(settings.tunables, [("arena_max".to_owned(), 2)]);
    assert_eq!(
        settings.ignored,
        ["glibc 2.44 ignores MALLOC_ARENA_MAX=7: /etc/tunables.conf does not let it be overridden"]
    );
    let settings = set_in("2.43");
    assert_eq!(settings.tunables, [("arena_max".to_owned(), 7)]);
    assert_eq!(settings.ignored.len(), 1);
}

#[test]
fn what_was_allocated_alone_is_freed_beside_other_threads() {
    let libc = Libc { version: "2.36".to_owned(), ..Libc::default() };
    let heap = Heap { initial_break: BREAK, placements: true };
    let file = NamedTempFile::new().unwrap();
    let header = Header { libc, heap, ..Header::default() };
    let mut writer = Writer::new(file.reopen().unwrap(), &header).unwrap();
    let mut time = 0;
    let mut write = |thread, call| {
        time += 1000;
        let record = Record { time: Nanos(time), thread: Thread(thread), program_break: 0, call };
        writer.record(&record).unwrap();
    };
    let pointer = |number: u64| Pointer::seen(BREAK + 0x2a0 + 0x20 * number);
    let malloc =
        |number| Call::Malloc { request: REQUEST, to: Placed { pointer: pointer(number), head: 0x21 } };
    let free = |number| Call::Free { pointer: pointer(number) };
    // Alone for long enough that nothing is ordered at first, with allocations that come and go.
    (0..4000).for_each(|number| write(0, malloc(number)));
    for number in (0..4000).cycle().take(60_000) {
        write(0, free(number));
        write(0, malloc(number));
    }
    write(1, Call::ThreadStart { id: 0 });
    for first in (0..4000).step_by(5) {
        (first..first + 5).for_each(|number| write(0, free(number)));
        (first..first + 5).rev().for_each(|number| write(0, malloc(number)));
    }
    writer.finish(&Ending::default()).unwrap();
    let fidelity = replayed(file.path(), true).fidelity.unwrap();
    assert_eq!(fidelity.placements, 68_000);
    assert!(fidelity.is_exact(), "{fidelity:?}");
}

/// Checks that one spoilt record is named, and only that.
fn check_mismatch(difference: Difference, spoil: impl Fn(&mut Placed, &mut u64)) {
    let fidelity = fidelity(|number, to, program_break| {
        if number == 7 {
            spoil(to, program_break);
        }
    });
    assert!(!fidelity.is_exact());
    let found: Vec<_> = fidelity.first_mismatches.iter().map(|one| (one.record, one.difference)).collect();
    assert_eq!(found, [(7, difference)], "{fidelity:?}");
    assert!(fidelity.first_mismatches[0].call.contains("malloc(24)"), "{fidelity:?}");
}

#[test]
fn the_first_mismatch_is_told_with_its_record() {
    check_mismatch(Difference::Placement, |to, _| to.pointer.address += 0x8000);
    check_mismatch(Difference::Head, |to, _| to.head = 0x31);
    check_mismatch(Difference::ProgramBreak, |_, program_break| *program_break += 0x1000);
    // What was refused is refused again, and what follows is placed as if it had not been asked for.
    let refused = |number, to: &mut Placed, _: &mut u64| match number {
        7 => *to = Placed { pointer: Pointer::seen(0), head: 0 },
        8.. => to.pointer.address -= 0x20,
        _ => {}
    };
    let fidelity = fidelity(refused);
    assert_eq!(fidelity.first_mismatches[0].record, 7, "there was room in the top: {fidelity:?}");
    assert_eq!(fidelity.first_mismatches[0].difference, Difference::Refusal);
}

#[test]
fn all_is_never_less_than_all() {
    let one_of = |placements| Fidelity { placements, same_placements: placements - 1, ..Fidelity::default() };
    assert_eq!(one_of(10_000_000).percent_rounded_down(), 99.9999);
    assert_eq!(one_of(2).percent_rounded_down(), 50.0);
}

#[test]
fn a_damaged_batch_costs_itself_and_is_told() {
    let file = imported(&busy_script(60_000));
    let sound = replayed(file.path(), false);
    assert!(sound.damage.is_empty());
    let mut bytes = fs::read(file.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(file.path(), &bytes).unwrap();
    let damaged = replayed(file.path(), false);
    assert_eq!(damaged.damage.len(), 1, "{:?}", damaged.damage);
    assert!(damaged.damage[0].contains(&file.path().display().to_string()), "{:?}", damaged.damage);
    assert!(damaged.records > 0 && damaged.records < sound.records);
    assert!(damaged.damage[0].contains("are lost"), "{:?}", damaged.damage);
}

#[test]
fn a_trace_cut_anywhere_is_replayed_as_far_as_it_goes() {
    const CALLS: u64 = 150_000;
    let file = imported(&busy_script(CALLS));
    let whole = fs::read(file.path()).unwrap();
    let mut before = 0;
    for percent in [10, 40, 70, 90] {
        let cut = NamedTempFile::new().unwrap();
        fs::write(cut.path(), &whole[..whole.len() * percent / 100]).unwrap();
        let outcome = replayed(cut.path(), false);
        let told = outcome.damage.iter().any(|damage| damage.contains("are lost"));
        assert!(told, "{percent} %: {:?}", outcome.damage);
        assert!(outcome.records >= before, "{percent} %");
        before = outcome.records;
    }
    assert!(before > CALLS / 2 && before < CALLS);
}
