//! What a heap that was taken from a process says of itself: what is held and free, what is pinned, and what could
//! be given back.
//!
//! The heap becomes one of the twin's, which is then asked as a program asks its malloc; and what `malloc_trim`
//! would give back is found by calling it on a copy.

use crate::engine::Engine;
use crate::explore::map::{self, HeapMap, Region, RegionKind, State, Total};
use crate::machine::Machine;
use crate::recognition::Recording;
use crate::run::{beginning, standing_machine};
use crate::standing::{self, Unusable};
use crate::trial::{BadTrial, Touch, Trial};
use malloscope_allocator::corruption::Corruption;
use malloscope_allocator::memory::simulated::PAGE;
use malloscope_allocator::statistics::Mallinfo2;
use malloscope_traces::Header;
use malloscope_traces::snapshot::Snapshot;
use serde::Serialize;
use std::sync::Arc;

/// Why a heap says nothing.
#[derive(Debug, thiserror::Error)]
pub enum Silent {
    /// It cannot be built.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// Nobody knows the release.
    #[error(transparent)]
    Trial(#[from] BadTrial),
    /// malloc would end the process.
    #[error("the heap is found corrupted: {0}")]
    Corrupted(Corruption),
}

impl From<Corruption> for Silent {
    fn from(corruption: Corruption) -> Silent {
        Silent::Corrupted(corruption)
    }
}

/// How many of the largest free chunks are named.
const LARGEST: usize = 10;

/// What a heap says of itself.
#[derive(Clone, Debug)]
pub struct Account {
    /// The release it is asked as.
    pub release: &'static str,
    /// Every chunk.
    pub map: HeapMap,
    /// What `mallinfo2` would say; of a release that has none, what it would say if numbers had no end.
    pub mallinfo2: Mallinfo2,
    /// What `malloc_info` would print.
    pub malloc_info: String,
    /// Each arena: the main one, then the others in the order in which they were made.
    pub arenas: Vec<ArenaAccount>,
    /// The largest free chunks, those in caches and top chunks not among them.
    pub largest: Vec<FreeChunk>,
    /// Free bytes in bins of arenas, and how many of them are in the largest chunk.
    pub in_bins: u64,
    /// What `malloc_trim(0)` would give back.
    pub trim: Trim,
    /// Chunks with mappings of their own: how many were found of how many malloc counts.
    pub mapped: Found,
}

/// An arena.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArenaAccount {
    /// Its number.
    pub arena: u32,
    /// How many parts its memory has.
    pub regions: u64,
    /// Threads that allocate there, as it counts them.
    pub threads: u64,
    /// Bytes from the kernel.
    pub system_bytes: u64,
    /// The most there ever were.
    pub greatest_system_bytes: u64,
    /// Chunks in use by the program, and their bytes.
    pub in_use: Total,
    /// Free ones in threads’ caches.
    pub cached: Total,
    /// Free ones on fastbins.
    pub fast: Total,
    /// Free ones in the unsorted bin.
    pub unsorted: Total,
    /// Free ones in small bins.
    pub small: Total,
    /// Free ones in large bins.
    pub large: Total,
    /// Bytes of its top chunk.
    pub top_bytes: u64,
    /// Free bytes below the highest chunk in use.
    pub pinned_bytes: u64,
}

/// A free chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FreeChunk {
    /// Its size.
    pub bytes: u64,
    /// Where it lies.
    pub address: u64,
    /// Its arena.
    pub arena: u32,
    /// Where it waits.
    pub state: State,
}

/// What a call of `malloc_trim(0)` would give back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trim {
    /// By how much the program break would move down.
    pub break_bytes: u64,
    /// How much memory would go back to the kernel, that of the break among it: pages that hold something now.
    pub resident_bytes: u64,
    /// Whether it is known which pages hold something; if not, all are taken to.
    pub residency_is_known: bool,
}

/// How many of something were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// So many.
    pub found: u64,
    /// Of so many.
    pub counted: u64,
    /// The bytes of those that were found.
    pub bytes: u64,
    /// Of so many.
    pub counted_bytes: u64,
}

impl Account {
    /// Asks the heap that was taken of such a process.
    ///
    /// # Errors
    ///
    /// When it makes no sense, or nobody knows its release.
    pub fn of(header: &Header, snapshot: &Arc<Snapshot>, trial: &Trial) -> Result<Account, Silent> {
        let recording = Recording { snapshot: Some(Arc::clone(snapshot)), ..Recording::from(header.clone()) };
        let release = trial.release(&recording)?;
        let (tunables, _) = trial.tunables(&recording)?;
        let mut machine = standing_machine(trial, &recording, snapshot)?;
        if snapshot.resident.is_none() {
            standing::touch_all(&mut machine, snapshot);
        }
        let heap = beginning(machine, map::nobody(), release, &tunables, &recording)?;
        let mut engine = Engine::new(heap, Touch::None, true);
        standing::introduce(&mut engine, snapshot);
        let map = map::of(&engine, snapshot.limits.heap_start);
        let heap = engine.heap();
        let mallinfo2 = heap.mallinfo2()?;
        let malloc_info = heap.malloc_info()?;
        let arenas = heap
            .arenas()
            .iter()
            .map(|arena| {
                let id = arena.id().0;
                let regions: Vec<&Region> = map.regions.iter().filter(|region| is_of(region, id)).collect();
                let total = |state| sum(regions.iter().map(|region| region.totals.of(state)));
                ArenaAccount {
                    arena: id,
                    regions: regions.len() as u64,
                    threads: arena.attached_threads(),
                    system_bytes: arena.system_bytes(),
                    greatest_system_bytes: arena.greatest_system_bytes(),
                    in_use: sum([total(State::Live), total(State::Other)].into_iter()),
                    cached: total(State::Cached),
                    fast: total(State::Fast),
                    unsorted: total(State::Unsorted),
                    small: total(State::Small),
                    large: total(State::Large),
                    top_bytes: total(State::Top).bytes,
                    pinned_bytes: regions.iter().map(|region| region.pinned).sum(),
                }
            })
            .collect();
        let mut free: Vec<FreeChunk> = free_chunks(&map).collect();
        let in_bins = free.iter().map(|chunk| chunk.bytes).sum();
        free.sort_unstable_by_key(|chunk| (u64::MAX - chunk.bytes, chunk.address));
        free.truncate(LARGEST);
        let limits = &snapshot.limits;
        let mapped = Found {
            found: snapshot.mappings.len() as u64,
            counted: u64::try_from(limits.mapped_chunks).unwrap_or(0),
            bytes: snapshot.mappings.iter().map(|one| one.length).sum(),
            counted_bytes: limits.mapped_bytes,
        };
        let before = (heap.memory().program_break(), engine.heap_mut().memory_mut().residency().pages);
        engine.heap_mut().trim(0)?;
        let after =
            (engine.heap().memory().program_break(), engine.heap_mut().memory_mut().residency().pages);
        let trim = Trim {
            break_bytes: before.0.0.saturating_sub(after.0.0),
            resident_bytes: before.1.saturating_sub(after.1) * PAGE,
            residency_is_known: snapshot.resident.is_some(),
        };
        let release = release.name;
        Ok(Account { release, map, mallinfo2, malloc_info, arenas, largest: free, in_bins, trim, mapped })
    }

    /// The bytes of the largest free chunk in a bin.
    pub fn largest_bytes(&self) -> u64 {
        self.largest.first().map_or(0, |chunk| chunk.bytes)
    }
}

/// Whether a region is of this arena.
fn is_of(region: &Region, arena: u32) -> bool {
    region.kind != RegionKind::Mapping && region.arena == arena
}

fn sum(totals: impl Iterator<Item = Total>) -> Total {
    totals.fold(Total::default(), |sum, one| Total {
        pieces: sum.pieces + one.pieces,
        bytes: sum.bytes + one.bytes,
    })
}

/// The free chunks in bins of arenas.
fn free_chunks(map: &HeapMap) -> impl Iterator<Item = FreeChunk> + '_ {
    let waits = |state| matches!(state, State::Fast | State::Unsorted | State::Small | State::Large);
    map.regions.iter().flat_map(move |region| {
        let pieces = map.pieces[region.pieces.clone()].iter().filter(move |piece| waits(piece.state));
        pieces.map(|piece| FreeChunk {
            bytes: piece.size,
            address: piece.address,
            arena: region.arena,
            state: piece.state,
        })
    })
}
