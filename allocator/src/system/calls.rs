//! Every call to the kernel passes here, so that whoever listens hears of it.

use crate::address::Address;
use crate::heap::Context;
use crate::memory::{Access, Mapping, Memory};
use crate::observe::{Event, KernelCall, Observer};

impl<M: Memory, O: Observer> Context<M, O> {
    /// `sbrk(by)`: where the break was. Asking where it is (0) is not a call to the kernel.
    pub(crate) fn move_break(&mut self, by: i64) -> Option<Address> {
        let from = self.memory.move_break(by);
        self.parameters.break_is_known = true;
        if by != 0 {
            self.tell(Event::Kernel(KernelCall::MoveBreak { by, from }));
        }
        from
    }

    pub(crate) fn map(&mut self, mapping: Mapping) -> Option<Address> {
        let at = self.memory.map(mapping);
        self.tell(Event::Kernel(KernelCall::Map { mapping, at }));
        at
    }

    /// Maps memory to use at once; it is recommended for huge pages.
    pub(crate) fn map_to_use(&mut self, length: u64) -> Option<Address> {
        let at = self.map_in_pages(length, 0)?;
        self.recommend_huge(at, length);
        Some(at)
    }

    /// Maps pages of the kernel's pool to use at once.
    pub(crate) fn map_huge(&mut self, length: u64) -> Option<Address> {
        self.map_in_pages(length, self.parameters.huge.page)
    }

    fn map_in_pages(&mut self, length: u64, huge_page: u64) -> Option<Address> {
        self.map(Mapping { length, access: Access::ReadWrite, hint: None, no_reserve: false, huge_page })
    }

    /// Recommends memory for transparent huge pages, if it is long enough for one and anybody wants
    /// them (glibc: `madvise_thp`).
    pub(crate) fn recommend_huge(&mut self, at: Address, length: u64) {
        let huge = &self.parameters.huge;
        if !huge.recommends || length < huge.transparent {
            return;
        }
        // The kernel takes whole pages; the break may not begin with one.
        let page_size = self.memory.page_size();
        let (at, length) = if self.release.huge_pages.recommend_inward {
            let start = at.align_up(page_size);
            (start, length - (start - at))
        } else {
            let start = at.align_down(page_size);
            (start, length + (at - start))
        };
        self.tell(Event::Kernel(KernelCall::RecommendHuge { at, length }));
        self.memory.recommend_huge(at, length);
    }

    pub(crate) fn map_over(&mut self, at: Address, length: u64) -> bool {
        self.tell(Event::Kernel(KernelCall::MapOver { at, length }));
        self.memory.map_over(at, length)
    }

    pub(crate) fn unmap(&mut self, at: Address, length: u64) {
        self.tell(Event::Kernel(KernelCall::Unmap { at, length }));
        self.memory.unmap(at, length);
    }

    pub(crate) fn remap(&mut self, at: Address, from: u64, to: u64) -> Option<Address> {
        let now = self.memory.remap(at, from, to);
        self.tell(Event::Kernel(KernelCall::Remap { at, from, to, now }));
        now
    }

    pub(crate) fn protect(&mut self, at: Address, length: u64, access: Access) -> bool {
        self.tell(Event::Kernel(KernelCall::Protect { at, length, access }));
        self.memory.protect(at, length, access)
    }

    pub(crate) fn discard(&mut self, at: Address, length: u64) {
        self.tell(Event::Kernel(KernelCall::Discard { at, length }));
        self.memory.discard(at, length);
    }
}
