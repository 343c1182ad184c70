//! Where free chunks wait, and which of these places a size belongs to.
//!
//! An arena has 127 sorted lists, by chunk size (glibc: `bin_index`): number 1 is the unsorted bin,
//! 2 to 63 hold one size each, 64 to 126 a range of sizes that widens as it rises.

pub(crate) mod fast;
pub(crate) mod large;
pub mod lockless;
pub(crate) mod map;
pub(crate) mod small;
pub(crate) mod tcache;
pub(crate) mod unsorted;

use crate::address::ChunkSize;
use crate::layout::Geometry;

/// One more than the number of the last list: glibc's `NBINS`.
pub(crate) const LISTS: usize = 128;
/// The list that holds what has been freed and not yet sorted.
pub(crate) const UNSORTED: usize = 1;
/// The number of the first large bin: glibc's `NSMALLBINS`.
pub(crate) const FIRST_LARGE: usize = 64;

/// A place where free chunks wait, or where memory comes from when none does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bin {
    /// A stack in a thread's own cache, by its number: one size each up to number 63 (of 32 + 16 n bytes
    /// where words have 64 bits), then of as many bits each.
    Tcache(u8),
    /// A stack of the arena's, by its number: one size each (of 32 + 16 n bytes where words have 64 bits).
    Fast(u8),
    /// A list of one size, by its number in the arena (of 16 n bytes where words have 64 bits).
    Small(u8),
    /// What was freed and has not been sorted.
    Unsorted,
    /// A list of a range of sizes, by its number in the arena.
    Large(u8),
    /// The chunk that borders unclaimed memory.
    Top,
    /// A mapping of the chunk's own.
    Mapped,
}

impl Bin {
    /// What kind of bin it is, in one word, and its number among those of its kind.
    pub fn name(self) -> (&'static str, Option<u8>) {
        match self {
            Bin::Tcache(number) => ("tcache", Some(number)),
            Bin::Fast(number) => ("fast", Some(number)),
            Bin::Small(number) => ("small", Some(number)),
            Bin::Unsorted => ("unsorted", None),
            Bin::Large(number) => ("large", Some(number)),
            Bin::Top => ("top", None),
            Bin::Mapped => ("mapped", None),
        }
    }

    /// How many bins there are: one more than the greatest [`Bin::index`].
    pub const COUNT: usize = FAST_AT + fast::STACKS + LISTS + 2;

    /// The place of this bin in a table of all bins.
    #[inline]
    pub fn index(self) -> usize {
        match self {
            Bin::Tcache(number) => usize::from(number) % tcache::STACKS,
            Bin::Fast(number) => FAST_AT + usize::from(number) % fast::STACKS,
            Bin::Unsorted => LISTS_AT + UNSORTED,
            Bin::Small(number) | Bin::Large(number) => LISTS_AT + usize::from(number) % LISTS,
            Bin::Top => LISTS_AT + LISTS,
            Bin::Mapped => LISTS_AT + LISTS + 1,
        }
    }

    /// Every bin, in the order of [`Bin::index`].
    pub fn all() -> impl Iterator<Item = Bin> {
        let tcache = (0..tcache::STACKS).map(|number| Bin::Tcache(narrow(number)));
        let fast = (0..fast::STACKS).map(|number| Bin::Fast(narrow(number)));
        let lists = (UNSORTED..LISTS - 1).map(list);
        tcache.chain(fast).chain(lists).chain([Bin::Top, Bin::Mapped])
    }

    /// The smallest and the greatest chunk size the bin holds, where it has such bounds.
    pub fn sizes(self, geometry: Geometry) -> Option<(ChunkSize, ChunkSize)> {
        let smallest = geometry.smallest_chunk();
        match self {
            Bin::Tcache(number) if usize::from(number) >= tcache::SMALL_STACKS => {
                Some(tcache::large_sizes(geometry, usize::from(number)))
            }
            Bin::Tcache(number) => {
                let size = smallest + ChunkSize(u64::from(number) * geometry.alignment);
                Some((size, size))
            }
            Bin::Fast(number) => {
                let size = smallest + ChunkSize(u64::from(number) * 2 * geometry.word);
                Some((size, size))
            }
            Bin::Small(number) => {
                let size = small::size(geometry, usize::from(number));
                Some((size, size))
            }
            Bin::Large(number) => Some(large::sizes(geometry, usize::from(number))),
            Bin::Unsorted | Bin::Top | Bin::Mapped => None,
        }
    }
}

const FAST_AT: usize = tcache::STACKS;
const LISTS_AT: usize = FAST_AT + fast::STACKS;

/// A bin's number as it is told to observers: none is greater than 127.
#[inline]
pub(crate) fn narrow(number: usize) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 256 of any kind of bin")]
    {
        number as u8
    }
}

/// The bin that is an arena's list of this number.
#[inline]
pub fn list(number: usize) -> Bin {
    match number {
        UNSORTED => Bin::Unsorted,
        small if small < FIRST_LARGE => Bin::Small(narrow(small)),
        large => Bin::Large(narrow(large)),
    }
}

/// The number of the list that chunks of this size are sorted into.
#[inline]
pub(crate) fn number(geometry: Geometry, size: ChunkSize) -> usize {
    if geometry.is_large(size) { large::number(geometry, size) } else { small::number(geometry, size) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Request, index};

    const GEOMETRIES: [Geometry; 3] =
        [Geometry::OF_64_BITS, Geometry { word: 4, alignment: 8 }, Geometry { word: 4, alignment: 16 }];

    /// The table of the comment above `bin_index` in glibc's malloc.c, as arithmetic on ranges: the width
    /// of each bin, the least size of the first of that width, and its number.
    fn expected(geometry: Geometry, size: u64) -> usize {
        let steps = match (geometry.word, geometry.alignment) {
            (8, _) => [(64, 1024, 64), (512, 3136, 97), (4096, 10752, 112), (32768, 45056, 120)],
            (_, 8) => [(64, 512, 64), (512, 2496, 95), (4096, 10752, 112), (32768, 45056, 120)],
            _ => [(64, 1008, 64), (512, 2944, 96), (4096, 10752, 112), (32768, 45056, 120)],
        };
        if size < steps[0].1 {
            return index((size - geometry.smallest_chunk().0) / geometry.alignment + 2);
        }
        if size >= 163_840 {
            return index((124 + size / 262_144).min(126));
        }
        let (width, from, first) =
            *steps.iter().rev().find(|step| size >= step.1).expect("the first is the smallest");
        // The first bin of a width begins at a multiple of that width that may lie below `from`.
        index(first + size / width - from / width)
    }

    #[test]
    fn every_size_up_to_a_mebibyte_has_the_bin_glibc_gives_it() {
        // Under miri, which takes its time, the first of each width.
        let greatest = if cfg!(miri) { 4096 } else { 1 << 20 };
        for geometry in GEOMETRIES {
            let sizes = geometry.smallest_chunk().0..=greatest;
            for bytes in sizes.step_by(index(geometry.alignment)) {
                let ours = number(geometry, ChunkSize(bytes));
                assert_eq!(ours, expected(geometry, bytes), "{bytes}, {geometry:?}");
            }
        }
    }

    #[test]
    fn bins_are_numbered_without_gaps_or_clashes() {
        let mut seen = vec![0; Bin::COUNT];
        for bin in Bin::all() {
            seen[bin.index()] += 1;
        }
        assert!(seen.iter().all(|&times| times <= 1));
        assert_eq!(Bin::all().count(), 64 + 12 + 11 + 126 + 2);
    }

    #[test]
    fn a_bin_holds_the_sizes_that_lead_to_it() {
        for geometry in GEOMETRIES {
            for request in 0..if cfg!(miri) { 3000 } else { 300_000 } {
                let size = geometry.chunk_for(Request(request));
                let (smallest, greatest) =
                    list(number(geometry, size)).sizes(geometry).expect("a list has bounds");
                assert!(smallest <= size && size <= greatest, "{request}, {geometry:?}");
            }
        }
    }
}
