//! The columns of allocations handed over: which one a `free` ends or a `realloc` moves.
//!
//! One that was born in this batch is named by its age, 0 for the youngest; most are young. An older
//! one is named by its slot, as the difference to the last older one that was named: what was made
//! together is mostly given back together. Of the encodings tried (slots, differences to the last
//! slot freed or taken, ages alone, predictions from context), none was more than 0.04 bytes a call
//! smaller than this mixture on any of eleven programs.

use super::birth::{Births, Nth};
use super::cursors::{Cursors, Stop};
use super::{Column, Columns};
use crate::damage::Fault;
use crate::varint;

/// The null pointer.
const NULL: u64 = 0;
/// An address whose allocation was never seen; it is in the column of strays.
const STRAY: u64 = 1;
/// An allocation older than this batch; its slot is in the column of elders.
const ELDER: u64 = 2;
/// What is added to the age of an allocation of this batch.
const YOUNG: u64 = 3;

/// An allocation as the writer knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The slot it holds.
    pub slot: u32,
    /// The number of its birth, counted from the beginning of the trace, with the bits above 32 cut off.
    pub born: u32,
}

/// What a call was handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handed {
    Null,
    Stray(u64),
    /// By its slot.
    Elder(u32),
    Young(Nth),
}

/// The last elder that was named.
#[derive(Debug, Default)]
pub(super) struct Elder(u32);

impl Elder {
    /// Names what a call was handed. `first` is the number of this batch's first birth.
    #[inline(always)]
    pub fn put(
        &mut self,
        address: u64,
        holder: Option<Holder>,
        first: u32,
        births: &Births,
        columns: &mut Columns,
    ) -> Handed {
        let Some(holder) = holder else {
            return put_stranger(address, columns);
        };
        let nth = holder.born.wrapping_sub(first).wrapping_add(1);
        match births.get(nth) {
            // The numbers of births repeat after four billion. An allocation that old still has its
            // slot, so the birth that seems to be its own has another.
            Some(birth) if birth.slot == holder.slot => {
                varint::put(&mut columns[Column::Handed], YOUNG + u64::from(births.last() - nth));
                Handed::Young(nth)
            }
            _ => {
                varint::put(&mut columns[Column::Handed], ELDER);
                varint::put_signed(&mut columns[Column::Elders], i64::from(holder.slot) - i64::from(self.0));
                self.0 = holder.slot;
                Handed::Elder(holder.slot)
            }
        }
    }

    /// Reads what a call was handed.
    #[inline(always)]
    pub fn take(&mut self, births: &Births, cursors: &mut Cursors<'_>) -> Result<Handed, Stop> {
        match cursors.number(Column::Handed)? {
            NULL => Ok(Handed::Null),
            STRAY => Ok(Handed::Stray(cursors.number(Column::Strays)?)),
            ELDER => {
                self.0 = cursors.slot(Column::Elders, self.0)?;
                Ok(Handed::Elder(self.0))
            }
            code => match u64::from(births.last()).checked_sub(code - YOUNG) {
                #[expect(clippy::cast_possible_truncation, reason = "it is at most what it was taken from")]
                Some(nth @ 1..) => Ok(Handed::Young(nth as Nth)),
                _ => Err(cursors.stop(Fault::Number(Column::Handed))),
            },
        }
    }
}

fn put_stranger(address: u64, columns: &mut Columns) -> Handed {
    if address == 0 {
        varint::put(&mut columns[Column::Handed], NULL);
        return Handed::Null;
    }
    varint::put(&mut columns[Column::Handed], STRAY);
    varint::put(&mut columns[Column::Strays], address);
    Handed::Stray(address)
}
