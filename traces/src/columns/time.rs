//! The column of times: how long after the record before, in units of the clock's resolution.
//!
//! One byte up to 253 units. Times run backward now and then, because a call that gives memory back
//! is stamped before it and one that returns memory after it.

use super::cursors::{Cursors, Stop};
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
    #[inline(always)]
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

    #[inline(always)]
    pub fn take(&mut self, cursors: &mut Cursors<'_>) -> Result<u64, Stop> {
        let time = match cursors.byte(Column::Times)? {
            LATER => self.0.checked_add(cursors.number(Column::Times)?),
            EARLIER => self.0.checked_sub(cursors.number(Column::Times)?),
            units => self.0.checked_add(units.into()),
        };
        match time {
            Some(time) => self.0 = time,
            None => return Err(cursors.stop(Fault::Number(Column::Times))),
        }
        Ok(self.0)
    }
}
