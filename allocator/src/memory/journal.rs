//! A simulated machine that remembers what was done to it, so that it can be taken back.
//!
//! Whoever replays calls of several threads does not always know their order, and has to try.

use crate::address::Address;
use crate::layout::Bits64;
use crate::memory::simulated::Simulated;
use crate::memory::{Access, HugePages, Kernel, Mapping, Processors, Words};
use alloc::vec::Vec;

/// A machine, and what was done to it since the journal was begun.
#[derive(Debug)]
pub struct Journal {
    machine: Simulated,
    entries: Vec<Entry>,
    is_kept: bool,
}

/// Something that was done.
#[derive(Clone, Copy, Debug)]
enum Entry {
    /// A word that was overwritten, with what was there.
    Word(Address, u64),
    /// The program break was moved by so much.
    Break(i64),
    /// So much was mapped.
    Mapped(Address, u64),
    /// So much was unmapped.
    Unmapped(Address, u64),
    /// A mapping was given another length.
    Remapped { at: Address, from: u64, to: u64, now: Address },
}

/// A moment in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(usize);

impl Journal {
    /// The machine, whose journal is not kept yet.
    pub fn new(machine: Simulated) -> Journal {
        Journal { machine, entries: Vec::new(), is_kept: false }
    }

    /// The machine itself.
    pub fn machine(&self) -> &Simulated {
        &self.machine
    }

    /// The machine itself. What is done to it directly cannot be taken back.
    pub fn machine_mut(&mut self) -> &mut Simulated {
        &mut self.machine
    }

    /// Forgets everything, and from now on remembers.
    pub fn begin(&mut self) {
        self.entries.clear();
        self.is_kept = true;
    }

    /// Now.
    pub fn now(&self) -> Moment {
        Moment(self.entries.len())
    }

    /// Takes everything back that was done since.
    pub fn back_to(&mut self, Moment(length): Moment) {
        for entry in self.entries.drain(length.min(self.entries.len())..).rev() {
            let machine = &mut self.machine;
            match entry {
                Entry::Word(at, word) => machine.store(at, word),
                Entry::Break(by) => {
                    machine.move_break(by.wrapping_neg());
                }
                Entry::Mapped(at, length) => machine.unmap(at, length),
                Entry::Unmapped(at, length) => machine.map_at(at, length),
                Entry::Remapped { at, from, to, now } => machine.remap_to(now, to, at, from),
            }
        }
    }

    /// Forgets what was done before a moment: it stays done. Later moments are that much earlier.
    pub fn forget_before(&mut self, Moment(length): Moment) -> impl Fn(Moment) -> Moment + use<> {
        let gone = length.min(self.entries.len());
        self.entries.drain(..gone);
        move |Moment(length)| Moment(length.saturating_sub(gone))
    }

    fn remember(&mut self, entry: Entry) {
        if self.is_kept {
            self.entries.push(entry);
        }
    }

    fn remember_word(&mut self, at: Address) {
        if self.is_kept {
            self.entries.push(Entry::Word(at, self.machine.load(at)));
        }
    }

    /// Remembers all words of pages that are about to be given back.
    fn remember_all(&mut self, at: Address, length: u64) {
        if self.is_kept {
            let entries = &mut self.entries;
            self.machine.each_word(at, length, |at, word| entries.push(Entry::Word(at, word)));
        }
    }
}

impl Words for Journal {
    type Layout = Bits64;

    #[inline]
    fn load(&self, at: Address) -> u64 {
        self.machine.load(at)
    }

    #[inline]
    fn store(&mut self, at: Address, word: u64) {
        self.remember_word(at);
        self.machine.store(at, word);
    }

    /// Does nothing: what the program sees in its memory decides nothing. What lies there may be the
    /// heads and feet of chunks that are there again after going back.
    fn fill(&mut self, _: Address, _: u64, _: u8) {}

    /// Does nothing, as [`fill`](Words::fill).
    fn copy(&mut self, _: Address, _: Address, _: u64) {}
}

impl Kernel for Journal {
    fn move_break(&mut self, by: i64) -> Option<Address> {
        if by < 0 {
            let now = self.machine.program_break();
            let to = Address(now.0.saturating_add_signed(by));
            self.remember_all(to, now - to);
        }
        let from = self.machine.move_break(by)?;
        if by != 0 {
            // After the words: it is taken back before them.
            self.remember(Entry::Break(by));
        }
        Some(from)
    }

    fn map(&mut self, mapping: Mapping) -> Option<Address> {
        let at = self.machine.map(mapping)?;
        self.remember(Entry::Mapped(at, mapping.length));
        Some(at)
    }

    fn map_over(&mut self, at: Address, length: u64) -> bool {
        self.remember_all(at, length);
        self.machine.map_over(at, length)
    }

    fn unmap(&mut self, at: Address, length: u64) {
        self.remember_all(at, length);
        self.remember(Entry::Unmapped(at, length));
        self.machine.unmap(at, length);
    }

    fn remap(&mut self, at: Address, from: u64, to: u64) -> Option<Address> {
        let now = self.machine.remap(at, from, to)?;
        self.remember(Entry::Remapped { at, from, to, now });
        Some(now)
    }

    /// What may be done with a range does not matter to what is written there.
    fn protect(&mut self, at: Address, length: u64, access: Access) -> bool {
        self.machine.protect(at, length, access)
    }

    fn discard(&mut self, at: Address, length: u64) {
        self.remember_all(at, length);
        self.machine.discard(at, length);
    }

    fn page_size(&self) -> u64 {
        self.machine.page_size()
    }

    fn processors(&self) -> Processors {
        self.machine.processors()
    }

    fn huge_pages(&self) -> HugePages {
        self.machine.huge_pages()
    }

    /// Says nothing about what is written there.
    fn recommend_huge(&mut self, at: Address, length: u64) {
        self.machine.recommend_huge(at, length);
    }

    fn charges_for_every_page(&self) -> bool {
        self.machine.charges_for_every_page()
    }

    fn statics(&self) -> Address {
        self.machine.statics()
    }
}
