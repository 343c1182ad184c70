//! What calling `malloc_trim` would give back, when, and what of it would be wanted again.

use super::comparison::MEASURES;
use super::units::{bytes, count, nanos};
use super::{Comparison, Line, Run, Section, Table};
use crate::metrics::series::Sample;
use crate::outcome::Outcome;
use crate::trims::TrimSchedule;
use malloscope_traces::Nanos;

/// How many single moments are tried.
const MOMENTS: usize = 4;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
/// Times between two calls that are tried, if the trace is longer.
const PERIODS: [u64; 4] = [SECOND, 10 * SECOND, 60 * SECOND, 900 * SECOND];
/// Times without a call that are waited for, if the trace is longer.
const IDLE: [u64; 3] = [100 * MILLISECOND, SECOND, 10 * SECOND];

/// The schedules that are worth trying on a trace, from what its replay under the recorded settings says: moments
/// when much is resident that does not live, far enough from each other; periods; and idle times.
pub fn schedules(outcome: &Outcome) -> Vec<TrimSchedule> {
    let mut moments: Vec<&Sample> = outcome.measured.series.iter().collect();
    moments.sort_by_key(|sample| std::cmp::Reverse(sample.resident.saturating_sub(sample.live)));
    let apart = outcome.records / (2 * MOMENTS as u64);
    let mut records: Vec<u64> = Vec::new();
    for sample in moments {
        if records.len() < MOMENTS && records.iter().all(|&other| other.abs_diff(sample.record) > apart) {
            records.push(sample.record);
        }
    }
    records.sort_unstable();
    let once = records.into_iter().map(TrimSchedule::After);
    let lasts = |&period: &u64| period <= outcome.traced_nanos;
    let every = PERIODS.into_iter().filter(lasts).map(|period| TrimSchedule::Every(Nanos(period)));
    let idle = IDLE.into_iter().filter(lasts).map(|period| TrimSchedule::OnIdle(Nanos(period)));
    once.chain(every).chain(idle).collect()
}

/// The plan for people: a row for each schedule that made a call.
pub fn sections(comparison: &Comparison) -> Vec<Section> {
    let Some(base) = comparison.runs.first().map(|run| &run.outcome) else { return Vec::new() };
    let mut lines = vec![
        Line::Text(comparison.trace.command()),
        Line::Text(format!(
            "{} calls in {}; without a call of malloc_trim {} page faults",
            count(base.calls),
            nanos(base.traced_nanos),
            count(base.measured.faults)
        )),
    ];
    let shown = ["resident, peak", "resident, mean over time", "resident, end"];
    let measures: Vec<_> = MEASURES.iter().filter(|measure| shown.contains(&measure.name)).collect();
    let mut names = vec![
        "malloc_trim".to_owned(),
        "#calls".to_owned(),
        "#gives back".to_owned(),
        "#faults that follow".to_owned(),
    ];
    names.extend(measures.iter().map(|measure| format!("#{}", measure.name)));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut table = Table::with_columns(&names);
    let calling = |run: &&Run| run.outcome.trims.calls > 0;
    for Run { name, outcome } in comparison.runs.iter().filter(calling) {
        let again = i128::from(outcome.measured.faults) - i128::from(base.measured.faults);
        let changes = measures.iter().map(|measure| {
            let (value, before) = (measure.of(outcome), measure.of(base));
            format!("{} ({})", measure.shown(value), measure.difference(value, before))
        });
        let head = [
            name.trim_start_matches("malloc_trim ").to_owned(),
            count(outcome.trims.calls),
            bytes(outcome.trims.returned),
            super::units::signed_count(again),
        ];
        table.push(head.into_iter().chain(changes));
    }
    let notes = vec![
        "gives back: pages that went back to the kernel, by all calls together. faults that follow: pages touched again."
            .to_owned(),
        "after:N is once, after N records; 1min every minute; on-idle:1s when there was no call for so long.".to_owned(),
        "What a call takes is not replayed: it walks all free chunks, while threads wait for the arenas’ locks.".to_owned(),
    ];
    if table.rows.is_empty() {
        lines.push(Line::Text("No call would come due.".to_owned()));
        return vec![Section { lines, ..Section::default() }];
    }
    vec![Section { lines, table: Some(table), notes, ..Section::default() }]
}
