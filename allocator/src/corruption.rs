//! What glibc says before it aborts: one variant for each thing it checks.
//!
//! A corrupted heap is the program's doing. It is reported as a value, never as a panic, and the
//! heap that reported it is not used again, as the process would not have lived on.

use core::fmt;

macro_rules! corruptions {
    ($($(#[$doc:meta])* $name:ident => $message:literal,)*) => {
        /// A check that fired.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Corruption {
            $($(#[$doc])* $name,)*
        }

        impl Corruption {
            /// The words glibc prints (`malloc_printerr`).
            pub fn message(self) -> &'static str {
                match self { $(Corruption::$name => $message,)* }
            }
        }
    };
}

corruptions! {
    /// Freeing: no chunk could be there.
    FreePointer => "free(): invalid pointer",
    /// Freeing: no chunk has that size.
    FreeSize => "free(): invalid size",
    /// Freeing: the tcache's list is longer than its count may be.
    TcacheTooLong => "free(): too many chunks detected in tcache",
    /// Freeing: the tcache's list leads nowhere.
    TcacheUnalignedInFree => "free(): unaligned chunk detected in tcache 2",
    /// Freeing: the chunk is in the tcache already.
    TcacheDoubleFree => "free(): double free detected in tcache 2",
    /// Freeing into a fastbin: the chunk above cannot be.
    FreeNextSizeFast => "free(): invalid next size (fast)",
    /// Freeing: the chunk is in front of its fastbin already.
    FastDoubleFree => "double free or corruption (fasttop)",
    /// Freeing: the chunk in front of the fastbin has another size.
    FastEntry => "invalid fastbin entry (free)",
    /// Freeing: the chunk is the top chunk.
    FreeTop => "double free or corruption (top)",
    /// Freeing: the chunk ends beyond the top chunk.
    FreeBeyondTop => "double free or corruption (out)",
    /// Freeing: the chunk above says this one is free already.
    FreeNotInUse => "double free or corruption (!prev)",
    /// Freeing: the chunk above cannot be.
    FreeNextSize => "free(): invalid next size (normal)",
    /// Freeing: the chunk below is not as long as its foot says.
    FootInFree => "corrupted size vs. prev_size while consolidating",
    /// Consolidating: the chunk below is not as long as its foot says.
    FootInConsolidate => "corrupted size vs. prev_size in fastbins",
    /// Freeing: the unsorted bin is damaged.
    UnsortedInFree => "free(): corrupted unsorted chunks",
    /// Freeing: the small bin is damaged.
    SmallInFree => "free(): chunks in smallbin corrupted",
    /// Consolidating: a fastbin leads nowhere.
    FastUnalignedInConsolidate => "malloc_consolidate(): unaligned fastbin chunk detected",
    /// Consolidating: a fastbin holds a chunk of another size.
    FastSizeInConsolidate => "malloc_consolidate(): invalid chunk size",
    /// Unlinking: the chunk is not as long as its foot says.
    SizeDiffersFromFoot => "corrupted size vs. prev_size",
    /// Unlinking: the neighbours in the list do not know the chunk.
    ListLinks => "corrupted double-linked list",
    /// Unlinking: the neighbours in the skip list do not know the chunk.
    SkipListLinks => "corrupted double-linked list (not small)",
    /// Allocating: the tcache's list leads nowhere.
    TcacheUnaligned => "malloc(): unaligned tcache chunk detected",
    /// Thread exit: the tcache's list leads nowhere.
    TcacheUnalignedInExit => "tcache_thread_shutdown(): unaligned tcache chunk detected",
    /// Allocating: the fastbin's first chunk is no chunk.
    FastUnaligned => "malloc(): unaligned fastbin chunk detected 2",
    /// Allocating: the fastbin's second chunk is no chunk.
    FastUnalignedNext => "malloc(): unaligned fastbin chunk detected",
    /// Filling the tcache: the fastbin holds a chunk of another size.
    FastSizeInStash => "malloc(): chunk size mismatch in fastbin",
    /// Filling the tcache: the fastbin leads nowhere.
    FastUnalignedInStash => "malloc(): unaligned fastbin chunk detected 3",
    /// Allocating: the fastbin holds a chunk of another size.
    FastSize => "malloc(): memory corruption (fast)",
    /// Allocating: the small bin is damaged.
    SmallLinks => "malloc(): smallbin double linked list corrupted",
    /// Sorting: no chunk has that size, in the words of releases that look at nothing else.
    UnsortedMemory => "malloc(): memory corruption",
    /// Sorting: the chunk behind does not know the one that leaves.
    UnsortedLinkBehind => "malloc(): corrupted unsorted chunks 3",
    /// Sorting: no chunk has that size.
    UnsortedSize => "malloc(): invalid size (unsorted)",
    /// Sorting: the chunk above cannot be.
    UnsortedNextSize => "malloc(): invalid next size (unsorted)",
    /// Sorting: the chunk is not as long as its foot says.
    UnsortedFoot => "malloc(): mismatching next->prev_size (unsorted)",
    /// Sorting: the unsorted bin is damaged.
    UnsortedLinks => "malloc(): unsorted double linked list corrupted",
    /// Sorting: the chunk above says this one is in use.
    UnsortedInUse => "malloc(): invalid next->prev_inuse (unsorted)",
    /// Sorting into a large bin: its skip list is damaged.
    LargeSkipLinks => "malloc(): largebin double linked list corrupted (nextsize)",
    /// Sorting into a large bin: its list is damaged.
    LargeLinks => "malloc(): largebin double linked list corrupted (bk)",
    /// Splitting a chunk of its own large bin: the unsorted bin is damaged.
    UnsortedInSplit => "malloc(): corrupted unsorted chunks",
    /// Splitting a chunk of a larger bin: the unsorted bin is damaged.
    UnsortedInLargerSplit => "malloc(): corrupted unsorted chunks 2",
    /// Allocating: the top chunk is longer than all the arena has.
    TopSize => "malloc(): corrupted top size",
    /// Growing: the break lies below the top chunk's end.
    BreakBelowTop => "break adjusted to free malloc space",
    /// Growing past a hole: the break is where no chunk may begin. An assertion, not a check.
    BreakMisaligned => "sysmalloc: Assertion `((unsigned long) chunk2mem (brk) & MALLOC_ALIGN_MASK) == 0' failed.",
    /// Allocating an aligned chunk: a bin holds what cannot be a chunk.
    MemalignUnaligned => "_int_memalign(): unaligned chunk detected",
    /// Allocating an aligned chunk: what is aligned in the padded chunk is shorter than what was asked for, since
    /// the sum has wrapped. An assertion, not a check.
    MemalignTooShort => "_int_memalign: Assertion `newsize >= nb && (((unsigned long) (chunk2mem (p))) % alignment) == 0' failed.",
    /// `mallinfo` and `malloc_stats`: a fastbin leads nowhere.
    FastUnalignedInMallinfo => "int_mallinfo(): unaligned fastbin chunk detected",
    /// `malloc_info`: a fastbin leads nowhere.
    FastUnalignedInMallocInfo => "__malloc_info(): unaligned fastbin chunk detected",
    /// Reallocating: no chunk could be there.
    ReallocPointer => "realloc(): invalid pointer",
    /// Reallocating: no chunk has that size.
    ReallocSize => "realloc(): invalid old size",
    /// Reallocating: the chunk above cannot be.
    ReallocNextSize => "realloc(): invalid next size",
    /// Unmapping: the mapping is not made of whole pages.
    UnmapPointer => "munmap_chunk(): invalid pointer",
    /// Remapping: the mapping is not made of whole pages.
    RemapPointer => "mremap_chunk(): invalid pointer",
    /// Remapping: the mapping is not made of whole pages. An assertion, not a check.
    RemapAssertion => "mremap_chunk: Assertion `((size + offset) & (GLRO (dl_pagesize) - 1)) == 0' failed.",
    /// `MALLOC_CHECK_`: the top chunk does not end where the heap does, or cannot be a chunk.
    BrokenTop => "malloc: top chunk is corrupt",
    /// `MALLOC_CHECK_`, asked for a chunk's size: the program wrote behind its bytes.
    ChunkOverrun => "malloc_check_get_size: memory corruption",
    /// A stack of the cache goes round. glibc would follow it for ever.
    CacheGoesRound => "the cache goes round",
    /// The chunk claims an arena that there is not. glibc would read a wild pointer here.
    WildArena => "the chunk belongs to no arena",
}

impl Corruption {
    /// Of an assertion: the function it stands in, and what it asserts.
    pub fn assertion(self) -> Option<(&'static str, &'static str)> {
        let (function, rest) = self.message().split_once(": Assertion `")?;
        Some((function, rest.strip_suffix("' failed.")?))
    }
}

/// Which of its checks a release makes; those that all releases make are not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// What is looked at before a freed chunk is put anywhere.
    pub freed: FreedChecks,
    /// Whether a cached chunk is marked, so that freeing it again is found out (`tcache_key`).
    pub cached_twice: bool,
    /// Whether the search for a marked chunk ends when it has seen more than a stack can hold. Otherwise
    /// it may go round for ever.
    pub cache_length: bool,
    /// Whether a marked chunk is looked for in all stacks, not only in that of its size.
    pub whole_cache: bool,
    /// Whether cached and fast chunks must lie where a chunk can.
    pub links_aligned: bool,
    /// Whether a fast chunk that moves to the tcache must be of its bin's size.
    pub fast_size_when_cached: bool,
    /// Whether a fast chunk that is consolidated must be of its bin's size.
    pub fast_size_when_consolidated: bool,
    /// Whether a chunk that leaves its bin must be as long as its foot says.
    pub unlinked_foot: bool,
    /// Whether a chunk that one above is merged with must be as long as its foot says.
    pub merged_foot: bool,
    /// What is looked at when the unsorted bin is sorted.
    pub unsorted: UnsortedChecks,
    /// Whether the links between which a chunk comes to lie in a large bin must agree.
    pub large_links: bool,
    /// Whether the largest chunk's skip links must agree when one comes that is smaller than all others.
    pub largest_skip_links: bool,
    /// Whether the top chunk must be no longer than all the arena has.
    pub top_size: bool,
    /// Whether a chunk with a mapping of its own must begin where one can, and whether that is looked at
    /// when it changes its length.
    pub mapped_place: bool,
}

/// What is looked at before a freed chunk is put anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreedChecks {
    /// Where it lies and its size; a chunk with a mapping of its own has its own checks.
    PlaceAndSize,
    /// Where it lies; then, if it is not cached, whether its size is a chunk's, roughly.
    PlaceFirst,
}

/// What is looked at when the unsorted bin is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsortedChecks {
    /// The chunk's size.
    Size,
    /// The chunk's size, and the link of the one behind it when it leaves.
    SizeAndLink,
    /// The chunk's size, the chunk above, the foot and all links.
    All,
}

impl fmt::Display for Corruption {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.message())
    }
}

impl core::error::Error for Corruption {}

/// Why a call that should return memory did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// There is no memory for it (`ENOMEM`).
    OutOfMemory,
    /// There is no memory for it, and `errno` is left as it was (a slip in `realloc_check`).
    Unsaid,
    /// The arguments make no sense (`EINVAL`).
    Invalid,
    /// The heap is corrupted: glibc would have aborted.
    Corrupted(Corruption),
}

impl From<Corruption> for Refusal {
    fn from(corruption: Corruption) -> Refusal {
        Refusal::Corrupted(corruption)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::OutOfMemory | Refusal::Unsaid => out.write_str("out of memory"),
            Refusal::Invalid => out.write_str("invalid argument"),
            Refusal::Corrupted(corruption) => corruption.fmt(out),
        }
    }
}

impl core::error::Error for Refusal {}
