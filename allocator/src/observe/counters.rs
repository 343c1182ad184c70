//! Per bin: asked, served, released, bytes; and the calls to the kernel.

use crate::address::ChunkSize;
use crate::bins::{self, Bin};
use crate::observe::{Event, KernelCall, Observer, Source};

/// What happened in one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BinCounts {
    /// Requests it served.
    pub hits: u64,
    /// Requests that looked into it and went on.
    pub misses: u64,
    /// Chunk bytes of the requests it served.
    pub hit_bytes: u64,
    /// Chunks that came to rest in it: freed, or left over from a split.
    pub released: u64,
    /// Their bytes.
    pub released_bytes: u64,
    /// Chunks that moved from here to a tcache, because one like them had just been asked for.
    pub stashed: u64,
    /// Chunks that were sorted into it.
    pub sorted: u64,
}

/// How many requests were served from each kind of place, and how many chunk bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests.
    pub requests: u64,
    /// The bytes of their chunks.
    pub bytes: u64,
}

/// The kinds of [`Source`], without their numbers: what a table of sources has a row for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are those of Source")]
pub enum SourceKind {
    Tcache,
    Fast,
    Small,
    Unsorted,
    LastRemainder,
    Large,
    Split,
    Top,
    GrownTop,
    Mapped,
    Stayed,
    Extended,
    Remapped,
}

impl SourceKind {
    /// Every kind, fastest first.
    pub const ALL: [SourceKind; 13] = [
        SourceKind::Tcache,
        SourceKind::Fast,
        SourceKind::Small,
        SourceKind::Unsorted,
        SourceKind::LastRemainder,
        SourceKind::Large,
        SourceKind::Split,
        SourceKind::Top,
        SourceKind::GrownTop,
        SourceKind::Mapped,
        SourceKind::Stayed,
        SourceKind::Extended,
        SourceKind::Remapped,
    ];

    /// What it is called in reports.
    pub const fn name(self) -> &'static str {
        match self {
            SourceKind::Tcache => "tcache",
            SourceKind::Fast => "fastbin",
            SourceKind::Small => "small bin",
            SourceKind::Unsorted => "unsorted bin",
            SourceKind::LastRemainder => "last remainder",
            SourceKind::Large => "large bin",
            SourceKind::Split => "split of a larger chunk",
            SourceKind::Top => "top",
            SourceKind::GrownTop => "grown top",
            SourceKind::Mapped => "mapped",
            SourceKind::Stayed => "realloc: stayed",
            SourceKind::Extended => "realloc: extended",
            SourceKind::Remapped => "realloc: remapped",
        }
    }

    /// The kind of a source.
    #[inline]
    pub fn of(source: Source) -> SourceKind {
        match source {
            Source::Tcache(_) => SourceKind::Tcache,
            Source::Fast(_) => SourceKind::Fast,
            Source::Small(_) => SourceKind::Small,
            Source::Unsorted => SourceKind::Unsorted,
            Source::LastRemainder => SourceKind::LastRemainder,
            Source::Large(_) => SourceKind::Large,
            Source::Split(_) => SourceKind::Split,
            Source::Top => SourceKind::Top,
            Source::GrownTop => SourceKind::GrownTop,
            Source::Mapped => SourceKind::Mapped,
            Source::Stayed => SourceKind::Stayed,
            Source::Extended => SourceKind::Extended,
            Source::Remapped => SourceKind::Remapped,
        }
    }
}

/// How often the kernel was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCalls {
    /// `brk`, upward.
    pub break_grown: u64,
    /// Bytes the break was moved up.
    pub break_grown_bytes: u64,
    /// `brk`, downward.
    pub break_trimmed: u64,
    /// Bytes the break was moved down.
    pub break_trimmed_bytes: u64,
    /// `mmap`
    pub map: u64,
    /// `munmap`
    pub unmap: u64,
    /// `mremap`
    pub remap: u64,
    /// `mprotect`
    pub protect: u64,
    /// `madvise` that gives memory back.
    pub discard: u64,
    /// `madvise` that recommends huge pages.
    pub recommend_huge: u64,
    /// Calls that were refused, of any kind; also counted above.
    pub refused: u64,
}

/// Counts everything, in a fixed number of bytes.
#[derive(Clone, Debug)]
pub struct Counters {
    bins: [BinCounts; Bin::COUNT],
    served: [Served; SourceKind::ALL.len()],
    /// Requests of the program.
    pub asked: u64,
    /// Bytes of those requests.
    pub asked_bytes: u64,
    /// Chunks split.
    pub splits: u64,
    /// Pairs of chunks merged.
    pub merges: u64,
    /// Times an arena's fastbins were emptied.
    pub consolidations: u64,
    /// Times the mmap threshold moved.
    pub threshold_moves: u64,
    /// Calls to the kernel.
    pub kernel: KernelCalls,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            bins: [BinCounts::default(); Bin::COUNT],
            served: [Served::default(); SourceKind::ALL.len()],
            asked: 0,
            asked_bytes: 0,
            splits: 0,
            merges: 0,
            consolidations: 0,
            threshold_moves: 0,
            kernel: KernelCalls::default(),
        }
    }
}

impl Counters {
    /// What happened in a bin.
    pub fn bin(&self, bin: Bin) -> &BinCounts {
        &self.bins[bin.index()]
    }

    /// What was served from a kind of place.
    pub fn served(&self, kind: SourceKind) -> Served {
        self.served[kind as usize]
    }

    #[inline(always)]
    fn note_served(&mut self, from: Source, size: ChunkSize) {
        let served = &mut self.served[SourceKind::of(from) as usize];
        served.requests += 1;
        // Chunks that were cut by requests which wrapped round may be as long as the address space.
        served.bytes = served.bytes.wrapping_add(size.bytes());
        let bin = match from {
            Source::Tcache(number) => Bin::Tcache(number),
            Source::Fast(number) => Bin::Fast(number),
            Source::Small(number) => Bin::Small(number),
            Source::Unsorted | Source::LastRemainder => Bin::Unsorted,
            Source::Large(number) | Source::Split(number) => bins::list(number.into()),
            Source::Top => Bin::Top,
            Source::Mapped => Bin::Mapped,
            // The kernel, or the chunk itself: no bin.
            Source::GrownTop | Source::Stayed | Source::Extended | Source::Remapped => return,
        };
        let counts = &mut self.bins[bin.index()];
        counts.hits += 1;
        counts.hit_bytes = counts.hit_bytes.wrapping_add(size.bytes());
    }

    #[cold]
    fn note_kernel(&mut self, call: KernelCall) {
        let kernel = &mut self.kernel;
        let mut refused = false;
        match call {
            KernelCall::MoveBreak { by, from } => {
                refused = from.is_none();
                let moved = if refused { 0 } else { by.unsigned_abs() };
                if by > 0 {
                    kernel.break_grown += 1;
                    kernel.break_grown_bytes += moved;
                } else {
                    kernel.break_trimmed += 1;
                    kernel.break_trimmed_bytes += moved;
                }
            }
            KernelCall::Map { at, .. } => {
                refused = at.is_none();
                kernel.map += 1;
            }
            KernelCall::MapOver { .. } => kernel.map += 1,
            KernelCall::Unmap { .. } => kernel.unmap += 1,
            KernelCall::Remap { now, .. } => {
                refused = now.is_none();
                kernel.remap += 1;
            }
            KernelCall::Protect { .. } => kernel.protect += 1,
            KernelCall::Discard { .. } => kernel.discard += 1,
            KernelCall::RecommendHuge { .. } => kernel.recommend_huge += 1,
        }
        kernel.refused += u64::from(refused);
    }
}

impl Observer for Counters {
    #[inline(always)]
    fn event(&mut self, event: Event) {
        match event {
            Event::Asked { request, .. } => {
                self.asked += 1;
                self.asked_bytes = self.asked_bytes.wrapping_add(request.0);
            }
            Event::Missed { bin } => self.bins[bin.index()].misses += 1,
            Event::Served { from, size, .. } => self.note_served(from, size),
            Event::Released { size, into, .. } => {
                let counts = &mut self.bins[into.index()];
                counts.released += 1;
                counts.released_bytes = counts.released_bytes.wrapping_add(size.bytes());
            }
            Event::Stashed { from, .. } => self.bins[from.index()].stashed += 1,
            Event::Sorted { into, .. } => self.bins[into.index()].sorted += 1,
            Event::Split { .. } => self.splits += 1,
            Event::Merged { .. } => self.merges += 1,
            Event::Consolidated { .. } => self.consolidations += 1,
            Event::ThresholdMoved { .. } => self.threshold_moves += 1,
            Event::Kernel(call) => self.note_kernel(call),
            Event::LookedAt { .. }
            | Event::TopGrew { .. }
            | Event::TopShrank { .. }
            | Event::ArenaMade { .. }
            | Event::ArenaReused { .. }
            | Event::ForeignBreak { .. } => {}
        }
    }
}
