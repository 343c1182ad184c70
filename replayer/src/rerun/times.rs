//! How long calls took, in a fixed number of bytes: counts in steps of a thirty-second of a power of two.

use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Steps of each power of two: a percentile is right to 3 %.
const STEPS: u64 = 32;
const STEPS_LOG: u32 = STEPS.trailing_zeros();
/// Steps up to the largest number.
const LENGTH: usize = ((64 - STEPS_LOG as usize) + 1) << STEPS_LOG;

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

/// Counts of durations.
#[derive(Clone, Debug)]
pub struct Times {
    counts: Vec<u64>,
    sum: u128,
    number: u64,
    longest: u64,
    clock: u64,
}

impl Times {
    /// None yet; finds out what it takes to ask for the time.
    pub fn new() -> Times {
        let mut asked: Vec<u64> = (0..1001).map(|_| nanos_since(Instant::now())).collect();
        asked.sort_unstable();
        // Written, so that none of it is met for the first time later.
        let counts = (0..LENGTH).map(|place| (place == LENGTH).into()).collect();
        Times { counts, sum: 0, number: 0, longest: 0, clock: asked[asked.len() / 2] }
    }

    /// Something began then, and is over now.
    pub fn note(&mut self, began: Instant) {
        self.count(nanos_since(began).saturating_sub(self.clock));
    }

    fn count(&mut self, nanos: u64) {
        self.counts[step(nanos)] += 1;
        self.sum += u128::from(nanos);
        self.number += 1;
        self.longest = self.longest.max(nanos);
    }

    /// What so many of a thousand took at most.
    fn at(&self, of_a_thousand: u64) -> u64 {
        let wanted = (u128::from(self.number) * u128::from(of_a_thousand)).div_ceil(1000);
        let mut seen = 0_u128;
        let mut enough = |&(_, &count): &(usize, &u64)| {
            seen += u128::from(count);
            seen >= wanted.max(1)
        };
        self.counts.iter().enumerate().find(|each| enough(each)).map_or(0, |(place, _)| least_of(place))
    }

    /// All of them.
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    pub fn nanos(&self) -> Nanos {
        Nanos {
            mean: self.sum as f64 / self.number.max(1) as f64,
            p50: self.at(500),
            p99: self.at(990),
            p999: self.at(999),
            longest: self.longest,
            clock: self.clock,
        }
    }
}

impl Default for Times {
    fn default() -> Times {
        Times::new()
    }
}

fn nanos_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The step of a number.
fn step(nanos: u64) -> usize {
    let shift = (63 - (nanos | 1).leading_zeros()).saturating_sub(STEPS_LOG);
    let step = (u64::from(shift) << STEPS_LOG) + (nanos >> shift);
    usize::try_from(step).expect("at most 2 × 32 + 59 × 32")
}

/// The least number of a step.
fn least_of(step: usize) -> u64 {
    let step = step as u64;
    let shift = (step >> STEPS_LOG).saturating_sub(1);
    (step - (shift << STEPS_LOG)) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_holds_what_is_nearly_the_same() {
        for nanos in (0..5000).chain([1 << 20, (1 << 40) + 12345, u64::MAX]) {
            let least = least_of(step(nanos));
            assert!(least <= nanos && nanos - least <= nanos / STEPS, "{nanos} in the step of {least}");
            assert_eq!(step(least), step(nanos));
        }
        assert!(step(u64::MAX) < LENGTH);
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_numbers() {
        let mut times = Times::new();
        (1..=1000).for_each(|nanos| times.count(nanos));
        let nanos = times.nanos();
        assert_eq!((nanos.p50, nanos.longest), (496, 1000), "{nanos:?}");
        assert!(nanos.p99 <= 990 && nanos.p99 > 960 && nanos.p999 <= 999 && nanos.p999 > 968, "{nanos:?}");
        assert!((nanos.mean - 500.5).abs() < 1e-9);
    }
}
