//! How long memory stays that is no longer needed: after the peak, until half of it is gone.
//!
//! At the sample at which most is resident, so much is resident beyond what lives: the *excess*. Its half-life is the
//! time from there to the first later sample at which no more than half as much is. It is known as finely as the samples
//! lie apart; where half of it is still there at the end, there is none.

use super::series::Sample;
use serde::{Deserialize, Serialize};

/// What was resident beyond what lived at the peak, and how long half of it stayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Records before the sample at which most was resident.
    pub peak: u64,
    /// Bytes resident then beyond those that lived.
    pub excess: u64,
    /// Records until no more than half as much was; nothing if that was not so up to the end.
    pub half_life_records: Option<u64>,
    /// The same in nanoseconds.
    pub half_life: Option<u64>,
}

impl Retention {
    /// That of a run with these samples; nothing if no more was ever resident than lived at the peak.
    pub fn of(samples: &[Sample]) -> Option<Retention> {
        let excess = |sample: &Sample| sample.resident.saturating_sub(sample.live);
        // The first of the greatest.
        let peak = (0..samples.len()).rev().max_by_key(|&place| samples[place].resident)?;
        let (at, after) = (&samples[peak], &samples[peak..]);
        let half = (excess(at) > 0).then(|| excess(at) / 2)?;
        let gone = after.iter().find(|sample| excess(sample) <= half);
        Some(Retention {
            peak: at.record,
            excess: excess(at),
            half_life_records: gone.map(|gone| gone.record - at.record),
            half_life: gone.map(|gone| gone.time.saturating_sub(at.time)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(numbers: &[(u64, u64)]) -> Vec<Sample> {
        let sample = |(place, &(live, resident)): (usize, &(u64, u64))| {
            let record = place as u64;
            Sample { record, time: 10 * record, live, resident, ..Sample::default() }
        };
        numbers.iter().enumerate().map(sample).collect()
    }

    #[test]
    fn the_half_life_is_from_the_peak_until_half_of_the_excess_is_gone() {
        let run = samples(&[(10, 20), (60, 100), (20, 100), (20, 50), (20, 40), (0, 0)]);
        let found = Retention::of(&run).unwrap();
        assert_eq!((found.peak, found.excess), (1, 40));
        assert_eq!((found.half_life_records, found.half_life), (Some(3), Some(30)));
    }

    #[test]
    fn what_stays_to_the_end_has_no_half_life() {
        let run = samples(&[(10, 20), (60, 100), (0, 100)]);
        assert_eq!(Retention::of(&run).unwrap().half_life, None);
        assert_eq!(Retention::of(&samples(&[(10, 5)])), None);
        assert_eq!(Retention::of(&[]), None);
    }
}
