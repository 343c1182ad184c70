//! A release's stops: mapped, tcache, fastbin, or merged with its neighbours; and `malloc_trim`.

use crate::address::{Address, ChunkSize, align_down};
use crate::arena::{Arena, merge};
use crate::bins::{self, LISTS, UNSORTED};
use crate::chunk::{ALL_LINKS, Chunk, Head};
use crate::corruption::{Corruption, FreedChecks};
use crate::heap::{Context, Heap, Wants};
use crate::layout::Layout;
use crate::memory::Memory;
use crate::observe::Observer;
use crate::system::mapping;
use crate::thread::ThreadId;

impl<M: Memory, O: Observer> Heap<M, O> {
    /// `free(payload)`
    #[inline]
    pub fn free(&mut self, thread: ThreadId, payload: Address) -> Result<(), Corruption> {
        if payload.is_null() {
            return Ok(());
        }
        if self.meet(thread).tcache.is_wanted() {
            return self.free_uncached(thread, payload);
        }
        self.free_after(thread, payload, |_, _| Ok(()))
    }

    /// `free`, by a thread that has no cache yet, and perhaps is given one first.
    #[cold]
    #[inline(never)]
    fn free_uncached(&mut self, thread: ThreadId, payload: Address) -> Result<(), Corruption> {
        if self.is_checked() {
            return self.free_checked(thread, payload);
        }
        self.free_after(thread, payload, |heap, size| heap.ensure_tcache(thread, Wants::Free(size)))
    }

    /// Frees a chunk after something that is done if it lies in an arena.
    #[inline(always)]
    fn free_after(
        &mut self,
        thread: ThreadId,
        payload: Address,
        prepare: impl FnOnce(&mut Heap<M, O>, ChunkSize) -> Result<(), Corruption>,
    ) -> Result<(), Corruption> {
        let chunk = Chunk::of(&self.cx.memory, payload);
        let head = chunk.head(&self.cx.memory);
        let checks_place_first = self.cx.release.checks.freed == FreedChecks::PlaceFirst;
        if checks_place_first && self.cx.is_misaligned(chunk) {
            return Err(Corruption::FreePointer);
        }
        if head.is_mapped() && !self.cx.release.tcache.takes_mapped {
            return mapping::release(&mut self.cx, chunk, head);
        }
        prepare(self, head.size())?;
        if !checks_place_first {
            merge::check_freed(&self.cx, chunk, head.size())?;
        }
        self.free_chunk(thread, chunk, head)
    }

    /// Frees a chunk for which the tcache is asked first (glibc: `_int_free`).
    #[inline]
    fn free_chunk(&mut self, thread: ThreadId, chunk: Chunk, head: Head) -> Result<(), Corruption> {
        let size = head.size();
        if self.threads[thread].tcache.accept(&mut self.cx, chunk, size)? {
            return Ok(());
        }
        // Of a chunk that has been checked this is known.
        if chunk
            .0
            .0
            .checked_add((size - M::Layout::SMALLEST_CHUNK).0)
            .is_none_or(|end| end != M::Layout::cut(end))
        {
            return Err(Corruption::FreeSize);
        }
        if head.is_mapped() {
            return mapping::release(&mut self.cx, chunk, head);
        }
        let arena = self.arena_of(chunk)?;
        self.arenas[arena.0 as usize].release_uncached(&mut self.cx, chunk, size)
    }
}

impl Arena {
    /// Gives back every whole page inside a free chunk, and the end of the top chunk of the main
    /// arena (glibc: `mtrim`). Neither caches nor the tops of other arenas are touched.
    pub(crate) fn trim_all<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        pad: u64,
    ) -> Result<bool, Corruption> {
        if self.is_corrupted {
            return Ok(false);
        }
        self.consolidate(cx)?;
        let page_size = cx.memory.page_size();
        let first = bins::number(cx.geometry(), ChunkSize(page_size));
        let mut released = false;
        for number in (UNSORTED..LISTS).filter(|&number| number == UNSORTED || number >= first) {
            let list = self.list(&cx.memory, number);
            let mut chunk = list.last(&cx.memory);
            while chunk != list.sentinel {
                released |= discard_whole_pages(cx, chunk, page_size);
                chunk = chunk.backward(&cx.memory);
            }
        }
        if self.is_main() {
            released |= self.trim_break(cx, pad);
        }
        Ok(released)
    }
}

/// Gives back the pages that lie wholly behind a free chunk's links.
fn discard_whole_pages<M: Memory, O: Observer>(cx: &mut Context<M, O>, chunk: Chunk, page_size: u64) -> bool {
    let size = chunk.size(&cx.memory).bytes();
    let all_links = ALL_LINKS * M::Layout::WORD;
    if size < page_size + all_links {
        return false;
    }
    let start = (chunk.0 + all_links).align_up(page_size);
    let length = align_down(size - (start - chunk.0), page_size);
    if length == 0 {
        return false;
    }
    cx.discard(start, length);
    true
}
