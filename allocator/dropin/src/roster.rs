//! Which thread of the twin's the caller is.
//!
//! A thread is known by its thread pointer, and has the number that its first call got it: the smallest that
//! nobody has. It keeps the number when it has ended, because libc may free some more for it, until
//! another thread comes along with the same pointer, or the kernel knows it no more.

use crate::system;
use alloc::collections::{BTreeMap, BTreeSet};
use core::ffi::c_int;
use malloscope_allocator::thread::ThreadId;

/// The threads that have called.
#[derive(Debug, Default)]
pub struct Roster {
    threads: BTreeMap<usize, Known>,
    /// Numbers below `next` that nobody has.
    unused: BTreeSet<u32>,
    next: u32,
    /// The pointer and number of the latest caller, unless that has ended: mostly it calls again.
    latest: Option<(usize, ThreadId)>,
    /// Whether the thread the program began with has called.
    has_main: bool,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    id: ThreadId,
    /// The kernel's number of it, when it ended.
    kernel: c_int,
    has_ended: bool,
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub enum Caller {
    /// A thread that has called before, or the one the program began with.
    Known(ThreadId),
    /// A thread that has not called before.
    New(ThreadId),
}

impl Roster {
    /// A roster without any thread.
    pub fn new() -> Roster {
        Roster { next: 1, ..Roster::default() }
    }

    /// Who the calling thread is.
    #[inline]
    pub fn caller(&mut self) -> Caller {
        let pointer = system::thread_pointer();
        match self.latest {
            Some((latest, id)) if latest == pointer => Caller::Known(id),
            _ => self.find(pointer),
        }
    }

    fn find(&mut self, pointer: usize) -> Caller {
        match self.threads.get(&pointer) {
            Some(&Known { id, has_ended: false, .. }) => {
                self.latest = Some((pointer, id));
                Caller::Known(id)
            }
            Some(&Known { id, kernel, .. }) if kernel == system::thread() => Caller::Known(id),
            _ => self.enter(pointer),
        }
    }

    fn enter(&mut self, pointer: usize) -> Caller {
        let is_main = !self.has_main && system::thread() == system::process();
        self.has_main |= is_main;
        self.forget_gone(pointer);
        let id = if is_main { ThreadId::MAIN } else { self.number() };
        self.threads.insert(pointer, Known { id, kernel: 0, has_ended: false });
        self.latest = Some((pointer, id));
        if is_main { Caller::Known(id) } else { Caller::New(id) }
    }

    fn number(&mut self) -> ThreadId {
        let number = self.unused.pop_first().unwrap_or(self.next);
        self.next = self.next.max(number + 1);
        ThreadId(number)
    }

    /// Numbers of threads that have ended can be had again: of the one that had this pointer, and of those
    /// that the kernel knows no more.
    fn forget_gone(&mut self, pointer: usize) {
        let unused = &mut self.unused;
        self.threads.retain(|&at, known| {
            let stays = at != pointer && (!known.has_ended || system::has_thread(known.kernel));
            if !stays {
                unused.insert(known.id.0);
            }
            stays
        });
    }

    /// The calling thread has ended, but may still call. Its number, if it ever called.
    pub fn end(&mut self) -> Option<ThreadId> {
        self.latest = None;
        let known = self.threads.get_mut(&system::thread_pointer()).filter(|known| !known.has_ended)?;
        known.has_ended = true;
        known.kernel = system::thread();
        Some(known.id)
    }

    /// Of all threads only the calling one is left.
    pub fn forked(&mut self, id: ThreadId) {
        let pointer = system::thread_pointer();
        self.threads = BTreeMap::from([(pointer, Known { id, kernel: 0, has_ended: false })]);
        self.unused = (1..self.next).filter(|&number| number != id.0).collect();
        self.has_main = true;
        self.latest = Some((pointer, id));
    }
}
