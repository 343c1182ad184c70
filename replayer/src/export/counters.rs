//! How the heap went over time, in a bounded number of points however long the trace.
//!
//! Time is cut into intervals of as many records each. An interval keeps two points: where the most was
//! live in it, and its end. When there are too many, every two become one.

/// Intervals there are at most; twice as many points.
const INTERVALS: usize = 8192;

/// What is known at one moment. Bytes, unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// Nanoseconds since the trace began.
    pub time: u64,
    /// What the program has asked for and not given back.
    pub live: u64,
    /// The chunks of those allocations, with heads and padding, as far as heads were recorded.
    pub held: u64,
    /// Of those, chunks with a mapping of their own.
    pub mapped: u64,
    /// The program break above where it was before the first call.
    pub program_break: u64,
    /// Calls so far: a number, not bytes.
    pub calls: u64,
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    highest: Point,
    last: Point,
}

/// The points so far.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    intervals: Vec<Interval>,
    open: Option<Interval>,
    /// Records in an interval, and in the open one so far.
    length: u64,
    filled: u64,
}

impl Counters {
    pub(super) fn new() -> Counters {
        Counters { intervals: Vec::new(), open: None, length: 1, filled: 0 }
    }

    /// How it stands after one more record.
    #[inline]
    pub(super) fn note(&mut self, point: Point) {
        let open = self.open.get_or_insert(Interval { highest: point, last: point });
        if point.live > open.highest.live {
            open.highest = point;
        }
        open.last = point;
        self.filled += 1;
        if self.filled == self.length {
            self.close();
        }
    }

    fn close(&mut self) {
        self.filled = 0;
        self.intervals.extend(self.open.take());
        if self.intervals.len() == INTERVALS {
            let both = |pair: &[Interval]| {
                let (earlier, later) = (pair[0], pair[1]);
                let rises = later.highest.live > earlier.highest.live;
                Interval { highest: if rises { later.highest } else { earlier.highest }, last: later.last }
            };
            self.intervals = self.intervals.chunks_exact(2).map(both).collect();
            self.length *= 2;
        }
    }

    /// The points, in order.
    pub(super) fn finish(mut self) -> Vec<Point> {
        self.intervals.extend(self.open.take());
        let mut points: Vec<Point> = Vec::with_capacity(self.intervals.len() * 2);
        for interval in self.intervals {
            for point in [interval.highest, interval.last] {
                if points.last() != Some(&point) {
                    points.push(point);
                }
            }
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_is_kept_however_long_the_trace() {
        let mut counters = Counters::new();
        for record in 0..1_000_000 {
            let live = if record == 777_777 { 99 } else { record % 5 };
            counters.note(Point { time: record, live, calls: record, ..Point::default() });
        }
        let points = counters.finish();
        assert!(points.len() <= 2 * INTERVALS && points.len() > INTERVALS / 2);
        assert!(points.iter().any(|point| point.live == 99 && point.time == 777_777));
        assert!(points.windows(2).all(|pair| pair[0].time <= pair[1].time));
        assert_eq!(points.last().map(|point| point.time), Some(999_999));
    }

    #[test]
    fn a_short_trace_is_kept_as_it_is() {
        let mut counters = Counters::new();
        let points = [3, 1, 2].map(|live| Point { time: 10 - live, live, ..Point::default() });
        points.into_iter().for_each(|point| counters.note(point));
        assert_eq!(counters.finish(), points);
    }
}
