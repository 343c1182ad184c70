//! The columns of allocations handed over: which one a `free` ends or a `realloc` moves.
//!
//! One that was made in this batch is named by its age, 0 for the latest made; most are young. An
//! older one is named by its slot, as the difference to the last older one that was named: what
//! was made together is mostly given back together. Of the encodings tried (slots, differences to
//! the last slot freed or taken, ages alone, predictions from context), this mixture was the
//! smallest or within 0.04 bytes a call of it for ten programs out of eleven.

use super::place::Class;
use super::unfold::Cursors;
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

/// An allocation made or moved in this batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Birth {
    /// Where.
    pub address: u64,
    /// The slot it took.
    pub slot: u32,
    /// What it is filed under when it is freed; [`Class::NONE`] if its address depends on an earlier
    /// batch and must not become part of any guess.
    pub class: Class,
}

/// What a call was handed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Handed {
    Null,
    Stray(u64),
    Elder(u32),
    Young(Birth),
}

impl Handed {
    /// What the allocation is filed under from now on, if its size says `class`. Where it stayed in
    /// a place that only an earlier batch knows, a reader who lost that batch could not file it.
    #[inline]
    pub fn class_after(self, class: Class, stayed: bool) -> Class {
        let known = match self {
            Handed::Null | Handed::Stray(_) => true,
            Handed::Elder(_) => false,
            Handed::Young(birth) => birth.class != Class::NONE,
        };
        if stayed && !known { Class::NONE } else { class }
    }
}

/// Whether a `realloc` that returned `to` has left `old`.
#[inline]
pub(super) fn moved_away(request: u64, to: u64, old: u64) -> bool {
    if to == 0 { request == 0 } else { to != old }
}

/// The births of this batch, and the last elder that was named.
#[derive(Debug, Default)]
pub(super) struct Family {
    births: Vec<Birth>,
    elder: u32,
}

impl Family {
    /// An allocation is made or moved.
    #[inline]
    pub fn bear(&mut self, birth: Birth) {
        self.births.push(birth);
    }

    /// Names what a call was handed. `first` is the number of this batch's first birth.
    #[inline]
    pub fn put(&mut self, address: u64, holder: Option<Holder>, first: u32, columns: &mut Columns) -> Handed {
        let Some(holder) = holder else {
            return self.put_stranger(address, columns);
        };
        let index = holder.born.wrapping_sub(first) as usize;
        match self.births.get(index) {
            // The numbers of births repeat after four billion of them. An allocation that old still
            // holds its slot, so the birth that seems to be its own took another one.
            Some(birth) if birth.slot == holder.slot => {
                let age = self.births.len() - 1 - index;
                varint::put(&mut columns[Column::Handed], YOUNG + age as u64);
                Handed::Young(*birth)
            }
            _ => {
                varint::put(&mut columns[Column::Handed], ELDER);
                let step = i64::from(holder.slot) - i64::from(self.elder);
                varint::put_signed(&mut columns[Column::Elders], step);
                self.elder = holder.slot;
                Handed::Elder(holder.slot)
            }
        }
    }

    fn put_stranger(&mut self, address: u64, columns: &mut Columns) -> Handed {
        if address == 0 {
            varint::put(&mut columns[Column::Handed], NULL);
            return Handed::Null;
        }
        varint::put(&mut columns[Column::Handed], STRAY);
        varint::put(&mut columns[Column::Strays], address);
        Handed::Stray(address)
    }

    #[inline]
    pub fn take(&mut self, cursors: &mut Cursors<'_>) -> Result<Handed, Fault> {
        Ok(match cursors[Column::Handed].number()? {
            NULL => Handed::Null,
            STRAY => Handed::Stray(cursors[Column::Strays].number()?),
            ELDER => {
                let slot = i64::from(self.elder).checked_add(cursors[Column::Elders].signed()?);
                let slot = slot.and_then(|slot| u32::try_from(slot).ok());
                self.elder = slot.ok_or(Fault::Number(Column::Elders))?;
                Handed::Elder(self.elder)
            }
            code => {
                let age = usize::try_from(code - YOUNG).map_err(|_| Fault::Number(Column::Handed))?;
                let index = self.births.len().checked_sub(age).and_then(|after| after.checked_sub(1));
                Handed::Young(self.births[index.ok_or(Fault::Number(Column::Handed))?])
            }
        })
    }

    /// Forgets everything: another batch begins.
    pub fn clear(&mut self) {
        self.births.clear();
        self.elder = 0;
    }
}
