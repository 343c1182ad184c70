//! Several runs side by side: what each costs, and the difference from the first.

use super::units::{bytes, count, signed_bytes, signed_count};
use super::{Comparison, Line, Section, Table};
use crate::outcome::Outcome;
use std::collections::BTreeSet;

/// A number that runs are compared by.
struct Measure {
    name: &'static str,
    value: fn(&Outcome) -> u64,
    is_bytes: bool,
}

const fn in_bytes(name: &'static str, value: fn(&Outcome) -> u64) -> Measure {
    Measure { name, value, is_bytes: true }
}

const fn number(name: &'static str, value: fn(&Outcome) -> u64) -> Measure {
    Measure { name, value, is_bytes: false }
}

/// Every number that runs are compared by, in the order they are shown.
const MEASURES: [Measure; 16] = [
    in_bytes("resident, peak", |run| run.measured.peaks.resident.bytes),
    in_bytes("resident, mean", |run| run.measured.mean_resident),
    in_bytes("resident, end", |run| run.measured.resident),
    in_bytes("system, peak", |run| run.measured.peaks.system.bytes),
    in_bytes("pinned, end", |run| run.measured.pinned),
    number("minor faults", |run| run.measured.faults),
    number("break grown", |run| run.kernel.break_grown),
    number("break trimmed", |run| run.kernel.break_trimmed),
    number("mmap", |run| run.kernel.mmap),
    number("munmap", |run| run.kernel.munmap),
    number("mremap", |run| run.kernel.mremap),
    number("mprotect", |run| run.kernel.mprotect),
    number("madvise", |run| run.kernel.madvise),
    number("served by tcache", |run| served(run, "tcache")),
    number("served mapped", |run| served(run, "mapped")),
    in_bytes("mmap threshold, end", |run| run.thresholds.last_mmap_threshold),
];

fn served(outcome: &Outcome, from: &str) -> u64 {
    outcome.served.iter().find(|row| row.from == from).map_or(0, |row| row.requests)
}

pub(super) fn sections(comparison: &Comparison) -> Vec<Section> {
    let mut names = vec![String::new()];
    names.extend(comparison.runs.iter().map(|run| format!("#{}", run.name)));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut table = Table::with_columns(&names);
    let regimes = comparison.runs.iter().map(|run| regime(&run.outcome).to_owned());
    table.push(std::iter::once("thresholds".to_owned()).chain(regimes));
    for measure in &MEASURES {
        push_measure(&mut table, comparison, measure);
    }
    let mut lines = vec![Line::Text(comparison.trace.command()), Line::Text(conditions(comparison))];
    let damage = comparison.runs.first().map(|run| run.outcome.damage.clone()).unwrap_or_default();
    lines.extend(damage.into_iter().map(Line::Warning));
    lines.extend(ignored(comparison).into_iter().map(Line::Warning));
    let mut notes = vec!["Below each number: the difference from the first run.".to_owned()];
    notes.extend(warning(comparison));
    vec![Section { title: String::new(), lines, table: Some(table), notes }]
}

/// The values of all runs, and below them the differences, unless there are none.
fn push_measure(table: &mut Table, comparison: &Comparison, measure: &Measure) {
    let values: Vec<u64> = comparison.runs.iter().map(|run| (measure.value)(&run.outcome)).collect();
    let base = values.first().copied().unwrap_or(0);
    let show = if measure.is_bytes { bytes } else { count };
    table.push(std::iter::once(measure.name.to_owned()).chain(values.iter().map(|&value| show(value))));
    if values.iter().all(|&value| value == base) {
        return;
    }
    let difference = |(place, &value): (usize, &u64)| match place {
        0 => String::new(),
        _ if value == base => "=".to_owned(),
        _ => {
            let by = i128::from(value) - i128::from(base);
            if measure.is_bytes { signed_bytes(by) } else { signed_count(by) }
        }
    };
    table.push(std::iter::once(String::new()).chain(values.iter().enumerate().map(difference)));
}

/// What was set and would be ignored, or asked for and is not known, once for all runs that say the same.
fn ignored(comparison: &Comparison) -> Vec<String> {
    let settings = || comparison.runs.iter().map(|run| &run.outcome.settings);
    let unknown = settings().filter_map(|settings| {
        let (version, release) = (settings.unknown_version.as_ref()?, &settings.release);
        Some(format!("glibc {version} is newer than any release known; it was replayed as {release}"))
    });
    let ignored = settings().flat_map(|settings| settings.ignored.iter().cloned());
    let mut said: Vec<String> = Vec::new();
    for sentence in unknown.chain(ignored) {
        if !said.contains(&sentence) {
            said.push(sentence);
        }
    }
    said
}

fn regime(outcome: &Outcome) -> &'static str {
    if outcome.settings.dynamic_thresholds { "dynamic" } else { "static" }
}

fn conditions(comparison: &Comparison) -> String {
    let Some(first) = comparison.runs.first() else { return String::new() };
    let outcome = &first.outcome;
    let releases: BTreeSet<&str> =
        comparison.runs.iter().map(|run| run.outcome.settings.release.as_str()).collect();
    let releases = releases.into_iter().collect::<Vec<_>>().join(", ");
    let of = outcome.range.map_or(String::new(), |range| {
        format!(
            " (records {} to {}; those before were replayed too)",
            count(range.first()),
            count(range.end() - 1)
        )
    });
    format!(
        "{} calls{of} replayed as glibc {} over {} memory, touch policy “{}”",
        count(outcome.calls),
        releases,
        outcome.trial.memory.name(),
        outcome.trial.touch.name()
    )
}

/// Setting a threshold switches the moving thresholds off; whoever compares should know.
fn warning(comparison: &Comparison) -> Option<String> {
    let regimes: Vec<bool> =
        comparison.runs.iter().map(|run| run.outcome.settings.dynamic_thresholds).collect();
    let mixed = regimes.iter().any(|&dynamic| dynamic) && regimes.iter().any(|&dynamic| !dynamic);
    mixed.then(|| {
        "Setting any of mmap_threshold, trim_threshold, top_pad, mmap_max fixes all thresholds (“static”): \
         such a run differs from the first in that too."
            .to_owned()
    })
}
