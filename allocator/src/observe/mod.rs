//! What the allocator did, told while it happens to whoever listens.
//!
//! An observer is a type parameter of the heap. `()` hears nothing and costs nothing: its
//! [`Observer::event`] is empty and the events are never made. A pair of observers hears everything
//! twice.

pub mod counters;

use crate::address::{Address, ChunkSize, Request};
use crate::arena::ArenaId;
use crate::bins::Bin;
use crate::chunk::Chunk;
use crate::memory::{Access, Mapping};

/// Something that is told what the allocator does.
pub trait Observer {
    /// Is told of one event, in the order they happen.
    fn event(&mut self, event: Event);
}

impl Observer for () {
    #[inline(always)]
    fn event(&mut self, _: Event) {}
}

impl<A: Observer, B: Observer> Observer for (A, B) {
    #[inline(always)]
    fn event(&mut self, event: Event) {
        self.0.event(event);
        self.1.event(event);
    }
}

impl<O: Observer> Observer for &mut O {
    #[inline(always)]
    fn event(&mut self, event: Event) {
        (**self).event(event);
    }
}

/// One thing the allocator did: what, where, and enough to redraw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program asked for memory, and a chunk of this size would serve it.
    Asked {
        /// What was asked.
        request: Request,
        /// The smallest chunk that will do.
        size: ChunkSize,
    },
    /// A bin was looked into and had nothing.
    Missed {
        /// The bin.
        bin: Bin,
    },
    /// Chunks of a bin were looked at, one after another, on the way of a request: to find one that serves it, to
    /// fill the tcache, or to find the place of another among them.
    LookedAt {
        /// The bin.
        bin: Bin,
        /// How many: at least one.
        chunks: u32,
    },
    /// The program was given a chunk: every [`Event::Asked`] ends with this or with nothing.
    Served {
        /// Where the chunk came from.
        from: Source,
        /// The chunk.
        chunk: Chunk,
        /// Its size, which may be 16 bytes more than needed.
        size: ChunkSize,
    },
    /// A chunk was cut in two.
    Split {
        /// The part that serves the request.
        chunk: Chunk,
        /// What is left.
        remainder: Chunk,
    },
    /// A chunk moved from a bin to the thread's tcache, in case it is wanted soon.
    Stashed {
        /// The chunk.
        chunk: Chunk,
        /// Where it waited before.
        from: Bin,
    },
    /// A chunk moved from the unsorted bin to the bin of its size.
    Sorted {
        /// The chunk.
        chunk: Chunk,
        /// The bin of its size.
        into: Bin,
    },
    /// A chunk came to rest in a bin: the program gave it back, or it was left over.
    Released {
        /// The chunk, as it rests: merged with its free neighbours where the bin does that.
        chunk: Chunk,
        /// Its size.
        size: ChunkSize,
        /// The bin.
        into: Bin,
    },
    /// Two free neighbours became one chunk.
    Merged {
        /// The lower one.
        kept: Chunk,
        /// The upper one.
        gone: Chunk,
    },
    /// An arena's fastbins were emptied and their chunks merged.
    Consolidated {
        /// The arena.
        arena: ArenaId,
    },
    /// An arena's top chunk grew by memory from the kernel.
    TopGrew {
        /// The arena.
        arena: ArenaId,
        /// Bytes.
        by: u64,
    },
    /// An arena's top chunk gave memory back to the kernel.
    TopShrank {
        /// The arena.
        arena: ArenaId,
        /// Bytes.
        by: u64,
    },
    /// Freeing a mapped chunk raised the mmap threshold; the trim threshold is twice that.
    ThresholdMoved {
        /// The new mmap threshold.
        to: u64,
    },
    /// An arena was made for a thread that had none.
    ArenaMade {
        /// The arena.
        arena: ArenaId,
    },
    /// A thread was attached to an arena that was there already.
    ArenaReused {
        /// The arena.
        arena: ArenaId,
    },
    /// Somebody other than malloc moved the program break.
    ForeignBreak {
        /// Bytes up, or down if negative.
        by: i64,
        /// Where the break was; `None` if it could not be moved.
        from: Option<Address>,
    },
    /// A call to the kernel, and its answer.
    Kernel(KernelCall),
}

/// Where the chunk that serves a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The thread's own cache, which had one of the size.
    Tcache(u8),
    /// A fastbin.
    Fast(u8),
    /// The small bin of the size.
    Small(u8),
    /// The unsorted bin, which had one of exactly the size.
    Unsorted,
    /// The unsorted bin: the latest remainder, alone there, was split once more.
    LastRemainder,
    /// A large bin, whole.
    Large(u8),
    /// Cut from a larger chunk of this list of the arena (a small or a large bin).
    Split(u8),
    /// The top chunk as it stood.
    Top,
    /// The top chunk after it was made larger by the kernel.
    GrownTop,
    /// A new mapping of the chunk's own.
    Mapped,
    /// `realloc`: the chunk stayed where it was, as it is or made smaller.
    Stayed,
    /// `realloc`: the chunk took in free memory above it.
    Extended,
    /// `realloc`: the chunk's own mapping was given another length.
    Remapped,
}

/// What is found for a request: a chunk, and where it came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) chunk: Chunk,
    pub(crate) source: Source,
}

/// A call to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelCall {
    /// `brk`
    MoveBreak {
        /// Bytes up, or down if negative.
        by: i64,
        /// Where the break was; `None` if it could not be moved.
        from: Option<Address>,
    },
    /// `mmap`
    Map {
        /// What was asked for.
        mapping: Mapping,
        /// Where it is.
        at: Option<Address>,
    },
    /// `mmap` with `MAP_FIXED`, to shrink a segment.
    MapOver {
        /// The place.
        at: Address,
        /// Bytes.
        length: u64,
    },
    /// `munmap`
    Unmap {
        /// The place.
        at: Address,
        /// Bytes.
        length: u64,
    },
    /// `mremap`
    Remap {
        /// Where it was.
        at: Address,
        /// Bytes it had.
        from: u64,
        /// Bytes it should have.
        to: u64,
        /// Where it is now.
        now: Option<Address>,
    },
    /// `mprotect`
    Protect {
        /// The place.
        at: Address,
        /// Bytes.
        length: u64,
        /// What may be done with it now.
        access: Access,
    },
    /// `madvise(MADV_HUGEPAGE)`
    RecommendHuge {
        /// The place.
        at: Address,
        /// Bytes.
        length: u64,
    },
    /// `madvise(MADV_DONTNEED)`
    Discard {
        /// The place.
        at: Address,
        /// Bytes.
        length: u64,
    },
}
