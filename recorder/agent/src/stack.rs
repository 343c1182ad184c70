//! What the kernel laid on the first thread's stack: arguments, environment, auxiliary vector.
//!
//! Calls come before libc has set up `environ` or `getauxval`, so we read the stack itself, from
//! where the dynamic linker says it began.

use core::ffi::{CStr, c_char};

/// The words on the stack: a count, that many arguments, 0, the environment, 0, pairs of the auxiliary vector.
#[derive(Clone, Copy)]
pub struct Stack(*const usize);

/// The most arguments or variables we walk over; more than a kernel lets through.
const MOST: usize = 1 << 20;

impl Stack {
    /// The stack that begins here.
    ///
    /// # Safety
    ///
    /// `end` is what `__libc_stack_end` holds: the address of the argument count.
    pub unsafe fn at(end: *const usize) -> Option<Stack> {
        (!end.is_null()).then_some(Stack(end))
    }

    /// The program's arguments.
    pub fn arguments(self) -> impl Iterator<Item = &'static CStr> {
        self.strings(self.arguments_at())
    }

    /// The environment the program was started with, unless somebody has changed the strings themselves.
    pub fn environment(self) -> impl Iterator<Item = &'static CStr> {
        self.strings(self.environment_at())
    }

    /// Whether the kernel runs this program with more rights than its caller has.
    pub fn is_secure(self) -> bool {
        let vector = self.end_of_list(self.environment_at());
        (vector..vector + MOST)
            .step_by(2)
            .map(|at| (self.word(at), self.word(at + 1)))
            .take_while(|(kind, _)| *kind != libc::AT_NULL as usize)
            .any(|(kind, value)| kind == libc::AT_SECURE as usize && value != 0)
    }

    /// Where the program's first argument is.
    ///
    /// That is the first word behind the count. But until 2.35 a dynamic linker that was run as a program
    /// left its own arguments there, and in place of the last of them a count of the program's.
    fn arguments_at(self) -> usize {
        let counts = (1..self.end_of_list(1) - 1).rev();
        counts.into_iter().find(|at| self.string(*at).is_none()).unwrap_or(0) + 1
    }

    fn environment_at(self) -> usize {
        self.end_of_list(1)
    }

    /// The word behind the zero that ends a list beginning here.
    fn end_of_list(self, from: usize) -> usize {
        from + (from..from + MOST).take_while(|at| self.word(*at) != 0).count() + 1
    }

    /// The strings from this word to the next zero.
    fn strings(self, from: usize) -> impl Iterator<Item = &'static CStr> {
        (from..self.end_of_list(from) - 1).filter_map(move |at| self.string(at))
    }

    /// The string that this word points to, if it does: strings are above the words.
    fn string(self, at: usize) -> Option<&'static CStr> {
        let string = self.word(at) as *const c_char;
        // SAFETY: what is above the words, and pointed to from a list, is a string that stays as long as the process.
        (string > self.0.cast()).then(|| unsafe { CStr::from_ptr(string) })
    }

    fn word(self, at: usize) -> usize {
        // SAFETY: nobody asks beyond the zero that ends a list; see the callers.
        let word = unsafe { self.0.add(at) };
        // SAFETY: within the first thread's stack, which is never unmapped.
        unsafe { word.read() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stack as it lies in memory: words, and above them the strings they point to.
    #[repr(C)]
    struct Laid {
        words: [usize; 16],
        strings: [[u8; 4]; 4],
    }

    /// Lays a stack with these words. Where one is between 100 and 103, it is the address of the string
    /// of that number.
    fn laid(words: &[usize], look: impl FnOnce(Stack)) {
        let mut laid = Laid { words: [0; 16], strings: [*b"ld\0\0", *b"app\0", *b"-x\0\0", *b"A=b\0"] };
        let base = (&raw const laid.strings) as usize;
        for (word, given) in laid.words.iter_mut().zip(words) {
            *word = if *given >= 100 { base + (given - 100) * 4 } else { *given };
        }
        // SAFETY: such a stack begins there, and lives until `look` has returned.
        let stack = unsafe { Stack::at((&raw const laid.words).cast()) };
        look(stack.expect("it is somewhere"));
    }

    #[test]
    fn arguments_and_environment_are_read() {
        laid(&[2, 101, 102, 0, 103, 0, libc::AT_SECURE as usize, 1, 0], |stack| {
            assert!(stack.arguments().eq([c"app", c"-x"]));
            assert!(stack.environment().eq([c"A=b"]));
            assert!(stack.is_secure());
        });
    }

    #[test]
    fn what_an_old_dynamic_linker_leaves_is_stepped_over() {
        // It was run as `ld --library-path DIRECTORY app -x`, and has counted the program's arguments.
        laid(&[5, 100, 100, 2, 101, 102, 0, 103, 0, libc::AT_SECURE as usize, 0, 0], |stack| {
            assert!(stack.arguments().eq([c"app", c"-x"]));
            assert!(stack.environment().eq([c"A=b"]));
            assert!(!stack.is_secure());
        });
    }
}
