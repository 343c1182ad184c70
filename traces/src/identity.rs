//! Which allocation an address stands for while it lives: what lets a free name the allocation it
//! ends, so that whoever reads the trace never looks an address up.

use serde::{Deserialize, Serialize};

use crate::addresses::Addresses;
use crate::columns::{Holder, Taken, Vacant};
use crate::error::Error;
use crate::record::{Pointer, Slot};

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
    at: Addresses,
    vacant: Vacant,
    /// What was handed to each `realloc` still under way: where it lived, and what it was if that is known.
    claims: Vec<(u64, Option<Holder>)>,
    oddities: Oddities,
    allocations: u64,
}

/// What a `realloc` did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    /// The address it was handed.
    pub address: u64,
    /// The allocation that lived there.
    pub holder: Option<Holder>,
    /// The slot that was taken, where there was none to be kept.
    pub taken: Option<Taken>,
}

impl Live {
    /// Calls that speak of these addresses are about to come.
    #[inline]
    pub fn fetch(&self, addresses: impl Iterator<Item = u64>) {
        self.at.fetch(addresses);
    }

    /// An allocation is made at `address`; `birth` is its number.
    #[inline(always)]
    pub fn place(&mut self, address: u64, birth: u32) -> Result<Taken, Error> {
        let taken = self.vacant.take().ok_or(Error::TooManyAllocations)?;
        self.allocations += 1;
        self.settle(address, Holder { slot: taken.slot, born: birth });
        Ok(taken)
    }

    /// An allocation is freed. Returns which, and where it lived.
    #[inline(always)]
    pub fn free(&mut self, pointer: Pointer) -> (u64, Option<Holder>) {
        let (address, holder) = self.lift(pointer);
        if let Some(holder) = holder {
            self.vacant.vacate(holder.slot);
        }
        (address, holder)
    }

    /// An allocation is moved, or freed, or neither.
    pub fn realloc(&mut self, old: Pointer, request: u64, to: u64, birth: u32) -> Result<Moved, Error> {
        let (address, holder) = self.claimed(old).unwrap_or_else(|| self.lift(old));
        let mut taken = None;
        match holder {
            Some(holder) if to != 0 => self.settle(to, Holder { slot: holder.slot, born: birth }),
            Some(holder) if request == 0 => self.vacant.vacate(holder.slot),
            Some(holder) => self.settle(address, holder),
            None if to != 0 => taken = Some(self.place(to, birth)?),
            None => {}
        }
        Ok(Moved { address, holder, taken })
    }

    /// Which allocation a pointer stands for.
    pub fn find(&mut self, pointer: Pointer) -> Option<Holder> {
        if pointer.is_null() {
            return None;
        }
        let holder = self.at.get(pointer.address);
        self.oddities.strays += u64::from(holder.is_none());
        holder
    }

    /// Whether an allocation lives at `address`.
    pub fn is_alive(&self, address: u64) -> bool {
        self.at.get(address).is_some()
    }

    /// Takes the allocation at `address` out, to be moved by a record that is yet to come.
    pub fn claim(&mut self, address: u64) -> Slot {
        if address == 0 {
            return Slot::NONE;
        }
        let holder = self.at.remove(address);
        self.claims.push((address, holder));
        holder.map_or(Slot::NONE, |holder| Slot(holder.slot))
    }

    /// Another batch begins.
    pub fn forget(&mut self) {
        self.vacant.forget();
    }

    /// How many allocations there were, how many at one time, and what was odd about them.
    pub fn totals(&self) -> (u64, u32, Oddities) {
        (self.allocations, self.vacant.made(), self.oddities)
    }

    /// What [`claim`](Self::claim) took out for the `realloc` that was handed `old`. A slot that it did
    /// not give is ignored: it may come from another trace.
    fn claimed(&mut self, old: Pointer) -> Option<(u64, Option<Holder>)> {
        let index = self.claims.iter().position(|(address, holder)| match holder {
            Some(holder) => holder.slot == old.slot.0,
            // Somebody else may have been given the address by now. What lives there is not what was claimed.
            None => old.slot == Slot::NONE && *address == old.address,
        })?;
        let (address, holder) = self.claims.swap_remove(index);
        self.oddities.strays += u64::from(holder.is_none());
        Some((address, holder))
    }

    /// Takes out the allocation a pointer stands for. Returns it, and where it lived.
    #[inline(always)]
    fn lift(&mut self, pointer: Pointer) -> (u64, Option<Holder>) {
        if pointer.is_null() {
            return (0, None);
        }
        let holder = self.at.remove(pointer.address);
        self.oddities.strays += u64::from(holder.is_none());
        (pointer.address, holder)
    }

    /// An allocation lives at `address` from now on.
    #[inline(always)]
    fn settle(&mut self, address: u64, holder: Holder) {
        let before = self.at.insert(address, holder);
        self.oddities.replaced += u64::from(before.is_some());
    }
}
