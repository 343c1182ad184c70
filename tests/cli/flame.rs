//! Flamegraphs, folded stacks, and the stacks of reports, of a program recorded with all its stacks.

use super::run::{answer, built, folder, malloscope, program, said, trace};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Everything that can be drawn.
const ALL: [&str; 15] = [
    "bytes",
    "calls",
    "peak",
    "peak-contribution",
    "leaks",
    "temporary",
    "temporary-bytes",
    "temporary10",
    "temporary10-bytes",
    "pinned",
    "held",
    "faults",
    "break-grown",
    "break-trimmed",
    "misses",
];

/// A recording with stacks.
pub fn stacked() -> &'static str {
    static TRACE: OnceLock<String> = OnceLock::new();
    TRACE.get_or_init(|| {
        let trace = folder().join("stacked.mscope").display().to_string();
        let mut command = malloscope(["record", "--stacks", "all", "-o", &trace, "--"]);
        let said = said(command.arg(program()));
        assert_eq!(said.code, Some(0), "{}", said.err);
        trace
    })
}

fn folded(arguments: &[&str]) -> String {
    answer(["flame", "--format", "folded"].iter().chain(arguments))
}

/// The lines, and their last so many numbers.
fn parsed(folded: &str, numbers: usize) -> BTreeMap<String, Vec<u64>> {
    let line = |line: &str| {
        let parts: Vec<&str> = line.rsplitn(numbers + 1, ' ').collect();
        let (weights, stack) = parts.split_at(numbers);
        (stack[0].to_owned(), weights.iter().rev().map(|weight| weight.parse().unwrap()).collect())
    };
    folded.lines().map(line).collect()
}

fn json(arguments: &[&str]) -> Value {
    let answer = answer(["replay", "--format", "json", stacked()].iter().chain(arguments));
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn everything_can_be_drawn_and_inferno_reads_what_is_folded() {
    for what in ALL {
        let folded = folded(&["--of", what, stacked()]);
        let lines = parsed(&folded, 1);
        assert!(!lines.is_empty() && lines.keys().all(|line| !line.is_empty()), "{what}: {folded}");
        let sum: u64 = lines.values().map(|weights| weights[0]).sum();
        let mut options = inferno::flamegraph::Options::default();
        let mut picture = Vec::new();
        inferno::flamegraph::from_lines(&mut options, folded.lines(), &mut picture).unwrap();
        let picture = String::from_utf8(picture).unwrap();
        let total = picture.split_once("total_samples=\"").unwrap().1.split_once('"').unwrap().0;
        assert_eq!(total, sum.to_string(), "{what}");
        if what == "bytes" {
            assert!(lines.keys().any(|line| line.split(';').any(|name| name == "main")), "{folded}");
        }
    }
}

#[test]
fn a_tree_shows_the_source_where_it_is_at_hand() {
    let trace = folder().join("debuggable.mscope").display().to_string();
    let mut command = malloscope(["record", "--stacks", "all", "-o", &trace, "--"]);
    assert_eq!(said(command.arg(built("debuggable", &["-g"]))).code, Some(0));
    let tree = answer(["flame", "--format", "tree", "--source", "--least", "0", &trace]);
    let program =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/program.c")).unwrap();
    let mut lines = 0;
    for row in tree.lines() {
        let Some((_, place)) = row.split_once("program.c:") else { continue };
        let (line, text) = place.trim_end().split_once("  ").unwrap();
        let line: usize = line.parse().unwrap();
        assert_eq!(text, program.lines().nth(line - 1).unwrap().trim(), "{row}");
        lines += 1;
    }
    assert_eq!(lines, 2, "main and made: {tree}");
    assert!(!answer(["flame", "--format", "tree", &trace]).contains("program.c"));
}

#[test]
fn the_lines_add_up_to_what_the_report_says() {
    let report = json(&[]);
    let sum =
        |what| -> u64 { parsed(&folded(&["--of", what, stacked()]), 1).values().map(|all| all[0]).sum() };
    let outcome = &report["outcome"];
    assert_eq!(sum("faults"), outcome["measured"]["faults"]);
    assert_eq!(sum("break-grown"), outcome["kernel"]["break_grown_bytes"]);
    assert_eq!(sum("break-trimmed"), outcome["kernel"]["break_trimmed_bytes"]);
    assert_eq!(sum("peak"), outcome["measured"]["peaks"]["live"]["bytes"]);
    assert_eq!(sum("leaks"), outcome["measured"]["live"]);
    // In chunks there is never less than was asked for.
    assert!(sum("peak-contribution") > sum("peak"));
    let misses = folded(&["--of", "misses", stacked()]);
    assert!(misses.lines().any(|line| line.rsplit(';').next().unwrap().starts_with("top ")), "{misses}");
}

#[test]
fn a_picture_says_what_it_shows_and_in_which_unit() {
    let file = folder().join("held.svg").display().to_string();
    assert_eq!(answer(["flame", "--of", "held", "-o", &file, stacked()]), "");
    let picture = std::fs::read_to_string(&file).unwrap();
    assert!(picture.starts_with("<?xml") && picture.contains(">Memory held<"), "{}", &picture[..400]);
    assert!(picture.contains("seconds, 100%)"), "the unit is in every frame");
    assert!(picture.contains(program().to_str().unwrap()), "the program is named");
    let bytes = answer(["flame", stacked()]);
    assert!(bytes.contains(">Bytes allocated<") && bytes.contains(" bytes, 100%)"));
}

#[test]
fn two_traces_or_two_settings_are_told_apart() {
    let same = parsed(&folded(&["--of", "bytes", "--diff", stacked(), stacked()]), 2);
    assert!(!same.is_empty() && same.values().all(|weights| weights[0] == weights[1]));
    let other = folded(&["--of", "misses", "--against-set", "tcache_count=0", stacked()]);
    let other = parsed(&other, 2);
    let sums = other.values().fold((0, 0), |sums, weights| (sums.0 + weights[0], sums.1 + weights[1]));
    assert!(sums.0 < sums.1, "without a tcache more is served from elsewhere: {sums:?}");
    let plain = parsed(&folded(&["--of", "misses", "--set", "tcache_count=0", stacked()]), 1);
    assert_eq!(sums.1, plain.values().map(|weights| weights[0]).sum::<u64>());
    let balanced = folded(&["--of", "misses", "--against-set", "tcache_count=0", "--normalize", stacked()]);
    let balanced = parsed(&balanced, 2).values().map(|weights| weights[0]).sum::<u64>();
    assert!(balanced <= sums.1 && balanced > sums.1 * 9 / 10, "{balanced} {sums:?}");
    let picture = answer(["flame", "--of", "faults", "--against-glibc", "2.31", stacked()]);
    assert!(picture.contains("what is different"));
}

#[test]
fn what_cannot_be_drawn_is_told() {
    for (arguments, told) in [
        (vec!["--of", "bytes", trace()], "has no stacks: record it with `malloscope record --stacks all`"),
        (vec!["--of", "pinned", trace()], "has no stacks"),
        (vec!["--of", "bytes", "--set", "tcache_count=0", stacked()], "whatever the settings"),
        (vec!["--of", "bytes", "--against-set", "tcache_count=0", stacked()], "whatever the settings"),
        (vec!["--of", "bytes", "--diff", trace(), stacked()], "has no stacks"),
        (vec!["--of", "bytes", "nowhere.mscope"], "nowhere.mscope"),
    ] {
        let said = said(malloscope(["flame"]).args(&arguments));
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(said.err.contains(told), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn a_report_names_the_stacks_that_matter_in_every_format() {
    let report = answer(["replay", stacked()]);
    assert!(report.contains("\nStacks\n"), "{report}");
    for what in ["pinned", "peak", "faults", "misses"] {
        assert!(report.lines().any(|line| line.starts_with(&format!("  {what} "))), "{what}: {report}");
    }
    assert!(!answer(["replay", trace()]).contains("\nStacks\n"), "without stacks there are none to name");
    let markdown = answer(["replay", "--format", "markdown", stacked()]);
    assert!(markdown.contains("## Stacks") && markdown.contains("| misses |"), "{markdown}");
    let csv = answer(["replay", "--format", "csv", stacked()]);
    assert!(
        csv.contains("replay,stacks,pinned,total,") && csv.contains("replay,stacks,misses 1,share,"),
        "{csv}"
    );
    let json = json(&[]);
    let stacks = json["stacks"].as_array().unwrap();
    assert_eq!(stacks.len(), 4);
    for blamed in stacks {
        let named = blamed["stacks"].as_array().unwrap();
        assert!((1..=5).contains(&named.len()), "{blamed}");
        assert!(!named[0]["frames"].as_array().unwrap().is_empty(), "{blamed}");
        let shares: Vec<f64> = named.iter().map(|stack| stack["share"].as_f64().unwrap()).collect();
        assert!(shares.is_sorted_by(|a, b| a >= b) && shares.iter().sum::<f64>() <= 1.0 + 1e-9, "{blamed}");
    }
    assert_eq!(json["outcome"]["blame"], Value::Null, "the rest is for flamegraphs");
}

#[test]
fn a_sample_gives_estimates_with_their_errors() {
    let trace = folder().join("sampled.mscope").display().to_string();
    let mut command = malloscope(["record", "--stacks", "sample:16K", "-o", &trace, "--"]);
    assert_eq!(said(command.arg(program())).code, Some(0));
    let said = said(&mut malloscope(["flame", "--format", "folded", &trace]));
    assert_eq!(said.code, Some(0));
    assert!(said.err.contains("stacks were sampled") && said.err.contains("standard error"), "{}", said.err);
    let estimated: u64 = parsed(&said.out, 1).values().map(|weights| weights[0]).sum();
    let counted: u64 = parsed(&folded(&[stacked()]), 1).values().map(|weights| weights[0]).sum();
    assert!(estimated > counted / 2 && estimated < counted * 2, "{estimated} {counted}");
    assert!(answer(["replay", &trace]).contains("estimates from a sample"));
}

#[test]
fn a_tree_says_the_same_as_the_lines_and_can_be_turned_round() {
    let tree = answer(["flame", "--format", "tree", stacked()]);
    assert!(tree.starts_with("Bytes allocated: ") && tree.contains("  main"), "{tree}");
    let sum =
        |arguments: &[&str]| parsed(&folded(arguments), 1).values().map(|weights| weights[0]).sum::<u64>();
    let all = sum(&[stacked()]);
    assert_eq!(sum(&["--callers", stacked()]), all);
    assert_eq!(sum(&["--focus", "main", stacked()]), all);
    let hidden = said(&mut malloscope(["flame", "--format", "folded", "--hide", "main", stacked()]));
    assert!(hidden.code == Some(1) && hidden.err.contains("nothing to draw"), "{}", hidden.err);
    let callers = folded(&["--callers", "--focus", "main", stacked()]);
    assert!(callers.lines().all(|line| line.starts_with("main;") || line.starts_with("main ")), "{callers}");
    let nobody = said(&mut malloscope(["flame", "--focus", "nobody", stacked()]));
    assert!(nobody.code == Some(1) && nobody.err.contains("called “nobody”"), "{}", nobody.err);
}
