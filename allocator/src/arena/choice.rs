//! Which arena a thread gets, and when it is sent to another.
//!
//! A thread keeps the arena of its first allocation. An arena whose last thread is gone waits on
//! the free list, and the latest to go there is the first to be given out. Otherwise a thread gets
//! an arena of its own, until there are as many as the limit allows; then the existing ones are
//! given out in turn. In a live process a locked arena is passed over; here no arena is ever locked, but
//! whoever knows which one a thread got can [say so](Heap::foresee_arena).

use crate::address::{Address, ChunkSize};
use crate::arena::segment::{self, Segment};
use crate::arena::{Arena, ArenaId, first_chunk_from};
use crate::chunk::{Head, PREVIOUS_IN_USE};
use crate::corruption::Corruption;
use crate::heap::{Context, Heap};
use crate::layout::Layout;
use crate::memory::{Memory, Words};
use crate::observe::{Event, Observer};
use crate::release::ArenaLimit;
use crate::thread::{Thread, ThreadId};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What is remembered between choices: glibc's static variables in arena.c.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// The first of the arenas without threads, each of which knows the next: `free_list`.
    free: Option<ArenaId>,
    /// How many arenas there are or are being made: `narenas`.
    count: u64,
    /// The most there may be, once that has been found out; 0 before: `narenas_limit`.
    limit: u64,
    /// Whose turn it is: `next_to_use`.
    turn: ArenaId,
    /// What the next thread that chooses is known to get.
    foreseen: Option<ArenaPick>,
}

/// An arena that a thread got. It chose when its call began, and may have waited for the arena's lock since; and it
/// passed over those that were locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArenaPick {
    /// One that was made for it.
    New,
    /// One that was there.
    Existing(ArenaId),
}

impl ArenaPick {
    fn existing(self) -> Option<ArenaId> {
        match self {
            ArenaPick::New => None,
            ArenaPick::Existing(id) => Some(id),
        }
    }
}

impl Default for Choice {
    fn default() -> Choice {
        Choice { free: None, count: 1, limit: 0, turn: ArenaId::MAIN, foreseen: None }
    }
}

impl Choice {
    /// Goes on with so many arenas, of which these are the first on the free list and the next in turn.
    pub(crate) fn resume(&mut self, free: Option<ArenaId>, count: u64, turn: ArenaId) {
        *self = Choice { free, count, limit: 0, turn, foreseen: None };
    }

    /// The arena whose `malloc_state` lies at `state`. Its number is kept there, in the room of the
    /// lock, which an allocator that makes one call at a time has no use for.
    pub(crate) fn arena_at<W: Words>(&self, words: &W, arenas: &[Arena], state: Address) -> Option<ArenaId> {
        if state.is_null() || !state.is_aligned(W::Layout::WORD) {
            return None;
        }
        let number = u32::try_from(words.load(state)).ok()?;
        arenas.get(number as usize).filter(|arena| arena.state == state).map(|arena| arena.id)
    }
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// The arena a request of the thread goes to: the main one while there are no threads, else
    /// the thread's own. `None` when there is none to be had.
    #[inline]
    pub(crate) fn arena_for(&mut self, thread: ThreadId, request: u64) -> Option<ArenaId> {
        if self.cx.threaded { self.attached_arena(thread, request) } else { Some(ArenaId::MAIN) }
    }

    /// The thread's own arena, chosen now if it has none (glibc: `arena_get`).
    #[inline]
    pub(crate) fn attached_arena(&mut self, thread: ThreadId, request: u64) -> Option<ArenaId> {
        match self.meet(thread).arena {
            Some(arena) => Some(arena),
            None => self.choose_arena(thread, request),
        }
    }

    /// Where to try again after `failed` could not serve a request (glibc: `arena_get_retry`): the
    /// main arena, since mappings may have run out; or if it was that, any other.
    #[cold]
    pub(crate) fn other_arena(&mut self, thread: ThreadId, failed: ArenaId, request: u64) -> Option<ArenaId> {
        if failed == ArenaId::MAIN { self.choose_arena(thread, request) } else { Some(ArenaId::MAIN) }
    }

    /// The thread that chooses an arena in the next call is known to get this one. If it could not get that by the
    /// state as it is then, with however many threads at work, it gets what it would have got anyway.
    pub fn foresee_arena(&mut self, pick: Option<ArenaPick>) {
        self.choice.foreseen = pick;
    }

    /// Attaches the thread to an arena: one from the free list, a new one, or the next in turn
    /// (glibc: `arena_get2`).
    #[cold]
    fn choose_arena(&mut self, thread: ThreadId, request: u64) -> Option<ArenaId> {
        let foreseen = self.choice.foreseen.take().filter(|&pick| self.is_possible(pick));
        let free = match foreseen {
            None => self.choice.free,
            Some(pick) => pick.existing().filter(|&id| self.is_free(id)),
        };
        if let Some(id) = free {
            self.leave_free_list(id);
            self.attach(thread, id);
            self.cx.tell(Event::ArenaReused { arena: id });
            return Some(id);
        }
        self.find_limit();
        let existing = foreseen.and_then(ArenaPick::existing);
        if existing.is_none() && self.may_make_another() {
            let id = self.make_arena(request)?;
            self.choice.count += 1;
            self.attach(thread, id);
            self.cx.tell(Event::ArenaMade { arena: id });
            return Some(id);
        }
        let id = existing.unwrap_or(self.choice.turn);
        if self.cx.release.reused_arenas_leave_free_list {
            self.leave_free_list(id);
        }
        self.attach(thread, id);
        self.choice.turn = self.arenas[id.0 as usize].next;
        self.cx.tell(Event::ArenaReused { arena: id });
        Some(id)
    }

    /// Whether a thread may have been given this arena, before others came or went: a new one while there may be more;
    /// any that exists, as those that are made in calls still under way count before they are seen.
    fn is_possible(&mut self, pick: ArenaPick) -> bool {
        self.find_limit();
        match pick {
            ArenaPick::New => self.may_make_another(),
            ArenaPick::Existing(id) => (id.0 as usize) < self.arenas.len(),
        }
    }

    /// Whether there may be more arenas than there are.
    fn may_make_another(&self) -> bool {
        self.choice.count <= self.choice.limit.wrapping_sub(1)
    }

    /// Whether an arena is on the list of those without threads, which may lead round in a circle.
    fn is_free(&self, id: ArenaId) -> bool {
        let next = |at: &ArenaId| self.arenas[at.0 as usize].next_free;
        core::iter::successors(self.choice.free, next).take(self.arenas.len()).any(|free| free == id)
    }

    /// Finds the greatest number of arenas, once and for all: what was set, or by the processors
    /// as soon as there are more arenas than need no looking.
    fn find_limit(&mut self) {
        let parameters = &self.cx.parameters;
        if self.choice.limit != 0 {
            return;
        }
        if parameters.arena_max != 0 {
            self.choice.limit = parameters.arena_max;
            return;
        }
        let processors = self.cx.memory.processors();
        // Without any information glibc assumes two.
        let eight_each = |counted: u32| {
            u64::from(if counted == 0 { 2 } else { counted }) * self.cx.geometry().arenas_per_processor()
        };
        let (is_due, limit) = match self.cx.release.arena_limit {
            ArenaLimit::EightEachOnline => {
                (self.choice.count > parameters.arena_test, eight_each(processors.online))
            }
            ArenaLimit::EightEachAllowed => {
                (self.choice.count > parameters.arena_test, eight_each(processors.allowed))
            }
            ArenaLimit::OneEachOnline => (
                self.choice.count >= parameters.arena_test,
                u64::from(processors.online).max(parameters.arena_test),
            ),
        };
        if is_due {
            self.choice.limit = limit;
        }
    }

    /// Takes an arena off the list of those without threads, if it is there (glibc:
    /// `remove_from_free_list`).
    fn leave_free_list(&mut self, id: ArenaId) {
        let next = self.arenas[id.0 as usize].next_free;
        let mut previous = None;
        let mut at = self.choice.free;
        while let Some(here) = at {
            let following = self.arenas[here.0 as usize].next_free;
            if here == id {
                match previous {
                    Some(ArenaId(number)) => self.arenas[number as usize].next_free = next,
                    None => self.choice.free = next,
                }
                return;
            }
            previous = at;
            at = following;
        }
    }

    /// Puts an arena without threads in front of the others.
    fn join_free_list(&mut self, id: ArenaId) {
        // Where reused arenas stay on the list it may come to lead round in a circle, as in glibc.
        self.arenas[id.0 as usize].next_free = self.choice.free.replace(id);
    }

    /// Makes an arena with room for a request (glibc: `_int_new_arena`).
    fn make_arena(&mut self, request: u64) -> Option<ArenaId> {
        let cx = &mut self.cx;
        let overhead = cx.release.heap_info() + cx.release.malloc_state().size + cx.alignment();
        // Too large a request for one segment may still get a mapping of its own later.
        let segment = segment::make(cx, M::Layout::cut(request.wrapping_add(overhead)))
            .or_else(|| segment::make(cx, overhead))?;
        let id = ArenaId(u32::try_from(self.arenas.len()).ok()?);
        let state = segment.0 + cx.release.heap_info();
        segment.adopt(&mut cx.memory, state, None);
        let mut arena = Arena::new(&mut cx.memory, &cx.release, id, state);
        cx.memory.store(state, u64::from(id.0));
        arena.attached_threads = 0;
        arena.next = self.arenas[0].next;
        self.arenas[0].next = id;
        arena.begin(cx, segment);
        self.arenas.push(arena);
        Some(id)
    }

    /// The thread allocates from this arena from now on, and from no other.
    fn attach(&mut self, thread: ThreadId, id: ArenaId) {
        if let Some(old) = self.meet(thread).arena.replace(id) {
            // glibc does not put it on the free list, even if this was its last thread.
            self.arenas[old.0 as usize].attached_threads -= 1;
        }
        self.arenas[id.0 as usize].attached_threads += 1;
    }

    /// The thread is gone: what it cached is freed, then its arena waits for another thread if
    /// this was its last (glibc: `__malloc_arena_thread_freeres`).
    pub fn thread_exited(&mut self, thread: ThreadId) -> Result<(), Corruption> {
        while self.thread_gives_back(thread)? {}
        let state = self.meet(thread);
        state.closing = None;
        let arena = state.arena.take();
        self.threads.end(thread);
        let Some(id) = arena else { return Ok(()) };
        let arena = &mut self.arenas[id.0 as usize];
        arena.attached_threads -= 1;
        if arena.attached_threads == 0 {
            self.join_free_list(id);
        }
        Ok(())
    }

    /// The first step of a thread's exit, or the next: one chunk that it cached is freed. Between
    /// two, other threads may call. Returns whether there was one (glibc: `tcache_thread_shutdown`).
    pub fn thread_gives_back(&mut self, thread: ThreadId) -> Result<bool, Corruption> {
        if self.is_checked() {
            return Ok(false);
        }
        let rules = self.cx.release.tcache;
        let Thread { tcache, closing, .. } = self.meet(thread);
        let mut rest = closing.take().unwrap_or_else(|| Box::new(tcache.close(&rules)));
        let next = rest.next_to_free(&self.cx)?;
        self.meet(thread).closing = Some(rest);
        next.map_or(Ok(()), |chunk| self.free(thread, chunk.payload(&self.cx.memory)))?;
        Ok(next.is_some())
    }

    /// What the thread has cached and will give back next when it exits.
    pub fn next_given_back(&mut self, thread: ThreadId) -> Option<Address> {
        self.meet(thread);
        let Thread { tcache, closing, .. } = &self.threads[thread];
        closing.as_deref().unwrap_or(tcache).next(&self.cx.memory)
    }

    /// What the thread gives back if it exits now, in that order.
    pub fn given_back(&self, thread: ThreadId) -> Vec<Address> {
        let Some(Thread { tcache, .. }) = self.threads.get(thread) else { return Vec::new() };
        let mut all = Vec::new();
        tcache.each(&self.cx, |chunk| all.push(chunk.payload(&self.cx.memory)));
        all.extend(tcache.own_chunk().map(|chunk| chunk.payload(&self.cx.memory)));
        all
    }

    /// The process is now the child of a `fork` by `thread`, the only thread left (glibc:
    /// `__malloc_fork_unlock_child`). Every other arena waits for a thread; what the other threads
    /// had cached is lost.
    pub fn forked(&mut self, thread: ThreadId) {
        let own = self.meet(thread).arena;
        self.threads.forget_others(thread);
        self.choice.free = None;
        let mut id = ArenaId::MAIN;
        loop {
            let arena = &mut self.arenas[id.0 as usize];
            if Some(id) == own {
                arena.attached_threads = 1;
            } else {
                arena.attached_threads = 0;
                self.join_free_list(id);
            }
            id = self.arenas[id.0 as usize].next;
            if id == ArenaId::MAIN {
                return;
            }
        }
    }
}

impl Arena {
    /// Sets up the top chunk behind the `malloc_state` in the arena's first segment.
    fn begin<M: Memory, O: Observer>(&mut self, cx: &mut Context<M, O>, segment: Segment) {
        let length = segment.size(&cx.memory);
        self.top = first_chunk_from(cx, self.state + cx.release.malloc_state().size);
        let size = segment.0 + length - self.top.0;
        self.top.set_head(&mut cx.memory, Head::new(ChunkSize(size), PREVIOUS_IN_USE));
        self.grant(length);
        self.note_greatest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Request;
    use crate::memory::Processors;
    use crate::memory::simulated::{DEFAULT_BREAK, Simulated};
    use crate::release::V2_36;
    use crate::tunables::Tunables;

    /// A heap whose main thread has called, and threads 1 to 3, which have exited in that order.
    fn heap_with_three_free_arenas() -> Heap<Simulated, ()> {
        let machine = Simulated::new(DEFAULT_BREAK, Processors { online: 2, allowed: 2 });
        let mut heap = Heap::new(machine, (), V2_36, &Tunables::default());
        for thread in 0..4 {
            heap.malloc(ThreadId(thread), Request(100)).expect("there is memory");
        }
        for thread in 1..4 {
            heap.thread_exited(ThreadId(thread)).expect("the heap is sound");
        }
        heap
    }

    fn chosen(heap: &mut Heap<Simulated, ()>, thread: u32, pick: Option<ArenaPick>) -> Option<ArenaId> {
        heap.foresee_arena(pick);
        heap.malloc(ThreadId(thread), Request(100)).expect("there is memory");
        heap.foresee_arena(None);
        heap.arena_of_thread(ThreadId(thread))
    }

    #[test]
    fn a_thread_gets_the_arena_foreseen_and_the_others_stay_in_their_order() {
        let mut heap = heap_with_three_free_arenas();
        let second = ArenaId(2);
        assert_eq!(chosen(&mut heap, 4, Some(ArenaPick::Existing(second))), Some(second));
        assert_eq!(chosen(&mut heap, 5, Some(ArenaPick::New)), Some(ArenaId(4)));
        let rest = [6, 7, 8].map(|thread| chosen(&mut heap, thread, None));
        assert_eq!(
            rest,
            [3, 1, 5].map(|number| Some(ArenaId(number))),
            "the last to exit first, then new ones"
        );
    }

    #[test]
    fn an_arena_that_cannot_be_had_is_not_foreseen() {
        let mut heap = heap_with_three_free_arenas();
        assert_eq!(chosen(&mut heap, 4, Some(ArenaPick::Existing(ArenaId(9)))), Some(ArenaId(3)));
        heap.mallopt(-8, 4).expect("the heap is sound");
        assert_eq!(chosen(&mut heap, 5, Some(ArenaPick::New)), Some(ArenaId(2)), "no more than the limit");
        // Who had to share one chose it when none was free.
        assert_eq!(chosen(&mut heap, 6, Some(ArenaPick::Existing(ArenaId::MAIN))), Some(ArenaId::MAIN));
        assert_eq!(chosen(&mut heap, 7, None), Some(ArenaId(1)));
    }
}
