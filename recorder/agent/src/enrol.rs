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
use crate::threads::{Entry, WIPED};
use crate::{callers, exit, interruption, memory, room, shortcut};

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

/// Sees to it that the thread that asks can record its next call without waiting, if it has an entry.
pub fn be_ready() {
    if let Some(here) = arrival::here()
        && let Some(entry) = Entry::mine().filter(|entry| !is_another_thread(entry))
    {
        room::make_for_next(here.shared, entry);
    }
}

/// Whether this entry's thread is gone, and the one that asks has got its place in memory.
fn is_another_thread(entry: &Entry) -> bool {
    exit::has_left(entry) && entry.thread.load(Ordering::Relaxed) != system::thread_id()
}

/// A ring that was taken.
struct Taken {
    ring: &'static Ring,
    slots: *const Slot,
    tenancy: Tenancy,
}

/// Gives the thread a ring and an entry.
fn enrol(here: Here) -> Option<&'static Entry> {
    let _undisturbed = Undisturbed::begin();
    let taken = take_ring(here)?;
    let Some(entry) = Entry::take(|entry| fill(here.shared, entry, &taken)) else {
        give_up(here, taken.ring);
        return None;
    };
    begin(here.shared, entry);
    Some(entry)
}

/// Gives the thread a ring and an entry that was another's.
fn enrol_again(here: Here, entry: &'static Entry) -> Option<&'static Entry> {
    let _undisturbed = Undisturbed::begin();
    advance(entry, Stage::Left);
    fill(here.shared, entry, &take_ring(here)?);
    begin(here.shared, entry);
    Some(entry)
}

fn fill(shared: &Shared, entry: &Entry, taken: &Taken) {
    let thread = system::thread_id();
    let cursor = taken.ring.reader.head.load(Ordering::Relaxed);
    taken.ring.cursor.store(cursor, Ordering::Relaxed);
    taken.ring.lost.store(0, Ordering::Relaxed);
    taken.ring.waits.store(0, Ordering::Relaxed);
    let known = if arrival::names_are_shared() { thread } else { 0 };
    taken.ring.thread.store(known, Ordering::Relaxed);
    entry.slots.store(taken.slots.cast_mut(), Ordering::Relaxed);
    entry.ring.store(ptr::from_ref(taken.ring).cast_mut(), Ordering::Relaxed);
    entry.heartbeat.store(ptr::from_ref(&shared.control.heartbeat).cast_mut(), Ordering::Relaxed);
    entry.cursor.store(cursor, Ordering::Relaxed);
    // No room, but not zero: see `Entry::limit`.
    entry.limit.store(cursor, Ordering::Relaxed);
    entry.program_break.store(0, Ordering::Relaxed);
    entry.beat.store(0, Ordering::Relaxed);
    entry.has_company.store(0, Ordering::Relaxed);
    entry.tenancy.store(taken.tenancy.word(), Ordering::Relaxed);
    entry.thread.store(thread, Ordering::Relaxed);
    entry.farewells.store(0, Ordering::Relaxed);
    entry.switches.store(0, Ordering::Relaxed);
    callers::begin_anew(entry);
}

/// Says that the thread is there, and sees to it that we hear when it goes.
fn begin(shared: &Shared, entry: &'static Entry) {
    keep_company(entry);
    advance(entry, Stage::Open);
    shared.control.arrivals.fetch_add(1, Ordering::Release);
    if room::make(shared, entry)
        && let Some(lane) = Lane::of(entry)
    {
        lane.write(Kind::ThreadStart, 0, entry.thread.load(Ordering::Relaxed).into(), 0);
        if interruption::is_known() {
            lane.write(Kind::Watched, 0, 0, 0);
            interruption::switches(entry);
        }
    }
    shortcut::prepare();
    shortcut::set(Some(entry));
}

/// Tells the first thread that it is not alone any more, if this is another.
///
/// Before this thread's first call is over. So a thread that is given memory by another knows by
/// then that there is another.
fn keep_company(entry: &'static Entry) {
    let none = ptr::null_mut();
    let this = ptr::from_ref(entry).cast_mut();
    if let Err(first) = WIPED.first.compare_exchange(none, this, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: entries are static.
        let first = unsafe { &*first };
        for thread in [first, entry] {
            thread.has_company.store(1, Ordering::Release);
        }
    }
}

/// Takes a ring nobody has.
fn take_ring(here: Here) -> Option<Taken> {
    let most = here.shared.control.rings.load(Ordering::Relaxed) as usize;
    let rings = here.shared.rings.iter().take(most).enumerate();
    let found =
        rings.map(|(number, ring)| Some((number, ring, take(ring, here.number())?))).find(Option::is_some);
    let Some((number, ring, tenancy)) = found.flatten() else {
        here.process.lost.fetch_add(1, Ordering::Relaxed);
        return None;
    };
    here.shared.control.rings_used.fetch_max(number as u32 + 1, Ordering::Relaxed);
    let Some(slots) = memory::slots(here.shared, number) else {
        give_up(here, ring);
        return None;
    };
    Some(Taken { ring, slots, tenancy })
}

/// Takes this ring, if nobody has it.
fn take(ring: &Ring, process: u16) -> Option<Tenancy> {
    if ring.tenancy.load(Ordering::Acquire) != Tenancy::NONE {
        return None;
    }
    let tenancy = Tenancy::taking(process, ring.reader.head.load(Ordering::Relaxed));
    let order = Ordering::AcqRel;
    let taken = ring.tenancy.compare_exchange(Tenancy::NONE, tenancy.word(), order, Ordering::Relaxed);
    taken.is_ok().then_some(tenancy)
}

/// Gives back a ring that was not used.
fn give_up(here: Here, ring: &Ring) {
    ring.tenancy.store(Tenancy::NONE, Ordering::Release);
    here.process.lost.fetch_add(1, Ordering::Relaxed);
}

/// Brings the tenancy of an entry's ring to this stage, unless it is over: the recorder may have
/// seen the thread go, and given the ring to another.
pub fn advance(entry: &'static Entry, stage: Stage) {
    let from = entry.tenancy.load(Ordering::Relaxed);
    let Some(tenancy) = Tenancy::read(from) else { return };
    let to = tenancy.at(stage).word();
    let Some(ring) = Lane::of(entry).map(Lane::ring) else { return };
    if ring.tenancy.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        entry.tenancy.store(to, Ordering::Relaxed);
    }
}
