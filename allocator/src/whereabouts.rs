//! Where everything is: which free chunk waits where, and the stretches of memory that chunks lie in.
//!
//! Nothing of this is needed to allocate. Whoever wants to draw a heap walks a [`Stretch`] from chunk to
//! chunk ([`Chunk::above`]) and asks of each whether it [waits](Waiting) somewhere; what does not is in
//! use, by the program or by malloc itself.

use crate::address::Address;
use crate::arena::{ArenaId, first_chunk_from};
use crate::bins::{self, Bin, LISTS, UNSORTED, fast};
use crate::chunk::Chunk;
use crate::heap::Heap;
use crate::memory::Memory;
use crate::observe::Observer;
use crate::system::mapping::Extent;
use crate::thread::ThreadId;

/// A free chunk that waits to be wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The chunk.
    pub chunk: Chunk,
    /// Where it waits.
    pub bin: Bin,
    /// Whose bin that is.
    pub owner: Owner,
    /// How many chunks of the bin would be taken before it.
    pub place: u32,
}

/// Whose a bin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A thread's: its cache.
    Thread(ThreadId),
    /// An arena's.
    Arena(ArenaId),
}

/// Memory of an arena in which one chunk follows the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The arena.
    pub arena: ArenaId,
    /// Where the memory begins: at the arena's own state, or where the kernel gave it.
    pub start: Address,
    /// The lowest chunk.
    pub first: Chunk,
    /// Where the memory ends. In the main arena that is the end of the top chunk, and others may have
    /// memory of their own in between, behind fenceposts.
    pub end: Address,
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// Tells of every free chunk but the top ones: those in the threads' caches, on the fastbins, and on
    /// the lists, each bin in the order in which its chunks would be taken.
    pub fn each_waiting(&self, mut tell: impl FnMut(Waiting)) {
        self.each_waiting_while(|one| {
            tell(one);
            true
        });
    }

    /// The same, as long as whoever is told wants to hear of more: of the lists of a heap that was overwritten there
    /// may be no end. Returns whether all were told.
    pub fn each_waiting_while(&self, mut tell: impl FnMut(Waiting) -> bool) -> bool {
        let mut goes_on = true;
        for (thread, state) in self.threads.iter() {
            let mut cached = Placing::new(Owner::Thread(thread));
            let mut put = |chunk: Chunk| {
                let number = bins::tcache::number(self.cx.geometry(), chunk.size(&self.cx.memory));
                goes_on = goes_on && tell(cached.next(Bin::Tcache(bins::narrow(number)), chunk));
            };
            state.tcache.each(&self.cx, &mut put);
            if let Some(closing) = &state.closing {
                closing.each_left(&self.cx, &mut put);
            }
        }
        for arena in self.arenas() {
            let mut placing = Placing::new(Owner::Arena(arena.id()));
            for (number, &top) in arena.fast.tops().iter().enumerate() {
                let mut chunk = top;
                while chunk != Chunk::NONE {
                    goes_on = goes_on && tell(placing.next(Bin::Fast(bins::narrow(number)), chunk));
                    if !goes_on {
                        return false;
                    }
                    chunk = fast::next(&self.cx, chunk);
                }
            }
            for number in UNSORTED..LISTS {
                for chunk in arena.list(&self.cx.memory, number).backwards(&self.cx.memory) {
                    goes_on = goes_on && tell(placing.next(bins::list(number), chunk));
                    if !goes_on {
                        return false;
                    }
                }
            }
        }
        for (arena, chunk) in self.cx.lockless.each() {
            let number = self.cx.geometry().fast_number(chunk.size(&self.cx.memory));
            let one = Placing::new(Owner::Arena(arena)).next(Bin::Fast(bins::narrow(number)), chunk);
            goes_on = goes_on && tell(one);
        }
        goes_on
    }

    /// The memory of an arena: of the main one a single stretch, of another its segments, the latest first.
    /// Nothing of an arena that never had any.
    pub fn stretches(&self, id: ArenaId) -> impl Iterator<Item = Stretch> + '_ {
        let arena = self.arenas().get(id.0 as usize).filter(|arena| arena.has_memory());
        let main = arena.filter(|arena| arena.is_main()).map(|arena| {
            let start = self.cx.parameters.heap_start.unwrap_or(arena.top().0);
            let end = arena.top().above(&self.cx.memory).0;
            Stretch { arena: id, start, first: first_chunk_from(&self.cx, start), end }
        });
        let segments = arena.into_iter().flat_map(move |arena| {
            arena.segments(&self.cx).map(move |segment| Stretch {
                arena: id,
                start: segment.0,
                first: segment.lowest_chunk(&self.cx),
                end: segment.0 + segment.size(&self.cx.memory),
            })
        });
        main.into_iter().chain(segments)
    }

    /// Where the mapping of a chunk that has one of its own begins, and how many bytes it has.
    pub fn mapping_of(&self, chunk: Chunk) -> (Address, u64) {
        let extent = Extent::of(&self.cx, chunk);
        (extent.mapping, extent.length)
    }

    /// The chunks that threads' caches are kept in, each with its thread: in use, but not the program's.
    pub fn caches(&self) -> impl Iterator<Item = (ThreadId, Chunk)> + '_ {
        self.threads.iter().flat_map(|(id, thread)| {
            let closing = thread.closing.as_deref().and_then(|cache| cache.own_chunk());
            thread.tcache.own_chunk().into_iter().chain(closing).map(move |chunk| (id, chunk))
        })
    }
}

/// Numbers the chunks of each bin of one owner.
struct Placing {
    owner: Owner,
    bin: Bin,
    place: u32,
}

impl Placing {
    fn new(owner: Owner) -> Placing {
        Placing { owner, bin: Bin::Top, place: 0 }
    }

    fn next(&mut self, bin: Bin, chunk: Chunk) -> Waiting {
        self.place = if self.bin == bin { self.place.saturating_add(1) } else { 0 };
        self.bin = bin;
        Waiting { chunk, bin, owner: self.owner, place: self.place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Request;
    use crate::fresh::heap;
    use crate::memory::simulated::DEFAULT_BREAK;
    use crate::release::V2_36;

    #[test]
    fn every_bin_is_told_in_the_order_in_which_it_serves() {
        let mut heap = heap(V2_36);
        let all: Vec<_> = (0..9).map(|_| heap.malloc(ThreadId::MAIN, Request(24)).expect("room")).collect();
        for &payload in &all {
            heap.free(ThreadId::MAIN, payload).expect("sound");
        }
        let mut waiting = Vec::new();
        heap.each_waiting(|one| waiting.push(one));
        let at = |number: usize| Chunk::of(heap.memory(), all[number]);
        let cached = (0..7).map(|place| Waiting {
            chunk: at(6 - place as usize),
            bin: Bin::Tcache(0),
            owner: Owner::Thread(ThreadId::MAIN),
            place,
        });
        let fast = (0..2).map(|place| Waiting {
            chunk: at(8 - place as usize),
            bin: Bin::Fast(0),
            owner: Owner::Arena(ArenaId::MAIN),
            place,
        });
        assert_eq!(waiting, cached.chain(fast).collect::<Vec<_>>());
        let served = heap.malloc(ThreadId::MAIN, Request(24)).expect("room");
        assert_eq!(Chunk::of(heap.memory(), served), waiting[0].chunk);
    }

    #[test]
    fn segments_and_mappings_have_their_ends() {
        let mut heap = heap(V2_36);
        let other = ThreadId(1);
        assert_eq!(heap.stretches(ArenaId::MAIN).count(), 0);
        heap.malloc(ThreadId::MAIN, Request(24)).expect("room");
        heap.thread_created(other);
        // No segment has room for two thirds of its greatest length twice.
        for _ in 0..400 {
            heap.malloc(other, Request(120 << 10)).expect("room");
        }
        for _ in 0..400 {
            heap.malloc(other, Request(120 << 10)).expect("room");
        }
        let main: Vec<_> = heap.stretches(ArenaId::MAIN).collect();
        assert_eq!((main.len(), main[0].start, main[0].end - main[0].start), (1, DEFAULT_BREAK, 0x21000));
        let segments: Vec<_> = heap.stretches(ArenaId(1)).collect();
        assert!(segments.len() > 1, "{segments:?}");
        let bytes: u64 = segments.iter().map(|one| one.end - one.start).sum();
        assert_eq!(bytes, heap.arenas()[1].system_bytes());
        for stretch in &segments {
            let mut chunk = stretch.first;
            while chunk.0 < stretch.end && chunk.size(heap.memory()).bytes() >= 32 {
                chunk = chunk.above(heap.memory());
            }
            assert!(chunk.0 <= stretch.end && stretch.end - chunk.0 <= 32, "{stretch:?} {chunk:?}");
        }
        let mapped = heap.malloc(ThreadId::MAIN, Request(1 << 20)).expect("room");
        let mapping = heap.mapping_of(Chunk::of(heap.memory(), mapped));
        assert_eq!(mapping, (Address(mapped.0 - 16), (1 << 20) + 4096));
    }
}
