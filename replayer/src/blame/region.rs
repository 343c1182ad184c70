//! Memory that goes back to the kernel from its upper end only: the main heap, or a segment of another
//! arena. Its highest live chunk pins all that is free below, and is charged with that for as long as it
//! does.

use super::heights::{Heights, NOBODY};

/// The highest live chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Highest {
    /// Where it begins.
    pub(super) at: u64,
    /// Where it ends.
    pub(super) end: u64,
    /// The slot of the allocation in it, or [`NOBODY`].
    pub(super) slot: u32,
}

/// What the highest chunk is to be charged with, in byte-nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) at: u64,
    pub(super) slot: u32,
    pub(super) amount: u128,
}

/// The main heap, or a segment.
#[derive(Debug)]
pub(super) struct Region {
    heights: Heights,
    /// Where its lowest chunk begins.
    start: u64,
    /// Bytes of all live chunks.
    live: u64,
    /// Bytes that others took by moving the break.
    foreign: u64,
    /// Bytes of the chunks below the highest that threads' caches are kept in: in use, but nobody's.
    caches: u64,
    highest: Option<Highest>,
    pinned: u64,
    since: u64,
    /// What the highest chunk has pinned, times how long, up to `since`.
    amount: u128,
}

impl Region {
    /// Nothing lives. No chunk begins below `base`.
    pub(super) fn new(base: u64, smallest: u64) -> Region {
        Region {
            heights: Heights::new(base, smallest),
            start: base,
            live: 0,
            foreign: 0,
            caches: 0,
            highest: None,
            pinned: 0,
            since: 0,
            amount: 0,
        }
    }

    /// Free bytes below the end of the highest live chunk.
    #[cfg(test)]
    pub(super) fn pinned(&self) -> u64 {
        self.pinned
    }

    /// Whether a chunk at this address can be noted.
    #[inline]
    pub(super) fn has_room(&self, at: u64) -> bool {
        self.heights.has_room(at)
    }

    /// Makes room for one.
    #[cold]
    pub(super) fn make_room(&mut self, at: u64) {
        self.heights.make_room(at);
    }

    /// Where the lowest chunk begins, if nothing lives: a segment may have been another's since.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Says where its lowest chunk begins.
    pub(super) fn begin_at(&mut self, start: u64) {
        self.start = start;
    }

    /// Others took so many bytes more.
    pub(super) fn take_foreign(&mut self, by: i64) {
        self.foreign = self.foreign.wrapping_add_signed(by);
    }

    /// Lets time pass, in which nothing has changed.
    #[inline]
    pub(super) fn advance(&mut self, now: u64) {
        self.amount += u128::from(self.pinned) * u128::from(now.saturating_sub(self.since));
        self.since = now;
    }

    /// What the highest chunk is to be charged with so far, once.
    #[inline]
    pub(super) fn take_charge(&mut self) -> Option<Charge> {
        let Highest { at, slot, .. } = self.highest?;
        let amount = std::mem::take(&mut self.amount);
        (amount > 0).then_some(Charge { at, slot, amount })
    }

    /// Whether this is the highest live chunk, or would be.
    #[inline]
    pub(super) fn reaches(&self, at: u64) -> bool {
        self.highest.is_none_or(|highest| at >= highest.at)
    }

    /// A chunk lives, in which there is the allocation of this slot.
    #[inline]
    pub(super) fn insert(&mut self, at: u64, size: u64, slot: u32) {
        if !self.heights.insert(at, slot) {
            return;
        }
        self.live += size;
        if self.reaches(at) {
            self.highest = Some(Highest { at, end: at + size, slot });
        }
    }

    /// A chunk lives no more. `size_of` tells the size of a live one.
    #[inline]
    pub(super) fn remove(&mut self, at: u64, size: u64, size_of: impl Fn(u64) -> u64) {
        if !self.heights.remove(at) {
            return;
        }
        self.live = self.live.wrapping_sub(size);
        if self.highest.is_some_and(|highest| highest.at == at) {
            self.find_highest(at, size_of);
        }
    }

    /// Finds the highest live chunk below an address.
    pub(super) fn find_highest(&mut self, limit: u64, size_of: impl Fn(u64) -> u64) {
        let found = self.heights.highest_below(limit);
        self.highest = found.map(|(at, slot)| Highest { at, end: at + size_of(at), slot });
    }

    /// Counts anew what is pinned, after something has changed: `caches` are the chunks of threads' caches,
    /// by address, with their sizes.
    #[inline]
    pub(super) fn count(&mut self, caches: &[(u64, u64)]) {
        let Some(Highest { end, .. }) = self.highest else {
            self.pinned = 0;
            return;
        };
        let from = caches.partition_point(|&(at, _)| at < self.start);
        let below = caches[from..].iter().take_while(|&&(at, _)| at < end);
        self.caches = below.map(|&(_, size)| size).sum();
        let used = self.live.wrapping_add(self.caches).wrapping_add(self.foreign);
        self.pinned = end.saturating_sub(self.start).saturating_sub(used);
    }

    /// Time begins anew, and nobody is known to answer for what lives.
    pub(super) fn restart(&mut self) {
        self.heights.disown();
        if let Some(highest) = &mut self.highest {
            highest.slot = NOBODY;
        }
        (self.since, self.amount) = (0, 0);
    }
}
