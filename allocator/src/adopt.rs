//! A heap that stood somewhere else, built anew from what is known of it.
//!
//! Heads, feet and links are written to memory where glibc has them, and the rest becomes the Rust values it is
//! here. What is known comes from a stranger's process or file; so every chunk that is named must be one, every
//! free one must be named once, and in the end all invariants must hold ([`Heap::check`]).

use crate::address::{Address, ChunkSize};
use crate::arena::segment::Segment;
use crate::arena::{Arena, ArenaId, Links, first_chunk_from};
use crate::bins::map::BinMap;
use crate::bins::{self, LISTS, UNSORTED, fast};
use crate::check::Violation;
use crate::chunk::{Chunk, Head};
use crate::heap::Heap;
use crate::layout::Layout;
use crate::list;
use crate::memory::Memory;
use crate::observe::Observer;
use crate::parameters::Parameters;
use crate::release::Release;
use crate::thread::ThreadId;
use crate::tunables::Tunables;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What is known of a heap.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The limits in force.
    pub parameters: Parameters,
    /// The main arena, then the others in the order in which they were made.
    pub arenas: Vec<StandingArena>,
    /// The threads; each is numbered by its place.
    pub threads: Vec<StandingThread>,
    /// The arena that is given out next when there can be no more.
    pub turn: ArenaId,
    /// Whether there has ever been a second thread.
    pub threaded: bool,
    /// The chunks with mappings of their own: each chunk, how far into its mapping it begins (the word where
    /// others have their neighbour's foot), and its head.
    pub mapped: Vec<(Chunk, u64, Head)>,
}

/// What is known of an arena.
#[derive(Clone, Debug)]
pub struct StandingArena {
    /// Where its `malloc_state` lies; of the main one it does not matter.
    pub state: Address,
    /// Whether everything up to the break is its own.
    pub contiguous: bool,
    /// Whether fastbins may hold something.
    pub may_hold_fast: bool,
    /// The top chunk; none before there is any memory.
    pub top: Option<Chunk>,
    /// What was left of the latest chunk that was split for a small request.
    pub last_remainder: Option<Chunk>,
    /// A bit for every list that may hold something.
    pub marked: [u64; 2],
    /// The arena that follows on the list of those without threads.
    pub next_free: Option<ArenaId>,
    /// Threads that allocate here.
    pub attached_threads: u64,
    /// Bytes from the kernel.
    pub system_bytes: u64,
    /// The most there ever were.
    pub greatest_system_bytes: u64,
    /// The fastbins that hold any chunks, each from its top.
    pub fast: Vec<StandingBin>,
    /// The lists that hold any, each from its front.
    pub lists: Vec<StandingBin>,
    /// Its memory; of other arenas than the main one the latest segment first.
    pub regions: Vec<StandingRegion>,
}

/// Memory of an arena in which one chunk follows the other.
#[derive(Clone, Debug)]
pub struct StandingRegion {
    /// Where it begins: of a segment, at its head.
    pub start: Address,
    /// Where it ends.
    pub end: Address,
    /// Bytes of a segment that have ever been made accessible.
    pub accessible: u64,
    /// The lowest chunk.
    pub first: Chunk,
    /// The heads of all chunks, from the lowest to the top chunk or to fenceposts.
    pub heads: Vec<Head>,
}

/// What is known of a thread.
#[derive(Clone, Debug, Default)]
pub struct StandingThread {
    /// Its arena.
    pub arena: Option<ArenaId>,
    /// Its cache.
    pub cache: Option<StandingCache>,
}

/// What is known of a thread's cache.
#[derive(Clone, Debug)]
pub struct StandingCache {
    /// The chunk it is kept in.
    pub chunk: Chunk,
    /// The stacks that hold any chunks, each from its top.
    pub stacks: Vec<StandingBin>,
}

/// Free chunks in order.
#[derive(Clone, Debug)]
pub struct StandingBin {
    /// The number of the bin among those of its kind.
    pub number: usize,
    /// The chunks.
    pub chunks: Vec<Chunk>,
}

/// An error about some chunk, unless this holds.
fn require(holds: bool, rule: &'static str, Chunk(at): Chunk) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { rule, at }) }
}

/// The chunks of all regions that nobody has named yet, with their sizes and arenas.
struct Unnamed(BTreeMap<Chunk, (ChunkSize, ArenaId)>);

impl Unnamed {
    /// A chunk is named: where it waits, or what it is. Returns its size.
    fn name(&mut self, chunk: Chunk, arena: Option<ArenaId>) -> Result<ChunkSize, Violation> {
        let rule = "what is named is a chunk, and named once";
        let (size, of) = self.0.remove(&chunk).ok_or(Violation { rule, at: chunk.0 })?;
        require(arena.is_none_or(|arena| arena == of), "an arena has its own chunks", chunk)?;
        Ok(size)
    }
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// A malloc that goes on where another one stood. The memory that is spoken of must be there: the break
    /// where it was, and segments and mappings mapped.
    ///
    /// # Errors
    ///
    /// When what is known contradicts itself.
    pub fn adopt(
        memory: M,
        observer: O,
        release: Release,
        tunables: &Tunables,
        standing: &Standing,
    ) -> Result<Heap<M, O>, Violation> {
        let mut heap = Heap::new(memory, observer, release, tunables);
        heap.cx.parameters = standing.parameters;
        heap.cx.threaded |= standing.threaded;
        heap.was_called = true;
        heap.adopt_arenas(standing)?;
        let mut unnamed = Unnamed(BTreeMap::new());
        for (id, arena) in (0..).map(ArenaId).zip(&standing.arenas) {
            arena.regions.iter().try_for_each(|region| heap.adopt_region(id, region, &mut unnamed))?;
            heap.adopt_segments(id, arena);
        }
        for (id, arena) in (0..).map(ArenaId).zip(&standing.arenas) {
            heap.adopt_bins(id, arena, &mut unnamed)?;
        }
        for (id, thread) in (0..).map(ThreadId).zip(&standing.threads) {
            heap.adopt_thread(id, thread, &mut unnamed)?;
        }
        for &(chunk, lead, head) in &standing.mapped {
            require(head.is_mapped() && !heap.cx.is_misaligned(chunk), "what has a mapping says so", chunk)?;
            chunk.set_previous_size(&mut heap.cx.memory, ChunkSize(lead));
            chunk.set_head(&mut heap.cx.memory, head);
        }
        heap.check()?;
        Ok(heap)
    }

    /// Makes the arenas, and puts them into their ring and on the list of those without threads.
    fn adopt_arenas(&mut self, standing: &Standing) -> Result<(), Violation> {
        let count = standing.arenas.len();
        let exists = |id: ArenaId| (id.0 as usize) < count;
        let nowhere =
            Violation { rule: "there is a main arena, and arenas that are named exist", at: Address::NULL };
        if count == 0 || !exists(standing.turn) {
            return Err(nowhere);
        }
        let mut is_followed = alloc::vec![false; count];
        for arena in &standing.arenas {
            if let Some(next) = arena.next_free {
                let followed = is_followed.get_mut(next.0 as usize).ok_or(nowhere)?;
                // Two that lead to the same arena, or a ring, would never end.
                if core::mem::replace(followed, true) {
                    return Err(nowhere);
                }
            }
        }
        for (number, known) in (0..).zip(&standing.arenas) {
            let id = ArenaId(number);
            if id != ArenaId::MAIN {
                let arena = Arena::new(&mut self.cx.memory, &self.cx.release, id, known.state);
                self.cx.memory.store(known.state, u64::from(number));
                self.arenas.push(arena);
            }
            let latest = ArenaId(u32::try_from(count - 1).map_err(|_| nowhere)?);
            let next = if id == ArenaId::MAIN { latest } else { ArenaId(number - 1) };
            let arena = &mut self.arenas[number as usize];
            arena.link(Links { next, next_free: known.next_free, attached_threads: known.attached_threads });
            arena.contiguous = known.contiguous;
            arena.system_bytes = known.system_bytes;
            arena.greatest_system_bytes = known.greatest_system_bytes;
            arena.map = BinMap::from_bits(known.marked);
            arena.fast.may_hold = known.may_hold_fast;
            arena.top = known.top.unwrap_or(arena.initial_top());
            arena.last_remainder = known.last_remainder.unwrap_or(Chunk::NONE);
        }
        let waits = |(number, arena): (u32, &StandingArena)| {
            (arena.attached_threads == 0 && !is_followed[number as usize]).then_some(ArenaId(number))
        };
        let first_free = (0..).zip(&standing.arenas).find_map(waits);
        self.choice.resume(first_free, count as u64, standing.turn);
        Ok(())
    }

    /// Writes the heads of a region's chunks.
    fn adopt_region(
        &mut self,
        id: ArenaId,
        region: &StandingRegion,
        unnamed: &mut Unnamed,
    ) -> Result<(), Violation> {
        let top = self.arenas[id.0 as usize].top;
        let lowest = first_chunk_from(&self.cx, region.start);
        require(
            region.first >= lowest || id == ArenaId::MAIN,
            "chunks lie behind a segment’s head",
            region.first,
        )?;
        require(region.start <= region.first.0, "chunks lie in their region", region.first)?;
        let mut chunk = region.first;
        let mut before = ChunkSize(0);
        let count = region.heads.len();
        for (number, &head) in region.heads.iter().enumerate() {
            let size = head.size();
            let left = region.end.0.saturating_sub(chunk.0.0);
            let is_last = number + 1 == count;
            let fits = left >= M::Layout::HEADER && size.0 <= left && !self.cx.is_misaligned(chunk);
            require(fits, "chunks lie in their region, and are aligned", chunk)?;
            let is_fencepost = size < M::Layout::SMALLEST_CHUNK;
            require(
                !is_fencepost || size.0 == 0 || size.0 == M::Layout::HEADER,
                "only fenceposts are so small",
                chunk,
            )?;
            require(size.0 != 0 || is_last, "nothing lies behind the last fencepost", chunk)?;
            require(!head.is_mapped(), "a chunk of an arena has no mapping", chunk)?;
            require((chunk == top) <= is_last, "nothing lies behind the top chunk", chunk)?;
            chunk.set_head(&mut self.cx.memory, head);
            if is_fencepost {
                // A fencepost is asked how long what lies below it is.
                chunk.set_previous_size(&mut self.cx.memory, before);
            } else if chunk != top {
                unnamed.0.insert(chunk, (size, id));
            }
            before = size;
            chunk = chunk.at(size);
        }
        Ok(())
    }

    /// Writes the heads of an arena's segments.
    fn adopt_segments(&mut self, id: ArenaId, arena: &StandingArena) {
        if id == ArenaId::MAIN {
            return;
        }
        for (number, region) in arena.regions.iter().enumerate() {
            let previous = arena.regions.get(number + 1).map(|region| Segment(region.start));
            let segment = Segment(region.start);
            segment.adopt(&mut self.cx.memory, arena.state, previous);
            segment.resume(&mut self.cx, region.end - region.start, region.accessible);
        }
    }

    /// Links the free chunks of an arena's bins.
    fn adopt_bins(
        &mut self,
        id: ArenaId,
        known: &StandingArena,
        unnamed: &mut Unnamed,
    ) -> Result<(), Violation> {
        for StandingBin { number, chunks } in &known.fast {
            let Some(&top) = chunks.first() else { continue };
            require(*number < fast::STACKS, "there are as many fastbins", top)?;
            let mut below = Chunk::NONE;
            for &chunk in chunks.iter().rev() {
                let size = unnamed.name(chunk, Some(id))?;
                require(self.cx.geometry().fast_number(size) == *number, "a fastbin holds one size", chunk)?;
                let payload = chunk.payload(&self.cx.memory);
                self.cx.conceal(payload, below.0);
                below = chunk;
            }
            self.arenas[id.0 as usize].fast.set_top(*number, top);
        }
        for StandingBin { number, chunks } in &known.lists {
            self.adopt_list(id, *number, chunks, unnamed)?;
        }
        Ok(())
    }

    /// Links the chunks of a list, from its front to its back.
    fn adopt_list(
        &mut self,
        id: ArenaId,
        number: usize,
        chunks: &[Chunk],
        unnamed: &mut Unnamed,
    ) -> Result<(), Violation> {
        let Some(&front) = chunks.first() else { return Ok(()) };
        require((UNSORTED..LISTS).contains(&number), "there are as many lists", front)?;
        let list = self.arenas[id.0 as usize].list(&self.cx.memory, number);
        let is_sorted_by_size = number >= bins::FIRST_LARGE;
        let geometry = self.cx.geometry();
        let words = &mut self.cx.memory;
        let mut firsts: Vec<(Chunk, ChunkSize)> = Vec::new();
        for &chunk in chunks {
            let size = unnamed.name(chunk, Some(id))?;
            list::insert(words, list.last(words), chunk, list.sentinel);
            chunk.set_foot(words, size);
            if geometry.is_large(size) {
                chunk.set_smaller(words, Chunk::NONE);
                chunk.set_larger(words, Chunk::NONE);
            }
            if is_sorted_by_size && firsts.last().is_none_or(|&(_, other)| other != size) {
                firsts.push((chunk, size));
            }
        }
        for (place, &(chunk, _)) in firsts.iter().enumerate() {
            let (smaller, _) = firsts[(place + 1) % firsts.len()];
            chunk.set_smaller(words, smaller);
            smaller.set_larger(words, chunk);
        }
        Ok(())
    }

    /// Gives a thread its arena and its cache.
    fn adopt_thread(
        &mut self,
        id: ThreadId,
        known: &StandingThread,
        unnamed: &mut Unnamed,
    ) -> Result<(), Violation> {
        let threaded = self.cx.threaded;
        self.meet(id).arena = known.arena;
        self.cx.threaded = threaded;
        let exists = known.arena.is_none_or(|arena| (arena.0 as usize) < self.arenas.len());
        require(exists, "a thread’s arena exists", Chunk::NONE)?;
        let Some(StandingCache { chunk: own, stacks }) = &known.cache else { return Ok(()) };
        unnamed.name(*own, None)?;
        self.threads[id].tcache.open(*own);
        for StandingBin { number, chunks } in stacks {
            require(u16::try_from(chunks.len()).is_ok(), "a stack is no longer than can be counted", *own)?;
            for &chunk in chunks.iter().rev() {
                let size = unnamed.name(chunk, None)?;
                let fits = bins::tcache::number(self.cx.geometry(), size) == *number
                    && *number < bins::tcache::STACKS;
                require(fits, "a stack of a cache holds its own sizes", chunk)?;
                self.threads[id].tcache.put(&mut self.cx, chunk, size);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Request;
    use crate::bins::Bin;
    use crate::fresh::heap;
    use crate::memory::Kernel;
    use crate::memory::Processors;
    use crate::memory::simulated::{DEFAULT_BREAK, Simulated};
    use crate::release::{V2_36, V2_44};
    use crate::whereabouts::{Owner, Waiting};

    /// What can be known of a heap.
    fn known(heap: &Heap<Simulated>) -> Standing {
        let words = heap.memory();
        let mut waiting: Vec<Waiting> = Vec::new();
        heap.each_waiting(|one| waiting.push(one));
        let bins = |owner: Owner, of: fn(Bin) -> Option<u8>| {
            let mut bins: Vec<StandingBin> = Vec::new();
            for one in waiting.iter().filter(|one| one.owner == owner) {
                let Some(number) = of(one.bin).map(usize::from) else { continue };
                match bins.last_mut().filter(|bin| bin.number == number) {
                    Some(bin) => bin.chunks.push(one.chunk),
                    None => bins.push(StandingBin { number, chunks: vec![one.chunk] }),
                }
            }
            bins
        };
        let arenas = heap.arenas().iter().map(|arena| {
            let mut lists = bins(Owner::Arena(arena.id()), |bin| match bin {
                Bin::Unsorted => Some(1),
                Bin::Small(number) | Bin::Large(number) => Some(number),
                _ => None,
            });
            // They were told from the back, as they are served.
            lists.iter_mut().for_each(|list| list.chunks.reverse());
            let regions = heap.stretches(arena.id()).map(|stretch| {
                let mut heads = vec![stretch.first.head(words)];
                let mut chunk = stretch.first;
                while chunk != arena.top() && chunk.size(words).bytes() > 16 {
                    chunk = chunk.above(words);
                    heads.push(chunk.head(words));
                }
                let accessible = if arena.is_main() { 0 } else { Segment(stretch.start).accessible(words) };
                StandingRegion {
                    start: stretch.start,
                    end: stretch.end,
                    accessible,
                    first: stretch.first,
                    heads,
                }
            });
            StandingArena {
                state: arena.state(),
                contiguous: arena.contiguous,
                may_hold_fast: arena.fast.may_hold,
                top: arena.has_memory().then_some(arena.top()),
                last_remainder: Some(arena.last_remainder).filter(|&chunk| chunk != Chunk::NONE),
                marked: arena.map.bits(),
                next_free: None,
                attached_threads: arena.attached_threads(),
                system_bytes: arena.system_bytes(),
                greatest_system_bytes: arena.greatest_system_bytes(),
                fast: bins(Owner::Arena(arena.id()), |bin| {
                    if let Bin::Fast(number) = bin { Some(number) } else { None }
                }),
                lists,
                regions: regions.collect(),
            }
        });
        let threads = heap.threads.iter().map(|(id, thread)| StandingThread {
            arena: thread.arena,
            cache: thread.tcache.own_chunk().map(|chunk| StandingCache {
                chunk,
                stacks: bins(Owner::Thread(id), |bin| {
                    if let Bin::Tcache(number) = bin { Some(number) } else { None }
                }),
            }),
        });
        Standing {
            parameters: *heap.parameters(),
            arenas: arenas.collect(),
            threads: threads.collect(),
            turn: ArenaId::MAIN,
            threaded: heap.cx.threaded,
            mapped: Vec::new(),
        }
    }

    /// Memory with nothing in it, mapped as that of another heap.
    fn blank(heap: &Heap<Simulated>, mapped: &[(Address, u64)]) -> Simulated {
        let mut memory = Simulated::new(DEFAULT_BREAK, Processors { online: 2, allowed: 2 });
        let by = heap.memory().program_break() - DEFAULT_BREAK;
        memory.move_break(by.cast_signed()).expect("there is room");
        let segments = heap.arenas().iter().skip(1).flat_map(|arena| heap.stretches(arena.id()));
        for at in segments.map(|stretch| stretch.start) {
            assert!(memory.occupy_free(at, crate::arena::LONGEST_SEGMENT));
        }
        for &(at, length) in mapped {
            assert!(memory.occupy_free(at, length));
        }
        memory
    }

    /// What some threads have, and a source of numbers that looks random.
    struct Program {
        held: Vec<Address>,
        random: u64,
    }

    impl Program {
        fn chance(&mut self, below: u64) -> u64 {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.random >> 33) % below
        }

        /// Makes a call to all of these heaps, which must answer alike.
        fn call(&mut self, heaps: &mut [&mut Heap<Simulated>]) {
            let thread = ThreadId(u32::try_from(self.chance(3)).expect("it is less than three"));
            let place = usize::try_from(self.chance(200)).expect("it is less than 200");
            let widest = if self.chance(6) == 0 { 200_000 } else { 1200 };
            let request = Request(self.chance(widest));
            let old = self.held[place];
            let mut got = Vec::new();
            for heap in heaps {
                got.push(if old.is_null() {
                    heap.malloc(thread, request).expect("there is room")
                } else {
                    heap.free(thread, old).expect("it is sound");
                    Address::NULL
                });
            }
            assert!(got.iter().all(|one| *one == got[0]), "{got:?}");
            self.held[place] = got[0];
        }
    }

    /// A heap that has been used, and who uses it.
    fn used(release: Release) -> (Heap<Simulated>, Program) {
        let mut heap = heap(release);
        let mut program = Program { held: vec![Address::NULL; 200], random: 7 };
        (1..3).for_each(|number| heap.thread_created(ThreadId(number)));
        (0..if cfg!(miri) { 100 } else { 4000 }).for_each(|_| program.call(&mut [&mut heap]));
        (heap, program)
    }

    /// What is known of a used heap, and memory for it.
    fn stood(heap: &Heap<Simulated>, program: &Program) -> (Standing, Simulated) {
        let words = heap.memory();
        let chunks = program.held.iter().filter(|payload| !payload.is_null()).map(|&at| Chunk::of(words, at));
        let mapped: Vec<Chunk> = chunks.filter(|chunk| chunk.head(words).is_mapped()).collect();
        let mappings: Vec<_> = mapped.iter().map(|&chunk| heap.mapping_of(chunk)).collect();
        let lead = |&chunk: &Chunk| (chunk, chunk.previous_size(words).bytes(), chunk.head(words));
        let standing = Standing { mapped: mapped.iter().map(lead).collect(), ..known(heap) };
        (standing, blank(heap, &mappings))
    }

    #[test]
    fn a_heap_that_was_built_anew_goes_on_as_the_one_that_stood() {
        for release in Release::ALL {
            let (mut heap, mut program) = used(release);
            let (standing, memory) = stood(&heap, &program);
            let mut anew =
                Heap::adopt(memory, (), release, &Tunables::default(), &standing).expect("it is sound");
            assert_eq!(anew.mallinfo2(), heap.mallinfo2(), "{}", release.name);
            assert_eq!(anew.malloc_info(), heap.malloc_info(), "{}", release.name);
            for _ in 0..if cfg!(miri) { 100 } else { 4000 } {
                program.call(&mut [&mut heap, &mut anew]);
            }
            assert_eq!(anew.trim(0), heap.trim(0));
            assert_eq!(anew.check(), Ok(()));
            assert_eq!(anew.memory().program_break(), heap.memory().program_break(), "{}", release.name);
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let wrong: [fn(&mut Standing); 13] = [
            |it| it.arenas.clear(),
            |it| it.turn = ArenaId(9),
            |it| it.arenas[1].next_free = Some(ArenaId(9)),
            |it| (it.arenas[1].next_free, it.arenas[2].next_free) = (Some(ArenaId(0)), Some(ArenaId(0))),
            |it| it.arenas[0].top = Some(Chunk(Address(16))),
            |it| it.arenas[0].regions[0].heads[5] = Head(u64::MAX - 15),
            |it| it.arenas[0].regions[0].heads[5] = Head(24 | 1),
            |it| it.arenas[0].regions[0].heads.truncate(9),
            |it| it.arenas[0].regions[0].first.0 = Address(u64::MAX - 7),
            |it| it.arenas[0].lists[0].number = 200,
            |it| {
                let chunk = it.arenas[0].lists[0].chunks[0];
                it.arenas[0].lists[0].chunks.push(chunk);
            },
            |it| it.threads[0].arena = Some(ArenaId(77)),
            |it| it.threads[0].cache.as_mut().expect("it has one").stacks[0].number = 75,
        ];
        for release in [V2_36, V2_44] {
            let (heap, program) = used(release);
            for (number, spoil) in wrong.iter().enumerate() {
                let (mut standing, memory) = stood(&heap, &program);
                spoil(&mut standing);
                let adopted = Heap::adopt(memory, (), release, &Tunables::default(), &standing);
                assert!(adopted.is_err(), "{} does not see change {number}", release.name);
            }
        }
    }
}
