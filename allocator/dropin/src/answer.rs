//! What becomes of the twin's answer: an address, an `errno`, or the end of the process.

use crate::system;
use core::ffi::c_void;
use core::ptr;
use malloscope_allocator::address::Address;
use malloscope_allocator::corruption::{Corruption, Refusal};

/// No error that there is, for a refusal that leaves `errno` alone.
const UNSAID: i32 = 0;

/// As functions that return memory answer: the address, or null and `errno`.
pub fn pointer(answer: Result<Address, Refusal>) -> *mut c_void {
    match whole_or_refused(answer) {
        Ok(Address(at)) => address(at),
        Err(errno) => {
            if errno != UNSAID {
                system::set_errno(errno);
            }
            ptr::null_mut()
        }
    }
}

/// The address, or what `errno` is to be.
pub fn whole_or_refused(answer: Result<Address, Refusal>) -> Result<Address, i32> {
    match answer {
        Ok(address) => Ok(address),
        Err(Refusal::OutOfMemory) => Err(libc::ENOMEM),
        Err(Refusal::Unsaid) => Err(UNSAID),
        Err(Refusal::Invalid) => Err(libc::EINVAL),
        Err(Refusal::Corrupted(corruption)) => die(corruption),
    }
}

/// What a call answers that only fails if the heap is corrupted.
pub fn whole<T>(answer: Result<T, Corruption>) -> T {
    answer.unwrap_or_else(|corruption| die(corruption))
}

/// Says what is wrong and aborts (glibc: `malloc_printerr`). The lock is free by now: what runs on
/// `SIGABRT` may allocate.
#[cold]
fn die(corruption: Corruption) -> ! {
    let message = corruption.message();
    let mut line = [0; 256];
    let length = message.len().min(line.len() - 1);
    line[..length].copy_from_slice(&message.as_bytes()[..length]);
    line[length] = b'\n';
    system::say(core::str::from_utf8(&line[..=length]).unwrap_or(message));
    system::abort()
}

fn address(at: u64) -> *mut c_void {
    const { assert!(usize::BITS == u64::BITS) };
    #[expect(clippy::cast_possible_truncation, reason = "a usize has 64 bits, see above")]
    {
        ptr::with_exposed_provenance_mut(at as usize)
    }
}
