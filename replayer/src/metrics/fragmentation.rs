//! Fragmentation by the four published definitions (Johnstone & Wilson, “The memory fragmentation problem: solved?”,
//! ISMM 1998): what the allocator uses beyond what lives, as a part of what lives.
//!
//! | | used | lives |
//! |---|---|---|
//! | 1 | on average over all moments of used ÷ lives | |
//! | 2 | when most lives | then |
//! | 3 | when most is used | then |
//! | 4 | the most at any time | the most at any time |
//!
//! Each is a ratio less 1: 0.2 is a fifth more than lives. The first three go by the samples of a run, weighted by the
//! records each stands for; the fourth is exact. `used` is what the heap has from the kernel, or what is resident.

use super::Measured;
use super::series::Sample;
use serde::{Deserialize, Serialize};

/// What is taken for used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// Bytes from the kernel, resident or not.
    System,
    /// Pages in memory.
    Resident,
}

/// The numbers of a run: of what it has from the kernel, and of what is resident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fragmentations {
    /// By bytes from the kernel.
    pub system: Option<Fragmentation>,
    /// By pages in memory.
    pub resident: Option<Fragmentation>,
}

impl Fragmentations {
    /// Those of a run.
    pub fn of(measured: &Measured) -> Fragmentations {
        let of = |used| Fragmentation::of(measured, used);
        Fragmentations { system: of(Used::System), resident: of(Used::Resident) }
    }
}

/// The four numbers; none where nothing ever lived.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fragmentation {
    /// On average.
    pub mean: f64,
    /// When most lived.
    pub at_most_live: f64,
    /// When most was used.
    pub at_most_used: f64,
    /// The most used by the most that lived.
    pub of_peaks: f64,
}

impl Fragmentation {
    /// That of a run.
    pub fn of(measured: &Measured, used: Used) -> Option<Fragmentation> {
        let amount = |sample: &Sample| match used {
            Used::System => sample.system,
            Used::Resident => sample.resident,
        };
        let ratio = |used: u64, live: u64| (live > 0).then(|| used as f64 / live as f64 - 1.0);
        let at = |sample: Option<&Sample>| sample.and_then(|sample| ratio(amount(sample), sample.live));
        let series = &measured.series;
        let (mut sum, mut weights, mut before) = (0.0, 0.0, 0);
        for sample in series {
            let weight = sample.record.saturating_sub(before) as f64;
            before = sample.record;
            if let Some(ratio) = ratio(amount(sample), sample.live) {
                sum += weight * ratio;
                weights += weight;
            }
        }
        let most = match used {
            Used::System => measured.peaks.system.bytes,
            Used::Resident => measured.peaks.resident.bytes,
        };
        Some(Fragmentation {
            mean: if weights > 0.0 { sum / weights } else { return None },
            at_most_live: at(series.iter().max_by_key(|sample| sample.live))?,
            // When nothing lives any more there is no ratio: what is used then is not by what lives.
            at_most_used: at(series
                .iter()
                .filter(|sample| sample.live > 0)
                .max_by_key(|sample| amount(sample)))?,
            of_peaks: ratio(most, measured.peaks.live.bytes)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::books::Books;
    use crate::metrics::{Peak, Peaks};

    fn measured(samples: &[(u64, u64, u64)]) -> Measured {
        let sample = |&(record, live, system): &(u64, u64, u64)| Sample {
            record,
            live,
            system,
            resident: system / 2,
            ..Sample::default()
        };
        let most = |value: fn(&(u64, u64, u64)) -> u64| Peak {
            bytes: samples.iter().map(value).max().unwrap_or(0),
            record: 0,
        };
        let peaks = Peaks { live: most(|one| one.1), system: most(|one| one.2), ..Peaks::default() };
        Measured {
            series: samples.iter().map(sample).collect(),
            peaks,
            live: 0,
            held: 0,
            system: 0,
            resident: 0,
            mean_resident: 0,
            mean_resident_over_time: None,
            pinned: 0,
            books: Books::default(),
            waits: None,
            retention: None,
            faults: 0,
            program_break: 0,
        }
    }

    #[test]
    fn the_four_definitions_differ() {
        // Half of the records with 100 of 200, half with 400 of 500, then little lives of what is most.
        let run = measured(&[(50, 100, 200), (100, 400, 500), (110, 50, 600)]);
        let found = Fragmentation::of(&run, Used::System).unwrap();
        let mean = (50.0 * 1.0 + 50.0 * 0.25 + 10.0 * 11.0) / 110.0;
        assert!((found.mean - mean).abs() < 1e-9, "{found:?}");
        assert_eq!((found.at_most_live, found.at_most_used, found.of_peaks), (0.25, 11.0, 0.5));
        let resident = Fragmentation::of(&run, Used::Resident).unwrap();
        assert_eq!(resident.at_most_used, 5.0);
        assert_eq!(Fragmentation::of(&measured(&[(10, 0, 100)]), Used::System), None);
    }
}
