//! When a run that is under way says what came of it so far: soon, and then so seldom that it costs next to
//! nothing.

use std::time::Duration;

/// Whatever is over before this says what came of it at once.
const FIRST: Duration = Duration::from_millis(100);
/// The least time between two.
const LEAST: Duration = Duration::from_millis(250);
/// The run goes on for so many times what saying it took of the processor: a hundredth of the time is spent on it.
const SHARE: u32 = 99;

/// When the next is due. Times are counted from the beginning of the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    next: Duration,
    /// Records replayed when it was said last.
    said: u64,
}

impl Pace {
    /// Nothing was said yet.
    pub(crate) fn new() -> Pace {
        Pace { next: FIRST, said: 0 }
    }

    /// Whether it is due now, after so many records: not if they are as many as last time.
    pub(crate) fn is_due(&self, now: Duration, records: u64) -> bool {
        now >= self.next && records > self.said
    }

    /// It was said now, after so many records, at this cost.
    pub(crate) fn said(&mut self, now: Duration, cost: Duration, records: u64) {
        self.next = now + (cost * SHARE).max(LEAST);
        self.said = records;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundredth_of_the_time_is_spent_at_most_and_nothing_is_said_twice() {
        let mut pace = Pace::new();
        let (mut now, mut spent, mut times) = (Duration::ZERO, Duration::ZERO, 0_u32);
        let (step, cost) = (Duration::from_millis(10), Duration::from_millis(20));
        for records in 1..=3000 {
            now += step;
            if pace.is_due(now, records) {
                (now, spent, times) = (now + cost, spent + cost, times + 1);
                pace.said(now, cost, records);
                assert!(!pace.is_due(now + Duration::from_secs(60), records), "there is nothing new");
            }
        }
        assert!(times >= 14, "{times}");
        // The first is said before its time is earned.
        assert!((spent - cost) * 100 <= now, "{spent:?} of {now:?}");
        assert!(!Pace::new().is_due(Duration::from_millis(99), 1));
    }
}
