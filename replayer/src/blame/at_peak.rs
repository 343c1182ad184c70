//! What every stack had alive when all that was alive was greatest, found in one pass.
//!
//! Nobody knows of a peak that it is the last until the end. So the peaks have numbers, and a stack
//! whose live bytes change after a peak first puts aside what it had at that peak: a change costs the same
//! whether there are ten stacks or a million.

use super::ledger::{Culprit, Ledger};

/// What one stack has alive.
#[derive(Clone, Copy, Debug, Default)]
struct Live {
    counted: u64,
    weight: f64,
    variance: f64,
}

impl Live {
    fn add(&mut self, amount: u64, weight: f64) {
        self.counted = self.counted.wrapping_add(amount);
        self.weight += weight * amount as f64;
        self.variance += weight * (weight - 1.0) * amount as f64 * amount as f64;
    }

    fn subtract(&mut self, amount: u64, weight: f64) {
        self.counted = self.counted.wrapping_sub(amount);
        self.weight -= weight * amount as f64;
        self.variance -= weight * (weight - 1.0) * amount as f64 * amount as f64;
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    now: Live,
    /// At the peak of this number.
    at_peak: Live,
    peak: u64,
}

/// An allocation: what it asked for, which decides when the peak is, and what is counted of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes {
    pub(super) requested: u64,
    pub(super) counted: u64,
}

/// Live bytes by stack, now and at the peak.
#[derive(Debug)]
pub(super) struct AtPeak {
    /// By number of the stack. What is left out comes last: it lives too, and decides when the peak is.
    entries: Vec<Entry>,
    requested: u64,
    greatest: u64,
    /// The number of the latest peak.
    peak: u64,
}

impl AtPeak {
    /// Nothing is alive of any of so many stacks.
    pub(super) fn new(stacks: usize) -> AtPeak {
        let mut entries = Vec::new();
        // Written, not only reserved; see `Ledger::new`.
        entries.resize(stacks.max(1) + 1, Entry::default());
        AtPeak { entries, requested: 0, greatest: 0, peak: 0 }
    }

    #[inline]
    fn entry(&mut self, culprit: Culprit) -> &mut Entry {
        let row = culprit.row(self.entries.len());
        let entry = &mut self.entries[row];
        if entry.peak != self.peak {
            (entry.at_peak, entry.peak) = (entry.now, self.peak);
        }
        entry
    }

    /// An allocation lives.
    #[inline]
    pub(super) fn began(&mut self, culprit: Culprit, bytes: Bytes) {
        self.entry(culprit).now.add(bytes.counted, culprit.weight);
        self.requested = self.requested.wrapping_add(bytes.requested);
    }

    /// An allocation lives no more.
    #[inline]
    pub(super) fn ended(&mut self, culprit: Culprit, bytes: Bytes) {
        self.entry(culprit).now.subtract(bytes.counted, culprit.weight);
        self.requested = self.requested.wrapping_sub(bytes.requested);
    }

    /// A call is over: perhaps this is the peak.
    #[inline]
    pub(super) fn note(&mut self) {
        if self.requested > self.greatest {
            self.greatest = self.requested;
            self.peak += 1;
        }
    }

    /// What lives was another process's, so nobody's; peaks are looked for from here on.
    pub(super) fn restart(&mut self, nobody: Culprit) {
        let mut all = Live::default();
        for entry in &mut self.entries {
            all.counted = all.counted.wrapping_add(entry.now.counted);
            *entry = Entry::default();
        }
        all.weight = all.counted as f64;
        let row = nobody.row(self.entries.len());
        self.entries[row].now = all;
        (self.greatest, self.peak) = (0, 0);
    }

    /// Peaks are looked for from here on, of what lives; this is the first.
    pub(super) fn begin_range(&mut self) {
        self.greatest = self.requested;
        self.peak += 1;
    }

    /// Charges what was alive at the peak.
    pub(super) fn settle(&self, ledger: &mut Ledger) {
        for (row, entry) in self.entries.iter().enumerate() {
            let live = if entry.peak == self.peak { entry.at_peak } else { entry.now };
            ledger.charge_sum(row, live.counted.into(), live.weight, live.variance);
        }
    }

    /// Charges what is alive now.
    pub(super) fn settle_now(&self, ledger: &mut Ledger) {
        for (row, Entry { now, .. }) in self.entries.iter().enumerate() {
            ledger.charge_sum(row, now.counted.into(), now.weight, now.variance);
        }
    }
}
