//! Every invariant of a heap, walked: what must hold between any two calls.
//!
//! The bins are walked along their links, the memory from chunk to chunk; both must tell the same
//! story (glibc: `do_check_malloc_state`, which asserts; here a violation is a value).

use crate::address::{Address, ChunkSize};
use crate::arena::segment::Segment;
use crate::arena::{Arena, first_chunk_from};
use crate::bins::{self, LISTS, UNSORTED, fast};
use crate::chunk::Chunk;
use crate::heap::{Context, Heap};
use crate::layout::Layout;
use crate::memory::Memory;
use crate::observe::Observer;
use alloc::collections::BTreeSet;
use core::fmt;

/// Something that should hold and does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What should hold.
    pub rule: &'static str,
    /// The chunk or list it is about.
    pub at: Address,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "violated at {:#x}: {}", self.at.0, self.rule)
    }
}

impl core::error::Error for Violation {}

fn require(holds: bool, rule: &'static str, Chunk(at): Chunk) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { rule, at }) }
}

/// The chunks that are free, found along the links.
#[derive(Default)]
struct Free {
    binned: BTreeSet<Chunk>,
    fast: BTreeSet<Chunk>,
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// Walks everything; costs as much as the heap is long.
    ///
    /// # Errors
    ///
    /// The first violation found.
    pub fn check(&self) -> Result<(), Violation> {
        for arena in self.arenas() {
            let mut free = Free::default();
            check_fastbins(&self.cx, arena, &mut free)?;
            for number in UNSORTED..LISTS {
                check_list(&self.cx, arena, number, &mut free)?;
            }
            if arena.has_memory() {
                check_memory(&self.cx, arena, &free)?;
            }
        }
        Ok(())
    }
}

fn check_fastbins<M: Memory, O: Observer>(
    cx: &Context<M, O>,
    arena: &Arena,
    free: &mut Free,
) -> Result<(), Violation> {
    for (number, &top) in arena.fast.tops().iter().enumerate() {
        let mut chunk = top;
        while chunk != Chunk::NONE {
            let size = chunk.size(&cx.memory);
            require(cx.geometry().fast_number(size) == number, "a fastbin holds one size", chunk)?;
            require(chunk.is_in_use(&cx.memory), "a fast chunk counts as in use", chunk)?;
            require(free.fast.insert(chunk), "a chunk is on one fastbin once", chunk)?;
            require(arena.fast.may_hold, "full fastbins are known to be", chunk)?;
            chunk = fast::next(cx, chunk);
        }
    }
    Ok(())
}

fn check_list<M: Memory, O: Observer>(
    cx: &Context<M, O>,
    arena: &Arena,
    number: usize,
    free: &mut Free,
) -> Result<(), Violation> {
    let list = arena.list(&cx.memory, number);
    let words = &cx.memory;
    if number != UNSORTED {
        require(
            list.is_empty(words) || arena.map.is_marked(number),
            "a list in use is on the map",
            list.sentinel,
        )?;
    }
    let mut above = ChunkSize(0);
    for chunk in list.backwards(words) {
        let size = chunk.size(words);
        let forward = chunk.forward(words);
        require(forward.backward(words) == chunk, "a list's links agree", chunk)?;
        require(!chunk.is_in_use(words), "a binned chunk is not in use", chunk)?;
        require(chunk.head(words).previous_in_use(), "two free chunks never touch", chunk)?;
        require(chunk.at(size).previous_size(words) == size, "a free chunk's foot tells its size", chunk)?;
        require(free.binned.insert(chunk), "a chunk is on one list once", chunk)?;
        if number == UNSORTED {
            continue;
        }
        require(bins::number(cx.geometry(), size) == number, "a chunk is in the bin of its size", chunk)?;
        require(size >= above, "a bin is sorted by size", chunk)?;
        if cx.geometry().is_large(size) {
            let is_first = forward == list.sentinel || {
                // From the back, the first of its size is the one whose other neighbour is larger.
                let behind = chunk.backward(words);
                behind == list.sentinel || behind.size(words) != size
            };
            check_skip_links(cx, chunk, size, is_first)?;
        }
        above = size;
    }
    Ok(())
}

fn check_skip_links<M: Memory, O: Observer>(
    cx: &Context<M, O>,
    chunk: Chunk,
    size: ChunkSize,
    may_be_first: bool,
) -> Result<(), Violation> {
    let words = &cx.memory;
    let smaller = chunk.smaller(words);
    if smaller == Chunk::NONE {
        let behind = chunk.backward(words);
        return require(
            behind.size(words) == size,
            "only a later one of its size is off the skip list",
            chunk,
        );
    }
    require(may_be_first, "only the first of its size is on the skip list", chunk)?;
    require(smaller.larger(words) == chunk, "the skip list's links agree", chunk)?;
    require(smaller == chunk || smaller.size(words) != size, "the skip list has each size once", chunk)
}

/// Walks the arena's memory from chunk to chunk up to the top chunk.
fn check_memory<M: Memory, O: Observer>(
    cx: &Context<M, O>,
    arena: &Arena,
    free: &Free,
) -> Result<(), Violation> {
    let words = &cx.memory;
    let top = arena.top();
    require(top.head(words).previous_in_use(), "what lies below the top chunk is in use", top)?;
    require(top.size(words) >= M::Layout::SMALLEST_CHUNK, "the top chunk is a chunk", top)?;
    require(arena.system_bytes() <= arena.greatest_system_bytes(), "the most is no less than what is", top)?;
    let mut chunk = if arena.is_main() {
        first_chunk_from(cx, cx.parameters.heap_start.unwrap_or(top.0))
    } else {
        Segment::of(top, &cx.parameters).lowest_chunk(cx)
    };
    while chunk != top {
        let size = chunk.size(words);
        if size < M::Layout::SMALLEST_CHUNK {
            // A fencepost: foreign memory follows, and nobody knows how much.
            return require(size.0 == M::Layout::HEADER, "only fenceposts are smaller than a chunk", chunk);
        }
        require(
            chunk < top || !arena.is_main() || !arena.contiguous,
            "chunks lie below the top chunk",
            chunk,
        )?;
        require(
            !cx.is_misaligned(chunk) && size.0.is_multiple_of(cx.alignment()),
            "chunks are aligned",
            chunk,
        )?;
        let is_binned = free.binned.contains(&chunk);
        require(chunk.is_in_use(words) != is_binned, "a chunk not in use is in a bin, and only such", chunk)?;
        chunk = chunk.at(size);
        if chunk > top && !arena.contiguous {
            return Ok(());
        }
    }
    Ok(())
}
