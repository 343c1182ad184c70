//! What came of a run: plain data, which knows nothing of how it is printed.

use crate::blame::Blame;
use crate::detail::Detail;
use crate::engine::Oddities;
use crate::fidelity::Fidelity;
use crate::flows::{FreeFlow, RequestFlow};
use crate::metrics::Measured;
use crate::metrics::fragmentation::Fragmentations;
use crate::metrics::searches::Searches;
use crate::metrics::slices::Slices;
use crate::order::Reordering;
use crate::range::Range;
use crate::recognition::Recognition;
use crate::run::Progress;
use crate::trial::Trial;
use crate::trims::Trims;
use crate::watch::ThresholdMove;
use malloscope_allocator::bins::Bin;
use malloscope_allocator::layout::Geometry;
use malloscope_allocator::observe::counters::{Counters, KernelCalls, SourceKind};
use serde::{Deserialize, Serialize};

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The settings it was asked to run under.
    pub trial: Trial,
    /// The settings it ran under.
    pub settings: Settings,
    /// How far the run was, if it was not at its end: then all this holds up to there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub so_far: Option<Progress>,
    /// How much of it was measured.
    #[serde(default)]
    pub detail: Detail,
    /// The records that count, if not all do: as far as there are so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// Records replayed, of those that count.
    pub records: u64,
    /// Of them, calls of the malloc family; the others are threads that came and went.
    pub calls: u64,
    /// Threads that made them.
    pub threads: u32,
    /// How long that took while it was traced, in nanoseconds.
    pub traced_nanos: u64,
    /// What happened in every bin that was used.
    pub bins: Vec<BinRow>,
    /// Where requests were served from.
    pub served: Vec<ServedRow>,
    /// The same by the sizes asked for: as many as in `served`.
    #[serde(default)]
    pub request_flows: Vec<RequestFlow>,
    /// Where freed chunks went, by their sizes: an allocation that ended each.
    #[serde(default)]
    pub free_flows: Vec<FreeFlow>,
    /// How far requests searched through bins.
    #[serde(default)]
    pub searches: Searches,
    /// Requests made; fewer were served if memory ran out.
    pub requests: u64,
    /// What malloc asked of the kernel.
    pub kernel: KernelRow,
    /// Memory.
    pub measured: Measured,
    /// Fragmentation, by the published definitions.
    #[serde(default)]
    pub fragmentation: Fragmentations,
    /// What happened when: slice by slice, in every bin and thread.
    #[serde(default)]
    pub slices: Slices,
    /// What the calls of `malloc_trim` came to that the trial made and the program did not.
    #[serde(default)]
    pub trims: Trims,
    /// Every arena, at the end.
    pub arenas: Vec<ArenaRow>,
    /// The thresholds that move.
    pub thresholds: Thresholds,
    /// Calls that could not be made as they were recorded.
    pub oddities: Oddities,
    /// Bytes that were taken not to be written because the program was seen not to touch them.
    pub spared: u64,
    /// If the heap was found corrupted, the run ended there.
    pub corruption: Option<Corrupted>,
    /// Our placements beside the recorded ones, if they were compared.
    pub fidelity: Option<Fidelity>,
    /// The order of calls of several threads, if it was looked for.
    pub reordering: Option<Reordering>,
    /// What of the trace could not be read.
    pub damage: Vec<String>,
    /// What the replay itself took.
    pub cost: Cost,
    /// What stacks were charged with, if that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blame: Vec<Blame>,
}

/// The settings of a run, all of them in the words of glibc.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The glibc release whose behaviour was replayed.
    pub release: String,
    /// What of that release was changed, by field.
    pub release_changes: Vec<(String, String)>,
    /// The version in whose place it was replayed, where that is newer than any release known.
    pub unknown_version: Option<String>,
    /// The release that was recorded, if it is known.
    pub recorded_release: Option<String>,
    /// What the recorded libc behaves as.
    pub recognition: Recognition,
    /// Tunables that were set, by the environment or by the trial.
    pub tunables: Vec<(String, u64)>,
    /// Settings that glibc of this release would ignore: a sentence for each.
    pub ignored: Vec<String>,
    /// What whoever set something should know about it: a sentence for each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Whether the thresholds move by themselves: until one of them is set.
    pub dynamic_thresholds: bool,
    /// Processors, which bound the number of arenas.
    pub processors: u32,
    /// The initial break's place in its page.
    pub break_offset: u64,
    /// Bytes in a page.
    pub page_size: u64,
}

/// What happened in one bin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinRow {
    /// `tcache`, `fast`, `small`, `unsorted`, `large`, `top` or `mapped`.
    pub kind: String,
    /// Its number, where there are several of the kind.
    pub number: Option<u8>,
    /// The smallest chunk size it holds.
    pub least_size: Option<u64>,
    /// The greatest chunk size it holds.
    pub greatest_size: Option<u64>,
    /// Requests that looked into it: hits and misses.
    pub requests: u64,
    /// Requests it served.
    pub hits: u64,
    /// Requests that found nothing in it.
    pub misses: u64,
    /// Chunk bytes of the requests it served.
    pub hit_bytes: u64,
    /// Chunks that came to rest in it.
    pub released: u64,
    /// Their bytes.
    pub released_bytes: u64,
    /// Chunks that moved from it to a tcache.
    pub stashed: u64,
    /// Chunks that were sorted into it.
    pub sorted: u64,
}

impl BinRow {
    /// Hits among requests, if there were any.
    pub fn hit_rate(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.hits as f64 / self.requests as f64)
    }
}

/// How many requests one kind of place served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedRow {
    /// The kind of place.
    pub from: String,
    /// Requests.
    pub requests: u64,
    /// The bytes of their chunks.
    pub bytes: u64,
}

/// Calls to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the allocator's KernelCalls")]
pub struct KernelRow {
    pub break_grown: u64,
    pub break_grown_bytes: u64,
    pub break_trimmed: u64,
    pub break_trimmed_bytes: u64,
    pub mmap: u64,
    pub munmap: u64,
    pub mremap: u64,
    pub mprotect: u64,
    pub madvise: u64,
    pub refused: u64,
}

impl KernelRow {
    /// All calls.
    pub fn total(&self) -> u64 {
        self.break_grown
            + self.break_trimmed
            + self.mmap
            + self.munmap
            + self.mremap
            + self.mprotect
            + self.madvise
    }
}

/// An arena, at the end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArenaRow {
    /// 0 is the main arena.
    pub arena: u32,
    /// Threads attached to it.
    pub threads: u64,
    /// Bytes it has from the kernel.
    pub system: u64,
    /// The most it ever had.
    pub greatest_system: u64,
    /// Bytes in its top chunk.
    pub top: u64,
}

/// The thresholds, and how they moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// The mmap threshold at the beginning.
    pub first_mmap_threshold: u64,
    /// The mmap threshold at the end.
    pub last_mmap_threshold: u64,
    /// The trim threshold at the end.
    pub last_trim_threshold: u64,
    /// How often the mmap threshold moved.
    pub moved: u64,
    /// The first of the moves.
    pub moves: Vec<ThresholdMove>,
}

/// The heap was found corrupted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corrupted {
    /// The record whose call found out.
    pub record: u64,
    /// What glibc would have said before it aborted.
    pub message: String,
}

/// What a replay took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds from the first record to the last.
    pub seconds: f64,
    /// The processor's seconds of the thread that replayed: decoding and ordering are others' work.
    pub processor_seconds: f64,
    /// The most memory that the replaying process ever had, in bytes; 0 if the system does not say.
    #[serde(default)]
    pub greatest_memory: u64,
}

/// The rows of all bins that were looked into or put into.
pub(crate) fn bin_rows(counters: &Counters, geometry: Geometry) -> Vec<BinRow> {
    let used = Bin::all().filter(|&bin| *counters.bin(bin) != Default::default());
    used.map(|bin| {
        let counts = counters.bin(bin);
        let (kind, number) = bin.name();
        let sizes = bin.sizes(geometry);
        BinRow {
            kind: kind.to_owned(),
            number,
            least_size: sizes.map(|(least, _)| least.bytes()),
            greatest_size: sizes.map(|(_, greatest)| greatest.bytes()),
            requests: counts.hits + counts.misses,
            hits: counts.hits,
            misses: counts.misses,
            hit_bytes: counts.hit_bytes,
            released: counts.released,
            released_bytes: counts.released_bytes,
            stashed: counts.stashed,
            sorted: counts.sorted,
        }
    })
    .collect()
}

/// The rows of all kinds of places, used or not.
pub(crate) fn served_rows(counters: &Counters) -> Vec<ServedRow> {
    let row = |kind: SourceKind| {
        let served = counters.served(kind);
        ServedRow { from: kind.name().to_owned(), requests: served.requests, bytes: served.bytes }
    };
    SourceKind::ALL.into_iter().map(row).collect()
}

pub(crate) fn kernel_row(calls: &KernelCalls) -> KernelRow {
    KernelRow {
        break_grown: calls.break_grown,
        break_grown_bytes: calls.break_grown_bytes,
        break_trimmed: calls.break_trimmed,
        break_trimmed_bytes: calls.break_trimmed_bytes,
        mmap: calls.map,
        munmap: calls.unmap,
        mremap: calls.remap,
        mprotect: calls.protect,
        madvise: calls.discard + calls.recommend_huge,
        refused: calls.refused,
    }
}
