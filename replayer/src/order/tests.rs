//! Calls are made on a heap in a known order, and stamped as a recorder stamps them: some time before or
//! after. The orderer sees the stamps alone, and must find an order that gives every placement.

use super::past::Listener;
use super::{Numbered, Orderer};
use crate::turn::{Extent, Turn};
use malloscope_allocator::address::{Address, Request};
use malloscope_allocator::arena::LONGEST_SEGMENT;
use malloscope_allocator::bins::lockless::During;
use malloscope_allocator::chunk::{Chunk, FOREIGN};
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::Processors;
use malloscope_allocator::memory::journal::Journal;
use malloscope_allocator::memory::simulated::{DEFAULT_BREAK, Simulated};
use malloscope_allocator::release::V2_36;
use malloscope_allocator::thread::ThreadId;
use malloscope_allocator::tunables::Tunables;
use malloscope_traces::{Call, Nanos, Placed, Pointer, Record, Slot, Stack, Thread};
use std::collections::HashMap;

const THREADS: u32 = 4;
/// Allocations alive at most: enough that thread's caches overflow now and then.
const ALIVE: usize = 3000;
/// Nanoseconds between two calls, in truth.
const APART: u64 = 10;

fn heap() -> Heap<Journal, Listener> {
    let machine = Simulated::new(DEFAULT_BREAK, Processors { online: 2, allowed: 2 });
    Heap::new(Journal::new(machine), Listener::default(), V2_36, &Tunables::default())
}

/// Numbers that look random, the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Whether threads are interrupted: one call in so many, for so many nanoseconds at most.
#[derive(Clone, Copy)]
struct Interruptions {
    one_in: u64,
    most: u64,
}

/// How a program is made up.
#[derive(Clone, Copy, Default)]
struct Make {
    calls: u64,
    /// By how many nanoseconds stamps may be off.
    jitter: u64,
    interruptions: Option<Interruptions>,
    /// Whether chunks arrive on fastbins while other threads' calls are under way.
    has_meetings: bool,
    /// Of so many calls, after one the thread frees two chunks in another order than is recorded, which no order of
    /// the threads' calls explains.
    lies_after: Option<u64>,
}

/// What a recorder sees of an interrupted call.
#[derive(Clone, Copy, Default)]
struct Asleep {
    /// For how long the thread sleeps before the call is made, and after it.
    before: u64,
    after: u64,
    /// Why: because it waited so many times, or although it could have gone on.
    waits: u32,
    preemptions: u32,
}

impl Asleep {
    fn draw(random: &mut Random, interruptions: Option<Interruptions>) -> Option<Asleep> {
        let Interruptions { one_in, most } = interruptions?;
        if random.below(one_in) != 0 {
            return None;
        }
        let time = 1000 + random.below(most);
        Some(match random.below(8) {
            0..4 => Asleep { before: time, waits: 1, ..Asleep::default() },
            4..6 => Asleep { after: time, preemptions: 1, ..Asleep::default() },
            6 => Asleep { before: time, preemptions: 1, ..Asleep::default() },
            // Nobody knows why.
            _ => Asleep { after: time, ..Asleep::default() },
        })
    }
}

/// A program whose threads free what others allocated, as a recorder sees it: stamps may be off, but a
/// thread's are in order, and nothing is freed before it was handed over.
fn recorded(make: Make, seed: u64) -> Vec<Record> {
    let Make { calls, jitter, interruptions, has_meetings, lies_after } = make;
    let mut random = Random(seed);
    let mut heap = heap();
    let mut records: Vec<Record> = Vec::new();
    let mut latest: HashMap<u32, u64> = HashMap::new();
    let mut live: Vec<(u32, Address, u64)> = Vec::new();
    let mut slots = 0;
    if interruptions.is_some() {
        let watched = |thread| Record {
            time: Nanos(0),
            thread: Thread(thread),
            program_break: DEFAULT_BREAK.0,
            call: Call::Watched,
        };
        records.extend((0..THREADS).map(watched));
    }
    for number in 0..calls {
        let truth = 1000 + number * APART;
        let thread = u32::try_from(random.below(THREADS.into())).unwrap_or(0);
        let before = latest.get(&thread).copied().unwrap_or(0);
        if before >= truth {
            // It is still busy with stamping its latest call.
            continue;
        }
        if lies_after.is_some_and(|one_in| number % one_in == one_in - 1) {
            let [one, other] = [live.pop(), live.pop()].map(|block| block.expect("there are many by now"));
            for (_, payload, _) in [one, other] {
                heap.free(ThreadId(thread), payload).expect("the heap is sound");
            }
            for ((slot, payload, _), time) in [(other, truth - 2), (one, truth - 1)] {
                let call = Call::Free { pointer: Pointer { address: payload.0, slot: Slot(slot) } };
                let program_break = heap.memory().machine().program_break().0;
                records.push(Record { time: Nanos(time), thread: Thread(thread), program_break, call });
            }
            continue;
        }
        let asleep = Asleep::draw(&mut random, interruptions);
        let Asleep { before: slept, after: sleeps, waits, preemptions } = asleep.unwrap_or_default();
        let (stamp, over, call) = if live.len() > ALIVE || random.below(5) < 2 && !live.is_empty() {
            let place = usize::try_from(random.below(live.len() as u64)).unwrap_or(0);
            let (slot, payload, born) = live[place];
            if born >= truth {
                continue;
            }
            live.swap_remove(place);
            let began = truth.saturating_sub(random.below(jitter + 1) + slept);
            let stamp = began.max(before + 1).max(born + 1);
            heap.free(ThreadId(thread), payload).expect("the heap is sound");
            let pointer = Pointer { address: payload.0, slot: Slot(slot) };
            (stamp, truth.max(stamp) + sleeps, Call::Free { pointer })
        } else {
            let most = if random.below(20) == 0 { 30_000 } else { 300 };
            let request = 1 + random.below(most);
            let meetings = if has_meetings { random.below(4) } else { 0 };
            for takes in 0..meetings {
                let Some(one) = meet(&heap, &mut random, &live, thread, truth) else { break };
                let (slot, payload, born) = live[one];
                let other = (thread + 1 + u32::try_from(random.below(3)).unwrap_or(0)) % THREADS;
                let before = latest.get(&other).copied().unwrap_or(0).max(born);
                if before + 1 >= truth {
                    break;
                }
                live.swap_remove(one);
                let takes = u32::try_from(takes * 6 + random.below(6)).unwrap_or(0);
                heap.delay_fast(Some(During { call: number, takes }));
                heap.free(ThreadId(other), payload).expect("the heap is sound");
                heap.delay_fast(None);
                let pointer = Pointer { address: payload.0, slot: Slot(slot) };
                let program_break = heap.memory().machine().program_break().0;
                let time = Nanos(truth - 1);
                let call = Call::Free { pointer };
                records.push(Record { time, thread: Thread(other), program_break, call });
                latest.insert(other, truth - 1);
            }
            heap.begin_call(number);
            let payload = heap.malloc(ThreadId(thread), Request(request)).expect("there is memory");
            heap.end_call().expect("the heap is sound");
            let stamp = truth + random.below(jitter + 1) + sleeps;
            slots += 1;
            let pointer = Pointer { address: payload.0, slot: Slot(slots) };
            let head = Chunk::of(heap.memory(), payload).head(heap.memory()).0;
            live.push((slots, payload, stamp));
            (stamp, stamp, Call::Malloc { request, to: Placed { pointer, head } })
        };
        let program_break = heap.memory().machine().program_break().0;
        let record = |time, call| Record { time: Nanos(time), thread: Thread(thread), program_break, call };
        records.push(record(stamp, call));
        if asleep.is_some() {
            records.push(record(over, Call::Interrupted { waits, preemptions }));
        }
        latest.insert(thread, if asleep.is_some() { over } else { stamp });
    }
    records.sort_by_key(|record| record.time);
    records
}

/// A chunk for a fastbin of the arena that a thread allocates from.
fn meet(
    heap: &Heap<Journal, Listener>,
    random: &mut Random,
    live: &[(u32, Address, u64)],
    thread: u32,
    truth: u64,
) -> Option<usize> {
    let arena = heap.arena_of_thread(ThreadId(thread))?;
    let first = usize::try_from(random.below(live.len().max(1) as u64)).ok()?;
    let suits = |&place: &usize| {
        let (_, payload, born) = live[place];
        let size = Chunk::of(heap.memory(), payload).size(heap.memory());
        born < truth && size.bytes() <= 128 && heap.arena_of_payload(payload) == Some(arena)
    };
    (first..live.len()).find(suits)
}

fn order(records: &[Record]) -> (Vec<Numbered>, super::Reordering) {
    let mut orderer = Orderer::new(heap(), DEFAULT_BREAK.0, 0);
    for (index, &record) in (0..).zip(records) {
        orderer.push(Numbered { turn: Turn::whole(index), record, stack: Stack::NONE });
    }
    orderer.finish();
    (orderer.take(), orderer.result())
}

#[test]
fn the_order_of_exact_stamps_is_not_doubted() {
    let records = recorded(Make { calls: 20_000, ..Make::default() }, 1);
    let (ordered, result) = order(&records);
    assert_eq!(result.doubts, 0);
    assert!(ordered.iter().map(|numbered| numbered.turn.index).eq(0..records.len() as u64));
}

#[test]
fn an_order_is_found_that_gives_every_placement() {
    let make = Make { calls: 6_000, jitter: 60, ..Make::default() };
    let doubts = an_order_is_found(12, make);
    assert!(doubts > 50, "only {doubts} placements were in doubt: the test tests little");
}

#[test]
fn an_order_is_found_although_threads_slept_through_thousands_of_calls() {
    let interruptions = Some(Interruptions { one_in: 100, most: 60_000 });
    let make = Make { calls: 60_000, jitter: 30, interruptions, ..Make::default() };
    let doubts = an_order_is_found(20, make);
    assert!(doubts > 100, "only {doubts} placements were in doubt: the test tests little");
}

#[test]
fn chunks_are_found_to_have_arrived_during_a_call() {
    let doubts = an_order_is_found(4, Make { calls: 20_000, has_meetings: true, ..Make::default() });
    assert!(doubts > 10, "only {doubts} placements were in doubt: the test tests little");
}

#[test]
fn what_no_order_explains_is_put_where_it_was_and_the_rest_explains_itself() {
    let make = Make { calls: 30_000, lies_after: Some(5000), ..Make::default() };
    let records = recorded(make, 7);
    let (ordered, result) = order(&records);
    assert!(result.unresolved.is_some(), "{result:?}");
    assert!((1..300).contains(&result.claimed), "{result:?}");
    let claims = ordered.iter().filter(|numbered| numbered.turn.claim.is_some()).count();
    assert_eq!(claims as u64, result.claimed);
    check_placements(ordered, "");
}

#[test]
fn a_call_that_was_not_interrupted_was_short() {
    let mut orderer = Orderer::new(heap(), DEFAULT_BREAK.0, 0);
    let pointer = Pointer { address: 4096, slot: Slot(1) };
    let malloc = Call::Malloc { request: 1, to: Placed { pointer, head: 33 } };
    let free = Call::Free { pointer };
    let interrupted = Call::Interrupted { waits: 1, preemptions: 1 };
    let calls = [malloc, free, Call::Watched, malloc, free, malloc, interrupted, free, interrupted];
    for (index, call) in (0..).zip(calls) {
        let time = Nanos(1_000_000 * (index + 1));
        let record = Record { time, thread: Thread(0), program_break: DEFAULT_BREAK.0, call };
        orderer.push(Numbered { turn: Turn::whole(index), record, stack: Stack::NONE });
    }
    let brief: Vec<u64> =
        orderer.ahead.iter().filter(|item| item.is_brief).map(|item| item.numbered.turn.index).collect();
    assert_eq!(brief, [3, 4]);
    // What returned memory at 4 ms had begun after 3 ms; what gave it back at 5 ms was over before 6 ms.
    let [malloc, free] = [3, 4].map(|place| &orderer.ahead[place]);
    assert_eq!((malloc.from(u64::MAX), malloc.from(5000)), (3_000_000, 3_995_000));
    assert_eq!((free.until(u64::MAX), free.until(5000)), (6_000_000, 5_005_000));
    // What was interrupted may have taken all the time there was.
    let [malloc, free] = [5, 7].map(|place| &orderer.ahead[place]);
    assert_eq!((malloc.from(5000), free.until(5000)), (5_000_000, 9_000_000));
}

/// A few calls, made and recorded one by one.
struct Told {
    heap: Heap<Journal, Listener>,
    records: Vec<Record>,
}

impl Told {
    /// Threads from 0 on that are watched for interruptions, of which the first has called malloc.
    fn by(threads: u32) -> Told {
        let mut told = Told { heap: heap(), records: Vec::new() };
        told.malloc(0, 10, 10);
        (0..threads).for_each(|thread| told.note(thread, 20, Call::Watched));
        told
    }

    fn note(&mut self, thread: u32, time: u64, call: Call) {
        let program_break = self.heap.memory().machine().program_break().0;
        self.records.push(Record { time: Nanos(time), thread: Thread(thread), program_break, call });
    }

    /// A call that is over at that time, wherever it was made before.
    fn malloc(&mut self, thread: u32, time: u64, request: u64) -> (Pointer, Placed) {
        let payload = self.heap.malloc(ThreadId(thread), Request(request)).expect("there is memory");
        let slot = Slot(u32::try_from(self.records.len()).unwrap_or(0));
        let pointer = Pointer { address: payload.0, slot };
        let to = Placed { pointer, head: Chunk::of(self.heap.memory(), payload).head(self.heap.memory()).0 };
        self.note(thread, time, Call::Malloc { request, to });
        (pointer, to)
    }

    fn free(&mut self, thread: u32, time: u64, pointer: Pointer) {
        self.heap.free(ThreadId(thread), Address(pointer.address)).expect("the heap is sound");
        self.note(thread, time, Call::Free { pointer });
    }

    fn exit(&mut self, thread: u32, time: u64) {
        self.heap.thread_exited(ThreadId(thread)).expect("the heap is sound");
        self.note(thread, time, Call::ThreadExit);
    }

    /// Waits in its latest call.
    fn waited(&mut self, thread: u32, time: u64) {
        self.note(thread, time, Call::Interrupted { waits: 1, preemptions: 0 });
    }

    /// All is explained by an order of the calls, none by putting a chunk anywhere.
    fn check_explained(mut self) {
        self.records.sort_by_key(|record| record.time);
        let (ordered, result) = order(&self.records);
        assert_eq!((result.unresolved, result.claimed), (None, 0), "{result:?}");
        check_placements(ordered, "");
    }
}

#[test]
fn a_thread_has_the_arena_that_it_chose_before_it_waited() {
    let mut told = Told::by(4);
    let (large, _) = told.malloc(1, 100, 30_000);
    told.malloc(1, 200, 1000);
    told.malloc(3, 300, 1000);
    told.exit(1, 1000);
    // Thread 2 begins here, when only the first arena is free, and finds its chunk when that of thread 3 is free, too.
    told.heap.prepare(ThreadId(2), Request(29_900)).expect("the heap is sound");
    told.exit(3, 10_000);
    told.free(0, 20_000, large);
    told.malloc(2, 50_000, 29_900);
    told.waited(2, 50_001);
    told.malloc(2, 60_000, 3000);
    told.check_explained();
}

#[test]
fn a_thread_s_first_call_may_have_found_its_chunk_long_before_it_was_over() {
    let mut told = Told::by(3);
    let (large, _) = told.malloc(1, 100, 30_000);
    told.malloc(1, 200, 30_000);
    told.exit(1, 1000);
    // The arena is thread 2's from here on, and so is what lies at its end.
    told.malloc(2, 50_000, 20_000);
    told.waited(2, 50_001);
    told.free(0, 30_000, large);
    told.malloc(2, 60_000, 20_000);
    told.malloc(0, 61_000, 20_000);
    told.check_explained();
}

#[test]
fn a_thread_s_cache_may_be_made_long_before_its_first_call_is_over() {
    let mut told = Told::by(4);
    let (large, _) = told.malloc(1, 100, 30_000);
    told.malloc(1, 200, 30_000);
    // Nothing that is free before is long enough for a cache; then something is, and a request's best fit.
    let (small, _) = told.malloc(1, 300, 2000);
    told.malloc(1, 400, 100);
    told.exit(1, 1000);
    told.heap.prepare(ThreadId(2), Request(640)).expect("the heap is sound");
    told.free(0, 20_000, small);
    told.free(0, 30_000, large);
    told.malloc(2, 50_000, 29_900);
    told.waited(2, 50_001);
    told.malloc(2, 60_000, 1990);
    told.check_explained();
}

/// Orders what each of so many seeds gives. Returns how many placements were in doubt.
fn an_order_is_found(seeds: u64, make: Make) -> u64 {
    let mut doubts = 0;
    for seed in 0..seeds {
        let records = recorded(make, seed);
        let (ordered, result) = order(&records);
        assert_eq!(result.unresolved, None, "seed {seed}: {result:?}");
        assert_eq!(result.doubts, result.resolved, "seed {seed}");
        let wholes = ordered.iter().filter(|numbered| numbered.turn.extent == Extent::Whole);
        let mut seen: Vec<u64> = wholes.map(|numbered| numbered.turn.index).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..records.len() as u64), "seed {seed}: every call once");
        check_placements(ordered, &format!("seed {seed}"));
        doubts += result.doubts;
    }
    doubts
}

/// Makes the calls on a heap of its own, in this order: each comes out as recorded.
fn check_placements(ordered: Vec<Numbered>, seed: &str) {
    let mut fresh = heap();
    let mut payloads = HashMap::new();
    for Numbered { record, turn: Turn { index, during, claim, arena, extent }, .. } in ordered {
        let thread = ThreadId(record.thread.0);
        fresh.delay_fast(during);
        fresh.foresee_arena(arena);
        fresh.begin_call(index);
        match record.call {
            Call::Malloc { request, .. } if extent == Extent::Step => {
                fresh.prepare(thread, Request(request)).expect("the heap is sound");
            }
            Call::ThreadExit if extent == Extent::Step => {
                fresh.thread_gives_back(thread).expect("the heap is sound");
            }
            Call::ThreadExit => fresh.thread_exited(thread).expect("the heap is sound"),
            Call::Malloc { request, to } => {
                let request = Request(request);
                let payload = match claim {
                    Some(claim) => fresh.malloc_at(thread, request, claim),
                    None => fresh.malloc(thread, request),
                };
                let payload = payload.expect("there is memory");
                // Which of several new segments lies where depends on which was mapped first.
                let place = |address: u64| {
                    if to.head & FOREIGN == 0 { address } else { address % LONGEST_SEGMENT }
                };
                let recorded = to.pointer.address;
                assert_eq!(place(payload.0), place(recorded), "{seed}, record {index}");
                payloads.insert(to.pointer.slot, payload);
            }
            Call::Free { pointer } => {
                let payload = payloads.remove(&pointer.slot).expect("it was allocated before");
                fresh.free(thread, payload).expect("the heap is sound");
            }
            Call::Watched | Call::Interrupted { .. } => {}
            other => panic!("{other:?} was never recorded"),
        }
        fresh.delay_fast(None);
        fresh.end_call().expect("the heap is sound");
    }
}
