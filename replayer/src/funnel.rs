//! The stops on the way of a request, in glibc's order: how many came so far, and how many went no farther.
//!
//! Every request that was not served by one stop comes to the next, so the numbers are a cascade: what arrives is
//! what the stop before did not serve. Whether the stop was asked is another matter: small requests pass by the
//! large bins, and a size that no tcache holds is looked for in none. Nothing here assumes that what is larger
//! than the mmap threshold is mapped: a bin or the top chunk may have served it before the kernel was asked.

use crate::outcome::Outcome;
use malloscope_allocator::observe::counters::SourceKind;

/// A stop on the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What it is called.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub meaning: &'static str,
    /// Requests that no stop before had served.
    pub arrived: u64,
    /// How often it was asked, where that is counted: a request that consolidates fastbins asks twice.
    pub asked: Option<u64>,
    /// Requests it served.
    pub served: u64,
    /// Free chunks that were taken out and sorted into their bins on the way, where that is done.
    pub sorted: Option<u64>,
}

impl Stop {
    /// Requests that went on to the next stop.
    pub fn went_on(&self) -> u64 {
        self.arrived.saturating_sub(self.served)
    }
}

/// A stop, the kinds of places it stands for, and the kind of bin that says how often it was asked.
struct Row {
    name: &'static str,
    meaning: &'static str,
    serves: &'static [SourceKind],
    asks: Option<&'static str>,
}

/// All stops, in the order in which malloc makes them.
const STOPS: [Row; 10] = [
    Row {
        name: "in place",
        meaning: "realloc kept the chunk: as it was, longer by free memory above it, or remapped.",
        serves: &[SourceKind::Stayed, SourceKind::Extended, SourceKind::Remapped],
        asks: None,
    },
    Row {
        name: "tcache",
        meaning: "The thread's own cache had a chunk of the size.",
        serves: &[SourceKind::Tcache],
        asks: Some("tcache"),
    },
    Row {
        name: "fastbin",
        meaning: "The arena's fastbin of the size had a chunk.",
        serves: &[SourceKind::Fast],
        asks: Some("fast"),
    },
    Row {
        name: "small bin",
        meaning: "The small bin of the size had a chunk.",
        serves: &[SourceKind::Small],
        asks: Some("small"),
    },
    Row {
        name: "unsorted bin",
        meaning: "While sorting what was freed lately, one of the size turned up, or the last remainder was split.",
        serves: &[SourceKind::Unsorted, SourceKind::LastRemainder],
        asks: Some("unsorted"),
    },
    Row {
        name: "large bin",
        meaning: "The large bin of the size had a chunk that was large enough.",
        serves: &[SourceKind::Large],
        asks: Some("large"),
    },
    Row {
        name: "a larger chunk",
        meaning: "A chunk of the next larger bin that had any was split.",
        serves: &[SourceKind::Split],
        asks: None,
    },
    Row {
        name: "top",
        meaning: "The chunk that borders unclaimed memory was large enough.",
        serves: &[SourceKind::Top],
        asks: Some("top"),
    },
    Row {
        name: "mapped",
        meaning: "The kernel gave the chunk a mapping of its own.",
        serves: &[SourceKind::Mapped],
        asks: Some("mapped"),
    },
    Row {
        name: "grown top",
        meaning: "The kernel made the top chunk larger: by moving the program break, or in a segment.",
        serves: &[SourceKind::GrownTop],
        asks: None,
    },
];

/// The stops of all requests of a run. What is left after the last was refused.
pub fn stops(outcome: &Outcome) -> Vec<Stop> {
    let served = |kind: SourceKind| {
        let row = outcome.served.iter().find(|row| row.from == kind.name());
        row.map_or(0, |row| row.requests)
    };
    let bins = |kind: &'static str| outcome.bins.iter().filter(move |row| row.kind == kind);
    let mut arrived = outcome.requests.max(outcome.served.iter().map(|row| row.requests).sum());
    STOPS
        .iter()
        .map(|row| {
            let served: u64 = row.serves.iter().map(|&kind| served(kind)).sum();
            // A chunk that is split was found by another stop than the one of its bin.
            let asked = row.asks.map(|kind| served + bins(kind).map(|bin| bin.misses).sum::<u64>());
            let sorted =
                (row.asks == Some("unsorted")).then(|| outcome.bins.iter().map(|bin| bin.sorted).sum());
            let stop = Stop { name: row.name, meaning: row.meaning, arrived, asked, served, sorted };
            arrived = stop.went_on();
            stop
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_one_stop() {
        for kind in SourceKind::ALL {
            let stops = STOPS.iter().filter(|row| row.serves.contains(&kind)).count();
            assert_eq!(stops, 1, "{kind:?}");
        }
    }
}
