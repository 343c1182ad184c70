//! How a libc is told by what it does: the calls that are made to it, and the message in which it is
//! told where they landed.
//!
//! Distributions carry fixes back, so a version does not say how a malloc behaves. The agent's file
//! is therefore also a program (`malloscope-agent`'s `probe`): run by a dynamic linker, it makes
//! these calls to the libc it was given, and writes to its standard output:
//!
//! ```text
//! ┌────────┬───────┬─────────┬─────────┬──────────┬──────────┬──────────────────────┬───
//! │ mark   │ break │ bytes   │ bytes   │ libc's   │ libc's   │ call 0: payload,     │ …
//! │        │       │ of path │ of id   │ path     │ build id │ head, break after it │
//! └────────┴───────┴─────────┴─────────┴──────────┴──────────┴──────────────────────┴───
//! ```
//!
//! Numbers are words of eight bytes. A program that comes to an early end has said what it has said.
//!
//! What the answers mean is nobody's business here: a replayer makes the same calls to what it knows.

/// What the message begins with.
pub const MARK: u64 = u64::from_le_bytes(*b"mscprobe");

/// How many words come before the texts.
pub const OPENING: usize = 4;

/// A word for each of: where the payload is, its head, and the program break. 0 is none, or not looked at.
pub type Answer = [u64; 3];

/// How many pointers the script handles.
pub const SLOTS: usize = 40;

/// A call that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// By which thread: 0, or 1, which begins when 0 is done. They share no pointers.
    pub thread: u8,
    /// What is called.
    pub call: Call,
}

/// A call of the malloc family. `slot` is where the pointer is kept that it takes or gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the C functions' own parameters")]
pub enum Call {
    /// `malloc(request)`
    Malloc { slot: u8, request: u32 },
    /// `calloc(1, request)`
    Calloc { slot: u8, request: u32 },
    /// `realloc(slot, request)`
    Realloc { slot: u8, request: u32 },
    /// `memalign(alignment, request)`
    Memalign { slot: u8, alignment: u32, request: u32 },
    /// `free(slot)`
    Free { slot: u8 },
}

const fn malloc(slot: u8, request: u32) -> Step {
    Step { thread: 0, call: Call::Malloc { slot, request } }
}

const fn calloc(slot: u8, request: u32) -> Step {
    Step { thread: 0, call: Call::Calloc { slot, request } }
}

const fn realloc(slot: u8, request: u32) -> Step {
    Step { thread: 0, call: Call::Realloc { slot, request } }
}

const fn memalign(slot: u8, alignment: u32, request: u32) -> Step {
    Step { thread: 0, call: Call::Memalign { slot, alignment, request } }
}

const fn free(slot: u8) -> Step {
    Step { thread: 0, call: Call::Free { slot } }
}

const fn elsewhere(step: Step) -> Step {
    Step { thread: 1, call: step.call }
}

/// The calls. All that the first thread asks for, but for what is mapped, fits into the heap that its
/// first call makes: the break moves once.
pub const SCRIPT: &[Step] = &[
    // Is there a cache, how large is its own chunk, and does the first request make it, or the first free?
    malloc(0, 24),
    malloc(1, 24),
    // Does calloc take from it?
    free(0),
    calloc(2, 24),
    // How many chunks does it hold? Of nine, two may be left, which do not touch.
    malloc(3, 200),
    malloc(4, 200),
    malloc(5, 200),
    malloc(6, 200),
    malloc(7, 200),
    malloc(8, 200),
    malloc(9, 200),
    malloc(10, 200),
    malloc(11, 200),
    free(3),
    free(5),
    free(6),
    free(8),
    free(9),
    free(10),
    free(11),
    free(4),
    free(7),
    // Where have those two been put? Out of the unsorted bin the younger one comes first, because both
    // pass through the cache; out of a small bin the older one does.
    malloc(3, 200),
    malloc(5, 200),
    malloc(6, 200),
    malloc(8, 200),
    malloc(9, 200),
    malloc(10, 200),
    malloc(11, 200),
    malloc(4, 200),
    // Is what realloc cuts off free, and is it cached? These are of the largest size that may be.
    malloc(12, 2000),
    malloc(13, 24),
    malloc(14, 2000),
    malloc(15, 24),
    realloc(12, 960),
    realloc(14, 960),
    // If it is not: does the unsorted bin stash chunks that fit, or give out the first?
    malloc(16, 1032),
    malloc(17, 1032),
    // Is that size cached when the program frees it? If not, a smaller request is cut from it.
    malloc(18, 24),
    free(17),
    malloc(19, 500),
    // Does memalign take from the cache, or look through bins; and what becomes of what it cuts off?
    memalign(20, 512, 100),
    malloc(21, 300),
    free(20),
    memalign(22, 512, 100),
    memalign(23, 256, 700),
    malloc(24, 24),
    malloc(25, 130),
    // How large is the head of a mapping?
    malloc(26, 200_000),
    // How large are the structures before an arena's first chunk?
    elsewhere(malloc(30, 24)),
    elsewhere(malloc(31, 24)),
    elsewhere(free(30)),
    elsewhere(malloc(32, 40)),
];
