//! What becomes of the twin's answer: an address, an `errno`, or the end of the process.

use crate::{system, twin};
use core::ffi::c_void;
use core::ptr;
use malloscope_allocator::address::Address;
use malloscope_allocator::corruption::{Corruption, Refusal};

/// No error that there is, for a refusal that leaves `errno` alone.
const UNSAID: i32 = 0;

/// As functions that return memory answer: the address, or null and `errno`.
pub fn pointer(answer: Result<Address, Refusal>) -> *mut c_void {
    pointer_for(Address::NULL, answer)
}

/// The same, of a call that was given a pointer.
pub fn pointer_for(payload: Address, answer: Result<Address, Refusal>) -> *mut c_void {
    match whole_or_refused_for(payload, answer) {
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
    whole_or_refused_for(Address::NULL, answer)
}

fn whole_or_refused_for(payload: Address, answer: Result<Address, Refusal>) -> Result<Address, i32> {
    match answer {
        Ok(address) => Ok(address),
        Err(Refusal::OutOfMemory) => Err(libc::ENOMEM),
        Err(Refusal::Unsaid) => Err(UNSAID),
        Err(Refusal::Invalid) => Err(libc::EINVAL),
        Err(Refusal::Corrupted(corruption)) => die(corruption, payload),
    }
}

/// What a call answers that only fails if the heap is corrupted.
pub fn whole<T>(answer: Result<T, Corruption>) -> T {
    whole_for(Address::NULL, answer)
}

/// The same, of a call that was given a pointer.
pub fn whole_for<T>(payload: Address, answer: Result<T, Corruption>) -> T {
    answer.unwrap_or_else(|corruption| die(corruption, payload))
}

/// Says what is wrong and aborts (glibc: `malloc_printerr`), even where glibc could be told to go on: this
/// heap cannot. The lock is free by now: what runs on `SIGABRT` may allocate.
#[cold]
fn die(corruption: Corruption, payload: Address) -> ! {
    let words = twin::call(|heap, _| heap.last_words(corruption, payload, system::program()));
    system::say(&words.text);
    system::abort()
}

fn address(at: u64) -> *mut c_void {
    const { assert!(usize::BITS == u64::BITS) };
    #[expect(clippy::cast_possible_truncation, reason = "a usize has 64 bits, see above")]
    {
        ptr::with_exposed_provenance_mut(at as usize)
    }
}
