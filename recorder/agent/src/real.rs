//! The functions we stand before: the next definition of each in the dynamic linker's order.
//!
//! Usually glibc's own. If the program brought another malloc, theirs, and then we record nothing
//! and are only in between: a payload of theirs handed to glibc would be the end of the program.
//!
//! There is no constructor and no table the linker fills in: calls come before any constructor
//! runs. Each function begins as one that looks up all of them.

use core::ffi::{CStr, c_int, c_long, c_ulong, c_void};
use core::mem::{offset_of, transmute};
use core::ops::ControlFlow;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use crate::arrival;
use crate::attachment;
use crate::interruption;
use crate::objects::{self, Object};
use crate::system::Undisturbed;

/// Declares the functions: the name, the type, and what a process gets that has none of that name.
macro_rules! real {
    ($($name:ident($($argument:ident: $type:ty),*) -> $returned:ty, or $otherwise:expr;)*) => {
        /// Where each function is.
        #[repr(C)]
        pub struct Real { $(pub(crate) $name: AtomicPtr<()>),* }

        /// The names of all of them, and of what else we need of others.
        pub const NAMES: &[&str] =
            &[$(stringify!($name),)* "__curbrk", "_r_debug", "__rseq_offset", "__rseq_size"];

        /// Where each function is now.
        pub static REAL: Real = Real { $($name: AtomicPtr::new(first::$name as *mut ())),* };

        impl Real {
            /// Each function's name, where it is kept, and what is kept before it is looked for and if there is none.
            fn each(&self, mut visit: impl FnMut(&'static CStr, &AtomicPtr<()>, *mut (), *mut ())) {
                $(visit(cstr!($name), &self.$name, first::$name as *mut (), missing::$name as *mut ());)*
            }
        }

        $(
            #[doc = concat!("The real `", stringify!($name), "`.")]
            ///
            /// # Safety
            ///
            /// As that function.
            #[inline(always)]
            pub unsafe fn $name($($argument: $type),*) -> $returned {
                let real = REAL.$name.load(Ordering::Relaxed);
                // SAFETY: every address that is stored is of a function of this name, hence type.
                let real = unsafe { transmute::<*mut (), unsafe extern "C" fn($($type),*) -> $returned>(real) };
                // SAFETY: as the caller promises.
                unsafe { real($($argument),*) }
            }
        )*

        /// What each function is until the first call of any.
        mod first {
            use super::*;
            $(pub unsafe extern "C" fn $name($($argument: $type),*) -> $returned {
                // Before the real call, which may move the program break.
                arrival::here();
                find_all();
                // SAFETY: as the caller promises.
                unsafe { super::$name($($argument),*) }
            })*
        }

        /// What each function is where there is none.
        mod missing {
            use super::*;
            $(pub unsafe extern "C" fn $name($(_: $type),*) -> $returned { $otherwise })*
        }
    };
}

/// A name as a C string.
macro_rules! cstr {
    ($name:ident) => {
        // SAFETY: an identifier has no zero in it, and one is put behind it.
        const { unsafe { CStr::from_bytes_with_nul_unchecked(concat!(stringify!($name), "\0").as_bytes()) } }
    };
}

real! {
    malloc(request: usize) -> *mut c_void, or ptr::null_mut();
    free(payload: *mut c_void) -> (), or ();
    calloc(count: usize, size: usize) -> *mut c_void, or ptr::null_mut();
    realloc(old: *mut c_void, request: usize) -> *mut c_void, or ptr::null_mut();
    reallocarray(old: *mut c_void, count: usize, size: usize) -> *mut c_void, or ptr::null_mut();
    memalign(alignment: usize, request: usize) -> *mut c_void, or ptr::null_mut();
    aligned_alloc(alignment: usize, request: usize) -> *mut c_void, or ptr::null_mut();
    posix_memalign(to: *mut *mut c_void, alignment: usize, request: usize) -> c_int, or libc::ENOMEM;
    valloc(request: usize) -> *mut c_void, or ptr::null_mut();
    pvalloc(request: usize) -> *mut c_void, or ptr::null_mut();
    malloc_trim(pad: usize) -> c_int, or 0;
    mallopt(parameter: c_int, value: c_int) -> c_int, or 0;
    sbrk(by: isize) -> *mut c_void, or usize::MAX as *mut c_void;
    brk(to: *mut c_void) -> c_int, or -1;
    fork() -> libc::pid_t, or -1;
    dlclose(handle: *mut c_void) -> c_int, or -1;
    prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int, or -1;
    syscall(number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long, or -1;
    // Not hooked: what we ourselves need of libc.
    __errno_location() -> *mut c_int, or NOWHERE.as_ptr().cast();
    gnu_get_libc_version() -> *const core::ffi::c_char, or c"".as_ptr();
    pthread_key_create(key: *mut u32, end: Option<unsafe extern "C" fn(*mut c_void)>) -> c_int, or libc::ENOSYS;
    pthread_key_delete(key: u32) -> c_int, or libc::ENOSYS;
    pthread_setspecific(key: u32, value: *const c_void) -> c_int, or libc::ENOSYS;
    clock_gettime(clock: c_int, to: *mut libc::timespec) -> c_int, or -1;
}

/// Where in [`REAL`] those are that are jumped to.
pub const PRCTL: usize = offset_of!(Real, prctl);
/// As above.
pub const SYSCALL: usize = offset_of!(Real, syscall);

/// A word that stands in for a variable there is none of.
static NOWHERE: AtomicUsize = AtomicUsize::new(0);

/// Where libc keeps the program break.
static PROGRAM_BREAK: AtomicPtr<AtomicUsize> = AtomicPtr::new((&raw const NOWHERE).cast_mut());

/// The program break as libc knows it; 0 before anything moved it.
#[inline(always)]
pub fn program_break() -> usize {
    let kept = PROGRAM_BREAK.load(Ordering::Relaxed);
    // SAFETY: either our own word or libc's `__curbrk`; both are there for as long as the process.
    unsafe { &*kept }.load(Ordering::Relaxed)
}

/// Whether an object before us defines `realloc`, so that others get to it before they get to us.
static REALLOC_IS_SHADOWED: AtomicBool = AtomicBool::new(false);

/// Whether the process's `realloc` is another than ours.
pub fn realloc_is_shadowed() -> bool {
    REALLOC_IS_SHADOWED.load(Ordering::Relaxed)
}

/// Finds all functions, unless that was done.
pub fn find_all() {
    if REAL.malloc.load(Ordering::Relaxed) != first::malloc as *mut () {
        return;
    }
    if attachment::is_ours() {
        take_told();
    } else {
        find_missing();
    }
    REAL.each(|_, kept, first, missing| {
        if kept.load(Ordering::Relaxed) == first {
            kept.store(missing, Ordering::Relaxed);
        }
    });
}

/// Takes what the recorder found, who attached when all was loaded: no object is behind us then.
fn take_told() {
    REAL.each(|name, kept, _, _| {
        if let Some(found) = attachment::function(name) {
            kept.store(found, Ordering::Relaxed);
        }
    });
    if let Some(found) = attachment::function(c"__curbrk") {
        PROGRAM_BREAK.store(found.cast(), Ordering::Relaxed);
    }
    if let Some(found) = attachment::function(c"_r_debug") {
        objects::LIST.store(found.cast(), Ordering::Relaxed);
    }
    if let Some(offset) = attachment::function(c"__rseq_offset")
        && let Some(size) = attachment::function(c"__rseq_size")
    {
        // SAFETY: names that begin so are libc's own.
        unsafe { interruption::take(offset.cast(), size.cast()) };
    }
}

/// Finds those that have not been found: the first of each among the objects behind us.
pub fn find_missing() {
    let _undisturbed = Undisturbed::begin();
    let us = find_all as *const () as usize;
    let mut behind_us = false;
    objects::each(|object| {
        if behind_us {
            take_from(object);
        } else if object.contains(us) {
            behind_us = true;
        } else if object.find(c"realloc").is_some() {
            REALLOC_IS_SHADOWED.store(true, Ordering::Relaxed);
        }
        ControlFlow::Continue(())
    });
}

/// Takes what this object defines of what has not been found.
fn take_from(object: &Object) {
    REAL.each(|name, kept, first, missing| {
        let known = kept.load(Ordering::Relaxed);
        if (known == first || known == missing)
            && let Some(found) = object.find(name)
        {
            kept.store(found, Ordering::Relaxed);
        }
    });
    if PROGRAM_BREAK.load(Ordering::Relaxed).cast_const() == &raw const NOWHERE
        && let Some(found) = object.find(c"__curbrk")
    {
        PROGRAM_BREAK.store(found.cast(), Ordering::Relaxed);
    }
    if let Some(found) = object.find(c"_r_debug") {
        objects::LIST.store(found.cast(), Ordering::Relaxed);
    }
    if let Some(offset) = object.find(c"__rseq_offset")
        && let Some(size) = object.find(c"__rseq_size")
    {
        // SAFETY: names that begin so are libc's own.
        unsafe { interruption::take(offset.cast(), size.cast()) };
    }
}

/// Shows the object whose malloc is the real one.
pub fn with_allocator(mut look: impl FnMut(&Object)) {
    let malloc = REAL.malloc.load(Ordering::Relaxed) as usize;
    objects::each(|object| {
        if object.contains(malloc) {
            look(object);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
}
