//! What is asked of the kernel about one thread, by `ptrace` and `waitpid`.
//!
//! # Unsafe code
//!
//! What could go wrong: `ptrace` is given an address where the kernel writes more than there is room for. Who
//! promises what: this file, that each request is passed what its manual says.
#![expect(unsafe_code, reason = "see above")]

use std::ffi::c_void;
use std::io;
use std::mem::{MaybeUninit, offset_of};
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use libc::c_uint;
pub use libc::user_regs_struct as Registers;

use super::Trouble;
use crate::bpf::Instruction;

/// How long we look at a thread without a pause, and how long the pauses are then: most stop at once.
const EAGER: Duration = Duration::from_micros(500);
/// See there.
pub const NAP: Duration = Duration::from_micros(50);

/// Bytes of the kernel's set of signals.
const MASK_BYTES: usize = size_of::<u64>();

// Not in `libc`.
const PTRACE_GETSIGMASK: c_uint = 0x420a;
const PTRACE_SETSIGMASK: c_uint = 0x420b;
const PTRACE_SYSEMU: c_uint = 31;
const PTRACE_SECCOMP_GET_FILTER: c_uint = 0x420c;
const NT_X86_XSTATE: usize = 0x202;

/// What a thread stopped for, or did.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// It was asked to, or its whole process was stopped.
    Asked,
    /// A signal is about to be delivered to it.
    Signal(i32),
    /// It is about to make a system call, or has made it.
    Call,
    /// It is gone.
    Gone,
}

/// What a thread is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To be traced from now on.
    Seize,
    /// To stop.
    Interrupt,
    /// To go on until something stops it.
    Continue,
    /// To go on until a system call begins, or is over.
    ToCall,
    /// To go on until it is about to make a system call, which the kernel then does not make.
    ToAnyCall,
    /// To make one step.
    Step,
    /// To be traced no longer.
    Detach,
}

/// Asks it of a thread. If it goes on, then with this signal; 0 is none.
pub fn ask(what: Ask, thread: u32, signal: i32) -> io::Result<()> {
    let number = signal.unsigned_abs() as usize;
    let (request, data) = match what {
        // Stops of system calls are told from those for signals.
        Ask::Seize => (libc::PTRACE_SEIZE, libc::PTRACE_O_TRACESYSGOOD as usize),
        Ask::Interrupt => (libc::PTRACE_INTERRUPT, 0),
        Ask::Continue => (libc::PTRACE_CONT, number),
        Ask::ToCall => (libc::PTRACE_SYSCALL, number),
        Ask::ToAnyCall => (PTRACE_SYSEMU, number),
        Ask::Step => (libc::PTRACE_SINGLESTEP, number),
        Ask::Detach => (libc::PTRACE_DETACH, number),
    };
    make(request, thread, 0, data)
}

/// Waits so long for the next stop of a thread, or its end.
pub fn wait(thread: u32, patience: Duration) -> Result<Stop, Trouble> {
    let since = Instant::now();
    loop {
        if let Some(stop) = look(thread) {
            return Ok(stop);
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

/// Why a thread has stopped, if it has.
pub fn look(thread: u32) -> Option<Stop> {
    let mut status = 0;
    let flags = libc::__WALL | libc::WNOHANG;
    // SAFETY: the kernel writes the status.
    match unsafe { libc::waitpid(thread.cast_signed(), &raw mut status, flags) } {
        0 => None,
        ..0 => Some(Stop::Gone),
        1.. => Some(read(status)),
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

/// A thread's registers; `None` if it is gone.
pub fn registers(thread: u32) -> Option<Registers> {
    let mut registers = MaybeUninit::<Registers>::uninit();
    make(libc::PTRACE_GETREGS, thread, 0, registers.as_mut_ptr() as usize).ok()?;
    // SAFETY: the request has succeeded, so the kernel has written them.
    Some(unsafe { registers.assume_init() })
}

/// Gives a thread these registers.
pub fn set_registers(thread: u32, registers: &Registers) -> Result<(), Trouble> {
    make(libc::PTRACE_SETREGS, thread, 0, ptr::from_ref(registers) as usize).map_err(|_| Trouble::Gone)
}

/// Whether a thread was stopped in a call of the kernel that goes on when the thread does: what the call
/// returned is one of the kernel's own numbers for that (`ERESTARTSYS` to `ERESTART_RESTARTBLOCK`).
pub fn is_waiting(registers: &Registers) -> bool {
    registers.orig_rax.cast_signed() >= 0 && (-516..=-512).contains(&registers.rax.cast_signed())
}

/// What a thread has in its registers for numbers with a point and for vectors, as the kernel writes it.
pub struct Vectors(Vec<u64>);

impl Vectors {
    /// Those of a thread.
    pub fn of(thread: u32) -> Result<Vectors, Trouble> {
        /// More than any processor has yet: with the tiles of AMX it is 11 KiB.
        const MOST: usize = 1 << 13;
        let mut words = vec![0_u64; MOST];
        let mut room = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: MOST * size_of::<u64>() };
        make(libc::PTRACE_GETREGSET, thread, NT_X86_XSTATE, &raw mut room as usize)
            .map_err(Trouble::Failed)?;
        words.truncate(room.iov_len.div_ceil(size_of::<u64>()));
        Ok(Vectors(words))
    }

    /// Gives them to a thread.
    pub fn give(mut self, thread: u32) -> Result<(), Trouble> {
        let length = self.0.len() * size_of::<u64>();
        let mut room = libc::iovec { iov_base: self.0.as_mut_ptr().cast(), iov_len: length };
        make(libc::PTRACE_SETREGSET, thread, NT_X86_XSTATE, &raw mut room as usize).map_err(Trouble::Failed)
    }
}

/// Which signals a thread has blocked.
pub fn mask(thread: u32) -> Result<u64, Trouble> {
    let mut mask = 0_u64;
    make(PTRACE_GETSIGMASK, thread, MASK_BYTES, &raw mut mask as usize).map_err(Trouble::Failed)?;
    Ok(mask)
}

/// Blocks these signals in a thread, and no others.
pub fn set_mask(thread: u32, mask: u64) -> Result<(), Trouble> {
    make(PTRACE_SETSIGMASK, thread, MASK_BYTES, &raw const mask as usize).map_err(Trouble::Failed)
}

/// Has the processor stop a thread when it comes to this address, or nowhere any more.
pub fn watch(thread: u32, at: Option<u64>) -> io::Result<()> {
    /// For instructions, in this thread only.
    const FIRST: usize = 1;
    let register = |number: usize| offset_of!(libc::user, u_debugreg) + number * size_of::<u64>();
    if let Some(at) = at {
        make(libc::PTRACE_POKEUSER, thread, register(0), usize::try_from(at).unwrap_or(0))?;
    }
    make(libc::PTRACE_POKEUSER, thread, register(7), if at.is_some() { FIRST } else { 0 })
}

/// Whether the signal that a thread has stopped for was sent by a process, not caused by an instruction.
pub fn was_sent(thread: u32) -> bool {
    let mut about = MaybeUninit::<libc::siginfo_t>::uninit();
    if make(libc::PTRACE_GETSIGINFO, thread, 0, about.as_mut_ptr() as usize).is_err() {
        return false;
    }
    // SAFETY: the request has succeeded, so the kernel has written it.
    unsafe { about.assume_init() }.si_code <= libc::SI_USER
}

/// One of a thread's filters of system calls, by its number; `None` if there are not so many.
pub fn filter(thread: u32, number: usize) -> io::Result<Option<Vec<Instruction>>> {
    let length = match request(PTRACE_SECCOMP_GET_FILTER, thread, number, 0) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
        length => length?,
    };
    let mut program = vec![Instruction::default(); usize::try_from(length).unwrap_or(0)];
    // A thread that stands still gets no other filters, and those it has do not change.
    request(PTRACE_SECCOMP_GET_FILTER, thread, number, program.as_mut_ptr() as usize)?;
    Ok(Some(program))
}

/// Makes a request of a thread that we trace, or are about to.
fn make(what: c_uint, thread: u32, address: usize, data: usize) -> io::Result<()> {
    request(what, thread, address, data).map(drop)
}

/// The same, and what comes back.
fn request(request: c_uint, thread: u32, address: usize, data: usize) -> io::Result<i64> {
    let (address, data) = (address as *mut c_void, data as *mut c_void);
    // SAFETY: every caller above passes what the request wants: a number, or where something of the right
    // length is.
    let answer = unsafe { libc::ptrace(request, thread.cast_signed(), address, data) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
