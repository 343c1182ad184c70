//! Every chunk of a heap at one moment, in the order of their addresses.
//!
//! The memory of a heap falls into [`Region`]s, and every byte of a region belongs to exactly one
//! [`Piece`]: so the sizes of the pieces add up to the region's, and what is added up by [`State`] to both.

use super::Moment;
use super::births::{Birth, Births};
use super::ear::Ear;
use crate::engine::Engine;
use crate::trims::Trimmer;
use malloscope_allocator::address::Address;
use malloscope_allocator::arena::ArenaId;
use malloscope_allocator::bins::Bin;
use malloscope_allocator::chunk::Chunk;
use malloscope_allocator::heap::Heap;
use malloscope_allocator::layout::{Bits64, Layout};
use malloscope_allocator::memory::simulated::Simulated;
use malloscope_allocator::observe::Observer;
use malloscope_allocator::whereabouts::{Owner, Stretch};
use malloscope_traces::{Nanos, Stack};
use serde::Serialize;
use std::iter::Peekable;
use std::ops::Range;
use std::slice::Iter;

/// What a piece of memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A chunk that the program has.
    Live,
    /// A free chunk in a thread's cache.
    Cached,
    /// A free chunk on a fastbin.
    Fast,
    /// A free chunk that was not sorted yet.
    Unsorted,
    /// A free chunk in a small bin.
    Small,
    /// A free chunk in a large bin.
    Large,
    /// The top chunk of an arena, which borders unclaimed memory.
    Top,
    /// A chunk in use by no allocation of the trace: what the C library asked for itself, or what was
    /// allocated in a part of the trace that is lost.
    Other,
    /// What malloc needs itself: an arena's or a segment's head, a chunk that a thread's cache is kept in,
    /// fenceposts at the end of a region, and what alignment leaves over.
    Own,
}

impl State {
    /// All there are, in the order of [`State::index`].
    pub const ALL: [State; 9] = [
        State::Live,
        State::Cached,
        State::Fast,
        State::Unsorted,
        State::Small,
        State::Large,
        State::Top,
        State::Other,
        State::Own,
    ];

    /// Its place in a table of all states.
    pub fn index(self) -> usize {
        self as usize
    }

    /// In a word or two.
    pub fn name(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Cached => "cached",
            State::Fast => "fast",
            State::Unsorted => "unsorted",
            State::Small => "small",
            State::Large => "large",
            State::Top => "top",
            State::Other => "other",
            State::Own => "malloc’s own",
        }
    }

    /// In a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            State::Live => "Chunks of allocations that the program has not given back.",
            State::Cached => {
                "Free chunks in a thread’s tcache: only that thread is given them, and they never merge."
            }
            State::Fast => {
                "Free chunks on fastbins: any thread of the arena is given them; they merge later."
            }
            State::Unsorted => "Free chunks that were freed or left over and not sorted yet.",
            State::Small => "Free chunks in bins of one size each.",
            State::Large => "Free chunks in bins of a range of sizes each.",
            State::Top => {
                "The chunk at the end of an arena’s memory: all that no bin can serve is cut from it."
            }
            State::Other => {
                "Chunks in use by no allocation of the trace: of the C library itself, or of a part that is lost."
            }
            State::Own => "Heads of arenas, chunks that tcaches are kept in, fenceposts, and padding.",
        }
    }

    /// Whether the memory could be given to the program without asking the kernel; the top chunk as well.
    pub fn is_free(self) -> bool {
        matches!(
            self,
            State::Cached | State::Fast | State::Unsorted | State::Small | State::Large | State::Top
        )
    }

    /// The state of a free chunk that waits in such a bin.
    fn of(bin: Bin) -> State {
        match bin {
            Bin::Tcache(_) => State::Cached,
            Bin::Fast(_) => State::Fast,
            Bin::Unsorted => State::Unsorted,
            Bin::Small(_) => State::Small,
            Bin::Large(_) => State::Large,
            Bin::Top => State::Top,
            Bin::Mapped => State::Other,
        }
    }
}

/// The number of a piece's allocation, if it has none.
const NO_ALLOCATION: u32 = u32::MAX;

/// A stretch of memory that is one thing: a chunk, or something of malloc's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins: a chunk's boundary tag, 16 bytes below what the program sees.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// The word that says size and flags (1: the chunk below is in use; 2: mapped; 4: not of the main
    /// arena); 0 of what is no chunk.
    pub head: u64,
    /// What it is.
    pub state: State,
    /// The number of the bin it waits in, among those of its kind.
    pub bin: u8,
    /// The thread whose cache it waits in or is, by its number in the trace, where there is one.
    pub thread: Option<u32>,
    /// How many chunks of its bin would be taken before it.
    pub place: u32,
    allocation: u32,
}

#[cfg(test)]
impl Piece {
    pub(super) fn of_own(address: u64, size: u64) -> Piece {
        own(address, size)
    }

    pub(super) fn in_state(self, state: State) -> Piece {
        Piece { state, ..self }
    }
}

impl Piece {
    /// Whether a live allocation is in it.
    pub fn is_live(&self) -> bool {
        self.state == State::Live
    }

    /// Whether it waits in this bin: what kind that is in one word, and its number among those of its kind.
    pub fn waits_in(&self, kind: &str, number: Option<u8>) -> bool {
        let of_kind = match self.state {
            State::Cached => "tcache",
            State::Fast => "fast",
            State::Unsorted => "unsorted",
            State::Small => "small",
            State::Large => "large",
            State::Live | State::Top | State::Other | State::Own => return false,
        };
        of_kind == kind && number.is_none_or(|number| number == self.bin)
    }

    /// The bin that a free chunk waits in, as it is called elsewhere: `tcache bin 5`; nothing of others.
    pub fn bin_name(&self) -> String {
        match self.state {
            State::Cached => format!("tcache bin {}", self.bin),
            State::Fast => format!("fastbin {}", self.bin),
            State::Unsorted => "unsorted bin".to_owned(),
            State::Small => format!("small bin {}", self.bin),
            State::Large => format!("large bin {}", self.bin),
            State::Live | State::Top | State::Other | State::Own => String::new(),
        }
    }
}

/// An allocation that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Allocation {
    /// Bytes asked for.
    pub request: u64,
    /// The record that made it; `None` if that was before the trace began: by a parent, or where the
    /// heap stood already.
    pub record: Option<u64>,
    /// The thread that made it, by its number in the trace.
    pub thread: u32,
    /// The number of the stack it was made from; 0 if there is none.
    pub stack: u32,
}

/// What a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegionKind {
    /// Memory of the main arena, from the program break or in place of it.
    Main,
    /// A segment of another arena.
    Segment,
    /// A mapping of one chunk's own.
    Mapping,
}

/// Memory in which one piece follows the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// What it is.
    pub kind: RegionKind,
    /// Its arena; 0 of a mapping.
    pub arena: u32,
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Its pieces, by their numbers in [`HeapMap::pieces`].
    pub pieces: Range<usize>,
    /// What it is made of.
    pub totals: Totals,
    /// The highest live chunk, which keeps what is free below it from going back to the kernel.
    pub pin: Option<usize>,
    /// How much that is.
    pub pinned: u64,
}

impl Region {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.end - self.start
    }
}

/// How many pieces of one state there are, and how many bytes they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Total {
    /// How many.
    pub pieces: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What memory is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    by_state: [Total; State::ALL.len()],
    /// Bytes asked for by what lives.
    pub requested: u64,
}

impl Totals {
    /// What of it is in this state.
    pub fn of(&self, state: State) -> Total {
        self.by_state[state.index()]
    }

    /// All of it.
    pub fn all(&self) -> Total {
        let sum =
            |sum: Total, one: &Total| Total { pieces: sum.pieces + one.pieces, bytes: sum.bytes + one.bytes };
        self.by_state.iter().fold(Total::default(), sum)
    }

    fn add(&mut self, piece: &Piece, allocation: Option<&Allocation>) {
        let total = &mut self.by_state[piece.state.index()];
        total.pieces += 1;
        total.bytes += piece.size;
        self.requested += allocation.map_or(0, |allocation| allocation.request);
    }

    fn add_all(&mut self, others: &Totals) {
        for (total, other) in self.by_state.iter_mut().zip(&others.by_state) {
            total.pieces += other.pieces;
            total.bytes += other.bytes;
        }
        self.requested += others.requested;
    }
}

/// A heap at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeapMap {
    /// How many records had been replayed.
    pub made: u64,
    /// When, since the trace began.
    pub time: Nanos,
    /// Where the program break began.
    pub initial_break: u64,
    /// Where it was.
    pub program_break: u64,
    /// Bytes from the kernel by malloc's own count: of all arenas, and all mappings of chunks.
    pub system: u64,
    /// Bytes of that which lie in no region: what others have taken between two parts of the main arena,
    /// which malloc takes for its own.
    pub foreign: u64,
    /// The regions, in the order of their addresses.
    pub regions: Vec<Region>,
    /// The pieces of all regions, in the order of their addresses.
    pub pieces: Vec<Piece>,
    /// What lives, in no order; pieces know which is theirs.
    pub allocations: Vec<Allocation>,
    /// What all regions are made of.
    pub totals: Totals,
    /// Chunks that are known of and lie in no region: none, or the map is wrong.
    pub astray: u64,
}

impl HeapMap {
    /// The allocation in a piece, if one lives there.
    pub fn allocation(&self, piece: &Piece) -> Option<&Allocation> {
        self.allocations.get(piece.allocation as usize)
    }

    /// The piece that an address lies in, by its number.
    pub fn piece_at(&self, address: u64) -> Option<usize> {
        let after = self.pieces.partition_point(|piece| piece.address <= address);
        let number = after.checked_sub(1)?;
        let piece = &self.pieces[number];
        (address - piece.address < piece.size).then_some(number)
    }

    /// The region that a piece lies in.
    pub fn region_of(&self, piece: usize) -> Option<&Region> {
        let after = self.regions.partition_point(|region| region.pieces.start <= piece);
        self.regions.get(after.checked_sub(1)?).filter(|region| region.pieces.contains(&piece))
    }

    /// Free bytes of the main arena below the end of its highest live chunk on the program break.
    pub fn pinned(&self) -> u64 {
        self.regions.iter().filter(|region| region.kind == RegionKind::Main).map(|region| region.pinned).sum()
    }

    /// The chunks that would be taken just before and just after a free one of its bin, by their numbers.
    pub fn neighbours(&self, number: usize) -> (Option<usize>, Option<usize>) {
        let Some(piece) = self.pieces.get(number).filter(|piece| piece.state.is_free()) else {
            return (None, None);
        };
        let arena = self.region_of(number).map(|region| region.arena);
        let beside = |place: Option<u32>| {
            let place = place.filter(|_| piece.state != State::Top)?;
            (0..self.pieces.len()).find(|&other| {
                let one = &self.pieces[other];
                let is_beside = one.place == place
                    && (one.state, one.bin, one.thread) == (piece.state, piece.bin, piece.thread);
                // A cache's chunks may be of several arenas.
                is_beside
                    && (one.thread.is_some() || self.region_of(other).map(|region| region.arena) == arena)
            })
        };
        (beside(piece.place.checked_sub(1)), beside(piece.place.checked_add(1)))
    }
}

/// What is known of a chunk before it is met.
#[derive(Clone, Copy, Debug)]
enum Known {
    Live { allocation: u32 },
    Waits { bin: Bin, thread: Option<u32>, place: u32 },
    Cache { thread: Option<u32> },
}

/// Draws the map of a heap.
pub(super) fn draw(now: &Moment, initial_break: Address) -> HeapMap {
    let heap = now.engine.heap();
    let mut allocations = Vec::new();
    let mut known = known(now, &mut allocations);
    known.sort_unstable_by_key(|&(at, _)| at);
    let mapped: Vec<(u64, Known)> =
        known.extract_if(.., |&mut (at, _)| Chunk(Address(at)).head(heap.memory()).is_mapped()).collect();
    let arenas: u64 = heap.arenas().iter().map(|arena| arena.system_bytes()).sum();
    let mut map = HeapMap {
        made: now.made,
        time: now.time,
        initial_break: initial_break.0,
        program_break: heap.memory().program_break().0,
        system: arenas + heap.parameters().mapped_bytes,
        allocations,
        ..HeapMap::default()
    };
    let mut stretches = stretches(heap, &known);
    stretches.sort_unstable_by_key(|stretch| stretch.start);
    let mut walk = Walk { heap, known: known.iter().peekable(), met: 0, map: &mut map };
    let mut mappings = mapped.iter().peekable();
    for stretch in stretches {
        while let Some(one) = mappings.next_if(|(at, _)| *at < stretch.start.0) {
            walk.mapping(one);
        }
        walk.stretch(stretch);
    }
    mappings.for_each(|one| walk.mapping(one));
    let met = walk.met;
    map.astray = (known.len() - met) as u64;
    find_pins(&mut map);
    let mut in_arenas = 0;
    for region in &map.regions {
        map.totals.add_all(&region.totals);
        in_arenas += if region.kind == RegionKind::Mapping { 0 } else { region.length() };
    }
    map.foreign = arenas.saturating_sub(in_arenas);
    map
}

/// The map of a heap that is not explored.
pub(crate) fn of(engine: &Engine<Simulated, Ear>, initial_break: u64) -> HeapMap {
    let (engine, births, trimmer) = (engine.clone(), Births::default(), Trimmer::new(None));
    let now = Moment { engine, births, trimmer, made: 0, time: Nanos(0) };
    draw(&now, Address(initial_break))
}

/// Who listens to a heap that is not explored.
pub(crate) fn nobody() -> Ear {
    Ear::default()
}

/// Every chunk that somebody knows of, and what it is.
fn known(now: &Moment, allocations: &mut Vec<Allocation>) -> Vec<(u64, Known)> {
    let engine = &now.engine;
    let heap = engine.heap();
    let mut known = Vec::new();
    for (pointer, held) in engine.all_held() {
        let birth = now.births.of(pointer.slot);
        let Birth { thread, stack: Stack(stack), .. } = birth.unwrap_or_default();
        let allocation = u32::try_from(allocations.len()).unwrap_or(NO_ALLOCATION);
        allocations.push(Allocation {
            request: held.request,
            record: birth.map(|birth| birth.record),
            thread,
            stack,
        });
        known.push((Chunk::of(heap.memory(), held.payload).0.0, Known::Live { allocation }));
    }
    heap.each_waiting(|one| {
        let thread = match one.owner {
            Owner::Thread(thread) => engine.traced_thread(thread).map(|thread| thread.0),
            Owner::Arena(_) => None,
        };
        known.push((one.chunk.0.0, Known::Waits { bin: one.bin, thread, place: one.place }));
    });
    for arena in heap.arenas().iter().filter(|arena| arena.has_memory()) {
        known.push((arena.top().0.0, Known::Waits { bin: Bin::Top, thread: None, place: 0 }));
    }
    for (thread, chunk) in heap.caches() {
        let thread = engine.traced_thread(thread).map(|thread| thread.0);
        known.push((chunk.0.0, Known::Cache { thread }));
    }
    known
}

/// The memory of all arenas: that of the main one in as many parts as there are, which fenceposts end. Where
/// a part begins that is not the first, its lowest chunk is the first that is known of.
fn stretches<O: Observer>(heap: &Heap<Simulated, O>, known: &[(u64, Known)]) -> Vec<Stretch> {
    let others = heap.arenas().iter().map(|arena| arena.id()).filter(|&id| id != ArenaId::MAIN);
    let mut all: Vec<Stretch> = others.flat_map(|id| heap.stretches(id)).collect();
    all.sort_unstable_by_key(|stretch| stretch.start);
    let Some(main) = heap.stretches(ArenaId::MAIN).next() else { return all };
    let words = heap.memory();
    let mut own = known.iter().map(|&(at, _)| Chunk(Address(at))).filter(|chunk| {
        let after = all.partition_point(|one| one.start <= chunk.0);
        let is_in_segment = after > 0 && chunk.0 < all[after - 1].end;
        !is_in_segment && !chunk.head(words).is_foreign()
    });
    // Mappings in place of the break may lie below where it began.
    let mut parts = Vec::new();
    let mut begins = own.next().map_or(main.first, |lowest| lowest.min(main.first));
    let top = heap.arenas()[0].top();
    loop {
        let start = if begins == main.first { main.start } else { begins.0 };
        let mut chunk = begins;
        while chunk != top && chunk.size(words) >= Bits64::SMALLEST_CHUNK && chunk.0 < Address(FARTHEST) {
            let Some(above) = above(words, chunk) else { break };
            chunk = above;
        }
        let end = if chunk == top { chunk.above(words).0 } else { chunk.0 + FENCEPOSTS };
        parts.push(Stretch { arena: ArenaId::MAIN, start, first: begins, end });
        let below = if begins < main.first && chunk < main.first { Some(main.first) } else { None };
        let next = own.find(|other| other.0 >= end);
        match [below, next].into_iter().flatten().min() {
            Some(next) => begins = next,
            None => break,
        }
    }
    all.extend(parts);
    all
}

/// The chunk above another; nothing where a head makes no sense and leads down again: somebody may have
/// taken the memory away.
fn above(words: &Simulated, chunk: Chunk) -> Option<Chunk> {
    Some(chunk.above(words)).filter(|&above| above > chunk)
}

/// The bytes of the two fenceposts that end a part of the main arena.
const FENCEPOSTS: u64 = 32;
/// No process has memory beyond this.
const FARTHEST: u64 = 1 << 47;

/// Goes through regions in the order of their addresses.
struct Walk<'a, O> {
    heap: &'a Heap<Simulated, O>,
    /// What is known of chunks that have not been met.
    known: Peekable<Iter<'a, (u64, Known)>>,
    met: usize,
    map: &'a mut HeapMap,
}

impl<O: Observer> Walk<'_, O> {
    fn stretch(&mut self, stretch: Stretch) {
        let kind = if stretch.arena == ArenaId::MAIN { RegionKind::Main } else { RegionKind::Segment };
        let mut region = Region {
            kind,
            arena: stretch.arena.0,
            start: stretch.start.0,
            end: stretch.end.0,
            pieces: self.map.pieces.len()..self.map.pieces.len(),
            totals: Totals::default(),
            pin: None,
            pinned: 0,
        };
        let first = stretch.first.0.min(stretch.end);
        if first > stretch.start {
            self.put(&mut region, own(stretch.start.0, first - stretch.start));
        }
        let words = self.heap.memory();
        let mut chunk = stretch.first;
        while chunk.0 < stretch.end {
            let left = stretch.end - chunk.0;
            let head = chunk.head(words);
            if head.size() < Bits64::SMALLEST_CHUNK {
                self.put(&mut region, own(chunk.0.0, left));
                break;
            }
            let piece = self.piece(chunk, head.size().bytes().min(left), head.0);
            self.put(&mut region, piece);
            let Some(above) = above(words, chunk) else { break };
            chunk = above;
        }
        self.map.regions.push(region);
    }

    /// What a chunk is.
    fn piece(&mut self, chunk: Chunk, size: u64, head: u64) -> Piece {
        // Nobody knows of a chunk within another one.
        while self.known.next_if(|(at, _)| *at < chunk.0.0).is_some() {}
        let known = self.known.next_if(|(at, _)| *at == chunk.0.0).map(|(_, known)| *known);
        self.met += usize::from(known.is_some());
        describe(known, chunk, size, head)
    }

    /// A chunk with a mapping of its own.
    fn mapping(&mut self, &(at, known): &(u64, Known)) {
        let chunk = Chunk(Address(at));
        let (start, length) = self.heap.mapping_of(chunk);
        let head = chunk.head(self.heap.memory());
        let mut region = Region {
            kind: RegionKind::Mapping,
            arena: 0,
            start: start.0,
            end: start.0.saturating_add(length),
            pieces: self.map.pieces.len()..self.map.pieces.len(),
            totals: Totals::default(),
            pin: None,
            pinned: 0,
        };
        if chunk.0 > start {
            self.put(&mut region, own(start.0, chunk.0 - start));
        }
        let left = region.end.saturating_sub(at);
        let size = head.size().bytes().min(left);
        self.put(&mut region, describe(Some(known), chunk, size, head.0));
        if left > size {
            self.put(&mut region, own(at + size, left - size));
        }
        self.map.regions.push(region);
    }

    fn put(&mut self, region: &mut Region, piece: Piece) {
        let allocation = self.map.allocations.get(piece.allocation as usize);
        region.totals.add(&piece, allocation);
        self.map.pieces.push(piece);
        region.pieces.end = self.map.pieces.len();
    }
}

/// Something of malloc's own that is no chunk.
fn own(address: u64, size: u64) -> Piece {
    Piece {
        address,
        size,
        head: 0,
        state: State::Own,
        bin: 0,
        thread: None,
        place: 0,
        allocation: NO_ALLOCATION,
    }
}

fn describe(known: Option<Known>, chunk: Chunk, size: u64, head: u64) -> Piece {
    let piece = Piece { head, state: State::Other, ..own(chunk.0.0, size) };
    match known {
        Some(Known::Live { allocation }) => Piece { state: State::Live, allocation, ..piece },
        Some(Known::Cache { thread }) => Piece { state: State::Own, thread, ..piece },
        Some(Known::Waits { bin, thread, place }) => {
            Piece { state: State::of(bin), bin: bin.name().1.unwrap_or(0), thread, place, ..piece }
        }
        None => piece,
    }
}

/// Finds the highest live chunk of every segment and of the program break, and adds up what it pins.
fn find_pins(map: &mut HeapMap) {
    let program_break = map.program_break;
    let is_on_break = |region: &Region| region.kind == RegionKind::Main && region.end <= program_break;
    let highest = |map: &HeapMap, region: &Region| {
        region.pieces.clone().rev().find(|&number| map.pieces[number].state == State::Live)
    };
    let main = map
        .regions
        .iter()
        .filter(|region| is_on_break(region))
        .filter_map(|region| highest(map, region))
        .max();
    for number in 0..map.regions.len() {
        let region = &map.regions[number];
        let pin = match region.kind {
            RegionKind::Main if is_on_break(region) => main,
            RegionKind::Segment => highest(map, region),
            RegionKind::Main | RegionKind::Mapping => None,
        };
        let Some(pin) = pin else { continue };
        let below = region.pieces.start..region.pieces.end.min(pin);
        let pinned = map.pieces[below.start.min(below.end)..below.end]
            .iter()
            .filter(|piece| piece.state.is_free())
            .map(|piece| piece.size)
            .sum();
        let region = &mut map.regions[number];
        region.pinned = pinned;
        region.pin = region.pieces.contains(&pin).then_some(pin);
    }
}
