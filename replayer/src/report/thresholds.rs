//! How the thresholds moved, step by step.

use super::units::{bytes, count};
use super::{Line, Section, Table, json};
use crate::outcome::{Outcome, Thresholds};
use serde::Serialize;
use std::io::{self, Write};

/// How the thresholds of a run moved.
#[derive(Clone, Debug, Serialize)]
pub struct Trajectory<'a> {
    /// The release.
    pub release: &'a str,
    /// Whether they move by themselves.
    pub dynamic: bool,
    /// What whoever set one should know.
    pub warnings: &'a [String],
    /// Where they began and ended, and the moves between.
    #[serde(flatten)]
    pub thresholds: &'a Thresholds,
}

impl<'a> Trajectory<'a> {
    /// That of a run.
    pub fn of(outcome: &'a Outcome) -> Trajectory<'a> {
        Trajectory {
            release: &outcome.settings.release,
            dynamic: outcome.settings.dynamic_thresholds,
            warnings: &outcome.settings.warnings,
            thresholds: &outcome.thresholds,
        }
    }

    /// For people.
    pub fn sections(&self) -> Vec<Section> {
        let thresholds = self.thresholds;
        let regime = match self.dynamic {
            true => {
                "The thresholds move by themselves: freeing a mapped chunk raises the mmap threshold to its size, \
                     and the trim threshold to twice that."
            }
            false => "One of the four tunables that fix the thresholds is set: none moves.",
        };
        let mut lines = vec![Line::Text(regime.to_owned())];
        lines.push(Line::Text(format!(
            "mmap threshold: {} at first, {} at the end; trim threshold at the end: {}",
            bytes(thresholds.first_mmap_threshold),
            bytes(thresholds.last_mmap_threshold),
            bytes(thresholds.last_trim_threshold)
        )));
        lines.extend(self.warnings.iter().cloned().map(Line::Warning));
        let mut table = Table::with_columns(&["#at record", "#mmap threshold", "#trim threshold"]);
        for to in &thresholds.moves {
            table.push([count(to.record), bytes(to.to), bytes(to.to.saturating_mul(2))]);
        }
        let mut notes = Vec::new();
        if thresholds.moved > thresholds.moves.len() as u64 {
            notes.push(format!("The first {} of {} moves.", thresholds.moves.len(), count(thresholds.moved)));
        }
        if !thresholds.moves.is_empty() {
            notes.push("`malloscope explain --at RECORD` tells what the call at a record did.".to_owned());
        }
        let table = (!thresholds.moves.is_empty()).then_some(table);
        vec![Section { title: String::new(), lines, table, notes }]
    }

    /// As JSON.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        json::write("malloscope.thresholds", self, out)
    }
}
