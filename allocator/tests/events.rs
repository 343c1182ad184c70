//! A few scenes, told by the events: what a person who knows malloc would say happened.

use malloscope_allocator::address::{Address, Request};
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::Processors;
use malloscope_allocator::memory::simulated::{DEFAULT_BREAK, Simulated};
use malloscope_allocator::observe::{Event, KernelCall, Observer};
use malloscope_allocator::release::V2_36;
use malloscope_allocator::thread::ThreadId;
use malloscope_allocator::tunables::Tunables;

/// Writes every event as a line, with addresses relative to the first break.
#[derive(Default)]
struct Story(Vec<String>);

fn offset(at: Address) -> String {
    let from_break = at.0.wrapping_sub(DEFAULT_BREAK.0);
    if from_break < 1 << 40 { format!("+{from_break:#x}") } else { "mapping".to_owned() }
}

impl Observer for Story {
    fn event(&mut self, event: Event) {
        let line = match event {
            Event::Asked { request, size } => format!("asked for {}, a chunk of {}", request.0, size.bytes()),
            Event::Missed { bin } => format!("missed {bin:?}"),
            Event::Served { from, chunk, size } => {
                format!("served {} at {} from {from:?}", size.bytes(), offset(chunk.0))
            }
            Event::Split { chunk, remainder } => {
                format!("split {} at {}", offset(chunk.0), offset(remainder.0))
            }
            Event::Stashed { chunk, from } => format!("stashed {} from {from:?}", offset(chunk.0)),
            Event::Sorted { chunk, into } => format!("sorted {} into {into:?}", offset(chunk.0)),
            Event::Released { chunk, size, into } => {
                format!("released {} of {} into {into:?}", offset(chunk.0), size.bytes())
            }
            Event::Merged { kept, gone } => format!("merged {} and {}", offset(kept.0), offset(gone.0)),
            Event::LookedAt { bin, chunks } => format!("looked at {chunks} of {bin:?}"),
            Event::Kernel(KernelCall::MoveBreak { by, .. }) => format!("moved the break by {by:#x}"),
            other => format!("{other:?}"),
        };
        self.0.push(line);
    }
}

struct Scene {
    heap: Heap<Simulated, Story>,
    payloads: Vec<Address>,
}

impl Scene {
    fn new() -> Scene {
        let machine = Simulated::new(DEFAULT_BREAK, Processors { online: 2, allowed: 2 });
        Scene {
            heap: Heap::new(machine, Story::default(), V2_36, &Tunables::default()),
            payloads: Vec::new(),
        }
    }

    /// Allocates; the payload is number 0, 1, 2, …
    fn malloc(&mut self, sizes: impl IntoIterator<Item = u64>) -> &mut Scene {
        for size in sizes {
            let payload = self.heap.malloc(ThreadId::MAIN, Request(size)).expect("there is memory");
            self.payloads.push(payload);
        }
        self
    }

    fn free(&mut self, numbers: impl IntoIterator<Item = usize>) -> &mut Scene {
        for number in numbers {
            self.heap.free(ThreadId::MAIN, self.payloads[number]).expect("it is live");
        }
        self
    }

    /// Nothing before this is part of the story.
    fn begins(&mut self) -> &mut Scene {
        self.heap.observer_mut().0.clear();
        self
    }

    fn reads(&mut self, story: &[&str]) {
        assert_eq!(self.heap.observer().0, story);
    }
}

#[test]
fn the_first_request_grows_the_break_and_makes_the_tcache() {
    Scene::new().malloc([24]).reads(&[
        "asked for 24, a chunk of 32",
        "missed Small(41)",
        "missed Unsorted",
        "missed Top",
        "moved the break by 0x21000",
        "TopGrew { arena: ArenaId(0), by: 135168 }",
        "missed Tcache(0)",
        "missed Fast(0)",
        "missed Small(2)",
        "missed Unsorted",
        "served 32 at +0x290 from Top",
    ]);
}

#[test]
fn the_eighth_of_a_size_overflows_into_the_fastbin_and_comes_back_through_it() {
    Scene::new()
        .malloc([24; 8])
        .free(0..7)
        .begins()
        .free([7])
        .malloc([24; 7])
        .begins()
        .malloc([24])
        .reads(&["asked for 24, a chunk of 32", "missed Tcache(0)", "served 32 at +0x370 from Fast(0)"]);
}

#[test]
fn freed_neighbours_merge_and_the_remainder_serves_the_next() {
    Scene::new().malloc([2000, 2000, 24]).begins().free([0, 1]).malloc([100]).reads(&[
        "released +0x290 of 2016 into Unsorted",
        "merged +0x290 and +0xa70",
        "released +0x290 of 4032 into Unsorted",
        "asked for 100, a chunk of 112",
        "missed Tcache(5)",
        "missed Fast(5)",
        "missed Small(7)",
        "sorted +0x290 into Large(98)",
        "missed Unsorted",
        "looked at 1 of Unsorted",
        "looked at 1 of Large(98)",
        "split +0x290 at +0x300",
        "released +0x300 of 3920 into Unsorted",
        "served 112 at +0x290 from Split(98)",
    ]);
}

#[test]
fn a_large_request_is_mapped_until_one_was_freed() {
    let mut scene = Scene::new();
    scene.malloc([200_000]).free([0]).begins().malloc([200_000]);
    let story = scene.heap.observer().0.join("\n");
    assert!(story.ends_with("from GrownTop"), "{story}");
}
