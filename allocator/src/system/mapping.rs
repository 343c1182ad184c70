//! Chunks with a mapping of their own, and the threshold that moves.
//!
//! Such a chunk has no neighbours. Its first word, a foot elsewhere, is how far into the mapping
//! the chunk begins: not at its start if the program asked for a great alignment.

use crate::address::{ChunkSize, WORD, align_up};
use crate::chunk::{Chunk, HEADER, Head, MAPPED};
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::memory::Memory;
use crate::observe::{Event, Found, Observer, Source};
use crate::tunables::GREATEST_DYNAMIC_THRESHOLD;

/// Serves a request with a mapping of its own (glibc: `sysmalloc_mmap`).
pub(crate) fn take<M: Memory, O: Observer>(cx: &mut Context<M, O>, size: ChunkSize) -> Option<Found> {
    // A word more than elsewhere: there is no chunk above to borrow one from.
    let length = align_up(size.0.wrapping_add(WORD), cx.memory.page_size());
    if length <= size.0 {
        return None;
    }
    let chunk = Chunk(cx.map_to_use(length)?);
    chunk.set_previous_size(&mut cx.memory, ChunkSize(0));
    chunk.set_head(&mut cx.memory, Head::new(ChunkSize(length), MAPPED));
    cx.parameters.note_mapped(length);
    Some(Found { chunk, source: Source::Mapped })
}

/// Frees a chunk with a mapping of its own; one that large will not be mapped again, unless the
/// thresholds were set by hand (glibc: the mapped branch of `free`).
pub(crate) fn release<M: Memory, O: Observer>(
    cx: &mut Context<M, O>,
    chunk: Chunk,
    head: Head,
) -> Result<(), Corruption> {
    let parameters = &mut cx.parameters;
    if parameters.thresholds_are_dynamic
        && head.0 > parameters.mmap_threshold
        && head.0 <= GREATEST_DYNAMIC_THRESHOLD
    {
        let to = head.size().0;
        parameters.mmap_threshold = to;
        parameters.trim_threshold = 2 * to;
        cx.tell(Event::ThresholdMoved { to });
    }
    unmap(cx, chunk)
}

/// Unmaps a chunk's mapping (glibc: `munmap_chunk`).
pub(crate) fn unmap<M: Memory, O: Observer>(cx: &mut Context<M, O>, chunk: Chunk) -> Result<(), Corruption> {
    let (before, length) = extent(cx, chunk, Corruption::UnmapPointer)?;
    cx.parameters.note_unmapped(length);
    cx.unmap(chunk.0 - before, length);
    Ok(())
}

/// Gives a chunk's mapping another length so that `size` fits; it may move (glibc: `mremap_chunk`).
pub(crate) fn resize<M: Memory, O: Observer>(
    cx: &mut Context<M, O>,
    chunk: Chunk,
    size: ChunkSize,
) -> Result<Option<Chunk>, Corruption> {
    let (before, length) = extent(cx, chunk, Corruption::RemapPointer)?;
    let wanted = align_up(size.0.wrapping_add(before + WORD), cx.memory.page_size());
    if wanted == length {
        return Ok(Some(chunk));
    }
    let Some(now) = cx.remap(chunk.0 - before, length, wanted) else { return Ok(None) };
    let moved = Chunk(now + before);
    moved.set_head(&mut cx.memory, Head::new(ChunkSize(wanted - before), MAPPED));
    cx.parameters.note_remapped(length, wanted);
    Ok(Some(moved))
}

/// How far into its mapping a chunk begins, and the mapping's length.
fn extent<M: Memory, O: Observer>(
    cx: &Context<M, O>,
    chunk: Chunk,
    broken: Corruption,
) -> Result<(u64, u64), Corruption> {
    let page_size = cx.memory.page_size();
    let before = chunk.previous_size(&cx.memory).0;
    let length = before.wrapping_add(chunk.size(&cx.memory).0);
    let start = chunk.0 - before;
    let offset_in_page = (chunk.0 + HEADER).0 & (page_size - 1);
    // A payload lies 16 bytes into a page, or where a power of two has put it.
    let is_plausible = offset_in_page == 0 || offset_in_page.is_power_of_two();
    if (start.0 | length) & (page_size - 1) != 0 || !is_plausible {
        return Err(broken);
    }
    Ok((before, length))
}
