//! What is written for which call.
//!
//! Calls that return memory are stamped after it, calls that give memory back before it: so when
//! memory goes from one thread to another, the records show it in the order it happened.
//!
//! Each has a way for nearly all calls, of which every instruction counts, and a slow one, called
//! last so that the other need not save registers for it.

use core::ffi::c_void;
use core::ptr::NonNull;

use malloscope_wire::slot::{self, Kind};

use crate::lane::{self, Lane};
use crate::threads::Entry;
use crate::{enrol, giving_back, interruption, real, system};

/// Records a call for a number of bytes, and what it returned. Returns the same. `site` is where it was called from.
///
/// A request that was served fits into a slot: there is no more address space than that.
#[inline(always)]
pub fn served(kind: Kind, request: usize, site: u32, payload: *mut c_void) -> *mut c_void {
    match (NonNull::new(payload), Lane::at_hand_and_settled()) {
        (Some(payload), Some(lane)) => {
            let (first, second) = slot::with_site(payload.as_ptr() as u64, head(payload), site);
            lane.write_end(kind, request as u64, first, second);
            ended(payload)
        }
        _ => served_slowly(kind, request, site, payload),
    }
}

#[cold]
#[inline(never)]
fn served_slowly(kind: Kind, request: usize, site: u32, payload: *mut c_void) -> *mut c_void {
    let small = request as u64;
    let (first, second) = slot::with_site(payload as u64, head_if_any(payload), site);
    match Lane::made_to_end() {
        Some(lane) if slot::is_small(small) => {
            lane.write(kind, small, first, second);
        }
        Some(lane) => {
            lane.write_wide(kind, [small, 0], first, second);
        }
        None => {}
    }
    ended_slowly(payload)
}

/// Records `calloc`, and what it returned. Returns the same.
#[inline(always)]
pub fn cleared(count: usize, size: usize, site: u32, payload: *mut c_void) -> *mut c_void {
    let small = slot::pack(count as u64, size as u64);
    match (NonNull::new(payload), Lane::at_hand_and_settled(), small) {
        (Some(payload), Some(lane), Some(small)) => {
            let (first, second) = slot::with_site(payload.as_ptr() as u64, head(payload), site);
            lane.write_end(Kind::Calloc, small, first, second);
            ended(payload)
        }
        _ => cleared_slowly(count, size, site, payload),
    }
}

#[cold]
#[inline(never)]
fn cleared_slowly(count: usize, size: usize, site: u32, payload: *mut c_void) -> *mut c_void {
    if let Some(lane) = Lane::made_to_end() {
        let (first, second) = slot::with_site(payload as u64, head_if_any(payload), site);
        match slot::pack(count as u64, size as u64) {
            Some(small) => lane.write(Kind::Calloc, small, first, second),
            None => {
                let arguments = [count as u64, size as u64];
                lane.write_wide(Kind::Calloc, arguments, first, second)
            }
        };
    }
    ended_slowly(payload)
}

/// Frees a payload, and records it before it does: so that a long call holds up nobody.
///
/// # Safety
///
/// As `free`.
#[inline(always)]
pub unsafe fn free(payload: *mut c_void) {
    // SAFETY: as the caller promises.
    if unsafe { giving_back::is_near(payload) } {
        // SAFETY: as the caller promises.
        return unsafe { free_and_look(payload) };
    }
    interruption::watch();
    let Some(lane) = Lane::at_hand() else {
        // SAFETY: as the caller promises.
        return unsafe { free_slowly(payload) };
    };
    lane.write_begin(Kind::Free, 0, payload as u64);
    // SAFETY: as the caller promises.
    unsafe { real::free(payload) };
    lane.settle();
}

#[cold]
#[inline(never)]
unsafe fn free_and_look(payload: *mut c_void) {
    // SAFETY: as the caller promises.
    let before = unsafe { giving_back::look(payload) };
    // SAFETY: as the caller promises.
    unsafe { free_slowly(payload) };
    if let Some(before) = before {
        before.learn();
    }
}

#[cold]
#[inline(never)]
unsafe fn free_slowly(payload: *mut c_void) {
    let Some(lane) = Lane::made() else {
        // SAFETY: as the caller promises.
        return unsafe { real::free(payload) };
    };
    // It may have waited till now.
    interruption::watch();
    lane.write(Kind::Free, 0, payload as u64, 0);
    // SAFETY: as the caller promises.
    unsafe { real::free(payload) };
    lane.settle();
}

/// Records that `realloc` of a payload begins. Returns what to say when it has [`moved`].
///
/// The call begins here, so it is watched from here on.
#[inline(always)]
pub fn moving(old: *mut c_void, request: usize) -> Option<u64> {
    interruption::watch();
    let small = request as u64;
    match Lane::at_hand() {
        Some(lane) if slot::is_small(small) => Some(lane.write_begin(Kind::Realloc, small, old as u64)),
        _ => moving_slowly(old, small),
    }
}

#[cold]
#[inline(never)]
fn moving_slowly(old: *mut c_void, request: u64) -> Option<u64> {
    let lane = Lane::made()?;
    // It may have waited till now.
    interruption::watch();
    Some(if slot::is_small(request) {
        lane.write(Kind::Realloc, request, old as u64, 0)
    } else {
        lane.write_wide(Kind::Realloc, [request, 0], old as u64, 0)
    })
}

/// Records that `reallocarray` begins. Returns what to say when it has [`moved`].
pub fn moving_array(old: *mut c_void, count: usize, size: usize) -> Option<u64> {
    let lane = Lane::made();
    interruption::watch();
    let arguments = [count as u64, size as u64];
    lane.map(|lane| lane.write_wide(Kind::Reallocarray, arguments, old as u64, 0))
}

/// Records the end of what [`moving`] began, and what it returned. Returns the same.
#[inline(always)]
pub fn moved(begun: Option<u64>, site: u32, payload: *mut c_void) -> *mut c_void {
    match (NonNull::new(payload), Lane::at_hand_and_settled(), begun) {
        (Some(payload), Some(lane), Some(begun)) => {
            let begun = slot::low(begun);
            let (first, second) = slot::with_site(payload.as_ptr() as u64, head(payload), site);
            lane.write_end(Kind::Reallocated, begun, first, second);
            ended(payload)
        }
        _ => moved_slowly(begun, site, payload),
    }
}

#[cold]
#[inline(never)]
fn moved_slowly(begun: Option<u64>, site: u32, payload: *mut c_void) -> *mut c_void {
    // A thread that has no entry now had one of another recording when this began: of that nobody knows here.
    if let Some(begun) = begun
        && Entry::mine().is_some()
        && let Some(lane) = Lane::made_to_end()
    {
        let (first, second) = slot::with_site(payload as u64, head_if_any(payload), site);
        lane.write(Kind::Reallocated, slot::low(begun), first, second);
    }
    ended_slowly(payload)
}

/// Records a call with an alignment and a request, and what it returned. Returns the same.
#[inline(never)]
pub fn aligned(kind: Kind, alignment: usize, request: usize, site: u32, payload: *mut c_void) -> *mut c_void {
    if let Some(lane) = Lane::made_to_end() {
        let arguments = [alignment as u64, request as u64];
        let (first, second) = slot::with_site(payload as u64, head_if_any(payload), site);
        lane.write_wide(kind, arguments, first, second);
    }
    ended_slowly(payload)
}

/// Lets somebody other than malloc move the program break, and records it if it was moved.
pub fn moving_break<T>(r#move: impl FnOnce() -> T) -> T {
    // What malloc did to it before is not theirs.
    let lane = Lane::made();
    let before = program_break();
    let returned = r#move();
    let by = program_break().wrapping_sub(before);
    if by != 0
        && lane.is_some()
        && let Some(lane) = Lane::enrolled()
    {
        lane.write_move(by);
    }
    returned
}

/// The program break, from libc if it has asked the kernel before.
pub fn program_break() -> usize {
    match real::program_break() {
        0 => system::program_break(),
        known => known,
    }
}

/// Records anything else.
#[inline(never)]
pub fn did(kind: Kind, small: u64, first: u64, second: u64) {
    if let Some(lane) = Lane::made() {
        lane.write(kind, small, first, second);
    }
}

/// Sees whether the call that has been recorded was interrupted. Returns what it returned.
#[inline(always)]
fn ended(payload: NonNull<c_void>) -> *mut c_void {
    if interruption::was_none() { payload.as_ptr() } else { ended_slowly(payload.as_ptr()) }
}

#[cold]
#[inline(never)]
fn ended_slowly(payload: *mut c_void) -> *mut c_void {
    if !interruption::was_none() {
        lane::note_interruption();
    }
    enrol::be_ready();
    unknown(payload)
}

/// The word before a payload: its chunk's size and flags.
#[inline(always)]
fn head(payload: NonNull<c_void>) -> u64 {
    // SAFETY: the real malloc returned the payload, and keeps the chunk's head before it.
    let head = unsafe { payload.cast::<u64>().sub(1) };
    // SAFETY: as above.
    unsafe { head.read() }
}

/// The head of the chunk that was handed out, if one was.
pub fn head_if_any(payload: *mut c_void) -> u64 {
    NonNull::new(payload).map_or(0, head)
}

/// The same, which the compiler must not know: it would keep its own copy of what a slow way
/// returns, and save registers for that on the usual one.
fn unknown(payload: *mut c_void) -> *mut c_void {
    core::hint::black_box(payload)
}
