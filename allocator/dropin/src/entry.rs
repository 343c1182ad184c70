//! What a program calls: the functions of malloc(3) and malloc.h.
//!
//! Those that ask the heap what it holds are in [`statistics`](crate::statistics). Names that begin
//! with `__libc_` are glibc's second ones: who calls them must not come to another heap.

use crate::{answer, system, twin};
use core::ffi::{c_int, c_void};
use malloscope_allocator::address::{Address, Request};

fn at(payload: *mut c_void) -> Address {
    Address(payload.expose_provenance() as u64)
}

/// Functions under their names, for C.
macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As malloc(3) says: a payload is null, or was allocated here and not freed since.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result $body
    )*};
}

/// Functions that have another name as well.
macro_rules! other_names {
    ($($other:ident = $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        functions! {$(
            #[doc = concat!("`", stringify!($name), "`")]
            $other($($argument: $type),*) -> $result {
                // SAFETY: as the caller promises.
                unsafe { $name($($argument),*) }
            }
        )*}
    };
}

functions! {
    /// `malloc`
    malloc(size: usize) -> *mut c_void {
        answer::pointer(twin::call(|heap, thread| heap.malloc(thread, Request(size as u64))))
    }

    /// `calloc`
    calloc(count: usize, size: usize) -> *mut c_void {
        answer::pointer(twin::call(|heap, thread| heap.calloc(thread, count as u64, size as u64)))
    }

    /// `realloc`
    realloc(payload: *mut c_void, size: usize) -> *mut c_void {
        let payload = at(payload);
        answer::pointer_for(payload, twin::call(|heap, thread| heap.realloc(thread, payload, Request(size as u64))))
    }

    /// `reallocarray`: `ENOMEM` where the product is no size.
    reallocarray(payload: *mut c_void, count: usize, size: usize) -> *mut c_void {
        let payload = at(payload);
        let Some(size) = count.checked_mul(size) else {
            system::set_errno(libc::ENOMEM);
            return core::ptr::null_mut();
        };
        answer::pointer_for(payload, twin::call(|heap, thread| heap.realloc(thread, payload, Request(size as u64))))
    }

    /// `free`, which leaves `errno` as it is.
    free(payload: *mut c_void) -> () {
        if !payload.is_null() {
            let payload = at(payload);
            answer::whole_for(payload, twin::call(|heap, thread| heap.free(thread, payload)));
        }
    }

    /// `memalign`
    memalign(alignment: usize, size: usize) -> *mut c_void {
        let request = Request(size as u64);
        answer::pointer(twin::call(|heap, thread| heap.memalign(thread, alignment as u64, request)))
    }

    /// `aligned_alloc`
    aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
        let request = Request(size as u64);
        answer::pointer(twin::call(|heap, thread| heap.aligned_alloc(thread, alignment as u64, request)))
    }

    /// `posix_memalign`, which returns what others leave in `errno`.
    posix_memalign(place: *mut *mut c_void, alignment: usize, size: usize) -> c_int {
        let request = Request(size as u64);
        let answer = twin::call(|heap, thread| heap.posix_memalign(thread, alignment as u64, request));
        match answer::whole_or_refused(answer) {
            Ok(_) => {
                let payload = answer::pointer(answer);
                // SAFETY: the caller's, for the payload.
                unsafe { place.write(payload) };
                0
            }
            Err(error) => {
                // glibc's own way to ENOMEM goes past errno.
                if error == libc::ENOMEM {
                    system::set_errno(error);
                }
                error
            }
        }
    }

    /// `valloc`
    valloc(size: usize) -> *mut c_void {
        answer::pointer(twin::call(|heap, thread| heap.valloc(thread, Request(size as u64))))
    }

    /// `pvalloc`
    pvalloc(size: usize) -> *mut c_void {
        answer::pointer(twin::call(|heap, thread| heap.pvalloc(thread, Request(size as u64))))
    }

    /// `malloc_usable_size`
    malloc_usable_size(payload: *mut c_void) -> usize {
        let payload = at(payload);
        let usable = answer::whole_for(payload, twin::call(|heap, _| heap.usable_size(payload)));
        usize::try_from(usable).unwrap_or(0)
    }

    /// `malloc_trim`
    malloc_trim(pad: usize) -> c_int {
        c_int::from(answer::whole(twin::call(|heap, _| heap.trim(pad as u64))))
    }

    /// `mallopt`
    mallopt(parameter: c_int, value: c_int) -> c_int {
        answer::whole(twin::call(|heap, _| heap.mallopt(parameter, value)))
    }
}

other_names! {
    cfree = free(payload: *mut c_void) -> ();
    __libc_malloc = malloc(size: usize) -> *mut c_void;
    __libc_calloc = calloc(count: usize, size: usize) -> *mut c_void;
    __libc_realloc = realloc(payload: *mut c_void, size: usize) -> *mut c_void;
    __libc_free = free(payload: *mut c_void) -> ();
    __libc_memalign = memalign(alignment: usize, size: usize) -> *mut c_void;
    __libc_valloc = valloc(size: usize) -> *mut c_void;
    __libc_pvalloc = pvalloc(size: usize) -> *mut c_void;
    __libc_mallopt = mallopt(parameter: c_int, value: c_int) -> c_int;
}

functions! {
    /// `free_sized` of C23: the size is not looked at.
    free_sized(payload: *mut c_void, _size: usize) -> () {
        // SAFETY: as the caller promises.
        unsafe { free(payload) }
    }

    /// `free_aligned_sized` of C23: nor is the alignment.
    free_aligned_sized(payload: *mut c_void, _alignment: usize, _size: usize) -> () {
        // SAFETY: as the caller promises.
        unsafe { free(payload) }
    }
}
