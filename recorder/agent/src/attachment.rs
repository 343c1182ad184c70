//! What a recorder that attached to this process tells us, and we tell it: see [`malloscope_wire::attachment`].
//!
//! The shared memory is written down here, whoever found it.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use malloscope_wire::Attachment;
use malloscope_wire::attachment::{Function, Kept};

use crate::threads::{WIPED, Wiped};
use crate::{gates, real};

/// In a section that is in the file, and whole, so that the recorder can write there.
#[used]
#[unsafe(link_section = ".data")]
pub static ATTACHMENT: Attachment = {
    let wiped = (&raw const WIPED).cast_mut().cast();
    Attachment::blank(real::NAMES, gates::all(), wiped, size_of::<Wiped>())
};

/// Whether this agent was put into a running process, rather than loaded with a program.
pub fn is_ours() -> bool {
    ATTACHMENT.functions[0].address.load(Ordering::Relaxed) != 0
}

/// The function of this name, if the recorder found it.
pub fn function(name: &CStr) -> Option<*mut ()> {
    let named = |function: &&Function| {
        let theirs = function.name.iter().map(|byte: &AtomicU8| byte.load(Ordering::Relaxed));
        theirs.take_while(|byte| *byte != 0).eq(name.to_bytes().iter().copied())
    };
    let found = ATTACHMENT.functions.iter().find(named)?.address.load(Ordering::Relaxed);
    (found != 0).then_some(found as *mut ())
}

/// Whether copies of this process are not recorded: nobody could tell which of them wrote what.
pub fn hides_copies() -> bool {
    ATTACHMENT.names_differ.load(Ordering::Relaxed) != 0
}

/// Puts a mapping on the list of those that may be given back when the recorder leaves.
pub fn keep(mapping: &Kept, length: usize) {
    mapping.length.store(length, Ordering::Relaxed);
    let at = core::ptr::from_ref(mapping) as usize;
    let first: &AtomicUsize = &ATTACHMENT.kept;
    let mut next = first.load(Ordering::Relaxed);
    loop {
        mapping.next.store(next, Ordering::Relaxed);
        match first.compare_exchange(next, at, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(other) => next = other,
        }
    }
}
