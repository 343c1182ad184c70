//! Other settings to replay with, as they are typed.

use malloscope_replayer::sizes;
use malloscope_replayer::trial::Trial;

/// Other settings to replay with, as they are typed: nothing, or bytes such as `64K`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Requests of this size and more get a mapping of their own.
    pub mmap_threshold: String,
    /// The program break is trimmed when the top chunk has grown to this.
    pub trim_threshold: String,
}

impl Settings {
    /// What is set, by the tunables' names.
    fn typed(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all =
            [("mmap_threshold", self.mmap_threshold.trim()), ("trim_threshold", self.trim_threshold.trim())];
        all.into_iter().filter(|(_, text)| !text.is_empty())
    }

    /// A name that tells these settings from others: `mmap_threshold=64K`.
    pub fn name(&self) -> String {
        self.typed().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(" ")
    }

    /// Reads settings that are typed in one: `mmap_threshold=64K,trim_threshold=1M`.
    ///
    /// # Errors
    ///
    /// What to type instead.
    pub fn parse(text: &str) -> Result<Settings, String> {
        let mut settings = Settings::default();
        for setting in text.split(',') {
            let (name, value) =
                setting.split_once('=').ok_or_else(|| format!("`{setting}` is not NAME=VALUE"))?;
            match name.trim() {
                "mmap_threshold" => settings.mmap_threshold = value.to_owned(),
                "trim_threshold" => settings.trim_threshold = value.to_owned(),
                other => return Err(format!("there is no setting `{other}` here")),
            }
        }
        settings.trial()?;
        Ok(settings)
    }

    /// The settings in one, as they are parsed.
    pub fn typed_in_one(&self) -> String {
        self.typed().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(",")
    }

    /// The settings, for the replayer.
    ///
    /// # Errors
    ///
    /// What to type instead.
    pub fn trial(&self) -> Result<Trial, String> {
        let mut settings = Vec::new();
        for (name, text) in self.typed() {
            settings.push((name.to_owned(), bytes(text)?));
        }
        if settings.is_empty() {
            return Err("Type a threshold, for example 64K or 1M.".to_owned());
        }
        Ok(Trial { settings, ..Trial::default() })
    }
}

/// Reads a decimal number of bytes, with the command's units and perhaps a space before them; `-1` is
/// glibc's “never”.
fn bytes(text: &str) -> Result<u64, String> {
    if text == "-1" {
        return Ok(u64::MAX);
    }
    let wrong = || format!("“{text}” is not a number of bytes: type 65536, 64K or 1M.");
    let (digits, shift) = sizes::split_unit(text);
    let number: u64 = digits.trim_end().parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(mmap: &str, trim: &str) -> Settings {
        Settings { mmap_threshold: mmap.to_owned(), trim_threshold: trim.to_owned() }
    }

    #[test]
    fn what_is_typed_becomes_a_trial() {
        let both = settings(" 64K", "1 MiB");
        let expected = vec![("mmap_threshold".to_owned(), 65536), ("trim_threshold".to_owned(), 1 << 20)];
        assert_eq!(both.trial().unwrap().settings, expected);
        assert_eq!(both.name(), "mmap_threshold=64K trim_threshold=1 MiB");
        let never = settings("", "-1").trial().unwrap();
        assert_eq!(never.settings, vec![("trim_threshold".to_owned(), u64::MAX)]);
    }

    #[test]
    fn what_is_no_number_says_what_to_type() {
        for (mmap, trim) in [("", " "), ("abc", ""), ("", "64X"), ("99999999999G", ""), ("-2", "")] {
            let said = settings(mmap, trim).trial().unwrap_err();
            assert!(said.contains("ype "), "{said}");
        }
    }
}
