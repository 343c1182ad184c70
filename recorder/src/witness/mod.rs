//! A witness of a real run: what malloc asked of the kernel, and how much memory it touched, seen from outside.
//!
//! The program runs as it always does, with nothing loaded into it and nothing changed in it; it only stops for a
//! moment at each call by which memory is had or given back. So what a prediction says can be held against it.

mod account;
mod callers;
mod tracee;

pub use account::Calls;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use account::Account;
use callers::Callers;
use tracee::{Call, Onward, Started, Stop};

use crate::attach::target;
use crate::heap::copy::{PAGE, Range};
use crate::heap::maps;
use crate::spawn::{c_string, variable};
use crate::{Error, program};

/// What is run.
#[derive(Debug)]
pub struct Run<'a> {
    /// The program, as the user wrote it.
    pub program: &'a OsStr,
    /// Its arguments.
    pub arguments: &'a [OsString],
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// What it reads from; `None` if nothing.
    pub input: Option<&'a Path>,
}

/// What was seen of one program that a process ran.
#[derive(Debug)]
pub struct Witnessed {
    /// The process.
    pub pid: u32,
    /// The file of the program.
    pub program: PathBuf,
    /// How often malloc asked the kernel for what.
    pub calls: Calls,
    /// First touches of pages of malloc's memory.
    pub faults: u64,
    /// The most bytes of malloc's memory that were resident at any time, at least; a thousandth more at most.
    pub peak_resident: u64,
    /// Bytes of it that were resident at the end.
    pub resident: u64,
}

/// What was seen of a run, and how it ended.
#[derive(Debug)]
pub struct Seen {
    /// Every program that was run in it, in the order they ended; only what was started by `execve`.
    pub programs: Vec<Witnessed>,
    /// How the one that was started ended.
    pub status: ExitStatus,
}

/// Runs a program to its end, and watches what it asks of the kernel. Its output is thrown away.
///
/// # Errors
///
/// When there is no such program, or it may not be started or traced.
pub fn witness(run: &Run<'_>) -> Result<Seen, Error> {
    let file = program::find(run.program)?;
    program::check(&file)?;
    let started = started(&file, run).map_err(Error::Start)?;
    // A thread of its own: what it waits for is only what it started.
    std::thread::scope(|scope| {
        let seen = scope.spawn(|| follow(&started)).join();
        seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(Error::Wait)
    })
}

fn started(file: &Path, run: &Run<'_>) -> io::Result<Started> {
    let arguments = std::iter::once(run.program).chain(run.arguments.iter().map(OsString::as_os_str));
    let input = File::open(run.input.unwrap_or(Path::new("/dev/null")))?;
    let output = File::options().write(true).open("/dev/null")?;
    Ok(Started {
        file: c_string(file.as_os_str())?,
        arguments: arguments.map(c_string).collect::<io::Result<_>>()?,
        environment: run.environment.iter().cloned().map(variable).collect::<io::Result<_>>()?,
        input: Some(OwnedFd::from(input)),
        output: Some(OwnedFd::from(output)),
    })
}

/// The pages of a process, as its files in `/proc` tell of them.
struct Pages {
    pages: Option<maps::Pages>,
    pid: u32,
}

impl account::Pages for Pages {
    fn within(&self, range: Range) -> u64 {
        let found = self.pages.as_ref().and_then(|pages| pages.within(range));
        found.map_or(0, |found| found.present.iter().map(Range::length).sum())
    }

    fn anonymous(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid)).unwrap_or_default();
        let mut numbers = statm.split(' ').skip(1).map(|number| number.parse::<u64>().unwrap_or(0));
        let (resident, shared) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        resident.saturating_sub(shared) * PAGE
    }
}

/// A process, as long as it runs one program.
struct Process {
    program: PathBuf,
    account: Account,
    callers: Callers,
    pages: Pages,
}

impl Process {
    fn of(pid: u32) -> Process {
        Process {
            program: fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default(),
            account: Account::default(),
            callers: Callers::of(pid),
            pages: Pages { pages: maps::Pages::of(pid), pid },
        }
    }

    /// A thread is about to make a call. Whether malloc makes it, and it is to be seen what it returns.
    fn entering(&mut self, call: &Call) -> bool {
        let [first, second, third, fourth, ..] = call.arguments;
        let is_code = third & u64::from(libc::PROT_EXEC.unsigned_abs()) != 0;
        match call.number {
            libc::SYS_brk => {
                self.account.entering(call, &self.pages);
                return true;
            }
            libc::SYS_mmap | libc::SYS_mprotect if is_code => {
                self.callers.forget();
                return false;
            }
            libc::SYS_mmap if !is_heaps(fourth) => return false,
            libc::SYS_mmap => {}
            libc::SYS_munmap | libc::SYS_mremap | libc::SYS_mprotect | libc::SYS_madvise => {
                let range = Range { start: first, end: first.saturating_add(second) };
                if !self.account.holds(range) {
                    self.account.gone_elsewhere(second);
                    return false;
                }
            }
            _ => {
                self.account.end(&self.pages);
                return false;
            }
        }
        // Nobody but malloc gives its mappings back or moves them; advice on them may be the program's.
        let is_malloc =
            matches!(call.number, libc::SYS_munmap | libc::SYS_mremap) || self.callers.is_within_libc(call);
        self.account.entering(call, &self.pages);
        is_malloc
    }

    fn witnessed(self, pid: u32) -> Witnessed {
        Witnessed {
            pid,
            program: self.program,
            calls: self.account.calls,
            faults: self.account.all_faults(),
            peak_resident: self.account.peak,
            resident: self.account.at_end.unwrap_or(0),
        }
    }
}

/// Whether `mmap` with these flags may be malloc's: private, no file, and no stack.
fn is_heaps(flags: u64) -> bool {
    let wanted = u64::from((libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).unsigned_abs());
    let unwanted = u64::from(libc::MAP_STACK.unsigned_abs());
    flags & wanted == wanted && flags & unwanted == 0
}

/// All that is traced.
#[derive(Default)]
struct Traced {
    /// Which process a thread is of.
    processes_of: HashMap<u32, u32>,
    /// Those that run a program that was started, not only copied.
    processes: HashMap<u32, Process>,
    /// The call that a thread makes at the moment.
    calls: HashMap<u32, Call>,
    ended: Vec<Witnessed>,
}

impl Traced {
    fn process_of(&mut self, thread: u32) -> u32 {
        *self.processes_of.entry(thread).or_insert_with(|| process_of(thread))
    }

    /// How a thread goes on that is about to make a call.
    fn entering(&mut self, thread: u32, call: Call) -> Onward {
        let pid = self.process_of(thread);
        let is_wanted = self.processes.get_mut(&pid).is_some_and(|process| process.entering(&call));
        if is_wanted {
            self.calls.insert(thread, call);
            Onward::ToReturn
        } else {
            Onward::On
        }
    }

    fn returned(&mut self, thread: u32, value: i64) {
        let pid = self.process_of(thread);
        if let (Some(call), Some(process)) = (self.calls.remove(&thread), self.processes.get_mut(&pid)) {
            process.account.returned(&call, value);
        }
    }

    /// A process runs another program than before.
    fn executed(&mut self, pid: u32) {
        self.gone(pid);
        self.processes_of.insert(pid, pid);
        self.processes.insert(pid, Process::of(pid));
    }

    /// A thread is about to end.
    fn ending(&mut self, thread: u32) {
        let pid = self.process_of(thread);
        if pid == thread
            && let Some(process) = self.processes.get_mut(&pid)
        {
            process.account.end(&process.pages);
        }
    }

    fn gone(&mut self, thread: u32) {
        self.processes_of.remove(&thread);
        self.calls.remove(&thread);
        if let Some(process) = self.processes.remove(&thread) {
            self.ended.push(process.witnessed(thread));
        }
    }
}

/// Which process a thread is of: its own, if that cannot be told any more.
fn process_of(thread: u32) -> u32 {
    target::status(thread, "Tgid").and_then(|id| id.parse().ok()).unwrap_or(thread)
}

fn follow(started: &Started) -> io::Result<Seen> {
    let first = tracee::start(started)?;
    let mut traced = Traced::default();
    let mut ended = None;
    while let Some((thread, stop)) = tracee::wait()? {
        let (onward, signal) = match stop {
            Stop::Entering(call) => (traced.entering(thread, call), 0),
            Stop::Returned(value) => {
                traced.returned(thread, value);
                (Onward::On, 0)
            }
            Stop::Executed => {
                traced.executed(thread);
                (Onward::On, 0)
            }
            Stop::Ending => {
                traced.ending(thread);
                (Onward::On, 0)
            }
            Stop::Halted => (Onward::Halted, 0),
            Stop::Signal(signal) => (Onward::On, signal),
            Stop::Begun | Stop::Other => (Onward::On, 0),
            Stop::Gone(status) => {
                traced.gone(thread);
                if thread == first {
                    ended = Some(status);
                }
                continue;
            }
        };
        tracee::go_on(thread, onward, signal);
    }
    let status = ExitStatus::from_raw(ended.unwrap_or(0));
    if traced.ended.is_empty() && status.code() == Some(tracee::NOT_STARTED) {
        return Err(io::Error::other("it could not be started under a filter of its calls (seccomp)"));
    }
    Ok(Seen { programs: traced.ended, status })
}
