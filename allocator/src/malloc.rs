//! A request's stops, in glibc's order.

use crate::address::{Address, ChunkSize, Request};
use crate::arena::segment::Segment;
use crate::arena::{Arena, ArenaId};
use crate::bins::tcache::Tcache;
use crate::chunk::Chunk;
use crate::corruption::{Corruption, Refusal};
use crate::heap::{Context, Heap, Wants};
use crate::layout::Layout;
use crate::memory::Memory;
use crate::observe::{Event, Found, Observer, Source};
use crate::system::mapping;
use crate::thread::ThreadId;

impl<M: Memory, O: Observer> Heap<M, O> {
    /// `malloc(request)`: the payload. Of numbers that a word does not hold, here and in the other functions,
    /// only what it holds is passed, as in the C.
    #[inline]
    pub fn malloc(&mut self, thread: ThreadId, request: Request) -> Result<Address, Refusal> {
        let request = Request(M::Layout::cut(request.0));
        let Some(size) = self.asked(request) else {
            return self.malloc_too_large(thread, request);
        };
        self.ensure_tcache(thread, Wants::Request(size))?;
        if let Some(found) = self.threads[thread].tcache.take(&mut self.cx, size)? {
            return Ok(self.served(found));
        }
        let found = self.allocate(thread, request)?;
        Ok(self.served(found))
    }

    /// `calloc(count, size)`: the payload, zeroed.
    pub fn calloc(&mut self, thread: ThreadId, count: u64, size: u64) -> Result<Address, Refusal> {
        let product = M::Layout::cut(count).checked_mul(M::Layout::cut(size));
        let product = product.filter(|&product| product == M::Layout::cut(product));
        let request = Request(product.ok_or(Refusal::OutOfMemory)?);
        if self.is_checked() {
            return self.calloc_checked(thread, request);
        }
        let Some(size) = self.asked(request) else {
            if self.cx.release.first_calloc_is_malloc && !self.was_called {
                return self.malloc_too_large(thread, request);
            }
            return self.refuse(thread, request, self.cx.release.refuses_early.calloc);
        };
        self.ensure_tcache(thread, Wants::Request(size))?;
        if self.cx.release.tcache.serves_calloc
            && let Some(found) = self.threads[thread].tcache.take(&mut self.cx, size)?
        {
            let usable = self.cx.usable(found.chunk.head(&self.cx.memory));
            self.cx.memory.fill(found.chunk.payload(&self.cx.memory), usable, 0);
            return Ok(self.served(found));
        }
        let arena = self.arena_for(thread, request.0);
        let (old_top, not_fresh) = match arena {
            Some(id) => self.arenas[id.0 as usize].top_and_its_stale_part(&self.cx),
            None => (Chunk::NONE, 0),
        };
        let found = self.allocate_or_retry(thread, arena, request)?.ok_or(Refusal::OutOfMemory)?;
        self.clear(found.chunk, request, old_top, not_fresh);
        Ok(self.served(found))
    }

    /// Zeroes what a fresh `calloc` must not show of the past. Memory just come from the kernel is
    /// zero already: a mapping, and the part of the old top chunk that was never handed out.
    fn clear(&mut self, chunk: Chunk, request: Request, old_top: Chunk, not_fresh: u64) {
        let head = chunk.head(&self.cx.memory);
        let perturbed = self.cx.parameters.perturb != 0;
        if head.is_mapped() {
            if perturbed {
                self.cx.memory.fill(chunk.payload(&self.cx.memory), request.0, 0);
            }
            return;
        }
        let mut stale = head.size().bytes();
        if !perturbed && chunk == old_top && stale > not_fresh {
            stale = not_fresh;
        }
        // The word at the end belongs to the chunk above, if not to this one's payload.
        self.cx.memory.fill(chunk.payload(&self.cx.memory), stale.wrapping_sub(M::Layout::WORD), 0);
    }

    /// The chunk size for a request, which the program asks for now; `None` if it is too large, or to be
    /// served by the functions that check.
    #[inline]
    pub(crate) fn asked(&mut self, request: Request) -> Option<ChunkSize> {
        if request.0 >= self.cx.parameters.requests_end {
            return None;
        }
        let size = self.cx.geometry().chunk_for(request);
        self.cx.tell(Event::Asked { request, size });
        Some(size)
    }

    /// `malloc`, of more than the release looks at. One that first pads it may take it for a small one.
    #[cold]
    fn malloc_too_large(&mut self, thread: ThreadId, request: Request) -> Result<Address, Refusal> {
        if self.is_checked() {
            return self.malloc_checked(thread, request);
        }
        self.was_called = true;
        let smallest = M::Layout::SMALLEST_CHUNK;
        let padding = M::Layout::WORD + self.cx.alignment() - 1;
        let padded = M::Layout::cut(request.0.wrapping_add(padding));
        if self.cx.release.tcache.serves_wrapped && padded < smallest.bytes() {
            self.ensure_tcache(thread, Wants::Request(smallest))?;
            if let Some(found) = self.threads[thread].tcache.take(&mut self.cx, smallest)? {
                return Ok(self.served(found));
            }
        }
        self.refuse(thread, request, self.cx.release.refuses_early.malloc)
    }

    /// Refuses a request that is too large: at once, or by way of the thread's cache and the arenas, none of
    /// which can serve it.
    #[cold]
    pub(crate) fn refuse(
        &mut self,
        thread: ThreadId,
        request: Request,
        early: bool,
    ) -> Result<Address, Refusal> {
        self.was_called = true;
        if early {
            return Err(Refusal::OutOfMemory);
        }
        self.ensure_tcache(thread, Wants::Request(ChunkSize(M::Layout::cut(u64::MAX))))?;
        self.allocate(thread, request)?;
        Err(Refusal::OutOfMemory)
    }

    /// Serves a request past the tcache.
    pub(crate) fn allocate(&mut self, thread: ThreadId, request: Request) -> Result<Found, Refusal> {
        let arena = self.arena_for(thread, request.0);
        self.allocate_or_retry(thread, arena, request)?.ok_or(Refusal::OutOfMemory)
    }

    /// Serves a request from an arena, and if that cannot, from another. Without threads there is
    /// no other.
    pub(crate) fn allocate_or_retry(
        &mut self,
        thread: ThreadId,
        arena: Option<ArenaId>,
        request: Request,
    ) -> Result<Option<Found>, Corruption> {
        let found = self.allocate_in(thread, arena, request)?;
        match arena {
            Some(failed) if found.is_none() && self.cx.threaded => {
                let other = self.other_arena(thread, failed, request.0);
                self.allocate_in(thread, other, request)
            }
            _ => Ok(found),
        }
    }

    /// Serves a request from an arena; from a mapping if there is no arena to be had.
    pub(crate) fn allocate_in(
        &mut self,
        thread: ThreadId,
        arena: Option<ArenaId>,
        request: Request,
    ) -> Result<Option<Found>, Corruption> {
        let Some(size) = self.cx.size_for(request) else { return Ok(None) };
        let Some(arena) = arena else {
            let found = mapping::take(&mut self.cx, size);
            if let Some(Found { chunk, .. }) = found {
                self.cx.perturb_allocated(chunk, request);
            }
            return Ok(found);
        };
        let (cx, tcache, arena) = self.lend(thread, arena);
        arena.allocate(cx, tcache, request, size)
    }
}

impl Arena {
    /// Serves a request that takes a chunk of `size` (glibc: `_int_malloc`).
    pub(crate) fn allocate<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        request: Request,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        let found = self.find(cx, tcache, size)?;
        if let Some(Found { chunk, source }) = found
            && source != Source::Unsorted
        {
            cx.perturb_allocated(chunk, request);
        }
        Ok(found)
    }

    fn find<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        if let Some(found) = self.take_fast(cx, tcache, size)? {
            return Ok(Some(found));
        }
        if !cx.geometry().is_large(size) {
            if let Some(found) = self.take_small(cx, tcache, size)? {
                return Ok(Some(found));
            }
        } else if self.fast.may_hold {
            // Large requests are rarer, and suffer most when small chunks keep memory in pieces.
            self.consolidate(cx)?;
        }
        loop {
            if let Some(found) = self.take_while_sorting(cx, tcache, size)? {
                return Ok(Some(found));
            }
            if cx.geometry().is_large(size)
                && let Some(found) = self.take_large(cx, size)?
            {
                return Ok(Some(found));
            }
            if let Some(found) = self.take_next_larger(cx, size)? {
                return Ok(Some(found));
            }
            if let Some(found) = self.take_from_top(cx, size)? {
                return Ok(Some(found));
            }
            if !self.fast.may_hold {
                return self.take_from_system(cx, tcache, size);
            }
            // Once more: fast chunks may merge into something large enough.
            self.consolidate(cx)?;
        }
    }

    /// The top chunk, and how many of its bytes may have been written before: what lies beyond was
    /// never accessible since the kernel zeroed it.
    fn top_and_its_stale_part<M: Memory, O: Observer>(&self, cx: &Context<M, O>) -> (Chunk, u64) {
        let stale = self.top.size(&cx.memory).bytes();
        let reached = if self.is_main() {
            let start = cx.parameters.heap_start.unwrap_or_default();
            start + self.greatest_system_bytes()
        } else {
            let segment = Segment::of(self.top, &cx.parameters);
            segment.0 + segment.accessible(&cx.memory)
        };
        (self.top, stale.max(reached - self.top.0))
    }
}
