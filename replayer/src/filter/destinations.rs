//! Some places where freed chunks go: `tcache`, or `top,top-then-trimmed`.

use super::typed;
use crate::flows::Destination;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Places where freed chunks go: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destinations {
    /// A bit each, in the order of [`Destination::ALL`].
    bits: u8,
}

impl Destinations {
    /// The one of this name in reports; nothing if there is none.
    pub fn of_name(name: &str) -> Option<Destinations> {
        Destination::ALL.into_iter().find(|one| one.name() == name).map(Destinations::of)
    }

    fn of(one: Destination) -> Destinations {
        Destinations { bits: 1 << one as u8 }
    }

    /// Whether this is one of them.
    #[inline]
    pub fn contain(self, one: Destination) -> bool {
        self.bits & Destinations::of(one).bits != 0
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        Destination::ALL.into_iter().filter(move |one| self.contain(*one)).map(Destination::name)
    }

    /// In words.
    pub fn said(self) -> String {
        self.names().collect::<Vec<_>>().join(" or ")
    }
}

impl fmt::Display for Destinations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().map(typed).collect::<Vec<_>>().join(","))
    }
}

impl From<Destinations> for String {
    fn from(destinations: Destinations) -> String {
        destinations.to_string()
    }
}

impl TryFrom<String> for Destinations {
    type Error = String;

    fn try_from(text: String) -> Result<Destinations, String> {
        text.parse()
    }
}

impl FromStr for Destinations {
    type Err = String;

    fn from_str(text: &str) -> Result<Destinations, String> {
        let one = |name: String| {
            let found = Destination::ALL.into_iter().find(|one| typed(one.name()) == name);
            found.map(|one| Destinations::of(one).bits).ok_or_else(|| unknown(&name))
        };
        let bits = text.split(',').map(typed).map(one).collect::<Result<Vec<u8>, String>>()?;
        Ok(Destinations { bits: bits.into_iter().fold(0, |all, one| all | one) })
    }
}

fn unknown(name: &str) -> String {
    let names = Destination::ALL.map(|one| typed(one.name()));
    format!("nothing is freed to `{name}`: say one of {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_as_they_are_written() {
        for one in Destination::ALL {
            let written = Destinations::of_name(one.name()).unwrap().to_string();
            let read: Destinations = written.parse().unwrap();
            assert!(Destination::ALL.into_iter().all(|other| read.contain(other) == (one == other)));
        }
        let two: Destinations = "Top, then trimmed".replace(", ", "-").parse().unwrap();
        assert_eq!(
            (two.to_string().as_str(), two.said().as_str()),
            ("top-then-trimmed", "top, then trimmed")
        );
        let two: Destinations = "top,tcache".parse().unwrap();
        assert_eq!((two.to_string().as_str(), two.said().as_str()), ("tcache,top", "tcache or top"));
        for text in ["", "tcache,,top", "tcache-3", "mapped"] {
            assert!(text.parse::<Destinations>().is_err(), "{text}");
        }
        assert_eq!(Destinations::of_name("mapped"), None);
    }
}
