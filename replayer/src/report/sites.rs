//! The table of allocation sites, for people and for programs.

use super::units::{bytes, count, nanos};
use super::{Column as Title, Line as Text, Section, Table, csv, json};
use crate::blame::Unit;
use crate::blame::legend::{Legend, Line};
use crate::export::collect::Counted;
use crate::export::sites::Amount;
use crate::sites::{Column, SiteRow, SiteTable};
use malloscope_traces::stacks::Sampling;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use std::io::{self, Write};

/// How many of a stack's own frames are shown to people.
const FRAMES: usize = 4;

/// Some rows of a table, to be printed.
#[derive(Clone, Copy, Debug)]
pub struct Sites<'a> {
    /// The trace's file.
    pub trace: &'a str,
    /// The table.
    pub table: &'a SiteTable,
    /// What the frames are called.
    pub legend: &'a Legend,
    /// The numbers of the rows, in order.
    pub rows: &'a [u32],
}

impl Sites<'_> {
    /// For people: the rows, and below them the sum of those that were left out, and of all.
    pub fn section(&self) -> Section {
        let table = self.table;
        let columns: Vec<Column> = table.columns().collect();
        let number = |column: &Column| Title { name: column.title().to_lowercase(), is_number: true };
        let stack =
            Title { name: "stack, the innermost of its own frames first".to_owned(), is_number: false };
        let titles = columns.iter().map(number).chain([stack]).collect();
        let cells = |row: &SiteRow, name: String| {
            columns.iter().map(|column| table.shown(*column, row)).chain([name]).collect()
        };
        let mut rows: Vec<Vec<String>> = self.chosen().map(|row| cells(row, own(self.legend, row))).collect();
        if self.rows.len() < table.rows.len() {
            let chosen = format!("these {} stacks", count(self.rows.len() as u64));
            rows.push(cells(&table.sum(self.rows), chosen));
        }
        rows.push(cells(&table.total, format!("all {} stacks", count(table.rows.len() as u64))));
        let mut notes = vec![
            "A stack's means are over its allocations; what lived at the end lived until then.".to_owned(),
            "temporary: freed before the thread that made it made another.".to_owned(),
        ];
        if table.pinned.is_some() {
            notes.push("pinned: free bytes below an allocation of the stack while that was the highest live one, × time.".to_owned());
        }
        Section {
            title: "Allocation sites".to_owned(),
            lines: self.opening(),
            table: Some(Table { columns: titles, rows }),
            notes,
        }
    }

    fn opening(&self) -> Vec<Text> {
        let SiteTable { counted, left_out, peak, end, .. } = self.table;
        let allocations = format!(
            "{} allocations of {}, {} of them temporary{}",
            count(counted.allocations),
            bytes(counted.bytes),
            count(counted.temporary),
            left_out.out_of(*counted),
        );
        let when =
            |time| if self.table.has_clock { format!(" after {}", nanos(time)) } else { String::new() };
        let live = format!(
            "{} live at the peak{}, {} at the end",
            bytes(peak.live),
            when(peak.time),
            bytes(end.live)
        );
        let mut lines = vec![Text::Text(format!("{allocations} · {live}"))];
        if let Sampling::Bytes { mean } = self.table.sampling {
            lines.push(Text::Warning(format!(
                "stacks were sampled, one in {} asked for: the table's numbers are estimates, those above are counted",
                bytes(mean)
            )));
        }
        lines
    }

    fn chosen(&self) -> impl Iterator<Item = &SiteRow> {
        self.rows.iter().filter_map(|&row| self.table.rows.get(row as usize))
    }

    /// As JSON: `REPORT.md` documents the names.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        json::write("malloscope.sites", &Document::of(self), out)
    }

    /// As CSV: a stack a line, the outermost frame first, as folded stacks have it.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let columns: Vec<Column> = self.table.columns().collect();
        let names = columns.iter().map(|column| column.name().replace('-', "_"));
        csv::write_line(names.chain(["stack".to_owned()]), out)?;
        for row in self.chosen() {
            let values = columns.iter().map(|column| column.value(row).to_string());
            let mut frames = self.legend.stack(row.stack);
            frames.reverse();
            let frames: Vec<&str> = frames.iter().map(|line| name(self.legend, line)).collect();
            csv::write_line(values.chain([frames.join(";")]), out)?;
        }
        Ok(())
    }
}

fn name<'a>(legend: &'a Legend, line: &Line) -> &'a str {
    &legend.get(line.function).name
}

/// A stack in a line: its own innermost frames.
fn own(legend: &Legend, row: &SiteRow) -> String {
    let frames = legend.own(row.stack, FRAMES);
    frames.iter().map(|line| name(legend, line)).collect::<Vec<_>>().join(" ← ")
}

#[derive(Serialize)]
struct Document<'a> {
    trace: &'a str,
    /// One in so many bytes, where stacks were sampled.
    sampled: Option<u64>,
    counted: Counted,
    left_out: Counted,
    peak: When,
    end: When,
    pinned_unit: Option<Unit>,
    /// How many stacks there are, and how many are in `sites`.
    stacks: usize,
    chosen: usize,
    total: Numbers,
    sites: Chosen<'a>,
}

#[derive(Serialize)]
struct When {
    time: u64,
    live_bytes: u64,
}

#[derive(Serialize)]
struct Numbers {
    allocated: Amount,
    peak: Amount,
    end: Amount,
    temporary: Amount,
    mean_bytes: f64,
    mean_lifetime_records: f64,
    mean_lifetime_nanos: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned: Option<f64>,
}

impl Numbers {
    fn of(table: &SiteTable, row: &SiteRow) -> Numbers {
        Numbers {
            allocated: row.allocated,
            peak: row.peak,
            end: row.end,
            temporary: row.temporary,
            mean_bytes: Column::MeanSize.value(row),
            mean_lifetime_records: Column::MeanRecords.value(row),
            mean_lifetime_nanos: Column::MeanTime.value(row),
            pinned: table.pinned.map(|_| row.pinned),
        }
    }
}

impl<'a> Document<'a> {
    fn of(sites: &Sites<'a>) -> Document<'a> {
        let table = sites.table;
        let sampled = match table.sampling {
            Sampling::Bytes { mean } => Some(mean),
            Sampling::All => None,
        };
        Document {
            trace: sites.trace,
            sampled,
            counted: table.counted,
            left_out: table.left_out,
            peak: When { time: table.peak.time, live_bytes: table.peak.live },
            end: When { time: table.end.time, live_bytes: table.end.live },
            pinned_unit: table.pinned,
            stacks: table.rows.len(),
            chosen: sites.rows.len(),
            total: Numbers::of(table, &table.total),
            sites: Chosen(*sites),
        }
    }
}

/// The rows one after the other, so that those of a long table are not in memory all at once.
struct Chosen<'a>(Sites<'a>);

#[derive(Serialize)]
struct OneSite<'a> {
    #[serde(flatten)]
    numbers: Numbers,
    stack: u32,
    /// The innermost first.
    frames: Vec<OneFrame<'a>>,
}

#[derive(Serialize)]
struct OneFrame<'a> {
    function: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

impl Serialize for Chosen<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Chosen(sites) = self;
        let legend = sites.legend;
        let frame = |line: &Line| OneFrame {
            function: name(legend, line),
            module: legend.module(line.function),
            source: legend.source(line),
        };
        let mut sequence = serializer.serialize_seq(Some(sites.rows.len()))?;
        for row in sites.chosen() {
            let frames = legend.stack(row.stack).iter().map(frame).collect();
            let numbers = Numbers::of(sites.table, row);
            sequence.serialize_element(&OneSite { numbers, stack: row.stack.0, frames })?;
        }
        sequence.end()
    }
}
