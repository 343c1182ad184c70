//! The storms of a run, for people and for programs.

use super::units::{bytes, count, nanos};
use super::{Line, Section, Table, json};
use crate::outcome::Outcome;
use crate::storms::{Kind, Storm, TOGETHER, storms};
use serde::Serialize;
use std::io::{self, Write};

/// How many are shown.
const SHOWN: usize = 20;

/// What goes to the kernel and comes back.
#[derive(Clone, Debug, Serialize)]
pub struct Storms {
    /// Records replayed.
    pub records: u64,
    /// The most records that one window has: what is much shorter cannot be seen.
    pub longest_window: u64,
    /// Page faults of the whole run.
    pub faults: u64,
    /// Each, in the order they began.
    pub storms: Vec<Storm>,
}

impl Storms {
    /// Those of a run.
    pub fn of(outcome: &Outcome) -> Storms {
        let slices = &outcome.slices;
        let begins = std::iter::once(slices.first).chain(slices.ends.iter().copied());
        let longest_slice = begins.zip(&slices.ends).map(|(from, to)| to - from).max().unwrap_or(0);
        let longest_window = longest_slice * TOGETHER as u64;
        Storms {
            records: outcome.records,
            longest_window,
            faults: outcome.measured.faults,
            storms: storms(slices),
        }
    }

    /// For people.
    pub fn sections(&self) -> Vec<Section> {
        let looked = format!(
            "{} records, looked at in windows of up to {}",
            count(self.records),
            count(self.longest_window.min(self.records))
        );
        let mut lines = vec![Line::Text(looked)];
        if self.storms.is_empty() {
            lines.push(Line::Text(
                "No storm: nothing goes to the kernel and comes back over and over.".to_owned(),
            ));
            return vec![Section { lines, ..Section::default() }];
        }
        for kind in Kind::ALL {
            let of_kind = || self.storms.iter().filter(|storm| storm.kind == kind);
            if of_kind().next().is_none() {
                continue;
            }
            let records: u64 = of_kind().map(|storm| storm.to - storm.from).sum();
            let moves: u64 = of_kind().map(|storm| storm.up + storm.down).sum();
            let faults: u64 = of_kind().map(|storm| storm.faults).sum();
            lines.push(Line::Text(format!(
                "{}: {} moves in {} records of storms, in which {} of {} page faults are",
                kind.name(),
                count(moves),
                count(records),
                count(faults),
                count(self.faults)
            )));
        }
        let names = [
            "what",
            "#from record",
            "#to",
            "#lasting",
            "#up",
            "#down",
            "#for nothing",
            "#came again",
            "#faults",
        ];
        let mut table = Table::with_columns(&names);
        let mut longest: Vec<&Storm> = self.storms.iter().collect();
        longest.sort_by_key(|storm| std::cmp::Reverse(storm.up + storm.down));
        longest.truncate(SHOWN);
        for storm in longest {
            table.push([
                storm.kind.name().to_owned(),
                count(storm.from),
                count(storm.to),
                nanos(storm.ended - storm.began),
                count(storm.up),
                count(storm.down),
                format!("{:.1} %", 100.0 * storm.oscillation),
                storm.churned.map(bytes).unwrap_or_default(),
                count(storm.faults),
            ]);
        }
        let mut notes = vec![
            "for nothing: 1 − |Σ moves| ÷ Σ |moves|, above 90 % in a storm, with more than 100 moves in 100,000 records."
                .to_owned(),
            "came again: what was given back and taken again. `malloscope flame --what break-grown` tells who.".to_owned(),
        ];
        if self.storms.len() > SHOWN {
            notes.push(format!(
                "The {SHOWN} with the most moves of {}; --format json has all.",
                self.storms.len()
            ));
        }
        vec![Section { lines, table: Some(table), notes, ..Section::default() }]
    }

    /// As JSON.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        json::write("malloscope.storms", self, out)
    }
}
