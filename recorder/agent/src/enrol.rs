//! Where a call goes that cannot be recorded at once: the thread's first, one whose ring is full,
//! one after the thread's last destructor, or any in a process that is not recorded.

use core::ptr;
use core::sync::atomic::Ordering;

use malloscope_wire::ring::{Ring, Stage, Tenancy};
use malloscope_wire::slot::Kind;
use malloscope_wire::{Shared, Slot};

use crate::arrival::{self, Here};
use crate::lane::Lane;
use crate::system::{self, Undisturbed};
use crate::threads::Entry;
use crate::{exit, memory, room, shortcut};

/// The entry of the thread that asks, with room for a call; `None` if the call is not to be recorded.
#[cold]
#[inline(never)]
pub fn entry() -> Option<&'static Entry> {
    let here = arrival::here()?;
    let entry = match Entry::mine() {
        Some(entry) if is_another_thread(entry) => enrol_again(here, entry)?,
        Some(entry) => entry,
        None => enrol(here)?,
    };
    room::make(here.shared, entry).then_some(entry)
}

/// Whether this entry's thread is gone, and the one that asks has got its place in memory.
fn is_another_thread(entry: &Entry) -> bool {
    exit::has_left(entry) && entry.thread.load(Ordering::Relaxed) != system::thread_id()
}

/// Gives the thread a ring and an entry.
fn enrol(here: Here) -> Option<&'static Entry> {
    let _undisturbed = Undisturbed::begin();
    let taken = take_ring(here)?;
    let Some(entry) = Entry::take(|entry| set(entry, taken)) else {
        give_up(here, taken.0);
        return None;
    };
    begin(here.shared, entry);
    Some(entry)
}

/// Gives the thread a ring and an entry that was another's.
fn enrol_again(here: Here, entry: &'static Entry) -> Option<&'static Entry> {
    let _undisturbed = Undisturbed::begin();
    // SAFETY: the entry was set up for its first thread.
    let ring = unsafe { Lane::of(entry) }.ring();
    advance(ring, Stage::Left);
    set(entry, take_ring(here)?);
    begin(here.shared, entry);
    Some(entry)
}

/// Fills in an entry.
fn set(entry: &Entry, (ring, slots): (&'static Ring, *const Slot)) {
    let thread = system::thread_id();
    entry.slots.store(slots.cast_mut(), Ordering::Relaxed);
    entry.ring.store(ptr::from_ref(ring).cast_mut(), Ordering::Relaxed);
    let cursor = ring.reader.head.load(Ordering::Acquire);
    ring.cursor.store(cursor, Ordering::Relaxed);
    entry.cursor.store(cursor, Ordering::Relaxed);
    entry.limit.store(0, Ordering::Relaxed);
    entry.program_break.store(0, Ordering::Relaxed);
    entry.thread.store(thread, Ordering::Relaxed);
    entry.farewells.store(0, Ordering::Relaxed);
    let known = if arrival::names_are_shared() { thread } else { 0 };
    ring.thread.store(known, Ordering::Relaxed);
    ring.lost.store(0, Ordering::Relaxed);
    ring.waits.store(0, Ordering::Relaxed);
    advance(ring, Stage::Open);
}

/// Says that the thread is there, and sees to it that we hear when it goes.
fn begin(shared: &Shared, entry: &'static Entry) {
    shared.control.arrivals.fetch_add(1, Ordering::Release);
    if room::make(shared, entry) {
        // SAFETY: the entry has been set.
        let lane = unsafe { Lane::of(entry) };
        lane.write(Kind::ThreadStart, 0, entry.thread.load(Ordering::Relaxed).into(), 0);
    }
    shortcut::prepare();
    shortcut::set(Some(entry));
}

/// Takes a ring nobody has.
fn take_ring(here: Here) -> Option<(&'static Ring, *const Slot)> {
    let taken = Tenancy { process: here.number(), stage: Stage::Taken }.word();
    let free = here.shared.rings.iter().enumerate().find(|(_, ring)| {
        let none = Tenancy::NONE;
        ring.tenancy.load(Ordering::Relaxed) == none
            && ring.tenancy.compare_exchange(none, taken, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    });
    let Some((number, ring)) = free else {
        here.process.lost.fetch_add(1, Ordering::Relaxed);
        return None;
    };
    here.shared.control.rings_used.fetch_max(number as u32 + 1, Ordering::Relaxed);
    let Some(slots) = memory::slots(here.shared, number) else {
        give_up(here, ring);
        return None;
    };
    Some((ring, slots))
}

/// Gives back a ring that was not used.
fn give_up(here: Here, ring: &Ring) {
    ring.tenancy.store(Tenancy::NONE, Ordering::Release);
    here.process.lost.fetch_add(1, Ordering::Relaxed);
}

/// Brings a ring's tenancy to this stage.
pub fn advance(ring: &Ring, stage: Stage) {
    if let Some(tenancy) = Tenancy::read(ring.tenancy.load(Ordering::Relaxed)) {
        ring.tenancy.store(Tenancy { stage, ..tenancy }.word(), Ordering::Release);
    }
}
