//! What malloc keeps for each thread: its arena and its cache.

use crate::arena::ArenaId;
use crate::bins::tcache::Tcache;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

/// A thread of the program: 0 is the main thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(pub u32);

impl ThreadId {
    /// The thread the program began with.
    pub const MAIN: ThreadId = ThreadId(0);
}

/// A thread's own state: glibc's `thread_arena` and `tcache`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Thread {
    /// Where it allocates; `None` until it first needs to.
    pub(crate) arena: Option<ArenaId>,
    pub(crate) tcache: Tcache,
    /// What is still to be freed of its cache, while the thread exits.
    pub(crate) closing: Option<Box<Tcache>>,
}

/// Threads numbered below this are found by their number alone.
const NEAR: u32 = 1024;

/// The state of all threads.
///
/// A server may have millions of threads one after the other, and a hostile script may number them as
/// it likes: so only the first numbers are places in a table, and of the others those are kept that
/// have not ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Threads {
    near: Vec<Thread>,
    far: Vec<Thread>,
    places: BTreeMap<ThreadId, usize>,
    unused: Vec<usize>,
}

impl Threads {
    /// The main thread alone, which has the main arena.
    pub(crate) fn new() -> Threads {
        let main = Thread { arena: Some(ArenaId::MAIN), ..Thread::default() };
        Threads { near: vec![main], ..Threads::default() }
    }

    #[inline]
    pub(crate) fn get(&self, id: ThreadId) -> Option<&Thread> {
        match self.near.get(id.0 as usize) {
            Some(thread) => Some(thread),
            None => self.get_far(id),
        }
    }

    #[cold]
    fn get_far(&self, id: ThreadId) -> Option<&Thread> {
        self.places.get(&id).map(|&place| &self.far[place])
    }

    /// Where a thread is that must have begun.
    #[cold]
    fn far_place(&self, id: ThreadId) -> usize {
        self.places[&id]
    }

    /// Whether a thread is found by its number alone: nearly all are.
    #[inline]
    pub(crate) fn has_near(&self, id: ThreadId) -> bool {
        (id.0 as usize) < self.near.len()
    }

    #[cold]
    #[inline(never)]
    fn far(&self, id: ThreadId) -> &Thread {
        &self.far[self.far_place(id)]
    }

    #[cold]
    #[inline(never)]
    fn far_mut(&mut self, id: ThreadId) -> &mut Thread {
        let place = self.far_place(id);
        &mut self.far[place]
    }

    /// Makes room for a thread that was not heard of before.
    pub(crate) fn begin(&mut self, id: ThreadId) {
        if id.0 < NEAR {
            self.near.resize_with(id.0 as usize + 1, Thread::default);
            return;
        }
        let place = self.unused.pop().unwrap_or(self.far.len());
        if place == self.far.len() {
            self.far.push(Thread::default());
        }
        self.places.insert(id, place);
    }

    /// The thread has ended, and nothing is kept of it.
    pub(crate) fn end(&mut self, id: ThreadId) {
        if let Some(place) = self.places.remove(&id) {
            self.far[place] = Thread::default();
            self.unused.push(place);
        }
    }

    /// Nothing is known any more of all threads but this one.
    pub(crate) fn forget_others(&mut self, id: ThreadId) {
        let kept = core::mem::take(&mut self[id]);
        self.near.fill_with(Thread::default);
        (self.far, self.places, self.unused) = Default::default();
        if self.get(id).is_none() {
            self.begin(id);
        }
        self[id] = kept;
    }

    /// All threads that may have something, with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ThreadId, &Thread)> {
        let near = (0..).map(ThreadId).zip(&self.near);
        near.chain(self.places.iter().map(|(&id, &place)| (id, &self.far[place])))
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.near.as_slice()) + size_of_val(self.far.as_slice())
    }
}

impl Index<ThreadId> for Threads {
    type Output = Thread;

    #[inline]
    fn index(&self, id: ThreadId) -> &Thread {
        match self.near.get(id.0 as usize) {
            Some(thread) => thread,
            None => self.far(id),
        }
    }
}

impl IndexMut<ThreadId> for Threads {
    #[inline]
    fn index_mut(&mut self, id: ThreadId) -> &mut Thread {
        if self.has_near(id) {
            return &mut self.near[id.0 as usize];
        }
        self.far_mut(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_have_ended_leave_their_place_to_others() {
        let mut threads = Threads::new();
        for number in 1..if cfg!(miri) { 5000 } else { 1_000_000 } {
            let id = ThreadId(number);
            threads.begin(id);
            threads[id].arena = Some(ArenaId(7));
            assert_eq!(threads.get(id).and_then(|thread| thread.arena), Some(ArenaId(7)));
            threads[id].arena = None;
            threads.end(id);
        }
        assert!(threads.bytes() < 1 << 20);
    }

    #[test]
    fn a_number_is_only_a_number() {
        let mut threads = Threads::new();
        let far = ThreadId(u32::MAX);
        assert!(threads.get(far).is_none());
        threads.begin(far);
        threads[far].arena = Some(ArenaId(1));
        assert_eq!(threads.iter().map(|(id, _)| id).collect::<Vec<_>>(), [ThreadId::MAIN, far]);
        threads.forget_others(far);
        assert_eq!(threads[far].arena, Some(ArenaId(1)));
        assert_eq!(threads[ThreadId::MAIN].arena, None);
        assert!(threads.bytes() < 1 << 12);
    }
}
