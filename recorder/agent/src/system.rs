//! The system calls we make, straight to the kernel: none touches `errno`, and none goes through a
//! function the target may have replaced.

use core::arch::asm;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU32;
use malloscope_wire::PAGE;

use crate::interruption::Switches;

/// What the kernel refused, as its error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub i32);

/// Makes a system call.
///
/// # Safety
///
/// As the system call.
#[inline]
unsafe fn call(number: i64, arguments: [usize; 6]) -> Result<usize, Refused> {
    let [a, b, c, d, e, f] = arguments;
    let returned: isize;
    // SAFETY: the caller answers for what the call does; the kernel clobbers rcx and r11 only.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => returned,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    // The kernel's error numbers lie between −4095 and −1.
    match returned {
        -4095..=-1 => Err(Refused(-returned as i32)),
        _ => Ok(returned as usize),
    }
}

/// Makes a system call that reads and writes nothing of ours.
fn ask(number: i64, arguments: [usize; 3]) -> Result<usize, Refused> {
    let [a, b, c] = arguments;
    // SAFETY: no argument is a pointer, and every caller below only asks or closes its own descriptor.
    unsafe { call(number, [a, b, c, 0, 0, 0]) }
}

/// This process's id.
pub fn process_id() -> u32 {
    ask(libc::SYS_getpid, [0; 3]).unwrap_or(0) as u32
}

/// Its parent's.
pub fn parent_id() -> u32 {
    ask(libc::SYS_getppid, [0; 3]).unwrap_or(0) as u32
}

/// This thread's id.
pub fn thread_id() -> u32 {
    ask(libc::SYS_gettid, [0; 3]).unwrap_or(0) as u32
}

/// How often this thread was taken off the processor: because it waited for something, and although it
/// could have gone on.
pub fn switches() -> Switches {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let arguments = [libc::RUSAGE_THREAD as usize, usage.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel writes at most the structure.
    let _ = unsafe { call(libc::SYS_getrusage, arguments) };
    // SAFETY: numbers, zeros or written by the kernel.
    let usage = unsafe { usage.assume_init() };
    Switches { waits: usage.ru_nvcsw as u32, preemptions: usage.ru_nivcsw as u32 }
}

/// Whether a process with this id exists.
pub fn exists(process: u32) -> bool {
    ask(libc::SYS_kill, [process as usize, 0, 0]) != Err(Refused(libc::ESRCH))
}

/// Ends this process as `abort` does.
pub fn abort() -> ! {
    loop {
        let _ = ask(libc::SYS_kill, [process_id() as usize, libc::SIGABRT as usize, 0]);
        let _ = ask(libc::SYS_exit_group, [127, 0, 0]);
    }
}

/// Ends this process, all threads of it.
pub fn exit(status: usize) -> ! {
    loop {
        let _ = ask(libc::SYS_exit_group, [status, 0, 0]);
    }
}

/// Writes to standard output. False if not all of it was taken.
pub fn print(bytes: &[u8]) -> bool {
    let arguments = [libc::STDOUT_FILENO as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0];
    // SAFETY: the kernel reads the bytes.
    let taken = unsafe { call(libc::SYS_write, arguments) };
    taken == Ok(bytes.len())
}

/// Where the program break is, asked of the kernel.
pub fn program_break() -> usize {
    ask(libc::SYS_brk, [0; 3]).unwrap_or(0)
}

/// A file that is closed again when this is dropped.
pub struct File(usize);

impl File {
    /// Opens a file for reading and writing.
    pub fn open(path: &CStr) -> Result<File, Refused> {
        Self::open_for(path, libc::O_RDWR)
    }

    /// Opens a file for reading.
    pub fn open_to_read(path: &CStr) -> Result<File, Refused> {
        Self::open_for(path, libc::O_RDONLY)
    }

    fn open_for(path: &CStr, access: i32) -> Result<File, Refused> {
        let flags = access | libc::O_CLOEXEC;
        let arguments = [libc::AT_FDCWD as usize, path.as_ptr() as usize, flags as usize, 0, 0, 0];
        // SAFETY: the path is a C string that outlives the call.
        unsafe { call(libc::SYS_openat, arguments) }.map(File)
    }

    /// Reads what comes next into `into`. Returns how much of it was filled.
    pub fn read(&self, into: &mut [u8]) -> Result<usize, Refused> {
        let arguments = [self.0, into.as_mut_ptr() as usize, into.len(), 0, 0, 0];
        // SAFETY: the kernel writes at most the buffer.
        unsafe { call(libc::SYS_read, arguments) }
    }

    /// Maps its first `length` bytes, shared.
    pub fn map(&self, length: usize) -> Result<usize, Refused> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let arguments = [0, length, access as usize, libc::MAP_SHARED as usize, self.0, 0];
        // SAFETY: a new mapping, where nothing was.
        unsafe { call(libc::SYS_mmap, arguments) }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // A descriptor of our own; nothing can be done if the kernel disagrees.
        let _ = ask(libc::SYS_close, [self.0, 0, 0]);
    }
}

/// Maps the memory of a shared mapping a second time, from `page` on, to this length.
///
/// `mremap` of nothing makes a copy of a shared mapping, which grows over the rest of its file:
/// so memory can be mapped long after its file was closed and its path went out of reach.
///
/// # Safety
///
/// `page` begins a page of a shared mapping.
pub unsafe fn map_again(page: usize, length: usize) -> Result<usize, Refused> {
    let arguments = [page, 0, length, libc::MREMAP_MAYMOVE as usize, 0, 0];
    // SAFETY: as promised; the old mapping stays as it is, because none of it is moved.
    unsafe { call(libc::SYS_mremap, arguments) }
}

/// Gives a mapping back.
///
/// # Safety
///
/// Nobody uses it.
pub unsafe fn unmap(at: usize, length: usize) {
    // SAFETY: as promised. A refusal costs address space and nothing else.
    let _ = unsafe { call(libc::SYS_munmap, [at, length, 0, 0, 0, 0]) };
}

/// Maps memory of our own, which is zeros.
pub fn map(length: usize) -> Result<usize, Refused> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let arguments = [0, length, access as usize, flags as usize, usize::MAX, 0];
    // SAFETY: a new mapping, where nothing was.
    unsafe { call(libc::SYS_mmap, arguments) }
}

/// Whether the page that begins here can be read: the kernel reads a set of signals there, for a request it
/// then finds to be none.
pub fn can_be_read(page: usize) -> bool {
    let no_request = usize::MAX;
    let arguments = [no_request, page, 0, size_of::<u64>(), 0, 0];
    // SAFETY: the kernel reads one word if it can, and does nothing.
    let refused = unsafe { call(libc::SYS_rt_sigprocmask, arguments) };
    refused == Err(Refused(libc::EINVAL))
}

/// Asks which pages have memory behind them, from a page on: the lowest bit of a byte says it for each.
pub fn present(from: usize, pages: &mut [u8]) -> Result<(), Refused> {
    let arguments = [from, pages.len() * PAGE, pages.as_mut_ptr() as usize, 0, 0, 0];
    // SAFETY: the kernel writes a byte for each page, of which there are as many as bytes.
    unsafe { call(libc::SYS_mincore, arguments) }.map(drop)
}

/// What a mapping is to be like.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Advice {
    /// It is zeros in a child made by `fork`, and by whatever else copies a process.
    WipeOnFork = libc::MADV_WIPEONFORK,
    /// Core files leave it out.
    DontDump = libc::MADV_DONTDUMP,
}

/// Asks for memory of ours to be like that.
pub fn advise(at: usize, length: usize, advice: Advice) -> Result<(), Refused> {
    // SAFETY: no advice above changes what this process reads or writes.
    unsafe { call(libc::SYS_madvise, [at, length, advice as usize, 0, 0, 0]) }.map(drop)
}

/// Writes what a link says into `into`. Returns how much of it was filled.
pub fn read_link(path: &CStr, into: &mut [u8]) -> Result<usize, Refused> {
    let arguments = [path.as_ptr() as usize, into.as_mut_ptr() as usize, into.len(), 0, 0, 0];
    // SAFETY: the kernel reads a C string and writes at most the buffer.
    unsafe { call(libc::SYS_readlink, arguments) }
}

/// Sleeps while `word` is `expected`, but no longer than this.
pub fn sleep_while(word: &AtomicU32, expected: u32, milliseconds: i64) {
    let limit = libc::timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
    let operation = libc::FUTEX_WAIT as usize;
    let arguments = [word.as_ptr() as usize, operation, expected as usize, &raw const limit as usize, 0, 0];
    // SAFETY: the kernel reads the word and the limit. Any return is a reason to look again.
    let _ = unsafe { call(libc::SYS_futex, arguments) };
}

/// Whether this is what lies there; not so where nothing can be read. The kernel compares, and would let us sleep for no
/// time if it were.
pub fn holds(at: usize, expected: u32) -> bool {
    let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let operation = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    let arguments = [at, operation, expected as usize, &raw const none as usize, 0, 0];
    // SAFETY: the kernel reads the limit, and the word if it can.
    let refused = unsafe { call(libc::SYS_futex, arguments) };
    refused == Err(Refused(libc::ETIMEDOUT))
}

/// Wakes who sleeps on `word`.
pub fn wake(word: &AtomicU32) {
    let arguments = [word.as_ptr() as usize, libc::FUTEX_WAKE as usize, 1, 0, 0, 0];
    // SAFETY: the kernel uses the word's address only.
    let _ = unsafe { call(libc::SYS_futex, arguments) };
}

/// While this lives, no signal handler runs on this thread.
pub struct Undisturbed(u64);

impl Undisturbed {
    /// Holds signals back.
    pub fn begin() -> Self {
        Self(set_blocked(u64::MAX))
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        set_blocked(self.0);
    }
}

/// Blocks these signals and no others. Returns those that were blocked before.
fn set_blocked(signals: u64) -> u64 {
    let mut before = 0_u64;
    let how = libc::SIG_SETMASK as usize;
    let arguments = [how, &raw const signals as usize, &raw mut before as usize, size_of::<u64>(), 0, 0];
    // SAFETY: the kernel reads one word and writes the other.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, arguments) };
    before
}
