//! A ring: who writes it, how far, and how far it has been read.
//!
//! Indices only grow, over all threads that ever have the ring; a slot is found by the low bits of
//! its index, and its lap is the rest. So a ring that is handed on needs no cleaning.

use core::sync::atomic::{AtomicU32, AtomicU64};

/// How many slots a ring has, as a power of two.
///
/// 16384 slots are 512 KiB: what `benches/recording.sh` found smallest of those where a thread that
/// does nothing but call malloc hardly ever waits.
pub const SLOTS_LOG2: u32 = 14;

/// How many slots a ring has.
pub const SLOTS: u64 = 1 << SLOTS_LOG2;

/// The index of the first slot: of lap 1, because lap 0 is what an empty ring looks like.
pub const FIRST: u64 = SLOTS;

/// Bytes of a ring's slots.
pub const BYTES: usize = size_of::<crate::Slot>() << SLOTS_LOG2;

/// Where in a ring the slot with this index is.
#[inline(always)]
pub const fn place(index: u64) -> usize {
    (index & (SLOTS - 1)) as usize
}

/// Slots a writer leaves free.
///
/// It looks whether there is room and then reserves; a signal handler may do the same in between,
/// and one in that handler again. Each takes two slots at most.
pub const MARGIN: u64 = 128;

/// A ring's header: a cache line for its writer, and one for its reader.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Ring {
    /// The index of the next slot to reserve, as the thread last told: a signal handler that
    /// interrupts it there may have come further.
    pub cursor: AtomicU64,
    /// Calls the thread made that were not recorded.
    pub lost: AtomicU64,
    /// How often the thread waited for the reader.
    pub waits: AtomicU64,
    /// Who has the ring: a [`Tenancy`].
    pub tenancy: AtomicU64,
    /// The kernel's name for the thread.
    pub thread: AtomicU32,
    /// Of the reader.
    pub reader: Reader,
}

/// The reader's part of a ring.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Reader {
    /// All slots before this index have been read and may be written again.
    pub head: AtomicU64,
    /// 1 while the thread sleeps until `head` moves, which the reader ends by storing 0 and waking it.
    pub waiting: AtomicU32,
}

/// Who has a ring, and how far it has come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenancy {
    /// How far.
    pub stage: Stage,
    /// The number of the process entry.
    pub process: u16,
    /// The low end of the ring's lap when it was taken, which is another each time: a thread that
    /// speaks of a ring it had can be told from the one that has it.
    pub lap: u32,
}

const _: () = assert!(crate::PROCESSES <= 1 << u16::BITS);

/// How far a thread has come with its ring. It goes forward only; the reader ends it by
/// storing [`Tenancy::NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Stage {
    /// It is being set up.
    Taken = 1,
    /// The thread writes.
    Open,
    /// The thread has run its last destructor.
    Leaving,
    /// The thread is gone: another has its place in memory.
    Left,
}

impl Tenancy {
    /// Nobody has the ring.
    pub const NONE: u64 = 0;

    /// A ring whose next slot has this index is taken by that process.
    #[expect(clippy::cast_possible_truncation, reason = "the low end is what is wanted")]
    pub const fn taking(process: u16, index: u64) -> Tenancy {
        Tenancy { stage: Stage::Taken, process, lap: (index >> SLOTS_LOG2) as u32 }
    }

    /// The same, but this far.
    pub const fn at(self, stage: Stage) -> Tenancy {
        Tenancy { stage, ..self }
    }

    /// The word that says this.
    pub const fn word(self) -> u64 {
        (self.stage as u64) << 48 | (self.process as u64) << 32 | self.lap as u64
    }

    /// Reads the word back; `None` if nobody has the ring, or if it is nonsense.
    #[expect(clippy::cast_possible_truncation, reason = "each part is cut out of the word")]
    pub fn read(word: u64) -> Option<Tenancy> {
        let stages = [Stage::Taken, Stage::Open, Stage::Leaving, Stage::Left];
        let stage = stages.into_iter().find(|stage| *stage as u64 == word >> 48)?;
        Some(Tenancy { stage, process: (word >> 32) as u16, lap: word as u32 })
    }
}
