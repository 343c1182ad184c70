//! One trace held against another, with limits: what grew too much.

use super::comparison::Measure;
use super::csv::write_row;
use super::units::{bytes, count};
use super::{Line, Section, Table, TraceInfo};
use crate::limit::Limit;
use crate::outcome::Outcome;
use serde::Serialize;
use std::io::{self, Write};

/// A new trace held against an old one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gate {
    /// The old one.
    pub against: TraceInfo,
    /// The new one.
    pub trace: TraceInfo,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// A number that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is called.
    pub name: &'static str,
    /// Whether it counts bytes.
    pub is_bytes: bool,
    /// What it was.
    pub before: u64,
    /// What it is.
    pub now: u64,
    /// The limit, as it was given.
    pub limit: String,
    /// What it may be by that.
    pub most: u64,
    /// Whether it is no more.
    pub holds: bool,
}

impl Check {
    /// Holds a number of two runs against a limit.
    pub fn of(measure: &Measure, limit: Limit, before: &Outcome, now: &Outcome) -> Check {
        let (before, now) = (measure.of(before), measure.of(now));
        let most = limit.most(before);
        Check {
            name: measure.name,
            is_bytes: measure.is_bytes,
            before,
            now,
            limit: limit.to_string(),
            most,
            holds: now <= most,
        }
    }

    fn shown(&self, value: u64) -> String {
        if self.is_bytes { bytes(value) } else { count(value) }
    }

    fn reason(&self) -> String {
        format!(
            "{} is {}, which is {} more than {} allows ({} before)",
            self.name,
            self.shown(self.now),
            self.shown(self.now.saturating_sub(self.most)),
            self.limit,
            self.shown(self.before)
        )
    }
}

impl Gate {
    /// Whether every number is within its limit.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    /// As CSV: a line for each number.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        write_row(["measure", "before", "now", "limit", "most", "holds"], out)?;
        for check in &self.checks {
            let [before, now, most] = [check.before, check.now, check.most].map(|value| value.to_string());
            let holds = check.holds.to_string();
            write_row([check.name, &before, &now, &check.limit, &most, &holds], out)?;
        }
        Ok(())
    }

    /// For people.
    pub fn sections(&self) -> Vec<Section> {
        let mut table = Table::with_columns(&["", "#before", "#now", "#limit", "#at most", ""]);
        for check in &self.checks {
            let verdict = if check.holds { "holds" } else { "TOO MUCH" };
            let [before, now, most] = [check.before, check.now, check.most].map(|value| check.shown(value));
            table.push([check.name.to_owned(), before, now, check.limit.clone(), most, verdict.to_owned()]);
        }
        let mut lines = vec![
            Line::Text(self.trace.command()),
            Line::Text(format!("{} beside {}", self.trace.file, self.against.file)),
        ];
        lines.extend(
            self.checks.iter().filter(|check| !check.holds).map(|check| Line::Warning(check.reason())),
        );
        let notes = match self.holds() {
            true => "Every number is within its limit.".to_owned(),
            false => "See what `malloscope compare` and `malloscope sites` say of both traces.".to_owned(),
        };
        vec![Section { title: String::new(), lines, table: Some(table), notes: vec![notes] }]
    }
}
