//! One span of heap memory, found by the address of its boundary tag.
//!
//! ```text
//!            chunk ─► ┌───────────────────────────────┐
//!                     │ size of the chunk below,       │  the *foot* of the chunk below: valid only
//!                     │ if that is free                │  while that is free, its payload otherwise
//!                     ├───────────────────────────┬─┬─┬─┤
//!                     │ size of this chunk        │F│M│P│  the *head*
//!          payload ─► ├───────────────────────────┴─┴─┴─┤
//!                     │ forward link                    │ ┐
//!                     │ backward link                   │ │ while free;
//!                     │ link to the next smaller size   │ │ the program's bytes otherwise
//!                     │ link to the next larger size    │ ┘ (the last two only in large bins)
//!                     :                                 :
//!   chunk above ───►  ├───────────────────────────────┤
//!                     │ size of this chunk             │  this chunk's foot
//!                     └───────────────────────────────┘
//!     P: the chunk below is in use      M: the chunk has a mapping of its own
//!     F: the chunk is foreign to the main arena
//! ```
//!
//! A chunk is a name, not a pointer: only something with [`Words`] can read what lies there. So
//! everything that is built from chunks is safe, and runs over any memory.

use crate::address::{Address, ChunkSize};
use crate::layout::Layout;
use crate::memory::Words;

/// Set in a head while the chunk below is in use. glibc's `PREV_INUSE`.
pub const PREVIOUS_IN_USE: u64 = 1;
/// Set in the head of a chunk with a mapping of its own. glibc's `IS_MMAPPED`.
pub const MAPPED: u64 = 2;
/// Set in the head of a chunk that is not in the main arena. glibc's `NON_MAIN_ARENA`.
pub const FOREIGN: u64 = 4;
const FLAGS: u64 = PREVIOUS_IN_USE | MAPPED | FOREIGN;

/// Words in a whole `struct malloc_chunk`, all links included.
pub(crate) const ALL_LINKS: u64 = 6;
const HEAD: u64 = 1;
const FORWARD: u64 = 2;
const BACKWARD: u64 = 3;
const SMALLER: u64 = 4;
const LARGER: u64 = 5;

/// A chunk's size and three flags in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head(pub u64);

impl Head {
    /// A head of this size with these flags.
    pub(crate) fn new(size: ChunkSize, flags: u64) -> Head {
        Head(size.0 | flags)
    }

    /// The size alone.
    pub fn size(self) -> ChunkSize {
        ChunkSize(self.0 & !FLAGS)
    }

    /// Whether the chunk below is in use.
    pub fn previous_in_use(self) -> bool {
        self.0 & PREVIOUS_IN_USE != 0
    }

    /// Whether the chunk has a mapping of its own.
    pub fn is_mapped(self) -> bool {
        self.0 & MAPPED != 0
    }

    /// Whether the chunk belongs to another arena than the main one.
    pub fn is_foreign(self) -> bool {
        self.0 & FOREIGN != 0
    }

    /// The flags with another size.
    pub(crate) fn resized(self, size: ChunkSize) -> Head {
        Head(self.0 & FLAGS | size.0)
    }
}

/// The address of a boundary tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chunk(pub Address);

impl Chunk {
    /// No chunk.
    pub(crate) const NONE: Chunk = Chunk(Address::NULL);

    /// The chunk whose payload this is, in such memory.
    #[inline]
    pub fn of<W: Words>(_: &W, payload: Address) -> Chunk {
        Chunk(payload - W::Layout::HEADER)
    }

    /// Where the program's bytes begin, in such memory.
    #[inline]
    pub fn payload<W: Words>(self, _: &W) -> Address {
        self.0 + W::Layout::HEADER
    }

    /// The word of this number from the boundary tag on.
    #[inline(always)]
    fn word<W: Words>(self, words: &W, number: u64) -> u64 {
        words.load_nth(self.0, number)
    }

    #[inline(always)]
    fn set_word<W: Words>(self, words: &mut W, number: u64, word: u64) {
        words.store_nth(self.0, number, word);
    }

    /// The chunk that begins `offset` bytes above.
    #[inline]
    pub(crate) fn at(self, offset: ChunkSize) -> Chunk {
        Chunk(self.0 + offset.0)
    }

    /// The head as it stands in memory.
    #[inline]
    pub fn head(self, words: &impl Words) -> Head {
        Head(self.word(words, HEAD))
    }

    #[inline]
    pub(crate) fn set_head(self, words: &mut impl Words, head: Head) {
        self.set_word(words, HEAD, head.0);
    }

    /// The size in the head.
    #[inline]
    pub fn size(self, words: &impl Words) -> ChunkSize {
        self.head(words).size()
    }

    /// Changes the size in the head and leaves the flags. glibc's `set_head_size`, which the
    /// callers also use to add a flag.
    #[inline]
    pub(crate) fn resize(self, words: &mut impl Words, size: ChunkSize, added_flags: u64) {
        let head = self.head(words).resized(size);
        self.set_head(words, Head(head.0 | added_flags));
    }

    /// Adds [`FOREIGN`] to the head if `flag` has it.
    #[inline]
    pub(crate) fn add_flag(self, words: &mut impl Words, flag: u64) {
        if flag != 0 {
            let head = self.head(words);
            self.set_head(words, Head(head.0 | flag));
        }
    }

    /// The size of the chunk below; meaningful only while that is free. In a chunk with a mapping
    /// of its own: the bytes between the mapping's start and the chunk.
    #[inline]
    pub fn previous_size(self, words: &impl Words) -> ChunkSize {
        ChunkSize(words.load(self.0))
    }

    #[inline]
    pub(crate) fn set_previous_size(self, words: &mut impl Words, size: ChunkSize) {
        words.store(self.0, size.0);
    }

    /// Writes the foot: only a free chunk has one.
    #[inline]
    pub(crate) fn set_foot(self, words: &mut impl Words, size: ChunkSize) {
        self.at(size).set_previous_size(words, size);
    }

    /// The chunk that ends where this one begins, by that one's foot; meaningful only while it is free.
    #[inline]
    pub(crate) fn below(self, words: &impl Words) -> Chunk {
        Chunk(self.0 - self.previous_size(words).0)
    }

    /// The chunk that begins where this one ends.
    #[inline]
    pub fn above(self, words: &impl Words) -> Chunk {
        self.at(self.size(words))
    }

    /// Whether the chunk is in use: the one above knows.
    #[inline]
    pub fn is_in_use(self, words: &impl Words) -> bool {
        self.above(words).head(words).previous_in_use()
    }

    /// Marks the chunk, of this size, in use.
    #[inline]
    pub(crate) fn mark_in_use(self, words: &mut impl Words, size: ChunkSize) {
        let above = self.at(size);
        let head = above.head(words);
        above.set_head(words, Head(head.0 | PREVIOUS_IN_USE));
    }

    /// Marks the chunk below this one free.
    #[inline]
    pub(crate) fn mark_previous_free(self, words: &mut impl Words) {
        let head = self.head(words);
        self.set_head(words, Head(head.0 & !PREVIOUS_IN_USE));
    }

    #[inline]
    pub(crate) fn forward(self, words: &impl Words) -> Chunk {
        Chunk(Address(self.word(words, FORWARD)))
    }

    #[inline]
    pub(crate) fn set_forward(self, words: &mut impl Words, to: Chunk) {
        self.set_word(words, FORWARD, to.0.0);
    }

    #[inline]
    pub(crate) fn backward(self, words: &impl Words) -> Chunk {
        Chunk(Address(self.word(words, BACKWARD)))
    }

    #[inline]
    pub(crate) fn set_backward(self, words: &mut impl Words, to: Chunk) {
        self.set_word(words, BACKWARD, to.0.0);
    }

    /// In a large bin, the first chunk of the next smaller size (glibc: `fd_nextsize`);
    /// [`Chunk::NONE`] in a chunk that is not the first of its size.
    #[inline]
    pub(crate) fn smaller(self, words: &impl Words) -> Chunk {
        Chunk(Address(self.word(words, SMALLER)))
    }

    #[inline]
    pub(crate) fn set_smaller(self, words: &mut impl Words, to: Chunk) {
        self.set_word(words, SMALLER, to.0.0);
    }

    /// In a large bin, the first chunk of the next larger size (glibc: `bk_nextsize`).
    #[inline]
    pub(crate) fn larger(self, words: &impl Words) -> Chunk {
        Chunk(Address(self.word(words, LARGER)))
    }

    #[inline]
    pub(crate) fn set_larger(self, words: &mut impl Words, to: Chunk) {
        self.set_word(words, LARGER, to.0.0);
    }
}
