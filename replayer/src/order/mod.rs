//! The order in which calls of several threads reached malloc.
//!
//! A trace stamps a call when it begins or when it ends; what decides placements is when it had the
//! arena's lock, which lies between. So two calls of different threads that overlap may have happened
//! in the other order than their stamps'. The addresses the program was given tell: here every call
//! is made to a twin of the recorded malloc, in the order of the stamps, and where the twin places a
//! chunk elsewhere, other orders are tried that the stamps allow, until one gives the recorded
//! placement and those that follow.
//!
//! ```text
//!   thread 1   ──[ free A ······ ]────────[ ··· malloc → B ]──     [ stamp ··· ]: where it may have been
//!   thread 2   ──────[ ··· malloc → A ]───────────────────────     a free is stamped at its beginning,
//!                                                                  an allocation at its end
//! ```
//!
//! A call happened between its own stamp and its thread's neighbouring one. What was tried is taken
//! back by a [`Journal`](malloscope_allocator::memory::journal::Journal).

use malloscope_allocator::arena::ArenaId;
use malloscope_traces::{Call, Record, Slot, Thread};
use past::{Made, Past};
use serde::{Deserialize, Serialize};
use slots::Slots;
use std::collections::{HashMap, VecDeque};

pub(crate) use past::{Listener, Twin};

mod past;
mod search;
mod slots;
#[cfg(test)]
mod tests;

/// Records that are looked ahead: a thread may sleep through so many of other threads' in a call.
const AHEAD: usize = 1 << 17;
/// Calls that can be taken back, at least, for the same reason.
const REACH: usize = 1 << 17;
/// Calls beyond those before the earliest have their place for good.
const BEYOND: usize = 1 << 15;
/// Calls that are made in search of other orders, for each record.
const EFFORT: usize = 400;
/// The most steps of an exit that are told apart.
const STEPS: usize = 1 << 10;
/// The most such calls that are saved up.
const MOST_EFFORT: usize = 100_000_000;

/// How much of what a record says is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it, or what is left of it.
    Whole,
    /// One chunk that a thread gives back on exit: it frees one after another, and other threads
    /// come in between.
    Step,
}

/// A record, and its number in the trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbered {
    pub(crate) index: u64,
    pub(crate) record: Record,
    pub(crate) extent: Extent,
}

/// What was found about a trace's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reordering {
    /// Calls for which the order of the stamps gave another placement than was recorded.
    pub doubts: u64,
    /// Of those, the ones for which another order that the stamps allow gave the recorded one.
    pub resolved: u64,
    /// The record of the first that was not resolved; from there on the calls in its arena are in the
    /// order of the stamps, until that gives the recorded placements again.
    pub unresolved: Option<u64>,
}

/// A call, and when it happened: no earlier than `from`, no later than `until`.
#[derive(Clone, Copy, Debug)]
struct Item {
    numbered: Numbered,
    from: u64,
    until: u64,
    /// Whether it was made before its turn came.
    is_made: bool,
    /// The arena it concerned when it was made and then made to wait.
    arena: Option<ArenaId>,
}

impl Item {
    fn thread(&self) -> Thread {
        self.numbered.record.thread
    }

    /// Whether this is a thread's exit, or a step of it.
    fn is_exit(&self) -> bool {
        self.numbered.record.call == Call::ThreadExit
    }

    /// Whether this call may have happened before another, of another thread.
    fn may_precede(&self, other: &Item) -> bool {
        self.thread() != other.thread() && self.from <= other.until
    }
}

/// Puts the records of a trace into the order in which they happened.
pub(crate) struct Orderer {
    past: Past,
    slots: Slots,
    /// Calls not yet made, in the order of their stamps.
    ahead: VecDeque<Item>,
    /// Calls whose turn has come and that have been kept waiting: one of a thread at most, but all
    /// that is left of an exit.
    waiting: Vec<Item>,
    /// The stamp of the call that gave each slot what it holds.
    born: HashMap<Slot, u64>,
    /// The latest record of each thread that was taken: its stamp, and how many were before it.
    latest: HashMap<Thread, (u64, u64)>,
    /// Records taken.
    taken: u64,
    /// Calls that may still be made in search of other orders.
    effort: usize,
    out: Vec<Numbered>,
    result: Reordering,
}

impl Orderer {
    /// An orderer for a trace that was recorded with a malloc like this, which nobody has called yet.
    pub(crate) fn new(twin: Twin, recorded_break: u64) -> Orderer {
        Orderer {
            past: Past::new(twin, recorded_break),
            slots: Slots::default(),
            ahead: VecDeque::new(),
            waiting: Vec::new(),
            born: HashMap::new(),
            latest: HashMap::new(),
            taken: 0,
            effort: MOST_EFFORT,
            out: Vec::new(),
            result: Reordering::default(),
        }
    }

    /// Takes the next record of the trace.
    pub(crate) fn push(&mut self, numbered: Numbered) {
        let record = self.slots.renumber(&numbered.record);
        let stamp = record.time.0;
        let before = self.latest.insert(record.thread, (stamp, self.taken));
        self.close(before, stamp);
        let begun = before.map_or(0, |(stamp, _)| stamp).max(self.birth(&record));
        let (from, until) = if is_stamped_first(&record.call) { (stamp, u64::MAX) } else { (begun, stamp) };
        let numbered = Numbered { record, ..numbered };
        self.ahead.push_back(Item { numbered, from, until, is_made: false, arena: None });
        self.taken += 1;
        self.effort = (self.effort + EFFORT).min(MOST_EFFORT);
        if self.ahead.len() > AHEAD {
            self.advance();
        }
    }

    /// There are no more records.
    pub(crate) fn finish(&mut self) {
        while !self.ahead.is_empty() {
            self.advance();
        }
        while !self.waiting.is_empty() {
            self.end_waiting_of(0);
        }
        self.settle_all_but(0);
    }

    /// The records whose place is certain, in order, since this was last called.
    pub(crate) fn take(&mut self) -> Vec<Numbered> {
        std::mem::take(&mut self.out)
    }

    /// What was found.
    pub(crate) fn result(&self) -> Reordering {
        self.result
    }

    /// When the allocation was there that a call moves: another thread may have handed it over since
    /// this one's latest call. Keeps count of births.
    fn birth(&mut self, record: &Record) -> u64 {
        let handed = record.call.handed().filter(|handed| handed.slot != Slot::NONE);
        let birth = handed.and_then(|handed| self.born.remove(&handed.slot)).unwrap_or(0);
        if let Some(placed) = record.call.placed().filter(|placed| !placed.pointer.is_null()) {
            self.born.insert(placed.pointer.slot, record.time.0);
        }
        birth
    }

    /// A call that is stamped first was over when its thread made the next.
    fn close(&mut self, before: Option<(u64, u64)>, stamp: u64) {
        let Some((_, number)) = before else { return };
        let gone = self.taken - self.ahead.len() as u64;
        let place = number.checked_sub(gone).and_then(|place| usize::try_from(place).ok());
        // If it is not ahead any more, nobody knows for how long its thread slept.
        if let Some(item) = place.and_then(|place| self.ahead.get_mut(place))
            && is_stamped_first(&item.numbered.record.call)
            && stamp >= item.from
        {
            item.until = stamp;
        }
    }

    /// Makes the next call.
    fn advance(&mut self) {
        let Some(item) = self.ahead.pop_front() else { return };
        if item.is_made {
            return;
        }
        if self.past.made().is_empty() && self.latest.len() < 2 {
            self.make_for_good(item);
            return;
        }
        // Its thread went on, so what it called before has been made.
        if let Some(number) = self.waiting.iter().position(|waiting| waiting.thread() == item.thread()) {
            self.end_waiting_of(number);
        }
        if item.is_exit() {
            self.make_steps(item);
        }
        self.make(item);
        if self.past.made().len() > REACH + BEYOND {
            self.settle_all_but(REACH);
        }
    }

    /// Makes all of a thread's exit but the end.
    fn make_steps(&mut self, exit: Item) {
        let step = Item { numbered: Numbered { extent: Extent::Step, ..exit.numbered }, ..exit };
        for _ in 0..self.past.cached_chunks(exit.thread()).min(STEPS) {
            self.make(step);
        }
    }

    /// Makes a call that has been kept waiting.
    fn end_waiting_of(&mut self, number: usize) {
        let item = self.waiting.remove(number);
        self.make(item);
    }

    /// Makes a call; if it does not come out as recorded, looks for an order in which it does.
    fn make(&mut self, item: Item) {
        if !self.past.make(item) {
            self.resolve();
        }
    }

    /// Makes a call whose place is certain: there is only one thread.
    fn make_for_good(&mut self, item: Item) {
        let is_right = self.past.make_for_good(&item.numbered);
        if !is_right {
            let arena = self.past.arena_of(item.thread());
            self.lose(item.numbered.index, arena);
        }
        self.put_out(item.numbered);
    }

    /// The twin has lost track of an arena.
    fn lose(&mut self, index: u64, arena: Option<ArenaId>) {
        if self.past.lose(arena) {
            self.result.unresolved.get_or_insert(index);
        }
    }

    /// What has been made has its place for good, except for about the latest calls.
    fn settle_all_but(&mut self, latest: usize) {
        for Made { item, .. } in self.past.settle_all_but(latest) {
            self.put_out(item.numbered);
        }
    }

    /// A record has its place for good.
    fn put_out(&mut self, numbered: Numbered) {
        self.slots.release(&numbered.record);
        self.out.push(numbered);
    }
}

/// Whether a call is stamped before it is made, not after.
fn is_stamped_first(call: &Call) -> bool {
    call.placed().is_none()
}
