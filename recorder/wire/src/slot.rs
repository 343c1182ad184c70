//! One slot of a ring: 32 bytes that say what a thread did, and whether they have been written.
//!
//! ```text
//! word 0  label   bits 63…16 small   bits 15…8 lap   bits 7…0 kind
//! word 1  time    ticks of the recording's clock
//! word 2  first   } what the kind says: usually the payload,
//! word 3  second  } and the head of its chunk
//! ```
//!
//! A thread reserves a slot, writes words 1 to 3 and writes the label last. The lap counts how
//! often the ring has gone round, so a reader that waits for slot `index` knows from the label
//! alone whether it is there: whatever lay in the slot before carries an earlier lap. Nothing else
//! is published, and a signal handler that interrupts a thread while it writes takes the next slot.
//!
//! A call whose arguments do not fit is *wide*: the slot before it, reserved together with it, is
//! a [`Kind::Arguments`].

use core::sync::atomic::{AtomicU64, Ordering};

use crate::ring;

/// One slot.
#[derive(Debug, Default)]
#[repr(C, align(32))]
pub struct Slot {
    /// Label, time, first, second.
    pub words: [AtomicU64; 4],
}

/// Defines [`Kind`] and how to read it back: the list is written once.
macro_rules! kinds {
    ($($(#[$about:meta])* $name:ident),* $(,)?) => {
        /// What a slot says. “First” and “second” are its words 2 and 3.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Kind { $($(#[$about])* $name),* }

        impl Kind {
            /// Every kind, by number.
            pub const ALL: &[Kind] = &[$(Kind::$name),*];
        }
    };
}

kinds! {
    /// `malloc`: small is the request, first the payload, second its head. These two have the number of a
    /// frame with them, here and wherever else a payload and its head are told: see [`with_site`].
    Malloc,
    /// `free` begins: first is the payload. Nothing is written when it returns, unless [`Kind::BreakAfter`].
    Free,
    /// `calloc`: small is count and size, see [`pack`]; first the payload, second its head.
    Calloc,
    /// `realloc` begins: small is the request, first the old payload.
    Realloc,
    /// `realloc` of no payload: as [`Kind::Malloc`].
    ReallocOfNull,
    /// `reallocarray` begins: first is the old payload. Wide: count and size.
    Reallocarray,
    /// `realloc` or `reallocarray` ends: small is the low end of the index of the slot it began
    /// with, first the payload, second its head.
    Reallocated,
    /// `memalign`: first is the payload, second its head. Wide: alignment and request.
    Memalign,
    /// `aligned_alloc`: as [`Kind::Memalign`].
    AlignedAlloc,
    /// `posix_memalign`: as [`Kind::Memalign`].
    PosixMemalign,
    /// `valloc`: as [`Kind::Malloc`].
    Valloc,
    /// `pvalloc`: as [`Kind::Malloc`].
    Pvalloc,
    /// `malloc_trim`: small is the number of the frame it was called from, first the pad, second what was
    /// returned.
    Trim,
    /// `mallopt`: small is what was returned, first the parameter, second the value.
    Mallopt,
    /// The program break is first after the thread's next call.
    BreakIs,
    /// The program break is first after the thread's last call, which was a `free` from the frame with the
    /// number small.
    BreakAfter,
    /// `sbrk` or `brk` moved the program break by first; it is second now.
    MoveBreak,
    /// The thread made its first call; first is the kernel's name for it.
    ThreadStart,
    /// The thread ran its last destructor. Calls may follow.
    ThreadExit,
    /// `fork` returned; first is the child, second the ticket it carries.
    Fork,
    /// First and second are arguments of the call in the next slot.
    Arguments,
    /// From here on it is told which of the thread's calls were interrupted.
    Watched,
    /// The thread's last call was interrupted: first is how often it waited, second how often it was
    /// taken off the processor although it could have gone on; both 0 if that is not known.
    Interrupted,
    /// A module that code of frames told later is in, or of which there is news: first is where it begins,
    /// second where it ends. Wide: how far it was moved, and how long its path is, and from bit 16 on its
    /// build id. Of what was said to lie there before, nothing does any more. [`Kind::Text`] follows.
    Module,
    /// Sixteen bytes more of what the thread's last [`Kind::Module`] is called: first and second. The
    /// path comes first and the build id right behind it.
    Text,
    /// A frame: small is the number of its caller's, 0 if there is none, first where it returns to, second
    /// its own number among those of this thread.
    Frame,
    /// The thread begins to count its frames anew.
    NoFrames,
    /// No memory is behind these pages, and the thread's next call is about to give them back: first is where they
    /// begin, second where they end. Wide: the payload whose chunk they are a mapping of, 0 for those of the main heap.
    Untouched,
}

/// How many bits of a word an address or the size of a chunk takes. A frame's number is in what is left of
/// the last two words of a call: see [`with_site`].
const ADDRESS_BITS: u32 = 48;

/// The last two words of a call that was made from the frame with this number; 0 if that is not known.
///
/// Programs get addresses of 47 bits, but for those who ask for more (`mmap` with a hint), which malloc does not.
#[inline(always)]
pub const fn with_site(first: u64, second: u64, site: u32) -> (u64, u64) {
    (first | (site as u64 & 0xffff) << ADDRESS_BITS, second | (site as u64 >> 16) << ADDRESS_BITS)
}

/// What [`with_site`] was given.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "there are two times sixteen bits of it")]
pub const fn without_site(first: u64, second: u64) -> (u64, u64, u32) {
    let site = first >> ADDRESS_BITS | second >> ADDRESS_BITS << 16;
    let address = (1 << ADDRESS_BITS) - 1;
    (first & address, second & address, site as u32)
}

/// Bytes of text in a [`Kind::Text`].
pub const TEXT_BYTES: usize = 16;

/// Set in a label's kind: the slot before holds the arguments.
pub const WIDE: u8 = 0x80;

/// What fits in a label beside kind and lap.
pub const SMALL_BITS: u32 = 48;

/// Half of it: what `calloc` may ask for without being wide.
const HALF_BITS: u32 = SMALL_BITS / 2;

/// The first word of the slot with this index, if it is `kind`; `small` must fit.
#[inline(always)]
pub const fn label(index: u64, kind: u8, small: u64) -> u64 {
    small << 16 | lap(index) | kind as u64
}

/// Whether `value` fits beside kind and lap.
#[inline(always)]
pub const fn is_small(value: u64) -> bool {
    value >> SMALL_BITS == 0
}

/// As much of an index as fits: enough to tell apart all that are in a ring.
#[inline(always)]
pub const fn low(index: u64) -> u64 {
    index & ((1 << SMALL_BITS) - 1)
}

/// Two values in the room of one small one, or `None` if they do not fit.
#[inline(always)]
pub const fn pack(first: u64, second: u64) -> Option<u64> {
    if (first | second) >> HALF_BITS == 0 { Some(first << HALF_BITS | second) } else { None }
}

/// The two values [`pack`] was given.
pub const fn unpack(small: u64) -> (u64, u64) {
    (small >> HALF_BITS, small & ((1 << HALF_BITS) - 1))
}

/// What the label of the slot with this index carries in [`LAP`].
///
/// A ring begins as zeros, which its first lap must not look like: see [`ring::FIRST`].
#[inline(always)]
const fn lap(index: u64) -> u64 {
    index >> (ring::SLOTS_LOG2 - LAP.trailing_zeros()) & LAP
}

/// The bits of a label that carry the lap: enough of it, because what lies in a slot is of the lap
/// before, or of one a little earlier if some were never written.
const LAP: u64 = 0xff00;

/// A copy of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    label: u64,
    /// When, in ticks.
    pub time: u64,
    /// Word 2.
    pub first: u64,
    /// Word 3.
    pub second: u64,
}

impl Copied {
    /// Whether the slot with this index was written when it was copied.
    #[inline(always)]
    pub const fn is_written(&self, index: u64) -> bool {
        self.label & LAP == lap(index)
    }

    /// What it says; `None` for something no agent writes.
    #[inline(always)]
    pub fn kind(&self) -> Option<Kind> {
        Kind::ALL.get(usize::from(self.label.to_le_bytes()[0] & !WIDE)).copied()
    }

    /// Whether its arguments are in the slot before.
    #[inline(always)]
    pub const fn is_wide(&self) -> bool {
        self.label & WIDE as u64 != 0
    }

    /// What fitted into the label.
    #[inline(always)]
    pub const fn small(&self) -> u64 {
        self.label >> 16
    }
}

impl Slot {
    /// A copy of the slot, the label first: what it says is there, is in the copy.
    #[inline(always)]
    pub fn copy(&self) -> Copied {
        let [label, time, first, second] = &self.words;
        let label = label.load(Ordering::Acquire);
        let [time, first, second] = [time, first, second].map(|word| word.load(Ordering::Relaxed));
        Copied { label, time, first, second }
    }
}
