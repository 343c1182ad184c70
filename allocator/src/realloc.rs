//! `realloc`: stay, shrink, grow upward, remap, or move.

use crate::address::{Address, ChunkSize, Request};
use crate::arena::{Arena, ArenaId};
use crate::bins::tcache::Tcache;
use crate::chunk::{Chunk, Head, PREVIOUS_IN_USE};
use crate::corruption::{Corruption, Refusal};
use crate::heap::{Context, Heap, Wants};
use crate::layout::Layout;
use crate::list;
use crate::memory::Memory;
use crate::observe::{Found, Observer, Source};
use crate::release::{KeptByRealloc, MappedHead};
use crate::system::mapping;
use crate::thread::ThreadId;

impl<M: Memory, O: Observer> Heap<M, O> {
    /// `realloc(payload, request)`: the payload, wherever it is now; null if that freed it.
    pub fn realloc(
        &mut self,
        thread: ThreadId,
        payload: Address,
        request: Request,
    ) -> Result<Address, Refusal> {
        if payload.is_null() {
            return self.malloc(thread, request);
        }
        let request = Request(M::Layout::cut(request.0));
        if self.is_checked() {
            return self.realloc_checked(thread, payload, request);
        }
        if request.0 == 0 {
            self.free(thread, payload)?;
            return Ok(Address::NULL);
        }
        self.meet(thread);
        let chunk = Chunk::of(&self.cx.memory, payload);
        let head = chunk.head(&self.cx.memory);
        if self.should_keep(chunk, head, request) {
            self.asked(request);
            return Ok(self.served(Found { chunk, source: Source::Stayed }));
        }
        if !head.is_mapped() {
            self.ensure_tcache(thread, Wants::Realloc)?;
        }
        if chunk.0.0 > M::Layout::cut(head.size().0.wrapping_neg()) || self.cx.is_misaligned(chunk) {
            return Err(Corruption::ReallocPointer.into());
        }
        let size = self.asked(request).ok_or(Refusal::OutOfMemory)?;
        if head.is_mapped() {
            return self.realloc_mapped(thread, chunk, head, request, size);
        }
        let id = self.arena_of(chunk)?;
        let (cx, tcache, arena) = self.lend(thread, id);
        if let Some(found) = arena.reallocate(cx, tcache, chunk, head, size)? {
            return Ok(self.served(found));
        }
        // Without threads glibc gives up here.
        if !self.cx.threaded {
            return Err(Refusal::OutOfMemory);
        }
        self.realloc_elsewhere(thread, id, chunk, head, request)
    }

    /// Whether the block is to stay as it is, by what the release thinks is a good fit.
    #[inline]
    fn should_keep(&self, chunk: Chunk, head: Head, request: Request) -> bool {
        let rule = self.cx.release.realloc_keeps;
        if rule == KeptByRealloc::Nothing {
            return false;
        }
        let usable = self.cx.usable_if_in_use(chunk);
        if request.0 > usable {
            return false;
        }
        let left_over = usable - request.0;
        match rule {
            KeptByRealloc::Nothing => false,
            KeptByRealloc::WithinTrimThreshold => left_over <= self.cx.parameters.trim_threshold,
            KeptByRealloc::WithinPaddingOrPage => {
                left_over < 2 * M::Layout::WORD || head.is_mapped() && left_over <= self.cx.memory.page_size()
            }
            KeptByRealloc::WithinPadding => left_over < 2 * M::Layout::WORD,
        }
    }

    /// The chunk's own arena has no room: a new chunk from another, and the old one is freed.
    #[cold]
    fn realloc_elsewhere(
        &mut self,
        thread: ThreadId,
        id: ArenaId,
        chunk: Chunk,
        head: Head,
        request: Request,
    ) -> Result<Address, Refusal> {
        let to = self.malloc_unasked(thread, request)?;
        self.cx.memory.copy(
            chunk.payload(&self.cx.memory),
            to.chunk.payload(&self.cx.memory),
            self.cx.usable(head),
        );
        let (cx, tcache, arena) = self.lend(thread, id);
        arena.release(cx, tcache, chunk)?;
        Ok(self.served(to))
    }

    /// A chunk with a mapping of its own: the mapping changes its length; where it cannot, the
    /// chunk stays if it is long enough, and moves otherwise.
    fn realloc_mapped(
        &mut self,
        thread: ThreadId,
        chunk: Chunk,
        head: Head,
        request: Request,
        size: ChunkSize,
    ) -> Result<Address, Refusal> {
        if let Some(now) = mapping::resize(&mut self.cx, chunk, size)? {
            return Ok(self.served(Found { chunk: now, source: Source::Remapped }));
        }
        let is_long_enough = match self.cx.release.mapped_head {
            MappedHead::ToTheEnd => head.size() - ChunkSize(M::Layout::WORD) >= size,
            MappedHead::LikeOthers => request.0 <= self.cx.usable(head),
        };
        if is_long_enough {
            return Ok(self.served(Found { chunk, source: Source::Stayed }));
        }
        let to = self.malloc_unasked(thread, request)?;
        let length = head.size().bytes() - M::Layout::HEADER;
        self.cx.memory.copy(chunk.payload(&self.cx.memory), to.chunk.payload(&self.cx.memory), length);
        mapping::unmap(&mut self.cx, chunk)?;
        Ok(self.served(to))
    }

    /// `malloc`, for a request that has been counted already.
    fn malloc_unasked(&mut self, thread: ThreadId, request: Request) -> Result<Found, Refusal> {
        let size = self.cx.size_for(request).ok_or(Refusal::OutOfMemory)?;
        self.ensure_tcache(thread, Wants::Request(size))?;
        if let Some(found) = self.threads[thread].tcache.take(&mut self.cx, size)? {
            return Ok(found);
        }
        self.allocate(thread, request)
    }
}

impl Arena {
    /// Makes a chunk `size` long, where it lies if that can be (glibc: `_int_realloc`).
    pub(crate) fn reallocate<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        chunk: Chunk,
        head: Head,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        let old_size = head.size();
        if head.0 <= M::Layout::HEADER || old_size.0 >= self.system_bytes {
            return Err(Corruption::ReallocSize);
        }
        let above = chunk.at(old_size);
        let head_above = above.head(&cx.memory);
        let size_above = head_above.size();
        if head_above.0 <= M::Layout::HEADER || size_above.0 >= self.system_bytes {
            return Err(Corruption::ReallocNextSize);
        }
        if old_size >= size {
            return self.keep(cx, tcache, chunk, old_size, size, Source::Stayed).map(Some);
        }
        let together = old_size + size_above;
        if above == self.top {
            if together >= size + M::Layout::SMALLEST_CHUNK {
                return Ok(Some(self.grow_into_top(cx, chunk, together, size)));
            }
        } else if together >= size && !above.at(size_above).head(&cx.memory).previous_in_use() {
            list::unlink(cx, above)?;
            return self.keep(cx, tcache, chunk, together, size, Source::Extended).map(Some);
        }
        self.move_elsewhere(cx, tcache, chunk, head, size)
    }

    /// The chunk takes the lower end of the top chunk above it.
    fn grow_into_top<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        together: ChunkSize,
        size: ChunkSize,
    ) -> Found {
        chunk.resize(&mut cx.memory, size, self.flag);
        self.top = chunk.at(size);
        self.top.set_head(&mut cx.memory, Head::new(together - size, PREVIOUS_IN_USE));
        Found { chunk, source: Source::Extended }
    }

    /// A new chunk in the same arena; the bytes move over, and the old chunk is freed. If the new
    /// one turns out to lie right above, the two become one.
    fn move_elsewhere<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        chunk: Chunk,
        head: Head,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        let request = Request(size.bytes() - (cx.alignment() - 1));
        let Some(padded) = cx.size_for(request) else { return Ok(None) };
        let Some(found) = self.allocate(cx, tcache, request, padded)? else { return Ok(None) };
        if found.chunk == chunk.at(head.size()) {
            let together = head.size() + found.chunk.size(&cx.memory);
            return self.keep(cx, tcache, chunk, together, size, Source::Extended).map(Some);
        }
        cx.memory.copy(chunk.payload(&cx.memory), found.chunk.payload(&cx.memory), cx.usable(head));
        self.release(cx, tcache, chunk)?;
        Ok(Some(found))
    }

    /// The chunk, which now has `whole` bytes, keeps `size` of them; the rest is freed if it can
    /// be a chunk.
    fn keep<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        chunk: Chunk,
        whole: ChunkSize,
        size: ChunkSize,
        source: Source,
    ) -> Result<Found, Corruption> {
        let rest = whole - size;
        if rest < M::Layout::SMALLEST_CHUNK {
            chunk.resize(&mut cx.memory, whole, self.flag);
            chunk.mark_in_use(&mut cx.memory, whole);
            return Ok(Found { chunk, source });
        }
        let remainder = chunk.at(size);
        chunk.resize(&mut cx.memory, size, self.flag);
        remainder.set_head(&mut cx.memory, Head::new(rest, PREVIOUS_IN_USE | self.flag));
        remainder.mark_in_use(&mut cx.memory, rest);
        self.release(cx, tcache, remainder)?;
        Ok(Found { chunk, source })
    }
}
