//! The bytes of memray's file: numbers, texts, and differences.

use std::io::{self, BufRead, Read};

/// Why there is nothing more to be read.
#[derive(Debug)]
pub(super) enum Stop {
    /// The file ends.
    End,
    /// What there is cannot be understood.
    Wrong(&'static str),
    /// It cannot be read.
    Reading(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        // A packed file that breaks off says so itself.
        if error.kind() == io::ErrorKind::UnexpectedEof { Stop::End } else { Stop::Reading(error) }
    }
}

/// The longest text, and the longest table of lines, in bytes: a file of anything else has longer ones.
const LONGEST: u64 = 16 << 20;

/// A file, and how much of it was read.
#[derive(Debug)]
pub(super) struct Bytes<R> {
    file: R,
    at: u64,
}

impl<R: BufRead> Bytes<R> {
    pub fn of(file: R) -> Bytes<R> {
        Bytes { file, at: 0 }
    }

    /// Where the next byte lies.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Whether nothing but zeros follows, to the end of the file: room that was never used. What follows is read for that.
    pub fn rest_is_unused(&mut self) -> io::Result<bool> {
        loop {
            let bytes = self.file.fill_buf()?;
            let length = bytes.len();
            if length == 0 || bytes.iter().any(|byte| *byte != 0) {
                return Ok(length == 0);
            }
            self.file.consume(length);
        }
    }

    /// So many bytes as they are.
    pub fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Stop> {
        let mut bytes = [0; LENGTH];
        self.file.read_exact(&mut bytes)?;
        self.at += LENGTH as u64;
        Ok(bytes)
    }

    pub fn byte(&mut self) -> Result<u8, Stop> {
        self.array().map(|[byte]| byte)
    }

    /// A number of 32 bits in the machine's order.
    pub fn half(&mut self) -> Result<u32, Stop> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number of 64 bits in the machine's order.
    pub fn word(&mut self) -> Result<u64, Stop> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of seven bits a byte, the lowest first.
    pub fn number(&mut self) -> Result<u64, Stop> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Stop::Wrong("has a number that does not end"))
    }

    /// One that may be negative: 0, −1, 1, −2 … are 0, 1, 2, 3 …
    pub fn signed(&mut self) -> Result<i64, Stop> {
        let folded = self.number()?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }

    /// A number told by how far it is from the last of its kind.
    pub fn moved(&mut self, last: &mut u64) -> Result<u64, Stop> {
        *last = last.wrapping_add_signed(self.signed()?);
        Ok(*last)
    }

    /// A text that ends with a zero.
    pub fn text(&mut self) -> Result<String, Stop> {
        let mut bytes = Vec::new();
        let read = self.file.by_ref().take(LONGEST).read_until(0, &mut bytes)?;
        self.at += read as u64;
        match bytes.pop() {
            Some(0) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            _ if read as u64 == LONGEST => Err(Stop::Wrong("has a text that does not end")),
            _ => Err(Stop::End),
        }
    }

    /// Bytes, behind their number.
    pub fn counted(&mut self) -> Result<Vec<u8>, Stop> {
        let length = self.number()?;
        if length > LONGEST {
            return Err(Stop::Wrong("has a table of lines that is too long"));
        }
        let mut bytes = Vec::new();
        let read = self.file.by_ref().take(length).read_to_end(&mut bytes)? as u64;
        self.at += read;
        if read == length { Ok(bytes) } else { Err(Stop::End) }
    }
}
