//! A key of thread-specific data: its destructor is how we hear of a thread's end.
//!
//! The key is the last of those whose values glibc keeps within each thread's control block, and
//! whose setting needs no memory; so the program's own keys have the numbers they would have without us, and
//! in each round of destructors ours comes after theirs. It asks to be called again until the last round:
//! what others free, or allocate, in theirs is still the thread's.

use crate::twin;
use core::arch::global_asm;
use core::ffi::{c_int, c_uint, c_void};
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

/// How many keys need no memory: glibc's `PTHREAD_KEY_2NDLEVEL_SIZE`.
const KEYS: u32 = 32;
/// How many rounds of destructors there are: glibc's `PTHREAD_DESTRUCTOR_ITERATIONS`.
const ROUNDS: usize = 4;
/// No key.
const NONE: u32 = u32::MAX;

static KEY: AtomicU32 = AtomicU32::new(NONE);

type Create = unsafe extern "C" fn(*mut c_uint, Option<unsafe extern "C" fn(*mut c_void)>) -> c_int;
type Delete = unsafe extern "C" fn(c_uint) -> c_int;
type SetSpecific = unsafe extern "C" fn(c_uint, *const c_void) -> c_int;

// The functions as every glibc has them: since 2.34 in libc, before in libpthread, which need not be
// there. Their addresses, filled in by the dynamic linker; null where there is none.
global_asm!(
    ".weak malloscope_key_create, malloscope_key_delete, malloscope_set_specific",
    ".symver malloscope_key_create, pthread_key_create@GLIBC_2.2.5",
    ".symver malloscope_key_delete, pthread_key_delete@GLIBC_2.2.5",
    ".symver malloscope_set_specific, pthread_setspecific@GLIBC_2.2.5",
    ".pushsection .data.rel.ro, \"aw\"",
    ".balign 8",
    ".globl MALLOSCOPE_KEYS",
    ".hidden MALLOSCOPE_KEYS",
    "MALLOSCOPE_KEYS:",
    ".quad malloscope_key_create",
    ".quad malloscope_key_delete",
    ".quad malloscope_set_specific",
    ".popsection",
);

#[repr(C)]
struct Functions {
    create: Option<Create>,
    delete: Option<Delete>,
    set: Option<SetSpecific>,
}

unsafe extern "C" {
    safe static MALLOSCOPE_KEYS: Functions;
}

/// Makes the key, if it can be had.
pub fn make() {
    let mut keys = [NONE; KEYS as usize];
    let made = keys.iter_mut().map_while(|place| create().map(|key| *place = key)).count();
    let Some((&last, others)) = keys.get(..made).and_then(<[u32]>::split_last) else { return };
    others.iter().copied().for_each(delete);
    KEY.store(last, Ordering::Relaxed);
}

/// The calling thread will be heard of when it ends.
pub fn watch() {
    set(1);
}

fn create() -> Option<u32> {
    let create = MALLOSCOPE_KEYS.create?;
    let mut key = NONE;
    // SAFETY: `farewell` is what a destructor has to be.
    let error = unsafe { create(&raw mut key, Some(farewell)) };
    if error == 0 && key >= KEYS {
        delete(key);
    }
    (error == 0 && key < KEYS).then_some(key)
}

fn delete(key: u32) {
    let Some(delete) = MALLOSCOPE_KEYS.delete else { return };
    // SAFETY: our own key, of which no thread has a value.
    unsafe { delete(key) };
}

/// Sets the key's value to the round of destructors that comes next.
fn set(round: usize) {
    let key = KEY.load(Ordering::Relaxed);
    let (Some(set), true) = (MALLOSCOPE_KEYS.set, key != NONE) else { return };
    // SAFETY: our own key.
    unsafe { set(key, ptr::without_provenance(round)) };
}

/// The destructor.
unsafe extern "C" fn farewell(round: *mut c_void) {
    let round = round.addr();
    if round < ROUNDS {
        set(round + 1);
    } else {
        twin::thread_ends();
    }
}
