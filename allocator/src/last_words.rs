//! What a process says when it finds that its heap is corrupted, in the words of each release, and whether
//! that is its end.

use crate::address::Address;
use crate::corruption::Corruption;
use crate::heap::Heap;
use crate::layout::Layout;
use crate::memory::Memory;
use crate::observe::Observer;
use crate::release::{Assertions, Complaints};
use alloc::format;
use alloc::string::String;

/// In what is done about corruption: it is said.
const SAY: i32 = 1;
/// It is said in few words.
const BE_BRIEF: i32 = 4;

/// What a process says and does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWords {
    /// What it prints, line by line; perhaps nothing.
    pub text: String,
    /// Whether a backtrace and the memory map follow, of which an allocator knows nothing.
    pub backtrace_follows: bool,
    /// Whether it then aborts.
    pub is_the_end: bool,
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// What a process would say that has just found this. `program` is what it was started as, and
    /// `called_with` the pointer of the call that found it, null if it had none (glibc: `malloc_printerr`,
    /// `__malloc_assert`, `__libc_assert_fail`).
    pub fn last_words(&self, corruption: Corruption, called_with: Address, program: &str) -> LastWords {
        if let Some((function, expression)) = corruption.assertion() {
            let text = self.failed(function, expression, corruption, program);
            return LastWords { text, backtrace_follows: false, is_the_end: true };
        }
        match self.cx.release.complaints {
            Complaints::Plain => {
                LastWords { text: format!("{corruption}\n"), backtrace_follows: false, is_the_end: true }
            }
            Complaints::Framed => self.framed(corruption, called_with, program),
        }
    }

    fn framed(&self, corruption: Corruption, called_with: Address, program: &str) -> LastWords {
        let is_always_told = corruption == Corruption::BreakBelowTop;
        let parameters = &self.cx.parameters;
        let action = if is_always_told { crate::parameters::SAY_AND_ABORT } else { parameters.check_action };
        let blamed = self.cx.blamed.unwrap_or(called_with).0;
        let digits = digits_of(M::Layout::WORD);
        let program = if program.is_empty() { "<unknown>" } else { program };
        let text = match action {
            _ if action & SAY == 0 => String::new(),
            _ if action & BE_BRIEF != 0 => format!("{corruption}\n"),
            _ => format!("*** Error in `{program}': {corruption}: 0x{blamed:0digits$x} ***\n"),
        };
        let is_the_end = is_always_told || parameters.corruption_is_the_end();
        LastWords { backtrace_follows: is_the_end && !text.is_empty(), text, is_the_end }
    }

    fn failed(&self, function: &str, expression: &str, corruption: Corruption, program: &str) -> String {
        let line = self.cx.release.line_of(corruption);
        // In one release the same is said otherwise.
        let expression = match self.cx.release.assertions {
            Assertions::OfProgramUntagged => expression.replace("chunk2mem", "chunk2rawmem"),
            _ => expression.into(),
        };
        match self.cx.release.assertions {
            Assertions::OfProgram | Assertions::OfProgramUntagged => {
                let name = program.rsplit('/').next().unwrap_or(program);
                let colon = if name.is_empty() { "" } else { ": " };
                format!("{name}{colon}malloc.c:{line}: {function}: Assertion `{expression}' failed.\n")
            }
            Assertions::OfMalloc => {
                format!("Fatal glibc error: malloc assertion failure in {function}: {expression}\n")
            }
            Assertions::OfLibrary => {
                format!("Fatal glibc error: malloc.c:{line} ({function}): assertion failed: {expression}\n")
            }
        }
    }
}

/// Hexadecimal digits of a word of so many bytes.
fn digits_of(word: u64) -> usize {
    crate::address::index(2 * word)
}
