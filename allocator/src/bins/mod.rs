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

use crate::address::{ALIGNMENT, ChunkSize};

/// One more than the number of the last list: glibc's `NBINS`.
pub(crate) const LISTS: usize = 128;
/// The list that holds what has been freed and not yet sorted.
pub(crate) const UNSORTED: usize = 1;
/// The number of the first large bin: glibc's `NSMALLBINS`.
pub(crate) const FIRST_LARGE: usize = 64;
/// The smallest chunk size a large bin holds: glibc's `MIN_LARGE_SIZE`.
const SMALLEST_LARGE: ChunkSize = ChunkSize(FIRST_LARGE as u64 * ALIGNMENT);

/// A place where free chunks wait, or where memory comes from when none does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bin {
    /// A stack in a thread's own cache, by its number: sizes of 32 + 16 n bytes up to number 63, then of
    /// as many bits each.
    Tcache(u8),
    /// A stack of the arena's, by its number: sizes of 32 + 16 n bytes.
    Fast(u8),
    /// A list of one size, by its number in the arena: 16 n bytes.
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
    pub fn sizes(self) -> Option<(ChunkSize, ChunkSize)> {
        match self {
            Bin::Tcache(number) if usize::from(number) >= tcache::SMALL_STACKS => {
                Some(tcache::large_sizes(usize::from(number)))
            }
            Bin::Tcache(number) | Bin::Fast(number) => {
                let size = ChunkSize((u64::from(number) + 2) * ALIGNMENT);
                Some((size, size))
            }
            Bin::Small(number) => {
                let size = ChunkSize(u64::from(number) * ALIGNMENT);
                Some((size, size))
            }
            Bin::Large(number) => Some(large::sizes(usize::from(number))),
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
pub(crate) fn list(number: usize) -> Bin {
    match number {
        UNSORTED => Bin::Unsorted,
        small if small < FIRST_LARGE => Bin::Small(narrow(small)),
        large => Bin::Large(narrow(large)),
    }
}

/// Whether chunks of this size are sorted into large bins.
#[inline]
pub(crate) fn is_large(size: ChunkSize) -> bool {
    size >= SMALLEST_LARGE
}

/// The number of the list that chunks of this size are sorted into.
#[inline]
pub(crate) fn number(size: ChunkSize) -> usize {
    if is_large(size) { large::number(size) } else { small::number(size) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Request, index};

    /// The table of the comment above `bin_index` in glibc's malloc.c, as arithmetic on ranges.
    fn expected(size: u64) -> usize {
        let steps =
            [(64, 1024, 64), (512, 3136, 97), (4096, 10752, 112), (32768, 45056, 120), (262144, 163840, 124)];
        if size < 1024 {
            return index(size / 16);
        }
        let (width, from, first) =
            *steps.iter().rev().find(|step| size >= step.1).expect("1024 is the first");
        // The first bin of a width begins at a multiple of that width that may lie below `from`.
        index((first + size / width - from / width).min(126))
    }

    #[test]
    fn every_size_up_to_a_mebibyte_has_the_bin_glibc_gives_it() {
        // Under miri, which takes its time, the first of each width.
        let greatest = if cfg!(miri) { 4096 } else { 1 << 20 };
        for bytes in (32..=greatest).step_by(16) {
            assert_eq!(number(ChunkSize(bytes)), expected(bytes), "{bytes}");
        }
    }

    #[test]
    fn bins_are_numbered_without_gaps_or_clashes() {
        let mut seen = vec![0; Bin::COUNT];
        for bin in Bin::all() {
            seen[bin.index()] += 1;
        }
        assert!(seen.iter().all(|&times| times <= 1));
        assert_eq!(Bin::all().count(), 64 + 12 + 10 + 126 + 2);
    }

    #[test]
    fn a_bin_holds_the_sizes_that_lead_to_it() {
        for request in 0..if cfg!(miri) { 3000 } else { 300_000 } {
            let size = ChunkSize::serving(Request(request)).expect("small");
            let (smallest, greatest) = list(number(size)).sizes().expect("a list has bounds");
            assert!(smallest <= size && size <= greatest, "{request}");
        }
    }
}
