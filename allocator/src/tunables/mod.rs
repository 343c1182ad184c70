//! Everything about malloc that can be set before a program starts, and what was.
//!
//! The rest of this page is for whoever wants to set something: each knob's names, what it may be,
//! and the releases that read it. The releases' own rows ([`Release::tunables`]) and `TABLE` hold
//! the same for the program.
//!
//! | `glibc.malloc.` | variable | values | read by | beyond the bounds |
//! |---|---|---|---|---|
//! | `check` | `MALLOC_CHECK_` | 0 to 3; before 2.26 the variable's first digit | up to 2.33 | ignored |
//! | `top_pad` | `MALLOC_TOP_PAD_` | any | all | |
//! | `perturb` | `MALLOC_PERTURB_` | 0 to 255; before 2.26 any | all | ignored |
//! | `mmap_threshold` | `MALLOC_MMAP_THRESHOLD_` | up to 32 MiB; from 2.35 on any | all | ignored |
//! | `trim_threshold` | `MALLOC_TRIM_THRESHOLD_` | any | all | |
//! | `mmap_max` | `MALLOC_MMAP_MAX_` | an `int`; from 2.34 on 0 or more | all | ignored |
//! | `arena_max` | `MALLOC_ARENA_MAX` | 1 or more | all; 2.25 takes it for `arena_test` | ignored |
//! | `arena_test` | `MALLOC_ARENA_TEST` | 1 or more | all | ignored |
//! | `tcache_max` | | up to 1032; from 2.42 on up to 24 bytes less than 4 MiB | from 2.26 on | ignored |
//! | `tcache_count` | | from 2.30 on up to 65535 | from 2.26 on | ignored; before 2.30 see below |
//! | `tcache_unsorted_limit` | | any; 0 is no limit | 2.26 to 2.43 | |
//! | `mxfast` | | up to 160 | 2.31 to 2.42 | ignored |
//! | `hugetlb` | | 0, 1, 2, or the size of a huge page | from 2.35 on | no huge pages |
//!
//! Side effects. Setting any of `top_pad`, `mmap_threshold`, `trim_threshold` and `mmap_max`, even
//! to what it is anyway, ends the moving of the thresholds. `hugetlb` 2 and more sets
//! `mmap_threshold` too from 2.39 on. `arena_max` does nothing any more once the limit on arenas
//! has been found: at the second thread's first request, if it was set by then, otherwise when
//! there are more arenas than `arena_test`. `check` other than 0 asks for a byte more for every request,
//! serves all threads from the main arena and caches nothing (`check_hooks.rs`). Before 2.30 any `tcache_count` is taken but
//! a `char` counts, so that a stack holds no more than about 128 chunks; on the branches of 2.26 and
//! 2.27 a greater one than 127 is ignored. A `tcache_max` above 1032 has chunks cached that are large,
//! in twelve more stacks of a power of two each.
//!
//! They are spelled in three ways. `GLIBC_TUNABLES=glibc.malloc.top_pad=0:…` is read from 2.26 on
//! (in 2.25, only where glibc was configured so); the variables of the second column in every
//! release, but their values count only where `GLIBC_TUNABLES` has not set the same;
//! `mallopt` while the program runs (`mallopt.rs`). From 2.44 on `/etc/tunables.conf` sets for all programs what
//! these may change, or may not where it says `nonoverridable`. [`environment`] knows how each release
//! reads them. A value that is ignored leaves the default, and is told ([`Ignored`]).

pub mod environment;
mod ignored;

use crate::bins::tcache;
use crate::release::{LargeTcache, Release};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use core::ops::RangeInclusive;
pub use ignored::{Ignored, Why};

/// One thing about malloc that can be set before a program starts. In the order malloc reads them
/// when it starts (`ptmalloc_init`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Tunable {
    /// Whether chunks are checked by slower functions.
    Check,
    /// Bytes to take from the kernel, and to keep when trimming, beyond what is needed.
    TopPad,
    /// A byte to fill memory with when it is freed, and its complement when it is allocated.
    Perturb,
    /// Requests of this size and more get a mapping of their own.
    MmapThreshold,
    /// The main arena is trimmed when its top chunk has grown to this.
    TrimThreshold,
    /// How many chunks may have a mapping of their own at one time.
    MmapMax,
    /// The most arenas.
    ArenaMax,
    /// The arenas that are made before the processors are counted to find the limit.
    ArenaTest,
    /// The greatest request that is cached.
    TcacheMax,
    /// How many chunks of a size a thread caches.
    TcacheCount,
    /// How many unsorted chunks are looked at after one has been cached; 0 for all.
    TcacheUnsortedLimit,
    /// The greatest request that is served by fastbins.
    Mxfast,
    /// Huge pages: 1 for transparent ones, 2 for those of the default size, or a size.
    Hugetlb,
}

/// What the loader takes a value for (glibc: `tunable_type_code_t`).
#[derive(Clone, Copy)]
enum Kind {
    /// `SIZE_T`: unsigned, no less than this.
    Size { least: u64 },
    /// `INT_32`: within these bounds.
    Int { least: i32, greatest: i32 },
}

/// A tunable's spellings and bounds, as in glibc's `dl-tunables.list`.
struct Row {
    tunable: Tunable,
    name: &'static str,
    alias: Option<&'static str>,
    kind: Kind,
    unit: Unit,
    meaning: &'static str,
}

/// What a tunable's value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Chunks, arenas, …; or a choice among numbers.
    Number,
}

/// The tunables that end the moving of the thresholds when they are set, to whatever value, and what malloc goes by
/// as long as they are not (glibc: `DEFAULT_TOP_PAD`, …).
pub const FIXING: [(Tunable, u64); 4] = [
    (Tunable::TopPad, DEFAULT_TOP_PAD),
    (Tunable::MmapThreshold, DEFAULT_MMAP_THRESHOLD),
    (Tunable::TrimThreshold, DEFAULT_TRIM_THRESHOLD),
    (Tunable::MmapMax, DEFAULT_MMAP_MAX),
];
pub(crate) const DEFAULT_TOP_PAD: u64 = 128 << 10;
pub(crate) const DEFAULT_MMAP_THRESHOLD: u64 = 128 << 10;
pub(crate) const DEFAULT_TRIM_THRESHOLD: u64 = 128 << 10;
pub(crate) const DEFAULT_MMAP_MAX: u64 = 65536;

const COUNT: usize = 13;
const ANY: Kind = Kind::Size { least: 0 };
const POSITIVE: Kind = Kind::Size { least: 1 };

/// Every tunable, at the place of its number.
const TABLE: [Row; COUNT] = [
    Row {
        tunable: Tunable::Check,
        name: "check",
        alias: Some("MALLOC_CHECK_"),
        kind: Kind::Int { least: 0, greatest: 3 },
        unit: Unit::Number,
        meaning: "Whether every chunk is checked by slower functions: 0 for no, 1 to 3 for yes.",
    },
    Row {
        tunable: Tunable::TopPad,
        name: "top_pad",
        alias: Some("MALLOC_TOP_PAD_"),
        kind: ANY,
        unit: Unit::Bytes,
        meaning: "Bytes to take from the kernel, and to keep when trimming, beyond what is needed.",
    },
    Row {
        tunable: Tunable::Perturb,
        name: "perturb",
        alias: Some("MALLOC_PERTURB_"),
        kind: Kind::Int { least: 0, greatest: 0xff },
        unit: Unit::Number,
        meaning: "A byte that freed memory is filled with, and allocated memory with its complement; 0 for neither.",
    },
    Row {
        tunable: Tunable::MmapThreshold,
        name: "mmap_threshold",
        alias: Some("MALLOC_MMAP_THRESHOLD_"),
        kind: ANY,
        unit: Unit::Bytes,
        meaning: "Requests of this size and more get a mapping of their own, if no bin serves them.",
    },
    Row {
        tunable: Tunable::TrimThreshold,
        name: "trim_threshold",
        alias: Some("MALLOC_TRIM_THRESHOLD_"),
        kind: ANY,
        unit: Unit::Bytes,
        meaning: "The program break is trimmed when the top chunk has grown to this; -1 is never.",
    },
    Row {
        tunable: Tunable::MmapMax,
        name: "mmap_max",
        alias: Some("MALLOC_MMAP_MAX_"),
        kind: Kind::Int { least: 0, greatest: i32::MAX },
        unit: Unit::Number,
        meaning: "How many chunks may have a mapping of their own at one time.",
    },
    Row {
        tunable: Tunable::ArenaMax,
        name: "arena_max",
        alias: Some("MALLOC_ARENA_MAX"),
        kind: POSITIVE,
        unit: Unit::Number,
        meaning: "The most arenas: heaps that threads share, each with a lock of its own.",
    },
    Row {
        tunable: Tunable::ArenaTest,
        name: "arena_test",
        alias: Some("MALLOC_ARENA_TEST"),
        kind: POSITIVE,
        unit: Unit::Number,
        meaning: "The arenas that are made before the processors are counted to find the limit on arenas.",
    },
    Row {
        tunable: Tunable::TcacheMax,
        name: "tcache_max",
        alias: None,
        kind: ANY,
        unit: Unit::Bytes,
        meaning: "The greatest request that threads cache.",
    },
    Row {
        tunable: Tunable::TcacheCount,
        name: "tcache_count",
        alias: None,
        kind: ANY,
        unit: Unit::Number,
        meaning: "How many chunks of a size a thread caches; 0 for no cache.",
    },
    Row {
        tunable: Tunable::TcacheUnsortedLimit,
        name: "tcache_unsorted_limit",
        alias: None,
        kind: ANY,
        unit: Unit::Number,
        meaning: "How many unsorted chunks are looked at after one has been cached; 0 for all.",
    },
    Row {
        tunable: Tunable::Mxfast,
        name: "mxfast",
        alias: None,
        kind: ANY,
        unit: Unit::Bytes,
        meaning: "The greatest request that is served by fastbins; 0 for no fastbins.",
    },
    Row {
        tunable: Tunable::Hugetlb,
        name: "hugetlb",
        alias: None,
        kind: ANY,
        unit: Unit::Number,
        meaning: "Huge pages: 0 for none, 1 for transparent ones, 2 for those of the default size, or a size in bytes.",
    },
];

impl Tunable {
    /// Every tunable, in the order malloc reads them.
    pub fn all() -> impl Iterator<Item = Tunable> {
        TABLE.iter().map(|row| row.tunable)
    }

    /// Its name after `glibc.malloc.`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Its environment variable, if it has one of its own.
    pub fn alias(self) -> Option<&'static str> {
        self.row().alias
    }

    /// What it does, in one sentence for whoever sets it.
    pub fn meaning(self) -> &'static str {
        self.row().meaning
    }

    /// What its value counts.
    pub fn unit(self) -> Unit {
        self.row().unit
    }

    /// The values that this release takes, in words: `0 to 160`; nothing if it does not read the tunable.
    pub fn values(self, release: &Release) -> Option<String> {
        let Why::OutOfBounds { least, greatest } = Why::out_of_bounds(self, release) else { return None };
        let words = match greatest {
            Some(greatest) => format!("{least} to {greatest}"),
            None if least == 0 => "any".to_owned(),
            None => format!("{least} or more"),
        };
        release.tunables.has(self).then_some(words)
    }

    /// The tunable of this name, with or without `glibc.malloc.` in front.
    pub fn named(name: &str) -> Option<Tunable> {
        let name = name.strip_prefix("glibc.malloc.").unwrap_or(name);
        TABLE.iter().find(|row| row.name == name).map(|row| row.tunable)
    }

    /// The tunable whose environment variable this is.
    pub fn of_variable(name: &str) -> Option<Tunable> {
        TABLE.iter().find(|row| row.alias == Some(name)).map(|row| row.tunable)
    }

    /// Whether malloc of this release goes by this value, if it is set.
    pub fn takes(self, release: &Release, value: u64) -> bool {
        Tunables::default().set(release, self, value).is_ok()
    }

    /// The value as the loader keeps it, if it is within the bounds of the loader's list (glibc:
    /// `do_tunable_update_val`). A negative number is a very large one.
    fn admitted(self, release: &Release, value: u64) -> Option<u64> {
        let Some(bounds) = self.int_bounds(release) else {
            let Kind::Size { least } = self.row().kind else { return None };
            // Until numbers are cut to their length first, one that a size_t does not hold is out of bounds.
            let is_held =
                release.environment.truncates_to_int() || value <= release.geometry().greatest_word();
            return (value >= least && is_held).then_some(value);
        };
        let mut number = value.cast_signed();
        if release.environment.truncates_to_int() {
            number = int(value).into();
        }
        (i64::from(*bounds.start()) <= number && number <= i64::from(*bounds.end()))
            .then_some(number.cast_unsigned())
    }

    fn int_bounds(self, release: &Release) -> Option<RangeInclusive<i32>> {
        match self.row().kind {
            Kind::Size { .. } => None,
            Kind::Int { greatest, .. } if self == Tunable::MmapMax && release.mmap_max_may_be_negative => {
                Some(i32::MIN..=greatest)
            }
            Kind::Int { least, greatest } => Some(least..=greatest),
        }
    }

    /// Whether malloc takes a value that the loader has admitted, or that `mallopt` was given
    /// (glibc: the bounds in the `do_set_…` functions).
    pub(crate) fn is_taken(self, release: &Release, value: u64) -> bool {
        match self {
            Tunable::MmapThreshold => value <= greatest_mmap_threshold(release),
            Tunable::TcacheMax => value <= greatest_tcache_max(release),
            Tunable::TcacheCount => value <= release.greatest_tcache_count,
            Tunable::Mxfast => !release.has_fastbins || value <= release.geometry().greatest_fast_request(),
            _ => true,
        }
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

/// The greatest request that can be cached (glibc: `MAX_TCACHE_SIZE`, `TCACHE_MAX_BINS`).
fn greatest_tcache_max(release: &Release) -> u64 {
    let geometry = release.geometry();
    let greatest = match release.tcache.large {
        LargeTcache::None => geometry.greatest_cached_small(),
        LargeTcache::NoShorter | LargeTcache::Exact => tcache::greatest(geometry),
    };
    greatest.bytes() - geometry.word
}

/// The greatest mmap threshold that is taken: `HEAP_MAX_SIZE / 2`, or any.
fn greatest_mmap_threshold(release: &Release) -> u64 {
    if release.mmap_threshold_is_limited { release.geometry().longest_segment() / 2 } else { u64::MAX }
}

/// Which tunables a release of malloc reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known(u16);

impl Known {
    /// None at all.
    pub const NONE: Known = Known(0);
    /// Those that have an environment variable of their own, as there were before all others.
    pub const VARIABLES: Known = Known(0b0_0000_1111_1111);

    /// These and one more.
    pub const fn with(self, tunable: Tunable) -> Known {
        Known(self.0 | 1 << tunable as u8)
    }

    /// These without one.
    pub const fn without(self, tunable: Tunable) -> Known {
        Known(self.0 & !(1 << tunable as u8))
    }

    /// Whether it is one of them.
    pub const fn has(self, tunable: Tunable) -> bool {
        self.0 & 1 << tunable as u8 != 0
    }
}

/// What the user set, and malloc has taken; what is not set has the release's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tunables {
    values: [Option<u64>; COUNT],
}

impl Tunables {
    /// What was set, if anything.
    pub fn get(&self, tunable: Tunable) -> Option<u64> {
        self.values[tunable as usize]
    }

    /// Sets one, as if it alone stood in `GLIBC_TUNABLES`.
    ///
    /// # Errors
    ///
    /// Why glibc of this release would go on as if nothing had been set; then nothing is.
    pub fn set(&mut self, release: &Release, tunable: Tunable, value: u64) -> Result<(), Ignored> {
        let why = match tunable.admitted(release, value) {
            _ if !release.tunables.has(tunable) => Why::NotRead,
            None => Why::out_of_bounds(tunable, release),
            Some(value) if !tunable.is_taken(release, value) => Why::out_of_bounds(tunable, release),
            Some(value) => {
                self.put(tunable, value);
                return Ok(());
            }
        };
        Err(Ignored { setting: format!("{}={}", tunable.name(), shown(value)), release: release.name, why })
    }

    /// As if one had not been set.
    pub fn forget(&mut self, tunable: Tunable) {
        self.values[tunable as usize] = None;
    }

    /// Those that were set, in the order malloc reads them.
    pub fn iter(&self) -> impl Iterator<Item = (Tunable, u64)> + '_ {
        Tunable::all().filter_map(|tunable| Some((tunable, self.get(tunable)?)))
    }

    fn put(&mut self, tunable: Tunable, value: u64) {
        self.values[tunable as usize] = Some(value);
    }
}

/// A value as one would type it: glibc's “never” is -1.
fn shown(value: u64) -> String {
    if value > i64::MAX as u64 { value.cast_signed().to_string() } else { value.to_string() }
}

/// The C's conversion of a `size_t` to an `int`.
pub(crate) fn int(value: u64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "as in the C")]
    {
        value as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::{V2_31, V2_36};

    #[test]
    fn every_tunable_is_at_its_number() {
        for (place, row) in TABLE.iter().enumerate() {
            assert_eq!(row.tunable as usize, place, "{}", row.name);
            assert_eq!(Known::VARIABLES.has(row.tunable), row.alias.is_some(), "{}", row.name);
        }
    }

    fn check(release: &Release, tunable: Tunable, taken: &[u64], refused: &[u64]) {
        for &value in taken {
            let mut tunables = Tunables::default();
            assert_eq!(tunables.set(release, tunable, value), Ok(()), "{} {value:#x}", release.name);
            assert_eq!(tunables.get(tunable), Some(value));
        }
        for &value in refused {
            let mut tunables = Tunables::default();
            assert!(tunables.set(release, tunable, value).is_err(), "{} {value:#x}", release.name);
            assert_eq!(tunables, Tunables::default());
        }
    }

    #[test]
    fn bounds_are_the_release_s() {
        const NEGATIVE: u64 = u64::MAX;
        check(&V2_36, Tunable::TopPad, &[0, 1, NEGATIVE], &[]);
        check(&V2_36, Tunable::TrimThreshold, &[0, 1, NEGATIVE], &[]);
        check(&V2_36, Tunable::Perturb, &[0, 255], &[256, NEGATIVE, 1 << 32]);
        check(&V2_31, Tunable::MmapThreshold, &[0, 32 << 20], &[(32 << 20) + 1, NEGATIVE]);
        check(&V2_36, Tunable::MmapThreshold, &[0, (32 << 20) + 1, NEGATIVE], &[]);
        let least = i64::from(i32::MIN).cast_unsigned();
        check(&V2_31, Tunable::MmapMax, &[0, 0x7fff_ffff, NEGATIVE, least], &[0x8000_0000, least - 1]);
        check(&V2_36, Tunable::MmapMax, &[0, 0x7fff_ffff], &[0x8000_0000, NEGATIVE, 1 << 32]);
        check(&V2_36, Tunable::ArenaMax, &[1, NEGATIVE], &[0]);
        check(&V2_36, Tunable::ArenaTest, &[1, NEGATIVE], &[0]);
        check(&V2_36, Tunable::TcacheMax, &[0, 1032], &[1033, NEGATIVE]);
        check(&V2_36, Tunable::TcacheCount, &[0, 65535], &[65536, NEGATIVE]);
        check(&V2_36, Tunable::TcacheUnsortedLimit, &[0, NEGATIVE], &[]);
        check(&V2_36, Tunable::Mxfast, &[0, 160], &[161, NEGATIVE]);
        check(&V2_36, Tunable::Hugetlb, &[0, 1, 2, 2 << 20], &[]);
        check(&V2_31, Tunable::Hugetlb, &[], &[0, 1]);
        check(&V2_36, Tunable::Check, &[], &[0, 3]);
    }

    #[test]
    fn later_readers_cut_an_int_to_its_length() {
        let strict = Release { environment: environment::Reader::Strict, ..V2_36 };
        let mut tunables = Tunables::default();
        assert!(tunables.set(&V2_36, Tunable::MmapMax, (1 << 32) + 5).is_err());
        assert_eq!(tunables.set(&strict, Tunable::MmapMax, (1 << 32) + 5), Ok(()));
        assert_eq!(tunables.get(Tunable::MmapMax), Some(5));
    }

    #[test]
    fn the_values_that_are_named_are_those_that_are_taken() {
        for release in Release::ALL {
            for tunable in Tunable::all() {
                let named = tunable.values(&release);
                let takes = |value| Tunables::default().set(&release, tunable, value).is_ok();
                let context = || format!("{} of {}: {named:?}", tunable.name(), release.name);
                let Some(words) = &named else {
                    assert!(!takes(1), "{}", context());
                    continue;
                };
                match words.split_once(" to ") {
                    Some((least, greatest)) => {
                        let bound = |text: &str| text.parse::<i64>().expect("a number").cast_unsigned();
                        assert!(takes(bound(least)) && takes(bound(greatest)), "{}", context());
                        let is_cut =
                            release.environment.truncates_to_int() && tunable.int_bounds(&release).is_some();
                        assert!(is_cut || !takes(bound(greatest) + 1), "{}", context());
                    }
                    None => assert!(takes(1) && takes(u64::MAX), "{}", context()),
                }
            }
        }
        assert_eq!(Tunable::Mxfast.values(&V2_36).as_deref(), Some("0 to 160"));
        assert_eq!(Tunable::ArenaMax.values(&V2_36).as_deref(), Some("1 or more"));
        assert_eq!(Tunable::Hugetlb.values(&V2_31), None);
    }

    #[test]
    fn what_is_ignored_is_told_in_a_sentence() {
        let mut tunables = Tunables::default();
        let said = |ignored: Result<(), Ignored>| ignored.expect_err("it is ignored").to_string();
        assert_eq!(
            said(tunables.set(&V2_31, Tunable::Hugetlb, 2)),
            "glibc 2.31 ignores hugetlb=2: it does not read this tunable"
        );
        assert_eq!(
            said(tunables.set(&V2_36, Tunable::Mxfast, u64::MAX)),
            "glibc 2.36 ignores mxfast=-1: the value is not within 0 to 160"
        );
    }
}
