//! The numbers in the head line.

use malloscope_replayer::fidelity::Fidelity;
use malloscope_replayer::report::Report;
use malloscope_replayer::report::units::{bytes, count};

/// A number with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// Its value, with its unit.
    pub value: String,
    /// What exactly it means.
    pub meaning: String,
}

/// The numbers of a replay that are seen first.
pub fn of(report: &Report) -> Vec<Figure> {
    let (outcome, measured) = (&report.outcome, &report.outcome.measured);
    let figure = |name, value, meaning: &str| Figure { name, value, meaning: meaning.to_owned() };
    let peak = measured.peaks.resident;
    let (end, after) = match outcome.so_far {
        Some(_) => ("Resident, so far", "Pages in memory after the last call so far."),
        None => ("Resident, end", "Pages in memory after the last call."),
    };
    vec![
        figure("Calls", count(outcome.calls), "Calls of the malloc family that were replayed."),
        fidelity(outcome.fidelity.as_ref()),
        figure(
            "Resident, peak",
            bytes(peak.bytes),
            &format!("The most pages in memory, reached at record {}.", count(peak.record)),
        ),
        figure(
            "Resident, mean",
            bytes(measured.mean_resident),
            "Pages in memory, on average over the calls.",
        ),
        figure(end, bytes(measured.resident), after),
        figure("Minor faults", count(measured.faults), "First touches of pages, each a fault."),
        figure(
            "Break, peak",
            bytes(measured.peaks.program_break.bytes),
            "The program break above its beginning, at its highest.",
        ),
    ]
}

fn fidelity(fidelity: Option<&Fidelity>) -> Figure {
    let (value, meaning) = match fidelity {
        Some(fidelity) if fidelity.placements > 0 => (
            format!("{:.4} %", fidelity.percent_rounded_down()),
            format!(
                "{} of {} placements are the recorded ones.",
                count(fidelity.same_placements),
                count(fidelity.placements)
            ),
        ),
        _ => {
            ("–".to_owned(), "No placements were compared: other settings, or none were recorded.".to_owned())
        }
    };
    Figure { name: "Fidelity", value, meaning }
}
