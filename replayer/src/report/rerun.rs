//! Real mallocs side by side, and what a replay predicts of glibc.

use super::units::{bytes, count};
use super::{Line, Section, Table, json};
use crate::outcome::Outcome;
use crate::rerun::times::Nanos;
use crate::rerun::{Measured, Target};
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// What came of the calls of a trace.
#[derive(Clone, Debug, Serialize)]
pub struct Reran {
    /// The trace.
    pub trace: String,
    /// Calls of malloc that it has.
    pub recorded_calls: u64,
    /// What a replay predicts for glibc.
    pub predicted: Predicted,
    /// What each malloc took, the machine's own first.
    pub mallocs: Vec<Side>,
}

/// What a replay predicts.
#[derive(Clone, Debug, Serialize)]
pub struct Predicted {
    /// The release that was replayed.
    pub release: String,
    /// Bytes that are resident at most.
    pub resident_peak: u64,
    /// Bytes that are resident in the end.
    pub resident_end: u64,
    /// Minor faults.
    pub faults: u64,
    /// Bytes that it took not to be written, because the program was seen not to touch them.
    pub spared: u64,
}

/// What a malloc took.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// What it is called.
    pub name: String,
    /// The median of each number.
    pub median: Measured,
    /// Each time the calls were made.
    pub runs: Vec<Measured>,
}

/// The middle one of some numbers, the greater of two.
fn median<T: PartialOrd + Copy>(runs: &[Measured], number: impl Fn(&Measured) -> T) -> Option<T> {
    let mut numbers: Vec<T> = runs.iter().map(number).collect();
    numbers.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    numbers.get(numbers.len() / 2).copied()
}

impl Side {
    /// What came of some runs, of which there is at least one.
    pub fn of(target: &Target, runs: &[Measured]) -> Side {
        let number = |number: fn(&Measured) -> u64| median(runs, number).unwrap_or(0);
        let fraction = |number: fn(&Measured) -> f64| median(runs, number).unwrap_or(0.0);
        let median = Measured {
            resident_peak: number(|run| run.resident_peak),
            resident_end: number(|run| run.resident_end),
            faults: number(|run| run.faults),
            processor_seconds: fraction(|run| run.processor_seconds),
            nanos: Nanos {
                mean: fraction(|run| run.nanos.mean),
                p50: number(|run| run.nanos.p50),
                p99: number(|run| run.nanos.p99),
                p999: number(|run| run.nanos.p999),
                longest: number(|run| run.nanos.longest),
                clock: number(|run| run.nanos.clock),
            },
            ..runs.first().cloned().unwrap_or_default()
        };
        Side { name: target.name(), median, runs: runs.to_vec() }
    }
}

impl Reran {
    /// All of it.
    pub fn of(trace: &Path, predicted: &Outcome, mallocs: Vec<Side>) -> Reran {
        let measured = &predicted.measured;
        let predicted_of = Predicted {
            release: predicted.settings.release.clone(),
            resident_peak: measured.peaks.resident.bytes,
            resident_end: measured.resident,
            faults: measured.faults,
            spared: predicted.spared,
        };
        let trace = trace.display().to_string();
        Reran { trace, recorded_calls: predicted.calls, predicted: predicted_of, mallocs }
    }

    /// For people.
    pub fn sections(&self) -> Vec<Section> {
        let columns = [
            "malloc",
            "#resident, peak",
            "#resident, end",
            "#minor faults",
            "#ns a call",
            "#p50",
            "#p99",
            "#p99.9",
        ];
        let mut table = Table::with_columns(&columns);
        let predicted = &self.predicted;
        let [peak, end] = [predicted.resident_peak, predicted.resident_end].map(bytes);
        let nothing = || "–".to_owned();
        table.push([
            format!("glibc {}, replayed", predicted.release),
            peak,
            end,
            count(predicted.faults),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
        ]);
        for side in &self.mallocs {
            let Measured { resident_peak, resident_end, faults, nanos, .. } = &side.median;
            let [peak, end] = [*resident_peak, *resident_end].map(bytes);
            let mean = format!("{:.1}", nanos.mean);
            let [p50, p99, p999] = [nanos.p50, nanos.p99, nanos.p999].map(count);
            table.push([side.name.clone(), peak, end, count(*faults), mean, p50, p99, p999]);
        }
        let mut lines = vec![Line::Text(self.trace.clone())];
        if let Some(first) = self.mallocs.first() {
            let Measured { calls, threads, .. } = first.median;
            lines.push(Line::Text(format!(
                "{} calls by {threads} {}, {} {} of each",
                count(calls),
                if threads == 1 { "thread" } else { "threads, one at a time in the recorded order" },
                first.runs.len(),
                if first.runs.len() == 1 { "run" } else { "runs" },
            )));
            if calls < self.recorded_calls {
                let others = count(self.recorded_calls - calls);
                lines.push(Line::Text(format!(
                    "{others} calls were not made: they were refused, free nothing, or are about memory from before the trace"
                )));
            }
        }
        if self.predicted.spared > 0 {
            let spared = bytes(self.predicted.spared);
            lines.push(Line::Warning(format!(
                "{spared} that the program was seen not to touch are written here: only the replay leaves them out"
            )));
        }
        for side in self.mallocs.iter().filter(|side| side.median.refused > 0) {
            let refused = count(side.median.refused);
            lines.push(Line::Warning(format!(
                "{} refused {refused} requests that had been granted",
                side.name
            )));
        }
        let notes = vec![
            "Resident is what the process has more of than before the first call; faults are the calls' and those of the \
             program's writing."
                .to_owned(),
            "Times are of single calls, by the clock and without what asking for the time takes; no thread waits for \
             another."
                .to_owned(),
            "Calls follow each other at once: what a malloc does by the clock, such as giving back what is old, it does less."
                .to_owned(),
        ];
        vec![Section { title: String::new(), lines, table: Some(table), notes }]
    }

    /// As JSON.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        json::write("malloscope.rerun", self, out)
    }
}
