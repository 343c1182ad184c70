//! The malloc of this process that is not our own: what follows the executable among the libraries it runs with.
//!
//! Our own memory is mimalloc's (`memory.rs`), which is part of the executable. The functions of the same names behind
//! it are those of a library that was preloaded, or else the C library's; nobody in this process calls them but the
//! code here, and libraries that were loaded for others.
//!
//! This is one of the places where `unsafe` stands: a function that is found by its name is called, and memory that it
//! gives is written. What could go wrong is that a name is another thing than it is everywhere else, which a library
//! that is meant to be preloaded promises not to be; that memory is given back twice or used afterwards, which
//! [`Block`] rules out, since it can be neither copied nor made; and that a write is outside of a block, which is
//! looked at before each.
#![expect(unsafe_code, reason = "another malloc is called, and its memory written")]

use malloscope_replayer::rerun::worker::Malloc;
use std::ffi::{CStr, c_int, c_void};
use std::mem::transmute;
use std::ptr::{NonNull, null_mut};

type Allocate = unsafe extern "C" fn(usize) -> *mut c_void;
type AllocateZeroed = unsafe extern "C" fn(usize, usize) -> *mut c_void;
type AllocateAligned = unsafe extern "C" fn(*mut *mut c_void, usize, usize) -> c_int;
type Reallocate = unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);
type Trim = unsafe extern "C" fn(usize) -> c_int;

/// The functions of a malloc.
pub struct ProcessMalloc {
    allocate: Allocate,
    allocate_zeroed: AllocateZeroed,
    allocate_aligned: AllocateAligned,
    reallocate: Reallocate,
    free: Free,
    trim: Option<Trim>,
    file: String,
}

/// Memory of that malloc, to be given back once.
pub struct Block {
    start: NonNull<u8>,
    size: u64,
}

// SAFETY: memory may be given back, and written, by any thread: C says so of malloc's.
unsafe impl Send for Block {}

/// The next thing of this name behind the executable; null if there is none.
fn next(name: &CStr) -> *mut c_void {
    // SAFETY: the name ends with a zero, as a `CStr` does.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }
}

/// The file that this lies in; nothing, if nobody knows.
fn file_of(address: *const c_void) -> String {
    let mut found = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: null_mut(),
    };
    // SAFETY: `found` is there to be written; the address is only looked up.
    let is_known = unsafe { libc::dladdr(address, &raw mut found) } != 0;
    if !is_known || found.dli_fname.is_null() {
        return String::new();
    }
    // SAFETY: dladdr(3) found a file, whose name is a string that stays as long as the library does.
    let name = unsafe { CStr::from_ptr(found.dli_fname) };
    name.to_string_lossy().into_owned()
}

/// A request as C takes it. One that does not fit is refused like any other that is too large.
fn in_words(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

impl ProcessMalloc {
    /// Finds it; `None` where a function is missing.
    pub fn find() -> Option<ProcessMalloc> {
        let malloc = next(c"malloc");
        let names = [c"calloc", c"posix_memalign", c"realloc", c"free"];
        let [calloc, posix_memalign, realloc, free] = names.map(next);
        if [malloc, calloc, posix_memalign, realloc, free].iter().any(|function| function.is_null()) {
            return None;
        }
        let (file, trim) = (file_of(malloc), next(c"malloc_trim"));
        // That of another malloc would trim what nobody uses.
        let has_trim = !trim.is_null() && file_of(trim) == file;
        // SAFETY: it is not null, and C says what a function of this name takes and returns.
        let trim = has_trim.then(|| unsafe { transmute::<*mut c_void, Trim>(trim) });
        // SAFETY: as above.
        let allocate = unsafe { transmute::<*mut c_void, Allocate>(malloc) };
        // SAFETY: as above.
        let allocate_zeroed = unsafe { transmute::<*mut c_void, AllocateZeroed>(calloc) };
        // SAFETY: as above.
        let allocate_aligned = unsafe { transmute::<*mut c_void, AllocateAligned>(posix_memalign) };
        // SAFETY: as above.
        let reallocate = unsafe { transmute::<*mut c_void, Reallocate>(realloc) };
        // SAFETY: as above.
        let free = unsafe { transmute::<*mut c_void, Free>(free) };
        Some(ProcessMalloc { allocate, allocate_zeroed, allocate_aligned, reallocate, free, trim, file })
    }
}

/// What a call has returned, if it was not refused.
fn block(start: *mut c_void, size: u64) -> Option<Block> {
    NonNull::new(start.cast()).map(|start| Block { start, size })
}

impl Malloc for ProcessMalloc {
    type Block = Block;

    fn file(&self) -> String {
        self.file.clone()
    }

    fn allocate(&self, size: u64) -> Option<Block> {
        // SAFETY: any number may be asked for.
        block(unsafe { (self.allocate)(in_words(size)) }, size)
    }

    fn allocate_zeroed(&self, size: u64) -> Option<Block> {
        // SAFETY: any number may be asked for.
        block(unsafe { (self.allocate_zeroed)(1, in_words(size)) }, size)
    }

    fn allocate_aligned(&self, alignment: u64, size: u64) -> Option<Block> {
        let mut start = null_mut();
        // SAFETY: `start` is there to be written; what is no alignment is refused.
        let error = unsafe { (self.allocate_aligned)(&raw mut start, in_words(alignment), in_words(size)) };
        if error == 0 { block(start, size) } else { None }
    }

    fn reallocate(&self, old: Block, size: u64) -> Result<Block, Block> {
        if size == 0 {
            // Mallocs differ in whether that frees.
            return Err(old);
        }
        // SAFETY: a block is memory of this malloc that has not been given back, and this one is gone here.
        let start = unsafe { (self.reallocate)(old.start.as_ptr().cast(), in_words(size)) };
        block(start, size).ok_or(old)
    }

    fn free(&self, block: Block) {
        // SAFETY: as for `reallocate`.
        unsafe { (self.free)(block.start.as_ptr().cast()) }
    }

    fn trim(&self, pad: u64) {
        if let Some(trim) = self.trim {
            // SAFETY: any number may be asked for.
            unsafe { trim(in_words(pad)) };
        }
    }

    fn size(block: &Block) -> u64 {
        block.size
    }

    fn write(block: &mut Block, at: u64) {
        if at >= block.size {
            return;
        }
        // SAFETY: it lies within the bytes that were asked for and granted, which a machine can address.
        let place = unsafe { block.start.add(in_words(at)) };
        // SAFETY: the bytes are nobody else's until the block is given back.
        unsafe { place.write_volatile(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_us_is_the_c_librarys() {
        let malloc = ProcessMalloc::find().expect("there is a C library");
        assert!(malloc.file().contains("libc.so.6"), "{}", malloc.file());
        let mut block = malloc.allocate(100).expect("there is memory");
        for at in [0, 99, 100, u64::MAX] {
            ProcessMalloc::write(&mut block, at);
        }
        let block = malloc.reallocate(block, 1 << 20).ok().expect("there is memory");
        assert_eq!(ProcessMalloc::size(&block), 1 << 20);
        let block = malloc.reallocate(block, u64::MAX).err().expect("nobody has so much");
        malloc.free(block);
        let aligned = malloc.allocate_aligned(4096, 10).expect("there is memory");
        assert_eq!(aligned.start.as_ptr() as usize % 4096, 0);
        malloc.free(aligned);
        assert!(malloc.allocate_aligned(3, 10).is_none() && malloc.allocate(u64::MAX).is_none());
        malloc.trim(0);
    }
}
