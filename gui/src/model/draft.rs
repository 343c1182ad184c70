//! Settings as they are typed into a form, and what they come to.

use malloscope_replayer::recognition::Recording;
use malloscope_replayer::report::TraceInfo;
use malloscope_replayer::setting::Setting;
use malloscope_replayer::sizes;
use malloscope_replayer::trial::{MemoryKind, ThpMode, Touch, Trial, WordWidth};
use std::collections::BTreeMap;

/// Settings as they are typed: what is empty is as recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// Another glibc release.
    pub release: Option<String>,
    /// What a distribution changed about it: `arena_limit=affinity`.
    pub release_changes: String,
    /// Values of tunables, by name.
    pub tunables: BTreeMap<&'static str, String>,
    /// Settings that were pasted: `GLIBC_TUNABLES=…`, `MALLOC_ARENA_MAX=…`, `top_pad=64K`.
    pub pasted: String,
    /// Where the heap lives.
    pub memory: MemoryKind,
    /// How wide its words are.
    pub words: WordWidth,
    /// Which bytes the program writes.
    pub touch: Touch,
    /// When the kernel uses transparent huge pages.
    pub transparent_huge_pages: Option<ThpMode>,
    /// Huge pages in the kernel's pool.
    pub huge_pages: String,
    /// Processors.
    pub processors: String,
    /// The initial break's place in its page.
    pub break_offset: String,
    /// A wall across the break's way.
    pub break_limit: String,
}

impl Draft {
    /// The settings, for the replayer.
    ///
    /// # Errors
    ///
    /// What to type instead.
    pub fn trial(&self) -> Result<Trial, String> {
        let mut trial = Trial {
            release: self.release.clone(),
            release_changes: release_changes(&self.release_changes)?,
            memory: self.memory,
            words: self.words,
            touch: self.touch,
            transparent_huge_pages: self.transparent_huge_pages,
            huge_pages: number("huge pages", &self.huge_pages)?.unwrap_or(0),
            break_offset: number("break offset", &self.break_offset)?,
            break_limit: number("break limit", &self.break_limit)?,
            ..Trial::default()
        };
        if let Some(processors) = number("processors", &self.processors)? {
            let processors = u32::try_from(processors).ok().filter(|&processors| processors > 0);
            trial.processors = Some(processors.ok_or("processors: type a number from 1 on.")?);
        }
        for (name, text) in &self.tunables {
            if let Some(value) = number(name, text)? {
                trial.settings.push(((*name).to_owned(), value));
            }
        }
        Setting::parse_all(&self.pasted)?.into_iter().for_each(|setting| setting.apply(&mut trial));
        Ok(trial)
    }

    /// Whether nothing was typed.
    pub fn is_empty(&self) -> bool {
        self.trial().is_ok_and(|trial| trial == Trial::default())
    }
}

/// Reads `field=value`, one after another.
fn release_changes(text: &str) -> Result<Vec<(String, String)>, String> {
    let words = text.split(|end: char| end.is_whitespace() || end == ',').filter(|word| !word.is_empty());
    let change = |word: &str| {
        let (field, value) = word.split_once('=')?;
        Some((field.to_owned(), value.to_owned()))
    };
    words
        .map(|word| change(word).ok_or_else(|| format!("release changes: “{word}” is not field=value.")))
        .collect()
}

/// Reads a number with the command's units, perhaps with a space before them; nothing from nothing.
fn number(name: &str, text: &str) -> Result<Option<u64>, String> {
    let text: String = text.split_whitespace().collect();
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_| format!("{name}: “{text}” is not a number. Type 65536, 64K or 1M; -1 is never.");
    sizes::parse(&text).map(Some).map_err(wrong)
}

/// What settings come to for a trace, before any replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The release they are for.
    pub release: String,
    /// What malloc takes, of the recorded environment too: `mmap_threshold=65536`.
    pub taken: Vec<String>,
    /// What glibc of that release would ignore: a sentence for each.
    pub ignored: Vec<String>,
}

impl Effect {
    /// What these settings come to.
    ///
    /// # Errors
    ///
    /// What no release has.
    pub fn of(trial: &Trial, trace: &TraceInfo) -> Result<Effect, String> {
        let recording = Recording {
            header: trace.header.clone(),
            recognition: trace.recognition.clone(),
            ..Recording::default()
        };
        let release = trial.release(&recording).map_err(|bad| bad.to_string())?;
        let (tunables, ignored) = trial.tunables(&recording).map_err(|bad| bad.to_string())?;
        let taken =
            tunables.iter().map(|(tunable, value)| format!("{}={}", tunable.name(), sizes::shortest(value)));
        Ok(Effect {
            release: release.name.to_owned(),
            taken: taken.collect(),
            ignored: ignored.iter().map(|ignored| format!("{ignored}.")).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_becomes_a_trial() {
        let mut draft = Draft::default();
        assert!(draft.is_empty());
        draft.tunables.insert("mmap_threshold", " 1 MiB".to_owned());
        draft.tunables.insert("trim_threshold", "-1".to_owned());
        draft.tunables.insert("top_pad", " ".to_owned());
        draft.pasted = "MALLOC_ARENA_MAX=2".to_owned();
        draft.processors = "8".to_owned();
        draft.release_changes = "arena_limit=affinity, fastbins=no".to_owned();
        let trial = draft.trial().unwrap();
        let expected = vec![("mmap_threshold".to_owned(), 1 << 20), ("trim_threshold".to_owned(), u64::MAX)];
        assert_eq!(trial.settings, expected);
        assert_eq!(trial.variables, vec![("MALLOC_ARENA_MAX".to_owned(), "2".to_owned())]);
        assert_eq!(trial.release_changes[1], ("fastbins".to_owned(), "no".to_owned()));
        assert_eq!((trial.processors, draft.is_empty()), (Some(8), false));
    }

    #[test]
    fn what_is_no_number_says_what_to_type() {
        for text in ["abc", "64X", "99999999999G", "-2"] {
            let mut draft = Draft::default();
            draft.tunables.insert("mmap_threshold", text.to_owned());
            let said = draft.trial().unwrap_err();
            assert!(said.starts_with("mmap_threshold: ") && said.contains("Type "), "{said}");
        }
        let draft = Draft { processors: "0".to_owned(), ..Draft::default() };
        assert!(draft.trial().unwrap_err().contains("from 1 on"));
        let draft = Draft { release_changes: "arena_limit".to_owned(), ..Draft::default() };
        assert!(draft.trial().unwrap_err().contains("not field=value"));
        let draft = Draft { pasted: "top_pad".to_owned(), ..Draft::default() };
        assert!(draft.trial().unwrap_err().contains("not NAME=VALUE"));
    }
}
