//! Which allocation an address stands for while it lives: what lets a free name the allocation it
//! ends, so that whoever reads the trace never looks an address up.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use crate::columns::{Holder, Resolved, Vacant};
use crate::error::Error;
use crate::record::{Call, Placed, Pointer, Slot};

/// What a program did that no allocator allows, or that began before the recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oddities {
    /// Pointers handed over whose allocation was never seen.
    pub strays: u64,
    /// Allocations placed where another one still lived: its end was not seen.
    pub replaced: u64,
}

/// The allocations that are alive.
#[derive(Debug, Default)]
pub(crate) struct Live {
    at: HashMap<u64, Holder, FxBuildHasher>,
    vacant: Vacant,
    /// Those that a `realloc` still under way has taken.
    claims: Vec<(u64, Holder)>,
    oddities: Oddities,
    allocations: u64,
}

impl Live {
    /// Finds out which allocations a call speaks of, and follows what it does to them. `birth` is
    /// the number that an allocation made or moved by it will have.
    #[inline]
    pub fn resolve(&mut self, call: &Call, birth: u32) -> Result<Resolved, Error> {
        match *call {
            Call::Malloc { to, .. }
            | Call::Calloc { to, .. }
            | Call::Memalign { to, .. }
            | Call::AlignedAlloc { to, .. }
            | Call::PosixMemalign { to, .. }
            | Call::Valloc { to, .. }
            | Call::Pvalloc { to, .. } => self.place(to, birth),
            Call::Free { pointer } => Ok(self.free(pointer)),
            Call::Realloc { old, request, to } => self.realloc(old, request, to, birth),
            Call::Reallocarray { old, count, size, to } => {
                self.realloc(old, count.saturating_mul(size), to, birth)
            }
            Call::UsableSize { pointer } => Ok(self.look(pointer)),
            _ => Ok(Resolved::default()),
        }
    }

    /// Takes the allocation at `address` out, to be moved by a record that is yet to come.
    pub fn claim(&mut self, address: u64) -> Slot {
        let Some(holder) = self.at.remove(&address) else {
            return Slot::NONE;
        };
        self.claims.push((address, holder));
        Slot(holder.slot)
    }

    /// Another batch begins.
    pub fn forget(&mut self) {
        self.vacant.forget();
    }

    /// How many allocations there were, how many at one time, and what was odd about them.
    pub fn totals(&self) -> (u64, u32, Oddities) {
        (self.allocations, self.vacant.made(), self.oddities)
    }

    #[inline]
    fn place(&mut self, to: Placed, birth: u32) -> Result<Resolved, Error> {
        if to.pointer.is_null() {
            return Ok(Resolved::default());
        }
        let taken = self.vacant.take().ok_or(Error::TooManyAllocations)?;
        self.allocations += 1;
        self.settle(to.pointer.address, Holder { slot: taken.slot, born: birth });
        Ok(Resolved { taken: Some(taken), ..Resolved::default() })
    }

    #[inline]
    fn free(&mut self, pointer: Pointer) -> Resolved {
        let handed = self.lift(pointer);
        if let Some(holder) = handed.handed {
            self.vacant.vacate(holder.slot);
        }
        handed
    }

    fn realloc(&mut self, old: Pointer, request: u64, to: Placed, birth: u32) -> Result<Resolved, Error> {
        let handed = self.lift(old);
        let Some(holder) = handed.handed else {
            return Ok(Resolved { taken: self.place(to, birth)?.taken, ..handed });
        };
        if !to.pointer.is_null() {
            self.settle(to.pointer.address, Holder { slot: holder.slot, born: birth });
        } else if request == 0 {
            self.vacant.vacate(holder.slot);
        } else {
            self.settle(handed.address, holder);
        }
        Ok(handed)
    }

    fn look(&mut self, pointer: Pointer) -> Resolved {
        let handed = self.at.get(&pointer.address).copied();
        self.oddities.strays += u64::from(handed.is_none() && !pointer.is_null());
        Resolved { handed, address: pointer.address, taken: None }
    }

    /// Takes out the allocation a pointer stands for. A slot that [`claim`](Self::claim) gave is
    /// believed, any other is not: it may come from another trace.
    #[inline]
    fn lift(&mut self, pointer: Pointer) -> Resolved {
        if pointer.is_null() {
            return Resolved::default();
        }
        if !self.claims.is_empty()
            && let Some(index) = self.claims.iter().position(|(_, holder)| holder.slot == pointer.slot.0)
        {
            let (address, holder) = self.claims.swap_remove(index);
            return Resolved { handed: Some(holder), address, taken: None };
        }
        let handed = self.at.remove(&pointer.address);
        self.oddities.strays += u64::from(handed.is_none());
        Resolved { handed, address: pointer.address, taken: None }
    }

    /// An allocation lives at `address` from now on.
    #[inline]
    fn settle(&mut self, address: u64, holder: Holder) {
        let before = self.at.insert(address, holder);
        self.oddities.replaced += u64::from(before.is_some());
    }
}
