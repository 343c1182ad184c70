//! What the width of a machine's words decides: how chunks are laid out, and which bin a size belongs to.
//!
//! Memory says how wide its words are, by a type ([`Words::Layout`](crate::memory::Words::Layout)). With
//! words of 64 bits everything here is a number that the compiler knows. With words of 32 bits, as on i386,
//! releases differ in the alignment of chunks ([`Release::alignment_of_32_bits`]).
//!
//! | | 64 bits | 32 bits until 2.25 | 32 bits from 2.26 on |
//! |---|---|---|---|
//! | word | 8 | 4 | 4 |
//! | payloads and chunk sizes are multiples of | 16 | 8 | 16 |
//! | chunks begin at | 0 mod 16 | 0 mod 8 | 8 mod 16 |
//! | smallest chunk | 32 | 16 | 16 |
//! | greatest fast chunk by default | 128 | 64 | 64 |
//! | stacks of fast chunks | 10 | 10 | 11 |
//! | smallest large chunk | 1024 | 512 | 1008 |
//! | greatest mmap threshold that is found by itself | 32 MiB | 512 KiB | 512 KiB |
//! | a segment | 64 MiB | 1 MiB | 1 MiB |
//! | arenas for each processor | 8 | 2 | 2 |

use crate::address::{ChunkSize, Request, align_down, align_up, index};
use crate::memory::simulated::AddressSpace;
use crate::release::Release;
use core::fmt::Debug;

/// How wide a machine's words are.
pub trait Layout: Copy + Debug + Default + Send + Sync + 'static {
    /// Bytes in a machine word: glibc's `SIZE_SZ`.
    const WORD: u64;
    /// Where a simulated machine of this kind has what.
    const SPACE: AddressSpace;

    /// From a chunk to its payload: glibc's `CHUNK_HDR_SZ`.
    const HEADER: u64 = 2 * Self::WORD;
    /// The smallest chunk: room for a boundary tag and two links. glibc's `MINSIZE`.
    const SMALLEST_CHUNK: ChunkSize = ChunkSize(4 * Self::WORD);

    /// What every payload and every chunk size is a multiple of: glibc's `MALLOC_ALIGNMENT`.
    fn alignment(release: &Release) -> u64;

    /// Where things are, in this release on such a machine.
    #[inline(always)]
    fn geometry(release: &Release) -> Geometry {
        Geometry { word: Self::WORD, alignment: Self::alignment(release) }
    }

    /// What is left of a number in a word: the C's arithmetic wraps.
    #[inline(always)]
    fn cut(value: u64) -> u64 {
        value & word_mask(Self::WORD)
    }

    /// A number cut to a word, as a signed one: the C's conversion to `long`.
    #[inline(always)]
    fn signed(value: u64) -> i64 {
        let unused = 64 - 8 * Self::WORD;
        (value << unused).cast_signed() >> unused
    }
}

/// Words of 64 bits, as on `x86_64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bits64;

impl Layout for Bits64 {
    const WORD: u64 = 8;
    const SPACE: AddressSpace = AddressSpace::OF_64_BITS;

    #[inline(always)]
    fn alignment(_: &Release) -> u64 {
        2 * Self::WORD
    }
}

/// Words of 32 bits, as on i386.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bits32;

impl Layout for Bits32 {
    const WORD: u64 = 4;
    const SPACE: AddressSpace = AddressSpace::OF_32_BITS;

    #[inline(always)]
    fn alignment(release: &Release) -> u64 {
        release.alignment_of_32_bits
    }
}

/// All ones, in a word of so many bytes: C's `SIZE_MAX`.
#[inline(always)]
pub(crate) const fn word_mask(word: u64) -> u64 {
    u64::MAX >> (64 - 8 * word)
}

/// The numbers that a word's width and a release's alignment make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes in a machine word: glibc's `SIZE_SZ`.
    pub word: u64,
    /// What every payload and every chunk size is a multiple of: glibc's `MALLOC_ALIGNMENT`.
    pub alignment: u64,
}

impl Geometry {
    /// That of machines with words of 64 bits, in every release.
    pub const OF_64_BITS: Geometry = Geometry { word: 8, alignment: 16 };

    /// From a chunk to its payload: glibc's `CHUNK_HDR_SZ`.
    #[inline(always)]
    pub const fn header(self) -> u64 {
        2 * self.word
    }

    /// The smallest chunk: glibc's `MINSIZE`.
    #[inline(always)]
    pub const fn smallest_chunk(self) -> ChunkSize {
        ChunkSize(4 * self.word)
    }

    /// The greatest number in a word: C's `SIZE_MAX`.
    #[inline(always)]
    pub const fn greatest_word(self) -> u64 {
        word_mask(self.word)
    }

    /// The chunk that serves `request`, which is not so great that the sum would wrap.
    ///
    /// A chunk may use the first word of the one above it, so the overhead is one word and not two
    /// (glibc: `request2size`).
    #[inline(always)]
    pub const fn chunk_for(self, request: Request) -> ChunkSize {
        let padded = align_down(request.0 + self.word + self.alignment - 1, self.alignment);
        let smallest = self.smallest_chunk();
        if padded < smallest.0 { smallest } else { ChunkSize(padded) }
    }

    /// Bytes from an address that begins with a page, or with room of a chunk's alignment, to the first
    /// chunk there: payloads are aligned, and where their alignment is more than a header chunks are not.
    #[inline(always)]
    pub const fn lead(self) -> u64 {
        self.alignment - self.header()
    }

    /// Whether chunks of this size are sorted into large bins (glibc: `!in_smallbin_range`).
    #[inline(always)]
    pub(crate) const fn is_large(self, size: ChunkSize) -> bool {
        size.0 >= self.smallest_large().0
    }

    /// The smallest chunk size a large bin holds: glibc's `MIN_LARGE_SIZE`.
    #[inline(always)]
    pub(crate) const fn smallest_large(self) -> ChunkSize {
        ChunkSize((crate::bins::FIRST_LARGE as u64 - self.small_shift()) * self.alignment)
    }

    /// By how many the numbers of small bins are greater than their sizes say, so that the first is 2:
    /// glibc's `SMALLBIN_CORRECTION`.
    #[inline(always)]
    pub(crate) const fn small_shift(self) -> u64 {
        if self.alignment > self.header() { 1 } else { 0 }
    }

    /// The greatest request that fastbins can be told to serve: glibc's `MAX_FAST_SIZE`.
    pub const fn greatest_fast_request(self) -> u64 {
        20 * self.word
    }

    /// The number of the stack for fast chunks of this size (glibc: `fastbin_index`): there is one for every
    /// second word, whatever sizes there are.
    #[inline(always)]
    pub(crate) const fn fast_number(self, size: ChunkSize) -> usize {
        index(size.0.wrapping_sub(self.smallest_chunk().0) / (2 * self.word))
    }

    /// How many stacks of fast chunks there are: glibc's `NFASTBINS`.
    #[inline(always)]
    pub(crate) const fn fast_stacks(self) -> usize {
        let greatest = self.chunk_for(Request(self.greatest_fast_request()));
        self.fast_number(greatest) + 1
    }

    /// The greatest chunk of the tcache's stacks of one size each (glibc 2.43: `MAX_TCACHE_SMALL_SIZE`).
    #[inline(always)]
    pub(crate) const fn greatest_cached_small(self) -> ChunkSize {
        let steps = crate::bins::tcache::SMALL_STACKS as u64 - 1;
        ChunkSize(self.smallest_chunk().0 + steps * self.alignment)
    }

    /// The mmap threshold does not move above this: glibc's `DEFAULT_MMAP_THRESHOLD_MAX`.
    #[inline(always)]
    pub(crate) const fn greatest_dynamic_threshold(self) -> u64 {
        if self.word == 8 { 32 << 20 } else { 512 << 10 }
    }

    /// The greatest length of a segment without huge pages, and what all are aligned to: glibc's
    /// `HEAP_MAX_SIZE`.
    pub const fn longest_segment(self) -> u64 {
        2 * self.greatest_dynamic_threshold()
    }

    /// Arenas for each processor: glibc's `NARENAS_FROM_NCORES`.
    pub(crate) const fn arenas_per_processor(self) -> u64 {
        if self.word == 8 { 8 } else { 2 }
    }

    /// The size of a structure so that a payload may follow it after a header.
    pub(crate) const fn before_a_chunk(self, bytes: u64) -> u64 {
        align_up(bytes + self.header(), self.alignment) - self.header()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::{V2_25, V2_36};

    #[test]
    fn numbers_are_those_of_the_table() {
        let of = |word: Geometry| {
            (
                word.smallest_chunk().bytes(),
                word.fast_stacks(),
                word.smallest_large().bytes(),
                word.longest_segment() >> 20,
                word.lead(),
                word.greatest_cached_small().bytes(),
            )
        };
        assert_eq!(of(Bits64::geometry(&V2_36)), (32, 10, 1024, 64, 0, 1040));
        assert_eq!(of(Bits32::geometry(&V2_25)), (16, 10, 512, 1, 0, 520));
        assert_eq!(of(Bits32::geometry(&V2_36)), (16, 11, 1008, 1, 8, 1024));
        assert_eq!(Bits64::geometry(&V2_25), Geometry::OF_64_BITS);
    }

    #[test]
    fn numbers_are_cut_to_words() {
        assert_eq!(Bits64::cut(u64::MAX), u64::MAX);
        assert_eq!(Bits32::cut(u64::MAX), 0xffff_ffff);
        assert_eq!(Bits64::signed(u64::MAX), -1);
        assert_eq!(Bits32::signed(0x1_ffff_fffe), -2);
        assert_eq!(Bits32::signed(0x7fff_ffff), 0x7fff_ffff);
    }
}
