//! The numbers of an allocator, kept apart: where, how much was asked, how much it takes.
//!
//! Confusing the bytes a program asks for with the bytes a chunk takes is malloc's commonest bug;
//! here the compiler catches it. All arithmetic wraps, as the C does: a corrupted heap may hold
//! any number, and finding that out is the business of the checks that follow.

use core::ops::{Add, Sub};

/// Bytes in a machine word: glibc's `SIZE_SZ`.
pub const WORD: u64 = 8;
/// What every payload and every chunk size is a multiple of: glibc's `MALLOC_ALIGNMENT`.
pub const ALIGNMENT: u64 = 2 * WORD;
/// The smallest chunk: room for a boundary tag and two links. glibc's `MINSIZE`.
pub const SMALLEST_CHUNK: ChunkSize = ChunkSize(4 * WORD);
/// The greatest request that makes sense: C's `PTRDIFF_MAX`.
const GREATEST_REQUEST: u64 = i64::MAX as u64;

/// A place in memory: compared and offset, never followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u64);

impl Address {
    /// Where nothing is.
    pub const NULL: Address = Address(0);

    /// Whether this is [`Address::NULL`].
    pub fn is_null(self) -> bool {
        self.0 == 0
    }

    /// Whether the address is a multiple of `alignment`, a power of two.
    pub fn is_aligned(self, alignment: u64) -> bool {
        self.0 & (alignment - 1) == 0
    }

    /// The nearest multiple of `alignment`, a power of two, that is not above.
    pub fn align_down(self, alignment: u64) -> Address {
        Address(align_down(self.0, alignment))
    }

    /// The nearest multiple of `alignment`, a power of two, that is not below.
    pub fn align_up(self, alignment: u64) -> Address {
        Address(align_up(self.0, alignment))
    }
}

impl Add<u64> for Address {
    type Output = Address;
    fn add(self, bytes: u64) -> Address {
        Address(self.0.wrapping_add(bytes))
    }
}

impl Sub<u64> for Address {
    type Output = Address;
    fn sub(self, bytes: u64) -> Address {
        Address(self.0.wrapping_sub(bytes))
    }
}

/// The bytes from one address up to another.
impl Sub<Address> for Address {
    type Output = u64;
    fn sub(self, below: Address) -> u64 {
        self.0.wrapping_sub(below.0)
    }
}

/// A number of things in memory as an index: whoever simulates or replays a heap has 64-bit words.
#[inline]
pub(crate) fn index(value: u64) -> usize {
    const { assert!(usize::BITS == 64) };
    #[expect(clippy::cast_possible_truncation, reason = "a usize has 64 bits, see above")]
    {
        value as usize
    }
}

/// The nearest multiple of `alignment`, a power of two, that is not above `value`.
pub(crate) fn align_down(value: u64, alignment: u64) -> u64 {
    value & alignment.wrapping_neg()
}

/// The nearest multiple of `alignment`, a power of two, that is not below `value`.
pub(crate) fn align_up(value: u64, alignment: u64) -> u64 {
    align_down(value.wrapping_add(alignment - 1), alignment)
}

/// The bytes a program asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request(pub u64);

/// The bytes a chunk takes: boundary tag, payload and padding; a multiple of [`ALIGNMENT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkSize(pub(crate) u64);

impl ChunkSize {
    /// The chunk that serves `request`, or `None` for a request no address space could hold.
    ///
    /// A chunk may use the first word of the one above it, so the overhead is one word and not two
    /// (glibc: `checked_request2size`).
    #[inline]
    pub fn serving(request: Request) -> Option<ChunkSize> {
        ChunkSize::serving_up_to(GREATEST_REQUEST, request)
    }

    /// The chunk that serves `request`, unless that is above what a release looks at
    /// ([`Release::greatest_request`](crate::release::Release::greatest_request)).
    #[inline]
    pub(crate) fn serving_up_to(greatest: u64, request: Request) -> Option<ChunkSize> {
        if request.0 > greatest {
            return None;
        }
        let padded = align_down(request.0 + WORD + ALIGNMENT - 1, ALIGNMENT);
        Some(ChunkSize(padded.max(SMALLEST_CHUNK.0)))
    }

    /// The bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl Add for ChunkSize {
    type Output = ChunkSize;
    fn add(self, other: ChunkSize) -> ChunkSize {
        ChunkSize(self.0.wrapping_add(other.0))
    }
}

impl Sub for ChunkSize {
    type Output = ChunkSize;
    fn sub(self, other: ChunkSize) -> ChunkSize {
        ChunkSize(self.0.wrapping_sub(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_takes_a_word_more_rounded_up() {
        let served = |request| ChunkSize::serving(Request(request)).map(ChunkSize::bytes);
        assert_eq!(served(0), Some(32));
        assert_eq!(served(24), Some(32));
        assert_eq!(served(25), Some(48));
        assert_eq!(served(40), Some(48));
        assert_eq!(served(1032), Some(1040));
        assert_eq!(served(i64::MAX as u64), Some((1 << 63) + 16));
        assert_eq!(served(i64::MAX as u64 + 1), None);
    }
}
