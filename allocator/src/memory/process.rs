//! This process's own memory, by real `brk`, `mmap`, `munmap`, `mremap`, `mprotect`, `madvise`.
//!
//! # Why there is unsafe code here, and nowhere else in this crate
//!
//! [`Words`] promises that addresses stay within what the [`Kernel`] granted. Here a granted address
//! is a real one, so reading it is a raw load. What could go wrong: a bug in the allocator, or a
//! program that wrote over its neighbours, leads to an address that was never granted, and the
//! process is killed, as the traced program would have been. So a real replay runs in a process of
//! its own. The program break is one per process: whoever makes a [`Process`] promises that nobody
//! else in it uses the break, except through the same value.
#![expect(unsafe_code, reason = "see the module's documentation")]

use crate::address::{Address, index};
use crate::layout::Bits64;
use crate::memory::{Access, HugePages, Kernel, Mapping, Processors, Words};
use core::ptr;

/// The memory of the process we are.
#[derive(Debug)]
pub struct Process {
    statics: Address,
    page_size: u64,
    processors: Processors,
    charges_for_every_page: bool,
    huge_pages: HugePages,
    pagemap: Option<Pagemap>,
}

/// In an entry of `/proc/self/pagemap`: there is something at the page.
const PRESENT: u64 = 1 << 63;
/// And it is this process's alone.
const EXCLUSIVE: u64 = 1 << 56;

/// Room for the C library's variables: the main arena's lists and more.
const STATICS: usize = 1 << 16;

impl Process {
    /// Takes over the program break and the mappings of this process. `None` when the kernel does
    /// not even grant a few pages.
    pub fn new(processors: Processors, charges_for_every_page: bool) -> Option<Process> {
        let statics = map_raw(None, STATICS as u64, libc::PROT_READ | libc::PROT_WRITE, 0)?;
        // SAFETY: sysconf reads a constant.
        let page_size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
        let huge_pages = HugePages::default();
        Some(Process { statics, page_size, processors, charges_for_every_page, huge_pages, pagemap: None })
    }

    /// Has malloc believe that there are these huge pages.
    pub fn offer_huge_pages(&mut self, huge_pages: HugePages) {
        self.huge_pages = huge_pages;
    }

    /// From now on pages are counted by `/proc/self/pagemap`, which is kept open.
    #[must_use]
    pub fn counting_pages(self) -> Process {
        Process { pagemap: Pagemap::open(), ..self }
    }

    /// Has the kernel find the pages of a mapping now, so that no later fault is for one of them: to be written,
    /// or to be read only. Without effect before Linux 5.14, and where nothing is mapped.
    pub fn populate(&self, at: Address, length: u64, is_written: bool) {
        let advice = if is_written { libc::MADV_POPULATE_WRITE } else { libc::MADV_POPULATE_READ };
        let start = ptr::with_exposed_provenance_mut(index(at.0));
        // SAFETY: finds pages, and changes nothing that is in them.
        unsafe { libc::madvise(start, index(length), advice) };
    }

    /// Puts a wall across the break's way: a page that is taken, at or just below `limit`. Returns
    /// whether it could be put.
    pub fn limit_break(&mut self, limit: Address) -> bool {
        let at = limit.align_down(self.page_size);
        map_raw(Some(at), self.page_size, libc::PROT_NONE, libc::MAP_FIXED_NOREPLACE) == Some(at)
    }

    /// How many pages of a range hold memory of their own. The range is mapped and begins with a page.
    ///
    /// A page that was only read shows the kernel's one page of zeros, which is nobody's memory;
    /// `/proc/self/pagemap` tells such pages apart. Without [`counting_pages`](Self::counting_pages),
    /// and where there is no such file, they are counted too.
    pub fn own_pages(&self, at: Address, length: u64) -> u64 {
        self.count_own_pages(at, length).unwrap_or_else(|| self.pages_in_core(at, length))
    }

    fn count_own_pages(&self, at: Address, length: u64) -> Option<u64> {
        let pagemap = self.pagemap.as_ref()?;
        let is_own = |entry: &u64| entry & (PRESENT | EXCLUSIVE) == PRESENT | EXCLUSIVE;
        let mut entries = [0; 8 * 512];
        let mut page = at.0 / self.page_size;
        let end = (at.0 + length).div_ceil(self.page_size);
        let mut count = 0;
        while page < end {
            let bytes = entries.len().min(index(8 * (end - page)));
            pagemap.read(&mut entries[..bytes], 8 * page)?;
            let words = entries[..bytes].as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes));
            count += words.filter(is_own).count() as u64;
            page += bytes as u64 / 8;
        }
        Some(count)
    }

    /// How many pages of a range are in memory, those included that show zeros (`mincore`); that is
    /// found out sooner. The range is mapped and begins with a page.
    pub fn pages_in_core(&self, at: Address, length: u64) -> u64 {
        let mut flags = [0u8; 4096];
        let span = flags.len() as u64 * self.page_size;
        let mut resident = 0;
        let mut done = 0;
        while done < length {
            let piece = span.min(length - done);
            let pages = index(piece.div_ceil(self.page_size));
            let start = ptr::with_exposed_provenance_mut(index((at + done).0));
            // SAFETY: mincore writes one byte a page, and there are `flags.len()` pages at most.
            if unsafe { libc::mincore(start, index(piece), flags.as_mut_ptr()) } == 0 {
                resident += flags[..pages].iter().map(|flag| u64::from(flag & 1)).sum::<u64>();
            }
            done += piece;
        }
        resident
    }

    /// The minor faults of the calling thread so far (`getrusage(RUSAGE_THREAD)`).
    pub fn thread_faults(&self) -> u64 {
        let mut usage = core::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: getrusage writes the whole structure, or fails and leaves it zeroed.
        unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
        // SAFETY: all zeros is a valid rusage.
        let usage = unsafe { usage.assume_init() };
        u64::try_from(usage.ru_minflt).unwrap_or(0)
    }

    /// The program break now.
    pub fn program_break(&self) -> Address {
        // SAFETY: an increment of 0 changes nothing.
        Address(unsafe { libc::sbrk(0) } as u64)
    }
}

/// `/proc/self/pagemap`, open.
#[derive(Debug)]
struct Pagemap(libc::c_int);

impl Pagemap {
    fn open() -> Option<Pagemap> {
        let path = c"/proc/self/pagemap";
        // SAFETY: the path is a C string.
        let descriptor = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        (descriptor >= 0).then_some(Pagemap(descriptor))
    }

    /// Fills `bytes` from a place of the file on; `None` if there are not so many.
    fn read(&self, bytes: &mut [u8], at: u64) -> Option<()> {
        let to = bytes.as_mut_ptr().cast();
        // SAFETY: pread writes at most so many bytes.
        let read = unsafe { libc::pread(self.0, to, bytes.len(), i64::try_from(at).ok()?) };
        (usize::try_from(read).ok()? == bytes.len()).then_some(())
    }
}

impl Drop for Pagemap {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours, and nobody uses it any more.
        unsafe { libc::close(self.0) };
    }
}

impl Words for Process {
    type Layout = Bits64;

    #[inline(always)]
    fn load(&self, at: Address) -> u64 {
        // SAFETY: `at` is a multiple of 8 inside memory the kernel granted, by the contract of Words.
        unsafe { ptr::with_exposed_provenance::<u64>(index(at.0)).read() }
    }

    #[inline(always)]
    fn store(&mut self, at: Address, word: u64) {
        // SAFETY: as for `load`, and the memory was granted for writing.
        unsafe { ptr::with_exposed_provenance_mut::<u64>(index(at.0)).write(word) }
    }

    #[inline]
    fn fill(&mut self, at: Address, length: u64, byte: u8) {
        // SAFETY: the range is inside memory granted for writing, by the contract of Words.
        unsafe { ptr::with_exposed_provenance_mut::<u8>(index(at.0)).write_bytes(byte, index(length)) }
    }

    #[inline]
    fn copy(&mut self, from: Address, to: Address, length: u64) {
        let from = ptr::with_exposed_provenance::<u8>(index(from.0));
        let to = ptr::with_exposed_provenance_mut::<u8>(index(to.0));
        // SAFETY: both ranges are inside granted memory and do not overlap, by the contract of Words.
        unsafe { ptr::copy_nonoverlapping(from, to, index(length)) }
    }
}

impl Kernel for Process {
    fn move_break(&mut self, by: i64) -> Option<Address> {
        // SAFETY: nobody else uses the break, by the contract of Process::new; what lies above the
        // new one is the allocator's own and no longer used by it.
        let from = unsafe { libc::sbrk(isize::try_from(by).ok()?) } as u64;
        (from != u64::MAX).then_some(Address(from))
    }

    fn map(&mut self, mapping: Mapping) -> Option<Address> {
        let mut flags = if mapping.no_reserve { libc::MAP_NORESERVE } else { 0 };
        if mapping.huge_page != 0 {
            flags |=
                libc::MAP_HUGETLB | mapping.huge_page.trailing_zeros().cast_signed() << libc::MAP_HUGE_SHIFT;
        }
        map_raw(mapping.hint, mapping.length, protection(mapping.access), flags)
    }

    fn map_over(&mut self, at: Address, length: u64) -> bool {
        map_raw(Some(at), length, libc::PROT_NONE, libc::MAP_FIXED).is_some()
    }

    fn unmap(&mut self, at: Address, length: u64) {
        // SAFETY: the range was granted by `map` and is no longer used. That it may fail and leave
        // the range mapped is of no consequence to anybody, as in glibc.
        unsafe { libc::munmap(ptr::with_exposed_provenance_mut(index(at.0)), index(length)) };
    }

    fn remap(&mut self, at: Address, from: u64, to: u64) -> Option<Address> {
        let old = ptr::with_exposed_provenance_mut(index(at.0));
        // SAFETY: the range was granted by `map`; the caller uses only the result from now on.
        let new = unsafe { libc::mremap(old, index(from), index(to), libc::MREMAP_MAYMOVE) };
        granted(new)
    }

    fn protect(&mut self, at: Address, length: u64, access: Access) -> bool {
        let start = ptr::with_exposed_provenance_mut(index(at.0));
        // SAFETY: the range was granted by `map`, and the caller keeps to the new access.
        unsafe { libc::mprotect(start, index(length), protection(access)) == 0 }
    }

    fn discard(&mut self, at: Address, length: u64) {
        let start = ptr::with_exposed_provenance_mut(index(at.0));
        // SAFETY: the range was granted by `map`, and the caller no longer needs what is in it.
        unsafe { libc::madvise(start, index(length), libc::MADV_DONTNEED) };
    }

    #[inline]
    fn page_size(&self) -> u64 {
        self.page_size
    }

    fn processors(&self) -> Processors {
        self.processors
    }

    fn huge_pages(&self) -> HugePages {
        self.huge_pages
    }

    fn recommend_huge(&mut self, at: Address, length: u64) {
        let start = ptr::with_exposed_provenance_mut(index(at.0));
        // SAFETY: the range was granted by `map` or `move_break`; what is in it stays.
        unsafe { libc::madvise(start, index(length), libc::MADV_HUGEPAGE) };
    }

    fn charges_for_every_page(&self) -> bool {
        self.charges_for_every_page
    }

    fn statics(&self) -> Address {
        self.statics
    }
}

fn protection(access: Access) -> libc::c_int {
    match access {
        Access::None => libc::PROT_NONE,
        Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
    }
}

/// Maps fresh private memory.
fn map_raw(
    hint: Option<Address>,
    length: u64,
    protection: libc::c_int,
    flags: libc::c_int,
) -> Option<Address> {
    let hint = ptr::with_exposed_provenance_mut(index(hint.unwrap_or_default().0));
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
    // SAFETY: without MAP_FIXED the kernel takes addresses that nobody uses; with it the caller
    // names a range that is its own.
    granted(unsafe { libc::mmap(hint, index(length), protection, flags, -1, 0) })
}

/// The address the kernel answered, its provenance exposed for the loads to come.
fn granted(answer: *mut libc::c_void) -> Option<Address> {
    (answer != libc::MAP_FAILED).then(|| Address(answer.expose_provenance() as u64))
}
