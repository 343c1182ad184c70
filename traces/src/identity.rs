//! Which allocation an address stands for, while it lives: what lets a free name the allocation it ends.

use std::collections::HashMap;

use crate::record::Slot;

/// The allocations that are alive.
#[derive(Debug, Default)]
pub(crate) struct Live {
    at: HashMap<u64, Slot>,
    /// Slots that no allocation holds, the latest freed last.
    vacant: Vec<Slot>,
    /// How many slots there are.
    slots: u32,
}

impl Live {
    /// A new allocation lives at `address`. Returns its slot, and whether another was believed to
    /// live there still; that one is forgotten.
    pub fn place(&mut self, address: u64) -> Slot {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots += 1;
            Slot(self.slots - 1)
        });
        self.settle(slot, address);
        slot
    }

    /// The allocation in `slot` now lives at `address`.
    pub fn settle(&mut self, slot: Slot, address: u64) {
        self.at.insert(address, slot);
    }

    /// Takes the allocation at `address` out; it keeps its slot until [`vacate`](Self::vacate).
    pub fn lift(&mut self, address: u64) -> Slot {
        self.at.remove(&address).unwrap_or(Slot::NONE)
    }

    /// The allocation at `address`.
    pub fn find(&self, address: u64) -> Slot {
        self.at.get(&address).copied().unwrap_or(Slot::NONE)
    }

    /// The allocation in `slot` is gone.
    pub fn vacate(&mut self, slot: Slot) {
        self.vacant.push(slot);
    }
}
