//! Chunks with a mapping of their own, and the threshold that moves.
//!
//! Such a chunk has no neighbours. Its first word, a foot elsewhere, is how far into the mapping
//! the chunk begins: not at its start if the program asked for a great alignment, or where payloads have
//! a greater alignment than headers are long.

use crate::address::{Address, ChunkSize, align_up};
use crate::bins::Bin;
use crate::chunk::{Chunk, Head, MAPPED};
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::layout::Layout;
use crate::memory::{Memory, Words};
use crate::observe::{Event, Found, Observer, Source};
use crate::release::MappedHead;

/// In the first word of a chunk that has a mapping of the kernel's pool of huge pages, where heads
/// count like others' (glibc: `MMAP_HP`); how far into the mapping it begins is a multiple of more.
const IN_HUGE_PAGES: u64 = 1;

/// Serves a request with a mapping of its own: of huge pages, if they are wanted and it is as long as
/// one.
pub(crate) fn take<M: Memory, O: Observer>(cx: &mut Context<M, O>, size: ChunkSize) -> Option<Found> {
    let page = cx.parameters.huge.page;
    if page != 0
        && size.0 >= page
        && let Some(found) = take_in(cx, size, Pages { size: page, are_huge: true })
    {
        return Some(found);
    }
    take_ordinary(cx, size)
}

/// Serves a request with a mapping of its own of ordinary pages (glibc: `sysmalloc_mmap`).
pub(crate) fn take_ordinary<M: Memory, O: Observer>(
    cx: &mut Context<M, O>,
    size: ChunkSize,
) -> Option<Found> {
    let size_of_page = cx.memory.page_size();
    take_in(cx, size, Pages { size: size_of_page, are_huge: false })
}

/// What a mapping is made of.
#[derive(Clone, Copy)]
struct Pages {
    size: u64,
    /// Whether they are of the kernel's pool.
    are_huge: bool,
}

fn take_in<M: Memory, O: Observer>(cx: &mut Context<M, O>, size: ChunkSize, pages: Pages) -> Option<Found> {
    let before = cx.geometry().lead();
    let length =
        M::Layout::cut(align_up(size.0.wrapping_add(overhead(cx) + room_for(cx, before)), pages.size));
    if length <= size.0 {
        return None;
    }
    let mapping = if pages.are_huge { cx.map_huge(length)? } else { cx.map_to_use(length)? };
    let chunk = Extent { mapping, before, length, in_huge_pages: pages.are_huge }.write(cx);
    cx.parameters.note_mapped(length);
    Some(Found { chunk, source: Source::Mapped })
}

/// Bytes a mapping is longer than the chunk in it must be: there is no chunk above to borrow a word
/// from.
fn overhead<M: Words, O>(cx: &Context<M, O>) -> u64 {
    match cx.release.mapped_head {
        MappedHead::ToTheEnd => M::Layout::WORD,
        MappedHead::LikeOthers => M::Layout::HEADER,
    }
}

/// Bytes a mapping is longer still so that a chunk can begin `before` bytes into it: some releases do not
/// look how many these are.
fn room_for<M: Words, O>(cx: &Context<M, O>, before: u64) -> u64 {
    match cx.release.mapped_head {
        MappedHead::ToTheEnd if before != 0 => cx.alignment() - 1,
        _ => before,
    }
}

/// Bytes of a mapping that its chunk's head does not count.
fn unseen<M: Words, O>(cx: &Context<M, O>) -> u64 {
    match cx.release.mapped_head {
        MappedHead::ToTheEnd => 0,
        MappedHead::LikeOthers => M::Layout::HEADER,
    }
}

/// Frees a chunk with a mapping of its own; one that large will not be mapped again, unless the
/// thresholds were set by hand (glibc: the mapped branch of `free`).
pub(crate) fn release<M: Memory, O: Observer>(
    cx: &mut Context<M, O>,
    chunk: Chunk,
    head: Head,
) -> Result<(), Corruption> {
    cx.tell(Event::Released { chunk, size: head.size(), into: Bin::Mapped });
    let greatest = cx.geometry().greatest_dynamic_threshold();
    let parameters = &mut cx.parameters;
    if parameters.thresholds_are_dynamic && head.0 > parameters.mmap_threshold && head.0 <= greatest {
        let to = head.size().0;
        parameters.mmap_threshold = to;
        parameters.trim_threshold = 2 * to;
        cx.tell(Event::ThresholdMoved { to });
    }
    unmap(cx, chunk)
}

/// Unmaps a chunk's mapping (glibc: `munmap_chunk`).
pub(crate) fn unmap<M: Memory, O: Observer>(cx: &mut Context<M, O>, chunk: Chunk) -> Result<(), Corruption> {
    let Extent { mapping, length, .. } = Extent::checked(cx, chunk, Corruption::UnmapPointer)?;
    cx.parameters.note_unmapped(length);
    cx.unmap(mapping, length);
    Ok(())
}

/// Gives a chunk's mapping another length so that `size` fits; it may move (glibc: `mremap_chunk`).
pub(crate) fn resize<M: Memory, O: Observer>(
    cx: &mut Context<M, O>,
    chunk: Chunk,
    size: ChunkSize,
) -> Result<Option<Chunk>, Corruption> {
    let extent = if cx.release.checks.mapped_place {
        Extent::checked(cx, chunk, Corruption::RemapPointer)?
    } else {
        Extent::asserted(cx, chunk)?
    };
    let Extent { mapping, before, length, .. } = extent;
    let wanted = align_up(size.0.wrapping_add(before + overhead(cx)), extent.page_size(cx));
    if wanted == length {
        return Ok(Some(chunk));
    }
    let Some(now) = cx.remap(mapping, length, wanted) else { return Ok(None) };
    let is_recommended =
        cx.release.huge_pages.keep_recommendations && length >= cx.parameters.huge.transparent;
    if !is_recommended {
        cx.recommend_huge(now, wanted);
    }
    // Where the head does not count the whole mapping, neither does glibc here.
    cx.parameters.note_remapped(length - unseen(cx), wanted);
    Ok(Some(Extent { mapping: now, length: wanted, ..extent }.write(cx)))
}

/// The mapping a chunk lies in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Where it begins.
    pub(crate) mapping: Address,
    /// How far into it the chunk begins.
    pub(crate) before: u64,
    /// Its length.
    pub(crate) length: u64,
    /// Whether it is known to be of the kernel's pool of huge pages.
    pub(crate) in_huge_pages: bool,
}

impl Extent {
    /// Writes the chunk's head (glibc: `mmap_set_chunk`).
    pub(crate) fn write<M: Memory, O>(self, cx: &mut Context<M, O>) -> Chunk {
        let Extent { mapping, before, length, in_huge_pages } = self;
        let chunk = Chunk(mapping + before);
        let marks = in_huge_pages && cx.release.mapped_head == MappedHead::LikeOthers;
        let not_counted = unseen(cx);
        chunk.set_previous_size(&mut cx.memory, ChunkSize(before | if marks { IN_HUGE_PAGES } else { 0 }));
        chunk.set_head(&mut cx.memory, Head::new(ChunkSize(length - before - not_counted), MAPPED));
        chunk
    }

    /// Bytes of the mapping's pages, as far as malloc knows.
    fn page_size<M: Memory, O>(self, cx: &Context<M, O>) -> u64 {
        if self.in_huge_pages { cx.parameters.huge.page } else { cx.memory.page_size() }
    }

    /// What a chunk and its head say.
    pub(crate) fn of<M: Memory, O: Observer>(cx: &Context<M, O>, chunk: Chunk) -> Extent {
        let word = chunk.previous_size(&cx.memory).0;
        let marks = cx.release.mapped_head == MappedHead::LikeOthers;
        let in_huge_pages = marks && word & IN_HUGE_PAGES != 0;
        let before = if in_huge_pages { word & !IN_HUGE_PAGES } else { word };
        let length = before.wrapping_add(chunk.size(&cx.memory).0).wrapping_add(unseen(cx));
        Extent { mapping: chunk.0 - before, before, length, in_huge_pages }
    }

    /// What a chunk and its head say, if that can be; `broken` is what to say if not.
    fn checked<M: Memory, O: Observer>(
        cx: &Context<M, O>,
        chunk: Chunk,
        broken: Corruption,
    ) -> Result<Extent, Corruption> {
        let extent = Extent::of(cx, chunk);
        let page_size = cx.memory.page_size();
        let offset_in_page = (chunk.0 + M::Layout::HEADER).0 & (page_size - 1);
        // A payload lies 16 bytes into a page, or 8, or where a power of two has put it.
        let looks = cx.release.checks.mapped_place;
        let is_plausible = !looks || offset_in_page == 0 || offset_in_page.is_power_of_two();
        if (extent.mapping.0 | extent.length) & (page_size - 1) != 0 || !is_plausible {
            return Err(broken);
        }
        Ok(extent)
    }

    /// What a chunk and its head say, where only the length is looked at.
    fn asserted<M: Memory, O: Observer>(cx: &Context<M, O>, chunk: Chunk) -> Result<Extent, Corruption> {
        let extent = Extent::of(cx, chunk);
        let is_whole = extent.length & (cx.memory.page_size() - 1) == 0;
        if is_whole { Ok(extent) } else { Err(Corruption::RemapAssertion) }
    }
}
