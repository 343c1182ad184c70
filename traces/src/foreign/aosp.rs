//! The text of Android's `memory_replay`, one call a line (the README beside its traces):
//!
//! ```text
//! TID: malloc POINTER SIZE            TID: realloc NEW OLD SIZE
//! TID: calloc POINTER NMEMB SIZE      TID: free POINTER
//! TID: memalign POINTER ALIGN SIZE    TID: thread_done 0x0
//! ```
//!
//! Behind each may stand when it began and ended, in nanoseconds: the trace has the beginnings, counted from the
//! first and in the order of the lines. `POINTER` is what the call returned, and 0x0 if it failed.

use super::addresses::{Addresses, Oddities};
use super::threads::Threads;
use super::words::{Problem, Words, narrow};
use super::{ImportError, Trouble, lines, record};
use crate::record::Call;
use crate::write::Writer;
use std::io::{BufRead, Write};

pub(super) fn import<W: Write>(file: impl BufRead, trace: &mut Writer<W>) -> Result<Oddities, ImportError> {
    let mut addresses = Addresses::default();
    let mut threads = Threads::default();
    let (mut began, mut time) = (None, 0);
    lines(file, |text| {
        let Some(line) = Line::parse(text)? else { return Ok(()) };
        if let Some(at) = line.began {
            // The lines are in the order in which calls ended, or nearly.
            time = at.saturating_sub(*began.get_or_insert(at)).max(time);
        }
        let [pointer, first, second] = line.numbers;
        let call = match line.verb {
            Verb::Malloc => Call::Malloc { request: first, to: addresses.fill(pointer) },
            Verb::Calloc => Call::Calloc { count: first, size: second, to: addresses.fill(pointer) },
            Verb::Memalign => {
                Call::Memalign { alignment: first, request: second, to: addresses.fill(pointer) }
            }
            Verb::Realloc => {
                let (old, to) = addresses.remake(first, pointer, second == 0);
                Call::Realloc { old, request: second, to }
            }
            Verb::Free => Call::Free { pointer: addresses.take(pointer) },
            Verb::ThreadDone => return Ok(threads.end(line.thread, time, trace)?),
        };
        let thread = threads.of(line.thread, time, trace)?;
        Ok::<(), Trouble>(trace.record(&record(time, thread, call))?)
    })?;
    Ok(addresses.oddities)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Malloc,
    Calloc,
    Memalign,
    Realloc,
    Free,
    ThreadDone,
}

impl Verb {
    /// The call of a name, and how many numbers stand behind it.
    fn of(name: &str) -> Option<(Verb, usize)> {
        Some(match name {
            "malloc" => (Verb::Malloc, 2),
            "calloc" => (Verb::Calloc, 3),
            "memalign" => (Verb::Memalign, 3),
            "realloc" => (Verb::Realloc, 3),
            "free" => (Verb::Free, 1),
            "thread_done" => (Verb::ThreadDone, 1),
            _ => return None,
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Line {
    thread: u32,
    verb: Verb,
    numbers: [u64; 3],
    began: Option<u64>,
}

impl Line {
    fn parse(text: &str) -> Result<Option<Line>, (usize, Problem)> {
        let Some((thread, rest)) = text.split_once(':') else {
            let mut words = Words::of(text);
            return words.next().map_or(Ok(None), |(at, _)| Err((at, Problem::Missing)));
        };
        let mut before = Words::of(thread);
        let thread = before.expect().and_then(|(at, text)| narrow(at, text))?;
        before.end()?;
        let behind = text.len() - rest.len();
        let in_line = |(column, problem)| (column + behind, problem);
        let mut words = Words::of(rest);
        let (at, name) = words.expect().map_err(in_line)?;
        let (verb, wanted) =
            Verb::of(name).ok_or_else(|| in_line((at, Problem::UnknownCall(name.to_owned()))))?;
        let mut numbers = [0; 3];
        for number in numbers.iter_mut().take(wanted) {
            *number = words.number().map_err(in_line)?;
        }
        let mut began = None;
        if let Some((at, text)) = words.next() {
            began = Some(super::number(at, text).map_err(in_line)?);
            words.number().map_err(in_line)?;
            words.end().map_err(in_line)?;
        }
        Ok(Some(Line { thread, verb, numbers, began }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let line = |thread, verb, numbers, began| Ok(Some(Line { thread, verb, numbers, began }));
        for (text, expected) in [
            ("202: malloc 0xb4827400 1024\n", line(202, Verb::Malloc, [0xb482_7400, 1024, 0], None)),
            ("7:realloc 0x20 0x10 150", line(7, Verb::Realloc, [0x20, 0x10, 150], None)),
            ("7: calloc 0x20 32 8 1000 1200\r\n", line(7, Verb::Calloc, [0x20, 32, 8], Some(1000))),
            ("9: thread_done 0x0", line(9, Verb::ThreadDone, [0; 3], None)),
            ("  \n", Ok(None)),
        ] {
            assert_eq!(Line::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_column() {
        for (text, column, problem) in [
            ("malloc 0x10 4", 1, "something is missing here"),
            ("x: malloc 0x10 4", 1, "`x` is not a number"),
            ("1 2: malloc 0x10 4", 3, "`2` is one word too many"),
            ("1: mallok 0x10 4", 4, "there is no call `mallok`"),
            ("1: malloc 0x10", 15, "something is missing here"),
            ("1: free 0x1g", 9, "`0x1g` is not a number"),
            ("1: free 0x10 5", 15, "something is missing here"),
            ("1: free 0x10 5 6 7", 18, "`7` is one word too many"),
            ("99999999999: free 0x10", 1, "99999999999 is too large"),
        ] {
            let (found, said) = Line::parse(text).unwrap_err();
            assert_eq!((found, said.to_string().as_str()), (column, problem), "{text:?}");
        }
    }
}
