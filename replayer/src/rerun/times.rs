//! How long calls took, in a fixed number of bytes.

use super::act::{ALL, Doing};
use crate::histogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Steps of each power of two, as a power of two: a percentile is right to 3 %.
const STEPS_LOG: u32 = 5;

/// Nanoseconds of many calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Nanos {
    /// On average.
    pub mean: f64,
    /// Half of all calls took no longer.
    pub p50: u64,
    /// 99 of a hundred.
    pub p99: u64,
    /// 999 of a thousand.
    pub p999: u64,
    /// The longest.
    pub longest: u64,
    /// What asking for the time takes, which has been subtracted.
    pub clock: u64,
}

/// How long the calls of one kind took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OfKind {
    /// The function: `malloc`.
    pub call: String,
    /// How many there were.
    pub calls: u64,
    /// How long they took.
    pub nanos: Nanos,
}

/// Counts of durations.
#[derive(Clone, Debug)]
pub struct Times {
    counts: Histogram,
    clock: u64,
}

impl Times {
    /// None yet; finds out what it takes to ask for the time.
    pub fn new() -> Times {
        let mut asked: Vec<u64> = (0..1001).map(|_| nanos_since(Instant::now())).collect();
        asked.sort_unstable();
        Times { counts: Histogram::new(STEPS_LOG, u64::BITS), clock: asked[asked.len() / 2] }
    }

    /// Something began then, and is over now.
    pub fn note(&mut self, began: Instant) {
        self.counts.count(nanos_since(began).saturating_sub(self.clock));
    }

    /// All of them.
    pub fn nanos(&self) -> Nanos {
        Nanos {
            mean: self.counts.mean(),
            p50: self.counts.at(500),
            p99: self.counts.at(990),
            p999: self.counts.at(999),
            longest: self.counts.greatest(),
            clock: self.clock,
        }
    }
}

impl Default for Times {
    fn default() -> Times {
        Times::new()
    }
}

/// Counts of durations by the kind of call.
#[derive(Clone, Debug)]
pub(super) struct Clocks([Times; ALL.len()]);

impl Clocks {
    /// None yet.
    pub(super) fn new() -> Clocks {
        let none = Times::new();
        Clocks(std::array::from_fn(|_| none.clone()))
    }

    /// A call began then, and is over now.
    pub(super) fn note(&mut self, doing: Doing, began: Instant) {
        self.0[doing as usize].note(began);
    }

    /// Another thread's are counted with these.
    pub(super) fn absorb(&mut self, other: &Clocks) {
        for (times, others) in self.0.iter_mut().zip(&other.0) {
            times.counts.absorb(&others.counts);
        }
    }

    /// Of all calls together.
    pub(super) fn all(&self) -> Nanos {
        let mut all = self.0[0].clone();
        self.0[1..].iter().for_each(|times| all.counts.absorb(&times.counts));
        all.nanos()
    }

    /// Of each kind of which there were calls.
    pub(super) fn kinds(&self) -> Vec<OfKind> {
        let kinds = ALL.iter().zip(&self.0).filter(|(_, times)| times.counts.number() > 0);
        let of = |(doing, times): (&Doing, &Times)| OfKind {
            call: doing.name().to_owned(),
            calls: times.counts.number(),
            nanos: times.nanos(),
        };
        kinds.map(of).collect()
    }
}

fn nanos_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
