//! Which trials to make: every combination of lists of changes, named recipes, and the usual sweep.
//!
//! A plan begins with the recorded settings, which all others are measured against. A trial that is there already is
//! not planned twice, whatever it is called.

pub mod budget;
pub mod recipes;
pub mod usual;

use crate::regime::Regime;
use crate::sizes;
use crate::trial::{Touch, Trial};
use crate::trims::TrimSchedule;
use recipes::Recipe;

/// What the first run is called.
pub const AS_RECORDED: &str = "as recorded";

/// A trial with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What distinguishes it from the first.
    pub name: String,
    /// The trial.
    pub trial: Trial,
}

/// Trials to make, the recorded settings first.
#[derive(Clone, Debug)]
pub struct Plan {
    base: Trial,
    runs: Vec<Planned>,
    left_out: Vec<String>,
}

/// One thing that a trial changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Another glibc release.
    Release(String),
    /// A tunable is set.
    Setting(&'static str, u64),
    /// The thresholds are in this regime.
    Thresholds(Regime),
    /// The program writes these bytes.
    Touch(Touch),
    /// `malloc_trim` is called by this schedule, or never.
    Trim(Option<TrimSchedule>),
}

impl Change {
    /// What it is called: `top_pad 1M`.
    fn name(&self) -> String {
        match self {
            Change::Release(release) => format!("glibc {release}"),
            Change::Setting(name, value) => format!("{name} {}", sizes::shortest(*value)),
            Change::Thresholds(regime) => format!("thresholds {}", regime.name()),
            Change::Touch(touch) => format!("touch {}", touch.name()),
            Change::Trim(None) => "malloc_trim never".to_owned(),
            Change::Trim(Some(schedule)) => format!("malloc_trim {schedule}"),
        }
    }

    /// Whether it can be, with what the trial sets already.
    fn apply(&self, trial: &mut Trial) -> bool {
        match self {
            Change::Release(release) => trial.release = Some(release.clone()),
            Change::Setting(name, value) => trial.settings.push(((*name).to_owned(), *value)),
            Change::Thresholds(regime) => return regime.apply(trial),
            Change::Touch(touch) => trial.touch = *touch,
            Change::Trim(schedule) => trial.malloc_trim = *schedule,
        }
        true
    }
}

impl Plan {
    /// The trial that the others differ from, and nothing else yet.
    pub fn new(base: Trial) -> Plan {
        Plan::named(AS_RECORDED.to_owned(), base)
    }

    /// The same, where it is called otherwise than the recorded settings.
    pub fn named(name: String, base: Trial) -> Plan {
        let first = Planned { name, trial: base.clone() };
        Plan { base, runs: vec![first], left_out: Vec::new() }
    }

    /// All runs, the recorded settings first.
    pub fn runs(&self) -> &[Planned] {
        &self.runs
    }

    /// What cannot be run: combinations that contradict themselves.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Plans a run, unless there is the same already.
    pub fn add(&mut self, name: String, trial: Trial) {
        if self.runs.iter().all(|run| run.trial != trial) {
            self.runs.push(Planned { name, trial });
        }
    }

    /// Leaves out the runs behind the first that are not `wanted`.
    pub fn retain(&mut self, wanted: impl Fn(&Trial) -> bool) {
        let first = self.runs[0].trial.clone();
        self.runs.retain(|run| run.trial == first || wanted(&run.trial));
    }

    /// Plans a run with these changes. The thresholds' regime counts last: it depends on the others.
    pub fn add_changes(&mut self, changes: &[Change]) {
        let name = changes.iter().map(Change::name).collect::<Vec<_>>().join(", ");
        let mut trial = self.base.clone();
        let is_regime = |change: &&Change| matches!(change, Change::Thresholds(_));
        let in_order = changes.iter().filter(|change| !is_regime(change));
        if in_order.chain(changes.iter().filter(is_regime)).all(|change| change.apply(&mut trial)) {
            self.add(name, trial);
        } else {
            self.left_out.push(name);
        }
    }

    /// Plans every combination of one change of each list.
    pub fn add_grid(&mut self, lists: &[Vec<Change>]) {
        let mut combinations: Vec<Vec<Change>> = vec![Vec::new()];
        for list in lists.iter().filter(|list| !list.is_empty()) {
            let longer = |combination: &Vec<Change>| {
                let combination = combination.clone();
                list.iter().map(move |change| [&combination[..], std::slice::from_ref(change)].concat())
            };
            combinations = combinations.iter().flat_map(longer).collect();
        }
        combinations.iter().for_each(|changes| self.add_changes(changes));
    }

    /// Plans a recipe.
    pub fn add_recipe(&mut self, recipe: Recipe) {
        let mut trial = self.base.clone();
        trial.unset.extend(recipe.unset().map(str::to_owned));
        let settings = recipe.settings().iter();
        trial.settings.extend(settings.map(|(name, value)| ((*name).to_owned(), *value)));
        self.add(recipe.run_name(), trial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plan: &Plan) -> Vec<&str> {
        plan.runs().iter().map(|run| run.name.as_str()).collect()
    }

    #[test]
    fn every_combination_is_planned_once() {
        let mut plan = Plan::new(Trial::default());
        let pads = vec![Change::Setting("top_pad", 0), Change::Setting("top_pad", 1 << 20)];
        let touches = vec![Change::Touch(Touch::Pages), Change::Touch(Touch::All)];
        plan.add_grid(&[pads, touches.clone()]);
        let expected = [
            "as recorded",
            "top_pad 0, touch pages",
            "top_pad 0, touch all",
            "top_pad 1M, touch pages",
            "top_pad 1M, touch all",
        ];
        assert_eq!(names(&plan), expected);
        // The recorded settings are there already.
        plan.add_grid(&[touches]);
        assert_eq!(names(&plan)[5..], ["touch all"]);
    }

    #[test]
    fn what_contradicts_itself_is_left_out_and_told() {
        let mut plan = Plan::new(Trial::default());
        let regimes = Regime::ALL.map(Change::Thresholds).to_vec();
        plan.add_grid(&[regimes.clone(), vec![Change::Setting("top_pad", 0)]]);
        assert_eq!(names(&plan), ["as recorded", "thresholds static, top_pad 0"]);
        assert_eq!(plan.left_out(), ["thresholds dynamic, top_pad 0"]);
        plan.add_grid(&[regimes]);
        assert_eq!(names(&plan)[2..], ["thresholds dynamic", "thresholds static"]);
        assert_eq!(plan.runs()[3].trial.settings, [("mmap_threshold".to_owned(), 128 << 10)]);
    }

    #[test]
    fn recipes_are_planned_by_their_names() {
        let mut plan = Plan::new(Trial::default());
        Recipe::ALL.into_iter().for_each(|recipe| plan.add_recipe(recipe));
        assert_eq!(names(&plan).len(), 1 + Recipe::ALL.len());
        let ruby = &plan.runs()[1];
        assert_eq!((ruby.name.as_str(), ruby.trial.name().as_str()), ("recipe ruby", "arena_max 2"));
        // The same by another name.
        plan.add_changes(&[Change::Setting("arena_max", 2)]);
        assert_eq!(names(&plan).len(), 1 + Recipe::ALL.len());
    }
}
