//! Folded stacks: a stack a line, outermost function first, and the bytes it allocated.
//!
//! ```text
//! main;parse;read_line 4096
//! main;parse;grow (in std::vector) 65536
//! ```
//!
//! Stacks that differ in addresses only are one line.

use super::Profile;
use super::code::Code;
use super::sites::whole;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// A function's name as it can stand in a folded stack: a semicolon would end it, a line break the stack.
pub fn escaped(name: &str) -> Cow<'_, str> {
    if name.is_empty() {
        return Cow::Borrowed("[unknown]");
    }
    let is_special = |character: char| character == ';' || character.is_control();
    if !name.contains(is_special) {
        return Cow::Borrowed(name);
    }
    let replaced = |character| match character {
        ';' => ':',
        other if other.is_control() => ' ',
        other => other,
    };
    Cow::Owned(name.chars().map(replaced).collect())
}

/// Writes what each stack allocated, in bytes. Stacks that asked for nothing have no line.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write(profile: &Profile, code: &Code, out: &mut dyn Write) -> io::Result<()> {
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for site in &profile.sites {
        let bytes = whole(site.allocated.bytes);
        if bytes == 0 {
            continue;
        }
        let lines = code.lines_from_outermost(code.node_of(site.stack));
        let names = lines.into_iter().map(|line| escaped(&code.function(line).name));
        let sum = stacks.entry(names.collect::<Vec<_>>().join(";")).or_default();
        *sum = sum.saturating_add(bytes);
    }
    stacks.iter().try_for_each(|(stack, bytes)| writeln!(out, "{stack} {bytes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_neither_ends_a_stack_nor_is_lost() {
        for (name, expected) in [
            ("operator new(unsigned long)", "operator new(unsigned long)"),
            ("f::{closure;0}", "f::{closure:0}"),
            ("two\nlines\r", "two lines "),
            ("", "[unknown]"),
        ] {
            assert_eq!(escaped(name), expected);
        }
    }
}
