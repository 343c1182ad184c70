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
//! back by a [`Journal`].

use crate::engine::{Answer, Engine, Held};
use crate::machine::Machine;
use crate::places::Places;
use crate::trial::Touch;
use malloscope_allocator::address::Address;
use malloscope_allocator::arena::ArenaId;
use malloscope_allocator::bins::Bin;
use malloscope_allocator::chunk::{Chunk, PREVIOUS_IN_USE};
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::journal::{Journal, Moment};
use malloscope_allocator::observe::{Event, KernelCall, Observer, Source};
use malloscope_allocator::undo::Undo;
use malloscope_traces::{Call, Pointer, Record, Thread};
use serde::{Deserialize, Serialize};
use slots::Slots;
use std::collections::{HashMap, VecDeque};

mod search;
mod slots;

/// Records that are looked ahead.
const AHEAD: usize = 4096;
/// Calls that can be taken back, at least; a thread may sleep through so many of other threads'
/// between its call and its stamp.
const REACH: usize = 50_000;

/// A record, and its number in the trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbered {
    pub(crate) index: u64,
    pub(crate) record: Record,
}

/// What was found about a trace's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reordering {
    /// Calls for which the order of the stamps gave another placement than was recorded.
    pub doubts: u64,
    /// Of those, the ones for which another order that the stamps allow gave the recorded one.
    pub resolved: u64,
    /// The record of the first that was not resolved; from there on the order is that of the stamps.
    pub unresolved: Option<u64>,
}

/// A call, and when it happened: no earlier than `from`, no later than `until`.
#[derive(Clone, Copy, Debug)]
struct Item {
    numbered: Numbered,
    from: u64,
    until: u64,
}

impl Item {
    fn thread(&self) -> Thread {
        self.numbered.record.thread
    }

    /// Whether this call may have happened before another, of another thread.
    fn may_precede(&self, other: &Item) -> bool {
        self.thread() != other.thread() && self.from <= other.until
    }
}

/// A call that has been made, and how to take it back.
struct Step {
    item: Item,
    moment: Moment,
    undo: Undo,
    slots: [(Pointer, Held); 2],
    /// The arena it concerned, if it concerned more than its thread's own cache.
    arena: Option<ArenaId>,
}

/// Listens for what concerns more than a thread's own cache, and for mappings.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    is_shared: bool,
    mappings: Vec<KernelCall>,
}

impl Observer for Listener {
    #[inline]
    fn event(&mut self, event: Event) {
        match event {
            Event::Asked { .. }
            | Event::Missed { .. }
            | Event::Served { from: Source::Tcache(_), .. }
            | Event::Released { into: Bin::Tcache(_), .. } => {}
            Event::Kernel(call @ (KernelCall::Map { .. } | KernelCall::Unmap { .. })) => {
                self.is_shared = true;
                self.mappings.push(call);
            }
            _ => self.is_shared = true,
        }
    }
}

/// The twin of the recorded malloc.
pub(crate) type Twin = Heap<Journal, Listener>;

/// Puts the records of a trace into the order in which they happened.
pub(crate) struct Orderer {
    engine: Engine<Journal, Listener>,
    places: Places,
    slots: Slots,
    /// Calls not yet made, in the order of their stamps.
    ahead: VecDeque<Item>,
    /// Calls whose turn has come and that have been kept waiting: one of a thread at most.
    waiting: Vec<Item>,
    /// The latest stamp of each thread.
    stamps: HashMap<Thread, u64>,
    /// Calls made that can be taken back.
    history: Vec<Step>,
    out: Vec<Numbered>,
    result: Reordering,
    is_begun: bool,
    is_lost: bool,
}

impl Orderer {
    /// An orderer for a trace that was recorded with a malloc like this, which nobody has called yet.
    pub(crate) fn new(twin: Twin, recorded_break: u64) -> Orderer {
        let places = Places::new(recorded_break, twin.memory().program_break());
        Orderer {
            engine: Engine::new(twin, Touch::None, true),
            places,
            slots: Slots::default(),
            ahead: VecDeque::new(),
            waiting: Vec::new(),
            stamps: HashMap::new(),
            history: Vec::new(),
            out: Vec::new(),
            result: Reordering::default(),
            is_begun: false,
            is_lost: false,
        }
    }

    /// Takes the next record of the trace.
    pub(crate) fn push(&mut self, numbered: Numbered) {
        let record = self.slots.renumber(&numbered.record);
        let stamp = record.time.0;
        let before = self.stamps.insert(record.thread, stamp).unwrap_or(0);
        let (from, until) = if is_stamped_first(&record.call) { (stamp, u64::MAX) } else { (before, stamp) };
        self.ahead.push_back(Item { numbered: Numbered { record, ..numbered }, from, until });
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
        self.settle();
    }

    /// The records whose place is certain, in order, since this was last called.
    pub(crate) fn take(&mut self) -> Vec<Numbered> {
        std::mem::take(&mut self.out)
    }

    /// What was found.
    pub(crate) fn result(&self) -> Reordering {
        self.result
    }

    /// Makes the next call.
    fn advance(&mut self) {
        let Some(item) = self.ahead.pop_front() else { return };
        if self.is_lost {
            self.put_out(item.numbered);
            return;
        }
        if self.stamps.len() < 2 {
            self.make_for_good(item);
            return;
        }
        if !self.is_begun {
            self.engine.heap_mut().memory_mut().begin();
            self.is_begun = true;
        }
        // Its thread went on, so what it called before has been made.
        if let Some(number) = self.waiting.iter().position(|waiting| waiting.thread() == item.thread()) {
            self.end_waiting_of(number);
        }
        if self.is_lost {
            self.put_out(item.numbered);
            return;
        }
        if !self.make(item) {
            self.resolve();
        }
        if self.history.len() > 2 * REACH {
            self.settle_all_but(REACH);
        }
    }

    /// Makes a call that has been kept waiting.
    fn end_waiting_of(&mut self, number: usize) {
        let item = self.waiting.remove(number);
        if self.is_lost {
            self.put_out(item.numbered);
        } else if !self.make(item) {
            self.resolve();
        }
    }

    /// What has been made has its place for good.
    fn settle(&mut self) {
        self.settle_all_but(0);
    }

    /// What has been made has its place for good, except for the latest calls.
    fn settle_all_but(&mut self, kept: usize) {
        let certain = self.history.len().saturating_sub(kept);
        for step in self.history.drain(..certain) {
            self.slots.release(&step.item.numbered.record);
            self.out.push(step.item.numbered);
        }
        if !self.is_begun {
            return;
        }
        let memory = self.engine.heap_mut().memory_mut();
        match self.history.first().map(|step| step.moment) {
            None => memory.begin(),
            Some(moment) => {
                let earlier = memory.forget_before(moment);
                for step in &mut self.history {
                    step.moment = earlier(step.moment);
                }
            }
        }
    }

    /// A record has its place for good.
    fn put_out(&mut self, numbered: Numbered) {
        self.slots.release(&numbered.record);
        self.out.push(numbered);
    }

    /// Makes a call whose place is certain: there is only one thread.
    fn make_for_good(&mut self, item: Item) {
        self.put_out(item.numbered);
        let answer = self.engine.execute(&item.numbered.record);
        self.note_mappings();
        if !answer.is_ok_and(|answer| self.is_right(&item.numbered.record, answer)) {
            self.lose(item.numbered.index);
        }
    }

    /// The twin has lost track.
    fn lose(&mut self, index: u64) {
        self.is_lost = true;
        self.result.unresolved = Some(index);
        self.settle();
        while !self.waiting.is_empty() {
            self.end_waiting_of(0);
        }
    }

    /// Makes a call, which can be taken back. Returns whether it comes out as recorded.
    fn make(&mut self, item: Item) -> bool {
        let record = &item.numbered.record;
        let pointers = [record.call.handed(), record.call.placed().map(|placed| placed.pointer)];
        let pointers = pointers.map(|pointer| pointer.unwrap_or(Pointer::NULL));
        let slots = pointers.map(|pointer| (pointer, self.engine.slot(pointer)));
        let thread = self.engine.thread_of(record.thread);
        let handed = slots[0].1.payload;
        let heap = self.engine.heap_mut();
        heap.observer_mut().is_shared = false;
        let moment = heap.memory().now();
        let before = if concerns_one(&record.call) {
            heap.before_call(thread, handed)
        } else {
            heap.before_anything()
        };
        let theirs = heap.arena_of_payload(handed);
        let answer = self.engine.execute(record);
        let heap = self.engine.heap();
        let is_shared = heap.observer().is_shared;
        let arena = theirs.or(heap.arena_of_thread(thread)).filter(|_| is_shared);
        self.history.push(Step { item, moment, undo: heap.undo_of(before, !is_shared), slots, arena });
        self.note_mappings();
        answer.is_ok_and(|answer| self.is_right(record, answer))
    }

    fn note_mappings(&mut self) {
        for call in std::mem::take(&mut self.engine.heap_mut().observer_mut().mappings) {
            self.places.note(call);
        }
    }

    /// Whether a call's chunk lies where the recorded one lay, and is as long.
    fn is_right(&mut self, record: &Record, answer: Answer) -> bool {
        let Some(theirs) = record.call.placed() else { return true };
        if theirs.pointer.address == Pointer::UNKNOWN {
            return true;
        }
        let payload = match answer {
            Answer::Payload(payload) => payload,
            _ => Address::NULL,
        };
        if payload.is_null() || theirs.pointer.is_null() {
            return payload.is_null() == theirs.pointer.is_null();
        }
        let memory = self.engine.heap().memory();
        let head = Chunk::of(payload).head(memory);
        // Whether the chunk below is in use may have changed before it was seen.
        let same_head = theirs.head == 0 || (theirs.head ^ head.0) & !PREVIOUS_IN_USE == 0;
        same_head && self.places.are_same(memory.program_break(), theirs, payload, head)
    }

    /// Takes calls back until only so many are made.
    fn take_back(&mut self, kept: usize) {
        let Some(first) = self.history.get(kept) else { return };
        self.engine.heap_mut().memory_mut().back_to(first.moment);
        for step in self.history.drain(kept..).rev() {
            self.engine.heap_mut().undo(&step.undo);
            for (pointer, held) in step.slots.into_iter().filter(|(pointer, _)| !pointer.is_null()) {
                self.engine.restore_slot(pointer, held);
            }
        }
    }
}

/// Whether a call is stamped before it is made, not after.
fn is_stamped_first(call: &Call) -> bool {
    call.placed().is_none()
}

/// Whether a call is about one allocation.
fn concerns_one(call: &Call) -> bool {
    call.placed().is_some() || matches!(call, Call::Free { .. } | Call::UsableSize { .. })
}
