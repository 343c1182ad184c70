//! What the user set, and the limits that are in force because of it.
//!
//! [`Tunables`] are what was asked for, in any of glibc's spellings: `GLIBC_TUNABLES`, the `MALLOC_…`
//! aliases. [`Parameters`] are what malloc goes by: they begin as the tunables say, and change as the
//! program frees mapped chunks and calls `mallopt`. glibc: `malloc_par`, `mp_`.

use crate::address::{ALIGNMENT, Address, ChunkSize, Request};
use crate::bins::tcache;
use crate::release::{LargeTcache, Release, TcacheMade, TcacheRules};

/// The threshold does not move above this: glibc's `DEFAULT_MMAP_THRESHOLD_MAX`.
pub(crate) const GREATEST_DYNAMIC_THRESHOLD: u64 = 32 << 20;
/// The greatest fast request: glibc's `MAX_FAST_SIZE`.
const GREATEST_FAST_REQUEST: u64 = 160;
/// The greatest request that can be cached: glibc's `MAX_TCACHE_SIZE`.
const GREATEST_CACHED_REQUEST: u64 = 1032;
/// The most chunks a stack of the tcache can hold: glibc's `MAX_TCACHE_COUNT`.
const GREATEST_TCACHE_COUNT: u64 = u16::MAX as u64;
/// Arenas for each processor: glibc's `NARENAS_FROM_NCORES`.
pub(crate) const ARENAS_PER_PROCESSOR: u64 = 8;

/// One thing about malloc that can be set before a program starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tunable {
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
}

/// A tunable's spellings and bounds, as in glibc's `dl-tunables.list`.
struct Row {
    tunable: Tunable,
    name: &'static str,
    alias: Option<&'static str>,
    least: u64,
    greatest: u64,
}

/// In the order malloc reads them when it starts (`ptmalloc_init`).
const TABLE: [Row; 11] = [
    row(Tunable::TopPad, "top_pad", Some("MALLOC_TOP_PAD_"), 0, u64::MAX),
    row(Tunable::Perturb, "perturb", Some("MALLOC_PERTURB_"), 0, 0xff),
    row(Tunable::MmapThreshold, "mmap_threshold", Some("MALLOC_MMAP_THRESHOLD_"), 0, u64::MAX),
    row(Tunable::TrimThreshold, "trim_threshold", Some("MALLOC_TRIM_THRESHOLD_"), 0, u64::MAX),
    row(Tunable::MmapMax, "mmap_max", Some("MALLOC_MMAP_MAX_"), 0, i32::MAX as u64),
    row(Tunable::ArenaMax, "arena_max", Some("MALLOC_ARENA_MAX"), 1, u64::MAX),
    row(Tunable::ArenaTest, "arena_test", Some("MALLOC_ARENA_TEST"), 1, u64::MAX),
    row(Tunable::TcacheMax, "tcache_max", None, 0, u64::MAX),
    row(Tunable::TcacheCount, "tcache_count", None, 0, u64::MAX),
    row(Tunable::TcacheUnsortedLimit, "tcache_unsorted_limit", None, 0, u64::MAX),
    row(Tunable::Mxfast, "mxfast", None, 0, u64::MAX),
];

const fn row(
    tunable: Tunable,
    name: &'static str,
    alias: Option<&'static str>,
    least: u64,
    greatest: u64,
) -> Row {
    Row { tunable, name, alias, least, greatest }
}

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

    /// The tunable of this name, with or without `glibc.malloc.` in front.
    pub fn named(name: &str) -> Option<Tunable> {
        let name = name.strip_prefix("glibc.malloc.").unwrap_or(name);
        TABLE.iter().find(|row| row.name == name).map(|row| row.tunable)
    }

    fn row(self) -> &'static Row {
        &TABLE[TABLE.iter().position(|row| row.tunable == self).unwrap_or(0)]
    }

    fn position(self) -> usize {
        TABLE.iter().position(|row| row.tunable == self).unwrap_or(0)
    }
}

/// Why a setting was not taken: what glibc would have ignored without a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// There is no tunable of malloc's of this name.
    UnknownName(String),
    /// The value is not within the tunable's bounds.
    OutOfBounds(Tunable, u64),
}

/// What the user set; what is not set has the release's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tunables {
    values: [Option<u64>; TABLE.len()],
}

impl Tunables {
    /// What was set, if anything.
    pub fn get(&self, tunable: Tunable) -> Option<u64> {
        self.values[tunable.position()]
    }

    /// Sets one; a value outside its bounds is ignored, as glibc does.
    pub fn set(&mut self, tunable: Tunable, value: u64) -> Result<(), Ignored> {
        let row = tunable.row();
        if value < row.least || value > row.greatest {
            return Err(Ignored::OutOfBounds(tunable, value));
        }
        self.values[tunable.position()] = Some(value);
        Ok(())
    }

    /// Those that were set, in the order malloc reads them.
    pub fn iter(&self) -> impl Iterator<Item = (Tunable, u64)> + '_ {
        Tunable::all().filter_map(|tunable| Some((tunable, self.get(tunable)?)))
    }

    /// Reads the environment as the dynamic loader does (glibc: `__tunables_init`): variables in
    /// their order; `GLIBC_TUNABLES` always counts, an alias only if nothing was set before it.
    pub fn from_environment<'a>(
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> (Tunables, Vec<Ignored>) {
        let mut tunables = Tunables::default();
        let mut ignored = Vec::new();
        for (name, value) in variables {
            if name == "GLIBC_TUNABLES" {
                ignored.extend(tunables.read_string(value));
            } else if let Some(row) = TABLE.iter().find(|row| row.alias == Some(name))
                && tunables.get(row.tunable).is_none()
            {
                ignored.extend(tunables.set(row.tunable, number(value)).err());
            }
        }
        (tunables, ignored)
    }

    /// Reads `name=value:name=value`, the contents of `GLIBC_TUNABLES` (glibc: `parse_tunables`).
    pub fn read_string(&mut self, text: &str) -> Vec<Ignored> {
        let mut ignored = Vec::new();
        for setting in text.split(':') {
            let Some((name, value)) = setting.split_once('=') else { continue };
            let Some(short) = name.strip_prefix("glibc.malloc.") else { continue };
            match Tunable::named(short) {
                Some(tunable) => ignored.extend(self.set(tunable, number(value)).err()),
                None => ignored.push(Ignored::UnknownName(name.to_owned())),
            }
        }
        ignored
    }
}

/// The number at the beginning of a text (glibc: `_dl_strtoul`): decimal, `0x` or `0`; a sign; what
/// follows is not looked at; too large is the largest.
fn number(text: &str) -> u64 {
    let text = text.trim_start_matches([' ', '\t']);
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(rest) => (16, rest),
        None if text.starts_with('0') => (8, text),
        None => (10, text),
    };
    let mut value: u64 = 0;
    for digit in digits.chars().map_while(|c| c.to_digit(radix)) {
        let Some(next) = value.checked_mul(u64::from(radix)).and_then(|v| v.checked_add(u64::from(digit)))
        else {
            return u64::MAX;
        };
        value = next;
    }
    if negative { value.wrapping_neg() } else { value }
}

/// The limits in force. glibc: `struct malloc_par`, `global_max_fast`, `perturb_byte`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
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
    /// Chunks that have a mapping of their own now.
    pub mapped_chunks: i32,
    /// The most there ever were.
    pub greatest_mapped_chunks: i32,
    /// The bytes of those mappings.
    pub mapped_bytes: u64,
    /// The most there ever were.
    pub greatest_mapped_bytes: u64,
    /// Where the main arena's memory begins, once there is any. glibc: `sbrk_base`.
    pub heap_start: Option<Address>,
}

impl Parameters {
    /// What a release goes by when it starts with these tunables.
    pub fn new(release: &Release, tunables: &Tunables) -> Parameters {
        let mut parameters = Parameters {
            trim_threshold: 128 << 10,
            top_pad: 128 << 10,
            mmap_threshold: 128 << 10,
            mmap_max: 65536,
            thresholds_are_dynamic: true,
            arena_test: ARENAS_PER_PROCESSOR,
            arena_max: 0,
            tcache_stacks: if release.tcache.made == TcacheMade::Never { 0 } else { tcache::SMALL_STACKS },
            greatest_cached: release.tcache.greatest,
            tcache_count: release.tcache.count,
            tcache_unsorted_limit: 0,
            greatest_fast: if release.has_fastbins { greatest_fast(128) } else { 0 },
            perturb: 0,
            mapped_chunks: 0,
            greatest_mapped_chunks: 0,
            mapped_bytes: 0,
            greatest_mapped_bytes: 0,
            heap_start: None,
        };
        for (tunable, value) in tunables.iter() {
            parameters.set(release, tunable, value);
        }
        parameters
    }

    /// Sets one (glibc: the `do_set_…` functions). Returns whether the value was taken.
    pub fn set(&mut self, release: &Release, tunable: Tunable, value: u64) -> bool {
        match tunable {
            Tunable::TopPad => self.fix_thresholds().top_pad = value,
            Tunable::TrimThreshold => self.fix_thresholds().trim_threshold = value,
            Tunable::MmapThreshold if value <= release.greatest_mmap_threshold => {
                self.fix_thresholds().mmap_threshold = value;
            }
            Tunable::MmapMax => self.fix_thresholds().mmap_max = int(value),
            Tunable::Perturb => self.perturb = int(value),
            Tunable::ArenaMax => self.arena_max = value,
            Tunable::ArenaTest => self.arena_test = value,
            Tunable::TcacheMax => return self.set_tcache_max(&release.tcache, value),
            Tunable::TcacheCount if value <= GREATEST_TCACHE_COUNT => self.tcache_count = value,
            Tunable::TcacheUnsortedLimit => self.tcache_unsorted_limit = value,
            Tunable::Mxfast if release.has_fastbins && value <= GREATEST_FAST_REQUEST => {
                self.greatest_fast = greatest_fast(value)
            }
            Tunable::MmapThreshold | Tunable::TcacheCount | Tunable::Mxfast => {
                return false;
            }
        }
        true
    }

    /// Sets the greatest request that is cached (glibc: `do_set_tcache_max`).
    fn set_tcache_max(&mut self, rules: &TcacheRules, value: u64) -> bool {
        let Some(size) = ChunkSize::serving(Request(value)) else { return false };
        let is_too_large = match rules.large {
            LargeTcache::None => value > GREATEST_CACHED_REQUEST,
            LargeTcache::NoShorter | LargeTcache::Exact => size > tcache::GREATEST,
        };
        if rules.made == TcacheMade::Never || is_too_large {
            return false;
        }
        let number = tcache::number(size);
        let greatest_small =
            if rules.excludes_greatest { GREATEST_CACHED_REQUEST } else { tcache::GREATEST_SMALL.bytes() };
        if rules.large == LargeTcache::None || size.bytes() <= greatest_small {
            self.tcache_stacks = number + 1;
        }
        self.greatest_cached = if rules.excludes_greatest { size - ChunkSize(ALIGNMENT) } else { size };
        true
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

/// The C's conversion of a `size_t` to an `int`.
pub(crate) fn int(value: u64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "as in the C")]
    {
        value as i32
    }
}

/// The greatest fast chunk for a greatest fast request (glibc: `set_max_fast`); 16, less than any
/// chunk, for a request of almost nothing.
fn greatest_fast(request: u64) -> u64 {
    if request <= 7 { 16 } else { (request + 8) & !15 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::V2_36;

    #[test]
    fn the_string_counts_before_an_alias() {
        let (tunables, ignored) = Tunables::from_environment([
            ("GLIBC_TUNABLES", "glibc.malloc.top_pad=0x1000:glibc.cpu.x=1:glibc.malloc.tcache_count=0"),
            ("MALLOC_TOP_PAD_", "77"),
            ("MALLOC_ARENA_MAX", "2 and more"),
            ("MALLOC_PERTURB_", "256"),
        ]);
        assert_eq!(tunables.get(Tunable::TopPad), Some(4096));
        assert_eq!(tunables.get(Tunable::TcacheCount), Some(0));
        assert_eq!(tunables.get(Tunable::ArenaMax), Some(2));
        assert_eq!(ignored, [Ignored::OutOfBounds(Tunable::Perturb, 256)]);
    }

    #[test]
    fn numbers_are_read_as_the_loader_reads_them() {
        for (text, value) in [
            ("10", 10),
            (" 0x10k", 16),
            ("010", 8),
            ("-1", u64::MAX),
            ("", 0),
            ("99999999999999999999", u64::MAX),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
    }

    #[test]
    fn setting_a_threshold_by_hand_fixes_them_all() {
        let mut tunables = Tunables::default();
        tunables.set(Tunable::TopPad, 128 << 10).expect("within bounds");
        let set = Parameters::new(&V2_36, &tunables);
        let unset = Parameters::new(&V2_36, &Tunables::default());
        assert_eq!(set, Parameters { thresholds_are_dynamic: false, ..unset });
    }

    #[test]
    fn a_fast_limit_is_rounded_and_may_be_nothing() {
        let mut parameters = Parameters::new(&V2_36, &Tunables::default());
        assert_eq!(parameters.greatest_fast, 128);
        assert!(parameters.set(&V2_36, Tunable::Mxfast, 0));
        assert_eq!(parameters.greatest_fast, 16);
        assert!(parameters.set(&V2_36, Tunable::Mxfast, 160));
        assert_eq!(parameters.greatest_fast, 160);
        assert!(!parameters.set(&V2_36, Tunable::Mxfast, 161));
    }
}
