//! What keeps free memory from going back to the kernel: the chunks above it that are in use, from the top down.
//!
//! An arena gives memory back from its end only: when a chunk is freed, its top chunk grows down to the next chunk
//! in use, and what it then has beyond the pad can go. So the highest chunk in use pins all that is free below it, and
//! when it goes, the next one pins what is left. A step of the way down is the chunks in use that follow each other
//! until something worth mentioning is freed by taking them away too. Chunks in a thread's cache are in use as far as
//! the arena knows. Those in fastbins are merged with their neighbours by malloc_trim, and when much is freed at once;
//! until then they pin as well, and as the program cannot free them again, what goes back then is told apart.
//!
//! What could go (glibc: `systrim`): the top chunk less `MINSIZE`, one byte and the pad, in whole pages.

use crate::explore::map::{HeapMap, Piece, Region, RegionKind, State};
use serde::Serialize;

/// The smallest chunk, which stays (glibc: `MINSIZE` with words of 64 bits).
const LEAST_CHUNK: u64 = 32;
/// Bytes in a page.
const PAGE: u64 = 4096;
/// A step frees at least this part of all that is pinned.
const WORTH: u64 = 20;
/// Chunks of a step that are told one by one.
const TOLD: usize = 100;

/// A chunk in use that pins what is free below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// Where its boundary tag is.
    pub address: u64,
    /// Bytes of the chunk.
    pub size: u64,
    /// What it is: live, waiting in a thread's cache, malloc's own, or others'.
    pub state: State,
    /// Bytes asked for, of one that lives.
    pub request: u64,
    /// The record that made it; `None` where that is not known.
    pub record: Option<u64>,
    /// The stack it was made from; 0 if there is none.
    pub stack: u32,
}

/// Chunks in use that follow each other from the top down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// How many there are.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What could go back if they were freed, and all those of the steps before.
    pub returns: u64,
    /// The first of them, the highest first.
    pub pins: Vec<Pin>,
}

/// What is pinned in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pinned {
    /// The arena; 0 is the main one.
    pub arena: u32,
    /// Where the region begins.
    pub start: u64,
    /// Bytes of the chunk at the region's end, which grows and shrinks; 0 where there is none.
    pub top: u64,
    /// Free bytes below it.
    pub below: u64,
    /// What could go back of the top chunk as it is.
    pub returns_now: u64,
    /// What could go back once chunks in fastbins are merged, as malloc_trim does.
    pub returns_merged: u64,
    /// The way down, as far as it was followed.
    pub steps: Vec<Step>,
}

/// What is pinned in every region where something is, the most first; `pad` is what an arena keeps when it is
/// trimmed (`top_pad`), and no more than so many steps are followed in each.
pub fn pinned(map: &HeapMap, pad: u64, steps: usize) -> Vec<Pinned> {
    let regions = map.regions.iter().filter(|region| region.kind != RegionKind::Mapping);
    let mut all: Vec<Pinned> = regions.map(|region| of_region(map, region, pad, steps)).collect();
    all.retain(|one| one.below > 0);
    all.sort_by_key(|one| std::cmp::Reverse(one.below));
    all
}

/// What goes back of a top chunk of this size.
fn returned(top: u64, pad: u64) -> u64 {
    top.saturating_sub(LEAST_CHUNK + 1).saturating_sub(pad) / PAGE * PAGE
}

fn of_region(map: &HeapMap, region: &Region, pad: u64, steps: usize) -> Pinned {
    let pieces = &map.pieces[region.pieces.clone()];
    let bytes = |state: State| region.totals.of(state).bytes;
    let free: u64 = State::ALL.into_iter().filter(|state| state.is_free()).map(bytes).sum();
    let top = bytes(State::Top);
    let below = free - top;
    let mut way = Way { map, left: pieces, top: 0 };
    way.take_free();
    let returns_merged = returned(way.top, pad);
    let worth = (below / WORTH).max(PAGE);
    let mut pinned = Pinned {
        arena: region.arena,
        start: region.start,
        top,
        below,
        returns_now: returned(top, pad),
        returns_merged,
        steps: Vec::new(),
    };
    let mut before = returns_merged;
    while pinned.steps.len() < steps {
        let mut step = Step { chunks: 0, bytes: 0, returns: before, pins: Vec::new() };
        while let Some(pin) = way.take_used() {
            step.chunks += 1;
            step.bytes += pin.size;
            if step.pins.len() < TOLD {
                step.pins.push(pin);
            }
            way.take_free();
            step.returns = returned(way.top, pad);
            // The chunks that are freed are not what was pinned.
            if step.returns >= before + worth + step.bytes {
                break;
            }
        }
        // Below there is nothing but what lives.
        if step.chunks == 0 || step.returns < before + worth + step.bytes {
            break;
        }
        before = step.returns;
        pinned.steps.push(step);
    }
    pinned
}

/// The way from the top of a region down.
struct Way<'a> {
    map: &'a HeapMap,
    /// What is still below.
    left: &'a [Piece],
    /// Bytes that would be the top chunk's.
    top: u64,
}

impl Way<'_> {
    fn take_free(&mut self) {
        while let Some((last, rest)) = self.left.split_last()
            && last.state.is_free()
            && last.state != State::Cached
        {
            self.top += last.size;
            self.left = rest;
        }
    }

    /// Takes a chunk in use away, as if it were freed.
    fn take_used(&mut self) -> Option<Pin> {
        let (last, rest) = self.left.split_last()?;
        self.top += last.size;
        self.left = rest;
        let allocation = self.map.allocation(last);
        Some(Pin {
            address: last.address,
            size: last.size,
            state: last.state,
            request: allocation.map_or(0, |allocation| allocation.request),
            record: allocation.and_then(|allocation| allocation.record),
            stack: allocation.map_or(0, |allocation| allocation.stack),
        })
    }
}
