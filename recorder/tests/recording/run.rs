//! Running a program under the recorder, and reading what both say of it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use malloscope_recorder::limits::{Limit, Limits};
use malloscope_recorder::{
    Capture, Children, Clock, Options, Recorded, RecordedProcess, Target, WhenFull, record,
};
use malloscope_traces::{Call, Ending, Header, Reader, Record, Thread, Totals};
use tempfile::TempDir;

use crate::deadline::Deadline;

/// A recording, and what the program said it did.
pub struct Run {
    /// What the recorder returned.
    pub recorded: Recorded,
    /// What the program said: each line a thread's number and what it did.
    pub said: Vec<(u32, String)>,
    _directory: TempDir,
}

/// Records a program that is told where to say what it does, and these arguments.
pub fn run(program: &Path, arguments: &[&str]) -> Run {
    run_with(program, arguments, WhenFull::Wait, None)
}

/// The same, with a choice of what happens when the rings are full, and of the clock.
pub fn run_with(program: &Path, arguments: &[&str], when_full: WhenFull, clock: Option<Clock>) -> Run {
    run_wanting(program, arguments, when_full, clock, None)
}

/// The same as [`run`], with stacks.
pub fn run_capturing(
    program: &Path,
    arguments: &[&str],
    when_full: WhenFull,
    stacks: Option<Capture>,
) -> Run {
    run_wanting(program, arguments, when_full, None, stacks)
}

/// How much memory a ring takes.
const RING: u64 = malloscope_wire::ring::BYTES as u64;

/// How often the kernel is asked what it knows of a process.
pub const OFTEN: Duration = Duration::from_millis(2);

/// How to record, if nothing else is said.
pub fn options(output: PathBuf) -> Options {
    Options { readings: Some(OFTEN), ..Options::to(output) }
}

fn run_wanting(
    program: &Path,
    arguments: &[&str],
    when_full: WhenFull,
    clock: Option<Clock>,
    stacks: Option<Capture>,
) -> Run {
    let directory = TempDir::new().unwrap();
    let target = target(program, arguments, &directory);
    let options = Options { when_full, clock, stacks, ..options(directory.path().join("app.mscope")) };
    run_keeping_to(&options, directory, target)
}

/// The same, of which only so many threads are recorded at one time.
pub fn run_with_rings(program: &Path, arguments: &[&str], rings: u64) -> Run {
    let directory = TempDir::new().unwrap();
    let target = target(program, arguments, &directory);
    // Half of the memory is for rings.
    let memory = Limit { bytes: 2 * rings * RING, name: "memory".to_owned() };
    let limits = Limits { memory: Some(memory), size: None };
    let options = Options { limits, ..options(directory.path().join("app.mscope")) };
    run_keeping_to(&options, directory, target)
}

/// The same, and of other processes only these.
pub fn run_following(program: &Path, arguments: &[&str], children: Children) -> Run {
    let directory = TempDir::new().unwrap();
    let target = target(program, arguments, &directory);
    let options = Options { children, ..options(directory.path().join("app.mscope")) };
    run_keeping_to(&options, directory, target)
}

fn target(program: &Path, arguments: &[&str], directory: &TempDir) -> Target {
    let said = directory.path().join("said").into();
    let arguments = [said].into_iter().chain(arguments.iter().map(OsString::from)).collect();
    Target { program: program.into(), arguments }
}

fn run_keeping_to(options: &Options, directory: TempDir, target: Target) -> Run {
    let said = directory.path().join("said");
    let deadline = Deadline::of_programs_with(&said);
    let recorded = record(&target, options, &mut |_| ()).unwrap();
    deadline.check();
    assert!(recorded.trouble.is_none(), "{:?}", recorded.trouble);
    Run { recorded, said: read_said(&said), _directory: directory }
}

/// What a program wrote into its file.
pub fn read_said(file: &Path) -> Vec<(u32, String)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(thread, what)| (thread.parse().unwrap(), what.replace("(nil)", "0")))
        .collect()
}

impl Run {
    /// The trace of the launched process.
    pub fn trace(&self) -> Trace {
        assert!(self.recorded.traces[0].path.ends_with("app.mscope"), "{:?}", self.recorded.traces);
        Trace::read(&self.recorded.traces[0].path)
    }

    /// The traces of all other processes.
    pub fn others(&self) -> Vec<(&RecordedProcess, Trace)> {
        self.recorded.traces[1..].iter().map(|process| (process, Trace::read(&process.path))).collect()
    }

    /// What the program said of itself, and not of a thread.
    pub fn remarks(&self) -> Vec<&str> {
        self.said.iter().filter(|(thread, _)| *thread == 0).map(|(_, what)| what.as_str()).collect()
    }

    /// The number in the remark that begins so.
    pub fn number(&self, remark: &str) -> u64 {
        let found = self.remarks().into_iter().find_map(|what| what.strip_prefix(remark));
        found.unwrap_or_else(|| panic!("it did not say {remark}")).trim().parse().unwrap()
    }

    /// What this thread said it did.
    pub fn said_by(&self, thread: u32) -> Vec<String> {
        self.said.iter().filter(|(who, _)| *who == thread).map(|(_, what)| what.clone()).collect()
    }

    /// The numbers of all threads that said something.
    pub fn speakers(&self) -> Vec<u32> {
        let mut all: Vec<u32> =
            self.said.iter().map(|(thread, _)| *thread).filter(|thread| *thread != 0).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// A trace, read whole.
pub struct Trace {
    pub path: PathBuf,
    pub header: Header,
    pub records: Vec<Record>,
    pub ending: Ending,
    pub totals: Totals,
}

impl Trace {
    /// Reads a trace that was finished, and checks what must hold of any.
    pub fn read(path: &Path) -> Trace {
        let mut reader = Reader::open_file(path).unwrap();
        let mut records = Vec::new();
        let mut batch = Vec::new();
        while reader.next_batch(&mut batch).unwrap().is_some() {
            records.append(&mut batch);
        }
        let trace = Trace {
            path: path.to_owned(),
            header: reader.header().clone(),
            records,
            ending: reader.ending().expect("the trace was finished").clone(),
            totals: *reader.totals().unwrap(),
        };
        trace.check();
        trace
    }

    fn check(&self) {
        let early = self.records.windows(2).find(|pair| pair[1].time < pair[0].time);
        assert_eq!(early, None, "records of {} go back in time", self.path.display());
        let calls = self.records.iter().filter(|record| record.call.is_of_malloc()).count() as u64;
        assert_eq!(self.ending.observed.calls, calls + self.ending.lost);
        let by_thread: u64 = self.ending.lost_by_thread.iter().map(|(_, lost)| lost).sum();
        assert!(by_thread <= self.ending.lost);
    }

    /// The kernel's name of every thread.
    pub fn threads(&self) -> HashMap<Thread, u32> {
        let start = |record: &Record| match record.call {
            Call::ThreadStart { id } => Some((record.thread, id)),
            _ => None,
        };
        self.records.iter().filter_map(start).collect()
    }

    /// What this thread did, told as the programs tell it.
    pub fn told_of(&self, thread: u32) -> Vec<String> {
        let threads = self.threads();
        let is_its = |record: &&Record| threads.get(&record.thread) == Some(&thread);
        self.records.iter().filter(is_its).filter_map(|record| tell(&record.call)).collect()
    }

    /// The calls alone.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.records.iter().map(|record| &record.call)
    }
}

/// A call as the programs tell it.
fn tell(call: &Call) -> Option<String> {
    let hex = |address: u64| if address == 0 { "0".to_owned() } else { format!("{address:#x}") };
    let placed = call.placed().map(|to| hex(to.pointer.address)).unwrap_or_default();
    let handed = call.handed().map(|old| hex(old.address)).unwrap_or_default();
    Some(match *call {
        Call::Malloc { request, .. } => format!("malloc {request} = {placed}"),
        Call::Calloc { count, size, .. } => format!("calloc {count} {size} = {placed}"),
        Call::Realloc { request, .. } => format!("realloc {handed} {request} = {placed}"),
        Call::Reallocarray { count, size, .. } => format!("reallocarray {handed} {count} {size} = {placed}"),
        Call::Free { .. } => format!("free {handed}"),
        Call::Memalign { alignment, request, .. } => format!("memalign {alignment} {request} = {placed}"),
        Call::AlignedAlloc { alignment, request, .. } => {
            format!("aligned_alloc {alignment} {request} = {placed}")
        }
        Call::PosixMemalign { alignment, request, .. } => {
            format!("posix_memalign {alignment} {request} = {placed}")
        }
        Call::Valloc { request, .. } => format!("valloc {request} = {placed}"),
        Call::Pvalloc { request, .. } => format!("pvalloc {request} = {placed}"),
        Call::Trim { pad, returned } => format!("malloc_trim {pad} = {returned}"),
        Call::Mallopt { parameter, value, returned } => format!("mallopt {parameter} {value} = {returned}"),
        Call::MoveBreak { by } => format!("sbrk {by}"),
        Call::Fork { child } => format!("fork {child}"),
        _ => return None,
    })
}

/// Panics at the first place where two lists differ.
pub fn assert_same(said: &[String], told: &[String]) {
    let differs = said.iter().zip(told).position(|(said, told)| said != told);
    if let Some(at) = differs {
        panic!("call {at} was {} and is recorded as {}", said[at], told[at]);
    }
    assert_eq!(said.len(), told.len(), "said and recorded: the rest is {:?}", rest(said, told));
}

fn rest<'a>(a: &'a [String], b: &'a [String]) -> &'a [String] {
    let longer = if a.len() > b.len() { a } else { b };
    let from = a.len().min(b.len());
    &longer[from..longer.len().min(from + 5)]
}

/// Panics unless the first list can be found within the second, in its order.
pub fn assert_within(said: &[String], told: &[String]) {
    let mut told = told.iter();
    for (at, said) in said.iter().enumerate() {
        assert!(told.any(|told| told == said), "call {at}, {said}, is not recorded where it should be");
    }
}

/// What a program says when it is not recorded.
pub fn bare(program: &Path, arguments: &[&str]) -> Vec<(u32, String)> {
    let directory = TempDir::new().unwrap();
    let said = directory.path().join("said");
    assert!(Command::new(program).arg(&said).args(arguments).status().unwrap().success());
    read_said(&said)
}
