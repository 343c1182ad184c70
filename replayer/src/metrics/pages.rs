//! How long free pages wait: from when the last live byte of a page went, until it goes back to the kernel or something
//! lives on it again.
//!
//! A page of an arena begins to wait when no live chunk lies on it any more. Its wait ends when it is *returned*, by the
//! program break, by a segment that goes or shrinks, or by `malloc_trim`; or when it is *reused*, by a chunk that comes
//! to lie on it. What waits at the end of the run never was either. Chunks with mappings of their own are not counted:
//! they go back at once.
//!
//! Percentiles are right to an eighth. They are of time as it was recorded; where no time passed there is nothing to say.

use crate::histogram::Histogram;
use malloscope_allocator::address::Address;
use serde::{Deserialize, Serialize};

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Pages of a table, as a number and as a length.
const TABLE: u64 = 512;
const LENGTH: usize = 512;
/// Steps of each power of two, as a power of two.
const STEPS_LOG: u32 = 3;
/// No address is as high.
const END: u64 = 1 << 47;
/// Longer chunks of arenas are left out: a trace may ask for more than there are pages to count.
const LONGEST: u64 = 1 << 30;

/// What lies on a page, in a word: how many live chunks, with the highest bit; or if none does that ever did, since when.
#[derive(Clone, Copy, Debug)]
struct Page(u64);

impl Page {
    const LIVES: u64 = 1 << 63;
    /// Nothing lives there, and nobody waits for it.
    const IDLE: Page = Page(Page::LIVES);

    /// One more chunk lives there. How long the page has waited by now, if it has.
    #[inline]
    fn add(&mut self, time: u64) -> Option<u64> {
        let waited = self.end(time);
        self.0 += 1;
        waited
    }

    /// One chunk less lives there. Whether the page begins to wait.
    #[inline]
    fn take(&mut self, time: u64) -> bool {
        if self.0 <= Page::LIVES {
            return false;
        }
        self.0 -= 1;
        let begins = self.0 == Page::LIVES;
        if begins {
            *self = Page(time & !Page::LIVES);
        }
        begins
    }

    /// If the page waits, it does so no more: how long it has.
    #[inline]
    fn end(&mut self, time: u64) -> Option<u64> {
        let since = (self.0 & Page::LIVES == 0).then_some(self.0)?;
        *self = Page::IDLE;
        // Of calls that overlapped, one may carry an earlier time than the one before it.
        Some(time.saturating_sub(since))
    }
}

type Table = Box<[Page; LENGTH]>;

/// The pages of all arenas.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    tables: Tables,
    /// Pages that wait now.
    waiting: u64,
    returned: Histogram,
    reused: Histogram,
}

/// Tables of pages, of both halves of memory.
#[derive(Clone, Debug)]
struct Tables {
    /// From where the main heap begins upward.
    low: Vec<Option<Table>>,
    /// From the end of all memory downward: there are the segments of arenas.
    high: Vec<Option<Table>>,
    /// The number of the first low table.
    start: u64,
}

impl Tables {
    /// The half that a table is in, and its place there.
    #[inline]
    fn place(&self, table: u64) -> (bool, usize) {
        let end = END / PAGE / TABLE;
        if table >= end / 8 * 7 {
            (true, place(end - 1 - table))
        } else {
            (false, place(table.wrapping_sub(self.start)))
        }
    }

    /// The table of this number.
    #[inline]
    fn get_mut(&mut self, table: u64) -> Option<&mut [Page; LENGTH]> {
        let (is_high, place) = self.place(table);
        let half = if is_high { &mut self.high } else { &mut self.low };
        half.get_mut(place)?.as_deref_mut()
    }

    /// The pages from one up to another, those of a table at a time; tables that there are not are left out.
    #[inline]
    fn each(&mut self, (mut page, end): (u64, u64), mut f: impl FnMut(&mut Page)) {
        // Most chunks lie on one page.
        if end == page + 1 {
            return if let Some(table) = self.get_mut(page / TABLE) {
                f(&mut table[place(page % TABLE)])
            };
        }
        while page < end {
            let (table, next) = (page / TABLE, (page / TABLE + 1) * TABLE);
            if let Some(table) = self.get_mut(table) {
                let last = if next <= end { LENGTH } else { place(end % TABLE) };
                table[place(page % TABLE)..last].iter_mut().for_each(&mut f);
            }
            page = next;
        }
    }
}

impl Pages {
    /// None yet, of a heap that begins here.
    pub(super) fn new(start: Address) -> Pages {
        let empty = Histogram::new(STEPS_LOG, u64::BITS);
        let tables = Tables { low: Vec::new(), high: Vec::new(), start: start.0 / PAGE / TABLE };
        Pages { tables, waiting: 0, returned: empty.clone(), reused: empty }
    }

    /// Whether there is room to count the pages of a chunk.
    #[inline]
    pub(super) fn has_room(&mut self, chunk: Address, size: u64) -> bool {
        let (first, end) = span(chunk, size);
        let mut tables = first / TABLE..end.div_ceil(TABLE);
        tables.all(|table| self.tables.get_mut(table).is_some() || table < self.tables.start)
    }

    /// Makes room for the pages of a chunk. There is none below where the heap began.
    #[cold]
    pub(super) fn make_room(&mut self, chunk: Address, size: u64) {
        let (first, end) = span(chunk, size);
        for table in (first / TABLE).max(self.tables.start)..end.div_ceil(TABLE) {
            let (is_high, place) = self.tables.place(table);
            let half = if is_high { &mut self.tables.high } else { &mut self.tables.low };
            if place >= half.len() {
                half.resize_with((place + 1).next_power_of_two(), || None);
            }
            half[place].get_or_insert_with(|| Box::new([Page::IDLE; LENGTH]));
        }
    }

    /// A chunk lives, for which there is room.
    #[inline]
    pub(super) fn insert(&mut self, chunk: Address, size: u64, time: u64) {
        let Pages { tables, waiting, reused, .. } = self;
        tables.each(span(chunk, size), |page| {
            if let Some(waited) = page.add(time) {
                *waiting -= 1;
                reused.count(waited);
            }
        });
    }

    /// A chunk lives no more.
    #[inline]
    pub(super) fn remove(&mut self, chunk: Address, size: u64, time: u64) {
        let Pages { tables, waiting, .. } = self;
        tables.each(span(chunk, size), |page| *waiting += u64::from(page.take(time)));
    }

    /// Memory went back to the kernel: whole pages of it.
    #[cold]
    pub(super) fn give_back(&mut self, at: Address, length: u64, time: u64) {
        let whole = (at.0.div_ceil(PAGE), at.0.saturating_add(length).min(END) / PAGE);
        let Pages { tables, waiting, returned, .. } = self;
        tables.each(whole, |page| {
            if let Some(waited) = page.end(time) {
                *waiting -= 1;
                returned.count(waited);
            }
        });
    }

    /// What was counted so far does not count; what waits goes on.
    pub(super) fn restart(&mut self) {
        self.returned.clear();
        self.reused.clear();
    }

    /// How long they have waited.
    pub(super) fn waits(&self) -> Waits {
        Waits { returned: Wait::of(&self.returned), reused: Wait::of(&self.reused), waiting: self.waiting }
    }
}

/// The first page of a chunk, and the one behind its last; none of one that is too long, or where no memory is.
#[inline]
fn span(chunk: Address, size: u64) -> (u64, u64) {
    let end = chunk.0.saturating_add(size);
    if size > LONGEST || end > END {
        return (0, 0);
    }
    (chunk.0 / PAGE, end.div_ceil(PAGE))
}

/// A number of a page or a table as an index.
#[inline]
fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// How long free pages waited. Numbers of pages; a page counts each time that it begins to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// Those that went back to the kernel.
    pub returned: Wait,
    /// Those that something came to live on.
    pub reused: Wait,
    /// Those that still waited at the end.
    pub waiting: u64,
}

impl Waits {
    /// All that ever waited.
    pub fn all(&self) -> u64 {
        self.returned.pages + self.reused.pages + self.waiting
    }
}

/// How long some pages waited, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// How many did.
    pub pages: u64,
    /// Half of them waited no longer.
    pub p50: u64,
    /// Nine of ten.
    pub p90: u64,
    /// The longest.
    pub longest: u64,
}

impl Wait {
    fn of(waits: &Histogram) -> Wait {
        Wait { pages: waits.number(), p50: waits.at(500), p90: waits.at(900), longest: waits.greatest() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_waits_from_its_last_live_byte_until_it_is_returned_or_reused() {
        let start = Address(0x5555_5556_0000);
        let mut pages = Pages::new(start);
        let insert = |pages: &mut Pages, offset: u64, size: u64, time: u64| {
            if !pages.has_room(start + offset, size) {
                pages.make_room(start + offset, size);
            }
            pages.insert(start + offset, size, time);
        };
        insert(&mut pages, 0, 4096 + 32, 1);
        insert(&mut pages, 4096 + 32, 4096, 2);
        pages.remove(start, 4096 + 32, 10);
        // The second page still has the other chunk.
        assert_eq!((pages.waits().waiting, pages.waits().all()), (1, 1));
        insert(&mut pages, 64, 32, 13);
        assert_eq!(pages.waits().reused, Wait { pages: 1, p50: 3, p90: 3, longest: 3 });
        pages.remove(start + 4096 + 32, 4096, 20);
        // A page that goes in part stays.
        pages.give_back(start + 4096 + 1, 8191, 25);
        assert_eq!(pages.waits().returned, Wait { pages: 1, p50: 5, p90: 5, longest: 5 });
        assert_eq!(pages.waits().waiting, 1);
        pages.restart();
        assert_eq!((pages.waits().all(), pages.waits().waiting), (1, 1));
    }

    #[test]
    fn what_is_said_to_lie_where_no_memory_is_has_no_pages() {
        let mut pages = Pages::new(Address(0x5555_5556_0000));
        for chunk in [END - 16, END, 1 << 50, u64::MAX - 16].map(Address) {
            if !pages.has_room(chunk, 32) {
                pages.make_room(chunk, 32);
            }
            pages.insert(chunk, 32, 1);
            pages.remove(chunk, 32, 2);
            pages.give_back(chunk, 1 << 20, 3);
        }
        assert_eq!(pages.waits().all(), 0);
    }

    #[test]
    fn segments_lie_at_the_other_end_of_memory() {
        let mut pages = Pages::new(Address(0x5555_5556_0000));
        let chunk = Address(0x7fff_f000_0000);
        pages.make_room(chunk, 3 << 21);
        pages.insert(chunk, 3 << 21, 0);
        pages.remove(chunk, 3 << 21, 4);
        assert_eq!(pages.waits().waiting, 3 << 9);
        pages.give_back(chunk - 4096, 4 << 21, 8);
        assert_eq!((pages.waits().waiting, pages.waits().returned.pages), (0, 3 << 9));
        // Where nothing ever lived, nothing waits.
        pages.give_back(Address(0x1000), 1 << 30, 9);
        assert_eq!(pages.waits().all(), 3 << 9);
    }
}
