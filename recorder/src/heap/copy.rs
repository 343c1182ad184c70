//! A copy of parts of a process's memory, and where they come from.
//!
//! What is parsed is the copy: the process goes on meanwhile, and nothing can change under the parser.

use std::io;

use super::HeapError;

/// Addresses from a start to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub start: u64,
    /// The first that is no more in it.
    pub end: u64,
}

impl Range {
    /// Bytes.
    pub fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether an address lies in it.
    pub fn contains(&self, at: u64) -> bool {
        at >= self.start && at < self.end
    }
}

/// Memory that can be read.
pub trait Memory {
    /// Reads these parts one after the other; they are as long as the buffer.
    ///
    /// # Errors
    ///
    /// When a part of it is not mapped.
    fn read(&self, parts: &[Range], into: &mut [u8]) -> io::Result<()>;
}

/// What a page has, as the kernel counts.
pub const PAGE: u64 = 4096;

/// The most memory that is copied: more heap than this is not taken at one time.
const MOST: u64 = 1 << 38;

/// Pieces no longer than this lie one behind the other in the store.
const STORED: usize = 256 << 10;

/// By so much the store grows.
const GROWTH: usize = 4 << 20;

/// Parts of a process's memory, copied.
///
/// To write to a page for the first time takes the kernel four times as long as to copy one. A process that stands
/// still need not wait for that: what is copied once more goes to where it went the first time.
#[derive(Clone, Debug, Default)]
pub struct Copy {
    /// In the order of their addresses; none overlaps with another.
    parts: Vec<(Range, Place)>,
    /// The bytes of the shorter parts, as far as it is used; what lies behind are pages that have been written to.
    store: Vec<u8>,
    used: usize,
}

/// Where the bytes of a part are.
#[derive(Clone, Debug)]
enum Place {
    /// So far into the store.
    Stored(usize),
    /// Here: most of them may be zeros that nobody writes to, and take no memory.
    Apart(Vec<u8>),
}

impl Copy {
    /// Forgets all that was copied, and keeps the memory it took.
    pub fn clear(&mut self) {
        self.parts.clear();
        self.used = 0;
    }

    /// Copies a range, unless it is there already. Of that, only what lies in `present` is asked for, which is
    /// sorted: the rest is zeros.
    pub fn load(
        &mut self,
        memory: &dyn Memory,
        range: Range,
        present: Option<&[Range]>,
    ) -> Result<(), HeapError> {
        if range.length() == 0 || self.has(range) {
            return Ok(());
        }
        let unreadable = |source| HeapError::Unreadable { start: range.start, end: range.end, source };
        let length = usize::try_from(range.length())
            .ok()
            .filter(|_| range.length() <= MOST)
            .ok_or_else(|| unreadable(io::ErrorKind::OutOfMemory.into()))?;
        let place = if length <= STORED {
            let end = self.used.saturating_add(length);
            if end > self.store.len() {
                self.store.resize(end.saturating_add(GROWTH), 0);
            }
            let bytes = self.store.get_mut(self.used..end).unwrap_or_default();
            read(memory, range, present, bytes, true).map_err(unreadable)?;
            Place::Stored(std::mem::replace(&mut self.used, end))
        } else {
            let mut bytes = Vec::<u8>::new();
            bytes.try_reserve_exact(length).map_err(|_| unreadable(io::ErrorKind::OutOfMemory.into()))?;
            drop(bytes);
            let mut bytes = vec![0; length];
            read(memory, range, present, &mut bytes, false).map_err(unreadable)?;
            Place::Apart(bytes)
        };
        // What was copied of it before is in it now.
        self.parts.retain(|(part, _)| part.start < range.start || part.end > range.end);
        let at = self.parts.partition_point(|(part, _)| part.start < range.start);
        self.parts.insert(at, (range, place));
        Ok(())
    }

    /// The part that an address lies in or behind, and its bytes.
    #[inline]
    fn part(&self, at: u64) -> Option<(Range, &[u8])> {
        let next = self.parts.partition_point(|(part, _)| part.start <= at);
        let (part, place) = self.parts.get(next.checked_sub(1)?)?;
        let bytes = match place {
            Place::Apart(bytes) => bytes.as_slice(),
            Place::Stored(from) => {
                self.store.get(*from..from.checked_add(usize::try_from(part.length()).ok()?)?)?
            }
        };
        Some((*part, bytes))
    }

    fn has(&self, range: Range) -> bool {
        let place = self.parts.partition_point(|(part, _)| part.start <= range.start);
        let before = place.checked_sub(1).map(|place| self.parts[place].0);
        before.is_some_and(|part| range.end <= part.end)
    }

    /// The word at an address; `None` if it was not copied.
    #[inline]
    pub fn word(&self, at: u64) -> Option<u64> {
        let (part, bytes) = self.part(at)?;
        let offset = usize::try_from(at - part.start).ok()?;
        bytes.get(offset..offset.checked_add(8)?)?.first_chunk().map(|word| u64::from_le_bytes(*word))
    }

    /// The low or the high half of the word at a multiple of 4.
    pub fn int(&self, at: u64) -> Option<i32> {
        let word = self.word(at & !7)?.to_le_bytes();
        let half = if at.is_multiple_of(8) { word.first_chunk() } else { word.last_chunk() };
        half.map(|half| i32::from_le_bytes(*half))
    }

    /// The bytes from an address on, as far as they were copied in one piece.
    pub fn bytes(&self, range: Range) -> Option<&[u8]> {
        let (part, bytes) = self.part(range.start)?;
        let from = usize::try_from(range.start - part.start).ok()?;
        bytes.get(from..from.checked_add(usize::try_from(range.length()).ok()?)?)
    }
}

/// Reads a range: all of it, or those pieces that are present. What is not is zeros, also where the bytes were used.
fn read(
    memory: &dyn Memory,
    range: Range,
    present: Option<&[Range]>,
    bytes: &mut [u8],
    were_used: bool,
) -> io::Result<()> {
    let Some(present) = present else { return memory.read(&[range], bytes) };
    let clear = |bytes: Option<&mut [u8]>| {
        let bytes = bytes.ok_or(io::ErrorKind::InvalidInput)?;
        // Pages of zeros that nobody writes to take no memory.
        if were_used {
            bytes.fill(0);
        }
        io::Result::Ok(())
    };
    let first = present.partition_point(|part| part.end <= range.start);
    let within = present.iter().skip(first).take_while(|part| part.start < range.end);
    let mut done = 0;
    for part in within {
        let part = Range { start: part.start.max(range.start), end: part.end.min(range.end) };
        let from = usize::try_from(part.start - range.start).unwrap_or(usize::MAX);
        let to = from.saturating_add(usize::try_from(part.length()).unwrap_or(usize::MAX));
        clear(bytes.get_mut(done..from))?;
        memory.read(&[part], bytes.get_mut(from..to).ok_or(io::ErrorKind::InvalidInput)?)?;
        done = to;
    }
    clear(bytes.get_mut(done..))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory whose every word is its address.
    struct Counting;

    impl Memory for Counting {
        fn read(&self, parts: &[Range], into: &mut [u8]) -> io::Result<()> {
            let addresses = parts.iter().flat_map(|part| (part.start..part.end).step_by(8));
            for (word, at) in into.chunks_exact_mut(8).zip(addresses) {
                word.copy_from_slice(&at.to_le_bytes());
            }
            Ok(())
        }
    }

    #[test]
    fn what_is_copied_once_more_has_nothing_of_what_was_there_before() {
        let range = Range { start: 0x1000, end: 0x5000 };
        let mut copy = Copy::default();
        copy.load(&Counting, range, None).expect("it is there");
        assert_eq!(copy.word(0x2000), Some(0x2000));
        copy.clear();
        assert_eq!(copy.word(0x2000), None);
        copy.load(&Counting, range, Some(&[Range { start: 0x3000, end: 0x4000 }])).expect("it is there");
        let found = [0x1000, 0x2ff8, 0x3000, 0x3ff8, 0x4000, 0x4ff8].map(|at| copy.word(at));
        assert_eq!(found, [Some(0), Some(0), Some(0x3000), Some(0x3ff8), Some(0), Some(0)]);
    }

    #[test]
    fn words_are_those_that_were_copied_and_no_others() {
        let mut copy = Copy::default();
        let present = [Range { start: 0x1000, end: 0x2000 }, Range { start: 0x3000, end: 0x9000 }];
        copy.load(&Counting, Range { start: 0x1800, end: 0x4000 }, Some(&present)).expect("it is there");
        copy.load(&Counting, Range { start: 0x800, end: 0x1000 }, None).expect("it is there");
        let found =
            [0x7f8, 0x800, 0xff8, 0x1000, 0x1800, 0x2000, 0x3008, 0x3ff8, 0x4000].map(|at| copy.word(at));
        let expected =
            [None, Some(0x800), Some(0xff8), None, Some(0x1800), Some(0), Some(0x3008), Some(0x3ff8), None];
        assert_eq!(found, expected);
        assert_eq!((copy.int(0x3008), copy.int(0x300c)), (Some(0x3008), Some(0)));
    }
}
