//! Where the twin's own Rust values live: not in the heap that they describe.
//!
//! Pieces of 16 bytes to 1 MiB, each a power of two and aligned to its size, cut from regions of 4 MiB
//! and kept on a list of their size when they are given back; what is larger is mapped. The first region
//! lasts a process of a thousand threads, so that the twin goes on when the program has run out of memory.

use crate::lock::Lock;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr;

#[global_allocator]
static OWN: Own = Own(Lock::new(Pieces { free: [ptr::null_mut(); CLASSES], at: 0, end: 0 }));

const SMALLEST_LOG2: u32 = 4;
const GREATEST_LOG2: u32 = 20;
const CLASSES: usize = (GREATEST_LOG2 - SMALLEST_LOG2 + 1) as usize;
const REGION: usize = 4 << 20;

/// The allocator of the twin's own values.
#[derive(Debug)]
struct Own(Lock<Pieces>);

#[derive(Debug)]
struct Pieces {
    /// Of each size, the pieces given back: each begins with the address of the next.
    free: [*mut u8; CLASSES],
    /// What is left of the region: from here…
    at: usize,
    /// …to here.
    end: usize,
}

/// Keeps the lock over a fork.
pub fn hold() {
    OWN.0.hold();
}

/// Ends [`hold`].
pub fn release() {
    OWN.0.release();
}

/// The class of a layout; `None` if it is to be mapped.
fn class(layout: Layout) -> Option<usize> {
    let bytes = layout.size().max(layout.align()).max(1 << SMALLEST_LOG2);
    let log2 = bytes.checked_next_power_of_two()?.ilog2();
    (log2 <= GREATEST_LOG2).then_some((log2 - SMALLEST_LOG2) as usize)
}

fn bytes(class: usize) -> usize {
    1 << SMALLEST_LOG2 << class
}

impl Pieces {
    fn take(&mut self, class: usize) -> *mut u8 {
        let head = self.free[class];
        if head.is_null() {
            return self.cut(class);
        }
        // SAFETY: a piece on a list begins with the address of the next, and nobody else uses it.
        self.free[class] = unsafe { head.cast::<*mut u8>().read() };
        head
    }

    /// A piece that was never used, from the region or a new one. What was left of the old one is lost:
    /// it is less than the piece.
    fn cut(&mut self, class: usize) -> *mut u8 {
        let bytes = bytes(class);
        let mut at = self.at.next_multiple_of(bytes);
        if at + bytes > self.end {
            // Regions are aligned to the pages of the kernel only.
            let region = map(REGION + bytes);
            if region.is_null() {
                return region;
            }
            self.end = region.expose_provenance() + REGION + bytes;
            at = region.addr().next_multiple_of(bytes);
        }
        self.at = at + bytes;
        ptr::with_exposed_provenance_mut(at)
    }

    fn put(&mut self, piece: *mut u8, class: usize) {
        // SAFETY: the piece was given back, and is large and aligned enough for an address.
        unsafe { piece.cast::<*mut u8>().write(self.free[class]) };
        self.free[class] = piece;
    }
}

// SAFETY: pieces do not overlap, are as large and as aligned as their class, and stay mapped; what is
// larger is a mapping of its own, aligned to a page.
unsafe impl GlobalAlloc for Own {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class(layout) {
            Some(class) => self.0.lock().take(class),
            // Nothing here has an alignment of more than a piece's.
            None if layout.align() > 4096 => ptr::null_mut(),
            None => map(layout.size()),
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match class(layout) {
            Some(class) => self.0.lock().put(piece, class),
            None => unmap(piece, layout.size()),
        }
    }
}

fn map(length: usize) -> *mut u8 {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: without MAP_FIXED the kernel takes addresses that nobody uses.
    let at = unsafe { libc::mmap(ptr::null_mut(), length, access, flags, -1, 0) };
    if at == libc::MAP_FAILED { ptr::null_mut() } else { at.cast() }
}

fn unmap(at: *mut u8, length: usize) {
    // SAFETY: the mapping is ours, and was given back.
    unsafe { libc::munmap(at.cast(), length) };
}
