//! Several runs side by side: what each costs, and the difference from the first.

use super::csv::write_row;
use super::single::touching;
use super::units::{bytes, count, signed_bytes, signed_count};
use super::{Comparison, Line, Section, Table};
use crate::outcome::Outcome;
use crate::plan::recipes::Recipe;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// A number that runs are compared by.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// What it is called: `resident, peak`.
    pub name: &'static str,
    /// What exactly it is, in one sentence.
    pub meaning: &'static str,
    /// Whether it counts bytes.
    pub is_bytes: bool,
    value: fn(&Outcome) -> u64,
}

const fn in_bytes(name: &'static str, meaning: &'static str, value: fn(&Outcome) -> u64) -> Measure {
    Measure { name, meaning, is_bytes: true, value }
}

const fn number(name: &'static str, meaning: &'static str, value: fn(&Outcome) -> u64) -> Measure {
    Measure { name, meaning, is_bytes: false, value }
}

/// Every number that runs are compared by, in the order they are shown.
pub const MEASURES: [Measure; 22] = [
    in_bytes("resident, peak", "The most pages in memory at any time.", |run| {
        run.measured.peaks.resident.bytes
    }),
    in_bytes("resident, mean", "Pages in memory, on average over the calls.", |run| {
        run.measured.mean_resident
    }),
    in_bytes(
        "resident, mean over time",
        "Pages in memory, on average over the time between the first and the last record; 0 if no time passed.",
        |run| run.measured.mean_resident_over_time.unwrap_or(0),
    ),
    in_bytes("resident, end", "Pages in memory after the last call.", |run| run.measured.resident),
    in_bytes("system, peak", "The most that malloc ever had from the kernel.", |run| {
        run.measured.peaks.system.bytes
    }),
    in_bytes(
        "pinned, end",
        "Free in the main heap after the last call, but below its highest live chunk: it cannot go back.",
        |run| run.measured.pinned,
    ),
    in_bytes(
        "resident free, end",
        "Free memory after the last call, in caches, bins and top chunks, on pages that are in memory.",
        |run| run.measured.books.free.resident,
    ),
    in_bytes(
        "unbacked free, end",
        "Free memory after the last call that takes none: never touched, or given back.",
        |run| run.measured.books.free.unbacked(),
    ),
    number("minor faults", "First touches of pages, each a fault.", |run| run.measured.faults),
    number("break grown", "Calls of brk that moved the program break up.", |run| run.kernel.break_grown),
    number("break trimmed", "Calls of brk that moved the program break down.", |run| {
        run.kernel.break_trimmed
    }),
    number("mmap", "Calls of mmap: mappings for large requests, and segments of arenas.", |run| {
        run.kernel.mmap
    }),
    number("munmap", "Calls of munmap: mappings given back.", |run| run.kernel.munmap),
    number("mremap", "Calls of mremap: mappings that realloc made longer or shorter.", |run| {
        run.kernel.mremap
    }),
    number("mprotect", "Calls of mprotect: segments of arenas that grew.", |run| run.kernel.mprotect),
    number("madvise", "Calls of madvise: pages of arenas given back, and huge pages asked for.", |run| {
        run.kernel.madvise
    }),
    number("kernel calls", "All calls of the kernel together.", |run| run.kernel.total()),
    number("served by tcache", "Requests that the thread's own cache served, without a lock.", |run| {
        served(run, "tcache")
    }),
    number("served mapped", "Requests that got a mapping of their own.", |run| served(run, "mapped")),
    number(
        "chunks searched",
        "Chunks of unsorted, small and large bins that all requests looked at together.",
        |run| run.searches.all().map_or(0, |all| all.chunks),
    ),
    number("longest search", "The most such chunks that one request looked at.", |run| {
        run.searches.all().map_or(0, |all| all.longest)
    }),
    in_bytes("mmap threshold, end", "The mmap threshold after the last call.", |run| {
        run.thresholds.last_mmap_threshold
    }),
];

impl Measure {
    /// The one of this name.
    pub fn named(name: &str) -> Option<Measure> {
        MEASURES.into_iter().find(|measure| measure.name == name)
    }

    /// The number of this run.
    pub fn of(&self, run: &Outcome) -> u64 {
        (self.value)(run)
    }

    /// A value of it, with its unit.
    pub fn shown(&self, value: u64) -> String {
        if self.is_bytes { bytes(value) } else { count(value) }
    }

    /// What a value has more than the base, with sign and unit; `=` if nothing.
    pub fn difference(&self, value: u64, base: u64) -> String {
        let by = i128::from(value) - i128::from(base);
        match by {
            0 => "=".to_owned(),
            _ if self.is_bytes => signed_bytes(by),
            _ => signed_count(by),
        }
    }
}

/// Writes what runs are compared by as CSV: a line for each number, and for each run its value and what it
/// has more than the first run's. What whoever set something should know follows, as values of `warning`.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write_csv(runs: &[(&str, &Outcome)], out: &mut dyn Write) -> io::Result<()> {
    write_row(["measure", "unit", "run", "value", "difference"], out)?;
    for measure in &MEASURES {
        let unit = if measure.is_bytes { "bytes" } else { "number" };
        let base = runs.first().map_or(0, |(_, first)| measure.of(first));
        for (name, outcome) in runs {
            let value = measure.of(outcome);
            let by = i128::from(value) - i128::from(base);
            write_row([measure.name, unit, name, &value.to_string(), &by.to_string()], out)?;
        }
    }
    for (name, outcome) in runs {
        for warning in &outcome.settings.warnings {
            write_row(["warning", "text", name, warning, ""], out)?;
        }
    }
    Ok(())
}

fn served(outcome: &Outcome, from: &str) -> u64 {
    outcome.served.iter().find(|row| row.from == from).map_or(0, |row| row.requests)
}

/// As many runs have a column each; of more, each has a row.
const COLUMNS: usize = 6;

pub(super) fn sections(comparison: &Comparison) -> Vec<Section> {
    let (table, note) = match comparison.runs.len() {
        ..=COLUMNS => (by_column(comparison), "Below each number: the difference from the first run."),
        _ => (
            by_row(comparison),
            "In brackets: the difference from the first run. The other numbers: --format csv.",
        ),
    };
    let mut lines = vec![Line::Text(comparison.trace.command()), Line::Text(conditions(comparison))];
    lines.extend(memory(comparison).map(Line::Text));
    let damage = comparison.runs.first().map(|run| run.outcome.damage.clone()).unwrap_or_default();
    lines.extend(damage.into_iter().map(Line::Warning));
    lines.extend(ignored(comparison).into_iter().map(Line::Warning));
    let mut notes = vec![note.to_owned()];
    notes.extend(recipes(comparison));
    notes.extend(warning(comparison));
    vec![Section { title: String::new(), lines, table: Some(table), notes }]
}

/// What the sweep took of this machine's memory.
fn memory(comparison: &Comparison) -> Option<String> {
    let greatest = comparison.runs.iter().map(|run| run.outcome.cost.greatest_memory).max()?;
    let workers = comparison.workers as u64;
    let several = |number: u64, one: &str, more: &str| match number {
        1 => format!("1 {one}"),
        _ => format!("{} {more}", count(number)),
    };
    (greatest > 0 && workers > 0).then(|| {
        format!(
            "{} at a time in each of {}, which took {} at most: {} for all",
            several(comparison.side_by_side as u64, "run", "runs"),
            several(workers, "process", "processes"),
            bytes(greatest),
            bytes(greatest * workers)
        )
    })
}

/// What the recipes among the runs set.
fn recipes(comparison: &Comparison) -> Option<String> {
    let is_run = |recipe: &Recipe| comparison.runs.iter().any(|run| run.name == recipe.run_name());
    let lines: Vec<String> = Recipe::ALL.into_iter().filter(is_run).map(Recipe::line).collect();
    (!lines.is_empty()).then(|| format!("The recipes: {}.", lines.join("; ")))
}

/// The measures that matter most, of which many runs have a column each.
const OF_MANY: [&str; 5] =
    ["resident, peak", "resident, mean", "resident, end", "minor faults", "kernel calls"];

/// A row for each run.
fn by_row(comparison: &Comparison) -> Table {
    let measures: Vec<&Measure> = MEASURES.iter().filter(|measure| OF_MANY.contains(&measure.name)).collect();
    let titles: Vec<String> = measures.iter().map(|measure| format!("#{}", measure.name)).collect();
    let mut names = vec!["run", "thresholds"];
    names.extend(titles.iter().map(String::as_str));
    let mut table = Table::with_columns(&names);
    for (place, run) in comparison.runs.iter().enumerate() {
        let cell = |measure: &&Measure| {
            let (value, base) = (measure.of(&run.outcome), measure.of(&comparison.runs[0].outcome));
            match place {
                0 => measure.shown(value),
                _ if value == base => format!("{} (=)", measure.shown(value)),
                _ => format!("{} ({})", measure.shown(value), measure.difference(value, base)),
            }
        };
        let head = [run.name.clone(), regime(&run.outcome).to_owned()];
        table.push(head.into_iter().chain(measures.iter().map(cell)));
    }
    table
}

/// A column for each run.
fn by_column(comparison: &Comparison) -> Table {
    let mut names = vec![String::new()];
    names.extend(comparison.runs.iter().map(|run| format!("#{}", run.name)));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut table = Table::with_columns(&names);
    let regimes = comparison.runs.iter().map(|run| regime(&run.outcome).to_owned());
    table.push(std::iter::once("thresholds".to_owned()).chain(regimes));
    for measure in &MEASURES {
        push_measure(&mut table, comparison, measure);
    }
    table
}

/// The values of all runs, and below them the differences, unless there are none.
fn push_measure(table: &mut Table, comparison: &Comparison, measure: &Measure) {
    let values: Vec<u64> = comparison.runs.iter().map(|run| measure.of(&run.outcome)).collect();
    let base = values.first().copied().unwrap_or(0);
    let shown = values.iter().map(|&value| measure.shown(value));
    table.push(std::iter::once(measure.name.to_owned()).chain(shown));
    if values.iter().all(|&value| value == base) {
        return;
    }
    let difference = |(place, &value): (usize, &u64)| match place {
        0 => String::new(),
        _ => measure.difference(value, base),
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
    let ignored = settings().flat_map(|settings| settings.ignored.iter().chain(&settings.warnings).cloned());
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
        "{} calls{of} replayed as glibc {} over {} memory, {}",
        count(outcome.calls),
        releases,
        outcome.trial.memory.name(),
        touching(outcome)
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
