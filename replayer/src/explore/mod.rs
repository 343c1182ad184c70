//! A replay that stands still wherever one likes: the heap after any record, and the next call step by
//! step.
//!
//! An [`Explorer`] makes the calls of a trace on a simulated heap of its own, in the thread that asks. It
//! goes forward from where it stands, and back to the latest moment it has kept: one of those nearby
//! (`past.rs`) or of those from the whole way (`keyframes.rs`), or to the beginning. Where it stands, [`Explorer::heap`] is every chunk there is (`map.rs`), and
//! [`Explorer::step`] makes one call more and tells in words what the allocator decided (`decision.rs`).
//!
//! Records are counted in the order in which they are replayed: where calls of several threads overlapped,
//! that is the order in which they must have been made, as in every report. So record 17 is the one that 17
//! others precede; [`Step::number`] is the number it has in the file.
//!
//! The memory it takes is in proportion to the live heap, whatever the length of the trace; moments of the way take some
//! megabytes more.

mod births;
mod call;
pub mod cells;
mod course;
mod decision;
mod ear;
mod keyframes;
pub mod map;
mod past;
mod tape;
#[cfg(test)]
mod tests;

use crate::engine::{Answer, Engine, Held};
use crate::report::units;
use crate::run::{Fork, Lineage, Progress, beginning, simulated, standing_machine};
use crate::standing::{self, Unusable};
use crate::trial::{BadTrial, MemoryKind, Trial, WordWidth};
use crate::trims::Trimmer;
use crate::turn::Extent;
use births::Births;
use ear::Ear;
use keyframes::Keyframes;
use malloscope_allocator::address::Address;
use malloscope_allocator::chunk::Chunk;
use malloscope_allocator::layout::Bits64;
use malloscope_allocator::memory::simulated::Simulated;
use malloscope_traces::{Call, Error as TraceError, Nanos, Record, Stack};
use map::HeapMap;
use past::Past;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tape::Tape;

/// Why a heap cannot be explored.
#[derive(Debug, thiserror::Error)]
pub enum ExploreError {
    /// The trace cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The settings make no sense.
    #[error(transparent)]
    Trial(#[from] BadTrial),
    /// The heap that the trace begins with cannot be begun with.
    #[error(transparent)]
    Standing(#[from] Unusable),
    /// Only the simulated machine can go back.
    #[error("only a heap in simulated memory can be explored: leave out `--memory real`")]
    Real,
    /// Words are wide.
    #[error("only a heap with words of 64 bits can be explored: leave out `--bits 32`")]
    Narrow,
    /// The heap was found corrupted: the program would have been aborted here.
    #[error("the heap is found corrupted at record {record}: {message}")]
    Corrupted {
        /// The record whose call found it.
        record: u64,
        /// What malloc says.
        message: String,
    },
    /// Somebody asked to stop.
    #[error("stopped")]
    Stopped,
}

/// What to go on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// A request that is not served from the thread's own cache, nor where it already was.
    Miss,
    /// An arena's top chunk is given memory by the kernel: the program break moves up, or a segment grows.
    Growth,
    /// An arena's top chunk gives memory back to the kernel.
    Trim,
    /// Memory is mapped: for a chunk of its own, or for an arena.
    Map,
}

impl Next {
    /// All there are.
    pub const ALL: [Next; 4] = [Next::Miss, Next::Growth, Next::Trim, Next::Map];
}

/// Watched while an explorer is on its way: told how far it is, and asked whether to stop.
pub struct Watched<'a> {
    /// Told after every batch.
    pub progress: &'a mut dyn FnMut(Progress),
    /// Whether to stop: then the way ends with [`ExploreError::Stopped`], somewhere in between.
    pub stop: &'a AtomicBool,
}

/// One call, made, and what the allocator decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which record, in the order of the replay, from 0 on.
    pub record: u64,
    /// The number it has in the file.
    pub number: u64,
    /// When, since the trace began.
    pub time: Nanos,
    /// The thread, by its number in the trace.
    pub thread: u32,
    /// The stack of the call; none if it has none.
    pub stack: Stack,
    /// The call, with addresses of the replay: `malloc(24)`.
    pub call: String,
    /// What it returned, if it returns anything.
    pub answer: Option<String>,
    /// The chunk that the call was given or gave back, by address; the one it was given, if both.
    pub chunk: Option<u64>,
    /// What the allocator decided, a clause each, in order.
    pub decision: Vec<String>,
}

/// A heap, and who made what lies in it.
#[derive(Clone, Debug)]
struct Moment {
    engine: Engine<Simulated, Ear>,
    births: Births,
    trimmer: Trimmer,
    /// Records replayed.
    made: u64,
    time: Nanos,
}

/// A call that has been made.
#[derive(Clone, Copy, Debug)]
struct Made {
    record: Record,
    /// Its number in the file.
    number: u64,
    stack: Stack,
    /// What it was handed, as it stood before.
    handed: Held,
    /// Whether its thread had a cache before.
    had_cache: bool,
    answer: Answer,
}

/// Goes through a trace, forward and back, on a heap of its own.
#[derive(Debug)]
pub struct Explorer {
    trace: PathBuf,
    trial: Trial,
    initial_break: Address,
    now: Moment,
    tape: Tape,
    past: Past,
    keyframes: Keyframes,
    total: Option<u64>,
    /// The record whose call found the heap corrupted, and what malloc said: there is nothing after it.
    corrupted: Option<(u64, String)>,
    /// The arenas' top chunks before the latest call, where somebody listened.
    tops: Vec<Chunk>,
    /// What exiting threads gave back since the call before, where somebody listened.
    meanwhile: Vec<String>,
}

/// What is needed to begin.
struct Beginning {
    moment: Moment,
    tape: Tape,
    initial_break: Address,
    total: Option<u64>,
}

impl Explorer {
    /// Opens a trace; no call of its own is made yet, only those of the parent it was forked from.
    ///
    /// # Errors
    ///
    /// When there is nothing to replay.
    pub fn open(trace: &Path, trial: &Trial) -> Result<Explorer, ExploreError> {
        match (trial.memory, trial.words) {
            (MemoryKind::Real, _) => return Err(ExploreError::Real),
            (_, WordWidth::Bits32) => return Err(ExploreError::Narrow),
            _ => {}
        }
        let Beginning { moment, tape, initial_break, total } = begin(trace, trial)?;
        Ok(Explorer {
            trace: trace.to_owned(),
            trial: trial.clone(),
            initial_break,
            now: moment,
            tape,
            past: Past::default(),
            keyframes: Keyframes::default(),
            total,
            corrupted: None,
            tops: Vec::new(),
            meanwhile: Vec::new(),
        })
    }

    /// How many records have been replayed: the number of the next.
    pub fn made(&self) -> u64 {
        self.now.made
    }

    /// How many records the trace has; `None` if that is not known before its end.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// What of the trace cannot be read, as far as it has been met.
    pub fn damage(&self) -> &[String] {
        self.tape.damage()
    }

    /// The glibc release it replays as.
    pub fn release(&self) -> &'static str {
        self.now.engine.heap().release().name
    }

    /// What an arena keeps when it is trimmed, in bytes.
    pub fn top_pad(&self) -> u64 {
        self.now.engine.heap().parameters().top_pad
    }

    /// Goes to where so many records have been replayed, or to the end of the trace if that comes before.
    ///
    /// # Errors
    ///
    /// When the trace cannot be read, the heap is found corrupted on the way, or somebody asked to stop.
    pub fn go_to(&mut self, made: u64, watched: &mut Watched<'_>) -> Result<(), ExploreError> {
        if made < self.now.made || (self.corrupted.is_some() && made == self.now.made) {
            self.go_back(made)?;
        } else {
            self.skip_to_keyframe(Some(self.now.made), made);
        }
        self.run(Some(made), None, watched).map(drop)
    }

    /// Makes the next call, and tells what was decided. `None` at the end of the trace.
    ///
    /// # Errors
    ///
    /// As [`go_to`](Self::go_to).
    pub fn step(&mut self) -> Result<Option<Step>, ExploreError> {
        self.keep_if_due(true);
        self.now.engine.heap_mut().observer_mut().listen(true);
        let made = self.make();
        let step = made.map(|made| made.map(|made| self.told(&made)));
        self.now.engine.heap_mut().observer_mut().listen(false);
        step
    }

    /// Goes on until a call does this, and stops after it; `None` if none does any more: then all records
    /// have been replayed.
    ///
    /// # Errors
    ///
    /// As [`go_to`](Self::go_to).
    pub fn next(&mut self, what: Next, watched: &mut Watched<'_>) -> Result<Option<Step>, ExploreError> {
        self.now.engine.heap_mut().observer_mut().listen(true);
        let found = self.run(None, Some(what), watched);
        let step = found.map(|found| found.map(|made| self.told(&made)));
        self.now.engine.heap_mut().observer_mut().listen(false);
        step
    }

    /// The call that would be made next, in words; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the trace cannot be read.
    pub fn coming(&mut self) -> Result<Option<String>, ExploreError> {
        let Some(record) = self.tape.peek_whole()? else { return Ok(None) };
        let handed = record.call.handed().map(|pointer| self.now.engine.slot(pointer));
        Ok(Some(call::said(&record.call, handed.unwrap_or_default())))
    }

    /// Every chunk there is.
    ///
    /// # Errors
    ///
    /// When the heap was found corrupted: nothing can be told of it.
    pub fn heap(&self) -> Result<HeapMap, ExploreError> {
        self.require_sound()?;
        Ok(map::draw(&self.now, self.initial_break))
    }

    fn require_sound(&self) -> Result<(), ExploreError> {
        match &self.corrupted {
            Some((record, message)) => {
                Err(ExploreError::Corrupted { record: *record, message: message.clone() })
            }
            None => Ok(()),
        }
    }

    /// Goes to the latest moment that was kept, no later than where so many records were replayed.
    fn go_back(&mut self, made: u64) -> Result<(), ExploreError> {
        self.corrupted = None;
        if let Some((moment, turn)) = self.past.take_latest(made)
            && self.tape.rewind(turn)
        {
            self.now = moment;
            // One from the whole way may be nearer, where what is near was kept on an earlier way.
            self.skip_to_keyframe(Some(self.now.made), made);
            return Ok(());
        }
        if self.skip_to_keyframe(None, made) {
            return Ok(());
        }
        let Beginning { moment, tape, .. } = begin(&self.trace, &self.trial)?;
        self.now = moment;
        if !self.tape.rewind(0) {
            // What was kept belongs to the tape.
            (self.tape, self.past, self.keyframes) = (tape, Past::default(), Keyframes::default());
        }
        Ok(())
    }

    /// Stands where one of the moments from the whole way was kept, the latest no later than where so many records were
    /// replayed, if there is one after some others. Whether there is.
    fn skip_to_keyframe(&mut self, after: Option<u64>, made: u64) -> bool {
        let Some((moment, turn)) = self.keyframes.latest_within(after, made) else { return false };
        let is_there = self.tape.rewind(turn);
        if is_there {
            self.now = moment.unpacked();
            self.now.engine.heap_mut().observer_mut().listen(false);
        }
        is_there
    }

    /// Keeps how things stand, if what was kept is far back, so that going back is quick.
    fn keep_if_due(&mut self, is_near: bool) {
        if is_near && self.past.is_due(&self.now) {
            self.past.keep(&self.now, self.tape.turn());
            self.tape.keep_from(self.past.oldest());
        }
    }

    /// Makes calls until so many were made, or one has done what is looked for: then that one.
    fn run(
        &mut self,
        to: Option<u64>,
        until: Option<Next>,
        watched: &mut Watched<'_>,
    ) -> Result<Option<Made>, ExploreError> {
        self.require_sound()?;
        let mut unseen = 0;
        while to.is_none_or(|to| self.now.made < to) {
            let left = to.map_or(0, |to| to - self.now.made);
            self.keep_if_due(left <= past::spacing(&self.now));
            if self.keyframes.is_due(&self.now) && self.tape.keeps_all() {
                self.keyframes.keep(&mut self.now, self.tape.turn());
            }
            let Some(made) = self.make()? else { break };
            if until.is_some_and(|what| self.now.engine.heap().observer().has_reached(what)) {
                return Ok(Some(made));
            }
            unseen += 1;
            if unseen == BETWEEN_LOOKS {
                unseen = 0;
                (watched.progress)(Progress { done: self.now.made, total: to.or(self.total) });
                if watched.stop.load(Ordering::Relaxed) {
                    return Err(ExploreError::Stopped);
                }
            }
        }
        Ok(None)
    }

    /// Makes one call, and before it what exiting threads do in between.
    fn make(&mut self) -> Result<Option<Made>, ExploreError> {
        self.require_sound()?;
        self.meanwhile.clear();
        while let Some((turn, record, stack)) = self.tape.next()? {
            let engine = &mut self.now.engine;
            if engine.heap_mut().observer_mut().begin() {
                self.tops.clear();
                self.tops.extend(engine.heap().arenas().iter().map(|arena| arena.top()));
            }
            if turn.extent != Extent::Step
                && let Some(time) = self.now.trimmer.due(record.time.0, self.now.made)
            {
                self.trim(time)?;
            }
            let engine = &mut self.now.engine;
            let handed = record.call.handed().map(|pointer| engine.slot(pointer)).unwrap_or_default();
            let had_cache = engine.heap().cache_chunk_of(engine.thread_of(record.thread)).is_some();
            let answer = match engine.take_turn(&turn, &record) {
                Ok(answer) => answer,
                Err(corruption) => {
                    self.corrupted = Some((self.now.made, corruption.to_string()));
                    self.require_sound()?;
                    return Ok(None);
                }
            };
            if turn.extent == Extent::Step {
                self.note_step(&record);
                continue;
            }
            self.now.births.note(&record, stack, self.now.made, answer);
            self.now.made += 1;
            self.now.time = record.time;
            return Ok(Some(Made { record, number: turn.index, stack, handed, had_cache, answer }));
        }
        Ok(None)
    }

    /// Calls `malloc_trim(0)`, which the program did not.
    #[cold]
    fn trim(&mut self, time: Nanos) -> Result<(), ExploreError> {
        if let Err(corruption) = self.now.engine.heap_mut().trim(0) {
            self.corrupted = Some((self.now.made, corruption.to_string()));
            return self.require_sound();
        }
        if let Some(events) = self.now.engine.heap().observer().heard() {
            self.meanwhile.push(format!("before, at {}, malloc_trim is called", units::nanos(time.0)));
            self.meanwhile.extend(decision::clauses(events, self.now.engine.heap(), &self.tops));
        }
        // What follows is the call's own.
        self.now.engine.heap_mut().observer_mut().begin();
        Ok(())
    }

    /// An exiting thread has given back a chunk.
    #[cold]
    fn note_step(&mut self, record: &Record) {
        if let Some(events) = self.now.engine.heap().observer().heard() {
            let does = match record.call {
                Call::ThreadExit => "which exits, gives back a chunk",
                _ => "which calls for the first time, gets an arena and a cache",
            };
            self.meanwhile.push(format!("meanwhile thread {}, {does}", record.thread.0));
            self.meanwhile.extend(decision::clauses(events, self.now.engine.heap(), &self.tops));
        }
    }

    /// The latest call, in words.
    fn told(&self, made: &Made) -> Step {
        let heap = self.now.engine.heap();
        let events = heap.observer().heard().unwrap_or_default();
        let cache = heap.cache_chunk_of(self.now.engine.thread_of(made.record.thread));
        let new_cache = cache.filter(|_| !made.had_cache);
        let mut decision = self.meanwhile.clone();
        decision.extend(new_cache.map(|chunk| decision::cache_made(chunk, heap)));
        decision.extend(decision::clauses(events, heap, &self.tops));
        let payload = match made.answer {
            Answer::Payload(payload) if !payload.is_null() => payload,
            _ => made.handed.payload,
        };
        Step {
            record: self.now.made.saturating_sub(1),
            number: made.number,
            time: made.record.time,
            thread: made.record.thread.0,
            stack: made.stack,
            call: call::said(&made.record.call, made.handed),
            answer: call::answer(made.answer),
            chunk: (!payload.is_null()).then(|| Chunk::of(heap.memory(), payload).0.0),
            decision,
        }
    }
}

/// Nobody is told anything for so many calls: some milliseconds.
const BETWEEN_LOOKS: u32 = 1 << 14;

/// Opens a trace, and makes the calls of its parents.
fn begin(trace: &Path, trial: &Trial) -> Result<Beginning, ExploreError> {
    let mut line = Lineage::open(trace, false)?;
    let (header, source, total, _) = line.take_youngest(trace);
    let eldest = &line.eldest;
    let release = trial.release(eldest)?;
    let (tunables, _) = trial.tunables(eldest)?;
    let (machine, initial_break) = match &eldest.snapshot {
        Some(snapshot) => {
            let machine = standing_machine(trial, eldest, snapshot)?;
            (machine, Address(eldest.header.heap.initial_break))
        }
        None => {
            let machine = simulated(Bits64, trial, eldest)?;
            let initial_break = machine.program_break();
            (machine, initial_break)
        }
    };
    let heap = beginning(machine, Ear::default(), release, &tunables, eldest)?;
    let mut engine = Engine::new(heap, trial.touch, header.heap.placements);
    engine.follow_claims(trial.is_as_recorded());
    if let Some(snapshot) = &eldest.snapshot {
        standing::introduce(&mut engine, snapshot);
    }
    let mut damage = Vec::new();
    for (_, source, _, until) in line.traces {
        let until = until.unwrap_or(u64::MAX);
        let mut replay = |_: u64, record: &Record| engine.execute(record).map(drop);
        let fork = Fork::of(&source, until, header.program.pid, &mut damage, &mut replay)?;
        fork.make(&mut engine);
    }
    engine.spare(source.untouched.clone());
    let trimmer = Trimmer::new(trial.malloc_trim);
    let moment = Moment { engine, births: Births::default(), trimmer, made: 0, time: Nanos(0) };
    Ok(Beginning { moment, tape: Tape::new(trace, source, damage), initial_break, total })
}
