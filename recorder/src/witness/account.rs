//! What a process had from the kernel for its malloc, kept up call by call: how often, and which pages.
//!
//! A page counts as a fault when it is given back, or at the end, if memory is behind it then: pages come one
//! by one, at their first touch, and until then there is nothing. So every first touch is seen, without
//! looking at the moment when it happens. The most pages at any time are there just before some are given back,
//! or at the end.

use super::tracee::Call;
use crate::heap::copy::{PAGE, Range};
use std::collections::BTreeMap;

/// Whose pages hold memory.
pub trait Pages {
    /// Bytes of a range that hold memory.
    fn within(&self, range: Range) -> u64;
    /// Bytes of the whole process that hold memory of no file, or nearly.
    fn anonymous(&self) -> u64;
}

/// How often malloc asked the kernel for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// `brk` that moved the program break up.
    pub break_grown: u64,
    /// `brk` that moved it down.
    pub break_trimmed: u64,
    /// Bytes that it was moved up, all in all.
    pub break_grown_bytes: u64,
    /// Bytes that it was moved down.
    pub break_trimmed_bytes: u64,
    /// `mmap`.
    pub mmap: u64,
    /// `munmap`.
    pub munmap: u64,
    /// `mremap`.
    pub mremap: u64,
    /// `mprotect`.
    pub mprotect: u64,
    /// `madvise`.
    pub madvise: u64,
    /// Those that the kernel refused; they count above too.
    pub refused: u64,
}

/// What is known of malloc's memory so far.
#[derive(Debug, Default)]
pub struct Account {
    /// How often it asked for what.
    pub calls: Calls,
    /// First touches of pages that have been given back since, and at the end of all.
    pub faults: u64,
    /// The most bytes that were resident at any time.
    pub peak: u64,
    /// Bytes that are resident at the end; `None` before.
    pub at_end: Option<u64>,
    /// The mappings of malloc, by where they begin.
    mappings: BTreeMap<u64, u64>,
    /// Where the program break began, and where it is; `None` before it was first asked for.
    program_break: Option<Range>,
    /// Resident bytes outside malloc's memory, at least: as of the last look, less what may have gone since.
    elsewhere: u64,
}

/// A share of the peak that is not worth looking for: one in so many.
const WORTHWHILE: u64 = 1000;

impl Account {
    /// Whether some of a range is malloc's.
    pub fn holds(&self, range: Range) -> bool {
        self.within(range).next().is_some() || self.heap().is_some_and(|heap| overlap(heap, range).is_some())
    }

    /// The main heap.
    fn heap(&self) -> Option<Range> {
        self.program_break.filter(|heap| heap.length() > 0)
    }

    /// The parts of a range that are in malloc's mappings.
    fn within(&self, range: Range) -> impl Iterator<Item = Range> + '_ {
        let before = self.mappings.range(..range.start).next_back();
        let from = self.mappings.range(range.start..range.end);
        before.into_iter().chain(from).filter_map(move |(&start, &end)| overlap(Range { start, end }, range))
    }

    /// Everything that is malloc's.
    fn all(&self) -> impl Iterator<Item = Range> + '_ {
        self.mappings.iter().map(|(&start, &end)| Range { start, end }).chain(self.heap())
    }

    /// Looks at all pages if there may be more than ever before: to be called before some are given back.
    fn look(&mut self, pages: &dyn Pages) {
        let most = self.all().map(|range| range.length()).sum::<u64>();
        let most = most.min(pages.anonymous().saturating_sub(self.elsewhere));
        if most > self.peak + self.peak / WORTHWHILE {
            self.look_closely(pages);
        }
    }

    fn look_closely(&mut self, pages: &dyn Pages) -> u64 {
        let resident = self.all().map(|range| pages.within(range)).sum::<u64>();
        self.elsewhere = pages.anonymous().saturating_sub(resident);
        self.peak = self.peak.max(resident);
        resident
    }

    /// Pages outside malloc's memory may go.
    pub fn gone_elsewhere(&mut self, bytes: u64) {
        self.elsewhere = self.elsewhere.saturating_sub(bytes);
    }

    /// Parts of malloc's memory are about to be given back.
    fn give_back(&mut self, ranges: &[Range], pages: &dyn Pages) {
        self.look(pages);
        let touched = ranges.iter().map(|&range| pages.within(range)).sum::<u64>();
        self.faults += touched / PAGE;
    }

    /// A call of malloc is about to be made.
    pub fn entering(&mut self, call: &Call, pages: &dyn Pages) {
        let [first, second, third, fourth, ..] = call.arguments;
        let range = Range { start: first, end: first.saturating_add(second) };
        let lost: Vec<Range> = match call.number {
            libc::SYS_brk => self.trimmed(first).into_iter().collect(),
            libc::SYS_munmap => self.within(range).collect(),
            libc::SYS_mmap if fourth & FIXED != 0 => self.within(range).collect(),
            libc::SYS_madvise if third == DONT_NEED => {
                self.within(range).chain(self.in_heap(range)).collect()
            }
            libc::SYS_mremap if third < second => {
                self.within(Range { start: first.saturating_add(third), ..range }).collect()
            }
            _ => Vec::new(),
        };
        if !lost.is_empty() {
            self.give_back(&lost, pages);
        }
    }

    fn in_heap(&self, range: Range) -> Option<Range> {
        overlap(self.heap()?, range)
    }

    /// Which pages go when the program break moves there.
    fn trimmed(&self, to: u64) -> Option<Range> {
        let heap = self.heap()?;
        let start = to.next_multiple_of(PAGE);
        (to >= heap.start && start < heap.end).then_some(Range { start, end: heap.end })
    }

    /// A call of malloc has been made, and returned this.
    pub fn returned(&mut self, call: &Call, value: i64) {
        let [first, second, third, ..] = call.arguments;
        let is_refused = (-4095..0).contains(&value);
        if call.number == libc::SYS_brk {
            self.moved(value.cast_unsigned(), first);
            return;
        }
        let calls = &mut self.calls;
        *match call.number {
            libc::SYS_mmap => &mut calls.mmap,
            libc::SYS_munmap => &mut calls.munmap,
            libc::SYS_mremap => &mut calls.mremap,
            libc::SYS_mprotect => &mut calls.mprotect,
            libc::SYS_madvise => &mut calls.madvise,
            _ => return,
        } += 1;
        if is_refused {
            calls.refused += 1;
            return;
        }
        let at = value.cast_unsigned();
        match call.number {
            libc::SYS_mmap => {
                self.cut(Range { start: at, end: at.saturating_add(second) });
                self.mappings.insert(at, at.saturating_add(second));
            }
            libc::SYS_munmap => self.cut(Range { start: first, end: first.saturating_add(second) }),
            libc::SYS_mremap => {
                self.cut(Range { start: first, end: first.saturating_add(second) });
                self.mappings.insert(at, at.saturating_add(third));
            }
            _ => {}
        }
    }

    /// The program break is there now; it was asked to be `wanted`, 0 if it was only asked for.
    fn moved(&mut self, now: u64, wanted: u64) {
        let Some(heap) = &mut self.program_break else {
            self.program_break = Some(Range { start: now, end: now });
            return;
        };
        let calls = &mut self.calls;
        if now > heap.end {
            calls.break_grown += 1;
            calls.break_grown_bytes += now - heap.end;
        } else if now < heap.end {
            calls.break_trimmed += 1;
            calls.break_trimmed_bytes += heap.end - now;
        } else if wanted != 0 && wanted != now {
            calls.refused += 1;
        }
        heap.end = now;
    }

    /// A range is no longer malloc's.
    fn cut(&mut self, range: Range) {
        for part in self.within(range).collect::<Vec<_>>() {
            let Some((&start, &end)) = self.mappings.range(..=part.start).next_back() else { continue };
            self.mappings.remove(&start);
            if start < part.start {
                self.mappings.insert(start, part.start);
            }
            if part.end < end {
                self.mappings.insert(part.end, end);
            }
        }
    }

    /// The process ends, or becomes another program.
    pub fn end(&mut self, pages: &dyn Pages) {
        self.at_end = Some(self.look_closely(pages));
    }

    /// First touches of pages, all in all.
    pub fn all_faults(&self) -> u64 {
        self.faults + self.at_end.unwrap_or(0) / PAGE
    }
}

const FIXED: u64 = libc::MAP_FIXED as u64;
const DONT_NEED: u64 = libc::MADV_DONTNEED as u64;

fn overlap(one: Range, other: Range) -> Option<Range> {
    let both = Range { start: one.start.max(other.start), end: one.end.min(other.end) };
    (both.start < both.end).then_some(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pages below this address hold memory.
    struct Below(u64);

    impl Pages for Below {
        fn within(&self, range: Range) -> u64 {
            self.0.clamp(range.start, range.end) - range.start
        }

        fn anonymous(&self) -> u64 {
            self.0
        }
    }

    fn make(account: &mut Account, pages: &Below, number: i64, arguments: [u64; 3], value: u64) {
        let [first, second, third] = arguments;
        let call = Call { number, arguments: [first, second, third, 0, 0, 0], at: 0, stack: 0 };
        account.entering(&call, pages);
        account.returned(&call, value.cast_signed());
    }

    #[test]
    fn pages_count_when_they_go_and_at_the_end() {
        let mut account = Account::default();
        let mut has = |number, arguments, value, below: u64| {
            make(&mut account, &Below(below * PAGE), number, arguments, value * PAGE);
        };
        has(libc::SYS_brk, [0, 0, 0], 10, 0);
        has(libc::SYS_brk, [30 * PAGE, 0, 0], 30, 10);
        // Ten pages of the heap have been touched when five of those go.
        has(libc::SYS_brk, [15 * PAGE, 0, 0], 15, 20);
        has(libc::SYS_mmap, [0, 8 * PAGE, 0], 100, 0);
        // A hole in the midst of a mapping, of which all has been touched, and the shorter part of it moved.
        has(libc::SYS_munmap, [103 * PAGE, 2 * PAGE, 0], 0, 200);
        has(libc::SYS_mremap, [105 * PAGE, 3 * PAGE, PAGE], 105, 200);
        account.end(&Below(200 * PAGE));
        let Calls { break_grown, break_trimmed, mmap, munmap, mremap, refused, .. } = account.calls;
        assert_eq!([break_grown, break_trimmed, mmap, munmap, mremap, refused], [1, 1, 1, 1, 1, 0]);
        // Five went with the break, two from the hole, two with the shortening; five and four stay.
        assert_eq!((account.at_end, account.all_faults()), (Some(9 * PAGE), 5 + 2 + 2 + 9));
        assert_eq!(account.peak, 13 * PAGE);
        assert!(account.holds(Range { start: 102 * PAGE, end: 104 * PAGE }));
        assert!(!account.holds(Range { start: 103 * PAGE, end: 105 * PAGE }));
    }
}
