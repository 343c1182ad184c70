//! A program that we start and trace: at every call of the kernel that moves memory its thread stops, and
//! goes on when it is told to.
//!
//! A filter of the kernel (seccomp(2)) picks these calls, so that all others cost what they always do. It is
//! inherited by what the program starts, and so is the tracing.
//!
//! # Unsafe code
//!
//! What could go wrong: between `fork` and `execve` the child does what another thread of ours held up
//! when it was copied; or the kernel is given lists that do not end, strings that are gone, or a place to
//! write to that is too small. Who promises what: this file, that the child makes calls of the kernel
//! alone and asks for no memory, that all lists and strings are made before it, and that each request is
//! passed what ptrace(2) says.
#![expect(unsafe_code, reason = "see above")]

use std::ffi::{CString, c_char, c_int, c_uint, c_ulong, c_void};
use std::io::{self, Write};
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

/// What is started.
#[derive(Debug)]
pub struct Started {
    /// The file.
    pub file: CString,
    /// Its arguments, its own name first.
    pub arguments: Vec<CString>,
    /// Its environment.
    pub environment: Vec<CString>,
    /// Its standard input and output; what is `None` is ours.
    pub input: Option<OwnedFd>,
    /// See above.
    pub output: Option<OwnedFd>,
}

/// A call that a thread is about to make, or what it returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// Where in the code it is made: behind the instruction.
    pub at: u64,
    /// The stack there.
    pub stack: u64,
}

/// Why a thread stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It is about to make a call that was picked.
    Entering(Call),
    /// That call returned this; an error is negative.
    Returned(i64),
    /// It runs another program now.
    Executed,
    /// It is about to end, and its memory is still there.
    Ending,
    /// The thread was there before, or has just come to be.
    Begun,
    /// It was stopped by a signal, together with its process, until it is to go on.
    Halted,
    /// A signal is to be delivered.
    Signal(c_int),
    /// Something else that needs nothing but to go on.
    Other,
    /// It is gone, with this status of wait(2).
    Gone(c_int),
}

/// How a thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    /// To the next call that is picked.
    On,
    /// To the end of the call that it is about to make.
    ToReturn,
    /// As it is: its process was stopped and stays so.
    Halted,
}

/// The calls that are picked: those that move memory, and those that end it.
pub const PICKED: [i64; 9] = [
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_exit_group,
];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

const LENGTH: usize = PICKED.len() + 5;

/// The program of the filter: whatever is not picked, or comes from another architecture, is let through.
fn filter() -> [libc::sock_filter; LENGTH] {
    const LOAD: c_uint = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const IS: c_uint = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const ANSWER: c_uint = libc::BPF_RET | libc::BPF_K;
    #[expect(clippy::cast_possible_truncation, reason = "all of these are small")]
    const fn step(code: c_uint, yes: usize, no: usize, k: u64) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt: yes as u8, jf: no as u8, k: k as u32 }
    }
    let mut steps = [step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW.into()); LENGTH];
    let picked = LENGTH - 1;
    let number = offset_of!(libc::seccomp_data, nr) as u64;
    let architecture = offset_of!(libc::seccomp_data, arch) as u64;
    let mut set = |place: usize, what| {
        if let Some(step) = steps.get_mut(place) {
            *step = what;
        }
    };
    set(0, step(LOAD, 0, 0, architecture));
    set(1, step(IS, 0, PICKED.len() + 1, ARCHITECTURE.into()));
    set(2, step(LOAD, 0, 0, number));
    for (place, call) in PICKED.iter().enumerate() {
        // From the step behind this one on.
        let yes = picked - (place + 3) - 1;
        set(place + 3, step(IS, yes, 0, call.unsigned_abs()));
    }
    set(picked, step(ANSWER, 0, 0, libc::SECCOMP_RET_TRACE.into()));
    steps
}

const OPTIONS: c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEEXIT
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_EXITKILL;

/// Starts a program. The thread that does so is the one to ask for its [stops](wait).
///
/// # Errors
///
/// When there can be no further process, or it may not be traced.
pub fn start(started: &Started) -> io::Result<u32> {
    let arguments = pointers(&started.arguments);
    let environment = pointers(&started.environment);
    let filter = filter();
    #[expect(clippy::cast_possible_truncation, reason = "a dozen steps")]
    let program = libc::sock_fprog { len: LENGTH as u16, filter: filter.as_ptr().cast_mut() };
    let (gate, mut opener) = io::pipe()?;
    let (stdin, stdout) = (raw(started.input.as_ref()), raw(started.output.as_ref()));
    // SAFETY: the child makes calls of the kernel alone, until it becomes another program or ends.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    if child == 0 {
        if close(opener.as_raw_fd()) && is_let_through(gate.as_raw_fd()) {
            instead(stdin, libc::STDIN_FILENO);
            instead(stdout, libc::STDOUT_FILENO);
            if is_filtered(&program) {
                // SAFETY: the lists end with null pointers, and they and all strings are a copy of the parent's.
                unsafe { libc::execve(started.file.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
            }
        }
        // SAFETY: nothing of what the parent would do at its end is done.
        unsafe { libc::_exit(NOT_STARTED) }
    }
    request(libc::PTRACE_SEIZE, child.cast_unsigned(), 0, OPTIONS as usize)?;
    opener.write_all(&[1])?;
    Ok(child.cast_unsigned())
}

fn close(file: RawFd) -> bool {
    // SAFETY: the child does not use it again.
    unsafe { libc::close(file) == 0 }
}

/// Waits until somebody traces us; false if nobody ever will.
fn is_let_through(gate: RawFd) -> bool {
    let mut byte = 0_u8;
    // SAFETY: there is room for a byte.
    unsafe { libc::read(gate, (&raw mut byte).cast(), 1) == 1 }
}

/// Uses a file, if there is one, in place of that.
fn instead(file: RawFd, of: RawFd) {
    if file >= 0 {
        // SAFETY: no memory is involved.
        unsafe { libc::dup2(file, of) };
    }
}

/// Lets the filter pick calls from here on; false if that is not possible.
fn is_filtered(program: &libc::sock_fprog) -> bool {
    let zero: c_ulong = 0;
    // A broken pipe ends the program, as it would without us.
    // SAFETY: no memory is involved.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    // SAFETY: as above. Without this only the superuser may have a filter.
    (unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1 as c_ulong, zero, zero, zero) }) == 0
        // SAFETY: the kernel copies the program, which is as long as it says.
        && (unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, ptr::from_ref(program)) }) == 0
}

/// What a child ends with that could not become the program.
pub const NOT_STARTED: c_int = 127;

fn raw(file: Option<&OwnedFd>) -> RawFd {
    file.map_or(-1, AsRawFd::as_raw_fd)
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// Waits for the next stop of any thread that this thread traces; `None` when there is none left.
///
/// # Errors
///
/// As waitpid(2).
pub fn wait() -> io::Result<Option<(u32, Stop)>> {
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes the status.
        let waited = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        if waited > 0 {
            let thread = waited.cast_unsigned();
            return Ok(Some((thread, read(thread, status))));
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error => return Err(error),
        }
    }
}

fn read(thread: u32, status: c_int) -> Stop {
    /// What `PTRACE_O_TRACESYSGOOD` adds to the stops of calls.
    const OF_CALL: c_int = 0x80;
    if !libc::WIFSTOPPED(status) {
        return Stop::Gone(status);
    }
    let signal = libc::WSTOPSIG(status);
    match status >> 16 {
        libc::PTRACE_EVENT_SECCOMP => match asked(thread) {
            Some(info) => Stop::Entering(entering(&info)),
            None => Stop::Other,
        },
        libc::PTRACE_EVENT_EXEC => Stop::Executed,
        libc::PTRACE_EVENT_EXIT => Stop::Ending,
        libc::PTRACE_EVENT_STOP if signal == libc::SIGTRAP => Stop::Begun,
        libc::PTRACE_EVENT_STOP => Stop::Halted,
        0 if signal == libc::SIGTRAP | OF_CALL => match asked(thread).and_then(|info| returned(&info)) {
            Some(value) => Stop::Returned(value),
            None => Stop::Other,
        },
        0 => Stop::Signal(signal),
        _ => Stop::Other,
    }
}

fn asked(thread: u32) -> Option<libc::ptrace_syscall_info> {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let length = size_of::<libc::ptrace_syscall_info>();
    request(libc::PTRACE_GET_SYSCALL_INFO, thread, length, info.as_mut_ptr() as usize).ok()?;
    // SAFETY: all of it are numbers, of which any bits are a value, zeros among them.
    Some(unsafe { info.assume_init() })
}

fn entering(info: &libc::ptrace_syscall_info) -> Call {
    // SAFETY: all of the union's parts are numbers. It is this one where a filter stopped the thread.
    let entry = unsafe { info.u.seccomp };
    Call {
        number: entry.nr.cast_signed(),
        arguments: entry.args,
        at: info.instruction_pointer,
        stack: info.stack_pointer,
    }
}

fn returned(info: &libc::ptrace_syscall_info) -> Option<i64> {
    // SAFETY: as above; it is this one where a call returned.
    (info.op == libc::PTRACE_SYSCALL_INFO_EXIT).then_some(unsafe { info.u.exit }.sval)
}

/// Lets a thread go on, with a signal if one is to be delivered.
pub fn go_on(thread: u32, how: Onward, signal: c_int) {
    let how = match how {
        Onward::On => libc::PTRACE_CONT,
        Onward::ToReturn => libc::PTRACE_SYSCALL,
        Onward::Halted => libc::PTRACE_LISTEN,
    };
    // A thread that has been killed meanwhile does not go on, and says so when it is waited for.
    let _ = request(how, thread, 0, signal.unsigned_abs() as usize);
}

fn request(what: c_uint, thread: u32, address: usize, data: usize) -> io::Result<()> {
    let (address, data) = (address as *mut c_void, data as *mut c_void);
    // SAFETY: every caller above passes what the request wants: a number, or where something of that length is.
    let answer = unsafe { libc::ptrace(what, thread.cast_signed(), address, data) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
