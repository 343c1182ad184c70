//! One call a program made to malloc: who, when, what it asked and what it got.
//!
//! A [`Record`] is what a recorder hands to [`Writer`](crate::Writer) and what
//! [`Reader`](crate::Reader) gives back. It says what happened, with the addresses that were
//! seen; it knows nothing of what an allocator should have done. The one thing added on the way
//! is the [`Slot`] of every pointer: the writer knows which allocation an address stood for, so a
//! reader never has to look an address up.

use serde::{Deserialize, Serialize};

/// Time since the trace began, in nanoseconds of the clock its header names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Nanos(pub u64);

/// A thread of the traced program: 0 is the one that made the first call, then in order of first sight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Thread(pub u32);

/// The table entry that stands for an allocation from the call that made it to the call that ends it.
///
/// A slot is taken again by a later allocation once it is free, the latest freed first, so there
/// are never more slots than allocations were alive at one time: a replay needs a table of that
/// size and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot(pub u32);

impl Slot {
    /// No allocation of this trace: a null pointer, or an address whose allocation was never seen.
    pub const NONE: Slot = Slot(u32::MAX);
}

/// A pointer the program handled: the address it saw, and the allocation it stood for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pointer {
    /// The address of the payload; 0 is the null pointer. In a trace without placements
    /// (see [`Header`](crate::Header)) any number that tells live allocations apart.
    pub address: u64,
    /// Its allocation. [`Slot::NONE`] in a record that goes to a writer, which fills it in.
    pub slot: Slot,
}

impl Pointer {
    /// The null pointer.
    pub const NULL: Pointer = Pointer { address: 0, slot: Slot::NONE };

    /// The address of an allocation that was placed in a part of the trace that is damaged or was
    /// skipped. Its slot is known all the same. Only a [`Reader`](crate::Reader) gives this.
    pub const UNKNOWN: u64 = u64::MAX;

    /// The pointer to `address`, as a recorder sees it: before anybody knows its slot.
    pub fn seen(address: u64) -> Pointer {
        Pointer { address, slot: Slot::NONE }
    }

    /// Whether this is the null pointer.
    pub fn is_null(self) -> bool {
        self.address == 0
    }
}

/// What an allocating call returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Placed {
    /// The payload; null when the call failed (or, for `realloc(p, 0)`, freed).
    pub pointer: Pointer,
    /// The word before the payload right after the call: glibc's `mchunk_size`, the chunk's size
    /// with its three flags (1 previous in use, 2 mapped, 4 not in the main arena). 0 where it was
    /// not seen.
    pub head: u64,
}

/// One record of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// When: a call that gives memory back is stamped before it, one that returns memory after it,
    /// so that no hand-over of memory between threads goes back in time.
    pub time: Nanos,
    /// Which thread made the call.
    pub thread: Thread,
    /// The program break after the call (`sbrk(0)`), 0 where it was not seen.
    pub program_break: u64,
    /// What was called.
    pub call: Call,
}

/// A call, with its arguments and what came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields are the C functions' own parameters")]
pub enum Call {
    /// `malloc(request)`
    Malloc { request: u64, to: Placed },
    /// `calloc(count, size)`
    Calloc { count: u64, size: u64, to: Placed },
    /// `realloc(old, request)`. The allocation keeps its slot when it moves.
    Realloc { old: Pointer, request: u64, to: Placed },
    /// `reallocarray(old, count, size)`
    Reallocarray { old: Pointer, count: u64, size: u64, to: Placed },
    /// `free(pointer)`, `cfree`, `free_sized`, `free_aligned_sized`
    Free { pointer: Pointer },
    /// `memalign(alignment, request)`
    Memalign { alignment: u64, request: u64, to: Placed },
    /// `aligned_alloc(alignment, request)`
    AlignedAlloc { alignment: u64, request: u64, to: Placed },
    /// `posix_memalign(&to, alignment, request)`
    PosixMemalign { alignment: u64, request: u64, to: Placed },
    /// `valloc(request)`
    Valloc { request: u64, to: Placed },
    /// `pvalloc(request)`
    Pvalloc { request: u64, to: Placed },
    /// `malloc_trim(pad)`
    Trim { pad: u64, returned: i32 },
    /// `mallopt(parameter, value)`
    Mallopt { parameter: i32, value: i32, returned: i32 },
    /// `malloc_usable_size(pointer)`; only in imported scripts.
    UsableSize { pointer: Pointer },
    /// Somebody other than malloc moved the program break by this many bytes (`sbrk`, `brk`).
    MoveBreak { by: i64 },
    /// The thread made its first call. `id` is the kernel's name for it, 0 where unknown.
    ThreadStart { id: u32 },
    /// The thread is gone, and with it its tcache.
    ThreadExit,
    /// `pthread_create` by a script: unlike in a recorded trace, what the C library itself asks of
    /// malloc for it is not in the trace and is the replay's to add.
    Spawn { thread: Thread },
    /// `pthread_join` by a script: `thread` is gone when it returns.
    Join { thread: Thread },
    /// `fork` returned in the parent; the child's calls are in a trace of their own.
    Fork { child: u32 },
    /// From here on it is recorded which of the thread's calls were interrupted.
    Watched,
    /// The thread did not run all the time during its latest call, which was over at this record's
    /// time: it waited for something so many times, and was taken off the processor although it could
    /// have gone on so many times (`ru_nvcsw` and `ru_nivcsw` of getrusage(2)). Both are 0 if that is
    /// not known, and where the thread merely handled a signal.
    Interrupted { waits: u32, preemptions: u32 },
}

impl Call {
    /// Whether this is a call of the malloc family.
    pub fn is_of_malloc(&self) -> bool {
        !matches!(
            self,
            Call::MoveBreak { .. }
                | Call::ThreadStart { .. }
                | Call::ThreadExit
                | Call::Spawn { .. }
                | Call::Join { .. }
                | Call::Fork { .. }
                | Call::Watched
                | Call::Interrupted { .. }
        )
    }

    /// What the call returned, if it is one that returns memory.
    pub fn placed(&self) -> Option<Placed> {
        let mut call = *self;
        call.placed_mut().copied()
    }

    /// How many bytes the call asks for, if it is one that asks for memory: of `calloc` and `reallocarray`
    /// the product.
    pub fn request(&self) -> Option<u64> {
        match *self {
            Call::Malloc { request, .. }
            | Call::Realloc { request, .. }
            | Call::Memalign { request, .. }
            | Call::AlignedAlloc { request, .. }
            | Call::PosixMemalign { request, .. }
            | Call::Valloc { request, .. }
            | Call::Pvalloc { request, .. } => Some(request),
            Call::Calloc { count, size, .. } | Call::Reallocarray { count, size, .. } => {
                Some(count.saturating_mul(size))
            }
            _ => None,
        }
    }

    /// [`Call::placed`], to be changed.
    pub fn placed_mut(&mut self) -> Option<&mut Placed> {
        match self {
            Call::Malloc { to, .. }
            | Call::Calloc { to, .. }
            | Call::Realloc { to, .. }
            | Call::Reallocarray { to, .. }
            | Call::Memalign { to, .. }
            | Call::AlignedAlloc { to, .. }
            | Call::PosixMemalign { to, .. }
            | Call::Valloc { to, .. }
            | Call::Pvalloc { to, .. } => Some(to),
            _ => None,
        }
    }

    /// The allocation the call was handed, if it is one that takes one.
    pub fn handed(&self) -> Option<Pointer> {
        match *self {
            Call::Realloc { old, .. } | Call::Reallocarray { old, .. } => Some(old),
            Call::Free { pointer } | Call::UsableSize { pointer } => Some(pointer),
            _ => None,
        }
    }
}
