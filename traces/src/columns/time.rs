//! The columns of times and gaps: how long after the record before, in units of the clock's resolution.
//!
//! One byte in times, up to 253 units; what is more is a number in gaps. Times run backward now and then, because a call that gives memory back
//! is stamped before it and one that returns memory after it.

use super::cursors::{Cursors, Stop};
use super::{Column, Columns};
use crate::damage::Fault;
use crate::record::Nanos;
use crate::varint;

/// So many units later as the number in gaps says.
const LATER: u8 = 254;
/// So many units earlier.
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
        // A division takes as long as the rest of it, and nearly all traces count nanoseconds.
        if self.resolution == 1 { time.0 } else { time.0 / self.resolution }
    }

    /// The time of the record before, in units.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Begins a batch, so many units after the trace began.
    pub fn begin(&mut self, units: u64) {
        self.last = units;
    }

    #[inline(always)]
    pub fn put(&mut self, time: Nanos, columns: &mut Columns) {
        let units = self.units(time);
        let byte = match units.checked_sub(self.last) {
            #[expect(clippy::cast_possible_truncation, reason = "it is below 254")]
            Some(later) if later < u64::from(LATER) => later as u8,
            Some(later) => {
                varint::put(&mut columns[Column::Gaps], later);
                LATER
            }
            None => {
                varint::put(&mut columns[Column::Gaps], self.last - units);
                EARLIER
            }
        };
        columns[Column::Times].push(byte);
        self.last = units;
    }

    #[inline(always)]
    pub fn take(&mut self, byte: u8, cursors: &mut Cursors<'_>) -> Result<Nanos, Stop> {
        let units = match byte {
            LATER => self.last.checked_add(cursors.number(Column::Gaps)?),
            EARLIER => self.last.checked_sub(cursors.number(Column::Gaps)?),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_does_not_fit_is_a_fault() {
        let check = |resolution, begin, byte, gap: u64| {
            let mut columns = Columns::default();
            varint::put(&mut columns[Column::Gaps], gap);
            let mut cursors = Cursors::new(&columns);
            let mut times = Times::new(resolution);
            times.begin(begin);
            times.take(byte, &mut cursors).map_err(|Stop| cursors.fault())
        };
        assert_eq!(check(10, 5, 2, 0), Ok(Nanos(70)));
        assert_eq!(check(10, 5, LATER, 300), Ok(Nanos(3050)));
        assert_eq!(check(10, 5, EARLIER, 5), Ok(Nanos(0)));
        for (resolution, begin, byte, gap) in
            [(10, 5, EARLIER, 6), (10, 5, LATER, u64::MAX), (10, u64::MAX / 9, 0, 0), (1, u64::MAX, 1, 0)]
        {
            assert_eq!(check(resolution, begin, byte, gap), Err(Fault::Number(Column::Times)));
        }
    }
}
