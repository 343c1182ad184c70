//! Calls of `malloc_trim(0)` that the program did not make: when a replay makes them, and what they gave back.
//!
//! Times are those of the recording. A call of every so often stands for a thread with a timer, one on idle for a
//! program that trims when it has had nothing to ask for a while. Neither is a setting of glibc's: whoever likes what
//! came of it calls `malloc_trim` there.

use malloscope_traces::Nanos;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The most trims that are remembered one by one, from the first on.
const REMEMBERED: usize = 256;

/// When `malloc_trim(0)` is called, besides where the program did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TrimSchedule {
    /// Whenever so much time has passed since the trace began, and again.
    Every(Nanos),
    /// Once there has been no call for so long.
    OnIdle(Nanos),
    /// Once, after so many records, or after the last if there are not as many.
    After(u64),
}

impl FromStr for TrimSchedule {
    type Err = String;

    fn from_str(text: &str) -> Result<TrimSchedule, String> {
        if let Some(idle) = text.strip_prefix("on-idle:") {
            return Ok(TrimSchedule::OnIdle(duration(idle)?));
        }
        if let Some(records) = text.strip_prefix("after:") {
            let records = records.parse().map_err(|_| format!("`{records}` is not a number of records"))?;
            return Ok(TrimSchedule::After(records));
        }
        duration(text).map(TrimSchedule::Every).map_err(|_| {
            format!("`{text}` is no time to trim: say 60s, 15min, on-idle:1s, after:RECORDS or never")
        })
    }
}

impl fmt::Display for TrimSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrimSchedule::Every(period) => write!(f, "{}", shortest(*period)),
            TrimSchedule::OnIdle(idle) => write!(f, "on-idle:{}", shortest(*idle)),
            TrimSchedule::After(records) => write!(f, "after:{records}"),
        }
    }
}

impl TryFrom<String> for TrimSchedule {
    type Error = String;

    fn try_from(text: String) -> Result<TrimSchedule, String> {
        text.parse()
    }
}

impl From<TrimSchedule> for String {
    fn from(schedule: TrimSchedule) -> String {
        schedule.to_string()
    }
}

/// Units of time as people type them, and their nanoseconds; the greatest first.
const UNITS: [(&str, u64); 5] = [
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
];

/// Reads a time: `60s`, `15min`, `250ms`.
pub(crate) fn duration(text: &str) -> Result<Nanos, String> {
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: Option<u64> = number.parse().ok().filter(|&number| number > 0);
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let nanos = number.zip(unit).and_then(|(number, (_, nanos))| number.checked_mul(*nanos));
    nanos.map(Nanos).ok_or_else(|| format!("`{text}` is not a time like 60s, 15min or 250ms"))
}

/// A time in the shortest way to type it.
fn shortest(time: Nanos) -> String {
    let fits = |(_, nanos): &&(&str, u64)| time.0.is_multiple_of(*nanos);
    let (name, nanos) = UNITS.iter().find(fits).unwrap_or(&("ns", 1));
    format!("{}{name}", time.0 / nanos)
}

/// A schedule on its way through a trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trimmer {
    schedule: Option<TrimSchedule>,
    /// The time of the record before.
    latest: u64,
    /// When the next call of every so often is due.
    next: u64,
}

impl Trimmer {
    pub(crate) fn new(schedule: Option<TrimSchedule>) -> Trimmer {
        let next = match schedule {
            Some(TrimSchedule::Every(period)) => period.0,
            _ => u64::MAX,
        };
        Trimmer { schedule, latest: 0, next }
    }

    /// Whether a trim is due after the last record, which makes so many.
    pub(crate) fn is_due_at_end(&self, made: u64) -> bool {
        matches!(self.schedule, Some(TrimSchedule::After(records)) if records >= made)
    }

    /// When a trim is due before the record of this time, which so many others precede, if one is.
    ///
    /// Of several that would follow each other without a call in between only the first does anything, so one is
    /// made.
    #[inline]
    pub(crate) fn due(&mut self, time: u64, made: u64) -> Option<Nanos> {
        let schedule = self.schedule?;
        self.due_by(schedule, time, made)
    }

    fn due_by(&mut self, schedule: TrimSchedule, time: u64, made: u64) -> Option<Nanos> {
        let before = self.latest;
        self.latest = self.latest.max(time);
        match schedule {
            TrimSchedule::Every(period) => {
                let due = self.next;
                if time < due {
                    return None;
                }
                self.next = (time / period.0 + 1).saturating_mul(period.0);
                Some(Nanos(due))
            }
            TrimSchedule::OnIdle(idle) => {
                let due = before.saturating_add(idle.0);
                (made > 0 && time >= due).then_some(Nanos(due))
            }
            TrimSchedule::After(records) => (made == records).then_some(Nanos(before)),
        }
    }
}

/// A call of `malloc_trim` that the schedule made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trim {
    /// Before this record.
    pub record: u64,
    /// When, in nanoseconds since the trace began.
    pub time: u64,
    /// Bytes of pages that went back to the kernel.
    pub returned: u64,
}

/// What the calls of a schedule came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trims {
    /// How many there were.
    pub calls: u64,
    /// Bytes of pages that went back to the kernel, all together.
    pub returned: u64,
    /// The first of them.
    pub first: Vec<Trim>,
}

impl Trims {
    pub(crate) fn note(&mut self, trim: Trim) {
        self.calls += 1;
        self.returned += trim.returned;
        if self.first.len() < REMEMBERED {
            self.first.push(trim);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_and_written() {
        for text in ["59s", "15min", "250ms", "on-idle:1s", "after:1000", "1h"] {
            assert_eq!(text.parse::<TrimSchedule>().unwrap().to_string(), text);
        }
        assert_eq!("60min".parse::<TrimSchedule>().unwrap().to_string(), "1h");
        for text in ["", "0s", "s", "1", "on-idle", "on-idle:", "after:x", "60 s", "99999999999999h"] {
            assert!(text.parse::<TrimSchedule>().is_err(), "{text}");
        }
    }

    fn dues(schedule: &str, times: &[u64]) -> Vec<Option<u64>> {
        let mut trimmer = Trimmer::new(Some(schedule.parse().unwrap()));
        let due = |(made, &time): (usize, &u64)| trimmer.due(time, made as u64).map(|due| due.0);
        times.iter().enumerate().map(due).collect()
    }

    #[test]
    fn a_trim_is_due_when_the_schedule_says() {
        let (second, some) = (1_000_000_000, |seconds: u64| Some(seconds * 1_000_000_000));
        let at = |times: &[u64]| times.iter().map(|time| time * second).collect::<Vec<u64>>();
        // Three periods without a call are one trim, at the first of them.
        assert_eq!(
            dues("10s", &at(&[0, 9, 10, 11, 45, 50])),
            [None, None, some(10), None, some(20), some(50)]
        );
        assert_eq!(dues("on-idle:10s", &at(&[30, 39, 49, 50])), [None, None, some(49), None]);
        // A record whose time is earlier than another's before it makes no gap.
        assert_eq!(dues("on-idle:10s", &at(&[30, 5, 31])), [None, None, None]);
        assert_eq!(dues("after:2", &at(&[1, 2, 3, 4])), [None, None, some(2), None]);
    }
}
