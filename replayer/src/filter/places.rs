//! Some places that serve requests: `tcache`, `small-bin,top`, or single bins, `tcache-3`.

use super::typed;
use crate::served::ServedFrom;
use malloscope_allocator::bins::Bin;
use malloscope_allocator::observe::counters::SourceKind;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How many words have a bit for each place.
const WORDS: usize = ServedFrom::COUNT.div_ceil(64);

/// Places that serve requests: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Places {
    /// A bit each, by their numbers.
    bits: [u64; WORDS],
}

impl Places {
    const NONE: Places = Places { bits: [0; WORDS] };

    /// All places of this kind, by the name it has in reports; nothing if there is no such kind.
    pub fn of_kind(name: &str) -> Option<Places> {
        let kind = SourceKind::ALL.into_iter().find(|kind| kind.name() == name)?;
        Some(Places::kind(kind))
    }

    /// All that counts as a hit of one bin, by what kind of bin it is in one word, and its number among those of its kind.
    pub fn of_bin(kind: &str, number: Option<u8>) -> Option<Places> {
        let bin = Bin::all().find(|bin| bin.name() == (kind, number))?;
        let mut places = Places::NONE;
        places.add(ServedFrom::bin(bin));
        if matches!(bin, Bin::Small(_) | Bin::Large(_)) {
            places.add(ServedFrom::cut(bin));
        }
        // What is split off the latest remainder is a hit of the unsorted bin as well.
        if bin == Bin::Unsorted {
            places = places.and(Places::kind(SourceKind::LastRemainder));
        }
        Some(places)
    }

    fn kind(kind: SourceKind) -> Places {
        let mut places = Places::NONE;
        ServedFrom::all().filter(|from| from.kind() == Some(kind)).for_each(|from| places.add(from));
        places
    }

    fn add(&mut self, from: ServedFrom) {
        let number = usize::from(ServedFrom::number_of(Some(from)));
        self.bits[number / 64] |= 1 << (number % 64);
    }

    fn and(self, other: Places) -> Places {
        Places { bits: std::array::from_fn(|word| self.bits[word] | other.bits[word]) }
    }

    fn has_all_of(self, other: Places) -> bool {
        self.and(other) == self
    }

    /// Whether this place is one of them.
    #[inline]
    pub fn contain(self, from: ServedFrom) -> bool {
        let number = usize::from(ServedFrom::number_of(Some(from)));
        self.bits[number / 64] >> (number % 64) & 1 == 1
    }

    /// Their names: of kinds of which all places are among them, and of single ones.
    fn names(self) -> Vec<String> {
        let mut names = Vec::new();
        for kind in SourceKind::ALL {
            if self.has_all_of(Places::kind(kind)) {
                names.push(kind.name().to_owned());
            } else {
                let of_kind = |from: &ServedFrom| from.kind() == Some(kind) && self.contain(*from);
                names.extend(ServedFrom::all().filter(of_kind).map(ServedFrom::name));
            }
        }
        names
    }

    /// In words.
    pub fn said(self) -> String {
        self.names().join(" or ")
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.names().iter().map(|name| typed(name)).collect();
        f.write_str(&names.join(","))
    }
}

impl From<Places> for String {
    fn from(places: Places) -> String {
        places.to_string()
    }
}

impl TryFrom<String> for Places {
    type Error = String;

    fn try_from(text: String) -> Result<Places, String> {
        text.parse()
    }
}

impl FromStr for Places {
    type Err = String;

    fn from_str(text: &str) -> Result<Places, String> {
        let mut places = Places::NONE;
        for name in text.split(',').map(typed) {
            let of_kind = SourceKind::ALL.into_iter().find(|kind| typed(kind.name()) == name);
            let one = ServedFrom::all().find(|from| typed(&from.name()) == name);
            match (of_kind, one) {
                (Some(kind), _) => places = places.and(Places::kind(kind)),
                (None, Some(from)) => places.add(from),
                (None, None) => return Err(unknown(&name)),
            }
        }
        Ok(places)
    }
}

fn unknown(name: &str) -> String {
    let kinds: Vec<String> = SourceKind::ALL.into_iter().map(|kind| typed(kind.name())).collect();
    format!("`{name}` serves nothing: say one of {}, or a single bin, like tcache-3", kinds.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        for kind in SourceKind::ALL {
            let places = Places::of_kind(kind.name()).unwrap();
            assert_eq!((places.to_string().parse(), places.said()), (Ok(places), kind.name().to_owned()));
        }
        for from in ServedFrom::all() {
            let places: Places = from.name().parse().unwrap();
            assert!(places.contain(from), "{}", from.name());
            assert_eq!(places.to_string().parse(), Ok(places));
        }
        let several: Places = "Tcache 3,small-bin".parse().unwrap();
        assert_eq!(several.to_string(), "tcache-3,small-bin");
        for text in ["", "tcache-99", "tcache,,top", "nowhere"] {
            assert!(text.parse::<Places>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_bin_is_the_places_that_count_as_its_hits() {
        let said = |kind, number| Places::of_bin(kind, number).unwrap().said();
        assert_eq!(said("unsorted", None), "unsorted bin or last remainder");
        assert_eq!((said("tcache", Some(3)), said("top", None)), ("tcache 3".to_owned(), "top".to_owned()));
        assert_eq!(said("large", Some(70)), "large 70 or split of large 70");
        assert_eq!((Places::of_bin("tcache", Some(99)), Places::of_kind("nowhere")), (None, None));
    }
}
