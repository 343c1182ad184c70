//! Whether a replay's books balance, and what of the heap is free.
//!
//! Two identities are held against each other's sources: what malloc counts, what the trace says is in use, what
//! waits in lists, and the boundary tags in memory, chunk by chunk.
//!
//! ```text
//!   from the kernel  =  chunks + malloc's own heads, fenceposts and padding       (of every arena)
//!   chunks           =  held + cached + fast + binned + top + threads' caches     (of all arenas)
//!   mappings         =  mappings of held and of cached chunks
//! ```
//!
//! *Held* are the chunks of what the program asked for and has not given back. A heap that began as another's, and one
//! of a release that loses the caches of threads that end, has chunks which are in use by nobody known: those are counted
//! and said, and may not become fewer. Where others have moved the program break the first identity is not asked for, since what lies between is theirs.
//!
//! Looking at all chunks takes a while. It is done at the end, and at samples in between as often as it takes no more
//! than a chunk for so many records, and not at all of runs that are only compared; what was looked at says how often. A sample that is not looked at in full is
//! held against what must be so: that held, cached and top chunks together are no more than what is from the kernel.

use super::{Metrics, Peak, system_bytes};
use crate::engine::Engine;
use crate::machine::Machine;
use crate::watch::Watch;
use malloscope_allocator::arena::ArenaId;
use malloscope_allocator::bins::Bin;
use malloscope_allocator::chunk::Chunk;
use malloscope_allocator::layout::Layout;
use malloscope_allocator::release::MappedHead;
use serde::{Deserialize, Serialize};

/// At most one chunk is looked at for so many records: a replay of the trace of `benches/window.sh` takes a hundredth
/// more instructions for it.
const RECORDS_A_CHUNK: u64 = 4;

/// How the books are kept while a run goes on.
#[derive(Clone, Debug, Default)]
pub(super) struct Bookkeeping {
    /// Whether all chunks are looked at now and then, and not at the end alone.
    at_samples: bool,
    /// What the last look at all chunks took, in chunks, and the record it was at.
    cost: u64,
    looked_at: u64,
    samples: u64,
    looked: u64,
    wrong: Option<Wrong>,
    greatest_resident_free: Peak,
    /// Whether chunks may be in use by nobody known.
    may_have_others: bool,
    /// Those that were found, and with them what the C library asked for itself.
    unknown: u64,
    others: u64,
}

impl Bookkeeping {
    /// None kept yet; whether all chunks are to be looked at now and then.
    pub(super) fn at_samples(at_samples: bool) -> Bookkeeping {
        Bookkeeping { at_samples, ..Bookkeeping::default() }
    }

    /// The heap began as another's.
    pub(super) fn expect_others(&mut self) {
        self.may_have_others = true;
    }

    /// What was looked at so far does not count.
    pub(super) fn restart(&mut self) {
        let Bookkeeping { at_samples, cost, looked_at, may_have_others, unknown, .. } = *self;
        let kept = Bookkeeping::at_samples(at_samples);
        *self = Bookkeeping { cost, looked_at, may_have_others, unknown, ..kept };
    }

    fn note(&mut self, record: u64, wrong: Option<Wrong>) {
        if self.wrong.is_none() {
            self.wrong = wrong.map(|wrong| Wrong { record, ..wrong });
        }
    }
}

/// Whether the books balanced, and what was free in the end. Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// Samples whose books were held against what must be so.
    pub samples: u64,
    /// Of these, samples at which every chunk was looked at.
    pub looked: u64,
    /// The first thing that was not so; the replay is wrong then.
    pub wrong: Option<Wrong>,
    /// What was free at the end.
    pub free: Free,
    /// The most free memory that was resident, where every chunk was looked at.
    pub greatest_resident_free: Peak,
    /// At the end: what malloc needs itself, in heads of arenas, threads' caches, fenceposts and padding.
    pub own: u64,
    /// At the end: chunks in use by nobody known, and what a script's C library asked for itself.
    pub others: u64,
}

/// Free memory, by where it waits. Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Free {
    /// In threads' caches.
    pub cached: u64,
    /// On fastbins.
    pub fast: u64,
    /// In unsorted, small and large bins.
    pub binned: u64,
    /// In the top chunks of all arenas.
    pub top: u64,
    /// Of all these, bytes on pages that hold memory: *resident free*. What is not is *unbacked*: never touched, or
    /// given back.
    pub resident: u64,
}

impl Free {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.cached + self.fast + self.binned + self.top
    }

    /// What takes no memory.
    pub fn unbacked(&self) -> u64 {
        self.total().saturating_sub(self.resident)
    }
}

/// Two sums that should be the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrong {
    /// The record after which it was found.
    pub record: u64,
    /// What was compared.
    pub what: String,
    /// What there should be.
    pub expected: u64,
    /// What was found.
    pub found: u64,
}

/// What one look at all chunks has found.
#[derive(Default)]
struct Look {
    free: Free,
    /// Cached chunks with mappings of their own, and those mappings.
    cached_apart: u64,
    cached_mappings: u64,
    waiting: u64,
    /// Chunks met in memory, and their bytes; and bytes that are no chunks.
    chunks: u64,
    bytes: u64,
    own: u64,
    wrong: Option<Wrong>,
}

impl Look {
    fn expect(&mut self, what: &str, expected: u64, found: u64) {
        if expected != found && self.wrong.is_none() {
            self.wrong = Some(Wrong { record: 0, what: what.to_owned(), expected, found });
        }
    }
}

impl Metrics {
    /// Holds the books of a sample against each other; looks at every chunk if that has not been done for long.
    pub(super) fn check_books<M: Machine>(&mut self, engine: &Engine<M, Watch>, record: u64) {
        let due = self.books.looked_at + self.books.cost * RECORDS_A_CHUNK;
        if self.books.at_samples && record >= due {
            self.look_at_books(engine, record);
            return;
        }
        self.books.samples += 1;
        let heap = engine.heap();
        let tops: u64 = heap.arenas().iter().map(|arena| arena.top().size(heap.memory()).bytes()).sum();
        let known = self.held.saturating_add(heap.cached().1).saturating_add(tops);
        let system = system_bytes(engine);
        let unseen = heap.release().mapped_head == MappedHead::LikeOthers;
        if known > system && !unseen {
            let what = "held, cached and top chunks, which are no more than what is from the kernel";
            let wrong = Wrong { record, what: what.to_owned(), expected: system, found: known };
            self.books.note(record, Some(wrong));
        }
    }

    /// Looks at every chunk.
    #[cold]
    pub(super) fn look_at_books<M: Machine>(&mut self, engine: &Engine<M, Watch>, record: u64) -> Books {
        let look = self.look(engine);
        let books = &mut self.books;
        books.samples += 1;
        books.looked += 1;
        books.cost = look.chunks + look.waiting;
        books.looked_at = record;
        books.note(record, look.wrong);
        books.greatest_resident_free.note(look.free.resident, record);
        Books {
            samples: books.samples,
            looked: books.looked,
            wrong: books.wrong.clone(),
            free: look.free,
            greatest_resident_free: books.greatest_resident_free,
            own: look.own,
            others: books.others,
        }
    }

    fn look<M: Machine>(&mut self, engine: &Engine<M, Watch>) -> Look {
        let heap = engine.heap();
        let words = heap.memory();
        let system: u64 = heap.arenas().iter().map(|arena| arena.system_bytes()).sum();
        let mut look = Look::default();
        // More chunks than have room in all memory there is are some of them more than once.
        let most = (system + heap.parameters().mapped_bytes) / M::Layout::SMALLEST_CHUNK.bytes();
        let has_end = heap.each_waiting_while(|one| {
            let head = one.chunk.head(words);
            let size = head.size().bytes();
            look.waiting += 1;
            look.free.resident += words.resident_bytes(one.chunk.0, size);
            match one.bin {
                Bin::Tcache(_) => look.free.cached += size,
                Bin::Fast(_) => look.free.fast += size,
                _ => look.free.binned += size,
            }
            if head.is_mapped() {
                look.cached_apart += size;
                look.cached_mappings += heap.mapping_of(one.chunk).1;
            }
            look.waiting <= most
        });
        if !has_end {
            look.expect("free chunks, of which there are more than have room", most, look.waiting);
            return look;
        }
        let mut is_open = self.has_foreign || !heap.arenas()[0].is_contiguous();
        for arena in heap.arenas().iter().filter(|arena| arena.has_memory()) {
            let top = arena.top().size(words).bytes();
            look.free.top += top;
            look.free.resident += words.resident_bytes(arena.top().0, top);
            if arena.id() == ArenaId::MAIN && is_open {
                continue;
            }
            let (mut bytes, mut own) = (0, 0);
            for stretch in heap.stretches(arena.id()) {
                own += stretch.first.0 - stretch.start;
                let mut chunk = stretch.first;
                let mut below = 0;
                while chunk.0 < stretch.end {
                    let head = chunk.head(words);
                    let size = head.size().bytes();
                    if size < M::Layout::SMALLEST_CHUNK.bytes() {
                        // Fenceposts end the memory; if only one is so short, the chunk below it is the other.
                        if size == 0 {
                            bytes -= below;
                            own += below;
                        }
                        own += stretch.end - chunk.0;
                        break;
                    }
                    bytes += size;
                    look.chunks += 1;
                    below = size;
                    let above = Chunk(chunk.0 + size);
                    if above <= chunk {
                        break;
                    }
                    chunk = above;
                }
            }
            is_open |= arena.is_corrupted();
            if is_open {
                continue;
            }
            look.expect("bytes of an arena, chunk by chunk", arena.system_bytes(), bytes + own);
            look.bytes += bytes;
            look.own += own;
        }
        let in_arenas = |chunk: &Chunk| !chunk.head(words).is_mapped();
        let size = |chunk: Chunk| chunk.size(words).bytes();
        let caches: u64 = heap.caches().map(|(_, chunk)| chunk).filter(in_arenas).map(size).sum();
        let libc: u64 =
            engine.libc_payloads().map(|at| Chunk::of(words, at)).filter(in_arenas).map(size).sum();
        let mapped = heap.parameters().mapped_bytes;
        let in_bins = look.free.total() - look.cached_apart;
        let known = self.held.saturating_sub(self.apart.held) + in_bins + caches + libc;
        look.own += caches + mapped.saturating_sub(self.apart.held + look.cached_apart);
        if is_open {
            // What lies between the parts is not told apart from what malloc needs.
            let rest = (system + mapped).saturating_sub(self.held + look.free.total() + libc);
            (look.own, self.books.others) = (rest, libc);
            return look;
        }
        let unknown = look.bytes.saturating_sub(known);
        let may_have_others = self.books.may_have_others || heap.release().tcache.is_lost_at_exit;
        if may_have_others && unknown >= self.books.unknown && known <= look.bytes {
            self.books.unknown = unknown;
        } else {
            look.expect("chunks of all arenas", known + self.books.unknown, look.bytes);
        }
        self.books.others = libc + self.books.unknown;
        if heap.release().mapped_head != MappedHead::LikeOthers && !self.books.may_have_others {
            look.expect("mappings of chunks", mapped, self.apart.mappings + look.cached_mappings);
        }
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detail::Detail;
    use crate::trial::Touch;
    use malloscope_allocator::heap::Heap;
    use malloscope_allocator::memory::Processors;
    use malloscope_allocator::memory::simulated::{DEFAULT_BREAK, Simulated};
    use malloscope_allocator::release::V2_36;
    use malloscope_allocator::tunables::Tunables;
    use malloscope_traces::{Call, Nanos, Placed, Pointer, Record, Slot, Thread};

    fn played(calls: impl Iterator<Item = Call>) -> (Engine<Simulated, Watch>, Metrics) {
        let machine = Simulated::new(DEFAULT_BREAK, Processors { online: 2, allowed: 2 });
        let mut metrics = Metrics::new(&machine, DEFAULT_BREAK, true, Detail::Whole);
        let heap = Heap::new(machine, Watch::default(), V2_36, &Tunables::default());
        let mut engine = Engine::new(heap, Touch::Pages, false);
        for (index, call) in (0..).zip(calls) {
            let record = Record { time: Nanos(index), thread: Thread(0), program_break: 0, call };
            let ending = metrics.before(&engine, &record);
            let answer = engine.execute(&record).expect("a sound heap");
            metrics.after(&mut engine, index, &record, ending, answer);
        }
        (engine, metrics)
    }

    fn pointer(slot: u32) -> Pointer {
        Pointer { address: 0x1000 + u64::from(slot), slot: Slot(slot) }
    }

    fn malloc(slot: u32, request: u64) -> Call {
        Call::Malloc { request, to: Placed { pointer: pointer(slot), head: 0 } }
    }

    fn some() -> impl Iterator<Item = Call> {
        let asked = (0..200).map(|slot| malloc(slot, u64::from(slot) * 97 % 5000));
        let freed = (0..200).filter(|slot| slot % 3 > 0).map(|slot| Call::Free { pointer: pointer(slot) });
        asked.chain([malloc(500, 1 << 20)]).chain(freed)
    }

    #[test]
    fn the_books_balance() {
        let (engine, mut metrics) = played(some());
        let books = metrics.look_at_books(&engine, 1000);
        assert_eq!(books.wrong, None);
        assert!(books.looked > 2 && books.samples > 300, "{books:?}");
        let all = metrics.held + books.free.total() + books.own + books.others;
        assert_eq!((all, books.others), (system_bytes(&engine), 0));
        assert!(books.free.resident > 0 && books.free.unbacked() > 0, "{books:?}");
        assert!(books.free.cached > 0 && books.free.binned > 0 && books.free.top > 0, "{books:?}");
    }

    #[test]
    fn what_does_not_balance_is_found_and_kept() {
        for (name, spoil) in [
            ("chunks of all arenas", (|metrics: &mut Metrics| metrics.held += 16) as fn(&mut Metrics)),
            ("mappings of chunks", |metrics| metrics.apart.mappings -= 4096),
        ] {
            let (engine, mut metrics) = played(some());
            spoil(&mut metrics);
            let wrong = metrics.look_at_books(&engine, 7).wrong.expect("it was spoiled");
            assert_eq!((wrong.record, wrong.what.as_str()), (7, name));
            assert_ne!(wrong.expected, wrong.found);
            // What was wrong once is said, also if it is right later.
            assert_eq!(metrics.look_at_books(&engine, 8).wrong, Some(wrong));
        }
    }

    #[test]
    fn what_cannot_be_is_seen_without_looking_at_every_chunk() {
        let (engine, mut metrics) = played(some());
        metrics.books.looked_at = u64::MAX / 2;
        metrics.held += 1 << 30;
        metrics.check_books(&engine, 9);
        assert_eq!(metrics.books.wrong.as_ref().map(|wrong| wrong.record), Some(9));
    }
}
