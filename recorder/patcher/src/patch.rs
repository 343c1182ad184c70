//! The work: every function on the bench begins with a jump to its gate, all from one moment on.

use core::ffi::c_void;
use core::mem;
use core::sync::atomic::Ordering;

use frida_gum::interceptor::Interceptor;
use frida_gum::{Gum, NativePointer};
use malloscope_wire::bench::Ending;

use crate::bench::{MALLOSCOPE_BENCH, end};

/// Does all that is on the bench.
///
/// # Safety
///
/// All other threads of the process stand still, and this one is on a stack of its own.
#[cfg_attr(panic = "abort", unsafe(no_mangle))]
pub unsafe extern "C" fn malloscope_patch() -> ! {
    let gum = Gum::obtain();
    let mut interceptor = Interceptor::obtain(&gum);
    // The code that replaces the beginnings is there before the first function is changed.
    interceptor.begin_transaction();
    for task in &MALLOSCOPE_BENCH.tasks {
        let [function, gate]: [*mut c_void; 2] =
            [&task.function, &task.gate].map(|at| at.load(Ordering::Relaxed) as *mut c_void);
        if function.is_null() {
            break;
        }
        // What cannot be patched stays as it is: the recorder sees that.
        if let Ok(original) = interceptor.replace_fast(NativePointer(function), NativePointer(gate)) {
            task.original.store(original.0 as usize, Ordering::Relaxed);
        }
    }
    interceptor.end_transaction();
    mem::forget(interceptor);
    mem::forget(gum);
    end(Ending::Done)
}

/// What Rust's own allocations are made of: a few words in all, and none is ever given back.
#[cfg(panic = "abort")]
struct Work;

// SAFETY: what is taken of a room is nobody else's, and the recorder made it of memory.
#[cfg(panic = "abort")]
unsafe impl core::alloc::GlobalAlloc for Work {
    unsafe fn alloc(&self, layout: core::alloc::Layout) -> *mut u8 {
        crate::bench::take(&MALLOSCOPE_BENCH.work, layout.size(), layout.align())
    }

    unsafe fn dealloc(&self, _: *mut u8, _: core::alloc::Layout) {}
}

#[cfg(panic = "abort")]
#[global_allocator]
static WORK: Work = Work;
