//! Some records of a trace that follow one another.
//!
//! What is said of a range is what would be said of a trace of these records alone: allocations made before
//! it do not count, nor is what was made in it ever freed behind it.

use malloscope_traces::{Error, Reader};
use std::io::{Read, Seek};
use std::str::FromStr;

/// Some records of a trace that follow one another: the first of them, and the first after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub first: u64,
    /// The first that is not among them any more.
    pub end: u64,
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
}

impl FromStr for Range {
    type Err = String;

    /// Reads `100..200`, `100..` or `..200`.
    fn from_str(text: &str) -> Result<Range, String> {
        let wrong = || format!("“{text}” is no range of records: write 1000..2000, 1000.. or ..2000");
        let (first, end) = text.split_once("..").ok_or_else(wrong)?;
        let number = |text: &str, otherwise: u64| match text.trim() {
            "" => Ok(otherwise),
            text => text.parse().map_err(|_| wrong()),
        };
        let range = Range { first: number(first, 0)?, end: number(end, u64::MAX)? };
        if range.first < range.end { Ok(range) } else { Err(format!("there is no record in {text}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_written_with_two_dots() {
        let read = |text: &str| text.parse::<Range>().map(|range| (range.first, range.end));
        assert_eq!(read("7..12"), Ok((7, 12)));
        assert_eq!(
            (read("7.."), read("..12"), read("..")),
            (Ok((7, u64::MAX)), Ok((0, 12)), Ok((0, u64::MAX)))
        );
        for wrong in ["", "7", "7..7", "9..7", "a..b", "-1..2"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
