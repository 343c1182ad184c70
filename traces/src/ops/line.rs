//! One line of a script: a thread, the name of a call, and up to three numbers.

use crate::foreign::{Problem, Words, narrow, number};
use std::fmt;

/// What a call's number is. An address space has 64 bits, a table of slots or threads 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Argument {
    Slot,
    Thread,
    Number,
    /// May be left out, and means nothing.
    Ignored,
}

macro_rules! verbs {
    ($($verb:ident $name:literal $code:literal [$($argument:ident),*],)*) => {
        /// The calls a script can make.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Verb {
            $($verb,)*
        }

        impl Verb {
            fn name(self) -> &'static str {
                match self { $(Verb::$verb => $name,)* }
            }

            fn from_name(name: &str) -> Option<Verb> {
                match name { $($name => Some(Verb::$verb),)* _ => None }
            }

            /// The verb with this code in a binary script.
            pub fn from_code(code: u8) -> Option<Verb> {
                match code { $($code => Some(Verb::$verb),)* _ => None }
            }

            fn arguments(self) -> &'static [Argument] {
                match self { $(Verb::$verb => &[$(Argument::$argument),*],)* }
            }
        }
    };
}

verbs! {
    Malloc "malloc" 1 [Slot, Number],
    Calloc "calloc" 2 [Slot, Number, Ignored],
    Realloc "realloc" 3 [Slot, Number],
    Free "free" 4 [Slot],
    Memalign "memalign" 5 [Slot, Number, Number],
    PosixMemalign "posix_memalign" 6 [Slot, Number, Number],
    AlignedAlloc "aligned_alloc" 7 [Slot, Number, Number],
    Valloc "valloc" 8 [Slot, Number],
    Pvalloc "pvalloc" 9 [Slot, Number],
    Trim "trim" 10 [Number],
    Mallopt "mallopt" 11 [Number, Number],
    MoveBreak "sbrk" 12 [Number],
    Spawn "spawn" 13 [Thread],
    Join "join" 14 [Thread],
    UsableSize "usable" 15 [Slot],
}

/// A call in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub thread: u32,
    pub verb: Verb,
    /// The numbers behind the name. What is not there is 0.
    pub numbers: [u64; 3],
}

impl Line {
    /// Reads a line, unless there is nothing in it. An error comes with the column where it is, from 1.
    pub fn parse(text: &str) -> Result<Option<Line>, (usize, Problem)> {
        let code = text.split('#').next().unwrap_or_default();
        let mut words = Words::of(code);
        let Some((at, thread)) = words.next() else {
            return Ok(None);
        };
        let thread = narrow(at, thread)?;
        let (at, name) = words.expect()?;
        let verb = Verb::from_name(name).ok_or_else(|| (at, Problem::UnknownCall(name.to_owned())))?;
        let mut numbers = [0; 3];
        for (number, argument) in numbers.iter_mut().zip(verb.arguments()) {
            *number = self::argument(&mut words, *argument)?;
        }
        match words.next() {
            None => Ok(Some(Line { thread, verb, numbers })),
            Some((at, rest)) => Err((at, Problem::TooMuch(rest.to_owned()))),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.thread, self.verb.name())?;
        for (number, argument) in self.numbers.iter().zip(self.verb.arguments()) {
            let signed = matches!(self.verb, Verb::Mallopt | Verb::MoveBreak);
            match argument {
                Argument::Ignored => {}
                _ if signed => write!(f, " {}", number.cast_signed())?,
                _ => write!(f, " {number}")?,
            }
        }
        Ok(())
    }
}

fn argument(words: &mut Words<'_>, argument: Argument) -> Result<u64, (usize, Problem)> {
    if argument == Argument::Ignored {
        return words.next().map_or(Ok(0), |(at, text)| number(at, text));
    }
    let (at, text) = words.expect()?;
    match argument {
        Argument::Slot | Argument::Thread => Ok(narrow(at, text)?.into()),
        _ => number(at, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let read = match Line::parse(text) {
            Ok(line) => Ok(line.map_or(String::new(), |line| line.to_string())),
            Err((column, problem)) => Err(format!("{column}: {problem}")),
        };
        assert_eq!(read, expected.map(str::to_owned).map_err(str::to_owned), "{text:?}");
    }

    #[test]
    fn a_line_is_read_and_written() {
        for (text, written) in [
            ("", ""),
            ("  # 0 malloc 1 2", ""),
            ("0 malloc 1 24", "0 malloc 1 24"),
            ("\t3  calloc 0x10 0X20 7 # four words", "3 calloc 16 32"),
            ("0 malloc 1 -1", "0 malloc 1 18446744073709551615"),
            ("0 mallopt -8 1", "0 mallopt -8 1"),
            ("1 sbrk -0x1000", "1 sbrk -4096"),
            ("0 aligned_alloc 4 48 100", "0 aligned_alloc 4 48 100"),
            ("0 spawn 9", "0 spawn 9"),
            ("0 trim 0\r", "0 trim 0"),
        ] {
            check(text, Ok(written));
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_column() {
        for (text, error) in [
            ("zero malloc 1 2", "1: `zero` is not a number"),
            ("0 mallok 1 2", "3: there is no call `mallok`"),
            ("0 malloc 1  # size?", "11: something is missing here"),
            ("0 malloc 1 2 3", "14: `3` is one word too many"),
            ("0 malloc 0x 2", "10: `0x` is not a number"),
            ("0 malloc +1 2", "10: `+1` is not a number"),
            ("0 free 4294967296", "8: 4294967296 is too large"),
            ("0 free -1", "8: -1 is too large"),
            ("0 malloc 0 18446744073709551616", "12: 18446744073709551616 is too large"),
        ] {
            check(text, Err(error));
        }
    }
}
