//! All threads of a process, stopped, led out of code they must not be in, and let go as they were.
//!
//! Threads are seized, not attached to: no signal is sent, and a process that was stopped by one stays so
//! when it is let go. Whoever lets go leaves the signal mask, and every register but where a thread was led, as it
//! found them; a call that was interrupted is restarted by the kernel as after any interruption. They also go on if we
//! are killed.
//!
//! A signal that comes while a thread stands still is not lost: it is blocked in that thread, the kernel
//! puts it back among those that wait, and it is delivered when the thread is let go. `leading` leads threads out
//! of [`code`], [`calls`] has one of them make system calls, and `requests` is what the kernel is asked for.

pub mod calls;
pub mod code;
mod hurry;
mod leading;
mod requests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use crate::bpf::Instruction;
use hurry::Hurry;
use requests::{Ask, Stop, ask, wait};
pub use requests::{Registers, is_waiting};

/// How long we wait for a thread to stop. One that does not is deep in the kernel: it waits for a disk that
/// is gone, or in `vfork` for its child. Where many want a processor, it may take half a second until a thread has one to
/// stop on.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long we wait for one that we cannot leave as it is: it is about to stop, or makes a call for us. When we
/// end, the kernel lets go of it in any case.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// The signals that an instruction causes. If one is blocked when it does, the kernel forgets who handles it, and
/// the process ends.
const OF_INSTRUCTIONS: u64 = set(&[libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP]);

/// The kernel's set of these signals.
const fn set(signals: &[i32]) -> u64 {
    let mut set = 0;
    let mut next = 0;
    while next < signals.len() {
        set |= 1 << (signals[next] - 1);
        next += 1;
    }
    set
}

/// Why threads could not be stopped, or be made to do something.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The process is gone.
    #[error("the process has ended")]
    Gone,
    /// The kernel does not let us.
    #[error("the kernel does not allow it")]
    Denied,
    /// A thread does not stop.
    #[error(
        "its thread {0} cannot be stopped: it waits within the kernel for a device, or in vfork(2) for its child"
    )]
    Unstoppable(u32),
    /// The kernel refused something else.
    #[error("ptrace(2) failed")]
    Failed(#[source] io::Error),
}

/// All threads of a process, stopped. They go on when this is dropped.
#[derive(Debug)]
pub struct Stopped {
    pid: u32,
    threads: BTreeMap<u32, Thread>,
    /// The thread that makes calls for us.
    caller: Option<u32>,
    /// Whether the process was told to stop meanwhile, and has not heard.
    was_told_to_stop: bool,
    since: Instant,
    _hurry: Hurry,
}

/// A thread that stands still.
#[derive(Clone, Copy, Debug)]
struct Thread {
    /// What is in its registers when it is let go.
    registers: Registers,
    /// Which signals it had blocked, if we changed that.
    mask: Option<u64>,
    /// Whether a signal waits for it that cannot come while it makes steps.
    must_stay: bool,
}

impl Stopped {
    /// Stops all threads of a process.
    ///
    /// # Errors
    ///
    /// When there is no such process, it may not be looked at, or a thread does not stop.
    pub fn all(pid: u32) -> Result<Stopped, Trouble> {
        let (threads, caller, since) = (BTreeMap::new(), None, Instant::now());
        let _hurry = Hurry::begin();
        let mut stopped = Stopped { pid, threads, caller, was_told_to_stop: false, since, _hurry };
        // A thread that runs may make another one; when all we know are stopped, there are no others.
        while stopped.stop_new()? > 0 {}
        if stopped.threads.is_empty() { Err(Trouble::Gone) } else { Ok(stopped) }
    }

    /// Stops the threads that are not. Returns how many those were.
    fn stop_new(&mut self) -> Result<usize, Trouble> {
        let mut seized = Vec::new();
        for thread in threads_of(self.pid)? {
            if !self.threads.contains_key(&thread) && seize(self.pid, thread)? {
                seized.push(thread);
            }
        }
        let result = self.interrupt(&seized);
        let lost: Vec<u32> =
            seized.iter().copied().filter(|thread| !self.threads.contains_key(thread)).collect();
        if result.is_err() {
            // Those that stand still do not wait for the one that does not.
            self.detach_all();
        }
        lost.into_iter().for_each(abandon);
        result.map(|()| seized.len())
    }

    fn interrupt(&mut self, seized: &[u32]) -> Result<(), Trouble> {
        for thread in seized {
            let _ = ask(Ask::Interrupt, *thread, 0);
        }
        for &thread in seized {
            let stop = wait(thread, PATIENCE)?;
            if let (Some(registers), false) = (requests::registers(thread), matches!(stop, Stop::Gone)) {
                self.threads.insert(thread, Thread { registers, mask: None, must_stay: false });
                self.settle(thread, stop)?;
            }
        }
        Ok(())
    }

    /// Has a thread that stopped stand still for no other reason than that it was asked to: a signal waits until it
    /// is let go.
    fn settle(&mut self, thread: u32, mut stop: Stop) -> Result<(), Trouble> {
        while let Stop::Signal(_) | Stop::Call = stop {
            // Any stop makes the kernel forget that it was asked for one.
            let _ = ask(Ask::Interrupt, thread, 0);
            self.go_on_without(thread, Ask::Continue, stop)?;
            stop = wait(thread, LAST_PATIENCE)?;
        }
        self.stands(thread, requests::registers(thread).filter(|_| !matches!(stop, Stop::Gone)));
        Ok(())
    }

    /// A thread stands here, or is gone.
    fn stands(&mut self, id: u32, registers: Option<Registers>) {
        match registers {
            Some(registers) => {
                self.threads.entry(id).and_modify(|thread| thread.registers = registers);
            }
            None => drop(self.threads.remove(&id)),
        }
    }

    /// Lets a thread go on from a stop, like this. If the stop is for a signal, it waits until the thread is let go.
    fn go_on_without(&mut self, thread: u32, how: Ask, stop: Stop) -> Result<(), Trouble> {
        let signal = match stop {
            Stop::Signal(libc::SIGSTOP) => {
                // It cannot be blocked.
                self.was_told_to_stop = true;
                0
            }
            Stop::Signal(signal) => {
                // The kernel puts back what it was about to deliver if it is blocked by then.
                self.change_mask(thread, |mask| mask | !OF_INSTRUCTIONS | set(&[signal]))?;
                let must_stay = set(&[signal]) & OF_INSTRUCTIONS != 0;
                self.threads.entry(thread).and_modify(|thread| thread.must_stay |= must_stay);
                signal
            }
            Stop::Asked | Stop::Call | Stop::Gone => 0,
        };
        ask(how, thread, signal).map_err(|_| Trouble::Gone)
    }

    /// Changes which signals are blocked in a thread, until it is let go.
    fn change_mask(&mut self, thread: u32, change: impl Fn(u64) -> u64) -> Result<(), Trouble> {
        let now = requests::mask(thread)?;
        let wanted = change(now);
        if wanted != now {
            requests::set_mask(thread, wanted)?;
            self.threads.entry(thread).and_modify(|thread| thread.mask = thread.mask.or(Some(now)));
        }
        Ok(())
    }

    /// The kernel's names of the threads, the first in front, and where the variables of each are.
    pub fn thread_pointers(&self) -> Vec<(u32, u64)> {
        let mut threads: Vec<(u32, u64)> =
            self.threads.iter().map(|(&id, thread)| (id, thread.registers.fs_base)).collect();
        threads.sort_by_key(|(thread, _)| *thread != self.pid);
        threads
    }

    /// Its threads.
    pub fn threads(&self) -> impl Iterator<Item = u32> {
        self.threads.keys().copied()
    }

    /// One of the filters of a thread's system calls, by its number; `None` if there are not so many.
    ///
    /// # Errors
    ///
    /// When the kernel does not show it: that takes root.
    pub fn filter(&self, thread: u32, number: usize) -> io::Result<Option<Vec<Instruction>>> {
        requests::filter(thread, number)
    }

    /// The registers of every thread.
    pub fn registers(&self) -> impl Iterator<Item = &Registers> {
        self.threads.values().map(|thread| &thread.registers)
    }

    /// How long it has stood still, from the first thread on.
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    fn detach_all(&mut self) {
        for (id, thread) in std::mem::take(&mut self.threads) {
            if let Some(mask) = thread.mask {
                // One that is gone needs nothing.
                let _ = requests::set_mask(id, mask);
            }
            let _ = ask(Ask::Detach, id, 0);
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.put_back();
        self.detach_all();
        if self.was_told_to_stop
            && let Some(pid) = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::STOP);
        }
    }
}

/// The threads of a process.
///
/// # Errors
///
/// When it is gone.
pub fn threads_of(pid: u32) -> Result<Vec<u32>, Trouble> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| Trouble::Gone)?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// Begins to trace a thread. False if it is gone.
fn seize(pid: u32, thread: u32) -> Result<bool, Trouble> {
    match ask(Ask::Seize, thread, 0) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        // So the kernel says also of a thread that has ended and waits for others of its process to.
        Err(_) if has_ended(pid, thread) => Ok(false),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Err(Trouble::Denied),
        Err(error) => Err(Trouble::Failed(error)),
    }
}

fn has_ended(pid: u32, thread: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Lets go of a thread that did not stop in time, when it does: until then the kernel does not let us.
fn abandon(thread: u32) {
    let since = Instant::now();
    while ask(Ask::Detach, thread, 0).is_err() && since.elapsed() < LAST_PATIENCE {
        match wait(thread, requests::NAP) {
            Ok(Stop::Gone) => return,
            // It is delivered.
            Ok(Stop::Signal(signal)) => {
                let _ = ask(Ask::Detach, thread, signal);
            }
            Ok(Stop::Asked | Stop::Call) | Err(_) => {}
        }
    }
}
