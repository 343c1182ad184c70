//! The heap at one record: a picture in letters and totals for people, every chunk for programs.

use super::units::{bytes, count, nanos, percent};
use super::{Line, Section, Table};
use crate::explore::Step;
use crate::explore::cells::NOTHING;
use crate::explore::map::{Allocation, HeapMap, Piece, Region, RegionKind, State};
use serde::Serialize;
use std::io::{self, Write};

/// The heap at one record, and what else is known of the moment.
#[derive(Clone, Debug)]
pub struct HeapReport<'a> {
    /// The heap.
    pub map: &'a HeapMap,
    /// The latest call, if there was one.
    pub latest: Option<&'a Step>,
    /// The glibc release.
    pub release: &'a str,
    /// What of the trace cannot be read.
    pub damage: &'a [String],
}

/// Cells in a row of a picture.
const ROW: usize = 64;
/// Rows that the picture of the largest region has at most.
const ROWS: u64 = 24;
/// Regions of which there is a picture at most, and mappings that are named.
const PICTURES: usize = 32;

/// The letter of a state in pictures.
pub fn letter(state: State) -> char {
    match state {
        State::Live => '#',
        State::Cached => 't',
        State::Fast => 'f',
        State::Unsorted => 'u',
        State::Small => 's',
        State::Large => 'l',
        State::Top => '.',
        State::Other => 'o',
        State::Own => '=',
    }
}

/// What a region is called.
pub fn region_name(region: &Region) -> String {
    match region.kind {
        RegionKind::Main => "main arena".to_owned(),
        RegionKind::Segment => format!("arena {}", region.arena),
        RegionKind::Mapping => "mapping".to_owned(),
    }
}

impl HeapReport<'_> {
    /// For people.
    pub fn sections(&self) -> Vec<Section> {
        vec![self.opening(), self.pictures(), self.totals()]
    }

    fn opening(&self) -> Section {
        let HeapReport { map, latest, release, damage } = self;
        let after = match latest {
            Some(step) => format!(
                "After record {}, by thread {}: {}{}",
                count(step.record),
                step.thread,
                step.call,
                step.answer.as_ref().map(|answer| format!(" = {answer}")).unwrap_or_default(),
            ),
            None => "Before the first record".to_owned(),
        };
        let moment = format!("glibc {release}, {} after the beginning", nanos(map.time.0));
        let grown = map.program_break.saturating_sub(map.initial_break);
        let kernel = format!(
            "The heap has {} from the kernel; the program break is {} above its beginning",
            bytes(map.system),
            bytes(grown)
        );
        let mut lines: Vec<Line> = damage.iter().cloned().map(Line::Warning).collect();
        lines.extend([after, moment, kernel].map(Line::Text));
        Section { lines, ..Section::default() }
    }

    fn pictures(&self) -> Section {
        let map = self.map;
        let arenas = || map.regions.iter().filter(|region| region.kind != RegionKind::Mapping);
        let greatest = arenas().map(Region::length).max().unwrap_or(0);
        let cell = greatest.div_ceil(ROW as u64 * ROWS).next_power_of_two().max(16);
        let mut lines = vec![Line::Text(format!("A letter is {}", bytes(cell)))];
        for region in arenas().take(PICTURES) {
            lines.push(Line::Text(self.heading(region)));
            lines.push(Line::Chart(self.picture(region, cell)));
        }
        let mappings = || map.regions.iter().filter(|region| region.kind == RegionKind::Mapping);
        lines.extend(mappings().take(PICTURES).map(|region| Line::Text(self.heading(region))));
        let unnamed = |regions: usize| regions.saturating_sub(PICTURES);
        let left_out = unnamed(arenas().count()) + unnamed(mappings().count());
        if left_out > 0 {
            lines.push(Line::Text(format!("and {} more; `--format csv` has all", count(left_out as u64))));
        }
        let letters = State::ALL.map(|state| format!("{} {}", letter(state), state.name()));
        Section { title: "Memory".to_owned(), lines, notes: vec![letters.join("   ")], ..Section::default() }
    }

    fn heading(&self, region: &Region) -> String {
        let map = self.map;
        let mut heading = format!("{} {:#x}: {}", region_name(region), region.start, bytes(region.length()));
        if region.kind == RegionKind::Mapping {
            let pieces = &map.pieces[region.pieces.clone()];
            if let Some(allocation) = pieces.iter().find_map(|piece| map.allocation(piece)) {
                heading = format!("{heading}, {}", described(allocation));
            }
        } else if let Some(pin) = region.pin
            && region.pinned > 0
        {
            let piece = &map.pieces[pin];
            let of = map.allocation(piece).map(|one| format!(", {}", described(one))).unwrap_or_default();
            heading = format!("{heading}; {} pinned below {:#x}{of}", bytes(region.pinned), piece.address);
        }
        heading
    }

    /// Rows of letters.
    fn picture(&self, region: &Region, cell: u64) -> Vec<String> {
        let from = region.start / cell * cell;
        let length = usize::try_from((region.end - from).div_ceil(cell)).unwrap_or(0);
        let cells = self.map.cells(region.pieces.clone(), from, cell, length, |piece| piece.state as u8);
        let row = |(number, row): (usize, &[u8])| {
            let at = from + (number * ROW) as u64 * cell;
            let letter = |&class: &u8| match State::ALL.get(usize::from(class)) {
                Some(&state) if class != NOTHING => letter(state),
                _ => ' ',
            };
            format!("{at:#x} {}", row.iter().map(letter).collect::<String>())
        };
        cells.chunks(ROW).enumerate().map(row).collect()
    }

    fn totals(&self) -> Section {
        let map = self.map;
        let all = map.totals.all();
        let mut table = Table::with_columns(&["State", "#Pieces", "#Bytes", "#Share"]);
        for state in State::ALL {
            let total = map.totals.of(state);
            table.push([
                state.name().to_owned(),
                count(total.pieces),
                count(total.bytes),
                percent(total.bytes, all.bytes),
            ]);
        }
        table.push(["all".to_owned(), count(all.pieces), count(all.bytes), percent(all.bytes, all.bytes)]);
        let mut notes: Vec<String> =
            State::ALL.iter().map(|state| format!("{}: {}", state.name(), state.meaning())).collect();
        notes.push(format!("{} bytes were asked for by what lives.", count(map.totals.requested)));
        notes.push(format!(
            "{} bytes of the main arena are pinned: free, below its highest live chunk, so that no moving of the break gives them back.",
            count(map.pinned())
        ));
        if map.foreign > 0 {
            notes.push(format!(
                "{} bytes more are counted as the main arena’s, but others have taken them.",
                count(map.foreign)
            ));
        }
        Section { title: "What it is made of".to_owned(), table: Some(table), notes, ..Section::default() }
    }

    /// Everything as one JSON document.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let map = self.map;
        let moment = Moment {
            records: map.made,
            nanos: map.time.0,
            release: self.release,
            latest: self.latest,
            initial_break: map.initial_break,
            program_break: map.program_break,
            system_bytes: map.system,
            foreign_bytes: map.foreign,
            requested_bytes: map.totals.requested,
            pinned_bytes: map.pinned(),
            damage: self.damage,
        };
        write!(out, "{{\"schema\":\"malloscope.heap\",\"version\":1,\"moment\":")?;
        serde_json::to_writer(&mut *out, &moment)?;
        write!(out, ",\"totals\":{{")?;
        for state in State::ALL {
            let comma = if state == State::ALL[0] { "" } else { "," };
            let total = map.totals.of(state);
            write!(out, "{comma}{}:", serde_json::to_string(&state)?)?;
            serde_json::to_writer(&mut *out, &total)?;
        }
        write!(out, "}},\"regions\":[")?;
        for (number, region) in map.regions.iter().enumerate() {
            write!(out, "{}", if number == 0 { "\n" } else { ",\n" })?;
            let row = RegionRow {
                kind: region.kind,
                arena: region.arena,
                start: region.start,
                end: region.end,
                pinned_bytes: region.pinned,
                pinned_by: region.pin.map(|pin| map.pieces[pin].address),
            };
            serde_json::to_writer(&mut *out, &row)?;
        }
        write!(out, "],\"pieces\":[")?;
        for (number, piece) in map.pieces.iter().enumerate() {
            write!(out, "{}", if number == 0 { "\n" } else { ",\n" })?;
            serde_json::to_writer(&mut *out, &PieceRow::of(map, piece))?;
        }
        writeln!(out, "]}}")
    }

    /// Every piece of memory as CSV, a line each.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let map = self.map;
        writeln!(out, "region,arena,address,size,head,state,bin,thread,place,request,record,made_by,stack")?;
        for region in &map.regions {
            for piece in &map.pieces[region.pieces.clone()] {
                let (kind, arena) = (region_name(region), region.arena);
                let Piece { address, size, head, place, .. } = *piece;
                let (state, bin) = (piece.state.name().replace('’', "'"), piece.bin_name());
                let thread = piece.thread.map(|thread| thread.to_string()).unwrap_or_default();
                let place = if bin.is_empty() { String::new() } else { place.to_string() };
                write!(out, "{kind},{arena},{address:#x},{size},{head:#x},{state},{bin},{thread},{place}")?;
                match map.allocation(piece) {
                    Some(Allocation { request, record, thread, stack }) => {
                        let record = record.map(|record| record.to_string()).unwrap_or_default();
                        writeln!(out, ",{request},{record},{thread},{stack}")?;
                    }
                    None => writeln!(out, ",,,,")?,
                }
            }
        }
        Ok(())
    }
}

fn described(allocation: &Allocation) -> String {
    let asked = format!("{} bytes asked for", count(allocation.request));
    match allocation.record {
        Some(record) => format!("{asked} at record {} by thread {}", count(record), allocation.thread),
        None => format!("{asked} before the trace began"),
    }
}

#[derive(Serialize)]
struct Moment<'a> {
    records: u64,
    nanos: u64,
    release: &'a str,
    latest: Option<&'a Step>,
    initial_break: u64,
    program_break: u64,
    system_bytes: u64,
    foreign_bytes: u64,
    requested_bytes: u64,
    pinned_bytes: u64,
    damage: &'a [String],
}

#[derive(Serialize)]
struct RegionRow {
    kind: RegionKind,
    arena: u32,
    start: u64,
    end: u64,
    pinned_bytes: u64,
    pinned_by: Option<u64>,
}

#[derive(Serialize)]
struct PieceRow<'a> {
    address: u64,
    size: u64,
    head: u64,
    state: State,
    #[serde(skip_serializing_if = "String::is_empty")]
    bin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocation: Option<&'a Allocation>,
}

impl PieceRow<'_> {
    fn of<'a>(map: &'a HeapMap, piece: &Piece) -> PieceRow<'a> {
        let bin = piece.bin_name();
        PieceRow {
            address: piece.address,
            size: piece.size,
            head: piece.head,
            state: piece.state,
            thread: piece.thread,
            place: (!bin.is_empty()).then_some(piece.place),
            bin,
            allocation: map.allocation(piece),
        }
    }
}
