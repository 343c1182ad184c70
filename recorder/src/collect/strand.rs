//! What one thread wrote, in its order: a ring as its reader sees it.
//!
//! While nobody can take what comes next, it may be hoarded, so that the thread need not wait for room; and as long as
//! something of that is left, what it writes meanwhile is put behind it.
//!
//! Whatever lies in the ring, reading it ends: a cursor that makes no sense is not followed, a slot
//! that makes none is stepped over and counted, and one that is said to be of times to come is as late as the last.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use malloscope_wire::Clock;
use malloscope_wire::ring::{self, Ring};
use malloscope_wire::slot::{Copied, Slot};
use rustix::thread::futex;

use crate::clock;

/// How many slots are read before their thread is told it may have them again.
///
/// Half a ring: a thread that waits is woken to some work, and not for every few calls.
const BATCH: u64 = ring::SLOTS / 2;

/// How many slots are copied at once.
///
/// They lie in another processor's cache, and fetching one takes longer than all we do with it;
/// fetching many at once takes little longer than one.
const WINDOW: usize = 64;

/// So many hoarded slots are read before we do something else, if they are to be: threads that wait for room
/// must see in time that somebody reads.
const A_WHILE: usize = 1 << 16;

/// How many hoarded slots are read before we look whether there are more to be hoarded: it takes part of a millisecond.
const AGAIN: usize = 2048;

/// How far ahead of our clock another processor's may be, with much to spare: some seconds, whatever a tick is.
///
/// A record waits until its time has come. One that says something else would keep its thread waiting for ever.
const AHEAD: u64 = 1 << 32;

/// A ring and how far it has been read.
#[derive(Debug)]
pub struct Strand<'m> {
    ring: &'m Ring,
    slots: &'m [Slot],
    /// The index of the slot to be read next.
    next: u64,
    /// The index of the first slot that was not reserved when we last looked.
    reserved: u64,
    /// Copies of the next slots, as they were when they were copied.
    window: Vec<Copied>,
    /// The index of the first of them.
    window_at: u64,
    /// Copies of those behind the window that were given back unread, each of them written.
    hoard: VecDeque<Copied>,
    /// The latest time of those. None is before that of the one before it.
    hoarded_until: u64,
    /// From which index on we look for more of them.
    hoard_at: u64,
    /// The slots before this index have been given back.
    returned: u64,
    /// The latest time read. A handler that interrupts a thread may be stamped before it: then both
    /// are as late as the first.
    latest: u64,
    clock: Clock,
    /// No slot was written later than this, when we last looked at the clock.
    sane_until: u64,
    /// Slots that made no sense, or were never written.
    pub unread: u64,
}

/// What a strand holds next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is nothing more.
    Nothing,
    /// A slot that is reserved, and not yet written.
    Unwritten,
    /// A slot of this time, which is never before that of the slot before it.
    At(u64),
}

impl<'m> Strand<'m> {
    /// The strand of a ring, from where the ring's last reader stopped. Times are of this clock.
    pub fn new(ring: &'m Ring, slots: &'m [Slot], next: u64, clock: Clock) -> Self {
        Strand {
            ring,
            slots,
            next,
            reserved: next,
            window: Vec::new(),
            window_at: next,
            hoard: VecDeque::new(),
            hoarded_until: 0,
            hoard_at: 0,
            returned: next,
            latest: 0,
            clock,
            sane_until: 0,
            unread: 0,
        }
    }

    /// Looks how far the thread is.
    pub fn look(&mut self) {
        let cursor = self.ring.cursor.load(Ordering::Acquire);
        if cursor > self.reserved && cursor - self.next.max(self.returned) <= ring::SLOTS {
            self.reserved = cursor;
        } else if self.is_read() && self.is_written(self.next) {
            // A signal handler wrote it, and the thread it interrupted told of an earlier one after that.
            self.reserved += 1;
        }
    }

    /// Whether all that was reserved has been read.
    pub fn is_read(&self) -> bool {
        self.next == self.reserved
    }

    /// Whether the thread has written a slot behind the next one.
    pub fn goes_on(&self) -> bool {
        self.is_written(self.next + 1)
    }

    fn is_written(&self, index: u64) -> bool {
        self.slots[ring::place(index)].copy().is_written(index)
    }

    /// What comes next.
    #[inline]
    pub fn peek(&mut self) -> Next {
        if self.is_read() {
            return Next::Nothing;
        }
        match self.copied() {
            Some(slot) => Next::At(self.time(slot.time)),
            None => self.copy_and_peek(),
        }
    }

    /// When a slot was written that says that it was then.
    #[inline]
    fn time(&mut self, said: u64) -> u64 {
        self.time_after(said, self.latest)
    }

    #[inline]
    fn time_after(&mut self, said: u64, latest: u64) -> u64 {
        if said > self.sane_until {
            self.look_at_clock();
        }
        if said > self.sane_until { latest } else { said.max(latest) }
    }

    #[cold]
    fn look_at_clock(&mut self) {
        self.sane_until = clock::now(self.clock).saturating_add(AHEAD);
    }

    #[cold]
    fn copy_and_peek(&mut self) -> Next {
        self.copy();
        match self.copied() {
            Some(slot) => Next::At(self.time(slot.time)),
            None => Next::Unwritten,
        }
    }

    /// What comes next, if it is as late as it says, and not later because something before it was.
    #[inline]
    pub fn front(&self) -> Option<&Copied> {
        self.copied().filter(|slot| slot.time >= self.latest)
    }

    /// Nothing that comes is earlier than this.
    pub fn postpone(&mut self, until: u64) {
        self.latest = self.latest.max(until);
    }

    /// Takes what came next. Returns its index, and the slot.
    #[inline]
    pub fn take(&mut self) -> Option<(u64, Copied)> {
        let mut slot = *self.copied()?;
        slot.time = self.time(slot.time);
        self.latest = slot.time;
        self.advance();
        Some((self.next - 1, slot))
    }

    /// What was copied last, if nothing of it has been taken.
    #[inline]
    pub fn ahead(&self) -> Option<&[Copied]> {
        (self.next == self.window_at).then_some(&*self.window)
    }

    /// The copy of the next slot, unless it was made before the slot was written.
    #[inline]
    fn copied(&self) -> Option<&Copied> {
        let place = usize::try_from(self.next - self.window_at).ok()?;
        self.window.get(place).filter(|slot| slot.is_written(self.next))
    }

    /// Keeps what has been written, so many slots at most, and gives it back to the thread. Nothing may have been taken
    /// of it that was not hoarded.
    pub fn hoard(&mut self, most: usize) {
        self.look();
        let from = self.next.max(self.returned);
        let room = most.saturating_sub(self.hoard.len());
        self.hoarded_until = self.hoarded_until.max(self.latest);
        let mut next = from;
        for index in (from..self.reserved).take(room) {
            let mut slot = self.slots[ring::place(index)].copy();
            if !slot.is_written(index) {
                break;
            }
            slot.time = self.time_after(slot.time, self.hoarded_until);
            self.hoarded_until = slot.time;
            self.hoard.push_back(slot);
            next = index + 1;
        }
        self.give_back_until(next);
    }

    /// Until when there is enough to do for a while; `None` if there is nothing hoarded, or little.
    pub fn enough_until(&self) -> Option<u64> {
        self.hoard.get(A_WHILE).map(|slot| slot.time.max(self.latest))
    }

    /// Copies the next slots.
    fn copy(&mut self) {
        if !self.hoard.is_empty() {
            return self.copy_hoarded();
        }
        let until = self.reserved.min(self.next + WINDOW as u64);
        let slots = (self.next..until).map(|index| self.slots[ring::place(index)].copy());
        self.window.clear();
        self.window.extend(slots);
        self.window_at = self.next;
    }

    #[cold]
    fn copy_hoarded(&mut self) {
        let count = self.hoard.len().min(WINDOW);
        self.window.clear();
        self.window.extend(self.hoard.drain(..count));
        self.window_at = self.next;
        if self.hoard.is_empty() {
            self.hoard = VecDeque::new();
        } else if self.next >= self.hoard_at {
            // Half as much as was taken may be put behind it: a thread that is faster than we are waits in the end.
            self.hoard(self.hoard.len() + AGAIN / 2);
            self.hoard_at = self.next + AGAIN as u64;
        }
    }

    /// The index of what comes next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The latest time taken.
    pub fn latest(&self) -> u64 {
        self.latest
    }

    /// Steps over what comes next.
    pub fn skip(&mut self) {
        self.advance();
    }

    #[inline]
    fn advance(&mut self) {
        self.next += 1;
        if self.next.saturating_sub(self.returned) >= BATCH {
            self.give_back();
        }
    }

    /// Gives the slots that were read back to their thread, and wakes it if it waits for them.
    pub fn give_back(&mut self) {
        self.give_back_until(self.next);
    }

    fn give_back_until(&mut self, index: u64) {
        if self.returned >= index {
            return;
        }
        self.returned = index;
        self.ring.reader.head.store(index, Ordering::SeqCst);
        if self.ring.reader.waiting.load(Ordering::SeqCst) != 0 {
            self.ring.reader.waiting.store(0, Ordering::SeqCst);
            // Nobody there to be woken is fine.
            let _ = futex::wake(&self.ring.reader.waiting, futex::Flags::empty(), 1);
        }
    }
}
