//! The main arena lives on the program break: it grows, meets foreign memory, and is trimmed.

use crate::address::{Address, ChunkSize, align_down, align_up};
use crate::arena::{Arena, first_chunk_from};
use crate::bins::tcache::Tcache;
use crate::chunk::{Chunk, Head, PREVIOUS_IN_USE};
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::layout::Layout;
use crate::memory::Memory;
use crate::observe::{Event, Observer};
use crate::release::BreakFallback;

/// New memory for the main arena: where it begins, where it ends, and whether it may border the
/// old top chunk.
struct Grant {
    start: Address,
    length: u64,
    from_break: bool,
}

/// What a mapping in place of the break is made of.
#[derive(Clone, Copy)]
enum Pages {
    /// Of the kernel's pool.
    Huge,
    Ordinary,
}

impl Pages {
    fn fallback<M, O>(self, cx: &Context<M, O>) -> BreakFallback {
        let page = cx.parameters.huge.page;
        match self {
            Pages::Huge => BreakFallback { rounded_to: page, at_least: page, ..cx.release.break_fallback },
            Pages::Ordinary => cx.release.break_fallback,
        }
    }
}

impl Arena {
    /// Makes the main arena's top chunk large enough for a request, if the kernel will (the part
    /// of glibc's `sysmalloc` that is for the main arena).
    pub(crate) fn extend_break<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        size: ChunkSize,
    ) -> Result<(), Corruption> {
        let old_top = self.top;
        let old_size = old_top.size(&cx.memory);
        let Some(grant) = self.ask_for(cx, size, old_size) else { return Ok(()) };
        cx.parameters.heap_start.get_or_insert(grant.start);
        self.grant(grant.length);
        if grant.from_break && grant.start == old_top.at(old_size).0 {
            old_top.set_head(&mut cx.memory, Head::new(old_size + ChunkSize(grant.length), PREVIOUS_IN_USE));
        } else if self.contiguous && old_size.0 != 0 && grant.start < old_top.at(old_size).0 {
            return Err(cx.blame(grant.start, Corruption::BreakBelowTop));
        } else {
            self.begin_anew(cx, tcache, &grant, old_top, old_size)?;
        }
        cx.tell(Event::TopGrew { arena: self.id(), by: grant.length });
        Ok(())
    }

    /// Moves the break up; where that cannot be, maps memory instead, and never counts on the
    /// break again.
    fn ask_for<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        size: ChunkSize,
        old_size: ChunkSize,
    ) -> Option<Grant> {
        let mut wanted = size.0.wrapping_add(cx.parameters.top_pad).wrapping_add(M::Layout::SMALLEST_CHUNK.0);
        if self.contiguous {
            wanted = wanted.wrapping_sub(old_size.0);
        }
        let huge = cx.parameters.huge;
        let wanted = match huge.transparent {
            0 => align_up(wanted, cx.memory.page_size()),
            // The break shall end with a huge page, wherever it began. Where nobody has asked yet,
            // some releases take it for 0.
            page => {
                let asks = cx.release.huge_pages.ask_for_break || cx.parameters.break_is_known;
                let now = asks.then(|| cx.move_break(0)).flatten().unwrap_or_default();
                Address(now.0.wrapping_add(wanted)).align_up(page).0.wrapping_sub(now.0)
            }
        };
        let wanted = M::Layout::cut(wanted);
        if M::Layout::signed(wanted) > 0
            && !huge.avoids_break
            && let Some(start) = cx.move_break(wanted as i64)
        {
            cx.recommend_huge(start, wanted);
            return Some(Grant { start, length: wanted, from_break: true });
        }
        if huge.page != 0
            && let Some(grant) = self.map_instead(cx, wanted, size, old_size, Pages::Huge)
        {
            return Some(grant);
        }
        self.map_instead(cx, wanted, size, old_size, Pages::Ordinary)
    }

    /// Maps memory in place of the break (glibc: `sysmalloc_mmap_fallback`).
    fn map_instead<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        wanted: u64,
        size: ChunkSize,
        old_size: ChunkSize,
        pages: Pages,
    ) -> Option<Grant> {
        let fallback = pages.fallback(cx);
        // The old top chunk cannot be part of it, so its size is wanted again.
        let whole = if !fallback.counts_old_top {
            let alone = size.0.wrapping_add(cx.parameters.top_pad).wrapping_add(M::Layout::SMALLEST_CHUNK.0);
            align_up(alone, fallback.rounded_to)
        } else if self.contiguous {
            align_up(wanted.wrapping_add(old_size.0), fallback.rounded_to)
        } else {
            wanted
        };
        let length = M::Layout::cut(whole).max(fallback.at_least);
        if length <= size.0 {
            return None;
        }
        let start = match pages {
            Pages::Huge => cx.map_huge(length)?,
            Pages::Ordinary => cx.map_to_use(length)?,
        };
        self.contiguous = false;
        Some(Grant { start, length, from_break: false })
    }

    /// The new memory does not border the old top chunk: this is the first time, or somebody else
    /// has moved the break, or the memory is a mapping. Begins a new top chunk there.
    fn begin_anew<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        grant: &Grant,
        old_top: Chunk,
        old_size: ChunkSize,
    ) -> Result<(), Corruption> {
        let mut start = grant.start;
        let mut end = start + grant.length;
        if self.contiguous {
            if old_size.0 != 0 {
                // What others took in between is counted as ours.
                self.grant(start - old_top.at(old_size).0);
            }
            start = first_chunk_from(cx, start).0;
            let skipped = start - grant.start;
            end = self.complete_page(cx, end, skipped + old_size.0);
        } else {
            // What is aligned where it should be is asserted if headers are as long as the alignment.
            if cx.geometry().lead() == 0 && grant.from_break && !start.is_aligned(cx.alignment()) {
                return Err(Corruption::BreakMisaligned);
            }
            start = first_chunk_from(cx, start).0;
            if grant.from_break {
                end = cx.move_break(0).unwrap_or(end);
            }
        }
        self.top = Chunk(start);
        self.top.set_head(&mut cx.memory, Head::new(ChunkSize(end - start), PREVIOUS_IN_USE));
        if old_size.0 != 0 { self.fence_off_break(cx, tcache, old_top, old_size) } else { Ok(()) }
    }

    /// Moves the break once more, by `missing` bytes and up to a page boundary, so that later moves
    /// keep to pages. Returns where the memory ends.
    fn complete_page<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        end: Address,
        missing: u64,
    ) -> Address {
        let page_size = cx.memory.page_size();
        let correction = (end + missing).align_up(page_size) - end;
        match cx.move_break(correction as i64) {
            // If it worked, nothing has come in between.
            Some(at) => {
                cx.recommend_huge(at, correction);
                self.grant(correction);
                at + correction
            }
            None => cx.move_break(0).unwrap_or(end),
        }
    }

    /// Ends the old top chunk with two fenceposts, so that it never merges with what is not ours,
    /// and frees the rest of it.
    fn fence_off_break<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        old_top: Chunk,
        old_size: ChunkSize,
    ) -> Result<(), Corruption> {
        let fence = ChunkSize(M::Layout::HEADER);
        let rest = ChunkSize(align_down((old_size - fence - fence).0, cx.alignment()));
        old_top.set_head(&mut cx.memory, Head::new(rest, PREVIOUS_IN_USE));
        old_top.at(rest).set_head(&mut cx.memory, Head::new(fence, PREVIOUS_IN_USE));
        old_top.at(rest + fence).set_head(&mut cx.memory, Head::new(fence, PREVIOUS_IN_USE));
        if rest < M::Layout::SMALLEST_CHUNK { Ok(()) } else { self.release(cx, tcache, old_top) }
    }

    /// Moves the break down over whole pages of the top chunk, huge ones if those are wanted, and leaves `pad` bytes of it (glibc:
    /// `systrim`). Returns whether anything was given back.
    pub(crate) fn trim_break<M: Memory, O: Observer>(&mut self, cx: &mut Context<M, O>, pad: u64) -> bool {
        let top_size = self.top.size(&cx.memory);
        let spare = M::Layout::cut((top_size - M::Layout::SMALLEST_CHUNK).0.wrapping_sub(1));
        // glibc's spare is signed, but the comparison with the pad is not.
        if spare <= pad {
            return false;
        }
        let extra = align_down(spare - pad, cx.parameters.huge.transparent.max(cx.memory.page_size()));
        if extra == 0 || cx.parameters.huge.avoids_break {
            return false;
        }
        // Only if the memory still ends where this arena does.
        let end = self.top.at(top_size).0;
        if cx.move_break(0) != Some(end) {
            return false;
        }
        cx.move_break((extra as i64).wrapping_neg());
        let released = cx.move_break(0).map_or(0, |now| end - now);
        if released == 0 {
            return false;
        }
        self.grant(released.wrapping_neg());
        self.top.set_head(&mut cx.memory, Head::new(top_size - ChunkSize(released), PREVIOUS_IN_USE));
        cx.tell(Event::TopShrank { arena: self.id(), by: released });
        true
    }
}
