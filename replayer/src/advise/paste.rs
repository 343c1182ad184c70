//! The lines to paste: the same settings as variables, as `GLIBC_TUNABLES`, as calls of `mallopt`, and for systemd.
//!
//! A spelling is told only if the release reads it and comes to these settings by it: each is read back as that release
//! reads its environment.

use crate::variables::written;
use malloscope_allocator::release::Release;
use malloscope_allocator::tunables::{Tunable, Tunables, environment};
use serde::Serialize;

/// Settings in the spellings that a release reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Paste {
    /// Variables, for a shell: `MALLOC_ARENA_MAX=2`.
    pub variables: Option<String>,
    /// The one variable that has a name for each tunable.
    pub tunables: Option<String>,
    /// Statements in C, at the beginning of `main`.
    pub mallopt: Option<String>,
    /// Lines of a unit.
    pub systemd: Option<String>,
    /// Variables of the recorded environment that must go.
    pub unset: Vec<String>,
}

/// The parameters of `mallopt` (malloc.h).
const PARAMETERS: [(Tunable, &str); 8] = [
    (Tunable::Mxfast, "M_MXFAST"),
    (Tunable::TrimThreshold, "M_TRIM_THRESHOLD"),
    (Tunable::TopPad, "M_TOP_PAD"),
    (Tunable::MmapThreshold, "M_MMAP_THRESHOLD"),
    (Tunable::MmapMax, "M_MMAP_MAX"),
    (Tunable::Perturb, "M_PERTURB"),
    (Tunable::ArenaTest, "M_ARENA_TEST"),
    (Tunable::ArenaMax, "M_ARENA_MAX"),
];

impl Paste {
    /// These settings, for this release; `unset` are tunables that the environment must not set any more, and
    /// `environment` is that environment.
    pub fn of(
        release: &Release,
        settings: &[(String, u64)],
        unset: &[String],
        environment: &[(String, String)],
    ) -> Paste {
        let settings: Vec<(Tunable, u64)> =
            settings.iter().filter_map(|(name, value)| Some((Tunable::named(name)?, *value))).collect();
        let pairs = variables(release, &settings);
        let string = tunables(release, &settings);
        let assignment = |(name, value): &(String, String)| format!("{name}={value}");
        let joined =
            |pairs: &Vec<(String, String)>| pairs.iter().map(assignment).collect::<Vec<_>>().join(" ");
        let line = |pairs: &Vec<(String, String)>| {
            let lines: Vec<String> =
                pairs.iter().map(|pair| format!("Environment={}", assignment(pair))).collect();
            lines.join("\n")
        };
        Paste {
            variables: pairs.as_ref().map(joined),
            tunables: string.as_ref().map(assignment),
            mallopt: mallopt(release, &settings),
            systemd: pairs.as_ref().map(line).or(string.map(|pair| line(&vec![pair]))),
            unset: to_unset(unset, environment),
        }
    }

    /// The shortest line for a shell.
    pub fn line(&self) -> Option<&str> {
        self.variables.as_deref().or(self.tunables.as_deref())
    }
}

/// The variables that set a tunable which must not be set.
fn to_unset(unset: &[String], environment: &[(String, String)]) -> Vec<String> {
    let sets = |(name, value): &&(String, String)| {
        unset.iter().filter_map(|name| Tunable::named(name)).any(|tunable| {
            tunable.alias() == Some(name.as_str()) || value.contains(&format!("malloc.{}=", tunable.name()))
        })
    };
    environment.iter().filter(sets).map(|(name, _)| name.clone()).collect()
}

/// Whether a release comes to these settings by these variables, and ignores none.
fn are_read(release: &Release, settings: &[(Tunable, u64)], variables: &[(String, String)]) -> bool {
    let pairs = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (read, ignored) = environment::read(release, pairs);
    let mut wanted = Tunables::default();
    settings.iter().all(|&(tunable, value)| wanted.set(release, tunable, value).is_ok())
        && read == wanted
        && ignored.is_empty()
}

/// A variable for each, if each has one.
fn variables(release: &Release, settings: &[(Tunable, u64)]) -> Option<Vec<(String, String)>> {
    let pair = |&(tunable, value): &(Tunable, u64)| Some((tunable.alias()?.to_owned(), written(value)));
    let pairs: Vec<(String, String)> = settings.iter().map(pair).collect::<Option<_>>()?;
    (!pairs.is_empty() && are_read(release, settings, &pairs)).then_some(pairs)
}

/// One variable for all.
fn tunables(release: &Release, settings: &[(Tunable, u64)]) -> Option<(String, String)> {
    let one =
        |(tunable, value): &(Tunable, u64)| format!("glibc.malloc.{}={}", tunable.name(), written(*value));
    let value = settings.iter().map(one).collect::<Vec<_>>().join(":");
    let pair = ("GLIBC_TUNABLES".to_owned(), value);
    let is_read = !settings.is_empty() && are_read(release, settings, std::slice::from_ref(&pair));
    is_read.then_some(pair)
}

/// A call for each, if each has a parameter and its value is an `int`.
fn mallopt(release: &Release, settings: &[(Tunable, u64)]) -> Option<String> {
    let call = |&(tunable, value): &(Tunable, u64)| {
        let (_, name) = PARAMETERS.iter().find(|(parameter, _)| *parameter == tunable)?;
        if !tunable.takes(release, value) {
            return None;
        }
        // -1 becomes the greatest size again.
        let value = i32::try_from(value.cast_signed()).ok()?;
        Some(format!("mallopt({name}, {value});"))
    };
    let calls: Vec<String> = settings.iter().map(call).collect::<Option<_>>()?;
    (!calls.is_empty()).then(|| calls.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paste(release: &str, settings: &[(&str, u64)]) -> Paste {
        let settings: Vec<(String, u64)> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Paste::of(&Release::of(release).unwrap(), &settings, &[], &[])
    }

    #[test]
    fn a_release_is_told_what_it_reads() {
        let both = paste("2.36", &[("arena_max", 2), ("trim_threshold", u64::MAX)]);
        assert_eq!(both.variables.as_deref(), Some("MALLOC_ARENA_MAX=2 MALLOC_TRIM_THRESHOLD_=-1"));
        let tunables = "GLIBC_TUNABLES=glibc.malloc.arena_max=2:glibc.malloc.trim_threshold=-1";
        assert_eq!(both.tunables.as_deref(), Some(tunables));
        let calls = "mallopt(M_ARENA_MAX, 2); mallopt(M_TRIM_THRESHOLD, -1);";
        assert_eq!(both.mallopt.as_deref(), Some(calls));
        let lines = "Environment=MALLOC_ARENA_MAX=2\nEnvironment=MALLOC_TRIM_THRESHOLD_=-1";
        assert_eq!(both.systemd.as_deref(), Some(lines));
        // There were no tunables yet.
        assert_eq!(paste("2.24", &[("arena_max", 2)]).tunables, None);
        assert!(paste("2.24", &[("arena_max", 2)]).variables.is_some());
        // A tunable without a variable, and without a parameter.
        let count = paste("2.36", &[("tcache_count", 0)]);
        assert_eq!((count.variables, count.mallopt), (None, None));
        assert_eq!(count.tunables.as_deref(), Some("GLIBC_TUNABLES=glibc.malloc.tcache_count=0"));
        assert_eq!(count.systemd.as_deref(), Some("Environment=GLIBC_TUNABLES=glibc.malloc.tcache_count=0"));
        // 2.43 has no fastbins, and does not read what would set them.
        assert_eq!(paste("2.43", &[("mxfast", 0)]), Paste::default());
        assert_eq!(paste("2.31", &[("mmap_threshold", 64 << 20)]).line(), None);
    }

    #[test]
    fn what_the_environment_sets_and_must_not_is_named() {
        let environment = [("MALLOC_TOP_PAD_", "0"), ("GLIBC_TUNABLES", "glibc.malloc.mxfast=0")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let unset = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Paste::of(&Release::NEWEST, &[], &names, &environment).unset
        };
        assert_eq!(unset(&["top_pad"]), ["MALLOC_TOP_PAD_"]);
        assert_eq!(unset(&["mxfast", "top_pad"]), ["MALLOC_TOP_PAD_", "GLIBC_TUNABLES"]);
        assert_eq!(unset(&["arena_max"]), [""; 0]);
    }
}
