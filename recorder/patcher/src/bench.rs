//! Where the recorder writes what is to be done, how it is told that it was, and the memory for it.

use core::arch::{asm, naked_asm};
use core::ptr;
use core::sync::atomic::Ordering;

use malloscope_wire::bench::{Bench, DONE, Ending, Room};

/// Where the recorder writes what is to be done.
#[cfg_attr(panic = "abort", unsafe(no_mangle))]
#[unsafe(link_section = ".data")]
pub static MALLOSCOPE_BENCH: Bench = Bench::blank();

/// Takes memory from a room, at a multiple of `alignment`. Null if there is not so much.
pub fn take(room: &Room, length: usize, alignment: usize) -> *mut u8 {
    let past = room.next.load(Ordering::Relaxed) % alignment;
    let gap = if past == 0 { 0 } else { alignment - past };
    let taken = length.checked_add(gap).and_then(|length| room.take(length));
    taken.map_or(ptr::null_mut(), |at| (at + gap) as *mut u8)
}

/// Stands for every function of a C library that gum may name and is not given.
///
/// # Safety
///
/// Never returns.
#[unsafe(naked)]
#[cfg_attr(panic = "abort", unsafe(no_mangle))]
pub unsafe extern "C" fn malloscope_absent() -> ! {
    naked_asm!(
        "mov edi, {absent}",
        "2: mov eax, {done}",
        "syscall",
        "jmp 2b",
        absent = const Ending::Absent as u32,
        done = const DONE,
    )
}

/// Tells the recorder how this ended, who brings the thread back from here.
pub fn end(how: Ending) -> ! {
    loop {
        // SAFETY: there is no such call, and whoever stopped the process is told of it.
        unsafe {
            asm!(
                "syscall",
                in("rax") u64::from(DONE), in("rdi") how as u64,
                lateout("rax") _, lateout("rcx") _, lateout("r11") _,
                options(nostack),
            );
        }
    }
}
