//! A whole malloc: arenas, threads, limits, over some memory.
//!
//! The entry points are in `malloc.rs`, `free.rs`, `realloc.rs` and `memalign.rs`; here is what they
//! share.

use crate::address::{Address, ChunkSize, Request};
use crate::arena::choice::Choice;
use crate::arena::segment::Segment;
use crate::arena::{Arena, ArenaId};
use crate::bins::lockless::Lockless;
use crate::bins::tcache::Tcache;
use crate::chunk::{Chunk, Head};
use crate::corruption::Corruption;
use crate::layout::{Geometry, Layout};
use crate::memory::{Memory, Words};
use crate::observe::{Event, Found, Observer};
use crate::parameters::Parameters;
use crate::release::{MappedHead, Release, TcacheMade};
use crate::thread::{Thread, ThreadId, Threads};
use crate::tunables::Tunables;
use alloc::vec;
use alloc::vec::Vec;

/// What every part of the allocator needs: memory, somebody to tell, and what to go by.
#[derive(Clone, Debug)]
pub struct Context<M, O> {
    /// The machine.
    pub memory: M,
    /// Who is told what happens.
    pub observer: O,
    /// The glibc release we are.
    pub release: Release,
    /// The limits in force.
    pub parameters: Parameters,
    /// Whether there has ever been a second thread, or it does not matter: the opposite of glibc's
    /// `SINGLE_THREAD_P`, which no join and no fork brings back.
    pub(crate) threaded: bool,
    /// Addresses that are aligned for a segment and were free when last seen: glibc's
    /// `aligned_heap_area`.
    pub(crate) left_over_segment: Option<Address>,
    /// What arrives on fastbins while a call is under way.
    pub(crate) lockless: Lockless,
    /// The pointer that is told with what is corrupted, if it is not that of the call.
    pub(crate) blamed: Option<Address>,
}

impl<M: Words, O> Context<M, O> {
    /// Where things are in this release on this machine.
    #[inline(always)]
    pub(crate) fn geometry(&self) -> Geometry {
        M::Layout::geometry(&self.release)
    }

    /// Something is corrupted, and this is to be told with it.
    #[cold]
    pub(crate) fn blame(&mut self, at: Address, corruption: Corruption) -> Corruption {
        self.blamed = Some(at);
        corruption
    }

    /// What every payload and every chunk size is a multiple of.
    #[inline(always)]
    pub(crate) fn alignment(&self) -> u64 {
        M::Layout::alignment(&self.release)
    }

    /// Whether no chunk could be here: its payload would not be aligned.
    #[inline(always)]
    pub(crate) fn is_misaligned(&self, chunk: Chunk) -> bool {
        !chunk.payload(&self.memory).is_aligned(self.alignment())
    }
}

impl<M: Memory, O: Observer> Context<M, O> {
    #[inline(always)]
    pub(crate) fn tell(&mut self, event: Event) {
        self.observer.event(event);
    }

    /// The chunk size for a request; `None` if it is more than the release looks at.
    #[inline]
    pub(crate) fn size_for(&self, request: Request) -> Option<ChunkSize> {
        (request.0 <= self.parameters.greatest_request).then(|| self.geometry().chunk_for(request))
    }

    /// The bytes the program may use of a chunk with this head (glibc: `memsize`, `musable`). Where a
    /// mapped chunk's head counts to the end of the mapping, it has no neighbour whose first word it
    /// could use.
    #[inline]
    pub(crate) fn usable(&self, head: Head) -> u64 {
        let has_neighbour = !head.is_mapped() || self.release.mapped_head == MappedHead::LikeOthers;
        let borrowed = if has_neighbour { M::Layout::WORD } else { 0 };
        head.size().0.wrapping_sub(M::Layout::HEADER).wrapping_add(borrowed)
    }

    /// The bytes the program may use of a chunk, none if it is free.
    #[inline]
    pub(crate) fn usable_if_in_use(&self, chunk: Chunk) -> u64 {
        let head = chunk.head(&self.memory);
        if head.is_mapped() || chunk.is_in_use(&self.memory) { self.usable(head) } else { 0 }
    }

    /// Fills memory about to be handed out, if that was asked for (glibc: `alloc_perturb`).
    #[inline]
    pub(crate) fn perturb_allocated(&mut self, chunk: Chunk, request: Request) {
        if self.parameters.perturb != 0 {
            let byte = self.parameters.perturb.to_le_bytes()[0] ^ 0xff;
            self.memory.fill(chunk.payload(&self.memory), request.0, byte);
        }
    }

    /// Fills memory that was given back, if that was asked for (glibc: `free_perturb`).
    #[inline]
    pub(crate) fn perturb_freed(&mut self, chunk: Chunk, size: ChunkSize) {
        if self.parameters.perturb != 0 {
            let byte = self.parameters.perturb.to_le_bytes()[0];
            self.memory.fill(chunk.payload(&self.memory), size.0.wrapping_sub(M::Layout::HEADER), byte);
        }
    }
}

/// What a thread calls for that has no cache yet: whether it is given one depends on that.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wants {
    /// A chunk of this size (`malloc`, `calloc`).
    Request(ChunkSize),
    /// An aligned chunk of this size.
    Aligned(ChunkSize),
    /// To give a chunk of this size back.
    Free(ChunkSize),
    /// Another size of a chunk in an arena.
    Realloc,
}

/// A whole malloc, over the memory `M`, telling `O` what it does.
#[derive(Clone, Debug)]
pub struct Heap<M, O = ()> {
    pub(crate) cx: Context<M, O>,
    pub(crate) arenas: Vec<Arena>,
    pub(crate) threads: Threads,
    pub(crate) choice: Choice,
    /// Whether `malloc`, `calloc` or `realloc` was called; kept only of releases with caches.
    pub(crate) was_called: bool,
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// A malloc that nobody has called yet: that of the release, built for such a machine.
    pub fn new(mut memory: M, observer: O, release: Release, tunables: &Tunables) -> Heap<M, O> {
        let release = Release { word: M::Layout::WORD, ..release };
        let state = memory.statics();
        let main = Arena::new(&mut memory, &release, ArenaId::MAIN, state);
        let parameters = Parameters::new(&release, tunables, memory.huge_pages());
        Heap {
            cx: Context {
                memory,
                observer,
                release,
                parameters,
                threaded: !release.has_single_thread_path,
                left_over_segment: None,
                lockless: Lockless::default(),
                blamed: None,
            },
            arenas: vec![main],
            threads: Threads::new(),
            choice: Choice::default(),
            was_called: false,
        }
    }

    /// The machine it runs on.
    pub fn memory(&self) -> &M {
        &self.cx.memory
    }

    /// The machine it runs on, to touch the program's own memory.
    pub fn memory_mut(&mut self) -> &mut M {
        &mut self.cx.memory
    }

    /// Who is told what happens.
    pub fn observer(&self) -> &O {
        &self.cx.observer
    }

    /// Who is told what happens.
    pub fn observer_mut(&mut self) -> &mut O {
        &mut self.cx.observer
    }

    /// The glibc release it is.
    pub fn release(&self) -> &Release {
        &self.cx.release
    }

    /// The limits in force.
    pub fn parameters(&self) -> &Parameters {
        &self.cx.parameters
    }

    /// Every arena, the main one first.
    pub fn arenas(&self) -> &[Arena] {
        &self.arenas
    }

    /// The arena the thread allocates from, if it has needed one.
    pub fn arena_of_thread(&self, thread: ThreadId) -> Option<ArenaId> {
        self.threads.get(thread)?.arena
    }

    /// The chunks and the bytes that all threads' caches hold.
    pub fn cached(&self) -> (u64, u64) {
        self.threads
            .iter()
            .map(|(_, thread)| thread.tcache.total(&self.cx))
            .fold((0, 0), |(chunks, bytes), total| (chunks + total.0, bytes + total.1))
    }

    /// A thread begins that has not allocated yet; its number may have been an earlier thread's
    /// (glibc: `pthread_create` ends the single-threaded shortcuts for good).
    pub fn thread_created(&mut self, thread: ThreadId) {
        self.cx.threaded = true;
        *self.meet(thread) = Thread::default();
    }

    /// `malloc_usable_size(payload)`
    ///
    /// # Errors
    ///
    /// If every chunk is checked, that the program wrote behind the bytes it had asked for.
    pub fn usable_size(&self, payload: Address) -> Result<u64, Corruption> {
        let chunk = Chunk::of(&self.cx.memory, payload);
        match payload {
            Address::NULL => Ok(0),
            _ if self.cx.parameters.checks_chunks => self.cx.requested(chunk),
            _ => Ok(self.cx.usable_if_in_use(chunk)),
        }
    }

    /// `malloc_trim(pad)`: whether anything was given back.
    pub fn trim(&mut self, pad: u64) -> Result<bool, Corruption> {
        let pad = M::Layout::cut(pad);
        let mut released = false;
        let mut id = ArenaId::MAIN;
        loop {
            let arena = &mut self.arenas[id.0 as usize];
            released |= arena.trim_all(&mut self.cx, pad)?;
            id = arena.next();
            if id == ArenaId::MAIN {
                return Ok(released);
            }
        }
    }

    /// Somebody other than malloc moves the program break: `sbrk(by)`. Where it was.
    pub fn move_foreign_break(&mut self, by: i64) -> Option<Address> {
        let from = self.cx.memory.move_break(by);
        self.cx.parameters.break_is_known = true;
        self.cx.tell(Event::ForeignBreak { by, from });
        from
    }

    /// The chunks that threads' caches are kept in: in use, but not the program's.
    pub fn cache_chunks(&self) -> impl Iterator<Item = Chunk> + '_ {
        self.threads.iter().filter_map(|(_, thread)| thread.tcache.own_chunk())
    }

    /// The chunk that one thread's cache is kept in.
    #[inline]
    pub fn cache_chunk_of(&self, thread: ThreadId) -> Option<Chunk> {
        self.threads.get(thread)?.tcache.own_chunk()
    }

    /// The lowest chunk of the segment that a chunk of a secondary arena lies in.
    pub fn lowest_chunk_beside(&self, chunk: Chunk) -> Chunk {
        Segment::of(chunk, &self.cx.parameters).lowest_chunk(&self.cx)
    }

    /// The arena a chunk in use belongs to (glibc: `arena_for_chunk`).
    pub(crate) fn arena_of(&self, chunk: Chunk) -> Result<ArenaId, Corruption> {
        if !chunk.head(&self.cx.memory).is_foreign() {
            return Ok(ArenaId::MAIN);
        }
        let state = Segment::of(chunk, &self.cx.parameters).state(&self.cx.memory);
        self.choice.arena_at(&self.cx.memory, &self.arenas, state).ok_or(Corruption::WildArena)
    }

    /// One call's world: what everything needs, the thread's cache, and an arena.
    #[inline]
    pub(crate) fn lend(
        &mut self,
        thread: ThreadId,
        arena: ArenaId,
    ) -> (&mut Context<M, O>, &mut Tcache, &mut Arena) {
        (&mut self.cx, &mut self.threads[thread].tcache, &mut self.arenas[arena.0 as usize])
    }

    /// The thread's state, made when the thread is first heard of.
    #[inline]
    pub(crate) fn meet(&mut self, thread: ThreadId) -> &mut Thread {
        if !self.threads.has_near(thread) && self.threads.get(thread).is_none() {
            self.meet_first(thread);
        }
        &mut self.threads[thread]
    }

    #[cold]
    fn meet_first(&mut self, thread: ThreadId) {
        self.threads.begin(thread);
        self.cx.threaded = true;
    }

    /// What a thread's first `malloc(request)` does before it looks for a chunk: the thread chooses an arena and is given
    /// a cache, if it should have one by now. Others may call in between (glibc: `MAYBE_INIT_TCACHE`, `arena_get`).
    pub fn prepare(&mut self, thread: ThreadId, request: Request) -> Result<(), Corruption> {
        let request = Request(M::Layout::cut(request.0));
        let Some(size) = self.cx.size_for(request).filter(|_| !self.is_checked()) else { return Ok(()) };
        self.ensure_tcache(thread, Wants::Request(size))?;
        self.arena_for(thread, request.0);
        Ok(())
    }

    /// Gives the thread a cache if it should have one by now and can (glibc: `MAYBE_INIT_TCACHE`).
    #[inline]
    pub(crate) fn ensure_tcache(&mut self, thread: ThreadId, wants: Wants) -> Result<(), Corruption> {
        if self.meet(thread).tcache.is_wanted() { self.make_tcache_if_due(thread, wants) } else { Ok(()) }
    }

    #[cold]
    fn make_tcache_if_due(&mut self, thread: ThreadId, wants: Wants) -> Result<(), Corruption> {
        self.was_called |= !matches!(wants, Wants::Aligned(_) | Wants::Free(_));
        let can_be_cached = |size: ChunkSize| size <= self.cx.parameters.greatest_cached;
        let is_due = match (self.cx.release.tcache.made, wants) {
            (TcacheMade::AtFirstCall, Wants::Request(_) | Wants::Free(_) | Wants::Realloc) => true,
            (TcacheMade::AtFirstRequest, Wants::Request(size) | Wants::Aligned(size))
            | (TcacheMade::AtFirstFree, Wants::Free(size)) => can_be_cached(size),
            _ => false,
        };
        if is_due { self.make_tcache(thread) } else { Ok(()) }
    }

    /// Allocates the chunk a thread's cache lies in (glibc: `tcache_init`).
    fn make_tcache(&mut self, thread: ThreadId) -> Result<(), Corruption> {
        let request = Request(self.cx.release.tcache_bytes());
        let found = match self.cx.release.tcache.made {
            TcacheMade::AtFirstCall => self.allocate_attached(thread, request)?,
            TcacheMade::AtFirstFree if !self.threads[thread].tcache.give_up_unless_made(&self.cx) => None,
            _ => {
                let arena = self.arena_for(thread, request.0);
                self.allocate_or_retry(thread, arena, request)?
            }
        };
        if let Some(Found { chunk, .. }) = found {
            self.cx.memory.fill(chunk.payload(&self.cx.memory), request.0, 0);
            self.threads[thread].tcache.open(chunk);
        }
        Ok(())
    }

    /// Serves a request from the thread's own arena, whether there are other threads or not.
    fn allocate_attached(&mut self, thread: ThreadId, request: Request) -> Result<Option<Found>, Corruption> {
        let arena = self.attached_arena(thread, request.0);
        let found = self.allocate_in(thread, arena, request)?;
        match arena {
            Some(failed) if found.is_none() => {
                let other = self.other_arena(thread, failed, request.0);
                self.allocate_in(thread, other, request)
            }
            _ => Ok(found),
        }
    }

    /// Tells that a request has been served.
    #[inline]
    pub(crate) fn served(&mut self, Found { chunk, source: from }: Found) -> Address {
        let size = chunk.size(&self.cx.memory);
        self.cx.tell(Event::Served { from, chunk, size });
        chunk.payload(&self.cx.memory)
    }
}
