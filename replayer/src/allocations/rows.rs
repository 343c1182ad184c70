//! Many allocations in little room, and of too many those that come first in an order.
//!
//! A row takes 53 bytes, as many as its numbers need: records are counted in five bytes (a trace of 2⁴⁰ records is
//! longer than any file), nanoseconds in seven (two years), sizes in six (no address space has more), threads in three. Rows are kept until there are some more than are wanted;
//! then those that come last go, all at once.

use super::{Allocation, Order, When};
use crate::served::ServedFrom;
use malloscope_traces::{Pointer, Stack};

/// The bit of a lifetime that says that it has ended.
const FREED: u64 = 1 << 39;

/// An allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    made: [u8; 5],
    /// In records, and whether it was freed.
    lived: [u8; 5],
    made_time: [u8; 7],
    lived_time: [u8; 7],
    request: [u8; 6],
    /// [`Pointer::UNKNOWN`] where that was not seen.
    address: [u8; 8],
    /// 0 where that was not seen.
    chunk: [u8; 6],
    thread: [u8; 3],
    stack: [u8; 4],
    served_from: [u8; 2],
}

const _: () = assert!(size_of::<Row>() == 53);

/// A number in some bytes; the greatest they can say, if they cannot say it.
fn packed<const N: usize>(number: u64) -> [u8; N] {
    let greatest = u64::MAX >> (64 - 8 * N);
    let bytes = number.min(greatest).to_le_bytes();
    std::array::from_fn(|place| bytes[place])
}

fn unpacked<const N: usize>(bytes: [u8; N]) -> u64 {
    let mut all = [0; 8];
    all[..N].copy_from_slice(&bytes);
    u64::from_le_bytes(all)
}

impl Row {
    fn of(allocation: &Allocation, end: When) -> Row {
        let lived = allocation.lifetime(end);
        let freed = if allocation.freed.is_some() { FREED } else { 0 };
        Row {
            made: packed(allocation.made.record),
            lived: packed(lived.record.min(FREED - 1) | freed),
            made_time: packed(allocation.made.time),
            lived_time: packed(lived.time),
            request: packed(allocation.request),
            address: packed(allocation.address.unwrap_or(Pointer::UNKNOWN)),
            chunk: packed(allocation.chunk.unwrap_or(0)),
            thread: packed(allocation.thread.into()),
            stack: allocation.stack.0.to_le_bytes(),
            served_from: ServedFrom::number_of(allocation.served_from).to_le_bytes(),
        }
    }

    fn allocation(self) -> Allocation {
        let made = When { record: unpacked(self.made), time: unpacked(self.made_time) };
        let lived = unpacked(self.lived);
        let freed =
            When { record: made.record + (lived & (FREED - 1)), time: made.time + unpacked(self.lived_time) };
        let (address, chunk) = (unpacked(self.address), unpacked(self.chunk));
        Allocation {
            made,
            freed: (lived & FREED != 0).then_some(freed),
            thread: self.thread(),
            request: unpacked(self.request),
            address: (address != Pointer::UNKNOWN).then_some(address),
            chunk: (chunk > 0).then_some(chunk),
            served_from: ServedFrom::of_number(u16::from_le_bytes(self.served_from)),
            stack: Stack(u32::from_le_bytes(self.stack)),
        }
    }

    fn thread(&self) -> u32 {
        let [low, middle, high] = self.thread;
        u32::from_le_bytes([low, middle, high, 0])
    }

    /// What it has in a column: what is not known is the least there is, what is not freed yet the greatest.
    fn key(&self, order: Order) -> u64 {
        match order {
            Order::Size => unpacked(self.request),
            Order::Chunk => unpacked(self.chunk),
            Order::Address => unpacked(self.address).wrapping_sub(Pointer::UNKNOWN),
            Order::Thread => self.thread().into(),
            Order::Made => unpacked(self.made),
            Order::Freed => match unpacked(self.lived) {
                lived if lived & FREED != 0 => unpacked(self.made) + (lived & (FREED - 1)),
                _ => u64::MAX,
            },
            Order::Lifetime => unpacked(self.lived) & (FREED - 1),
            Order::Time => unpacked(self.lived_time),
            Order::Place => u16::from_le_bytes(self.served_from).wrapping_add(1).into(),
            Order::Stack => u32::from_le_bytes(self.stack).into(),
        }
    }
}

/// Allocations, in an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    rows: Vec<Row>,
}

impl Rows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One of them.
    pub fn get(&self, place: usize) -> Option<Allocation> {
        self.rows.get(place).map(|row| row.allocation())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Allocation> + '_ {
        self.rows.iter().map(|row| row.allocation())
    }
}

/// Those that come first in an order, of all that are added.
#[derive(Debug)]
pub(super) struct First {
    most: usize,
    order: Order,
    is_reversed: bool,
    rows: Vec<Row>,
    /// What comes after this is not wanted.
    last: Option<(u64, u64)>,
}

impl First {
    /// No more than so many.
    pub(super) fn new(most: usize, order: Order, is_reversed: bool) -> First {
        First { most, order, is_reversed, rows: Vec::new(), last: None }
    }

    /// Of two, the one with the lesser rank comes first; of equals the one that was made first.
    fn rank(&self, row: &Row) -> (u64, u64) {
        let key = row.key(self.order);
        let falls = self.order.is_descending() != self.is_reversed;
        (if falls { u64::MAX - key } else { key }, unpacked(row.made))
    }

    /// Adds one; `end` is where it ends, or is seen last.
    pub(super) fn add(&mut self, allocation: &Allocation, end: When) {
        let row = Row::of(allocation, end);
        if self.most == 0 || self.last.is_some_and(|last| self.rank(&row) > last) {
            return;
        }
        self.rows.push(row);
        if self.rows.len() >= self.most + (self.most / 16).max(1024) {
            self.drop_last();
        }
    }

    /// Keeps as many as are wanted.
    fn drop_last(&mut self) {
        let Some(place) = self.most.checked_sub(1).filter(|_| self.rows.len() > self.most) else { return };
        let mut rows = std::mem::take(&mut self.rows);
        let (_, last, _) = rows.select_nth_unstable_by_key(place, |row| self.rank(row));
        self.last = Some(self.rank(last));
        rows.truncate(self.most);
        self.rows = rows;
    }

    /// Those that come first, in order.
    pub(super) fn finish(mut self) -> Rows {
        self.drop_last();
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_unstable_by_key(|row| self.rank(row));
        rows.shrink_to_fit();
        Rows { rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_allocator::observe::Source;

    fn allocation(number: u64) -> Allocation {
        // Some of everything, with equals.
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let made = When { record: number, time: 3 * number };
        let freed = When { record: number + 1 + mixed % 90, time: 3 * number + mixed % 1000 };
        let sources = [Source::Tcache(3), Source::Top, Source::Mapped];
        Allocation {
            made,
            freed: (!mixed.is_multiple_of(5)).then_some(freed),
            thread: u32::try_from(mixed % 3).unwrap(),
            request: mixed % 50,
            address: (!mixed.is_multiple_of(7)).then_some(mixed * 16),
            chunk: (!mixed.is_multiple_of(11)).then_some(mixed % 50 + 16),
            served_from: sources
                .get(usize::try_from(mixed % 4).unwrap())
                .map(|&source| ServedFrom::of(source)),
            stack: Stack(u32::try_from(mixed % 9).unwrap()),
        }
    }

    const END: When = When { record: 20_000, time: 60_000 };

    #[test]
    fn what_is_packed_is_unpacked_as_it_was() {
        for number in 0..5000 {
            let one = allocation(number);
            assert_eq!(Row::of(&one, END).allocation(), one);
        }
        let far = When { record: (1 << 39) - 2, time: (1 << 55) - 1 };
        let one = Allocation { made: far, request: (1 << 48) - 1, address: Some(!3), ..allocation(1) };
        let one = Allocation { thread: (1 << 24) - 1, chunk: Some(1 << 47), ..one };
        let freed = When { record: far.record + 1, time: far.time };
        let one = Allocation { freed: Some(freed), ..one };
        assert_eq!(Row::of(&one, END).allocation(), one);
    }

    #[test]
    fn those_that_come_first_are_those_of_all_sorted() {
        for order in Order::ALL {
            for is_reversed in [false, true] {
                let first = |most| {
                    let mut first = First::new(most, order, is_reversed);
                    (0..10_000).for_each(|number| first.add(&allocation(number), END));
                    first.finish()
                };
                let all: Vec<Allocation> = first(20_000).iter().collect();
                assert_eq!(all.len(), 10_000);
                for most in [0, 1, 7, 1500, 9999] {
                    let found: Vec<Allocation> = first(most).iter().collect();
                    assert_eq!(found, all[..most], "{order:?}");
                }
                let key = |one: &Allocation| Row::of(one, END).key(order);
                let falls = order.is_descending() != is_reversed;
                let is_in_order = |two: &[Allocation]| match key(&two[0]).cmp(&key(&two[1])) {
                    std::cmp::Ordering::Equal => two[0].made < two[1].made,
                    ordering => ordering.is_gt() == falls,
                };
                assert!(all.windows(2).all(is_in_order), "{order:?}");
            }
        }
    }
}
