//! One setting of malloc, in any of the spellings that people know: `mmap_threshold=64K`,
//! `MALLOC_ARENA_MAX=2`, `GLIBC_TUNABLES=glibc.malloc.top_pad=0`.

use crate::sizes;
use crate::trial::Trial;

/// One setting, in one of its spellings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// A tunable, by its name.
    Tunable(String, u64),
    /// A variable of the environment, to the letter.
    Variable(String, String),
}

impl Setting {
    /// Reads `name=value`. The names of variables are in capitals; only tunables by name have units.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Setting, String> {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
        let name = name.trim().to_owned();
        if name.starts_with(|first: char| first.is_ascii_uppercase()) {
            return Ok(Setting::Variable(name, value.to_owned()));
        }
        Ok(Setting::Tunable(name, sizes::parse(value.trim())?))
    }

    /// Reads settings one after another, as they are pasted from a shell, a unit file or a Dockerfile:
    /// between spaces, lines or semicolons, with or without quotes; `export` and `ENV` are passed over.
    ///
    /// # Errors
    ///
    /// What is wrong with the first that is none.
    pub fn parse_all(text: &str) -> Result<Vec<Setting>, String> {
        let words = text.split(|end: char| end.is_whitespace() || end == ';');
        let words = words.map(|word| word.trim_matches(['"', '\'']));
        let words = words.filter(|word| !word.is_empty() && !["export", "ENV", "env"].contains(word));
        words
            .map(|word| {
                // A quote after the name belongs to the shell: `GLIBC_TUNABLES="glibc.malloc.top_pad=0"`.
                let word = word.replacen("=\"", "=", 1).replacen("='", "=", 1);
                Setting::parse(word.strip_prefix("glibc.malloc.").unwrap_or(&word))
            })
            .collect()
    }

    /// Sets it in a trial, besides what is set there.
    pub fn apply(self, trial: &mut Trial) {
        match self {
            Setting::Tunable(name, value) => trial.settings.push((name, value)),
            Setting::Variable(name, value) => trial.variables.push((name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tunable(name: &str, value: u64) -> Setting {
        Setting::Tunable(name.to_owned(), value)
    }

    fn variable(name: &str, value: &str) -> Setting {
        Setting::Variable(name.to_owned(), value.to_owned())
    }

    #[test]
    fn what_is_pasted_from_elsewhere_is_understood() {
        let tunables = "glibc.malloc.arena_max=2:glibc.malloc.top_pad=0";
        for (text, expected) in [
            ("", vec![]),
            ("mmap_threshold=64K", vec![tunable("mmap_threshold", 65536)]),
            ("glibc.malloc.mxfast=0 top_pad=1M", vec![tunable("mxfast", 0), tunable("top_pad", 1 << 20)]),
            ("export MALLOC_ARENA_MAX=2;", vec![variable("MALLOC_ARENA_MAX", "2")]),
            ("ENV MALLOC_ARENA_MAX='2'", vec![variable("MALLOC_ARENA_MAX", "2")]),
            (&format!("GLIBC_TUNABLES=\"{tunables}\""), vec![variable("GLIBC_TUNABLES", tunables)]),
            (
                &format!("GLIBC_TUNABLES={tunables}\nMALLOC_TOP_PAD_=64K\n"),
                vec![variable("GLIBC_TUNABLES", tunables), variable("MALLOC_TOP_PAD_", "64K")],
            ),
        ] {
            assert_eq!(Setting::parse_all(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_setting_is_told() {
        for text in ["mmap_threshold", "mmap_threshold=", "top_pad=many", "top_pad=1X"] {
            assert!(Setting::parse_all(text).is_err(), "{text}");
        }
    }
}
