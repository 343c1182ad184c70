//! Memory that the program had from malloc and never touched: no memory was behind it when the program ended.
//!
//! A page that nobody has touched since the kernel gave it was touched by no allocation that lay there since.
//! So what is seen at the end tells of all of them, however long they lived.

use std::io::{Read, Seek};

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
    /// Parts without memory at the end of allocations with mappings of their own that lived then: the number of the
    /// record that made it, start and end. In the order of the records.
    pub mapped: Vec<(u64, u64, u64)>,
}

/// Bytes of a page.
const PAGE: u64 = 4096;

/// A part of an allocation: how far from its payload it begins and ends, in bytes.
pub type Part = (u64, u64);

impl Untouched {
    /// Whether nothing is known to be untouched.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty() && self.mapped.is_empty()
    }

    /// The parts that were never touched of an allocation that this record made, of so many bytes at this address.
    pub fn parts(&self, record: u64, address: u64, bytes: u64) -> Vec<Part> {
        let end = address.saturating_add(bytes);
        let within = |start: u64, stop: u64| {
            let (start, stop) = (start.max(address), stop.min(end));
            (start < stop).then(|| (start - address, stop - address))
        };
        let first = self.mapped.partition_point(|&(number, ..)| number < record);
        let mapped = self.mapped[first..].iter().take_while(|&&(number, ..)| number == record);
        let mut parts: Vec<Part> = mapped.filter_map(|&(_, start, stop)| within(start, stop)).collect();
        let first = self.heap.partition_point(|&(_, stop)| stop <= address);
        let heap = self.heap[first..].iter().take_while(|&&(start, _)| start < end);
        for &(start, stop) in heap {
            // What lies above a break that came later may have been touched, and given back since.
            let known =
                self.given_back.iter().find(|&&(_, number)| number > record).map_or(stop, |&(from, _)| from);
            let stop = stop.min(known);
            // In its last page, another chunk begins: that is why there is memory.
            let is_last = stop < end && end - stop < PAGE;
            parts.extend(within(start, if is_last { end } else { stop }));
        }
        parts
    }
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
        };
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
            (5, 0x7000_0010, 0x20000, vec![(0xff0, 0x2ff0), (0x7ff0, 0x8ff0)]),
            (6, 0x7000_0010, 0x20000, vec![]),
        ] {
            assert_eq!(untouched.parts(record, address, bytes), expected, "{record} {address:#x}");
        }
        assert!(Untouched::default().is_empty() && !untouched.is_empty());
    }

    #[test]
    fn nonsense_is_survived() {
        let untouched = Untouched {
            heap: vec![(9, 3), (1, u64::MAX), (0, 0)],
            given_back: vec![(u64::MAX, 0), (0, u64::MAX)],
            mapped: vec![(3, u64::MAX, 0), (1, 0, u64::MAX)],
        };
        for record in [0, 1, 3, u64::MAX] {
            for (address, bytes) in [(0, u64::MAX), (u64::MAX, u64::MAX), (5, 0)] {
                assert!(untouched.parts(record, address, bytes).iter().all(|(start, end)| start < end));
            }
        }
    }
}
