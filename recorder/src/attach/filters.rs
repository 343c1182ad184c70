//! Whether the filters of a process's system calls (seccomp(2)) leave it the calls that an agent in it has to make.
//!
//! Container engines, service managers and browsers set filters, so most servers have some. A call that one forbids ends the
//! process, or is told that it failed. The kernel shows filters to who traces a thread as root (`PTRACE_SECCOMP_GET_FILTER`,
//! ptrace(2)): they are followed for each call before the first is made.

use std::collections::HashSet;

use super::refusal::Refusal;
use super::target;
use crate::bpf::{self, Instruction};
use crate::stopped::{self, Stopped};

/// What an agent calls, and what is called in its name when it comes and goes.
const CALLS: [(i64, &str); 20] = [
    (libc::SYS_brk, "brk"),
    (libc::SYS_close, "close"),
    (libc::SYS_exit_group, "exit_group"),
    (libc::SYS_futex, "futex"),
    (libc::SYS_getpid, "getpid"),
    (libc::SYS_getppid, "getppid"),
    (libc::SYS_getrusage, "getrusage"),
    (libc::SYS_gettid, "gettid"),
    (libc::SYS_kill, "kill"),
    (libc::SYS_madvise, "madvise"),
    (libc::SYS_memfd_create, "memfd_create"),
    (libc::SYS_mmap, "mmap"),
    (libc::SYS_mprotect, "mprotect"),
    (libc::SYS_mremap, "mremap"),
    (libc::SYS_munmap, "munmap"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_read, "read"),
    (libc::SYS_readlink, "readlink"),
    (libc::SYS_rt_sigprocmask, "rt_sigprocmask"),
    (libc::SYS_write, "write"),
];

/// How threads say that they have filters, and that they may make next to no calls.
const FILTERED: &str = "2";
const STRICT: &str = "1";

/// Sees to it that each thread may make those calls.
///
/// # Errors
///
/// When one may not, or the kernel does not tell.
pub fn examine(pid: u32) -> Result<(), Refusal> {
    let of_trouble = |trouble| Refusal::of_trouble(pid, trouble);
    let mode = |thread: &u32| target::status_in(pid, &format!("task/{thread}/status"), "Seccomp");
    let are_free = |threads: &[u32]| threads.iter().filter_map(mode).all(|mode| mode == "0");
    if are_free(&stopped::threads_of(pid).map_err(of_trouble)?) {
        return Ok(());
    }
    // While it stands still they are only read; threads mostly have the same.
    let mut programs = HashSet::new();
    let stopped = Stopped::all(pid).map_err(of_trouble)?;
    for thread in stopped.threads() {
        match mode(&thread).as_deref() {
            Some(FILTERED) => read(pid, &stopped, thread, &mut programs)?,
            Some(STRICT) => return Err(Refusal::Filtered { pid, call: "nearly all" }),
            _ => {}
        }
    }
    drop(stopped);
    programs.iter().try_for_each(|program| follow(pid, program))
}

/// Reads all filters of a thread.
fn read(
    pid: u32,
    stopped: &Stopped,
    thread: u32,
    programs: &mut HashSet<Vec<Instruction>>,
) -> Result<(), Refusal> {
    for number in 0.. {
        let program = stopped.filter(thread, number);
        let program = program.map_err(|source| Refusal::UnknownFilter { pid, source })?;
        let Some(program) = program else { break };
        programs.insert(program);
    }
    Ok(())
}

/// Follows a filter.
fn follow(pid: u32, program: &[Instruction]) -> Result<(), Refusal> {
    let is_allowed = |call: i64| u32::try_from(call).is_ok_and(|call| bpf::allows(program, call));
    let forbidden = CALLS.iter().find(|(call, _)| !is_allowed(*call));
    forbidden.map_or(Ok(()), |(_, call)| Err(Refusal::Filtered { pid, call }))
}
