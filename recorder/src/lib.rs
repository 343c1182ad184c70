//! Records a program: runs it with an agent that writes down every call of malloc, and makes a trace of that.
//!
//! [`record`] launches a program, [`attach::record`] attaches to one that runs. The former looks whether the [program]
//! can be recorded, [asks its libc](probe) how it behaves, makes [memory] to share with it, starts it with the [agent] in front of its malloc, and [collects](collect) what the agent
//! writes until the program has ended. What the two share is described in `malloscope-wire`, what
//! happens inside the program in `malloscope-agent`.
//!
//! The program pays for one slot in a ring per call; everything else is done here, in another
//! process. So a program that is killed loses nothing it had written; and if we are killed, it goes on.
//!
//! This crate prints nothing.

pub mod agent;
pub mod attach;
mod bpf;
pub mod clock;
pub mod collect;
pub mod heap;
pub mod host;
mod launch;
pub mod limits;
pub mod manners;
pub mod memory;
pub mod private;
pub mod probe;
pub mod program;
mod readings;
mod signals;
mod spawn;
pub mod status;
pub mod stopped;
pub mod system_wide;
pub mod witness;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use malloscope_traces::Cause;

use collect::Collector;
use collect::traced::Finished;
pub use collect::{NotRecorded, Progress, WhyNot};
use limits::Limits;
pub use malloscope_traces::redaction::Redaction;
pub use malloscope_traces::stacks::{Capture, Sampling};
pub use malloscope_wire::{Clock, WhenFull};
use manners::Manners;
use rustix::time::ClockId;

/// What to record.
#[derive(Clone, Debug)]
pub struct Target {
    /// The program, as one would type it.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// How to record it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the trace of the launched process goes; those of others go beside it.
    pub output: PathBuf,
    /// What a thread of the program does when we are behind.
    pub when_full: WhenFull,
    /// Where times come from; the best there is if nothing is said.
    pub clock: Option<Clock>,
    /// Which calls are recorded with their stacks; none if nothing is said.
    pub stacks: Option<Capture>,
    /// How often the kernel is asked what it knows of the processes; never if nothing is said.
    pub readings: Option<Duration>,
    /// What the recording is kept to. A program that was launched goes on without us if that is reached.
    pub limits: Limits,
    /// Which processes are recorded too that the program makes.
    pub children: Children,
    /// How much of the machine we take for ourselves.
    pub manners: Manners,
    /// What the traces leave out.
    pub redaction: Redaction,
}

impl Options {
    /// To this file, all calls and nothing else.
    pub fn to(output: PathBuf) -> Options {
        Options {
            output,
            when_full: WhenFull::Wait,
            clock: None,
            stacks: None,
            readings: None,
            limits: Limits::default(),
            children: Children::default(),
            manners: Manners::default(),
            redaction: Redaction::default(),
        }
    }
}

/// Which processes are recorded that a recorded one makes. The one that was launched, or attached to, always is, whatever
/// program it becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Children {
    /// All.
    #[default]
    All,
    /// None.
    None,
    /// Those that run a program of one of these names, folders left away.
    Named(Vec<String>),
}

/// Runs a program to its end and records it. `report` is called now and then while it runs.
pub fn record(
    target: &Target,
    options: &Options,
    report: &mut dyn FnMut(Progress),
) -> Result<Recorded, Error> {
    launch::record(target, options, report)
}

/// Why a program was not run, or could not be waited for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be recorded.
    #[error(transparent)]
    Refused(#[from] program::Refusal),
    /// The process cannot be attached to, or not be left.
    #[error(transparent)]
    Attach(#[from] attach::refusal::Refusal),
    /// There is no memory to share.
    #[error("the memory shared with the program cannot be made")]
    Memory(#[source] io::Error),
    /// We cannot have the processors or the priority that were asked for.
    #[error("the recorder cannot have the processors or the priority that were asked for")]
    Manners(#[source] io::Error),
    /// Signals cannot be passed on.
    #[error("signals cannot be passed on to the program")]
    Signals(#[source] io::Error),
    /// It cannot be started.
    #[error("the program cannot be started")]
    Start(#[source] io::Error),
    /// It was started, and the system does not tell how it ended.
    #[error("the program cannot be waited for")]
    Wait(#[source] io::Error),
}

/// What came of a recording.
#[derive(Debug)]
pub struct Recorded {
    /// How the launched process ended.
    pub status: ExitStatus,
    /// The traces: first that of the launched process, if it made one, then the others as they ended.
    pub traces: Vec<RecordedProcess>,
    /// Processes that were seen and not recorded.
    pub not_recorded: Vec<NotRecorded>,
    /// Processes that were not even described, because too many ran at one time.
    pub turned_away: u32,
    /// Why there is not more, if the traces could not be written to their end.
    pub trouble: Option<malloscope_traces::Error>,
    /// How long the launched process ran.
    pub elapsed: Duration,
    /// Processor time we used until now.
    pub recorder_time: Duration,
    /// For how long the process stood still, if it was attached to.
    pub pauses: Option<Pauses>,
}

/// For how long all threads of a process that was attached to stood still.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// When we came.
    pub coming: Duration,
    /// How much of that was for a copy of its heap.
    pub copying: Duration,
    /// When we left, the longer of two times; nothing if it ended before that.
    pub leaving: Option<Duration>,
}

/// A process and its trace.
#[derive(Clone, Debug)]
pub struct RecordedProcess {
    /// The file of the trace.
    pub path: PathBuf,
    /// The process's id.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// The path of its program.
    pub program: String,
    /// Whether it began as a copy of another process.
    pub is_copy: bool,
    /// Calls of the malloc family in the trace.
    pub calls: u64,
    /// Calls that are not in it.
    pub lost: u64,
    /// How often a thread waited for us, so that no more was lost.
    pub waits: u64,
    /// Why the trace ends.
    pub cause: Cause,
}

impl Recorded {
    fn gather(
        collector: &Collector<'_>,
        status: ExitStatus,
        trouble: Option<malloscope_traces::Error>,
        elapsed: Duration,
    ) -> Self {
        let mut traces: Vec<_> = collector.finished().iter().map(RecordedProcess::from).collect();
        if let Some(launched) = traces.iter().position(|trace| trace.path == collector.output()) {
            traces[..=launched].rotate_right(1);
        }
        Recorded {
            status,
            traces,
            not_recorded: collector.not_recorded().to_vec(),
            turned_away: collector.turned_away(),
            trouble,
            elapsed,
            recorder_time: Duration::from_nanos(clock::nanoseconds(ClockId::ProcessCPUTime)),
            pauses: None,
        }
    }

    /// The exit code to end with, so that whoever runs us learns what the program said: its own, or
    /// 128 and the signal that ended it, as shells have it. Of a process that was attached to nothing is learned: 1 if its
    /// trace could not be written to its end.
    pub fn exit_code(&self) -> u8 {
        if self.pauses.is_some() && self.trouble.is_some() {
            return 1;
        }
        let code = self.status.code().or(self.status.signal().map(|signal| 128 + signal));
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
    }
}

impl From<&Finished<'_>> for RecordedProcess {
    fn from(finished: &Finished<'_>) -> Self {
        let arrival = &finished.arrival;
        RecordedProcess {
            path: finished.path.clone(),
            pid: arrival.pid,
            parent: arrival.parent,
            program: arrival.facts.program.path.clone(),
            is_copy: arrival.copy_of != 0,
            calls: finished.tally.calls,
            lost: finished.losses.calls,
            waits: finished.losses.waits,
            cause: finished.cause.clone(),
        }
    }
}
