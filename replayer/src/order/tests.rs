//! Calls are made on a heap in a known order, and stamped as a recorder stamps them: some time before or
//! after. The orderer sees the stamps alone, and must find an order that gives every placement.

use super::past::Listener;
use super::{Extent, Numbered, Orderer};
use malloscope_allocator::address::{Address, Request};
use malloscope_allocator::arena::LONGEST_SEGMENT;
use malloscope_allocator::chunk::{Chunk, FOREIGN};
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::Processors;
use malloscope_allocator::memory::journal::Journal;
use malloscope_allocator::memory::simulated::{DEFAULT_BREAK, Simulated};
use malloscope_allocator::release::V2_36;
use malloscope_allocator::thread::ThreadId;
use malloscope_allocator::tunables::Tunables;
use malloscope_traces::{Call, Nanos, Placed, Pointer, Record, Slot, Thread};
use std::collections::HashMap;

const THREADS: u32 = 4;
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

/// A program whose threads free what others allocated, as a recorder sees it: stamps may be off by `jitter`
/// nanoseconds, but a thread's are in order, and nothing is freed before it was handed over.
fn recorded(calls: u64, jitter: u64, seed: u64) -> Vec<Record> {
    let mut random = Random(seed);
    let mut heap = heap();
    let mut records: Vec<Record> = Vec::new();
    let mut latest: HashMap<u32, u64> = HashMap::new();
    let mut live: Vec<(u32, Address, u64)> = Vec::new();
    let mut slots = 0;
    for number in 0..calls {
        let truth = 1000 + number * APART;
        let thread = u32::try_from(random.below(THREADS.into())).unwrap_or(0);
        let before = latest.get(&thread).copied().unwrap_or(0);
        if before >= truth {
            // It is still busy with stamping its latest call.
            continue;
        }
        let (stamp, call) = if live.len() > 40 || random.below(5) < 2 && !live.is_empty() {
            let place = usize::try_from(random.below(live.len() as u64)).unwrap_or(0);
            let (slot, payload, born) = live[place];
            if born >= truth {
                continue;
            }
            live.swap_remove(place);
            let stamp = truth.saturating_sub(random.below(jitter + 1)).max(before + 1).max(born + 1);
            heap.free(ThreadId(thread), payload).expect("the heap is sound");
            let pointer = Pointer { address: payload.0, slot: Slot(slot) };
            (stamp, Call::Free { pointer })
        } else {
            let most = if random.below(20) == 0 { 30_000 } else { 300 };
            let request = 1 + random.below(most);
            let payload = heap.malloc(ThreadId(thread), Request(request)).expect("there is memory");
            let stamp = truth + random.below(jitter + 1);
            slots += 1;
            let pointer = Pointer { address: payload.0, slot: Slot(slots) };
            let head = Chunk::of(payload).head(heap.memory()).0;
            live.push((slots, payload, stamp));
            (stamp, Call::Malloc { request, to: Placed { pointer, head } })
        };
        latest.insert(thread, stamp);
        let program_break = heap.memory().machine().program_break().0;
        records.push(Record { time: Nanos(stamp), thread: Thread(thread), program_break, call });
    }
    records.sort_by_key(|record| record.time);
    records
}

fn order(records: &[Record]) -> (Vec<Numbered>, super::Reordering) {
    let mut orderer = Orderer::new(heap(), DEFAULT_BREAK.0);
    for (index, &record) in (0..).zip(records) {
        orderer.push(Numbered { index, record, extent: Extent::Whole });
    }
    orderer.finish();
    (orderer.take(), orderer.result())
}

#[test]
fn the_order_of_exact_stamps_is_not_doubted() {
    let records = recorded(20_000, 0, 1);
    let (ordered, result) = order(&records);
    assert_eq!(result.doubts, 0);
    assert!(ordered.iter().map(|numbered| numbered.index).eq(0..records.len() as u64));
}

#[test]
fn an_order_is_found_that_gives_every_placement() {
    let mut doubts = 0;
    for seed in 0..12 {
        let records = recorded(6_000, 60, seed);
        let (ordered, result) = order(&records);
        assert_eq!(result.unresolved, None, "seed {seed}: {result:?}");
        assert_eq!(result.doubts, result.resolved, "seed {seed}");
        let mut seen: Vec<u64> = ordered.iter().map(|numbered| numbered.index).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..records.len() as u64), "seed {seed}: every call once");
        let mut fresh = heap();
        let mut payloads = HashMap::new();
        for Numbered { record, index, .. } in ordered {
            let thread = ThreadId(record.thread.0);
            match record.call {
                Call::Malloc { request, to } => {
                    let payload = fresh.malloc(thread, Request(request)).expect("there is memory");
                    // Which of several new segments lies where depends on which was mapped first.
                    let place = |address: u64| {
                        if to.head & FOREIGN == 0 { address } else { address % LONGEST_SEGMENT }
                    };
                    let recorded = to.pointer.address;
                    assert_eq!(place(payload.0), place(recorded), "seed {seed}, record {index}");
                    payloads.insert(to.pointer.slot, payload);
                }
                Call::Free { pointer } => {
                    let payload = payloads.remove(&pointer.slot).expect("it was allocated before");
                    fresh.free(thread, payload).expect("the heap is sound");
                }
                other => panic!("{other:?} was never recorded"),
            }
        }
        doubts += result.doubts;
    }
    assert!(doubts > 50, "only {doubts} placements were in doubt: the test tests little");
}
