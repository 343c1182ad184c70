//! All we ask of the kernel and of libc for ourselves: nothing here calls malloc, and nothing is a
//! point where a thread can be cancelled.

use alloc::vec::Vec;
use core::arch::asm;
use core::ffi::{CStr, c_char, c_int, c_long};
use core::sync::atomic::AtomicU32;

/// The address that tells this thread from all others alive.
#[inline]
pub fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: on x86-64 the first word of every thread's control block is the block's own address.
    unsafe {
        asm!("mov {}, fs:0", out(reg) pointer, options(nostack, pure, readonly, preserves_flags));
    }
    pointer
}

/// The kernel's number of the calling thread.
pub fn thread() -> c_int {
    // SAFETY: gettid only answers.
    narrow(unsafe { libc::syscall(libc::SYS_gettid) })
}

/// The kernel's number of the process.
pub fn process() -> c_int {
    // SAFETY: getpid only answers.
    narrow(unsafe { libc::syscall(libc::SYS_getpid) })
}

/// Whether this process still has a thread of this number.
pub fn has_thread(thread: c_int) -> bool {
    let errno = errno();
    // SAFETY: signal 0 is not sent, only looked into.
    let is_there = unsafe { libc::syscall(libc::SYS_tgkill, process(), thread, 0) } == 0;
    set_errno(errno);
    is_there
}

/// Sleeps until the word is woken, if it still is `value`.
pub fn sleep_on(word: &AtomicU32, value: u32) {
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let forever = core::ptr::null::<libc::timespec>();
    // SAFETY: the word outlives the call; without a timeout nothing else is read.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, forever) };
}

/// Wakes one who sleeps on the word.
pub fn wake(word: &AtomicU32) {
    // SAFETY: the word is only named, not touched.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1) };
}

/// Whether the calling thread is the process's only one; not if that cannot be found out.
pub fn is_alone() -> bool {
    let path = c"/proc/self/task";
    let mut status = core::mem::MaybeUninit::<libc::stat>::zeroed();
    let errno = errno();
    // SAFETY: the path is a C string, and the kernel writes no more than a whole `stat`.
    let answer =
        unsafe { libc::syscall(libc::SYS_newfstatat, libc::AT_FDCWD, path.as_ptr(), status.as_mut_ptr(), 0) };
    set_errno(errno);
    // SAFETY: all zeros is a valid `stat`.
    let status = unsafe { status.assume_init() };
    // A directory has a link for its name, one for `.`, and one for every directory in it: a thread.
    answer == 0 && status.st_nlink == 3
}

/// The calling thread's `errno`.
pub fn errno() -> c_int {
    let place = place_of_errno();
    // SAFETY: libc keeps it there for as long as the thread lives.
    unsafe { *place }
}

/// Sets the calling thread's `errno`.
pub fn set_errno(errno: c_int) {
    let place = place_of_errno();
    // SAFETY: as for reading it.
    unsafe { *place = errno }
}

fn place_of_errno() -> *mut c_int {
    // SAFETY: it only answers.
    unsafe { libc::__errno_location() }
}

/// Writes to stderr.
pub fn say(text: &str) {
    write(libc::STDERR_FILENO, text.as_bytes());
}

unsafe extern "C" {
    /// What the process was started as (`argv[0]`).
    static program_invocation_name: *const c_char;
}

/// What the process was started as; nothing if that is no text.
pub fn program() -> &'static str {
    // SAFETY: libc's variable, written only when the process starts.
    let name = unsafe { program_invocation_name };
    if name.is_null() {
        return "";
    }
    // SAFETY: it is not null, so it is the C string `argv[0]`, which stays.
    let name = unsafe { CStr::from_ptr(name) };
    name.to_str().unwrap_or_default()
}

/// Ends the process by `SIGABRT`.
pub fn abort() -> ! {
    // SAFETY: abort may be called at any time.
    unsafe { libc::abort() }
}

/// Ends the process without any more ado.
pub fn exit(status: c_int) -> ! {
    // SAFETY: _exit may be called at any time.
    unsafe { libc::_exit(status) }
}

/// All of a file, as far as it can be read; nothing if it cannot be opened.
pub fn read(path: &CStr) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Some(file) = open(path, libc::O_RDONLY) else { return bytes };
    let mut piece = [0; 4096];
    loop {
        // SAFETY: the kernel writes at most so many bytes to `piece`.
        let read = unsafe { libc::syscall(libc::SYS_read, file, piece.as_mut_ptr(), piece.len()) };
        match usize::try_from(read).ok().and_then(|read| piece.get(..read)) {
            Some([]) | None => break,
            Some(read) => bytes.extend_from_slice(read),
        }
    }
    close(file);
    bytes
}

/// Makes a file of these bytes, in place of what was there. Returns whether it could be written.
pub fn replace(path: &CStr, bytes: &[u8]) -> bool {
    let Some(file) = open(path, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC) else { return false };
    let is_whole = write(file, bytes);
    close(file);
    is_whole
}

fn open(path: &CStr, flags: c_int) -> Option<c_int> {
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: the path is a C string.
    let file = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o666) };
    (file >= 0).then(|| narrow(file))
}

fn close(file: c_int) {
    // SAFETY: the descriptor is ours, and nobody uses it any more.
    unsafe { libc::syscall(libc::SYS_close, file) };
}

fn write(file: c_int, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        // SAFETY: the kernel reads at most so many bytes.
        let written = unsafe { libc::syscall(libc::SYS_write, file, bytes.as_ptr(), bytes.len()) };
        match usize::try_from(written) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(_) if errno() == libc::EINTR => {}
            Err(_) => return false,
        }
    }
    true
}

/// The processors in the process's affinity mask; 0 if they cannot be counted.
pub fn allowed_processors() -> u32 {
    let mut mask = [0u64; 128];
    // SAFETY: the kernel writes at most so many bytes to `mask`.
    let written =
        unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&mask), mask.as_mut_ptr()) };
    if written < 0 { 0 } else { mask.iter().map(|word| word.count_ones()).sum() }
}

/// Numbers of threads, processes and descriptors fit into an `int`.
fn narrow(answer: c_long) -> c_int {
    c_int::try_from(answer).unwrap_or(-1)
}
