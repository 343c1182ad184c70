//! The end of the process: the recorder looks which of its memory was never touched.
//!
//! We are told by the dynamic linker, when the program has run all it has to run at its end. A process that ends in
//! another way is not looked at, nor one that is never to wait for the recorder (`--drop`), nor one that did hardly anything.

use core::sync::atomic::Ordering;

use malloscope_wire::WhenFull;
use malloscope_wire::process::Leaving;

use crate::arrival::{self, Here};
use crate::{clock, real, room, system};

/// How long a process waits at its end, at most, in nanoseconds: on a busy machine the recorder may have to wait for a
/// processor. Usually it looks at once, which takes a millisecond.
const PATIENCE: u64 = 250_000_000;

/// A process whose program break has risen by less and that has worked for less is not worth it: it would wait for
/// longer than it ran. In bytes and nanoseconds.
const MUCH: u64 = 1 << 20;
const LONG: u64 = 5_000_000;

/// What the dynamic linker calls last. Only where we are the agent: a test that links this crate has its own end.
#[cfg(panic = "abort")]
#[used]
#[unsafe(link_section = ".fini_array")]
static LAST: extern "C" fn() = leave;

/// Waits until the recorder has looked, or has shown that it will not.
pub extern "C" fn leave() {
    let Some(Here { shared, process }) = arrival::already_here() else { return };
    let control = &shared.control;
    if control.when_full.load(Ordering::Relaxed) == WhenFull::Drop as u32 || room::is_gone(control) {
        return;
    }
    let grown = (real::program_break() as u64).saturating_sub(process.program_break.load(Ordering::Relaxed));
    if grown < MUCH && clock::worked() < LONG {
        return;
    }
    let (not, asks) = (Leaving::Not as u32, Leaving::Asks as u32);
    if process.leaving.compare_exchange(not, asks, Ordering::SeqCst, Ordering::Relaxed).is_err() {
        return;
    }
    let since = clock::monotonic();
    while process.leaving.load(Ordering::Acquire) == asks
        && !room::is_gone(control)
        && clock::monotonic().saturating_sub(since) < PATIENCE
    {
        room::wake_recorder(control);
        system::sleep_while(&process.leaving, asks, 1);
    }
}
