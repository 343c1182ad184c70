//! Storms: stretches of a run in which memory goes to the kernel and comes back, over and over.
//!
//! A run is looked at window by window. In one of them the break moved by Δ₁, Δ₂, …; how far it went for nothing is
//!
//! ```text
//! oscillation = 1 − |Σ Δ| / Σ |Δ|
//! ```
//!
//! which is 0 if it only grew and 1 if it ended where it began. Mappings are looked at in the same way, each mmap
//! counting as +1 and each munmap as −1. A window of eight slices is stormy if the oscillation is above 0.9 and there
//! were more than 100 moves in 10⁵ records; windows that follow each other are one storm. What is over within a small
//! part of a window cannot be seen: in a long trace that is some hundred thousand records.

use crate::metrics::slices::Slices;
use serde::Serialize;

/// More than this is a storm, where there are moves enough.
const OSCILLATION: f64 = 0.9;
/// Moves in so many records …
const RECORDS: u64 = 100_000;
/// … are enough, if there are more than this.
const MOVES: u64 = 100;
/// So many slices are looked at together: a cycle may be longer than one.
pub const TOGETHER: usize = 8;
/// Fewer moves than this are none, however short the window.
const LEAST_MOVES: u64 = 10;

/// What goes back and forth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The program break.
    Break,
    /// Mappings.
    Mappings,
}

impl Kind {
    /// Both.
    pub const ALL: [Kind; 2] = [Kind::Break, Kind::Mappings];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Break => "program break",
            Kind::Mappings => "mappings",
        }
    }
}

/// A stretch in which something goes back and forth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Storm {
    /// What.
    pub kind: Kind,
    /// The record it begins with.
    pub from: u64,
    /// The record before which it ends.
    pub to: u64,
    /// When it begins, in nanoseconds since the trace began.
    pub began: u64,
    /// When it ends.
    pub ended: u64,
    /// Moves up, or mappings made.
    pub up: u64,
    /// Moves down, or mappings given back.
    pub down: u64,
    /// How much of the way was for nothing.
    pub oscillation: f64,
    /// Bytes that went back and came again; of mappings that is not counted.
    pub churned: Option<u64>,
    /// Page faults meanwhile.
    pub faults: u64,
}

/// What a window moved.
#[derive(Clone, Copy, Debug, Default)]
struct Moved {
    up: u64,
    down: u64,
    /// How far, in bytes or in mappings.
    way_up: u64,
    way_down: u64,
    faults: u64,
}

impl Moved {
    fn add(self, other: Moved) -> Moved {
        Moved {
            up: self.up + other.up,
            down: self.down + other.down,
            way_up: self.way_up + other.way_up,
            way_down: self.way_down + other.way_down,
            faults: self.faults + other.faults,
        }
    }

    fn oscillation(&self) -> f64 {
        let way = self.way_up + self.way_down;
        if way == 0 { 0.0 } else { 1.0 - self.way_up.abs_diff(self.way_down) as f64 / way as f64 }
    }

    fn is_storm(&self, records: u64) -> bool {
        let moves = self.up + self.down;
        moves >= LEAST_MOVES && moves * RECORDS > MOVES * records && self.oscillation() > OSCILLATION
    }
}

/// Every storm of a run, in the order they began.
pub fn storms(slices: &Slices) -> Vec<Storm> {
    let mut storms: Vec<Storm> =
        Kind::ALL.into_iter().flat_map(|kind| of_kind(slices, kind, TOGETHER)).collect();
    storms.sort_by_key(|storm| storm.from);
    storms
}

/// A window: the record and the time it begins with, those it ends with, and what it moved.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: (u64, u64),
    to: (u64, u64),
    moved: Moved,
}

fn of_kind(slices: &Slices, kind: Kind, together: usize) -> Vec<Storm> {
    let mut storms: Vec<Storm> = Vec::new();
    let mut going: Option<Window> = None;
    for window in windows(slices, kind, together) {
        let is_storm = window.moved.is_storm(window.to.0 - window.from.0);
        going = match going {
            Some(storm) if is_storm => {
                Some(Window { from: storm.from, to: window.to, moved: storm.moved.add(window.moved) })
            }
            Some(storm) => {
                storms.push(storm.told(kind));
                None
            }
            None => is_storm.then_some(window),
        };
    }
    storms.extend(going.map(|storm| storm.told(kind)));
    storms
}

impl Window {
    fn told(&self, kind: Kind) -> Storm {
        let moved = &self.moved;
        Storm {
            kind,
            from: self.from.0,
            to: self.to.0,
            began: self.from.1,
            ended: self.to.1,
            up: moved.up,
            down: moved.down,
            oscillation: moved.oscillation(),
            churned: (kind == Kind::Break).then_some(moved.way_up.min(moved.way_down)),
            faults: moved.faults,
        }
    }
}

/// So many slices together, one after the other.
fn windows(slices: &Slices, kind: Kind, together: usize) -> Vec<Window> {
    let at = |list: &[u64], place: usize| list.get(place).copied().unwrap_or(0);
    let all = &slices.all;
    let moved = |place: usize| {
        let (ups, downs, way_up, way_down) = match kind {
            Kind::Break => {
                (&all.break_grown, &all.break_trimmed, &all.break_grown_bytes, &all.break_trimmed_bytes)
            }
            Kind::Mappings => (&all.mmap, &all.munmap, &all.mmap, &all.munmap),
        };
        Moved {
            up: at(ups, place),
            down: at(downs, place),
            way_up: at(way_up, place),
            way_down: at(way_down, place),
            faults: at(&all.faults, place),
        }
    };
    let mut from = (slices.first, slices.began);
    let places: Vec<usize> = (0..slices.ends.len()).collect();
    let window = |places: &[usize]| {
        let last = places[places.len() - 1];
        let to = (slices.ends[last], at(&slices.times, last));
        let moved = places.iter().fold(Moved::default(), |sum, &place| sum.add(moved(place)));
        Window { from: std::mem::replace(&mut from, to), to, moved }
    };
    places.chunks(together).map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::slices::SliceTotals;

    /// Slices of 1000 records, in which the break moved up and down so often, by so many bytes.
    fn slices(moves: &[(u64, u64, u64, u64)]) -> Slices {
        let column = |value: fn(&(u64, u64, u64, u64)) -> u64| moves.iter().map(value).collect::<Vec<u64>>();
        let ends: Vec<u64> = (1..=moves.len() as u64).map(|end| end * 1000).collect();
        Slices {
            times: ends.iter().map(|end| end * 10).collect(),
            ends,
            all: SliceTotals {
                break_grown: column(|one| one.0),
                break_trimmed: column(|one| one.1),
                break_grown_bytes: column(|one| one.2),
                break_trimmed_bytes: column(|one| one.3),
                ..SliceTotals::default()
            },
            ..Slices::default()
        }
    }

    #[test]
    fn going_back_and_forth_is_a_storm_and_growing_is_none() {
        let growing = (100, 0, 1 << 20, 0);
        let stormy = (50, 50, 1 << 20, 1 << 20);
        let found =
            of_kind(&slices(&[growing, stormy, stormy, growing, (1, 1, 4096, 4096), stormy]), Kind::Break, 1);
        let told: Vec<(u64, u64, u64)> = found.iter().map(|one| (one.from, one.to, one.up)).collect();
        assert_eq!(told, [(1000, 3000, 100), (5000, 6000, 50)]);
        assert_eq!((found[0].began, found[0].ended, found[0].churned), (10_000, 30_000, Some(2 << 20)));
        assert!(found[0].oscillation > 0.99);
        // A cycle that is longer than a slice.
        let halves = slices(&[(50, 0, 1 << 20, 0), (0, 50, 0, 1 << 20)]);
        assert_eq!((of_kind(&halves, Kind::Break, 1).len(), storms(&halves).len()), (0, 1));
        assert_eq!(storms(&slices(&[(90, 10, 9 << 20, 1 << 20)])), []);
        assert_eq!(storms(&slices(&[])), []);
    }
}
