//! Room in a ring: how far a thread may write, and what it does when the recorder is behind.
//!
//! It waits, for as long as somebody reads: a recorder that is gone, or stopped for longer than
//! `PATIENCE`, never holds up the program.

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

/// Another recorder reads from now on.
pub fn begin_anew() {
    UNATTENDED.store(0, Ordering::Relaxed);
}

/// Sees to it that the thread with this entry can write a call. False if the call is not to be recorded.
pub fn make(shared: &Shared, entry: &'static Entry) -> bool {
    make_if_possible(shared, entry).unwrap_or_else(|Full { ring }| {
        let lost = ring.lost.load(Ordering::Relaxed);
        ring.lost.store(lost + 1, Ordering::Relaxed);
        false
    })
}

/// Sees to it that the thread with this entry can write its next call, if it will be recorded, and the
/// recorder reads on.
pub fn make_for_next(shared: &Shared, entry: &'static Entry) {
    let is_due = entry.cursor.load(Ordering::Relaxed) >= entry.limit.load(Ordering::Relaxed);
    if is_due {
        let _ = make_if_possible(shared, entry);
    }
}

/// A ring has no room.
struct Full {
    ring: &'static Ring,
}

/// Sees to it that the thread with this entry can write a call. False if nothing is recorded any more.
fn make_if_possible(shared: &Shared, entry: &'static Entry) -> Result<bool, Full> {
    let control = &shared.control;
    let before = entry.limit.load(Ordering::Relaxed);
    if control.ended.load(Ordering::Relaxed) != 0 {
        arrival::fall_silent();
        return Ok(false);
    }
    let Some(ring) = Lane::of(entry).map(Lane::ring) else { return Ok(false) };
    if is_full(ring, entry) && !wait(control, ring, entry) {
        return Err(Full { ring });
    }
    let (head, cursor) = reach(ring, entry);
    if cursor - head >= ALARM {
        wake_recorder(control);
    }
    // Without the processor's clock, or after the thread's last destructor, every call comes here.
    let stride = if clock::ticks_are_time() && !exit::has_left(entry) { STRIDE } else { 0 };
    let limit = (cursor + stride).min(head + SLOTS - MARGIN);
    // Not a store: if a signal handler has forked and this is the child, which came back to us,
    // the entry is zeros, and must not look as if there were a ring.
    let _ = entry.limit.compare_exchange(before, limit, Ordering::Relaxed, Ordering::Relaxed);
    Ok(true)
}

/// Whether there is room for the second half of a call: half of the margin, which calls that begin leave free.
pub fn is_left_to_end(entry: &'static Entry) -> bool {
    let Some(ring) = Lane::of(entry).map(Lane::ring) else { return false };
    let (head, cursor) = reach(ring, entry);
    cursor - head < SLOTS - MARGIN / 2
}

fn is_full(ring: &Ring, entry: &Entry) -> bool {
    let (head, cursor) = reach(ring, entry);
    cursor - head >= SLOTS - MARGIN
}

/// How far the ring has been read, and how far it is written.
///
/// The former first, and both anew whenever they are asked for: a signal handler that comes in
/// between, or while we wait, writes on, and the recorder may by then have read all of that. What
/// was known of the cursor before is behind the head then, and a ring that is empty would look full for ever.
fn reach(ring: &Ring, entry: &Entry) -> (u64, u64) {
    let head = ring.reader.head.load(Ordering::Acquire);
    // It is behind only where the program has written into our memory, and in a child: see `make`.
    (head, entry.cursor.load(Ordering::Relaxed).max(head))
}

/// Waits until there is room. False if there will be none.
fn wait(control: &Control, ring: &Ring, entry: &Entry) -> bool {
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
        if is_full(ring, entry) {
            system::sleep_while(&ring.reader.waiting, 1, NAP);
        }
        if !is_full(ring, entry) {
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
pub fn is_gone(control: &Control) -> bool {
    let recorder = control.recorder.load(Ordering::Relaxed);
    if arrival::names_are_shared() && !system::exists(recorder) {
        control.ended.store(1, Ordering::Relaxed);
    }
    control.ended.load(Ordering::Relaxed) != 0
}

/// Wakes the recorder if it sleeps.
pub fn wake_recorder(control: &Control) {
    if control.asleep.load(Ordering::SeqCst) != 0 && control.asleep.swap(0, Ordering::SeqCst) != 0 {
        system::wake(&control.asleep);
    }
}
