//! The records of a trace in the order of their replay, of which the latest can be had once more.

use crate::source::Source;
use crate::turn::{Extent, Turn};
use malloscope_traces::{Error, Record, Stack};
use std::collections::VecDeque;

/// A record, what of it is meant, and its stack.
pub(super) type Entry = (Turn, Record, Stack);

/// The records of a trace, from the oldest that was kept on.
#[derive(Debug)]
pub(super) struct Tape {
    source: Source,
    entries: VecDeque<Entry>,
    /// The number of the first entry, counted from the beginning of the trace.
    first: u64,
    /// How many of the entries lie behind us.
    at: usize,
    /// The first entry that is to be kept.
    kept_from: Option<u64>,
    damage: Vec<String>,
}

impl Tape {
    /// The beginning; `damage` is what is known already.
    pub(super) fn new(source: Source, damage: Vec<String>) -> Tape {
        Tape { source, entries: VecDeque::new(), first: 0, at: 0, kept_from: None, damage }
    }

    /// What cannot be read.
    pub(super) fn damage(&self) -> &[String] {
        &self.damage
    }

    /// The number of the next entry.
    pub(super) fn turn(&self) -> u64 {
        self.first + self.at as u64
    }

    /// Keeps the entries from this number on; with `None`, keeps nothing that lies behind.
    pub(super) fn keep_from(&mut self, number: Option<u64>) {
        self.kept_from = number;
    }

    /// Goes back to an entry. Whether it is still there.
    pub(super) fn rewind(&mut self, number: u64) -> bool {
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        match place.filter(|&place| place <= self.entries.len()) {
            Some(place) => {
                self.at = place;
                true
            }
            None => false,
        }
    }

    /// The next entry; `None` at the end of the trace.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Error> {
        if self.at == self.entries.len() && !self.fill()? {
            return Ok(None);
        }
        let entry = self.entries.get(self.at).copied();
        self.at += usize::from(entry.is_some());
        Ok(entry)
    }

    /// The next record of which all is meant.
    pub(super) fn peek_whole(&mut self) -> Result<Option<Record>, Error> {
        let mut ahead = self.at;
        loop {
            while let Some((turn, record, _)) = self.entries.get(ahead) {
                if turn.extent == Extent::Whole {
                    return Ok(Some(*record));
                }
                ahead += 1;
            }
            let from_here = ahead - self.at;
            if !self.fill()? {
                return Ok(None);
            }
            ahead = self.at + from_here;
        }
    }

    /// Takes in the next batch. Whether there was one.
    fn fill(&mut self) -> Result<bool, Error> {
        let behind = self.first + self.at as u64;
        let unneeded = self.kept_from.map_or(behind, |kept| kept.min(behind)) - self.first;
        let unneeded = usize::try_from(unneeded).unwrap_or(0).min(self.entries.len());
        self.entries.drain(..unneeded);
        self.first += unneeded as u64;
        self.at -= unneeded;
        while let Some(batch) = self.source.next_sound(&mut self.damage)? {
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
