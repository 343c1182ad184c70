//! Whether a chunk of ours lies where the recorded one lay.
//!
//! Two processes never have their heaps at the same addresses, so placements are compared as a
//! person would: by the offset from the initial program break in the main heap; in a secondary
//! arena by the offset in its segment, where a segment of ours and one of theirs are taken to
//! correspond from the first chunk on that is placed in both; for a mapped chunk by how far into a
//! page it begins.

use malloscope_allocator::address::Address;
use malloscope_allocator::arena::LONGEST_SEGMENT;
use malloscope_allocator::chunk::{FOREIGN, Head, MAPPED};
use malloscope_allocator::memory::Access;
use malloscope_allocator::observe::KernelCall;
use malloscope_traces::Placed;
use std::collections::{BTreeMap, HashMap};

/// What of theirs corresponds to what of ours.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    recorded_break: u64,
    initial_break: Address,
    /// Segments of ours by theirs, and the other way.
    segments: Pairs,
    /// Mappings of ours that may hold chunks of the main arena in place of the break: their length,
    /// and how far theirs lies from ours, known from the first such chunk on.
    mappings: BTreeMap<u64, (u64, Option<u64>)>,
}

/// Two sets of addresses of which each one of the one belongs to one of the other.
#[derive(Clone, Debug, Default)]
struct Pairs {
    ours: HashMap<u64, u64>,
    theirs: HashMap<u64, u64>,
}

impl Pairs {
    /// Whether the two belong together; if neither belongs to any, from now on they do.
    fn agree(&mut self, theirs: u64, ours: u64) -> bool {
        match (self.ours.get(&theirs), self.theirs.get(&ours)) {
            (Some(&other), Some(_)) => other == ours,
            (None, None) => {
                self.ours.insert(theirs, ours);
                self.theirs.insert(ours, theirs);
                true
            }
            _ => false,
        }
    }

    /// One of ours is gone, and with it its partner.
    fn part(&mut self, ours: u64) {
        if let Some(theirs) = self.theirs.remove(&ours) {
            self.ours.remove(&theirs);
        }
    }
}

impl Places {
    /// Nothing is known to correspond but the initial breaks.
    pub(crate) fn new(recorded_break: u64, initial_break: Address) -> Places {
        Places { recorded_break, initial_break, segments: Pairs::default(), mappings: BTreeMap::new() }
    }

    /// Follows what is mapped in the replay.
    pub(crate) fn note(&mut self, call: KernelCall) {
        match call {
            KernelCall::Map { mapping, at: Some(at) } if mapping.access == Access::ReadWrite => {
                self.mappings.insert(at.0, (mapping.length, None));
            }
            KernelCall::Unmap { at, length } => {
                self.mappings.remove(&at.0);
                if length == LONGEST_SEGMENT {
                    self.segments.part(at.0);
                }
            }
            _ => {}
        }
    }

    /// Where a chunk of ours would lie if it lay where theirs does; `None` if it has a mapping of its own, or nothing
    /// of its segment is known.
    pub(crate) fn ours(&self, theirs: Placed) -> Option<Address> {
        let (address, head) = (theirs.pointer.address, Head(theirs.head));
        if head.is_mapped() {
            return None;
        }
        if !head.is_foreign() {
            let offset = address.checked_sub(self.recorded_break)?;
            return self.initial_break.0.checked_add(offset).map(Address);
        }
        let their_segment = address & !(LONGEST_SEGMENT - 1);
        let our_segment = self.segments.ours.get(&their_segment)?;
        Some(Address(our_segment + (address - their_segment)))
    }

    /// Whether a chunk of ours, with this head, lies where theirs does.
    #[inline]
    pub(crate) fn are_same(
        &mut self,
        program_break: Address,
        theirs: Placed,
        ours: Address,
        head: Head,
    ) -> bool {
        let address = theirs.pointer.address;
        let same_kind = theirs.head == 0 || (theirs.head ^ head.0) & (MAPPED | FOREIGN) == 0;
        if !same_kind {
            return false;
        }
        if head.is_mapped() {
            return address % 4096 == ours.0 % 4096;
        }
        if head.is_foreign() {
            let (our_segment, their_segment) =
                (ours.0 & !(LONGEST_SEGMENT - 1), address & !(LONGEST_SEGMENT - 1));
            return address - their_segment == ours.0 - our_segment
                && self.segments.agree(their_segment, our_segment);
        }
        if ours >= self.initial_break && ours < program_break {
            return address.wrapping_sub(self.recorded_break) == ours - self.initial_break;
        }
        self.same_place_outside(address, ours)
    }

    /// A chunk in a mapping in place of the break: theirs lies elsewhere, always as far away.
    #[cold]
    fn same_place_outside(&mut self, address: u64, ours: Address) -> bool {
        let Some((&start, (length, known))) = self.mappings.range_mut(..=ours.0).next_back() else {
            return false;
        };
        let distance = address.wrapping_sub(ours.0);
        ours.0 - start < *length && *known.get_or_insert(distance) == distance
    }
}
