//! The aligned mappings a secondary arena is made of: they grow, shrink, and vanish.
//!
//! ```text
//!   ┌──────────────┬ first only ───┬──────────────────────┬───────────┬──────────────────────────┐
//!   │ heap_info    │ malloc_state  │ chunks …             │ top chunk │ addresses without memory │
//!   └──────────────┴───────────────┴──────────────────────┴───────────┴──────────────────────────┘
//!   ▲ a multiple of 64 MiB                                            ▲ size                     ▲ 64 MiB
//! ```
//!
//! Because every segment begins at a multiple of its greatest size, the segment of a chunk, and
//! with it the arena, is found from the chunk's address alone.

use crate::address::{Address, ChunkSize, align_down, align_up};
use crate::arena::{Arena, first_chunk_from};
use crate::bins::tcache::Tcache;
use crate::chunk::{Chunk, FOREIGN, Head, PREVIOUS_IN_USE};
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::huge_pages::Huge;
use crate::layout::Layout;
use crate::list;
use crate::memory::{Access, Mapping, Memory, Words};
use crate::observe::{Event, Observer};
use crate::parameters::Parameters;
use crate::release::Release;

// The words of its head.
const STATE: u64 = 0;
const PREVIOUS: u64 = 1;
const SIZE: u64 = 2;
const ACCESSIBLE: u64 = 3;
const PAGE_SIZE: u64 = 4;

/// The least length of a segment without huge pages: glibc's `HEAP_MIN_SIZE`.
pub(crate) const SHORTEST: u64 = 32 << 10;
/// One mapping of a secondary arena: glibc's `heap_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment(pub(crate) Address);

impl Segment {
    /// No segment.
    pub(crate) const NONE: Segment = Segment(Address::NULL);

    /// The segment a chunk of a secondary arena lies in (glibc: `heap_for_ptr`).
    #[inline]
    pub(crate) fn of(chunk: Chunk, parameters: &Parameters) -> Segment {
        Segment(chunk.0.align_down(parameters.huge.longest_segment))
    }

    #[inline(always)]
    fn word<W: Words>(self, words: &W, number: u64) -> u64 {
        words.load_nth(self.0, number)
    }

    #[inline(always)]
    fn set_word<W: Words>(self, words: &mut W, number: u64, word: u64) {
        words.store_nth(self.0, number, word);
    }

    /// Where its arena's `malloc_state` lies.
    #[inline]
    pub(crate) fn state(self, words: &impl Words) -> Address {
        Address(self.word(words, STATE))
    }

    /// The segment that came before it in its arena; [`Segment::NONE`] of the first.
    pub(crate) fn previous(self, words: &impl Words) -> Segment {
        Segment(Address(self.word(words, PREVIOUS)))
    }

    /// Bytes in use of its length.
    pub(crate) fn size(self, words: &impl Words) -> u64 {
        self.word(words, SIZE)
    }

    /// Bytes of its pages, which it grows and shrinks by. It knows, where there can be several kinds.
    fn page_size<M: Memory, O>(self, cx: &Context<M, O>) -> u64 {
        if has_page_size(&cx.release) { self.word(&cx.memory, PAGE_SIZE) } else { cx.memory.page_size() }
    }

    /// Bytes that have ever been made accessible; no less than its size.
    pub(crate) fn accessible(self, words: &impl Words) -> u64 {
        self.word(words, ACCESSIBLE)
    }

    /// Tells the segment which arena it belongs to, and which segment came before it there.
    pub(crate) fn adopt(self, words: &mut impl Words, state: Address, previous: Option<Segment>) {
        self.set_word(words, STATE, state.0);
        self.set_word(words, PREVIOUS, previous.map_or(0, |segment| segment.0.0));
    }

    /// Has this length, of which so much has been made accessible; its pages are ordinary ones.
    pub(crate) fn resume<M: Memory, O>(self, cx: &mut Context<M, O>, length: u64, accessible: u64) {
        self.set_word(&mut cx.memory, SIZE, length);
        self.set_word(&mut cx.memory, ACCESSIBLE, accessible.max(length));
        if has_page_size(&cx.release) {
            let page = cx.memory.page_size();
            self.set_word(&mut cx.memory, PAGE_SIZE, page);
        }
    }

    /// The lowest chunk of a segment that is not its arena's first.
    fn first_chunk<M, O>(self, cx: &Context<M, O>) -> Chunk {
        Chunk(self.0 + cx.release.heap_info())
    }

    /// The lowest chunk of any segment: in its arena's first, the arena's state lies below it.
    pub(crate) fn lowest_chunk<M: Words, O>(self, cx: &Context<M, O>) -> Chunk {
        let state = self.state(&cx.memory);
        let above_state = first_chunk_from(cx, state + cx.release.malloc_state().size);
        let is_first = Segment::of(above_state, &cx.parameters) == self;
        if is_first { above_state } else { self.first_chunk(cx) }
    }
}

impl Arena {
    /// The segments, the latest first; the main arena has none.
    pub(crate) fn segments<M: Memory, O: Observer>(
        &self,
        cx: &Context<M, O>,
    ) -> impl Iterator<Item = Segment> {
        let latest = (!self.is_main()).then(|| Segment::of(self.top, &cx.parameters));
        let before = |segment: &Segment| Some(segment.previous(&cx.memory)).filter(|&it| it != Segment::NONE);
        core::iter::successors(latest, before)
    }
}

/// Whether a segment's head has room for the size of its pages.
fn has_page_size(release: &Release) -> bool {
    release.heap_info_words > PAGE_SIZE
}

/// What a segment is made of.
#[derive(Clone, Copy)]
struct Pages {
    /// Bytes of one: its length is a multiple of it.
    size: u64,
    /// The mapping's own kind: bytes of a page of the kernel's pool, or 0.
    huge: u64,
    no_reserve: bool,
}

/// Maps a segment with room for `size` bytes and some to spare, in huge pages if they are wanted
/// and to be had (glibc: `new_heap`).
pub(crate) fn make<M: Memory, O: Observer>(cx: &mut Context<M, O>, size: u64) -> Option<Segment> {
    let huge = cx.parameters.huge;
    if huge.segment_page != 0 {
        let pages = Pages { size: huge.segment_page, huge: huge.page, no_reserve: false };
        if let Some(segment) = make_of(cx, size, pages) {
            return Some(segment);
        }
    }
    let no_reserve = cx.release.segments_reserve_no_swap;
    make_of(cx, size, Pages { size: cx.memory.page_size(), huge: 0, no_reserve })
}

/// glibc: `alloc_new_heap`.
fn make_of<M: Memory, O: Observer>(cx: &mut Context<M, O>, size: u64, pages: Pages) -> Option<Segment> {
    let Huge { shortest_segment: shortest, longest_segment: longest, .. } = cx.parameters.huge;
    let padded = size.wrapping_add(cx.parameters.top_pad);
    let padded = M::Layout::cut(padded);
    let length = match size {
        _ if padded < shortest => shortest,
        _ if padded <= longest => padded,
        _ if size > longest => return None,
        _ => longest,
    };
    let length = align_up(length, pages.size);
    let at = reserve(cx, longest, pages)?;
    if !cx.protect(at, length, Access::ReadWrite) {
        cx.unmap(at, longest);
        return None;
    }
    cx.recommend_huge(at, length);
    let segment = Segment(at);
    segment.set_word(&mut cx.memory, SIZE, length);
    segment.set_word(&mut cx.memory, ACCESSIBLE, length);
    if has_page_size(&cx.release) {
        segment.set_word(&mut cx.memory, PAGE_SIZE, pages.size);
    }
    Some(segment)
}

/// Finds aligned addresses for a segment: those left over last time, or the aligned half of a
/// mapping twice as long.
fn reserve<M: Memory, O: Observer>(cx: &mut Context<M, O>, longest: u64, pages: Pages) -> Option<Address> {
    if let Some(left_over) = cx.left_over_segment.take() {
        match cx.map(addresses_only(pages, longest, Some(left_over))) {
            Some(at) if at.is_aligned(longest) => return Some(at),
            Some(elsewhere) => cx.unmap(elsewhere, longest),
            None => {}
        }
    }
    let Some(start) = cx.map(addresses_only(pages, 2 * longest, None)) else {
        return reserve_by_luck(cx, longest, pages);
    };
    let aligned = start.align_up(longest);
    let lead = aligned - start;
    if lead == 0 {
        // The half above is aligned too: the next segment may go there.
        cx.left_over_segment = Some(aligned + longest);
    } else {
        cx.unmap(start, lead);
    }
    cx.unmap(aligned + longest, longest - lead);
    Some(aligned)
}

/// There is no room for twice the length; perhaps a mapping of just the length is aligned.
fn reserve_by_luck<M: Memory, O: Observer>(
    cx: &mut Context<M, O>,
    longest: u64,
    pages: Pages,
) -> Option<Address> {
    let at = cx.map(addresses_only(pages, longest, None))?;
    if at.is_aligned(longest) {
        return Some(at);
    }
    cx.unmap(at, longest);
    None
}

fn addresses_only(pages: Pages, length: u64, hint: Option<Address>) -> Mapping {
    Mapping { length, access: Access::None, hint, no_reserve: pages.no_reserve, huge_page: pages.huge }
}

/// Makes a segment at least `by` bytes longer (glibc: `grow_heap`). `None` if it cannot be.
fn grow<M: Memory, O: Observer>(cx: &mut Context<M, O>, segment: Segment, by: u64) -> Option<u64> {
    let by = align_up(by, segment.page_size(cx));
    let before = segment.size(&cx.memory);
    let size = before.wrapping_add(by);
    if size > cx.parameters.huge.longest_segment {
        return None;
    }
    let accessible = segment.accessible(&cx.memory);
    if size > accessible {
        if !cx.protect(segment.0 + accessible, size - accessible, Access::ReadWrite) {
            return None;
        }
        segment.set_word(&mut cx.memory, ACCESSIBLE, size);
    }
    if cx.release.huge_pages.segments_are_transparent && before < cx.parameters.huge.transparent {
        cx.recommend_huge(segment.0, size);
    }
    segment.set_word(&mut cx.memory, SIZE, size);
    Some(by)
}

/// Gives the last `by` bytes of a segment back (glibc: `shrink_heap`).
fn shrink<M: Memory, O: Observer>(cx: &mut Context<M, O>, segment: Segment, by: u64) -> bool {
    let size = segment.size(&cx.memory).wrapping_sub(by);
    if (size as i64) < cx.release.heap_info() as i64 {
        return false;
    }
    if cx.memory.charges_for_every_page() {
        if !cx.map_over(segment.0 + size, by) {
            return false;
        }
        segment.set_word(&mut cx.memory, ACCESSIBLE, size);
    } else {
        cx.discard(segment.0 + size, by);
    }
    segment.set_word(&mut cx.memory, SIZE, size);
    true
}

/// Gives an arena more room for a request of `size`: its top segment grows, or a new one takes
/// over. Returns whether the top chunk has changed (the part of glibc's `sysmalloc` that is for
/// secondary arenas).
pub(crate) fn extend<M: Memory, O: Observer>(
    arena: &mut Arena,
    cx: &mut Context<M, O>,
    tcache: &mut Tcache,
    size: ChunkSize,
) -> Result<bool, Corruption> {
    let old_top = arena.top;
    let old_size = old_top.size(&cx.memory);
    let segment = Segment::of(old_top, &cx.parameters);
    let missing = size + M::Layout::SMALLEST_CHUNK - old_size;
    if M::Layout::signed(missing.0) > 0
        && let Some(by) = grow(cx, segment, missing.0)
    {
        arena.grant(by);
        old_top.set_head(&mut cx.memory, Head::new(old_size + ChunkSize(by), PREVIOUS_IN_USE));
        cx.tell(Event::TopGrew { arena: arena.id(), by });
        return Ok(true);
    }
    let Some(next) =
        make(cx, M::Layout::cut((size + M::Layout::SMALLEST_CHUNK).0.wrapping_add(cx.release.heap_info())))
    else {
        return Ok(false);
    };
    next.adopt(&mut cx.memory, arena.state(), Some(segment));
    let length = next.size(&cx.memory);
    arena.grant(length);
    arena.top = next.first_chunk(cx);
    arena
        .top
        .set_head(&mut cx.memory, Head::new(ChunkSize(length - cx.release.heap_info()), PREVIOUS_IN_USE));
    cx.tell(Event::TopGrew { arena: arena.id(), by: length });
    fence_off(arena, cx, tcache, old_top, old_size)?;
    Ok(true)
}

/// Ends a segment that is no longer the top one: fenceposts at its end, the rest is freed. They
/// take a smallest chunk's room, since this may become the top chunk again.
fn fence_off<M: Memory, O: Observer>(
    arena: &mut Arena,
    cx: &mut Context<M, O>,
    tcache: &mut Tcache,
    old_top: Chunk,
    old_size: ChunkSize,
) -> Result<(), Corruption> {
    let fence = ChunkSize(M::Layout::HEADER);
    let rest = ChunkSize(align_down((old_size - M::Layout::SMALLEST_CHUNK).0, cx.alignment()));
    let words = &mut cx.memory;
    old_top.at(rest + fence).set_head(words, Head(PREVIOUS_IN_USE));
    if rest < M::Layout::SMALLEST_CHUNK {
        old_top.set_head(words, Head::new(rest + fence, PREVIOUS_IN_USE));
        old_top.set_foot(words, rest + fence);
        return Ok(());
    }
    old_top.at(rest).set_head(words, Head::new(fence, PREVIOUS_IN_USE));
    old_top.at(rest).set_foot(words, fence);
    old_top.set_head(words, Head::new(rest, PREVIOUS_IN_USE | FOREIGN));
    arena.release(cx, tcache, old_top)
}

/// Gives back what is free at the end of an arena: whole segments, then the end of the one that is
/// left, down to `pad` bytes (glibc: `heap_trim`).
pub(crate) fn trim<M: Memory, O: Observer>(
    arena: &mut Arena,
    cx: &mut Context<M, O>,
    pad: u64,
) -> Result<(), Corruption> {
    let mut segment = Segment::of(arena.top, &cx.parameters);
    while arena.top == segment.first_chunk(cx) {
        let Some(previous) = vanish(arena, cx, segment, pad)? else { break };
        segment = previous;
    }
    let top_size = arena.top.size(&cx.memory);
    let spare = M::Layout::cut((top_size - M::Layout::SMALLEST_CHUNK).0.wrapping_sub(1));
    if top_size.0 < cx.parameters.trim_threshold || M::Layout::signed(spare) < 0 || spare <= pad {
        return Ok(());
    }
    let extra = align_down(spare - pad, segment.page_size(cx));
    if extra == 0 || !shrink(cx, segment, extra) {
        return Ok(());
    }
    arena.grant(extra.wrapping_neg());
    arena.top.set_head(&mut cx.memory, Head::new(top_size - ChunkSize(extra), PREVIOUS_IN_USE));
    cx.tell(Event::TopShrank { arena: arena.id(), by: extra });
    Ok(())
}

/// Unmaps the arena's last segment, which is all top chunk, unless what would then be the top
/// chunk leaves too little room. Returns the segment that is now the last.
fn vanish<M: Memory, O: Observer>(
    arena: &mut Arena,
    cx: &mut Context<M, O>,
    segment: Segment,
    pad: u64,
) -> Result<Option<Segment>, Corruption> {
    let previous = segment.previous(&cx.memory);
    let end =
        Chunk(previous.0 + previous.size(&cx.memory) - (M::Layout::SMALLEST_CHUNK.0 - M::Layout::HEADER));
    let misaligned = end.0.0 & (cx.alignment() - 1);
    let fence = Chunk(end.0 - misaligned).below(&cx.memory);
    let mut room =
        fence.size(&cx.memory) + ChunkSize(M::Layout::SMALLEST_CHUNK.0 - M::Layout::HEADER + misaligned);
    let free_below = !fence.head(&cx.memory).previous_in_use();
    if free_below {
        room = room + fence.previous_size(&cx.memory);
    }
    let longest = cx.parameters.huge.longest_segment;
    let unused = longest - previous.size(&cx.memory);
    if room.0.wrapping_add(unused)
        < M::Layout::cut(pad.wrapping_add(M::Layout::SMALLEST_CHUNK.0 + segment.page_size(cx)))
    {
        return Ok(None);
    }
    let length = segment.size(&cx.memory);
    arena.grant(length.wrapping_neg());
    if cx.left_over_segment == Some(segment.0 + longest) {
        cx.left_over_segment = None;
    }
    cx.unmap(segment.0, longest);
    let mut top = fence;
    if free_below {
        top = fence.below(&cx.memory);
        list::unlink(cx, top)?;
    }
    arena.top = top;
    top.set_head(&mut cx.memory, Head::new(room, PREVIOUS_IN_USE));
    cx.tell(Event::TopShrank { arena: arena.id(), by: length });
    Ok(Some(previous))
}
