//! All the allocator needs of a machine: words to read and write, and a kernel to ask for more.
//!
//! The two traits are small so that a wrapper is easy to write: one that says no after a while
//! ([`failing`]), a simulated machine ([`simulated`]), the process we are ([`process`]).

pub mod failing;
pub mod journal;
pub mod packed;
pub mod process;
pub mod simulated;

use crate::address::Address;
use crate::layout::Layout;

/// Memory that can be read and written.
///
/// Addresses come from a [`Kernel`] and stay within what it granted, unless the heap has been
/// corrupted.
pub trait Words {
    /// How wide a word is.
    type Layout: Layout;

    /// The word at `at`, a multiple of a word's bytes.
    fn load(&self, at: Address) -> u64;

    /// Writes the word at `at`, a multiple of a word's bytes: as much of it as a word holds.
    fn store(&mut self, at: Address, word: u64);

    /// The word of this number from `at` on.
    #[inline(always)]
    fn load_nth(&self, at: Address, number: u64) -> u64 {
        self.load(at + number * Self::Layout::WORD)
    }

    /// Writes the word of this number from `at` on.
    #[inline(always)]
    fn store_nth(&mut self, at: Address, number: u64, word: u64) {
        self.store(at + number * Self::Layout::WORD, word);
    }

    /// Sets `length` bytes from `at` on to `byte` (C: `memset`).
    fn fill(&mut self, at: Address, length: u64, byte: u8);

    /// Copies `length` bytes between two ranges that do not overlap (C: `memcpy`).
    fn copy(&mut self, from: Address, to: Address, length: u64);
}

/// What a mapping is wanted for, as `mmap(2)` is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Bytes.
    pub length: u64,
    /// Whether it may be read and written at once, or only after [`Kernel::protect`].
    pub access: Access,
    /// Where it would be welcome; the kernel may choose otherwise.
    pub hint: Option<Address>,
    /// Whether no swap space need be reserved (`MAP_NORESERVE`).
    pub no_reserve: bool,
    /// Bytes of the pages of the kernel's pool that it is wanted in (`MAP_HUGETLB`); 0 for ordinary
    /// ones.
    pub huge_page: u64,
}

/// What may be done with a mapping's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: it holds its addresses and costs nothing (`PROT_NONE`).
    None,
    /// Everything (`PROT_READ | PROT_WRITE`).
    ReadWrite,
}

/// The calls glibc's malloc makes to Linux, and the facts it reads about the machine.
pub trait Kernel {
    /// Moves the program break by `by` bytes and returns where it was, as `sbrk(2)` does; asks
    /// nobody when `by` is 0. `None` when the kernel refuses.
    fn move_break(&mut self, by: i64) -> Option<Address>;

    /// Maps fresh zeroed private memory.
    fn map(&mut self, mapping: Mapping) -> Option<Address>;

    /// Maps fresh memory without access over what is mapped at `at` (`MAP_FIXED`).
    fn map_over(&mut self, at: Address, length: u64) -> bool;

    /// Gives a range of addresses back, whatever is mapped there.
    fn unmap(&mut self, at: Address, length: u64);

    /// Changes a mapping's length; it may move (`MREMAP_MAYMOVE`).
    fn remap(&mut self, at: Address, from: u64, to: u64) -> Option<Address>;

    /// Changes what may be done with a range.
    fn protect(&mut self, at: Address, length: u64, access: Access) -> bool;

    /// Gives the memory of a range back and keeps its addresses: it reads as zero from now on
    /// (`MADV_DONTNEED`).
    fn discard(&mut self, at: Address, length: u64);

    /// Bytes in a page.
    fn page_size(&self) -> u64;

    /// The processors that bound the number of arenas.
    fn processors(&self) -> Processors;

    /// The huge pages there are.
    fn huge_pages(&self) -> HugePages;

    /// Recommends a range for transparent huge pages (`MADV_HUGEPAGE`).
    fn recommend_huge(&mut self, at: Address, length: u64);

    /// Whether every page handed out is charged for (`vm.overcommit_memory` is 2): arenas are then
    /// shrunk by mapping over them, not by discarding.
    fn charges_for_every_page(&self) -> bool;

    /// Memory for the C library's own variables, zeroed: the main arena's lists lie there, as they
    /// do in libc's data segment. Always the same place.
    fn statics(&self) -> Address;
}

/// How many processors there are to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processors {
    /// Online in the machine.
    pub online: u32,
    /// In the process's affinity mask.
    pub allowed: u32,
}

/// The huge pages of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HugePages {
    /// When transparent ones are used.
    pub mode: Transparent,
    /// Bytes of a transparent one (`hpage_pmd_size`).
    pub transparent: u64,
    /// Bytes of the pool's default ones (`Hugepagesize` in `/proc/meminfo`); 0 where there is no pool.
    pub default: u64,
    /// Bytes of the greatest ones there can be a pool of.
    pub greatest: u64,
    /// Pages of the default size that are free in the pool.
    pub free: u64,
}

/// When the kernel uses transparent huge pages (`/sys/kernel/mm/transparent_hugepage/enabled`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transparent {
    /// Wherever it can.
    Always,
    /// Where they are recommended.
    Madvise,
    /// Never, or there are none.
    Never,
}

impl HugePages {
    /// Whether there can be a pool of pages of this size.
    pub fn has(&self, size: u64) -> bool {
        size != 0 && (size == self.default || size == self.greatest)
    }
}

impl Default for HugePages {
    /// An `x86_64` machine as distributions set it up: transparent ones on recommendation, and a pool
    /// of two sizes with nothing in it.
    fn default() -> HugePages {
        HugePages {
            mode: Transparent::Madvise,
            transparent: 2 << 20,
            default: 2 << 20,
            greatest: 1 << 30,
            free: 0,
        }
    }
}

/// A whole machine.
pub trait Memory: Words + Kernel {}
impl<M: Words + Kernel> Memory for M {}
