//! What a program may ask of its heap: `mallinfo`, `malloc_info` and their like.
//!
//! The texts are put together while the heap is locked, and printed when it is not: to print may call
//! malloc.

use crate::{answer, twin};
use core::ffi::{c_char, c_int, c_void};
use core::ptr;

/// `struct mallinfo`, and with wider numbers `struct mallinfo2`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Answer<N>([N; 10]);

/// `mallinfo`
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> Answer<c_int> {
    Answer(answer::whole(twin::call(|heap, _| heap.mallinfo())).fields().map(|(_, number)| number))
}

/// `mallinfo` by glibc's other name.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_mallinfo() -> Answer<c_int> {
    mallinfo()
}

/// `mallinfo2`
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> Answer<u64> {
    Answer(answer::whole(twin::call(|heap, _| heap.mallinfo2())).fields().map(|(_, number)| number))
}

/// A stream of libc's.
#[repr(C)]
#[derive(Debug)]
pub struct Stream([u8; 0]);

unsafe extern "C" {
    static stderr: *mut Stream;
    fn fwrite(from: *const c_void, size: usize, count: usize, to: *mut Stream) -> usize;
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// `malloc_info`: `EINVAL` for any options.
///
/// # Safety
///
/// The stream is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_info(options: c_int, to: *mut Stream) -> c_int {
    if options != 0 {
        return libc::EINVAL;
    }
    let text = answer::whole(twin::call(|heap, _| heap.malloc_info()));
    // SAFETY: as the caller promises.
    unsafe { print(&text, to) };
    0
}

/// `malloc_stats`, on the stream stderr; no thread is cancelled while it prints.
///
/// # Safety
///
/// The stream stderr is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_stats() {
    const DISABLED: c_int = 1;
    let text = answer::whole(twin::call(|heap, _| heap.malloc_stats()));
    let mut before = 0;
    // SAFETY: it writes the old state.
    unsafe { pthread_setcancelstate(DISABLED, &raw mut before) };
    // SAFETY: a pointer of libc's, which the program may set before but not while this is called.
    let to = unsafe { ptr::read(&raw const stderr) };
    // SAFETY: as the caller promises.
    unsafe { print(&text, to) };
    // SAFETY: the state is the one there was.
    unsafe { pthread_setcancelstate(before, ptr::null_mut()) };
}

/// # Safety
///
/// The stream is open.
unsafe fn print(text: &str, to: *mut Stream) {
    // SAFETY: the text is so long, and the stream is open.
    unsafe { fwrite(text.as_ptr().cast(), size_of::<c_char>(), text.len(), to) };
}
