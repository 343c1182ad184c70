//! Moments that are kept while one goes on, so that going back a little does not begin anew.

use super::Moment;
use std::collections::VecDeque;

/// So many are kept: with one alone, the step back from just after it goes a long way.
const KEPT: usize = 2;
/// Of heaps with more pages than this (64 MiB), one alone is kept: each takes as much memory as the heap.
const MANY_PAGES: u64 = 1 << 14;
/// The least and the greatest number of records between two: some milliseconds of replaying, and what the
/// records in between may take (40 MiB).
const SPACING: (u64, u64) = (1 << 15, 1 << 18);
/// Records replayed in the time in which a page is copied, or more: so that keeping moments takes no
/// longer than replaying what lies between them.
const RECORDS_A_PAGE: u64 = 8;

/// Records between two moments that are kept.
pub(super) fn spacing(now: &Moment) -> u64 {
    let pages = now.engine.heap().memory().residency().pages;
    (pages.saturating_mul(RECORDS_A_PAGE)).clamp(SPACING.0, SPACING.1)
}

/// The moments that are kept, the oldest first, each with the number of the tape's next entry.
#[derive(Debug, Default)]
pub(super) struct Past {
    kept: VecDeque<(Moment, u64)>,
}

impl Past {
    /// Whether the latest moment that was kept before now is far back.
    #[inline]
    pub(super) fn is_due(&self, now: &Moment) -> bool {
        let before = self.kept.iter().rev().find(|(kept, _)| kept.made <= now.made);
        before.is_none_or(|(kept, _)| {
            let since = now.made - kept.made;
            since >= SPACING.0 && since >= spacing(now)
        })
    }

    /// Keeps how things stand now.
    pub(super) fn keep(&mut self, now: &Moment, turn: u64) {
        let is_large = now.engine.heap().memory().residency().pages > MANY_PAGES;
        let others = if is_large { 0 } else { KEPT - 1 };
        self.kept.drain(..self.kept.len().saturating_sub(others));
        let place = self.kept.partition_point(|(kept, _)| kept.made <= now.made);
        self.kept.insert(place, (now.clone(), turn));
    }

    /// Takes away the latest moment up to where so many records were replayed, and the tape's next entry
    /// then. It is not copied: that would be one heap too many for a while.
    pub(super) fn take_latest(&mut self, made: u64) -> Option<(Moment, u64)> {
        let place = self.kept.iter().rposition(|(kept, _)| kept.made <= made)?;
        self.kept.remove(place)
    }

    /// The tape's next entry at the oldest moment.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.kept.front().map(|&(_, turn)| turn)
    }
}
