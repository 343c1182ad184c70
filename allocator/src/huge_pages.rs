//! Which huge pages malloc uses: what `hugetlb` asks for, the machine has, and the release does.
//!
//! - 0 or unset: none.
//! - 1: transparent ones. The break moves so that it ends at a multiple of their size, counted from
//!   address 0, and is trimmed by whole ones; memory long enough for one is recommended to the kernel
//!   (`madvise`), where the kernel waits to be told.
//! - 2, or a size the machine has: those of the kernel's pool (`MAP_HUGETLB`), for mappings, segments,
//!   and mappings in place of the break, which is not used. Where the pool is empty each falls back to
//!   ordinary pages.

use crate::arena::SHORTEST_SEGMENT;
use crate::layout::Geometry;
use crate::memory::{HugePages, Transparent};

/// What a release does about huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HugePageRules {
    /// Whether a mode of `always` has the break rounded too, not only `madvise`.
    pub round_where_always: bool,
    /// Whether malloc asks where the break is before it rounds it; else it believes what the last
    /// call has left in `__curbrk`, which is 0 before the first.
    pub ask_for_break: bool,
    /// Whether segments are made of transparent huge pages, and one that grows is recommended when it
    /// has not been long enough before.
    pub segments_are_transparent: bool,
    /// Whether a mapping that becomes longer is recommended only if it has not been long enough before.
    pub keep_recommendations: bool,
    /// Whether of what begins within a page less is recommended, not more.
    pub recommend_inward: bool,
    /// Whether the greatest segment is four pages of the pool, not 64 MiB.
    pub segments_are_four_pages: bool,
    /// Whether `hugetlb` 2 and more sets the mmap threshold too, to the size of a page.
    pub set_mmap_threshold: bool,
    /// Whether the kernel's mode is compared as a string that nothing ends. What lies behind it is the
    /// highest byte of an address: with words of 64 bits 0, which ends it after all; with 32 bits it is
    /// not, and no mode is known.
    pub mode_is_unended: bool,
}

/// The huge pages that malloc uses (glibc: `mp_.thp_pagesize`, `thp_mode`, `hp_pagesize`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Huge {
    /// Bytes of a transparent huge page; 0 where none are used.
    pub transparent: u64,
    /// Whether memory is recommended for transparent huge pages.
    pub recommends: bool,
    /// Bytes of a page of the kernel's pool; 0 where none are used.
    pub page: u64,
    /// Whether the break is left alone, for the sake of the pool.
    pub avoids_break: bool,
    /// The least length of a segment (`heap_min_size`).
    pub shortest_segment: u64,
    /// The greatest length of a segment, and what all are aligned to (`heap_max_size`).
    pub longest_segment: u64,
    /// Bytes of the pages that segments are first tried to be made of; 0 for ordinary ones.
    pub segment_page: u64,
}

impl Huge {
    /// None, where a segment has so many bytes.
    pub fn none(longest_segment: u64) -> Huge {
        Huge {
            transparent: 0,
            recommends: false,
            page: 0,
            avoids_break: false,
            shortest_segment: SHORTEST_SEGMENT,
            longest_segment,
            segment_page: 0,
        }
    }

    /// What the tunable asks for, as far as the machine has it (glibc: `do_set_hugetlb`).
    pub fn new(rules: &HugePageRules, geometry: Geometry, hugetlb: Option<u64>, machine: HugePages) -> Huge {
        let none = Huge::none(geometry.longest_segment());
        match hugetlb {
            None | Some(0) => none,
            Some(1) if rules.mode_is_unended && geometry != Geometry::OF_64_BITS => none,
            Some(1) => none.transparent(rules, machine),
            Some(2) => none.pool(rules, machine.default),
            Some(size) => none.pool(rules, if machine.has(size) { size } else { 0 }),
        }
    }

    fn transparent(self, rules: &HugePageRules, machine: HugePages) -> Huge {
        let recommends = machine.mode == Transparent::Madvise;
        let rounds = recommends || rules.round_where_always && machine.mode == Transparent::Always;
        let transparent = if rounds { machine.transparent } else { 0 };
        let segment_page = match rules.segments_are_transparent {
            true if transparent <= self.longest_segment => transparent,
            _ => 0,
        };
        Huge { transparent, recommends, segment_page, ..self }
    }

    fn pool(self, rules: &HugePageRules, page: u64) -> Huge {
        if page == 0 {
            return self;
        }
        let longest_segment = if rules.segments_are_four_pages { 4 * page } else { self.longest_segment };
        if page > longest_segment {
            return Huge { page, ..self };
        }
        let avoids_break = true;
        Huge { page, avoids_break, shortest_segment: page, longest_segment, segment_page: page, ..self }
    }
}
