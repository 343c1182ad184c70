//! The settings of a replay in one word, as a command line has them: `mmap_threshold=64K,glibc=2.31`.

use malloscope_replayer::setting::Setting;
use malloscope_replayer::sizes;
use malloscope_replayer::trial::{MemoryKind, Touch, Trial};

/// Reads settings between commas: each as `--set` of the command has it, or one of `glibc=RELEASE`,
/// `memory=KIND` and `touch=WHAT`.
///
/// # Errors
///
/// What is wrong with the first that is none.
pub fn parse(text: &str) -> Result<Trial, String> {
    let mut trial = Trial::default();
    for setting in text.split(',') {
        match setting.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some(("glibc", release)) => trial.release = Some(release.to_owned()),
            Some(("memory", kind)) => {
                trial.memory = one_of(kind, [MemoryKind::Simulated, MemoryKind::Real], MemoryKind::name)?
            }
            Some(("touch", what)) => {
                trial.touch =
                    one_of(what, [Touch::None, Touch::First, Touch::Pages, Touch::All], Touch::name)?;
            }
            _ => Setting::parse(setting.trim())?.apply(&mut trial),
        }
    }
    Ok(trial)
}

fn one_of<T: Copy, const N: usize>(
    typed: &str,
    all: [T; N],
    name: fn(T) -> &'static str,
) -> Result<T, String> {
    let found = all.into_iter().find(|one| name(*one) == typed);
    found.ok_or_else(|| format!("`{typed}` is none of {}", all.map(name).join(", ")))
}

/// The settings, as they are read.
pub fn typed(trial: &Trial) -> String {
    let mut words = Vec::new();
    words.extend(trial.release.as_ref().map(|release| format!("glibc={release}")));
    words.extend(trial.settings.iter().map(|(name, value)| format!("{name}={}", sizes::shortest(*value))));
    words.extend(trial.variables.iter().map(|(name, value)| format!("{name}={value}")));
    if trial.memory != MemoryKind::default() {
        words.push(format!("memory={}", trial.memory.name()));
    }
    if trial.touch != Touch::default() {
        words.push(format!("touch={}", trial.touch.name()));
    }
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_are_written() {
        for text in [
            "mmap_threshold=64K",
            "glibc=2.31,top_pad=0,mmap_threshold=1M,MALLOC_ARENA_MAX=2,memory=real,touch=all",
            "GLIBC_TUNABLES=glibc.malloc.arena_max=2:glibc.malloc.top_pad=0",
            "mmap_threshold=-1",
        ] {
            assert_eq!(typed(&parse(text).unwrap()), text);
        }
        for wrong in ["", "mmap_threshold", "mmap_threshold=lots", "memory=none", "touch=", "a=1,,b=2"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
