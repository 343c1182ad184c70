//! Chunks with a mapping of their own: nothing leads to them but the program's pointers, so they are found by
//! their heads, at the beginnings of pages that nothing else accounts for.
//!
//! A program's own bytes may look like a head. But malloc counts these chunks and their bytes, so that it can be
//! told whether all of them were found, and no others.

use malloscope_traces::snapshot::{Limits, Mapping};

use super::copy::{Memory, PAGE, Range};
use super::find::HEADER;
use super::maps::{Mapped, Pages};

/// Set in the head of a chunk with a mapping of its own.
const MAPPED: u64 = 2;
/// The bits of a head that are no part of the size.
const FLAGS: u64 = 7;
/// In the first word of such a chunk that has huge pages (from 2.43 on).
const IN_HUGE_PAGES: u64 = 1;
/// How many heads are read at one time.
const AT_ONCE: usize = 1024;
/// The most bytes that are searched word by word for what does not begin with a page.
const MOST_SEARCHED: u64 = 256 << 20;

/// Finds as many as `limits` count, in anonymous memory that is not `taken`, which is sorted. The kernel
/// makes one of mappings that touch, so that a mapping may be taken in part. If those found `before` are still there, and
/// malloc has no others, nothing else is looked at.
pub fn find(
    memory: &dyn Memory,
    maps: &[Mapped],
    pages: Option<&Pages>,
    limits: &Limits,
    like_others: bool,
    taken: &[Range],
    before: &[Mapping],
) -> Vec<Mapping> {
    let wanted = usize::try_from(limits.mapped_chunks).unwrap_or(0);
    let is_place = |one: &&Mapped| one.is_private_and_writable && one.is_anonymous();
    let places: Vec<Range> = maps.iter().filter(is_place).flat_map(|one| without(one.range, taken)).collect();
    let mut search = Search { memory, pages, like_others, found: Vec::new() };
    search.look_again(&places, before);
    let bytes: u64 = search.found.iter().map(|one| one.length).sum();
    if search.found.len() == wanted && bytes == limits.mapped_bytes {
        search.look_for_aligned();
        return search.found;
    }
    search.found.clear();
    // The latest are mapped lowest, and lie beside one another.
    for &place in &places {
        if search.found.len() >= wanted {
            break;
        }
        search.page_by_page(place);
    }
    if search.found.len() < wanted {
        let mut left = MOST_SEARCHED;
        for &place in &places {
            search.word_by_word(place, &mut left);
        }
    }
    search.look_for_aligned();
    search.found
}

/// Where a chunk may begin in a mapping whose payload has an alignment greater than others have: at the first
/// multiple, or the second if there is no room for a chunk before.
fn aligned_chunks(mapping: Range) -> Vec<u64> {
    let alignments = (5..mapping.length().ilog2() + 1).map(|bits| 1 << bits);
    let chunks = alignments.flat_map(|alignment: u64| {
        let first = (mapping.start + HEADER).next_multiple_of(alignment) - HEADER;
        [first, first + alignment]
    });
    let mut chunks: Vec<u64> =
        chunks.filter(|&chunk| chunk > mapping.start && chunk + 2 * HEADER <= mapping.end).collect();
    chunks.sort_unstable();
    chunks.dedup();
    chunks
}

/// What is left of a range.
fn without(range: Range, taken: &[Range]) -> Vec<Range> {
    let mut left = Vec::new();
    let mut start = range.start;
    for other in taken.iter().filter(|other| other.start < range.end && other.end > range.start) {
        if other.start > start {
            left.push(Range { start, end: other.start });
        }
        start = start.max(other.end.next_multiple_of(PAGE));
    }
    if start < range.end {
        left.push(Range { start, ..range });
    }
    left
}

struct Search<'a> {
    memory: &'a dyn Memory,
    pages: Option<&'a Pages>,
    like_others: bool,
    /// In the order of their addresses.
    found: Vec<Mapping>,
}

impl Search<'_> {
    fn present(&self, range: Range) -> Vec<Range> {
        let residency = self.pages.and_then(|pages| pages.within(range));
        residency.map_or_else(|| vec![range], |residency| residency.present)
    }

    /// Takes those that are where they were.
    fn look_again(&mut self, places: &[Range], before: &[Mapping]) {
        for one in before {
            let mut head = [0; 16];
            let chunk = Range { start: one.chunk, end: one.chunk.saturating_add(HEADER) };
            let after = places.partition_point(|place| place.start <= one.start);
            let place = after.checked_sub(1).and_then(|place| places.get(place));
            if let Some(place) = place
                && self.memory.read(&[chunk], &mut head).is_ok()
                && self.mapping(one.chunk, words(&head), *place) == Some(*one)
            {
                self.insert(*one);
            }
        }
    }

    /// Looks at the beginning of every page that holds anything, but for those in chunks.
    fn page_by_page(&mut self, place: Range) {
        let starts: Vec<u64> =
            self.present(place).iter().flat_map(|run| (run.start..run.end).step_by(4096)).collect();
        let mut heads = vec![0; 16 * AT_ONCE];
        let mut free_from = place.start;
        for starts in starts.chunks(AT_ONCE) {
            let parts: Vec<Range> =
                starts.iter().map(|&start| Range { start, end: start + HEADER }).collect();
            let Some(heads) = heads.get_mut(..16 * parts.len()) else { return };
            if self.memory.read(&parts, heads).is_err() {
                return;
            }
            for (&start, head) in starts.iter().zip(heads.chunks_exact(16)) {
                if start < free_from {
                    continue;
                }
                if let Some(one) =
                    self.mapping(start, words(head), place).filter(|one| one.start == one.chunk)
                {
                    free_from = one.start + one.length;
                    self.insert(one);
                }
            }
        }
    }

    /// Looks everywhere in what no chunk was found in yet: an aligned one need not begin with a page.
    fn word_by_word(&mut self, place: Range, left: &mut u64) {
        let mut page = vec![0; 4096];
        for run in self.present(place) {
            for start in (run.start..run.end).step_by(4096) {
                let is_taken =
                    self.found.iter().any(|one| start >= one.start && start < one.start + one.length);
                if is_taken || *left < PAGE {
                    continue;
                }
                *left -= PAGE;
                if self.memory.read(&[Range { start, end: start + PAGE }], &mut page).is_err() {
                    return;
                }
                let chunks = (start..).step_by(16).zip(page.chunks_exact(16));
                let found: Vec<Mapping> =
                    chunks.filter_map(|(chunk, head)| self.mapping(chunk, words(head), place)).collect();
                for one in found {
                    let overlaps = |other: &Mapping| {
                        one.start < other.start + other.length && other.start < one.start + one.length
                    };
                    if !self.found.iter().any(overlaps) {
                        self.insert(one);
                    }
                }
            }
        }
    }

    /// An aligned chunk is cut out of one that began with its mapping, whose head stays where it was. So there may
    /// be another head inside that ends where the mapping ends; where it can be follows from the alignment.
    fn look_for_aligned(&mut self) {
        for place in 0..self.found.len() {
            let Some(one) = self.found.get(place).copied().filter(|one| one.start == one.chunk) else {
                continue;
            };
            let range = Range { start: one.start, end: one.start + one.length };
            let inner = aligned_chunks(range).into_iter().find_map(|chunk| {
                let mut bytes = [0; 16];
                self.memory.read(&[Range { start: chunk, end: chunk + HEADER }], &mut bytes).ok()?;
                self.mapping(chunk, words(&bytes), range).filter(|inner| inner.length == one.length)
            });
            if let (Some(inner), Some(found)) = (inner, self.found.get_mut(place)) {
                *found = inner;
            }
        }
    }

    fn insert(&mut self, one: Mapping) {
        let place = self.found.partition_point(|other| other.start < one.start);
        self.found.insert(place, one);
    }

    /// The mapping of a chunk with these first two words, if it may be one.
    fn mapping(&self, chunk: u64, [lead, head]: [u64; 2], place: Range) -> Option<Mapping> {
        let lead = if self.like_others { lead & !IN_HUGE_PAGES } else { lead };
        let size = head & !FLAGS;
        let behind = if self.like_others { HEADER } else { 0 };
        let length = lead.checked_add(size)?.checked_add(behind)?;
        let start = chunk.checked_sub(lead)?;
        let is_mapped = head & FLAGS == MAPPED;
        let fits = start >= place.start && start.checked_add(length)? <= place.end;
        let is_whole = start.is_multiple_of(PAGE) && length.is_multiple_of(PAGE) && size >= HEADER;
        (is_mapped && fits && is_whole).then_some(Mapping { start, length, chunk, head })
    }
}

/// The two words in 16 bytes.
fn words(bytes: &[u8]) -> [u64; 2] {
    let word = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    [word(bytes.first_chunk()), word(bytes.last_chunk())]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;

    use super::super::maps;
    use super::*;

    /// Memory of zeros, but for the heads of chunks.
    #[derive(Default)]
    struct Heads(BTreeMap<u64, [u64; 2]>);

    impl Memory for Heads {
        fn read(&self, parts: &[Range], into: &mut [u8]) -> io::Result<()> {
            into.fill(0);
            let mut from = 0;
            for part in parts {
                let heads = self.0.range(part.start..part.end);
                for (chunk, words) in heads.filter(|(chunk, _)| **chunk + HEADER <= part.end) {
                    let at = from + usize::try_from(chunk - part.start).unwrap();
                    let words = words.map(u64::to_le_bytes).concat();
                    into[at..at + words.len()].copy_from_slice(&words);
                }
                from += usize::try_from(part.length()).unwrap();
            }
            Ok(())
        }
    }

    #[test]
    fn what_was_found_before_is_found_again_and_so_is_what_came_or_moved_since() {
        const START: u64 = 0x7f00_0000_0000;
        let maps = maps::parse(&format!("{START:x}-{:x} rw-p 00000000 00:00 0 \n", START + 64 * PAGE));
        let found = |heads: &[(u64, [u64; 2])], before: &[Mapping]| {
            let memory = Heads(heads.iter().map(|&(at, words)| (START + at, words)).collect());
            let counted = heads.iter().filter(|(_, [_, head])| head & MAPPED != 0);
            let bytes = counted.clone().map(|(_, [lead, head])| lead + (head & !FLAGS)).sum();
            let mapped_chunks = i32::try_from(counted.count()).unwrap();
            let limits = Limits { mapped_chunks, mapped_bytes: bytes, ..Limits::default() };
            find(&memory, &maps, None, &limits, false, &[], before)
        };
        let plain = |page: u64, pages: u64| (page * PAGE, [0, (pages * PAGE) | MAPPED]);
        // A chunk that was cut out of one that began with its mapping.
        let aligned = (20 * PAGE + 0xff0, [0xff0, (5 * PAGE - 0xff0) | MAPPED]);
        let first = found(&[plain(3, 4), aligned], &[]);
        assert_eq!(first.len(), 2);
        for now in [
            vec![plain(3, 4), aligned],
            vec![plain(3, 4), plain(40, 2)],
            vec![plain(3, 4), plain(20, 5)],
            vec![plain(3, 4), aligned, plain(40, 2)],
            vec![plain(5, 4)],
        ] {
            let again = found(&now, &first);
            assert_eq!(again, found(&now, &[]));
            assert_eq!(again.len(), now.len());
        }
    }

    #[test]
    fn what_touches_an_arena_is_searched_all_the_same() {
        let range = |start: u64, end: u64| Range { start: start * PAGE, end: end * PAGE };
        let taken = [range(2, 3), range(5, 7), range(9, 20)];
        let left = |start, end| without(range(start, end), &taken);
        assert_eq!(left(0, 10), [range(0, 2), range(3, 5), range(7, 9)]);
        assert_eq!(left(5, 7), []);
        assert_eq!(left(20, 21), [range(20, 21)]);
    }
}
