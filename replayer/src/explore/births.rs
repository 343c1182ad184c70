//! Which record made each live allocation.

use crate::engine::Answer;
use malloscope_traces::{Record, Slot, Stack};

/// How an allocation began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Birth {
    /// The record of the call that made it, in the order of the replay.
    pub(super) record: u64,
    /// The thread that made the call.
    pub(super) thread: u32,
    /// The call's stack.
    pub(super) stack: Stack,
}

/// How the allocations in the trace's slots began. A slot that is empty has the birth of the latest that
/// was in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Births {
    slots: Vec<Birth>,
}

impl From<Vec<Birth>> for Births {
    fn from(slots: Vec<Birth>) -> Births {
        Births { slots }
    }
}

impl Births {
    /// All of them, by slot.
    pub(super) fn all(&self) -> &[Birth] {
        &self.slots
    }

    /// Takes a call into account that has been made. A `realloc` begins its allocation anew.
    #[inline]
    pub(super) fn note(&mut self, record: &Record, stack: Stack, made: u64, answer: Answer) {
        let Answer::Payload(payload) = answer else { return };
        let Some(placed) = record.call.placed() else { return };
        if payload.is_null() || placed.pointer.slot == Slot::NONE {
            return;
        }
        let slot = placed.pointer.slot.0 as usize;
        if slot >= self.slots.len() {
            self.slots.resize((slot + 1).next_power_of_two().max(1024), Birth::default());
        }
        self.slots[slot] = Birth { record: made, thread: record.thread.0, stack };
    }

    /// How the allocation in a slot began; `None` if that is not this trace's: it was inherited.
    #[inline]
    pub(super) fn of(&self, slot: Slot) -> Option<Birth> {
        if slot == Slot::NONE { None } else { self.slots.get(slot.0 as usize).copied() }
    }
}
