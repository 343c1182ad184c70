//! The functions a program finds instead of glibc's: each calls the real one and records the call.
//!
//! One list, and [`calls`] says what is recorded of each. What a hook must not do is anything its function does not.

use core::arch::naked_asm;
use core::ffi::{c_int, c_void};
use core::ptr;

use malloscope_wire::slot::Kind;

use crate::callers::{self, Entered, site};
use crate::{calls, fork, interruption, modules, real};

/// Defines the hooks. They have their C names only where they are the agent: a test that links
/// this crate keeps its own malloc.
macro_rules! hooks {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $returned:ty)? $body:block)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            ///
            /// # Safety
            ///
            /// As the C function.
            #[cfg_attr(panic = "abort", unsafe(no_mangle))]
            pub unsafe extern "C" fn $name($($argument: $type),*) $(-> $returned)? $body
        )*
    };
}

/// Defines the hooks that want to know from where they were called: `from` is that.
///
/// What a program enters notes where the stack and frame pointers are, in the registers behind those of the
/// arguments, before anything moves them: so a walk begins at the caller's frame, not at one of ours.
macro_rules! asked_from {
    ($(fn $name:ident($($argument:ident: $type:ty),*; $from:ident) -> $returned:ty $body:block)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            ///
            /// # Safety
            ///
            /// As the C function.
            #[unsafe(naked)]
            #[cfg_attr(panic = "abort", unsafe(no_mangle))]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> $returned {
                unsafe extern "C" fn entered($($argument: $type,)* sp: usize, rbp: usize) -> $returned {
                    let $from = Entered { sp, rbp };
                    $body
                }
                note_where!(entered, $($argument)*)
            }
        )*
    };
}

/// Goes on in a function that is told the stack and frame pointers after its other arguments (System V ABI:
/// `rdi`, `rsi`, `rdx`, `rcx`, `r8`).
macro_rules! note_where {
    ($entered:ident, $one:ident) => {
        naked_asm!("mov rsi, rsp", "mov rdx, rbp", "jmp {}", sym $entered)
    };
    ($entered:ident, $one:ident $two:ident) => {
        naked_asm!("mov rdx, rsp", "mov rcx, rbp", "jmp {}", sym $entered)
    };
    ($entered:ident, $one:ident $two:ident $three:ident) => {
        naked_asm!("mov rcx, rsp", "mov r8, rbp", "jmp {}", sym $entered)
    };
}

asked_from! {
    fn malloc(request: usize; from) -> *mut c_void {
        let site = site(request, from);
        interruption::watch();
        // SAFETY: as the caller promises.
        calls::served(Kind::Malloc, request, site, unsafe { real::malloc(request) })
    }

    fn calloc(count: usize, size: usize; from) -> *mut c_void {
        let site = site(count.saturating_mul(size), from);
        interruption::watch();
        // SAFETY: as the caller promises.
        calls::cleared(count, size, site, unsafe { real::calloc(count, size) })
    }

    fn realloc(old: *mut c_void, request: usize; from) -> *mut c_void {
        let site = site(request, from);
        if old.is_null() {
            interruption::watch();
            // SAFETY: as the caller promises.
            return calls::served(Kind::ReallocOfNull, request, site, unsafe { real::realloc(old, request) });
        }
        let begun = calls::moving(old, request);
        // SAFETY: as the caller promises.
        calls::moved(begun, site, unsafe { real::realloc(old, request) })
    }

    fn reallocarray(old: *mut c_void, count: usize, size: usize; from) -> *mut c_void {
        if real::realloc_is_shadowed() {
            // Theirs is asked through glibc's, and asks us.
            // SAFETY: as the caller promises.
            return unsafe { real::reallocarray(old, count, size) };
        }
        let site = site(count.saturating_mul(size), from);
        let begun = calls::moving_array(old, count, size);
        let payload = match count.checked_mul(size) {
            // SAFETY: as the caller promises.
            Some(request) => unsafe { real::realloc(old, request) },
            None => out_of_memory(),
        };
        calls::moved(begun, site, payload)
    }

    fn memalign(alignment: usize, request: usize; from) -> *mut c_void {
        let site = site(request, from);
        interruption::watch();
        // SAFETY: as the caller promises.
        calls::aligned(Kind::Memalign, alignment, request, site, unsafe { real::memalign(alignment, request) })
    }

    fn aligned_alloc(alignment: usize, request: usize; from) -> *mut c_void {
        let site = site(request, from);
        interruption::watch();
        // SAFETY: as the caller promises.
        let payload = unsafe { real::aligned_alloc(alignment, request) };
        calls::aligned(Kind::AlignedAlloc, alignment, request, site, payload)
    }

    fn posix_memalign(to: *mut *mut c_void, alignment: usize, request: usize; from) -> c_int {
        let site = site(request, from);
        interruption::watch();
        // SAFETY: as the caller promises.
        let error = unsafe { real::posix_memalign(to, alignment, request) };
        // SAFETY: without an error, the payload is there.
        let payload = if error == 0 { unsafe { to.read() } } else { ptr::null_mut() };
        calls::aligned(Kind::PosixMemalign, alignment, request, site, payload);
        error
    }

    fn valloc(request: usize; from) -> *mut c_void {
        let site = site(request, from);
        interruption::watch();
        // SAFETY: as the caller promises.
        calls::served(Kind::Valloc, request, site, unsafe { real::valloc(request) })
    }

    fn pvalloc(request: usize; from) -> *mut c_void {
        let site = site(request, from);
        interruption::watch();
        // SAFETY: as the caller promises.
        calls::served(Kind::Pvalloc, request, site, unsafe { real::pvalloc(request) })
    }
}

hooks! {
    fn free(payload: *mut c_void) {
        // SAFETY: as the caller promises.
        unsafe { calls::free(payload) };
    }

    fn cfree(payload: *mut c_void) {
        // SAFETY: as the caller promises; glibc's `cfree` was its `free`.
        unsafe { calls::free(payload) };
    }

    fn free_sized(payload: *mut c_void, _size: usize) {
        // SAFETY: as the caller promises; glibc ignores the size.
        unsafe { calls::free(payload) };
    }

    fn free_aligned_sized(payload: *mut c_void, _alignment: usize, _size: usize) {
        // SAFETY: as the caller promises; glibc ignores alignment and size.
        unsafe { calls::free(payload) };
    }

    fn malloc_trim(pad: usize) -> c_int {
        // SAFETY: as the caller promises.
        let returned = unsafe { real::malloc_trim(pad) };
        calls::did(Kind::Trim, callers::site_of_rare().into(), pad as u64, bits(returned));
        returned
    }

    fn mallopt(parameter: c_int, value: c_int) -> c_int {
        // SAFETY: as the caller promises.
        let returned = unsafe { real::mallopt(parameter, value) };
        calls::did(Kind::Mallopt, bits(returned), bits(parameter), bits(value));
        returned
    }

    fn sbrk(by: isize) -> *mut c_void {
        // SAFETY: as the caller promises.
        calls::moving_break(|| unsafe { real::sbrk(by) })
    }

    fn brk(to: *mut c_void) -> c_int {
        // SAFETY: as the caller promises.
        calls::moving_break(|| unsafe { real::brk(to) })
    }

    fn dlclose(handle: *mut c_void) -> c_int {
        // Before 2.34 it is in a library of its own, which may have been loaded since.
        real::find_missing();
        // SAFETY: as the caller promises.
        let returned = unsafe { real::dlclose(handle) };
        modules::forget();
        returned
    }

    fn fork() -> libc::pid_t {
        // SAFETY: as the caller promises.
        unsafe { fork::fork() }
    }
}

/// What `reallocarray` does when the product is no number.
#[cold]
fn out_of_memory() -> *mut c_void {
    // SAFETY: takes no arguments.
    let errno = unsafe { real::__errno_location() };
    // SAFETY: the calling thread's own.
    unsafe { errno.write(libc::ENOMEM) };
    ptr::null_mut()
}

/// A C `int` as a slot has it.
fn bits(value: c_int) -> u64 {
    u64::from(value.cast_unsigned())
}
