//! Large bins: a range of sizes each, best fit by size, with a skip list to find it.
//!
//! ```text
//!   sentinel ⇄ 2048 ⇄ 2048 ⇄ 2016 ⇄ 1984 ⇄ 1984 ⇄ 1984 ⇄ sentinel     the list, largest in front
//!               ▲               ▲       ▲
//!               └───────────────┴───────┴─► round again                the skip list: first of a size
//! ```
//!
//! Only the first of several equals is on the skip list. A new equal goes second, and the second
//! is also the one that is taken, so that the skip list rarely changes.

use super::narrow;
use crate::address::{ChunkSize, align_down, index};
use crate::arena::Arena;
use crate::bins::Bin;
use crate::chunk::Chunk;
use crate::corruption::{Checks, Corruption};
use crate::heap::Context;
use crate::layout::{Geometry, Layout};
use crate::list::{self, List};
use crate::memory::{Memory, Words};
use crate::observe::{Event, Found, Observer, Source};

/// The number of the last large bin, which takes every size that is too large for the others.
const LAST: usize = 126;

/// Sizes whose `size >> shift` is at most `limit` are in the list number `first + (size >> shift)`.
type Range = (u32, u64, usize);

/// The ranges: those of the narrowest bins differ (glibc: `largebin_index_64`, `largebin_index_32`,
/// `largebin_index_32_big`).
#[inline(always)]
fn ranges(geometry: Geometry) -> [Range; 5] {
    let narrowest = match (geometry.word, geometry.alignment) {
        (8, _) => (6, 48, 48),
        (_, 8) => (6, 38, 56),
        _ => (6, 45, 49),
    };
    [narrowest, (9, 20, 91), (12, 10, 110), (15, 4, 119), (18, 2, 124)]
}

/// The number of the list that chunks of this size are sorted into.
#[inline]
pub(crate) fn number(geometry: Geometry, size: ChunkSize) -> usize {
    for (shift, limit, first) in ranges(geometry) {
        if size.0 >> shift <= limit {
            return first + index(size.0 >> shift);
        }
    }
    LAST
}

/// The smallest and the greatest chunk size of the list of this number.
pub(crate) fn sizes(geometry: Geometry, number: usize) -> (ChunkSize, ChunkSize) {
    let begins = |number: usize| {
        let mut below = geometry.smallest_large().0;
        for (shift, limit, first) in ranges(geometry) {
            if number <= first + index(limit) {
                return below.max((number.saturating_sub(first) as u64) << shift);
            }
            below = (limit + 1) << shift;
        }
        below
    };
    let greatest = match number {
        LAST.. => align_down(geometry.greatest_word(), geometry.alignment),
        _ => begins(number + 1) - geometry.alignment,
    };
    (ChunkSize(begins(number)), ChunkSize(greatest))
}

impl Arena {
    /// Serves a large request from the bin its size belongs to: the smallest that fits, and of
    /// several equals the second, which is not on the skip list.
    pub(crate) fn take_large<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        let number = number(cx.geometry(), size);
        let list = self.list(&cx.memory, number);
        let largest = list.first(&cx.memory);
        if largest == list.sentinel || largest.head(&cx.memory).0 < size.0 {
            cx.tell(Event::Missed { bin: Bin::Large(narrow(number)) });
            return Ok(None);
        }
        let mut victim = largest.larger(&cx.memory);
        let mut whole = victim.size(&cx.memory);
        // The largest, and the smallest.
        let mut chunks = 2;
        while whole < size {
            chunks += 1;
            victim = victim.larger(&cx.memory);
            if victim == Chunk::NONE {
                // Here glibc would crash.
                return Err(Corruption::LargeSkipLinks);
            }
            whole = victim.size(&cx.memory);
        }
        cx.tell(Event::LookedAt { bin: Bin::Large(narrow(number)), chunks });
        if victim != list.last(&cx.memory) {
            let second = victim.forward(&cx.memory);
            if second.head(&cx.memory) == victim.head(&cx.memory) {
                victim = second;
            }
        }
        list::unlink(cx, victim)?;
        if (whole - size) < M::Layout::SMALLEST_CHUNK {
            self.hand_out_whole(cx, victim, whole);
        } else {
            self.split_off(cx, victim, whole, size, Corruption::UnsortedInSplit)?;
        }
        Ok(Some(Found { chunk: victim, source: Source::Large(narrow(number)) }))
    }
}

/// Puts a chunk into a large bin where its size belongs. Returns how many others it was compared with.
pub(crate) fn insert_sorted(
    words: &mut impl Words,
    checks: &Checks,
    list: List,
    chunk: Chunk,
    size: ChunkSize,
) -> Result<u32, Corruption> {
    let largest = list.first(words);
    if largest == list.sentinel {
        chunk.set_smaller(words, chunk);
        chunk.set_larger(words, chunk);
        list::insert(words, list.sentinel, chunk, list.sentinel);
        return Ok(0);
    }
    let smallest = list.last(words);
    if size < smallest.size(words) {
        // Behind all others; the skip list ends with it and goes round to the largest.
        let last_size = largest.larger(words);
        if checks.largest_skip_links && last_size.smaller(words) != largest {
            return Err(Corruption::LargeSkipLinks);
        }
        chunk.set_smaller(words, largest);
        chunk.set_larger(words, last_size);
        last_size.set_smaller(words, chunk);
        largest.set_larger(words, chunk);
        list::insert(words, smallest, chunk, list.sentinel);
        return Ok(1);
    }
    let mut before = largest;
    // The smallest, and the first that is not larger.
    let mut chunks = 2;
    while size < before.size(words) {
        chunks += 1;
        before = before.smaller(words);
    }
    if size == before.size(words) {
        // Second of its size. Its skip links are `NONE` since it came to the unsorted bin.
        before = before.forward(words);
    } else {
        let larger = before.larger(words);
        if checks.large_links && larger.smaller(words) != before {
            return Err(Corruption::LargeSkipLinks);
        }
        chunk.set_smaller(words, before);
        chunk.set_larger(words, larger);
        before.set_larger(words, chunk);
        larger.set_smaller(words, chunk);
    }
    let behind = before.backward(words);
    if checks.large_links && behind.forward(words) != before {
        return Err(Corruption::LargeLinks);
    }
    list::insert(words, behind, chunk, before);
    Ok(chunks)
}
