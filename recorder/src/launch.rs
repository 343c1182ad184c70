//! Launching a program under the agent, and staying until it ends.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use malloscope_traces::Cause;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::agent::Agent;
use crate::clock::{self, Moment, Scale};
use crate::collect::{Collector, Progress};
use crate::memory::Memory;
use crate::probe;
use crate::program;
use crate::signals::{PassingOn, survive_long_files};
use crate::spawn::spawn;
use crate::{Error, Options, Recorded, Target};

/// The variable by which glibc is told what to load first.
const PRELOAD: &str = "LD_PRELOAD";

/// From how many slots in a round on the next round follows without a pause: there are more by then.
pub const BUSY: u64 = 1024;

/// How often the caller hears of us.
pub const REPORTS: Duration = Duration::from_millis(100);

/// Runs a program to its end and records it.
pub fn record(
    target: &Target,
    options: &Options,
    report: &mut dyn FnMut(Progress),
) -> Result<Recorded, Error> {
    let since = Moment::now();
    survive_long_files().map_err(Error::Signals)?;
    let file = program::find(&target.program)?;
    let linker = program::check(&file)?;
    let clock = options.clock.unwrap_or_else(clock::choose);
    let memory = Memory::new(clock, options.when_full).map_err(Error::Memory)?;
    memory.keep_rings_to(options.limits.rings());
    memory.follow(&options.children).map_err(Error::Memory)?;
    if let Some(capture) = options.stacks {
        memory.want_stacks(capture);
    }
    let agent = Agent::for_memory(&memory.path()).map_err(Error::Memory)?;
    let probed = probe::run(&linker, library_path(target, &file, &linker));
    let scale = Scale::measured(clock, since);
    options.manners.rehearse().map_err(Error::Manners)?;
    let signals = PassingOn::begin().map_err(Error::Signals)?;
    let began = Instant::now();
    let pid = start(target, &file, &agent).map_err(Error::Start)?;
    // That it can be done was seen; if not now, all is well but for that.
    let _ = options.manners.keep();
    let mut collector = Collector::new(&memory, clock, scale, &options.output, number(pid), probed);
    collector.take_readings(options.readings);
    collector.keep_to(options);
    let (status, trouble) = follow(pid, &mut collector, &signals, report)?;
    let trouble = trouble.or_else(|| collector.end(&cause(status)).err());
    Ok(Recorded::gather(&collector, status, trouble, began.elapsed()))
}

/// Where the program's libraries are looked for first, if it is the dynamic linker itself that was asked for.
fn library_path<'a>(target: &'a Target, file: &Path, linker: &Path) -> Option<&'a OsStr> {
    let arguments = Some(&target.arguments).filter(|_| file == linker)?;
    let option = arguments.iter().position(|argument| argument == probe::LIBRARY_PATH)?;
    arguments.get(option + 1).map(OsString::as_os_str)
}

fn start(target: &Target, file: &Path, agent: &Agent) -> io::Result<Pid> {
    let arguments = [&target.program].into_iter().chain(&target.arguments).cloned().collect();
    spawn(file, arguments, environment(env::vars_os().collect(), agent.path().into()))
}

/// An environment in which the agent is loaded too, behind what is loaded already: what a program's
/// own preloads make of its calls belongs to the program, and we record what reaches glibc.
fn environment(mut variables: Vec<(OsString, OsString)>, agent: OsString) -> Vec<(OsString, OsString)> {
    match variables.iter_mut().find(|(name, _)| name == PRELOAD) {
        Some((_, preloads)) if !preloads.is_empty() => {
            preloads.push(":");
            preloads.push(agent);
        }
        Some((_, preloads)) => *preloads = agent,
        None => variables.push((PRELOAD.into(), agent)),
    }
    variables
}

/// Collects until the program has ended. If a trace cannot be written, the program goes on without us.
fn follow(
    pid: Pid,
    collector: &mut Collector<'_>,
    signals: &PassingOn,
    report: &mut dyn FnMut(Progress),
) -> Result<(ExitStatus, Option<malloscope_traces::Error>), Error> {
    let mut trouble = None;
    let mut is_over = false;
    let mut reported = Instant::now();
    loop {
        signals.pass_on(pid);
        let slots = match &trouble {
            Some(_) => 0,
            None if is_over => 0,
            None => collector.round().unwrap_or_else(|error| {
                collector.stop_agents();
                trouble = Some(error);
                0
            }),
        };
        if !is_over
            && trouble.is_none()
            && let Some(limit) = collector.limit_reached()
        {
            is_over = true;
            trouble = collector.end(&limit).err();
        }
        if let Some(status) = ended(pid).map_err(Error::Wait)? {
            return Ok((status, trouble));
        }
        if reported.elapsed() >= REPORTS {
            reported = Instant::now();
            report(collector.progress());
        }
        if slots < BUSY {
            collector.rest();
        }
    }
}

/// How the process ended, if it has.
fn ended(pid: Pid) -> io::Result<Option<ExitStatus>> {
    match waitpid(Some(pid), WaitOptions::NOHANG) {
        Ok(ended) => Ok(ended.map(|(_, status)| ExitStatus::from_raw(status.as_raw()))),
        Err(Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn cause(status: ExitStatus) -> Cause {
    match (status.code(), status.signal()) {
        (Some(status), _) => Cause::Exited { status },
        (_, Some(signal)) => Cause::Killed { signal },
        _ => Cause::Unknown,
    }
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}
