//! Chunks put where they are said to lie, which no malloc does.
//!
//! Whoever follows another heap, and could not tell for a moment what happened there, can have a chunk where that
//! heap had it: memory that is free here is taken from wherever it waits and cut to size, and what is left of it is
//! freed. What is free is then the same in both heaps again, and soon so is where it waits.

use crate::address::{Address, ChunkSize, Request};
use crate::arena::{Arena, ArenaId, LONGEST_SEGMENT};
use crate::bins::{self, Bin, LISTS, UNSORTED};
use crate::chunk::{Chunk, Head, PREVIOUS_IN_USE};
use crate::corruption::{Corruption, Refusal};
use crate::heap::{Context, Heap, Wants};
use crate::layout::Layout;
use crate::list;
use crate::memory::Memory;
use crate::observe::{Found, Observer, Source};
use crate::thread::ThreadId;
use crate::whereabouts::{Owner, Waiting};
use alloc::vec::Vec;

/// How far above the top chunk's beginning a chunk may be claimed, in bytes: the top chunk grows that far at most.
const FARTHEST: u64 = 1 << 20;

/// Where a chunk is to lie, said in a way that holds in every heap that was called alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The arena.
    pub arena: ArenaId,
    /// Which of the arena's [stretches](Heap::stretches).
    pub stretch: u32,
    /// From the stretch's beginning to the chunk's payload, in bytes.
    pub offset: u64,
    /// The chunk's size.
    pub size: ChunkSize,
}

/// A free chunk that waits on a list or is the top one, and begins no later than what is claimed.
struct Cover {
    chunk: Chunk,
    /// The list it is on; none for the top chunk.
    list: Option<usize>,
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// How to claim a chunk of this size for a payload that would lie here; `None` if no arena has memory there, nor
    /// its top chunk right below.
    pub fn claim_for(&self, payload: Address, size: ChunkSize) -> Option<Claim> {
        let arenas = self.arenas().iter();
        let stretches = arenas.flat_map(|arena| {
            let top = arena.top().0;
            self.stretches(arena.id()).zip(0..).map(move |(stretch, number)| (stretch, number, top))
        });
        let mut holding = stretches.filter(|(stretch, _, top)| {
            let is_latest = stretch.start <= *top && *top < stretch.end;
            let end = if is_latest { stretch.end + FARTHEST } else { stretch.end };
            let is_beside = |foreign: Address| payload - foreign < LONGEST_SEGMENT;
            let is_near = stretch.arena == ArenaId::MAIN || is_beside(stretch.start);
            stretch.start <= payload && payload < end && is_near
        });
        let (stretch, number, _) = holding.next()?;
        Some(Claim { arena: stretch.arena, stretch: number, offset: payload - stretch.start, size })
    }

    /// `malloc(request)`, but the chunk lies where it is claimed, if that memory is free and serves the request. What
    /// else a request does on its way, this one does too; the chunk that it would have had is free in place of the other.
    pub fn malloc_at(
        &mut self,
        thread: ThreadId,
        request: Request,
        claim: Claim,
    ) -> Result<Address, Refusal> {
        let found = self.malloc(thread, request)?;
        let request = Request(M::Layout::cut(request.0));
        let other = Chunk::of(&self.cx.memory, found);
        let head = other.head(&self.cx.memory);
        let serves = self.cx.size_for(request).is_some_and(|size| size <= claim.size);
        let Some(chunk) = self.chunk_at(claim) else { return Ok(found) };
        if self.is_checked() || head.is_mapped() || !serves || chunk == other {
            return Ok(found);
        }
        let (size, end) = (head.size(), chunk.at(claim.size));
        let overlap = chunk < other.at(size) && other < end;
        if overlap {
            self.merge_alone(other)?;
        }
        let waited = self.cached_between(chunk, end).into_iter().next();
        let Some(taken) = self.take_at(thread, claim)? else {
            return if overlap { self.malloc(thread, request) } else { Ok(found) };
        };
        let waited = waited.filter(|_| matches!(taken.source, Source::Tcache(_) | Source::Fast(_)));
        match waited.map(|waited| waited.owner) {
            _ if overlap => {}
            Some(Owner::Thread(owner)) if size == claim.size => {
                self.threads[owner].tcache.put(&mut self.cx, other, size);
            }
            Some(Owner::Arena(owner)) if size == claim.size && self.arena_of(other)? == owner => {
                self.arenas[owner.0 as usize].push_fast(&mut self.cx, other, size)?;
            }
            _ => self.merge_alone(other)?,
        }
        Ok(chunk.payload(&self.cx.memory))
    }

    /// `realloc(payload, request)`, but the chunk lies where it is claimed; `None` if that memory is not free, or does
    /// not serve the request.
    pub fn realloc_at(
        &mut self,
        thread: ThreadId,
        payload: Address,
        request: Request,
        claim: Claim,
    ) -> Result<Option<Address>, Refusal> {
        let request = Request(M::Layout::cut(request.0));
        let old = Chunk::of(&self.cx.memory, payload);
        let head = old.head(&self.cx.memory);
        let serves = self.cx.size_for(request).is_some_and(|size| size <= claim.size);
        if self.is_checked() || payload.is_null() || request.0 == 0 || head.is_mapped() || !serves {
            return Ok(None);
        }
        if self.chunk_at(claim) == Some(old) {
            if !self.merge_cached(old.at(head.size()), old.at(claim.size))? {
                return Ok(None);
            }
            return self.realloc(thread, payload, request).map(Some);
        }
        self.ensure_tcache(thread, Wants::Realloc)?;
        let Some(found) = self.take_at(thread, claim)? else { return Ok(None) };
        self.asked(request);
        let length = self.cx.usable(head).min(self.cx.usable(found.chunk.head(&self.cx.memory)));
        self.cx.memory.copy(payload, found.chunk.payload(&self.cx.memory), length);
        let id = self.arena_of(old)?;
        let (cx, tcache, arena) = self.lend(thread, id);
        arena.release(cx, tcache, old)?;
        Ok(Some(self.served(found)))
    }

    /// The chunk that is claimed.
    fn chunk_at(&self, claim: Claim) -> Option<Chunk> {
        let stretch = self.stretches(claim.arena).nth(claim.stretch as usize)?;
        if claim.offset > stretch.end - stretch.start + FARTHEST {
            return None;
        }
        let chunk = Chunk::of(&self.cx.memory, stretch.start + claim.offset);
        let is_sound = claim.size >= M::Layout::SMALLEST_CHUNK
            && claim.size.0.is_multiple_of(self.cx.alignment())
            && claim.size.0 <= FARTHEST
            && !self.cx.is_misaligned(chunk);
        (is_sound && chunk >= stretch.first).then_some(chunk)
    }

    /// Takes what is claimed from wherever it waits.
    fn take_at(&mut self, thread: ThreadId, claim: Claim) -> Result<Option<Found>, Corruption> {
        let Some(chunk) = self.chunk_at(claim) else { return Ok(None) };
        let end = chunk.at(claim.size);
        if let [cached] = self.cached_between(chunk, end)[..]
            && cached.chunk == chunk
            && chunk.size(&self.cx.memory) == claim.size
        {
            let source = match cached.bin {
                Bin::Tcache(number) => Source::Tcache(number),
                Bin::Fast(number) => Source::Fast(number),
                _ => return Ok(None),
            };
            return Ok(self.take_out(cached)?.then_some(Found { chunk, source }));
        }
        if !self.merge_cached(chunk, end)? {
            return Ok(None);
        }
        let (cx, tcache, arena) = self.lend(thread, claim.arena);
        let Some(cover) = arena.cover(cx, chunk) else { return Ok(None) };
        let smallest = M::Layout::SMALLEST_CHUNK;
        let can_be_left = |bytes: ChunkSize| bytes.0 == 0 || bytes >= smallest;
        let before = ChunkSize(chunk.0 - cover.chunk.0);
        if !can_be_left(before) {
            return Ok(None);
        }
        let Some(number) = cover.list else {
            let whole = before + claim.size;
            let mut source = Source::Top;
            if arena.top.size(&cx.memory) < whole + smallest {
                arena.extend_top(cx, tcache, whole)?;
                arena.note_greatest();
                source = Source::GrownTop;
            }
            let grown = arena.top.size(&cx.memory);
            if arena.top != cover.chunk || grown < whole + smallest {
                return Ok(None);
            }
            let found = arena.cut_from_top(cx, grown, whole, source);
            arena.cut(cx, found.chunk, whole, chunk, claim.size)?;
            return Ok(Some(Found { chunk, source }));
        };
        let whole = cover.chunk.size(&cx.memory);
        if whole < before + claim.size || !can_be_left(whole - before - claim.size) {
            return Ok(None);
        }
        list::unlink(cx, cover.chunk)?;
        arena.hand_out_whole(cx, cover.chunk, whole);
        arena.cut(cx, cover.chunk, whole, chunk, claim.size)?;
        let source = match bins::list(number) {
            _ if whole > claim.size => Source::Split(bins::narrow(bins::number(cx.geometry(), whole))),
            Bin::Small(number) => Source::Small(number),
            Bin::Large(number) => Source::Large(number),
            _ => Source::Unsorted,
        };
        Ok(Some(Found { chunk, source }))
    }

    /// What lies between two chunks and waits where it counts as in use: in a cache, or on a fastbin.
    fn cached_between(&self, start: Chunk, end: Chunk) -> Vec<Waiting> {
        let mut cached = Vec::new();
        self.each_waiting(|one| {
            let is_cached = matches!(one.bin, Bin::Tcache(_) | Bin::Fast(_));
            if is_cached && one.chunk < end && one.chunk.at(one.chunk.size(&self.cx.memory)) > start {
                cached.push(one);
            }
        });
        cached
    }

    /// Merges what is cached between two chunks with its neighbours, as if it had not been cached. Returns whether
    /// nothing there is cached any more.
    fn merge_cached(&mut self, start: Chunk, end: Chunk) -> Result<bool, Corruption> {
        for cached in self.cached_between(start, end) {
            if !self.take_out(cached)? {
                return Ok(false);
            }
            self.merge_alone(cached.chunk)?;
        }
        Ok(true)
    }

    /// Merges a chunk that counts as in use with its neighbours.
    fn merge_alone(&mut self, chunk: Chunk) -> Result<(), Corruption> {
        let id = self.arena_of(chunk)?;
        let size = chunk.size(&self.cx.memory);
        self.arenas[id.0 as usize].merge_alone(&mut self.cx, chunk, size)
    }

    /// Takes a chunk out of a cache or a fastbin, from wherever it is there. Returns whether it was there.
    fn take_out(&mut self, Waiting { chunk, owner, .. }: Waiting) -> Result<bool, Corruption> {
        match owner {
            Owner::Thread(thread) => self.threads[thread].tcache.take_out(&mut self.cx, chunk),
            Owner::Arena(arena) => Ok(self.arenas[arena.0 as usize].take_out_fast(&mut self.cx, chunk)),
        }
    }
}

impl Arena {
    /// The free chunk, or the top one, that a chunk would be cut from.
    fn cover<M: Memory, O: Observer>(&self, cx: &Context<M, O>, chunk: Chunk) -> Option<Cover> {
        let words = &cx.memory;
        let on_lists = (UNSORTED..LISTS)
            .flat_map(|number| self.list(words, number).backwards(words).map(move |free| (number, free)));
        let mut covering = on_lists.filter(|&(_, free)| free <= chunk && chunk < free.at(free.size(words)));
        if let Some((number, chunk)) = covering.next() {
            return Some(Cover { chunk, list: Some(number) });
        }
        (self.has_memory() && self.top() <= chunk).then_some(Cover { chunk: self.top(), list: None })
    }

    /// Cuts a chunk out of one that is in use and `whole` long; what lies before and behind it is freed.
    fn cut<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        from: Chunk,
        whole: ChunkSize,
        chunk: Chunk,
        size: ChunkSize,
    ) -> Result<(), Corruption> {
        let before = ChunkSize(chunk.0 - from.0);
        let behind = whole - before - size;
        let head = |size: ChunkSize| Head::new(size, PREVIOUS_IN_USE | self.flag);
        let (first, middle, last) = (head(before), head(size), head(behind));
        if before.0 > 0 {
            from.set_head(&mut cx.memory, first);
            chunk.set_head(&mut cx.memory, middle);
        } else {
            chunk.resize(&mut cx.memory, size, 0);
        }
        if behind.0 > 0 {
            chunk.at(size).set_head(&mut cx.memory, last);
            self.merge_alone(cx, chunk.at(size), behind)?;
        }
        if before.0 > 0 {
            self.merge_alone(cx, from, before)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::heap;
    use crate::memory::simulated::Simulated;
    use crate::release::{Release, V2_36, V2_44};

    const MAIN: ThreadId = ThreadId::MAIN;

    /// A heap with blocks side by side, of chunks this long.
    fn side_by_side(release: Release, blocks: u64, chunk: u64) -> (Heap<Simulated, ()>, Vec<Address>) {
        let mut heap = heap(release);
        let all = (0..blocks).map(|_| heap.malloc(MAIN, Request(chunk - 8)).expect("room")).collect();
        (heap, all)
    }

    /// Claims a chunk; the heap must be sound afterwards.
    fn claim(heap: &mut Heap<Simulated, ()>, at: Address, size: u64) -> Option<Address> {
        let claim = heap.claim_for(at, ChunkSize(size))?;
        let got = heap.malloc_at(MAIN, Request(size - 8), claim).expect("sound");
        heap.check().expect("sound");
        if got != at {
            heap.free(MAIN, got).expect("sound");
        }
        (got == at).then_some(got)
    }

    #[test]
    fn a_chunk_is_taken_out_of_the_middle_of_a_cache_or_a_fastbin() {
        for (release, latest) in [(V2_36, 5), (V2_44, 11)] {
            let (mut heap, all) = side_by_side(release, 12, 0x30);
            for &payload in &all {
                heap.free(MAIN, payload).expect("sound");
            }
            for place in [3, 8] {
                assert_eq!(claim(&mut heap, all[place], 0x30), Some(all[place]));
                assert_eq!(claim(&mut heap, all[place], 0x30), None, "it is in use now");
            }
            let next = heap.malloc(MAIN, Request(0x28)).expect("room");
            assert_eq!(next, all[latest], "what would have been served waits where the other did");
        }
    }

    #[test]
    fn a_chunk_is_cut_out_of_a_free_one() {
        let (mut heap, all) = side_by_side(V2_36, 3, 0x1000);
        heap.free(MAIN, all[1]).expect("sound");
        let middle = all[1] + 0x400;
        assert_eq!(claim(&mut heap, all[1] + 0x10, 0x100), None, "too little would be left before it");
        assert_eq!(claim(&mut heap, middle, 0x1000), None, "it would reach into the next");
        assert_eq!(claim(&mut heap, middle, 0x100), Some(middle));
        assert_eq!(claim(&mut heap, all[1], 0x400), Some(all[1]));
        let rest = middle + 0x100;
        assert_eq!(claim(&mut heap, rest, 0xb00), Some(rest));
        heap.free(MAIN, middle).expect("sound");
        heap.check().expect("sound");
    }

    #[test]
    fn what_is_cached_is_merged_if_more_is_claimed_than_one_of_it() {
        let (mut heap, all) = side_by_side(V2_36, 5, 0x40);
        for &payload in &all[1..4] {
            heap.free(MAIN, payload).expect("sound");
        }
        assert_eq!(claim(&mut heap, all[1] + 0x20, 0x80), Some(all[1] + 0x20));
        assert_eq!(claim(&mut heap, all[1], 0x20), Some(all[1]));
        assert_eq!(claim(&mut heap, all[3] + 0x20, 0x20), Some(all[3] + 0x20));
    }

    #[test]
    fn a_chunk_is_cut_from_the_top_chunk_which_grows_for_it() {
        let (mut heap, all) = side_by_side(V2_36, 1, 0x40);
        let near = all[0] + 0x40 + 0x2000;
        assert_eq!(claim(&mut heap, near, 0x100), Some(near));
        let before = heap.memory().program_break();
        let beyond = before + 0x3000;
        assert_eq!(claim(&mut heap, beyond, 0x100), Some(beyond));
        assert!(heap.memory().program_break() > before);
        assert_eq!(claim(&mut heap, beyond + 2 * FARTHEST, 0x100), None);
    }

    #[test]
    fn a_block_grows_over_what_is_cached_above_it() {
        let (mut heap, all) = side_by_side(V2_36, 4, 0x40);
        for &payload in &all[1..3] {
            heap.free(MAIN, payload).expect("sound");
        }
        let there = heap.claim_for(all[0], ChunkSize(0x90)).expect("there is memory");
        let now = heap.realloc_at(MAIN, all[0], Request(0x88), there).expect("sound");
        assert_eq!(now, Some(all[0]));
        heap.check().expect("sound");
        let elsewhere = heap.claim_for(all[3] + 0x4000, ChunkSize(0xa0)).expect("there is memory");
        let now = heap.realloc_at(MAIN, all[0], Request(0x98), elsewhere).expect("sound");
        assert_eq!(now, Some(all[3] + 0x4000));
        assert_eq!(claim(&mut heap, all[0], 0x90), Some(all[0]), "what it left is free");
    }
}
