//! The records of a trace in the order of their replay, of which the latest can be had once more at once, and others from
//! the file, if they are there in this order (`course.rs`).

use super::course::{Again, Course};
use crate::source::Source;
use crate::turn::{Extent, Turn};
use malloscope_traces::{Error, Record, Stack};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// A record, what of it is meant, and its stack.
pub(super) type Entry = (Turn, Record, Stack);

/// The records of a trace, from the oldest that was kept on.
#[derive(Debug)]
pub(super) struct Tape {
    source: Source,
    entries: VecDeque<Entry>,
    /// The number of the first entry, counted from the beginning of the trace.
    first: u64,
    /// The number of the next entry: what is before the first is read again.
    at: u64,
    course: Course,
    trace: PathBuf,
    again: Option<Again>,
    /// The first entry that is to be kept.
    kept_from: Option<u64>,
    damage: Vec<String>,
}

impl Tape {
    /// The beginning of a trace; `damage` is what is known already.
    pub(super) fn new(trace: &Path, source: Source, damage: Vec<String>) -> Tape {
        Tape {
            source,
            entries: VecDeque::new(),
            first: 0,
            at: 0,
            course: Course::default(),
            trace: trace.to_owned(),
            again: None,
            kept_from: None,
            damage,
        }
    }

    /// What cannot be read.
    pub(super) fn damage(&self) -> &[String] {
        &self.damage
    }

    /// The number of the next entry.
    pub(super) fn turn(&self) -> u64 {
        self.at
    }

    /// Keeps the entries from this number on; with `None`, keeps nothing that lies behind.
    pub(super) fn keep_from(&mut self, number: Option<u64>) {
        self.kept_from = number;
    }

    /// Whether all entries that were there can be had again.
    pub(super) fn keeps_all(&self) -> bool {
        self.course.is_known()
    }

    /// Goes to an entry that was there before, or is the next. Whether it can be had.
    pub(super) fn rewind(&mut self, number: u64) -> bool {
        let end = self.first + self.entries.len() as u64;
        let is_there = (self.first..=end).contains(&number);
        let can_be_read = number < self.first && self.course.is_known();
        if is_there || can_be_read {
            self.at = number;
        }
        is_there || can_be_read
    }

    /// The next entry; `None` at the end of the trace.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Error> {
        let entry = self.entry(self.at)?;
        self.at += u64::from(entry.is_some());
        Ok(entry)
    }

    /// The next record of which all is meant.
    pub(super) fn peek_whole(&mut self) -> Result<Option<Record>, Error> {
        let mut ahead = self.at;
        while let Some((turn, record, _)) = self.entry(ahead)? {
            if turn.extent == Extent::Whole {
                return Ok(Some(record));
            }
            ahead += 1;
        }
        Ok(None)
    }

    /// The entry of this number, which is none that nobody has come near; `None` at the end of the trace.
    #[inline]
    fn entry(&mut self, number: u64) -> Result<Option<Entry>, Error> {
        let Some(place) = number.checked_sub(self.first) else { return self.again(number) };
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        if let Some(entry) = self.entries.get(place) {
            return Ok(Some(*entry));
        }
        if !self.fill()? {
            return Ok(None);
        }
        let place = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        Ok(self.entries.get(place).copied())
    }

    /// An entry that is not kept any more.
    #[cold]
    fn again(&mut self, number: u64) -> Result<Option<Entry>, Error> {
        if self.again.is_none() {
            self.again = Some(Again::open(&self.trace)?);
        }
        let Some(again) = &mut self.again else { return Ok(None) };
        again.entry(&self.course, number)
    }

    /// Takes in the next batch. Whether there was one.
    fn fill(&mut self) -> Result<bool, Error> {
        let needed = self.kept_from.map_or(self.at, |kept| kept.min(self.at));
        let unneeded = usize::try_from(needed.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let unneeded = unneeded.min(self.entries.len());
        self.entries.drain(..unneeded);
        self.first += unneeded as u64;
        while let Some(batch) = self.source.next_sound(&mut self.damage)? {
            self.course.note(&batch);
            self.entries.extend(batch.turns().map(|(turn, record, stack)| (turn, *record, stack)));
            let is_empty = batch.records.is_empty();
            self.source.recycle(batch);
            if !is_empty {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
