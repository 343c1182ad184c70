//! Makes the calls of a trace, one by one, to a heap.

use crate::machine::Machine;
use crate::nptl::Stacks;
use crate::trial::Touch;
use crate::turn::{Extent, Turn};
use malloscope_allocator::address::{Address, Request};
use malloscope_allocator::chunk::Chunk;
use malloscope_allocator::claim::Claim;
use malloscope_allocator::corruption::{Corruption, Refusal};
use malloscope_allocator::heap::Heap;
use malloscope_allocator::layout::Layout;
use malloscope_allocator::observe::Observer;
use malloscope_allocator::thread::ThreadId;
use malloscope_traces::untouched::Spared;
use malloscope_traces::{Call, Placed, Pointer, Record, Slot, Thread};
use std::collections::{HashMap, HashSet};
use std::hint::black_box;
use std::mem::take;
use std::sync::Arc;

/// No process has so much memory.
const FARTHEST: u64 = 1 << 47;

/// What a call returned in the replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The payload of an allocation; null where the call freed it.
    Payload(Address),
    /// No memory.
    Refused(Refusal),
    /// A number.
    Number(u64),
    /// Nothing: the call returns nothing, or it was none.
    Nothing,
    /// The call could not be made: it is about an allocation that the trace does not have.
    Skipped,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Where the payload is; null if there is none.
    pub payload: Address,
    /// The bytes asked for.
    pub request: u64,
}

/// The most threads that a script may have at one time besides the main one: more than a machine of
/// some gigabytes would grant (`/proc/sys/kernel/threads-max`).
const MOST_THREADS: usize = 1 << 15;
/// What `pthread_create` returns where there are too many.
const EAGAIN: u64 = 11;

/// What is shorter is touched or not as a whole, and its head has been.
const PAGE: u64 = 4096;

/// Calls that could not be made as they were recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Oddities {
    /// Frees of allocations the trace does not have: not made.
    pub unknown_freed: u64,
    /// Reallocations of such: made as allocations.
    pub unknown_reallocated: u64,
    /// Requests refused in the replay that had been granted.
    pub refused: u64,
}

impl Oddities {
    /// Those that came after `before`.
    pub(crate) fn since(self, before: Oddities) -> Oddities {
        Oddities {
            unknown_freed: self.unknown_freed - before.unknown_freed,
            unknown_reallocated: self.unknown_reallocated - before.unknown_reallocated,
            refused: self.refused - before.refused,
        }
    }
}

/// A heap, and the table of what the trace's slots stand for in it.
#[derive(Clone, Debug)]
pub struct Engine<M, O> {
    heap: Heap<M, O>,
    slots: Vec<Held>,
    stacks: Stacks,
    touch: Touch,
    /// Which memory the program was seen not to touch, and the number of the record that is replayed.
    untouched: Option<Arc<Spared>>,
    record: u64,
    /// Bytes that were not touched because of that.
    spared: u64,
    /// Whether the trace says which requests were refused.
    outcomes_are_known: bool,
    oddities: Oddities,
    /// Threads of a script that could not be created: they call nothing.
    unborn: HashSet<Thread>,
    /// After a fork: what the parent's allocations, by the addresses recorded, stand for.
    inherited: HashMap<u64, Held>,
    /// After a fork: the heap's number for the child's first thread, and for its next.
    threads: Threads,
    /// Where the heap stood already: threads of it that the trace has not spoken of yet, by the kernel's names.
    standing: HashMap<u32, ThreadId>,
    /// And those that it has spoken of, by its numbers for them.
    met: HashMap<Thread, ThreadId>,
    /// Whether chunks are put where they were recorded if nothing explains why they lay there.
    follows_claims: bool,
}

/// How a trace's threads are numbered in the heap.
#[derive(Clone, Copy, Debug, Default)]
struct Threads {
    first: u32,
    others: u32,
}

/// Whether the call asked for memory and got none.
#[inline]
fn was_refused(call: &Call) -> bool {
    match call {
        Call::Free { .. } => false,
        Call::Realloc { old, request: 0, .. } => old.is_null() && call.placed().is_some_and(is_null),
        _ => call.placed().is_some_and(is_null),
    }
}

fn is_null(placed: Placed) -> bool {
    placed.pointer.is_null()
}

impl<M: Machine, O: Observer> Engine<M, O> {
    /// An engine for a heap that nobody has called yet.
    pub fn new(heap: Heap<M, O>, touch: Touch, outcomes_are_known: bool) -> Engine<M, O> {
        Engine {
            heap,
            slots: Vec::new(),
            stacks: Stacks::default(),
            touch,
            untouched: None,
            record: 0,
            spared: 0,
            outcomes_are_known,
            oddities: Oddities::default(),
            unborn: HashSet::new(),
            inherited: HashMap::new(),
            threads: Threads::default(),
            standing: HashMap::new(),
            met: HashMap::new(),
            follows_claims: false,
        }
    }

    /// Whether chunks are put where they were recorded if nothing explains why they lay there.
    pub(crate) fn follow_claims(&mut self, follows: bool) {
        self.follows_claims = follows;
    }

    /// Whether a call's chunk is put where it was recorded.
    pub(crate) fn puts(&self, turn: &Turn) -> bool {
        self.follows_claims && turn.claim.is_some()
    }

    /// This memory was seen not to be touched, of the allocations that records of these numbers make.
    pub(crate) fn spare(&mut self, untouched: Option<Arc<Spared>>) {
        self.untouched = untouched;
    }

    /// Bytes that were not touched because the program was seen not to.
    pub fn spared(&self) -> u64 {
        self.spared
    }

    /// The heap stood already: these are its allocations, by their addresses, and its threads, by the kernel's
    /// names for them.
    pub(crate) fn inherit(&mut self, allocations: HashMap<u64, Held>, threads: HashMap<u32, ThreadId>) {
        self.inherited = allocations;
        self.threads.others = u32::try_from(threads.len()).unwrap_or(0);
        self.standing = threads;
    }

    /// The heap.
    pub fn heap(&self) -> &Heap<M, O> {
        &self.heap
    }

    /// The heap.
    pub fn heap_mut(&mut self) -> &mut Heap<M, O> {
        &mut self.heap
    }

    /// What could not be done as recorded.
    pub fn oddities(&self) -> Oddities {
        self.oddities
    }

    /// What a pointer of the trace stands for now; nothing if it is null or unknown.
    #[inline]
    pub fn held(&self, pointer: Pointer) -> Option<Held> {
        let held = match pointer.slot {
            Slot::NONE => self.inherited.get(&pointer.address).copied(),
            Slot(slot) => self.slots.get(slot as usize).copied(),
        };
        held.filter(|held| !held.payload.is_null())
    }

    /// What a pointer of the trace stands for now, even if that is nothing.
    pub(crate) fn slot(&self, pointer: Pointer) -> Held {
        self.held(pointer).unwrap_or_default()
    }

    /// Takes the table of what the trace's slots stand for.
    pub(crate) fn take_slots(&mut self) -> Vec<Held> {
        take(&mut self.slots)
    }

    /// What the trace's slots stand for is this.
    pub(crate) fn put_slots(&mut self, slots: Vec<Held>) {
        self.slots = slots;
    }

    /// All live allocations: each pointer of the trace that stands for one, and what it stands for. Of
    /// those inherited from a parent the pointer has no slot.
    pub fn all_held(&self) -> impl Iterator<Item = (Pointer, Held)> + '_ {
        let own =
            (0..).zip(&self.slots).map(|(slot, &held)| (Pointer { address: 0, slot: Slot(slot) }, held));
        let inherited = self.inherited.iter().map(|(&address, &held)| (Pointer::seen(address), held));
        own.chain(inherited).filter(|(_, held)| !held.payload.is_null())
    }

    /// What the C library asked for itself, for the threads of a script.
    pub(crate) fn libc_payloads(&self) -> impl Iterator<Item = Address> + '_ {
        self.stacks.payloads()
    }

    /// Makes a pointer of the trace stand for what it stood for before.
    pub(crate) fn restore_slot(&mut self, pointer: Pointer, held: Held) {
        self.hold(pointer, held);
    }

    /// The heap's number for a thread of the trace.
    pub(crate) fn thread_of(&self, thread: Thread) -> ThreadId {
        self.thread(thread)
    }

    /// The trace's number for a thread of the heap; `None` if it is one of a parent's.
    pub(crate) fn traced_thread(&self, thread: ThreadId) -> Option<Thread> {
        if let Some((&met, _)) = self.met.iter().find(|(_, met)| **met == thread) {
            return Some(met);
        }
        match thread.0 {
            first if first == self.threads.first => Some(Thread(0)),
            other => other.checked_sub(self.threads.others).filter(|&other| other > 0).map(Thread),
        }
    }

    /// Becomes the child of a fork by `thread`; `addresses` are the parent's live allocations as
    /// they were recorded, besides those it had inherited itself.
    pub fn fork(&mut self, thread: Thread, addresses: impl IntoIterator<Item = (u64, Slot)>, threads: u32) {
        let slots = &self.slots;
        let held = |slot: Slot| slots.get(slot.0 as usize).copied().unwrap_or_default();
        self.inherited.retain(|_, held| !held.payload.is_null());
        self.inherited.extend(addresses.into_iter().map(|(address, slot)| (address, held(slot))));
        self.slots.clear();
        let survivor = self.thread(thread);
        let last = self.thread(Thread(threads.saturating_sub(1)));
        self.heap.forked(survivor);
        self.threads = Threads { first: survivor.0, others: last.0 };
    }

    /// Looks at the heads of the chunks that these calls are about. They lie far apart, and what does not wait for
    /// each other the processor fetches at the same time. What `beside` looks at of each chunk is fetched with them.
    pub(crate) fn look_ahead<'a>(
        &self,
        records: impl Iterator<Item = &'a Record>,
        beside: impl Fn(Chunk) -> u64,
    ) {
        let memory = self.heap.memory();
        let held = records.filter_map(|record| self.held(record.call.handed()?));
        let chunks = held.map(|held| Chunk::of(memory, held.payload));
        let seen = chunks.map(|chunk| chunk.head(memory).0 ^ beside(chunk));
        black_box(seen.fold(0, |all, word| all ^ word));
    }

    /// Makes one call. A request that was refused when it was recorded is refused again: the program
    /// went on without that memory.
    ///
    /// # Errors
    ///
    /// The heap is corrupted: the program would have been aborted here.
    #[inline]
    pub fn execute(&mut self, record: &Record) -> Result<Answer, Corruption> {
        if self.outcomes_are_known && was_refused(&record.call) {
            return self.execute_refused(record);
        }
        self.make(record)
    }

    /// Makes one call, or a step of a thread's exit, as it is meant.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute).
    #[inline]
    pub(crate) fn take_turn(&mut self, turn: &Turn, record: &Record) -> Result<Answer, Corruption> {
        self.record = turn.index;
        let is_usual = turn.extent == Extent::Whole
            && turn.during.is_none()
            && turn.claim.is_none()
            && turn.arena.is_none()
            && !self.heap.has_delayed();
        if is_usual { self.execute(record) } else { self.take_rare_turn(turn, record) }
    }

    #[cold]
    fn take_rare_turn(&mut self, turn: &Turn, record: &Record) -> Result<Answer, Corruption> {
        self.heap.delay_fast(turn.during);
        self.heap.foresee_arena(turn.arena);
        self.heap.begin_call(turn.index);
        let answer = match turn.extent {
            Extent::Whole => match turn.claim.filter(|_| self.follows_claims) {
                Some(claim) => self.execute_claimed(record, claim),
                None => self.execute(record),
            },
            Extent::Step => self.take_step(record).map(|()| Answer::Nothing),
        };
        self.heap.delay_fast(None);
        self.heap.foresee_arena(None);
        self.heap.end_call()?;
        answer
    }

    /// Makes a part of a call.
    fn take_step(&mut self, record: &Record) -> Result<(), Corruption> {
        let thread = self.thread(record.thread);
        match record.call.request() {
            Some(request) => self.heap.prepare(thread, Request(request)),
            None => self.heap.thread_gives_back(thread).map(|_| ()),
        }
    }

    /// Makes a call so that its chunk lies where it is claimed, if that memory is free.
    #[cold]
    fn execute_claimed(&mut self, record: &Record, claim: Claim) -> Result<Answer, Corruption> {
        let (Some(request), Some(to)) = (record.call.request(), record.call.placed()) else {
            return self.execute(record);
        };
        let thread = self.thread(record.thread);
        let old = record.call.handed().unwrap_or(Pointer::NULL);
        let held = self.held(old).unwrap_or_default();
        let claimed = match held.payload {
            Address::NULL => Some(self.heap.malloc_at(thread, Request(request), claim)),
            payload => self.heap.realloc_at(thread, payload, Request(request), claim).transpose(),
        };
        let Some(got) = claimed else { return self.execute(record) };
        if let (Ok(payload), Call::Calloc { .. }) = (got, record.call) {
            self.heap.memory_mut().fill(payload, request, 0);
        }
        if held.payload.is_null() {
            return self.allocated(to.pointer, request, got);
        }
        self.reallocated(old, held, request, to.pointer, got)
    }

    #[cold]
    fn execute_refused(&mut self, record: &Record) -> Result<Answer, Corruption> {
        self.heap.memory_mut().refuse(true);
        let answer = self.make(record);
        self.heap.memory_mut().refuse(false);
        answer
    }

    #[inline]
    fn make(&mut self, record: &Record) -> Result<Answer, Corruption> {
        if !self.unborn.is_empty() && self.unborn.contains(&record.thread) {
            return Ok(Answer::Skipped);
        }
        let thread = self.thread(record.thread);
        let answer = match record.call {
            Call::Malloc { request, to } => {
                let got = self.heap.malloc(thread, Request(request));
                return self.allocated(to.pointer, request, got);
            }
            Call::Free { pointer } => return self.free(thread, pointer),
            Call::Calloc { count, size, to } => {
                let got = self.heap.calloc(thread, count, size);
                return self.allocated(to.pointer, count.saturating_mul(size), got);
            }
            Call::Realloc { old, request, to } => {
                return self.realloc(thread, old, Some(request), to.pointer);
            }
            Call::Reallocarray { old, count, size, to } => {
                return self.realloc(thread, old, count.checked_mul(size), to.pointer);
            }
            Call::Memalign { alignment, request, to } => {
                let got = self.heap.memalign(thread, alignment, Request(request));
                return self.allocated(to.pointer, request, got);
            }
            Call::AlignedAlloc { alignment, request, to } => {
                let got = self.heap.aligned_alloc(thread, alignment, Request(request));
                return self.allocated(to.pointer, request, got);
            }
            Call::PosixMemalign { alignment, request, to } => {
                let got = self.heap.posix_memalign(thread, alignment, Request(request));
                return self.allocated(to.pointer, request, got);
            }
            Call::Valloc { request, to } => {
                let got = self.heap.valloc(thread, Request(request));
                return self.allocated(to.pointer, request, got);
            }
            Call::Pvalloc { request, to } => {
                let got = self.heap.pvalloc(thread, Request(request));
                return self.allocated(to.pointer, request, got);
            }
            Call::Trim { pad, .. } => Answer::Number(self.heap.trim(pad)?.into()),
            Call::Mallopt { parameter, value, .. } => {
                Answer::Number(self.heap.mallopt(parameter, value)?.unsigned_abs().into())
            }
            Call::UsableSize { pointer } => {
                let payload = self.held(pointer).unwrap_or_default().payload;
                Answer::Number(self.heap.usable_size(payload)?)
            }
            Call::MoveBreak { by } => Answer::Number(self.heap.move_foreign_break(by).is_none().into()),
            Call::ThreadStart { id } => {
                if !self.standing.is_empty() || !self.met.is_empty() {
                    self.meet_standing(record.thread, id);
                } else if thread != ThreadId::MAIN {
                    self.heap.thread_created(thread);
                }
                Answer::Nothing
            }
            Call::ThreadExit => {
                self.heap.thread_exited(thread)?;
                Answer::Nothing
            }
            Call::Spawn { thread: new } => {
                if self.stacks.running() >= MOST_THREADS {
                    self.unborn.insert(new);
                    return Ok(Answer::Number(EAGAIN));
                }
                let new = self.thread(new);
                self.stacks.spawn(&mut self.heap, thread, new)?;
                Answer::Number(0)
            }
            Call::Join { thread: gone } => {
                let gone = self.thread(gone);
                self.stacks.join(&mut self.heap, thread, gone)?;
                Answer::Number(0)
            }
            Call::Fork { .. } | Call::Watched | Call::Interrupted { .. } => Answer::Nothing,
        };
        Ok(answer)
    }

    /// A thread that calls for the first time in the trace: one that there was already, or a new one.
    #[cold]
    fn meet_standing(&mut self, thread: Thread, id: u32) {
        let is_new = !self.standing.contains_key(&id);
        let number =
            self.standing.remove(&id).unwrap_or(ThreadId(self.threads.others.wrapping_add(thread.0)));
        self.met.insert(thread, number);
        if is_new {
            self.heap.thread_created(number);
        }
    }

    fn thread(&self, thread: Thread) -> ThreadId {
        if let Some(&met) = self.met.get(&thread) {
            return met;
        }
        match thread.0 {
            0 => ThreadId(self.threads.first),
            other => ThreadId(self.threads.others.wrapping_add(other)),
        }
    }

    /// An allocation was made, or refused; `seen` is the slot it has in the trace.
    #[inline]
    fn allocated(
        &mut self,
        seen: Pointer,
        request: u64,
        got: Result<Address, Refusal>,
    ) -> Result<Answer, Corruption> {
        // What was asked for, as far as a word of the machine holds it.
        let request = M::Layout::cut(request);
        match got {
            Ok(payload) => {
                self.touch(payload, request, 0, seen);
                self.hold(seen, Held { payload, request });
                Ok(Answer::Payload(payload))
            }
            Err(Refusal::Corrupted(corruption)) => Err(corruption),
            Err(refusal) => {
                if !seen.is_null() {
                    self.oddities.refused += 1;
                    self.hold(seen, Held::default());
                }
                Ok(Answer::Refused(refusal))
            }
        }
    }

    #[inline]
    fn free(&mut self, thread: ThreadId, pointer: Pointer) -> Result<Answer, Corruption> {
        if pointer.is_null() {
            return Ok(Answer::Nothing);
        }
        let Some(held) = self.held(pointer) else {
            self.oddities.unknown_freed += 1;
            return Ok(Answer::Skipped);
        };
        self.hold(pointer, Held::default());
        self.heap.free(thread, held.payload)?;
        Ok(Answer::Nothing)
    }

    fn realloc(
        &mut self,
        thread: ThreadId,
        old: Pointer,
        request: Option<u64>,
        to: Pointer,
    ) -> Result<Answer, Corruption> {
        let Some(request) = request.map(M::Layout::cut) else {
            return Ok(Answer::Refused(Refusal::OutOfMemory));
        };
        let held = self.held(old).unwrap_or_default();
        if held.payload.is_null() && !old.is_null() {
            self.oddities.unknown_reallocated += 1;
        }
        let got = self.heap.realloc(thread, held.payload, Request(request));
        self.reallocated(old, held, request, to, got)
    }

    /// What was `held` has moved, or could not.
    fn reallocated(
        &mut self,
        old: Pointer,
        held: Held,
        request: u64,
        to: Pointer,
        got: Result<Address, Refusal>,
    ) -> Result<Answer, Corruption> {
        match got {
            Ok(payload) => {
                let kept = if payload.is_null() { 0 } else { held.request };
                self.touch(payload, request, kept, to);
                self.hold(old, Held::default());
                self.hold(to, Held { payload, request });
                Ok(Answer::Payload(payload))
            }
            Err(Refusal::Corrupted(corruption)) => Err(corruption),
            Err(refusal) => {
                self.oddities.refused += u64::from(!to.is_null());
                Ok(Answer::Refused(refusal))
            }
        }
    }

    /// The program writes into its new memory, of which it has written `already` bytes before. `seen` is where it
    /// was recorded.
    #[inline]
    fn touch(&mut self, payload: Address, request: u64, already: u64, seen: Pointer) {
        // A request near the end of the address space may have gone round it to a small chunk, whose head
        // may say what was asked for nevertheless.
        let request = match request {
            ..=FARTHEST => request,
            _ => self.heap.usable_size(payload).ok().filter(|&bytes| bytes <= FARTHEST).unwrap_or(0),
        };
        if request <= already {
            return;
        }
        if request >= PAGE && self.touch == Touch::Pages && self.untouched.is_some() {
            return self.touch_in_part(payload, request, already, seen);
        }
        let memory = self.heap.memory_mut();
        match self.touch {
            Touch::None => {}
            Touch::First => memory.touch(payload, 1),
            Touch::Pages => {
                let from = payload + already / 8 * 8;
                memory.touch(from, payload + request - from);
            }
            Touch::All => {
                memory.touch(payload, request);
                memory.fill(payload + already, request - already, 0x55);
            }
        }
    }

    /// As [`touch`](Self::touch), but for what was seen to be untouched.
    #[cold]
    fn touch_in_part(&mut self, payload: Address, request: u64, already: u64, seen: Pointer) {
        let Some(untouched) = &self.untouched else { return };
        let parts = untouched.parts(self.record, seen.address, request);
        let memory = self.heap.memory_mut();
        let mut from = already / 8 * 8;
        for (start, end) in parts {
            if start > from {
                // How far into its last page it was written to is not known, and here that page may lie across two.
                memory.touch(payload + from, (start - from).saturating_sub(PAGE / 2).max(1));
            }
            self.spared += end.saturating_sub(start.max(from));
            from = from.max(end);
        }
        if request > from {
            memory.touch(payload + from, request - from);
        }
    }

    #[inline]
    fn hold(&mut self, pointer: Pointer, held: Held) {
        let Slot(slot) = pointer.slot;
        if pointer.slot == Slot::NONE {
            if let Some(inherited) = self.inherited.get_mut(&pointer.address) {
                *inherited = held;
            }
            return;
        }
        let index = slot as usize;
        if index >= self.slots.len() {
            self.make_room(index);
        }
        self.slots[index] = held;
    }

    /// The table of slots grows; that costs memory of ours, which is not the heap's.
    #[cold]
    fn make_room(&mut self, index: usize) {
        let mark = self.heap.memory().faults_so_far();
        let length = (index + 1).next_power_of_two().max(1024);
        self.slots.resize(length, Held::default());
        self.heap.memory_mut().disown_faults_since(mark);
    }
}
