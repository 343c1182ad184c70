//! Real mallocs side by side, and what a replay predicts of glibc.

use super::units::{bytes, count};
use super::{Line, Section, Table, json};
use crate::outcome::Outcome;
use crate::rerun::times::{Nanos, OfKind};
use crate::rerun::{Measured, Order, Target};
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
    /// Processors that there were to run on.
    pub processors: usize,
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
fn median<R, T: PartialOrd + Copy>(runs: &[R], number: impl Fn(&R) -> T) -> Option<T> {
    let mut numbers: Vec<T> = runs.iter().map(number).collect();
    numbers.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    numbers.get(numbers.len() / 2).copied()
}

/// The middle of each number of the times that are told of some runs.
fn middle<'a>(runs: &'a [Measured], nanos: impl Fn(&'a Measured) -> Option<&'a Nanos>) -> Nanos {
    let told: Vec<&Nanos> = runs.iter().filter_map(nanos).collect();
    let number = |number: fn(&Nanos) -> u64| median(&told, |nanos| number(nanos)).unwrap_or(0);
    Nanos {
        mean: median(&told, |nanos| nanos.mean).unwrap_or(0.0),
        p50: number(|nanos| nanos.p50),
        p99: number(|nanos| nanos.p99),
        p999: number(|nanos| nanos.p999),
        longest: number(|nanos| nanos.longest),
        clock: number(|nanos| nanos.clock),
    }
}

/// The same of each kind of call.
fn kinds(runs: &[Measured]) -> Vec<OfKind> {
    let kinds = runs.first().map(|run| run.kinds.clone()).unwrap_or_default();
    let of = |kind: OfKind| {
        let same = |run: &'_ Measured| run.kinds.iter().position(|other| other.call == kind.call);
        let nanos = middle(runs, |run| same(run).map(|place| &run.kinds[place].nanos));
        OfKind { nanos, ..kind }
    };
    kinds.into_iter().map(of).collect()
}

/// A mean, percentiles and the longest, as they are shown.
fn shown(nanos: &Nanos) -> [String; 4] {
    [format!("{:.1}", nanos.mean), count(nanos.p50), count(nanos.p99), count(nanos.p999)]
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
            seconds: fraction(|run| run.seconds),
            nanos: middle(runs, |run| Some(&run.nanos)),
            kinds: kinds(runs),
            ..runs.first().cloned().unwrap_or_default()
        };
        Side { name: target.name(), median, runs: runs.to_vec() }
    }

    /// Its name, and that its threads ran freely, if they did.
    fn shown_name(&self) -> String {
        match self.median.order {
            Order::Recorded => self.name.clone(),
            Order::Free => format!("{}, freely", self.name),
        }
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
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Reran { trace, processors, recorded_calls: predicted.calls, predicted: predicted_of, mallocs }
    }

    fn order_of_threads(&self) -> &'static str {
        match self.mallocs.iter().any(|side| side.median.order == Order::Free) {
            false => "threads, one at a time in the recorded order",
            true => "threads, one at a time in the recorded order, and then freely",
        }
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
            let [mean, p50, p99, p999] = shown(nanos);
            table.push([side.shown_name(), peak, end, count(*faults), mean, p50, p99, p999]);
        }
        let mut lines = vec![Line::Text(self.trace.clone())];
        if let Some(first) = self.mallocs.first() {
            let Measured { calls, threads, .. } = first.median;
            lines.push(Line::Text(format!(
                "{} calls by {threads} {}, {} {} of each",
                count(calls),
                if threads == 1 { "thread" } else { self.order_of_threads() },
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
        let ran_freely = self.mallocs.iter().any(|side| side.median.order == Order::Free);
        let mut notes = vec![
            "Resident is what the process has more of than before the first call; faults are the calls' and those of the \
             program's writing."
                .to_owned(),
            format!(
                "Times are of single calls, by the clock and without what asking for the time takes; {}no thread waits for \
                 another.",
                if ran_freely { "in the recorded order " } else { "" }
            ),
            "Calls follow each other at once: what a malloc does by the clock, such as giving back what is old, it does less."
                .to_owned(),
        ];
        if ran_freely {
            notes.push(format!(
                "Freely: each thread makes its own calls as fast as it can. Whoever frees or reallocates waits for the \
                 allocation, and a thread begins after the call recorded before its first; what else threads waited for is \
                 not in a trace. It differs from run to run. Where there are more threads than processors (here {}), a \
                 call’s time is also that of others.",
                count(self.processors as u64)
            ));
        }
        let section = Section { title: String::new(), lines, table: Some(table), notes };
        vec![section, self.by_kind()]
    }

    /// How long calls took, by kind.
    fn by_kind(&self) -> Section {
        let columns = ["malloc", "call", "#calls", "#ns a call", "#p50", "#p99", "#p99.9", "#longest"];
        let mut table = Table::with_columns(&columns);
        for side in &self.mallocs {
            for OfKind { call, calls, nanos } in &side.median.kinds {
                let [mean, p50, p99, p999] = shown(nanos);
                let longest = count(nanos.longest);
                table.push([side.shown_name(), call.clone(), count(*calls), mean, p50, p99, p999, longest]);
            }
        }
        Section { title: "By the kind of call".to_owned(), table: Some(table), ..Section::default() }
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
