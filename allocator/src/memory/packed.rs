//! Words in little room: for keeping what a simulated machine holds at many times.
//!
//! ```text
//!   a word that is not zero ─► zeros before it and whether it is told as a difference, its value or how far it is
//!                              from the latest address
//! ```
//!
//! Numbers take seven bits a byte, the least significant first. Of a heap most is left out that way: of a chunk there is its
//! size, and of a free one where its neighbours in a list are, which is not far away.

use alloc::vec::Vec;

/// What is larger may be an address.
const ADDRESSES: u64 = 1 << 32;

/// Words, packed.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    bytes: Vec<u8>,
    /// Zeros that came last.
    zeros: u64,
    latest: Latest,
}

/// The latest address that was put.
#[derive(Clone, Copy, Debug, Default)]
struct Latest(u64);

impl Latest {
    /// How far a word is from it, in whichever direction: what is near is a small number.
    fn to(self, word: u64) -> u64 {
        let by = word.wrapping_sub(self.0).cast_signed();
        (by << 1 ^ by >> 63).cast_unsigned()
    }

    /// The word that is so far from it.
    fn at(self, distance: u64) -> u64 {
        self.0.wrapping_add(distance >> 1 ^ (distance & 1).wrapping_neg())
    }

    fn note(&mut self, word: u64) {
        if word >= ADDRESSES {
            self.0 = word;
        }
    }
}

impl Packed {
    /// Puts a word behind the others.
    #[inline]
    pub fn put(&mut self, word: u64) {
        if word == 0 {
            self.zeros += 1;
            return;
        }
        let distance = self.latest.to(word);
        self.number(self.zeros << 1 | u64::from(distance < word));
        self.number(distance.min(word));
        self.latest.note(word);
        self.zeros = 0;
    }

    /// All words in their order, and zeros without end behind them.
    pub fn words(&self) -> Words<'_> {
        let mut words = Words { rest: &self.bytes, zeros: 0, is_near: false, latest: Latest::default() };
        words.head();
        words
    }

    /// How many bytes it takes.
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// No word comes any more.
    pub fn finish(&mut self) {
        self.bytes.shrink_to_fit();
    }

    fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.bytes.push(number.to_le_bytes()[0]);
    }
}

/// Goes through packed words.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    rest: &'a [u8],
    /// Zeros that come first.
    zeros: u64,
    /// Whether the word behind them is told as a difference.
    is_near: bool,
    latest: Latest,
}

impl Words<'_> {
    /// The next word.
    #[inline]
    pub fn take(&mut self) -> u64 {
        if self.zeros > 0 {
            self.zeros -= 1;
            return 0;
        }
        let told = self.number();
        let word = if self.is_near { self.latest.at(told) } else { told };
        self.latest.note(word);
        self.head();
        word
    }

    /// What is said before a word that is not zero.
    fn head(&mut self) {
        if self.rest.is_empty() {
            self.zeros = u64::MAX;
            return;
        }
        let head = self.number();
        (self.zeros, self.is_near) = (head >> 1, head & 1 == 1);
    }

    fn number(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let Some((&byte, rest)) = self.rest.split_first() else { break };
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(words: &[u64]) -> Packed {
        let mut packed = Packed::default();
        words.iter().for_each(|word| packed.put(*word));
        packed.finish();
        packed
    }

    #[test]
    fn words_are_the_same_when_they_were_packed() {
        let mut words = vec![0, u64::MAX, 0x21, 0, 0, 0x7f, 0x80];
        let mut random = 7_u64;
        for _ in 0..1000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            words.push(random >> (random % 64));
            words.extend(random.is_multiple_of(7).then_some(0));
        }
        let packed = packed(&words);
        let mut again = packed.words();
        assert!(words.iter().all(|word| again.take() == *word));
        assert_eq!([again.take(), again.take(), again.take()], [0; 3], "and zeros behind them");
        assert_eq!(Packed::default().words().take(), 0);
    }

    #[test]
    fn zeros_take_nothing_and_addresses_no_more_than_how_far_they_are_apart() {
        let mut words = [0; 1000];
        (words[1], words[2], words[3]) = (0x21, 0x5555_5556_0010, 0x5555_5556_0000);
        words[511] = 0x5555_5556_0030;
        assert_eq!(packed(&words).bytes(), (1 + 1) + (1 + 7) + (1 + 1) + (2 + 1));
    }
}
