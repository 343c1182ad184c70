//! A quantity over time in a fixed number of points, however long the trace.
//!
//! When the points are used up, every two become one and the next ones are twice as far apart. A
//! point keeps what was true at its end, and the extremes since the point before it.

use serde::{Deserialize, Serialize};

/// The most points there are.
pub const POINTS: usize = 1024;

/// What is known at one moment of a run. Bytes, unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Records replayed before it.
    pub record: u64,
    /// Nanoseconds since the trace began.
    pub time: u64,
    /// What the program has asked for and not given back.
    pub live: u64,
    /// The chunks of those allocations: with heads and padding.
    pub held: u64,
    /// What all arenas have from the kernel, and all mapped chunks.
    pub system: u64,
    /// Of that, chunks with a mapping of their own.
    pub mapped: u64,
    /// Pages the kernel has found for it.
    pub resident: u64,
    /// The program break above its beginning.
    pub program_break: u64,
    /// Free memory of the main heap that cannot go back to the kernel because something live lies above.
    pub pinned: u64,
    /// Free chunks in threads' caches.
    pub cached: u64,
    /// The least the program break was since the point before.
    pub least_break: u64,
    /// The most it was.
    pub greatest_break: u64,
    /// The most memory was resident.
    pub greatest_resident: u64,
    /// The most was live.
    pub greatest_live: u64,
    /// How often the program break grew since the point before: a number, not bytes.
    pub break_grown: u64,
    /// How often it was trimmed.
    pub break_trimmed: u64,
}

/// Samples at growing distances.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    samples: Vec<Sample>,
    /// Records between two samples.
    distance: u64,
    next: u64,
}

impl Series {
    pub(crate) fn new() -> Series {
        Series { samples: Vec::with_capacity(POINTS), distance: 1, next: 1 }
    }

    /// Whether a sample should be taken after this many records.
    #[inline]
    pub(crate) fn is_due(&self, records: u64) -> bool {
        records >= self.next
    }

    pub(crate) fn push(&mut self, sample: Sample) {
        if self.samples.len() == POINTS {
            self.halve();
        }
        self.samples.push(sample);
        self.next = sample.record + self.distance;
    }

    /// Makes one of every two, the later, which keeps the extremes of both.
    fn halve(&mut self) {
        let pairs = self.samples.chunks_exact(2).map(|pair| {
            let (earlier, later) = (pair[0], pair[1]);
            Sample {
                least_break: earlier.least_break.min(later.least_break),
                greatest_break: earlier.greatest_break.max(later.greatest_break),
                greatest_resident: earlier.greatest_resident.max(later.greatest_resident),
                greatest_live: earlier.greatest_live.max(later.greatest_live),
                break_grown: earlier.break_grown + later.break_grown,
                break_trimmed: earlier.break_trimmed + later.break_trimmed,
                ..later
            }
        });
        self.samples = pairs.collect();
        self.samples.reserve_exact(POINTS - self.samples.len());
        self.distance *= 2;
    }

    /// Takes out the samples: it is over.
    pub(crate) fn take(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_keeps_its_extremes_in_few_points() {
        let mut series = Series::new();
        for record in 1..=1_000_000 {
            if series.is_due(record) {
                let spike = if record == 4 { 99 } else { 1 };
                series.push(Sample { record, greatest_live: spike, ..Sample::default() });
            }
        }
        let samples = series.take();
        assert!(samples.len() <= POINTS && samples.len() > POINTS / 4);
        assert_eq!(samples[0].greatest_live, 99);
        assert!(samples.windows(2).all(|pair| pair[0].record < pair[1].record));
    }
}
