//! How each glibc release behaves: a row of data for each, the row before plus what changed.
//!
//! Every change names the glibc commit or release it comes from; so this file reads as malloc's
//! history. The code never asks for a release's number: it asks for a field. Distributions also build
//! the head of a release's branch, which may behave otherwise than the release: where it does, the
//! branch has a row of its own, `2.26-branch`.

mod assertions;
pub mod field;

use crate::address::{Request, align_up};
use crate::bins::tcache::{SMALL_STACKS, STACKS};
use crate::corruption::{Checks, FreedChecks, UnsortedChecks};
use crate::huge_pages::HugePageRules;
use crate::layout::Geometry;
use crate::tunables::environment::Reader;
use crate::tunables::{Known, Tunable};

/// How a release of glibc behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// What it is called.
    pub name: &'static str,
    /// Bytes in a word of the machine it was built for: 8, or 4 on i386. A heap takes its memory's.
    pub word: u64,
    /// What payloads and chunk sizes are multiples of where words have 32 bits (`MALLOC_ALIGNMENT`); else
    /// it is always 16.
    pub alignment_of_32_bits: u64,
    /// C's `int`s that `struct malloc_state` begins with: the lock, the flags, and perhaps whether
    /// fastbins hold anything.
    pub malloc_state_ints: u64,
    /// Words of the structure at the head of every segment, before it is padded: `heap_info`.
    pub heap_info_words: u64,
    /// Which requests are looked at at all.
    pub greatest_request: GreatestRequest,
    /// Where a greater one is refused before the thread is given an arena.
    pub refuses_early: RefusesEarly,
    /// Whether a process that never had a second thread goes without arenas' being chosen, and without
    /// trying another arena when there is no memory (`SINGLE_THREAD_P`).
    pub has_single_thread_path: bool,
    /// The threads' own caches.
    pub tcache: TcacheRules,
    /// Whether arenas have fastbins.
    pub has_fastbins: bool,
    /// Whether links between cached and fast chunks are mangled (`PROTECT_PTR`).
    pub links_are_mangled: bool,
    /// Whether exact fits in the unsorted bin are cached until the cache is full, the last of them being
    /// taken back out; otherwise the first is handed out at once.
    pub exact_fits_are_cached: bool,
    /// Whether a small chunk that `free` has merged goes to its small bin, not to the unsorted bin.
    pub small_frees_skip_unsorted: bool,
    /// Whether chunks that malloc itself frees (remainders and old blocks of `realloc`, what lies below
    /// fenceposts) may go to the tcache.
    pub own_frees_are_cached: bool,
    /// When `realloc` leaves a block as it is without looking further.
    pub realloc_keeps: KeptByRealloc,
    /// How aligned requests are served.
    pub memalign: MemalignRules,
    /// Whether a `calloc` that is the first call of all is a `malloc` and a `memset` (`malloc_hook_ini`).
    pub first_calloc_is_malloc: bool,
    /// Whether `aligned_alloc` refuses what is no power of two.
    pub aligned_alloc_wants_powers: bool,
    /// Whether `pvalloc` leaves the lowest bit of what it rounds to pages (a slip in its mask).
    pub pvalloc_keeps_a_bit: bool,
    /// What the head of a chunk with a mapping of its own counts.
    pub mapped_head: MappedHead,
    /// Whether segments are mapped with `MAP_NORESERVE`.
    pub segments_reserve_no_swap: bool,
    /// How long a mapping in place of the program break is.
    pub break_fallback: BreakFallback,
    /// The functions that `check` puts in front of malloc's own.
    pub check_hooks: CheckHooks,
    /// How it is said that a check fired.
    pub complaints: Complaints,
    /// How it is said that an assertion failed.
    pub assertions: Assertions,
    /// Whether `check` also says what is done about corruption: `check_action`.
    pub corruption_can_be_survived: bool,
    /// How the environment is read.
    pub environment: Reader,
    /// The tunables that malloc reads.
    pub tunables: Known,
    /// Whether the loader copies `GLIBC_TUNABLES` to the program break (`tunables_strdup`).
    pub tunables_are_copied_onto_break: bool,
    /// Whether `mallopt` takes no greater mmap threshold than `HEAP_MAX_SIZE / 2`.
    pub mmap_threshold_is_limited: bool,
    /// The greatest `tcache_count` that is taken: `MAX_TCACHE_COUNT`, or any.
    pub greatest_tcache_count: u64,
    /// Whether the cache counts chunks of a size in a `char`, which overflows.
    pub tcache_counts_overflow: bool,
    /// Whether the tunable `mmap_max` may be less than 0.
    pub mmap_max_may_be_negative: bool,
    /// Whether `M_ARENA_MAX` sets what `M_ARENA_TEST` should.
    pub arena_max_sets_arena_test: bool,
    /// What `hugetlb` does.
    pub huge_pages: HugePageRules,
    /// What the default limit on arenas is computed from.
    pub arena_limit: ArenaLimit,
    /// Whether an arena that is given out in turn leaves the list of those without threads.
    pub reused_arenas_leave_free_list: bool,
    /// What `malloc_info` prints.
    pub malloc_info: MallocInfo,
    /// Whether there is `mallinfo2` beside `mallinfo`.
    pub mallinfo2: bool,
    /// What it checks before it goes on.
    pub checks: Checks,
}

/// The functions that `check` puts in front of malloc's own, to look at every chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckHooks {
    /// There are none.
    Absent,
    /// A block that was to grow to more than any can have is taken for damaged from then on.
    Spoiling,
    /// Such a block is as it was, and so is `errno`.
    Mending,
}

/// How it is said that a check fired (`malloc_printerr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaints {
    /// Between stars, with the program's name and a pointer; a backtrace and the memory map follow.
    Framed,
    /// In a line of its own.
    Plain,
}

/// How it is said that an assertion of malloc's failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assertions {
    /// As of a program's own, with its name and the line.
    OfProgram,
    /// The same, where a payload is told from its tag (`chunk2rawmem`).
    OfProgramUntagged,
    /// With the function (`__malloc_assert`).
    OfMalloc,
    /// As of the whole library, with file, line and function (`__libc_assert_fail`).
    OfLibrary,
}

/// Where things are in `struct malloc_state`, the structure at the head of a secondary arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MallocState {
    /// Its size.
    pub size: u64,
    /// From its beginning to `bins`.
    pub lists: u64,
}

/// The greatest request that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GreatestRequest {
    /// All but what is near the end of the address space (`REQUEST_OUT_OF_RANGE`).
    AddressSpace,
    /// All whose chunk is no longer than that.
    ChunkInAddressSpace,
    /// Half the address space (`checked_request2size`: `PTRDIFF_MAX`).
    HalfAddressSpace,
}

/// Which functions refuse a request that is too large before anything else; the others choose an arena
/// first, and where there are threads then try another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusesEarly {
    /// `malloc`
    pub malloc: bool,
    /// `calloc`
    pub calloc: bool,
    /// `memalign` and its like.
    pub memalign: bool,
}

/// How the threads' caches work (`tcache_perthread_struct`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcacheRules {
    /// When a thread is given its cache.
    pub made: TcacheMade,
    /// Bytes of the count of each stack (`tcache_perthread_struct`).
    pub count_bytes: u64,
    /// Whether its size is padded to a chunk's before memory is asked for, which pads it again, if an
    /// allocation first needs it, to put by what it found.
    pub is_padded_twice: bool,
    /// How many chunks of a size it holds by default: `TCACHE_FILL_COUNT`.
    pub count: u64,
    /// Whether the tunable `tcache_max` is the least chunk not taken in, no more the greatest that is; so the
    /// greatest small one is not by default.
    pub excludes_greatest: bool,
    /// Whether, and how, chunks that are too large for the stacks of one size each can be cached.
    pub large: LargeTcache,
    /// Whether `malloc` takes from it for a request so great that padding wraps round to the smallest
    /// chunk, CVE-2017-17426.
    pub serves_wrapped: bool,
    /// Whether `calloc` takes from it.
    pub serves_calloc: bool,
    /// Whether `memalign` takes from it.
    pub serves_memalign: bool,
    /// Whether even a chunk with a mapping of its own may be cached, if it is not too large.
    pub takes_mapped: bool,
    /// Whether a thread that exits makes a cache anew while it empties the old one, and loses it with
    /// all that was cached.
    pub is_lost_at_exit: bool,
}

/// When a thread is given its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcacheMade {
    /// Never: there are no caches.
    Never,
    /// With its first `malloc` or `calloc`, or `free` or `realloc` of a chunk in an arena.
    AtFirstCall,
    /// With its first request for a chunk that could be cached.
    AtFirstRequest,
    /// With its first `free` of a chunk that could be cached, or when an allocation finds chunks to put
    /// by.
    AtFirstFree,
}

/// Stacks for a range of sizes each, in which a cache keeps large chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LargeTcache {
    /// There are none.
    None,
    /// A request takes the first chunk that is no shorter.
    NoShorter,
    /// A request takes only a chunk of exactly its size.
    Exact,
}

/// When `realloc` leaves a block as it is without looking further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptByRealloc {
    /// Never.
    Nothing,
    /// When the request fits, and the bytes left over are not above the trim threshold.
    WithinTrimThreshold,
    /// When the request fits with less than 16 bytes left over, or has a mapping and no more than a page.
    WithinPaddingOrPage,
    /// When the request fits with less than 16 bytes left over.
    WithinPadding,
}

/// How aligned requests are served past the tcache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemalignRules {
    /// Whether small and large bins are searched for a chunk that has an aligned one inside.
    pub searches_bins: bool,
    /// What becomes of what lies before and after the aligned chunk.
    pub remainders: Remainders,
    /// Whether also in a mapping there must be room for a chunk before an aligned one.
    pub mapped_leads_are_chunks: bool,
}

/// What becomes of what lies before and after an aligned chunk that is cut out of a longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remainders {
    /// They are freed like chunks of the program's; a tail must be longer than the smallest chunk.
    Freed,
    /// They are merged with their neighbours; a tail of any length, if what lies above is free.
    Merged,
    /// They are merged with their neighbours; a tail if it can be a chunk.
    MergedChunks,
}

/// What the head of a chunk with a mapping of its own counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappedHead {
    /// The rest of the mapping from the chunk on, of which the program may use all but two words.
    ToTheEnd,
    /// Two words less, so that the program may use as much of it as of any other chunk.
    LikeOthers,
}

/// How long a mapping in place of the program break is (`sysmalloc_mmap_fallback`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakFallback {
    /// What the first such mapping is a multiple of.
    pub rounded_to: u64,
    /// The least that is mapped.
    pub at_least: u64,
    /// Whether what is missing to the old top chunk is rounded up to pages before that is added.
    pub counts_old_top: bool,
}

/// What the default limit on arenas is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArenaLimit {
    /// Eight for each processor online, found out when there are more than `arena_test` arenas.
    EightEachOnline,
    /// Eight for each processor in the process's affinity mask.
    EightEachAllowed,
    /// One for each processor online, no less than `arena_test`, found out at that many.
    OneEachOnline,
}

/// What `malloc_info` prints of what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MallocInfo {
    /// Whether seven tabs and six blanks stand before a `<size …>` line (a slip in its source).
    pub slips_in_tabs: bool,
    /// Whether the top chunk is among the free ones.
    pub counts_top: bool,
    /// Whether all segments of an arena are counted, and their number is told; otherwise only the
    /// latest is.
    pub tells_segments: bool,
    /// Whether there is a line about fastbins.
    pub tells_fast: bool,
}

const PAGE: u64 = 4096;
const MEBIBYTE: u64 = 1 << 20;

/// 2.23: Ubuntu 16.04, SLES 12. Wolfram Gloger's ptmalloc2 and ten years of mending.
pub const V2_23: Release = Release {
    name: "2.23",
    word: 8,
    alignment_of_32_bits: 8,
    malloc_state_ints: 2,
    heap_info_words: 4,
    greatest_request: GreatestRequest::AddressSpace,
    refuses_early: RefusesEarly { malloc: false, calloc: false, memalign: false },
    has_single_thread_path: false,
    tcache: TcacheRules {
        made: TcacheMade::Never,
        count_bytes: 1,
        is_padded_twice: false,
        count: 0,
        excludes_greatest: false,
        large: LargeTcache::None,
        serves_wrapped: false,
        serves_calloc: false,
        serves_memalign: false,
        takes_mapped: false,
        is_lost_at_exit: false,
    },
    has_fastbins: true,
    links_are_mangled: false,
    exact_fits_are_cached: true,
    small_frees_skip_unsorted: false,
    own_frees_are_cached: true,
    realloc_keeps: KeptByRealloc::Nothing,
    memalign: MemalignRules {
        searches_bins: false,
        remainders: Remainders::Freed,
        mapped_leads_are_chunks: true,
    },
    first_calloc_is_malloc: true,
    aligned_alloc_wants_powers: false,
    pvalloc_keeps_a_bit: false,
    mapped_head: MappedHead::ToTheEnd,
    segments_reserve_no_swap: true,
    break_fallback: BreakFallback { rounded_to: PAGE, at_least: MEBIBYTE, counts_old_top: true },
    check_hooks: CheckHooks::Spoiling,
    complaints: Complaints::Framed,
    assertions: Assertions::OfProgram,
    corruption_can_be_survived: true,
    environment: Reader::Variables,
    tunables: Known::VARIABLES,
    tunables_are_copied_onto_break: false,
    mmap_threshold_is_limited: true,
    greatest_tcache_count: u64::MAX,
    tcache_counts_overflow: true,
    mmap_max_may_be_negative: true,
    arena_max_sets_arena_test: false,
    huge_pages: HugePageRules {
        round_where_always: false,
        ask_for_break: false,
        segments_are_transparent: false,
        keep_recommendations: false,
        recommend_inward: false,
        segments_are_four_pages: true,
        set_mmap_threshold: false,
        mode_is_unended: false,
    },
    arena_limit: ArenaLimit::EightEachOnline,
    reused_arenas_leave_free_list: false,
    malloc_info: MallocInfo {
        slips_in_tabs: true,
        counts_top: false,
        tells_segments: false,
        tells_fast: true,
    },
    mallinfo2: false,
    checks: Checks {
        freed: FreedChecks::PlaceAndSize,
        cached_twice: false,
        cache_length: false,
        whole_cache: false,
        links_aligned: false,
        fast_size_when_cached: false,
        fast_size_when_consolidated: false,
        unlinked_foot: false,
        merged_foot: false,
        unsorted: UnsortedChecks::Size,
        large_links: false,
        largest_skip_links: false,
        top_size: false,
        mapped_place: false,
    },
};

/// 2.24.
pub const V2_24: Release = Release { name: "2.24", ..V2_23 };

/// 2.25.
pub const V2_25: Release = Release {
    name: "2.25",
    // f88aab5d50: an arena on the free list has no threads.
    reused_arenas_leave_free_list: true,
    // M_ARENA_MAX sets arena_test, for one release (mended by 622222846a).
    arena_max_sets_arena_test: true,
    ..V2_24
};

/// 2.26: Amazon Linux 2.
pub const V2_26: Release = Release {
    name: "2.26",
    // 4e61a6be44: i386 aligns to 16 bytes, as its ABI asks.
    alignment_of_32_bits: 16,
    // d5c3fafc43: every thread has a cache, 64 stacks of up to seven chunks.
    tcache: TcacheRules {
        made: TcacheMade::AtFirstCall,
        count: 7,
        serves_wrapped: true,
        is_lost_at_exit: true,
        ..V2_25.tcache
    },
    // 17f487b7af: a chunk's size against its foot.
    checks: Checks { unlinked_foot: true, ..V2_25.checks },
    // GLIBC_TUNABLES. There is an option for it in 2.25 too, but it is off unless one asks.
    environment: Reader::Lenient,
    tunables_are_copied_onto_break: true,
    // Its loader admits no value at all of the two that have a least value and no greatest.
    tunables: Known::VARIABLES
        .without(Tunable::ArenaMax)
        .without(Tunable::ArenaTest)
        .with(Tunable::TcacheMax)
        .with(Tunable::TcacheCount)
        .with(Tunable::TcacheUnsortedLimit),
    arena_max_sets_arena_test: false,
    ..V2_25
};

/// 2.26 as its branch is now: SLES 15.
pub const V2_26_BRANCH: Release = Release {
    name: "2.26-branch",
    // 2.27, e956075a5a: a flag of its own for whether fastbins hold anything.
    malloc_state_ints: 3,
    // 2.27, 3f6bb8a32e and 905a7725e9: SINGLE_THREAD_P.
    has_single_thread_path: true,
    // 2.27, 1e26d35193: the cache is not made again while the thread exits.
    // 2.27, 8e448310d7: the padded size, and in memalign the sum with the alignment.
    greatest_request: GreatestRequest::ChunkInAddressSpace,
    // 2.27, 34697694e8: malloc looks at a request before it pads it.
    tcache: TcacheRules { is_lost_at_exit: false, serves_wrapped: false, ..V2_26.tcache },
    refuses_early: RefusesEarly { malloc: true, ..V2_26.refuses_early },
    // 5ad533e8e6: no more than a char can count.
    greatest_tcache_count: 127,
    // 2.27, ac3ed168d0 and before: what is corrupted ends the process, whatever was set.
    corruption_can_be_survived: false,
    // 2.27, ec2c1fcefb: and in few words.
    complaints: Complaints::Plain,
    // 2.27, cebcb9f864: what has no greatest value may have any.
    tunables: V2_26.tunables.with(Tunable::ArenaMax).with(Tunable::ArenaTest),
    ..V2_26
};

/// 2.27: Ubuntu 18.04.
pub const V2_27: Release = Release {
    name: "2.27",
    // 34eb41579c: malloc_info counts all segments.
    malloc_info: MallocInfo { tells_segments: true, ..V2_26_BRANCH.malloc_info },
    // 249a5895f1: sizes when fastbins are consolidated.
    checks: Checks { fast_size_when_consolidated: true, ..V2_26_BRANCH.checks },
    greatest_tcache_count: V2_26.greatest_tcache_count,
    ..V2_26_BRANCH
};

/// 2.28: Debian 10, RHEL 8.
pub const V2_28: Release = Release {
    name: "2.28",
    // bdc3009b8f: a link when a chunk leaves the unsorted bin.
    checks: Checks { unsorted: UnsortedChecks::SizeAndLink, ..V2_27.checks },
    ..V2_27
};

/// 2.28 as its branch is since October 2019.
pub const V2_28_BRANCH: Release = Release {
    name: "2.28-branch",
    // 2.30, 1f50f2ad85: counts of 16 bits in the cache.
    tcache: TcacheRules { count_bytes: 2, ..V2_28.tcache },
    // 2.31, b0f6679bcd and b6d2c4475d: malloc_info without a slip of tabs, and with the top chunk.
    malloc_info: MallocInfo { slips_in_tabs: false, counts_top: true, ..V2_28.malloc_info },
    // The checks of 2.29, and of 2.30, 5b06f538c5: links of large bins.
    checks: Checks { large_links: true, ..V2_29.checks },
    greatest_tcache_count: u16::MAX as u64,
    tcache_counts_overflow: false,
    // 2.31, c48d92b430: the tunable mxfast.
    tunables: V2_28.tunables.with(Tunable::Mxfast),
    ..V2_28
};

/// 2.29.
pub const V2_29: Release = Release {
    name: "2.29",
    checks: Checks {
        // bcdaad21d4, affec03b71: a key in cached chunks.
        cached_twice: true,
        // d6db68e66d: feet when merging.
        merged_foot: true,
        // b90ddd08f6: everything about unsorted chunks.
        unsorted: UnsortedChecks::All,
        // 30a17d8c95: the top chunk's size.
        top_size: true,
        // c0e82f1173, ebe544bf6e: where mapped chunks begin.
        mapped_place: true,
        ..V2_28.checks
    },
    ..V2_28
};

/// 2.30.
pub const V2_30: Release = Release {
    name: "2.30",
    tcache: V2_28_BRANCH.tcache,
    // 5b06f538c5: links of large bins.
    checks: Checks { large_links: true, ..V2_29.checks },
    // 9bf8e29ca1: no request above PTRDIFF_MAX; a product is one too, and pvalloc's mask has a slip.
    greatest_request: GreatestRequest::HalfAddressSpace,
    refuses_early: RefusesEarly { calloc: true, ..V2_29.refuses_early },
    pvalloc_keeps_a_bit: true,
    // In the same commit: whether a size is too large is asked by a function that can be heard.
    check_hooks: CheckHooks::Mending,
    greatest_tcache_count: V2_28_BRANCH.greatest_tcache_count,
    tcache_counts_overflow: V2_28_BRANCH.tcache_counts_overflow,
    ..V2_29
};

/// 2.31: Debian 11, Ubuntu 20.04, SLES 15 SP3.
pub const V2_31: Release = Release {
    name: "2.31",
    malloc_info: V2_28_BRANCH.malloc_info,
    // c48d92b430: the tunable mxfast.
    tunables: V2_30.tunables.with(Tunable::Mxfast),
    ..V2_30
};

/// 2.32.
pub const V2_32: Release = Release {
    name: "2.32",
    // a1a486d70e: safe-linking.
    links_are_mangled: true,
    checks: Checks { links_aligned: true, ..V2_31.checks },
    ..V2_31
};

/// 2.33.
pub const V2_33: Release = Release {
    name: "2.33",
    // 3784dfc098: memory can be tagged.
    assertions: Assertions::OfProgramUntagged,
    // e3960d1c57: mallinfo's numbers in 64 bits.
    mallinfo2: true,
    // 0e00b35704: a cache that goes round.
    checks: Checks { cache_length: true, ..V2_32.checks },
    ..V2_32
};

/// 2.34: RHEL 9, Amazon Linux 2023.
pub const V2_34: Release = Release {
    name: "2.34",
    // 1e5a5866cb: MALLOC_CHECK_ does nothing unless libc_malloc_debug.so is loaded too.
    tunables: V2_33.tunables.without(Tunable::Check),
    check_hooks: CheckHooks::Absent,
    // No tags in what is asserted.
    assertions: Assertions::OfProgram,
    // 2d2d9f2b48: no hooks.
    first_calloc_is_malloc: false,
    // 228f30ab47.
    mmap_max_may_be_negative: false,
    ..V2_33
};

/// 2.35: Ubuntu 22.04.
pub const V2_35: Release = Release {
    name: "2.35",
    // 98d5fcb8d0: huge pages for arenas; heap_info has a page size.
    heap_info_words: 5,
    // 0849eed45d: the arguments of the fallback's two lengths are transposed, until 2.38.
    break_fallback: BreakFallback { rounded_to: MEBIBYTE, at_least: PAGE, counts_old_top: true },
    // 0a4df6f534: M_MMAP_THRESHOLD is not limited any more.
    mmap_threshold_is_limited: false,
    // 5f6d8d97c6: hugetlb.
    tunables: V2_34.tunables.with(Tunable::Hugetlb),
    huge_pages: HugePageRules { mode_is_unended: true, ..V2_34.huge_pages },
    // b05fae4d8e: the loader has a malloc of its own for the copy.
    tunables_are_copied_onto_break: false,
    // 2.35.0 used the affinity mask, 11a02b035b; 472894d2cf (2.39) took that back, also on the branches
    // of 2.34 to 2.38, which are what distributions build.
    ..V2_34
};

/// 2.36: Debian 12.
pub const V2_36: Release = Release {
    name: "2.36",
    // ac8047cdf3: an assertion is told without a stream.
    assertions: Assertions::OfMalloc,
    ..V2_35
};

/// 2.37.
pub const V2_37: Release = Release {
    name: "2.37",
    // The library's own assertions are all told alike.
    assertions: Assertions::OfLibrary,
    // f4f2ca1509: realloc in place, with a generous rule that lasted one release.
    realloc_keeps: KeptByRealloc::WithinTrimThreshold,
    // 85860ad6ea: no MAP_NORESERVE.
    segments_reserve_no_swap: false,
    ..V2_36
};

/// 2.38: SLES 15 SP6.
pub const V2_38: Release = Release {
    name: "2.38",
    // 2fb12bbd09: the rule is strict.
    realloc_keeps: KeptByRealloc::WithinPaddingOrPage,
    // 24cdd6c71d: memalign looks in the tcache and in bins.
    tcache: TcacheRules { serves_memalign: true, ..V2_37.tcache },
    memalign: MemalignRules { searches_bins: true, ..V2_37.memalign },
    refuses_early: RefusesEarly { memalign: true, ..V2_37.refuses_early },
    // d1417176a3: aligned_alloc as in C17.
    aligned_alloc_wants_powers: true,
    // 6a734e62f1: the fallback's arguments in their order.
    break_fallback: V2_34.break_fallback,
    // 801deb07f6: what the kernel says of its mode is ended.
    huge_pages: HugePageRules { mode_is_unended: false, ..V2_37.huge_pages },
    ..V2_37
};

/// 2.38 as its branch is now.
pub const V2_38_BRANCH: Release = Release {
    name: "2.38-branch",
    // 2.39, 542b110585 and 0dc7fc1cf0: memalign searches no bins, and merges what it cuts off.
    memalign: MemalignRules { searches_bins: false, remainders: Remainders::Merged, ..V2_38.memalign },
    ..V2_38
};

/// 2.39: Ubuntu 24.04, RHEL 10. As its branch is now: 2.39.0 reads a string that sets a tunable twice
/// otherwise (71149c2a2e).
pub const V2_39: Release = Release {
    name: "2.39",
    // 680c597e9c, f94446c38f: a string in disorder, and a number with something after it, are ignored.
    environment: Reader::Strict,
    // bc6d79f4ae: shorter chunks than a huge page shall lie in huge pages too.
    huge_pages: HugePageRules { set_mmap_threshold: true, ..V2_38_BRANCH.huge_pages },
    ..V2_38_BRANCH
};

/// 2.40: SLES 16.
pub const V2_40: Release = Release {
    name: "2.40",
    // eb59c7b43d, 71648e8004: variables are read after all tunables.
    environment: Reader::VariablesLast,
    ..V2_39
};

/// 2.41: Debian 13, Ubuntu 25.04.
pub const V2_41: Release = Release {
    name: "2.41",
    // 226e3b0a41: calloc takes from the tcache.
    tcache: TcacheRules { serves_calloc: true, ..V2_40.tcache },
    // e2436d6f5a: small chunks go straight to their bins.
    small_frees_skip_unsorted: true,
    ..V2_40
};

/// 2.42: Ubuntu 25.10.
pub const V2_42: Release = Release {
    name: "2.42",
    tcache: TcacheRules {
        // 25d37948c9, b0897944cc: made by the first request that it could serve.
        made: TcacheMade::AtFirstRequest,
        // cbfd798810, 7e10e30e64: twelve stacks for ranges of large sizes, used if tcache_max says so.
        large: LargeTcache::NoShorter,
        // The limit is a chunk's size now, and means less; chunks of 1040 bytes are left out.
        excludes_greatest: true,
        ..V2_41.tcache
    },
    checks: Checks {
        // 9b0c8ced9c, 0296654d61: what is cached is not looked at closely.
        freed: FreedChecks::PlaceFirst,
        // eff1f680cf: a second free is found even if the size has changed.
        whole_cache: true,
        // d10176c0ff: sizes when fast chunks are cached.
        fast_size_when_cached: true,
        // 4cf2d86936: skip links also of the largest.
        largest_skip_links: true,
        ..V2_41.checks
    },
    // cd33535002, 69da24fbc5: what malloc frees itself passes the tcache by.
    own_frees_are_cached: false,
    // The mask of pvalloc is right.
    pvalloc_keeps_a_bit: false,
    // 9f551e28a7: segments are as long as ever.
    huge_pages: HugePageRules { segments_are_four_pages: false, ..V2_41.huge_pages },
    ..V2_41
};

/// 2.42 as its branch is since August 2025.
pub const V2_42_BRANCH: Release = Release {
    name: "2.42-branch",
    // MAX_TCACHE_SMALL_SIZE is a chunk's size, and the limit one more.
    tcache: TcacheRules { excludes_greatest: false, ..V2_42.tcache },
    ..V2_42
};

/// 2.43: Ubuntu 26.04.
pub const V2_43: Release = Release {
    name: "2.43",
    // e3062b06c5 to bb5a4f5295: no fastbins, nothing to consolidate, and nothing of them to tell.
    has_fastbins: false,
    malloc_info: MallocInfo { tells_fast: false, ..V2_42_BRANCH.malloc_info },
    malloc_state_ints: 2,
    tcache: TcacheRules {
        // 0b9210bd76: sixteen of a size.
        count: 16,
        // 2bf2188fae: made by the first free that needs it, or while allocating: then its size is
        // padded twice.
        made: TcacheMade::AtFirstFree,
        is_padded_twice: true,
        // b2b4b46a52: of large chunks only exact fits.
        large: LargeTcache::Exact,
        // 614cfd0f8a: mapped chunks are laid out like others.
        takes_mapped: true,
        ..V2_42_BRANCH.tcache
    },
    mapped_head: MappedHead::LikeOthers,
    realloc_keeps: KeptByRealloc::WithinPadding,
    // A request that is too large becomes the largest there is, which no arena can serve.
    refuses_early: RefusesEarly { malloc: false, calloc: false, memalign: false },
    // e974b1b7eb: memalign anew.
    memalign: MemalignRules {
        searches_bins: false,
        remainders: Remainders::MergedChunks,
        mapped_leads_are_chunks: false,
    },
    // 849a274531: the old top chunk does not count when the break cannot be moved.
    break_fallback: BreakFallback { counts_old_top: false, ..V2_42_BRANCH.break_fallback },
    // There is nothing that mxfast could set.
    tunables: V2_42_BRANCH.tunables.without(Tunable::Mxfast),
    // 05a14648e9, fa5d1b5419, 26e6e4d51e, 94ebcfc4f2, 9097cbf5d8: transparent huge pages for segments,
    // and care for what was recommended.
    huge_pages: HugePageRules {
        round_where_always: true,
        ask_for_break: true,
        segments_are_transparent: true,
        keep_recommendations: true,
        recommend_inward: true,
        ..V2_42_BRANCH.huge_pages
    },
    ..V2_42_BRANCH
};

/// 2.44.
pub const V2_44: Release = Release {
    name: "2.44",
    // An exact fit is handed out at once.
    exact_fits_are_cached: false,
    tcache: TcacheRules { is_padded_twice: false, ..V2_43.tcache },
    // No more arenas than processors, but eight at least.
    arena_limit: ArenaLimit::OneEachOnline,
    tunables: V2_43.tunables.without(Tunable::TcacheUnsortedLimit),
    // There is /etc/tunables.conf, and what comes from where is told apart.
    environment: Reader::StringFirst,
    ..V2_43
};

impl Release {
    /// The same release built for a machine with words of 32 bits: i386.
    #[must_use]
    pub const fn narrowed(self) -> Release {
        Release { word: 4, ..self }
    }

    /// The numbers that its word and its alignment make.
    pub const fn geometry(&self) -> Geometry {
        match self.word {
            4 => Geometry { word: 4, alignment: self.alignment_of_32_bits },
            _ => Geometry::OF_64_BITS,
        }
    }

    /// Where things are in `struct malloc_state`: ints, fastbins, the top chunk and the last remainder, 254
    /// links of lists, a bit for each list, and five words more.
    pub const fn malloc_state(&self) -> MallocState {
        let geometry = self.geometry();
        let fast = if self.has_fastbins { geometry.fast_stacks() as u64 } else { 0 };
        let lists = align_up(4 * self.malloc_state_ints, geometry.word) + (fast + 2) * geometry.word;
        MallocState { size: lists + 254 * geometry.word + 16 + 5 * geometry.word, lists }
    }

    /// Bytes of the structure at the head of every segment: `sizeof (heap_info)`, which is padded so that a
    /// chunk may follow.
    pub const fn heap_info(&self) -> u64 {
        let geometry = self.geometry();
        geometry.before_a_chunk(self.heap_info_words * geometry.word)
    }

    /// Bytes of a thread's cache: `sizeof (tcache_perthread_struct)`, a count and a pointer for each stack.
    pub const fn tcache_bytes(&self) -> u64 {
        let stacks = match self.tcache.large {
            LargeTcache::None => SMALL_STACKS,
            LargeTcache::NoShorter | LargeTcache::Exact => STACKS,
        };
        stacks as u64 * (self.tcache.count_bytes + self.word)
    }

    /// Bytes asked for a thread's cache if an allocation first needs it, to put by what it found.
    pub const fn tcache_bytes_while_allocating(&self) -> u64 {
        let bytes = self.tcache_bytes();
        if self.tcache.is_padded_twice { self.geometry().chunk_for(Request(bytes)).0 } else { bytes }
    }

    /// The greatest request that is looked at, in bytes.
    pub const fn greatest_request(&self) -> u64 {
        let geometry = self.geometry();
        let words = geometry.greatest_word();
        match self.greatest_request {
            GreatestRequest::AddressSpace => words - 2 * geometry.smallest_chunk().0,
            GreatestRequest::ChunkInAddressSpace => {
                let longest = words - 2 * geometry.smallest_chunk().0 - geometry.alignment;
                longest + 1 - geometry.word
            }
            GreatestRequest::HalfAddressSpace => words >> 1,
        }
    }

    /// What is set when this is to be set.
    pub(crate) fn meant_by(&self, tunable: Tunable) -> Tunable {
        match tunable {
            Tunable::ArenaMax if self.arena_max_sets_arena_test => Tunable::ArenaTest,
            _ => tunable,
        }
    }

    /// Every row, oldest first; a branch follows its release.
    pub const ALL: [Release; 26] = [
        V2_23,
        V2_24,
        V2_25,
        V2_26,
        V2_26_BRANCH,
        V2_27,
        V2_28,
        V2_28_BRANCH,
        V2_29,
        V2_30,
        V2_31,
        V2_32,
        V2_33,
        V2_34,
        V2_35,
        V2_36,
        V2_37,
        V2_38,
        V2_38_BRANCH,
        V2_39,
        V2_40,
        V2_41,
        V2_42,
        V2_42_BRANCH,
        V2_43,
        V2_44,
    ];

    /// What a script is replayed as that does not say: the same on every machine.
    pub const OF_SCRIPTS: Release = V2_36;

    /// The newest row.
    pub const NEWEST: Release = Release::ALL[Release::ALL.len() - 1];

    /// The row of this name: `2.31`, `2.38-branch`, or `2.38.b` for short.
    pub fn named(name: &str) -> Option<Release> {
        Release::ALL.into_iter().find(|row| {
            let short =
                name.strip_suffix(".b").map(|release| row.name.strip_suffix("-branch") == Some(release));
            short.unwrap_or(row.name == name)
        })
    }

    /// Releases that distributions went on to, one after the other: each decides otherwise than the one before.
    pub const UPGRADES: [Release; 6] = [V2_31, V2_36, V2_39, V2_41, V2_42, V2_43];

    /// The row a glibc of this version behaves as: the row of that name, or of the release that a
    /// longer version (`2.36-9+deb12u14`) begins with, or for a later release than any the newest.
    /// `None` for what is no version, or older than the oldest row.
    pub fn of(version: &str) -> Option<Release> {
        let asked = numbers(version)?;
        let release = |row: &Release| !row.is_branch() && numbers(row.name) <= Some(asked);
        Release::named(version).or_else(|| Release::ALL.into_iter().rfind(release))
    }

    /// Whether this version is a later one than there is a row for, so that it is not known how it
    /// behaves.
    pub fn is_beyond(version: &str) -> bool {
        numbers(version) > numbers(Release::NEWEST.name)
    }

    /// Whether this is the head of a release's branch.
    pub fn is_branch(&self) -> bool {
        self.name.ends_with("-branch")
    }

    /// Whether a heap can be like this: its structures fit where they lie, and its roundings are powers
    /// of two. True of every row, but not of everything that fields may be set to.
    pub fn is_possible(&self) -> bool {
        matches!(self.alignment_of_32_bits, 8 | 16)
            && (V2_23.heap_info_words..16).contains(&self.heap_info_words)
            && self.malloc_state_ints < 16
            && self.tcache.count_bytes <= 8
            && self.tcache.count <= u64::from(u16::MAX)
            && self.break_fallback.rounded_to.is_power_of_two()
            && self.break_fallback.rounded_to <= MEBIBYTE
            && self.break_fallback.at_least <= 64 * MEBIBYTE
    }

    /// Whether two rows differ in nothing but their names.
    pub fn behaves_like(&self, other: &Release) -> bool {
        Release { name: other.name, ..*self } == *other
    }
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    let minor = minor.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_behaves_as_its_release() {
        let name = |version| Release::of(version).map(|row| row.name);
        assert_eq!(name("2.36"), Some("2.36"));
        assert_eq!(name("2.36-9+deb12u14"), Some("2.36"));
        assert_eq!(name("2.34"), Some("2.34"));
        assert_eq!(name("2.28-branch"), Some("2.28-branch"));
        assert_eq!(name("2.28.b"), Some("2.28-branch"));
        assert_eq!(name("2.29"), Some("2.29"));
        assert_eq!(name("2.99"), Some("2.44"));
        assert_eq!(name("2.19"), None);
        assert_eq!(name("musl"), None);
    }

    #[test]
    fn every_release_number_from_2_23_on_is_known() {
        for minor in 23..=44 {
            let version = format!("2.{minor}");
            assert_eq!(Release::named(&version).map(|row| row.name), Some(version.as_str()));
            assert!(!Release::is_beyond(&version));
        }
        assert!(Release::is_beyond("2.45"));
    }

    #[test]
    fn every_row_is_possible() {
        assert!(Release::ALL.iter().all(Release::is_possible));
        assert!(!Release { heap_info_words: 3, ..V2_44 }.is_possible());
    }

    #[test]
    fn rows_are_in_the_order_of_their_releases() {
        let order = Release::ALL.map(|row| (numbers(row.name), row.is_branch()));
        assert!(order.is_sorted());
    }

    /// What `sizeof` says of the C structures: on `x86_64` and on i386.
    #[test]
    fn structures_are_as_long_as_the_c_s() {
        let sizes = |row: Release| {
            let MallocState { size, lists } = row.malloc_state();
            (size, lists, row.heap_info(), row.tcache_bytes(), row.tcache_bytes_while_allocating())
        };
        assert_eq!(sizes(V2_23).0, 0x890);
        assert_eq!(sizes(V2_23).1, 0x68);
        assert_eq!(sizes(V2_26), (0x890, 0x68, 0x20, 0x240, 0x240));
        assert_eq!(sizes(V2_30), (0x898, 0x70, 0x20, 0x280, 0x280));
        assert_eq!(sizes(V2_36), (0x898, 0x70, 0x30, 0x280, 0x280));
        assert_eq!(sizes(V2_42), (0x898, 0x70, 0x30, 0x2f8, 0x2f8));
        assert_eq!(sizes(V2_43), (0x840, 0x18, 0x30, 0x2f8, 0x300));
        assert_eq!(sizes(V2_44), (0x840, 0x18, 0x30, 0x2f8, 0x2f8));
        let narrow = |row: Release| sizes(row.narrowed());
        assert_eq!(narrow(V2_25).0, 0x454);
        assert_eq!(narrow(V2_25).2, 0x10);
        assert_eq!(narrow(V2_26), (0x458, 0x3c, 0x18, 0x140, 0x140));
        assert_eq!(narrow(V2_36), (0x45c, 0x40, 0x18, 0x180, 0x180));
        assert_eq!(narrow(V2_43), (0x42c, 0x10, 0x18, 0x1c8, 0x1d0));
    }

    #[test]
    fn requests_end_where_the_address_space_does() {
        assert_eq!(V2_23.greatest_request(), u64::MAX - 64);
        assert_eq!(V2_30.greatest_request(), i64::MAX as u64);
        assert_eq!(V2_23.narrowed().greatest_request(), 0xffff_ffff - 32);
        assert_eq!(V2_30.narrowed().greatest_request(), 0x7fff_ffff);
    }
}
