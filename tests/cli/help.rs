//! The help of every subcommand, kept: `BLESS=1 cargo test --test cli help` writes it anew.

use super::run::{answer, malloscope, said};
use std::path::Path;

/// All of them.
pub const SUBCOMMANDS: [&str; 29] = [
    "profile",
    "record",
    "replay",
    "verify",
    "compare",
    "prove",
    "rerun",
    "check",
    "advise",
    "upgrade",
    "pins",
    "trim-plan",
    "storms",
    "thresholds",
    "arenas",
    "flame",
    "sites",
    "allocations",
    "heap",
    "snapshot",
    "explain",
    "info",
    "symbolize",
    "dump",
    "import",
    "export",
    "tunables",
    "gui",
    "generate",
];

fn check_help(name: &str, text: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/help").join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&golden, text).unwrap();
    }
    let kept = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(kept == text, "the help of {name} is now:\n{text}");
    // The first line says what it does, as an order, and is no sentence; the last is a command.
    let first = text.lines().next().unwrap();
    assert!(first.starts_with(char::is_uppercase), "{name}: {first}");
    let paragraph = text.split("\n\n").next().unwrap();
    assert!(!paragraph.ends_with('.'), "{name}: {paragraph}");
    let mut last = text.lines().rev();
    let command = last.next().unwrap();
    assert!(command.starts_with("  ") && command.contains("malloscope "), "{name}: {command}");
    assert_eq!(last.next(), Some("Example:"), "{name}");
}

#[test]
fn the_help_is_what_was_read_and_ends_with_a_command_to_paste() {
    check_help("malloscope", &answer(["--help"]));
    for subcommand in SUBCOMMANDS {
        check_help(subcommand, &answer([subcommand, "--help"]));
    }
}

#[test]
fn nothing_else_is_on_offer() {
    let help = answer(["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let names = commands.lines().take_while(|line| !line.is_empty());
    let mut names: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    names.retain(|name| *name != "help");
    assert_eq!(names, SUBCOMMANDS);
}

#[test]
fn misuse_is_told_and_ends_with_2() {
    let misused: [&[&str]; 15] = [
        &[],
        &["frobnicate"],
        &["replay"],
        &["replay", "--mmap", "x.mscope"],
        &["replay", "--set", "mmap_threshold", "x.mscope"],
        &["replay", "--break-offset", "much", "x.mscope"],
        &["replay", "--placements", "--syscalls", "x.mscope"],
        &["replay", "--introspect=mallinfo", "--syscalls", "x.mscope"],
        &["record", "-o", "x.mscope"],
        &["generate", "completions", "tcsh"],
        &["heap", "--at", "soon", "x.mscope"],
        &["explain", "--next", "luck", "x.mscope"],
        &["flame", "--of", "luck", "x.mscope"],
        &["sites", "--sort", "luck", "x.mscope"],
        &["flame", "--diff", "y.mscope", "--against-set", "tcache_count=0", "x.mscope"],
    ];
    for arguments in misused {
        let said = said(&mut malloscope(arguments));
        assert_eq!(said.code, Some(2), "{arguments:?}");
        let explains = said.err.contains("Usage: malloscope") || said.err.contains("try '--help'");
        assert!(said.out.is_empty() && explains, "{arguments:?}: {}", said.err);
    }
}
