//! The two regimes of the thresholds: they move by themselves, until one of four tunables is set, to whatever value.
//!
//! Whoever sets one to what it is anyway changes the regime and nothing else, which is easily missed: it is a
//! dimension of its own to compare by, and a warning.

use crate::sizes;
use crate::trial::Trial;
use malloscope_allocator::tunables::{FIXING, Tunable, Tunables};

/// Whether the thresholds move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// None of the four is set: freeing a mapped chunk raises the thresholds.
    Dynamic,
    /// At least one is set: none moves.
    Static,
}

impl Regime {
    /// Both.
    pub const ALL: [Regime; 2] = [Regime::Dynamic, Regime::Static];

    /// How the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            Regime::Dynamic => "dynamic",
            Regime::Static => "static",
        }
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Regime::Dynamic => {
                "They move by themselves: none of the four is set, also not by the environment."
            }
            Regime::Static => "They stay: at their defaults, where nothing else is said.",
        }
    }

    /// Puts a trial into this regime; whether that can be, with what it sets.
    pub fn apply(self, trial: &mut Trial) -> bool {
        let sets_one = trial.settings.iter().any(|(name, _)| fixes(name));
        match self {
            Regime::Dynamic if sets_one => return false,
            Regime::Dynamic => trial.unset.extend(FIXING.map(|(tunable, _)| tunable.name().to_owned())),
            Regime::Static if sets_one => {}
            Regime::Static => {
                let (tunable, default) = FIXING[1];
                trial.settings.push((tunable.name().to_owned(), default));
            }
        }
        true
    }
}

/// Whether setting the tunable of this name fixes the thresholds.
pub fn fixes(name: &str) -> bool {
    Tunable::named(name).is_some_and(|tunable| FIXING.iter().any(|(fixing, _)| *fixing == tunable))
}

/// What whoever set these should know: that all they changed is the regime.
pub(crate) fn warnings(tunables: &Tunables) -> Vec<String> {
    let set =
        || FIXING.iter().filter_map(|&(tunable, default)| Some((tunable, tunables.get(tunable)?, default)));
    if !set().all(|(_, value, default)| value == default) {
        return Vec::new();
    }
    let warning = |(tunable, value, _): (Tunable, u64, u64)| {
        format!(
            "{}={} is the default, but setting it fixes all thresholds, which otherwise move by themselves: \
             that, and nothing else, is what it changes. Leave it out, unless that is what you want",
            tunable.name(),
            sizes::shortest(value)
        )
    };
    set().map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_allocator::release::Release;

    fn set(values: &[(Tunable, u64)]) -> Tunables {
        let mut tunables = Tunables::default();
        for &(tunable, value) in values {
            tunables.set(&Release::NEWEST, tunable, value).unwrap();
        }
        tunables
    }

    #[test]
    fn who_sets_a_default_is_warned() {
        for (tunable, default) in FIXING {
            let said = warnings(&set(&[(tunable, default), (Tunable::ArenaMax, 1)]));
            assert!(said.len() == 1 && said[0].starts_with(tunable.name()), "{said:?}");
            // Where something else is changed too, the thresholds are fixed for a reason.
            assert_eq!(warnings(&set(&[(tunable, default + 1)])), [""; 0]);
        }
        assert_eq!(
            warnings(&set(&[(Tunable::TopPad, 128 << 10), (Tunable::MmapThreshold, 1 << 20)])),
            [""; 0]
        );
        assert_eq!(warnings(&set(&[(Tunable::ArenaMax, 1)])), [""; 0]);
    }

    #[test]
    fn a_regime_and_a_setting_may_contradict_each_other() {
        let with = |settings: &[(&str, u64)], regime: Regime| {
            let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            let mut trial = Trial { settings, ..Trial::default() };
            regime.apply(&mut trial).then(|| trial.name())
        };
        let unset = "top_pad mmap_threshold trim_threshold mmap_max unset";
        assert_eq!(with(&[], Regime::Dynamic).as_deref(), Some(unset));
        assert_eq!(with(&[("top_pad", 0)], Regime::Dynamic), None);
        assert_eq!(with(&[], Regime::Static).as_deref(), Some("mmap_threshold 128K"));
        assert_eq!(with(&[("top_pad", 0)], Regime::Static).as_deref(), Some("top_pad 0"));
    }
}
