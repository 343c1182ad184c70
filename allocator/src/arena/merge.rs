//! A freed chunk joins its free neighbours; the fastbins are consolidated.

use crate::address::ChunkSize;
use crate::arena::{Arena, segment};
use crate::bins::{fast, tcache::Tcache};
use crate::chunk::{Chunk, Head, PREVIOUS_IN_USE};
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::layout::Layout;
use crate::list;
use crate::memory::{Memory, Words};
use crate::observe::{Event, Observer};

/// A freed chunk that has grown to this size is worth a look at the top chunk: glibc's
/// `FASTBIN_CONSOLIDATION_THRESHOLD`.
const WORTH_TRIMMING: ChunkSize = ChunkSize(65536);

/// Whether a chunk and its size can be real, for a release that looks at both at once (glibc:
/// `_int_free_check`).
#[inline]
pub(crate) fn check_freed<M: Words, O>(
    cx: &Context<M, O>,
    chunk: Chunk,
    size: ChunkSize,
) -> Result<(), Corruption> {
    if chunk.0.0 > M::Layout::cut(size.0.wrapping_neg()) || cx.is_misaligned(chunk) {
        return Err(Corruption::FreePointer);
    }
    if size < M::Layout::SMALLEST_CHUNK || size.0 & (cx.alignment() - 1) != 0 {
        return Err(Corruption::FreeSize);
    }
    Ok(())
}

impl Arena {
    /// Frees a chunk of the allocator's own making: a remainder, an old block, what lies below a
    /// fencepost (glibc: `_int_free` with the lock held, `_int_free_chunk`). In most releases even that
    /// goes to the tcache first.
    pub(crate) fn release<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        chunk: Chunk,
    ) -> Result<(), Corruption> {
        let released = self.release_own(cx, tcache, chunk);
        released.map_err(|broken| {
            let at = cx.blamed.unwrap_or(chunk.payload(&cx.memory));
            cx.blame(at, broken)
        })
    }

    #[inline]
    fn release_own<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        chunk: Chunk,
    ) -> Result<(), Corruption> {
        let size = chunk.size(&cx.memory);
        if cx.release.own_frees_are_cached {
            check_freed(cx, chunk, size)?;
            if tcache.accept(cx, chunk, size)? {
                return Ok(());
            }
        }
        if size.0 <= cx.parameters.greatest_fast {
            let entry = self.put_fast(cx, chunk, size)?;
            return Arena::check_fast_entry(cx, entry, size);
        }
        self.merge(cx, chunk, size)
    }

    /// Frees a chunk that the tcache did not take.
    #[inline]
    pub(crate) fn release_uncached<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
    ) -> Result<(), Corruption> {
        if size.0 <= cx.parameters.greatest_fast {
            self.put_fast(cx, chunk, size)?;
            return Ok(());
        }
        self.merge(cx, chunk, size)
    }

    /// Merges a freed chunk with its free neighbours, and gives memory back if much is free (glibc:
    /// `_int_free_merge_chunk`).
    pub(crate) fn merge<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
    ) -> Result<(), Corruption> {
        let above = chunk.at(size);
        if chunk == self.top {
            return Err(Corruption::FreeTop);
        }
        if self.contiguous && above.0 >= self.top.above(&cx.memory).0 {
            return Err(Corruption::FreeBeyondTop);
        }
        let head_above = above.head(&cx.memory);
        if !head_above.previous_in_use() {
            return Err(Corruption::FreeNotInUse);
        }
        if head_above.0 <= M::Layout::HEADER || head_above.size().0 >= self.system_bytes {
            return Err(Corruption::FreeNextSize);
        }
        cx.perturb_freed(chunk, size);
        let (chunk, size) = self.join_below(cx, chunk, size, Corruption::FootInFree)?;
        self.settle_freed(cx, chunk, size, above)
    }

    /// Puts a free chunk that borders no free chunk below where it belongs, and gives memory back if
    /// much is free (glibc: `_int_free_create_chunk`, `_int_free_maybe_consolidate`).
    #[inline]
    pub(crate) fn settle_freed<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
        above: Chunk,
    ) -> Result<(), Corruption> {
        let skips_unsorted = cx.release.small_frees_skip_unsorted;
        let merged = self.settle(cx, chunk, size, above, skips_unsorted)?;
        if merged >= WORTH_TRIMMING { self.give_back(cx) } else { Ok(()) }
    }

    /// Merges a chunk that counted as in use with its free neighbours, and gives nothing back.
    pub(crate) fn merge_alone<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
    ) -> Result<(), Corruption> {
        let above = chunk.at(size);
        let (merged, size) = self.join_below(cx, chunk, size, Corruption::FootInConsolidate)?;
        // glibc does not look at the unsorted bin's links here.
        self.settle(cx, merged, size, above, false)?;
        Ok(())
    }

    /// Joins a chunk that is no longer in use with the one below, if that is free; `broken` is what to
    /// say if that is not as long as its foot tells.
    #[inline]
    fn join_below<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        mut chunk: Chunk,
        mut size: ChunkSize,
        broken: Corruption,
    ) -> Result<(Chunk, ChunkSize), Corruption> {
        if !chunk.head(&cx.memory).previous_in_use() {
            let size_below = chunk.previous_size(&cx.memory);
            let below = chunk.below(&cx.memory);
            if cx.release.checks.merged_foot && below.size(&cx.memory) != size_below {
                return Err(broken);
            }
            list::unlink(cx, below)?;
            cx.tell(Event::Merged { kept: below, gone: chunk });
            chunk = below;
            size = size + size_below;
        }
        Ok((chunk, size))
    }

    /// Joins a free chunk with the one above, if that is free. The result goes to the unsorted bin, or
    /// if it is small perhaps to its own, or becomes part of the top chunk if it borders that. Returns
    /// its size.
    #[inline]
    fn settle<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        mut size: ChunkSize,
        above: Chunk,
        small_skip_unsorted: bool,
    ) -> Result<ChunkSize, Corruption> {
        let size_above = above.size(&cx.memory);
        if above == self.top {
            size = size + size_above;
            chunk.set_head(&mut cx.memory, Head::new(size, PREVIOUS_IN_USE));
            self.top = chunk;
            cx.tell(Event::Merged { kept: chunk, gone: above });
            return Ok(size);
        }
        if above.at(size_above).head(&cx.memory).previous_in_use() {
            above.mark_previous_free(&mut cx.memory);
        } else {
            list::unlink(cx, above)?;
            cx.tell(Event::Merged { kept: chunk, gone: above });
            size = size + size_above;
        }
        if small_skip_unsorted && !cx.geometry().is_large(size) {
            self.put_small(cx, chunk, size)?;
        } else {
            self.put_unsorted(cx, chunk, size, Corruption::UnsortedInFree)?;
        }
        Ok(size)
    }

    /// After a large merge: consolidates what lies in fastbins, then trims the top chunk if it has
    /// grown past the threshold.
    #[cold]
    fn give_back<M: Memory, O: Observer>(&mut self, cx: &mut Context<M, O>) -> Result<(), Corruption> {
        if self.fast.may_hold {
            self.consolidate(cx)?;
        }
        let pad = cx.parameters.top_pad;
        if !self.is_main() {
            // Always worth a try: the top chunk's segment might go away altogether.
            segment::trim(self, cx, pad)?;
        } else if self.top.size(&cx.memory).0 >= cx.parameters.trim_threshold {
            self.trim_break(cx, pad);
        }
        Ok(())
    }

    /// Empties the fastbins, merging every chunk with its neighbours (glibc: `malloc_consolidate`).
    pub(crate) fn consolidate<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
    ) -> Result<(), Corruption> {
        if !cx.release.has_fastbins {
            return Ok(());
        }
        self.fast.may_hold = false;
        for number in 0..cx.geometry().fast_stacks() {
            self.let_arrive(cx)?;
            let mut chunk = self.fast.empty(number);
            while chunk != Chunk::NONE {
                if cx.release.checks.links_aligned && cx.is_misaligned(chunk) {
                    return Err(Corruption::FastUnalignedInConsolidate);
                }
                let size = chunk.size(&cx.memory);
                if cx.release.checks.fast_size_when_consolidated && cx.geometry().fast_number(size) != number
                {
                    return Err(Corruption::FastSizeInConsolidate);
                }
                let next = fast::next(cx, chunk);
                self.merge_alone(cx, chunk, size)?;
                chunk = next;
            }
        }
        cx.tell(Event::Consolidated { arena: self.id() });
        Ok(())
    }
}
