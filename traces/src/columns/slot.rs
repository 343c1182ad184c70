//! The column of slots: which one a new allocation takes.
//!
//! It takes the one vacated last. If that was vacated in this batch a reader knows which it is.
//! Otherwise, and where no slot is vacant and a new one is made, the column has it, as the
//! difference to the last one it had: a heap that grows takes one slot after the other, and one
//! that shrank in an earlier batch takes them in the reverse of the order in which they were vacated.

use super::cursors::{Cursors, Stop};
use super::{Column, Columns};
use crate::varint;

/// The slots nobody holds, as a writer knows them.
#[derive(Debug, Default)]
pub(crate) struct Vacant {
    /// The latest vacated last.
    slots: Vec<u32>,
    /// How many of them, at the end, were vacated in this batch.
    recent: usize,
    /// How many slots there are.
    made: u32,
}

/// A slot that was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub slot: u32,
    /// Whether a reader of this batch alone knows that it is this one.
    pub known: bool,
}

impl Vacant {
    /// Takes the slot vacated last, or a new one; `None` when there are no more numbers for them.
    #[inline(always)]
    pub fn take(&mut self) -> Option<Taken> {
        if let Some(slot) = self.slots.pop() {
            let known = self.recent > 0;
            self.recent -= usize::from(known);
            return Some(Taken { slot, known });
        }
        // The last number stands for no slot.
        let next = self.made.checked_add(1)?;
        let slot = std::mem::replace(&mut self.made, next);
        Some(Taken { slot, known: false })
    }

    /// The allocation in `slot` is gone.
    #[inline(always)]
    pub fn vacate(&mut self, slot: u32) {
        self.slots.push(slot);
        self.recent += 1;
    }

    /// Another batch begins, whose reader does not know what was vacated in this one.
    pub fn forget(&mut self) {
        self.recent = 0;
    }

    /// How many slots were ever needed at one time.
    pub fn made(&self) -> u32 {
        self.made
    }
}

/// The slot the column had last.
#[derive(Debug, Default)]
pub(super) struct Told(u32);

impl Told {
    #[inline(always)]
    pub fn put(&mut self, slot: u32, columns: &mut Columns) {
        varint::put_signed(&mut columns[Column::Slots], i64::from(slot) - i64::from(self.0));
        self.0 = slot;
    }

    #[inline(always)]
    pub fn take(&mut self, cursors: &mut Cursors<'_>) -> Result<u32, Stop> {
        self.0 = cursors.slot(Column::Slots, self.0)?;
        Ok(self.0)
    }
}
