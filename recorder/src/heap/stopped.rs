//! A process all of whose threads are stopped, and its memory meanwhile.
//!
//! The threads are seized and interrupted one by one until there is none that runs; no signal is sent to
//! them, and none that was on its way is lost: a thread that stopped because of one is given it when it is
//! let go. Those that were in the midst of a call are led out of it ([`Stopped::leave`]). They go on as soon as the value is dropped, and also if we are killed.
//!
//! # Unsafe code
//!
//! What could go wrong: the kernel writes beyond what it was given to write to. Who promises what: this
//! file, that each buffer is as long as the kernel is told, and lives until the call returns.
#![expect(unsafe_code, reason = "see above")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::{Duration, Instant};

use super::HeapError;
use super::copy::{Memory, Range};

/// How long we wait for a thread to stop: one that waits for a disk may take its time.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long we let a thread make steps: many thousands, and hardly any call needs so many.
const PATIENCE_IN_STEPS: Duration = Duration::from_millis(20);

/// How often we look whether a thread has stopped before we begin to nap in between, and how long a nap is.
const IMPATIENT: u32 = 100;
/// See there.
const NAP: Duration = Duration::from_micros(20);

/// The most parts the kernel reads at one time: `UIO_MAXIOV`.
const MOST_PARTS: usize = 1024;

/// A process that stands still as long as this lives.
#[derive(Debug)]
pub struct Stopped {
    pid: u32,
    /// Every thread that was stopped, and the signal that it is to be given.
    threads: BTreeMap<u32, i32>,
    since: Instant,
}

impl Stopped {
    /// Stops all threads of a process.
    ///
    /// # Errors
    ///
    /// When there is no such process, or it may not be looked at.
    pub fn stop(pid: u32) -> Result<Stopped, HeapError> {
        let mut stopped = Stopped { pid, threads: BTreeMap::new(), since: Instant::now() };
        // Threads that ran until now may have made others.
        loop {
            let new: Vec<u32> =
                threads(pid)?.into_iter().filter(|id| !stopped.threads.contains_key(id)).collect();
            let before = stopped.threads.len();
            for &id in &new {
                if stopped.seize(id)? {
                    stopped.threads.insert(id, 0);
                }
            }
            if stopped.threads.len() == before {
                break;
            }
            for id in new {
                stopped.wait_for(id)?;
            }
        }
        if stopped.threads.contains_key(&pid) { Ok(stopped) } else { Err(HeapError::Gone(pid)) }
    }

    /// The threads, the process's first in front.
    pub fn threads(&self) -> Vec<u32> {
        let others = self.threads.keys().copied().filter(|&id| id != self.pid);
        [self.pid].into_iter().chain(others).collect()
    }

    /// Where a thread's own variables are: its `fs` register. `None` if it is gone.
    pub fn thread_pointer(&self, id: u32) -> Option<u64> {
        registers(id).map(|registers| registers.fs_base)
    }

    /// Lets every thread that is somewhere in this code go on, alone and step by step, until it is not: so that
    /// none is in the midst of a call. One that waits in the kernel, or is about to, is left there; and one that
    /// does not come to an end of it where it is.
    pub fn leave(&mut self, code: &[Range]) {
        for id in self.threads() {
            let deadline = Instant::now() + PATIENCE_IN_STEPS;
            let is_waiting = registers(id).is_none_or(|registers| is_waiting(&registers));
            // One that is to be given a signal would run its handler.
            if is_waiting || self.threads.get(&id) != Some(&0) {
                continue;
            }
            let should_go_on = |registers: libc::user_regs_struct| {
                code.iter().any(|part| part.contains(registers.rip)) && !self.is_about_to_wait(&registers)
            };
            let mut here = registers(id);
            while here.is_some_and(should_go_on) && Instant::now() < deadline {
                match step(id) {
                    Stepped::Whole => here = registers(id),
                    Stepped::Signalled(signal) => {
                        self.threads.insert(id, signal);
                        break;
                    }
                    Stepped::Gone => {
                        self.threads.remove(&id);
                        break;
                    }
                }
            }
        }
    }

    /// Whether a thread's next instruction is a call of the kernel that may take any time: all but those about
    /// memory that malloc makes, and that to wake others who wait for a lock.
    fn is_about_to_wait(&self, registers: &libc::user_regs_struct) -> bool {
        let mut instruction = [0; 2];
        let range = Range { start: registers.rip, end: registers.rip.saturating_add(2) };
        let is_call = Remote(self.pid).read(&[range], &mut instruction).is_ok() && instruction == SYSCALL;
        let number = registers.rax.cast_signed();
        let wakes = number == libc::SYS_futex && registers.rsi & FUTEX_COMMAND == FUTEX_WAKE;
        is_call && !QUICK.contains(&number) && !wakes
    }

    /// How long it has stood still.
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Seizes a thread and tells it to stop. Returns whether it is still there.
    fn seize(&self, id: u32) -> Result<bool, HeapError> {
        match request(libc::PTRACE_SEIZE, id, 0) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
            Err(source) => return Err(HeapError::Refused { pid: self.pid, source }),
        }
        // If it is gone meanwhile, waiting for it says so.
        let _ = request(libc::PTRACE_INTERRUPT, id, 0);
        Ok(true)
    }

    /// Waits until a thread has stopped.
    fn wait_for(&mut self, id: u32) -> Result<(), HeapError> {
        match wait(id, Instant::now() + PATIENCE) {
            // A stop that is not ours is about a signal that it is still to have.
            Waited::Stopped(signal, is_ours) => self.threads.insert(id, if is_ours { 0 } else { signal }),
            Waited::Gone => self.threads.remove(&id),
            Waited::Runs => return Err(HeapError::RunsOn { pid: self.pid, thread: id }),
        };
        Ok(())
    }
}

/// The instruction that calls the kernel.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// The calls about memory that malloc makes: none of them waits for anybody.
const QUICK: [libc::c_long; 6] = [
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
];
/// What futex(2) is to do, without its flags.
const FUTEX_COMMAND: u64 = 0x7f;
const FUTEX_WAKE: u64 = 1;

/// What became of a step.
enum Stepped {
    /// The thread has made it, and stands still.
    Whole,
    /// A signal came, which the thread is still to be given.
    Signalled(i32),
    /// The thread has ended, or does not come back.
    Gone,
}

/// One step of a thread.
fn step(id: u32) -> Stepped {
    if request(libc::PTRACE_SINGLESTEP, id, 0).is_err() {
        return Stepped::Gone;
    }
    match wait(id, Instant::now() + PATIENCE) {
        // The step is over: that is no signal that the program is to be given.
        Waited::Stopped(libc::SIGTRAP, _) => Stepped::Whole,
        Waited::Stopped(signal, is_ours) => Stepped::Signalled(if is_ours { 0 } else { signal }),
        Waited::Gone | Waited::Runs => Stepped::Gone,
    }
}

/// What became of a thread that was waited for.
enum Waited {
    /// It stopped, with this signal; whether it was we who had it stop.
    Stopped(i32, bool),
    /// It has ended.
    Gone,
    /// It has not stopped yet.
    Runs,
}

fn wait(id: u32, deadline: Instant) -> Waited {
    let mut tries = 0_u32;
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes one number.
        let who = unsafe { libc::waitpid(raw(id), &raw mut status, libc::__WALL | libc::WNOHANG) };
        if who == raw(id) && libc::WIFSTOPPED(status) {
            return Waited::Stopped(libc::WSTOPSIG(status), status >> 16 != 0);
        }
        if who != 0 {
            return Waited::Gone;
        }
        if Instant::now() > deadline {
            return Waited::Runs;
        }
        tries += 1;
        // A step takes less than a nap.
        if tries > IMPATIENT {
            std::thread::sleep(NAP);
        }
    }
}

/// A thread's registers; `None` if it is gone.
fn registers(id: u32) -> Option<libc::user_regs_struct> {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    let at = registers.as_mut_ptr();
    // SAFETY: the kernel writes one such structure, and that is what is there.
    let done = unsafe { libc::ptrace(libc::PTRACE_GETREGS, raw(id), ptr::null_mut::<u8>(), at) };
    // SAFETY: all of it are numbers, of which zero is one.
    let registers = unsafe { registers.assume_init() };
    (done == 0).then_some(registers)
}

/// Whether a thread was stopped in a call of the kernel that goes on when the thread does: what the call
/// returned is one of the kernel's own numbers for that (`ERESTARTSYS` to `ERESTART_RESTARTBLOCK`).
pub fn is_waiting(registers: &libc::user_regs_struct) -> bool {
    registers.orig_rax.cast_signed() >= 0 && (-516..=-512).contains(&registers.rax.cast_signed())
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for (&id, &signal) in &self.threads {
            // If it is gone it needs no letting go.
            let _ = request(libc::PTRACE_DETACH, id, signal);
        }
    }
}

/// The memory of a process, which should stand still.
#[derive(Clone, Copy, Debug)]
pub struct Remote(pub u32);

impl Memory for Remote {
    fn read(&self, parts: &[Range], mut into: &mut [u8]) -> io::Result<()> {
        for parts in parts.chunks(MOST_PARTS) {
            let length: u64 = parts.iter().map(Range::length).sum();
            let (buffer, rest) =
                into.split_at_mut_checked(bytes(length)?).ok_or(io::ErrorKind::InvalidInput)?;
            read_parts(self.0, parts, buffer)?;
            into = rest;
        }
        Ok(())
    }
}

/// Reads so many parts of a process's memory into one buffer that they fill.
fn read_parts(pid: u32, parts: &[Range], into: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < into.len() {
        let theirs = after(parts, done as u64)?;
        let rest = &mut into[done..];
        let ours = libc::iovec { iov_base: rest.as_mut_ptr().cast(), iov_len: rest.len() };
        let count = theirs.len() as libc::c_ulong;
        // SAFETY: the kernel writes to `ours` alone, which is what is left of the buffer; what `theirs` names
        // is another process's, and may be anything.
        let read = unsafe { libc::process_vm_readv(raw(pid), &raw const ours, 1, theirs.as_ptr(), count, 0) };
        match usize::try_from(read) {
            Err(_) => return Err(io::Error::last_os_error()),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => done += read,
        }
    }
    Ok(())
}

/// What is left of these parts after so many bytes.
fn after(parts: &[Range], mut skipped: u64) -> io::Result<Vec<libc::iovec>> {
    let mut left = Vec::new();
    for part in parts {
        let skip = skipped.min(part.length());
        skipped -= skip;
        if skip < part.length() {
            let length = bytes(part.length() - skip)?;
            left.push(libc::iovec {
                iov_base: ptr::without_provenance_mut(bytes(part.start + skip)?),
                iov_len: length,
            });
        }
    }
    Ok(left)
}

fn bytes(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn raw(id: u32) -> libc::pid_t {
    id.cast_signed()
}

/// A request to the kernel about a thread that takes a number or nothing.
fn request(what: libc::c_uint, id: u32, data: i32) -> io::Result<()> {
    let data = ptr::without_provenance_mut::<u8>(data.unsigned_abs() as usize);
    // SAFETY: none of the requests made here has the kernel read or write memory of ours.
    let done = unsafe { libc::ptrace(what, raw(id), ptr::null_mut::<u8>(), data) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The threads that a process has.
fn threads(pid: u32) -> Result<Vec<u32>, HeapError> {
    let listed = fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| HeapError::Gone(pid))?;
    Ok(listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}
