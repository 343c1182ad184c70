//! Which of the single questions are worth asking of a run: a line each, with the command that answers it whole.

use super::storms::Storms;
use super::units::{bytes, count, percent};
use super::{Line, Report, Section};
use crate::outcome::Outcome;
use malloscope_allocator::release::Release;

/// Less memory than this is not worth a question.
const WORTH: u64 = 1 << 20;
/// Nor is what is less than one of so many parts of what is resident at most.
const PARTS: u64 = 8;

/// The questions, if there are any. What holds up to somewhere, or from there, raises none.
pub(super) fn section(report: &Report) -> Option<Section> {
    let outcome = &report.outcome;
    if outcome.so_far.is_some() || outcome.range.is_some() || outcome.records == 0 {
        return None;
    }
    let told = [
        ("storms", storms(outcome)),
        ("pins", pinned(outcome)),
        ("trim-plan", free(outcome)),
        ("arenas", arenas(outcome)),
        ("thresholds", thresholds(outcome)),
        ("upgrade", newer(outcome)),
    ];
    let line = |(command, told): (&str, Option<String>)| {
        Some(Line::Text(format!("{}: malloscope {command} {}", told?, report.trace.file)))
    };
    let lines: Vec<Line> = told.into_iter().filter_map(line).collect();
    (!lines.is_empty()).then(|| Section { title: "Worth asking".to_owned(), lines, ..Section::default() })
}

/// Whether so much memory is worth a question.
fn is_much(amount: u64, outcome: &Outcome) -> bool {
    amount >= WORTH && amount >= outcome.measured.peaks.resident.bytes / PARTS
}

/// What goes to the kernel and comes back.
fn storms(outcome: &Outcome) -> Option<String> {
    let storms = Storms::of(outcome).storms;
    let faults: u64 = storms.iter().map(|storm| storm.faults).sum();
    let moves: u64 = storms.iter().map(|storm| storm.up + storm.down).sum();
    let stretches = if storms.len() == 1 { "stretch" } else { "stretches" };
    (!storms.is_empty()).then(|| {
        format!(
            "memory goes to the kernel and comes back {} times in {} {stretches}, with {} of all page faults",
            count(moves),
            count(storms.len() as u64),
            percent(faults, outcome.measured.faults)
        )
    })
}

fn pinned(outcome: &Outcome) -> Option<String> {
    let pinned = outcome.measured.pinned;
    is_much(pinned, outcome).then(|| format!("who pins {} at the end", bytes(pinned)))
}

fn free(outcome: &Outcome) -> Option<String> {
    let resident = outcome.measured.books.free.resident;
    is_much(resident, outcome).then(|| {
        format!("{} are free and resident at the end; what malloc_trim would give back", bytes(resident))
    })
}

/// That much lies in other arenas than the main one.
fn arenas(outcome: &Outcome) -> Option<String> {
    let others: u64 = outcome.arenas.iter().skip(1).map(|arena| arena.greatest_system).sum();
    let number = outcome.arenas.len().saturating_sub(1) as u64;
    is_much(others, outcome)
        .then(|| format!("{} arenas besides the main one had up to {}", count(number), bytes(others)))
}

/// That the thresholds moved, or cannot.
fn thresholds(outcome: &Outcome) -> Option<String> {
    let (moved, is_dynamic) = (outcome.thresholds.moved, outcome.settings.dynamic_thresholds);
    match moved {
        0 if is_dynamic => None,
        0 => Some("what it means that the thresholds are fixed".to_owned()),
        1 => Some("the mmap threshold moved once".to_owned()),
        moved => Some(format!("the mmap threshold moved {} times", count(moved))),
    }
}

/// That there are newer releases, which take runs of their own.
fn newer(outcome: &Outcome) -> Option<String> {
    let release = &outcome.settings.release;
    (release != Release::NEWEST.name).then(|| format!("what releases after {release} would do"))
}
