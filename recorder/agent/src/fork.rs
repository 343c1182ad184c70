//! `fork`: the parent records it, so that the child's trace can say where it began.
//!
//! A child is recorded whether or not we saw it made, see [`threads`](crate::threads); but where in its
//! parent's records it began is known only here.

use core::sync::atomic::{AtomicU64, Ordering};

use malloscope_wire::slot::Kind;

use crate::{arrival, calls, real};

/// How many forks there have been.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// The number of the fork under way, or in a child that has not arrived, of the one it came from. 0 for none.
static TICKET: AtomicU64 = AtomicU64::new(0);

/// The ticket this process came with, if it is a child that asks for the first time.
pub fn take_ticket() -> u64 {
    TICKET.swap(0, Ordering::Relaxed)
}

/// Forks, and records it in the parent.
///
/// # Safety
///
/// As `fork`.
pub unsafe fn fork() -> libc::pid_t {
    // A child that made no call has the heap its parent had, and so has a child of its own.
    let ticket = if arrival::has_been() {
        FORKS.fetch_add(1, Ordering::Relaxed) + 1
    } else {
        TICKET.load(Ordering::Relaxed)
    };
    TICKET.store(ticket, Ordering::Relaxed);
    // SAFETY: as the caller promises.
    let child = unsafe { real::fork() };
    if child == 0 || !arrival::has_been() {
        return child;
    }
    TICKET.store(0, Ordering::Relaxed);
    if let Ok(child) = u64::try_from(child) {
        calls::did(Kind::Fork, 0, child, ticket);
    }
    child
}
