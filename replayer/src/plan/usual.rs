//! The sweep that is worth making where nobody knows what to look for: one thing at a time in each regime of the
//! thresholds, and the recipes.
//!
//! What cannot matter is left out: numbers of arenas where there is one thread, tunables that the release does not
//! read, and trims that would never come due.

use super::recipes::Recipe;
use super::{Change, Plan};
use crate::outcome::Outcome;
use crate::regime::Regime;
use crate::trims::TrimSchedule;
use malloscope_allocator::release::Release;
use malloscope_allocator::tunables::Tunable;
use malloscope_traces::Nanos;

const K: u64 = 1 << 10;
const M: u64 = 1 << 20;
const SECOND: u64 = 1_000_000_000;

/// Values to try one at a time; those that equal the default change nothing.
const VALUES: [(&str, &[u64]); 6] = [
    ("arena_max", &[1, 2, 4, 8]),
    ("tcache_count", &[0, 32, 127]),
    ("tcache_max", &[64 * K, 2 * M]),
    ("mxfast", &[0, 160]),
    ("hugetlb", &[1]),
    ("top_pad", &[0, M, 16 * M, 64 * M]),
];

/// Trim thresholds without a word on the mmap threshold, which is at its default then.
const TRIM_THRESHOLDS: [u64; 4] = [M, 8 * M, 64 * M, u64::MAX];

/// Mmap thresholds, each with a trim threshold of twice as much, as the thresholds that move have it.
const MMAP_THRESHOLDS: [u64; 4] = [64 * K, M, 4 * M, 32 * M];

/// What is known of a trace, and decides what can matter.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Threads that made calls.
    pub threads: u32,
    /// How long it took, in nanoseconds.
    pub nanos: u64,
    /// The release it is replayed as.
    pub release: Release,
    /// Whether the environment sets anything.
    pub has_settings: bool,
}

impl Known {
    /// What a run tells of its trace; nothing if its release is not known here.
    pub fn of(outcome: &Outcome) -> Option<Known> {
        let settings = &outcome.settings;
        let release = Release::of(&settings.release)?;
        let has_settings = !settings.tunables.is_empty();
        Some(Known { threads: outcome.threads, nanos: outcome.traced_nanos, release, has_settings })
    }

    fn matters(&self, tunable: Tunable, value: u64) -> bool {
        let has_rivals = tunable != Tunable::ArenaMax || self.threads > 1;
        has_rivals && tunable.takes(&self.release, value)
    }
}

impl Plan {
    /// Plans the settings of the usual sweep.
    pub fn add_usual(&mut self, known: &Known) {
        let regimes = Regime::ALL.map(Change::Thresholds);
        if known.has_settings {
            self.add_recipe(Recipe::Stock);
        }
        self.add_changes(&regimes[1..]);
        for (name, values) in VALUES {
            let Some(tunable) = Tunable::named(name) else { continue };
            for &value in values.iter().filter(|&&value| known.matters(tunable, value)) {
                let change = Change::Setting(name, value);
                self.add_changes(std::slice::from_ref(&change));
                // How many arenas there are decides what is trimmed: they are tried in both regimes.
                if tunable == Tunable::ArenaMax {
                    self.add_changes(&[change, regimes[1].clone()]);
                }
            }
        }
        for value in TRIM_THRESHOLDS {
            self.add_changes(&[Change::Setting("trim_threshold", value)]);
        }
        for value in MMAP_THRESHOLDS {
            let coupled =
                [Change::Setting("mmap_threshold", value), Change::Setting("trim_threshold", 2 * value)];
            self.add_changes(&coupled);
        }
        for schedule in schedules(known.nanos) {
            self.add_changes(&[Change::Trim(Some(schedule))]);
        }
        let several = |recipe: &Recipe| known.threads > 1 || !matches!(recipe, Recipe::Ruby | Recipe::Hadoop);
        for recipe in Recipe::ALL.into_iter().filter(several).filter(|&recipe| recipe != Recipe::Stock) {
            self.add_recipe(recipe);
        }
    }

    /// Plans the releases of the usual sweep.
    pub fn add_usual_releases(&mut self, known: &Known) {
        let others = Release::UPGRADES.into_iter().filter(|release| release.name != known.release.name);
        for release in others {
            self.add_changes(&[Change::Release(release.name.to_owned())]);
        }
    }
}

/// Times to trim that come due in a trace of this length.
fn schedules(nanos: u64) -> impl Iterator<Item = TrimSchedule> {
    let all = [
        (SECOND, TrimSchedule::OnIdle(Nanos(SECOND))),
        (60 * SECOND, TrimSchedule::Every(Nanos(60 * SECOND))),
        (900 * SECOND, TrimSchedule::Every(Nanos(900 * SECOND))),
    ];
    all.into_iter().filter(move |(least, _)| nanos >= *least).map(|(_, schedule)| schedule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    fn names(release: &str, threads: u32, seconds: u64) -> Vec<String> {
        let release = Release::of(release).unwrap();
        let known = Known { threads, nanos: seconds * SECOND, release, has_settings: false };
        let mut plan = Plan::new(Trial::default());
        plan.add_usual(&known);
        plan.add_usual_releases(&known);
        assert_eq!(plan.left_out(), [""; 0]);
        plan.runs().iter().map(|run| run.name.clone()).collect()
    }

    #[test]
    fn what_cannot_matter_is_left_out() {
        let all = names("2.42", 8, 10_000);
        for name in ["arena_max 1", "tcache_max 2M", "mxfast 0", "malloc_trim 15min", "recipe return-memory"]
        {
            assert!(all.iter().any(|run| run == name), "{name}: {all:?}");
        }
        for (release, threads, seconds, absent) in [
            ("2.42", 1, 10_000, "arena_max 1"),
            ("2.36", 8, 10_000, "tcache_max 2M"),
            ("2.43", 8, 10_000, "mxfast 0"),
            ("2.42", 8, 1, "malloc_trim 1min"),
            ("2.24", 8, 1, "tcache_count 0"),
            ("2.31", 8, 1, "hugetlb 1"),
            ("2.31", 8, 1, "glibc 2.31"),
        ] {
            let runs = names(release, threads, seconds);
            assert!(!runs.iter().any(|run| run == absent), "{absent}: {runs:?}");
            assert!((25..=45).contains(&runs.len()), "{}: {runs:?}", runs.len());
        }
    }
}
