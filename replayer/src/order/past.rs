//! The calls made so far on a twin of the recorded malloc, and how to go back to any of them.
//!
//! Now and then the twin is kept as it stands; to go back to a call, it is made to stand as it was
//! kept last before, and the calls from there on are made again.

use super::{Item, Numbered};
use crate::engine::{Answer, Engine, Held};
use crate::machine::Machine;
use crate::places::Places;
use crate::trial::Touch;
use crate::turn::Extent;
use malloscope_allocator::address::Address;
use malloscope_allocator::arena::{ArenaId, ArenaPick, LONGEST_SEGMENT};
use malloscope_allocator::bins::Bin;
use malloscope_allocator::chunk::{Chunk, Head, PREVIOUS_IN_USE};
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::journal::{Journal, Moment};
use malloscope_allocator::observe::{Event, KernelCall, Observer, Source};
use malloscope_allocator::snapshot::Snapshot;
use malloscope_traces::{Call, Pointer, Record, Thread};
use std::collections::HashMap;
use std::hash::DefaultHasher;

/// The least calls between two moments at which the twin is kept.
const APART: usize = 256;
/// Bytes that keeping the twin may take for each call in between.
const BYTES_A_CALL: usize = 64;
/// By how much closer the twin is kept on the way back.
const CLOSER: usize = 16;
/// So many right placements in a row in an arena show that the twin is on the track again.
const FOUND_AGAIN: u32 = 500;

/// Listens for what concerns more than a thread's own cache, and for mappings.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    is_shared: bool,
    traffic: Option<Traffic>,
    mappings: Vec<KernelCall>,
}

impl Listener {
    /// A call begins.
    fn begin(&mut self) {
        self.is_shared = false;
        self.traffic = None;
    }
}

/// What a call did to a fastbin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// It put a chunk there.
    Put { bin: Bin },
    /// It moved so many from there to its thread's tcache.
    Moved { bin: Bin, chunks: u32 },
    /// It emptied all of an arena's, so many times.
    Emptied { times: u32 },
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
            Event::Stashed { from: bin @ Bin::Fast(_), .. } => {
                self.is_shared = true;
                let before = if let Some(Traffic::Moved { chunks, .. }) = self.traffic { chunks } else { 0 };
                self.traffic = Some(Traffic::Moved { bin, chunks: before + 1 });
            }
            Event::Released { into: bin @ Bin::Fast(_), .. } => {
                self.is_shared = true;
                self.traffic.get_or_insert(Traffic::Put { bin });
            }
            Event::Consolidated { .. } => {
                self.is_shared = true;
                let before = if let Some(Traffic::Emptied { times }) = self.traffic { times } else { 0 };
                self.traffic = Some(Traffic::Emptied { times: before + 1 });
            }
            _ => self.is_shared = true,
        }
    }
}

/// The twin of the recorded malloc.
pub(crate) type Twin = Heap<Journal, Listener>;

/// How a call came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The arena it concerned, if it concerned more than its thread's own cache.
    pub(super) arena: Option<ArenaId>,
    /// What it did to a fastbin.
    pub(super) traffic: Option<Traffic>,
    /// Whether it came out as recorded.
    pub(super) is_right: bool,
}

/// A call that has been made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub(super) item: Item,
    pub(super) outcome: Outcome,
}

impl Made {
    /// Whether the call matters to an arena. The end of an exit gives an arena away.
    pub(super) fn concerns(&self, arena: ArenaId) -> bool {
        match self.item.numbered.turn.extent {
            Extent::Step => self.outcome.arena == Some(arena),
            Extent::Whole => self.outcome.arena == Some(arena) || self.item.is_exit(),
        }
    }
}

/// The twin as it stood after so many calls.
struct Kept {
    calls: usize,
    moment: Moment,
    slots: usize,
    heap: Snapshot,
    places: Places,
}

/// The arenas in which the twin has lost track, and how many placements in a row have been right in each
/// all the same.
pub(super) type Lost = HashMap<ArenaId, u32>;

/// The calls made so far.
pub(super) struct Past {
    engine: Engine<Journal, Listener>,
    places: Places,
    made: Vec<Made>,
    /// How many of the calls made the twin has behind it.
    standing: usize,
    /// Whether the twin has others behind it besides.
    is_astray: bool,
    kept: Vec<Kept>,
    /// What slots stood for before they stood for something else.
    slots: Vec<(Pointer, Held)>,
    lost: Lost,
    executions: usize,
}

impl Past {
    /// A past without calls.
    pub(super) fn new(twin: Twin, recorded_break: u64) -> Past {
        let places = Places::new(recorded_break, twin.memory().program_break());
        let mut engine = Engine::new(twin, Touch::None, true);
        engine.follow_claims(true);
        Past {
            engine,
            places,
            made: Vec::new(),
            standing: 0,
            is_astray: false,
            kept: Vec::new(),
            slots: Vec::new(),
            lost: HashMap::new(),
            executions: 0,
        }
    }

    /// The calls made that can be gone back to, in order.
    pub(super) fn made(&self) -> &[Made] {
        &self.made
    }

    /// How many calls the twin has made, over again or not.
    pub(super) fn executions(&self) -> usize {
        self.executions
    }

    /// The arena a thread allocates from.
    pub(super) fn arena_of(&self, thread: Thread) -> Option<ArenaId> {
        self.engine.heap().arena_of_thread(self.engine.thread_of(thread))
    }

    /// The arenas of the chunks that a thread gives back if it exits now, in that order.
    pub(super) fn given_back(&self, thread: Thread) -> Vec<Option<ArenaId>> {
        let heap = self.engine.heap();
        let payloads = heap.given_back(self.engine.thread_of(thread));
        payloads.into_iter().map(|payload| heap.arena_of_payload(payload)).collect()
    }

    /// Makes a call that will never be taken back. Returns whether it comes out as recorded.
    pub(super) fn make_for_good(&mut self, numbered: &Numbered) -> bool {
        let outcome = self.execute(numbered);
        self.slots.clear();
        outcome.is_right
    }

    /// Makes the next call. Returns whether it comes out as recorded, or nothing can be expected of it: where the
    /// twin has lost track, what comes out otherwise is put where it was recorded, if it can be.
    pub(super) fn make(&mut self, mut item: Item) -> bool {
        debug_assert!(self.standing == self.made.len() && !self.is_astray);
        if self.kept.is_empty() {
            self.engine.heap_mut().memory_mut().begin();
            self.slots.clear();
        }
        let closer = if self.lost.is_empty() { 1 } else { CLOSER };
        self.keep_now_and_then(closer);
        item.numbered.turn.claim = None;
        item.numbered.turn.arena = self.arena_picked_by(&item.numbered.record);
        let mut outcome = self.execute(&item.numbered);
        if !outcome.is_right && self.is_lost(&item, outcome) {
            (item, outcome) = self.claim_instead(item);
        }
        self.made.push(Made { item, outcome });
        self.standing += 1;
        let is_lost = !outcome.is_right && self.is_lost(&item, outcome);
        self.find_again(&item, outcome);
        outcome.is_right || is_lost
    }

    /// Makes a call to see how it comes out, without adding it to those made. It counts as right if
    /// nothing can be expected of it: if it was `made` and came out wrong, or if it was not and the twin
    /// has lost track.
    pub(super) fn attempt(&mut self, item: &Item, made: Option<usize>) -> Outcome {
        self.is_astray = true;
        let mut numbered = item.numbered;
        numbered.turn.arena = self.arena_picked_by(&numbered.record);
        let outcome = self.execute(&numbered);
        let is_lost = match made.and_then(|made| self.made.get(made)) {
            Some(made) => !made.outcome.is_right,
            None => self.is_lost(item, outcome),
        };
        Outcome { is_right: outcome.is_right || is_lost, ..outcome }
    }

    /// Goes to the moment after the first `calls` of the calls made. The others stay known.
    pub(super) fn stand_at(&mut self, calls: usize) {
        let mut closer = 1;
        if self.is_astray || calls < self.standing {
            self.go_back(calls);
            // Likely the next step is a little further back.
            closer = CLOSER;
        }
        while self.standing < calls {
            self.keep_now_and_then(closer);
            let Made { item, .. } = self.made[self.standing];
            self.execute(&item.numbered);
            self.standing += 1;
        }
        if self.kept.last().is_none_or(|kept| kept.calls != calls) {
            self.keep();
        }
    }

    /// A number that tells states of an arena apart.
    pub(super) fn fingerprint(&self, arena: ArenaId) -> u64 {
        self.engine.heap().fingerprint(arena, DefaultHasher::new())
    }

    /// Makes other calls in place of all but the first `calls` of those made.
    pub(super) fn replace(&mut self, calls: usize, by: impl IntoIterator<Item = Item>) {
        self.stand_at(calls);
        self.made.truncate(calls);
        for item in by {
            self.make(item);
        }
    }

    /// The calls made except about the latest so many: they cannot be gone back to any more.
    pub(super) fn settle_all_but(&mut self, latest: usize) -> Vec<Made> {
        self.stand_at(self.made.len());
        let calls = self.made.len().saturating_sub(latest);
        let first = self.kept.iter().rposition(|kept| kept.calls <= calls).unwrap_or(0);
        let Some(&Kept { calls, moment, slots, .. }) = self.kept.get(first) else { return Vec::new() };
        self.kept.drain(..first);
        self.slots.drain(..slots);
        let earlier = self.engine.heap_mut().memory_mut().forget_before(moment);
        for kept in &mut self.kept {
            kept.calls -= calls;
            kept.slots -= slots;
            kept.moment = earlier(kept.moment);
        }
        self.standing -= calls;
        self.made.drain(..calls).collect()
    }

    /// The twin has lost track of an arena. Returns whether it had it till now.
    pub(super) fn lose(&mut self, arena: Option<ArenaId>) -> bool {
        arena.is_none_or(|arena| self.lost.insert(arena, 0).is_none())
    }

    /// The arenas in which the twin has lost track.
    pub(super) fn lost(&self) -> &Lost {
        &self.lost
    }

    /// These are the arenas in which the twin has lost track.
    pub(super) fn set_lost(&mut self, lost: Lost) {
        self.lost = lost;
    }

    /// Goes back to where the twin was kept last before so many calls.
    fn go_back(&mut self, calls: usize) {
        self.kept.truncate(self.kept.partition_point(|kept| kept.calls <= calls));
        let Some(kept) = self.kept.last() else { return };
        for (pointer, held) in self.slots.drain(kept.slots..).rev() {
            self.engine.restore_slot(pointer, held);
        }
        let heap = self.engine.heap_mut();
        heap.memory_mut().back_to(kept.moment);
        heap.restore(&kept.heap);
        self.places.clone_from(&kept.places);
        self.standing = kept.calls;
        self.is_astray = false;
    }

    fn keep_now_and_then(&mut self, closer: usize) {
        let is_due =
            |kept: &Kept| self.standing - kept.calls >= APART.max(kept.heap.bytes() / BYTES_A_CALL) / closer;
        if self.kept.last().is_none_or(is_due) {
            self.keep();
        }
    }

    fn keep(&mut self) {
        let heap = self.engine.heap();
        self.kept.push(Kept {
            calls: self.standing,
            moment: heap.memory().now(),
            slots: self.slots.len(),
            heap: heap.snapshot(),
            places: self.places.clone(),
        });
    }

    fn execute(&mut self, numbered: &Numbered) -> Outcome {
        self.executions += 1;
        let record = &numbered.record;
        if numbered.turn.extent == Extent::Step {
            return if record.call == Call::ThreadExit {
                self.give_back(numbered)
            } else {
                self.prepare(numbered)
            };
        }
        let handed = record.call.handed().unwrap_or(Pointer::NULL);
        let placed = record.call.placed().map_or(Pointer::NULL, |placed| placed.pointer);
        let held = self.engine.slot(handed);
        for pointer in [handed, placed].into_iter().filter(|pointer| !pointer.is_null()) {
            self.slots.push((pointer, self.engine.slot(pointer)));
        }
        let heap = self.engine.heap_mut();
        heap.observer_mut().begin();
        let theirs = heap.arena_of_payload(held.payload);
        let answer = self.engine.take_turn(&numbered.turn, record);
        let &Listener { is_shared, traffic, .. } = self.engine.heap().observer();
        self.note_mappings();
        let arena = theirs.or_else(|| self.arena_of(record.thread)).filter(|_| is_shared);
        let is_right = answer.is_ok_and(|answer| self.is_right(record, answer));
        Outcome { arena, traffic, is_right }
    }

    /// Makes a step of a thread's exit.
    fn give_back(&mut self, Numbered { turn, record, .. }: &Numbered) -> Outcome {
        let id = self.engine.thread_of(record.thread);
        let heap = self.engine.heap_mut();
        heap.observer_mut().begin();
        let arena = heap.next_given_back(id).and_then(|payload| heap.arena_of_payload(payload));
        let is_right = self.engine.take_turn(turn, record).is_ok();
        self.note_mappings();
        Outcome { arena, traffic: self.engine.heap().observer().traffic, is_right }
    }

    /// Makes what a thread's first call does before it looks for a chunk, of which nothing is recorded.
    fn prepare(&mut self, Numbered { turn, record, .. }: &Numbered) -> Outcome {
        self.engine.heap_mut().observer_mut().begin();
        let is_right = self.engine.take_turn(turn, record).is_ok();
        self.note_mappings();
        let traffic = self.engine.heap().observer().traffic;
        Outcome { arena: self.arena_of(record.thread), traffic, is_right }
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
        let head = Chunk::of(memory, payload).head(memory);
        // Whether the chunk below is in use may have changed before it was seen.
        let same_head = theirs.head == 0 || (theirs.head ^ head.0) & !PREVIOUS_IN_USE == 0;
        same_head && self.places.are_same(memory.program_break(), theirs, payload, head)
    }

    /// Whether the twin has lost track of the arena a call concerned.
    fn is_lost(&self, item: &Item, outcome: Outcome) -> bool {
        let arena = outcome.arena.or_else(|| self.arena_of(item.thread()));
        arena.is_some_and(|arena| self.lost.contains_key(&arena))
    }

    /// Which arena a thread without one got in this call, if that can be told from where the chunk lay: the thread chose
    /// before it waited for what it asked for, and others have exited meanwhile, or held the lock of the next in turn.
    fn arena_picked_by(&self, record: &Record) -> Option<ArenaPick> {
        let placed = record.call.placed().filter(|placed| !placed.pointer.is_null())?;
        let head = Head(placed.head);
        if self.arena_of(record.thread).is_some() || head.0 == 0 || head.is_mapped() {
            return None;
        }
        let heap = self.engine.heap();
        if let Some(ours) = self.places.ours(placed) {
            return heap.claim_for(ours, head.size()).map(|claim| ArenaPick::Existing(claim.arena));
        }
        let release = heap.release();
        let before_chunks = release.heap_info() + release.malloc_state().size;
        let is_first_segment = placed.pointer.address % LONGEST_SEGMENT >= before_chunks;
        (head.is_foreign() && is_first_segment).then_some(ArenaPick::New)
    }

    /// Takes the call made last back, which came out wrong, and puts its chunk where it was recorded.
    fn claim_instead(&mut self, item: Item) -> (Item, Outcome) {
        let again = |past: &mut Past, item: Item| {
            past.is_astray = true;
            past.stand_at(past.made.len());
            (item, past.execute(&item.numbered))
        };
        let placed = item.numbered.record.call.placed();
        let claim = placed.and_then(|theirs| {
            let size = Head(theirs.head).size();
            self.engine.heap().claim_for(self.places.ours(theirs)?, size)
        });
        let mut claimed = item;
        claimed.numbered.turn.claim = claim;
        let (claimed, outcome) = again(self, claimed);
        if outcome.is_right || claim.is_none() { (claimed, outcome) } else { again(self, item) }
    }

    /// Counts what came out right in an arena in which the twin has lost track.
    fn find_again(&mut self, item: &Item, outcome: Outcome) {
        if self.lost.is_empty() || item.numbered.record.call.placed().is_none() || item.is_preparation() {
            return;
        }
        let Some(arena) = outcome.arena else { return };
        let Some(right) = self.lost.get_mut(&arena) else { return };
        let is_by_itself = outcome.is_right && item.numbered.turn.claim.is_none();
        *right = if is_by_itself { *right + 1 } else { 0 };
        if *right > FOUND_AGAIN {
            self.lost.remove(&arena);
        }
    }
}
