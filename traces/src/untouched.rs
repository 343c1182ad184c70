//! Memory that the program had from malloc and never touched: no memory was behind it when the program ended.
//!
//! A page that nobody has touched since the kernel gave it was touched by no allocation that lay there since.
//! So what is seen at the end tells of all of them, however long they lived.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::damage::Fault;
use crate::error::Error;
use crate::frame::Kind;
use crate::source::Source;

/// Which memory was never touched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untouched {
    /// Parts of the main heap without memory at the end, from start to end, in their order.
    pub heap: Vec<(u64, u64)>,
    /// What was there before some record is not known of pages that were given back: those from this program break
    /// on, before the record with this number. Both grow from one to the next.
    pub given_back: Vec<(u64, u64)>,
    /// Parts without memory of allocations with mappings of their own, at the end or when they were freed: the number
    /// of the record that made it, start and end. In the order of the records.
    pub mapped: Vec<(u64, u64, u64)>,
    /// Parts of the main heap that were without memory earlier, before they may have been given back.
    pub earlier: Vec<Earlier>,
}

/// A part of the main heap that was without memory before some record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// What was there before the record with this number is not known: it was given back then.
    pub since: u64,
    /// The record with this number came next.
    pub before: u64,
}

/// Bytes of a page.
const PAGE: u64 = 4096;

/// A part of an allocation: how far from its payload it begins and ends, in bytes.
pub type Part = (u64, u64);

impl Untouched {
    /// Whether nothing is known to be untouched.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty() && self.mapped.is_empty() && self.earlier.is_empty()
    }
}

/// What was never touched, by allocation.
#[derive(Clone, Debug, Default)]
pub struct Spared {
    untouched: Untouched,
    /// By stretches of the heap: what was seen earlier there, in the order of the records.
    earlier: BTreeMap<u64, Vec<Earlier>>,
}

/// How long a stretch of the heap is, in bytes.
const STRETCH: u64 = 1 << 20;

/// Over how many stretches what was seen may be spread, in all. What is more is left out.
const MOST_STRETCHES: u64 = 1 << 20;

impl Spared {
    /// What is known, by allocation.
    pub fn of(mut untouched: Untouched) -> Spared {
        untouched.earlier.sort_unstable_by_key(|seen| seen.before);
        let mut earlier: BTreeMap<u64, Vec<Earlier>> = BTreeMap::new();
        let mut left = MOST_STRETCHES;
        for seen in std::mem::take(&mut untouched.earlier) {
            let stretches = stretches(seen.start, seen.end);
            let count = stretches.end.saturating_sub(stretches.start);
            if let Some(rest) = left.checked_sub(count) {
                left = rest;
                stretches.for_each(|stretch| earlier.entry(stretch).or_default().push(seen));
            }
        }
        Spared { untouched, earlier }
    }

    /// The parts that were never touched of an allocation that this record made, of so many bytes at this address. In
    /// their order; none touches the next.
    pub fn parts(&self, record: u64, address: u64, bytes: u64) -> Vec<Part> {
        let Spared { untouched: Untouched { heap, given_back, mapped, .. }, .. } = self;
        let end = address.saturating_add(bytes);
        let within = |start: u64, stop: u64| {
            let (start, stop) = (start.max(address), stop.min(end));
            (start < stop).then(|| (start - address, stop - address))
        };
        // In the last page of an allocation, another chunk begins: that is why there is memory.
        let hole = |start: u64, stop: u64| {
            let is_last = stop < end && end - stop < PAGE;
            within(start, if is_last { end } else { stop })
        };
        let first = mapped.partition_point(|&(number, ..)| number < record);
        let mapped = mapped[first..].iter().take_while(|&&(number, ..)| number == record);
        let mut parts: Vec<Part> = mapped.filter_map(|&(_, start, stop)| within(start, stop)).collect();
        let first = heap.partition_point(|&(_, stop)| stop <= address);
        let later = given_back.partition_point(|&(_, number)| number <= record);
        for &(start, stop) in heap[first..].iter().take_while(|&&(start, _)| start < end) {
            // What lies above a break that came later may have been touched, and given back since.
            let known = given_back.get(later).map_or(stop, |&(from, _)| from);
            parts.extend(hole(start, stop.min(known)));
        }
        if !self.earlier.is_empty() {
            parts.extend(
                self.earlier_holes(record, address, end).filter_map(|seen| hole(seen.start, seen.end)),
            );
        }
        joined(parts)
    }

    /// What was seen between these addresses of what lay there since before this record.
    fn earlier_holes(&self, record: u64, address: u64, end: u64) -> impl Iterator<Item = &Earlier> {
        let lists = self.earlier.range(stretches(address, end));
        lists.flat_map(move |(_, seen)| {
            let first = seen.partition_point(|seen| seen.before <= record);
            // What was seen much later is of what came later, nearly always.
            seen[first..].iter().take(MOST_LOOKED_AT).filter(move |seen| seen.since <= record)
        })
    }
}

/// How many parts of one stretch are considered for one allocation.
const MOST_LOOKED_AT: usize = 256;

/// The numbers of the stretches between two addresses.
fn stretches(start: u64, end: u64) -> Range<u64> {
    start / STRETCH..end.div_ceil(STRETCH)
}

/// Parts in their order, those that overlap or meet as one.
fn joined(mut parts: Vec<Part>) -> Vec<Part> {
    parts.sort_unstable();
    parts.dedup_by(|next, last| {
        let meets = next.0 <= last.1;
        if meets {
            last.1 = last.1.max(next.1);
        }
        meets
    });
    parts
}

impl<R: Read + Seek> Source<R> {
    /// What is known to be untouched, if that is told from `from` on.
    pub fn untouched(&mut self, from: u64) -> Result<Option<Untouched>, Error> {
        let mut next = self.next_frame(from)?;
        while let Some((at, frame)) = next {
            if frame.kind == Kind::Untouched {
                // What cannot be read is not known.
                let told: Result<Untouched, Fault> = self.part(at, Kind::Untouched)?;
                return Ok(told.ok());
            }
            next = self.frame_after(at, Some(frame))?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_allocation_and_of_its_time() {
        let untouched = Untouched {
            heap: vec![(0x2000, 0x4000), (0x9000, 0xa000)],
            given_back: vec![(0x3000, 10), (0x8000, 20)],
            mapped: vec![
                (5, 0x7000_1000, 0x7000_3000),
                (5, 0x7000_8000, 0x7000_9000),
                (7, 0x7000_0000, 0x7000_1000),
            ],
            earlier: vec![
                Earlier { start: 0x6000, end: 0x7000, since: 12, before: 19 },
                Earlier { start: 0x3000, end: 0x6000, since: 3, before: 9 },
            ],
        };
        let spared = Spared::of(untouched);
        for (record, address, bytes, expected) in [
            // After everything that was given back: what overlaps.
            (20, 0x1010, 0x8000, vec![(0xff0, 0x2ff0), (0x7ff0, 0x8000)]),
            (20, 0x4000, 0x5000, vec![]),
            // Of the page behind the hole, what belongs to it was not touched either; of two pages it may have been.
            (20, 0x1010, 0x3020, vec![(0xff0, 0x3020)]),
            (20, 0x1010, 0x4000, vec![(0xff0, 0x2ff0)]),
            // Before the break was last at 0x8000, what lies above that is not known.
            (10, 0x1010, 0x8000, vec![(0xff0, 0x2ff0)]),
            // And before it was at 0x3000.
            (9, 0x1010, 0x8000, vec![(0xff0, 0x1ff0)]),
            // But for what was seen before that.
            (8, 0x1010, 0x8000, vec![(0xff0, 0x4ff0)]),
            (2, 0x1010, 0x8000, vec![(0xff0, 0x1ff0)]),
            (12, 0x4010, 0x4000, vec![(0x1ff0, 0x2ff0)]),
            (19, 0x4010, 0x4000, vec![]),
            (5, 0x7000_0010, 0x20000, vec![(0xff0, 0x2ff0), (0x7ff0, 0x8ff0)]),
            (6, 0x7000_0010, 0x20000, vec![]),
        ] {
            assert_eq!(spared.parts(record, address, bytes), expected, "{record} {address:#x}");
        }
        assert!(Untouched::default().is_empty());
    }

    #[test]
    fn nonsense_is_survived() {
        let untouched = Untouched {
            heap: vec![(9, 3), (1, u64::MAX), (0, 0)],
            given_back: vec![(u64::MAX, 0), (0, u64::MAX)],
            mapped: vec![(3, u64::MAX, 0), (1, 0, u64::MAX)],
            earlier: [(0, u64::MAX), (u64::MAX, 0), (7, u64::MAX), (1, 2)]
                .map(|(start, end)| Earlier { start, end, since: end, before: start })
                .to_vec(),
        };
        let spared = Spared::of(untouched);
        for record in [0, 1, 3, u64::MAX] {
            for (address, bytes) in [(0, u64::MAX), (u64::MAX, u64::MAX), (5, 0)] {
                assert!(spared.parts(record, address, bytes).iter().all(|(start, end)| start < end));
            }
        }
    }
}
