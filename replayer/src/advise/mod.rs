//! What to set, what it buys and costs, and why; or that nothing helps.
//!
//! Runs are weighed against the recorded settings in two numbers, each 1 for those:
//!
//! * memory, which is the mean of three ratios: resident at the peak, on average over time, and at the end, which counts
//!   half; and if the program had exited, does not count at all;
//! * time, which is the time that the recording took, with what the kernel and malloc's searches take in this run in place
//!   of what they took in the recorded one.
//!
//! That is an estimate: faults, calls of the kernel, and requests and frees that no cache serves are counted by the
//! replay, and what one of each takes is measured on the machine that advises (`prices.rs`). Waiting for locks is not in
//! it: that is not replayed. Of a trace without times nobody knows what part of the time it is: runs are weighed as if
//! the program did nothing but call malloc.

pub mod choice;
pub mod paste;
pub mod prices;
pub mod refine;
pub mod verdict;

use crate::outcome::Outcome;
use crate::plan::Planned;
use prices::Prices;
use serde::Serialize;

/// What is to become less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Resident memory.
    Rss,
    /// The processor's time.
    Cpu,
    /// The calls that take long.
    P99,
    /// Memory and time, a part of the one for the same part of the other.
    Balanced,
}

impl Goal {
    /// Every one.
    pub const ALL: [Goal; 4] = [Goal::Rss, Goal::Cpu, Goal::P99, Goal::Balanced];

    /// How the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            Goal::Rss => "rss",
            Goal::Cpu => "cpu",
            Goal::P99 => "p99",
            Goal::Balanced => "balanced",
        }
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Goal::Rss => "Less resident memory: at the peak, on average, and at the end.",
            Goal::Cpu => "Less time in the kernel: fewer page faults and system calls.",
            Goal::P99 => "Fewer calls that enter the kernel, which are those that take long.",
            Goal::Balanced => "Both: a tenth of the memory is worth a tenth of the time.",
        }
    }
}

/// A run beside the recorded settings: each number is 1 for those, and less is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Weight {
    /// The mean of resident memory's ratios at the peak, over time and at the end.
    pub memory: f64,
    /// What `memory` is a ratio of, in bytes less than under the recorded settings: the mean of the three.
    pub saved_bytes: f64,
    /// Resident memory at the peak alone.
    pub peak: f64,
    /// The time that the program would take.
    pub time: f64,
    /// Calls of malloc's that enter the kernel.
    pub entries: f64,
}

impl Weight {
    /// What a goal goes by; less is better.
    pub fn towards(&self, goal: Goal) -> f64 {
        match goal {
            Goal::Rss => self.memory,
            Goal::Cpu => self.time,
            Goal::P99 => self.entries,
            Goal::Balanced => self.memory * self.time,
        }
    }

    /// Whether it is no worse in memory and in time, and better in one.
    pub fn dominates(&self, other: &Weight) -> bool {
        let no_worse = self.memory <= other.memory && self.time <= other.time;
        no_worse && (self.memory < other.memory || self.time < other.time)
    }
}

/// A run, weighed.
#[derive(Clone, Debug)]
pub struct Weighed {
    /// Its name and trial.
    pub planned: Planned,
    /// What came of it.
    pub outcome: Outcome,
    /// How it compares with the first.
    pub weight: Weight,
}

/// Weighs runs, the first being as recorded; `goes_on` is whether the program did, when the recording was over.
pub fn weigh(runs: Vec<(Planned, Outcome)>, goes_on: bool, prices: Prices) -> Vec<Weighed> {
    let Some((_, base)) = runs.first() else { return Vec::new() };
    let base = base.clone();
    let weighed = |(planned, outcome): (Planned, Outcome)| {
        let weight = weight(&outcome, &base, goes_on, prices);
        Weighed { planned, outcome, weight }
    };
    runs.into_iter().map(weighed).collect()
}

/// How a run compares with the recorded settings.
fn weight(run: &Outcome, base: &Outcome, goes_on: bool, prices: Prices) -> Weight {
    let (ours, theirs) = (&run.measured, &base.measured);
    let over_time = |outcome: &Outcome| {
        let measured = &outcome.measured;
        measured.mean_resident_over_time.unwrap_or(measured.mean_resident)
    };
    let resident = [
        (ours.peaks.resident.bytes, theirs.peaks.resident.bytes),
        (over_time(run), over_time(base)),
        (ours.resident, theirs.resident),
    ];
    let [peak, mean, end] = resident.map(|(ours, theirs)| ratio(ours, theirs));
    let saved = resident.map(|(ours, theirs)| theirs as f64 - ours as f64);
    let together = |[peak, mean, end]: [f64; 3]| {
        if goes_on { (2.0 * peak + 2.0 * mean + end) / 5.0 } else { (peak + mean) / 2.0 }
    };
    let nanos = |run: &Outcome| prices.kernel_nanos(run) + prices.search_nanos(run);
    let (kernel, recorded) = (nanos(run), nanos(base));
    let calls_alone = base.cost.processor_seconds * 1e9 + recorded;
    let whole = program_nanos(base).unwrap_or(calls_alone).max(recorded).max(1.0);
    Weight {
        memory: together([peak, mean, end]),
        saved_bytes: together(saved),
        peak,
        time: (whole - recorded + kernel) / whole,
        entries: ratio(run.kernel.total(), base.kernel.total()),
    }
}

/// The time the program took, if the trace has times.
pub fn program_nanos(base: &Outcome) -> Option<f64> {
    (base.traced_nanos > 0).then_some(base.traced_nanos as f64)
}

fn ratio(of: u64, to: u64) -> f64 {
    if of == to { 1.0 } else { of as f64 / to.max(1) as f64 }
}
