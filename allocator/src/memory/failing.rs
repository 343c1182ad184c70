//! A machine that says no after a number of grants: every “no” of the kernel can be rehearsed.

use crate::address::Address;
use crate::memory::{Access, HugePages, Kernel, Mapping, Processors, Words};

/// A machine whose kernel grants this many more requests for memory, and then none.
///
/// Giving memory back always works, as it does in practice.
#[derive(Debug)]
pub struct Failing<M> {
    machine: M,
    grants_left: u64,
}

impl<M> Failing<M> {
    /// The machine, which will grant `grants` requests.
    pub fn after(machine: M, grants: u64) -> Failing<M> {
        Failing { machine, grants_left: grants }
    }

    /// Lets the kernel grant `grants` requests from now on.
    pub fn relent(&mut self, grants: u64) {
        self.grants_left = grants;
    }

    /// The machine itself.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    fn grants(&mut self) -> bool {
        let grants = self.grants_left > 0;
        self.grants_left = self.grants_left.saturating_sub(1);
        grants
    }
}

impl<M: Words> Words for Failing<M> {
    type Layout = M::Layout;

    fn load(&self, at: Address) -> u64 {
        self.machine.load(at)
    }
    fn store(&mut self, at: Address, word: u64) {
        self.machine.store(at, word);
    }
    fn fill(&mut self, at: Address, length: u64, byte: u8) {
        self.machine.fill(at, length, byte);
    }
    fn copy(&mut self, from: Address, to: Address, length: u64) {
        self.machine.copy(from, to, length);
    }
}

impl<M: Kernel> Kernel for Failing<M> {
    fn move_break(&mut self, by: i64) -> Option<Address> {
        if by > 0 && !self.grants() { None } else { self.machine.move_break(by) }
    }
    fn map(&mut self, mapping: Mapping) -> Option<Address> {
        if self.grants() { self.machine.map(mapping) } else { None }
    }
    fn map_over(&mut self, at: Address, length: u64) -> bool {
        self.grants() && self.machine.map_over(at, length)
    }
    fn unmap(&mut self, at: Address, length: u64) {
        self.machine.unmap(at, length);
    }
    fn remap(&mut self, at: Address, from: u64, to: u64) -> Option<Address> {
        if to <= from || self.grants() { self.machine.remap(at, from, to) } else { None }
    }
    fn protect(&mut self, at: Address, length: u64, access: Access) -> bool {
        self.grants() && self.machine.protect(at, length, access)
    }
    fn discard(&mut self, at: Address, length: u64) {
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
