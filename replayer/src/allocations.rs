//! Single allocations: the largest, the longest-lived, or the latest, with where they were and who made them.
//!
//! One pass over the trace, which keeps an entry for every slot and as many allocations as are wanted: what
//! comes last in their order goes when there are too many.

use crate::range::Range;
use crate::run::Progress;
use malloscope_traces::header::ClockSource;
use malloscope_traces::{Call, Error, Placed, Pointer, Reader, Record, Slot, Stack, Thread};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{Read, Seek};

/// The most allocations that are kept, whatever is wanted: some hundred megabytes of them.
const MOST: usize = 1 << 20;

/// When something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct When {
    /// The number of the record.
    pub record: u64,
    /// Nanoseconds since the trace began; 0 where there is no clock.
    pub time: u64,
}

/// An allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Allocation {
    /// When it was made.
    pub made: When,
    /// When it was freed; nothing if it lived at the end.
    pub freed: Option<When>,
    /// The thread that made it, by its number in the trace.
    pub thread: u32,
    /// Bytes asked for.
    pub request: u64,
    /// Where it was placed when it was recorded; nothing where that was not seen.
    pub address: Option<u64>,
    /// Bytes of its chunk, where they were seen.
    pub chunk: Option<u64>,
    /// The stack of the call.
    #[serde(skip)]
    pub stack: Stack,
}

impl Allocation {
    /// How long it lived: until it was freed, or to the end.
    pub fn lifetime(&self, end: When) -> When {
        let until = self.freed.unwrap_or(end);
        When {
            record: until.record.saturating_sub(self.made.record),
            time: until.time.saturating_sub(self.made.time),
        }
    }
}

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The largest.
    #[default]
    Size,
    /// The longest-lived, by records.
    Lifetime,
    /// The earliest.
    Made,
}

impl Order {
    /// All there are.
    pub const ALL: [Order; 3] = [Order::Size, Order::Lifetime, Order::Made];

    /// How the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            Order::Size => "size",
            Order::Lifetime => "lifetime",
            Order::Made => "made",
        }
    }

    /// What comes first.
    pub fn meaning(self) -> &'static str {
        match self {
            Order::Size => "The largest first",
            Order::Lifetime => {
                "Those that lived longest first, by records; what was never freed lived to the end"
            }
            Order::Made => "In the order in which they were made",
        }
    }

    /// The greater, the earlier it comes; of equals the one that was made first.
    fn key(self, allocation: &Allocation, end: When) -> (u64, Reverse<When>) {
        let key = match self {
            Order::Size => allocation.request,
            Order::Lifetime => allocation.lifetime(end).record,
            Order::Made => 0,
        };
        (key, Reverse(allocation.made))
    }
}

/// Which allocations are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How many.
    pub most: usize,
    /// Which first.
    pub order: Order,
    /// Those made in these records; what frees them later counts.
    pub range: Range,
    /// Only those that lived at the end.
    pub only_live: bool,
    /// Only those of this thread.
    pub thread: Option<u32>,
    /// Only those of so many bytes at least.
    pub least: u64,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// How many allocations are as wanted, and the bytes they asked for.
    pub matching: u64,
    /// The bytes they asked for.
    pub matching_bytes: u64,
    /// The end of the trace, which is the end of what lived then.
    pub end: When,
    /// Those that come first.
    pub allocations: Vec<Allocation>,
    /// Whether the trace has times.
    pub has_clock: bool,
    /// What of the trace is damaged and was left out.
    pub damage: Vec<String>,
}

/// An allocation that is kept, by its place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    key: (u64, Reverse<When>),
    allocation: Allocation,
}

struct Pass {
    wanted: Wanted,
    most: usize,
    slots: Vec<Option<Allocation>>,
    /// The last in the order is on top.
    kept: BinaryHeap<Reverse<Kept>>,
    listing: Listing,
}

/// Reads a trace to its end and lists the allocations that are wanted.
///
/// # Errors
///
/// When the trace cannot be read. What is damaged costs itself, and is told.
pub fn allocations<R: Read + Seek>(
    reader: &mut Reader<R>,
    wanted: Wanted,
    progress: &mut dyn FnMut(Progress),
) -> Result<Listing, Error> {
    let total = reader.totals().map(|totals| totals.records);
    let has_clock = reader.header().clock.source != ClockSource::None;
    let listing = Listing { has_clock, ..Listing::default() };
    let most = wanted.most.min(MOST);
    let mut pass = Pass { wanted, most, slots: Vec::new(), kept: BinaryHeap::new(), listing };
    let mut batch = Vec::new();
    loop {
        let first = match reader.next_batch(&mut batch) {
            Ok(Some(first)) => first,
            Ok(None) => break,
            Err(error @ Error::Damaged { .. }) => {
                pass.listing.damage.push(error.to_string());
                continue;
            }
            Err(error) => return Err(error),
        };
        let stacks = reader.batch_stacks();
        let stacks = stacks.iter().copied().chain(std::iter::repeat(Stack::NONE));
        for ((number, record), stack) in (first..).zip(&batch).zip(stacks) {
            pass.record(number, record, stack);
        }
        progress(Progress { done: first.saturating_add(batch.len() as u64), total });
    }
    Ok(pass.finish())
}

impl Pass {
    fn record(&mut self, number: u64, record: &Record, stack: Stack) {
        let time = if self.listing.has_clock { record.time.0.max(self.listing.end.time) } else { 0 };
        let now = When { record: number, time };
        self.listing.end = now;
        let request = record.call.request().unwrap_or(0);
        match record.call {
            Call::Free { pointer } => self.free(now, pointer.slot),
            Call::Realloc { old, to, .. } | Call::Reallocarray { old, to, .. } => {
                // A call that fails leaves what it was handed as it was; one for nothing frees it.
                if !to.pointer.is_null() || request == 0 {
                    self.free(now, old.slot);
                }
                self.make(now, record.thread, request, to, stack);
            }
            call => {
                if let Some(to) = call.placed() {
                    self.make(now, record.thread, request, to, stack);
                }
            }
        }
    }

    fn make(&mut self, made: When, Thread(thread): Thread, request: u64, to: Placed, stack: Stack) {
        const FLAGS: u64 = 7;
        if to.pointer.is_null() {
            return;
        }
        let is_known = to.pointer.address != Pointer::UNKNOWN;
        let allocation = Allocation {
            made,
            freed: None,
            thread,
            request,
            address: is_known.then_some(to.pointer.address),
            chunk: Some(to.head & !FLAGS).filter(|&chunk| chunk > 0),
            stack,
        };
        let Slot(slot) = to.pointer.slot;
        if to.pointer.slot == Slot::NONE {
            // Nobody will see it end.
            self.list(allocation);
            return;
        }
        // In a part of the trace that is lost, what was there may have been freed unseen.
        self.free(made, to.pointer.slot);
        let slot = slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, None);
        }
        self.slots[slot] = Some(allocation);
    }

    fn free(&mut self, now: When, Slot(slot): Slot) {
        if let Some(allocation) = self.slots.get_mut(slot as usize).and_then(Option::take) {
            self.list(Allocation { freed: Some(now), ..allocation });
        }
    }

    /// Lists an allocation of which all is known, if it is wanted.
    fn list(&mut self, allocation: Allocation) {
        let wanted = &self.wanted;
        let is_wanted = wanted.range.contains(allocation.made.record)
            && !(wanted.only_live && allocation.freed.is_some())
            && wanted.thread.is_none_or(|thread| thread == allocation.thread)
            && allocation.request >= wanted.least;
        if !is_wanted {
            return;
        }
        self.listing.matching += 1;
        self.listing.matching_bytes = self.listing.matching_bytes.saturating_add(allocation.request);
        let key = wanted.order.key(&allocation, self.listing.end);
        let kept = Kept { key, allocation };
        if self.kept.len() < self.most {
            self.kept.push(Reverse(kept));
        } else if let Some(mut last) = self.kept.peek_mut()
            && kept > last.0
        {
            *last = Reverse(kept);
        }
    }

    fn finish(mut self) -> Listing {
        // What lives was not freed by the last record, but lives on behind it.
        self.listing.end.record += 1;
        for slot in 0..self.slots.len() {
            if let Some(allocation) = self.slots[slot].take() {
                self.list(allocation);
            }
        }
        let kept = self.kept.into_sorted_vec();
        self.listing.allocations = kept.into_iter().map(|Reverse(kept)| kept.allocation).collect();
        self.listing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_traces::header::Heap;
    use malloscope_traces::{Ending, Header, Nanos, Writer};
    use std::io::Cursor;

    fn listing(wanted: Wanted) -> Listing {
        let heap = Heap { placements: true, ..Heap::default() };
        let mut writer = Writer::new(Vec::new(), &Header { heap, ..Header::default() }).unwrap();
        let malloc = |address, request| Call::Malloc {
            request,
            to: Placed { pointer: Pointer::seen(address), head: (request + 24) & !15 | 1 },
        };
        let free = |address| Call::Free { pointer: Pointer::seen(address) };
        let calls = [
            (0, malloc(0x100, 100)),
            (1, malloc(0x200, 1000)),
            (0, free(0x200)),
            (1, malloc(0x300, 50)),
            (0, malloc(0x400, 1000)),
            (0, free(0x100)),
            (0, malloc(0, 9999)),
        ];
        for (time, (thread, call)) in (0..).zip(calls) {
            let record = Record { time: Nanos(time), thread: Thread(thread), program_break: 0, call };
            writer.record(&record).unwrap();
        }
        let bytes = writer.finish(&Ending::default()).unwrap();
        allocations(&mut Reader::open(Cursor::new(bytes)).unwrap(), wanted, &mut |_| {}).unwrap()
    }

    const ALL: Wanted =
        Wanted { most: 10, order: Order::Size, range: Range::ALL, only_live: false, thread: None, least: 0 };

    fn made(wanted: Wanted) -> Vec<u64> {
        listing(wanted).allocations.iter().map(|allocation| allocation.made.record).collect()
    }

    #[test]
    fn those_that_come_first_are_kept_and_all_are_counted() {
        assert_eq!(made(ALL), [1, 4, 0, 3]);
        assert_eq!(made(Wanted { order: Order::Lifetime, ..ALL }), [0, 3, 4, 1]);
        assert_eq!(made(Wanted { order: Order::Made, ..ALL }), [0, 1, 3, 4]);
        let two = listing(Wanted { most: 2, ..ALL });
        assert_eq!((two.matching, two.matching_bytes, two.allocations.len()), (4, 2150, 2));
        assert_eq!(made(Wanted { most: 2, order: Order::Made, ..ALL }), [0, 1]);
    }

    #[test]
    fn only_what_is_wanted_is_listed() {
        assert_eq!(made(Wanted { only_live: true, ..ALL }), [4, 3]);
        assert_eq!(made(Wanted { thread: Some(1), ..ALL }), [1, 3]);
        assert_eq!(made(Wanted { least: 100, ..ALL }), [1, 4, 0]);
        assert_eq!(made(Wanted { range: Range::new(1, 4).unwrap(), ..ALL }), [1, 3]);
    }

    #[test]
    fn an_allocation_knows_where_it_was_and_how_long_it_lived() {
        let listing = listing(ALL);
        let [first, second, ..] = &listing.allocations[..] else { panic!("{listing:?}") };
        assert_eq!((first.address, first.chunk, first.thread), (Some(0x200), Some(1024), 1));
        assert_eq!(first.lifetime(listing.end).record, 1);
        assert_eq!((second.freed, second.lifetime(listing.end).record), (None, 3));
    }
}
