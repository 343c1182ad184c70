//! A call as a worker is sent it, in 24 bytes:
//!
//! ```text
//! 0 doing   1 alignment, as a power of two   4 thread   8 slot   12 slot it had before   16 bytes
//! ```

use super::caller::Asked;
use malloscope_traces::{Call, Record, Slot};

/// Bytes of an act.
pub const LENGTH: usize = 24;
/// Acts are sent and read in pieces of so many bytes.
pub const PIECE: usize = LENGTH << 14;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// `malloc`
    Allocate,
    /// `calloc`
    AllocateZeroed,
    /// `posix_memalign`, for all that ask for an alignment
    AllocateAligned,
    /// `realloc`
    Reallocate,
    /// `free`
    Free,
    /// `malloc_trim`
    Trim,
    /// The thread exits.
    Exit,
}

/// All of them.
pub const ALL: [Doing; 7] = [
    Doing::Allocate,
    Doing::AllocateZeroed,
    Doing::AllocateAligned,
    Doing::Reallocate,
    Doing::Free,
    Doing::Trim,
    Doing::Exit,
];

/// One call of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    /// What.
    pub doing: Doing,
    /// The alignment's logarithm.
    pub alignment: u8,
    /// Which thread.
    pub thread: u32,
    /// The allocation.
    pub slot: u32,
    /// What it was before, of [`Doing::Reallocate`]; [`Slot::NONE`] if nothing.
    pub old: u32,
    /// The bytes asked for.
    pub size: u64,
}

/// Alignment of a page.
const PAGE: u64 = 4096;
/// The largest alignment that is asked for again, as a power of two.
const GREATEST_ALIGNMENT: u8 = 40;

impl Doing {
    /// What the function is called.
    pub fn name(self) -> &'static str {
        match self {
            Doing::Allocate => "malloc",
            Doing::AllocateZeroed => "calloc",
            Doing::AllocateAligned => "posix_memalign",
            Doing::Reallocate => "realloc",
            Doing::Free => "free",
            Doing::Trim => "malloc_trim",
            Doing::Exit => "exit",
        }
    }
}

impl Act {
    /// The allocation that it gives back or changes, if it does.
    pub(super) fn ended(&self) -> Option<u32> {
        match self.doing {
            Doing::Free => Some(self.slot),
            Doing::Reallocate => Some(self.old).filter(|&old| old != Slot::NONE.0),
            _ => None,
        }
    }

    /// What is asked of malloc.
    pub(super) fn asked(&self) -> Asked {
        Asked { doing: self.doing, alignment: self.alignment, size: self.size }
    }

    /// What is to be done for a record; nothing where it is about memory from before the trace, was refused, or asks
    /// for no memory.
    pub fn of(record: &Record) -> Option<Act> {
        let thread = record.thread.0;
        let handed = record.call.handed().map_or(Slot::NONE, |pointer| pointer.slot);
        let act = |doing| Act { doing, alignment: 0, thread, slot: handed.0, old: Slot::NONE.0, size: 0 };
        let Some(placed) = record.call.placed() else {
            return match record.call {
                Call::Free { .. } if handed != Slot::NONE => Some(act(Doing::Free)),
                Call::Trim { pad, .. } => Some(Act { size: pad, ..act(Doing::Trim) }),
                Call::ThreadExit => Some(act(Doing::Exit)),
                _ => None,
            };
        };
        let slot = placed.pointer.slot;
        let size = record.call.request()?;
        if slot == Slot::NONE {
            // `realloc(p, 0)` frees; all else was refused.
            let is_free = matches!(record.call, Call::Realloc { request: 0, .. }) && handed != Slot::NONE;
            return is_free.then(|| act(Doing::Free));
        }
        let asked = Act { slot: slot.0, size, ..act(Doing::Allocate) };
        let aligned = |alignment: u64, size| {
            let alignment = alignment.max(8).checked_next_power_of_two()?.trailing_zeros();
            let alignment = u8::try_from(alignment).ok().filter(|&log| log <= GREATEST_ALIGNMENT)?;
            Some(Act { doing: Doing::AllocateAligned, alignment, size, ..asked })
        };
        match record.call {
            Call::Malloc { .. } => Some(asked),
            Call::Calloc { .. } => Some(Act { doing: Doing::AllocateZeroed, ..asked }),
            Call::Realloc { .. } | Call::Reallocarray { .. } => {
                Some(Act { doing: Doing::Reallocate, old: handed.0, ..asked })
            }
            Call::Memalign { alignment, .. }
            | Call::AlignedAlloc { alignment, .. }
            | Call::PosixMemalign { alignment, .. } => aligned(alignment, size),
            Call::Valloc { .. } => aligned(PAGE, size),
            Call::Pvalloc { .. } => aligned(PAGE, size.checked_next_multiple_of(PAGE)?),
            _ => None,
        }
    }

    /// As it is sent.
    pub fn bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[0] = self.doing as u8;
        bytes[1] = self.alignment;
        for (place, number) in [(4, self.thread), (8, self.slot), (12, self.old)] {
            bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
        }
        bytes[16..].copy_from_slice(&self.size.to_le_bytes());
        bytes
    }

    /// As it was sent; `None` where nobody sends that.
    pub fn read(bytes: &[u8; LENGTH]) -> Option<Act> {
        let (words, _) = bytes.as_chunks::<4>();
        let word = |place: usize| u32::from_le_bytes(words[place]);
        Some(Act {
            doing: *ALL.get(usize::from(bytes[0]))?,
            alignment: Some(bytes[1]).filter(|&log| log <= GREATEST_ALIGNMENT)?,
            thread: word(1),
            slot: word(2),
            old: word(3),
            size: u64::from(word(5)) << 32 | u64::from(word(4)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_traces::{Nanos, Placed, Pointer, Thread};

    #[test]
    fn an_act_arrives_as_it_was_sent() {
        for (number, doing) in ALL.into_iter().enumerate() {
            assert_eq!(doing as usize, number);
            let act = Act { doing, alignment: 12, thread: 7, slot: 1 << 31, old: 9, size: u64::MAX - 5 };
            assert_eq!(Act::read(&act.bytes()), Some(act));
        }
        assert_eq!(Act::read(&[0xff; LENGTH]), None);
    }

    #[test]
    fn what_was_refused_or_is_from_before_is_left_out() {
        let pointer = |slot| Pointer { address: 16, slot: Slot(slot) };
        let placed = |pointer| Placed { pointer, head: 0 };
        let nowhere = placed(Pointer::NULL);
        for (call, expected) in [
            (Call::Malloc { request: 5, to: nowhere }, None),
            (Call::Free { pointer: Pointer::seen(77) }, None),
            (Call::Free { pointer: Pointer::NULL }, None),
            (Call::Free { pointer: pointer(3) }, Some((Doing::Free, 3, 0))),
            (Call::Realloc { old: pointer(3), request: 0, to: nowhere }, Some((Doing::Free, 3, 0))),
            (Call::Realloc { old: pointer(3), request: 9, to: nowhere }, None),
            (Call::Pvalloc { request: 5, to: placed(pointer(4)) }, Some((Doing::AllocateAligned, 4, 4096))),
            (
                Call::Calloc { count: 3, size: 5, to: placed(pointer(4)) },
                Some((Doing::AllocateZeroed, 4, 15)),
            ),
        ] {
            let record = Record { time: Nanos(0), thread: Thread(0), program_break: 0, call };
            let act = Act::of(&record).map(|act| (act.doing, act.slot, act.size));
            assert_eq!(act, expected, "{call:?}");
        }
    }
}
