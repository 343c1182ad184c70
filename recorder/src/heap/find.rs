//! Where malloc keeps its own: `main_arena` and `mp_`, found by their shape, without symbols.
//!
//! An arena's lists begin as 127 sentinels in a row that point at themselves, and those of bins that hold
//! nothing still do; the last never holds anything. So `main_arena` is where, in a library's data, there is
//! such a row, in which every sentinel points at itself or to where chunks can be. From its lists on, an
//! arena is the same in all releases; what lies before them differs, and the ring of arenas, which leads
//! back to the beginning of the main one, says by how much.
//!
//! `mp_` is where a word says where the main arena's memory begins, and what lies before it are limits that
//! agree with each other.

use malloscope_traces::snapshot::Limits;

use super::copy::{Copy, Range};

/// What lies in front of an arena's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Front {
    /// From its beginning to its lists (`bins`).
    pub lists: u64,
    /// From its beginning to its fastbins, if it has any.
    pub fast: Option<u64>,
    /// From its beginning to whether fastbins hold anything; otherwise a flag says so, by its absence.
    pub may_hold_fast: Option<u64>,
    /// The forms of `mp_` in those releases.
    limits: &'static [LimitsForm],
}

/// The three there have been, from 2.23 on, from 2.27 on, and from 2.43 on.
const FRONTS: [Front; 3] = [
    Front { lists: 0x68, fast: Some(8), may_hold_fast: None, limits: &[WITH_TOTAL, PLAIN] },
    Front { lists: 0x70, fast: Some(16), may_hold_fast: Some(8), limits: &[PLAIN, WITH_HUGE_PAGES] },
    Front { lists: 0x18, fast: None, may_hold_fast: None, limits: &[WITH_MODE] },
];

/// Fastbins of an arena: glibc's `NFASTBINS`.
pub const FASTBINS: u64 = 10;
/// Lists of an arena, numbered from 1: one less than glibc's `NBINS`.
pub const LISTS: u64 = 127;
/// From a chunk to its payload.
pub const HEADER: u64 = 16;
/// Bytes of the two links of a sentinel.
const LINKS: u64 = 16;
/// From an arena's lists to what comes behind them.
const MARKED: u64 = LISTS * LINKS;
const NEXT: u64 = MARKED + 16;
const NEXT_FREE: u64 = NEXT + 8;
const ATTACHED: u64 = NEXT + 16;
const SYSTEM: u64 = NEXT + 24;
const GREATEST_SYSTEM: u64 = NEXT + 32;
const END: u64 = NEXT + 40;
/// Set in an arena's flags when its memory is not taken for one piece: `NONCONTIGUOUS_BIT`.
const NOT_CONTIGUOUS: i32 = 2;
/// Set in an arena's flags, in old releases, when its fastbins hold nothing: `FASTCHUNKS_BIT`.
const FAST_EMPTY: i32 = 1;

/// An arena in a copy of memory.
#[derive(Clone, Copy, Debug)]
pub struct ArenaAt<'a> {
    pub copy: &'a Copy,
    pub front: &'static Front,
    /// Where its `malloc_state` lies.
    pub state: u64,
}

impl ArenaAt<'_> {
    fn word(&self, behind_lists: u64) -> Option<u64> {
        self.copy.word(self.state.checked_add(self.front.lists + behind_lists)?)
    }

    /// The sentinel of the list of this number, as a chunk.
    pub fn sentinel(&self, number: u64) -> u64 {
        self.state.wrapping_add(self.front.lists).wrapping_sub(HEADER) + (number - 1) * LINKS
    }

    /// Whether it is locked: somebody was just doing something to it.
    pub fn is_locked(&self) -> Option<bool> {
        Some(self.copy.int(self.state)? != 0)
    }

    fn flags(&self) -> Option<i32> {
        self.copy.int(self.state.checked_add(4)?)
    }

    pub fn is_contiguous(&self) -> Option<bool> {
        Some(self.flags()? & NOT_CONTIGUOUS == 0)
    }

    pub fn may_hold_fast(&self) -> Option<bool> {
        match self.front {
            Front { fast: None, .. } => Some(false),
            Front { may_hold_fast: Some(at), .. } => Some(self.copy.int(self.state.checked_add(*at)?)? != 0),
            _ => Some(self.flags()? & FAST_EMPTY == 0),
        }
    }

    /// The top chunk of every fastbin.
    pub fn fast_tops(&self) -> Option<Vec<u64>> {
        let Some(fast) = self.front.fast else { return Some(Vec::new()) };
        let first = self.state.checked_add(fast)?;
        (0..FASTBINS).map(|number| self.copy.word(first + 8 * number)).collect()
    }

    pub fn top(&self) -> Option<u64> {
        self.copy.word(self.state.checked_add(self.front.lists)?.checked_sub(16)?)
    }

    pub fn last_remainder(&self) -> Option<u64> {
        self.copy.word(self.state.checked_add(self.front.lists)?.checked_sub(8)?)
    }

    /// Whether it has ever had memory.
    pub fn has_memory(&self) -> Option<bool> {
        Some(self.top()? != self.sentinel(1))
    }

    pub fn marked(&self) -> Option<[u64; 2]> {
        Some([self.word(MARKED)?, self.word(MARKED + 8)?])
    }

    pub fn next(&self) -> Option<u64> {
        self.word(NEXT)
    }

    pub fn next_free(&self) -> Option<u64> {
        self.word(NEXT_FREE)
    }

    pub fn attached_threads(&self) -> Option<u64> {
        self.word(ATTACHED)
    }

    pub fn system_bytes(&self) -> Option<u64> {
        self.word(SYSTEM)
    }

    pub fn greatest_system_bytes(&self) -> Option<u64> {
        self.word(GREATEST_SYSTEM)
    }
}

impl Front {
    fn lists_at(&self) -> u64 {
        self.lists
    }

    /// Bytes of `malloc_state`.
    pub fn size(&self) -> u64 {
        self.lists + END
    }

    /// Whether the size of a chunk with a mapping of its own is that of a chunk with a neighbour above.
    pub fn mapped_like_others(&self) -> bool {
        // Fastbins left with the release that changed these heads.
        self.fast.is_none()
    }
}

/// A main arena that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub front: &'static Front,
    pub state: u64,
}

/// Looks for rows of sentinels in some data, of which `may_hold_chunks` says what else they may point to: what may
/// be main arenas, in each form that there is.
pub fn main_arenas(copy: &Copy, data: &[Range], may_hold_chunks: impl Fn(u64) -> bool) -> Vec<Found> {
    let mut all = Vec::new();
    for (at, word) in data.iter().flat_map(|range| words(copy, *range)) {
        // The last list of an arena is empty.
        if word == at.wrapping_sub(HEADER)
            && let Some(lists) = at.checked_sub((LISTS - 1) * LINKS)
            && is_row(copy, lists, &may_hold_chunks)
        {
            let found = |front| Some(Found { front, state: lists.checked_sub(Front::lists_at(front))? });
            all.extend(FRONTS.iter().filter_map(found));
        }
    }
    all
}

/// The words of a range, each with its address.
fn words(copy: &Copy, range: Range) -> impl Iterator<Item = (u64, u64)> + '_ {
    let words = copy.bytes(range).unwrap_or_default().chunks_exact(8).filter_map(|word| word.first_chunk());
    (range.start..).step_by(8).zip(words.map(|word| u64::from_le_bytes(*word)))
}

/// Whether here is a row of sentinels.
fn is_row(copy: &Copy, lists: u64, may_hold_chunks: impl Fn(u64) -> bool) -> bool {
    (0..LISTS).all(|number| {
        let links = lists + number * LINKS;
        let own = links.wrapping_sub(HEADER);
        // A thread may have been stopped in the midst of changing one of the two.
        let is_link = |at: u64| copy.word(at).is_some_and(|link| link == own || may_hold_chunks(link));
        is_link(links) && is_link(links + 8)
    })
}

/// How far before the start of the main arena's memory the limits stand in `mp_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LimitsForm {
    /// The first of five words: the trim threshold, the top pad, the mmap threshold, and the two about arenas.
    words: u64,
    /// The first of four ints: mapped chunks, their limit, the most there were, and whether thresholds stay.
    ints: u64,
    /// The first of two words: the mapped bytes, and the most there were.
    mapped: u64,
}

/// With a total that nothing writes (2.23).
const WITH_TOTAL: LimitsForm = LimitsForm { words: 80, ints: 40, mapped: 24 };
/// Without it.
const PLAIN: LimitsForm = LimitsForm { words: 72, ints: 32, mapped: 16 };
/// With three fields about huge pages (from 2.35 on).
const WITH_HUGE_PAGES: LimitsForm = LimitsForm { words: 96, ints: 36, mapped: 16 };
/// With a fourth (from 2.43 on).
const WITH_MODE: LimitsForm = LimitsForm { words: 104, ints: 36, mapped: 16 };

/// From the start of the main arena's memory, in `mp_`, to how many chunks a stack of the tcache holds.
const FILL: u64 = 24;

/// The smallest threshold that moves by itself, and the greatest: glibc's `DEFAULT_MMAP_THRESHOLD_MIN` and `…_MAX`.
const DYNAMIC: std::ops::RangeInclusive<u64> = 128 << 10..=32 << 20;
/// The greatest number of mapped chunks unless another is set: glibc's `DEFAULT_MMAP_MAX`.
const MMAP_MAX: i32 = 65536;

/// The limits, and how many chunks a stack of the tcache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsAt {
    pub limits: Limits,
    pub fill: u64,
}

/// Looks for `mp_` in a library's data; `can_begin` says whether the main arena's memory can begin at an address,
/// or at 0, if it has none. `None` if there is none, or more than one that differ.
pub fn limits(
    copy: &Copy,
    data: &[Range],
    front: &Front,
    can_begin: impl Fn(u64) -> bool,
) -> Option<LimitsAt> {
    let mut found: Vec<LimitsAt> = Vec::new();
    for (at, start) in data.iter().flat_map(|range| words(copy, *range)).filter(|(_, word)| can_begin(*word))
    {
        for limits in front.limits.iter().filter_map(|form| form.read(copy, at, start)) {
            let fill = at.checked_add(FILL).and_then(|at| copy.word(at)).unwrap_or(0);
            if !found.iter().any(|other| other.limits == limits) {
                found.push(LimitsAt { limits, fill });
            }
        }
    }
    // Limits that move by themselves agree in so many ways that nothing else does so by accident.
    if found.iter().any(|one| one.limits.are_dynamic) {
        found.retain(|one| one.limits.are_dynamic);
    }
    match found.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

impl LimitsForm {
    /// The limits whose last field is at `at`, if they agree with each other.
    fn read(&self, copy: &Copy, at: u64, heap_start: u64) -> Option<Limits> {
        let word = |number: u64| copy.word(at.checked_sub(self.words)? + 8 * number);
        let int = |number: u64| copy.int(at.checked_sub(self.ints)? + 4 * number);
        let mapped = |number: u64| copy.word(at.checked_sub(self.mapped)? + 8 * number);
        let stays = int(3)?;
        let limits = Limits {
            trim_threshold: word(0)?,
            top_pad: word(1)?,
            mmap_threshold: word(2)?,
            arena_test: word(3)?,
            arena_max: word(4)?,
            mmap_max: int(1)?,
            are_dynamic: stays == 0,
            mapped_chunks: int(0)?,
            greatest_mapped_chunks: int(2)?,
            mapped_bytes: mapped(0)?,
            greatest_mapped_bytes: mapped(1)?,
            heap_start,
        };
        ((0..=1).contains(&stays) && agree(&limits)).then_some(limits)
    }
}

/// Whether limits agree with each other.
fn agree(limits: &Limits) -> bool {
    let chunks = limits.mapped_chunks;
    let are_as_by_default = DYNAMIC.contains(&limits.mmap_threshold)
        && (limits.trim_threshold == 2 * limits.mmap_threshold
            || limits.trim_threshold == *DYNAMIC.start() && limits.mmap_threshold == *DYNAMIC.start())
        && limits.mmap_max == MMAP_MAX;
    (0..=limits.greatest_mapped_chunks).contains(&chunks)
        && mapped_bytes_agree(limits)
        && limits.arena_test != 0
        && limits.arena_test <= u64::from(u32::MAX)
        && (!limits.are_dynamic || are_as_by_default)
}

/// Whether the bytes of mapped chunks agree with their number. From 2.43 on they slip by some words for each
/// aligned chunk that is given back, so that without any chunk they need not be 0.
fn mapped_bytes_agree(limits: &Limits) -> bool {
    let bytes = limits.mapped_bytes;
    let is_little = bytes.wrapping_add(super::copy::PAGE) < 2 * super::copy::PAGE;
    let fits = match limits.mapped_chunks {
        0 => is_little,
        _ => bytes != 0 && bytes <= limits.greatest_mapped_bytes,
    };
    fits && bytes.is_multiple_of(HEADER)
}
