//! The list of single allocations, for people and for programs.

use super::units::{bytes, count, nanos};
use super::{Column, Line, Section, Table, csv, json};
use crate::allocations::{Allocation, Listing};
use crate::blame::legend::Legend;
use serde::Serialize;
use std::io::{self, Write};

/// How many of a stack's own frames are shown to people.
const FRAMES: usize = 4;

/// The list, with names for its stacks if the trace has some.
#[derive(Clone, Copy, Debug)]
pub struct Allocations<'a> {
    /// The trace's file.
    pub trace: &'a str,
    /// The allocations.
    pub listing: &'a Listing,
    /// What frames are called.
    pub legend: Option<&'a Legend>,
}

impl Allocations<'_> {
    /// For people.
    pub fn section(&self) -> Section {
        let listing = self.listing;
        let mut names =
            vec!["#size", "#chunk", "address", "#thread", "#made at", "#freed at", "#lived, records"];
        names.extend(listing.has_clock.then_some("#lived"));
        names.extend(listing.has_places.then_some("served from"));
        names.extend(self.legend.map(|_| "stack, the innermost of its own frames first"));
        let column = |name: &&str| Column {
            name: name.trim_start_matches('#').to_owned(),
            is_number: name.starts_with('#'),
        };
        let rows = listing.rows.iter().map(|allocation| self.row(&allocation)).collect();
        let text = format!("{}; these are {} of them", listing.said(), count(listing.rows.len() as u64));
        Section {
            title: "Allocations".to_owned(),
            lines: vec![Line::Text(text)],
            table: Some(Table { columns: names.iter().map(column).collect(), rows }),
            notes: vec![
                "made at, freed at: the numbers of records; what was never freed lived to the end."
                    .to_owned(),
            ],
        }
    }

    fn row(&self, allocation: &Allocation) -> Vec<String> {
        let lived = allocation.lifetime(self.listing.end);
        let known = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        let mut row = vec![
            bytes(allocation.request),
            known(allocation.chunk.map(bytes)),
            known(allocation.address.map(|address| format!("{address:#x}"))),
            allocation.thread.to_string(),
            count(allocation.made.record),
            known(allocation.freed.map(|freed| count(freed.record))),
            count(lived.record),
        ];
        row.extend(self.listing.has_clock.then(|| nanos(lived.time)));
        let place = || allocation.served_from.map_or_else(|| "–".to_owned(), |from| from.name());
        row.extend(self.listing.has_places.then(place));
        row.extend(self.legend.map(|legend| {
            let own = legend.own(allocation.stack, FRAMES);
            own.iter().map(|line| legend.get(line.function).name.as_str()).collect::<Vec<_>>().join(" ← ")
        }));
        row
    }

    /// As JSON: `REPORT.md` documents the names.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let listing = self.listing;
        let one = |allocation: Allocation| One {
            allocation,
            lived: allocation.lifetime(listing.end),
            stack: allocation.stack.0,
            frames: self.frames(&allocation),
        };
        let document = Document {
            trace: self.trace,
            matching: listing.matching,
            matching_bytes: listing.matching_bytes,
            all: listing.all,
            all_bytes: listing.all_bytes,
            end: listing.end,
            allocations: listing.rows.iter().map(one).collect(),
        };
        json::write("malloscope.allocations", &document, out)
    }

    /// As CSV: an allocation a line, its stack with the outermost frame first.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        const NAMES: [&str; 10] = [
            "size",
            "chunk",
            "address",
            "thread",
            "made",
            "freed",
            "lived_records",
            "lived",
            "served_from",
            "stack",
        ];
        csv::write_line(NAMES.iter().map(|name| (*name).to_owned()), out)?;
        for allocation in self.listing.rows.iter() {
            let lived = allocation.lifetime(self.listing.end);
            let known = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
            let mut frames = self.frames(&allocation);
            frames.reverse();
            let fields = [
                allocation.request.to_string(),
                known(allocation.chunk),
                known(allocation.address),
                allocation.thread.to_string(),
                allocation.made.record.to_string(),
                known(allocation.freed.map(|freed| freed.record)),
                lived.record.to_string(),
                lived.time.to_string(),
                allocation.served_from.map(|from| from.name()).unwrap_or_default(),
                frames.join(";"),
            ];
            csv::write_line(fields.into_iter(), out)?;
        }
        Ok(())
    }

    /// The names of an allocation's frames, the innermost first.
    fn frames(&self, allocation: &Allocation) -> Vec<&str> {
        let Some(legend) = self.legend else { return Vec::new() };
        legend.stack(allocation.stack).iter().map(|line| legend.get(line.function).name.as_str()).collect()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    trace: &'a str,
    matching: u64,
    matching_bytes: u64,
    all: u64,
    all_bytes: u64,
    end: crate::allocations::When,
    allocations: Vec<One<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    #[serde(flatten)]
    allocation: Allocation,
    lived: crate::allocations::When,
    stack: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    frames: Vec<&'a str>,
}
