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
//! A call happened between its own stamp and its thread's neighbouring one. If the recorder could see
//! that its thread was not interrupted meanwhile, then within a few microseconds of its stamp. What was
//! tried is taken back by a [`Journal`](malloscope_allocator::memory::journal::Journal).

use choices::Choices;
use malloscope_allocator::arena::ArenaId;
use malloscope_traces::{Call, Record, Slot, Thread};
use past::{Made, Past};
use serde::{Deserialize, Serialize};
use slots::Slots;
use std::collections::{HashMap, HashSet, VecDeque};

pub(crate) use past::{Listener, Twin};

mod choices;
mod interrupted;
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
/// A choice is that recent while it is less than so many calls ago.
const RECENT: usize = 4000;
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
    /// Whether its thread ran all the time during the call.
    is_brief: bool,
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

    /// When the call happened at the earliest, if a brief one took no longer than `brief`.
    fn from(&self, brief: u64) -> u64 {
        let is_short = self.is_brief && !is_stamped_first(&self.numbered.record.call);
        if is_short { self.from.max(self.until.saturating_sub(brief)) } else { self.from }
    }

    /// When the call happened at the latest, if a brief one took no longer than `brief`.
    fn until(&self, brief: u64) -> u64 {
        let is_short = self.is_brief && is_stamped_first(&self.numbered.record.call);
        if is_short { self.until.min(self.from.saturating_add(brief)) } else { self.until }
    }

    /// Whether this call may have happened before another, of another thread, if brief ones took no
    /// longer than `brief`.
    fn may_precede(&self, other: &Item, brief: u64) -> bool {
        self.thread() != other.thread() && self.from(brief) <= other.until(brief)
    }
}

/// Puts the records of a trace into the order in which they happened.
pub(crate) struct Orderer {
    past: Past,
    slots: Slots,
    /// The records before this number are passed on without us.
    passed_on: u64,
    /// Calls not yet made, in the order of their stamps.
    ahead: VecDeque<Item>,
    /// Calls whose turn has come and that have been kept waiting: one of a thread at most, but all
    /// that is left of an exit.
    waiting: Vec<Item>,
    /// The stamp of the call that gave each slot what it holds.
    born: HashMap<Slot, u64>,
    /// The latest record of each thread that was taken: its stamp, and how many were before it.
    latest: HashMap<Thread, (u64, u64)>,
    /// The threads of which it is known which calls were interrupted.
    watched: HashSet<Thread>,
    /// Records taken.
    taken: u64,
    /// The call whose turn it is, while what its thread does before is made.
    current: Option<Item>,
    /// Orders that could be others.
    choices: Choices,
    /// Nothing explained the call made last, and there are orders that could be others.
    is_stuck: bool,
    /// Calls that may still be made in search of other orders.
    effort: usize,
    out: Vec<Numbered>,
    result: Reordering,
}

impl Orderer {
    /// An orderer for a trace that was recorded with a malloc like this, which nobody has called yet.
    /// Records before the number `passed_on` are of one thread, and whoever asks has them already.
    pub(crate) fn new(twin: Twin, recorded_break: u64, passed_on: u64) -> Orderer {
        Orderer {
            past: Past::new(twin, recorded_break),
            slots: Slots::default(),
            passed_on,
            ahead: VecDeque::new(),
            waiting: Vec::new(),
            born: HashMap::new(),
            latest: HashMap::new(),
            watched: HashSet::new(),
            taken: 0,
            current: None,
            choices: Choices::default(),
            is_stuck: false,
            effort: MOST_EFFORT,
            out: Vec::new(),
            result: Reordering::default(),
        }
    }

    /// Takes the next record of the trace.
    pub(crate) fn push(&mut self, numbered: Numbered) {
        let record = if numbered.index < self.passed_on {
            self.slots.keep(&numbered.record)
        } else {
            self.slots.renumber(&numbered.record)
        };
        let stamp = record.time.0;
        let before = self.latest.insert(record.thread, (stamp, self.taken));
        self.close(before, stamp, &record.call);
        if record.call == Call::Watched {
            self.watched.insert(record.thread);
        }
        let is_brief = self.watched.contains(&record.thread) && is_call_of_a_chunk(&record.call);
        let begun = before.map_or(0, |(stamp, _)| stamp).max(self.birth(&record));
        let (from, until) = if is_stamped_first(&record.call) { (stamp, u64::MAX) } else { (begun, stamp) };
        let numbered = Numbered { record, ..numbered };
        self.ahead.push_back(Item { numbered, from, until, is_brief, is_made: false, arena: None });
        self.taken += 1;
        self.effort = (self.effort + EFFORT).min(MOST_EFFORT);
        while self.ahead.len() > AHEAD {
            self.go_on();
        }
    }

    /// There are no more records.
    pub(crate) fn finish(&mut self) {
        while !self.is_through() {
            self.go_on();
        }
        self.settle_all_but(0);
    }

    /// The records whose place is certain, in order, since this was last called, but for those passed on.
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

    /// A call that is stamped first was over when its thread went on, with `next`.
    fn close(&mut self, before: Option<(u64, u64)>, stamp: u64, next: &Call) {
        // If it is not ahead any more, nobody knows for how long its thread slept.
        let Some(item) = before.and_then(|(_, number)| self.numbered_ahead(number)) else { return };
        if is_stamped_first(&item.numbered.record.call) && stamp >= item.from {
            item.until = stamp;
        }
        item.is_brief &= !matches!(next, Call::Interrupted { .. });
    }

    /// Makes the next call, whatever has to change for that.
    fn go_on(&mut self) {
        self.advance();
        if self.is_stuck {
            self.find_another_way();
        }
        let made = self.past.made().len();
        if made > REACH + BEYOND && !self.choices.is_any_since(made - RECENT) || made > REACH + 2 * BEYOND {
            self.choices.forget();
            self.settle_all_but(REACH);
        }
    }

    /// Whether all calls have been made.
    fn is_through(&self) -> bool {
        self.ahead.is_empty() && self.current.is_none() && self.waiting.is_empty()
    }

    /// Makes the next call, and what has to be made before it. May be asked again where it got stuck.
    fn advance(&mut self) {
        let Some(item) = self.current.or_else(|| self.next_ahead()) else {
            if !self.waiting.is_empty() {
                self.end_waiting_of(0);
            }
            return;
        };
        if item.is_made {
            return;
        }
        if self.past.made().is_empty() && self.latest.len() < 2 {
            self.make_for_good(item);
            return;
        }
        self.current = Some(item);
        // Its thread went on, so what it called before has been made.
        if let Some(number) = self.waiting.iter().position(|waiting| waiting.thread() == item.thread()) {
            self.end_waiting_of(number);
        }
        if item.is_exit() {
            self.make_steps(item);
        }
        if !self.is_stuck {
            self.current = None;
            self.make(item);
        }
    }

    /// Makes all of a thread's exit but the end.
    fn make_steps(&mut self, exit: Item) {
        let step = Item { numbered: Numbered { extent: Extent::Step, ..exit.numbered }, ..exit };
        for _ in 0..self.past.cached_chunks(exit.thread()).min(STEPS) {
            if self.is_stuck {
                return;
            }
            self.make(step);
        }
    }

    /// The next call ahead.
    fn next_ahead(&mut self) -> Option<Item> {
        let item = self.ahead.pop_front()?;
        self.choices.note_taken(item);
        Some(item)
    }

    /// The call with this number, if it is still ahead.
    fn numbered_ahead(&mut self, number: u64) -> Option<&mut Item> {
        let place = usize::try_from(number.checked_sub(self.gone())?).ok()?;
        self.ahead.get_mut(place)
    }

    /// How many calls are not ahead any more.
    fn gone(&self) -> u64 {
        self.taken - self.ahead.len() as u64
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
        if numbered.index >= self.passed_on {
            self.slots.release(&numbered.record);
            self.out.push(numbered);
        }
    }
}

/// Whether a call is stamped before it is made, not after.
fn is_stamped_first(call: &Call) -> bool {
    call.placed().is_none()
}

/// Whether a call takes or returns a chunk: then it is a short one, unless its thread is interrupted.
fn is_call_of_a_chunk(call: &Call) -> bool {
    call.placed().is_some() || call.handed().is_some()
}
