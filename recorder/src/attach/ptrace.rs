//! All threads of a process, stopped by `ptrace`; and system calls that one of them is made to make.
//!
//! Threads are seized, not attached to: no signal is sent, and a process that was stopped by one stays so
//! when it is let go. Whoever lets go leaves every register, and the signal mask, as it found them; a call that was
//! interrupted is restarted by the kernel as after any interruption.
//!
//! # Unsafe code
//!
//! What could go wrong: `ptrace` is given an address where the kernel writes more than there is room for. Who
//! promises what: this file, that each request is passed what its manual says.
#![expect(unsafe_code, reason = "see above")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use libc::c_uint;
pub use libc::user_regs_struct as Registers;

/// How long we wait for a thread to stop. One that does not is deep in the kernel: it waits for a disk that
/// is gone, or in `vfork` for its child.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long we wait for one that we cannot leave as it is: it is about to stop, or makes a call for us. When we
/// end, the kernel lets go of it in any case.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// How long we look at a thread without a pause, and how long the pauses are then: most stop at once.
const EAGER: Duration = Duration::from_micros(500);
const NAP: Duration = Duration::from_micros(50);

/// Bytes of the kernel's set of signals.
const MASK_BYTES: usize = size_of::<u64>();

// Not in `libc`.
const PTRACE_GETSIGMASK: c_uint = 0x420a;
const PTRACE_SETSIGMASK: c_uint = 0x420b;

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

/// What a thread stopped for, or did.
enum Stop {
    /// It was asked to, or its whole process was stopped.
    Asked,
    /// A signal is about to be delivered to it.
    Signal(i32),
    /// It is about to make a system call, or has made it.
    Call,
    /// It is gone.
    Gone,
}

/// All threads of a process, stopped. They go on when this is dropped.
#[derive(Debug)]
pub struct Stopped {
    pid: u32,
    threads: BTreeMap<u32, Registers>,
    /// The thread that makes calls for us, and which signals were blocked in it.
    caller: Option<(u32, u64)>,
    /// Whether the process was told to stop meanwhile, and has not heard.
    was_told_to_stop: bool,
}

impl Stopped {
    /// Stops all threads of a process.
    pub fn all(pid: u32) -> Result<Stopped, Trouble> {
        let (threads, caller) = (BTreeMap::new(), None);
        let mut stopped = Stopped { pid, threads, caller, was_told_to_stop: false };
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
            let _ = request(libc::PTRACE_INTERRUPT, *thread, 0, 0);
        }
        for thread in seized {
            if stop_at_last(*thread)?
                && let Some(registers) = registers(*thread)
            {
                self.threads.insert(*thread, registers);
            }
        }
        Ok(())
    }

    /// The kernel's names of the threads, the first in front, and where the variables of each are.
    pub fn thread_pointers(&self) -> Vec<(u32, u64)> {
        let mut threads: Vec<(u32, u64)> =
            self.threads.iter().map(|(&thread, registers)| (thread, registers.fs_base)).collect();
        threads.sort_by_key(|(thread, _)| *thread != self.pid);
        threads
    }

    /// The registers of every thread.
    pub fn registers(&self) -> impl Iterator<Item = &Registers> {
        self.threads.values()
    }

    /// Has the process make a system call: by a thread of it, at an address where there is the instruction for it.
    pub fn call(&mut self, at: u64, number: i64, arguments: [u64; 6]) -> Result<u64, CallFailed> {
        let thread = self.caller()?;
        let found = *self.threads.get(&thread).ok_or(Trouble::Gone)?;
        let [rdi, rsi, rdx, r10, r8, r9] = arguments;
        let rax = number.cast_unsigned();
        // It is no call that the kernel would restart.
        let orig_rax = u64::MAX;
        set_registers(thread, &Registers { rip: at, rax, orig_rax, rdi, rsi, rdx, r10, r8, r9, ..found })?;
        for _ in ["to the call", "to its end"] {
            self.go_on(thread, libc::PTRACE_SYSCALL, |stop| matches!(stop, Stop::Call))?;
        }
        let returned = registers(thread).ok_or(Trouble::Gone)?.rax.cast_signed();
        // The kernel's error numbers lie between −4095 and −1.
        match i32::try_from(returned) {
            Ok(error @ -4095..=-1) => Err(CallFailed::Refused(io::Error::from_raw_os_error(-error))),
            _ => Ok(returned.cast_unsigned()),
        }
    }

    /// The thread that makes calls. No signal is handled in it from now on.
    fn caller(&mut self) -> Result<u32, Trouble> {
        if let Some((thread, _)) = self.caller {
            return Ok(thread);
        }
        let thread = *self.threads.keys().next().ok_or(Trouble::Gone)?;
        let mask = mask(thread)?;
        set_mask(thread, u64::MAX)?;
        self.caller = Some((thread, mask));
        request(libc::PTRACE_SETOPTIONS, thread, 0, libc::PTRACE_O_TRACESYSGOOD as usize)
            .map_err(Trouble::Failed)?;
        Ok(thread)
    }

    /// Lets a thread go on, like this, until it stops as wanted.
    fn go_on(&mut self, thread: u32, how: c_uint, is_wanted: impl Fn(&Stop) -> bool) -> Result<(), Trouble> {
        request(how, thread, 0, 0).map_err(|_| Trouble::Gone)?;
        loop {
            match wait(thread, LAST_PATIENCE)? {
                stop if is_wanted(&stop) => return Ok(()),
                Stop::Gone => return Err(Trouble::Gone),
                Stop::Signal(libc::SIGSTOP) => self.was_told_to_stop = true,
                // All others are blocked.
                Stop::Signal(_) | Stop::Asked | Stop::Call => {}
            }
            if how == libc::PTRACE_CONT {
                // Any stop makes the kernel forget that it was asked for one.
                let _ = request(libc::PTRACE_INTERRUPT, thread, 0, 0);
            }
            request(how, thread, 0, 0).map_err(|_| Trouble::Gone)?;
        }
    }

    /// Brings the thread that made calls back to where it was.
    fn put_back(&mut self) {
        let Some((thread, mask)) = self.caller.take() else { return };
        let Some(found) = self.threads.get(&thread).copied() else { return };
        // Only from such a stop does the kernel restart the call that was interrupted.
        let _ = request(libc::PTRACE_INTERRUPT, thread, 0, 0);
        if self.go_on(thread, libc::PTRACE_CONT, |stop| matches!(stop, Stop::Asked)).is_ok() {
            let _ = set_registers(thread, &found);
            let _ = set_mask(thread, mask);
        }
    }
}

impl Stopped {
    fn detach_all(&mut self) {
        for thread in std::mem::take(&mut self.threads).into_keys() {
            // One that is gone needs nothing.
            let _ = request(libc::PTRACE_DETACH, thread, 0, 0);
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

/// Why a process did not make a call as it was told.
#[derive(Debug)]
pub enum CallFailed {
    /// The call was refused.
    Refused(io::Error),
    /// It was not made.
    Trouble(Trouble),
}

impl From<Trouble> for CallFailed {
    fn from(trouble: Trouble) -> CallFailed {
        CallFailed::Trouble(trouble)
    }
}

/// The threads of a process.
pub fn threads_of(pid: u32) -> Result<Vec<u32>, Trouble> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| Trouble::Gone)?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// Begins to trace a thread. False if it is gone.
fn seize(pid: u32, thread: u32) -> Result<bool, Trouble> {
    match request(libc::PTRACE_SEIZE, thread, 0, 0) {
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
    while request(libc::PTRACE_DETACH, thread, 0, 0).is_err() && since.elapsed() < LAST_PATIENCE {
        match wait(thread, NAP) {
            Ok(Stop::Gone) => return,
            // It is delivered.
            Ok(Stop::Signal(signal)) => {
                let _ = request(libc::PTRACE_DETACH, thread, 0, signal.unsigned_abs() as usize);
            }
            Ok(Stop::Asked | Stop::Call) | Err(_) => {}
        }
    }
}

/// Waits until a thread has stopped that was asked to. False if it is gone.
fn stop_at_last(thread: u32) -> Result<bool, Trouble> {
    loop {
        match wait(thread, PATIENCE)? {
            Stop::Asked => return Ok(true),
            Stop::Gone => return Ok(false),
            // It is delivered; any stop makes the kernel forget that it was asked for one.
            Stop::Signal(signal) => {
                let _ = request(libc::PTRACE_INTERRUPT, thread, 0, 0);
                let _ = request(libc::PTRACE_CONT, thread, 0, signal.unsigned_abs() as usize);
            }
            Stop::Call => {
                let _ = request(libc::PTRACE_CONT, thread, 0, 0);
            }
        }
    }
}

/// Waits so long for the next stop of a thread, or its end.
fn wait(thread: u32, patience: Duration) -> Result<Stop, Trouble> {
    let since = Instant::now();
    loop {
        let mut status = 0;
        let flags = libc::__WALL | libc::WNOHANG;
        // SAFETY: the kernel writes the status.
        let waited = unsafe { libc::waitpid(thread.cast_signed(), &raw mut status, flags) };
        if waited < 0 {
            return Ok(Stop::Gone);
        }
        if waited > 0 {
            return Ok(read(status));
        }
        if since.elapsed() > patience {
            return Err(Trouble::Unstoppable(thread));
        }
        if since.elapsed() < EAGER {
            thread::yield_now();
        } else {
            thread::sleep(NAP);
        }
    }
}

fn read(status: i32) -> Stop {
    /// What `PTRACE_O_TRACESYSGOOD` adds to the stops of calls.
    const OF_CALL: i32 = 0x80;
    if !libc::WIFSTOPPED(status) {
        return Stop::Gone;
    }
    match (libc::WSTOPSIG(status), status >> 16) {
        (_, libc::PTRACE_EVENT_STOP) => Stop::Asked,
        (signal, _) if signal == libc::SIGTRAP | OF_CALL => Stop::Call,
        (signal, _) => Stop::Signal(signal),
    }
}

fn registers(thread: u32) -> Option<Registers> {
    let mut registers = MaybeUninit::<Registers>::uninit();
    request(libc::PTRACE_GETREGS, thread, 0, registers.as_mut_ptr() as usize).ok()?;
    // SAFETY: the request has succeeded, so the kernel has written them.
    Some(unsafe { registers.assume_init() })
}

fn set_registers(thread: u32, registers: &Registers) -> Result<(), Trouble> {
    request(libc::PTRACE_SETREGS, thread, 0, ptr::from_ref(registers) as usize).map_err(|_| Trouble::Gone)
}

/// Which signals a thread has blocked.
fn mask(thread: u32) -> Result<u64, Trouble> {
    let mut mask = 0_u64;
    request(PTRACE_GETSIGMASK, thread, MASK_BYTES, &raw mut mask as usize).map_err(Trouble::Failed)?;
    Ok(mask)
}

fn set_mask(thread: u32, mask: u64) -> Result<(), Trouble> {
    request(PTRACE_SETSIGMASK, thread, MASK_BYTES, &raw const mask as usize).map_err(Trouble::Failed)
}

/// Makes a request of a thread that we trace, or are about to.
fn request(request: c_uint, thread: u32, address: usize, data: usize) -> io::Result<()> {
    let (address, data) = (address as *mut c_void, data as *mut c_void);
    // SAFETY: every caller above passes what the request wants: a number, or where something of the right
    // length is.
    let answer = unsafe { libc::ptrace(request, thread.cast_signed(), address, data) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
