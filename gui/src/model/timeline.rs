//! What a heap had over the records of a trace, and what happened to it, ready to be drawn.
//!
//! A run gives a bounded number of samples and slices whatever the length of its trace, so everything here is
//! bounded too. Finer numbers come from a run that counts a range alone.

use malloscope_replayer::metrics::series::Sample;
use malloscope_replayer::metrics::slices::Slices;
use malloscope_replayer::outcome::Outcome;
use malloscope_replayer::report::units::{bytes, count, nanos};

/// A quantity that is drawn as a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// The program break above its beginning.
    Break,
    /// Asked for and not given back.
    Live,
    /// The chunks of that.
    Held,
    /// Pages in memory.
    Resident,
    /// Free, but below the highest live chunk.
    Pinned,
    /// In mappings of their own.
    Mapped,
    /// From the kernel, all in all.
    System,
}

impl Curve {
    /// All, in the order of the legend.
    pub const ALL: [Curve; 7] = [
        Curve::Break,
        Curve::Live,
        Curve::Held,
        Curve::Resident,
        Curve::Pinned,
        Curve::Mapped,
        Curve::System,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Curve::Break => "Break",
            Curve::Live => "Live",
            Curve::Held => "Held",
            Curve::Resident => "Resident",
            Curve::Pinned => "Pinned",
            Curve::Mapped => "Mapped",
            Curve::System => "System",
        }
    }

    /// What exactly it is.
    pub fn meaning(self) -> &'static str {
        match self {
            Curve::Break => "The program break above its beginning: the end of the main arena's memory.",
            Curve::Live => "Bytes that the program has asked for and not given back.",
            Curve::Held => "The chunks of what is live: with their heads and padding.",
            Curve::Resident => "Pages of all this for which the kernel has found memory.",
            Curve::Pinned => {
                "Free bytes that the break cannot give back, because something live lies above them."
            }
            Curve::Mapped => "Bytes of chunks that have a mapping of their own.",
            Curve::System => "All that malloc has from the kernel: its arenas and its mappings.",
        }
    }

    /// Its value at the end of a sample.
    pub fn value(self, sample: &Sample) -> u64 {
        match self {
            Curve::Break => sample.program_break,
            Curve::Live => sample.live,
            Curve::Held => sample.held,
            Curve::Resident => sample.resident,
            Curve::Pinned => sample.pinned,
            Curve::Mapped => sample.mapped,
            Curve::System => sample.system,
        }
    }

    /// The least and the greatest it was since the sample before, as far as that is known.
    pub fn extremes(self, sample: &Sample) -> (u64, u64) {
        let now = self.value(sample);
        match self {
            Curve::Break => (sample.least_break, sample.greatest_break),
            Curve::Live => (now, sample.greatest_live),
            Curve::Resident => (now, sample.greatest_resident),
            Curve::Held | Curve::Pinned | Curve::Mapped | Curve::System => (now, now),
        }
    }

    /// Whether it stays as it was until it changes all at once.
    pub fn is_in_steps(self) -> bool {
        matches!(self, Curve::Break | Curve::Mapped | Curve::System)
    }
}

/// Something that is counted in each slice, and drawn as bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strip {
    /// Calls of the malloc family, by the second.
    Calls,
    /// How often the break grew and was trimmed.
    Moves,
    /// Minor faults.
    Faults,
    /// Calls of `mmap`.
    Mappings,
}

impl Strip {
    /// All, from the top.
    pub const ALL: [Strip; 4] = [Strip::Calls, Strip::Moves, Strip::Faults, Strip::Mappings];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Strip::Calls => "Calls/s",
            Strip::Moves => "▲ grown ▼ trimmed",
            Strip::Faults => "Faults",
            Strip::Mappings => "mmap",
        }
    }

    /// What exactly it is.
    pub fn meaning(self) -> &'static str {
        match self {
            Strip::Calls => {
                "Calls of malloc and its like in a second of the recording: where the program was busiest."
            }
            Strip::Moves => {
                "How often the program break grew, upward, and how often it was trimmed, downward."
            }
            Strip::Faults => "Minor faults: first touches of pages, for which the kernel had to find memory.",
            Strip::Mappings => "Calls of mmap: chunks with a mapping of their own, and segments of arenas.",
        }
    }
}

/// What happened between two records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// The first record.
    pub first: u64,
    /// The record before which it ends.
    pub end: u64,
    /// How long it took while it was traced, in nanoseconds.
    pub nanos: u64,
    /// Calls of the malloc family.
    pub calls: u64,
    /// Times the break grew.
    pub grown: u64,
    /// Times it was trimmed.
    pub trimmed: u64,
    /// Minor faults.
    pub faults: u64,
    /// Calls of `mmap`.
    pub mappings: u64,
}

impl Slice {
    /// What a strip shows of it: as much upward, as much downward. Of calls, how many in a second; of the others,
    /// how many in a thousand records, so that a slice is as high whatever its length.
    pub fn rates(&self, strip: Strip) -> (f64, f64) {
        let records = self.end.saturating_sub(self.first).max(1) as f64 / 1000.0;
        match strip {
            Strip::Calls if self.nanos == 0 => (0.0, 0.0),
            Strip::Calls => (self.calls as f64 * 1e9 / self.nanos as f64, 0.0),
            Strip::Moves => (self.grown as f64 / records, self.trimmed as f64 / records),
            Strip::Faults => (self.faults as f64 / records, 0.0),
            Strip::Mappings => (self.mappings as f64 / records, 0.0),
        }
    }
}

/// Something there are several of, slice by slice: threads by their calls, arenas by their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// Which of them.
    pub name: String,
    /// A number for each slice.
    pub values: Vec<u64>,
    /// The greatest of them.
    pub greatest: u64,
}

impl Lane {
    fn new(name: String, values: &[u64]) -> Lane {
        Lane { name, values: values.to_vec(), greatest: values.iter().copied().max().unwrap_or(0) }
    }
}

/// A run over its records, ready to draw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// The records of the trace, where the run has not come to its end and they are known.
    pub awaited: Option<u64>,
    /// What was true when, in the order of records.
    pub samples: Vec<Sample>,
    /// What happened in between.
    pub slices: Vec<Slice>,
    /// The calls of each thread, where there are several.
    pub threads: Vec<Lane>,
    /// The bytes of each arena, where there are several.
    pub arenas: Vec<Lane>,
    /// The mmap threshold, from the records where it moved on; empty if it did not.
    pub thresholds: Vec<(u64, u64)>,
    /// How often the break grew, and by how much.
    pub grown_in_all: String,
    /// How often it was trimmed, and by how much.
    pub trimmed_in_all: String,
}

impl Timeline {
    /// The timeline of a run.
    pub fn of(outcome: &Outcome) -> Timeline {
        let kernel = &outcome.kernel;
        let said = |what, times, by| format!("{what} {} times, {} in all", count(times), bytes(by));
        let slices = &outcome.slices;
        let thread = |number: Option<u32>| match number {
            Some(0) => "main thread".to_owned(),
            Some(number) => format!("thread {number}"),
            None => "other threads".to_owned(),
        };
        let arena = |number: Option<u32>| match number {
            Some(0) => "main arena".to_owned(),
            Some(number) => format!("arena {number}"),
            None => "other arenas".to_owned(),
        };
        let several = |lanes: Vec<Lane>| if lanes.len() > 1 { lanes } else { Vec::new() };
        let threads = slices.threads.iter().map(|lane| Lane::new(thread(lane.thread), &lane.calls));
        let arenas = slices.arenas.iter().map(|lane| Lane::new(arena(lane.arena), &lane.system));
        let moves = outcome.thresholds.moves.iter().map(|threshold| (threshold.record, threshold.to));
        let first = (slices.first, outcome.thresholds.first_mmap_threshold);
        Timeline {
            awaited: outcome.so_far.and_then(|at| at.total),
            samples: outcome.measured.series.clone(),
            slices: sliced(slices),
            threads: several(threads.collect()),
            arenas: several(arenas.collect()),
            thresholds: match outcome.thresholds.moved {
                0 => Vec::new(),
                _ => std::iter::once(first).chain(moves).collect(),
            },
            grown_in_all: said("grown", kernel.break_grown, kernel.break_grown_bytes),
            trimmed_in_all: said("trimmed", kernel.break_trimmed, kernel.break_trimmed_bytes),
        }
    }

    /// Whether nothing ever lived and the break never moved.
    pub fn is_empty(&self) -> bool {
        self.samples.iter().all(|sample| sample.greatest_live == 0 && sample.greatest_break == 0)
    }

    /// The records there are: the first, and the one after the last. Some may be awaited.
    pub fn extent(&self) -> (u64, u64) {
        let first = self.slices.first().map_or(0, |slice| slice.first);
        let end = self.end().map_or(first, |sample| sample.record);
        (first, self.awaited.unwrap_or(0).max(end))
    }

    /// What was true after so many records: the nearest sample's numbers.
    pub fn at(&self, record: f64) -> Option<&Sample> {
        let behind = self.samples.partition_point(|sample| (sample.record as f64) < record);
        let before = self.samples[..behind].last();
        let distance = |sample: &&Sample| (sample.record as f64 - record).abs();
        before.into_iter().chain(self.samples.get(behind)).min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }

    /// The slice in which this record lies.
    pub fn slice_at(&self, record: f64) -> Option<&Slice> {
        let slice = self.slices.partition_point(|slice| slice.end as f64 <= record);
        self.slices.get(slice).filter(|slice| slice.first as f64 <= record)
    }

    /// What was true at the end.
    pub fn end(&self) -> Option<&Sample> {
        self.samples.last()
    }

    /// When a record was made, in nanoseconds since the trace began: between two samples, as far as between them.
    pub fn time_of(&self, record: u64) -> u64 {
        let behind = self.samples.partition_point(|sample| sample.record < record);
        let Some(later) = self.samples.get(behind) else {
            return self.end().map_or(0, |sample| sample.time);
        };
        let earlier = behind.checked_sub(1).map_or((0, 0), |before| {
            let sample = &self.samples[before];
            (sample.record, sample.time)
        });
        let records = u128::from(later.record.saturating_sub(earlier.0)).max(1);
        let nanos = u128::from(later.time.saturating_sub(earlier.1));
        let since = nanos * u128::from(record.saturating_sub(earlier.0)) / records;
        earlier.1 + u64::try_from(since).unwrap_or(0)
    }

    /// The samples that are needed to draw what lies between two records: one more at each side, if there is.
    pub fn between(&self, from: f64, to: f64) -> &[Sample] {
        let first = self.samples.partition_point(|sample| (sample.record as f64) < from);
        let last = self.samples.partition_point(|sample| (sample.record as f64) <= to);
        let (first, last) = (first.saturating_sub(1), (last + 1).min(self.samples.len()));
        &self.samples[first.min(last)..last]
    }

    /// The numbers of the slices of which something lies between two records.
    pub fn slices_between(&self, from: f64, to: f64) -> std::ops::Range<usize> {
        let first = self.slices.partition_point(|slice| slice.end as f64 <= from);
        let last = self.slices.partition_point(|slice| (slice.first as f64) < to);
        first..last.max(first)
    }

    /// The greatest of some curves between two records.
    pub fn greatest(&self, curves: &[Curve], from: f64, to: f64) -> u64 {
        let samples = self.between(from, to).iter();
        samples.flat_map(|sample| curves.iter().map(|curve| curve.extremes(sample).1)).max().unwrap_or(0)
    }
}

/// What happened in each slice.
fn sliced(slices: &Slices) -> Vec<Slice> {
    let all = &slices.all;
    let mut before = (slices.first, slices.began);
    let number = |list: &[u64], at: usize| list.get(at).copied().unwrap_or(0);
    let one = |(at, (&end, &time)): (usize, (&u64, &u64))| {
        let (first, began) = std::mem::replace(&mut before, (end, time));
        Slice {
            first,
            end,
            nanos: time.saturating_sub(began),
            calls: number(&all.calls, at),
            grown: number(&all.break_grown, at),
            trimmed: number(&all.break_trimmed, at),
            faults: number(&all.faults, at),
            mappings: number(&all.mmap, at),
        }
    };
    slices
        .ends
        .iter()
        .zip(&slices.times)
        .enumerate()
        .map(one)
        .filter(|slice| slice.first < slice.end)
        .collect()
}

/// A sample's numbers with their names.
pub fn readout(sample: &Sample) -> [(&'static str, String); 9] {
    let curve = |curve: Curve| (curve.name(), bytes(curve.value(sample)));
    [
        ("Record", count(sample.record)),
        ("Time", nanos(sample.time)),
        curve(Curve::Break),
        curve(Curve::Live),
        curve(Curve::Held),
        curve(Curve::Resident),
        curve(Curve::Pinned),
        curve(Curve::Mapped),
        curve(Curve::System),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_replayer::metrics::slices::SliceTotals;

    fn timeline(records: &[u64]) -> Timeline {
        let sample = |&record: &u64| Sample {
            record,
            time: record * 1000,
            live: record * 2,
            greatest_live: record * 3,
            program_break: 2048,
            greatest_break: 4096,
            ..Sample::default()
        };
        Timeline { samples: records.iter().map(sample).collect(), ..Timeline::default() }
    }

    #[test]
    fn the_nearest_sample_is_read_out() {
        let timeline = timeline(&[10, 20, 40]);
        let nearest = [-5.0, 14.0, 16.0, 29.0, 31.0, 1e9].map(|record| timeline.at(record).unwrap().record);
        assert_eq!(nearest, [10, 10, 20, 20, 40, 40]);
        let said = readout(timeline.at(20.0).unwrap());
        assert_eq!((&said[0], &said[2]), (&("Record", "20".to_owned()), &("Break", "2.00 KiB".to_owned())));
        assert_eq!(Timeline::default().at(3.0), None);
    }

    #[test]
    fn what_is_seen_is_drawn_up_to_its_edges() {
        let timeline = timeline(&[10, 20, 30, 40, 50]);
        let seen = |from, to| timeline.between(from, to).iter().map(|s| s.record).collect::<Vec<_>>();
        assert_eq!(seen(22.0, 35.0), [20, 30, 40]);
        assert_eq!(seen(0.0, 100.0), [10, 20, 30, 40, 50]);
        assert_eq!(seen(60.0, 70.0), [50]);
        assert_eq!(timeline.greatest(&[Curve::Held, Curve::Live], 12.0, 15.0), 60);
        assert_eq!(timeline.greatest(&[], 0.0, 100.0), 0);
    }

    #[test]
    fn times_lie_between_those_of_samples() {
        let timeline = timeline(&[10, 20]);
        assert_eq!(
            [5, 10, 15, 20, 99].map(|record| timeline.time_of(record)),
            [5000, 10_000, 15_000, 20_000, 20_000]
        );
        assert_eq!(Timeline::default().time_of(9), 0);
    }

    #[test]
    fn slices_are_as_high_whatever_their_length() {
        let slices = Slices {
            first: 100,
            began: 5_000,
            ends: vec![200, 300, 350],
            times: vec![6_000, 8_000, 8_000],
            all: SliceTotals {
                calls: vec![100, 50, 50],
                break_grown: vec![0, 10, 5],
                ..SliceTotals::default()
            },
            ..Slices::default()
        };
        let slices = sliced(&slices);
        assert_eq!(
            slices.iter().map(|slice| (slice.first, slice.end)).collect::<Vec<_>>(),
            [(100, 200), (200, 300), (300, 350)]
        );
        assert_eq!(slices[0].rates(Strip::Calls), (1e8, 0.0));
        assert_eq!(slices[1].rates(Strip::Calls), (2.5e7, 0.0));
        assert_eq!(slices[2].rates(Strip::Calls), (0.0, 0.0), "nobody knows how long it took");
        assert_eq!(slices[1].rates(Strip::Moves), slices[2].rates(Strip::Moves));
        let timeline = Timeline { slices, ..Timeline::default() };
        assert_eq!(timeline.slice_at(250.0).map(|slice| slice.first), Some(200));
        assert_eq!((timeline.slice_at(99.0), timeline.slice_at(350.0)), (None, None));
        assert_eq!(timeline.slices_between(150.0, 250.0), 0..2);
        assert_eq!(timeline.slices_between(400.0, 500.0), 3..3);
    }
}
