//! How faithful a run is to the recording, in plain words, and where the two part.

use malloscope_replayer::fidelity::{Difference, Fidelity, Mismatch};
use malloscope_replayer::outcome::Outcome;
use malloscope_replayer::report::so_far::standing;
use malloscope_replayer::report::units::count;
use malloscope_replayer::run::Progress;

/// How faithful a run is, and where it parts from the recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What to know about it, in sentences.
    pub sentences: Vec<String>,
    /// The first places where the two part.
    pub parted: Vec<Parted>,
}

/// A place where a run parts from the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parted {
    /// The record.
    pub record: u64,
    /// What differs there.
    pub what: String,
    /// Why, as far as the trace tells.
    pub why: String,
}

/// The account of a run.
pub fn of(outcome: &Outcome) -> Account {
    let Some(fidelity) = outcome.fidelity.as_ref().filter(|fidelity| fidelity.placements > 0) else {
        let why = if outcome.trial.is_as_recorded() {
            "The trace has no placements to compare with, as one that was imported."
        } else {
            "Under other settings, memory lands elsewhere: placements are not compared with the recorded ones."
        };
        return Account { sentences: vec![why.to_owned()], parted: Vec::new() };
    };
    let mut sentences: Vec<String> = outcome.so_far.map(so_far).into_iter().collect();
    sentences.push(placements(fidelity));
    sentences.extend(claimed(fidelity));
    sentences.extend(heads(fidelity));
    sentences.extend(breaks(fidelity));
    sentences.extend(order(outcome));
    Account { sentences, parted: fidelity.first_mismatches.iter().map(parted).collect() }
}

fn so_far(at: Progress) -> String {
    format!("This is no whole run: {}.", standing(at))
}

fn placements(fidelity: &Fidelity) -> String {
    let (same, all) = (fidelity.same_placements, fidelity.placements);
    if same == all {
        return format!(
            "Each of the {} placements is the recorded one: what the replay says of this heap is exact.",
            count(all)
        );
    }
    format!(
        "{:.4} % of placements are the recorded ones; {} of {} are not. One call out of order can move many after it.",
        fidelity.percent_rounded_down(),
        count(all - same),
        count(all)
    )
}

/// What was put where it was recorded.
fn claimed(fidelity: &Fidelity) -> Option<String> {
    let claimed = fidelity.claimed;
    (claimed > 0).then(|| {
        format!(
            "{} of these were put where they were recorded, since no order of the calls explains them.",
            count(claimed)
        )
    })
}

fn heads(fidelity: &Fidelity) -> Option<String> {
    let heads = fidelity.other_heads;
    (heads > 0).then(|| {
        format!("{} chunks lie where they should, but with another size or other flags.", count(heads))
    })
}

fn breaks(fidelity: &Fidelity) -> Option<String> {
    let others = fidelity.breaks.checked_sub(fidelity.same_breaks).filter(|&others| others > 0)?;
    Some(format!(
        "After {} of {} calls, the program break is elsewhere.",
        count(others),
        count(fidelity.breaks)
    ))
}

/// What was found about the order in which threads made their calls.
fn order(outcome: &Outcome) -> Option<String> {
    let reordering = outcome.reordering.filter(|reordering| reordering.doubts > 0)?;
    let found = format!(
        "The stamps of threads left the order of calls open {} times; {} times, an order was found that gives the \
         recorded placements",
        count(reordering.doubts),
        count(reordering.resolved)
    );
    Some(match reordering.unresolved {
        None => format!("{found}."),
        Some(record) => format!("{found}. The first that stays open is at record {}.", count(record)),
    })
}

fn parted(mismatch: &Mismatch) -> Parted {
    let differs = match mismatch.difference {
        Difference::Placement => "it landed elsewhere",
        Difference::Claim => "it was put there, since no order of the calls explains it",
        Difference::Head => "its chunk has another size or other flags",
        Difference::ProgramBreak => "the program break is elsewhere after it",
        Difference::Refusal => "one got memory and the other did not",
    };
    Parted {
        record: mismatch.record,
        what: format!(
            "Record {}, {}: {differs} (recorded {}, replayed {})",
            count(mismatch.record),
            mismatch.call,
            mismatch.recorded,
            mismatch.replayed
        ),
        why: format!("Why: {}.", mismatch.why),
    }
}
