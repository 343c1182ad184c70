//! Which address the allocation in each slot lives at: all that a reader remembers from one batch
//! to the next.

use super::cursors::{Cursors, Stop};
use crate::damage::Fault;
use crate::record::{Pointer, Slot};

/// The entry of a slot nobody holds.
const VACANT: u64 = 0;

/// How much further than there were allocations a table may grow after a loss. Before one, slots come
/// in order; after it they may begin anywhere, and a hostile number must not cost gigabytes.
const STRIDE: u64 = 1 << 22;

/// Where the allocation in each slot lives.
#[derive(Debug)]
pub(super) struct Table {
    addresses: Vec<u64>,
    /// Whether every record since the beginning was read, so that everything is known.
    whole: bool,
    /// How many records were read: at most as many allocations are in it.
    records: u64,
}

impl Default for Table {
    fn default() -> Table {
        Table { addresses: Vec::new(), whole: true, records: 0 }
    }
}

impl Table {
    /// Records are lost or skipped, and with them any knowledge of the slots.
    pub(super) fn forget(&mut self) {
        self.addresses.clear();
        self.whole = false;
    }

    /// So many records are about to be read.
    pub(super) fn expect(&mut self, records: u32) {
        self.records += u64::from(records);
    }

    /// Where the allocation in `slot` lives.
    pub(super) fn address(&self, slot: u32, cursors: &mut Cursors<'_>) -> Result<u64, Stop> {
        match self.addresses.get(slot as usize) {
            Some(&address) if address != VACANT => Ok(address),
            None if !self.whole => Ok(Pointer::UNKNOWN),
            _ => Err(cursors.stop(Fault::Vacant(Slot(slot)))),
        }
    }

    /// The allocation in `slot` is gone. Returns where it lived.
    #[inline(always)]
    pub(super) fn vacate(&mut self, slot: u32, cursors: &mut Cursors<'_>) -> Result<u64, Stop> {
        match self.addresses.get_mut(slot as usize) {
            Some(entry) if *entry != VACANT => Ok(std::mem::replace(entry, VACANT)),
            None if !self.whole => Ok(Pointer::UNKNOWN),
            _ => Err(cursors.stop(Fault::Vacant(Slot(slot)))),
        }
    }

    /// The allocation in `slot` moves.
    pub(super) fn relocate(&mut self, slot: u32, address: u64) {
        if let Some(entry) = self.addresses.get_mut(slot as usize) {
            *entry = address;
        }
    }

    /// A new allocation takes `slot`.
    #[inline(always)]
    pub(super) fn occupy(&mut self, slot: u32, address: u64, cursors: &mut Cursors<'_>) -> Result<(), Stop> {
        let slots = self.addresses.len();
        match self.addresses.get_mut(slot as usize) {
            Some(entry) if *entry == VACANT || *entry == Pointer::UNKNOWN => *entry = address,
            None if slot as usize == slots => self.addresses.push(address),
            None => return self.grow(slot, address, cursors),
            _ => return Err(cursors.stop(Fault::Occupied(Slot(slot)))),
        }
        Ok(())
    }

    fn grow(&mut self, slot: u32, address: u64, cursors: &mut Cursors<'_>) -> Result<(), Stop> {
        let index = slot as usize;
        if self.whole {
            return Err(cursors.stop(Fault::Skipped(Slot(slot))));
        }
        // A slot beyond the bound is not remembered: its address will be unknown when it is named.
        if u64::from(slot) < self.records + STRIDE {
            self.addresses.resize(index, Pointer::UNKNOWN);
            self.addresses.push(address);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Columns;

    /// Does something to a table that holds one allocation. Returns what it comes to.
    fn check(
        before: impl Fn(&mut Table),
        step: impl Fn(&mut Table, &mut Cursors<'_>) -> Result<u64, Stop>,
    ) -> Result<u64, Fault> {
        let columns = Columns::default();
        let mut cursors = Cursors::new(&columns);
        let mut table = Table::default();
        table.expect(1);
        table.occupy(0, 0x10, &mut cursors).expect("the first slot is vacant");
        before(&mut table);
        step(&mut table, &mut cursors).map_err(|Stop| cursors.fault())
    }

    #[test]
    fn before_a_loss_whatever_does_not_fit_is_a_fault() {
        let take = |slot| {
            move |table: &mut Table, cursors: &mut Cursors<'_>| table.occupy(slot, 0x20, cursors).map(|()| 0)
        };
        assert_eq!(check(|_| (), |table, cursors| table.address(0, cursors)), Ok(0x10));
        assert_eq!(check(|_| (), |table, cursors| table.address(1, cursors)), Err(Fault::Vacant(Slot(1))));
        assert_eq!(check(|_| (), |table, cursors| table.vacate(1, cursors)), Err(Fault::Vacant(Slot(1))));
        assert_eq!(check(|_| (), take(0)), Err(Fault::Occupied(Slot(0))));
        assert_eq!(check(|_| (), take(2)), Err(Fault::Skipped(Slot(2))));
    }

    #[test]
    fn after_a_loss_everything_may_be_and_nothing_far_away_is_remembered() {
        let take = |slot| {
            move |table: &mut Table, cursors: &mut Cursors<'_>| {
                table.occupy(slot, 0x20, cursors)?;
                table.address(slot, cursors)
            }
        };
        assert_eq!(check(Table::forget, |table, cursors| table.vacate(0, cursors)), Ok(Pointer::UNKNOWN));
        assert_eq!(check(Table::forget, take(0)), Ok(0x20));
        assert_eq!(check(Table::forget, take(1000)), Ok(0x20));
        assert_eq!(check(Table::forget, take(u32::MAX - 1)), Ok(Pointer::UNKNOWN));
    }
}
