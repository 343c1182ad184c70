//! Which run to recommend, and which others are worth knowing of.

use super::{Goal, Weighed};
use crate::trial::Trial;

/// What a run must be better by, as a part of the recorded settings' number, to be recommended: runs of a real
/// program differ by as much.
const LEAST_GAIN: f64 = 0.05;
/// Who saves no more of the time than this saves nothing that could be measured.
const LEAST_TIME: f64 = 0.01;
/// Who saves less memory than this, in bytes, saves nothing that is worth a setting: it is a small program's, and the
/// calls of the kernel that it costs are not.
const LEAST_BYTES: f64 = 1_048_576.0;
/// Runs that are no worse than the best by more than this are as good: the simplest of them is recommended.
const AS_GOOD: f64 = 0.02;
/// A run that saves memory may take so much more of the time, unless only memory counts.
const MOST_SLOWER: f64 = 1.10;
/// A run that saves time may have so much more resident at the peak, unless only time counts.
const MOST_LARGER: f64 = 1.25;
/// How many others are named.
const ALTERNATIVES: usize = 6;

/// Whether somebody could set this for the program as it is: a call of `malloc_trim` takes another program, huge
/// pages take another machine, and releases are another question.
pub fn can_be_set(trial: &Trial) -> bool {
    trial.malloc_trim.is_none() && trial.release.is_none() && !has_huge_pages(trial)
}

/// Whether it asks for huge pages, a fault on one of which takes another time.
pub fn has_huge_pages(trial: &Trial) -> bool {
    trial.settings.iter().any(|(name, _)| name == "hugetlb")
}

/// The best run towards a goal, by its place; nothing if none is better than the recorded settings by more than
/// real runs differ.
pub fn best(runs: &[Weighed], goal: Goal) -> Option<usize> {
    let base = runs.first()?.weight;
    let candidates = || {
        let settable = |(place, run): &(usize, &Weighed)| *place > 0 && can_be_set(&run.planned.trial);
        runs.iter().enumerate().filter(settable).filter(|(_, run)| is_gain(run, goal))
    };
    let least = candidates().map(|(_, run)| run.weight.towards(goal)).min_by(f64::total_cmp)?;
    let as_good = |(_, run): &(usize, &Weighed)| {
        run.weight.towards(goal) <= least + AS_GOOD * base.towards(goal).max(least)
    };
    let simplicity = |run: &Weighed| {
        // Of equals in the goal, the one that is better altogether.
        let parts = run.planned.trial.settings.len() + usize::from(!run.planned.trial.unset.is_empty());
        (parts, thousandths(run.weight.memory * run.weight.time))
    };
    candidates().filter(as_good).min_by_key(|(_, run)| simplicity(run)).map(|(place, _)| place)
}

/// Whether a run is better than the recorded settings by more than real runs differ, and not at another's cost.
pub fn is_gain(run: &Weighed, goal: Goal) -> bool {
    let saves_time = run.weight.time <= 1.0 - LEAST_TIME;
    let is_worth_it = match goal {
        Goal::Rss => run.weight.saved_bytes >= LEAST_BYTES,
        Goal::Balanced => run.weight.saved_bytes >= LEAST_BYTES || saves_time,
        Goal::Cpu | Goal::P99 => true,
    };
    is_worth_it && is_better(run, goal)
}

/// The most memory that a run would save which is better, but by too little of it to be recommended; nothing if there is
/// no such run.
pub fn little(runs: &[Weighed], goal: Goal) -> Option<f64> {
    let could = runs.iter().skip(1).filter(|run| can_be_set(&run.planned.trial) && is_better(run, goal));
    could.filter(|run| !is_gain(run, goal)).map(|run| run.weight.saved_bytes).max_by(f64::total_cmp)
}

/// Whether a run is better by more than real runs differ, however small the program is.
fn is_better(run: &Weighed, goal: Goal) -> bool {
    let weight = run.weight;
    match goal {
        Goal::Rss => weight.memory <= 1.0 - LEAST_GAIN,
        Goal::Cpu => weight.time <= 1.0 - LEAST_TIME,
        Goal::P99 => weight.entries <= 1.0 - LEAST_GAIN && weight.time <= MOST_SLOWER,
        Goal::Balanced => {
            weight.towards(goal) <= 1.0 - LEAST_GAIN
                && weight.time <= MOST_SLOWER
                && weight.peak <= MOST_LARGER
        }
    }
}

/// The runs that no other beats in both memory and time, the one with the least memory first; without the recorded
/// settings, and without `chosen`.
pub fn alternatives(runs: &[Weighed], chosen: Option<usize>) -> Vec<usize> {
    // A release is no setting; what each brings has a table of its own.
    let counts = |run: &&Weighed| !has_huge_pages(&run.planned.trial) && !is_release(run);
    let is_beaten =
        |run: &Weighed| runs.iter().filter(counts).any(|other| other.weight.dominates(&run.weight));
    let mut places: Vec<usize> = (1..runs.len())
        .filter(|&place| Some(place) != chosen && !is_beaten(&runs[place]))
        .filter(|&place| counts(&&runs[place]))
        .filter(|&place| is_other(runs, place))
        .collect();
    places.sort_by(|&a, &b| {
        let (a, b) = (runs[a].weight, runs[b].weight);
        a.memory.total_cmp(&b.memory).then(a.time.total_cmp(&b.time))
    });
    places.truncate(ALTERNATIVES);
    places
}

/// The runs that are the recorded settings under another release, by their places.
pub fn releases(runs: &[Weighed]) -> Vec<usize> {
    (1..runs.len()).filter(|&place| is_release(&runs[place])).collect()
}

fn is_release(run: &Weighed) -> bool {
    run.planned.trial.release.is_some()
}

/// Whether a run weighs otherwise than all before it.
fn is_other(runs: &[Weighed], place: usize) -> bool {
    let rounded = |run: &Weighed| [run.weight.memory, run.weight.time].map(thousandths);
    runs[..place].iter().all(|other| rounded(other) != rounded(&runs[place]))
}

/// A ratio, as far as it matters.
#[expect(clippy::cast_possible_truncation, reason = "a ratio of what a machine can hold")]
fn thousandths(ratio: f64) -> i64 {
    (1000.0 * ratio).round() as i64
}
