//! Numbers of any size in as few bytes as they need: seven bits to a byte, the lowest first; a set
//! high bit says that more follow.
//!
//! A signed number is folded first: 0, −1, 1, −2, 2 … become 0, 1, 2, 3, 4 …

use crate::columns::Column;
use crate::damage::Fault;

/// Appends `number`.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the seven lowest bits are what is meant")]
pub(crate) fn put(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Appends a signed number.
#[inline]
pub(crate) fn put_signed(into: &mut Vec<u8>, number: i64) {
    put(into, (number << 1 ^ number >> 63).cast_unsigned());
}

/// What is still to be read of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'bytes> {
    rest: &'bytes [u8],
    column: Column,
}

impl<'bytes> Cursor<'bytes> {
    /// The beginning of a column.
    pub fn new(column: Column, bytes: &'bytes [u8]) -> Self {
        Cursor { rest: bytes, column }
    }

    /// The next byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, Fault> {
        let (&byte, rest) = self.rest.split_first().ok_or(Fault::ColumnShort(self.column))?;
        self.rest = rest;
        Ok(byte)
    }

    /// The next number.
    #[inline]
    pub fn number(&mut self) -> Result<u64, Fault> {
        let byte = self.byte()?;
        if byte < 0x80 { Ok(u64::from(byte)) } else { self.long_number(byte) }
    }

    fn long_number(&mut self, first: u8) -> Result<u64, Fault> {
        let mut number = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // The tenth byte has room for one bit.
                return if shift < 63 || byte <= 1 { Ok(number) } else { Err(Fault::Number(self.column)) };
            }
        }
        Err(Fault::Number(self.column))
    }

    /// The next signed number.
    #[inline]
    pub fn signed(&mut self) -> Result<i64, Fault> {
        let folded = self.number()?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }

    /// The next number, which was written from 32 bits.
    #[inline]
    pub fn word(&mut self) -> Result<u32, Fault> {
        u32::try_from(self.number()?).map_err(|_| Fault::Number(self.column))
    }

    /// The next signed number, which was written from 32 bits.
    pub fn small(&mut self) -> Result<i32, Fault> {
        i32::try_from(self.signed()?).map_err(|_| Fault::Number(self.column))
    }

    /// The column must be at its end.
    pub fn finish(self) -> Result<(), Fault> {
        if self.rest.is_empty() { Ok(()) } else { Err(Fault::ColumnLong(self.column)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_of_number_comes_back() {
        let edges = (0..64).flat_map(|bits| [1u64 << bits, (1 << bits) - 1, (1 << bits) + 1]);
        for number in edges.chain([u64::MAX]) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            put_signed(&mut bytes, number.cast_signed());
            put_signed(&mut bytes, number.cast_signed().wrapping_neg());
            let mut cursor = Cursor::new(Column::Rest, &bytes);
            assert_eq!(cursor.number(), Ok(number));
            assert_eq!(cursor.signed(), Ok(number.cast_signed()));
            assert_eq!(cursor.signed(), Ok(number.cast_signed().wrapping_neg()));
            assert_eq!(cursor.finish(), Ok(()));
        }
    }

    #[test]
    fn a_number_too_long_for_64_bits_is_refused() {
        let mut cursor = Cursor::new(Column::Rest, &[0xff; 11]);
        assert_eq!(cursor.number(), Err(Fault::Number(Column::Rest)));
        let mut cursor =
            Cursor::new(Column::Rest, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]);
        assert_eq!(cursor.number(), Err(Fault::Number(Column::Rest)));
    }
}
