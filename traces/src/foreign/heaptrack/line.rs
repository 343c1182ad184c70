//! The lines of heaptrack's text that a trace has a place for:
//!
//! ```text
//! v VERSION FORMAT            what wrote it, on the first line
//! c MILLISECONDS              the time, about every 10 ms
//! + SIZE STACK POINTER        an allocation               as `heaptrack --raw` leaves it
//! - POINTER                   its end
//! x PROGRAM                   the program's own file
//! m -                         modules follow, all that there are
//! m FILE START (AT LENGTH)…   one of them, and its segments; `x` is the program
//! t ADDRESS STACK             a frame and its caller: a stack, numbered from 1 on
//! a SIZE STACK                a kind of allocation, numbered from 0 on        as heaptrack leaves it otherwise
//! + KIND                      an allocation of that kind
//! - KIND                      the end of one of them
//! s TEXT                      a text, numbered from 1 on
//! i ADDRESS TEXT (TEXT TEXT LINE)…   an address, numbered from 1 on: its module, its functions with their files, the innermost first
//! t ADDRESS STACK             the same as above, but of an address by its number
//! ```
//!
//! Texts and files are behind their length since the format's version 3.

use crate::foreign::words::{Problem, Words};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'text> {
    Version(u64),
    Time(u64),
    Kind {
        size: u64,
        stack: u64,
    },
    Made {
        size: u64,
        stack: u64,
        pointer: u64,
    },
    /// Of this kind, which stands in this column.
    MadeOf {
        kind: u64,
        at: usize,
    },
    /// By its pointer, or of this kind.
    Ended(u64),
    OfStacks(OfStacks<'text>),
}

/// What stacks are made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OfStacks<'text> {
    Program(&'text str),
    /// Modules that were there are not.
    Modules,
    Module {
        file: &'text str,
        start: u64,
        /// Where each of its segments begins, from there on, and how long it is.
        segments: Vec<[u64; 2]>,
    },
    Text(&'text str),
    Place {
        address: u64,
        module: u64,
        functions: Vec<[u64; 3]>,
    },
    Frame {
        address: u64,
        caller: u64,
    },
}

/// Since when texts are behind their length.
const SIZED: u64 = 3;

impl<'text> Line<'text> {
    /// A line of a file of this version of the format; none if it says nothing that a trace has.
    pub fn parse(text: &'text str, format: u64) -> Result<Option<Line<'text>>, (usize, Problem)> {
        let mut words = Words::of(text);
        let Some((at, sign)) = words.next() else { return Ok(None) };
        Ok(Some(match sign {
            "v" => {
                // Before there were formats there was one number.
                words.next();
                Line::Version(words.next().map_or(Ok(0), |(at, text)| hexadecimal(at, text))?)
            }
            "c" => Line::Time(number(&mut words)?),
            "a" => Line::Kind { size: number(&mut words)?, stack: number(&mut words)? },
            "-" => Line::Ended(number(&mut words)?),
            "+" => made(&mut words)?,
            "x" => Line::OfStacks(OfStacks::Program(name(&mut words, format)?)),
            "m" => Line::OfStacks(module(&mut words, format)?),
            "s" if format < SIZED => Line::OfStacks(OfStacks::Text(words.rest())),
            "s" => Line::OfStacks(OfStacks::Text(name(&mut words, format)?)),
            "i" => {
                let (address, module) = (number(&mut words)?, number(&mut words)?);
                let functions = groups(&mut words)?;
                Line::OfStacks(OfStacks::Place { address, module, functions })
            }
            "t" => {
                Line::OfStacks(OfStacks::Frame { address: number(&mut words)?, caller: number(&mut words)? })
            }
            // One letter each; what is behind may be anything.
            _ if sign.len() == 1 => return Ok(None),
            _ => return Err((at, Problem::UnknownCall(sign.to_owned()))),
        }))
    }
}

/// By its size, stack and pointer, or by its kind.
fn made<'text>(words: &mut Words<'text>) -> Result<Line<'text>, (usize, Problem)> {
    let (at, first) = words.expect()?;
    let first = hexadecimal(at, first)?;
    let Some((second_at, second)) = words.next() else { return Ok(Line::MadeOf { kind: first, at }) };
    Ok(Line::Made { size: first, stack: hexadecimal(second_at, second)?, pointer: number(words)? })
}

fn module<'text>(words: &mut Words<'text>, format: u64) -> Result<OfStacks<'text>, (usize, Problem)> {
    let file = name(words, format)?;
    if file == "-" {
        return Ok(OfStacks::Modules);
    }
    Ok(OfStacks::Module { file, start: number(words)?, segments: groups(words)? })
}

/// The numbers up to the end of the line, so many together; the last ones may be missing, and are 0.
fn groups<const TOGETHER: usize>(words: &mut Words<'_>) -> Result<Vec<[u64; TOGETHER]>, (usize, Problem)> {
    let mut all = Vec::new();
    while let Some((at, text)) = words.next() {
        let mut group = [0; TOGETHER];
        group[0] = hexadecimal(at, text)?;
        for place in &mut group[1..] {
            *place = words.next().map_or(Ok(0), |(at, text)| hexadecimal(at, text))?;
        }
        all.push(group);
    }
    Ok(all)
}

/// A text among other words.
fn name<'text>(words: &mut Words<'text>, format: u64) -> Result<&'text str, (usize, Problem)> {
    if format < SIZED {
        return words.expect().map(|(_, text)| text);
    }
    let length = number(words)?;
    words.exactly(length)
}

fn number(words: &mut Words<'_>) -> Result<u64, (usize, Problem)> {
    words.expect().and_then(|(at, text)| hexadecimal(at, text))
}

fn hexadecimal(at: usize, text: &str) -> Result<u64, (usize, Problem)> {
    if text.is_empty() || !text.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return Err((at, Problem::NotANumber(text.to_owned())));
    }
    u64::from_str_radix(text, 16).map_err(|_| (at, Problem::TooLarge(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let segments = vec![[0, 0x810], [0x1000, 0x3cd]];
        for (text, expected) in [
            ("v 10400 3\n", Some(Line::Version(3))),
            ("v 10000\n", Some(Line::Version(0))),
            ("c a\n", Some(Line::Time(10))),
            ("a 11c00 4", Some(Line::Kind { size: 0x11c00, stack: 4 })),
            ("+ 10 8 5602458381d0", Some(Line::Made { size: 16, stack: 8, pointer: 0x5602_4583_81d0 })),
            ("+ 1f", Some(Line::MadeOf { kind: 0x1f, at: 3 })),
            ("- 5602458381d0", Some(Line::Ended(0x5602_4583_81d0))),
            ("x 5 a/b c\n", Some(Line::OfStacks(OfStacks::Program("a/b c")))),
            ("m 1 -\n", Some(Line::OfStacks(OfStacks::Modules))),
            (
                "m 4 a.so 7f00 0 810 1000 3cd",
                Some(Line::OfStacks(OfStacks::Module { file: "a.so", start: 0x7f00, segments })),
            ),
            ("s 6 f(a b)\n", Some(Line::OfStacks(OfStacks::Text("f(a b)")))),
            ("t ff 3", Some(Line::OfStacks(OfStacks::Frame { address: 255, caller: 3 }))),
            (
                "i ff 8 e d 4a f d 1a",
                Some(Line::OfStacks(OfStacks::Place {
                    address: 255,
                    module: 8,
                    functions: vec![[14, 13, 74], [15, 13, 26]],
                })),
            ),
            (
                "i ff 8 e",
                Some(Line::OfStacks(OfStacks::Place {
                    address: 255,
                    module: 8,
                    functions: vec![[14, 0, 0]],
                })),
            ),
            ("R 10", None),
            ("# strings: 3", None),
            ("\n", None),
        ] {
            assert_eq!(Line::parse(text, 3), Ok(expected), "{text:?}");
        }
        for (text, expected) in [
            ("s f(a b)\n", OfStacks::Text("f(a b)")),
            ("m a.so 7f00", OfStacks::Module { file: "a.so", start: 0x7f00, segments: vec![] }),
        ] {
            assert_eq!(Line::parse(text, 2), Ok(Some(Line::OfStacks(expected))), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_column() {
        for (text, column, problem) in [
            ("+ 10 8", 7, "something is missing here"),
            ("- ", 2, "something is missing here"),
            ("+ 1x 8 10", 3, "`1x` is not a number"),
            ("- 11111111111111111", 3, "11111111111111111 is too large"),
            ("malloc 1", 1, "there is no call `malloc`"),
            ("m 9 a.so", 9, "something is missing here"),
            ("s ffffffffffffffff a", 21, "something is missing here"),
        ] {
            let (found, said) = Line::parse(text, 3).unwrap_err();
            assert_eq!((found, said.to_string().as_str()), (column, problem), "{text:?}");
        }
    }
}
