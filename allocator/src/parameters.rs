//! The limits that malloc goes by.
//!
//! They begin as the release and the [`Tunables`] say, and change as the program frees mapped chunks
//! and calls `mallopt`. glibc: `malloc_par`, `mp_`, `global_max_fast`, `perturb_byte`.

use crate::address::{Address, ChunkSize, Request, align_down};
use crate::bins::tcache;
use crate::huge_pages::Huge;
use crate::layout::Geometry;
use crate::memory::HugePages;
use crate::release::{CheckHooks, LargeTcache, Release, TcacheMade};
use crate::tunables::{
    DEFAULT_MMAP_MAX, DEFAULT_MMAP_THRESHOLD, DEFAULT_TOP_PAD, DEFAULT_TRIM_THRESHOLD, Tunable, Tunables, int,
};

/// What is done about corruption unless something else is set: `DEFAULT_CHECK_ACTION`.
pub(crate) const SAY_AND_ABORT: i32 = 3;
/// The bit of it that ends the process.
const ABORT: i32 = 2;

/// The limits in force. glibc: `struct malloc_par`, `global_max_fast`, `perturb_byte`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The greatest request that is looked at.
    pub greatest_request: u64,
    /// The least request that malloc's own functions do not serve: one more, or 0 where the functions that
    /// check stand in front of them. So what checks costs nothing where it is not wanted.
    pub requests_end: u64,
    /// The main arena is trimmed when its top chunk has grown to this.
    pub trim_threshold: u64,
    /// Bytes to take from the kernel beyond what is needed.
    pub top_pad: u64,
    /// Chunks of this size and more get a mapping of their own if no bin has one.
    pub mmap_threshold: u64,
    /// How many chunks may have a mapping of their own at one time.
    pub mmap_max: i32,
    /// Whether freeing a mapped chunk moves the thresholds: until one of the four above is set.
    pub thresholds_are_dynamic: bool,
    /// The arenas that are made before the processors are counted.
    pub arena_test: u64,
    /// The most arenas; 0 for as many as the processors allow.
    pub arena_max: u64,
    /// How many stacks of the tcache an allocation puts by for.
    pub tcache_stacks: usize,
    /// The greatest chunk that the tcache takes in, or is asked for.
    pub greatest_cached: ChunkSize,
    /// How many chunks a stack of the tcache holds.
    pub tcache_count: u64,
    /// How many chunks are sorted after one has been cached; 0 for all.
    pub tcache_unsorted_limit: u64,
    /// The greatest size of a fast chunk.
    pub greatest_fast: u64,
    /// If not 0: its low byte fills freed memory, and the complement allocated memory.
    pub perturb: i32,
    /// Whether every chunk is checked by the functions that `check` puts in front of malloc's own.
    pub checks_chunks: bool,
    /// What is done about corruption, in bits: 1 to say so, 2 to abort, 4 to say it in few words. glibc:
    /// `check_action`.
    pub check_action: i32,
    /// The huge pages that are used.
    pub huge: Huge,
    /// Chunks that have a mapping of their own now.
    pub mapped_chunks: i32,
    /// The most there ever were.
    pub greatest_mapped_chunks: i32,
    /// The bytes of those mappings.
    pub mapped_bytes: u64,
    /// The most there ever were.
    pub greatest_mapped_bytes: u64,
    /// Whether the C library has ever asked where the program break is. glibc: `__curbrk` is not 0.
    pub break_is_known: bool,
    /// Where the main arena's memory begins, once there is any. glibc: `sbrk_base`.
    pub heap_start: Option<Address>,
}

impl Parameters {
    /// What a release goes by when it starts with these tunables on a machine with these huge pages.
    pub fn new(release: &Release, tunables: &Tunables, machine: HugePages) -> Parameters {
        let geometry = release.geometry();
        let mut parameters = Parameters {
            greatest_request: release.greatest_request(),
            requests_end: release.greatest_request() + 1,
            trim_threshold: DEFAULT_TRIM_THRESHOLD,
            top_pad: DEFAULT_TOP_PAD,
            mmap_threshold: DEFAULT_MMAP_THRESHOLD,
            mmap_max: int(DEFAULT_MMAP_MAX),
            thresholds_are_dynamic: true,
            arena_test: geometry.arenas_per_processor(),
            arena_max: 0,
            tcache_stacks: if release.tcache.made == TcacheMade::Never { 0 } else { tcache::SMALL_STACKS },
            greatest_cached: greatest_cached(release),
            tcache_count: release.tcache.count,
            tcache_unsorted_limit: 0,
            greatest_fast: if release.has_fastbins { greatest_fast(geometry, 16 * geometry.word) } else { 0 },
            perturb: 0,
            checks_chunks: release.check_hooks != CheckHooks::Absent
                && tunables.get(Tunable::Check).is_some_and(|value| value != 0),
            check_action: SAY_AND_ABORT,
            huge: Huge::none(geometry.longest_segment()),
            mapped_chunks: 0,
            greatest_mapped_chunks: 0,
            mapped_bytes: 0,
            greatest_mapped_bytes: 0,
            break_is_known: false,
            heap_start: None,
        };
        for (tunable, value) in tunables.iter() {
            parameters.set(release, tunable, value);
        }
        if parameters.checks_chunks {
            parameters.requests_end = 0;
        }
        let mode = tunables.get(Tunable::Hugetlb);
        parameters.huge = Huge::new(&release.huge_pages, geometry, mode, machine);
        if parameters.huge.avoids_break
            && release.huge_pages.set_mmap_threshold
            && tunables.get(Tunable::MmapThreshold).is_none()
        {
            parameters.set(release, Tunable::MmapThreshold, parameters.huge.page);
        }
        parameters
    }

    /// Sets one (glibc: the `do_set_…` functions). Returns whether the value was taken.
    pub fn set(&mut self, release: &Release, tunable: Tunable, value: u64) -> bool {
        let geometry = release.geometry();
        // A size_t holds no more.
        let value = value & geometry.greatest_word();
        if !tunable.is_taken(release, value) {
            return false;
        }
        match tunable {
            Tunable::TopPad => self.fix_thresholds().top_pad = value,
            Tunable::TrimThreshold => self.fix_thresholds().trim_threshold = value,
            Tunable::MmapThreshold => self.fix_thresholds().mmap_threshold = value,
            Tunable::MmapMax => self.fix_thresholds().mmap_max = int(value),
            Tunable::Perturb => self.perturb = int(value),
            Tunable::ArenaMax => self.arena_max = value,
            Tunable::ArenaTest => self.arena_test = value,
            Tunable::TcacheMax => self.set_tcache_max(release, value),
            Tunable::TcacheCount if release.tcache_counts_overflow => {
                self.tcache_count = as_far_as_a_char_counts(value);
            }
            Tunable::TcacheCount => self.tcache_count = value,
            Tunable::TcacheUnsortedLimit => self.tcache_unsorted_limit = value,
            Tunable::Mxfast if release.has_fastbins => {
                self.greatest_fast = greatest_fast(geometry, value);
            }
            Tunable::Check if release.corruption_can_be_survived => self.check_action = int(value),
            // Read once, when malloc starts, or nothing to set.
            Tunable::Check | Tunable::Hugetlb | Tunable::Mxfast => {}
        }
        true
    }

    /// Sets the greatest request that is cached (glibc: `do_set_tcache_max`).
    fn set_tcache_max(&mut self, release: &Release, value: u64) {
        let geometry = release.geometry();
        let rules = &release.tcache;
        let size = geometry.chunk_for(Request(value));
        if rules.large == LargeTcache::None || size <= greatest_small(release) {
            self.tcache_stacks = tcache::number(geometry, size) + 1;
        }
        let excluded = if rules.excludes_greatest { geometry.alignment } else { 0 };
        self.greatest_cached = size - ChunkSize(excluded);
    }

    /// Whether the process ends when something is found to be corrupted.
    pub fn corruption_is_the_end(&self) -> bool {
        self.check_action & ABORT != 0
    }

    /// One of the four thresholds is set by hand: from now on none of them moves by itself.
    fn fix_thresholds(&mut self) -> &mut Parameters {
        self.thresholds_are_dynamic = false;
        self
    }

    /// Whether a chunk of this size should have a mapping of its own.
    pub(crate) fn is_worth_mapping(&self, size: ChunkSize) -> bool {
        size.0 >= self.mmap_threshold && self.mapped_chunks < self.mmap_max
    }

    pub(crate) fn note_mapped(&mut self, length: u64) {
        self.mapped_chunks += 1;
        self.greatest_mapped_chunks = self.greatest_mapped_chunks.max(self.mapped_chunks);
        self.note_remapped(0, length);
    }

    pub(crate) fn note_unmapped(&mut self, length: u64) {
        self.mapped_chunks -= 1;
        self.note_remapped(length, 0);
    }

    pub(crate) fn note_remapped(&mut self, from: u64, to: u64) {
        self.mapped_bytes = self.mapped_bytes.wrapping_sub(from).wrapping_add(to);
        self.greatest_mapped_bytes = self.greatest_mapped_bytes.max(self.mapped_bytes);
    }
}

/// How many chunks a `char` lets a stack hold that may hold `count`: it turns negative at 128, and
/// then compares as a number near the greatest.
fn as_far_as_a_char_counts(count: u64) -> u64 {
    match count {
        0..=127 => count,
        _ if count > u64::MAX - 128 => count.wrapping_add(256),
        _ => 128,
    }
}

/// The greatest chunk of one size that is cached, if larger ones are not.
fn greatest_small(release: &Release) -> ChunkSize {
    let geometry = release.geometry();
    let excluded = if release.tcache.excludes_greatest { geometry.alignment } else { 0 };
    geometry.greatest_cached_small() - ChunkSize(excluded)
}

/// The greatest chunk that the cache takes in from `free` by default.
fn greatest_cached(release: &Release) -> ChunkSize {
    if release.tcache.made == TcacheMade::Never { ChunkSize(0) } else { greatest_small(release) }
}

/// The greatest fast chunk for a greatest fast request (glibc: `set_max_fast`); half the smallest chunk,
/// so that there is none, for a request of almost nothing.
fn greatest_fast(geometry: Geometry, request: u64) -> u64 {
    if request < geometry.alignment - geometry.word {
        geometry.smallest_chunk().bytes() / 2
    } else {
        align_down(request + geometry.word, geometry.alignment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::V2_36;

    fn started_with(settings: &[(Tunable, u64)]) -> Parameters {
        let mut tunables = Tunables::default();
        for &(tunable, value) in settings {
            tunables.set(&V2_36, tunable, value).expect("the value is taken");
        }
        Parameters::new(&V2_36, &tunables, HugePages::default())
    }

    #[test]
    fn setting_a_threshold_by_hand_fixes_them_all() {
        let unset = started_with(&[]);
        let fixed = Parameters { thresholds_are_dynamic: false, ..unset };
        for (tunable, value) in [
            (Tunable::TopPad, unset.top_pad),
            (Tunable::MmapThreshold, unset.mmap_threshold),
            (Tunable::TrimThreshold, unset.trim_threshold),
            (Tunable::MmapMax, 65536),
        ] {
            assert_eq!(started_with(&[(tunable, value)]), fixed, "{}", tunable.name());
        }
        for (tunable, value) in [(Tunable::ArenaTest, 8), (Tunable::TcacheMax, 1032), (Tunable::Mxfast, 128)]
        {
            assert_eq!(started_with(&[(tunable, value)]), unset, "{}", tunable.name());
        }
    }

    #[test]
    fn a_fast_limit_is_rounded_and_may_be_nothing() {
        let mut parameters = started_with(&[]);
        assert_eq!(parameters.greatest_fast, 128);
        assert!(parameters.set(&V2_36, Tunable::Mxfast, 0));
        assert_eq!(parameters.greatest_fast, 16);
        assert!(parameters.set(&V2_36, Tunable::Mxfast, 160));
        assert_eq!(parameters.greatest_fast, 160);
        assert!(!parameters.set(&V2_36, Tunable::Mxfast, 161));
        assert_eq!(parameters.greatest_fast, 160);
    }
}
