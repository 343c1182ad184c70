//! How much a search for settings may cost, and what it tries then: something of everything first.
//!
//! The runs that a plan has are tried in turns, of each thing that they change the middle value first. What is left of
//! the budget is for what looks best by then.

use super::{Plan, Planned};
use crate::trims;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// So many runs.
    Runs(usize),
    /// So much time.
    Time(Duration),
}

impl std::str::FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Budget, String> {
        if let Ok(runs) = text.parse() {
            return Ok(Budget::Runs(runs));
        }
        let time = trims::duration(text).map(|time| Budget::Time(Duration::from_nanos(time.0)));
        time.map_err(|_| format!("`{text}` is neither a number of runs nor a time like 60s or 15min"))
    }
}

/// The part of a budget that is kept for what looks best, as a fraction.
const KEPT: u32 = 4;

/// What is left of a budget.
#[derive(Clone, Copy, Debug)]
pub struct Purse {
    budget: Option<Budget>,
    began: Instant,
    runs: usize,
    /// What the dearest runs took that were made at one time.
    dearest: Duration,
}

impl Purse {
    /// A whole one, from now on; without a budget there is enough for everything.
    pub fn new(budget: Option<Budget>) -> Purse {
        Purse { budget, began: Instant::now(), runs: 0, dearest: Duration::ZERO }
    }

    /// How many of so many runs may be made next, all at one time. Some of the budget is kept back, unless it is `last`
    /// that it is spent on.
    pub fn grants(&self, wanted: usize, is_last: bool) -> usize {
        match self.budget {
            None => wanted,
            Some(Budget::Runs(all)) => {
                let kept = if is_last { 0 } else { all / KEPT as usize };
                wanted.min((all - kept).saturating_sub(self.runs))
            }
            Some(Budget::Time(all)) => {
                let all = if is_last { all } else { all - all / KEPT };
                if self.began.elapsed() + self.dearest < all { wanted } else { 0 }
            }
        }
    }

    /// So many runs were made at one time, in so much time.
    pub fn spend(&mut self, runs: usize, time: Duration) {
        self.runs += runs;
        self.dearest = self.dearest.max(time);
    }

    /// Whether runs had better be made in small portions, to look at the clock between them.
    pub fn is_of_time(&self) -> bool {
        matches!(self.budget, Some(Budget::Time(_)))
    }
}

impl Plan {
    /// Puts the runs behind the first in an order that begins with one of everything.
    pub fn spread(&mut self) {
        let mut kinds: Vec<(String, VecDeque<Planned>)> = Vec::new();
        for run in self.runs.drain(1..) {
            // What a run changes first is what its name begins with.
            let kind = run.name.split(' ').next().unwrap_or_default().to_owned();
            match kinds.iter_mut().find(|(other, _)| *other == kind) {
                Some((_, runs)) => runs.push_back(run),
                None => kinds.push((kind, VecDeque::from([run]))),
            }
        }
        for (_, runs) in &mut kinds {
            runs.rotate_left(runs.len() / 2);
        }
        while kinds.iter().any(|(_, runs)| !runs.is_empty()) {
            self.runs.extend(kinds.iter_mut().filter_map(|(_, runs)| runs.pop_front()));
        }
    }

    /// Leaves out the runs behind so many, and says what they were called.
    pub fn cut(&mut self, length: usize) -> Vec<String> {
        self.runs.drain(length.min(self.runs.len())..).map(|run| run.name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Change;
    use crate::trial::Trial;

    #[test]
    fn one_of_everything_comes_first_and_no_run_is_lost() {
        let mut plan = Plan::new(Trial::default());
        for value in [0, 1, 2, 3] {
            plan.add_changes(&[Change::Setting("top_pad", value)]);
        }
        plan.add_changes(&[Change::Setting("arena_max", 1)]);
        plan.add_changes(&[Change::Release("2.31".to_owned())]);
        plan.spread();
        let names: Vec<&str> = plan.runs().iter().map(|run| run.name.as_str()).collect();
        assert_eq!(
            names,
            ["as recorded", "top_pad 2", "arena_max 1", "glibc 2.31", "top_pad 3", "top_pad 0", "top_pad 1"]
        );
        assert_eq!(plan.cut(5), ["top_pad 0", "top_pad 1"]);
        assert_eq!((plan.runs().len(), plan.cut(9)), (5, vec![]));
    }

    #[test]
    fn a_budget_is_spent_to_the_last_and_a_part_of_it_late() {
        assert_eq!("12".parse(), Ok(Budget::Runs(12)));
        assert_eq!("2min".parse(), Ok(Budget::Time(Duration::from_secs(120))));
        assert!("soon".parse::<Budget>().unwrap_err().contains("`soon` is neither"));
        let mut purse = Purse::new(Some(Budget::Runs(8)));
        assert_eq!((purse.grants(40, false), purse.grants(40, true), purse.grants(3, true)), (6, 8, 3));
        purse.spend(6, Duration::ZERO);
        assert_eq!((purse.grants(40, false), purse.grants(40, true)), (0, 2));
        let mut purse = Purse::new(Some(Budget::Time(Duration::from_secs(3600))));
        assert_eq!(purse.grants(5, false), 5);
        // What would take longer than what is left is not begun.
        purse.spend(5, Duration::from_secs(3000));
        assert_eq!((purse.grants(5, false), purse.grants(5, true)), (0, 5));
        purse.spend(5, Duration::from_secs(3600));
        assert_eq!(purse.grants(5, true), 0);
        assert_eq!(Purse::new(None).grants(5, false), 5);
    }
}
