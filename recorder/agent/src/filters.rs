//! Filters of system calls (seccomp): once a process has asked for one, we make no call that only we need.

use core::arch::naked_asm;
use core::ffi::{c_int, c_long, c_ulong};
use core::sync::atomic::{AtomicU8, Ordering};

use crate::real::{self, REAL};
use crate::system::File;

/// Whether the process, or one it is a copy of, has asked for a filter.
static WERE_SET: AtomicU8 = AtomicU8::new(0);

/// Whether the process may have filters.
pub fn were_set() -> bool {
    WERE_SET.load(Ordering::Relaxed) != 0
}

/// Whether this process came with none. One that is not told so has some.
pub fn are_none() -> bool {
    /// More than the kernel says.
    const STATUS: usize = 4096;
    let mut status = [0; STATUS];
    let file = File::open_to_read(c"/proc/self/status");
    let length = file.and_then(|file| file.read(&mut status)).unwrap_or(0);
    let none = b"\nSeccomp:\t0\n";
    status.get(..length).is_some_and(|status| status.windows(none.len()).any(|line| line == none))
}

/// `prctl`
///
/// Whatever it was asked for, it finds its arguments and its caller as if we were not there.
///
/// # Safety
///
/// As the C function.
#[unsafe(naked)]
#[cfg_attr(panic = "abort", unsafe(no_mangle))]
pub unsafe extern "C" fn prctl(
    option: c_int,
    first: c_ulong,
    second: c_ulong,
    third: c_ulong,
    fourth: c_ulong,
) -> c_int {
    naked_asm!(
        "cmp edi, {set_filter}",
        "jne 2f",
        "mov byte ptr [rip + {were_set}], 1",
        "2:",
        "jmp qword ptr [rip + {real} + {at}]",
        set_filter = const libc::PR_SET_SECCOMP,
        were_set = sym WERE_SET,
        real = sym REAL,
        at = const real::PRCTL,
    )
}

/// `syscall`, which may be a call of `prctl` or `seccomp`: the latter has no function of its own.
///
/// # Safety
///
/// As the C function.
#[unsafe(naked)]
#[cfg_attr(panic = "abort", unsafe(no_mangle))]
pub unsafe extern "C" fn syscall(
    number: c_long,
    first: c_long,
    second: c_long,
    third: c_long,
    fourth: c_long,
    fifth: c_long,
    sixth: c_long,
) -> c_long {
    naked_asm!(
        "cmp rdi, {seccomp}",
        "je 2f",
        "cmp rdi, {prctl}",
        "jne 3f",
        "cmp esi, {set_filter}",
        "jne 3f",
        "2:",
        "mov byte ptr [rip + {were_set}], 1",
        "3:",
        "jmp qword ptr [rip + {real} + {at}]",
        seccomp = const libc::SYS_seccomp,
        prctl = const libc::SYS_prctl,
        set_filter = const libc::PR_SET_SECCOMP,
        were_set = sym WERE_SET,
        real = sym REAL,
        at = const real::SYSCALL,
    )
}
