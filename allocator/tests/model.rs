//! Random calls beside a plain map: nothing overlaps, contents survive, and after every call every
//! invariant holds; on a machine that grants everything, and on one that refuses.

use malloscope_allocator::address::{Address, Request};
use malloscope_allocator::corruption::{Corruption, Refusal};
use malloscope_allocator::heap::Heap;
use malloscope_allocator::layout::{Bits32, Bits64, Layout};
use malloscope_allocator::memory::failing::Failing;
use malloscope_allocator::memory::simulated::{DEFAULT_BREAK, Simulated};
use malloscope_allocator::memory::{HugePages, Memory, Processors};
use malloscope_allocator::release::Release;
use malloscope_allocator::thread::ThreadId;
use malloscope_allocator::tunables::{Ignored, Tunable, Tunables};
use proptest::prelude::*;
use std::collections::BTreeMap;

const THREADS: u32 = 4;
const PROCESSORS: Processors = Processors { online: 2, allowed: 2 };

#[derive(Clone, Copy, Debug)]
enum Step {
    Malloc(u64),
    Calloc(u64),
    Realloc(usize, u64),
    Free(usize),
    Memalign(u32, u64),
    Trim(u64),
    Mallopt(i32, i32),
    MoveBreak(u32),
    Exit,
    /// Of a block, how far from it a chunk is claimed, of what size, and whether the block is to move there.
    Claim(usize, i32, u64, bool),
}

fn size() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0u64..200,
        4 => 0u64..3000,
        2 => 1000u64..70_000,
        1 => 100_000u64..3_000_000,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => size().prop_map(Step::Malloc),
        5 => size().prop_map(Step::Calloc),
        8 => (any::<usize>(), size()).prop_map(|(which, size)| Step::Realloc(which, size)),
        24 => any::<usize>().prop_map(Step::Free),
        3 => (0u32..16, size()).prop_map(|(log, size)| Step::Memalign(log, size)),
        1 => (0u64..200_000).prop_map(Step::Trim),
        1 => (prop_oneof![Just(1), -4..-1i32], 0..200_000i32).prop_map(|(name, value)| Step::Mallopt(name, value)),
        1 => (1u32..9000).prop_map(Step::MoveBreak),
        1 => Just(Step::Exit),
        6 => (any::<usize>(), -300i32..300, 0u64..3000, any::<bool>())
            .prop_map(|(which, beside, size, moves)| Step::Claim(which, 16 * beside, size, moves)),
    ]
}

/// A heap beside what it should hold: every live payload, its length, and the word it was filled with.
struct Pair<M> {
    heap: Heap<M>,
    live: BTreeMap<u64, (u64, u64)>,
    stamp: u64,
    /// glibc would have aborted: it does not expect a misaligned break once it has met a hole.
    aborted: bool,
}

impl<M: Memory> Pair<M> {
    fn new(memory: M, release: Release, tunables: &Tunables) -> Pair<M> {
        Pair {
            heap: Heap::new(memory, (), release, tunables),
            live: BTreeMap::new(),
            stamp: 0,
            aborted: false,
        }
    }

    fn take(&mut self, step: Step, thread: ThreadId) {
        match step {
            Step::Malloc(size) => {
                let payload = self.heap.malloc(thread, Request(size));
                self.born(payload, size, 1, false);
            }
            Step::Calloc(size) => {
                let payload = self.heap.calloc(thread, 1, size);
                self.born(payload, size, 1, true);
            }
            Step::Memalign(log, size) => {
                let payload = self.heap.memalign(thread, 1 << log, Request(size));
                self.born(payload, size, 1 << log, false);
            }
            Step::Realloc(which, size) => self.realloc(which, size, thread),
            Step::Free(which) => {
                if let Some(payload) = self.pick(which) {
                    self.assert_intact(payload);
                    self.live.remove(&payload);
                    self.heap.free(thread, Address(payload)).expect("a live payload can be freed");
                }
            }
            Step::Trim(pad) => {
                self.heap.trim(pad).expect("a sound heap can be trimmed");
            }
            Step::Mallopt(name, value) => {
                self.heap.mallopt(name, value).expect("a sound heap takes settings");
            }
            Step::MoveBreak(by) => {
                self.heap.memory_mut().move_break(by.into());
            }
            Step::Exit if thread != ThreadId::MAIN => {
                self.heap.thread_exited(thread).expect("a sound thread can exit");
                self.heap.thread_created(thread);
            }
            Step::Exit => {}
            Step::Claim(which, beside, size, moves) => self.claim(which, beside, size, moves, thread),
        }
    }

    /// Claims a chunk beside a block.
    fn claim(&mut self, which: usize, beside: i32, size: u64, moves: bool, thread: ThreadId) {
        let Some(block) = self.pick(which) else { return };
        let claimed = Address(block.wrapping_add_signed(beside.into()));
        let chunk = self.heap.release().geometry().chunk_for(Request(size));
        let Some(claim) = self.heap.claim_for(claimed, chunk) else { return };
        if !moves {
            let payload = self.heap.malloc_at(thread, Request(size), claim);
            self.born(payload, size, 1, false);
            return;
        }
        self.assert_intact(block);
        match self.heap.realloc_at(thread, Address(block), Request(size), claim).transpose() {
            Some(moved) => self.reallocated(block, size, moved),
            None => self.assert_intact(block),
        }
    }

    fn pick(&self, which: usize) -> Option<u64> {
        let count = self.live.len();
        (count > 0).then(|| *self.live.keys().nth(which % count).expect("within the count"))
    }

    fn realloc(&mut self, which: usize, size: u64, thread: ThreadId) {
        let Some(old) = self.pick(which) else { return };
        self.assert_intact(old);
        let moved = self.heap.realloc(thread, Address(old), Request(size));
        self.reallocated(old, size, moved);
    }

    fn reallocated(&mut self, old: u64, size: u64, moved: Result<Address, Refusal>) {
        let (length, word) = self.live[&old];
        match moved {
            Err(Refusal::OutOfMemory) => self.assert_intact(old),
            Err(Refusal::Corrupted(Corruption::BreakMisaligned)) => self.aborted = true,
            Err(other) => panic!("{other}"),
            Ok(now) => {
                self.live.remove(&old);
                if size > 0 {
                    for offset in words::<M>(length.min(size)) {
                        assert_eq!(self.heap.memory().load(now + offset), word, "contents survive realloc");
                    }
                    self.born(Ok(now), size, 1, false);
                }
            }
        }
    }

    fn born(&mut self, payload: Result<Address, Refusal>, size: u64, alignment: u64, zeroed: bool) {
        let payload = match payload {
            Ok(payload) => payload,
            Err(Refusal::OutOfMemory) => return,
            Err(Refusal::Corrupted(Corruption::BreakMisaligned)) => {
                self.aborted = true;
                return;
            }
            Err(other) => panic!("{other}"),
        };
        assert!(payload.is_aligned(alignment.max(self.heap.release().geometry().alignment)));
        let below = self.live.range(..payload.0 + size.max(1)).next_back();
        if let Some((&other, &(length, _))) = below {
            assert!(other + length.max(1) <= payload.0, "payloads never overlap");
        }
        self.stamp += 1;
        for offset in words::<M>(size) {
            if zeroed {
                assert_eq!(self.heap.memory().load(payload + offset), 0, "calloc zeroes");
            }
            self.heap.memory_mut().store(payload + offset, self.stamp);
        }
        assert!(self.heap.usable_size(payload).expect("a live payload has a size") >= size);
        self.live.insert(payload.0, (size, self.stamp));
    }

    fn assert_intact(&self, payload: u64) {
        let (length, word) = self.live[&payload];
        for offset in words::<M>(length) {
            assert_eq!(
                self.heap.memory().load(Address(payload + offset)),
                word,
                "nobody writes into a live payload"
            );
        }
    }
}

/// The whole words in so many bytes: where each begins.
fn words<M: Memory>(length: u64) -> impl Iterator<Item = u64> {
    (0..length / M::Layout::WORD).map(|number| number * M::Layout::WORD)
}

fn run<M: Memory>(memory: M, release: Release, tunables: &Tunables, steps: &[(u32, Step)]) -> Pair<M> {
    let mut pair = Pair::new(memory, release, tunables);
    for &(thread, step) in steps {
        pair.take(step, ThreadId(thread));
        if pair.aborted {
            break;
        }
        if let Err(violation) = pair.heap.check() {
            panic!("after {step:?}: {violation}");
        }
    }
    pair
}

fn steps(threads: u32) -> impl Strategy<Value = Vec<(u32, Step)>> {
    proptest::collection::vec((0..threads, step()), 1..300)
}

fn release() -> impl Strategy<Value = Release> {
    proptest::sample::select(Release::ALL.to_vec())
}

/// A release, and what it takes of some settings.
fn started() -> impl Strategy<Value = (Release, Tunables)> {
    let setting = prop_oneof![
        (0u64..300_000).prop_map(|value| (Tunable::TopPad, value)),
        (0u64..8).prop_map(|value| (Tunable::TcacheCount, value)),
        (0u64..1033).prop_map(|value| (Tunable::TcacheMax, value)),
        (0u64..4).prop_map(|value| (Tunable::TcacheUnsortedLimit, value)),
        (0u64..161).prop_map(|value| (Tunable::Mxfast, value)),
        (1u64..4).prop_map(|value| (Tunable::ArenaMax, value)),
        (0u64..200_000).prop_map(|value| (Tunable::MmapThreshold, value)),
        (0u64..200_000).prop_map(|value| (Tunable::TrimThreshold, value)),
        (0u64..3).prop_map(|value| (Tunable::MmapMax, value)),
        (1u64..256).prop_map(|value| (Tunable::Perturb, value)),
        (1033u64..300_000).prop_map(|value| (Tunable::TcacheMax, value)),
        (1u64..4).prop_map(|value| (Tunable::Hugetlb, value)),
    ];
    (release(), proptest::collection::vec(setting, 0..3)).prop_map(|(release, settings)| {
        let mut tunables = Tunables::default();
        for (tunable, value) in settings {
            // Not every release has every tunable.
            let _: Result<(), Ignored> = tunables.set(&release, tunable, value);
        }
        (release, tunables)
    })
}

fn machine() -> Simulated {
    machine_of(Bits64)
}

fn machine_of<L: Layout>(layout: L) -> Simulated<L> {
    let mut machine = Simulated::of(layout, L::SPACE.default_break, PROCESSORS);
    machine.offer_huge_pages(HugePages { free: 100, ..HugePages::default() });
    machine
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_single_thread_gets_memory_of_its_own((release, tunables) in started(), steps in steps(1)) {
        run(machine(), release, &tunables, &steps);
    }

    #[test]
    fn threads_get_memory_of_their_own((release, tunables) in started(), steps in steps(THREADS)) {
        run(machine(), release, &tunables, &steps);
    }

    #[test]
    fn narrow_words_make_no_difference_to_that((release, tunables) in started(), steps in steps(THREADS)) {
        run(machine_of(Bits32), release, &tunables, &steps);
    }

    #[test]
    fn a_kernel_that_refuses_costs_the_request_and_nothing_else(
        (release, tunables) in started(),
        grants in 0u64..40,
        steps in steps(THREADS),
    ) {
        let pair = run(Failing::after(machine(), grants), release, &tunables, &steps);
        let mut heap = pair.heap;
        heap.memory_mut().relent(100);
        prop_assert!(
            pair.aborted || heap.malloc(ThreadId::MAIN, Request(100)).is_ok(),
            "a heap recovers when the kernel does"
        );
    }

    #[test]
    fn a_misaligned_break_and_a_wall_are_lived_with(offset in 0u64..8192, wall in 0u64..2_000_000, steps in steps(2)) {
        let start = DEFAULT_BREAK + offset;
        let mut machine = Simulated::new(start, PROCESSORS);
        machine.limit_break(start + wall);
        run(machine, Release::OF_SCRIPTS, &Tunables::default(), &steps);
    }

    #[test]
    fn narrow_words_live_with_a_misaligned_break_and_a_wall(
        release in release(),
        offset in 0u64..8192,
        wall in 0u64..2_000_000,
        steps in steps(2),
    ) {
        let start = Bits32::SPACE.default_break + offset;
        let mut machine = Simulated::of(Bits32, start, PROCESSORS);
        machine.limit_break(start + wall);
        run(machine, release, &Tunables::default(), &steps);
    }

    #[test]
    fn narrow_words_live_with_a_kernel_that_refuses(
        (release, tunables) in started(),
        grants in 0u64..40,
        steps in steps(THREADS),
    ) {
        run(Failing::after(machine_of(Bits32), grants), release, &tunables, &steps);
    }

    #[test]
    fn a_fork_leaves_the_child_a_sound_heap(before in steps(THREADS), thread in 0..THREADS, after in steps(1)) {
        let mut pair = run(machine(), Release::OF_SCRIPTS, &Tunables::default(), &before);
        prop_assume!(!pair.aborted);
        pair.heap.forked(ThreadId(thread));
        for (_, step) in after {
            pair.take(step, ThreadId(thread));
            prop_assert!(pair.aborted || pair.heap.check() == Ok(()));
        }
    }
}

#[test]
fn a_thread_may_begin_with_an_aligned_request() {
    let steps = [(1, Step::Memalign(5, 0)), (0, Step::Malloc(1996))];
    run(machine(), Release::OF_SCRIPTS, &Tunables::default(), &steps);
}
