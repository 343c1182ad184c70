//! Where the program's chunks lie in the main heap: a bit for every two words of memory.
//!
//! It answers one question in a few steps: which live chunk is the highest? Everything free below
//! that one is pinned: the program break cannot be moved down past it.

use malloscope_allocator::address::Address;

/// Bits in a word.
const BITS: u64 = u64::BITS as u64;

/// The live chunks of the main heap.
#[derive(Clone, Debug)]
pub(crate) struct LiveMap {
    start: u64,
    /// A bit stands for two to this bytes: chunks begin at multiples of that.
    shift: u32,
    words: Vec<u64>,
    /// Bytes of all live chunks.
    bytes: u64,
}

impl LiveMap {
    /// Nothing lives yet; chunks will lie from `start` on, at multiples of `grain`, a power of two.
    pub(crate) fn new(start: Address, grain: u64) -> LiveMap {
        let start = start.align_down(grain).0;
        LiveMap { start, shift: grain.trailing_zeros(), words: Vec::new(), bytes: 0 }
    }

    /// The word and the bit for a chunk; `None` for one that is not in the main heap.
    #[inline]
    fn place(&self, chunk: Address) -> Option<(usize, u64)> {
        let grain = chunk.0.checked_sub(self.start)? >> self.shift;
        Some((usize::try_from(grain / BITS).ok()?, 1 << (grain % BITS)))
    }

    /// Whether there is a bit for the chunk, or none is needed.
    #[inline]
    pub(crate) fn has_room(&self, chunk: Address) -> bool {
        self.place(chunk).is_none_or(|(word, _)| word < self.words.len())
    }

    /// Makes room for a chunk's bit.
    #[cold]
    pub(crate) fn make_room(&mut self, chunk: Address) {
        if let Some((word, _)) = self.place(chunk) {
            self.words.resize((word + 1).next_power_of_two().max(1024), 0);
        }
    }

    /// A chunk lives, for which there is room.
    #[inline]
    pub(crate) fn insert(&mut self, chunk: Address, size: u64) {
        let Some((word, bit)) = self.place(chunk) else { return };
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
            self.bytes = self.bytes.wrapping_add(size);
        }
    }

    /// A chunk lives no more.
    #[inline]
    pub(crate) fn remove(&mut self, chunk: Address, size: u64) {
        let Some((word, bit)) = self.place(chunk) else { return };
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
            self.bytes = self.bytes.wrapping_sub(size);
        }
    }

    /// The bits around a chunk's.
    #[inline]
    pub(crate) fn around(&self, chunk: Address) -> u64 {
        self.place(chunk).and_then(|(word, _)| self.words.get(word).copied()).unwrap_or(0)
    }

    /// Bytes of all live chunks.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The highest live chunk that begins below `limit`.
    pub(crate) fn highest_below(&self, limit: Address) -> Option<Address> {
        let (limit_word, _) = self.place(limit)?;
        let end = (limit_word + 1).min(self.words.len());
        let (index, &bits) = self.words[..end].iter().enumerate().rev().find(|&(_, &bits)| bits != 0)?;
        let grain = index as u64 * BITS + BITS - 1 - u64::from(bits.leading_zeros());
        Some(Address(self.start + (grain << self.shift)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_live_chunk_is_found() {
        let mut map = LiveMap::new(Address(0x1008), 16);
        assert_eq!(map.highest_below(Address(0x9000)), None);
        map.make_room(Address(0x9000));
        map.insert(Address(0x1010), 32);
        map.insert(Address(0x8000), 48);
        map.insert(Address(0x7ff0), 16);
        assert_eq!(map.bytes(), 96);
        assert_eq!(map.highest_below(Address(0x9_0000)), Some(Address(0x8000)));
        map.remove(Address(0x8000), 48);
        assert_eq!(map.highest_below(Address(0x9_0000)), Some(Address(0x7ff0)));
        map.remove(Address(0x7ff0), 16);
        map.remove(Address(0x1010), 32);
        assert_eq!((map.highest_below(Address(0x9_0000)), map.bytes()), (None, 0));
    }

    #[test]
    fn what_lies_below_the_heap_is_not_in_it() {
        let mut map = LiveMap::new(Address(0x2000), 16);
        map.insert(Address(0x1000), 32);
        assert_eq!(map.bytes(), 0);
    }
}
