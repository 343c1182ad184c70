//! A heap that has gone back to an earlier moment is what it was then: it goes on as one that never went
//! further.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use malloscope_allocator::address::{Address, Request};
use malloscope_allocator::bins::lockless::During;
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::Processors;
use malloscope_allocator::memory::journal::Journal;
use malloscope_allocator::memory::simulated::{DEFAULT_BREAK, Simulated};
use malloscope_allocator::release::V2_36;
use malloscope_allocator::thread::ThreadId;
use malloscope_allocator::tunables::Tunables;
use proptest::prelude::*;

const SLOTS: usize = 64;

/// A call by one of a few threads, on one of a few slots.
#[derive(Clone, Copy, Debug)]
enum Call {
    Malloc(u64),
    Calloc(u64),
    Realloc(u64),
    Memalign(u64),
    Free,
    GiveBack,
    /// A free whose chunk, if it is a fast one, arrives during the next call, after so many takes.
    FreeLate(u32),
}

type Step = (u32, usize, Call);

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![6 => 1u64..200, 4 => 1u64..3000, 2 => 1000u64..70_000, 1 => 100_000u64..900_000];
    let call = (0u32..44, size).prop_map(|(which, size)| match which {
        0..14 => Call::Malloc(size),
        14..18 => Call::Calloc(size),
        18..24 => Call::Realloc(size),
        24..26 => Call::Memalign(size),
        39 => Call::GiveBack,
        40.. => Call::FreeLate((which - 40) * 4),
        _ => Call::Free,
    });
    (0u32..3, 0..SLOTS, call)
}

fn heap() -> Heap<Journal> {
    let machine = Simulated::new(DEFAULT_BREAK, Processors { online: 2, allowed: 2 });
    let mut heap = Heap::new(Journal::new(machine), (), V2_36, &Tunables::default());
    heap.memory_mut().begin();
    heap
}

/// Makes the calls, of which the first has the number `first`; returns what each gave.
fn run(heap: &mut Heap<Journal>, slots: &mut [Address; SLOTS], first: usize, steps: &[Step]) -> Vec<Address> {
    let mut placed = Vec::new();
    for (number, &(thread, slot, call)) in (first as u64..).zip(steps) {
        let thread = ThreadId(thread);
        heap.begin_call(number);
        if let Call::FreeLate(takes) = call {
            heap.delay_fast(Some(During { call: number + 1, takes }));
        }
        let old = slots[slot];
        slots[slot] = match call {
            Call::Realloc(size) => heap.realloc(thread, old, Request(size)).unwrap(),
            Call::GiveBack => {
                heap.thread_gives_back(thread).unwrap();
                old
            }
            _ => {
                heap.free(thread, old).unwrap();
                match call {
                    Call::Malloc(size) => heap.malloc(thread, Request(size)).unwrap(),
                    Call::Calloc(size) => heap.calloc(thread, 1, size).unwrap(),
                    Call::Memalign(size) => heap.memalign(thread, 256, Request(size)).unwrap(),
                    _ => Address::NULL,
                }
            }
        };
        heap.delay_fast(None);
        heap.end_call().unwrap();
        placed.push(slots[slot]);
    }
    placed
}

proptest! {
    #[test]
    fn going_back_undoes_everything(
        before in prop::collection::vec(step(), 1..300),
        astray in prop::collection::vec(step(), 1..300),
        after in prop::collection::vec(step(), 1..300),
    ) {
        let (mut straight, mut slots) = (heap(), [Address::NULL; SLOTS]);
        run(&mut straight, &mut slots, 0, &before);
        let expected = run(&mut straight, &mut slots, before.len(), &after);

        let (mut heap, mut slots) = (heap(), [Address::NULL; SLOTS]);
        run(&mut heap, &mut slots, 0, &before);
        let (moment, snapshot, then) = (heap.memory().now(), heap.snapshot(), slots);
        run(&mut heap, &mut slots, before.len(), &astray);
        heap.memory_mut().back_to(moment);
        heap.restore(&snapshot);
        slots = then;
        heap.check().unwrap();
        prop_assert_eq!(run(&mut heap, &mut slots, before.len(), &after), expected);
        heap.check().unwrap();
    }
}
