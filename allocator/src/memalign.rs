//! Aligned requests, and the remainders they leave.

use crate::address::{ALIGNMENT, Address, ChunkSize, Request, SMALLEST_CHUNK};
use crate::arena::Arena;
use crate::bins::tcache::Tcache;
use crate::chunk::{Chunk, Head, MAPPED, PREVIOUS_IN_USE};
use crate::corruption::{Corruption, Refusal};
use crate::heap::{Context, Heap};
use crate::memory::{Memory, Words};
use crate::observe::{Found, Observer};
use crate::system::mapping;
use crate::thread::ThreadId;

impl<M: Memory, O: Observer> Heap<M, O> {
    /// `memalign(alignment, request)`, and `aligned_alloc`, which is the same (glibc:
    /// `_mid_memalign`). An alignment that is no power of two is rounded up to one.
    pub fn memalign(
        &mut self,
        thread: ThreadId,
        alignment: u64,
        request: Request,
    ) -> Result<Address, Refusal> {
        if alignment <= ALIGNMENT {
            return self.malloc(thread, request);
        }
        if alignment > 1 << 63 {
            return Err(Refusal::Invalid);
        }
        let alignment = alignment.max(SMALLEST_CHUNK.0).next_power_of_two();
        let size = self.asked(request)?;
        self.meet(thread);
        let padding = alignment.wrapping_add(SMALLEST_CHUNK.0);
        let arena = self.arena_for(thread, request.0.wrapping_add(padding));
        let mut found = self.align_in(thread, arena, alignment, size)?;
        if found.is_none()
            && self.cx.threaded
            && let Some(failed) = arena
        {
            let other = self.other_arena(thread, failed, request.0);
            found = self.align_in(thread, other, alignment, size)?;
        }
        let found = found.ok_or(Refusal::OutOfMemory)?;
        Ok(self.served(found.chunk, found.source))
    }

    /// `posix_memalign(&to, alignment, request)`: the alignment must be a power of two and a
    /// multiple of a pointer's size.
    pub fn posix_memalign(
        &mut self,
        thread: ThreadId,
        alignment: u64,
        request: Request,
    ) -> Result<Address, Refusal> {
        if !alignment.is_power_of_two() || alignment < 8 {
            return Err(Refusal::Invalid);
        }
        self.memalign(thread, alignment, request)
    }

    /// `valloc(request)`
    pub fn valloc(&mut self, thread: ThreadId, request: Request) -> Result<Address, Refusal> {
        let page_size = self.cx.memory.page_size();
        self.memalign(thread, page_size, request)
    }

    /// `pvalloc(request)`: whole pages.
    pub fn pvalloc(&mut self, thread: ThreadId, request: Request) -> Result<Address, Refusal> {
        let page_size = self.cx.memory.page_size();
        let padded = request.0.checked_add(page_size - 1).ok_or(Refusal::OutOfMemory)?;
        // Not `-page_size`: the C has a slip here, and keeps one bit it means to clear.
        let rounded = padded & (page_size - 1).wrapping_neg();
        self.memalign(thread, page_size, Request(rounded))
    }

    /// An aligned chunk from an arena, or from a mapping if there is no arena to be had.
    fn align_in(
        &mut self,
        thread: ThreadId,
        arena: Option<crate::arena::ArenaId>,
        alignment: u64,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        // Enough for an aligned chunk wherever the padded one lands, with a chunk's room before it.
        if alignment > i64::MAX as u64 {
            return Ok(None);
        }
        let request = Request(size.bytes().wrapping_add(alignment).wrapping_add(SMALLEST_CHUNK.0));
        let Some(padded) = ChunkSize::serving(request) else { return Ok(None) };
        let Some(id) = arena else {
            let Some(found) = mapping::take(&mut self.cx, padded) else { return Ok(None) };
            self.cx.perturb_allocated(found.chunk, request);
            let chunk = align_mapped(&mut self.cx.memory, found.chunk, alignment);
            return Ok(Some(Found { chunk, ..found }));
        };
        let (cx, tcache, arena) = self.lend(thread, id);
        let Some(found) = arena.allocate(cx, tcache, request, padded)? else { return Ok(None) };
        let chunk = if found.chunk.head(&cx.memory).is_mapped() {
            align_mapped(&mut cx.memory, found.chunk, alignment)
        } else {
            arena.align(cx, tcache, found.chunk, alignment, size)?
        };
        Ok(Some(Found { chunk, ..found }))
    }
}

/// The first chunk with an aligned payload inside `chunk`, if that is not aligned itself, and how
/// far in it begins: far enough for a chunk before it.
fn aligned_inside(chunk: Chunk, alignment: u64) -> Option<(Chunk, ChunkSize)> {
    if chunk.payload().is_aligned(alignment) {
        return None;
    }
    let mut aligned = Chunk::of(chunk.payload().align_up(alignment));
    if aligned.0 - chunk.0 < SMALLEST_CHUNK.0 {
        aligned = Chunk(aligned.0 + alignment);
    }
    Some((aligned, ChunkSize(aligned.0 - chunk.0)))
}

/// A chunk with a mapping of its own only notes how far into it it begins.
fn align_mapped(words: &mut impl Words, chunk: Chunk, alignment: u64) -> Chunk {
    let Some((aligned, lead)) = aligned_inside(chunk, alignment) else { return chunk };
    let size = chunk.size(words) - lead;
    let before = chunk.previous_size(words) + lead;
    aligned.set_previous_size(words, before);
    aligned.set_head(words, Head::new(size, MAPPED));
    aligned
}

impl Arena {
    /// Cuts an aligned chunk of `size` out of a padded one, and frees what is before and after it
    /// (glibc: `_int_memalign`).
    fn align<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        padded: Chunk,
        alignment: u64,
        size: ChunkSize,
    ) -> Result<Chunk, Corruption> {
        let mut chunk = padded;
        if let Some((aligned, lead)) = aligned_inside(padded, alignment) {
            let rest = padded.size(&cx.memory) - lead;
            aligned.set_head(&mut cx.memory, Head::new(rest, PREVIOUS_IN_USE | self.flag));
            aligned.mark_in_use(&mut cx.memory, rest);
            padded.resize(&mut cx.memory, lead, self.flag);
            self.release(cx, tcache, padded)?;
            chunk = aligned;
        }
        let whole = chunk.size(&cx.memory);
        if whole > size + SMALLEST_CHUNK {
            let remainder = chunk.at(size);
            remainder.set_head(&mut cx.memory, Head::new(whole - size, PREVIOUS_IN_USE | self.flag));
            chunk.resize(&mut cx.memory, size, 0);
            self.release(cx, tcache, remainder)?;
        }
        Ok(chunk)
    }
}
