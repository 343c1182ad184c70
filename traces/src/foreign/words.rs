//! The words of a line, and what may be wrong with them.

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A word that should be a number.
    #[error("`{0}` is not a number")]
    NotANumber(String),
    /// A number that does not fit where it belongs.
    #[error("{0} is too large")]
    TooLarge(String),
    /// A name no call has.
    #[error("there is no call `{0}`")]
    UnknownCall(String),
    /// A line that ends early.
    #[error("something is missing here")]
    Missing,
    /// A line that goes on.
    #[error("`{0}` is one word too many")]
    TooMuch(String),
    /// A line that is not text.
    #[error("this is not text")]
    NotText,
}

/// The words of a line, each with its column.
pub(crate) struct Words<'text> {
    text: &'text str,
    at: usize,
}

impl<'text> Words<'text> {
    pub fn of(text: &'text str) -> Words<'text> {
        Words { text, at: 0 }
    }

    /// The next word and its column, from 1.
    pub fn next(&mut self) -> Option<(usize, &'text str)> {
        let rest = self.text[self.at..].trim_start();
        let from = self.text.len() - rest.len();
        let word = rest.split_whitespace().next();
        self.at = from + word.map_or(0, str::len);
        word.map(|word| (from + 1, word))
    }

    /// So many bytes behind the next space, whatever they are.
    pub fn exactly(&mut self, length: u64) -> Result<&'text str, (usize, Problem)> {
        let from = self.at + 1;
        let to = usize::try_from(length).ok().and_then(|length| from.checked_add(length));
        let text = to.and_then(|to| self.text.get(from..to));
        let text = text.ok_or((self.text.trim_end().len() + 1, Problem::Missing))?;
        self.at = from + text.len();
        Ok(text)
    }

    /// What is left of the line.
    pub fn rest(&mut self) -> &'text str {
        let rest = self.text[self.at..].trim();
        self.at = self.text.len();
        rest
    }

    /// The next word, which must be there.
    pub fn expect(&mut self) -> Result<(usize, &'text str), (usize, Problem)> {
        self.next().ok_or((self.text.trim_end().len() + 1, Problem::Missing))
    }
}

impl Words<'_> {
    /// The next word, which must be a number.
    pub fn number(&mut self) -> Result<u64, (usize, Problem)> {
        self.expect().and_then(|(at, text)| number(at, text))
    }

    /// Nothing may follow.
    pub fn end(&mut self) -> Result<(), (usize, Problem)> {
        match self.next() {
            None => Ok(()),
            Some((at, rest)) => Err((at, Problem::TooMuch(rest.to_owned()))),
        }
    }
}

/// A number of 32 bits.
pub(crate) fn narrow(at: usize, text: &str) -> Result<u32, (usize, Problem)> {
    u32::try_from(number(at, text)?).map_err(|_| (at, Problem::TooLarge(text.to_owned())))
}

/// A number, decimal or hexadecimal after `0x`; a negative one wraps around as in C.
pub(crate) fn number(at: usize, text: &str) -> Result<u64, (usize, Problem)> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = hexadecimal.map_or((digits, 10), |digits| (digits, 16));
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err((at, Problem::NotANumber(text.to_owned())));
    }
    match u64::from_str_radix(digits, radix) {
        Ok(number) => Ok(if negative { number.wrapping_neg() } else { number }),
        Err(_) => Err((at, Problem::TooLarge(text.to_owned()))),
    }
}
