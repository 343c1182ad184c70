//! Single allocations: the largest, the longest-lived, or the latest, with where they were and who made them.
//!
//! One pass over the trace (`walk.rs`), which keeps as many allocations as are wanted, in little room (`rows.rs`):
//! what comes last in their order goes when there are too many.

pub mod rows;
pub(crate) mod walk;

use crate::filter::Filter;
use crate::range::Range;
use crate::report::units::{bytes, count};
use crate::run::Progress;
use crate::served::{ServedFrom, Servings};
use malloscope_traces::{Error, Reader, Stack};
use rows::{First, Rows};
use serde::Serialize;
use std::io::{Read, Seek};

/// The most allocations that are kept, whatever is wanted: some 600 megabytes of them.
pub const MOST: usize = 10_000_000;

/// When something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct When {
    /// The number of the record.
    pub record: u64,
    /// Nanoseconds since the trace began; 0 where there is no clock.
    pub time: u64,
}

/// An allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
    /// The place in malloc that served it, where a replay has found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_from: Option<ServedFrom>,
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

/// What allocations are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Bytes asked for.
    #[default]
    Size,
    /// Bytes of the chunk.
    Chunk,
    /// Where it was placed.
    Address,
    /// The thread that made it.
    Thread,
    /// The record that made it.
    Made,
    /// The record that freed it.
    Freed,
    /// How many records it lived.
    Lifetime,
    /// How long it lived.
    Time,
    /// The place that served it.
    Place,
    /// The stack that made it.
    Stack,
}

impl Order {
    /// All there are.
    pub const ALL: [Order; 10] = [
        Order::Size,
        Order::Chunk,
        Order::Address,
        Order::Thread,
        Order::Made,
        Order::Freed,
        Order::Lifetime,
        Order::Time,
        Order::Place,
        Order::Stack,
    ];

    /// How the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            Order::Size => "size",
            Order::Chunk => "chunk",
            Order::Address => "address",
            Order::Thread => "thread",
            Order::Made => "made",
            Order::Freed => "freed",
            Order::Lifetime => "lifetime",
            Order::Time => "time",
            Order::Place => "place",
            Order::Stack => "stack",
        }
    }

    /// What comes first.
    pub fn meaning(self) -> &'static str {
        match self {
            Order::Size => "The largest first",
            Order::Chunk => "Those with the largest chunks first",
            Order::Address => "By their addresses, the lowest first",
            Order::Thread => "By the threads that made them",
            Order::Made => "In the order in which they were made",
            Order::Freed => "In the order in which they were freed; what was never freed comes last",
            Order::Lifetime => {
                "Those that lived longest first, by records; what was never freed lived to the end"
            }
            Order::Time => "The same by the time they lived",
            Order::Place => "By the places that served them, which a replay finds out",
            Order::Stack => "By the numbers of their stacks",
        }
    }

    /// Whether the greatest come first.
    pub fn is_descending(self) -> bool {
        matches!(self, Order::Size | Order::Chunk | Order::Lifetime | Order::Time)
    }
}

/// Which allocations are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// How many.
    pub most: usize,
    /// Which first.
    pub order: Order,
    /// Those that would come last come first.
    pub is_reversed: bool,
    /// Those made in these records; what frees them later counts.
    pub range: Range,
    /// Only these.
    pub filter: Filter,
    /// Who served them, if a replay has found out: otherwise no filter by places lets any through.
    pub servings: Option<&'a Servings>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// How many allocations are as wanted.
    pub matching: u64,
    /// The bytes they asked for.
    pub matching_bytes: u64,
    /// How many allocations there are, with those that the filter leaves out.
    pub all: u64,
    /// The bytes these asked for.
    pub all_bytes: u64,
    /// The end of the trace, which is the end of what lived then.
    pub end: When,
    /// Those that come first.
    pub rows: Rows,
    /// Whether the trace has times.
    pub has_clock: bool,
    /// Whether it is known who served them.
    pub has_places: bool,
    /// What of the trace is damaged and was left out.
    pub damage: Vec<String>,
}

impl Listing {
    /// How many there are, and of how many.
    pub fn said(&self) -> String {
        let one = |times, size| format!("{} allocations of {}", count(times), bytes(size));
        let matching = one(self.matching, self.matching_bytes);
        if self.matching == self.all {
            return matching;
        }
        format!("{matching}, out of {}", one(self.all, self.all_bytes))
    }
}

/// Reads a trace to its end and lists the allocations that are wanted.
///
/// # Errors
///
/// When the trace cannot be read. What is damaged costs itself, and is told.
pub fn allocations<R: Read + Seek>(
    reader: &mut Reader<R>,
    wanted: Wanted<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Listing, Error> {
    let mut first = First::new(wanted.most.min(MOST), wanted.order, wanted.is_reversed);
    let mut listing = Listing { has_places: wanted.servings.is_some(), ..Listing::default() };
    let mut found = |allocation: Allocation, end: When| {
        listing.all += 1;
        listing.all_bytes = listing.all_bytes.saturating_add(allocation.request);
        let served_from = wanted.servings.and_then(|servings| servings.of(allocation.made.record));
        if !wanted.filter.selects(&allocation, end, wanted.servings) {
            return;
        }
        listing.matching += 1;
        listing.matching_bytes = listing.matching_bytes.saturating_add(allocation.request);
        first.add(&Allocation { served_from, ..allocation }, end);
    };
    let end = walk::each(reader, wanted.range, progress, &mut found)?;
    let rows = first.finish();
    Ok(Listing { rows, end: end.at, has_clock: end.has_clock, damage: end.damage, ..listing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_traces::header::Heap;
    use malloscope_traces::{Call, Ending, Header, Nanos, Placed, Pointer, Record, Thread, Writer};
    use std::io::Cursor;

    fn listing(wanted: Wanted<'_>) -> Listing {
        listing_of(true, wanted)
    }

    fn listing_of(placements: bool, wanted: Wanted<'_>) -> Listing {
        let heap = Heap { placements, ..Heap::default() };
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

    const ALL: Wanted<'_> = Wanted {
        most: 10,
        order: Order::Size,
        is_reversed: false,
        range: Range::ALL,
        filter: Filter {
            thread: None,
            sizes: None,
            lifetime: None,
            places: None,
            freed_to: None,
            stack: None,
        },
        servings: None,
    };

    fn made(wanted: Wanted<'_>) -> Vec<u64> {
        listing(wanted).rows.iter().map(|allocation| allocation.made.record).collect()
    }

    #[test]
    fn those_that_come_first_are_kept_and_all_are_counted() {
        assert_eq!(made(ALL), [1, 4, 0, 3]);
        assert_eq!(made(Wanted { order: Order::Lifetime, ..ALL }), [0, 3, 4, 1]);
        assert_eq!(made(Wanted { order: Order::Made, ..ALL }), [0, 1, 3, 4]);
        let two = listing(Wanted { most: 2, ..ALL });
        assert_eq!((two.matching, two.matching_bytes, two.rows.len()), (4, 2150, 2));
        assert_eq!(made(Wanted { most: 2, order: Order::Made, ..ALL }), [0, 1]);
    }

    #[test]
    fn only_what_is_wanted_is_listed() {
        let only = |filter: Filter| made(Wanted { filter, ..ALL });
        let live = |text: &str| only(Filter { lifetime: text.parse().ok(), ..Filter::default() });
        assert_eq!(live("never-freed"), [4, 3]);
        assert_eq!((live("3.."), live("..3")), (vec![4, 0, 3], vec![1]));
        assert_eq!(only(Filter { thread: Some(1), ..Filter::default() }), [1, 3]);
        assert_eq!(only(Filter { sizes: "100..".parse().ok(), ..Filter::default() }), [1, 4, 0]);
        assert_eq!(only(Filter { sizes: "50..1000".parse().ok(), ..Filter::default() }), [0, 3]);
        let one = listing(Wanted { filter: Filter { thread: Some(1), ..Filter::default() }, ..ALL });
        assert_eq!((one.matching, one.matching_bytes, one.all, one.all_bytes), (2, 1050, 4, 2150));
        assert_eq!(made(Wanted { range: Range::new(1, 4).unwrap(), ..ALL }), [1, 3]);
    }

    #[test]
    fn where_a_trace_does_not_say_where_chunks_were_nobody_does() {
        let rows = listing_of(false, ALL).rows;
        assert!(rows.len() == 4 && rows.iter().all(|one| one.address.is_none()));
    }

    #[test]
    fn an_allocation_knows_where_it_was_and_how_long_it_lived() {
        let listing = listing(ALL);
        let [first, second] = [0, 1].map(|place| listing.rows.get(place).unwrap());
        assert_eq!((first.address, first.chunk, first.thread), (Some(0x200), Some(1024), 1));
        assert_eq!(first.lifetime(listing.end).record, 1);
        assert_eq!((second.freed, second.lifetime(listing.end).record), (None, 3));
    }
}
