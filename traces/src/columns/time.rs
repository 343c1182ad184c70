//! The column of times: how long after the record before, in units of the clock's resolution.
//!
//! One byte up to 253 units. Times run backward now and then, because a call that gives memory back
//! is stamped before it and one that returns memory after it.

use super::cursors::{Cursors, Stop};
use super::{Column, Columns};
use crate::damage::Fault;
use crate::record::Nanos;
use crate::varint;

/// A number follows: so many units later.
const LATER: u8 = 254;
/// A number follows: so many units earlier.
const EARLIER: u8 = 255;

/// The time of the record before.
#[derive(Debug)]
pub(super) struct Times {
    /// How many nanoseconds make a unit.
    resolution: u64,
    last: u64,
}

impl Times {
    pub fn new(resolution: u64) -> Times {
        Times { resolution, last: 0 }
    }

    /// A time in units, rounded down.
    #[inline(always)]
    pub fn units(&self, time: Nanos) -> u64 {
        time.0 / self.resolution
    }

    /// Begins a batch, so many units after the trace began.
    pub fn begin(&mut self, units: u64) {
        self.last = units;
    }

    #[inline(always)]
    pub fn put(&mut self, time: Nanos, columns: &mut Columns) {
        let units = self.units(time);
        let column = &mut columns[Column::Times];
        match units.checked_sub(self.last) {
            #[expect(clippy::cast_possible_truncation, reason = "it is below 254")]
            Some(later) if later < u64::from(LATER) => column.push(later as u8),
            Some(later) => {
                column.push(LATER);
                varint::put(column, later);
            }
            None => {
                column.push(EARLIER);
                varint::put(column, self.last - units);
            }
        }
        self.last = units;
    }

    #[inline(always)]
    pub fn take(&mut self, cursors: &mut Cursors<'_>) -> Result<Nanos, Stop> {
        let units = match cursors.byte(Column::Times)? {
            LATER => self.last.checked_add(cursors.number(Column::Times)?),
            EARLIER => self.last.checked_sub(cursors.number(Column::Times)?),
            later => self.last.checked_add(later.into()),
        };
        let nanos = units.and_then(|units| units.checked_mul(self.resolution));
        let (Some(units), Some(nanos)) = (units, nanos) else {
            return Err(cursors.stop(Fault::Number(Column::Times)));
        };
        self.last = units;
        Ok(Nanos(nanos))
    }
}
