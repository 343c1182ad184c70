//! The memory a recorder and the programs it records share: what lies where, and what it means.
//!
//! One sparse memory file, made by the recorder, mapped by every recorded process:
//!
//! ```text
//! ┌─────────┬───────────────────┬───────────────────────────┬────────┬────────┬───
//! │ Control │ Ring × RINGS      │ Process × PROCESSES       │ bank 0 │ bank 1 │ …
//! │ 4 KiB   │ one per thread:   │ one per process:          │ the slots of 32 rings
//! │         │ who writes, how   │ its pid, its heap's start │ each; mapped when a
//! │         │ far, read how far │ and what it is called     │ thread needs one
//! └─────────┴───────────────────┴───────────────────────────┴────────┴────────┴───
//! ```
//!
//! A ring is written by one thread and read by the recorder; [`slot`] says how a reader knows a
//! slot is written without being told. Everything is an atomic integer, so looking at it is safe
//! Rust whoever writes at the same time, and every bit pattern is a value: neither side can be
//! led astray by the other's memory, only told nonsense. Whoever maps the file is who needs `unsafe`.
//!
//! Left to others: taking and waiting (`malloscope-agent`), reading and ordering
//! (`malloscope-recorder`). Nothing here calls anything.
#![no_std]
#![deny(unsafe_code)]

pub mod attachment;
pub mod bench;
pub mod children;
pub mod clock;
pub mod handover;
pub mod probe;
pub mod process;
pub mod ring;
pub mod slot;

use core::sync::atomic::{AtomicU32, AtomicU64};

pub use attachment::Attachment;
pub use children::{Children, Which};
pub use clock::Clock;
pub use handover::Handover;
pub use process::Process;
pub use ring::Ring;
pub use slot::Slot;

/// Changes with any change of this crate's meaning. Both sides come from one file, so they differ
/// only when somebody mixes two.
pub const VERSION: u32 = 5;

/// How many threads can be recorded at one time, over all processes.
pub const RINGS: usize = 4096;

/// How many processes can be recorded at one time.
pub const PROCESSES: usize = 256;

/// Rings whose slots are mapped together.
///
/// A bank is 16 MiB of address space, of which only written pages are ever memory. Less would cost
/// programs with many threads more system calls; more would hurt those that lock all their memory.
pub const BANK_RINGS: usize = 32;

/// How many banks there are.
pub const BANKS: usize = RINGS / BANK_RINGS;

/// Bytes of one bank.
pub const BANK_BYTES: usize = BANK_RINGS * ring::BYTES;

/// Where in the file bank 0 begins.
pub const BANKS_AT: usize = size_of::<Shared>();

/// Bytes of the whole file, nearly all of them a hole.
pub const FILE_BYTES: usize = BANKS_AT + BANKS * BANK_BYTES;

/// A page, on the one architecture we record.
pub const PAGE: usize = 4096;

const _: () = assert!(RINGS.is_multiple_of(BANK_RINGS) && BANKS_AT.is_multiple_of(PAGE));

/// What comes before the banks.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Shared {
    /// Of the recording as a whole.
    pub control: Control,
    /// One per recorded thread.
    pub rings: [Ring; RINGS],
    /// One per recorded process.
    pub processes: [Process; PROCESSES],
}

/// Of the recording as a whole. The recorder writes it, unless said otherwise.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Control {
    /// [`VERSION`].
    pub version: AtomicU32,
    /// What a thread does when its ring is full: a [`WhenFull`].
    pub when_full: AtomicU32,
    /// Where times come from: a [`Clock`].
    pub clock: AtomicU32,
    /// The recorder's process id.
    pub recorder: AtomicU32,
    /// Not 0: nobody reads any more, and nobody will.
    pub ended: AtomicU32,
    /// 1 while the recorder sleeps, which a thread that needs it ends by storing 0 and waking it.
    pub asleep: AtomicU32,
    /// Moves with every ring and process taken or given up, by whoever does it: a reason to look at them all.
    pub arrivals: AtomicU32,
    /// How many rings, counted from the first, have ever been taken. Written by those who take.
    pub rings_used: AtomicU32,
    /// How many process entries, counted from the first, have ever been taken. Written by those who take.
    pub processes_used: AtomicU32,
    /// The next [`Process::serial`]. Written by those who take.
    pub serials: AtomicU64,
    /// Processes that found no entry free. Written by them.
    pub turned_away: AtomicU32,
    /// How many rings, counted from the first, may be taken.
    pub rings: AtomicU32,
    /// How many frames a stack has at most; 0 if no stacks are wanted.
    pub stack_depth: AtomicU32,
    /// How many bytes are asked for from one call whose stack is wanted to the next, on average; 0 if that of
    /// every call is.
    pub stack_every: AtomicU64,
    /// Which processes are recorded that a recorded one makes.
    pub children: Children,
    /// Moves while the recorder runs.
    pub heartbeat: Heartbeat,
}

/// A word that moves whenever the recorder has looked at everything: every 4 milliseconds at least.
/// In a cache line of its own, because programs look at it with every call.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Heartbeat(pub AtomicU32);

/// What a thread does when its ring is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum WhenFull {
    /// Waits until the recorder has caught up. Nothing is lost.
    #[default]
    Wait,
    /// Goes on, and counts what is not recorded.
    Drop,
}
