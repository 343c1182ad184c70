//! What kind of problem it is, if it is one: where the memory is that is resident and not live, at the moment when
//! that is most; and what part of the time goes to the kernel.

use super::prices::Prices;
use super::program_nanos;
use crate::explore::map::{HeapMap, RegionKind, State};
use crate::metrics::series::Sample;
use crate::outcome::Outcome;
use serde::Serialize;

/// Less of the resident memory than this part is nothing to speak of.
const NOTABLE: f64 = 0.25;
/// Nor is it, if it is only so for less than this part of the time.
const LASTING: f64 = 0.05;
/// Nor is it, if it is less than this in bytes.
const NOTABLE_BYTES: u64 = 1 << 20;
/// More of the time than this part in the kernel is a storm.
const STORM: f64 = 0.10;

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Free memory in arenas other than the main one.
    Arenas,
    /// Free memory of the main arena below its top chunk, where chunks in use keep it.
    Pinned,
    /// Free memory at the end of the main arena, which it keeps.
    Top,
    /// What chunks take beyond what was asked for.
    Overhead,
    /// Page faults and calls of the kernel.
    Storm,
    /// None of malloc's.
    None,
}

/// Where the memory is, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Records replayed.
    pub record: u64,
    /// Bytes asked for by what lives.
    pub live: u64,
    /// Bytes of pages in memory.
    pub resident: u64,
    /// Bytes of the chunks that live.
    pub held: u64,
    /// Free bytes of the main arena below its top chunk.
    pub main_below: u64,
    /// Bytes of its top chunk.
    pub main_top: u64,
    /// Free bytes of the other arenas, their top chunks included.
    pub other_arenas: u64,
    /// Arenas besides the main one that have memory.
    pub arenas: u64,
    /// Of all the free bytes, those that wait in caches of threads.
    pub cached: u64,
}

/// What is known before anything is recommended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Facts {
    /// When most memory is resident that does not live.
    pub worst: Moment,
    /// The most that was resident at any time, in bytes.
    pub resident_peak: u64,
    /// The most that lived at any time: bytes asked for.
    pub live_peak: u64,
    /// For which part of the time at least half as much as at the worst is resident and does not live; of the
    /// records, if the trace has no times.
    pub lasts: f64,
    /// The part of the program's time that the kernel's work is estimated to take, if the trace has times.
    pub kernel_share: Option<f64>,
}

/// The moment of a run at which most is resident that does not live; nothing if there is no moment.
pub fn worst(outcome: &Outcome) -> Option<&Sample> {
    outcome.measured.series.iter().max_by_key(|sample| excess(sample))
}

fn excess(sample: &Sample) -> u64 {
    sample.resident.saturating_sub(sample.live)
}

impl Moment {
    /// What a map says of the moment at which so much is resident.
    pub fn of(map: &HeapMap, resident: u64) -> Moment {
        let mut moment = Moment {
            record: map.made,
            live: map.totals.requested,
            resident,
            held: map.totals.of(State::Live).bytes,
            cached: map.totals.of(State::Cached).bytes,
            ..Moment::default()
        };
        let mut others: Vec<u32> = Vec::new();
        for region in &map.regions {
            let free: u64 = State::ALL
                .into_iter()
                .filter(|state| state.is_free())
                .map(|state| region.totals.of(state).bytes)
                .sum();
            match region.kind {
                RegionKind::Main => {
                    let top = region.totals.of(State::Top).bytes;
                    moment.main_top += top;
                    moment.main_below += free - top;
                }
                RegionKind::Segment => {
                    moment.other_arenas += free;
                    others.push(region.arena);
                }
                RegionKind::Mapping => {}
            }
        }
        others.sort_unstable();
        others.dedup();
        moment.arenas = others.len() as u64;
        moment
    }

    /// What is resident and does not live.
    pub fn excess(&self) -> u64 {
        self.resident.saturating_sub(self.live)
    }
}

impl Facts {
    /// What a run under the recorded settings says, with the heap as it was at the [`worst`] moment.
    pub fn of(outcome: &Outcome, worst: Moment, prices: Prices) -> Facts {
        let series = &outcome.measured.series;
        let has_times = program_nanos(outcome).is_some();
        let at = |sample: &Sample| if has_times { sample.time } else { sample.record };
        let first = series.first().map_or(0, at);
        let whole = series.last().map_or(0, at).saturating_sub(first);
        let mut before = first;
        let mut long = 0;
        for sample in series {
            if excess(sample) >= worst.excess() / 2 {
                long += at(sample).saturating_sub(before);
            }
            before = before.max(at(sample));
        }
        Facts {
            worst,
            resident_peak: outcome.measured.peaks.resident.bytes,
            live_peak: outcome.measured.peaks.live.bytes,
            lasts: long as f64 / whole.max(1) as f64,
            kernel_share: program_nanos(outcome).map(|whole| (prices.kernel_nanos(outcome) / whole).min(1.0)),
        }
    }

    /// The most that lived, as a part of the most that was resident.
    pub fn live_part(&self) -> f64 {
        self.live_peak as f64 / self.resident_peak.max(1) as f64
    }

    /// What kinds of problem there are, the first being the one to speak of; none is never beside others.
    pub fn classes(&self) -> Vec<Class> {
        let mut classes = Vec::new();
        if self.kernel_share.is_some_and(|share| share >= STORM) {
            classes.push(Class::Storm);
        }
        let worst = &self.worst;
        let is_notable = self.lasts >= LASTING
            && worst.excess() >= NOTABLE_BYTES
            && worst.excess() as f64 >= NOTABLE * worst.resident as f64;
        if is_notable {
            let overhead = worst.held.saturating_sub(worst.live);
            let parts = [
                (worst.other_arenas, Class::Arenas),
                (worst.main_below, Class::Pinned),
                (worst.main_top, Class::Top),
                (overhead, Class::Overhead),
            ];
            classes.extend(parts.into_iter().max_by_key(|(bytes, _)| *bytes).map(|(_, class)| class));
        }
        if classes.is_empty() {
            classes.push(Class::None);
        }
        classes
    }
}
