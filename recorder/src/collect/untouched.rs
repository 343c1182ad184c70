//! Which memory a process never touched: what is seen of its pages at its end, and what its calls say of them.

use std::collections::HashMap;
use std::fs;

use malloscope_traces::untouched::{Earlier, Untouched};
use malloscope_traces::{Call, Record};

use crate::attach::target;
use crate::heap::copy::{PAGE, Range};
use crate::heap::maps::{self, Mapped, Pages};

/// How much memory is looked at, at most: a process waits for it.
const MOST: u64 = 4 << 30;

/// The bit of a chunk's head that says that it has a mapping of its own.
const IS_MMAPPED: u64 = 2;

/// How many places are kept at which the program break came to rest.
const MOST_GIVEN_BACK: usize = 1 << 12;

/// How many changes of an allocation are kept.
const MOST_CHANGES: usize = 64;

/// How many parts are kept of what was seen before it was given back; of more, nothing is known.
const MOST_PARTS: usize = 1 << 16;

/// How many holes are told of allocations with mappings of their own. Those of a program that says that all of them lie
/// everywhere are without number.
const MOST_HOLES: usize = 1 << 20;

/// How far into a page the payload of such a chunk begins.
const PAYLOAD: u64 = 0x10;

/// What is seen of a process's memory.
#[derive(Debug, Default)]
pub struct Look {
    heap: Vec<Range>,
    /// Parts of the heap and of other memory without a file that no memory is behind, in their order.
    holes: Vec<Range>,
}

impl Look {
    /// Looks at a process; `None` if we may not, or it is gone.
    pub fn at(pid: u32) -> Option<Look> {
        let pages = Pages::of(pid)?;
        let mapped = maps::parse(&fs::read_to_string(format!("/proc/{pid}/maps")).ok()?);
        let is_heap = |mapped: &&Mapped| mapped.name == "[heap]";
        let heap = mapped.iter().filter(is_heap).map(|mapped| mapped.range).collect();
        let mut holes = Vec::new();
        let mut left = MOST;
        for Mapped { range, .. } in mapped.iter().filter(|mapped| is_malloc_like(mapped)) {
            let Some(still_left) = left.checked_sub(range.length()) else { continue };
            left = still_left;
            let mut from = range.start;
            for present in pages.within(*range)?.present {
                holes.push(Range { start: from, end: present.start });
                from = present.end;
            }
            holes.push(Range { start: from, end: range.end });
        }
        holes.retain(|hole| hole.length() > 0);
        Some(Look { heap, holes })
    }

    /// The holes within a range.
    fn within(&self, range: Range) -> impl Iterator<Item = (u64, u64)> + '_ {
        let first = self.holes.partition_point(|hole| hole.end <= range.start);
        let holes = self.holes.get(first..).unwrap_or_default().iter();
        holes
            .take_while(move |hole| hole.start < range.end)
            .map(move |hole| (hole.start.max(range.start), hole.end.min(range.end)))
    }
}

/// Whether a process may ask the kernel of its own pages: it has no filter of system calls that it may die of, and
/// nothing in swap, of which it would be told that it is not there.
pub fn may_look(pid: u32) -> bool {
    let status = target::told(pid, "status");
    let is = |name: &str, value: &str| target::value_in(&status, name) == Some(value);
    is("Seccomp", "0") && is("VmSwap", "0 kB")
}

fn is_malloc_like(mapped: &Mapped) -> bool {
    mapped.is_private_and_writable && mapped.is_anonymous()
}

/// What the calls say of pages: which were given back, and which mapping is whose.
#[derive(Debug, Default)]
pub struct Ledger {
    program_break: u64,
    /// See [`Untouched::given_back`].
    given_back: Vec<(u64, u64)>,
    /// Each allocation with a mapping of its own, by its payload: the records that made it what it is, the latest
    /// last. When it was made longer or shorter, its pages went along.
    mapped: HashMap<u64, Vec<Made>>,
    /// See [`Untouched::mapped`]: of allocations that are gone.
    gone: Vec<(u64, u64, u64)>,
    /// See [`Untouched::earlier`].
    earlier: Vec<Earlier>,
}

/// An allocation with a mapping of its own, as a record made it.
#[derive(Clone, Copy, Debug)]
struct Made {
    number: u64,
    payload: u64,
    end: u64,
}

impl Ledger {
    /// The next record, with its number.
    #[inline]
    pub fn see(&mut self, number: u64, record: &Record) {
        if record.program_break != self.program_break {
            self.see_break(number, record.program_break);
        }
        let before = match record.call {
            Call::Free { pointer } => self.taken(pointer.address),
            Call::Realloc { old, .. } | Call::Reallocarray { old, .. } => self.taken(old.address),
            Call::Trim { .. } => {
                self.give_back(number, 0);
                None
            }
            _ => None,
        };
        if let Some(placed) = record.call.placed()
            && placed.head & IS_MMAPPED != 0
        {
            let payload = placed.pointer.address;
            let end = payload.saturating_sub(PAYLOAD).saturating_add(placed.head & !7);
            let mut made = before.unwrap_or_default();
            made.push(Made { number, payload, end });
            // Of one that changes again and again, the latest will do.
            if made.len() > MOST_CHANGES {
                made.remove(0);
            }
            self.mapped.insert(payload, made);
        }
    }

    #[cold]
    fn see_break(&mut self, number: u64, now: u64) {
        if now < self.program_break {
            self.give_back(number, now);
        }
        self.program_break = now;
    }

    fn give_back(&mut self, number: u64, from: u64) {
        let below = self.given_back.partition_point(|&(earlier, _)| earlier < from);
        self.given_back.truncate(below);
        // What came before this record, or is it, is not known.
        self.given_back.push((from, number + 1));
        if self.given_back.len() > MOST_GIVEN_BACK {
            // Of two, the lower break counts for the records before the later: less is known then, and nothing wrong.
            let pairs = self.given_back.chunks(2);
            let merged = pairs.filter_map(|pair| Some((pair.first()?.0, pair.last()?.1)));
            self.given_back = merged.collect();
        }
    }

    /// The next record, with this number, gives memory back, and there was none behind this part of it: of the
    /// mapping of this payload, or of the main heap if that is 0.
    #[cold]
    pub fn see_untouched(&mut self, number: u64, payload: u64, hole: Range) {
        if hole.start >= hole.end {
            return;
        }
        if payload == 0 {
            self.see_hole_of_heap(number, hole);
        } else if self.gone.len() < MOST_PARTS
            && let Some(made) = self.mapped.get(&payload)
        {
            let holes = made.iter().filter_map(|made| made.hole(payload, hole));
            self.gone.extend(holes);
        }
    }

    fn see_hole_of_heap(&mut self, number: u64, hole: Range) {
        let first = self.given_back.partition_point(|&(from, _)| from <= hole.start);
        let mut since = first.checked_sub(1).map_or(0, |last| self.given_back[last].1);
        let mut start = hole.start;
        for &(from, before) in self.given_back[first..].iter().take_while(|&&(from, _)| from < hole.end) {
            self.earlier.push(Earlier { start, end: from, since, before: number });
            (start, since) = (from, before);
        }
        self.earlier.push(Earlier { start, end: hole.end, since, before: number });
        self.earlier.truncate(MOST_PARTS);
    }

    #[inline]
    fn taken(&mut self, address: u64) -> Option<Vec<Made>> {
        if address % PAGE == PAYLOAD { self.mapped.remove(&address) } else { None }
    }

    /// What is known to be untouched.
    pub fn told(self, look: &Look) -> Untouched {
        let heap = look.heap.iter().flat_map(|&range| look.within(range)).collect();
        let blocks = self.mapped.into_iter();
        let made = blocks.flat_map(|(now, made)| made.into_iter().map(move |made| (now, made)));
        let holes = made.flat_map(|(now, made)| {
            let holes = look.within(made.range(now));
            holes.filter_map(move |(start, end)| made.hole(now, Range { start, end }))
        });
        let mut mapped: Vec<(u64, u64, u64)> = holes.take(MOST_HOLES).chain(self.gone).collect();
        mapped.sort_unstable();
        Untouched { heap, given_back: self.given_back, mapped, earlier: self.earlier }
    }
}

impl Made {
    /// Where its pages are if its payload is here now.
    fn range(self, now: u64) -> Range {
        Range { start: now, end: now.saturating_add(self.end.saturating_sub(self.payload)) }
    }

    /// What this hole is of it, whose payload is here now: its record, and from where to where it was then.
    fn hole(self, now: u64, hole: Range) -> Option<(u64, u64, u64)> {
        let range = self.range(now);
        let (start, end) = (hole.start.max(range.start), hole.end.min(range.end));
        let then = |address: u64| address - now + self.payload;
        (start < end).then(|| (self.number, then(start), then(end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_traces::{Nanos, Placed, Pointer, Thread};

    fn record(program_break: u64, call: Call) -> Record {
        Record { time: Nanos(0), thread: Thread(0), program_break, call }
    }

    fn malloc(request: u64, address: u64, head: u64) -> Call {
        Call::Malloc { request, to: Placed { pointer: Pointer::seen(address), head } }
    }

    fn realloc(from: u64, to: u64, head: u64) -> Call {
        let to = Placed { pointer: Pointer::seen(to), head };
        Call::Realloc { old: Pointer::seen(from), request: 0, to }
    }

    fn free(address: u64) -> Call {
        Call::Free { pointer: Pointer::seen(address) }
    }

    #[test]
    fn calls_say_what_was_given_back_and_which_mapping_is_whose() {
        let mut ledger = Ledger::default();
        let calls = [
            record(0x1_0000, malloc(8, 0x8010, 0x21)),
            record(0x3_0000, malloc(0x2_0000, 0x9010, 0x2_0011)),
            record(0x2_0000, free(0x9010)),
            record(0x2_8000, malloc(0x8000, 0x9010, 0x8011)),
            record(0x2_4000, free(0x9010)),
            record(0x2_4000, malloc(0x3_0000, 0x7f00_0010, 0x3_1002)),
            record(0x2_4000, malloc(0x3_0000, 0x7f10_0010, 0x3_1002)),
            record(0x2_4000, free(0x7f00_0010)),
            record(0x2_2000, free(0x8010)),
            record(0x2_2000, realloc(0x7f10_0010, 0x7f20_0010, 0x5_1002)),
        ];
        // Before the break falls, and the mapping goes.
        let holes = [
            (2, 0, 0x2_1000, 0x2_8000),
            (4, 0, 0x1_f000, 0x2_3000),
            (7, 0x7f00_0010, 0x7f00_1000, 0x7f04_0000),
        ];
        for (number, record) in (0..).zip(&calls) {
            for (_, payload, start, end) in holes.iter().filter(|&&(before, ..)| before == number) {
                ledger.see_untouched(number, *payload, Range { start: *start, end: *end });
            }
            ledger.see(number, record);
        }
        let look = Look {
            heap: vec![Range { start: 0x8000, end: 0x2_2000 }],
            holes: vec![
                Range { start: 0xa000, end: 0xc000 },
                Range { start: 0x2_1000, end: 0x2_2000 },
                Range { start: 0x7f00_0000, end: 0x7f01_0000 },
                Range { start: 0x7f20_1000, end: 0x7f28_0000 },
            ],
        };
        let told = ledger.told(&look);
        assert_eq!(told.heap, [(0xa000, 0xc000), (0x2_1000, 0x2_2000)]);
        assert_eq!(told.given_back, [(0x2_0000, 3), (0x2_2000, 9)]);
        let earlier = |start, end, since, before| Earlier { start, end, since, before };
        let expected = [
            earlier(0x2_1000, 0x2_8000, 0, 2),
            earlier(0x1_f000, 0x2_0000, 0, 4),
            earlier(0x2_0000, 0x2_3000, 3, 4),
        ];
        assert_eq!(told.earlier, expected);
        let gone = (5, 0x7f00_1000, 0x7f03_1000);
        assert_eq!(told.mapped, [gone, (6, 0x7f10_1000, 0x7f13_1000), (9, 0x7f20_1000, 0x7f25_1000)]);
    }

    #[test]
    fn a_break_that_moves_without_end_is_kept_within_bounds() {
        let mut ledger = Ledger::default();
        let moves = 3 * MOST_GIVEN_BACK as u64;
        for number in 0..moves {
            let rests = 0x1000 * number;
            ledger.see(2 * number, &record(u64::MAX, malloc(8, 0x8010, 0x21)));
            ledger.see(2 * number + 1, &record(rests, free(0x8010)));
        }
        let told = ledger.told(&Look::default());
        assert!(told.given_back.len() <= MOST_GIVEN_BACK);
        assert!(told.given_back.is_sorted());
        // What is left out makes less known, not more: for every record, pages are given back from where they were.
        for number in (0..moves).step_by(1000) {
            let from = told.given_back.iter().find(|&&(_, before)| before > 2 * number + 1).unwrap().0;
            assert!(from <= 0x1000 * number, "{number}");
        }
    }

    #[test]
    fn of_mappings_that_are_said_to_lie_everywhere_so_much_is_told_and_no_more() {
        let mut ledger = Ledger::default();
        for number in 0..10_000 {
            let call = malloc(1 << 40, PAGE * number + PAYLOAD, 1 << 40 | IS_MMAPPED);
            ledger.see(number, &record(0, call));
        }
        let holes = (0..10_000).map(|hole| Range { start: 0x100_0000 * hole, end: 0x100_0000 * hole + PAGE });
        let told = ledger.told(&Look { heap: Vec::new(), holes: holes.collect() });
        assert_eq!(told.mapped.len(), MOST_HOLES);
    }

    #[test]
    fn our_own_memory_has_holes_where_it_was_not_touched() {
        // So much has always a mapping of its own, which nobody has written to before (`DEFAULT_MMAP_THRESHOLD_MAX`).
        let (room, touched) = (1 << 26, 1 << 22);
        let mut memory = Vec::<u8>::with_capacity(room);
        let at = memory.as_ptr() as u64;
        memory.resize(touched, 1);
        let look = Look::at(std::process::id()).unwrap();
        let holes = |start: u64, end: u64| {
            look.within(Range { start, end }).map(|(start, end)| end - start).sum::<u64>()
        };
        let (behind, end) = (at + touched as u64, at + room as u64);
        assert_eq!(holes(at, behind), 0);
        // Where pages are huge, what was touched ends with one.
        assert!(holes(behind, end - 4096) > end - behind - (4 << 20));
    }
}
