//! The column of times: how long after the record before, in units of the clock's resolution.
//!
//! One byte up to 253 units. Times run backward now and then, because a call that gives memory back
//! is stamped before it and one that returns memory after it.

use super::unfold::Cursors;
use super::{Column, Columns};
use crate::damage::Fault;
use crate::varint;

/// A number follows: so many units later.
const LATER: u8 = 254;
/// A number follows: so many units earlier.
const EARLIER: u8 = 255;

/// The time of the record before.
#[derive(Debug)]
pub(super) struct Times(pub u64);

impl Times {
    #[inline]
    pub fn put(&mut self, time: u64, columns: &mut Columns) {
        let column = &mut columns[Column::Times];
        match time.checked_sub(self.0) {
            #[expect(clippy::cast_possible_truncation, reason = "it is below 254")]
            Some(units) if units < u64::from(LATER) => column.push(units as u8),
            Some(units) => {
                column.push(LATER);
                varint::put(column, units);
            }
            None => {
                column.push(EARLIER);
                varint::put(column, self.0 - time);
            }
        }
        self.0 = time;
    }

    #[inline]
    pub fn take(&mut self, cursors: &mut Cursors<'_>) -> Result<u64, Fault> {
        let cursor = &mut cursors[Column::Times];
        let time = match cursor.byte()? {
            LATER => self.0.checked_add(cursor.number()?),
            EARLIER => self.0.checked_sub(cursor.number()?),
            units => self.0.checked_add(u64::from(units)),
        };
        self.0 = time.ok_or(Fault::Number(Column::Times))?;
        Ok(self.0)
    }
}
