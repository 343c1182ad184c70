//! What the trace alone says about its stacks: one pass, and an entry for every slot.

use super::at_peak::{AtPeak, Bytes};
use super::ledger::{Culprit, Ledger};
use super::{Blame, What};
use crate::range::Range;
use crate::run::Progress;
use crate::selection::Selection;
use malloscope_traces::stacks::{Capture, Sampling};
use malloscope_traces::{Call, Error, Reader, Record, Slot, Stack, Thread};
use std::collections::HashMap;
use std::io::{Read, Seek};

/// An allocation is one of `temporary10` that is freed after no more than so many records.
const FEW_RECORDS: u64 = 10;

/// What a trace says.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// One for each quantity that was asked for, in that order.
    pub blames: Vec<Blame>,
    /// What of the trace could not be read.
    pub damage: Vec<String>,
}

/// Charges quantities that need no replay (see [`What::needs_replay`]) from a trace that nothing has been
/// read of. Of those that need one, nobody is charged with anything.
///
/// # Errors
///
/// When the trace cannot be read. What is damaged costs itself, and is told.
pub fn recorded<R: Read + Seek>(
    reader: &mut Reader<R>,
    whats: &[What],
    progress: &mut dyn FnMut(Progress),
) -> Result<Recorded, Error> {
    recorded_within(reader, Of { whats, range: Range::ALL, selection: None }, progress)
}

/// Which quantities, of what.
#[derive(Clone, Copy, Debug)]
pub struct Of<'a> {
    /// The quantities.
    pub whats: &'a [What],
    /// As if the trace were these records alone.
    pub range: Range,
    /// Only of these allocations.
    pub selection: Option<&'a Selection>,
}

/// The same of a part of the trace.
///
/// # Errors
///
/// As [`recorded`].
pub fn recorded_within<R: Read + Seek>(
    reader: &mut Reader<R>,
    of: Of<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recorded, Error> {
    let Of { range, .. } = of;
    let stacks = reader.stacks()?;
    let mut pass = Pass::new(of, stacks.frames.len(), stacks.capture);
    drop(stacks);
    let total = range.begin(reader)?;
    let (mut damage, mut batch) = (Vec::new(), Vec::new());
    loop {
        let first = match reader.next_batch(&mut batch) {
            Ok(Some(first)) => first,
            Ok(None) => break,
            Err(error @ Error::Damaged { .. }) => {
                damage.push(error.to_string());
                continue;
            }
            Err(error) => return Err(error),
        };
        if first >= range.end() {
            break;
        }
        let stacks = reader.batch_stacks();
        for (place, record) in batch.iter().enumerate() {
            let number = first + place as u64;
            if range.contains(number) {
                let stack = stacks.get(place).copied().unwrap_or_default();
                pass.record(number, record, stack);
            }
        }
        progress(Progress { done: range.done(first + batch.len() as u64), total });
    }
    let clock = reader.header().clock;
    let blames = pass.finish().into_iter().map(|ledger| ledger.finish(&clock)).collect();
    Ok(Recorded { blames, damage })
}

/// What lives in a slot.
#[derive(Clone, Copy, Debug)]
struct Allocation {
    stack: Stack,
    thread: Thread,
    request: u64,
    chunk: u64,
    /// The record that made it.
    record: u64,
    /// Which of its thread's allocations it is.
    number: u64,
    is_selected: bool,
}

#[derive(Debug)]
struct Pass<'a> {
    selection: Option<&'a Selection>,
    sampling: Sampling,
    ledgers: Vec<Ledger>,
    /// By requested bytes, and by chunks; where somebody wants to know.
    requested: Option<AtPeak>,
    chunks: Option<AtPeak>,
    slots: Vec<Option<Allocation>>,
    /// How many allocations each thread has made.
    made: HashMap<Thread, u64>,
}

impl Pass<'_> {
    fn new(Of { whats, selection, .. }: Of<'_>, stacks: usize, capture: Option<Capture>) -> Pass<'_> {
        let sampling = capture.map_or(Sampling::All, |capture| capture.sampling);
        let is_sampled = sampling != Sampling::All;
        let wants = |wanted: &[What]| whats.iter().any(|what| wanted.contains(what));
        Pass {
            selection,
            sampling,
            ledgers: whats.iter().map(|&what| Ledger::new(what, stacks, is_sampled)).collect(),
            requested: wants(&[What::Peak, What::Leaks]).then(|| AtPeak::new(stacks)),
            chunks: wants(&[What::PeakContribution]).then(|| AtPeak::new(stacks)),
            slots: Vec::new(),
            made: HashMap::new(),
        }
    }

    fn culprit(&self, stack: Stack, request: u64, is_selected: bool) -> Culprit {
        Culprit { stack, weight: self.sampling.weight(request), is_selected }
    }

    fn charge(&mut self, what: What, culprit: Culprit, amount: u64) {
        for ledger in self.ledgers.iter_mut().filter(|ledger| ledger.what() == what) {
            ledger.charge(culprit, None, amount.into());
        }
    }

    fn peaks(&mut self) -> impl Iterator<Item = (&mut AtPeak, fn(&Allocation) -> u64)> {
        let requested = self.requested.iter_mut().map(|peak| (peak, request_of as fn(&Allocation) -> u64));
        requested.chain(self.chunks.iter_mut().map(|peak| (peak, chunk_of as fn(&Allocation) -> u64)))
    }

    fn record(&mut self, index: u64, record: &Record, stack: Stack) {
        let call = &record.call;
        let request = call.request();
        let is_selected = self.selection.is_none_or(|selection| selection.selects(index, record, stack));
        if let Some(request) = request {
            self.charge(What::Calls, self.culprit(stack, request, is_selected), 1);
        }
        let is_free = matches!(call, Call::Free { .. });
        if let Some(handed) = call.handed().filter(|_| ends(call))
            && let Some(ended) = self.take(handed.slot)
        {
            self.ended(index, &ended, is_free);
        }
        let Some((request, placed)) = request.zip(call.placed()) else { return };
        if placed.pointer.is_null() {
            return;
        }
        self.charge(What::Bytes, self.culprit(stack, request, is_selected), request);
        let made = self.made.entry(record.thread).or_default();
        *made += 1;
        let chunk = chunk_bytes(placed.head, request);
        let number = *made;
        let thread = record.thread;
        let began = Allocation { stack, thread, request, chunk, record: index, number, is_selected };
        self.began(placed.pointer.slot, began);
    }

    fn take(&mut self, Slot(slot): Slot) -> Option<Allocation> {
        self.slots.get_mut(slot as usize)?.take()
    }

    fn ended(&mut self, index: u64, ended: &Allocation, is_freed: bool) {
        let culprit = self.culprit(ended.stack, ended.request, ended.is_selected);
        for (peak, counted) in self.peaks() {
            peak.ended(culprit, Bytes { requested: ended.request, counted: counted(ended) });
        }
        if !is_freed {
            return;
        }
        if self.made.get(&ended.thread) == Some(&ended.number) {
            self.charge(What::Temporary, culprit, 1);
            self.charge(What::TemporaryBytes, culprit, ended.request);
        }
        if index.saturating_sub(ended.record) <= FEW_RECORDS {
            self.charge(What::Temporary10, culprit, 1);
            self.charge(What::Temporary10Bytes, culprit, ended.request);
        }
    }

    fn began(&mut self, slot: Slot, began: Allocation) {
        if slot == Slot::NONE {
            return;
        }
        let culprit = self.culprit(began.stack, began.request, began.is_selected);
        let place = slot.0 as usize;
        // A reader keeps a table as long as this one: slots are given out in order.
        if place >= self.slots.len() {
            self.slots.resize((place + 1).next_power_of_two(), None);
        }
        // After damage, what was in the slot may never have been seen to end.
        if let Some(lost) = self.take(slot) {
            self.ended(u64::MAX, &lost, false);
        }
        self.slots[place] = Some(began);
        for (peak, counted) in self.peaks() {
            peak.began(culprit, Bytes { requested: began.request, counted: counted(&began) });
            peak.note();
        }
    }

    fn finish(mut self) -> Vec<Ledger> {
        for ledger in &mut self.ledgers {
            match (ledger.what(), &self.requested, &self.chunks) {
                (What::Peak, Some(requested), _) => requested.settle(ledger),
                (What::Leaks, Some(requested), _) => requested.settle_now(ledger),
                (What::PeakContribution, _, Some(chunks)) => chunks.settle(ledger),
                _ => {}
            }
        }
        self.ledgers
    }
}

fn request_of(allocation: &Allocation) -> u64 {
    allocation.request
}

fn chunk_of(allocation: &Allocation) -> u64 {
    allocation.chunk
}

/// Whether the call ends what it is handed: a `realloc` that was refused does not.
fn ends(call: &Call) -> bool {
    match call {
        Call::Free { .. } => true,
        Call::Realloc { request, to, .. } => *request == 0 || !to.pointer.is_null(),
        Call::Reallocarray { count, size, to, .. } => *count == 0 || *size == 0 || !to.pointer.is_null(),
        _ => false,
    }
}

/// The bytes of a chunk with this head. Where that was not seen: of the smallest that serves the request,
/// in an arena with words of 64 bits.
fn chunk_bytes(head: u64, request: u64) -> u64 {
    const FLAGS: u64 = 7;
    const LEAST: u64 = 32;
    match head & !FLAGS {
        0 => (request.saturating_add(8 + 15) & !15).max(LEAST),
        size => size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Filter, Lifetime};
    use malloscope_traces::header::{Clock, Heap};
    use malloscope_traces::stacks::Frame;
    use malloscope_traces::{Ending, Header, Nanos, Placed, Pointer, Writer};
    use std::io::Cursor;

    const SAMPLED: Sampling = Sampling::Bytes { mean: 1000 };

    /// A trace of these calls, each by a thread and from a stack.
    fn trace(sampling: Sampling, calls: &[(u32, u32, Call)]) -> Reader<Cursor<Vec<u8>>> {
        let heap = Heap { placements: true, ..Heap::default() };
        let header = Header { heap, clock: Clock::default(), ..Header::default() };
        let mut writer = Writer::new(Vec::new(), &header).unwrap();
        writer.capture(Capture { sampling, depth: 9 });
        for number in 1..10 {
            let frame = Frame { caller: Stack::NONE, module: None, address: number.into() };
            assert_eq!(writer.frame(frame), Stack(number));
        }
        for (time, &(thread, stack, call)) in (0..).zip(calls) {
            let record = Record { time: Nanos(time), thread: Thread(thread), program_break: 0, call };
            writer.record_from(&record, Stack(stack)).unwrap();
        }
        Reader::open(Cursor::new(writer.finish(&Ending::default()).unwrap())).unwrap()
    }

    fn malloc(address: u64, request: u64) -> Call {
        let to = Placed { pointer: Pointer::seen(address), head: (request + 24) & !15 | 1 };
        Call::Malloc { request, to }
    }

    fn free(address: u64) -> Call {
        Call::Free { pointer: Pointer::seen(address) }
    }

    fn realloc(address: u64, request: u64, to: u64) -> Call {
        let to = Placed { pointer: Pointer::seen(to), head: (request + 24) & !15 | 1 };
        Call::Realloc { old: Pointer::seen(address), request, to }
    }

    fn blamed(reader: &mut Reader<Cursor<Vec<u8>>>, what: What) -> Blame {
        recorded(reader, &[what], &mut |_| {}).unwrap().blames.remove(0)
    }

    fn check(calls: &[(u32, u32, Call)], what: What, expected: &[(u32, f64)]) {
        let blame = blamed(&mut trace(Sampling::All, calls), what);
        let rows: Vec<(u32, f64)> = blame.rows.iter().map(|row| (row.stack.0, row.weight)).collect();
        assert_eq!(rows, expected, "{what:?}");
        assert_eq!((blame.total, blame.standard_error), (blame.attributed(), None), "{what:?}");
    }

    #[test]
    fn every_stack_is_charged_with_its_own() {
        let calls = [
            (0, 1, malloc(0x100, 100)),
            (0, 2, malloc(0x200, 1000)),
            (0, 0, free(0x200)),
            (1, 3, malloc(0x300, 50)),
            (0, 1, malloc(0x400, 10)),
            (0, 0, free(0x300)),
            (0, 4, realloc(0x100, 500, 0x500)),
            (0, 5, malloc(0, 70)),
            (0, 0, malloc(0x600, 1)),
        ];
        check(&calls, What::Bytes, &[(2, 1000.0), (4, 500.0), (1, 110.0), (3, 50.0), (0, 1.0)]);
        check(&calls, What::Calls, &[(1, 2.0), (0, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 1.0)]);
        check(&calls, What::Peak, &[(2, 1000.0), (1, 100.0)]);
        check(&calls, What::PeakContribution, &[(2, 1024.0), (1, 112.0)]);
        check(&calls, What::Leaks, &[(4, 500.0), (1, 10.0), (0, 1.0)]);
        // Thread 1 made no other before thread 0 freed what it made.
        check(&calls, What::Temporary, &[(2, 1.0), (3, 1.0)]);
        check(&calls, What::TemporaryBytes, &[(2, 1000.0), (3, 50.0)]);
        check(&calls, What::Temporary10, &[(2, 1.0), (3, 1.0)]);
    }

    #[test]
    fn the_first_of_equal_peaks_counts_and_a_refused_realloc_ends_nothing() {
        let calls = [
            (0, 1, malloc(0x100, 100)),
            (0, 0, free(0x100)),
            (0, 2, malloc(0x200, 100)),
            (0, 3, realloc(0x200, 1 << 60, 0)),
        ];
        check(&calls, What::Peak, &[(1, 100.0)]);
        check(&calls, What::Leaks, &[(2, 100.0)]);
        let freed = [(0, 1, malloc(0x100, 100)), (0, 2, realloc(0x100, 0, 0))];
        check(&freed, What::Leaks, &[]);
        check(&freed, What::Temporary, &[]);
    }

    #[test]
    fn of_a_range_is_said_what_would_be_said_of_its_records_alone() {
        let calls = [
            (0, 1, malloc(0x100, 100)),
            (0, 2, malloc(0x200, 1000)),
            (0, 0, free(0x100)),
            (0, 3, malloc(0x300, 50)),
            (0, 0, free(0x300)),
            (0, 0, free(0x200)),
        ];
        let alone = |first: usize, end: usize, what| {
            let range = Range::new(first as u64, end as u64).unwrap();
            let mut whole = trace(Sampling::All, &calls);
            let of = Of { whats: &[what], range, selection: None };
            let within = recorded_within(&mut whole, of, &mut |_| {}).unwrap();
            assert_eq!(within.blames[0], blamed(&mut trace(Sampling::All, &calls[first..end]), what));
            within.blames[0].total
        };
        for what in [What::Bytes, What::Calls, What::Peak, What::Leaks, What::Temporary] {
            for (first, end) in [(0, 6), (1, 4), (2, 5), (3, 4), (5, 6)] {
                alone(first, end, what);
            }
        }
        assert_eq!((alone(1, 4, What::Bytes), alone(3, 4, What::Leaks)), (1050.0, 50.0));
    }

    /// A script of calls by three threads from nine stacks.
    fn script(seed: u64, calls: u64) -> Vec<(u32, u32, Call)> {
        let mut random = seed;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let (mut live, mut script) = (Vec::new(), Vec::new());
        for number in 0..calls {
            let small = |number: u64| u32::try_from(number).unwrap();
            let (thread, stack, request) = (small(next(3)), small(next(10)), next(300));
            let address = 0x100 * (number + 1);
            let chosen = next(live.len().max(1) as u64);
            let kind = if live.is_empty() { 9 } else { next(10) };
            let mut take = || live.swap_remove(usize::try_from(chosen).unwrap());
            match kind {
                0..4 => script.push((thread, 0, free(take()))),
                4 => {
                    script.push((thread, stack, realloc(take(), request + 1, address)));
                    live.push(address);
                }
                5 => script.push((thread, stack, malloc(0, request))),
                _ => {
                    script.push((thread, stack, malloc(address, request)));
                    live.push(address);
                }
            }
        }
        script
    }

    /// What a script's allocations are charged with, by going through it once for each of them.
    fn naive(script: &[(u32, u32, Call)], what: What, filter: &Filter) -> [f64; 11] {
        let placed = |call: &Call| call.placed().map_or(0, |placed| placed.pointer.address);
        let end_of = |address: u64| {
            let ends = |(_, _, call): &(u32, u32, Call)| {
                address != 0 && call.handed().is_some_and(|handed| handed.address == address)
            };
            script.iter().position(ends)
        };
        let is_live = |index: usize, at: usize| {
            let address = placed(&script[index].2);
            index <= at && address != 0 && end_of(address).is_none_or(|end| end > at)
        };
        let live_bytes = |at: usize| -> u64 {
            (0..=at).filter(|&index| is_live(index, at)).map(|index| script[index].2.request().unwrap()).sum()
        };
        // The first of the greatest.
        let peak = (0..script.len()).rev().max_by_key(|&at| live_bytes(at)).unwrap();
        // What is left out is behind the stacks.
        let mut sums = [0.0; 11];
        for (index, (thread, stack, call)) in script.iter().enumerate() {
            let Some(request) = call.request() else { continue };
            let end = end_of(placed(call));
            let (lived, is_freed) = (end.unwrap_or(script.len()) - index, end.is_some());
            let has_lifetime =
                |wanted: Lifetime| placed(call) != 0 && wanted.contains(lived as u64, is_freed);
            let is_selected = filter.thread.is_none_or(|wanted| wanted == *thread)
                && filter.stack.is_none_or(|wanted| wanted == *stack)
                && filter.sizes.is_none_or(|sizes| sizes.contains(request))
                && filter.lifetime.is_none_or(has_lifetime);
            let freed = end.filter(|&end| matches!(script[end].2, Call::Free { .. }));
            let is_next = |end: usize| {
                let of_thread = |one: &&(u32, u32, Call)| one.0 == *thread && placed(&one.2) != 0;
                script[index + 1..end].iter().find(of_thread).is_none()
            };
            let is_given = placed(call) != 0;
            let amount = match what {
                What::Calls => 1,
                What::Bytes if is_given => request,
                What::Peak if is_live(index, peak) => request,
                What::Leaks if is_live(index, script.len() - 1) => request,
                What::Temporary => u64::from(freed.is_some_and(is_next)),
                What::Temporary10Bytes => u64::from(freed.is_some_and(|end| end - index <= 10)) * request,
                _ => 0,
            };
            sums[if is_selected { *stack as usize } else { 10 }] += amount as f64;
        }
        sums
    }

    #[test]
    fn a_filter_charges_what_going_through_the_calls_one_by_one_says() {
        let filters = [
            Filter::default(),
            Filter { thread: Some(1), ..Filter::default() },
            Filter { sizes: "64..=128".parse().ok(), ..Filter::default() },
            Filter { lifetime: "..11".parse().ok(), ..Filter::default() },
            Filter { lifetime: "40..".parse().ok(), sizes: "100..".parse().ok(), ..Filter::default() },
            Filter { lifetime: "never-freed".parse().ok(), ..Filter::default() },
            Filter { stack: Some(4), ..Filter::default() },
        ];
        let whats =
            [What::Calls, What::Bytes, What::Peak, What::Leaks, What::Temporary, What::Temporary10Bytes];
        for (seed, filter) in filters.iter().enumerate() {
            let script = script(seed as u64, 300);
            let mut first = trace(Sampling::All, &script);
            let selection = Selection::of(filter, &mut first, Range::ALL, None, &mut |_| {}).unwrap();
            let of = Of { whats: &whats, range: Range::ALL, selection: selection.as_ref() };
            let read = recorded_within(&mut trace(Sampling::All, &script), of, &mut |_| {}).unwrap();
            for blame in read.blames {
                let expected = naive(&script, blame.what, filter);
                let mut found = [0.0; 11];
                blame.rows.iter().for_each(|row| found[row.stack.0 as usize] = row.weight);
                found[10] = blame.left_out;
                assert_eq!(found, expected, "{:?} of {}", blame.what, filter.said());
                assert_eq!(blame.total, expected[..10].iter().sum::<f64>());
            }
        }
    }

    #[test]
    fn a_lifetime_is_that_of_the_trace_also_in_a_range() {
        let calls =
            [(0, 1, malloc(0x100, 100)), (0, 2, malloc(0x200, 7)), (0, 0, free(0x200)), (0, 0, free(0x100))];
        let filter = Filter { lifetime: "..2".parse().ok(), ..Filter::default() };
        let range = Range::new(0, 2).unwrap();
        let selection =
            Selection::of(&filter, &mut trace(Sampling::All, &calls), range, None, &mut |_| {}).unwrap();
        let of = Of { whats: &[What::Leaks], range, selection: selection.as_ref() };
        let read = recorded_within(&mut trace(Sampling::All, &calls), of, &mut |_| {}).unwrap();
        assert_eq!((read.blames[0].total, read.blames[0].left_out), (7.0, 100.0));
    }

    #[test]
    fn ten_records_are_few_and_eleven_are_not() {
        for (between, expected) in [(9, 1.0), (10, 0.0)] {
            let mut calls = vec![(0, 1, malloc(0x100, 100))];
            calls.extend((0..between).map(|number| (0, 2, malloc(0x1000 + 0x100 * number, 8))));
            calls.push((0, 0, free(0x100)));
            let blame = blamed(&mut trace(Sampling::All, &calls), What::Temporary10);
            assert_eq!(blame.total, expected);
            check(&calls, What::Temporary, &[]);
        }
    }

    #[test]
    fn the_peak_is_what_a_walk_over_all_that_lives_says() {
        let mut random = 7_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for _ in 0..50 {
            let mut live: Vec<(u64, u64, u32)> = Vec::new();
            let (mut calls, mut best, mut greatest) = (Vec::new(), [0.0; 10], 0);
            for number in 0..300 {
                if !live.is_empty() && next(2) == 0 {
                    let index = usize::try_from(next(live.len() as u64)).unwrap();
                    calls.push((0, 0, free(live.swap_remove(index).0)));
                } else {
                    let (address, request) = (0x100 * (number + 1), next(200));
                    let stack = u32::try_from(next(10)).unwrap();
                    calls.push((0, stack, malloc(address, request)));
                    live.push((address, request, stack));
                }
                let now: u64 = live.iter().map(|(_, request, _)| request).sum();
                if now > greatest {
                    greatest = now;
                    best = [0.0; 10];
                    live.iter().for_each(|&(_, request, stack)| best[stack as usize] += request as f64);
                }
            }
            let blame = blamed(&mut trace(Sampling::All, &calls), What::Peak);
            let mut found = [0.0; 10];
            blame.rows.iter().for_each(|row| found[row.stack.0 as usize] = row.weight);
            assert_eq!(found, best);
        }
    }

    #[test]
    fn a_sample_stands_for_what_it_was_taken_from() {
        // 20,000 allocations of four sizes, of which those are sampled that a coin says.
        let mut random = 3_u64;
        let mut calls = Vec::new();
        let mut actual = [0.0; 10];
        for number in 0..20_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let stack = 1 + u32::try_from(number % 4).unwrap();
            let request = [16, 100, 900, 5000][stack as usize - 1];
            actual[stack as usize] += request as f64;
            let is_hit = (random >> 11) as f64 / (1_u64 << 53) as f64 * SAMPLED.weight(request) < 1.0;
            calls.push((0, if is_hit { stack } else { 0 }, malloc(0x100 * (number + 1), request)));
        }
        for what in [What::Bytes, What::Peak, What::Leaks] {
            let blame = blamed(&mut trace(SAMPLED, &calls), what);
            let total: f64 = actual.iter().sum();
            assert_eq!(blame.total, total, "what is not sampled is counted all the same");
            let error = blame.standard_error.unwrap();
            assert!(error > 0.0 && error < total / 50.0);
            assert!((blame.attributed() - total).abs() < 4.0 * error, "{what:?}");
            assert_eq!(blame.rows.len(), 4);
            for row in &blame.rows {
                let off = (row.weight - actual[row.stack.0 as usize]).abs();
                assert!(off < 4.0 * row.error, "{row:?} {actual:?}");
            }
        }
    }
}
