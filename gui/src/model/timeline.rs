//! The program break over the records of a trace, and what lives in it.

use malloscope_replayer::metrics::series::Sample;
use malloscope_replayer::outcome::Outcome;
use malloscope_replayer::report::units::{bytes, count, nanos};

/// A point: after so many records, so many bytes. Plots are drawn in `f64`; a trace or a heap would
/// have to exceed 2⁵³ for this to show.
pub type Point = [f64; 2];

/// The program break over the records, ready to draw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// The program break, as steps; with the extremes between two samples as spikes.
    pub program_break: Vec<Point>,
    /// Bytes asked for and not given back.
    pub live: Vec<Point>,
    /// Bytes of their chunks.
    pub held: Vec<Point>,
    /// Where the break grew: at its greatest since the sample before.
    pub grown: Vec<Point>,
    /// Where the break went down: at its least since the sample before.
    pub trimmed: Vec<Point>,
    /// How often it grew, and by how much.
    pub grown_in_all: String,
    /// How often it was trimmed, and by how much.
    pub trimmed_in_all: String,
    samples: Vec<Sample>,
}

impl Timeline {
    /// The timeline of a run.
    pub fn of(outcome: &Outcome) -> Timeline {
        let kernel = &outcome.kernel;
        let said = |what, times, by| format!("{what} {} times, {} in all", count(times), bytes(by));
        Timeline {
            grown_in_all: said("grown", kernel.break_grown, kernel.break_grown_bytes),
            trimmed_in_all: said("trimmed", kernel.break_trimmed, kernel.break_trimmed_bytes),
            ..Timeline::through(&outcome.measured.series)
        }
    }

    /// The timeline through samples.
    pub fn through(samples: &[Sample]) -> Timeline {
        let mut timeline = Timeline { samples: samples.to_vec(), ..Timeline::default() };
        let mut before = 0;
        for sample in samples {
            timeline.push(sample, before);
            before = sample.program_break;
        }
        timeline
    }

    fn push(&mut self, sample: &Sample, before: u64) {
        let at = |bytes: u64| [sample.record as f64, bytes as f64];
        let (least, greatest, now) = (sample.least_break, sample.greatest_break, sample.program_break);
        let grew = greatest > before || now > least;
        let went_down = least < before || now < greatest;
        // First as it was, then as far as it went, then as it is.
        for bytes in [before, greatest, least, now] {
            if self.program_break.last() != Some(&at(bytes)) {
                self.program_break.push(at(bytes));
            }
        }
        self.live.push(at(sample.live));
        self.held.push(at(sample.held));
        if grew {
            self.grown.push(at(greatest));
        }
        if went_down {
            self.trimmed.push(at(least));
        }
    }

    /// Whether nothing ever lived and the break never moved.
    pub fn is_empty(&self) -> bool {
        self.samples.iter().all(|sample| sample.greatest_live == 0 && sample.greatest_break == 0)
    }

    /// What was true after so many records: the nearest sample's numbers.
    pub fn at(&self, record: f64) -> Option<&Sample> {
        let behind = self.samples.partition_point(|sample| (sample.record as f64) < record);
        let before = self.samples[..behind].last();
        let distance = |sample: &&Sample| (sample.record as f64 - record).abs();
        before.into_iter().chain(self.samples.get(behind)).min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }

    /// What was true at the end.
    pub fn end(&self) -> Option<&Sample> {
        self.samples.last()
    }
}

/// A sample's numbers with their names.
pub fn readout(sample: &Sample) -> [(&'static str, String); 8] {
    [
        ("Record", count(sample.record)),
        ("Time", nanos(sample.time)),
        ("Break", bytes(sample.program_break)),
        ("Live", bytes(sample.live)),
        ("Held", bytes(sample.held)),
        ("Resident", bytes(sample.resident)),
        ("Pinned", bytes(sample.pinned)),
        ("Mapped", bytes(sample.mapped)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(record: u64, least: u64, greatest: u64, now: u64) -> Sample {
        Sample {
            record,
            live: record * 2,
            held: record * 3,
            least_break: least,
            greatest_break: greatest,
            program_break: now,
            ..Sample::default()
        }
    }

    #[test]
    fn the_break_is_drawn_in_steps_and_its_moves_are_marked() {
        let samples = [
            sample(1, 0, 0, 0),
            sample(2, 10, 10, 10),
            sample(3, 10, 10, 10),
            sample(4, 5, 30, 20),
            sample(5, 7, 20, 7),
        ];
        let timeline = Timeline::through(&samples);
        assert_eq!(
            timeline.program_break,
            [
                [1., 0.],
                [2., 0.],
                [2., 10.],
                [3., 10.],
                [4., 10.],
                [4., 30.],
                [4., 5.],
                [4., 20.],
                [5., 20.],
                [5., 7.]
            ]
        );
        assert_eq!(timeline.grown, [[2., 10.], [4., 30.]]);
        assert_eq!(timeline.trimmed, [[4., 5.], [5., 7.]]);
        assert_eq!((timeline.live[3], timeline.held[3]), ([4., 8.], [4., 12.]));
    }

    #[test]
    fn the_nearest_sample_is_read_out() {
        let timeline =
            Timeline::through(&[sample(10, 0, 0, 0), sample(20, 0, 2048, 2048), sample(40, 0, 0, 0)]);
        let nearest = [-5.0, 14.0, 16.0, 29.0, 31.0, 1e9].map(|record| timeline.at(record).unwrap().record);
        assert_eq!(nearest, [10, 10, 20, 20, 40, 40]);
        let said = readout(timeline.at(20.0).unwrap());
        assert_eq!((&said[0], &said[2]), (&("Record", "20".to_owned()), &("Break", "2.00 KiB".to_owned())));
        assert_eq!(Timeline::default().at(3.0), None);
    }
}
