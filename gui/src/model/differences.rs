//! What runs have more or less than another: the rows of `malloscope compare`.

use super::Replayed;
use super::runs::{Run, RunId, Runs};
use malloscope_replayer::outcome::{BinRow, Outcome};
use malloscope_replayer::report::comparison::{MEASURES, Measure, write_csv};
use malloscope_replayer::report::units::{count, percent, signed_count};

/// What runs have more or less than the first of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Differences {
    /// The runs: first that which the others are measured against.
    pub runs: Vec<RunId>,
    /// Their names.
    pub names: Vec<String>,
    /// What each run's thresholds do: `dynamic` or `static`.
    pub regimes: Vec<&'static str>,
    /// A row for each number.
    pub rows: Vec<DifferenceRow>,
    /// All of it as CSV, as `malloscope compare --format differences` prints it.
    pub csv: String,
    /// A row for each bin: its hit rate. Those whose hits differ most come first.
    pub bins: Vec<DifferenceRow>,
}

/// One number of every run.
#[derive(Clone, Debug, PartialEq)]
pub struct DifferenceRow {
    /// Its name.
    pub name: String,
    /// What exactly it is.
    pub meaning: String,
    /// Of each run.
    pub cells: Vec<DifferenceCell>,
    /// Whether all have the same.
    pub is_same: bool,
}

/// A number of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct DifferenceCell {
    /// The number, with its unit.
    pub value: String,
    /// What it has more than the first run's, with sign and unit; empty for the first.
    pub difference: String,
    /// The same as a share of the first run's: −1 is all of it away, 1 is twice as much or more. Of a rate,
    /// which is a share itself: the plain difference.
    pub share: f64,
    /// Where it lies between nothing and the greatest of the row: between 0 and 1.
    pub place: f64,
}

impl Differences {
    /// The differences of the runs that are drawn from the baseline; nothing if there is but one.
    pub fn of(runs: &Runs) -> Option<Differences> {
        let baseline = runs.baseline();
        let first = baseline.replay.ready()?;
        let others = runs.drawn().filter(|(run, _)| run.id != baseline.id);
        let compared: Vec<(&Run, &Replayed)> = std::iter::once((baseline, first)).chain(others).collect();
        if compared.len() < 2 {
            return None;
        }
        let named: Vec<(&str, &Outcome)> =
            compared.iter().map(|(run, replayed)| (run.name.as_str(), &replayed.report.outcome)).collect();
        let outcomes: Vec<&Outcome> = named.iter().map(|&(_, outcome)| outcome).collect();
        let mut csv = Vec::new();
        // A vector takes everything.
        let _ = write_csv(&named, &mut csv);
        let regime =
            |outcome: &&Outcome| if outcome.settings.dynamic_thresholds { "dynamic" } else { "static" };
        Some(Differences {
            runs: compared.iter().map(|(run, _)| run.id).collect(),
            names: compared.iter().map(|(run, _)| run.name.clone()).collect(),
            regimes: outcomes.iter().map(regime).collect(),
            rows: MEASURES.iter().map(|measure| row(measure, &outcomes)).collect(),
            csv: String::from_utf8_lossy(&csv).into_owned(),
            bins: bins(&outcomes),
        })
    }

    /// Whether setting a threshold fixed the thresholds in some of them and not in others.
    pub fn regimes_differ(&self) -> bool {
        self.regimes.iter().any(|regime| *regime != self.regimes[0])
    }
}

/// What tells a bin from others.
type BinKey<'a> = (&'a str, Option<u8>);

/// The hit rates of every bin that any of the runs looked into.
fn bins(outcomes: &[&Outcome]) -> Vec<DifferenceRow> {
    let key = |row: &'_ BinRow| -> (String, Option<u8>) { (row.kind.clone(), row.number) };
    let asked = |outcome: &'_ &Outcome| -> Vec<(String, Option<u8>)> {
        outcome.bins.iter().filter(|row| row.requests > 0).map(key).collect()
    };
    let mut keys: Vec<(String, Option<u8>)> = outcomes.iter().flat_map(asked).collect();
    keys.sort();
    keys.dedup();
    let mut rows: Vec<(u64, DifferenceRow)> =
        keys.iter().map(|(kind, number)| bin(outcomes, (kind, *number))).collect();
    rows.sort_by_key(|(moved, _)| std::cmp::Reverse(*moved));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The hit rates of a bin, and how many hits any run has more or less than the first.
fn bin(outcomes: &[&Outcome], (kind, number): BinKey<'_>) -> (u64, DifferenceRow) {
    let find = |outcome: &&Outcome| -> (u64, u64) {
        let row = outcome.bins.iter().find(|row| row.kind == kind && row.number == number);
        row.map_or((0, 0), |row| (row.hits, row.requests))
    };
    let values: Vec<(u64, u64)> = outcomes.iter().map(find).collect();
    let first = values.first().copied().unwrap_or_default();
    let rate = |(hits, requests): (u64, u64)| if requests == 0 { 0.0 } else { hits as f64 / requests as f64 };
    let cell = |(place, &value): (usize, &(u64, u64))| {
        let share = rate(value) - rate(first);
        let difference = match place {
            0 => String::new(),
            _ if value == first => "=".to_owned(),
            _ => format!("{} hits", signed_count(i128::from(value.0) - i128::from(first.0))),
        };
        DifferenceCell {
            value: format!("{} of {}", percent(value.0, value.1), count(value.1)),
            difference,
            share,
            place: rate(value),
        }
    };
    let name = number.map_or_else(|| kind.to_owned(), |number| format!("{kind} {number}"));
    let row = DifferenceRow {
        meaning: format!("The hit rate of {name}: of the requests that looked into it, those it served."),
        name,
        cells: values.iter().enumerate().map(cell).collect(),
        is_same: values.iter().all(|value| *value == first),
    };
    (values.iter().map(|(hits, _)| hits.abs_diff(first.0)).max().unwrap_or(0), row)
}

fn row(measure: &Measure, outcomes: &[&Outcome]) -> DifferenceRow {
    let values: Vec<u64> = outcomes.iter().map(|outcome| measure.of(outcome)).collect();
    let base = values.first().copied().unwrap_or(0);
    let greatest = values.iter().copied().max().unwrap_or(0).max(1);
    let cell = |(place, &value): (usize, &u64)| DifferenceCell {
        value: measure.shown(value),
        difference: if place == 0 { String::new() } else { measure.difference(value, base) },
        share: share(value, base),
        place: value as f64 / greatest as f64,
    };
    DifferenceRow {
        name: measure.name.to_owned(),
        meaning: measure.meaning.to_owned(),
        cells: values.iter().enumerate().map(cell).collect(),
        is_same: values.iter().all(|&value| value == base),
    }
}

/// What a value has more than the base, as a share of the base; what is more than nothing is all the more.
fn share(value: u64, base: u64) -> f64 {
    match (value, base) {
        (0, 0) => 0.0,
        (_, 0) => 1.0,
        _ => ((value as f64 - base as f64) / base as f64).clamp(-1.0, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_the_base_and_ends_at_twice_as_much() {
        let shares =
            [(0, 0), (5, 0), (0, 10), (5, 10), (10, 10), (15, 10), (1000, 10)].map(|(a, b)| share(a, b));
        assert_eq!(shares, [0.0, 1.0, -1.0, -0.5, 0.0, 0.5, 1.0]);
    }
}
