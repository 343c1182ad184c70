//! The agent's file as a program: it makes some calls to a libc, and writes down where they landed.
//!
//! `LD_PRELOAD=libc.so.6 LD AGENT` runs it, LD being that libc's dynamic linker, which has set up
//! everything malloc needs (relocations, thread-local storage, the libraries' own constructors) when it
//! jumps to [`run`]. The libc's start code is not run, and nothing of it is missed here: it registers
//! destructors, and calls `main`. What happens before this libc's first call is therefore nothing, which is
//! what a replay begins with.
//!
//! The hooks of this file are in front of the libc's functions as in any program, and pass calls on that
//! libc makes itself; nobody has written a path for them to record to. Our own calls go past them.
//! Which calls these are, and what is written, is said in [`malloscope_wire::probe`].

use core::ffi::{c_int, c_void};
use core::mem::transmute;
use core::ops::ControlFlow;
use core::ptr;
use core::sync::atomic::AtomicU32;

use malloscope_wire::probe::{Answer, Call, MARK, OPENING, SCRIPT, SLOTS};

use crate::{calls, objects, real, system};

#[cfg(all(panic = "abort", not(test)))]
core::arch::global_asm!(
    ".globl malloscope_probe",
    ".hidden malloscope_probe",
    "malloscope_probe:",
    // No frame is above this one, and the stack is as a call wants it.
    "xor ebp, ebp",
    "and rsp, -16",
    "call {run}",
    "ud2",
    // Since 2.35 (c1cb2deeca) a dynamic linker takes a file that names no dynamic linker for a static
    // program. Where the file is loaded into a program, as libc.so.6 itself, nobody asks for this.
    ".pushsection .interp, \"aR\", @progbits",
    ".asciz \"/lib64/ld-linux-x86-64.so.2\"",
    ".popsection",
    run = sym run,
);

/// What the program does. It ends the process.
pub extern "C" fn run() -> ! {
    real::find_all();
    let is_told = introduce();
    if !is_told {
        system::exit(1);
    }
    make_calls(0);
    // What the second thread says ends the process. Without one, what was said is all.
    if begin_thread() {
        let never = AtomicU32::new(0);
        loop {
            system::sleep_while(&never, 0, 1000);
        }
    }
    system::exit(0)
}

/// Writes what comes before the answers. False if nobody reads it, or there is no malloc to ask.
fn introduce() -> bool {
    let mut is_told = false;
    real::with_allocator(|object| {
        let (path, build_id) = (object.name().to_bytes(), object.build_id());
        let program_break = calls::program_break() as u64;
        let opening: [u64; OPENING] = [MARK, program_break, path.len() as u64, build_id.len() as u64];
        is_told = print(&opening) && system::print(path) && system::print(build_id);
    });
    is_told
}

fn print(words: &[u64]) -> bool {
    words.iter().all(|word| system::print(&word.to_le_bytes()))
}

/// Makes the calls of one thread, and writes each answer.
fn make_calls(thread: u8) {
    let mut slots = [ptr::null_mut(); SLOTS];
    for step in SCRIPT.iter().filter(|step| step.thread == thread) {
        // What libc itself allocates to begin a thread may have moved the break by then.
        let program_break = |thread| if thread == 0 { calls::program_break() as u64 } else { 0 };
        let payload = make(step.call, &mut slots);
        let answer: Answer = [payload as u64, calls::head_if_any(payload), program_break(thread)];
        if !print(&answer) {
            system::exit(1);
        }
    }
}

/// Makes one call. Returns what it returned; null for a `free`.
fn make(call: Call, slots: &mut [*mut c_void; SLOTS]) -> *mut c_void {
    let (Call::Malloc { slot, .. }
    | Call::Calloc { slot, .. }
    | Call::Realloc { slot, .. }
    | Call::Memalign { slot, .. }
    | Call::Free { slot }) = call;
    let Some(slot) = slots.get_mut(usize::from(slot)) else { return ptr::null_mut() };
    *slot = match call {
        // SAFETY: any request may be made.
        Call::Malloc { request, .. } => unsafe { real::malloc(request as usize) },
        // SAFETY: as above.
        Call::Calloc { request, .. } => unsafe { real::calloc(1, request as usize) },
        // SAFETY: what is in a slot was allocated, and has not been freed.
        Call::Realloc { request, .. } => unsafe { real::realloc(*slot, request as usize) },
        Call::Memalign { alignment, request, .. } => {
            // SAFETY: any request may be made; the script's alignments are powers of two.
            unsafe { real::memalign(alignment as usize, request as usize) }
        }
        Call::Free { .. } => {
            // SAFETY: as for realloc; the slot is emptied.
            unsafe { real::free(*slot) };
            ptr::null_mut()
        }
    };
    *slot
}

type Begin = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
type Create = unsafe extern "C" fn(*mut usize, *const c_void, Begin, *mut c_void) -> c_int;

/// Begins the second thread. False if there can be none: before 2.34 that took a library of its own.
fn begin_thread() -> bool {
    let mut create = None;
    objects::each(|object| match object.find(c"pthread_create") {
        Some(found) => {
            create = Some(found);
            ControlFlow::Break(())
        }
        None => ControlFlow::Continue(()),
    });
    let Some(create) = create else { return false };
    // SAFETY: the function of this name is of this type.
    let create = unsafe { transmute::<*mut (), Create>(create) };
    let mut thread = 0;
    // SAFETY: the thread's id is written where there is room for it, and the thread uses nothing of ours.
    unsafe { create(&raw mut thread, ptr::null(), second, ptr::null_mut()) == 0 }
}

unsafe extern "C" fn second(_: *mut c_void) -> *mut c_void {
    make_calls(1);
    system::exit(0)
}
