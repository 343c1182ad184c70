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
/// makes one of mappings that touch, so that a mapping may be taken in part.
pub fn find(
    memory: &dyn Memory,
    maps: &[Mapped],
    pages: Option<&Pages>,
    limits: &Limits,
    like_others: bool,
    taken: &[Range],
) -> Vec<Mapping> {
    let wanted = usize::try_from(limits.mapped_chunks).unwrap_or(0);
    let is_place = |one: &&Mapped| one.is_private_and_writable && one.is_anonymous();
    let places: Vec<Range> = maps.iter().filter(is_place).flat_map(|one| without(one.range, taken)).collect();
    let mut search = Search { memory, pages, like_others, found: Vec::new() };
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
    use super::*;

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
