//! How far each column of a batch has been read.

use std::cmp::Ordering;

use super::{Column, Columns};
use crate::damage::Fault;
use crate::varint;

/// The columns cannot be read any further; [`Cursors::fault`] says why.
///
/// It is empty, so that a result with it is as cheap as an option: with the fault inside, reading a
/// record took half as many instructions again.
#[derive(Debug)]
pub(super) struct Stop;

/// What is still to be read of every column.
#[derive(Debug)]
pub(super) struct Cursors<'bytes> {
    rest: [&'bytes [u8]; Column::ALL.len()],
    fault: Option<Fault>,
}

impl<'bytes> Cursors<'bytes> {
    /// The beginning of all columns.
    pub fn new(columns: &'bytes Columns) -> Self {
        Cursors { rest: Column::ALL.map(|column| columns[column].as_slice()), fault: None }
    }

    /// All that is left of a column, which must be so many bytes.
    pub fn rest(&mut self, column: Column, length: usize) -> Result<&'bytes [u8], Stop> {
        let rest = std::mem::take(&mut self.rest[column as usize]);
        match rest.len().cmp(&length) {
            Ordering::Less => Err(self.stop(Fault::ColumnShort(column))),
            Ordering::Equal => Ok(rest),
            Ordering::Greater => Err(self.stop(Fault::ColumnLong(column))),
        }
    }

    /// Whether nothing is left of a column.
    pub fn is_empty(&self, column: Column) -> bool {
        self.rest[column as usize].is_empty()
    }

    /// Gives up, because what stood in a column is nothing that may stand there.
    pub fn mistaken(&mut self, column: Column) -> Stop {
        self.stop(Fault::Number(column))
    }

    /// The next byte.
    #[inline(always)]
    pub fn byte(&mut self, column: Column) -> Result<u8, Stop> {
        let Some((&byte, rest)) = self.rest[column as usize].split_first() else {
            return Err(self.unreadable(column));
        };
        self.rest[column as usize] = rest;
        Ok(byte)
    }

    /// The next number.
    #[inline(always)]
    pub fn number(&mut self, column: Column) -> Result<u64, Stop> {
        match varint::take(&mut self.rest[column as usize]) {
            Some(number) => Ok(number),
            None => Err(self.unreadable(column)),
        }
    }

    /// The next signed number.
    #[inline(always)]
    pub fn signed(&mut self, column: Column) -> Result<i64, Stop> {
        match varint::take_signed(&mut self.rest[column as usize]) {
            Some(number) => Ok(number),
            None => Err(self.unreadable(column)),
        }
    }

    /// The next number, which was made from 32 bits.
    pub fn word(&mut self, column: Column) -> Result<u32, Stop> {
        let number = self.number(column)?;
        u32::try_from(number).map_err(|_| self.stop(Fault::Number(column)))
    }

    /// The next signed number, which was made from 32 bits.
    pub fn small(&mut self, column: Column) -> Result<i32, Stop> {
        let number = self.signed(column)?;
        i32::try_from(number).map_err(|_| self.stop(Fault::Number(column)))
    }

    /// The next slot, which is given as the difference to another.
    #[inline(always)]
    pub fn slot(&mut self, column: Column, last: u32) -> Result<u32, Stop> {
        let slot = self.signed(column)?.checked_add(last.into());
        match slot.and_then(|slot| u32::try_from(slot).ok()) {
            // The last number stands for no slot.
            Some(slot) if slot != u32::MAX => Ok(slot),
            _ => Err(self.stop(Fault::Number(column))),
        }
    }

    /// Gives up, because of `fault`.
    #[cold]
    #[inline(never)]
    pub fn stop(&mut self, fault: Fault) -> Stop {
        self.fault = Some(fault);
        Stop
    }

    /// Why reading stopped.
    pub fn fault(self) -> Fault {
        self.fault.expect("there is no other way to get a Stop than Cursors::stop")
    }

    /// Every column must be at its end.
    pub fn finish(self) -> Result<(), Fault> {
        match Column::ALL.into_iter().find(|column| !self.rest[*column as usize].is_empty()) {
            None => Ok(()),
            Some(column) => Err(Fault::ColumnLong(column)),
        }
    }

    #[cold]
    #[inline(never)]
    fn unreadable(&mut self, column: Column) -> Stop {
        let ended = self.rest[column as usize].is_empty();
        self.stop(if ended { Fault::ColumnShort(column) } else { Fault::Number(column) })
    }
}
