//! The heap that a trace begins with, if its process was not recorded from its first call on.
//!
//! A [`Snapshot`] says how the heap of a process stood. Here it becomes a heap of the twin, on a simulated machine
//! that has the same addresses; and its live chunks become allocations that the trace's calls can speak of, by
//! their addresses. How many bytes of them were asked for nobody knows: they count as all that could be used.

use crate::engine::{Engine, Held};
use crate::machine::Machine;
use malloscope_allocator::address::Address;
use malloscope_allocator::adopt::{
    Standing, StandingArena, StandingBin, StandingCache, StandingRegion, StandingThread,
};
use malloscope_allocator::arena::{ArenaId, LONGEST_SEGMENT};
use malloscope_allocator::check::Violation;
use malloscope_allocator::chunk::{Chunk, Head};
use malloscope_allocator::heap::Heap;
use malloscope_allocator::layout::Bits64;
use malloscope_allocator::memory::simulated::{AddressSpace, DEFAULT_BREAK, PAGE, Simulated};
use malloscope_allocator::memory::{Kernel, Memory, Processors};
use malloscope_allocator::observe::Observer;
use malloscope_allocator::parameters::Parameters;
use malloscope_allocator::release::Release;
use malloscope_allocator::thread::ThreadId;
use malloscope_allocator::tunables::Tunables;
use malloscope_traces::snapshot::{Arena, Mapping, Region, Snapshot, Stack};
use std::collections::{HashMap, HashSet};

/// Why a heap cannot be begun with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Only a simulated machine has the addresses that are wanted.
    #[error(
        "the trace begins with a heap that stood already, which can only be simulated: leave out `--memory real` and `--bits 32`"
    )]
    NotSimulated,
    /// The simulated machine has no such addresses.
    #[error(
        "the heap that the trace begins with lies at {0:#x}, where the simulated machine has no memory to give"
    )]
    Elsewhere(u64),
    /// It contradicts itself.
    #[error("the heap that the trace begins with makes no sense: {0}")]
    Unsound(Violation),
}

/// Bytes of a boundary tag.
const HEADER: u64 = 16;

/// A machine whose memory is mapped as the process's was.
pub(crate) fn machine(
    snapshot: &Snapshot,
    initial_break: u64,
    processors: Processors,
) -> Result<Simulated, Unusable> {
    let start = match snapshot.limits.heap_start {
        0 if snapshot.program_break == 0 => return Ok(Simulated::new(DEFAULT_BREAK, processors)),
        0 => snapshot.program_break,
        start if initial_break != 0 => start.min(initial_break),
        start => start,
    };
    let mut machine = Simulated::of(Bits64, Address(start), processors);
    let is_on_break = |at: u64| at >= start && at < snapshot.program_break;
    let by = snapshot.program_break.checked_sub(start).and_then(|by| i64::try_from(by).ok());
    let moved = by.and_then(|by| machine.move_break(by));
    if moved.is_none() {
        return Err(Unusable::Elsewhere(snapshot.program_break));
    }
    for (number, arena) in snapshot.arenas.iter().enumerate() {
        for region in arena.regions.iter().filter(|region| !is_on_break(region.start)) {
            let (at, length) = match number {
                0 => whole_pages(region.start, region.end),
                _ => (region.start, LONGEST_SEGMENT),
            };
            occupy(&mut machine, at, length)?;
        }
    }
    mappings(snapshot).iter().try_for_each(|one| occupy(&mut machine, one.start, one.length))?;
    for &(from, to) in snapshot.resident.iter().flatten() {
        touch(&mut machine, snapshot, from, to);
    }
    Ok(machine)
}

/// The mappings of single chunks, where the simulated machine has them: those that lie where it has no memory to
/// give, as they do without randomized addresses, are moved. Of such a chunk its place within a page counts alone.
fn mappings(snapshot: &Snapshot) -> Vec<Mapping> {
    let room = AddressSpace::OF_64_BITS.mappings();
    let mut free = room.start;
    let place = |one: &Mapping| {
        let fits =
            one.start >= room.start && one.start.checked_add(one.length).is_some_and(|end| end <= room.end);
        if fits {
            return *one;
        }
        let start = free;
        free = free.saturating_add(one.length);
        Mapping { start, chunk: start.wrapping_add(one.chunk.wrapping_sub(one.start)), ..*one }
    };
    snapshot.mappings.iter().map(place).collect()
}

/// The pages that hold a range: where they begin, and their bytes.
fn whole_pages(start: u64, end: u64) -> (u64, u64) {
    let from = start / PAGE * PAGE;
    (from, end.saturating_sub(from).saturating_add(PAGE - 1) / PAGE * PAGE)
}

fn occupy(machine: &mut Simulated, at: u64, length: u64) -> Result<(), Unusable> {
    if machine.occupy_free(Address(at), length) { Ok(()) } else { Err(Unusable::Elsewhere(at)) }
}

/// All memory of arenas holds something, as far as anybody knows.
pub(crate) fn touch_all(machine: &mut Simulated, snapshot: &Snapshot) {
    touch(machine, snapshot, 0, u64::MAX);
}

/// What held memory in the process holds it here, as far as it is the heap's.
fn touch(machine: &mut Simulated, snapshot: &Snapshot, from: u64, to: u64) {
    let regions = snapshot.arenas.iter().flat_map(|arena| &arena.regions);
    let parts = regions.map(|region| (region.start, region.end));
    let mapped = snapshot.mappings.iter().map(|one| (one.start, one.start.saturating_add(one.length)));
    let moved = mappings(snapshot)
        .into_iter()
        .zip(&snapshot.mappings)
        .map(|(here, there)| here.start.wrapping_sub(there.start));
    let parts = parts.map(|part| (part, 0)).chain(mapped.zip(moved));
    for ((start, end), by) in parts {
        let (start, end) = (start.max(from), end.min(to));
        if start < end {
            machine.touch(Address(start.wrapping_add(by)), end - start);
        }
    }
}

/// The heap of a snapshot, in memory that is mapped as it was.
pub(crate) fn heap<M: Memory, O: Observer>(
    memory: M,
    observer: O,
    release: Release,
    tunables: &Tunables,
    snapshot: &Snapshot,
) -> Result<Heap<M, O>, Unusable> {
    let parameters = Parameters::new(&release, tunables, memory.huge_pages());
    let standing = standing(snapshot, parameters);
    Heap::adopt(memory, observer, release, tunables, &standing).map_err(Unusable::Unsound)
}

/// What the allocator calls a snapshot. Its arenas are in the order in which they were made, which is that of
/// their ring backwards.
fn standing(snapshot: &Snapshot, parameters: Parameters) -> Standing {
    let count = snapshot.arenas.len();
    let id = |number: u32| match number {
        0 => ArenaId::MAIN,
        // One that does not exist stays one.
        number => ArenaId(u32::try_from(count).unwrap_or(0).checked_sub(number).unwrap_or(u32::MAX)),
    };
    let limits = &snapshot.limits;
    let main = snapshot.arenas.first().into_iter();
    let others = snapshot.arenas.iter().skip(1).rev();
    let thread = |one: &malloscope_traces::snapshot::Thread| StandingThread {
        arena: one.arena.map(id),
        cache: one
            .cache
            .as_ref()
            .map(|cache| StandingCache { chunk: chunk(cache.chunk), stacks: stacks(&cache.stacks) }),
    };
    Standing {
        parameters: Parameters {
            trim_threshold: limits.trim_threshold,
            top_pad: limits.top_pad,
            mmap_threshold: limits.mmap_threshold,
            mmap_max: limits.mmap_max,
            thresholds_are_dynamic: limits.are_dynamic,
            arena_test: limits.arena_test,
            arena_max: limits.arena_max,
            mapped_chunks: limits.mapped_chunks,
            greatest_mapped_chunks: limits.greatest_mapped_chunks,
            mapped_bytes: limits.mapped_bytes,
            greatest_mapped_bytes: limits.greatest_mapped_bytes,
            break_is_known: true,
            heap_start: (limits.heap_start != 0).then_some(Address(limits.heap_start)),
            ..parameters
        },
        arenas: main.chain(others).map(|one| arena(one, id)).collect(),
        threads: snapshot.threads.iter().map(thread).collect(),
        turn: id(snapshot.turn),
        threaded: snapshot.threaded,
        mapped: mappings(snapshot)
            .iter()
            .map(|one| (chunk(one.chunk), one.chunk.wrapping_sub(one.start), Head(one.head)))
            .collect(),
    }
}

fn chunk(at: u64) -> Chunk {
    Chunk(Address(at))
}

fn stacks(stacks: &[Stack]) -> Vec<StandingBin> {
    let bin = |one: &Stack| StandingBin {
        number: one.number.into(),
        chunks: one.chunks.iter().copied().map(chunk).collect(),
    };
    stacks.iter().map(bin).collect()
}

fn arena(one: &Arena, id: impl Fn(u32) -> ArenaId) -> StandingArena {
    let region = |region: &Region| StandingRegion {
        start: Address(region.start),
        end: Address(region.end),
        accessible: region.accessible,
        first: chunk(region.first),
        heads: region.heads.iter().copied().map(Head).collect(),
    };
    let named = |at: u64| (at != 0).then_some(chunk(at));
    StandingArena {
        state: Address(one.state),
        contiguous: one.contiguous,
        may_hold_fast: one.may_hold_fast,
        top: named(one.top),
        last_remainder: named(one.last_remainder),
        marked: one.marked,
        next_free: one.next_free.map(id),
        attached_threads: one.attached_threads,
        system_bytes: one.system_bytes,
        greatest_system_bytes: one.greatest_system_bytes,
        fast: stacks(&one.fast),
        lists: stacks(&one.lists),
        regions: one.regions.iter().map(region).collect(),
    }
}

/// Bytes between the parts of the main arena: others have taken them, and malloc takes them for its own.
pub(crate) fn foreign_bytes(snapshot: &Snapshot) -> u64 {
    let regions = snapshot.arenas.first().map(|arena| arena.regions.as_slice()).unwrap_or_default();
    let gap = |pair: &[Region]| match pair {
        [below, above] => above.start.saturating_sub(below.end),
        _ => 0,
    };
    regions.windows(2).map(gap).fold(0, u64::saturating_add)
}

/// The chunks of arenas in use by the program.
fn live(snapshot: &Snapshot) -> Vec<u64> {
    let bins = snapshot.arenas.iter().flat_map(|arena| arena.fast.iter().chain(&arena.lists));
    let caches = snapshot.threads.iter().filter_map(|thread| thread.cache.as_ref());
    let cached = caches.clone().flat_map(|cache| &cache.stacks);
    let mut others: HashSet<u64> = bins.chain(cached).flat_map(|stack| &stack.chunks).copied().collect();
    others.extend(caches.map(|cache| cache.chunk));
    others.extend(snapshot.arenas.iter().map(|arena| arena.top));
    let regions = snapshot.arenas.iter().flat_map(|arena| &arena.regions);
    let is_chunk = |head: u64| Head(head).size().bytes() > HEADER;
    let chunks = regions.flat_map(Region::chunks).filter(|&(_, head)| is_chunk(head)).map(|(at, _)| at);
    chunks.filter(|at| !others.contains(at)).collect()
}

/// Has an engine over the heap of a snapshot know its allocations and its threads.
pub(crate) fn introduce<M: Machine, O: Observer>(engine: &mut Engine<M, O>, snapshot: &Snapshot) {
    let heap = engine.heap();
    let mapped =
        mappings(snapshot).into_iter().zip(&snapshot.mappings).map(|(here, there)| (there.chunk, here.chunk));
    let allocations: HashMap<u64, Held> = live(snapshot)
        .into_iter()
        .map(|at| (at, at))
        .chain(mapped)
        .map(|(there, here)| {
            let payload = chunk(here).payload(heap.memory());
            let request = heap.usable_size(payload).unwrap_or(0);
            (chunk(there).payload(heap.memory()).0, Held { payload, request })
        })
        .collect();
    let threads =
        (0..).map(ThreadId).zip(&snapshot.threads).map(|(number, thread)| (thread.id, number)).collect();
    engine.inherit(allocations, threads);
}
