//! The numbers of an allocator, kept apart: where, how much was asked, how much it takes.
//!
//! Confusing the bytes a program asks for with the bytes a chunk takes is malloc's commonest bug;
//! here the compiler catches it. All arithmetic wraps, as the C does: a corrupted heap may hold
//! any number, and finding that out is the business of the checks that follow.

use core::ops::{Add, Sub};

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
pub(crate) const fn index(value: u64) -> usize {
    const { assert!(usize::BITS == 64) };
    #[expect(clippy::cast_possible_truncation, reason = "a usize has 64 bits, see above")]
    {
        value as usize
    }
}

/// The nearest multiple of `alignment`, a power of two, that is not above `value`.
pub(crate) const fn align_down(value: u64, alignment: u64) -> u64 {
    value & alignment.wrapping_neg()
}

/// The nearest multiple of `alignment`, a power of two, that is not below `value`.
pub(crate) const fn align_up(value: u64, alignment: u64) -> u64 {
    align_down(value.wrapping_add(alignment - 1), alignment)
}

/// The bytes a program asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request(pub u64);

/// The bytes a chunk takes: boundary tag, payload and padding; a multiple of the
/// machine's [alignment](crate::layout::Geometry::alignment).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkSize(pub(crate) u64);

impl ChunkSize {
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
    use crate::layout::Geometry;

    #[test]
    fn a_request_takes_a_word_more_rounded_up() {
        let served = |geometry: Geometry| move |request| geometry.chunk_for(Request(request)).bytes();
        let of_64_bits = served(Geometry::OF_64_BITS);
        assert_eq!([0, 24, 25, 40, 1032].map(of_64_bits), [32, 32, 48, 48, 1040]);
        assert_eq!(of_64_bits(i64::MAX as u64), (1 << 63) + 16);
        let of_32_bits = served(Geometry { word: 4, alignment: 8 });
        assert_eq!([0, 12, 13, 20, 508].map(of_32_bits), [16, 16, 24, 24, 512]);
        let with_16_bytes = served(Geometry { word: 4, alignment: 16 });
        assert_eq!([0, 12, 13, 28, 1020].map(with_16_bytes), [16, 16, 32, 32, 1024]);
    }
}
