//! Which of an arena's lists may hold something: a bit each, and the search for the next larger.
//!
//! A bit is set when a chunk is sorted into its list. It is cleared only by a search that finds the
//! list empty, so a set bit is a guess and a clear bit is certain (glibc: `binmap`).

use super::LISTS;
use crate::address::ChunkSize;
use crate::arena::Arena;
use crate::bins;
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::layout::Layout;
use crate::list;
use crate::memory::Memory;
use crate::observe::{Event, Found, Observer, Source};

const BITS: usize = u64::BITS as usize;

/// A bit for every list of an arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BinMap([u64; LISTS / BITS]);

impl BinMap {
    /// With these bits, the lowest list's the lowest.
    pub(crate) fn from_bits(bits: [u64; LISTS / BITS]) -> BinMap {
        BinMap(bits)
    }

    /// Its bits, the lowest list's the lowest.
    #[cfg(test)]
    pub(crate) fn bits(&self) -> [u64; LISTS / BITS] {
        self.0
    }

    /// Notes that the list may hold something.
    #[inline]
    pub(crate) fn mark(&mut self, number: usize) {
        self.0[number / BITS] |= 1 << (number % BITS);
    }

    /// Notes that the list is empty.
    fn clear(&mut self, number: usize) {
        self.0[number / BITS] &= !(1 << (number % BITS));
    }

    /// Whether the list may hold something.
    pub(crate) fn is_marked(&self, number: usize) -> bool {
        self.0[number / BITS] & (1 << (number % BITS)) != 0
    }

    /// The first marked list from this number on.
    #[inline]
    fn first_from(&self, number: usize) -> Option<usize> {
        let word = number / BITS;
        let here = *self.0.get(word)? & (u64::MAX << (number % BITS));
        if here != 0 {
            return Some(word * BITS + here.trailing_zeros() as usize);
        }
        let (index, bits) = self.0.iter().enumerate().skip(word + 1).find(|&(_, &bits)| bits != 0)?;
        Some(index * BITS + bits.trailing_zeros() as usize)
    }
}

impl Arena {
    /// Serves a request from the next larger list that holds anything, from its smallest chunk.
    ///
    /// `last_remainder` is noted only for small requests: a run of them goes on splitting it.
    pub(crate) fn take_next_larger<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        let mut from = bins::number(cx.geometry(), size) + 1;
        while let Some(number) = self.map.first_from(from) {
            let victim = self.list(&cx.memory, number).last(&cx.memory);
            if victim == self.list(&cx.memory, number).sentinel {
                self.map.clear(number);
                from = number + 1;
                continue;
            }
            let whole = victim.size(&cx.memory);
            cx.tell(Event::LookedAt { bin: bins::list(number), chunks: 1 });
            list::unlink(cx, victim)?;
            if (whole - size) < M::Layout::SMALLEST_CHUNK {
                self.hand_out_whole(cx, victim, whole);
            } else {
                let remainder = self.split_off(cx, victim, whole, size, Corruption::UnsortedInLargerSplit)?;
                if !cx.geometry().is_large(size) {
                    self.last_remainder = remainder;
                }
            }
            return Ok(Some(Found { chunk: victim, source: Source::Split(bins::narrow(number)) }));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_the_next_marked_list() {
        let mut map = BinMap::default();
        for number in [2, 63, 64, 126] {
            map.mark(number);
        }
        assert_eq!(map.first_from(2), Some(2));
        assert_eq!(map.first_from(3), Some(63));
        assert_eq!(map.first_from(64), Some(64));
        assert_eq!(map.first_from(65), Some(126));
        assert_eq!(map.first_from(127), None);
        assert_eq!(map.first_from(128), None);
        map.clear(126);
        assert_eq!(map.first_from(65), None);
    }
}
