//! What malloc says of itself: `mallinfo` and `mallinfo2` here, the others beside.
//!
//! Nothing is counted on the way: every answer is found by walking the arenas' bins, in the order of
//! their ring, the main arena first. What lies in the threads' caches counts as in use; no release
//! tells it apart. None of these functions merges or moves anything.

mod malloc_info;
mod malloc_stats;

use crate::arena::{Arena, ArenaId};
use crate::bins::{LISTS, UNSORTED, fast};
use crate::chunk::Chunk;
use crate::corruption::Corruption;
use crate::heap::{Context, Heap};
use crate::memory::Memory;
use crate::observe::Observer;
use crate::tunables::int;

/// What `mallinfo2` returns: glibc's `struct mallinfo2`, under its names.
pub type Mallinfo2 = Mallinfo<u64>;

/// What `mallinfo` returns in numbers of type `N`: glibc's own are C's `int`, which begin anew, from the
/// least value, at every 2 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mallinfo<N = i32> {
    /// Bytes the arenas have from the kernel.
    pub arena: N,
    /// Free chunks in bins other than fastbins, and the top chunk of every arena.
    pub ordblks: N,
    /// Chunks in fastbins.
    pub smblks: N,
    /// Chunks with a mapping of their own.
    pub hblks: N,
    /// Bytes of their mappings.
    pub hblkhd: N,
    /// Nothing, in all releases.
    pub usmblks: N,
    /// Bytes of the chunks in fastbins.
    pub fsmblks: N,
    /// Bytes of the arenas that are not free; what threads have cached is among them.
    pub uordblks: N,
    /// Bytes of free chunks, those in fastbins and the top chunks included.
    pub fordblks: N,
    /// Bytes of the main arena's top chunk.
    pub keepcost: N,
}

impl<N: Copy> Mallinfo<N> {
    /// The fields in their order, each with its name.
    pub fn fields(&self) -> [(&'static str, N); 10] {
        [
            ("arena", self.arena),
            ("ordblks", self.ordblks),
            ("smblks", self.smblks),
            ("hblks", self.hblks),
            ("hblkhd", self.hblkhd),
            ("usmblks", self.usmblks),
            ("fsmblks", self.fsmblks),
            ("uordblks", self.uordblks),
            ("fordblks", self.fordblks),
            ("keepcost", self.keepcost),
        ]
    }
}

impl From<Mallinfo2> for Mallinfo {
    fn from(wide: Mallinfo2) -> Mallinfo {
        let [arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost] =
            wide.fields().map(|(_, number)| int(number));
        Mallinfo { arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost }
    }
}

/// What of an arena is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Free {
    /// Chunks in the unsorted bin and the sorted ones, and the top chunk.
    chunks: u64,
    /// All bytes: those of these chunks and of the fast ones.
    bytes: u64,
    fast_chunks: u64,
    fast_bytes: u64,
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// `mallinfo2()`: what malloc has, and how much of it is free. It came with glibc 2.33; of an older
    /// release it is what [`Heap::mallinfo`] would say if numbers had no end.
    ///
    /// # Errors
    ///
    /// When a fastbin leads nowhere, from glibc 2.32 on.
    pub fn mallinfo2(&self) -> Result<Mallinfo2, Corruption> {
        let mut all = Mallinfo2::default();
        for arena in self.ring() {
            let free = arena.free(&self.cx)?;
            all.ordblks += free.chunks;
            all.smblks += free.fast_chunks;
            all.fsmblks += free.fast_bytes;
            all.fordblks = all.fordblks.wrapping_add(free.bytes);
            all.uordblks = all.uordblks.wrapping_add(arena.in_use_bytes(free));
            all.arena = all.arena.wrapping_add(arena.system_bytes);
        }
        let parameters = &self.cx.parameters;
        all.hblks = i64::from(parameters.mapped_chunks) as u64;
        all.hblkhd = parameters.mapped_bytes;
        all.keepcost = self.arenas[0].top.size(&self.cx.memory).bytes();
        Ok(all)
    }

    /// `mallinfo()`: the same in numbers that wrap.
    ///
    /// # Errors
    ///
    /// As [`Heap::mallinfo2`].
    pub fn mallinfo(&self) -> Result<Mallinfo, Corruption> {
        self.mallinfo2().map(Mallinfo::from)
    }

    /// All arenas as glibc walks them: the main one, then the others, the latest first.
    fn ring(&self) -> impl Iterator<Item = &Arena> {
        let mut next = Some(ArenaId::MAIN);
        core::iter::from_fn(move || {
            let arena = &self.arenas[next?.0 as usize];
            next = Some(arena.next()).filter(|&id| id != ArenaId::MAIN);
            Some(arena)
        })
    }
}

impl Arena {
    /// Walks the bins (glibc: `int_mallinfo`).
    fn free<M: Memory, O: Observer>(&self, cx: &Context<M, O>) -> Result<Free, Corruption> {
        let words = &cx.memory;
        // The top chunk counts even before there is any: then it has no bytes.
        let mut free = Free { chunks: 1, bytes: self.top.size(words).bytes(), ..Free::default() };
        for &top in self.fast.tops() {
            for chunk in fast_chunks(cx, top) {
                require_aligned(cx, chunk, Corruption::FastUnalignedInMallinfo)?;
                free.fast_chunks += 1;
                free.fast_bytes = free.fast_bytes.wrapping_add(chunk.size(words).bytes());
            }
        }
        free.bytes = free.bytes.wrapping_add(free.fast_bytes);
        for number in UNSORTED..LISTS {
            for chunk in self.list(&cx.memory, number).backwards(words) {
                free.chunks += 1;
                free.bytes = free.bytes.wrapping_add(chunk.size(words).bytes());
            }
        }
        Ok(free)
    }

    /// What of the arena's memory is not free.
    fn in_use_bytes(&self, free: Free) -> u64 {
        self.system_bytes.wrapping_sub(free.bytes)
    }
}

/// A fastbin's chunks from the top on.
fn fast_chunks<M: Memory, O: Observer>(cx: &Context<M, O>, top: Chunk) -> impl Iterator<Item = Chunk> {
    let mut at = top;
    core::iter::from_fn(move || {
        let chunk = Some(at).filter(|&chunk| chunk != Chunk::NONE)?;
        at = fast::next(cx, chunk);
        Some(chunk)
    })
}

/// Finds out a fastbin that leads nowhere, in releases that look.
fn require_aligned<M: Memory, O>(
    cx: &Context<M, O>,
    chunk: Chunk,
    broken: Corruption,
) -> Result<(), Corruption> {
    if cx.release.checks.links_aligned && cx.is_misaligned(chunk) { Err(broken) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Request;
    use crate::fresh::heap;
    use crate::release::V2_36;
    use crate::thread::ThreadId;

    const MAIN: ThreadId = ThreadId::MAIN;

    #[test]
    fn before_the_first_call_there_is_nothing_but_a_top_chunk_without_bytes() {
        let info = heap(V2_36).mallinfo2().expect("sound");
        assert_eq!(info, Mallinfo2 { ordblks: 1, ..Mallinfo2::default() });
    }

    #[test]
    fn cached_chunks_count_as_in_use_and_fast_ones_do_not() {
        let mut heap = heap(V2_36);
        let all: Vec<_> = (0..9).map(|_| heap.malloc(MAIN, Request(24)).expect("room")).collect();
        for payload in all {
            heap.free(MAIN, payload).expect("sound");
        }
        let info = heap.mallinfo2().expect("sound");
        let taken = 0x290 + 9 * 32;
        let top = 0x21000 - taken;
        let expected = Mallinfo2 {
            arena: 0x21000,
            ordblks: 1,
            smblks: 2,
            fsmblks: 64,
            uordblks: 0x290 + 7 * 32,
            fordblks: top + 64,
            keepcost: top,
            ..Mallinfo2::default()
        };
        assert_eq!(info, expected);
    }

    #[test]
    fn an_int_is_negative_from_2_gib_on() {
        let mut heap = heap(V2_36);
        heap.malloc(MAIN, Request((1 << 31) - 4096)).expect("room");
        let info = heap.mallinfo().expect("sound");
        assert_eq!(info.hblkhd, i32::MIN);
        assert_eq!(info.hblks, 1);
        assert_eq!(heap.mallinfo2().expect("sound").hblkhd, 1 << 31);
    }

    #[test]
    fn a_fastbin_that_leads_nowhere_is_found_out() {
        let mut heap = heap(V2_36);
        let all: Vec<_> = (0..8).map(|_| heap.malloc(MAIN, Request(24)).expect("room")).collect();
        for &payload in &all {
            heap.free(MAIN, payload).expect("sound");
        }
        let fast = all[7];
        heap.cx.conceal(fast, fast + 8);
        assert_eq!(heap.mallinfo2(), Err(Corruption::FastUnalignedInMallinfo));
        assert_eq!(heap.malloc_stats(), Err(Corruption::FastUnalignedInMallinfo));
        assert_eq!(heap.malloc_info(), Err(Corruption::FastUnalignedInMallocInfo));
    }
}
