//! One run: a trace through one heap, from the first record to the last.

use crate::blame::{Tally, What};
use crate::detail::Detail;
use crate::engine::{Answer, Engine, Oddities};
use crate::fidelity::Comparison;
use crate::filter::Filter;
use crate::flows::{Destination, Flows};
use crate::introspection::Question;
use crate::machine::{Machine, Metered};
use crate::metrics::fragmentation::Fragmentations;
use crate::metrics::slices::{Slices, Slicing};
use crate::metrics::{Measured, Metrics};
use crate::order::{Listener, Reordering, Twin};
use crate::outcome::{self, ArenaRow, Corrupted, Cost, Outcome, Settings, Thresholds};
use crate::own;
use crate::placements::{KernelCalls, Placements};
use crate::range::Range;
use crate::recognition::Recording;
use crate::regime;
use crate::selection::Selection;
use crate::served::{self, ServedFrom};
use crate::source::{Batch, Source};
use crate::standing::{self, Unusable};
use crate::together::{self, Answered, Replay};
use crate::trial::{BadTrial, MemoryKind, Trial, WordWidth};
use crate::trims::{Trim, Trimmer, Trims};
use crate::turn::{Extent, Turn};
use crate::watch::Watch;
use malloscope_allocator::address::Address;
use malloscope_allocator::chunk::Head;
use malloscope_allocator::corruption::Corruption;
use malloscope_allocator::heap::Heap;
use malloscope_allocator::layout::{Bits32, Bits64, Layout};
use malloscope_allocator::memory::journal::Journal;
use malloscope_allocator::memory::process::Process;
use malloscope_allocator::memory::simulated::{DEFAULT_BREAK, PAGE, Simulated};
use malloscope_allocator::memory::{Kernel, Processors};
use malloscope_allocator::observe::Observer;
use malloscope_allocator::release::Release;
use malloscope_allocator::tunables::Tunables;
use malloscope_traces::header::{Clock, Origin};
use malloscope_traces::snapshot::Snapshot;
use malloscope_traces::untouched::Spared;
use malloscope_traces::{Call, Error as TraceError, Header, Reader, Record, Slot, Stack, Thread};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What to replay, and what is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The trace file.
    pub trace: PathBuf,
    /// The settings.
    pub trial: Trial,
    /// Whether to compare placements with the recorded ones.
    pub compare: bool,
    /// Lines to write, besides the outcome.
    pub lines: Option<Lines>,
    /// What stacks are to be charged with: of those that need a replay, and the peaks.
    #[serde(default)]
    pub blame: Vec<What>,
    /// The records that count, if not all do.
    #[serde(default)]
    pub range: Option<Range>,
    /// Whether to go on, where the trace is still being written, with what is written meanwhile.
    #[serde(default)]
    pub follow: bool,
    /// Whether a worker is to say now and then what came of it so far.
    #[serde(default)]
    pub so_far: bool,
    /// The allocations that stacks are charged with, if not with all.
    #[serde(default)]
    pub filter: Filter,
    /// How much of the run is measured.
    #[serde(default)]
    pub detail: Detail,
}

impl Job {
    /// Replays the whole of a trace, and nothing besides.
    pub fn of(trace: impl Into<PathBuf>, trial: Trial) -> Job {
        let (compare, lines, blame, range, filter, follow, so_far, detail) = Default::default();
        Job { trace: trace.into(), trial, compare, lines, blame, range, filter, follow, so_far, detail }
    }
}

/// Lines about every call, or about the heap after the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lines {
    /// Where every chunk landed.
    Placements,
    /// Every call to the kernel.
    KernelCalls,
    /// What malloc answers to these questions in the end.
    Answers(Vec<Question>),
    /// No text, but who served each request: for [`Servings`](served::Servings) alone.
    Servings,
}

/// Why a run came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The trace cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The settings make no sense.
    #[error(transparent)]
    Trial(#[from] BadTrial),
    /// The lines could not be written.
    #[error("the lines cannot be written: {0}")]
    Lines(#[source] io::Error),
    /// The kernel does not grant what a replay over real memory needs.
    #[error("there is no memory to replay over: {0}")]
    Memory(#[source] io::Error),
    /// The release is too old for a question.
    #[error("glibc {release} has no {function}")]
    NoSuchFunction {
        /// The release.
        release: &'static str,
        /// What was to be called.
        function: &'static str,
    },
    /// The heap that the trace begins with cannot be begun with.
    #[error(transparent)]
    Standing(#[from] Unusable),
    /// This process has words of 64 bits.
    #[error("words of 32 bits are only simulated: say `--memory simulated`")]
    NarrowProcess,
    /// A replay over real memory, or of which more than its outcome is wanted, goes by itself.
    #[error("this replay cannot share a process with others")]
    NotShared,
    /// Where a chunk goes is known when it is freed, and stacks are charged before.
    #[error(
        "what a replay charges stacks with cannot be filtered by where chunks went when they were freed: leave out --freed-to"
    )]
    NotFreedYet,
    /// The wall could not be put where it was wanted.
    #[error("the break cannot be limited to {0} bytes: something else is mapped there")]
    Wall(u64),
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Records replayed.
    pub done: u64,
    /// Records in the trace, if it says.
    pub total: Option<u64>,
}

/// Who is told how a run goes, batch by batch.
pub trait Audience {
    /// It is so far now.
    fn progress(&mut self, progress: Progress);

    /// Whether what came of it so far is wanted now.
    fn wants_outcome(&mut self, _: Progress) -> bool {
        false
    }

    /// That is what came of it so far.
    fn hear(&mut self, _: Outcome) {}
}

/// Whom progress is enough for.
struct Progresses<'a>(&'a mut dyn FnMut(Progress));

impl Audience for Progresses<'_> {
    fn progress(&mut self, progress: Progress) {
        (self.0)(progress);
    }
}

/// Runs a job in this process.
///
/// Over real memory the process must be a fresh one, in which nobody else moves the program break.
///
/// # Errors
///
/// When there is nothing to replay. A trace that is damaged in parts, or that corrupts its heap, is
/// no error: the outcome says so.
pub fn run(
    job: &Job,
    lines: &mut dyn Write,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, RunError> {
    run_before(job, lines, &mut Progresses(progress))
}

/// Runs a job in this process, as [`run`] does, and tells what came of it so far whenever that is wanted.
///
/// # Errors
///
/// Those of [`run`].
pub fn run_before(
    job: &Job,
    lines: &mut dyn Write,
    audience: &mut dyn Audience,
) -> Result<Outcome, RunError> {
    let line = Lineage::open(&job.trace, job.follow)?;
    let replay = begin(job.clone(), &line, lines)?;
    let mut answers = together::drive(line, job, vec![Ok(replay)], None, audience)?;
    match answers.pop() {
        Some(Answered::Outcome(outcome)) => Ok(*outcome),
        Some(Answered::Failed(error)) => Err(error),
        Some(Answered::PutOff) | None => unreachable!("a replay that is alone is not put off"),
    }
}

/// Gets ready to replay a job.
pub(crate) fn begin<'a>(
    job: Job,
    line: &Lineage,
    lines: &'a mut dyn Write,
) -> Result<Box<dyn Replay + 'a>, RunError> {
    if let Some(snapshot) = &line.eldest.snapshot {
        let machine = standing_machine(&job.trial, &line.eldest, snapshot)?;
        return begin_on(machine, job, line, lines);
    }
    match (job.trial.memory, job.trial.words) {
        (MemoryKind::Simulated, WordWidth::Bits64) => {
            let machine = simulated(Bits64, &job.trial, &line.eldest)?;
            begin_on(machine, job, line, lines)
        }
        (MemoryKind::Simulated, WordWidth::Bits32) => {
            let machine = simulated(Bits32, &job.trial, &line.eldest)?;
            begin_on(machine, job, line, lines)
        }
        (MemoryKind::Real, WordWidth::Bits32) => Err(RunError::NarrowProcess),
        (MemoryKind::Real, WordWidth::Bits64) => {
            let machine = real(&job, &line.eldest)?;
            begin_on(machine, job, line, lines)
        }
    }
}

/// A trace, and if its process is the child of a recorded one, the traces it must be preceded by.
pub(crate) struct Lineage {
    /// What is known of the eldest: all of them were one process once, with its libc and settings.
    pub(crate) eldest: Recording,
    /// The eldest first: each header, its records, how many of them there are, and how many to replay.
    pub(crate) traces: Vec<Ancestor>,
}

/// A trace of a lineage.
pub(crate) type Ancestor = (Header, Source, Option<u64>, Option<u64>);

impl Lineage {
    /// Opens a trace, and those before it; `follows` is whether to go on with what is written meanwhile.
    pub(crate) fn open(path: &Path, follows: bool) -> Result<Lineage, TraceError> {
        let mut traces = Vec::new();
        let mut path = path.to_owned();
        let mut until = None;
        loop {
            let (header, records, source) = Source::open(&path, follows)?;
            let parent = match &header.origin {
                Origin::Forked { trace, after, .. } => Some((path.with_file_name(trace), *after)),
                _ => None,
            };
            traces.push((header, source, records, until));
            let Some((parent, after)) = parent else { break };
            // A hostile trace may name itself as its parent; a real lineage is short.
            if traces.len() > 64 {
                break;
            }
            path = parent;
            until = Some(after);
        }
        traces.reverse();
        let snapshot = Reader::open_file(&path)?.snapshot()?.map(Arc::new);
        Ok(Lineage { eldest: Recording { snapshot, ..Recording::from(traces[0].0.clone()) }, traces })
    }

    /// The header of the trace itself.
    fn header(&self) -> &Header {
        &self.traces.last().expect("a lineage has at least the trace itself").0
    }

    /// The trace itself, in the order its calls were made in, after its ancestors'.
    pub(crate) fn take_youngest(&mut self, path: &Path) -> Ancestor {
        let (header, source, total, until) =
            self.traces.pop().expect("a lineage has at least the trace itself");
        let source = match twin(&self.eldest, &self.traces) {
            Some(twin) => source.ordered(path, twin, self.eldest.header.heap.initial_break),
            None => source,
        };
        (header, source, total, until)
    }
}

/// Where a break begins, at or above `least`, for one that was recorded: at the same distance from a
/// huge page, since releases that are asked to round the break do so to those.
fn start_above(least: Address, recorded: u64) -> Address {
    match recorded {
        offset if offset < PAGE => least.align_up(PAGE) + offset,
        recorded => least.align_up(HUGE_PAGE) + recorded % HUGE_PAGE,
    }
}

/// Bytes of a transparent huge page on `x86_64`.
const HUGE_PAGE: u64 = 2 << 20;

fn processors(trial: &Trial, header: &Header) -> Processors {
    let here =
        || std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
    let known = |count: u32| if count == 0 { here() } else { count };
    match trial.processors {
        Some(count) => Processors { online: count, allowed: count },
        None => Processors {
            online: known(header.host.processors_online),
            allowed: known(header.host.processors_allowed),
        },
    }
}

/// The most memory of a machine that a script is replayed on: a large one's.
const IMPORTED_MEMORY: u64 = 64 << 30;
/// The most memory of a machine that something was recorded on: larger than there are any yet where
/// one process has it all.
const RECORDED_MEMORY: u64 = 1 << 40;

/// Gives a simulated machine an end: nobody knows how large the recorded one was, and a trace may
/// ask for anything.
fn limit<L: Layout>(machine: &mut Simulated<L>, header: &Header) {
    let is_imported = matches!(header.origin, Origin::Imported(_));
    let memory = if is_imported { IMPORTED_MEMORY } else { RECORDED_MEMORY };
    machine.limit_grants(memory);
    machine.limit_total(memory);
}

/// The machine of a trial that is simulated, for a trace recorded like this.
pub(crate) fn simulated<L: Layout>(
    layout: L,
    trial: &Trial,
    recording: &Recording,
) -> Result<Simulated<L>, BadTrial> {
    let header = &recording.header;
    let start = start_above(L::SPACE.default_break, trial.break_offset(recording)?);
    let mut machine = Simulated::of(layout, start, processors(trial, header));
    furnish(&mut machine, trial, header);
    if let Some(limit) = trial.break_limit {
        machine.limit_break(start + limit);
    }
    Ok(machine)
}

/// What a simulated machine has besides its addresses.
fn furnish<L: Layout>(machine: &mut Simulated<L>, trial: &Trial, header: &Header) {
    machine.charge_for_every_page(header.host.overcommit == 2);
    machine.offer_huge_pages(trial.huge_pages(header));
    limit(machine, header);
}

/// The machine of a trial for a trace that begins with a heap that stood already.
pub(crate) fn standing_machine(
    trial: &Trial,
    recording: &Recording,
    snapshot: &Snapshot,
) -> Result<Simulated, Unusable> {
    if (trial.memory, trial.words) != (MemoryKind::Simulated, WordWidth::Bits64) {
        return Err(Unusable::NotSimulated);
    }
    let header = &recording.header;
    let mut machine = standing::machine(snapshot, header.heap.initial_break, processors(trial, header))?;
    furnish(&mut machine, trial, header);
    Ok(machine)
}

/// The heap a trace begins with: one that nobody has called yet, or one that stood already.
pub(crate) fn beginning<M: Machine, O: Observer>(
    machine: M,
    observer: O,
    release: Release,
    tunables: &Tunables,
    recording: &Recording,
) -> Result<Heap<M, O>, Unusable> {
    match &recording.snapshot {
        None => Ok(Heap::new(machine, observer, release, tunables)),
        Some(snapshot) => standing::heap(machine, observer, release, tunables, snapshot),
    }
}

fn real(job: &Job, recording: &Recording) -> Result<Metered, RunError> {
    let header = &recording.header;
    let charges = header.host.overcommit == 2;
    let mut process = Process::new(processors(&job.trial, header), charges)
        .ok_or_else(|| RunError::Memory(io::Error::last_os_error()))?
        .counting_pages();
    process.offer_huge_pages(job.trial.huge_pages(header));
    let now = process.program_break();
    let start = start_above(now, job.trial.break_offset(recording)?);
    let by = i64::try_from(start - now).unwrap_or(0);
    process.move_break(by).ok_or_else(|| RunError::Memory(io::Error::last_os_error()))?;
    if let Some(limit) = job.trial.break_limit
        && !process.limit_break(start + limit)
    {
        return Err(RunError::Wall(limit));
    }
    own::settle(&process);
    Ok(Metered::new(process))
}

/// A malloc like the recorded one, to find the order of calls by; `None` where that is not known well
/// enough, or the heap began as another process's.
fn twin(recording: &Recording, ancestors: &[Ancestor]) -> Option<Twin> {
    let header = &recording.header;
    let began_anew = ancestors.is_empty() && recording.snapshot.is_none();
    if !header.heap.placements || header.heap.initial_break == 0 || !began_anew {
        return None;
    }
    let as_recorded = Trial::default();
    let release = as_recorded.release(recording).ok()?;
    let (tunables, _) = as_recorded.tunables(recording).ok()?;
    let start = start_above(DEFAULT_BREAK, header.heap.initial_break);
    let host = &header.host;
    let processors = Processors { online: host.processors_online, allowed: host.processors_allowed };
    let mut machine = Simulated::new(start, processors);
    machine.charge_for_every_page(host.overcommit == 2);
    machine.offer_huge_pages(as_recorded.huge_pages(header));
    limit(&mut machine, header);
    Some(Heap::new(Journal::new(machine), Listener::default(), release, &tunables))
}

/// Calls whose chunks are looked at together before the first of them is made. With 32 to 512 a replay of the trace of
/// `benches/window.sh` takes a tenth less than without; one at a time, as far ahead, made no difference.
const LOOKED_AHEAD: usize = 128;

/// What goes on beside the replay itself.
struct Run<'a, M> {
    engine: Engine<M, Watch>,
    metrics: Metrics,
    slicing: Slicing,
    comparison: Option<Comparison>,
    placements: Option<Placements>,
    kernel_calls: Option<KernelCalls>,
    tally: Option<Tally>,
    sends_servings: bool,
    trimmer: Trimmer,
    trims: Trims,
    lines: &'a mut dyn Write,
    /// Records replayed, those that do not count included; and so on.
    records: u64,
    calls: u64,
    threads: u32,
    time: u64,
    range: Option<Range>,
    /// After so many records a range begins, or if it has begun, ends.
    boundary: u64,
    /// What came before the range.
    before: Before,
}

/// What came before the records that count, if those are not the first.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    records: u64,
    calls: u64,
    time: u64,
    oddities: Oddities,
    mmap_threshold: Option<u64>,
}

/// Why a run ended before its trace did.
enum Stop {
    Corrupted(u64, Corruption),
    Lines(io::Error),
    /// The range has ended.
    Enough,
}

/// A replay that has begun, and what is to be said of it besides what it finds.
struct Begun<'a, M> {
    run: Run<'a, M>,
    job: Job,
    settings: Settings,
    first_mmap_threshold: u64,
    corruption: Option<Corrupted>,
    /// Where the parents of a forked process are replayed first: how the one at hand forks.
    fork: Option<Fork>,
    /// First touches when nothing was done here last: those since then are others'.
    mark: u64,
    started: Instant,
    /// What it has had of the processor.
    worked: Duration,
}

fn begin_on<'a, M: Machine + 'a>(
    mut machine: M,
    job: Job,
    line: &Lineage,
    lines: &'a mut dyn Write,
) -> Result<Box<dyn Replay + 'a>, RunError> {
    let started = Instant::now();
    let worked = processor_time();
    // What is made ready here takes memory of ours, which is not the heap's.
    let mark = machine.faults_so_far();
    let header = line.header();
    let eldest = &line.eldest;
    let release = job.trial.release(eldest)?;
    check_questions(&job, &release)?;
    let (tunables, ignored) = job.trial.tunables(eldest)?;
    let recorded_break = eldest.header.heap.initial_break;
    // A heap that stood already stands where it stood.
    let stood_at = eldest.snapshot.as_ref().map(|_| Address(recorded_break));
    let initial_break = stood_at.unwrap_or_else(|| machine.program_break());
    let exact = job.trial.memory == MemoryKind::Simulated;
    let metrics = Metrics::new(&machine, initial_break, exact, job.detail);
    machine.disown_faults_since(mark);
    let tally = tally(&job, &mut machine, header.clock)?;
    let mark = machine.faults_so_far();
    let compared = job.compare && header.heap.placements && recorded_break != 0;
    let heap = beginning(machine, Watch::of(job.detail), release, &tunables, eldest)?;
    let first_mmap_threshold = heap.parameters().mmap_threshold;
    let longest_segment = heap.parameters().huge.longest_segment;
    let settings = Settings {
        dynamic_thresholds: heap.parameters().thresholds_are_dynamic,
        ignored: ignored.iter().map(ToString::to_string).collect(),
        ..settings(&job, eldest, &release, &tunables, initial_break)
    };
    let mut engine = Engine::new(heap, job.trial.touch, header.heap.placements);
    engine.follow_claims(job.trial.is_as_recorded());
    let mut run = Run {
        engine,
        metrics,
        slicing: Slicing::from(0, 0, 0),
        comparison: compared.then(|| Comparison::new(recorded_break, initial_break)),
        placements: (job.lines == Some(Lines::Placements))
            .then(|| Placements::new(initial_break, longest_segment)),
        kernel_calls: (job.lines == Some(Lines::KernelCalls)).then(|| KernelCalls::new(initial_break)),
        tally,
        sends_servings: job.lines == Some(Lines::Servings),
        trimmer: Trimmer::new(job.trial.malloc_trim),
        trims: Trims::default(),
        lines,
        records: 0,
        calls: 0,
        threads: 0,
        time: 0,
        range: job.range,
        boundary: job
            .range
            .map_or(u64::MAX, |range| if range.first() > 0 { range.first() } else { range.end() }),
        before: Before::default(),
    };
    if let Some(snapshot) = &eldest.snapshot {
        standing::introduce(&mut run.engine, snapshot);
        run.metrics.inherit(&mut run.engine, standing::foreign_bytes(snapshot));
    }
    if run.comparison.is_some() || run.kernel_calls.is_some() {
        run.engine.heap_mut().observer_mut().calls = Some(Vec::new());
    }
    let (corruption, fork) = (None, None);
    let worked = processor_time().saturating_sub(worked);
    Ok(Box::new(Begun { run, job, settings, first_mmap_threshold, corruption, fork, mark, started, worked }))
}

impl<M: Machine> Begun<'_, M> {
    /// Does some of the replay: what else this thread has met for the first time is not the heap's.
    fn work<T>(&mut self, what: impl FnOnce(&mut Self) -> T) -> T {
        let worked = processor_time();
        let mark = self.mark;
        self.run.engine.heap_mut().memory_mut().disown_faults_since(mark);
        let done = what(self);
        self.mark = self.run.engine.heap().memory().faults_so_far();
        self.worked += processor_time().saturating_sub(worked);
        done
    }

    /// What malloc is asked after the last record.
    fn end(&mut self) -> Result<(), RunError> {
        let run = &mut self.run;
        if self.corruption.is_none() && run.trimmer.is_due_at_end(run.records) {
            let trimmed = run.trim(run.time);
            let corrupted = |found: Corruption| Corrupted { record: run.records, message: found.to_string() };
            self.corruption = trimmed.err().map(corrupted);
        }
        if self.corruption.is_none()
            && let Some(Lines::Answers(questions)) = &self.job.lines
        {
            self.corruption = run.ask(questions).map_err(RunError::Lines)?;
        }
        run.lines.flush().map_err(RunError::Lines)
    }
}

impl<M: Machine> Replay for Begun<'_, M> {
    fn replay_parent(&mut self, batch: &Batch, until: u64, child: u32) -> bool {
        self.work(|begun| {
            let fork = begun.fork.get_or_insert_default();
            let run = &mut begun.run;
            fork.follow(batch, until, child, &mut |index, record| run.replay_parent(index, record))
        })
    }

    fn fork(&mut self) {
        self.work(|begun| {
            let fork = begun.fork.take().unwrap_or_default();
            begun.run.fork(fork);
        });
    }

    fn spare(&mut self, untouched: Option<Arc<Spared>>) {
        self.run.engine.spare(untouched);
    }

    fn replay(&mut self, batch: &Batch) -> Result<bool, RunError> {
        match self.work(|begun| begun.run.replay(batch)) {
            Ok(()) => Ok(true),
            Err(Stop::Corrupted(record, message)) => {
                self.corruption = Some(Corrupted { record, message: message.to_string() });
                Ok(false)
            }
            Err(Stop::Lines(error)) => Err(RunError::Lines(error)),
            Err(Stop::Enough) => Ok(false),
        }
    }

    fn records(&self) -> u64 {
        self.run.records
    }

    fn has_begun(&self) -> bool {
        self.run.has_begun()
    }

    fn so_far(&mut self, progress: Progress, damage: &[String]) -> Outcome {
        let outcome = self
            .work(|begun| begun.run.so_far(&begun.job, begun.settings.clone(), begun.first_mmap_threshold));
        Outcome {
            so_far: Some(progress),
            damage: damage.to_vec(),
            cost: cost(self.started, self.worked),
            ..outcome
        }
    }

    fn finish(
        mut self: Box<Self>,
        reordering: Option<Reordering>,
        damage: &[String],
    ) -> Result<Outcome, RunError> {
        self.work(Begun::end)?;
        let Begun { run, job, settings, first_mmap_threshold, corruption, started, worked, .. } = *self;
        let before = processor_time();
        let outcome = run.finish(&job, settings, first_mmap_threshold);
        let cost = cost(started, worked + processor_time().saturating_sub(before));
        Ok(Outcome { reordering, damage: damage.to_vec(), corruption, cost, ..outcome })
    }
}

/// Who charges stacks with what is wanted of the job, if anything is.
fn tally<M: Machine>(job: &Job, machine: &mut M, clock: Clock) -> Result<Option<Tally>, RunError> {
    if job.blame.is_empty() {
        return Ok(None);
    }
    let mark = machine.faults_so_far();
    let mut reader = Reader::open_file(&job.trace)?;
    let stacks = reader.stacks()?;
    let range = job.range.unwrap_or(Range::ALL);
    // What lives from before a range may be charged with what it does in it.
    let made = Range::new(0, range.end()).unwrap_or(range);
    if job.filter.freed_to.is_some() {
        return Err(RunError::NotFreedYet);
    }
    let selection = Selection::of(&job.filter, &mut reader, made, None, &mut |_| {})?;
    machine.disown_faults_since(mark);
    Ok(Some(Tally::new(machine, &job.blame, stacks.frames.len(), stacks.capture, clock, selection)))
}

/// Whether the release knows all questions that malloc is to be asked in the end.
fn check_questions(job: &Job, release: &Release) -> Result<(), RunError> {
    let Some(Lines::Answers(questions)) = &job.lines else { return Ok(()) };
    if questions.contains(&Question::Mallinfo2) && !release.mallinfo2 {
        let function = Question::Mallinfo2.name();
        return Err(RunError::NoSuchFunction { release: release.name, function });
    }
    Ok(())
}

/// What a replay has taken that began then, and has had so much of the processor.
fn cost(started: Instant, worked: Duration) -> Cost {
    Cost {
        seconds: started.elapsed().as_secs_f64(),
        processor_seconds: worked.as_secs_f64(),
        greatest_memory: own::greatest_memory(),
    }
}

/// What this thread has had of the processor.
pub(crate) fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// The settings, as far as the trial and the header know them.
fn settings(
    job: &Job,
    recording: &Recording,
    release: &Release,
    tunables: &Tunables,
    initial_break: Address,
) -> Settings {
    let header = &recording.header;
    let recorded = &header.libc.version;
    let set: Vec<(String, u64)> =
        tunables.iter().map(|(name, value)| (name.name().to_owned(), value)).collect();
    Settings {
        release: release.name.to_owned(),
        release_changes: job.trial.release_changes.clone(),
        unknown_version: job.trial.unknown_version(recording).map(str::to_owned),
        recorded_release: (!recorded.is_empty()).then(|| recorded.clone()),
        recognition: recording.recognition.clone(),
        dynamic_thresholds: true,
        ignored: Vec::new(),
        warnings: regime::warnings(tunables),
        tunables: set,
        processors: processors(&job.trial, header).online,
        break_offset: initial_break.0 % PAGE,
        page_size: PAGE,
    }
}

impl<M: Machine> Run<'_, M> {
    /// Replays a batch, with everything that is to be known of it.
    fn replay(&mut self, batch: &Batch) -> Result<(), Stop> {
        for (place, (turn, record, stack)) in batch.turns().enumerate() {
            if place % LOOKED_AHEAD == 0 {
                let coming = batch.records[place..].iter().take(LOOKED_AHEAD);
                self.engine.look_ahead(coming, |chunk| self.metrics.glance(chunk));
            }
            let index = turn.index;
            self.engine.heap_mut().observer_mut().record = index;
            if turn.extent == Extent::Step {
                let given_back = self.engine.take_turn(&turn, record);
                given_back.map_err(|corruption| Stop::Corrupted(index, corruption))?;
                if let Some(tally) = &mut self.tally {
                    tally.after_step(&mut self.engine);
                }
                continue;
            }
            if let Some(time) = self.trimmer.due(record.time.0, self.records) {
                self.trim(time.0).map_err(|corruption| Stop::Corrupted(index, corruption))?;
            }
            let ending = self.metrics.before(&self.engine, record);
            let is_given = !ending.held.payload.is_null();
            if is_given && let Some(flows) = &mut self.engine.heap_mut().observer_mut().flows {
                flows.before(ending.chunk);
            }
            let answer = self
                .engine
                .take_turn(&turn, record)
                .map_err(|corruption| Stop::Corrupted(index, corruption))?;
            if let Some(tally) = &mut self.tally {
                tally.after(&mut self.engine, (index, record, stack), &ending, answer);
            }
            self.metrics.after(&mut self.engine, self.records, record, ending, answer);
            let freed_to = match &mut self.engine.heap_mut().observer_mut().flows {
                Some(flows) if is_given && !matches!(answer, Answer::Refused(_)) => {
                    flows.after(Head(ending.head))
                }
                _ => None,
            };
            if self.sends_servings {
                self.send_serving(index, freed_to).map_err(Stop::Lines)?;
            }
            self.records += 1;
            if record.call.is_of_malloc() {
                self.calls += 1;
                self.slicing.count(record.thread);
            }
            self.threads = self.threads.max(record.thread.0.saturating_add(1));
            self.time = record.time.0;
            if self.comparison.is_some() || self.kernel_calls.is_some() || self.placements.is_some() {
                self.look(&turn, record, answer).map_err(Stop::Lines)?;
            }
            if self.slicing.is_due(self.records) {
                self.slicing.mark(&mut self.engine, self.records, self.time);
            }
            if self.records == self.boundary {
                self.cross_boundary()?;
            }
        }
        Ok(())
    }

    /// Calls `malloc_trim(0)`, which the program did not.
    #[cold]
    fn trim(&mut self, time: u64) -> Result<(), Corruption> {
        let before = self.engine.heap_mut().memory_mut().pages_now();
        self.engine.heap_mut().trim(0)?;
        let after = self.engine.heap_mut().memory_mut().pages_now();
        self.metrics.trimmed(&mut self.engine, time);
        let returned = before.saturating_sub(after) * PAGE;
        self.trims.note(Trim { record: self.records, time, returned });
        if let Some(tally) = &mut self.tally {
            tally.after_step(&mut self.engine);
        }
        Ok(())
    }

    /// The range begins here, or ends.
    #[cold]
    fn cross_boundary(&mut self) -> Result<(), Stop> {
        match self.range {
            Some(range) if self.records < range.end() => {
                self.begin_range();
                self.boundary = range.end();
                Ok(())
            }
            _ => Err(Stop::Enough),
        }
    }

    /// Whether the records that count have begun.
    fn has_begun(&self) -> bool {
        self.range.is_none_or(|range| self.records > range.first())
    }

    /// What has been counted so far made the heap what it is, and does not count.
    fn begin_range(&mut self) {
        self.engine.heap_mut().observer_mut().restart();
        self.trims = Trims::default();
        self.metrics.begin(&mut self.engine, self.records, self.time);
        self.slicing = Slicing::from(self.records, self.time, self.engine.heap().memory().heap_faults());
        if let Some(comparison) = &mut self.comparison {
            comparison.restart();
        }
        if let Some(tally) = &mut self.tally {
            tally.begin_range(&self.engine);
        }
        let oddities = self.engine.oddities();
        self.before = Before {
            records: self.records,
            calls: self.calls,
            time: self.time,
            oddities,
            mmap_threshold: Some(self.engine.heap().parameters().mmap_threshold),
        };
    }

    /// Writes malloc's answers; if one finds the heap corrupted, the program would have ended there.
    fn ask(&mut self, questions: &[Question]) -> io::Result<Option<Corrupted>> {
        for question in questions {
            match question.answer(self.engine.heap()) {
                Ok(answer) => self.lines.write_all(answer.as_bytes())?,
                Err(corruption) => {
                    let message = corruption.to_string();
                    return Ok(Some(Corrupted { record: self.records, message }));
                }
            }
        }
        Ok(None)
    }

    /// Says who served the request of this record, if it asked for anything, and where went what it gave back.
    fn send_serving(&mut self, index: u64, freed_to: Option<Destination>) -> io::Result<()> {
        let served = self.engine.heap_mut().observer_mut().served.take();
        served::send(self.lines, index, served.map(ServedFrom::of), freed_to)
    }

    /// What somebody wants to know of every call.
    fn look(&mut self, turn: &Turn, record: &Record, answer: Answer) -> io::Result<()> {
        let index = turn.index;
        let is_claimed = self.engine.puts(turn);
        let calls =
            self.engine.heap_mut().observer_mut().calls.as_mut().map(std::mem::take).unwrap_or_default();
        let memory = self.engine.heap().memory();
        let program_break = memory.program_break();
        let counts = self.range.is_none_or(|range| range.first() < self.records);
        let mut nowhere = io::sink();
        let mut lines: &mut dyn Write = if counts { &mut *self.lines } else { &mut nowhere };
        for line in calls {
            if let Some(comparison) = &mut self.comparison {
                comparison.note(line.call);
            }
            if let Some(kernel_calls) = &mut self.kernel_calls {
                kernel_calls.write(&mut lines, line.record, line.call)?;
            }
        }
        if let Some(comparison) = &mut self.comparison {
            let ours = match answer {
                Answer::Payload(payload) => Some(payload),
                Answer::Refused(_) => Some(Address::NULL),
                _ => None,
            };
            comparison.compare(memory, program_break, (index, record), ours, is_claimed);
        }
        match &mut self.placements {
            Some(placements) => {
                placements.write(&mut lines, memory, program_break, index, &record.call, answer)
            }
            None => Ok(()),
        }
    }

    /// Makes a call that the parent of a forked process made before the fork.
    fn replay_parent(&mut self, index: u64, record: &Record) -> Result<(), Corruption> {
        let Run { engine, metrics, tally, .. } = self;
        let ending = metrics.before(engine, record);
        let answer = engine.execute(record)?;
        if let Some(tally) = tally {
            // Its stacks are numbers of another tree.
            tally.after(engine, (index, record, Stack::NONE), &ending, answer);
        }
        metrics.after(engine, index, record, ending, answer);
        Ok(())
    }

    /// Becomes the child: what is counted begins with it.
    fn fork(&mut self, fork: Fork) {
        fork.make(&mut self.engine);
        self.metrics.restart();
        // The report counts a child's faults from the beginning of all.
        self.slicing = Slicing::from(0, self.time, 0);
        self.engine.heap_mut().observer_mut().restart();
        if let Some(tally) = &mut self.tally {
            tally.restart(&mut self.engine);
        }
    }

    fn finish(mut self, job: &Job, settings: Settings, first_mmap_threshold: u64) -> Outcome {
        if self.range.is_some_and(|range| self.records < range.first()) {
            // The trace ends before the range begins: nothing counts.
            self.begin_range();
        }
        let slices = self.slices();
        let measured = self.metrics.finish(&mut self.engine, self.records, self.time);
        let blame =
            self.tally.take().map(|tally| tally.finish(&mut self.engine, &measured)).unwrap_or_default();
        let outcome = self.outcome(job, settings, first_mmap_threshold, measured, slices);
        Outcome { blame, ..outcome }
    }

    /// What came of it so far; what stacks are charged with is known in the end.
    fn so_far(&mut self, job: &Job, settings: Settings, first_mmap_threshold: u64) -> Outcome {
        let slices = self.slices();
        let measured = self.metrics.so_far(&mut self.engine, self.records, self.time);
        self.outcome(job, settings, first_mmap_threshold, measured, slices)
    }

    /// What came of it, with what was measured.
    fn outcome(
        &self,
        job: &Job,
        settings: Settings,
        first_mmap_threshold: u64,
        measured: Measured,
        slices: Slices,
    ) -> Outcome {
        let before = self.before;
        let heap = self.engine.heap();
        let watch = heap.observer();
        let counters = &watch.counters;
        let parameters = heap.parameters();
        Outcome {
            trial: job.trial.clone(),
            settings,
            so_far: None,
            detail: job.detail,
            range: self.range.map(|range| range.until(self.records)),
            records: self.records - before.records,
            calls: self.calls - before.calls,
            threads: if self.range.is_some() { self.slicing.threads(self.threads) } else { self.threads },
            traced_nanos: self.time.saturating_sub(before.time),
            bins: outcome::bin_rows(counters, heap.release().geometry()),
            served: outcome::served_rows(counters),
            request_flows: watch.flows.as_ref().map(Flows::requests).unwrap_or_default(),
            free_flows: watch.flows.as_ref().map(Flows::frees).unwrap_or_default(),
            searches: watch.searches.searches(),
            requests: counters.asked,
            kernel: outcome::kernel_row(&counters.kernel),
            fragmentation: Fragmentations::of(&measured),
            measured,
            trims: self.trims.clone(),
            arenas: arena_rows(heap),
            thresholds: Thresholds {
                first_mmap_threshold: before.mmap_threshold.unwrap_or(first_mmap_threshold),
                last_mmap_threshold: parameters.mmap_threshold,
                last_trim_threshold: parameters.trim_threshold,
                moved: counters.threshold_moves,
                moves: watch.threshold_moves.clone(),
            },
            oddities: self.engine.oddities().since(before.oddities),
            spared: self.engine.spared(),
            slices,
            corruption: None,
            fidelity: self.comparison.as_ref().map(Comparison::result),
            reordering: None,
            damage: Vec::new(),
            cost: Cost::default(),
            blame: Vec::new(),
        }
    }

    /// The slices up to here.
    fn slices(&mut self) -> Slices {
        // What is touched for them is ours, not the heap's.
        let mark = self.engine.heap().memory().faults_so_far();
        let slices = self.slicing.until(&self.engine, self.records, self.time);
        self.engine.heap_mut().memory_mut().disown_faults_since(mark);
        slices
    }
}

/// How a process was forked from its parent.
#[derive(Debug)]
pub(crate) struct Fork {
    /// Where the parent's allocations lay, as recorded.
    addresses: HashMap<Slot, u64>,
    /// The thread that forked.
    thread: Thread,
    /// How many threads the parent had had.
    threads: u32,
}

impl Default for Fork {
    fn default() -> Fork {
        Fork { addresses: HashMap::new(), thread: Thread(0), threads: 1 }
    }
}

impl Fork {
    /// Has `replay` make the calls of the parent's records before number `until`, and finds out how it
    /// forked its child with this process number.
    ///
    /// # Errors
    ///
    /// When the parent's trace cannot be read.
    pub(crate) fn of(
        source: &Source,
        until: u64,
        child: u32,
        damage: &mut Vec<String>,
        replay: &mut dyn FnMut(u64, &Record) -> Result<(), Corruption>,
    ) -> Result<Fork, TraceError> {
        let mut fork = Fork::default();
        while let Some(batch) = source.next_sound(damage)? {
            if !fork.follow(&batch, until, child, replay) {
                break;
            }
        }
        Ok(fork)
    }

    /// The same for one batch; whether there may be more before the fork.
    fn follow(
        &mut self,
        batch: &Batch,
        until: u64,
        child: u32,
        replay: &mut dyn FnMut(u64, &Record) -> Result<(), Corruption>,
    ) -> bool {
        // An ancestor's calls are in the order of their stamps: no exit is in steps.
        for (Turn { index, .. }, record, _) in batch.turns() {
            // The parent lived on, so its heap was sound.
            if index >= until || replay(index, record).is_err() {
                return false;
            }
            self.threads = self.threads.max(record.thread.0.saturating_add(1));
            if record.call == (Call::Fork { child }) {
                self.thread = record.thread;
            }
            follow(&mut self.addresses, record);
        }
        true
    }

    /// The engine that made the parent's calls becomes the child.
    pub(crate) fn make<M: Machine, O: Observer>(self, engine: &mut Engine<M, O>) {
        let addresses = self.addresses.into_iter().map(|(slot, address)| (address, slot));
        engine.fork(self.thread, addresses, self.threads);
    }
}

/// Follows where a trace's allocations lie.
fn follow(addresses: &mut HashMap<Slot, u64>, record: &Record) {
    if let Some(handed) = record.call.handed()
        && !matches!(record.call, Call::UsableSize { .. })
    {
        addresses.remove(&handed.slot);
    }
    if let Some(placed) = record.call.placed()
        && !placed.pointer.is_null()
    {
        addresses.insert(placed.pointer.slot, placed.pointer.address);
    }
}

fn arena_rows<M: Machine>(heap: &Heap<M, Watch>) -> Vec<ArenaRow> {
    let row = |arena: &malloscope_allocator::arena::Arena| ArenaRow {
        arena: arena.id().0,
        threads: arena.attached_threads(),
        system: arena.system_bytes(),
        greatest_system: arena.greatest_system_bytes(),
        top: arena.top().size(heap.memory()).bytes(),
    };
    heap.arenas().iter().map(row).collect()
}
