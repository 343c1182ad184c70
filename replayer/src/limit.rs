//! How much a number may be, beside what it was: for gates.

use crate::sizes;
use std::fmt;

/// How much a number may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// So many per cent more than it was, `+5%`, or less, `-10%`.
    Percent(f64),
    /// So much more than it was: `+10M`.
    More(u64),
    /// So much: `512M`.
    Most(u64),
}

impl Limit {
    /// Reads a limit.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Limit, String> {
        let wrong =
            || format!("`{text}` is no limit: say +5% or +10M for what may be added, or 512M for all");
        if let Some(number) = text.strip_suffix('%') {
            let is_signed = number.starts_with(['+', '-']);
            let percent: f64 = number.parse().map_err(|_| wrong())?;
            let is_possible = is_signed && percent.is_finite() && percent >= -100.0;
            return if is_possible { Ok(Limit::Percent(percent)) } else { Err(wrong()) };
        }
        match text.strip_prefix('+') {
            Some(more) => sizes::parse(more).map(Limit::More).map_err(|_| wrong()),
            None if text.starts_with('-') => Err(wrong()),
            None => sizes::parse(text).map(Limit::Most).map_err(|_| wrong()),
        }
    }

    /// The most that a number may be that was `before`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a number, rounded down; what is too great becomes the greatest"
    )]
    pub fn most(self, before: u64) -> u64 {
        match self {
            Limit::Percent(percent) => (before as f64 * (1.0 + percent / 100.0)).floor() as u64,
            Limit::More(more) => before.saturating_add(more),
            Limit::Most(most) => most,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Percent(percent) => write!(formatter, "{percent:+}%"),
            Limit::More(more) => write!(formatter, "+{}", sizes::shortest(*more)),
            Limit::Most(most) => write!(formatter, "{}", sizes::shortest(*most)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_bound_what_may_be() {
        for (text, before, most) in [
            ("+5%", 1000, 1050),
            ("+0%", 1000, 1000),
            ("-10%", 1000, 900),
            ("+2.5%", 1000, 1025),
            ("+10", 1000, 1010),
            ("+1K", 1000, 2024),
            ("512M", 5, 512 << 20),
            ("+100%", u64::MAX, u64::MAX),
        ] {
            let limit = Limit::parse(text).unwrap();
            assert_eq!(limit.most(before), most, "{text}");
            assert_eq!(limit.to_string(), text);
        }
        for text in ["", "5%", "+%", "+", "-5M", "+5X", "-200%", "+inf%", "+NaN%"] {
            assert!(Limit::parse(text).is_err(), "{text}");
        }
    }
}
