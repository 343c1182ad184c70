//! What the recorder tells a patcher that it puts into a process that stands still, and what that answers.
//!
//! A patcher is told where functions are and what is to stand before each. It has code made that does what the
//! beginning of each function did, and has each begin with a jump instead. It asks nothing of the kernel: all the memory it
//! may have is told here too.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::attachment::FUNCTIONS;

/// The number of the system call by which a patcher says that it has come to its end: of none that there is. Its
/// argument is an [`Ending`].
pub const DONE: u32 = 0x6d73_636f;

/// How a patcher came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Ending {
    /// It did what it was told.
    Done = 1,
    /// It met with something that it cannot go on from.
    GaveUp = 2,
    /// It called a function of the C library that it is not given.
    Absent = 3,
}

/// What both sides tell each other.
#[repr(C)]
pub struct Bench {
    /// The functions.
    pub tasks: [Task; FUNCTIONS],
    /// Where code goes, which stays.
    pub code: Room,
    /// Where all else goes, which does not.
    pub work: Room,
}

/// A function that is to be patched.
#[repr(C)]
pub struct Task {
    /// Where it is; 0 behind the last.
    pub function: AtomicUsize,
    /// What is to stand before it.
    pub gate: AtomicUsize,
    /// Answered: what does the same as the function did; 0 if it could not be patched.
    pub original: AtomicUsize,
}

/// Memory, of which the first part is taken.
#[repr(C)]
pub struct Room {
    /// Where the part begins that is not taken.
    pub next: AtomicUsize,
    /// Where it ends.
    pub end: AtomicUsize,
}

impl Bench {
    /// One with nothing to do.
    pub const fn blank() -> Bench {
        Bench {
            tasks: [const {
                Task {
                    function: AtomicUsize::new(0),
                    gate: AtomicUsize::new(0),
                    original: AtomicUsize::new(0),
                }
            }; FUNCTIONS],
            code: Room { next: AtomicUsize::new(0), end: AtomicUsize::new(0) },
            work: Room { next: AtomicUsize::new(0), end: AtomicUsize::new(0) },
        }
    }
}

impl Room {
    /// Takes so much of it, if there is that much.
    pub fn take(&self, length: usize) -> Option<usize> {
        let at = self.next.load(Ordering::Relaxed);
        let next = at.checked_add(length).filter(|next| *next <= self.end.load(Ordering::Relaxed))?;
        self.next.store(next, Ordering::Relaxed);
        Some(at)
    }
}
