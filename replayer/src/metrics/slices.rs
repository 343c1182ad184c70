//! What happened in every bin, in every thread and in every arena, slice by slice of a run: at most so many
//! slices, however long the trace.
//!
//! Nothing is counted twice for it: at the end of each slice all counters are written down as they stand, and a
//! slice's own numbers are the differences of two such marks. When the marks are used up, every other one is
//! forgotten and slices are twice as long. So the slices of a run add up to its totals, exactly.

use crate::engine::Engine;
use crate::machine::Machine;
use crate::watch::Watch;
use malloscope_allocator::bins::Bin;
use malloscope_traces::Thread;
use serde::{Deserialize, Serialize};

/// The most slices there are.
pub const SLICES: usize = 512;
/// The most threads that are told apart, and the most arenas: the others are counted together.
pub const LANES: usize = 64;

/// What one bin had done at the end of a slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct BinMark {
    hits: u64,
    misses: u64,
    hit_bytes: u64,
}

/// All counters at the end of a slice.
#[derive(Clone, Debug)]
struct Mark {
    end: u64,
    time: u64,
    faults: u64,
    break_grown: u64,
    break_trimmed: u64,
    break_grown_bytes: u64,
    break_trimmed_bytes: u64,
    mapped: u64,
    unmapped: u64,
    bins: Box<[BinMark]>,
    calls: [u64; LANES + 1],
    arenas: Vec<u64>,
}

/// A run in slices, while it goes on.
#[derive(Debug)]
pub(crate) struct Slicing {
    /// The record at which the first slice begins.
    first: u64,
    /// And its time.
    began: u64,
    marks: Vec<Mark>,
    /// Records in a slice.
    length: u64,
    next: u64,
    calls: [u64; LANES + 1],
    faults_before: u64,
}

impl Slicing {
    /// Slices from this record and time on, before which the heap had so many faults.
    pub(crate) fn from(first: u64, began: u64, faults_before: u64) -> Slicing {
        Slicing {
            first,
            began,
            marks: Vec::with_capacity(SLICES),
            length: 1,
            next: first + 1,
            calls: [0; LANES + 1],
            faults_before,
        }
    }

    /// Counts a call of the malloc family.
    #[inline]
    pub(crate) fn count(&mut self, thread: Thread) {
        self.calls[(thread.0 as usize).min(LANES)] += 1;
    }

    /// Whether a slice ends after this many records.
    #[inline]
    pub(crate) fn is_due(&self, records: u64) -> bool {
        records >= self.next
    }

    /// Threads that made calls: a few more than did, if there were many.
    pub(crate) fn threads(&self, most: u32) -> u32 {
        let apart = self.calls[..LANES].iter().filter(|&&calls| calls > 0).count();
        let others = if self.calls[LANES] > 0 { (most as usize).saturating_sub(LANES) } else { 0 };
        u32::try_from(apart + others).unwrap_or(most)
    }

    /// A slice ends here, where one was due.
    #[inline]
    pub(crate) fn mark<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, end: u64, time: u64) {
        // What is touched for it is ours, not the heap's: its code and its stack, too.
        let own = engine.heap().memory().faults_so_far();
        self.write_down(engine, end, time);
        engine.heap_mut().memory_mut().disown_faults_since(own);
    }

    #[cold]
    #[inline(never)]
    fn write_down<M: Machine>(&mut self, engine: &Engine<M, Watch>, end: u64, time: u64) {
        let mark = self.mark_at(engine, end, time);
        self.marks.push(mark);
        if self.marks.len() == SLICES {
            self.halve();
        }
        self.next = end + self.length;
    }

    /// All counters as they stand.
    fn mark_at<M: Machine>(&self, engine: &Engine<M, Watch>, end: u64, time: u64) -> Mark {
        let heap = engine.heap();
        let counters = &heap.observer().counters;
        let bin = |bin: Bin| {
            let counts = counters.bin(bin);
            BinMark { hits: counts.hits, misses: counts.misses, hit_bytes: counts.hit_bytes }
        };
        let mut arenas: Vec<u64> =
            heap.arenas().iter().take(LANES).map(malloscope_allocator::arena::Arena::system_bytes).collect();
        let others = heap.arenas().iter().skip(LANES).map(malloscope_allocator::arena::Arena::system_bytes);
        if heap.arenas().len() > LANES {
            arenas.push(others.sum());
        }
        // Calls of several threads are not made in the order of their stamps, where that is not how it was.
        let time = self.marks.last().map_or(time, |last| last.time.max(time));
        Mark {
            end,
            time,
            faults: heap.memory().heap_faults(),
            break_grown: counters.kernel.break_grown,
            break_trimmed: counters.kernel.break_trimmed,
            break_grown_bytes: counters.kernel.break_grown_bytes,
            break_trimmed_bytes: counters.kernel.break_trimmed_bytes,
            mapped: counters.kernel.map,
            unmapped: counters.kernel.unmap,
            bins: Bin::all().map(bin).collect(),
            calls: self.calls,
            arenas,
        }
    }

    fn halve(&mut self) {
        let mut number = 0;
        self.marks.retain(|_| {
            number += 1;
            number % 2 == 0
        });
        self.length *= 2;
    }

    /// The slices, if the last of them ends here.
    pub(crate) fn until<M: Machine>(&self, engine: &Engine<M, Watch>, end: u64, time: u64) -> Slices {
        let counters = &engine.heap().observer().counters;
        let now = self.mark_at(engine, end, time);
        // A call that found the heap corrupted has counted, and is no record that was replayed.
        let before = self.marks.iter().filter(|mark| mark.end != end);
        let marks: Vec<&Mark> = before.chain([&now]).collect();
        let marks = &marks[..];
        // What came between two marks: of the first, what came before it.
        fn steps(marks: &[&Mark], start: u64, value: impl Fn(&Mark) -> u64) -> Vec<u64> {
            let mut before = start;
            let step = |mark: &&Mark| {
                let now = value(mark);
                now.saturating_sub(std::mem::replace(&mut before, now))
            };
            marks.iter().map(step).collect()
        }
        let step = |value: &dyn Fn(&Mark) -> u64| steps(marks, 0, value);
        let all = SliceTotals {
            calls: step(&|mark| mark.calls.iter().sum()),
            faults: steps(marks, self.faults_before, |mark| mark.faults),
            break_grown: step(&|mark| mark.break_grown),
            break_trimmed: step(&|mark| mark.break_trimmed),
            break_grown_bytes: step(&|mark| mark.break_grown_bytes),
            break_trimmed_bytes: step(&|mark| mark.break_trimmed_bytes),
            mmap: step(&|mark| mark.mapped),
            munmap: step(&|mark| mark.unmapped),
        };
        let asked = Bin::all().enumerate().filter(|&(_, bin)| {
            let counts = counters.bin(bin);
            counts.hits + counts.misses > 0
        });
        let bins = asked.map(|(place, bin)| {
            let (kind, number) = bin.name();
            let mut slices = BinSlices { kind: kind.to_owned(), number, ..BinSlices::default() };
            let mut before = BinMark::default();
            for (slice, mark) in marks.iter().enumerate() {
                let now = mark.bins[place];
                if now != before {
                    slices.slices.push(slice);
                    slices.hits.push(now.hits - before.hits);
                    slices.misses.push(now.misses - before.misses);
                    slices.hit_bytes.push(now.hit_bytes.wrapping_sub(before.hit_bytes));
                }
                before = now;
            }
            slices
        });
        let threads = (0..=LANES).filter(|&lane| self.calls[lane] > 0).map(|lane| ThreadSlices {
            thread: u32::try_from(lane).ok().filter(|_| lane < LANES),
            calls: step(&|mark| mark.calls[lane]),
        });
        let lanes = marks.iter().map(|mark| mark.arenas.len()).max().unwrap_or(0);
        let arenas = (0..lanes).map(|lane| ArenaSlices {
            arena: u32::try_from(lane).ok().filter(|_| lane < LANES),
            system: marks.iter().map(|mark| mark.arenas.get(lane).copied().unwrap_or(0)).collect(),
        });
        Slices {
            first: self.first,
            began: self.began,
            ends: marks.iter().map(|mark| mark.end).collect(),
            times: marks.iter().map(|mark| mark.time).collect(),
            all,
            bins: bins.collect(),
            threads: threads.collect(),
            arenas: arenas.collect(),
        }
    }
}

/// A run in slices. Every list of numbers has an entry for each slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slices {
    /// The record at which the first slice begins.
    pub first: u64,
    /// The time at which it begins: nanoseconds since the trace began.
    pub began: u64,
    /// The record before which each slice ends, and at which the next begins.
    pub ends: Vec<u64>,
    /// The times at those ends: nanoseconds since the trace began.
    pub times: Vec<u64>,
    /// What happened in each slice.
    pub all: SliceTotals,
    /// What happened in each bin that was looked into.
    pub bins: Vec<BinSlices>,
    /// How many calls each thread made, if it made any.
    pub threads: Vec<ThreadSlices>,
    /// What each arena had from the kernel.
    pub arenas: Vec<ArenaSlices>,
}

/// What happened in each slice of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceTotals {
    /// Calls of the malloc family.
    pub calls: Vec<u64>,
    /// Minor faults.
    pub faults: Vec<u64>,
    /// How often the program break grew.
    pub break_grown: Vec<u64>,
    /// How often it was trimmed.
    pub break_trimmed: Vec<u64>,
    /// By how much it grew, in bytes.
    #[serde(default)]
    pub break_grown_bytes: Vec<u64>,
    /// By how much it was trimmed.
    #[serde(default)]
    pub break_trimmed_bytes: Vec<u64>,
    /// Calls of `mmap`.
    pub mmap: Vec<u64>,
    /// Calls of `munmap`.
    pub munmap: Vec<u64>,
}

/// What happened in one bin, in the slices of a run in which it was looked into.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinSlices {
    /// Its kind, as in [`BinRow`](crate::outcome::BinRow).
    pub kind: String,
    /// Its number, where there are several of the kind.
    pub number: Option<u8>,
    /// Those slices; the other lists have an entry for each of them.
    pub slices: Vec<usize>,
    /// Requests it served.
    pub hits: Vec<u64>,
    /// Requests that found nothing in it.
    pub misses: Vec<u64>,
    /// Chunk bytes of the requests it served.
    pub hit_bytes: Vec<u64>,
}

/// How many calls a thread made in each slice of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadSlices {
    /// The thread; none for all those after the first [`LANES`].
    pub thread: Option<u32>,
    /// Calls of the malloc family.
    pub calls: Vec<u64>,
}

/// What an arena had from the kernel at the end of each slice of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArenaSlices {
    /// The arena, 0 being the main one; none for all those after the first [`LANES`].
    pub arena: Option<u32>,
    /// Bytes.
    pub system: Vec<u64>,
}
