//! `fork`: the heap is held over it, so that the child's is whole.
//!
//! The handlers are registered before the program's; so of those that prepare ours comes last, and of those
//! that follow it comes first: the others may wait for threads that allocate. libc takes
//! the lock on its list of streams after the handlers and before malloc's; a thread that has it may
//! be waiting for malloc. So we take it as well, before ours: it can be taken twice.

use crate::{system, twin};
use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

unsafe extern "C" {
    /// What `pthread_atfork` is made of.
    fn __register_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
        object: *const c_void,
    ) -> c_int;
    fn _IO_list_lock();
    fn _IO_list_unlock();
    fn _IO_list_resetlock();
}

/// Registers the handlers.
pub fn prepare() {
    // SAFETY: the three stay loaded as long as the process lives. The first registration of a process
    // needs no memory.
    unsafe { __register_atfork(Some(begins), Some(is_over), Some(is_over_in_child), ptr::null()) };
}

/// Whether the fork under way is by the process's only thread.
///
/// Then nothing is locked, as in glibc: such a process may fork in a signal handler that interrupted malloc,
/// which goes on afterwards, in the parent and in the child.
static IS_ALONE: AtomicBool = AtomicBool::new(false);

unsafe extern "C" fn begins() {
    IS_ALONE.store(system::is_alone(), Ordering::Relaxed);
    if !IS_ALONE.load(Ordering::Relaxed) {
        // SAFETY: any thread may take the lock, once more if it has it.
        unsafe { _IO_list_lock() };
        twin::hold();
    }
}

unsafe extern "C" fn is_over() {
    if !IS_ALONE.load(Ordering::Relaxed) {
        twin::release();
        // SAFETY: `begins` was called by this thread.
        unsafe { _IO_list_unlock() };
    }
}

unsafe extern "C" fn is_over_in_child() {
    twin::tell_of_fork();
    if !IS_ALONE.load(Ordering::Relaxed) {
        twin::release();
        // SAFETY: there is no other thread that could have it.
        unsafe { _IO_list_resetlock() };
    }
}
