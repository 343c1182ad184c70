//! Aligned requests, and the remainders they leave.

use crate::address::{Address, ChunkSize, Request};
use crate::arena::Arena;
use crate::bins::{self, FIRST_LARGE, tcache::Tcache};
use crate::chunk::{Chunk, Head, PREVIOUS_IN_USE};
use crate::corruption::{Corruption, Refusal};
use crate::heap::{Context, Heap, Wants};
use crate::layout::Layout;
use crate::list;
use crate::memory::{Memory, Words};
use crate::observe::{Found, Observer, Source};
use crate::release::{GreatestRequest, Remainders};
use crate::system::mapping::{self, Extent};
use crate::thread::ThreadId;

impl<M: Memory, O: Observer> Heap<M, O> {
    /// `memalign(alignment, request)` (glibc: `_mid_memalign`). An alignment that is no power of two is
    /// rounded up to one.
    pub fn memalign(
        &mut self,
        thread: ThreadId,
        alignment: u64,
        request: Request,
    ) -> Result<Address, Refusal> {
        let (alignment, request) = (M::Layout::cut(alignment), Request(M::Layout::cut(request.0)));
        if alignment <= self.cx.alignment() {
            return self.malloc(thread, request);
        }
        if alignment > (M::Layout::cut(u64::MAX) >> 1) + 1 {
            return Err(Refusal::Invalid);
        }
        let alignment = alignment.max(M::Layout::SMALLEST_CHUNK.0);
        if self.is_checked() {
            return self.memalign_checked(thread, alignment, request);
        }
        if self.would_wrap(request.0, alignment) {
            return Err(Refusal::OutOfMemory);
        }
        let alignment = alignment.next_power_of_two();
        let size = self.asked(request);
        if size.is_none() && self.cx.release.refuses_early.memalign {
            return Err(Refusal::OutOfMemory);
        }
        self.meet(thread);
        if let Some(size) = size {
            self.ensure_tcache(thread, Wants::Aligned(size))?;
            if self.cx.release.tcache.serves_memalign
                && let Some(found) =
                    self.threads[thread].tcache.take_aligned(&mut self.cx, size, alignment)?
            {
                return Ok(self.served(found));
            }
        }
        let padding = alignment.wrapping_add(M::Layout::SMALLEST_CHUNK.0);
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
        Ok(self.served(found))
    }

    /// `aligned_alloc(alignment, request)`: in later releases the alignment must be a power of two.
    pub fn aligned_alloc(
        &mut self,
        thread: ThreadId,
        alignment: u64,
        request: Request,
    ) -> Result<Address, Refusal> {
        if self.cx.release.aligned_alloc_wants_powers && !M::Layout::cut(alignment).is_power_of_two() {
            return Err(Refusal::Invalid);
        }
        self.memalign(thread, alignment, request)
    }

    /// `posix_memalign(&to, alignment, request)`: the alignment must be a power of two and a
    /// multiple of a pointer's size.
    pub fn posix_memalign(
        &mut self,
        thread: ThreadId,
        alignment: u64,
        request: Request,
    ) -> Result<Address, Refusal> {
        let alignment = M::Layout::cut(alignment);
        if !alignment.is_power_of_two() || alignment < M::Layout::WORD {
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
        let request = M::Layout::cut(request.0);
        let padded = request.checked_add(page_size - 1).filter(|&sum| sum == M::Layout::cut(sum));
        let padded = padded.ok_or(Refusal::OutOfMemory)?;
        if self.would_wrap(request, 2 * page_size) {
            return Err(Refusal::OutOfMemory);
        }
        let mask = if self.cx.release.pvalloc_keeps_a_bit { page_size - 1 } else { page_size };
        let rounded = padded & mask.wrapping_neg();
        self.memalign(thread, page_size, Request(rounded))
    }

    /// Whether a request is so near the end of the address space that it goes round with what is added to
    /// it: where requests may be that large, this is looked at before anything else.
    fn would_wrap(&self, request: u64, added: u64) -> bool {
        let room = M::Layout::cut(u64::MAX) - M::Layout::SMALLEST_CHUNK.0 - added;
        self.cx.release.greatest_request != GreatestRequest::HalfAddressSpace && request > room
    }

    /// An aligned chunk from an arena, or from a mapping if there is no arena to be had (glibc:
    /// `_int_memalign`). No size is one too large.
    pub(crate) fn align_in(
        &mut self,
        thread: ThreadId,
        arena: Option<crate::arena::ArenaId>,
        alignment: u64,
        size: Option<ChunkSize>,
    ) -> Result<Option<Found>, Corruption> {
        let Some(size) = size else { return Ok(None) };
        if let Some(id) = arena
            && self.cx.release.memalign.searches_bins
        {
            let (cx, tcache, arena) = self.lend(thread, id);
            if let Some(found) = arena.find_aligned(cx, alignment, size)? {
                let chunk = arena.align(cx, tcache, found.chunk, alignment, size)?;
                return Ok(Some(Found { chunk, ..found }));
            }
        }
        // Enough for an aligned chunk wherever the padded one lands, with a chunk's room before it.
        if alignment > i64::MAX as u64 {
            return Ok(None);
        }
        let room = M::Layout::cut(u64::MAX) - alignment - M::Layout::SMALLEST_CHUNK.0;
        if self.cx.release.greatest_request != GreatestRequest::AddressSpace && size.bytes() > room {
            return Ok(None);
        }
        // With the greatest sizes the sum may wrap round until 2.26, and what is cut out of the padded chunk has a head that
        // leads out of it.
        let request = size.bytes().wrapping_add(alignment).wrapping_add(M::Layout::SMALLEST_CHUNK.0);
        let request = Request(M::Layout::cut(request));
        let Some(padded) = self.cx.size_for(request) else { return Ok(None) };
        let Some(id) = arena else {
            let Some(found) = mapping::take(&mut self.cx, padded) else { return Ok(None) };
            self.cx.perturb_allocated(found.chunk, request);
            let chunk = align_mapped(&mut self.cx, found.chunk, alignment);
            return Ok(Some(Found { chunk, ..found }));
        };
        let (cx, tcache, arena) = self.lend(thread, id);
        let Some(found) = arena.allocate(cx, tcache, request, padded)? else { return Ok(None) };
        let chunk = if found.chunk.head(&cx.memory).is_mapped() {
            align_mapped(cx, found.chunk, alignment)
        } else {
            arena.align(cx, tcache, found.chunk, alignment, size)?
        };
        Ok(Some(Found { chunk, ..found }))
    }
}

/// The first chunk with an aligned payload inside `chunk`, if that is not aligned itself, and how
/// far in it begins: far enough for a chunk before it.
fn aligned_inside<M: Words>(words: &M, chunk: Chunk, alignment: u64) -> Option<(Chunk, ChunkSize)> {
    if chunk.payload(words).is_aligned(alignment) {
        return None;
    }
    let mut aligned = Chunk::of(words, chunk.payload(words).align_up(alignment));
    if aligned.0 - chunk.0 < M::Layout::SMALLEST_CHUNK.0 {
        aligned = Chunk(aligned.0 + alignment);
    }
    Some((aligned, ChunkSize(aligned.0 - chunk.0)))
}

/// A chunk with a mapping of its own only notes how far into it it begins.
fn align_mapped<M: Memory, O: Observer>(cx: &mut Context<M, O>, chunk: Chunk, alignment: u64) -> Chunk {
    let lead = if cx.release.memalign.mapped_leads_are_chunks {
        aligned_inside(&cx.memory, chunk, alignment).map_or(0, |(_, lead)| lead.bytes())
    } else {
        chunk.payload(&cx.memory).align_up(alignment) - chunk.payload(&cx.memory)
    };
    if lead == 0 {
        return chunk;
    }
    let extent = Extent::of(cx, chunk);
    Extent { before: extent.before + lead, ..extent }.write(cx)
}

impl Arena {
    /// Takes a chunk from the small or large bins that has an aligned one of `size` inside, from the bin
    /// of that size up to that of twice the size: the first of a small bin, of a large one the one of
    /// which the least is left (glibc 2.38: the search in `_int_memalign`).
    fn find_aligned<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        alignment: u64,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        for number in bins::number(cx.geometry(), size)..bins::number(cx.geometry(), size + size) {
            let list = self.list(&cx.memory, number);
            let mut best: Option<(Chunk, u64)> = None;
            let mut chunk = list.first(&cx.memory);
            while chunk != list.sentinel {
                if cx.is_misaligned(chunk) {
                    return Err(Corruption::MemalignUnaligned);
                }
                let whole = chunk.size(&cx.memory);
                if number >= FIRST_LARGE && whole < size {
                    break;
                }
                let waste = waste_if_aligned(&cx.memory, chunk, whole, alignment, size);
                if let Some(waste) = waste.filter(|&waste| best.is_none_or(|(_, least)| waste <= least)) {
                    best = Some((chunk, waste));
                    if number < FIRST_LARGE {
                        break;
                    }
                }
                chunk = chunk.forward(&cx.memory);
            }
            let Some((chunk, _)) = best else { continue };
            let whole = chunk.size(&cx.memory);
            list::unlink(cx, chunk)?;
            self.hand_out_whole(cx, chunk, whole);
            return Ok(Some(Found { chunk, source: Source::Split(bins::narrow(number)) }));
        }
        Ok(None)
    }

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
        if let Some((aligned, lead)) = aligned_inside(&cx.memory, padded, alignment) {
            let rest = ChunkSize(M::Layout::cut(padded.size(&cx.memory).0.wrapping_sub(lead.0)));
            aligned.set_head(&mut cx.memory, Head::new(rest, PREVIOUS_IN_USE | self.flag));
            aligned.mark_in_use(&mut cx.memory, rest);
            padded.resize(&mut cx.memory, lead, self.flag);
            match cx.release.memalign.remainders {
                Remainders::Freed => {
                    self.release(cx, tcache, padded)?;
                    if rest < size {
                        return Err(Corruption::MemalignTooShort);
                    }
                }
                Remainders::Merged | Remainders::MergedChunks => self.merge(cx, padded, lead)?,
            }
            chunk = aligned;
        }
        self.cut_tail(cx, tcache, chunk, size)?;
        Ok(chunk)
    }

    /// Gives back what an aligned chunk has beyond `size`, where the release does.
    fn cut_tail<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        chunk: Chunk,
        size: ChunkSize,
    ) -> Result<(), Corruption> {
        let whole = chunk.size(&cx.memory);
        let rest = whole - size;
        let above = chunk.at(whole);
        let remainder = chunk.at(size);
        let is_cut = match cx.release.memalign.remainders {
            Remainders::Freed => whole.0 > M::Layout::cut(size.0.wrapping_add(M::Layout::SMALLEST_CHUNK.0)),
            Remainders::Merged => {
                whole > size
                    && (rest >= M::Layout::SMALLEST_CHUNK
                        || above == self.top
                        || !above.is_in_use(&cx.memory))
            }
            Remainders::MergedChunks => rest >= M::Layout::SMALLEST_CHUNK,
        };
        if !is_cut {
            return Ok(());
        }
        if cx.release.memalign.remainders == Remainders::Freed {
            remainder.set_head(&mut cx.memory, Head::new(whole - size, PREVIOUS_IN_USE | self.flag));
            chunk.resize(&mut cx.memory, size, 0);
            return self.release(cx, tcache, remainder);
        }
        chunk.resize(&mut cx.memory, size, 0);
        self.settle_freed(cx, remainder, rest, above)
    }
}

/// How much of a free chunk would be left over if an aligned one of `size` were cut out of it, or one
/// byte if nothing would; `None` if that cannot be (glibc 2.38: `chunk_ok_for_memalign`).
fn waste_if_aligned<M: Words>(
    words: &M,
    chunk: Chunk,
    whole: ChunkSize,
    alignment: u64,
    size: ChunkSize,
) -> Option<u64> {
    let payload = chunk.payload(words);
    let lead = ChunkSize(payload.align_up(alignment) - payload);
    if lead.bytes() > 0 && lead < M::Layout::SMALLEST_CHUNK {
        return None;
    }
    if whole == size && lead.bytes() == 0 {
        return Some(1);
    }
    (whole > size + lead).then(|| (whole - size).bytes())
}
