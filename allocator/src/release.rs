//! How one glibc release behaves: a row of data for each that changed something.
//!
//! Every row is the row before plus what changed, with the glibc commit it comes from; so this file
//! reads as malloc's history. The code never asks for a release's number: it asks for a field.

/// How a release of glibc behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// What it is called.
    pub name: &'static str,
    /// The structure at the head of a secondary arena.
    pub malloc_state: MallocState,
    /// Bytes of the structure at the head of every segment: `sizeof (heap_info)`.
    pub heap_info: u64,
    /// Bytes asked for a thread's cache: `sizeof (tcache_perthread_struct)`.
    pub tcache_struct: u64,
    /// How many chunks of a size a cache holds by default: `TCACHE_FILL_COUNT`.
    pub tcache_count: u64,
    /// Whether links between cached and fast chunks are mangled (`PROTECT_PTR`).
    pub links_are_mangled: bool,
    /// Whether segments are mapped with `MAP_NORESERVE`.
    pub segments_reserve_no_swap: bool,
    /// How long a mapping in place of the program break is.
    pub break_fallback: BreakFallback,
    /// The greatest mmap threshold `mallopt` takes: `HEAP_MAX_SIZE / 2`, or any.
    pub greatest_mmap_threshold: u64,
    /// Which processors the default limit on arenas is computed from.
    pub arena_limit: ArenaLimit,
}

/// Where things are in `struct malloc_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MallocState {
    /// Its size.
    pub size: u64,
    /// From its beginning to `bins`.
    pub lists: u64,
}

/// How long a mapping in place of the program break is (`sysmalloc_mmap_fallback`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakFallback {
    /// What the first such mapping is a multiple of.
    pub rounded_to: u64,
    /// The least that is mapped.
    pub at_least: u64,
}

/// Which processors the default limit on arenas, eight for each, is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArenaLimit {
    /// Those online in the machine.
    Online,
    /// Those in the process's affinity mask.
    Allowed,
}

const PAGE: u64 = 4096;
const MEBIBYTE: u64 = 1 << 20;

/// 2.31: Debian 11, Ubuntu 20.04.
pub const V2_31: Release = Release {
    name: "2.31",
    malloc_state: MallocState { size: 0x898, lists: 0x70 },
    heap_info: 0x20,
    tcache_struct: 0x280,
    tcache_count: 7,
    links_are_mangled: false,
    segments_reserve_no_swap: true,
    break_fallback: BreakFallback { rounded_to: PAGE, at_least: MEBIBYTE },
    greatest_mmap_threshold: 32 * MEBIBYTE,
    arena_limit: ArenaLimit::Online,
};

/// 2.36: Debian 12. The same as 2.35, which is Ubuntu 22.04.
pub const V2_36: Release = Release {
    name: "2.36",
    // 2.32, a1a486d70e: safe-linking.
    links_are_mangled: true,
    // 2.35, 98d5fcb8d0: huge pages for arenas; heap_info has a page size.
    heap_info: 0x30,
    // 2.35, 0849eed45d: the arguments of the fallback's two lengths are transposed, until 2.38.
    break_fallback: BreakFallback { rounded_to: MEBIBYTE, at_least: PAGE },
    // 2.35, 0a4df6f534: M_MMAP_THRESHOLD is not limited any more.
    greatest_mmap_threshold: u64::MAX,
    // 2.35.0, 11a02b035b, used the affinity mask; 472894d2cf took that back, also on the branches
    // that distributions build.
    arena_limit: ArenaLimit::Online,
    ..V2_31
};

impl Release {
    /// Every row, oldest first.
    pub const ALL: [Release; 2] = [V2_31, V2_36];

    /// The row a glibc of this version behaves as: the row itself, or the nearest older one.
    /// `None` for what is no version, or older than the oldest row.
    pub fn of(version: &str) -> Option<Release> {
        let asked = numbers(version)?;
        Release::ALL.into_iter().rfind(|row| numbers(row.name).is_some_and(|row| row <= asked))
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
    fn a_version_behaves_as_the_nearest_older_row() {
        let name = |version| Release::of(version).map(|row| row.name);
        assert_eq!(name("2.36"), Some("2.36"));
        assert_eq!(name("2.36-9+deb12u14"), Some("2.36"));
        assert_eq!(name("2.34"), Some("2.31"));
        assert_eq!(name("2.99"), Some("2.36"));
        assert_eq!(name("2.19"), None);
        assert_eq!(name("musl"), None);
    }
}
