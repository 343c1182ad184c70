//! A thread's way to its ring: reserving slots and writing them.
//!
//! Reserving is one instruction, so a signal handler comes before it or after it and takes the
//! slots that follow. A slot's label is written last: see [`malloscope_wire::slot`].

use core::arch::asm;
use core::sync::atomic::Ordering;

use malloscope_wire::Heartbeat;
use malloscope_wire::clock::ticks;
use malloscope_wire::ring::{self, Ring};
use malloscope_wire::slot::{self, Kind, Slot, WIDE};

use crate::threads::Entry;
use crate::{callers, clock, enrol, exit, giving_back, interruption, real, room, shortcut};

/// A thread's way to its ring, as loaded for one call.
#[derive(Clone, Copy)]
pub struct Lane {
    entry: &'static Entry,
    ring: &'static Ring,
    slots: *const Slot,
    heartbeat: &'static Heartbeat,
}

impl Lane {
    /// The way of the thread that asks, if the call is like nearly all: there is room, and the clock
    /// is the processor's.
    #[inline(always)]
    pub fn at_hand() -> Option<Lane> {
        Self::loaded(shortcut::entry()?, |cursor, limit| cursor < limit)
    }

    /// The same, if the program break is where this thread last saw it.
    #[inline(always)]
    pub fn at_hand_and_settled() -> Option<Lane> {
        Self::at_hand().filter(|lane| lane.is_settled())
    }

    #[inline(always)]
    fn is_settled(self) -> bool {
        self.entry.program_break.load(Ordering::Relaxed) == real::program_break()
    }

    /// The way of the thread that asks, whatever that takes; `None` if the call is not to be recorded.
    pub fn made() -> Option<Lane> {
        let lane = Self::enrolled()?;
        lane.note_break(Kind::BreakIs);
        Some(lane)
    }

    /// The same, for a call that has been made: that has a place even in a ring that is full, so that it
    /// is stamped before its thread waits.
    pub fn made_to_end() -> Option<Lane> {
        let lane = Self::to_end()?;
        lane.note_break(Kind::BreakIs);
        Some(lane)
    }

    /// The same, without looking at the program break.
    fn to_end() -> Option<Lane> {
        match Entry::mine() {
            Some(entry) if !exit::has_left(entry) && room::is_left_to_end(entry) => Self::of(entry),
            _ => Self::enrolled(),
        }
    }

    /// The same, without looking at the program break.
    pub fn enrolled() -> Option<Lane> {
        enrol::entry().and_then(Self::of)
    }

    /// The way this entry shows, room or not; `None` if it is nobody's.
    pub fn of(entry: &'static Entry) -> Option<Lane> {
        Self::loaded(entry, |_, limit| limit != 0)
    }

    /// What an entry holds, if it `suits` where its cursor and limit are.
    #[inline(always)]
    fn loaded(entry: &'static Entry, suits: impl FnOnce(u64, u64) -> bool) -> Option<Lane> {
        let ring = entry.ring.load(Ordering::Relaxed);
        let slots = entry.slots.load(Ordering::Relaxed);
        let heartbeat = entry.heartbeat.load(Ordering::Relaxed);
        // The limit last: if a signal handler forks while we are here and the child comes back to
        // this line, then either it finds none, or what it loaded before is still good to use.
        if !suits(entry.cursor.load(Ordering::Relaxed), entry.limit.load(Ordering::Relaxed)) {
            return None;
        }
        // SAFETY: an entry with a limit has a ring, which stays mapped for as long as the process.
        let ring = unsafe { &*ring };
        // SAFETY: as above.
        let heartbeat = unsafe { &*heartbeat };
        Some(Lane { entry, ring, slots, heartbeat })
    }

    /// The thread's ring.
    pub fn ring(self) -> &'static Ring {
        self.ring
    }

    /// Notes where the program break is after the call that was last recorded, and whether that was
    /// interrupted.
    #[inline(always)]
    pub fn settle(self) {
        if !self.is_settled() || !interruption::was_none() {
            settle_slowly();
        }
    }

    /// Writes where the program break is, if that is not where this thread last saw it.
    fn note_break(self, kind: Kind) {
        self.note_break_from(kind, || 0);
    }

    /// The same, with the number of the stack of whoever moved it.
    fn note_break_from(self, kind: Kind, site: impl FnOnce() -> u32) {
        let now = real::program_break();
        if self.entry.program_break.swap(now, Ordering::Relaxed) != now {
            giving_back::find_top();
            self.write(kind, site().into(), now as u64, 0);
        }
    }

    /// Writes that somebody else moved the program break.
    pub fn write_move(self, by: usize) {
        let now = real::program_break();
        self.entry.program_break.store(now, Ordering::Relaxed);
        self.write(Kind::MoveBreak, 0, by as u64, now as u64);
    }

    /// Writes that a call has returned: what a lane [at hand](Self::at_hand) may do.
    #[inline(always)]
    pub fn write_end(self, kind: Kind, small: u64, first: u64, second: u64) {
        let index = self.reserve(1);
        let label = slot::label(index, kind as u8, small);
        fill(self.slot(index), ticks(), first, second, label);
    }

    /// Writes that a call begins: what a lane [at hand](Self::at_hand) may do. Returns its index.
    #[inline(always)]
    pub fn write_begin(self, kind: Kind, small: u64, first: u64) -> u64 {
        let index = self.reserve(1);
        let label = slot::label(index, kind as u8, small);
        let slot = self.slot(index);
        slot.words[2].store(first, Ordering::Relaxed);
        if self.needs_time() {
            slot.words[1].store(ticks(), Ordering::Relaxed);
        }
        slot.words[0].store(label, Ordering::Release);
        index
    }

    /// Whether a call that begins is stamped.
    ///
    /// A thread that is alone needs no clock to be in order, and reading it is most of what a call
    /// costs: so it is read when the recorder's heart has beaten since it was last read here. In between,
    /// what lies in the slot is an earlier time, and the reader takes that of the record before.
    /// What returns is always stamped.
    #[inline(always)]
    fn needs_time(self) -> bool {
        if self.entry.has_company.load(Ordering::Acquire) != 0 {
            return true;
        }
        let beat = self.heartbeat.0.load(Ordering::Relaxed);
        let is_new = self.entry.beat.load(Ordering::Relaxed) != beat;
        if is_new {
            self.entry.beat.store(beat, Ordering::Relaxed);
        }
        is_new
    }

    /// Writes a slot. Returns its index.
    pub fn write(self, kind: Kind, small: u64, first: u64, second: u64) -> u64 {
        let index = self.reserve(1);
        let label = slot::label(index, kind as u8, small);
        fill(self.slot(index), clock::now(), first, second, label);
        index
    }

    /// Writes a slot, and arguments into the one before it. Returns the index of the former.
    pub fn write_wide(self, kind: Kind, arguments: [u64; 2], first: u64, second: u64) -> u64 {
        let index = self.reserve(2);
        let time = clock::now();
        let label = slot::label(index, Kind::Arguments as u8, 0);
        fill(self.slot(index), time, arguments[0], arguments[1], label);
        let label = slot::label(index + 1, kind as u8 | WIDE, 0);
        fill(self.slot(index + 1), time, first, second, label);
        index + 1
    }

    /// Takes the next slots, and tells so before the clock is read: see [`Ring::cursor`].
    #[inline(always)]
    fn reserve(self, slots: u64) -> u64 {
        let index;
        // SAFETY: the cursor is this thread's own, valid and aligned.
        unsafe {
            asm!(
                "xadd qword ptr [{cursor}], {index}",
                cursor = in(reg) self.entry.cursor.as_ptr(),
                index = inout(reg) slots => index,
                options(nostack),
            );
        }
        self.ring.cursor.store(index + slots, Ordering::Release);
        index
    }

    #[inline(always)]
    fn slot(self, index: u64) -> &'static Slot {
        // SAFETY: there are as many slots as a place may be.
        let slot = unsafe { self.slots.add(ring::place(index)) };
        // SAFETY: slots stay mapped for as long as the process.
        unsafe { &*slot }
    }
}

/// Writes the words of a slot, the label last.
#[inline(always)]
fn fill(slot: &Slot, time: u64, first: u64, second: u64, label: u64) {
    slot.words[1].store(time, Ordering::Relaxed);
    slot.words[2].store(first, Ordering::Relaxed);
    slot.words[3].store(second, Ordering::Relaxed);
    slot.words[0].store(label, Ordering::Release);
}

#[cold]
#[inline(never)]
fn settle_slowly() {
    let was_interrupted = !interruption::was_none();
    if let Some(lane) = Lane::to_end() {
        lane.note_break_from(Kind::BreakAfter, callers::site_of_rare);
    }
    if was_interrupted {
        note_interruption();
    }
}

/// Notes that the call that was last recorded was interrupted. A thread that is alone needs no such
/// note to be in order.
pub fn note_interruption() {
    let place = Entry::mine().filter(|entry| entry.has_company.load(Ordering::Acquire) != 0);
    if place.is_some()
        && let Some(lane) = Lane::to_end()
    {
        let switches = interruption::switches(lane.entry);
        lane.write(Kind::Interrupted, 0, switches.waits.into(), switches.preemptions.into());
    }
}
