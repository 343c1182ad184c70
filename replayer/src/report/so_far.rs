//! What is said of a run that is not at its end.

use super::units::{bytes, count, nanos, percent};
use crate::outcome::Outcome;
use crate::run::Progress;

/// How much of the trace the numbers speak of.
pub fn standing(at: Progress) -> String {
    match at.total {
        Some(total) => {
            format!("so far, {} of {} records ({})", count(at.done), count(total), percent(at.done, total))
        }
        None => format!("so far, {} records", count(at.done)),
    }
}

/// What memory there was at the last record so far, in a line.
pub fn line(outcome: &Outcome) -> String {
    let measured = &outcome.measured;
    let memory = [
        ("break", measured.program_break),
        ("live", measured.live),
        ("held", measured.held),
        ("system", measured.system),
        ("resident", measured.resident),
        ("pinned", measured.pinned),
    ];
    let memory: Vec<String> = memory.map(|(name, value)| format!("{name} {}", bytes(value))).into();
    let time = nanos(outcome.traced_nanos);
    format!("{} records, {time}: {}", count(outcome.records), memory.join(", "))
}
