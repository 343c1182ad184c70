//! The recorder's loop: sees processes arrive and end, threads come and go, and writes what they write.
//!
//! [`strand`] reads one ring; [`follow`] is a thread with all that can keep others waiting;
//! [`merge`] puts threads in order; [`compose`] makes records of slots, [`sites`] stacks of frames; [`traced`] is a process with
//! its trace. [`arrival`], [`facts`], [`rings`], [`task`] and [`names`] are what they need.
//!
//! Whatever a program writes to the shared memory, this ends when the program does.

pub mod arrival;
pub mod compose;
pub mod facts;
pub mod follow;
pub mod hoard;
pub mod merge;
pub mod names;
pub mod rings;
pub mod sites;
pub mod strand;
pub mod task;
pub mod traced;
mod untouched;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io;
use std::mem;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use malloscope_traces::Cause;
use malloscope_traces::header::{self, Header, Origin};
use malloscope_traces::redaction::Redaction;
use malloscope_traces::snapshot::Snapshot;
use malloscope_traces::stacks::Capture;
use malloscope_traces::{Error, Writer, growing};
use malloscope_wire::process::Verdict;
use malloscope_wire::ring::{self, Stage};
use malloscope_wire::{Clock, PROCESSES};
use rustix::thread::futex;
use rustix::time::ClockId;

use crate::clock::{self, Scale};
use crate::host;
use crate::limits::Limits;
use crate::memory::Memory;
use crate::private;
use crate::probe::Probed;
use crate::readings::{self, Readings};
use crate::status::{Board, Numbers};
use crate::{Options, system_wide};
use arrival::Arrival;
use compose::{ForkPoint, Forks};
use facts::Facts;
use hoard::Hoard;
use names::Names;
use rings::Rings;
use traced::{Finished, Traced};

/// How far back in time a record may still appear: what a processor may have put off between
/// reserving a slot and reading its clock, and what clocks of two processors may differ by, with
/// much to spare.
const SLACK: u64 = 5_000;

/// How long the trace of a forked child waits for its parent to record the fork.
const FORK: Duration = Duration::from_millis(100);

/// How often we look for threads that ended without a word, and send what was recorded to the files.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// How often we look how large the traces are, and how much memory we have, if that has a limit: a thread that does nothing but call malloc fills some
/// hundred kilobytes meanwhile.
const MEASURING: Duration = Duration::from_millis(10);

/// How often we say how it goes, for whoever asks.
const SAYING: Duration = Duration::from_millis(100);

/// The shortest and the longest we sleep.
///
/// A thread that does nothing but call malloc fills half a ring in 100 µs and wakes us then; the
/// longest is what the end of a program may go unnoticed.
const NAPS: [Duration; 2] = [Duration::from_micros(100), Duration::from_millis(4)];

/// How many slots there are to be after a nap: the next is longer if there were fewer, and shorter
/// if there were more.
///
/// A program is disturbed whenever we wake: we take a processor from it where there are few, and
/// its ring out of its cache. More than this, and threads that call in bursts have to wake us.
const HARVEST: RangeInclusive<u64> = ring::SLOTS / 8..=ring::SLOTS / 4;

/// The most traces of one recording. A program that says without end that it is another one fills no disk.
const MOST_TRACES: usize = 1 << 16;

/// Of how many processes that have ended it is known what they left behind, for copies that are noticed late.
const MOST_PAST: usize = 1 << 10;

/// What a process left behind that its copies may ask for.
#[derive(Debug)]
struct Past {
    facts: Facts,
    trace: String,
    forks: Forks,
    /// Where a fork would have been at the end.
    point: ForkPoint,
}

/// What the parent of a copy was when the copy was made.
struct Parent {
    facts: Facts,
    trace: String,
    point: ForkPoint,
}

/// A process that was seen and not recorded.
#[derive(Clone, Debug)]
pub struct NotRecorded {
    /// Its process id.
    pub pid: u32,
    /// Its program.
    pub program: String,
    /// Why not.
    pub why: WhyNot,
}

/// Why a process was not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// Its malloc comes from this file, and not from glibc.
    AnotherAllocator(String),
    /// Its kernel is older than 4.14.
    OldKernel,
}

/// Collects what the recorded processes write.
#[derive(Debug)]
pub struct Collector<'m> {
    memory: &'m Memory,
    clock: Clock,
    scale: Scale,
    names: Names,
    /// The process id of the launched process.
    launched: u32,
    /// How its trace came to be.
    origin: Origin,
    /// How the launched process's heap stood when it was attached to.
    heap: Option<Snapshot>,
    /// What the traces leave out.
    redaction: Redaction,
    /// What the libc answered that the launched process should have.
    probed: Option<Probed>,
    rings: Rings<'m>,
    /// Which calls have stacks, as it was when no program had seen the memory.
    capture: Option<Capture>,
    /// What the kernel says of the processes, if it is asked.
    readings: Option<Readings>,
    /// Where we say how it goes, and when we did last.
    board: Option<Board>,
    said: Instant,
    /// Processes whose traces have not begun.
    waiting: Vec<Arrival<'m>>,
    traced: Vec<Traced<'m>>,
    finished: Vec<Finished<'m>>,
    not_recorded: Vec<NotRecorded>,
    past: HashMap<u64, Past>,
    /// The serials of those, the latest last.
    passed: VecDeque<u64>,
    /// Processes that came when there were as many traces as there may be.
    too_many: u32,
    /// The serial of the last process seen in each entry.
    seen: Vec<u64>,
    /// How many arrivals there were when we last looked.
    arrivals: u32,
    nap: Duration,
    /// Slots read since the last nap.
    harvested: u64,
    tidied: Instant,
    /// What the recording is kept to, when we last looked, and what was reached.
    limits: Limits,
    measured: Instant,
    reached: Option<Cause>,
    is_ending: bool,
}

/// How far a recording has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Calls recorded.
    pub calls: u64,
    /// Processes being recorded.
    pub processes: usize,
}

impl<'m> Collector<'m> {
    /// Collects from this memory; the launched process has this id, and its trace goes to `output`.
    pub fn new(
        memory: &'m Memory,
        clock: Clock,
        scale: Scale,
        output: &Path,
        launched: u32,
        probed: Option<Probed>,
    ) -> Self {
        Collector {
            memory,
            clock,
            scale,
            names: Names::beside(output),
            launched,
            origin: Origin::Launched,
            heap: None,
            redaction: Redaction::default(),
            probed,
            rings: Rings::new(memory, clock),
            capture: sites::capture(&memory.shared().control),
            readings: None,
            board: Board::new(launched),
            said: Instant::now(),
            waiting: Vec::new(),
            traced: Vec::new(),
            finished: Vec::new(),
            not_recorded: Vec::new(),
            past: HashMap::new(),
            passed: VecDeque::new(),
            too_many: 0,
            seen: vec![0; PROCESSES],
            arrivals: 0,
            nap: NAPS[0],
            harvested: 0,
            tidied: Instant::now(),
            limits: Limits::default(),
            measured: Instant::now(),
            reached: None,
            is_ending: false,
        }
    }

    /// The launched process was not launched, but attached to, when its heap stood like this, if that is known.
    pub fn attached(&mut self, origin: Origin, heap: Option<Snapshot>) {
        self.origin = origin;
        self.heap = heap;
    }

    /// What the process that was attached to writes is kept, until its trace has begun.
    pub fn hoard(&mut self, hoard: Hoard<'m>) {
        self.rings.hoard(hoard);
    }

    /// The recording keeps to what these say that it may take, and leave out of its traces.
    pub fn keep_to(&mut self, options: &Options) {
        self.redaction = options.redaction;
        self.limits = options.limits.clone();
    }

    /// The kernel is asked so often what it knows of the processes.
    pub fn take_readings(&mut self, period: Option<Duration>) {
        self.readings = period.and_then(|period| Readings::begin(period, self.clock));
    }

    /// The processes that are being recorded.
    pub fn recorded(&self) -> impl Iterator<Item = u32> + '_ {
        self.traced.iter().map(|traced| traced.arrival.pid)
    }

    /// Whether the launched process has ended, as far as is known.
    pub fn launched_has_ended(&self) -> bool {
        let launched = self.traced.iter().find(|traced| traced.arrival.pid == self.launched);
        launched.is_none_or(|launched| launched.arrival.has_ended())
    }

    /// How long the files of all traces are by now.
    pub fn bytes(&self) -> u64 {
        let files = self.traced.iter().map(|traced| &traced.path);
        let files = files.chain(self.finished.iter().map(|finished| &finished.path));
        files.map(|file| fs::metadata(file).map_or(0, |about| about.len())).sum()
    }

    /// Why the recording ends now, if it has come to a limit, as far as we looked: that is now and then.
    pub fn limit_reached(&mut self) -> Option<Cause> {
        if self.measured.elapsed() >= MEASURING {
            self.measured = Instant::now();
            self.reached = self.limits.reached(|| self.bytes());
        }
        self.reached.clone()
    }

    /// Looks once at everything. Returns how many slots there were to read.
    pub fn round(&mut self) -> Result<u64, Error> {
        self.memory.shared().control.heartbeat.0.fetch_add(1, Ordering::Relaxed);
        // The clock before anything we look at: see `merge`.
        let horizon = clock::now(self.clock).saturating_sub(self.scale.ticks(SLACK));
        self.look_around()?;
        let mut slots = 0;
        for traced in &mut self.traced {
            traced.look_if_asked();
            slots += traced.advance_a_while(horizon, &mut self.rings)?;
            // There may be many processes, and each may have much to say.
            if self.measured.elapsed() >= MEASURING
                && let Some(cause) = self.limits.is_out_of_memory()
            {
                self.reached = Some(cause);
                break;
            }
        }
        if slots == 0 {
            self.end_the_ended()?;
        }
        if self.tidied.elapsed() > HOUSEKEEPING {
            self.tidied = Instant::now();
            self.tidy()?;
        }
        self.write_readings()?;
        self.say_how_it_goes();
        self.harvested += slots;
        Ok(slots)
    }

    /// Sleeps as long as there is likely to be nothing to do, or until a thread needs us.
    pub fn rest(&mut self) {
        let harvested = mem::take(&mut self.harvested);
        if harvested < *HARVEST.start() {
            self.nap = (self.nap * 2).min(NAPS[1]);
        } else if harvested > *HARVEST.end() {
            self.nap = (self.nap / 2).max(NAPS[0]);
        }
        let asleep = &self.memory.shared().control.asleep;
        asleep.store(1, Ordering::SeqCst);
        // Whoever asked before that does not know that we are to be woken.
        if self.traced.iter().any(Traced::is_asked) {
            asleep.store(0, Ordering::SeqCst);
            return;
        }
        let limit = rustix::event::Timespec::try_from(self.nap).unwrap_or_default();
        // Woken, timed out, interrupted: each is a reason to look again.
        let _ = futex::wait(asleep, futex::Flags::empty(), 1, Some(&limit));
        asleep.store(0, Ordering::SeqCst);
    }

    /// Looks for processes and threads that came.
    fn look_around(&mut self) -> Result<(), Error> {
        let arrivals = self.memory.shared().control.arrivals.load(Ordering::Acquire);
        if arrivals == self.arrivals && self.waiting.is_empty() {
            return Ok(());
        }
        self.arrivals = arrivals;
        self.look_for_processes();
        self.begin_traces()?;
        self.look_for_threads();
        Ok(())
    }

    /// Looks for processes that came, and sorts them by when that was.
    fn look_for_processes(&mut self) {
        let shared = self.memory.shared();
        let used = shared.control.processes_used.load(Ordering::Acquire);
        let used = usize::try_from(used).unwrap_or(PROCESSES);
        let mut traces = self.finished.len() + self.traced.len() + self.waiting.len();
        // An entry is somebody's until we give it back, whatever is written there.
        let ours = self.waiting.iter().chain(self.traced.iter().map(|traced| &traced.arrival));
        let ours: HashSet<usize> = ours.map(|arrival| arrival.number).collect();
        for (number, (entry, seen)) in shared.processes.iter().zip(&mut self.seen).take(used).enumerate() {
            if ours.contains(&number) {
                continue;
            }
            let Some((verdict, arrival)) = Arrival::read(number, entry, *seen) else { continue };
            *seen = arrival.serial;
            if traces + self.not_recorded.len() >= MOST_TRACES {
                arrival.give_back();
                self.too_many = self.too_many.saturating_add(1);
                continue;
            }
            match why_not(verdict, &arrival) {
                None => {
                    traces += 1;
                    self.waiting.push(arrival);
                }
                Some(why) => {
                    arrival.give_back();
                    let program = arrival.facts.program.path.clone();
                    self.not_recorded.push(NotRecorded { pid: arrival.pid, program, why });
                }
            }
        }
        self.waiting.sort_by_key(|arrival| arrival.serial);
    }

    /// Begins the traces of those processes of which all is known.
    fn begin_traces(&mut self) -> Result<(), Error> {
        for arrival in mem::take(&mut self.waiting) {
            // A program does not begin before the one the process was before it.
            let is_next = self.waiting.iter().all(|earlier| earlier.pid != arrival.pid);
            if arrival.copy_of == 0 && is_next {
                let is_ours = arrival.pid == self.launched && self.finished.is_empty();
                let origin = if is_ours { self.origin.clone() } else { Origin::Launched };
                let heap = if is_ours { self.heap.take() } else { None };
                self.begin_trace(arrival, origin, heap)?;
            } else if let Some(parent) = self.parent(&arrival)?.filter(|_| is_next) {
                let Parent { facts, trace, point } = parent;
                let origin = Origin::Forked { parent: arrival.parent, trace, after: point.records };
                let program_break = point.program_break;
                self.begin_trace(Arrival { facts, program_break, ..arrival }, origin, None)?;
            } else {
                self.waiting.push(arrival);
            }
        }
        Ok(())
    }

    /// What the parent of a copy was when the copy was made; `None` if that may yet become known.
    fn parent(&mut self, arrival: &Arrival<'m>) -> Result<Option<Parent>, Error> {
        let is_late = self.is_ending || arrival.since.elapsed() > FORK;
        let parent = self.traced.iter_mut().find(|traced| traced.arrival.serial == arrival.copy_of);
        if let Some(parent) = parent {
            // If nobody saw it being made, it was made before it began.
            let now = clock::now(self.clock);
            let until = if is_late { now } else { arrival.began.min(now) };
            parent.advance(until, &mut self.rings)?;
            let now = (is_late || arrival.ticket == 0).then(|| parent.point());
            let point = parent.fork_point(arrival.ticket).or(now);
            let Some(point) = point else { return Ok(None) };
            let facts = parent.arrival.facts.clone();
            let trace = file_name(parent.lasting_path(&mut self.names));
            return Ok(Some(Parent { facts, trace, point }));
        }
        if let Some(past) = self.past.get(&arrival.copy_of) {
            let point = past.forks.get(&arrival.ticket).copied().unwrap_or(past.point);
            return Ok(Some(Parent { facts: past.facts.clone(), trace: past.trace.clone(), point }));
        }
        let point = ForkPoint { records: 0, program_break: arrival.program_break };
        Ok(is_late.then(|| Parent { facts: Facts::default(), trace: String::new(), point }))
    }

    fn begin_trace(
        &mut self,
        arrival: Arrival<'m>,
        origin: Origin,
        heap: Option<Snapshot>,
    ) -> Result<(), Error> {
        if let Some(earlier) = self.traced.iter().position(|traced| traced.arrival.pid == arrival.pid) {
            let cause = match origin {
                Origin::Launched => Cause::Replaced { by: arrival.facts.program.path.clone() },
                _ => Cause::Unknown,
            };
            self.finish_one(earlier, cause)?;
        }
        let path = if arrival.pid == self.launched {
            self.make_way();
            self.names.output().to_owned()
        } else {
            self.names.for_process(arrival.facts.name(), arrival.pid)
        };
        let file = create(&path).map_err(Error::Writing)?;
        let mut header = self.header(&arrival, origin);
        if let Some(start) = heap.as_ref().map(|heap| heap.limits.heap_start).filter(|start| *start != 0) {
            header.heap.initial_break = start;
        }
        let mut writer = Writer::new(file, &header)?;
        if let Some(heap) = heap {
            writer.snapshot(&heap)?;
        }
        if self.redaction.is_any() {
            writer.redacted(&self.redaction)?;
        }
        if let Some(capture) = self.capture {
            writer.capture(capture);
        }
        if let Some(readings) = &self.readings {
            readings.follow(arrival.serial, arrival.pid);
        }
        let mut traced = Traced::begin(arrival, path, writer, self.scale, self.redaction);
        // If we are killed now, what there is says at least of which program it would have been.
        traced.flush()?;
        self.traced.push(traced);
        self.look_for_threads();
        Ok(())
    }

    /// Takes the name that was asked for from the program the launched process was, for the one it is now.
    fn make_way(&mut self) {
        let output = self.names.output();
        let Some(earlier) = self.finished.iter_mut().find(|finished| finished.path == output) else {
            return;
        };
        let name = earlier.arrival.facts.name();
        let renamed = match earlier.lasting_path.take() {
            // It has another name already; `rename` from one to the other would do nothing.
            Some(name) => fs::remove_file(output).map(|()| name),
            None => {
                let name = self.names.for_image(name, self.launched);
                fs::rename(self.names.output(), &name).map(|()| name)
            }
        };
        let Ok(name) = renamed else { return };
        if let Some(past) = self.past.get_mut(&earlier.arrival.serial) {
            past.trace = file_name(&name);
        }
        earlier.path = name;
    }

    fn header(&self, arrival: &Arrival<'m>, origin: Origin) -> Header {
        let Facts { mut program, mut libc } = arrival.facts.clone();
        program.environment.splice(..0, system_wide::variables(&program.path));
        libc.probe = self.probed.as_ref().map(|probed| probed.answers_of(&libc)).unwrap_or_default();
        let mut header = Header {
            recorder: concat!("malloscope ", env!("CARGO_PKG_VERSION")).to_owned(),
            origin,
            program: header::Program { pid: arrival.pid, parent: arrival.parent, ..program },
            host: host::facts(arrival.pid),
            libc,
            heap: header::Heap { initial_break: arrival.program_break, placements: true },
            clock: header::Clock {
                source: match self.clock {
                    Clock::Tsc => header::ClockSource::Tsc,
                    Clock::Monotonic => header::ClockSource::Monotonic,
                },
                began: self.since_1970(arrival.began),
                resolution: 1,
            },
        };
        self.redaction.of_header(&mut header);
        header
    }

    /// When that was in ticks, in nanoseconds since 1970.
    fn since_1970(&self, ticks: u64) -> u64 {
        let ago = clock::now(self.clock).saturating_sub(ticks);
        clock::nanoseconds(ClockId::Realtime).saturating_sub(self.scale.nanoseconds(ago))
    }

    /// Follows threads that came, and notes those whose place another has.
    fn look_for_threads(&mut self) {
        for taken in self.rings.taken() {
            let is_its =
                |traced: &&mut Traced<'_>| traced.arrival.number == usize::from(taken.tenancy.process);
            let Some(traced) = self.traced.iter_mut().find(is_its) else {
                continue;
            };
            if !taken.followed
                && let Some(follower) = self.rings.follow(taken.ring, traced.arrival.pid)
            {
                traced.follow(follower);
            }
            if taken.tenancy.stage == Stage::Left {
                traced.lose(taken.ring);
            }
        }
    }

    /// Ends the traces of processes that have ended, but for the launched one: of that we are told why.
    fn end_the_ended(&mut self) -> Result<(), Error> {
        let launched = self.launched;
        let has_ended = |traced: &Traced<'_>| traced.arrival.pid != launched && traced.arrival.has_ended();
        while let Some(ended) = self.traced.iter().position(has_ended) {
            self.finish_one(ended, Cause::Unknown)?;
        }
        Ok(())
    }

    fn finish_one(&mut self, index: usize, mut cause: Cause) -> Result<(), Error> {
        self.redaction.of_cause(&mut cause);
        // It may have made threads since we looked.
        self.look_for_threads();
        self.write_readings()?;
        let mut traced = self.traced.swap_remove(index);
        if let Some(readings) = &self.readings {
            readings.leave(traced.arrival.serial);
            // One that goes on says how it is left.
            if let Some(last) = readings::counted(traced.arrival.pid) {
                traced.reading(clock::now(self.clock), last)?;
            }
        }
        let (mut finished, forks, point) = traced.finish(cause, &mut self.rings)?;
        let facts = mem::take(&mut finished.arrival.facts);
        // Of the many that end, this is all that will be asked for.
        finished.arrival.facts.program.path.clone_from(&facts.program.path);
        let past = Past {
            facts,
            trace: file_name(finished.lasting_path.as_ref().unwrap_or(&finished.path)),
            forks,
            point,
        };
        self.past.insert(finished.arrival.serial, past);
        self.passed.push_back(finished.arrival.serial);
        if self.passed.len() > MOST_PAST {
            self.passed.pop_front().map(|serial| self.past.remove(&serial));
        }
        self.finished.push(finished);
        Ok(())
    }

    /// Ends the recording: whoever still runs is recorded no further. The launched process has ended for this cause.
    pub fn end(&mut self, launched: &Cause) -> Result<(), Error> {
        if self.is_ending {
            // It ended before its program did.
            return Ok(());
        }
        if matches!(launched, Cause::Limited { .. }) {
            self.rings.enough();
        }
        self.stop_agents();
        self.is_ending = true;
        self.arrivals = self.arrivals.wrapping_sub(1);
        self.look_around()?;
        while let Some(last) = self.traced.last() {
            let cause = match &last.arrival {
                arrival if arrival.pid == self.launched => launched.clone(),
                arrival if arrival.has_ended() => Cause::Unknown,
                _ => Cause::Stopped,
            };
            self.finish_one(self.traced.len() - 1, cause)?;
        }
        Ok(())
    }

    /// Tells all agents that nobody reads any more, and wakes those that wait for us.
    pub fn stop_agents(&self) {
        self.memory.shared().control.ended.store(1, Ordering::SeqCst);
        for ring in &self.memory.shared().rings {
            if ring.reader.waiting.swap(0, Ordering::SeqCst) != 0 {
                let _ = futex::wake(&ring.reader.waiting, futex::Flags::empty(), 1);
            }
        }
    }

    /// The traces that are complete.
    pub fn finished(&self) -> &[Finished<'m>] {
        &self.finished
    }

    /// Where the trace of the launched process goes.
    pub fn output(&self) -> &Path {
        self.names.output()
    }

    /// Processes that found no entry free, or came when there were too many traces.
    pub fn turned_away(&self) -> u32 {
        self.memory.shared().control.turned_away.load(Ordering::Relaxed).saturating_add(self.too_many)
    }

    /// The processes that were seen and not recorded.
    pub fn not_recorded(&self) -> &[NotRecorded] {
        &self.not_recorded
    }

    /// What was composed and lost so far, over all processes.
    pub fn progress(&self) -> Progress {
        let done = self.finished.iter().map(|finished| finished.tally);
        let calls = self.traced.iter().map(Traced::tally).chain(done).map(|tally| tally.calls).sum();
        Progress { calls, processes: self.traced.len() }
    }

    /// Writes what the kernel said meanwhile.
    fn write_readings(&mut self) -> Result<(), Error> {
        let Some(readings) = &self.readings else { return Ok(()) };
        for taken in readings.taken() {
            let is_its = |traced: &&mut Traced<'_>| traced.arrival.serial == taken.serial;
            if let Some(traced) = self.traced.iter_mut().find(is_its) {
                traced.reading(taken.ticks, taken.reading)?;
            }
        }
        Ok(())
    }

    /// Says how it goes, if that is due.
    fn say_how_it_goes(&mut self) {
        if self.said.elapsed() < SAYING {
            return;
        }
        self.said = Instant::now();
        let now = self.traced.iter().map(|traced| traced.losses(&self.rings));
        let before = self.finished.iter().map(|finished| (finished.losses.calls, finished.losses.waits));
        let (lost, waits) =
            now.chain(before).fold((0_u64, 0_u64), |(lost, waits), (more_lost, more_waits)| {
                (lost.saturating_add(more_lost), waits.saturating_add(more_waits))
            });
        let Progress { calls, processes } = self.progress();
        if let Some(board) = &mut self.board {
            board.write(Numbers { calls, processes: processes as u64, lost, waits, ..Numbers::default() });
        }
    }

    fn tidy(&mut self) -> Result<(), Error> {
        for traced in &mut self.traced {
            traced.look_for_vanished();
            traced.let_it_look();
            traced.flush()?;
        }
        Ok(())
    }
}

/// Why a process is not recorded, if it is not.
fn why_not(verdict: Verdict, arrival: &Arrival<'_>) -> Option<WhyNot> {
    match verdict {
        Verdict::Recorded => None,
        Verdict::AnotherAllocator => Some(WhyNot::AnotherAllocator(arrival.facts.libc.path.clone())),
        Verdict::OldKernel => Some(WhyNot::OldKernel),
    }
}

/// A new file of this name. What was there before and has other names keeps its contents under them.
fn create(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|about| about.is_file() && about.nlink() > 1) {
        fs::remove_file(path)?;
    }
    let file = private::create(path)?;
    growing::hold(&file);
    Ok(file)
}

/// The last part of a path, as text.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
