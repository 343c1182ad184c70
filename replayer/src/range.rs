//! A part of a run: from one record to another, in the order in which they are replayed.
//!
//! A heap cannot be entered in the middle, so the records before a range are replayed as well. They make the
//! heap what it is when the range begins, and count for nothing; those after it are not replayed.

use malloscope_traces::{Error, Reader};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{Read, Seek};
use std::str::FromStr;

/// Some records that follow each other: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u64, u64)", into = "(u64, u64)")]
pub struct Range {
    /// Less than `end`.
    first: u64,
    end: u64,
}

/// There is no record in such a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no record is from {0} on and before {1}")]
pub struct Nothing(u64, u64);

/// This is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRange {
    /// It is not two numbers with dots between them.
    #[error("`{0}` is no range: say, for example, 1000..2000, or 1000.. for all that follows")]
    Spelling(String),
    /// It is empty.
    #[error(transparent)]
    Nothing(#[from] Nothing),
}

impl Range {
    /// All records.
    pub const ALL: Range = Range { first: 0, end: u64::MAX };

    /// Goes to the batch of the first record; answers how many there will be, as far as the trace says.
    pub(crate) fn begin<R: Read + Seek>(self, reader: &mut Reader<R>) -> Result<Option<u64>, Error> {
        if self.first > 0 {
            let batch = reader.index()?.batch_of_record(self.first);
            // A trace without any batch has none to go to, and there are fewer than 2³².
            if let Some(batch) = u32::try_from(batch).ok().filter(|&batch| batch > 0) {
                reader.seek_batch(batch)?;
            }
        }
        let total = reader.totals().map(|totals| totals.records.min(self.end).saturating_sub(self.first));
        Ok(total)
    }

    /// How many of these records are before this one.
    pub(crate) fn done(self, record: u64) -> u64 {
        record.min(self.end).saturating_sub(self.first)
    }

    /// Whether the record is among them.
    pub(crate) fn contains(self, record: u64) -> bool {
        (self.first..self.end).contains(&record)
    }

    /// The records from `first` on, before `end`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn new(first: u64, end: u64) -> Result<Range, Nothing> {
        if first < end { Ok(Range { first, end }) } else { Err(Nothing(first, end)) }
    }

    /// The first record, counted from 0.
    pub fn first(self) -> u64 {
        self.first
    }

    /// The record before which it ends.
    pub fn end(self) -> u64 {
        self.end
    }

    /// This range, of a run that ended after so many records. Where it had ended before the range began, there is
    /// no telling how much of the range there would have been.
    pub(crate) fn until(self, records: u64) -> Range {
        Range::new(self.first, self.end.min(records)).unwrap_or(self)
    }
}

impl TryFrom<(u64, u64)> for Range {
    type Error = Nothing;

    fn try_from((first, end): (u64, u64)) -> Result<Range, Nothing> {
        Range::new(first, end)
    }
}

impl From<Range> for (u64, u64) {
    fn from(range: Range) -> (u64, u64) {
        (range.first, range.end)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            u64::MAX => write!(f, "{}..", self.first),
            end => write!(f, "{}..{end}", self.first),
        }
    }
}

impl FromStr for Range {
    type Err = BadRange;

    /// Reads `1000..2000`, `1000..` or `..2000`; commas and underscores in numbers do not count.
    fn from_str(text: &str) -> Result<Range, BadRange> {
        let wrong = || BadRange::Spelling(text.to_owned());
        let (first, end) = text.split_once("..").ok_or_else(wrong)?;
        let number = |digits: &str, missing: u64| match digits.trim().replace([',', '_'], "") {
            digits if digits.is_empty() => Ok(missing),
            digits => digits.parse().map_err(|_| wrong()),
        };
        Ok(Range::new(number(first, 0)?, number(end, u64::MAX)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_it_is_written() {
        for (text, first, end) in [("3..9", 3, 9), ("1,000..2_000", 1000, 2000), ("7..", 7, u64::MAX)] {
            let range: Range = text.parse().unwrap();
            assert_eq!((range.first(), range.end()), (first, end), "{text}");
            assert_eq!(range.to_string().parse(), Ok(range), "{text}");
        }
        assert_eq!("..5".parse(), Range::new(0, 5).map_err(BadRange::from));
    }

    #[test]
    fn a_range_without_records_is_refused() {
        for text in ["5..5", "9..3", "5", "a..b", "1..x", "-1..3", "..0"] {
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Range>("[4, 4]").is_err());
        assert_eq!(serde_json::from_str::<Range>("[4, 5]").unwrap(), Range::new(4, 5).unwrap());
    }
}
