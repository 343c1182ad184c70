//! What to try next, from what has been run: settings that were good alone, together; and values beside the best.

use super::choice::can_be_set;
use super::{Goal, Weighed};
use crate::plan::Plan;
use crate::trial::Trial;

/// How many of the best are tried together.
const TOGETHER: usize = 4;

/// Plans runs around those that were best towards a goal, or that none beats in memory and time.
pub fn plan_around(plan: &mut Plan, runs: &[Weighed], goal: Goal) {
    let mut good: Vec<&Weighed> = runs.iter().skip(1).filter(|run| is_promising(run, goal)).collect();
    good.sort_by(|a, b| a.weight.towards(goal).total_cmp(&b.weight.towards(goal)));
    // The same effect under several names adds nothing.
    good.dedup_by(|a, b| a.weight == b.weight);
    good.truncate(TOGETHER);
    for (place, first) in good.iter().enumerate() {
        for second in &good[place + 1..] {
            if let Some(trial) = together(&first.planned.trial, &second.planned.trial) {
                plan.add(name_of(&trial), trial);
            }
        }
    }
    let Some(best) = good.first() else { return };
    for (place, (_, value)) in best.planned.trial.settings.iter().enumerate() {
        for value in beside(*value) {
            let mut trial = best.planned.trial.clone();
            trial.settings[place].1 = value;
            plan.add(name_of(&trial), trial);
        }
    }
}

fn is_promising(run: &Weighed, goal: Goal) -> bool {
    let weight = run.weight;
    can_be_set(&run.planned.trial)
        && !run.planned.trial.settings.is_empty()
        && weight.towards(goal) < 1.0
        && weight.time < 1.5
}

/// What a trial is called by what it sets.
fn name_of(trial: &Trial) -> String {
    Trial { settings: trial.settings.clone(), ..Trial::default() }.name()
}

/// Values to try beside one: half and twice as much, of sizes that are not the least or the greatest.
fn beside(value: u64) -> Vec<u64> {
    if (1 << 12..=1 << 40).contains(&value) { vec![value / 2, value * 2] } else { Vec::new() }
}

/// Both, where they do not set the same.
fn together(one: &Trial, other: &Trial) -> Option<Trial> {
    let clashes = other.settings.iter().any(|(name, _)| one.settings.iter().any(|(set, _)| set == name));
    if clashes || one.unset != other.unset {
        return None;
    }
    let mut trial = one.clone();
    trial.settings.extend(other.settings.iter().cloned());
    trial.settings.sort();
    Some(trial)
}
