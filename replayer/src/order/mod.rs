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
//! that its thread was not interrupted meanwhile, then within a few microseconds of its stamp; if the thread
//! waited, then when it waited no longer. What was tried is taken back by a
//! [`Journal`](malloscope_allocator::memory::journal::Journal).

use crate::turn::{Extent, Turn};
use choices::Choices;
use malloscope_allocator::arena::ArenaId;
use malloscope_traces::{Call, Record, Slot, Stack, Thread};
use past::Past;
use serde::{Deserialize, Serialize};
use slots::Slots;
use std::collections::{HashMap, HashSet, VecDeque};

pub(crate) use past::{Listener, Twin};

mod choices;
mod exits;
mod interrupted;
mod meanwhile;
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
/// Calls ahead that are moved in memory in the time that a call takes.
const MOVED_AT_ONCE: usize = 8;
/// The most such calls that are saved up.
const MOST_EFFORT: usize = 100_000_000;

/// By how much stamps of two processors may be wrong beside each other, in nanoseconds: a processor may read the clock
/// while what comes before in the program still waits for memory.
const SKEW: u64 = 250;

/// A record, and which it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbered {
    pub(crate) turn: Turn,
    pub(crate) record: Record,
    pub(crate) stack: Stack,
}

/// What was found about a trace's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reordering {
    /// Calls for which the order of the stamps gave another placement than was recorded.
    pub doubts: u64,
    /// Of those, the ones for which another order that the stamps allow gave the recorded one.
    pub resolved: u64,
    /// The record of the first that was not resolved; from there on the calls in its arena are in the
    /// order of the stamps, and what comes out otherwise is put where it was recorded, until enough in a row comes
    /// out as recorded.
    pub unresolved: Option<u64>,
    /// Calls whose chunks are put where they were recorded: no order explained why they lay there.
    #[serde(default)]
    pub claimed: u64,
}

/// A call, and when it happened: no earlier than `from`, no later than `until`.
#[derive(Clone, Copy, Debug)]
struct Item {
    numbered: Numbered,
    from: u64,
    until: u64,
    /// Whether the call was made within a short time of its stamp.
    is_brief: bool,
    /// Whether its thread was interrupted meanwhile: then nothing of this is certain.
    is_interrupted: bool,
    /// Whether its thread waited first, so that the call took little of the time there was.
    has_waited: bool,
    /// Whether it is made when it ended, not when it began, unless something speaks against it: which of
    /// the two its stamp says, or what the recorder saw of an interruption.
    is_stamped_last: bool,
    /// Whether it is among those ahead a second time, and is made there.
    is_moved: bool,
    /// Whether it was made before its turn came.
    is_made: bool,
    /// The arena it concerns, if it waits.
    arena: Option<ArenaId>,
    /// When it waits no longer, if its thread does not go on before.
    due: u64,
}

impl Item {
    fn thread(&self) -> Thread {
        self.numbered.record.thread
    }

    /// Whether this is what a thread's first call does before it looks for a chunk.
    fn is_preparation(&self) -> bool {
        self.numbered.turn.extent == Extent::Step && !self.is_exit()
    }

    /// Whether this is a thread's exit, or a step of it.
    fn is_exit(&self) -> bool {
        self.numbered.record.call == Call::ThreadExit
    }

    /// When the call happened at the earliest, if a brief one took no longer than `brief`.
    fn from(&self, brief: u64) -> u64 {
        let is_short = self.is_brief && self.is_stamped_last;
        if is_short { self.from.max(self.until.saturating_sub(brief)) } else { self.from }
    }

    /// When the call happened at the latest, if a brief one took no longer than `brief`.
    fn until(&self, brief: u64) -> u64 {
        let is_short = self.is_brief && !self.is_stamped_last;
        if is_short { self.until.min(self.from.saturating_add(brief)) } else { self.until }
    }

    /// Whether it was made within a short time of its stamp for certain.
    fn is_certain(&self) -> bool {
        self.is_brief && !self.is_interrupted
    }

    /// Whether it is made when its call began, although its stamp is when that was over.
    fn is_put_first(&self) -> bool {
        self.numbered.record.call.placed().is_some() && !self.is_stamped_last && !self.is_preparation()
    }

    /// When it is made unless something speaks against it.
    fn stamp(&self) -> u64 {
        if self.is_stamped_last { self.until } else { self.from }
    }

    /// Whether this call may have happened before another, of another thread, if brief ones took no
    /// longer than `brief`.
    fn may_precede(&self, other: &Item, brief: u64) -> bool {
        self.thread() != other.thread() && self.from(brief) <= other.until(brief).saturating_add(SKEW)
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
    /// The threads that have taken or returned a chunk.
    begun: HashSet<Thread>,
    /// Records taken, and parts of some.
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
            begun: HashSet::new(),
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
        let record = if numbered.turn.index < self.passed_on {
            self.slots.keep(&numbered.record)
        } else {
            self.slots.renumber(&numbered.record)
        };
        let stamp = record.time.0;
        let before = self.latest.get(&record.thread).copied();
        self.close(before, stamp, &record.call);
        if record.call == Call::Watched {
            self.watched.insert(record.thread);
        }
        let is_brief = self.watched.contains(&record.thread) && is_call_of_a_chunk(&record.call);
        let begun = before.map_or(0, |(stamp, _)| stamp).max(self.birth(&record));
        let is_stamped_last = record.call.placed().is_some();
        let (from, until) = if is_stamped_last { (begun, stamp) } else { (stamp, u64::MAX) };
        let numbered = Numbered { record, ..numbered };
        let item = Item {
            numbered,
            from,
            until,
            is_brief,
            is_interrupted: false,
            has_waited: false,
            is_stamped_last,
            is_moved: false,
            is_made: false,
            arena: None,
            due: u64::MAX,
        };
        if self.prepares(&record) {
            let turn = Turn { extent: Extent::Step, ..numbered.turn };
            self.put_ahead(Item { numbered: Numbered { turn, ..numbered }, ..item });
        }
        self.latest.insert(record.thread, (stamp, self.taken));
        self.put_ahead(item);
        self.effort = (self.effort + EFFORT).min(MOST_EFFORT);
        while self.ahead.len() > AHEAD {
            self.go_on();
        }
    }

    /// Whether this is the first call of a thread other than the first, which has something to do before it looks for
    /// a chunk.
    fn prepares(&mut self, record: &Record) -> bool {
        let is_alone =
            self.latest.is_empty() || self.latest.len() == 1 && self.latest.contains_key(&record.thread);
        is_call_of_a_chunk(&record.call)
            && self.begun.insert(record.thread)
            && matches!(record.call, Call::Malloc { .. } | Call::Calloc { .. })
            && !is_alone
            && self.past.arena_of(record.thread).is_none()
    }

    fn put_ahead(&mut self, item: Item) {
        self.ahead.push_back(item);
        self.taken += 1;
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
        let Some((_, number)) = before else { return };
        let Some(item) = self.numbered_ahead(number) else { return };
        if !item.is_stamped_last && stamp >= item.from {
            item.until = stamp;
        }
        let Call::Interrupted { waits, preemptions } = *next else { return };
        // Who had to wait, and could go on from then on, waited for the arena's lock; who could have gone
        // on all the time has mostly woken somebody who waited for it.
        let is_last = waits > 0;
        item.is_brief &= is_last != (preemptions > 0);
        item.is_interrupted = preemptions > 0 || waits == 0;
        item.has_waited = is_last;
        if self.begins_with(number) {
            // It waited for its arena, or for memory to be mapped: at any time of it.
            for number in [number - 1, number] {
                if let Some(item) = self.numbered_ahead(number) {
                    (item.is_brief, item.is_interrupted) = (false, true);
                }
            }
            return;
        }
        let Some(item) = self.numbered_ahead(number) else { return };
        if item.is_brief && item.is_stamped_last != is_last {
            let moved = Item { is_stamped_last: is_last, ..*item };
            self.move_ahead(number, moved);
        }
    }

    /// Whether the call ahead with this number is its thread's first, and what comes before it is what it begins with.
    fn begins_with(&mut self, number: u64) -> bool {
        let before = number.checked_sub(1).and_then(|number| self.numbered_ahead(number));
        let first = before.filter(|item| item.is_preparation()).map(|item| item.numbered.turn.index);
        first.is_some() && self.numbered_ahead(number).map(|item| item.numbered.turn.index) == first
    }

    /// Puts a call ahead where its stamp belongs.
    fn move_ahead(&mut self, number: u64, moved: Item) {
        let stamp = moved.stamp();
        let place = self.ahead.partition_point(|item| item.stamp() <= stamp);
        // What stands behind it has to be moved, and there are traces in which every call was interrupted.
        let cost = (self.ahead.len() - place + self.latest.len()) / MOVED_AT_ONCE;
        if place == 0 || cost > self.effort {
            return;
        }
        self.effort -= cost;
        if let Some(item) = self.numbered_ahead(number) {
            item.is_moved = true;
            item.is_made = true;
        }
        let number = self.gone() + place as u64;
        for (_, latest) in self.latest.values_mut().filter(|(_, latest)| *latest >= number) {
            *latest += 1;
        }
        self.choices.note_inserted(number);
        self.ahead.insert(place, moved);
        self.taken += 1;
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
        if self.current.is_none()
            && let Some(number) = self.next_due()
        {
            self.end_waiting_of(number);
            return;
        }
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
        if self.is_stuck {
            return;
        }
        self.current = None;
        if item.is_exit() {
            self.begin_exit(item);
        } else {
            self.make(item);
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
        if self.past.make(item) {
            return;
        }
        if item.is_put_first() {
            self.put_off(item);
        } else {
            self.resolve();
        }
    }

    /// Takes an allocation back that was made when its call began: it may as well have been made when that
    /// was over.
    fn put_off(&mut self, item: Item) {
        self.past.replace(self.past.made().len() - 1, []);
        self.waiting.push(Item { is_stamped_last: true, is_brief: false, due: item.until, ..item });
        self.sort_waiting();
    }

    /// Who began to wait first comes first; what a thread gives back on exit keeps its order.
    fn sort_waiting(&mut self) {
        self.waiting.sort_by_key(|item| item.numbered.record.time);
    }

    /// Makes a call whose place is certain: there is only one thread.
    fn make_for_good(&mut self, item: Item) {
        let is_right = self.past.make_for_good(&item.numbered);
        if !is_right {
            let arena = self.past.arena_of(item.thread());
            self.lose(item.numbered.turn.index, arena);
        }
        self.put_out(item);
    }

    /// The twin has lost track of an arena.
    fn lose(&mut self, index: u64, arena: Option<ArenaId>) {
        if self.past.lose(arena) {
            self.result.unresolved.get_or_insert(index);
        }
    }

    /// What has been made has its place for good, except for about the latest calls.
    fn settle_all_but(&mut self, latest: usize) {
        let mut settled = self.past.settle_all_but(latest).into_iter().map(|made| made.item).peekable();
        while let Some(mut item) = settled.next() {
            // If nobody came in between, a call is made as a whole.
            if item.is_preparation()
                && let Some(whole) =
                    settled.next_if(|next| next.numbered.turn.index == item.numbered.turn.index)
            {
                let arena = item.numbered.turn.arena;
                item = whole;
                item.numbered.turn.arena = arena;
            }
            self.put_out(item);
        }
    }

    /// A record has its place for good.
    fn put_out(&mut self, item: Item) {
        let numbered = item.numbered;
        if numbered.turn.index >= self.passed_on {
            self.result.claimed += u64::from(numbered.turn.claim.is_some());
            if !item.is_preparation() {
                self.slots.release(&numbered.record);
            }
            self.out.push(numbered);
        }
    }
}

/// Whether a call takes or returns a chunk: then it is a short one, unless its thread is interrupted.
fn is_call_of_a_chunk(call: &Call) -> bool {
    call.placed().is_some() || call.handed().is_some()
}
