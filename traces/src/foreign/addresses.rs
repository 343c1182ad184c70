//! What the addresses in another tool's file stand for.

use crate::record::{Placed, Pointer};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

/// What was odd about the calls of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Calls that gave back, or changed, what had not been allocated in the file: it was before.
    pub unseen: u64,
    /// Allocations at an address where one was alive already. That one's end was written down later, by another
    /// thread, or is missing.
    pub twice: u64,
    /// Whether the recording broke off, and the file with it.
    pub is_cut: bool,
}

/// The allocations that are alive, by the addresses they had.
///
/// In the trace each has an address of its own: another malloc's would be taken for glibc's.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    alive: HashMap<u64, Pointer>,
    /// Those that follow at the same address, the oldest first.
    others: HashMap<u64, VecDeque<Pointer>>,
    allocations: u64,
    pub oddities: Oddities,
}

/// Allocations from before have addresses from here on: above all that a process can have.
const BEFORE: u64 = 1 << 62;

impl Addresses {
    /// A call returned this address.
    pub fn fill(&mut self, address: u64) -> Placed {
        if address == 0 {
            return Placed { pointer: Pointer::NULL, head: 0 };
        }
        self.allocations += 1;
        // As far apart as glibc's are, which is what a writer's table of addresses is made for.
        let pointer = Pointer::seen(self.allocations * 32);
        match self.alive.entry(address) {
            Entry::Vacant(place) => {
                place.insert(pointer);
            }
            Entry::Occupied(_) => {
                self.oddities.twice += 1;
                self.others.entry(address).or_default().push_back(pointer);
            }
        }
        Placed { pointer, head: 0 }
    }

    /// Whether an allocation is alive at this address.
    pub fn is_alive(&self, address: u64) -> bool {
        self.alive.contains_key(&address)
    }

    /// A call was handed this address, and the allocation is gone afterwards.
    pub fn take(&mut self, address: u64) -> Pointer {
        if address == 0 {
            return Pointer::NULL;
        }
        let Some(pointer) = self.alive.remove(&address) else {
            self.oddities.unseen += 1;
            return Pointer::seen(BEFORE | address);
        };
        if let Some(others) = self.others.get_mut(&address) {
            if let Some(next) = others.pop_front() {
                self.alive.insert(address, next);
            }
            if others.is_empty() {
                self.others.remove(&address);
            }
        }
        pointer
    }

    /// A call was handed the old address and returned the new one, which is null if it failed and `is_freed` is not.
    pub fn remake(&mut self, old: u64, new: u64, is_freed: bool) -> (Pointer, Placed) {
        if new == 0 && !is_freed {
            // It stays where it was.
            let pointer = self.alive.get(&old).copied();
            let pointer =
                pointer.unwrap_or(if old == 0 { Pointer::NULL } else { Pointer::seen(BEFORE | old) });
            return (pointer, Placed { pointer: Pointer::NULL, head: 0 });
        }
        (self.take(old), self.fill(new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_comes_late_belongs_to_the_older_of_two() {
        let mut addresses = Addresses::default();
        let first = addresses.fill(0x1000).pointer;
        let second = addresses.fill(0x1000).pointer;
        assert_ne!(first, second);
        assert_eq!(addresses.take(0x1000), first);
        assert_eq!(addresses.take(0x1000), second);
        let unseen = addresses.take(0x1000);
        assert!(unseen.address > BEFORE);
        assert_eq!(addresses.oddities, Oddities { unseen: 1, twice: 1, is_cut: false });
        assert!(addresses.alive.is_empty() && addresses.others.is_empty());
    }

    #[test]
    fn what_could_not_be_made_larger_stays() {
        let mut addresses = Addresses::default();
        let first = addresses.fill(0x1000).pointer;
        assert_eq!(addresses.remake(0x1000, 0, false), (first, Placed { pointer: Pointer::NULL, head: 0 }));
        assert_eq!(addresses.remake(0x1000, 0, true).0, first);
        assert_eq!(addresses.remake(0, 0, true).0, Pointer::NULL);
        assert_eq!(addresses.oddities, Oddities::default());
    }
}
