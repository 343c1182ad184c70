//! A lock that asks nothing of libc and can be held over a `fork`.
//!
//! One word, as in Drepper's “Futexes Are Tricky”: free, held, or held while others sleep. The holder
//! is remembered: over a fork it may still use the value, as nothing is under way; in the middle of a
//! use it would wait for itself, and must be told.

use crate::system::{self, sleep_on, wake};
use core::cell::UnsafeCell;
use core::mem;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

const FREE: u32 = 0;
const HELD: u32 = 1;
const AWAITED: u32 = 2;

/// A value that one thread at a time may use.
#[derive(Debug)]
pub struct Lock<T> {
    state: AtomicU32,
    /// The thread pointer of who holds it, 0 if nobody does.
    holder: AtomicUsize,
    /// Whether it is held over a fork, and the holder may use the value.
    is_lent: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: only a `Held` leads to the value, and there is one of those at a time.
unsafe impl<T> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// A free lock.
    pub const fn new(value: T) -> Lock<T> {
        Lock {
            state: AtomicU32::new(FREE),
            holder: AtomicUsize::new(0),
            is_lent: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits until nobody has the value, and takes it.
    ///
    /// The process aborts if this thread is using it: a signal handler called malloc while malloc was
    /// interrupted.
    pub fn lock(&self) -> Held<'_, T> {
        let me = system::thread_pointer();
        if self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
            if self.holder.load(Ordering::Relaxed) == me {
                if self.is_lent.swap(false, Ordering::Relaxed) {
                    return Held { lock: self, is_last: false };
                }
                system::say("malloscope: malloc was called by a signal handler that interrupted malloc\n");
                system::abort();
            }
            while self.state.swap(AWAITED, Ordering::Acquire) != FREE {
                sleep_on(&self.state, AWAITED);
            }
        }
        self.holder.store(me, Ordering::Relaxed);
        Held { lock: self, is_last: true }
    }

    /// Waits until nobody has the value, and lets only this thread have it until [`release`](Self::release).
    pub fn hold(&self) {
        mem::forget(self.lock());
        self.is_lent.store(true, Ordering::Relaxed);
    }

    /// Ends a [`hold`](Self::hold) by this thread, or by the one whose fork this thread is.
    pub fn release(&self) {
        let is_mine = self.holder.load(Ordering::Relaxed) == system::thread_pointer();
        if is_mine && self.is_lent.swap(false, Ordering::Relaxed) {
            drop(Held { lock: self, is_last: true });
        }
    }
}

/// The value, which nobody else has.
#[derive(Debug)]
pub struct Held<'a, T> {
    lock: &'a Lock<T>,
    /// Whether the lock is free afterwards, or still held over a fork.
    is_last: bool,
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: whoever has a `Held` holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: whoever has a `Held` holds the lock, and there is only one.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        if !self.is_last {
            self.lock.is_lent.store(true, Ordering::Relaxed);
            return;
        }
        self.lock.holder.store(0, Ordering::Relaxed);
        if self.lock.state.swap(FREE, Ordering::Release) == AWAITED {
            wake(&self.lock.state);
        }
    }
}
