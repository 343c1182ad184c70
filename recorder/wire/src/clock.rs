//! The clocks a recording may run on, and the one that is an instruction.
//!
//! # Unsafe code
//!
//! What could go wrong: nothing; the instruction is there on every processor we are built for.
#![expect(unsafe_code, reason = "see above")]

use core::arch::x86_64::_rdtsc;

/// Where times come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Clock {
    /// The processor's time stamp counter, in its own ticks.
    #[default]
    Tsc,
    /// `clock_gettime(CLOCK_MONOTONIC)`, in nanoseconds.
    Monotonic,
}

/// The processor's time stamp counter.
///
/// Not ordered with what the processor does before and after: that would double its cost, which is
/// most of what recording costs, for an order no finer than the distance between processors.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: x86-64 has the instruction.
    unsafe { _rdtsc() }
}
