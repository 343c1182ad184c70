//! A process that has made its first call.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Instant;

use malloscope_wire::process::{Process, State, Verdict};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::facts::Facts;

/// A process that has made its first call.
#[derive(Debug)]
pub struct Arrival<'m> {
    /// Its entry.
    pub entry: &'m Process,
    /// The number of that entry.
    pub number: usize,
    /// The entry's serial: tells it from others that had the same entry.
    pub serial: u64,
    /// Its process id.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// The serial of the process it is a copy of; 0 if of none.
    pub copy_of: u64,
    /// What the fork that made it is marked with; 0 if it was not seen.
    pub ticket: u64,
    /// When it began, in ticks.
    pub began: u64,
    /// The program break then.
    pub program_break: u64,
    /// What it is.
    pub facts: Facts,
    /// When we saw it.
    pub since: Instant,
    /// Readable when the process has ended; `None` if it had before we asked.
    pub watch: Option<OwnedFd>,
}

impl<'m> Arrival<'m> {
    /// Reads an entry that is ready, unless it is of the process with that serial.
    pub fn read(number: usize, entry: &'m Process, seen: u64) -> Option<(Verdict, Arrival<'m>)> {
        let is_ready = entry.state.load(Ordering::Acquire) == State::Ready as u32;
        if !is_ready || entry.serial.load(Ordering::Relaxed) == seen {
            return None;
        }
        let word = entry.verdict.load(Ordering::Relaxed);
        let verdict = Verdict::ALL.into_iter().find(|verdict| *verdict as u32 == word)?;
        let pid = entry.pid.load(Ordering::Relaxed);
        let arrival = Arrival {
            entry,
            number,
            serial: entry.serial.load(Ordering::Relaxed),
            pid,
            parent: entry.parent.load(Ordering::Relaxed),
            copy_of: entry.copy_of.load(Ordering::Relaxed),
            ticket: entry.ticket.load(Ordering::Relaxed),
            began: entry.began.load(Ordering::Relaxed),
            program_break: entry.program_break.load(Ordering::Relaxed),
            facts: Facts::read(entry),
            since: Instant::now(),
            watch: watch(pid),
        };
        Some((verdict, arrival))
    }

    /// Whether the process has ended.
    pub fn has_ended(&self) -> bool {
        let Some(watch) = &self.watch else { return true };
        let mut watched = [PollFd::new(watch, PollFlags::IN)];
        poll(&mut watched, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Lets others have the entry.
    pub fn give_back(&self) {
        self.entry.state.store(State::Free as u32, Ordering::Release);
    }
}

/// Something that is readable when the process has ended.
fn watch(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}
