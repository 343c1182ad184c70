//! The shared memory in this process: mapped once, by the path the recorder wrote into our file.
//!
//! No descriptor stays open: the program gets the numbers it would get without us, and may close
//! them all. The banks of slots are mapped when a thread needs one, as further mappings of the
//! same file (see [`system::map_again`]).

use core::ffi::CStr;
use core::sync::atomic::Ordering;
use core::{array, ptr};

use malloscope_wire::ring;
use malloscope_wire::{BANK_BYTES, BANK_RINGS, BANKS_AT, Handover, PAGE, Shared, Slot, VERSION};

use crate::attachment::ATTACHMENT;
use crate::system::{self, Advice, File};

/// What the recorder tells us. In a section that is in the file, and whole, so that it can.
#[used]
#[unsafe(link_section = ".data")]
static HANDOVER: Handover = Handover::blank();

/// The shared memory, if this process has it.
pub fn shared() -> Option<&'static Shared> {
    let at = ATTACHMENT.memory.load(Ordering::Acquire) as *const Shared;
    // SAFETY: null, or a mapping of this length that is never given back, of nothing but atomics.
    unsafe { at.as_ref() }
}

/// Maps the shared memory. `None` if there is no recorder, or none of our kind.
pub fn map() -> Option<&'static Shared> {
    let path = HANDOVER.path();
    let path = CStr::from_bytes_until_nul(&path).ok()?;
    if path.is_empty() {
        return None;
    }
    let at = File::open(path).ok()?.map(size_of::<Shared>()).ok()?;
    // Without it core files are larger, that is all.
    let _ = system::advise(at, size_of::<Shared>(), Advice::DontDump);
    ATTACHMENT.memory.store(at, Ordering::Release);
    shared().filter(|shared| shared.control.version.load(Ordering::Relaxed) == VERSION)
}

/// The slots of a ring, by number.
pub fn slots(shared: &'static Shared, number: usize) -> Option<*const Slot> {
    let bank = bank(shared, number / BANK_RINGS)?;
    Some((bank + number % BANK_RINGS * ring::BYTES) as *const Slot)
}

/// Where a bank is mapped, mapping it if need be.
fn bank(shared: &'static Shared, number: usize) -> Option<usize> {
    let kept = ATTACHMENT.banks.get(number)?;
    let mapped = kept.load(Ordering::Acquire);
    if mapped != 0 {
        return Some(mapped);
    }
    let mapped = map_bank(shared, number)?;
    match kept.compare_exchange(0, mapped, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Some(mapped),
        Err(earlier) => {
            // SAFETY: another thread was faster, and nobody has seen ours.
            unsafe { system::unmap(mapped, BANK_BYTES) };
            Some(earlier)
        }
    }
}

/// Maps a bank: all from the last page before bank 0 to its end, less what lies before it.
fn map_bank(shared: &'static Shared, number: usize) -> Option<usize> {
    let before = PAGE + number * BANK_BYTES;
    let last_page = ptr::from_ref(shared) as usize + BANKS_AT - PAGE;
    // SAFETY: the shared memory is a shared mapping, and ends there.
    let at = unsafe { system::map_again(last_page, before + BANK_BYTES) }.ok()?;
    // SAFETY: nobody has seen it yet.
    unsafe { system::unmap(at, before) };
    let _ = system::advise(at + before, BANK_BYTES, Advice::DontDump);
    Some(at + before)
}

/// A path as the bytes of a C string, read from a link; empty if there is none.
pub fn link<const N: usize>(path: &CStr) -> ([u8; N], usize) {
    let mut bytes = array::from_fn(|_| 0);
    let length = system::read_link(path, &mut bytes).unwrap_or(0);
    (bytes, length)
}
