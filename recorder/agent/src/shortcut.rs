//! The shortest way from a thread to its entry: the value of a pthread key of ours.
//!
//! glibc keeps the values of the first keys within each thread's control block, so reading one is
//! one load from a place that is the same in all threads. Where that place is nobody tells; we write
//! a value and look where it went.
//!
//! The key's destructor is how we hear of a thread's [`exit`].

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::attachment::ATTACHMENT;
use crate::threads::{Entry, thread_pointer};
use crate::{exit, real};

/// The keys whose values lie within the control block. For others glibc calls malloc.
///
/// `PTHREAD_KEY_2NDLEVEL_SIZE` of glibc.
const KEYS: usize = 32;

/// How much of a control block is looked at: all glibcs have more (2304 bytes in 2.36), and their
/// values lie between bytes 784 and 1296.
const BLOCK: usize = 2048;

/// No key.
const NONE: u32 = u32::MAX;

/// Our key.
static KEY: AtomicU32 = AtomicU32::new(NONE);

/// The entry of the thread that asks, if it was [set] and can be had so.
#[inline(always)]
pub fn entry() -> Option<&'static Entry> {
    let offset = ATTACHMENT.shortcut.load(Ordering::Relaxed);
    if offset == 0 {
        return None;
    }
    let entry: *const Entry;
    // SAFETY: that far from the thread pointer lies the value of our key.
    unsafe {
        asm!(
            "mov {entry}, fs:[{offset}]",
            entry = out(reg) entry,
            offset = in(reg) offset,
            options(nostack, pure, readonly, preserves_flags),
        );
    }
    // SAFETY: null, or what was set, which is never unmapped.
    unsafe { entry.as_ref() }
}

/// Makes the key, unless there is one. Before glibc 2.34 there are none until `libpthread` is
/// loaded; then the next thread to come makes it.
pub fn prepare() {
    if KEY.load(Ordering::Relaxed) != NONE {
        return;
    }
    let Some(key) = last_key() else {
        real::find_missing();
        return;
    };
    if KEY.compare_exchange(NONE, key, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        // Another thread was faster, and nobody has used ours.
        delete(key);
        return;
    }
    ATTACHMENT.shortcut.store(find(key).unwrap_or(0), Ordering::Relaxed);
}

/// Sets the entry of the thread that asks.
pub fn set(entry: Option<&'static Entry>) {
    let key = KEY.load(Ordering::Relaxed);
    if key != NONE {
        set_value(key, entry.map_or(ptr::null(), ptr::from_ref));
    }
}

/// Makes a key: the last of those whose values lie within the control block, so that the program's
/// own have the numbers they would have without us.
fn last_key() -> Option<u32> {
    let mut keys = [NONE; KEYS];
    let made = keys.iter_mut().map_while(|place| make_key().map(|key| *place = key)).count();
    let (last, others) = keys.get(..made)?.split_last()?;
    others.iter().copied().for_each(delete);
    Some(*last)
}

/// Makes a key whose values lie within the control block, if there is one more.
fn make_key() -> Option<u32> {
    let mut key = NONE;
    // SAFETY: `farewell` is what a destructor has to be.
    let error = unsafe { real::pthread_key_create(&raw mut key, Some(exit::farewell)) };
    if error != 0 {
        return None;
    }
    if key as usize >= KEYS {
        delete(key);
        return None;
    }
    Some(key)
}

fn set_value(key: u32, value: *const Entry) {
    // SAFETY: our own key.
    unsafe { real::pthread_setspecific(key, value.cast()) };
}

fn delete(key: u32) {
    // SAFETY: our own key, of which no thread has a value.
    unsafe { real::pthread_key_delete(key) };
}

/// How far from a thread pointer the value of this key is.
fn find(key: u32) -> Option<usize> {
    let [mark, other] = [1, 2].map(|i| ptr::from_ref(&KEY).wrapping_add(i).cast::<Entry>());
    set_value(key, mark);
    let is_marked = |offset: &usize| word(*offset) == mark.addr();
    let found = (size_of::<usize>()..BLOCK).step_by(size_of::<usize>()).find(is_marked);
    set_value(key, other);
    let is_it = |offset: &usize| word(*offset) == other.addr();
    let found = found.filter(is_it);
    set_value(key, ptr::null());
    found
}

/// The word that far into the control block of the thread that asks.
fn word(offset: usize) -> usize {
    // SAFETY: every control block is longer.
    unsafe { ((thread_pointer() + offset) as *const usize).read() }
}
