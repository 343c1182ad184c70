//! Some sizes: `64..1K`, `64..=1023`, `4K..`, `..64`, or `64` alone.

use crate::report::units::{bytes, count, size_range};
use crate::sizes::{parse, shortest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Sizes that follow each other, in bytes: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sizes {
    /// No more than `most`.
    least: u64,
    most: u64,
}

impl Sizes {
    /// From this many bytes to this many, both included; nothing if there is none.
    pub fn new(least: u64, most: Option<u64>) -> Option<Sizes> {
        let most = most.unwrap_or(u64::MAX);
        (least <= most).then_some(Sizes { least, most })
    }

    /// Whether this size is one of them.
    #[inline]
    pub fn contains(self, size: u64) -> bool {
        (self.least..=self.most).contains(&size)
    }

    /// In words.
    pub fn said(self) -> String {
        match (self.least, self.most) {
            (size, same) if size == same => format!("{} bytes", count(size)),
            (least, u64::MAX) => format!("{} or more", bytes(least)),
            (least, most) => size_range(least, Some(most)),
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, u64::MAX) => write!(f, "{}..", shortest(least)),
            (size, same) if size == same => f.write_str(&shortest(size)),
            (0, most) => write!(f, "..{}", shortest(most + 1)),
            (least, most) => write!(f, "{}..{}", shortest(least), shortest(most + 1)),
        }
    }
}

impl From<Sizes> for String {
    fn from(sizes: Sizes) -> String {
        sizes.to_string()
    }
}

impl TryFrom<String> for Sizes {
    type Error = String;

    fn try_from(text: String) -> Result<Sizes, String> {
        text.parse()
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Sizes, String> {
        let text = text.trim();
        let Some((least, most)) = text.split_once("..") else {
            let size = parse(text)?;
            return Sizes::new(size, Some(size)).ok_or_else(|| none(text));
        };
        let least = if least.is_empty() { 0 } else { parse(least)? };
        let most = match most.strip_prefix('=') {
            Some(most) => Some(parse(most)?),
            None if most.is_empty() => None,
            None => Some(parse(most)?.checked_sub(1).ok_or_else(|| none(text))?),
        };
        Sizes::new(least, most).ok_or_else(|| none(text))
    }
}

fn none(text: &str) -> String {
    format!("no size is in `{text}`: say, for example, 64..1K, or 4K.. for all that are larger")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        let cases = [
            ("64..1K", 64, 1023, "64..1K"),
            ("17..=32", 17, 32, "17..33"),
            ("4K..", 4096, u64::MAX, "4K.."),
            ("..64", 0, 63, "..64"),
            ("24", 24, 24, "24"),
            ("..", 0, u64::MAX, "0.."),
        ];
        for (text, least, most, written) in cases {
            let sizes: Sizes = text.parse().unwrap();
            assert_eq!(sizes, Sizes { least, most }, "{text}");
            assert_eq!((sizes.to_string().as_str(), written.parse()), (written, Ok(sizes)));
            assert!(sizes.contains(least) && sizes.contains(most));
            assert!(least == 0 || !sizes.contains(least - 1));
        }
        for text in ["64..64", "9..=8", "..0", "x", "1K..x", ""] {
            assert!(text.parse::<Sizes>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_said_in_words() {
        let said = |text: &str| text.parse::<Sizes>().unwrap().said();
        assert_eq!([said("24"), said("4K.."), said("17..=32")], ["24 bytes", "4.00 KiB or more", "17–32 B"]);
    }
}
