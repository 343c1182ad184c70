//! How long allocations live: `..11` records, `11..`, `10..20`, or `never-freed`.
//!
//! What is not known to have been freed has lived at least until the end of the trace. So it has lived for more
//! than some records, but not for fewer: an upper bound is of what was freed.

use crate::report::units::count;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The word for what lives at the end.
const NEVER_FREED: &str = "never-freed";

/// How long allocations live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Lifetime {
    /// For so many records at least, freed or not.
    AtLeast(u64),
    /// Freed, after so many records at least and so many at most.
    Freed(u64, u64),
    /// To the end of the trace, or longer.
    NeverFreed,
}

impl Lifetime {
    /// Whether it is that of an allocation that lived for so many records, and was then freed, or not.
    #[inline]
    pub fn contains(self, records: u64, is_freed: bool) -> bool {
        match self {
            Lifetime::AtLeast(least) => records >= least,
            Lifetime::Freed(least, most) => is_freed && (least..=most).contains(&records),
            Lifetime::NeverFreed => !is_freed,
        }
    }

    /// In words.
    pub fn said(self) -> String {
        match self {
            Lifetime::AtLeast(least) => format!("alive for {} records or more", count(least)),
            Lifetime::Freed(0, most) => format!("freed within {} records", count(most)),
            Lifetime::Freed(least, most) => format!("freed after {}–{} records", count(least), count(most)),
            Lifetime::NeverFreed => "never freed".to_owned(),
        }
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Lifetime::AtLeast(least) => write!(f, "{least}.."),
            Lifetime::Freed(0, most) => write!(f, "..{}", most.saturating_add(1)),
            Lifetime::Freed(least, most) => write!(f, "{least}..{}", most.saturating_add(1)),
            Lifetime::NeverFreed => f.write_str(NEVER_FREED),
        }
    }
}

impl From<Lifetime> for String {
    fn from(lifetime: Lifetime) -> String {
        lifetime.to_string()
    }
}

impl TryFrom<String> for Lifetime {
    type Error = String;

    fn try_from(text: String) -> Result<Lifetime, String> {
        text.parse()
    }
}

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Lifetime, String> {
        let text = text.trim();
        let wrong = || {
            format!(
                "`{text}` is no lifetime: say, for example, ..11 or 1000.. (in records), or {NEVER_FREED}"
            )
        };
        if text == NEVER_FREED {
            return Ok(Lifetime::NeverFreed);
        }
        let (least, most) = text.split_once("..").ok_or_else(wrong)?;
        let number = |digits: &str| digits.replace([',', '_'], "").parse::<u64>().map_err(|_| wrong());
        let from = if least.is_empty() { 0 } else { number(least)? };
        let most = match most.strip_prefix('=') {
            Some(most) => number(most)?,
            None if most.is_empty() && !least.is_empty() => return Ok(Lifetime::AtLeast(from)),
            None => number(most)?.checked_sub(1).ok_or_else(wrong)?,
        };
        if from <= most { Ok(Lifetime::Freed(from, most)) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read_as_they_are_written() {
        let cases = [
            ("..11", Lifetime::Freed(0, 10), "..11", "freed within 10 records"),
            ("..=10", Lifetime::Freed(0, 10), "..11", "freed within 10 records"),
            ("1,000..", Lifetime::AtLeast(1000), "1000..", "alive for 1,000 records or more"),
            ("5..20", Lifetime::Freed(5, 19), "5..20", "freed after 5–19 records"),
            ("never-freed", Lifetime::NeverFreed, "never-freed", "never freed"),
        ];
        for (text, lifetime, written, said) in cases {
            assert_eq!(text.parse(), Ok(lifetime), "{text}");
            assert_eq!((lifetime.to_string().as_str(), written.parse()), (written, Ok(lifetime)));
            assert_eq!(lifetime.said(), said);
        }
        for text in ["..", "..0", "9..9", "9..=8", "never", "x..", "7"] {
            assert!(text.parse::<Lifetime>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_was_freed_has_lived_for_no_longer() {
        let fits =
            |text: &str, records, is_freed| text.parse::<Lifetime>().unwrap().contains(records, is_freed);
        assert!(fits("..11", 10, true) && !fits("..11", 11, true) && !fits("..11", 3, false));
        assert!(fits("10..", 10, false) && fits("10..", 10, true) && !fits("10..", 9, false));
        assert!(fits("never-freed", 0, false) && !fits("never-freed", 0, true));
    }
}
