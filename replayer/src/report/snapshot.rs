//! The heap of a process as it stood: arenas, what is held and free, what is pinned and could be given back.

use super::units::{bytes, count, nanos, percent};
use super::{Line, Section, Table, csv};
use crate::explore::map::State;
use crate::snapshot::{Account, ArenaAccount, Found, FreeChunk, Trim};
use malloscope_traces::Header;
use malloscope_traces::snapshot::Snapshot;
use serde::Serialize;
use std::io::{self, Write};

/// A heap that was taken, and what it says of itself.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotReport<'a> {
    /// The process.
    pub header: &'a Header,
    /// Its heap.
    pub snapshot: &'a Snapshot,
    /// What that says.
    pub account: &'a Account,
}

impl SnapshotReport<'_> {
    /// For people.
    pub fn sections(&self) -> Vec<Section> {
        vec![self.opening(), self.arenas(), self.states(), self.fragmentation(), self.trim()]
    }

    fn opening(&self) -> Section {
        let SnapshotReport { header, snapshot, account } = self;
        let program = &header.program;
        let what = format!("Process {}: {}", program.pid, program.arguments.join(" "));
        let version = match header.libc.version.as_str() {
            "" => "of an unknown version".to_owned(),
            version => version.to_owned(),
        };
        let threads = match snapshot.threads.len() {
            1 => "one thread".to_owned(),
            many => format!("{} threads", count(many as u64)),
        };
        let libc = format!("glibc {version}, which behaves as {}; {threads}", account.release);
        let held = format!(
            "malloc has {} from the kernel: {} in arenas, {} in {} mappings of single chunks",
            bytes(account.map.system),
            bytes(account.mallinfo2.arena),
            bytes(account.mallinfo2.hblkhd),
            count(account.mallinfo2.hblks),
        );
        let mut lines = vec![Line::Text(what), Line::Text(libc), Line::Text(held)];
        if snapshot.stopped > 0 {
            lines.push(Line::Text(format!("The process was stopped for {}", nanos(snapshot.stopped))));
        }
        let Found { found, counted, .. } = account.mapped;
        if found != counted {
            lines.push(Line::Warning(format!(
                "malloc counts {} chunks with mappings of their own, and {} were found",
                count(counted),
                count(found)
            )));
        }
        Section { lines, ..Section::default() }
    }

    fn arenas(&self) -> Section {
        let mut table = Table::with_columns(&[
            "#Arena",
            "#Parts",
            "#Threads",
            "#From kernel",
            "#In use",
            "#Cached",
            "#In bins",
            "#Top",
            "#Pinned",
        ]);
        for arena in &self.account.arenas {
            table.push([
                count(arena.arena.into()),
                count(arena.regions),
                count(arena.threads),
                count(arena.system_bytes),
                count(arena.in_use.bytes),
                count(arena.cached.bytes),
                count(arena.in_bins()),
                count(arena.top_bytes),
                count(arena.pinned_bytes),
            ]);
        }
        let notes = vec![
            "Arena 0 is the main one. Pinned: free below the highest chunk in use, so that no moving of the arena’s end gives it back."
                .to_owned(),
        ];
        Section { title: "Arenas".to_owned(), table: Some(table), notes, ..Section::default() }
    }

    fn states(&self) -> Section {
        let map = &self.account.map;
        let all = map.totals.all();
        let mut table = Table::with_columns(&["State", "#Pieces", "#Bytes", "#Share"]);
        for state in State::ALL.into_iter().filter(|state| map.totals.of(*state).pieces > 0) {
            let total = map.totals.of(state);
            let share = percent(total.bytes, all.bytes);
            table.push([name(state).to_owned(), count(total.pieces), count(total.bytes), share]);
        }
        table.push(["all".to_owned(), count(all.pieces), count(all.bytes), percent(all.bytes, all.bytes)]);
        Section { title: "What it is made of".to_owned(), table: Some(table), ..Section::default() }
    }

    fn fragmentation(&self) -> Section {
        let account = self.account;
        let elsewhere = account.in_bins - account.largest_bytes();
        let text = format!(
            "{} are free in bins, {} of them in the largest chunk: {} could not serve one request",
            bytes(account.in_bins),
            bytes(account.largest_bytes()),
            percent(elsewhere, account.in_bins),
        );
        let mut table = Table::with_columns(&["#Bytes", "Chunk", "#Arena", "Where"]);
        for chunk in &account.largest {
            table.push([
                count(chunk.bytes),
                format!("{:#x}", chunk.address),
                count(chunk.arena.into()),
                chunk.state.name().to_owned(),
            ]);
        }
        let has_any = !account.largest.is_empty();
        let lines = vec![Line::Text(if has_any { text } else { "Nothing is free in bins".to_owned() })];
        Section {
            title: "Largest free chunks".to_owned(),
            lines,
            table: has_any.then_some(table),
            notes: Vec::new(),
        }
    }

    fn trim(&self) -> Section {
        let Trim { break_bytes, resident_bytes, residency_is_known } = self.account.trim;
        let most = if residency_is_known { "" } else { "at most " };
        let text = format!(
            "malloc_trim(0) would give back {most}{}; the program break would move down by {}",
            bytes(resident_bytes),
            bytes(break_bytes)
        );
        Section {
            title: "What could be given back".to_owned(),
            lines: vec![Line::Text(text)],
            ..Section::default()
        }
    }

    fn document(&self) -> Document<'_> {
        let SnapshotReport { header, snapshot, account } = *self;
        Document {
            schema: "malloscope.snapshot",
            version: 1,
            process: header.program.pid,
            program: &header.program.path,
            libc: &header.libc.version,
            release: account.release,
            threads: snapshot.threads.len(),
            stopped_nanos: snapshot.stopped,
            system_bytes: account.map.system,
            foreign_bytes: account.map.foreign,
            mallinfo2: account
                .mallinfo2
                .fields()
                .into_iter()
                .map(|(name, number)| (name.to_owned(), number.into()))
                .collect(),
            arenas: &account.arenas,
            states: State::ALL.into_iter().filter_map(|state| state_field(account, state)).collect(),
            in_bins_bytes: account.in_bins,
            largest_free_bytes: account.largest_bytes(),
            largest: &account.largest,
            trim: account.trim,
            mapped: account.mapped,
            malloc_info: &account.malloc_info,
        }
    }

    /// Everything as one JSON document.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, &self.document())?;
        writeln!(out)
    }

    /// Every number, a line each, under the names that it has in JSON.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        csv::write_line(["number", "value"].map(str::to_owned).into_iter(), out)?;
        write_numbers(&mut String::new(), &serde_json::to_value(self.document())?, out)
    }
}

/// Writes the numbers in a value, each with the way to it.
fn write_numbers(way: &mut String, value: &serde_json::Value, out: &mut dyn Write) -> io::Result<()> {
    let length = way.len();
    let mut into = |name: &str, value| {
        let dot = if length == 0 { "" } else { "." };
        way.push_str(&format!("{dot}{name}"));
        let written = write_numbers(way, value, out);
        way.truncate(length);
        written
    };
    match value {
        serde_json::Value::Object(fields) => fields.iter().try_for_each(|(name, value)| into(name, value)),
        serde_json::Value::Array(list) => {
            list.iter().enumerate().try_for_each(|(number, value)| into(&number.to_string(), value))
        }
        serde_json::Value::Number(number) => {
            csv::write_line([way.clone(), number.to_string()].into_iter(), out)
        }
        _ => Ok(()),
    }
}

/// A state and what is in it.
fn state_field(account: &Account, state: State) -> Option<(String, serde_json::Value)> {
    let key = serde_json::to_value(state).ok()?.as_str()?.to_owned();
    Some((key, serde_json::to_value(account.map.totals.of(state)).ok()?))
}

/// What a state is called where nobody knows the program's own calls.
fn name(state: State) -> &'static str {
    match state {
        State::Live => "in use",
        other => other.name(),
    }
}

impl ArenaAccount {
    /// Free bytes in its bins.
    fn in_bins(&self) -> u64 {
        [self.fast, self.unsorted, self.small, self.large].iter().map(|total| total.bytes).sum()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: u32,
    process: u32,
    program: &'a str,
    libc: &'a str,
    release: &'static str,
    threads: usize,
    stopped_nanos: u64,
    system_bytes: u64,
    foreign_bytes: u64,
    mallinfo2: serde_json::Map<String, serde_json::Value>,
    arenas: &'a [ArenaAccount],
    states: serde_json::Map<String, serde_json::Value>,
    in_bins_bytes: u64,
    largest_free_bytes: u64,
    largest: &'a [FreeChunk],
    trim: Trim,
    mapped: Found,
    malloc_info: &'a str,
}
