//! The machines a heap is replayed on: simulated, or this process with a meter on its memory.

use malloscope_allocator::address::Address;
use malloscope_allocator::layout::{Bits64, Layout};
use malloscope_allocator::memory::journal::Journal;
use malloscope_allocator::memory::process::Process;
use malloscope_allocator::memory::simulated::{Residency, Simulated};
use malloscope_allocator::memory::{Access, HugePages, Kernel, Mapping, Memory, Processors, Words};
use std::collections::BTreeMap;

/// Memory for a heap, and what is to be known about it.
pub trait Machine: Memory {
    /// Where the program break is.
    fn program_break(&self) -> Address;

    /// The kernel refuses every request for memory until told otherwise: it refused when the trace was
    /// recorded.
    fn refuse(&mut self, refuses: bool);

    /// The program writes into every page of a range.
    fn touch(&mut self, at: Address, length: u64);

    /// How much memory the heap has, and how many first touches it took.
    fn residency(&mut self) -> Residency;

    /// The same without counting pages one by one: they are guessed at, as in [`Machine::pages_now`].
    fn residency_now(&mut self) -> Residency {
        self.residency()
    }

    /// A cheap guess at the pages the heap has, exact wherever a page is faulted in by itself.
    fn pages_now(&mut self) -> u64;

    /// How many bytes of a range lie in pages that the heap has.
    fn resident_bytes(&self, at: Address, length: u64) -> u64;

    /// First touches so far, the replay's own included.
    fn faults_so_far(&self) -> u64;

    /// First touches so far that were the heap's.
    fn heap_faults(&self) -> u64;

    /// First touches since `mark` (see [`Machine::faults_so_far`]) were the replay's own doing.
    fn disown_faults_since(&mut self, mark: u64);
}

impl<L: Layout> Machine for Simulated<L> {
    fn program_break(&self) -> Address {
        Simulated::program_break(self)
    }

    fn refuse(&mut self, refuses: bool) {
        Simulated::refuse(self, refuses);
    }

    fn touch(&mut self, at: Address, length: u64) {
        Simulated::touch(self, at, length);
    }

    fn residency(&mut self) -> Residency {
        Simulated::residency(self)
    }

    fn pages_now(&mut self) -> u64 {
        Simulated::residency(self).pages
    }

    fn resident_bytes(&self, at: Address, length: u64) -> u64 {
        Simulated::resident_bytes(self, at, length)
    }

    /// Nothing but the heap lives on this machine.
    fn faults_so_far(&self) -> u64 {
        0
    }

    #[inline]
    fn heap_faults(&self) -> u64 {
        Simulated::residency(self).faults
    }

    fn disown_faults_since(&mut self, _: u64) {}
}

impl Machine for Journal {
    fn program_break(&self) -> Address {
        self.machine().program_break()
    }

    fn refuse(&mut self, refuses: bool) {
        self.machine_mut().refuse(refuses);
    }

    /// Nobody asks how much memory this one has.
    fn touch(&mut self, _: Address, _: u64) {}

    fn residency(&mut self) -> Residency {
        Residency::default()
    }

    fn pages_now(&mut self) -> u64 {
        0
    }

    fn resident_bytes(&self, _: Address, _: u64) -> u64 {
        0
    }

    fn faults_so_far(&self) -> u64 {
        0
    }

    fn heap_faults(&self) -> u64 {
        0
    }

    fn disown_faults_since(&mut self, _: u64) {}
}

/// This process's memory, with a meter: which pages the kernel has found for the heap.
///
/// Pages come with faults of the replaying thread and go when memory is given back, just before
/// which they are counted; from time to time all of the heap is counted, so that the
/// meter cannot drift.
#[derive(Debug)]
pub struct Metered {
    process: Process,
    start: Address,
    mappings: BTreeMap<u64, u64>,
    /// Faults that were not the heap's.
    own_faults: u64,
    /// Pages when all of the heap was counted last, and what has come and gone since.
    counted: u64,
    faults_then: u64,
    released_since: u64,
    zero_faults_since: u64,
    /// Whether pages may show zeros that nobody wrote.
    has_zeros: bool,
    greatest_pages: u64,
    refuses: bool,
}

impl Metered {
    /// Puts the meter on.
    pub fn new(process: Process) -> Metered {
        let start = process.program_break();
        let faults = process.thread_faults();
        Metered {
            start,
            mappings: BTreeMap::new(),
            own_faults: faults,
            counted: 0,
            faults_then: faults,
            released_since: 0,
            zero_faults_since: 0,
            has_zeros: false,
            greatest_pages: 0,
            refuses: false,
            process,
        }
    }

    /// The process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn estimate(&self) -> u64 {
        let gone = self.released_since + self.zero_faults_since;
        (self.counted + self.process.thread_faults() - self.faults_then).saturating_sub(gone)
    }

    /// Memory is about to be given back.
    fn releasing(&mut self, at: Address, length: u64) {
        self.greatest_pages = self.greatest_pages.max(self.estimate());
        self.released_since += self.resident(at, length);
    }

    /// Pages are about to be read: those of which nothing was written show zeros from now on, which
    /// takes a fault and no memory.
    fn reading(&mut self, at: Address, length: u64) {
        let page_size = self.process.page_size();
        let first = at.align_down(page_size);
        let length = (at + length).align_up(page_size) - first;
        let absent = length / page_size - self.process.pages_in_core(first, length);
        self.zero_faults_since += absent;
        self.has_zeros |= absent > 0;
    }

    /// How many pages of a range the heap has.
    fn resident(&self, at: Address, length: u64) -> u64 {
        if self.has_zeros {
            self.process.own_pages(at, length)
        } else {
            self.process.pages_in_core(at, length)
        }
    }

    /// Counts all of the heap.
    fn count(&mut self) {
        let page_size = self.process.page_size();
        let first = self.start.align_down(page_size);
        let length = self.process.program_break().align_up(page_size) - first;
        let mappings = self.mappings.iter().map(|(&at, &length)| (Address(at), length));
        let ranges = mappings.chain([(first, length)]);
        self.counted = ranges.map(|(at, length)| self.resident(at, length)).sum();
        self.faults_then = self.process.thread_faults();
        self.released_since = 0;
        self.zero_faults_since = 0;
        self.greatest_pages = self.greatest_pages.max(self.counted);
    }

    /// Forgets that a range is mapped, and what it splits stays.
    fn forget(&mut self, at: Address, length: u64) {
        let end = at.0 + length;
        let touched: Vec<(u64, u64)> = self
            .mappings
            .range(..end)
            .rev()
            .take_while(|&(&a, &l)| a + l > at.0)
            .map(|(&a, &l)| (a, l))
            .collect();
        for (start, old) in touched {
            self.mappings.remove(&start);
            if start < at.0 {
                self.mappings.insert(start, at.0 - start);
            }
            if start + old > end {
                self.mappings.insert(end, start + old - end);
            }
        }
    }
}

impl Words for Metered {
    type Layout = Bits64;

    #[inline(always)]
    fn load(&self, at: Address) -> u64 {
        self.process.load(at)
    }
    #[inline(always)]
    fn store(&mut self, at: Address, word: u64) {
        self.process.store(at, word);
    }
    #[inline]
    fn fill(&mut self, at: Address, length: u64, byte: u8) {
        self.process.fill(at, length, byte);
    }
    #[inline]
    fn copy(&mut self, from: Address, to: Address, length: u64) {
        if length >= self.process.page_size() {
            self.reading(from, length);
        }
        self.process.copy(from, to, length);
    }
}

impl Kernel for Metered {
    fn move_break(&mut self, by: i64) -> Option<Address> {
        if by < 0 {
            let page_size = self.process.page_size();
            let now = self.process.program_break();
            let first_gone = Address(now.0.saturating_add_signed(by)).align_up(page_size);
            self.releasing(first_gone, now.align_up(page_size) - first_gone);
        }
        if by > 0 && self.refuses { None } else { self.process.move_break(by) }
    }

    fn map(&mut self, mapping: Mapping) -> Option<Address> {
        if self.refuses {
            return None;
        }
        let at = self.process.map(mapping)?;
        let page_size = self.process.page_size();
        self.mappings.insert(at.0, Address(mapping.length).align_up(page_size).0);
        Some(at)
    }

    fn map_over(&mut self, at: Address, length: u64) -> bool {
        self.releasing(at, length);
        self.process.map_over(at, length)
    }

    fn unmap(&mut self, at: Address, length: u64) {
        self.releasing(at, length);
        self.forget(at, length);
        self.process.unmap(at, length);
    }

    fn remap(&mut self, at: Address, from: u64, to: u64) -> Option<Address> {
        if to < from {
            self.releasing(at + to, from - to);
        }
        if to > from && self.refuses {
            return None;
        }
        let now = self.process.remap(at, from, to)?;
        self.forget(at, from);
        self.mappings.insert(now.0, to);
        Some(now)
    }

    fn protect(&mut self, at: Address, length: u64, access: Access) -> bool {
        self.process.protect(at, length, access)
    }

    fn discard(&mut self, at: Address, length: u64) {
        self.releasing(at, length);
        self.process.discard(at, length);
    }

    #[inline]
    fn page_size(&self) -> u64 {
        self.process.page_size()
    }

    fn processors(&self) -> Processors {
        self.process.processors()
    }

    fn huge_pages(&self) -> HugePages {
        self.process.huge_pages()
    }

    fn recommend_huge(&mut self, at: Address, length: u64) {
        self.process.recommend_huge(at, length);
    }

    fn charges_for_every_page(&self) -> bool {
        self.process.charges_for_every_page()
    }

    fn statics(&self) -> Address {
        self.process.statics()
    }
}

impl Machine for Metered {
    fn program_break(&self) -> Address {
        self.process.program_break()
    }

    fn refuse(&mut self, refuses: bool) {
        self.refuses = refuses;
    }

    fn touch(&mut self, at: Address, length: u64) {
        let page_size = self.process.page_size();
        let end = at + length;
        let mut at = at;
        while at < end {
            // Not a word: where every chunk is checked, what follows the program's bytes must stay.
            self.process.fill(at, 1, 0);
            at = at.align_down(page_size) + page_size;
        }
    }

    fn residency(&mut self) -> Residency {
        self.count();
        Residency { pages: self.counted, greatest_pages: self.greatest_pages, faults: self.heap_faults() }
    }

    fn residency_now(&mut self) -> Residency {
        let pages = self.estimate();
        let greatest_pages = self.greatest_pages.max(pages);
        Residency { pages, greatest_pages, faults: self.heap_faults() }
    }

    fn pages_now(&mut self) -> u64 {
        self.estimate()
    }

    /// A range that begins or ends within a page shares it with its neighbours.
    fn resident_bytes(&self, at: Address, length: u64) -> u64 {
        let page_size = self.process.page_size();
        let end = at + length;
        let (first, last) = (at.align_down(page_size), end.align_up(page_size));
        let is_here = |page: Address| self.resident(page, page_size) > 0;
        let before = if at > first && is_here(first) { at - first } else { 0 };
        let behind = if end < last && is_here(last - page_size) { last - end } else { 0 };
        self.resident(first, last - first) * page_size - before - behind
    }

    fn faults_so_far(&self) -> u64 {
        self.process.thread_faults()
    }

    fn heap_faults(&self) -> u64 {
        self.process.thread_faults() - self.own_faults
    }

    fn disown_faults_since(&mut self, mark: u64) {
        let own = self.process.thread_faults() - mark;
        self.own_faults += own;
        self.faults_then += own;
    }
}
