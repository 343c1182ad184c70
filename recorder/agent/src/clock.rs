//! The time, in ticks of the clock the recorder chose.

use core::sync::atomic::{AtomicU32, Ordering};

use malloscope_wire::Clock;
use malloscope_wire::clock::ticks;

use crate::real;

/// A [`Clock`].
static CLOCK: AtomicU32 = AtomicU32::new(Clock::Tsc as u32);

/// Takes the time from this clock from now on.
pub fn choose(clock: u32) {
    CLOCK.store(clock, Ordering::Relaxed);
}

/// Whether times are [`ticks`].
pub fn ticks_are_time() -> bool {
    CLOCK.load(Ordering::Relaxed) == Clock::Tsc as u32
}

/// The time.
pub fn now() -> u64 {
    if ticks_are_time() { ticks() } else { monotonic() }
}

/// `CLOCK_MONOTONIC`, in nanoseconds.
pub fn monotonic() -> u64 {
    of(libc::CLOCK_MONOTONIC)
}

/// For how long this process has had a processor, in nanoseconds.
pub fn worked() -> u64 {
    of(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn of(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: libc writes the time there. It cannot fail for these clocks, and if it does, time stands still.
    unsafe { real::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
