//! The end of a thread, when its tcache goes back to its arena.
//!
//! We hear of it as the destructor of the key that is our [`shortcut`]. It asks to be called again until the last
//! round of destructors, so that it comes after those of others. Calls may still follow, from
//! libc's own clean-up; they are recorded as the thread's, see [`enrol`].

use core::ffi::c_void;
use core::sync::atomic::Ordering;

use malloscope_wire::ring::Stage;
use malloscope_wire::slot::Kind;

use crate::threads::Entry;
use crate::{calls, enrol, shortcut};

/// How many rounds of destructors glibc runs: `PTHREAD_DESTRUCTOR_ITERATIONS`.
const ROUNDS: u32 = 4;

/// The limit of an entry whose thread has left: before every index.
const LEFT: u64 = 1;

const _: () = assert!(LEFT <= malloscope_wire::ring::FIRST);

/// The destructor.
///
/// # Safety
///
/// None to keep: that it is `unsafe` is what its type demands.
pub unsafe extern "C" fn farewell(_: *mut c_void) {
    // In a forked child that has not called yet there is nothing to end.
    let Some(entry) = Entry::mine() else { return };
    let round = entry.farewells.load(Ordering::Relaxed) + 1;
    entry.farewells.store(round, Ordering::Relaxed);
    if round < ROUNDS {
        shortcut::set(Some(entry));
    } else {
        leave(entry);
    }
}

/// Whether the thread with this entry has run its last destructor.
pub fn has_left(entry: &Entry) -> bool {
    entry.farewells.load(Ordering::Relaxed) >= ROUNDS
}

fn leave(entry: &'static Entry) {
    calls::did(Kind::ThreadExit, 0, 0, 0);
    enrol::advance(entry, Stage::Leaving);
    // From now on every call asks whether it is still this thread that makes it.
    entry.limit.store(LEFT, Ordering::Relaxed);
}
