//! What can be set for a replay, for those who show it: the releases, the tunables of each with their
//! names, values and meanings, and what of a release can be changed. All of it is the allocator's own.

use malloscope_allocator::release::Release;
use malloscope_allocator::release::field::Field;
use malloscope_allocator::tunables::{Tunable, Unit};
use serde::Serialize;

/// A tunable of malloc, as one release reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TunableRow {
    /// Its name after `glibc.malloc.`.
    pub name: &'static str,
    /// Its environment variable, if it has one of its own.
    pub variable: Option<&'static str>,
    /// The values that the release takes, in words; nothing if it does not read the tunable.
    pub values: Option<String>,
    /// Whether its value counts bytes, so that K, M and G make sense.
    pub is_bytes: bool,
    /// What it does, in one sentence.
    pub meaning: &'static str,
}

/// The names of all releases that can be replayed, the oldest first: `2.23` … `2.28-branch` ….
pub fn releases() -> Vec<&'static str> {
    Release::ALL.map(|release| release.name).into()
}

/// The newest of them.
pub fn newest() -> &'static str {
    Release::NEWEST.name
}

/// Every tunable there is, as this release reads it, in the order malloc reads them; nothing if there is
/// no such release.
pub fn of(release: &str) -> Option<Vec<TunableRow>> {
    let release = Release::of(release)?;
    let row = |tunable: Tunable| TunableRow {
        name: tunable.name(),
        variable: tunable.alias(),
        values: tunable.values(&release),
        is_bytes: tunable.unit() == Unit::Bytes,
        meaning: tunable.meaning(),
    };
    Some(Tunable::all().map(row).collect())
}

/// One thing about a release, which a distribution may have changed in its glibc.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldRow {
    /// Its name: `arena_limit`.
    pub name: &'static str,
    /// What the release has there.
    pub value: String,
    /// What can be said instead, in words.
    pub values: String,
}

/// Everything about this release that can be changed for a replay; nothing if there is no such release.
pub fn fields(release: &str) -> Option<Vec<FieldRow>> {
    let release = Release::of(release)?;
    let row =
        |field: &Field| FieldRow { name: field.name, value: field.get(&release), values: field.values() };
    Some(Field::all().iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_tells_its_tunables() {
        for release in releases() {
            let rows = of(release).unwrap();
            assert_eq!(rows.len(), Tunable::all().count());
            assert!(rows.iter().all(|row| row.meaning.ends_with('.')), "{rows:?}");
            // Even the oldest reads the variables.
            assert!(rows.iter().any(|row| row.name == "top_pad" && row.values.as_deref() == Some("any")));
        }
        let fields = fields(newest()).unwrap();
        assert!(fields.iter().any(|field| field.name == "arena_limit" && !field.value.is_empty()));
        assert!(releases().contains(&newest()));
        assert_eq!(of("1.0"), None);
    }
}
