//! What a run shows, for people and for programs: plain results in, one format each out.
//!
//! A report is put together once, as [`Section`]s of text and tables; [`terminal`] and [`markdown`]
//! print those. [`json`] and [`csv`] print every number there is, under names that stay.

pub mod advice;
pub mod allocations;
pub mod arenas;
pub mod beginning;
pub mod calls;
pub mod chart;
pub mod comparison;
pub mod csv;
mod flows;
pub mod gate;
pub mod heap;
pub mod html;
pub mod json;
pub mod markdown;
pub mod pins;
pub mod proof;
mod questions;
pub mod readings;
pub mod rerun;
mod single;
pub mod sites;
pub mod snapshot;
pub mod so_far;
pub mod stacks;
pub mod storms;
pub mod terminal;
pub mod thresholds;
pub mod trim_plan;
pub mod tunables;
pub mod units;
mod waiting;

use crate::outcome::Outcome;
use crate::recognition::{self, Recognition};
use malloscope_traces::redaction::Redaction;
use malloscope_traces::snapshot::Snapshot;
use malloscope_traces::{Cause, Ending, Header, Reader};
use readings::KernelSaid;
use serde::Serialize;
use stacks::Blamed;
use std::path::Path;

/// The formats a report can be printed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, in a terminal.
    Terminal,
    /// Everything, for programs.
    Json,
    /// Everything, a number a line.
    Csv,
    /// For people, in a text.
    Markdown,
}

/// What is known about a trace apart from its records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceInfo {
    /// The file.
    pub file: String,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// What was known before the first call.
    pub header: Header,
    /// What its libc behaves as.
    pub recognition: Recognition,
    /// What was known after the last; nothing if the recording was cut short.
    pub ending: Option<Ending>,
    /// Records in it, if the recording was finished.
    pub records: Option<u64>,
    /// The heap that it begins with, if its process was not recorded from its first call on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begins_with: Option<BeginsWith>,
    /// What the kernel said of the process meanwhile, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_said: Option<KernelSaid>,
    /// What the trace says that it leaves out, if it leaves out anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redacted: Option<Redaction>,
}

/// The heap that a trace begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BeginsWith {
    /// Bytes from the kernel, by malloc's own count.
    pub system_bytes: u64,
    /// Chunks in arenas, and those with mappings of their own.
    pub chunks: u64,
    /// Threads that the process had.
    pub threads: u64,
    /// For how long the process was stopped, in nanoseconds.
    pub stopped_nanos: u64,
}

impl BeginsWith {
    fn of(snapshot: &Snapshot) -> BeginsWith {
        let arenas = &snapshot.arenas;
        let heads = arenas.iter().flat_map(|arena| &arena.regions).map(|region| region.heads.len());
        let in_arenas: u64 = arenas.iter().map(|arena| arena.system_bytes).fold(0, u64::saturating_add);
        BeginsWith {
            system_bytes: in_arenas.saturating_add(snapshot.limits.mapped_bytes),
            chunks: (heads.sum::<usize>() + snapshot.mappings.len()) as u64,
            threads: snapshot.threads.len() as u64,
            stopped_nanos: snapshot.stopped,
        }
    }
}

impl TraceInfo {
    /// Reads what is known about the trace in a file.
    ///
    /// # Errors
    ///
    /// When the file is no trace, or cannot be read.
    pub fn of(path: &Path) -> Result<TraceInfo, malloscope_traces::Error> {
        let mut reader = Reader::open_file(path)?;
        // Whoever replays it is told if it cannot be read.
        let snapshot = reader.snapshot().ok().flatten();
        Ok(TraceInfo {
            begins_with: snapshot.as_ref().map(BeginsWith::of),
            redacted: Some(reader.redaction()?).filter(Redaction::is_any),
            kernel_said: KernelSaid::of(&reader.readings()?),
            file: path.display().to_string(),
            file_bytes: std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
            header: reader.header().clone(),
            recognition: recognition::recognize(reader.header()),
            ending: reader.ending().cloned(),
            records: reader.totals().map(|totals| totals.records),
        })
    }

    /// Whether the program may have gone on after the trace's end, for all that is known.
    pub fn goes_on(&self) -> bool {
        let cause = self.ending.as_ref().map(|ending| &ending.cause);
        !matches!(cause, Some(Cause::Exited { .. } | Cause::Killed { .. } | Cause::Replaced { .. }))
    }

    /// The program and its arguments, as they were called.
    pub fn command(&self) -> String {
        let program = &self.header.program;
        if program.arguments.is_empty() { program.path.clone() } else { program.arguments.join(" ") }
    }
}

/// One run on one trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The trace.
    pub trace: TraceInfo,
    /// What came of the run.
    pub outcome: Outcome,
    /// The stacks that matter most, if the trace has stacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stacks: Vec<Blamed>,
}

/// Several runs on one trace, the first being what the others are measured against.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The trace.
    pub trace: TraceInfo,
    /// What each run is called, and what came of it.
    pub runs: Vec<Run>,
    /// Processes that made them at one time.
    pub workers: usize,
    /// Runs that a process made side by side, at most.
    pub side_by_side: usize,
}

/// A run with a name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// What distinguishes it.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// A part of a report: a title, lines of text, perhaps a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// What it is about; empty for the opening.
    pub title: String,
    /// Lines before the table.
    pub lines: Vec<Line>,
    /// The table.
    pub table: Option<Table>,
    /// Lines after the table: what its words mean.
    pub notes: Vec<String>,
}

/// A line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Text.
    Text(String),
    /// Something that should be noticed.
    Warning(String),
    /// Rows of a chart, to be printed as they are.
    Chart(Vec<String>),
}

/// Cells in rows and columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The columns' names, and which of them hold numbers.
    pub columns: Vec<Column>,
    /// The cells.
    pub rows: Vec<Vec<String>>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Whether it holds numbers, which stand to the right.
    pub is_number: bool,
}

impl Table {
    /// A table without rows. A column whose name begins with `#` holds numbers.
    fn with_columns(names: &[&str]) -> Table {
        let column = |name: &&str| match name.strip_prefix('#') {
            Some(name) => Column { name: name.to_owned(), is_number: true },
            None => Column { name: (*name).to_owned(), is_number: false },
        };
        Table { columns: names.iter().map(column).collect(), rows: Vec::new() }
    }

    fn push(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().collect());
    }
}

impl Report {
    /// The report for people.
    pub fn sections(&self) -> Vec<Section> {
        single::sections(self)
    }
}

impl Comparison {
    /// The comparison for people.
    pub fn sections(&self) -> Vec<Section> {
        comparison::sections(self)
    }
}
