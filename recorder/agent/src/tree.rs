//! The frames a thread has told the recorder of: a tree, in which each has a number.
//!
//! A frame is known by its caller's number and where it returns to. The table is this thread's own, so
//! nothing is locked; it grows as there are more, and begins anew when there are too many.

use core::sync::atomic::{AtomicU64, Ordering};

use malloscope_wire::attachment::{ENTRY_BYTES, Table};
use malloscope_wire::slot::Kind;

use crate::lane::Lane;
use crate::system;

/// How many entries a table has at first, and at most, as powers of two.
const FIRST_LOG2: u32 = 10;
const LAST_LOG2: u32 = 20;

/// The number of no frame: the caller of the outermost one.
pub const NONE: u32 = 0;

/// The frames a thread has told of.
#[repr(transparent)]
pub struct Tree(Table);

/// A frame.
#[repr(C)]
struct Entry {
    returns_to: AtomicU64,
    /// Its caller's number, and in the upper half its own; 0 where there is none.
    numbers: AtomicU64,
}

const _: () = assert!(size_of::<Entry>() == ENTRY_BYTES);

impl Tree {
    /// The number of the frame that returns to `pc` and was called from the frame with that number. One that
    /// is not known is told; `None` if it cannot be.
    #[inline(always)]
    pub fn number(&self, caller: u32, pc: u64) -> Option<u32> {
        let size_log2 = self.0.size_log2.load(Ordering::Relaxed);
        if size_log2 == 0 {
            return self.add(caller, pc);
        }
        let mut place = home(caller, pc, size_log2);
        loop {
            let entry = self.entry(place);
            let numbers = entry.numbers.load(Ordering::Relaxed);
            if numbers as u32 == caller && entry.returns_to.load(Ordering::Relaxed) == pc && numbers != 0 {
                return Some((numbers >> 32) as u32);
            }
            if numbers == 0 {
                return self.add(caller, pc);
            }
            place = (place + 1) & ((1 << size_log2) - 1);
        }
    }

    /// Forgets all frames. The recorder is to be told by whoever asks for this.
    pub fn clear(&self) {
        let size_log2 = self.0.size_log2.swap(0, Ordering::Relaxed);
        self.0.count.store(0, Ordering::Relaxed);
        let at = self.0.at.swap(0, Ordering::Relaxed);
        if at != 0 {
            // SAFETY: the table is this thread's own, and nobody looks at it any more.
            unsafe { system::unmap(at, bytes(size_log2)) };
        }
    }

    /// Whether there are so many that the next one is the beginning of another tree.
    pub fn is_full(&self) -> bool {
        self.0.count.load(Ordering::Relaxed) >= 1 << (LAST_LOG2 - 1)
    }

    /// Tells of a frame.
    #[cold]
    #[inline(never)]
    fn add(&self, caller: u32, pc: u64) -> Option<u32> {
        self.make_room()?;
        let number = self.0.count.load(Ordering::Relaxed) + 1;
        Lane::enrolled()?.write(Kind::Frame, caller.into(), pc, number.into());
        self.0.count.store(number, Ordering::Relaxed);
        self.put(pc, u64::from(number) << 32 | u64::from(caller));
        Some(number)
    }

    /// Sees to it that at least half of the table is empty.
    fn make_room(&self) -> Option<()> {
        let size_log2 = self.0.size_log2.load(Ordering::Relaxed);
        if size_log2 != 0 && self.0.count.load(Ordering::Relaxed) < 1 << (size_log2 - 1) {
            return Some(());
        }
        let larger = if size_log2 == 0 { FIRST_LOG2 } else { size_log2 + 1 };
        if larger > LAST_LOG2 {
            return None;
        }
        let at = system::map(bytes(larger)).ok()?;
        let old = self.0.at.swap(at, Ordering::Relaxed);
        self.0.size_log2.store(larger, Ordering::Relaxed);
        if old != 0 {
            for place in 0..1 << size_log2 {
                let entry = entry(old, place);
                let numbers = entry.numbers.load(Ordering::Relaxed);
                if numbers != 0 {
                    self.put(entry.returns_to.load(Ordering::Relaxed), numbers);
                }
            }
            // SAFETY: all that was in it is in the new one.
            unsafe { system::unmap(old, bytes(size_log2)) };
        }
        Some(())
    }

    fn put(&self, pc: u64, numbers: u64) {
        let size_log2 = self.0.size_log2.load(Ordering::Relaxed);
        let mut place = home(numbers as u32, pc, size_log2);
        while self.entry(place).numbers.load(Ordering::Relaxed) != 0 {
            place = (place + 1) & ((1 << size_log2) - 1);
        }
        let entry = self.entry(place);
        entry.returns_to.store(pc, Ordering::Relaxed);
        entry.numbers.store(numbers, Ordering::Relaxed);
    }

    #[inline(always)]
    fn entry(&self, place: usize) -> &Entry {
        entry(self.0.at.load(Ordering::Relaxed), place)
    }
}

#[inline(always)]
fn entry<'table>(table: usize, place: usize) -> &'table Entry {
    // SAFETY: places are less than the table has entries.
    let entry = unsafe { (table as *const Entry).add(place) };
    // SAFETY: zeros, which the kernel gave us, are empty entries.
    unsafe { &*entry }
}

#[inline(always)]
fn home(caller: u32, pc: u64, size_log2: u32) -> usize {
    let spread = (pc.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
    let caller = caller as usize;
    // One frame's number is looked up after the other: nothing more should be done with it than this.
    (spread ^ caller ^ caller << 5) & ((1 << size_log2) - 1)
}

fn bytes(size_log2: u32) -> usize {
    size_of::<Entry>() << size_log2
}
