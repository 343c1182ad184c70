//! Names as they were written in C++ and Rust, out of those that linkers see.

use std::fmt::{self, Write};

/// The longest name that is shown. Names of templates grow to some thousands of bytes; one that a few
/// bytes unfold to gigabytes is no name.
const LONGEST: usize = 1 << 14;

/// A name as its language writes it; as it is if it is mangled in no way that we know.
pub(crate) fn demangle(name: &str) -> String {
    if name.len() > LONGEST {
        return cut(name).to_owned();
    }
    rust(name).or_else(|| cpp(name)).unwrap_or_else(|| name.to_owned())
}

/// Both kinds: `_ZN…17h0123456789abcdefE` and `_R…`. The hash says nothing to a person.
fn rust(name: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    let mut bounded = Bounded(String::new());
    write!(bounded, "{demangled:#}").ok()?;
    Some(bounded.0)
}

fn cpp(name: &str) -> Option<String> {
    if !name.starts_with("_Z") {
        return None;
    }
    let symbol = cpp_demangle::Symbol::new(name).ok()?;
    let mut bounded = Bounded(String::new());
    symbol.structured_demangle(&mut bounded, &cpp_demangle::DemangleOptions::default()).ok()?;
    Some(bounded.0)
}

/// What fits of a name.
fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST)]
}

/// Text that does not grow without end.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > LONGEST {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_languages_are_as_they_were_written() {
        let cases = [
            ("main", "main"),
            ("_start", "_start"),
            ("_ZN3foo3barEv", "foo::bar()"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back(int const&)",
            ),
            ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            ("_Zzzz", "_Zzzz"),
            ("_R", "_R"),
        ];
        for (name, expected) in cases {
            assert_eq!(demangle(name), expected);
        }
    }

    #[test]
    fn a_name_that_unfolds_without_end_is_shown_as_it_is() {
        // Every pair is made of two of the pair before: 2^26 names of int.
        let mut name = "_Z1fSt4pairIiiE".to_owned();
        for number in 0..26_u32 {
            let digit = char::from_digit(number, 36).unwrap_or('0').to_ascii_uppercase();
            let pair = if number == 0 { "S_".to_owned() } else { format!("S{digit}_") };
            name.push_str(&format!("St4pairI{pair}{pair}E"));
        }
        assert!(demangle(&name).len() <= LONGEST);
        assert_eq!(demangle(&"é".repeat(LONGEST)).len(), LONGEST);
    }
}
