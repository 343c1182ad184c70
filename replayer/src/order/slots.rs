//! Slots that stay apart while the order of calls is open.
//!
//! In a trace a slot is taken again as soon as it is free, in the order of the stamps. In another
//! order the later allocation may come first, and the two must not be confused. So here a slot is
//! taken again only when the call that freed it has its place for good.

use malloscope_traces::{Call, Pointer, Record, Slot};

/// Gives the allocations of a trace other slots.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// For each slot of the trace, the one its allocation has here.
    current: Vec<Slot>,
    vacant: Vec<Slot>,
    used: u32,
}

impl Slots {
    /// The record with slots that stay apart. Records are taken in the order of their stamps.
    pub(super) fn renumber(&mut self, record: &Record) -> Record {
        let mut record = *record;
        match &mut record.call {
            Call::Realloc { old, to, .. } | Call::Reallocarray { old, to, .. } => {
                let moved = old.slot != Slot::NONE && old.slot == to.pointer.slot;
                self.find(old);
                if moved {
                    to.pointer.slot = old.slot;
                } else {
                    self.take(&mut to.pointer);
                }
            }
            Call::Free { pointer } | Call::UsableSize { pointer } => self.find(pointer),
            call => {
                if let Some(to) = call.placed_mut() {
                    self.take(&mut to.pointer);
                }
            }
        }
        record
    }

    /// The record as it is: what was allocated before keeps its slot in the trace, also when it is
    /// freed later.
    pub(super) fn keep(&mut self, record: &Record) -> Record {
        if let Some(placed) = record.call.placed().filter(|placed| placed.pointer.slot != Slot::NONE) {
            let slot = placed.pointer.slot;
            self.set(slot, slot);
            self.used = self.used.max(slot.0.saturating_add(1));
        }
        *record
    }

    /// A record that has its place for good: what it freed can be taken again.
    pub(super) fn release(&mut self, record: &Record) {
        let freed = match record.call {
            Call::Free { pointer } => pointer,
            Call::Realloc { old, request: 0, to } if to.pointer.is_null() => old,
            _ => return,
        };
        if freed.slot != Slot::NONE {
            self.vacant.push(freed.slot);
        }
    }

    fn find(&self, pointer: &mut Pointer) {
        if pointer.slot != Slot::NONE {
            pointer.slot = self.current.get(pointer.slot.0 as usize).copied().unwrap_or(Slot::NONE);
        }
    }

    fn take(&mut self, pointer: &mut Pointer) {
        if pointer.slot == Slot::NONE {
            return;
        }
        let taken = self.vacant.pop().unwrap_or_else(|| {
            self.used += 1;
            Slot(self.used - 1)
        });
        self.set(pointer.slot, taken);
        pointer.slot = taken;
    }

    /// The trace's slot is this one here.
    fn set(&mut self, slot: Slot, here: Slot) {
        let index = slot.0 as usize;
        if index >= self.current.len() {
            self.current.resize((index + 1).next_power_of_two(), Slot::NONE);
        }
        self.current[index] = here;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_traces::{Nanos, Placed, Thread};

    fn record(call: Call) -> Record {
        Record { time: Nanos(0), thread: Thread(0), program_break: 0, call }
    }

    fn malloc(slot: u32) -> Record {
        let pointer = Pointer { address: 4096, slot: Slot(slot) };
        record(Call::Malloc { request: 1, to: Placed { pointer, head: 0 } })
    }

    fn free(slot: u32) -> Record {
        record(Call::Free { pointer: Pointer { address: 4096, slot: Slot(slot) } })
    }

    #[test]
    fn a_slot_is_taken_again_only_when_its_free_has_its_place() {
        let mut slots = Slots::default();
        let first = slots.renumber(&malloc(0));
        let freed = slots.renumber(&free(0));
        let second = slots.renumber(&malloc(0));
        assert_eq!((first, freed), (malloc(0), free(0)));
        assert_eq!(second, malloc(1));
        slots.release(&freed);
        assert_eq!(slots.renumber(&malloc(1)), malloc(0));
    }
}
