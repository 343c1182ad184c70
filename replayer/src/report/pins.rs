//! What pins free memory, with the stacks of those who asked for it.

use super::stacks::shown;
use super::units::{bytes, count};
use super::{Line, Section, Table, json};
use crate::blame::fold::Folder;
use crate::explore::map::State;
use crate::export::names::Names;
use crate::pins::{Pin, Pinned};
use malloscope_traces::Stack;
use serde::Serialize;
use std::io::{self, Write};

/// How many stacks of a step are told.
const TOLD: usize = 3;

/// What is pinned in a region, and by whom.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedPinned {
    /// What is pinned, and the way down.
    #[serde(flatten)]
    pub pinned: Pinned,
    /// Who asked for the chunks of each step.
    pub callers: Vec<Vec<Caller>>,
}

/// Those of a step's chunks that were asked for from the same place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Caller {
    /// How many of the chunks.
    pub chunks: u64,
    /// The highest of them.
    pub highest: Pin,
    /// The innermost frames that are the program's own, the innermost first; none where there is no stack.
    pub frames: Vec<String>,
}

/// Says who asked for what pins.
pub fn named<N: Names>(pinned: Vec<Pinned>, folder: &mut Folder<'_, N>) -> Vec<NamedPinned> {
    let name = |pinned: Pinned| {
        let callers = pinned.steps.iter().map(|step| callers(&step.pins, folder)).collect();
        NamedPinned { pinned, callers }
    };
    pinned.into_iter().map(name).collect()
}

fn callers<N: Names>(pins: &[Pin], folder: &mut Folder<'_, N>) -> Vec<Caller> {
    let mut callers: Vec<Caller> = Vec::new();
    for pin in pins {
        let frames = if pin.stack == 0 { Vec::new() } else { shown(Stack(pin.stack), folder) };
        match callers.iter_mut().find(|caller| caller.frames == frames && caller.highest.state == pin.state) {
            Some(caller) => caller.chunks += 1,
            None => callers.push(Caller { chunks: 1, highest: *pin, frames }),
        }
    }
    callers.sort_by_key(|caller| std::cmp::Reverse(caller.chunks));
    callers.truncate(TOLD);
    callers
}

/// A caller in words: `malloc(100) at record 17, from main`.
pub(super) fn said(caller: &Caller, made: u64) -> String {
    let Caller { chunks, highest, frames } = caller;
    let what = match (highest.state, highest.record) {
        (State::Live, Some(record)) => format!(
            "{} bytes of record {}, {} records ago",
            count(highest.request),
            count(record),
            count(made.saturating_sub(record))
        ),
        (State::Live, None) => format!("{} bytes from before the trace", count(highest.request)),
        (State::Cached, _) => format!("a chunk of {} bytes in a thread’s cache", count(highest.size)),
        (State::Own, _) => format!("{} bytes of malloc’s own", count(highest.size)),
        _ => format!("{} bytes of others", count(highest.size)),
    };
    let more = if *chunks > 1 { format!(" and {} like it", count(chunks - 1)) } else { String::new() };
    let from = if frames.is_empty() { String::new() } else { format!(", from {}", frames.join(" ← ")) };
    format!("{what}{more}{from}")
}

/// What is pinned at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Pins {
    /// Records replayed.
    pub record: u64,
    /// Every region where something is pinned, the most first.
    pub regions: Vec<NamedPinned>,
    /// Whether the trace has stacks.
    pub has_stacks: bool,
}

impl Pins {
    /// For people.
    pub fn sections(&self) -> Vec<Section> {
        let mut sections = vec![Section {
            lines: vec![Line::Text(format!("After {} records", count(self.record)))],
            ..Section::default()
        }];
        if self.regions.is_empty() {
            sections[0].lines.push(Line::Text(
                "Nothing is pinned: there is nothing free below the arenas’ ends.".to_owned(),
            ));
        }
        sections.extend(self.regions.iter().map(|region| section(region, self.record)));
        if !self.has_stacks
            && let Some(last) = sections.last_mut()
        {
            last.notes
                .push("Who asked is known where the trace was recorded with `--stacks all`.".to_owned());
        }
        sections
    }

    /// As JSON.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        json::write("malloscope.pins", self, out)
    }
}

fn section(region: &NamedPinned, made: u64) -> Section {
    let pinned = &region.pinned;
    let mut table = Table::with_columns(&["#free first", "#their bytes", "#then goes back", "who asked"]);
    let mut chunks = 0;
    for (step, callers) in pinned.steps.iter().zip(&region.callers) {
        chunks += step.chunks;
        let who: Vec<String> = callers.iter().map(|caller| said(caller, made)).collect();
        table.push([count(chunks), bytes(step.bytes), bytes(step.returns), who.join("; ")]);
    }
    let lines = vec![
        Line::Text(format!(
            "{} is free below the chunk at its end, which has {}",
            bytes(pinned.below),
            bytes(pinned.top)
        )),
        Line::Text(format!(
            "{} could go back as things are, {} once malloc_trim has merged what waits in fastbins",
            bytes(pinned.returns_now),
            bytes(pinned.returns_merged)
        )),
    ];
    let notes = vec![
        "free first: so many chunks in use, from the top down, those of the rows above among them."
            .to_owned(),
        "then goes back: what the arena’s end could give back if they were freed and it were trimmed."
            .to_owned(),
    ];
    let table = (!pinned.steps.is_empty()).then_some(table);
    let notes = if table.is_some() {
        notes
    } else {
        vec!["Below it there is nothing that a few frees would release.".to_owned()]
    };
    Section { title: name(pinned.arena), lines, table, notes }
}

/// What an arena is called.
pub(super) fn name(arena: u32) -> String {
    if arena == 0 { "Main arena".to_owned() } else { format!("Arena {arena}") }
}
