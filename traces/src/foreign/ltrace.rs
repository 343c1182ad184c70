//! The text of ltrace(1), one call a line, as it comes with `-f`, `-ttt`, `-S` and without:
//!
//! ```text
//! PID SECONDS.MICROSECONDS FILE->malloc(SIZE) = POINTER
//! PID SECONDS.MICROSECONDS FILE->realloc(OLD, SIZE <unfinished ...>
//! PID SECONDS.MICROSECONDS <... realloc resumed> ) = POINTER
//! PID SECONDS.MICROSECONDS +++ exited (status 0) +++
//! ```
//!
//! Where it does not know how many arguments a function has, it writes some more. An allocation is made when its call
//! returns, and given back when its call begins. Other functions' calls, system calls and signals are stepped over.

use super::addresses::{Addresses, Oddities};
use super::threads::Threads;
use super::words::{Problem, narrow, number};
use super::{ImportError, Trouble, lines, record};
use crate::record::Call;
use crate::write::Writer;
use std::collections::HashMap;
use std::io::{BufRead, Write};

pub(super) fn import<W: Write>(file: impl BufRead, trace: &mut Writer<W>) -> Result<Oddities, ImportError> {
    let mut addresses = Addresses::default();
    let mut threads = Threads::default();
    // Calls that have not returned, by their threads.
    let mut begun: HashMap<u32, (Verb, Vec<u64>)> = HashMap::new();
    let (mut first, mut time) = (None, 0_u64);
    // What posix_memalign returned is not written down: each is at an address that nobody has.
    let mut unknown = NOWHERE;
    lines(file, |text| {
        let Some(line) = Line::parse(text)? else { return Ok(()) };
        if let Some(at) = line.time {
            time = at.saturating_sub(*first.get_or_insert(at)).max(time);
        }
        let (verb, numbers, result) = match line.event {
            Event::Exit => {
                begun.remove(&line.thread);
                return Ok(threads.end(line.thread, time, trace)?);
            }
            Event::Begun(Verb::Free, numbers) => (Verb::Free, numbers, 0),
            Event::Begun(verb, numbers) => {
                begun.insert(line.thread, (verb, numbers));
                return Ok(());
            }
            Event::Returned(result) => match begun.remove(&line.thread) {
                Some((verb, numbers)) => (verb, numbers, result),
                // One that is stepped over, or was written down when it began.
                None => return Ok(()),
            },
            Event::Whole(verb, numbers, result) => (verb, numbers, result),
        };
        let argument = |place: usize| numbers.get(place).copied().unwrap_or(0);
        let call = match verb {
            Verb::Malloc => Call::Malloc { request: argument(0), to: addresses.fill(result) },
            Verb::Calloc => {
                Call::Calloc { count: argument(0), size: argument(1), to: addresses.fill(result) }
            }
            Verb::Realloc => {
                let (old, to) = addresses.remake(argument(0), result, argument(1) == 0);
                Call::Realloc { old, request: argument(1), to }
            }
            Verb::Free => Call::Free { pointer: addresses.take(argument(0)) },
            Verb::Memalign => {
                Call::Memalign { alignment: argument(0), request: argument(1), to: addresses.fill(result) }
            }
            Verb::AlignedAlloc => {
                let to = addresses.fill(result);
                Call::AlignedAlloc { alignment: argument(0), request: argument(1), to }
            }
            Verb::PosixMemalign => {
                unknown += 1;
                let to = addresses.fill(if result == 0 { unknown } else { 0 });
                Call::PosixMemalign { alignment: argument(1), request: argument(2), to }
            }
            Verb::Valloc => Call::Valloc { request: argument(0), to: addresses.fill(result) },
            Verb::Pvalloc => Call::Pvalloc { request: argument(0), to: addresses.fill(result) },
        };
        let thread = threads.of(line.thread, time, trace)?;
        Ok::<(), Trouble>(trace.record(&record(time, thread, call))?)
    })?;
    Ok(addresses.oddities)
}

/// No process has addresses from here on.
const NOWHERE: u64 = 1 << 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Malloc,
    Calloc,
    Realloc,
    Free,
    Memalign,
    AlignedAlloc,
    PosixMemalign,
    Valloc,
    Pvalloc,
}

impl Verb {
    /// The call of a name, and how many of its arguments count.
    fn of(name: &str) -> Option<(Verb, usize)> {
        Some(match name {
            "malloc" => (Verb::Malloc, 1),
            "calloc" => (Verb::Calloc, 2),
            "realloc" => (Verb::Realloc, 2),
            "free" | "cfree" => (Verb::Free, 1),
            "memalign" => (Verb::Memalign, 2),
            "aligned_alloc" => (Verb::AlignedAlloc, 2),
            "posix_memalign" => (Verb::PosixMemalign, 3),
            "valloc" => (Verb::Valloc, 1),
            "pvalloc" => (Verb::Pvalloc, 1),
            _ => return None,
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Whole(Verb, Vec<u64>, u64),
    Begun(Verb, Vec<u64>),
    /// One of malloc's calls that had begun.
    Returned(u64),
    Exit,
}

#[derive(Debug, PartialEq, Eq)]
struct Line {
    thread: u32,
    /// In nanoseconds since some moment.
    time: Option<u64>,
    event: Event,
}

impl Line {
    fn parse(text: &str) -> Result<Option<Line>, (usize, Problem)> {
        let mut rest = text.trim();
        let column = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize + 1;
        let mut thread = 0;
        if let Some((id, behind)) = rest.strip_prefix("[pid ").and_then(|rest| rest.split_once(']')) {
            (thread, rest) = (narrow(column(id), id.trim())?, behind.trim_start());
        } else if let Some((id, behind)) = rest.split_once(char::is_whitespace)
            && id.chars().all(|digit| digit.is_ascii_digit())
        {
            (thread, rest) = (narrow(column(id), id)?, behind.trim_start());
        }
        let mut time = None;
        if let Some((at, behind)) = rest.split_once(char::is_whitespace)
            && at.starts_with(|digit: char| digit.is_ascii_digit())
        {
            (time, rest) = (since_epoch(at), behind.trim_start());
        }
        let Some(event) = Event::parse(rest).map_err(|(part, problem)| (column(part), problem))? else {
            return Ok(None);
        };
        Ok(Some(Line { thread, time, event }))
    }
}

/// Nanoseconds of `SECONDS.FRACTION`; nothing, if it is another way to say the time.
fn since_epoch(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.')?;
    let digits = u32::try_from(fraction.len()).ok().filter(|&digits| digits <= 9)?;
    let (seconds, fraction): (u64, u64) = (seconds.parse().ok()?, fraction.parse().ok()?);
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction * 10_u64.pow(9 - digits))
}

impl Event {
    /// What is wrong is said with the part of the text where it is.
    fn parse(text: &str) -> Result<Option<Event>, (&str, Problem)> {
        if text.starts_with("+++ exited") || text.starts_with("+++ killed") {
            return Ok(Some(Event::Exit));
        }
        if let Some(rest) = text.strip_prefix("<... ") {
            let is_ours = rest.split_once(" resumed>").is_some_and(|(name, _)| Verb::of(name).is_some());
            return if is_ours { Ok(Some(Event::Returned(result_of(text)?))) } else { Ok(None) };
        }
        let Some((name, rest)) = text.split_once('(') else { return Ok(None) };
        let name = name.rsplit_once("->").map_or(name, |(_, name)| name);
        let Some((verb, wanted)) = Verb::of(name.split('@').next().unwrap_or(name)) else { return Ok(None) };
        let unfinished = rest.split_once("<unfinished");
        let end = rest.rfind(')').unwrap_or(rest.len());
        let arguments = unfinished.map_or(&rest[..end], |(arguments, _)| arguments);
        let value = |word: &'_ str| {
            let word = word.trim();
            if word == "nil" { Ok(0) } else { number(0, word).map_err(|(_, problem)| problem) }
        };
        let mut numbers = Vec::with_capacity(wanted);
        for word in arguments.splitn(wanted + 1, ',').take(wanted) {
            // Where posix_memalign puts what it returns counts for nothing.
            numbers.push(value(word).map_err(|problem| (word, problem))?);
        }
        if numbers.len() < wanted {
            return Err((&text[text.len()..], Problem::Missing));
        }
        Ok(Some(match unfinished {
            Some(_) => Event::Begun(verb, numbers),
            None if verb == Verb::Free => Event::Whole(verb, numbers, 0),
            // A program that ended there.
            None if text.contains("<no return") => return Ok(None),
            None => Event::Whole(verb, numbers, result_of(text)?),
        }))
    }
}

/// What stands behind the last `=`; nothing was returned where there is no number.
fn result_of(text: &str) -> Result<u64, (&str, Problem)> {
    let Some((_, result)) = text.rsplit_once("= ") else {
        return Err((&text[text.len()..], Problem::Missing));
    };
    match result.trim() {
        "nil" | "<void>" => Ok(0),
        result => number(0, result).map_err(|(_, problem)| (result, problem)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let line = |thread, time, event| Some(Line { thread, time, event });
        let at = Some(1_795_300_972_327_279_000);
        for (text, expected) in [
            ("malloc(16)      = 0x55e0\n", line(0, None, Event::Whole(Verb::Malloc, vec![16], 0x55e0))),
            (
                "26319 1795300972.327279 ft->malloc(16 <unfinished ...>",
                line(26319, at, Event::Begun(Verb::Malloc, vec![16])),
            ),
            (
                "26319 1795300972.327279 <... malloc resumed> )   = 0x5611af0df2a0",
                line(26319, at, Event::Returned(0x5611_af0d_f2a0)),
            ),
            (
                "7 ft->memalign(64, 1000, 0x7f48598d3338, 0x7f48597f5c47) = 0x40",
                line(7, None, Event::Whole(Verb::Memalign, vec![64, 1000], 0x40)),
            ),
            ("[pid 9] free(nil) = <void>", line(9, None, Event::Whole(Verb::Free, vec![0], 0))),
            ("26320 1795300972.327279 +++ exited (status 0) +++", line(26320, at, Event::Exit)),
            ("12:07:01 malloc(1) = nil", line(0, None, Event::Whole(Verb::Malloc, vec![1], 0))),
            ("7 SYS_mmap(0, 8192, 3, 34) = 0x7f48598e4000", None),
            ("7 <... SYS_futex resumed> ) = -512", None),
            ("--- SIGCHLD (Child exited) ---", None),
            ("", None),
        ] {
            assert_eq!(Line::parse(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_column() {
        for (text, column, problem) in [
            ("malloc(x) = 0x10", 8, "`x` is not a number"),
            ("7 calloc(1) = 0x10", 19, "something is missing here"),
            ("malloc(16)", 11, "something is missing here"),
            ("malloc(16) = yes", 14, "`yes` is not a number"),
        ] {
            let (found, said) = Line::parse(text).unwrap_err();
            assert_eq!((found, said.to_string().as_str()), (column, problem), "{text:?}");
        }
    }
}
