//! What a trace leaves out of what it could say of its program: words it was told, and where its files lie, which may be
//! nobody's business but its owner's.
//!
//! What a replay goes by stays. A part of its own, behind the headers and before the records, says what is left out, so that
//! nobody takes an empty place for what was there; a reader that does not know the part steps over it.

use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};

use crate::ending::Cause;
use crate::error::Error;
use crate::frame::Kind;
use crate::header::{Header, SYSTEM_WIDE_TUNABLES};
use crate::source::Source;

/// What is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redaction {
    /// The arguments of the program.
    pub arguments: bool,
    /// The words in variables of its environment. Numbers stay: malloc goes by them.
    pub environment: bool,
    /// The folders of files: of the program, of what it is made of, and of its sources.
    pub paths: bool,
}

impl Redaction {
    /// Whether anything is.
    pub fn is_any(&self) -> bool {
        *self != Redaction::default()
    }

    /// Leaves it out of a header.
    pub fn of_header(&self, header: &mut Header) {
        let program = &mut header.program;
        if self.arguments {
            program.arguments.clear();
        }
        if self.environment {
            program.environment = std::mem::take(&mut program.environment).into_iter().map(numbers).collect();
        }
        if self.paths {
            for path in [&mut program.path, &mut header.libc.path] {
                *path = file_name(path).to_owned();
            }
        }
    }

    /// Leaves it out of a path.
    pub fn of_path(&self, path: &mut String) {
        if self.paths {
            *path = file_name(path).to_owned();
        }
    }

    /// Leaves it out of what ended a trace.
    pub fn of_cause(&self, cause: &mut Cause) {
        if let Cause::Replaced { by } = cause {
            self.of_path(by);
        }
    }
}

/// A path without its folders.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// What stands for words that are left out: no number, and no name of anything.
const WORD: &str = "x";

/// A variable with its numbers, and without its words: what malloc reads of it is the same.
fn numbers((name, value): (String, String)) -> (String, String) {
    let has_tunables = name == "GLIBC_TUNABLES" || name == SYSTEM_WIDE_TUNABLES;
    let value = if has_tunables {
        // Some releases ignore all of them if one has no value: that stays so.
        value.split(':').map(tunable).collect::<Vec<_>>().join(":")
    } else {
        number(&value)
    };
    (name, value)
}

fn tunable(entry: &str) -> String {
    let is_known = |name: &str| {
        name.rsplit(' ').next().is_some_and(|name| name.starts_with("glibc."))
            && name.chars().all(|c| c.is_ascii_lowercase() || "._ ".contains(c))
    };
    match entry.split_once('=') {
        Some((name, value)) if is_known(name) => format!("{name}={}", number(value)),
        Some((_, value)) => format!("{WORD}={}", number(value)),
        None if entry.is_empty() => String::new(),
        None => WORD.to_owned(),
    }
}

/// The number that a text begins with, as far as `strtoul` would read it, and a word for the rest.
fn number(text: &str) -> String {
    let sign = text.len() - text.trim_start_matches([' ', '-', '+']).len();
    let (begin, is_digit): (usize, fn(u8) -> bool) = match text.get(sign..sign + 2) {
        Some("0x" | "0X") => (sign + 2, |byte| byte.is_ascii_hexdigit()),
        _ => (sign, |byte| byte.is_ascii_digit()),
    };
    let digits = text.bytes().skip(begin).take_while(|byte| is_digit(*byte)).count();
    let end = begin + digits;
    let rest = if end < text.len() { WORD } else { "" };
    format!("{}{rest}", &text[..end])
}

impl<R: Read + Seek> Source<R> {
    /// What the trace says that it leaves out.
    pub fn redaction(&mut self) -> Result<Redaction, Error> {
        let Some((at, frame)) = self.before_records(Kind::Redaction)? else {
            return Ok(Redaction::default());
        };
        Ok(self.part(at, frame.kind)?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_malloc_goes_by_stay_and_words_do_not() {
        for (name, value, expected) in [
            ("MALLOC_ARENA_MAX", "2", "2"),
            ("MALLOC_TOP_PAD_", "0x20000", "0x20000"),
            ("MALLOC_TRACE", "/home/alice/secret", "x"),
            ("MALLOC_CONF", "12, password: 7", "12x"),
            (
                "GLIBC_TUNABLES",
                "glibc.malloc.arena_max=2:glibc.cpu.hwcaps=-AVX:glibc.malloc.check=secret:Alice=3:hidden::glibc.malloc.trim_threshold=-1",
                "glibc.malloc.arena_max=2:glibc.cpu.hwcaps=-x:glibc.malloc.check=x:x=3:x::glibc.malloc.trim_threshold=-1",
            ),
            (
                SYSTEM_WIDE_TUNABLES,
                "nonoverridable glibc.malloc.top_pad=65536",
                "nonoverridable glibc.malloc.top_pad=65536",
            ),
            ("MALLOC_PERTURB_", "", ""),
        ] {
            assert_eq!(numbers((name.to_owned(), value.to_owned())).1, expected, "{name}={value}");
        }
    }
}
