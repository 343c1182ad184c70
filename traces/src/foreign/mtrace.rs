//! The text of `mtrace(3)` (glibc's `malloc/mtrace-impl.c`), one call a line:
//!
//! ```text
//! = Start                              @ FILE:[CALLER] < OLD
//! @ FILE:[CALLER] + POINTER SIZE       @ FILE:[CALLER] > NEW SIZE
//! @ FILE:[CALLER] - POINTER            @ FILE:[CALLER] ! OLD SIZE
//! ```
//!
//! `<` and `>` are one call of `realloc`, `!` one that failed. What stands for the caller may have spaces
//! in it, so a line is read from its end. Several runs in one file follow each other as one.

use super::addresses::{Addresses, Oddities};
use super::words::{Problem, Words};
use super::{ImportError, Trouble, lines, record};
use crate::record::{Call, Placed, Pointer, Thread};
use crate::write::Writer;
use std::io::{BufRead, Write};

pub(super) fn import<W: Write>(file: impl BufRead, trace: &mut Writer<W>) -> Result<Oddities, ImportError> {
    let mut addresses = Addresses::default();
    // What a `<` gave back, until its `>` is there.
    let mut old = None;
    lines(file, |text| {
        let Some(line) = Line::parse(text)? else { return Ok(()) };
        let call = match line {
            Line::Made(pointer, request) => Call::Malloc { request, to: addresses.fill(pointer) },
            Line::Freed(pointer) => Call::Free { pointer: addresses.take(pointer) },
            Line::Before(pointer) => {
                old = Some(addresses.take(pointer));
                return Ok(());
            }
            Line::Behind(pointer, request) => {
                let old = old.take().unwrap_or(Pointer::NULL);
                Call::Realloc { old, request, to: addresses.fill(pointer) }
            }
            Line::Failed(pointer, request) => {
                let (old, to) = addresses.remake(pointer, 0, false);
                Call::Realloc { old, request, to }
            }
        };
        Ok::<(), Trouble>(trace.record(&record(0, Thread(0), call))?)
    })?;
    if let Some(old) = old {
        // The file ends in the middle of a realloc.
        let to = Placed { pointer: Pointer::NULL, head: 0 };
        trace.record(&record(0, Thread(0), Call::Realloc { old, request: 0, to }))?;
    }
    Ok(addresses.oddities)
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Made(u64, u64),
    Freed(u64),
    Before(u64),
    Behind(u64, u64),
    Failed(u64, u64),
}

impl Line {
    fn parse(text: &str) -> Result<Option<Line>, (usize, Problem)> {
        let text = text.trim_end();
        let mut words = Words::of(text);
        let Some((at, first)) = words.next() else { return Ok(None) };
        match first {
            "=" => return Ok(None),
            // A caller that is not known is left out.
            "@" | "+" | "-" | "<" | ">" | "!" => {}
            _ => return Err((at, Problem::UnknownCall(first.to_owned()))),
        }
        // From the end: a sign with one number behind it, or with two.
        let last = |n: usize| {
            text.rsplit(char::is_whitespace).filter(|word| !word.is_empty()).nth(n).unwrap_or_default()
        };
        let signs: [(usize, &[&str]); 2] = [(1, &["-", "<"]), (2, &["+", ">", "!"])];
        let Some((numbers, sign)) = signs
            .into_iter()
            .find_map(|(numbers, signs)| signs.contains(&last(numbers)).then(|| (numbers, last(numbers))))
        else {
            return Err((text.len() + 1, Problem::Missing));
        };
        let mut from = text.len();
        for n in 0..numbers {
            from = text[..from].trim_end().len() - last(n).len();
        }
        let mut words = Words::of(&text[from..]);
        let mut number = || words.number().map_err(|(at, problem)| (at + from, problem));
        let pointer = number()?;
        Ok(Some(match sign {
            "-" => Line::Freed(pointer),
            "<" => Line::Before(pointer),
            "+" => Line::Made(pointer, number()?),
            ">" => Line::Behind(pointer, number()?),
            _ => Line::Failed(pointer, number()?),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        for (text, expected) in [
            ("= Start\n", None),
            ("\n", None),
            ("@ ./a:[0x401149] + 0x1b6d2a0 0x18\n", Some(Line::Made(0x1b6_d2a0, 0x18))),
            ("@ /my program:(f+0x1)[0x401149] - 0x1b6d2a0", Some(Line::Freed(0x1b6_d2a0))),
            ("@ ./a:[0x1] < 0x10", Some(Line::Before(0x10))),
            ("@ ./a:[0x1] > 0x20 0x30", Some(Line::Behind(0x20, 0x30))),
            ("@ ./a:[0x1] ! 0x20 0xffffffffffffffff", Some(Line::Failed(0x20, u64::MAX))),
            ("+ 0x20 0x30", Some(Line::Made(0x20, 0x30))),
        ] {
            assert_eq!(Line::parse(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_column() {
        for (text, column, problem) in [
            ("malloc 0x10", 1, "there is no call `malloc`"),
            ("@ ./a:[0x1] + 0x20", 19, "something is missing here"),
            ("@ ./a:[0x1] + 0x2z 0x10", 15, "`0x2z` is not a number"),
            ("@ ./a:[0x1] - 0x2z", 15, "`0x2z` is not a number"),
        ] {
            let (found, said) = Line::parse(text).unwrap_err();
            assert_eq!((found, said.to_string().as_str()), (column, problem), "{text:?}");
        }
    }
}
