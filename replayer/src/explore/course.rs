//! Where in the file the records are that were replayed, so that they can be read again, from any of them on.
//!
//! That is known as long as they come as they are in the file. Where calls of several threads are put in order they have other slots
//! too (`order/slots.rs`), and what was found about them is not kept: such a trace is begun anew.

use super::tape::Entry;
use crate::source::Batch;
use crate::turn::Turn;
use malloscope_traces::{Error, Reader, Record, Stack};
use std::fs::File;
use std::path::Path;

/// Where the records are that were replayed.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// Records that follow one another: how many come before, and the number of the first in the file. What is
    /// damaged lies between two.
    pieces: Vec<(u64, u64)>,
    records: u64,
    is_unknown: bool,
}

impl Course {
    /// This came next.
    pub(super) fn note(&mut self, batch: &Batch) {
        if batch.order.is_some() {
            (self.pieces, self.is_unknown) = (Vec::new(), true);
        }
        let goes_on = |&(before, first): &(u64, u64)| first + (self.records - before) == batch.first;
        if !self.is_unknown && !self.pieces.last().is_some_and(goes_on) {
            self.pieces.push((self.records, batch.first));
        }
        self.records += batch.records.len() as u64;
    }

    /// Whether all records can be read again.
    pub(super) fn is_known(&self) -> bool {
        !self.is_unknown
    }

    /// The number in the file of the record that so many come before.
    fn find(&self, number: u64) -> Option<u64> {
        let place = self.pieces.partition_point(|(before, _)| *before <= number);
        let (before, first) = self.pieces.get(place.checked_sub(1)?)?;
        (number < self.records).then_some(first + (number - before))
    }
}

/// Reads the records of a course once more.
#[derive(Debug)]
pub(super) struct Again {
    reader: Reader<File>,
    /// The batch that was read last, from the record of this number on.
    first: u64,
    records: Vec<Record>,
    stacks: Vec<Stack>,
}

impl Again {
    /// Opens the trace.
    pub(super) fn open(trace: &Path) -> Result<Again, Error> {
        let reader = Reader::open_file(trace)?;
        Ok(Again { reader, first: 0, records: Vec::new(), stacks: Vec::new() })
    }

    /// The entry that so many come before; none if the course does not know it, or the file has it no more.
    pub(super) fn entry(&mut self, course: &Course, number: u64) -> Result<Option<Entry>, Error> {
        let Some(index) = course.find(number) else { return Ok(None) };
        if self.place(index).is_none() {
            self.read(index)?;
        }
        Ok(self.place(index).map(|place| {
            let stack = self.stacks.get(place).copied().unwrap_or_default();
            (Turn::whole(index), self.records[place], stack)
        }))
    }

    /// Where a record is in the batch that was read last.
    fn place(&self, index: u64) -> Option<usize> {
        let place = usize::try_from(index.checked_sub(self.first)?).ok()?;
        (place < self.records.len()).then_some(place)
    }

    /// Reads the batch that this record is in.
    fn read(&mut self, index: u64) -> Result<(), Error> {
        let batch = self.reader.index()?.batch_of_record(index);
        self.reader.seek_batch(u32::try_from(batch).unwrap_or(u32::MAX))?;
        self.records.clear();
        self.stacks.clear();
        if let Some(first) = self.reader.next_batch(&mut self.records)? {
            self.first = first;
            self.stacks.extend_from_slice(self.reader.batch_stacks());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_traces::{Call, Nanos, Thread};

    #[test]
    fn a_course_has_a_piece_more_for_each_gap_and_none_once_calls_are_put_in_order() {
        let record = Record { time: Nanos(0), thread: Thread(0), program_break: 0, call: Call::ThreadExit };
        let batch = |first, records, order| Batch {
            first,
            records: vec![record; records],
            stacks: Vec::new(),
            order,
        };
        let mut course = Course::default();
        for first in [0, 10, 30, 40] {
            course.note(&batch(first, 10, None));
        }
        assert_eq!(
            (course.pieces.len(), course.find(19), course.find(20), course.find(39)),
            (2, Some(19), Some(30), Some(49))
        );
        assert_eq!((course.find(40), course.is_known()), (None, true));
        course.note(&batch(0, 1, Some(vec![Turn::whole(50)])));
        assert_eq!((course.find(0), course.is_known()), (None, false));
    }
}
