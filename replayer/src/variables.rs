//! What to put into a program's environment so that its malloc goes by a trial's settings.
//!
//! It is one variable more at most, wherever that will do: some programs ask malloc for room for each. The old
//! variables (`MALLOC_ARENA_MAX`) are preferred, because every release reads them; what has none, is one of
//! several, or is in the program's `GLIBC_TUNABLES` already, goes there.

use crate::recognition::Recording;
use crate::trial::{BadTrial, Trial, tunable_named};
use malloscope_allocator::tunables::Tunable;
use malloscope_allocator::tunables::environment::{self, GLIBC_TUNABLES, Reader, SYSTEM_WIDE};

pub use malloscope_allocator::tunables::environment::concerns_malloc;

/// A variable: name and value.
pub type Variable = (String, String);

/// All variables that concern malloc and are to be set, those of the recording among them.
///
/// # Errors
///
/// When something is asked for that the release cannot be made to do by its environment.
pub fn of(trial: &Trial, recording: &Recording) -> Result<Vec<Variable>, BadTrial> {
    let release = trial.release(recording)?;
    let (wanted, _) = trial.tunables(recording)?;
    let variables = trial.environment(&recording.header);
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (machines, mut variables): (Vec<Variable>, Vec<Variable>) =
        variables.partition(|(name, _)| name == SYSTEM_WIDE);
    for name in &trial.unset {
        unset(&mut variables, tunable_named(name)?);
    }
    let in_one = trial.settings.len() > 1 && release.environment != Reader::Variables;
    for (name, value) in &trial.settings {
        let tunable = Tunable::named(name).ok_or_else(|| BadTrial::UnknownTunable { asked: name.clone() })?;
        set(&mut variables, tunable, *value, in_one);
        // Of what a release ignores it has none, whatever the environment says.
        let all = machines.iter().chain(&variables).map(|(name, value)| (name.as_str(), value.as_str()));
        let (set, _) = environment::read(&release, all);
        if wanted.get(tunable).is_some() && set.get(tunable) != wanted.get(tunable) {
            return Err(BadTrial::NotByEnvironment { asked: name.clone(), release: release.name });
        }
    }
    Ok(variables)
}

/// Leaves a tunable to the release.
fn unset(variables: &mut Vec<Variable>, tunable: Tunable) {
    let begins = begins(tunable);
    for (_, string) in variables.iter_mut().filter(|(name, _)| name == GLIBC_TUNABLES) {
        let others = string.split(':').filter(|part| !part.starts_with(&begins));
        *string = others.collect::<Vec<_>>().join(":");
    }
    let is_alias = |name: &str| tunable.alias() == Some(name);
    variables.retain(|(name, value)| !is_alias(name) && (name != GLIBC_TUNABLES || !value.is_empty()));
}

/// Sets one tunable, by a variable of its own unless it is to be `in_one` with others.
fn set(variables: &mut Vec<Variable>, tunable: Tunable, value: u64, in_one: bool) {
    let begins = begins(tunable);
    let is_there = variables.iter().any(|(name, value)| name == GLIBC_TUNABLES && value.contains(&begins));
    unset(variables, tunable);
    match tunable.alias() {
        Some(alias) if !is_there && !in_one => variables.push((alias.to_owned(), written(value))),
        _ => match variables.iter_mut().find(|(name, _)| name == GLIBC_TUNABLES) {
            Some((_, string)) => *string = format!("{string}:{begins}{}", written(value)),
            None => variables.push((GLIBC_TUNABLES.to_owned(), format!("{begins}{}", written(value)))),
        },
    }
}

/// A value as the loader reads it: -1 is the greatest, which malloc takes for “never”.
pub(crate) fn written(value: u64) -> String {
    if value > i64::MAX as u64 { value.cast_signed().to_string() } else { value.to_string() }
}

/// What an entry of `GLIBC_TUNABLES` begins with.
fn begins(tunable: Tunable) -> String {
    format!("glibc.malloc.{}=", tunable.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_traces::Header;

    fn recording(version: &str, environment: &[(&str, &str)]) -> Recording {
        let mut header = Header::default();
        header.libc.version = version.to_owned();
        header.program.environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Recording::from(header)
    }

    fn spelled(settings: &[(&str, u64)], recording: &Recording) -> Result<Vec<String>, BadTrial> {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let trial = Trial { settings, ..Trial::default() };
        Ok(of(&trial, recording)?.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn settings_become_the_variables_that_the_release_reads() {
        for (version, before, settings, expected) in [
            ("2.36", vec![], vec![], vec![]),
            ("2.36", vec![], vec![("mmap_threshold", 65536)], vec!["MALLOC_MMAP_THRESHOLD_=65536"]),
            ("2.23", vec![], vec![("arena_max", 1)], vec!["MALLOC_ARENA_MAX=1"]),
            (
                "2.23",
                vec![],
                vec![("arena_max", 1), ("top_pad", 0)],
                vec!["MALLOC_ARENA_MAX=1", "MALLOC_TOP_PAD_=0"],
            ),
            (
                "2.36",
                vec![],
                vec![("arena_max", 1), ("top_pad", 0)],
                vec!["GLIBC_TUNABLES=glibc.malloc.arena_max=1:glibc.malloc.top_pad=0"],
            ),
            (
                "2.36",
                vec![],
                vec![("tcache_count", 0), ("mxfast", 0)],
                vec!["GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"],
            ),
            ("2.36", vec![("MALLOC_ARENA_MAX", "8")], vec![("arena_max", 1)], vec!["MALLOC_ARENA_MAX=1"]),
            (
                "2.36",
                vec![("GLIBC_TUNABLES", "glibc.malloc.arena_max=8:glibc.malloc.mxfast=0")],
                vec![("arena_max", 1)],
                vec!["GLIBC_TUNABLES=glibc.malloc.mxfast=0:glibc.malloc.arena_max=1"],
            ),
        ] {
            let recording = recording(version, &before);
            assert_eq!(
                spelled(&settings, &recording).unwrap(),
                expected,
                "{version} {before:?} {settings:?}"
            );
        }
    }

    #[test]
    fn what_is_to_be_unset_is_in_no_variable() {
        let set = "glibc.malloc.top_pad=1:glibc.rtld.nns=4";
        let recording = recording("2.36", &[("GLIBC_TUNABLES", set), ("MALLOC_ARENA_MAX", "2")]);
        for (unset, expected) in [
            (vec!["top_pad"], vec![("GLIBC_TUNABLES", "glibc.rtld.nns=4"), ("MALLOC_ARENA_MAX", "2")]),
            (vec!["arena_max"], vec![("GLIBC_TUNABLES", set)]),
        ] {
            let unset = unset.into_iter().map(str::to_owned).collect();
            let variables = of(&Trial { unset, ..Trial::default() }, &recording).unwrap();
            let expected = expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(variables, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_no_variable_can_set_is_an_error() {
        // Set for all programs, and not to be set by one.
        let recording = recording("2.44", &[(SYSTEM_WIDE, "nonoverridable glibc.malloc.arena_max=2")]);
        let error = spelled(&[("arena_max", 1)], &recording).unwrap_err();
        assert!(error.to_string().contains("arena_max"), "{error}");
    }
}
