//! The environment, read as each release's loader reads it.
//!
//! There have been four readers, and what one takes another ignores: [`Reader`] says which a
//! release has. They are followed to the letter, since a recorded program went by what its loader
//! made of the text, not by what its author meant.

use super::{Ignored, Known, Tunable, Tunables, Why, int, shown};
use crate::release::Release;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// How a release reads the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The variables alone, each by a `mallopt` of its own as `atoi` reads it: an `int`, decimal.
    /// The last of several counts; of `MALLOC_CHECK_` only the first digit. (`ptmalloc_init` until 2.25)
    Variables,
    /// `GLIBC_TUNABLES` from left to right; what is no `name=value` is passed over, and of a value
    /// the number it begins with counts. A variable counts where nothing has been set yet.
    Lenient,
    /// Of a string that is not made of `name=value` nothing counts, nor a value that is not a
    /// number to its end; of several settings of one tunable in it only the last is looked at.
    /// (680c597e9c and f94446c38f of 2.39; 71149c2a2e on its branch)
    Strict,
    /// As before; but of several equal variables only the last is looked at, after everything else,
    /// and `glibc.rtld.enable_secure` switches all off. (eb59c7b43d and 71648e8004 of 2.40)
    VariablesLast,
    /// As before; but a variable does not count where the string has a number for the same, even one
    /// that is out of bounds. What the machine sets for all programs is read before everything else. (2.44)
    StringFirst,
}

impl Reader {
    /// Whether an `int` is cut to its length before it is compared with its bounds. (f94446c38f of
    /// 2.39)
    pub(super) fn truncates_to_int(self) -> bool {
        self.is_strict()
    }

    fn is_strict(self) -> bool {
        matches!(self, Reader::Strict | Reader::VariablesLast | Reader::StringFirst)
    }
}

/// The variable that holds tunables.
pub const GLIBC_TUNABLES: &str = "GLIBC_TUNABLES";

/// The file that sets tunables for all programs of a machine. What it says to a program stands before the
/// program's own variables, an entry each, under the file's name and in its words.
pub const SYSTEM_WIDE: &str = "/etc/tunables.conf";

/// What stands before an entry there that no variable changes.
pub const NOT_OVERRIDABLE: &str = "nonoverridable ";

/// Whether a variable of this name may mean something to malloc.
pub fn concerns_malloc(name: &str) -> bool {
    name == GLIBC_TUNABLES || name == SYSTEM_WIDE || name.starts_with("MALLOC_")
}

/// Reads an environment: variables in their order (glibc: `__tunables_init`, then what
/// `ptmalloc_init` makes of it).
pub fn read<'a>(
    release: &Release,
    variables: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> (Tunables, Vec<Ignored>) {
    let mut loader = Loader {
        release,
        tunables: Tunables::default(),
        met: Known::NONE,
        locked: Known::NONE,
        ignored: Vec::new(),
    };
    let variables = variables.into_iter().filter(|(name, _)| concerns_malloc(name));
    match release.environment {
        Reader::Variables => variables.for_each(|(name, value)| loader.obey(name, value)),
        Reader::Lenient | Reader::Strict => loader.read_in_turn(variables),
        Reader::VariablesLast | Reader::StringFirst => loader.read_variables_last(variables),
    }
    loader.start_malloc();
    (loader.tunables, loader.ignored)
}

/// How far the loader moves the program break while it reads this environment: until 2.34 it keeps a
/// copy of each `GLIBC_TUNABLES` there, with name and terminator (glibc: `tunables_strdup`).
pub fn copied_onto_break<'a>(
    release: &Release,
    variables: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> u64 {
    if !release.tunables_are_copied_onto_break {
        return 0;
    }
    let strings = variables.into_iter().filter(|(name, _)| *name == GLIBC_TUNABLES);
    strings.map(|(name, value)| (name.len() + value.len() + 2) as u64).sum()
}

/// What has been read so far.
struct Loader<'release> {
    release: &'release Release,
    tunables: Tunables,
    /// Those for which the program had a number, within its bounds or not.
    met: Known,
    /// Those that the machine does not let a program set (glibc: `tunable_t::locked`).
    locked: Known,
    ignored: Vec<Ignored>,
}

impl Loader<'_> {
    fn ignore(&mut self, setting: impl Into<String>, why: Why) {
        self.ignored.push(Ignored { setting: setting.into(), release: self.release.name, why });
    }

    /// A variable as `mallopt` would be given it.
    fn obey(&mut self, name: &str, text: &str) {
        let setting = format!("{name}={text}");
        let Some(tunable) = Tunable::of_variable(name) else {
            let why = match name {
                GLIBC_TUNABLES => Why::NoTunables,
                SYSTEM_WIDE => Why::NotSystemWide,
                _ => Why::UnknownName,
            };
            return self.ignore(setting, why);
        };
        if tunable == Tunable::Check && text.is_empty() {
            self.tunables.values[tunable as usize] = None;
            return self.ignore(setting, Why::NoValue);
        }
        let number = if tunable == Tunable::Check { first_digit(text) } else { atoi(text) };
        let value = i64::from(number).cast_unsigned();
        let is_no_limit = number <= 0 && matches!(tunable, Tunable::ArenaMax | Tunable::ArenaTest);
        if is_no_limit || !tunable.is_taken(self.release, value) {
            return self.ignore(setting, Why::out_of_bounds(tunable, self.release));
        }
        self.tunables.put(self.release.meant_by(tunable), value);
    }

    fn read_in_turn<'a>(&mut self, variables: impl Iterator<Item = (&'a str, &'a str)>) {
        for (name, text) in variables {
            if name == SYSTEM_WIDE {
                self.ignore(format!("{name}={text}"), Why::NotSystemWide);
            } else if name == GLIBC_TUNABLES {
                self.read_string(text);
            } else if let Some(tunable) = self.aliased(name, text) {
                self.initialize_by_variable(tunable, name, text);
            }
        }
    }

    fn read_variables_last<'a>(&mut self, variables: impl Iterator<Item = (&'a str, &'a str)>) {
        let mut last: Vec<(Tunable, &str, &str)> = Vec::new();
        for (name, text) in variables {
            if name == SYSTEM_WIDE {
                self.read_system_wide(text);
            } else if name == GLIBC_TUNABLES {
                if !self.read_string(text) {
                    return;
                }
            } else if let Some(tunable) = self.aliased(name, text) {
                match last.iter_mut().find(|(set, ..)| *set == tunable) {
                    Some(before) => {
                        let (_, name, before) = core::mem::replace(before, (tunable, name, text));
                        self.ignore(format!("{name}={before}"), Why::SetAgain);
                    }
                    None => last.push((tunable, name, text)),
                }
            }
        }
        for (tunable, name, text) in last {
            self.initialize_by_variable(tunable, name, text);
        }
    }

    /// An entry that the machine has for all programs. A later one may change what one before has locked.
    fn read_system_wide(&mut self, text: &str) {
        let setting = format!("{SYSTEM_WIDE}={text}");
        if self.release.environment != Reader::StringFirst {
            return self.ignore(setting, Why::NotSystemWide);
        }
        let entry = text.strip_prefix(NOT_OVERRIDABLE);
        let Some((name, value)) = entry.unwrap_or(text).split_once('=') else {
            return self.ignore(setting, Why::NoValue);
        };
        let Some(tunable) = name.strip_prefix("glibc.malloc.").and_then(Tunable::named) else {
            return self.ignore(setting, Why::UnknownName);
        };
        self.locked = self.locked.without(tunable);
        self.initialize(tunable, setting, value);
        self.met = self.met.without(tunable);
        if entry.is_some() {
            self.locked = self.locked.with(tunable);
        }
    }

    /// The tunable of a variable; there is none of some that look so.
    fn aliased(&mut self, name: &str, text: &str) -> Option<Tunable> {
        let tunable = Tunable::of_variable(name);
        if tunable.is_none() {
            self.ignore(format!("{name}={text}"), Why::UnknownName);
        }
        tunable
    }

    fn initialize_by_variable(&mut self, tunable: Tunable, name: &str, text: &str) {
        let setting = format!("{name}={text}");
        let is_set_before = match self.release.environment {
            Reader::StringFirst => self.met.has(tunable),
            _ => self.tunables.get(tunable).is_some(),
        };
        if is_set_before {
            self.ignore(setting, Why::SetBefore);
        } else {
            self.initialize(tunable, setting, text);
        }
    }

    /// Reads `name=value:name=value` (glibc: `parse_tunables`). Returns whether anything that
    /// follows in the environment shall be read.
    fn read_string(&mut self, text: &str) -> bool {
        let settings = match self.release.environment.is_strict() {
            true => strict_settings(text),
            false => Some(lenient_settings(text)),
        };
        let Some(settings) = settings else {
            self.ignore(format!("{GLIBC_TUNABLES}={text}"), Why::Malformed);
            return true;
        };
        let secure = settings.iter().rfind(|(name, _)| *name == "glibc.rtld.enable_secure");
        if matches!(self.release.environment, Reader::VariablesLast | Reader::StringFirst)
            && secure.is_some_and(|(_, value)| self.number(value) == (1, ""))
        {
            self.ignore(format!("{GLIBC_TUNABLES}={text}"), Why::Secure);
            return false;
        }
        let last_only = self.release.environment.is_strict();
        let is_overruled = |place: usize, name: &str| {
            last_only && settings[place + 1..].iter().any(|&(later, _)| later == name)
        };
        for (place, &(name, value)) in settings.iter().enumerate() {
            let setting = format!("{name}={value}");
            match name.strip_prefix("glibc.malloc.").and_then(Tunable::named) {
                Some(_) if is_overruled(place, name) => self.ignore(setting, Why::SetAgain),
                Some(tunable) => self.initialize(tunable, setting, value),
                None if is_of_another_part(name) => {}
                None => self.ignore(setting, Why::UnknownName),
            }
        }
        for word in text.split(':').filter(|word| !word.is_empty() && !word.contains('=')) {
            self.ignore(word, Why::NoValue);
        }
        true
    }

    /// Takes a value, if it is one (glibc: `tunable_initialize`).
    fn initialize(&mut self, tunable: Tunable, setting: String, text: &str) {
        if !self.release.tunables.has(tunable) {
            return self.ignore(setting, Why::NotRead);
        }
        let (value, rest) = self.number(text);
        if self.release.environment.is_strict() && !rest.is_empty() {
            return self.ignore(setting, Why::NotANumber);
        }
        if self.locked.has(tunable) {
            return self.ignore(setting, Why::Locked);
        }
        self.met = self.met.with(tunable);
        match tunable.admitted(self.release, value) {
            Some(value) => self.tunables.put(tunable, value),
            None => self.ignore(setting, Why::out_of_bounds(tunable, self.release)),
        }
    }

    fn number<'text>(&self, text: &'text str) -> (u64, &'text str) {
        number(text, self.release.environment.is_strict())
    }

    /// What malloc makes of what the loader has kept.
    fn start_malloc(&mut self) {
        for (tunable, value) in self.tunables.clone().iter() {
            if !tunable.is_taken(self.release, value) {
                self.tunables.values[tunable as usize] = None;
                let why = Why::out_of_bounds(tunable, self.release);
                self.ignore(format!("{}={}", tunable.name(), shown(value)), why);
            }
        }
    }
}

/// Whether a tunable is glibc's, but not malloc's.
fn is_of_another_part(name: &str) -> bool {
    name.starts_with("glibc.") && !name.starts_with("glibc.malloc.")
}

/// Every `name=value` between colons.
fn lenient_settings(text: &str) -> Vec<(&str, &str)> {
    text.split(':').filter_map(|setting| setting.split_once('=')).collect()
}

/// Every `name=value`; `None` if the string does not end with one, or if a value has an `=` in it.
fn strict_settings(text: &str) -> Option<Vec<(&str, &str)>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let last = text.rsplit(':').next()?;
    let settings = lenient_settings(text);
    let is_sound = last.contains('=') && settings.iter().all(|(_, value)| !value.contains('='));
    is_sound.then_some(settings)
}

/// The number at the beginning of a text, and what follows it (glibc: `_dl_strtoul`): decimal, `0x`
/// or `0`; a sign. Where it would become too large it is the largest, and the rest is what has not
/// been read. Before 2.39 that is a little early: no number within a digit of the greatest is read
/// whole.
fn number(text: &str, to_the_greatest: bool) -> (u64, &str) {
    let text = text.trim_start_matches([' ', '\t']);
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return (0, text);
    }
    let (radix, digits) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(rest) => (16, rest),
        None if text.starts_with('0') => (8, text),
        None => (10, text),
    };
    let mut value: u64 = 0;
    for (at, character) in digits.char_indices() {
        let Some(digit) = character.to_digit(radix).map(u64::from) else {
            return (signed(is_negative, value), &digits[at..]);
        };
        let greatest = (u64::MAX - digit) / u64::from(radix);
        if value > greatest || value == greatest && !to_the_greatest {
            return (u64::MAX, &digits[at..]);
        }
        value = value * u64::from(radix) + digit;
    }
    (signed(is_negative, value), "")
}

fn signed(is_negative: bool, value: u64) -> u64 {
    if is_negative { value.wrapping_neg() } else { value }
}

/// The decimal number at the beginning of a text, cut to an `int` (C: `atoi`).
fn atoi(text: &str) -> i32 {
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut value: i64 = 0;
    for digit in digits.bytes().take_while(u8::is_ascii_digit) {
        let digit = i64::from(digit - b'0');
        value = value.saturating_mul(10);
        value = if is_negative { value.saturating_sub(digit) } else { value.saturating_add(digit) };
    }
    int(value.cast_unsigned())
}

/// What the first character of a text is as a digit, whatever it is.
fn first_digit(text: &str) -> i32 {
    text.bytes().next().map_or(0, |byte| i32::from(byte) - i32::from(b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::{V2_31, V2_36, V2_44};
    use alloc::vec;

    const OLD: Release =
        Release { name: "old", environment: Reader::Variables, tunables: Known::VARIABLES, ..V2_31 };
    const STRICT: Release = Release { environment: Reader::Strict, ..V2_36 };
    const NEW: Release = Release { environment: Reader::VariablesLast, ..V2_36 };
    const EVERY: [Release; 4] = [OLD, V2_36, STRICT, NEW];

    /// What each of the four readers makes of an environment.
    fn read_by_each(variables: &[(&str, &str)], tunable: Tunable) -> [Option<u64>; 4] {
        EVERY.map(|release| read(&release, variables.iter().copied()).0.get(tunable))
    }

    fn why(release: &Release, variables: &[(&str, &str)]) -> Vec<(String, Why)> {
        let (_, ignored) = read(release, variables.iter().copied());
        ignored.into_iter().map(|ignored| (ignored.setting, ignored.why)).collect()
    }

    #[test]
    fn numbers_are_read_as_the_loader_reads_them() {
        for (text, value, rest) in [
            ("10", 10, ""),
            (" 0x10k", 16, "k"),
            ("\t+010", 8, ""),
            ("08", 0, "8"),
            ("0xfG", 15, "G"),
            ("0x", 0, ""),
            ("-1", u64::MAX, ""),
            ("-0x10", u64::MAX - 15, ""),
            ("", 0, ""),
            ("1 ", 1, " "),
            (" k", 0, "k"),
            ("- 1", 0, " 1"),
            ("99999999999999999999", u64::MAX, "9"),
            ("18446744073709551616", u64::MAX, "6"),
        ] {
            assert_eq!(number(text, false), (value, rest), "{text:?}");
            assert_eq!(number(text, true), (value, rest), "{text:?}");
        }
        for (text, value, early) in [
            ("18446744073709551609", u64::MAX - 6, (u64::MAX, "9")),
            ("18446744073709551610", u64::MAX - 5, (u64::MAX, "0")),
            ("0xffffffffffffffff", u64::MAX, (u64::MAX, "f")),
        ] {
            assert_eq!((number(text, true), number(text, false)), ((value, ""), early), "{text:?}");
        }
        for (text, value) in [
            ("10k", 10),
            (" \n-3", -3),
            ("010", 10),
            ("0x10", 0),
            ("", 0),
            ("2147483648", i32::MIN),
            ("99999999999999999999", -1),
            ("-99999999999999999999", 0),
        ] {
            assert_eq!(atoi(text), value, "{text:?}");
        }
    }

    #[test]
    fn the_string_overrules_a_variable_wherever_it_stands() {
        let string = ("GLIBC_TUNABLES", "glibc.malloc.top_pad=0x1000");
        let variable = ("MALLOC_TOP_PAD_", "77");
        for order in [[string, variable], [variable, string]] {
            let read = read_by_each(&order, Tunable::TopPad);
            assert_eq!(read, [Some(77), Some(4096), Some(4096), Some(4096)]);
        }
        assert_eq!(why(&V2_36, &[string, variable]), [("MALLOC_TOP_PAD_=77".to_owned(), Why::SetBefore)]);
        let tunables = ("GLIBC_TUNABLES=glibc.malloc.top_pad=0x1000".to_owned(), Why::NoTunables);
        assert_eq!(why(&OLD, &[string, variable]), [tunables]);
    }

    #[test]
    fn what_follows_a_number_matters_to_some() {
        let read = read_by_each(&[("MALLOC_ARENA_MAX", "2 and more")], Tunable::ArenaMax);
        assert_eq!(read, [Some(2), Some(2), None, None]);
        let read = read_by_each(&[("GLIBC_TUNABLES", "glibc.malloc.arena_max=2K")], Tunable::ArenaMax);
        assert_eq!(read, [None, Some(2), None, None]);
        let setting = "glibc.malloc.arena_max=2K".to_owned();
        assert_eq!(why(&STRICT, &[("GLIBC_TUNABLES", &setting)]), [(setting.clone(), Why::NotANumber)]);
        // Nothing is a number to its end, and 0.
        let read = read_by_each(&[("MALLOC_TOP_PAD_", "")], Tunable::TopPad);
        assert_eq!(read, [Some(0); 4]);
    }

    #[test]
    fn a_string_in_disorder_counts_in_parts_or_not_at_all() {
        let set = "glibc.malloc.arena_max=2";
        for (text, lenient, strict) in [
            (format!("{set}:"), Some(2), None),
            (format!(":{set}"), Some(2), Some(2)),
            (format!("::x:{set}"), Some(2), Some(2)),
            (format!("{set}:x"), Some(2), None),
            (format!("{set}=3"), Some(2), None),
            (format!("x=y=z:{set}"), Some(2), None),
            (format!("=5:{set}"), Some(2), Some(2)),
            (format!(" {set}"), None, None),
            (String::new(), None, None),
        ] {
            let read = read_by_each(&[("GLIBC_TUNABLES", &text)], Tunable::ArenaMax);
            assert_eq!(read, [None, lenient, strict, strict], "{text}");
        }
        let broken = format!("{set}:x");
        let malformed = (format!("GLIBC_TUNABLES={broken}"), Why::Malformed);
        assert_eq!(why(&STRICT, &[("GLIBC_TUNABLES", &broken)]), [malformed]);
        assert_eq!(why(&V2_36, &[("GLIBC_TUNABLES", &broken)]), [("x".to_owned(), Why::NoValue)]);
    }

    #[test]
    fn of_several_in_one_string_the_last_counts_even_if_it_does_not() {
        let text = "glibc.malloc.arena_max=2:glibc.malloc.arena_max=3";
        let read = read_by_each(&[("GLIBC_TUNABLES", text)], Tunable::ArenaMax);
        assert_eq!(read, [None, Some(3), Some(3), Some(3)]);
        let text = "glibc.malloc.arena_max=2:glibc.malloc.arena_max=0";
        let read = read_by_each(&[("GLIBC_TUNABLES", text)], Tunable::ArenaMax);
        assert_eq!(read, [None, Some(2), None, None]);
    }

    #[test]
    fn what_malloc_refuses_has_overruled_what_it_would_have_taken() {
        let text = "glibc.malloc.tcache_count=3:glibc.malloc.tcache_count=65536";
        let read = read_by_each(&[("GLIBC_TUNABLES", text)], Tunable::TcacheCount);
        assert_eq!(read, [None; 4]);
        let [(setting, why)] = &why(&V2_36, &[("GLIBC_TUNABLES", text)])[..] else { panic!("one is told") };
        assert_eq!(setting, "tcache_count=65536");
        assert_eq!(*why, Why::OutOfBounds { least: 0, greatest: Some(65535) });
    }

    #[test]
    fn of_several_variables_the_first_that_is_sound_counts_or_the_last() {
        let read = |first, second| {
            read_by_each(&[("MALLOC_ARENA_MAX", first), ("MALLOC_ARENA_MAX", second)], Tunable::ArenaMax)
        };
        assert_eq!(read("2", "3"), [Some(3), Some(2), Some(2), Some(3)]);
        assert_eq!(read("0", "3"), [Some(3); 4]);
        assert_eq!(read("2", "0"), [Some(2), Some(2), Some(2), None]);
    }

    #[test]
    fn what_is_out_of_bounds_keeps_a_variable_out_in_one_release() {
        let variables = [("GLIBC_TUNABLES", "glibc.malloc.arena_max=0"), ("MALLOC_ARENA_MAX", "2")];
        assert_eq!(read_by_each(&variables, Tunable::ArenaMax), [Some(2); 4]);
        let newest = Release { environment: Reader::StringFirst, ..V2_36 };
        assert_eq!(read(&newest, variables).0.get(Tunable::ArenaMax), None);
        let no_number = [("GLIBC_TUNABLES", "glibc.malloc.arena_max=x"), ("MALLOC_ARENA_MAX", "2")];
        assert_eq!(read(&newest, no_number).0.get(Tunable::ArenaMax), Some(2));
    }

    #[test]
    fn two_strings_are_read_one_after_the_other() {
        let first = ("GLIBC_TUNABLES", "glibc.malloc.arena_max=2:glibc.malloc.top_pad=1");
        let second = ("GLIBC_TUNABLES", "glibc.malloc.arena_max=3");
        let both = [first, second];
        assert_eq!(read_by_each(&both, Tunable::ArenaMax), [None, Some(3), Some(3), Some(3)]);
        assert_eq!(read_by_each(&both, Tunable::TopPad), [None, Some(1), Some(1), Some(1)]);
    }

    #[test]
    fn variables_alone_are_what_mallopt_would_be_given() {
        let variables = [
            ("MALLOC_PERTURB_", "256"),
            ("MALLOC_MMAP_THRESHOLD_", "1000"),
            ("MALLOC_MMAP_THRESHOLD_", "99999999"),
            ("MALLOC_TRIM_THRESHOLD_", "-1"),
            ("MALLOC_MMAP_MAX_", "-2"),
            ("MALLOC_ARENA_TEST", "-1"),
        ];
        let (tunables, ignored) = read(&OLD, variables);
        let set: Vec<_> = tunables.iter().collect();
        let expected = [
            (Tunable::Perturb, 256),
            (Tunable::MmapThreshold, 1000),
            (Tunable::TrimThreshold, u64::MAX),
            (Tunable::MmapMax, u64::MAX - 1),
        ];
        assert_eq!(set, expected);
        let ignored: Vec<_> = ignored.into_iter().map(|ignored| ignored.setting).collect();
        assert_eq!(ignored, ["MALLOC_MMAP_THRESHOLD_=99999999", "MALLOC_ARENA_TEST=-1"]);
    }

    #[test]
    fn of_the_check_variable_alone_the_first_digit_counts() {
        let set = |variables: &[_]| read(&OLD, variables.iter().copied()).0.get(Tunable::Check);
        for (text, value) in
            [("3", Some(3)), ("71", Some(7)), ("05", Some(0)), ("-1", Some(u64::MAX - 2)), ("", None)]
        {
            assert_eq!(set(&[("MALLOC_CHECK_", text)]), value, "{text}");
        }
        assert_eq!(set(&[("MALLOC_CHECK_", "3"), ("MALLOC_CHECK_", "")]), None);
        assert_eq!(set(&[("MALLOC_CHECK_", ""), ("MALLOC_CHECK_", "1")]), Some(1));
    }

    #[test]
    fn one_release_takes_the_limit_on_arenas_for_the_test() {
        let release = Release { arena_max_sets_arena_test: true, ..OLD };
        let (tunables, _) = read(&release, [("MALLOC_ARENA_MAX", "2")]);
        assert_eq!(tunables.iter().collect::<Vec<_>>(), [(Tunable::ArenaTest, 2)]);
    }

    #[test]
    fn a_secure_program_s_tunables_are_passed_over() {
        let variables = [
            ("GLIBC_TUNABLES", "glibc.malloc.arena_max=2:glibc.rtld.enable_secure=1"),
            ("MALLOC_TOP_PAD_", "1"),
        ];
        assert_eq!(read_by_each(&variables, Tunable::ArenaMax), [None, Some(2), Some(2), None]);
        assert_eq!(read_by_each(&variables, Tunable::TopPad), [Some(1), Some(1), Some(1), None]);
    }

    #[test]
    fn names_that_glibc_does_not_know_are_told_and_those_of_its_other_parts_are_not() {
        let variables = [
            ("GLIBC_TUNABLES", "glibc.cpu.x=1:arena_max=2:glibc.malloc.arenas=2:glibc.malloc.check=3"),
            ("MALLOC_TOP_PAD", "1"),
            ("HOME", "/"),
        ];
        let told = why(&V2_36, &variables);
        let expected = [
            ("arena_max=2".to_owned(), Why::UnknownName),
            ("glibc.malloc.arenas=2".to_owned(), Why::UnknownName),
            ("glibc.malloc.check=3".to_owned(), Why::NotRead),
            ("MALLOC_TOP_PAD=1".to_owned(), Why::UnknownName),
        ];
        assert_eq!(told, expected);
        assert_eq!(why(&V2_31, &[("MALLOC_CHECK_", "3")]), []);
    }

    /// What Debian's glibc 2.44-3 says under `ld.so --list-tunables`, with these in its `/etc/tunables.conf`.
    #[test]
    fn what_the_machine_sets_comes_first_and_may_be_locked() {
        let system = |text| (SYSTEM_WIDE, text);
        let read = |variables: &[(&str, &str)], tunable| {
            let (tunables, _) = read(&V2_44, variables.iter().copied());
            tunables.get(tunable)
        };
        let arenas = system("glibc.malloc.arena_max=2");
        let more_arenas = system("glibc.malloc.arena_max=5");
        let no_arenas = system("glibc.malloc.arena_max=0");
        let locked = system("nonoverridable glibc.malloc.arena_max=2");
        let string = (GLIBC_TUNABLES, "glibc.malloc.arena_max=9");
        let beyond = (GLIBC_TUNABLES, "glibc.malloc.arena_max=0");
        let secure = (GLIBC_TUNABLES, "glibc.rtld.enable_secure=1");
        let variable = ("MALLOC_ARENA_MAX", "7");
        for (variables, expected) in [
            (vec![arenas], Some(2)),
            (vec![arenas, more_arenas], Some(5)),
            (vec![arenas, no_arenas], Some(2)),
            (vec![arenas, string], Some(9)),
            (vec![arenas, variable], Some(7)),
            (vec![arenas, beyond, variable], Some(2)),
            (vec![arenas, string, variable], Some(9)),
            (vec![arenas, secure, variable], Some(2)),
            (vec![locked, string, variable], Some(2)),
            (vec![locked, more_arenas], Some(5)),
            (vec![locked, more_arenas, variable], Some(7)),
        ] {
            assert_eq!(read(&variables, Tunable::ArenaMax), expected, "{variables:?}");
        }
        let trim = system("glibc.malloc.trim_threshold=-1");
        assert_eq!(read(&[trim], Tunable::TrimThreshold), Some(u64::MAX));
        let no_number = system("glibc.malloc.perturb=x");
        assert_eq!(read(&[no_number], Tunable::Perturb), None);
        assert_eq!(why(&V2_44, &[locked, variable]), [("MALLOC_ARENA_MAX=7".to_owned(), Why::Locked)]);
    }

    #[test]
    fn what_the_machine_sets_is_nothing_to_older_releases() {
        for release in EVERY {
            let variables = [(SYSTEM_WIDE, "glibc.malloc.arena_max=2"), ("MALLOC_ARENA_MAX", "7")];
            let (tunables, ignored) = read(&release, variables);
            assert_eq!(tunables.get(Tunable::ArenaMax), Some(7), "{}", release.name);
            assert_eq!(ignored.len(), 1);
            assert_eq!(ignored[0].why, Why::NotSystemWide);
        }
    }

    #[test]
    fn a_copy_of_the_string_lies_on_the_break_of_some() {
        let variables = [("GLIBC_TUNABLES", "a=1"), ("MALLOC_TOP_PAD_", "1")];
        assert_eq!(copied_onto_break(&V2_31, variables), "GLIBC_TUNABLES=a=1\0".len() as u64);
        assert_eq!(copied_onto_break(&V2_36, variables), 0);
    }
}
