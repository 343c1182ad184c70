//! A machine in a table: a page table of arrays, and Linux's rules for where mappings go.
//!
//! Safe, the same every time, and it counts what a real kernel would: which pages hold memory, and
//! how often one had to be found for the first touch of an address (a minor fault). A page that was
//! touched but holds no word anybody reads again takes one bit.
//!
//! ```text
//!   0x5555…  program break ─►                    ◄─ mappings, the highest gap first  0x7fff…
//! ```
//!
//! Its words have 64 bits, or 32 like those of a 32-bit process on a 64-bit kernel.

use crate::address::{Address, align_down, align_up, index};
use crate::layout::{Bits64, Layout};
use crate::memory::packed::Packed;
use crate::memory::{Access, HugePages, Kernel, Mapping, Processors, Words};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::take;

/// Bytes in a page.
pub const PAGE: u64 = 4096;
/// Words of 64 bits in a page, in which it is kept.
const WORDS: usize = 512;
/// Pages in a table.
const TABLE: usize = 512;
/// Bytes a table of 512 pages covers.
const SPAN: u64 = 512 * PAGE;
/// Where the program break begins unless something else is asked for, where words have 64 bits.
pub const DEFAULT_BREAK: Address = AddressSpace::OF_64_BITS.default_break;

/// Where a machine has what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressSpace {
    /// Where the program break begins unless something else is asked for.
    pub default_break: Address,
    /// The program break stays below, mappings stay above: 0 where both share what room there is.
    border: u64,
    /// Mappings lie at or above this address.
    mappings_start: u64,
    /// Mappings lie below this address; not a multiple of a segment's length, as on a real machine.
    mappings_end: u64,
    /// Where the program lies: between here and the program break nothing is mapped.
    program: u64,
    /// The C library's variables lie here, above all mappings.
    statics: Address,
}

impl AddressSpace {
    /// Of a process on `x86_64`.
    pub const OF_64_BITS: AddressSpace = AddressSpace {
        default_break: Address(0x5555_5556_0000),
        border: 0x7000_0000_0000,
        mappings_start: 0x7000_0000_0000,
        mappings_end: 0x7fff_f7c0_0000,
        program: 0x5555_5555_5000,
        statics: Address(0x7fff_f7c0_0000),
    };

    /// Of an i386 process on an `x86_64` kernel, which leaves it nearly all of its 4 GiB. The break and
    /// the mappings grow towards each other, and what room there is below the program is used last.
    pub const OF_32_BITS: AddressSpace = AddressSpace {
        default_break: Address(0x5656_0000),
        border: 0,
        mappings_start: 0x1_0000,
        mappings_end: 0xf7bf_d000,
        program: 0x5655_5000,
        statics: Address(0xf7c0_0000),
    };

    /// What mappings lie in: from the lowest address to the end.
    pub fn mappings(&self) -> core::ops::Range<u64> {
        self.mappings_start..self.mappings_end
    }

    /// The end of all memory.
    const fn ceiling(&self) -> u64 {
        self.statics.0 + SPAN
    }

    const fn is_shared(&self) -> bool {
        self.border == 0
    }

    /// What is not mapped when a process begins with its break here.
    fn gaps(&self, break_start: Address) -> BTreeMap<u64, u64> {
        if self.is_shared() {
            let above = break_start.align_up(PAGE).0;
            BTreeMap::from([(self.mappings_start, self.program), (above, self.mappings_end)])
        } else {
            BTreeMap::from([(self.mappings_start, self.mappings_end)])
        }
    }
}

/// What a page's words are kept in.
type Words512 = Box<[u64; WORDS]>;

/// The words of those of 512 neighbouring pages that have any of their own.
type Pages = Box<[Option<Words512>; 512]>;

/// Half of the address space: tables of 512 pages each, and beside them what those pages hold. Most that is asked
/// of a machine is a word, and the way to that should be short.
#[derive(Clone, Default)]
struct Half {
    tables: Vec<Option<Box<Table>>>,
    pages: Vec<Option<Pages>>,
}

impl Half {
    /// The words of a page of the table of this number, if it has any of its own.
    #[inline(always)]
    fn words(&self, table: usize, page: usize) -> Option<&[u64; WORDS]> {
        self.pages.get(table)?.as_ref()?[page].as_deref()
    }

    /// The same, to be written.
    #[inline(always)]
    fn words_mut(&mut self, table: usize, page: usize) -> Option<&mut [u64; WORDS]> {
        self.pages.get_mut(table)?.as_mut()?[page].as_deref_mut()
    }

    /// The words of all pages of a table.
    fn all_words(&mut self, table: usize) -> &mut [Option<Words512>; 512] {
        if table >= self.pages.len() {
            self.pages.resize_with(table + 1, || None);
        }
        self.pages[table].get_or_insert_with(|| Box::new([const { None }; 512]))
    }

    /// Takes the words of a page away.
    fn take_words(&mut self, table: usize, page: usize) -> Option<Words512> {
        self.pages.get_mut(table)?.as_mut()?[page].take()
    }
}

/// All words of a machine, apart from it.
pub struct MachineWords {
    low: Vec<Option<Pages>>,
    high: Vec<Option<Pages>>,
}

impl MachineWords {
    /// The same in little room.
    pub fn pack(&self) -> PackedWords {
        let pack = |tables: &[Option<Pages>]| {
            let mut packed = Packed::default();
            let mut behind = 0;
            for (table, pages) in tables.iter().enumerate() {
                for (page, words) in pages.iter().flat_map(|pages| pages.iter().enumerate()) {
                    if let Some(words) = words {
                        let next = table * TABLE + page + 1;
                        packed.put((next - behind) as u64);
                        behind = next;
                        words.iter().for_each(|word| packed.put(*word));
                    }
                }
            }
            packed.finish();
            packed
        };
        PackedWords { low: pack(&self.low), high: pack(&self.high) }
    }
}

impl core::fmt::Debug for MachineWords {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.debug_struct("MachineWords").finish_non_exhaustive()
    }
}

/// All words of a machine in little room: of each page how far it is behind the one before, and what it holds.
#[derive(Clone, Debug)]
pub struct PackedWords {
    low: Packed,
    high: Packed,
}

impl PackedWords {
    /// The words as a machine has them.
    pub fn unpack(&self) -> MachineWords {
        let unpack = |packed: &Packed| {
            let (mut half, mut words, mut behind) = (Half::default(), packed.words(), 0);
            loop {
                let after = index(words.take());
                if after == 0 {
                    return half.pages;
                }
                behind += after;
                let page = Box::new(core::array::from_fn(|_| words.take()));
                half.all_words((behind - 1) / TABLE)[(behind - 1) % TABLE] = Some(page);
            }
        };
        MachineWords { low: unpack(&self.low), high: unpack(&self.high) }
    }

    /// How many bytes it takes.
    pub fn bytes(&self) -> u64 {
        self.low.bytes() + self.high.bytes()
    }
}

/// What is known of 512 neighbouring pages besides their words.
#[derive(Clone, Default)]
struct Table {
    /// Pages that hold memory.
    resident: [u64; 8],
    /// Pages that were only read: they show the kernel's one page of zeros.
    zero: [u64; 8],
    /// The byte that those are full of which have no words; zero, if nobody ever filled one with something else.
    filling: Option<Box<[u8; 512]>>,
}

impl Table {
    fn is_resident(&self, page: usize) -> bool {
        self.resident[page / 64] & (1 << (page % 64)) != 0
    }

    /// How many bytes of a range within this table lie in pages that hold memory.
    fn resident_bytes(&self, at: Address, length: u64) -> u64 {
        let last = Address(at.0 + length - 1);
        let (first_page, last_page) = (page_in_table(at), page_in_table(last));
        let pages: u64 = (first_page / 64..=last_page / 64)
            .map(|number| {
                let from = if number == first_page / 64 { u64::MAX << (first_page % 64) } else { u64::MAX };
                let to = if number == last_page / 64 { u64::MAX >> (63 - last_page % 64) } else { u64::MAX };
                u64::from((self.resident[number] & from & to).count_ones())
            })
            .sum();
        let before = if self.is_resident(first_page) { at.0 % PAGE } else { 0 };
        let behind = if self.is_resident(last_page) { PAGE - 1 - last.0 % PAGE } else { 0 };
        pages * PAGE - before - behind
    }

    /// A page leaves, with what was in it; its words are given.
    fn take(&mut self, page: usize, words: Option<Words512>) -> Leaving {
        let bit = 1 << (page % 64);
        let leaving = Leaving {
            resident: self.resident[page / 64] & bit != 0,
            zero: self.zero[page / 64] & bit != 0,
            words,
            filling: self.filling(page),
        };
        self.fill_page(page, 0);
        self.resident[page / 64] &= !bit;
        self.zero[page / 64] &= !bit;
        leaving
    }

    /// A page arrives; its words are left to whoever keeps those.
    fn put(&mut self, page: usize, arriving: &Leaving) {
        let bit = 1 << (page % 64);
        if arriving.resident {
            self.resident[page / 64] |= bit;
        }
        if arriving.zero {
            self.zero[page / 64] |= bit;
        }
        self.fill_page(page, arriving.filling);
    }

    fn filling(&self, page: usize) -> u8 {
        self.filling.as_ref().map_or(0, |filling| filling[page])
    }

    /// The page, as far as it has no words of its own, is full of this byte.
    fn fill_page(&mut self, page: usize, byte: u8) {
        if byte != 0 || self.filling.is_some() {
            self.filling.get_or_insert_with(|| Box::new([0; 512]))[page] = byte;
        }
    }
}

/// A page on its way from one place to another.
struct Leaving {
    resident: bool,
    zero: bool,
    words: Option<Words512>,
    filling: u8,
}

/// How much memory the machine's one process has, in pages, and what it took to get it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Residency {
    /// Pages that hold memory now.
    pub pages: u64,
    /// The most there ever were.
    pub greatest_pages: u64,
    /// First touches: what `getrusage` calls minor faults.
    pub faults: u64,
}

/// A simulated machine with one process, whose words are as wide as `L` says. A clone has all of its
/// memory once more.
#[derive(Clone)]
pub struct Simulated<L = Bits64> {
    layout: PhantomData<L>,
    low: Half,
    high: Half,
    low_start: u64,
    break_start: Address,
    break_now: Address,
    break_limit: Address,
    /// Addresses that are not mapped, from the start of each gap to its end.
    gaps: BTreeMap<u64, u64>,
    residency: Residency,
    read_faults: Cell<u64>,
    processors: Processors,
    charges_for_every_page: bool,
    huge_pages: HugePages,
    /// Mappings of pages of the pool, from their starts to their lengths.
    pooled: BTreeMap<u64, u64>,
    greatest_grant: u64,
    greatest_total: u64,
    refuses: bool,
}

impl<L: Layout> core::fmt::Debug for Simulated<L> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.debug_struct("Simulated")
            .field("break", &self.break_now)
            .field("residency", &self.residency())
            .finish_non_exhaustive()
    }
}

impl Simulated {
    /// A machine with words of 64 bits, whose process begins with its program break at `break_start`.
    pub fn new(break_start: Address, processors: Processors) -> Simulated {
        Simulated::of(Bits64, break_start, processors)
    }
}

impl<L: Layout> Simulated<L> {
    /// A machine with such words, whose process begins with its program break at `break_start`.
    ///
    /// ```
    /// use malloscope_allocator::layout::{Bits32, Layout};
    /// use malloscope_allocator::memory::Processors;
    /// use malloscope_allocator::memory::simulated::Simulated;
    ///
    /// let start = Bits32::SPACE.default_break;
    /// let machine = Simulated::of(Bits32, start, Processors { online: 2, allowed: 2 });
    /// assert_eq!(machine.program_break(), start);
    /// ```
    pub fn of(_: L, break_start: Address, processors: Processors) -> Simulated<L> {
        const { assert!(L::SPACE.ceiling().is_multiple_of(SPAN) && L::SPACE.border.is_multiple_of(SPAN)) };
        Simulated {
            layout: PhantomData,
            low: Half::default(),
            high: Half::default(),
            low_start: align_down(break_start.0, SPAN),
            break_start,
            break_now: break_start,
            break_limit: Address(if L::SPACE.is_shared() { L::SPACE.mappings_end } else { L::SPACE.border }),
            gaps: L::SPACE.gaps(break_start),
            residency: Residency::default(),
            read_faults: Cell::new(0),
            processors,
            charges_for_every_page: false,
            huge_pages: HugePages::default(),
            pooled: BTreeMap::new(),
            greatest_grant: u64::MAX,
            greatest_total: u64::MAX,
            refuses: false,
        }
    }

    /// Takes all words away, which are zeros then: what is left of the machine is small, and no less resident.
    pub fn take_words(&mut self) -> MachineWords {
        MachineWords { low: take(&mut self.low.pages), high: take(&mut self.high.pages) }
    }

    /// What lies here is nothing that anybody reads: it may become anything, and becomes zeros. No page is less resident.
    pub fn forget(&mut self, at: Address, length: u64) {
        let end = Address(align_down(at.0.saturating_add(length), 8));
        let mut from = at.align_up(8);
        while from < end {
            let until = (from.align_down(PAGE) + PAGE).min(end);
            let (half, table) = self.half_mut(from);
            let (page, first) = (page_in_table(from), index(from.0 / 8) % WORDS);
            if half.pages.get(table).is_none_or(Option::is_none) {
                from = next_span(from);
                continue;
            }
            if until - from == PAGE {
                half.take_words(table, page);
            } else if let Some(words) = half.words_mut(table, page) {
                words[first..first + index((until - from) / 8)].fill(0);
            }
            from = until;
        }
    }

    /// The words are these.
    pub fn put_words(&mut self, words: MachineWords) {
        (self.low.pages, self.high.pages) = (words.low, words.high);
    }

    /// Charges for every page handed out, as a kernel with `vm.overcommit_memory=2`.
    pub fn charge_for_every_page(&mut self, charges: bool) {
        self.charges_for_every_page = charges;
    }

    /// The machine has these huge pages.
    pub fn offer_huge_pages(&mut self, huge_pages: HugePages) {
        self.huge_pages = huge_pages;
    }

    /// Maps pages of the pool, as long as there are any. They are aligned, and counted as if they
    /// were ordinary pages.
    fn map_from_pool(&mut self, mapping: Mapping) -> Option<Address> {
        let page = mapping.huge_page;
        let length = align_up(mapping.length, page);
        if page != self.huge_pages.default || length / page > self.huge_pages.free || self.refuses {
            return None;
        }
        let fits = |hint: &Address| hint.is_aligned(page) && self.is_free(*hint, length);
        let at = match mapping.hint.filter(fits) {
            Some(hint) => hint,
            None => self.highest_gap(length + page)?.align_up(page),
        };
        self.occupy(at, length);
        self.pooled.insert(at.0, length);
        self.huge_pages.free -= length / page;
        Some(at)
    }

    /// Whole mappings that were of the pool go back to it.
    fn give_back_to_pool(&mut self, at: Address, length: u64) {
        let range = at.0..at.0.saturating_add(length);
        let gone: Vec<(u64, u64)> = self.pooled.range(range).map(|(&at, &length)| (at, length)).collect();
        for (start, length) in gone {
            self.pooled.remove(&start);
            self.huge_pages.free += length / self.huge_pages.default;
        }
    }

    /// The machine has this much memory: Linux refuses a single request that is larger, however
    /// little of it would be used (`vm.overcommit_memory` 0).
    pub fn limit_grants(&mut self, bytes: u64) {
        self.greatest_grant = bytes;
    }

    /// The machine has no more than this: a request is refused that would exceed it, together with
    /// what has been touched so far.
    pub fn limit_total(&mut self, bytes: u64) {
        self.greatest_total = bytes;
    }

    /// Refuses every request for memory until told otherwise.
    pub fn refuse(&mut self, refuses: bool) {
        self.refuses = refuses;
    }

    fn grants(&self, bytes: u64) -> bool {
        let touched = self.residency.pages * PAGE;
        !self.refuses && bytes <= self.greatest_grant && touched.saturating_add(bytes) <= self.greatest_total
    }

    /// Puts a wall across the break's way: a page that is taken, at or just below `limit`.
    pub fn limit_break(&mut self, limit: Address) {
        self.break_limit = limit.align_down(PAGE);
    }

    /// How much memory the process has.
    pub fn residency(&self) -> Residency {
        Residency { faults: self.residency.faults + self.read_faults.get(), ..self.residency }
    }

    /// The program break now.
    pub fn program_break(&self) -> Address {
        self.break_now
    }

    /// The program writes somewhere in every page of a range: they hold memory from now on.
    pub fn touch(&mut self, at: Address, length: u64) {
        for page in pages(at, length) {
            self.reside(page);
        }
    }

    /// How many bytes of a range lie in pages that hold memory.
    pub fn resident_bytes(&self, at: Address, length: u64) -> u64 {
        let end = Address(at.0.saturating_add(length));
        let mut from = at;
        let mut bytes = 0;
        while from < end {
            let until = next_span(from).min(end);
            if let Some(table) = self.table(from) {
                bytes += table.resident_bytes(from, until - from);
            }
            from = until;
        }
        bytes
    }

    /// The half that an address lies in, and how far into it. High tables are numbered downward.
    #[inline(always)]
    fn place(&self, at: Address) -> (bool, u64) {
        if at.0 >= L::SPACE.border {
            (true, L::SPACE.ceiling().wrapping_sub(at.0 + 1))
        } else {
            (false, at.0.wrapping_sub(self.low_start))
        }
    }

    #[inline(always)]
    fn half(&self, at: Address) -> (&Half, usize) {
        let (is_high, offset) = self.place(at);
        (if is_high { &self.high } else { &self.low }, index(offset / SPAN))
    }

    #[inline(always)]
    fn half_mut(&mut self, at: Address) -> (&mut Half, usize) {
        let (is_high, offset) = self.place(at);
        (if is_high { &mut self.high } else { &mut self.low }, index(offset / SPAN))
    }

    #[inline]
    fn table(&self, at: Address) -> Option<&Table> {
        let (half, table) = self.half(at);
        half.tables.get(table)?.as_deref()
    }

    /// The table for an address that was granted; `None` for a wild one.
    #[inline]
    fn table_mut(&mut self, at: Address) -> Option<&mut Table> {
        let low = at.0 < L::SPACE.border;
        let granted = if low {
            at.0 >= self.low_start && at.0 < align_up(self.break_now.0, PAGE)
        } else {
            at.0 < L::SPACE.ceiling()
        };
        if !granted {
            return None;
        }
        let (half, table) = self.half_mut(at);
        if table >= half.tables.len() {
            half.tables.resize_with(table + 1, || None);
        }
        Some(half.tables[table].get_or_insert_default())
    }

    /// The page holds memory from now on.
    fn reside(&mut self, at: Address) {
        let page = page_in_table(at);
        let Some(table) = self.table_mut(at) else { return };
        if table.is_resident(page) {
            return;
        }
        table.resident[page / 64] |= 1 << (page % 64);
        if at >= L::SPACE.statics {
            // The C library's, and not its heap's.
            return;
        }
        self.residency.faults += 1;
        self.residency.pages += 1;
        self.residency.greatest_pages = self.residency.greatest_pages.max(self.residency.pages);
    }

    /// The page is read: if it holds nothing it shows zeros, for the price of a fault.
    fn note_read(&mut self, at: Address) {
        let page = page_in_table(at);
        let Some(table) = self.table_mut(at) else { return };
        let bit = 1 << (page % 64);
        if table.is_resident(page) || table.zero[page / 64] & bit != 0 {
            return;
        }
        table.zero[page / 64] |= bit;
        self.read_faults.set(self.read_faults.get() + 1);
    }

    /// The words of a page, if it has any that are not zero.
    #[inline(always)]
    fn words(&self, at: Address) -> Option<&[u64; WORDS]> {
        let (half, table) = self.half(at);
        half.words(table, page_in_table(at))
    }

    /// What every word of a page is that has none of its own.
    #[cold]
    fn filling(&self, at: Address) -> u64 {
        self.table(at).map_or(0, |table| repeated(table.filling(page_in_table(at))))
    }

    /// Fills a whole page. That takes no words: a program may fill gigabytes.
    fn fill_page(&mut self, at: Address, byte: u8) {
        let page = page_in_table(at);
        let Some(table) = self.table_mut(at) else { return };
        table.fill_page(page, byte);
        let (half, table) = self.half_mut(at);
        half.take_words(table, page);
    }

    /// The words of a page that is about to be written.
    fn words_mut(&mut self, at: Address) -> Option<&mut [u64; WORDS]> {
        self.reside(at);
        let page = page_in_table(at);
        let filling = repeated(self.table_mut(at)?.filling(page));
        let (half, table) = self.half_mut(at);
        Some(half.all_words(table)[page].get_or_insert_with(|| Box::new([filling; WORDS])))
    }

    /// A page is gone, with what was in it.
    fn remove(&mut self, at: Address) -> Option<Leaving> {
        let page = page_in_table(at);
        self.table_mut(at)?;
        let (half, table) = self.half_mut(at);
        let words = half.take_words(table, page);
        let leaving = self.table_mut(at)?.take(page, words);
        self.residency.pages -= u64::from(leaving.resident);
        Some(leaving)
    }

    /// Whole pages are gone.
    fn remove_range(&mut self, from: Address, to: Address) {
        let mut at = from;
        while at < to {
            if self.table(at).is_none() {
                at = next_span(at);
                continue;
            }
            self.remove(at);
            at = at + PAGE;
        }
    }

    /// The highest gap of this length: Linux maps from the top down.
    fn highest_gap(&self, length: u64) -> Option<Address> {
        let (_, &end) = self.gaps.iter().rev().find(|&(&start, &end)| end - start >= length)?;
        Some(Address(end - length))
    }

    fn is_free(&self, at: Address, length: u64) -> bool {
        let Some(end) = at.0.checked_add(length) else { return false };
        self.gaps.range(..=at.0).next_back().is_some_and(|(_, &gap_end)| end <= gap_end)
    }

    /// Takes addresses out of the gap they lie in.
    fn occupy(&mut self, at: Address, length: u64) {
        let Some((&start, &end)) = self.gaps.range(..=at.0).next_back() else { return };
        self.gaps.remove(&start);
        if start < at.0 {
            self.gaps.insert(start, at.0);
        }
        if at.0 + length < end {
            self.gaps.insert(at.0 + length, end);
        }
    }

    /// Makes a range a gap, joined with those it touches.
    fn vacate(&mut self, at: Address, length: u64) {
        let mut start = at.0.max(L::SPACE.mappings_start);
        let mut end = at.0.saturating_add(length).min(L::SPACE.mappings_end);
        while let Some((&other, &other_end)) = self.gaps.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            self.gaps.remove(&other);
            start = start.min(other);
            end = end.max(other_end);
        }
        if start < end {
            self.gaps.insert(start, end);
        }
    }

    /// The break takes whole pages from the room it shares with mappings, or gives them back. Returns
    /// whether they are free.
    fn share(&mut self, from: Address, to: Address) -> bool {
        if to < from {
            self.vacate(to, from - to);
        } else if to > from {
            if !self.is_free(from, to - from + PAGE) {
                return false;
            }
            self.occupy(from, to - from);
        }
        true
    }

    /// Tells the words of 64 bits in a range that are not zero.
    pub(crate) fn each_word(&self, at: Address, length: u64, mut tell: impl FnMut(Address, u64)) {
        let end = Address(at.0.saturating_add(length));
        let mut page = at.align_down(PAGE);
        while page < end {
            let (half, table) = self.half(page);
            if half.pages.get(table).is_none_or(Option::is_none) {
                page = next_span(page);
                continue;
            }
            let words = self.words(page).into_iter().flatten().enumerate();
            for (number, &word) in words.filter(|&(_, &word)| word != 0) {
                let place = page + 8 * number as u64;
                if place >= at && place < end {
                    tell(place, word);
                }
            }
            page = page + PAGE;
        }
    }

    /// Maps whole pages that nothing is mapped to; returns whether that is so.
    pub fn occupy_free(&mut self, at: Address, length: u64) -> bool {
        let is_free =
            at.is_aligned(PAGE) && length.is_multiple_of(PAGE) && length != 0 && self.is_free(at, length);
        if is_free {
            self.occupy(at, length);
        }
        is_free
    }

    /// Maps addresses that were unmapped, where they were.
    pub(crate) fn map_at(&mut self, at: Address, length: u64) {
        let length = align_up(length, PAGE);
        if self.is_free(at, length) {
            self.occupy(at, length);
        }
    }

    /// Gives a mapping another length at another place, which is free but for itself.
    pub(crate) fn remap_to(&mut self, at: Address, from: u64, to: Address, length: u64) {
        if at == to && length <= from {
            self.unmap(at + length, from - length);
        } else if at == to {
            self.map_at(at + from, length - from);
        } else {
            self.map_at(to, length);
            self.move_pages(at, to, from.min(length));
            self.unmap(at, from);
        }
    }

    fn move_pages(&mut self, from: Address, to: Address, length: u64) {
        for offset in (0..length).step_by(index(PAGE)) {
            let Some(page) = self.remove(from + offset) else { continue };
            self.residency.pages += u64::from(page.resident);
            let to = to + offset;
            let Some(table) = self.table_mut(to) else { continue };
            table.put(page_in_table(to), &page);
            if page.words.is_some() {
                let (half, table) = self.half_mut(to);
                half.all_words(table)[page_in_table(to)] = page.words;
            }
        }
    }
}

/// The page of a table an address lies in. High tables are numbered downward, their pages are not.
fn page_in_table(at: Address) -> usize {
    index(at.0 / PAGE % 512)
}

fn next_span(at: Address) -> Address {
    Address(align_down(at.0, SPAN)) + SPAN
}

/// The pages a range touches.
fn pages(at: Address, length: u64) -> impl Iterator<Item = Address> {
    let first = align_down(at.0, PAGE);
    let end = if length == 0 { first } else { at.0.saturating_add(length) };
    (first..end).step_by(index(PAGE)).map(Address)
}

/// The parts of a range that lie in one page each: where, and how long.
fn pieces(at: Address, length: u64) -> impl Iterator<Item = (Address, u64)> {
    pages(at, length).map(move |page| {
        let start = page.0.max(at.0);
        let end = (page.0 + PAGE).min(at.0 + length);
        (Address(start), end - start)
    })
}

/// The word that lies at an address, of the 64 bits that it is kept in.
#[inline(always)]
fn part<L: Layout>(kept: u64, at: Address) -> u64 {
    L::cut(kept >> (8 * ((at.0 % 8) & L::WORD)))
}

/// What is kept once a word has been written in its place.
#[inline(always)]
fn with_part<L: Layout>(kept: u64, at: Address, word: u64) -> u64 {
    let shift = 8 * ((at.0 % 8) & L::WORD);
    let mask = L::cut(u64::MAX) << shift;
    kept & !mask | word << shift & mask
}

impl<L: Layout> Words for Simulated<L> {
    type Layout = L;

    #[inline]
    fn load(&self, at: Address) -> u64 {
        let kept = match self.words(at) {
            Some(words) => words[index(at.0 / 8) % WORDS],
            None => self.filling(at),
        };
        part::<L>(kept, at)
    }

    #[inline(never)]
    fn store(&mut self, at: Address, word: u64) {
        let index = index(at.0 / 8) % WORDS;
        // A page that has words was granted: it loses them when it goes.
        let (half, table) = self.half_mut(at);
        if let Some(words) = half.words_mut(table, page_in_table(at)) {
            words[index] = with_part::<L>(words[index], at, word);
            return;
        }
        self.store_first(at, word);
    }

    fn fill(&mut self, at: Address, length: u64, byte: u8) {
        for (at, length) in pieces(at, length) {
            self.reside(at);
            if length == PAGE || self.words(at).is_none() && self.filling(at) == repeated(byte) {
                self.fill_page(at, byte);
                continue;
            }
            if let Some(words) = self.words_mut(at) {
                fill_bytes(words, index(at.0 % PAGE), index(length), byte);
            }
        }
    }

    fn copy(&mut self, from: Address, to: Address, length: u64) {
        for page in pages(from, length) {
            self.note_read(page);
        }
        self.touch(to, length);
        let mut done = 0;
        while done < length {
            let (source, target) = (from + done, to + done);
            // Up to where either page ends.
            let piece = (PAGE - source.0 % PAGE).min(PAGE - target.0 % PAGE).min(length - done);
            self.copy_piece(source, target, piece);
            done += piece;
        }
    }
}

impl<L: Layout> Simulated<L> {
    /// Stores a word in a page that has none yet.
    #[cold]
    fn store_first(&mut self, at: Address, word: u64) {
        let index = index(at.0 / 8) % WORDS;
        if let Some(words) = self.words_mut(at) {
            words[index] = with_part::<L>(words[index], at, word);
        }
    }

    /// Copies within one page at either end. Both ends are multiples of 8, as payloads are; the length may
    /// have half a word of 64 bits at its end.
    fn copy_piece(&mut self, from: Address, to: Address, length: u64) {
        let words = index(length / 8);
        let at = |address: Address| index(address.0 / 8) % WORDS;
        let source = self.words(from);
        let filling = if source.is_none() { self.filling(from) } else { 0 };
        if source.is_none() && self.words(to).is_none() && self.filling(to) == filling {
            return;
        }
        if source.is_none() && length == PAGE {
            self.fill_page(to, filling.to_le_bytes()[0]);
            return;
        }
        let mut buffer = [filling; WORDS];
        let mut rest = filling;
        if let Some(source) = source {
            rest = source[(at(from) + words) % WORDS];
            buffer[..words].copy_from_slice(&source[at(from)..at(from) + words]);
        }
        if let Some(target) = self.words_mut(to) {
            target[at(to)..at(to) + words].copy_from_slice(&buffer[..words]);
            if length % 8 == 4 {
                let last = &mut target[at(to) + words];
                *last = *last & !HALF | rest & HALF;
            }
        }
    }
}

/// The lower half of a word of 64 bits.
const HALF: u64 = 0xffff_ffff;

/// A word of eight times the same byte.
fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Sets bytes within an array of words, the lowest byte of a word first.
fn fill_bytes(words: &mut [u64; WORDS], start: usize, length: usize, byte: u8) {
    let pattern = repeated(byte);
    if start.is_multiple_of(8) && length.is_multiple_of(8) {
        words[start / 8..(start + length) / 8].fill(pattern);
        return;
    }
    for (index, word) in words.iter_mut().enumerate().take((start + length).div_ceil(8)).skip(start / 8) {
        let before = start.saturating_sub(index * 8).min(8);
        let until = (start + length - index * 8).min(8);
        let mut bytes = word.to_le_bytes();
        bytes[before..until].copy_from_slice(&pattern.to_le_bytes()[before..until]);
        *word = u64::from_le_bytes(bytes);
    }
}

impl<L: Layout> Kernel for Simulated<L> {
    fn move_break(&mut self, by: i64) -> Option<Address> {
        let from = self.break_now;
        let to = Address(from.0.checked_add_signed(by)?);
        let new_pages = to.align_up(PAGE) > from.align_up(PAGE);
        // Linux keeps a page free between the break and whatever is mapped above it.
        if by > 0 && !self.grants(by.unsigned_abs()) {
            return None;
        }
        if to < self.break_start || new_pages && to.align_up(PAGE) + PAGE > self.break_limit {
            return None;
        }
        if to < from {
            // The page the break is in stays.
            self.remove_range(to.align_up(PAGE), from.align_up(PAGE));
        }
        if L::SPACE.is_shared() && !self.share(from.align_up(PAGE), to.align_up(PAGE)) {
            return None;
        }
        self.break_now = to;
        Some(from)
    }

    fn map(&mut self, mapping: Mapping) -> Option<Address> {
        if mapping.huge_page != 0 {
            return self.map_from_pool(mapping);
        }
        let length = align_up(mapping.length, PAGE);
        let reserves = mapping.access == Access::ReadWrite && !mapping.no_reserve;
        let granted = if reserves { self.grants(length) } else { !self.refuses };
        if length == 0 || length < mapping.length || !granted {
            return None;
        }
        let at = match mapping.hint {
            Some(hint) if self.is_free(hint, length) => hint,
            _ => self.highest_gap(length)?,
        };
        self.occupy(at, length);
        Some(at)
    }

    fn map_over(&mut self, at: Address, length: u64) -> bool {
        self.discard(at, length);
        true
    }

    fn unmap(&mut self, at: Address, length: u64) {
        let length = align_up(length, PAGE);
        self.give_back_to_pool(at, length);
        self.discard(at, length);
        self.vacate(at, length);
    }

    fn remap(&mut self, at: Address, from: u64, to: u64) -> Option<Address> {
        if !at.is_aligned(PAGE) {
            return None;
        }
        if to <= from {
            self.unmap(at + to, from - to);
            return Some(at);
        }
        // Linux makes no mapping of the pool longer.
        if !self.grants(to - from) || self.pooled.contains_key(&at.0) {
            return None;
        }
        if self.is_free(at + from, to - from) {
            self.occupy(at + from, to - from);
            return Some(at);
        }
        let new = self.highest_gap(to)?;
        self.occupy(new, to);
        self.move_pages(at, new, from);
        self.vacate(at, from);
        Some(new)
    }

    fn protect(&mut self, _: Address, _: u64, _: Access) -> bool {
        true
    }

    fn discard(&mut self, at: Address, length: u64) {
        let end = Address(at.0.saturating_add(length)).align_up(PAGE);
        self.remove_range(at, end.min(Address(L::SPACE.ceiling())));
    }

    #[inline]
    fn page_size(&self) -> u64 {
        PAGE
    }

    fn processors(&self) -> Processors {
        self.processors
    }

    fn huge_pages(&self) -> HugePages {
        self.huge_pages
    }

    /// Changes nothing: how much memory a page takes is not counted by the kind of page.
    fn recommend_huge(&mut self, _: Address, _: u64) {}

    fn charges_for_every_page(&self) -> bool {
        self.charges_for_every_page
    }

    fn statics(&self) -> Address {
        L::SPACE.statics
    }
}
