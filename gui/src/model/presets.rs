//! Values that are worth a try, so that comparing them is a matter of a few clicks.

use malloscope_replayer::sizes::shortest;
use malloscope_replayer::trial::Trial;
use malloscope_replayer::tunables;

/// One knob, and the values of it that are worth a try.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// What it is called: `mmap threshold`.
    pub title: String,
    /// What it does, in one sentence.
    pub meaning: &'static str,
    /// The values.
    pub choices: Vec<Choice>,
    /// Whether trying all of them at once is sensible.
    pub is_short: bool,
}

/// A value that is worth a try.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The value, as one types it.
    pub label: String,
    /// The settings to replay with.
    pub trial: Trial,
}

const K: u64 = 1 << 10;
const M: u64 = 1 << 20;

/// The tunables that are asked about most, and the values: below, at and above what glibc starts with,
/// the greatest, and what switches the knob off.
const VALUES: [(&str, &[u64]); 6] = [
    ("mmap_threshold", &[64 * K, 128 * K, M, 32 * M]),
    ("trim_threshold", &[64 * K, 128 * K, M, 32 * M, u64::MAX]),
    ("top_pad", &[0, 128 * K, M, 16 * M]),
    ("arena_max", &[1, 2, 4, 8]),
    ("tcache_count", &[0, 7, 32, 127]),
    ("mxfast", &[0, 64, 128, 160]),
];

/// All of them; the last is that of glibc releases.
pub fn all() -> Vec<Preset> {
    let known = tunables::of(tunables::newest()).unwrap_or_default();
    let meaning = |name: &str| known.iter().find(|row| row.name == name).map_or("", |row| row.meaning);
    let tunable = |(name, values): (&str, &[u64])| Preset {
        title: name.replace('_', " "),
        meaning: meaning(name),
        choices: values.iter().map(|&value| of_tunable(name, value)).collect(),
        is_short: true,
    };
    let release = |name: &str| Choice {
        label: name.to_owned(),
        trial: Trial { release: Some(name.to_owned()), ..Trial::default() },
    };
    let releases = Preset {
        title: "glibc release".to_owned(),
        meaning: "What another glibc would have done with the same calls.",
        choices: tunables::releases().into_iter().rev().map(release).collect(),
        is_short: false,
    };
    VALUES.into_iter().map(tunable).chain([releases]).collect()
}

fn of_tunable(name: &str, value: u64) -> Choice {
    let settings = vec![(name.to_owned(), value)];
    Choice { label: shortest(value), trial: Trial { settings, ..Trial::default() } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_of_a_tunable_that_some_release_reads() {
        let presets = all();
        let labels: Vec<&str> = presets[0].choices.iter().map(|choice| choice.label.as_str()).collect();
        assert_eq!(
            (presets[0].title.as_str(), &labels[..]),
            ("mmap threshold", &["64K", "128K", "1M", "32M"][..])
        );
        assert!(presets.iter().all(|preset| preset.meaning.ends_with('.')), "{presets:?}");
        let is_read = |name: &str| {
            let rows = tunables::releases().into_iter().filter_map(tunables::of).flatten();
            rows.into_iter().any(|row| row.name == name && row.values.is_some())
        };
        assert!(VALUES.iter().all(|(name, _)| is_read(name)));
        assert_eq!(presets.last().map(|preset| preset.choices.len()), Some(tunables::releases().len()));
    }
}
