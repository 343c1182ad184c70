//! Every charge of a replay, against a model that walks the whole heap after every call.

use super::{Blame, Place, Tally, What};
use crate::detail::Detail;
use crate::engine::{Answer, Engine};
use crate::filter::Filter;
use crate::machine::Machine;
use crate::metrics::Metrics;
use crate::range::Range;
use crate::selection::Selection;
use crate::trial::Touch;
use crate::watch::Watch;
use malloscope_allocator::address::Address;
use malloscope_allocator::chunk::Chunk;
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::Processors;
use malloscope_allocator::memory::simulated::{DEFAULT_BREAK, Simulated};
use malloscope_allocator::observe::counters::SourceKind;
use malloscope_allocator::release::Release;
use malloscope_allocator::tunables::Tunables;
use malloscope_traces::header::{Clock, ClockSource};
use malloscope_traces::stacks::{Capture, Sampling};
use malloscope_traces::{
    Call, Ending, Header, Nanos, Placed, Pointer, Reader, Record, Slot, Stack, Thread, Writer,
};
use std::collections::BTreeMap;
use std::io::Cursor;

const WHATS: [What; 8] = [
    What::Pinned,
    What::Held,
    What::Faults,
    What::BreakGrown,
    What::BreakTrimmed,
    What::Misses,
    What::Peak,
    What::PeakContribution,
];
const STACKS: u32 = 8;
const CLOCK: Clock = Clock { source: ClockSource::Monotonic, began: 0, resolution: 1 };

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A script of calls by several threads, which fill the heap and empty it in turns.
fn script(seed: u64, calls: usize) -> Vec<(Record, Stack)> {
    let mut random = Random(seed);
    let mut live: Vec<u32> = Vec::new();
    let mut unused: Vec<u32> = (0..2000).rev().collect();
    let (mut script, mut time) = (Vec::new(), 0);
    for number in 0..calls {
        time += random.below(50) * random.below(50);
        let thread = Thread(u32::try_from(random.below(4)).unwrap());
        let greatest = [100, 100, 2000, 40_000, 300_000][usize::try_from(random.below(5)).unwrap()];
        let request = random.below(greatest);
        let fills = number / 200 % 2 == 0;
        let stack = Stack(u32::try_from(random.below(u64::from(STACKS))).unwrap());
        let chosen =
            |random: &mut Random, live: &[u32]| usize::try_from(random.below(live.len() as u64)).unwrap();
        let pointer = |slot: u32| Pointer { address: 16 * (u64::from(slot) + 1), slot: Slot(slot) };
        let to = |slot| Placed { pointer: pointer(slot), head: 0 };
        let (call, stack) = match random.below(20) {
            0 if thread.0 > 0 && random.below(8) == 0 => (Call::ThreadExit, Stack::NONE),
            1 if random.below(4) == 0 => (Call::Trim { pad: 0, returned: 0 }, stack),
            2..5 if !live.is_empty() => {
                let slot = live[chosen(&mut random, &live)];
                (Call::Realloc { old: pointer(slot), request: request + 1, to: to(slot) }, stack)
            }
            5 => {
                let slot = unused.pop().unwrap();
                live.push(slot);
                (Call::Memalign { alignment: 256, request, to: to(slot) }, stack)
            }
            kind if !live.is_empty() && (kind < if fills { 10 } else { 17 }) => {
                let at = chosen(&mut random, &live);
                let slot = live.swap_remove(at);
                unused.push(slot);
                let stack = if kind == 6 { stack } else { Stack::NONE };
                (Call::Free { pointer: pointer(slot) }, stack)
            }
            _ => {
                let slot = unused.pop().unwrap();
                live.push(slot);
                (Call::Malloc { request, to: to(slot) }, stack)
            }
        };
        script.push((Record { time: Nanos(time), thread, program_break: 0, call }, stack));
    }
    script
}

/// A call with a stack, and what it and its allocation were charged with.
struct Unit {
    stack: Stack,
    request: u64,
    is_selected: bool,
    charges: BTreeMap<(usize, &'static str), f64>,
}

#[derive(Clone, Copy)]
struct Live {
    payload: Address,
    request: u64,
    unit: usize,
}

/// The model.
struct Model {
    units: Vec<Unit>,
    live: BTreeMap<u32, Live>,
    greatest: u64,
    at_peak: Vec<(usize, u64, u64)>,
    pinned: (u64, u64),
}

/// The unit of what nobody is charged with.
const NOBODY: usize = 0;

impl Model {
    fn charge(&mut self, unit: usize, what: What, place: &'static str, amount: f64) {
        let ledger = WHATS.iter().position(|&one| one == what).unwrap();
        *self.units[unit].charges.entry((ledger, place)).or_default() += amount;
    }

    /// Lets time pass over a heap: walks all of it.
    fn pass<M: Machine>(&mut self, heap: &Heap<M, Watch>, nanos: u64) {
        let memory = heap.memory();
        let live: BTreeMap<u64, usize> =
            self.live.values().map(|live| (Chunk::of(memory, live.payload).0.0, live.unit)).collect();
        let caches: Vec<u64> = heap.cache_chunks().map(|chunk| chunk.0.0).collect();
        // The highest live chunk of the main heap, and of every segment.
        let mut highest: BTreeMap<u64, (u64, u64, usize)> = BTreeMap::new();
        for (&at, &unit) in &live {
            let chunk = Chunk(Address(at));
            let head = chunk.head(memory);
            if head.is_mapped() {
                continue;
            }
            let lowest = if head.is_foreign() {
                heap.lowest_chunk_beside(chunk).0.0
            } else {
                heap.parameters().heap_start.unwrap().0
            };
            let is_main = u64::from(!head.is_foreign());
            let base = if is_main == 1 { 0 } else { at >> 26 };
            highest.insert(base, (lowest, at, unit));
        }
        self.pinned = (0, 0);
        for (base, (lowest, top, unit)) in highest {
            let (mut chunk, mut free) = (Chunk(Address(lowest)), 0);
            while chunk.0.0 < top {
                if !live.contains_key(&chunk.0.0) && !caches.contains(&chunk.0.0) {
                    free += chunk.size(memory).bytes();
                }
                chunk = chunk.above(memory);
            }
            assert_eq!(chunk.0.0, top, "the walk comes to every chunk");
            self.charge(unit, What::Pinned, "", free as f64 * nanos as f64);
            *(if base == 0 { &mut self.pinned.0 } else { &mut self.pinned.1 }) += free;
        }
        for (at, unit) in live {
            let size = Chunk(Address(at)).size(memory).bytes();
            self.charge(unit, What::Held, "", size as f64 * nanos as f64);
        }
    }

    fn look_for_peak<M: Machine>(&mut self, heap: &Heap<M, Watch>) {
        let now: u64 = self.live.values().map(|live| live.request).sum();
        if now > self.greatest {
            self.greatest = now;
            let size = |payload| Chunk::of(heap.memory(), payload).size(heap.memory()).bytes();
            self.at_peak =
                self.live.values().map(|live| (live.unit, live.request, size(live.payload))).collect();
        }
    }

    /// The same as a blame says: by stack and place, the weight and its error.
    fn rows(&self, ledger: usize, sampling: Sampling) -> BTreeMap<(u32, &'static str), (f64, f64)> {
        let mut rows: BTreeMap<(u32, &'static str), (f64, f64)> = BTreeMap::new();
        for unit in &self.units {
            for (&(of, place), &amount) in unit.charges.iter().filter(|(_, amount)| **amount > 0.0) {
                if of == ledger && unit.is_selected && (sampling == Sampling::All || !unit.stack.is_none()) {
                    let weight = sampling.weight(unit.request);
                    let row = rows.entry((unit.stack.0, place)).or_default();
                    row.0 += weight * amount;
                    row.1 += weight * (weight - 1.0) * amount * amount;
                }
            }
        }
        rows
    }
}

fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (a.abs() + b.abs()) + 1e-9
}

/// How many records the allocation lived that this call of a script made, and whether it was then freed.
fn lifetime(script: &[(Record, Stack)], index: usize) -> Option<(u64, bool)> {
    let slot = script[index].0.call.placed()?.pointer.slot;
    let ends = |(record, _): &(Record, Stack)| record.call.handed().is_some_and(|handed| handed.slot == slot);
    let lived = script[index + 1..].iter().position(ends);
    Some((lived.map_or(script.len() - index, |lived| lived + 1) as u64, lived.is_some()))
}

/// What a filter selects of a script, which is written and read for that.
fn selection(script: &[(Record, Stack)], filter: &Filter) -> Option<Selection> {
    let mut writer = Writer::new(Vec::new(), &Header::default()).unwrap();
    script.iter().for_each(|(record, _)| writer.record(record).unwrap());
    let mut reader = Reader::open(Cursor::new(writer.finish(&Ending::default()).unwrap())).unwrap();
    Selection::of(filter, &mut reader, Range::ALL, None, &mut |_| {}).unwrap()
}

/// Whether a filter lets a call through that asks for memory, by what is known of it.
fn selects(
    filter: &Filter,
    (record, stack): &(Record, Stack),
    lived: Option<(u64, bool)>,
    kind: &str,
) -> bool {
    let request = record.call.request().unwrap_or(0);
    filter.thread.is_none_or(|thread| thread == record.thread.0)
        && filter.stack.is_none_or(|wanted| wanted == stack.0)
        && filter.sizes.is_none_or(|sizes| sizes.contains(request))
        && filter
            .lifetime
            .is_none_or(|wanted| lived.is_some_and(|(records, is_freed)| wanted.contains(records, is_freed)))
        && filter.places.is_none_or(|places| places.said().split(" or ").any(|name| name == kind))
}

/// Replays a script, and compares all that is charged with what the model says. The totals, and the most
/// that was pinned in segments of other arenas.
fn check(seed: u64, release: &str, sampling: Sampling, touch: Touch, filter: Filter) -> Vec<f64> {
    let machine = Simulated::new(DEFAULT_BREAK, Processors { online: 2, allowed: 2 });
    let release = Release::named(release).unwrap();
    let mut machine = machine;
    let capture = Capture { sampling, depth: 1 };
    let script = script(seed, 1500);
    let selection = selection(&script, &filter);
    let mut tally = Tally::new(&mut machine, &WHATS, STACKS as usize, Some(capture), CLOCK, selection);
    let mut metrics = Metrics::new(&machine, machine.program_break(), true, Detail::Whole);
    let heap = Heap::new(machine, Watch::default(), release, &Tunables::default());
    let mut engine = Engine::new(heap, touch, false);
    let nobody =
        Unit { stack: Stack::NONE, request: 0, is_selected: filter.is_all(), charges: BTreeMap::new() };
    let mut model = Model {
        units: vec![nobody],
        live: BTreeMap::new(),
        greatest: 0,
        at_peak: Vec::new(),
        pinned: (0, 0),
    };
    let (mut before, mut most_in_segments) = (0, 0);
    for (index, &(ref record, stack)) in (0..).zip(&script) {
        model.pass(engine.heap(), record.time.0 - before);
        assert_eq!(tally.pinned_now(), model.pinned, "after {index} calls");
        assert_eq!(model.pinned.0, metrics.pinned_now(&engine), "after {index} calls");
        most_in_segments = most_in_segments.max(model.pinned.1);
        before = record.time.0;
        let ending = metrics.before(&engine, record);
        let (faults, program_break) =
            (engine.heap().memory().residency().faults, engine.heap().memory().program_break().0);
        let served = SourceKind::ALL.map(|kind| engine.heap().observer().counters.served(kind).requests);
        let answer = engine.execute(record).unwrap();
        tally.after(&mut engine, (index, record, stack), &ending, answer);
        metrics.after(&mut engine, index, record, ending, answer);
        // The model's turn.
        let request = record.call.request().unwrap_or(0);
        let handed = record.call.handed().map(|pointer| pointer.slot.0);
        let ended = handed.and_then(|slot| model.live.remove(&slot));
        let now = SourceKind::ALL.map(|kind| engine.heap().observer().counters.served(kind).requests);
        let kind = SourceKind::ALL.into_iter().find(|&kind| now[kind as usize] > served[kind as usize]);
        let place = usize::try_from(index).unwrap();
        let kind = kind.map_or("", SourceKind::name);
        let is_selected = match record.call.request() {
            Some(_) => selects(&filter, &script[place], lifetime(&script, place), kind),
            None => ended.map_or(filter.is_all(), |ended| model.units[ended.unit].is_selected),
        };
        model.units.push(Unit { stack, request, is_selected, charges: BTreeMap::new() });
        let this = model.units.len() - 1;
        let answers = !stack.is_none() || record.call.request().is_some();
        let unit = if answers { this } else { ended.map_or(NOBODY, |ended| ended.unit) };
        if let Answer::Payload(payload) = answer {
            let slot = record.call.placed().unwrap().pointer.slot.0;
            model.live.insert(slot, Live { payload, request, unit: this });
        }
        let memory = engine.heap().memory();
        model.charge(unit, What::Faults, "", (memory.residency().faults - faults) as f64);
        let now = memory.program_break().0;
        model.charge(unit, What::BreakGrown, "", now.saturating_sub(program_break) as f64);
        model.charge(unit, What::BreakTrimmed, "", program_break.saturating_sub(now) as f64);
        for (kind, before) in SourceKind::ALL.into_iter().zip(served) {
            let more = engine.heap().observer().counters.served(kind).requests - before;
            if !matches!(kind, SourceKind::Tcache | SourceKind::Stayed) {
                model.charge(unit, What::Misses, kind.name(), more as f64);
            }
        }
        model.look_for_peak(engine.heap());
    }
    for (unit, request, chunk) in std::mem::take(&mut model.at_peak) {
        model.charge(unit, What::Peak, "", request as f64);
        model.charge(unit, What::PeakContribution, "", chunk as f64);
    }
    let kernel = engine.heap().observer().counters.kernel;
    let measured = metrics.finish(&mut engine, script.len() as u64, before);
    let blames = tally.finish(&mut engine, &measured);
    let totals: Vec<f64> = blames.iter().map(|blame| blame.total + blame.left_out).collect();
    for (number, blame) in blames.iter().enumerate() {
        compare(&model, number, blame, sampling);
    }
    // What the report says of the same run.
    assert_eq!(totals[2], measured.faults as f64);
    assert_eq!(totals[3], kernel.break_grown_bytes as f64);
    assert_eq!(totals[4], kernel.break_trimmed_bytes as f64);
    assert_eq!(totals[6], measured.peaks.live.bytes as f64);
    totals.into_iter().chain([most_in_segments as f64]).collect()
}

fn compare(model: &Model, number: usize, blame: &Blame, sampling: Sampling) {
    let scale = blame.unit.in_counted().recip();
    let mut expected = model.rows(number, sampling);
    let sum = |is_selected: bool| -> f64 {
        let units = model.units.iter().filter(|unit| unit.is_selected == is_selected);
        let charges = units.flat_map(|unit| &unit.charges).filter(|((of, _), _)| *of == number);
        charges.map(|(_, amount)| amount).sum()
    };
    let (total, left_out) = (sum(true), sum(false));
    assert!(is_near(blame.total, total * scale), "{:?}: {} {total}", blame.what, blame.total);
    assert!(is_near(blame.left_out, left_out * scale), "{:?}: {} {left_out}", blame.what, blame.left_out);
    let mut variance = 0.0;
    for row in &blame.rows {
        let place = row.place.map_or("", Place::name);
        let found = expected.remove(&(row.stack.0, place)).unwrap_or_default();
        assert!(is_near(row.weight, found.0 * scale), "{:?}: {row:?} {found:?}", blame.what);
        assert!(is_near(row.error, found.1.sqrt() * scale), "{:?}: {row:?} {found:?}", blame.what);
        variance += found.1;
    }
    assert!(expected.is_empty(), "{:?}: {expected:?}", blame.what);
    match sampling {
        Sampling::All => assert!(is_near(blame.attributed(), blame.total) && blame.standard_error.is_none()),
        _ => assert!(is_near(blame.standard_error.unwrap(), variance.sqrt() * scale), "{:?}", blame.what),
    }
    assert!(blame.rows.windows(2).all(|pair| pair[0].weight >= pair[1].weight));
}

#[test]
fn every_stack_is_charged_with_what_a_walk_over_the_heap_says() {
    let mut sums = [0.0; WHATS.len() + 1];
    for (seed, release, touch) in [
        (1, "2.36", Touch::Pages),
        (2, "2.36", Touch::None),
        (3, "2.23", Touch::All),
        (4, "2.43", Touch::First),
        (5, "2.31", Touch::Pages),
    ] {
        let totals = check(seed, release, Sampling::All, touch, Filter::default());
        sums.iter_mut().zip(totals).for_each(|(sum, total)| *sum += total);
    }
    assert!(sums.iter().all(|&sum| sum > 0.0), "every quantity has been seen: {sums:?}");
}

#[test]
fn a_sample_is_weighed_as_a_whole() {
    for seed in 10..13 {
        check(seed, "2.36", Sampling::Bytes { mean: 3000 }, Touch::Pages, Filter::default());
    }
}

#[test]
fn only_what_a_filter_lets_through_is_charged_and_the_rest_is_left_out() {
    let filters = [
        Filter { thread: Some(2), ..Filter::default() },
        Filter { sizes: "100..3000".parse().ok(), ..Filter::default() },
        Filter { lifetime: "..30".parse().ok(), ..Filter::default() },
        Filter { lifetime: "200..".parse().ok(), ..Filter::default() },
        Filter { lifetime: "never-freed".parse().ok(), thread: Some(1), ..Filter::default() },
        Filter { places: "top,split-of-a-larger-chunk,small-bin".parse().ok(), ..Filter::default() },
        Filter { stack: Some(3), sizes: "64..".parse().ok(), ..Filter::default() },
    ];
    for (seed, filter) in (20..).zip(filters) {
        for sampling in [Sampling::All, Sampling::Bytes { mean: 3000 }] {
            check(seed, "2.36", sampling, Touch::Pages, filter);
        }
    }
}

#[test]
fn a_name_is_written_the_same_everywhere() {
    for what in What::ALL {
        assert_eq!(serde_json::to_value(what).unwrap(), what.name());
    }
}

#[test]
fn only_what_had_to_be_looked_for_is_a_miss() {
    let missed = SourceKind::ALL.into_iter().filter_map(Place::missed).map(Place::name);
    let all: Vec<&str> = SourceKind::ALL.iter().map(|kind| kind.name()).collect();
    let expected: Vec<&str> =
        all.into_iter().filter(|name| !["tcache", "realloc: stayed"].contains(name)).collect();
    assert_eq!(missed.collect::<Vec<_>>(), expected);
}
