//! The stacks that matter most for each quantity, with the program's own innermost frames.

use super::{Line, Section, Table};
use crate::blame::fold::Folder;
use crate::blame::names::is_own;
use crate::blame::{Blame, Place, Row, Unit, What};
use crate::export::names::Names;
use malloscope_traces::Stack;
use serde::Serialize;
use std::collections::HashMap;

/// How many stacks are named for each quantity.
const NAMED: usize = 5;
/// How many frames of each are shown.
const FRAMES: usize = 4;
/// How many frames of a stack are looked at for that: more than a recorder captures.
const DEEPEST: usize = 1024;
/// How many stacks may become those few, because what is shown of several is the same: where there are
/// more, the least of them add nothing that could be seen.
const CANDIDATES: usize = 10_000;

/// The stacks that caused most of something.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Blamed {
    /// What.
    pub what: What,
    /// What the amounts count.
    pub unit: Unit,
    /// All there was of it.
    pub total: f64,
    /// By how much all amounts together are likely to be off, where stacks were sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standard_error: Option<f64>,
    /// Those that caused most, the first the most.
    pub stacks: Vec<BlamedStack>,
}

/// A stack, or several of which the same is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BlamedStack {
    /// How much of it they caused.
    pub amount: f64,
    /// That, of all there was: from 0 to 1, or a little more where stacks were sampled.
    pub share: f64,
    /// By how much the amount is likely to be off; 0 where it is exact.
    pub error: f64,
    /// The innermost frames that are the program's own, the innermost first; if none are, the innermost.
    pub frames: Vec<String>,
    /// Where the requests were served from that missed, and how many from each, the most first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<(&'static str, f64)>,
}

/// Finds the stacks that matter most.
pub fn blamed<N: Names>(blames: &[Blame], folder: &mut Folder<'_, N>) -> Vec<Blamed> {
    blames.iter().map(|blame| one(blame, folder)).collect()
}

fn one<N: Names>(blame: &Blame, folder: &mut Folder<'_, N>) -> Blamed {
    let mut stacks: Vec<BlamedStack> = Vec::new();
    let mut known: HashMap<Vec<String>, usize> = HashMap::new();
    for row in blame.rows.iter().filter(|row| !row.stack.is_none()).take(CANDIDATES) {
        let frames = shown(row.stack, folder);
        let number = *known.entry(frames).or_insert_with_key(|frames| {
            let frames = frames.clone();
            stacks.push(BlamedStack { amount: 0.0, share: 0.0, error: 0.0, frames, places: Vec::new() });
            stacks.len() - 1
        });
        stacks[number].add(row);
    }
    stacks.sort_by(|a, b| b.amount.total_cmp(&a.amount));
    stacks.truncate(NAMED);
    for stack in &mut stacks {
        stack.share = if blame.total > 0.0 { stack.amount / blame.total } else { 0.0 };
        stack.places.sort_by(|a, b| b.1.total_cmp(&a.1));
    }
    let &Blame { what, unit, total, standard_error, .. } = blame;
    Blamed { what, unit, total, standard_error, stacks }
}

impl BlamedStack {
    fn add(&mut self, row: &Row) {
        self.amount += row.weight;
        // Errors of different calls are independent.
        self.error = self.error.hypot(row.error);
        let Some(place) = row.place.map(Place::name) else { return };
        match self.places.iter_mut().find(|(name, _)| *name == place) {
            Some((_, amount)) => *amount += row.weight,
            None => self.places.push((place, row.weight)),
        }
    }
}

/// The frames that are shown of a stack.
pub(super) fn shown<N: Names>(stack: Stack, folder: &mut Folder<'_, N>) -> Vec<String> {
    let stacks = folder.stacks();
    let (mut own, mut innermost) = (Vec::new(), Vec::new());
    for (_, frame) in stacks.of(stack).take(DEEPEST) {
        let module = stacks.module(frame).map(|module| module.path.as_str());
        for name in folder.names(&frame) {
            if is_own(module, name) {
                own.push(name.clone());
            }
            if innermost.len() < FRAMES {
                innermost.push(name.clone());
            }
        }
        if own.len() >= FRAMES {
            break;
        }
    }
    own.truncate(FRAMES);
    if own.is_empty() { innermost } else { own }
}

/// The section, if the trace has stacks.
pub(super) fn section(blamed: &[Blamed]) -> Option<Section> {
    if blamed.iter().all(|blamed| blamed.stacks.is_empty()) {
        return None;
    }
    let mut table =
        Table::with_columns(&["", "#share", "#amount", "stack, the innermost of its own frames first"]);
    let mut lines = Vec::new();
    for blamed in blamed {
        let mut name = blamed.what.name();
        for stack in &blamed.stacks {
            let share = format!("{:.1} %", 100.0 * stack.share);
            let mut frames = stack.frames.join(" ← ");
            if let Some((place, _)) = stack.places.first() {
                frames.push_str(&format!(" (most from: {place})"));
            }
            table.push([name.to_owned(), share, blamed.unit.shown(stack.amount), frames]);
            name = "";
        }
        if let Some(error) = blamed.standard_error {
            let error = blamed.unit.shown(error);
            let name = blamed.what.name();
            lines
                .push(Line::Text(format!("{name}: estimates from a sample; standard error of all: {error}")));
        }
    }
    let totals: Vec<String> = blamed
        .iter()
        .map(|blamed| format!("{} {}", blamed.what.name(), blamed.unit.shown(blamed.total)))
        .collect();
    lines.insert(0, Line::Text(format!("in all: {}", totals.join(", "))));
    let notes = vec![
        "pinned: free bytes below the stack's allocation while that was the highest live one, × time;"
            .to_owned(),
        "peak: live at the peak; faults: pages first touched; misses: requests not served from the tcache."
            .to_owned(),
        "`malloscope flame` draws each of these, with whole stacks.".to_owned(),
    ];
    Some(Section { title: "Stacks".to_owned(), lines, table: Some(table), notes })
}
