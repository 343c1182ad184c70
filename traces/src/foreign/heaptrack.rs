//! What heaptrack writes, plain or packed by zstd or gzip: text, one thing a line, its numbers hexadecimal.
//!
//! ```text
//! v VERSION FORMAT          what wrote it, on the first line
//! c MILLISECONDS            the time, about every 10 ms
//! + SIZE TRACE POINTER      an allocation         as `heaptrack --raw` leaves it
//! - POINTER                 its end
//! a SIZE TRACE              a kind of allocation, numbered as they come   as heaptrack leaves it otherwise
//! + KIND                    an allocation of that kind
//! - KIND                    the end of one of them
//! ```
//!
//! Other lines are about programs, stacks and what is resident, and are stepped over. Where only kinds are known, the
//! oldest of a kind is taken to be the one that ends.

use super::addresses::{Addresses, Oddities};
use super::words::{Problem, Words};
use super::{ImportError, Trouble, lines, record};
use crate::record::{Call, Thread};
use crate::write::Writer;
use std::io::{BufRead, BufReader, Write};

pub(super) fn import<W: Write>(
    mut file: impl BufRead,
    trace: &mut Writer<W>,
) -> Result<Oddities, ImportError> {
    match file.fill_buf()? {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => import_text(BufReader::new(zstd::Decoder::with_buffer(file)?), trace),
        [0x1f, 0x8b, ..] => import_text(BufReader::new(flate2::bufread::MultiGzDecoder::new(file)), trace),
        _ => import_text(file, trace),
    }
}

fn import_text<W: Write>(file: impl BufRead, trace: &mut Writer<W>) -> Result<Oddities, ImportError> {
    let mut addresses = Addresses::default();
    // The sizes of the kinds of allocations.
    let mut kinds: Vec<u64> = Vec::new();
    let (mut time, mut has_begun, mut has_kinds) = (0_u64, false, false);
    lines(file, |text| {
        let Some(line) = Line::parse(text)? else { return Ok(()) };
        if !std::mem::replace(&mut has_begun, true) && line != Line::Version {
            return Err((1, Problem::Missing).into());
        }
        let call = match line {
            Line::Version => return Ok(()),
            Line::Time(milliseconds) => {
                time = time.max(milliseconds.saturating_mul(1_000_000));
                return Ok(());
            }
            Line::Kind(size) => {
                has_kinds = true;
                kinds.push(size);
                return Ok(());
            }
            Line::Made { size, pointer } => Call::Malloc { request: size, to: addresses.fill(pointer) },
            Line::MadeOf { kind, at } => {
                let size = usize::try_from(kind).ok().and_then(|kind| kinds.get(kind));
                let &request = size.ok_or((at, Problem::TooLarge(format!("{kind:x}"))))?;
                Call::Malloc { request, to: addresses.fill(kind + 1) }
            }
            Line::Ended(kind) if has_kinds => Call::Free { pointer: addresses.take(kind.saturating_add(1)) },
            Line::Ended(pointer) => Call::Free { pointer: addresses.take(pointer) },
        };
        Ok::<(), Trouble>(trace.record(&record(time, Thread(0), call))?)
    })?;
    if has_kinds {
        // Of one kind many are alive, and nothing is odd about that.
        addresses.oddities.twice = 0;
    }
    Ok(addresses.oddities)
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Version,
    Time(u64),
    Kind(u64),
    Made {
        size: u64,
        pointer: u64,
    },
    /// Of this kind, which stands in this column.
    MadeOf {
        kind: u64,
        at: usize,
    },
    /// By its pointer, or of this kind.
    Ended(u64),
}

impl Line {
    fn parse(text: &str) -> Result<Option<Line>, (usize, Problem)> {
        let mut words = Words::of(text);
        let Some((at, sign)) = words.next() else { return Ok(None) };
        let mut number = || words.expect().and_then(|(at, text)| Ok((at, hexadecimal(at, text)?)));
        Ok(match sign {
            "v" => Some(Line::Version),
            "c" => Some(Line::Time(number()?.1)),
            "a" => Some(Line::Kind(number()?.1)),
            "-" => Some(Line::Ended(number()?.1)),
            "+" => {
                let (at, first) = number()?;
                match (words.next(), words.next()) {
                    (Some(_), Some((at, pointer))) => {
                        Some(Line::Made { size: first, pointer: hexadecimal(at, pointer)? })
                    }
                    (None, _) => Some(Line::MadeOf { kind: first, at }),
                    (Some(_), None) => return Err((text.trim_end().len() + 1, Problem::Missing)),
                }
            }
            // One letter each; what is behind may be anything.
            _ if sign.len() == 1 => None,
            _ => return Err((at, Problem::UnknownCall(sign.to_owned()))),
        })
    }
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
        for (text, expected) in [
            ("v 10400 3\n", Some(Line::Version)),
            ("c a\n", Some(Line::Time(10))),
            ("a 11c00 4", Some(Line::Kind(0x11c00))),
            ("+ 10 8 5602458381d0", Some(Line::Made { size: 16, pointer: 0x5602_4583_81d0 })),
            ("+ 1f", Some(Line::MadeOf { kind: 0x1f, at: 3 })),
            ("- 5602458381d0", Some(Line::Ended(0x5602_4583_81d0))),
            ("m 24 /lib/x y.so 7f0710b26000", None),
            ("# strings: 3", None),
            ("\n", None),
        ] {
            assert_eq!(Line::parse(text), Ok(expected), "{text:?}");
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
        ] {
            let (found, said) = Line::parse(text).unwrap_err();
            assert_eq!((found, said.to_string().as_str()), (column, problem), "{text:?}");
        }
    }
}
