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
        self.strings(1)
    }

    /// The environment the program was started with, unless somebody has changed the strings themselves.
    pub fn environment(self) -> impl Iterator<Item = &'static CStr> {
        self.strings(self.environment_at())
    }

    /// Whether the kernel runs this program with more rights than its caller has.
    pub fn is_secure(self) -> bool {
        let vector = self.environment_at() + self.strings(self.environment_at()).count() + 1;
        (vector..vector + MOST)
            .step_by(2)
            .map(|at| (self.word(at), self.word(at + 1)))
            .take_while(|(kind, _)| *kind != libc::AT_NULL as usize)
            .any(|(kind, value)| kind == libc::AT_SECURE as usize && value != 0)
    }

    fn environment_at(self) -> usize {
        1 + self.strings(1).count() + 1
    }

    /// The strings from this word to the next zero.
    fn strings(self, from: usize) -> impl Iterator<Item = &'static CStr> {
        (from..from + MOST)
            .map(move |at| self.word(at) as *const c_char)
            .take_while(|string| !string.is_null())
            // SAFETY: a pointer before the zero is to a string above the words, there for as long as the process.
            .map(|string| unsafe { CStr::from_ptr(string) })
    }

    fn word(self, at: usize) -> usize {
        // SAFETY: nobody asks beyond the zero that ends a list; see the callers.
        let word = unsafe { self.0.add(at) };
        // SAFETY: within the first thread's stack, which is never unmapped.
        unsafe { word.read() }
    }
}
