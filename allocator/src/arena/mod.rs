//! An arena: its bins, its top chunk, its totals.
//!
//! The lists' sentinels lie in memory where glibc's `struct malloc_state` has them, since free
//! chunks point at them; the rest of that structure is a Rust value, and its room stays empty.

pub(crate) mod choice;
pub(crate) mod merge;
pub(crate) mod segment;
pub(crate) mod top;

use crate::address::Address;
use crate::bins::{LISTS, UNSORTED, fast::Fastbins, map::BinMap};
use crate::chunk::{Chunk, FOREIGN};
use crate::heap::Context;
use crate::layout::{Geometry, Layout};
use crate::list::List;
use crate::memory::Words;
use crate::release::Release;

pub use choice::ArenaPick;
pub(crate) use segment::SHORTEST as SHORTEST_SEGMENT;

/// The greatest length of a segment, and what every segment begins at a multiple of, where words have 64
/// bits.
pub const LONGEST_SEGMENT: u64 = Geometry::OF_64_BITS.longest_segment();

/// The number of an arena: 0 is the main one, then in the order they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArenaId(pub u32);

impl ArenaId {
    /// The main arena, which lives on the program break.
    pub const MAIN: ArenaId = ArenaId(0);
}

/// An arena.
#[derive(Clone, Debug)]
pub struct Arena {
    id: ArenaId,
    /// Where its `malloc_state` lies.
    state: Address,
    /// Where the sentinel of the first list lies.
    lists: Address,
    /// What its chunks in use have in their heads: [`FOREIGN`], or nothing in the main arena.
    pub(crate) flag: u64,
    pub(crate) fast: Fastbins,
    pub(crate) map: BinMap,
    pub(crate) top: Chunk,
    /// What was left of the latest chunk that was split for a small request.
    pub(crate) last_remainder: Chunk,
    /// Whether everything up to the break is this arena's: true of the main arena until it first
    /// has to take a mapping instead. glibc: the absence of `NONCONTIGUOUS_BIT`.
    pub(crate) contiguous: bool,
    /// Whether it was found to be corrupted and the process lives on. glibc: `ARENA_CORRUPTION_BIT`.
    pub(crate) is_corrupted: bool,
    /// glibc: `system_mem`.
    pub(crate) system_bytes: u64,
    /// glibc: `max_system_mem`.
    pub(crate) greatest_system_bytes: u64,
    /// The arena that follows in the ring of all arenas. glibc: `next`.
    next: ArenaId,
    /// The arena that follows on the list of those without threads. glibc: `next_free`.
    next_free: Option<ArenaId>,
    /// Threads that allocate here. An arena on the free list has none.
    attached_threads: u64,
}

/// An arena's place among the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    pub(crate) next: ArenaId,
    pub(crate) next_free: Option<ArenaId>,
    pub(crate) attached_threads: u64,
}

impl Arena {
    /// An arena with nothing in it, whose `malloc_state` lies at `state` in zeroed memory.
    pub(crate) fn new<W: Words>(words: &mut W, release: &Release, id: ArenaId, state: Address) -> Arena {
        let main = id == ArenaId::MAIN;
        let mut arena = Arena {
            id,
            state,
            lists: state + release.malloc_state().lists - W::Layout::HEADER,
            flag: if main { 0 } else { FOREIGN },
            fast: Fastbins::default(),
            map: BinMap::default(),
            top: Chunk::NONE,
            last_remainder: Chunk::NONE,
            contiguous: main,
            is_corrupted: false,
            system_bytes: 0,
            greatest_system_bytes: 0,
            next: ArenaId::MAIN,
            next_free: None,
            attached_threads: 1,
        };
        for number in UNSORTED..LISTS {
            arena.list(words, number).clear(words);
        }
        // The unsorted bin's sentinel is a chunk of size 0: a top chunk that never serves anybody.
        arena.top = arena.initial_top();
        arena
    }

    /// Which arena this is.
    pub fn id(&self) -> ArenaId {
        self.id
    }

    /// Whether this is the main arena.
    pub fn is_main(&self) -> bool {
        self.flag == 0
    }

    /// Whether everything from where the heap begins to its end is this arena's: true of the main arena until it
    /// first has to take a mapping instead of more of the program break.
    pub fn is_contiguous(&self) -> bool {
        self.contiguous
    }

    /// Whether it was found to be corrupted, and the process lives on.
    pub fn is_corrupted(&self) -> bool {
        self.is_corrupted
    }

    /// The chunk that borders unclaimed memory.
    pub fn top(&self) -> Chunk {
        self.top
    }

    /// Whether the arena has ever had memory.
    pub fn has_memory(&self) -> bool {
        self.top != self.initial_top()
    }

    /// The bytes it has from the kernel now, free and in use. glibc: `system_mem`.
    pub fn system_bytes(&self) -> u64 {
        self.system_bytes
    }

    /// The most it ever had. glibc: `max_system_mem`.
    pub fn greatest_system_bytes(&self) -> u64 {
        self.greatest_system_bytes
    }

    /// How many threads allocate here.
    pub fn attached_threads(&self) -> u64 {
        self.attached_threads
    }

    /// Takes its place among the others.
    pub(crate) fn link(&mut self, links: Links) {
        (self.next, self.next_free) = (links.next, links.next_free);
        self.attached_threads = links.attached_threads;
    }

    /// The arena that follows in the ring of all arenas.
    pub(crate) fn next(&self) -> ArenaId {
        self.next
    }

    /// Where its `malloc_state` lies.
    pub(crate) fn state(&self) -> Address {
        self.state
    }

    /// The list of this number, from 1 to 127 (glibc: `bin_at`).
    #[inline]
    pub(crate) fn list<W: Words>(&self, _: &W, number: usize) -> List {
        let before = number as u64 - UNSORTED as u64;
        List { sentinel: Chunk(self.lists + before * W::Layout::HEADER) }
    }

    /// The list of what was freed and has not been sorted.
    #[inline]
    pub(crate) fn unsorted(&self) -> List {
        List { sentinel: Chunk(self.lists) }
    }

    /// What `top` is before there is any memory (glibc: `initial_top`).
    pub(crate) fn initial_top(&self) -> Chunk {
        self.unsorted().sentinel
    }

    /// Notes that the arena has `bytes` more from the kernel.
    pub(crate) fn grant(&mut self, bytes: u64) {
        self.system_bytes = self.system_bytes.wrapping_add(bytes);
    }

    /// Notes that the arena has never had more than now, if that is so.
    pub(crate) fn note_greatest(&mut self) {
        self.greatest_system_bytes = self.greatest_system_bytes.max(self.system_bytes);
    }
}

/// The lowest chunk of memory that begins here.
pub(crate) fn first_chunk_from<M: Words, O>(cx: &Context<M, O>, start: Address) -> Chunk {
    Chunk::of(&cx.memory, (start + M::Layout::HEADER).align_up(cx.alignment()))
}
