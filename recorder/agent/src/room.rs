//! Room in a ring: how far a thread may write, and what it does when the recorder is behind.
//!
//! It waits, for as long as somebody reads: a recorder that is gone, or stopped for longer than
//! [`PATIENCE`], never holds up the program.

use core::sync::atomic::{AtomicU64, Ordering};

use malloscope_wire::ring::{MARGIN, Ring, SLOTS};
use malloscope_wire::{Control, Shared, WhenFull};

use crate::arrival;
use crate::clock;
use crate::exit;
use crate::lane::Lane;
use crate::system;
use crate::threads::Entry;

/// How many slots a thread may write before it looks at the recorder again.
const STRIDE: u64 = SLOTS / 4;

/// How full a ring is when its thread wakes a sleeping recorder.
const ALARM: u64 = SLOTS / 2;

/// How long a thread waits for a recorder that shows no sign of life, in nanoseconds.
///
/// Long enough for one whose disk or processor is overloaded, short enough for people who stop the
/// recorder and wonder why their program stands still.
const PATIENCE: u64 = 5_000_000_000;

/// How long a thread sleeps before it looks around, in milliseconds.
const NAP: i64 = 50;

/// The heartbeat of a recorder that was waited for in vain, plus one; 0 if there was none.
static UNATTENDED: AtomicU64 = AtomicU64::new(0);

/// Sees to it that the thread with this entry can write a call. False if the call is not to be recorded.
pub fn make(shared: &Shared, entry: &'static Entry) -> bool {
    let control = &shared.control;
    if control.ended.load(Ordering::Relaxed) != 0 {
        arrival::fall_silent();
        return false;
    }
    // SAFETY: only entries that have been set come here.
    let ring = unsafe { Lane::of(entry) }.ring();
    let cursor = entry.cursor.load(Ordering::Relaxed);
    if is_full(ring, cursor) && !wait(control, ring, cursor) {
        let lost = ring.lost.load(Ordering::Relaxed);
        ring.lost.store(lost + 1, Ordering::Relaxed);
        return false;
    }
    let head = ring.reader.head.load(Ordering::Acquire);
    if cursor.wrapping_sub(head) >= ALARM {
        wake_recorder(control);
    }
    // Without the processor's clock, or after the thread's last destructor, every call comes here.
    let stride = if clock::ticks_are_time() && !exit::has_left(entry) { STRIDE } else { 0 };
    let limit = (cursor + stride).min(head + SLOTS - MARGIN);
    entry.limit.store(limit, Ordering::Relaxed);
    true
}

/// Whether there is room for the second half of a call: half of the margin, which calls that begin leave free.
pub fn is_left_to_end(entry: &'static Entry) -> bool {
    // SAFETY: an entry that is found has been filled in.
    let ring = unsafe { Lane::of(entry) }.ring();
    let head = ring.reader.head.load(Ordering::Acquire);
    entry.cursor.load(Ordering::Relaxed).wrapping_sub(head) < SLOTS - MARGIN / 2
}

fn is_full(ring: &Ring, cursor: u64) -> bool {
    let head = ring.reader.head.load(Ordering::Acquire);
    cursor.wrapping_sub(head) >= SLOTS - MARGIN
}

/// Waits until there is room. False if there will be none.
fn wait(control: &Control, ring: &Ring, cursor: u64) -> bool {
    let heartbeat = || control.heartbeat.0.load(Ordering::Relaxed);
    let given_up = UNATTENDED.load(Ordering::Relaxed);
    if control.when_full.load(Ordering::Relaxed) == WhenFull::Drop as u32
        || given_up == u64::from(heartbeat()) + 1
    {
        return false;
    }
    ring.waits.store(ring.waits.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    let (mut beat, mut since) = (heartbeat(), clock::monotonic());
    loop {
        ring.reader.waiting.store(1, Ordering::SeqCst);
        wake_recorder(control);
        if is_full(ring, cursor) {
            system::sleep_while(&ring.reader.waiting, 1, NAP);
        }
        if !is_full(ring, cursor) {
            return true;
        }
        if is_gone(control) {
            return false;
        }
        let now = clock::monotonic();
        if heartbeat() != beat {
            (beat, since) = (heartbeat(), now);
        } else if now.saturating_sub(since) > PATIENCE {
            UNATTENDED.store(u64::from(beat) + 1, Ordering::Relaxed);
            return false;
        }
    }
}

/// Whether nobody reads any more. Says so to all others who might wait.
fn is_gone(control: &Control) -> bool {
    let recorder = control.recorder.load(Ordering::Relaxed);
    if arrival::names_are_shared() && !system::exists(recorder) {
        control.ended.store(1, Ordering::Relaxed);
    }
    control.ended.load(Ordering::Relaxed) != 0
}

/// Wakes the recorder if it sleeps.
fn wake_recorder(control: &Control) {
    if control.asleep.load(Ordering::SeqCst) != 0 && control.asleep.swap(0, Ordering::SeqCst) != 0 {
        system::wake(&control.asleep);
    }
}
