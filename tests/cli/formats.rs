//! What programs read: JSON and CSV; and what people read elsewhere: Markdown, and no colour.

use super::run::{answer, malloscope, said, trace};
use serde_json::Value;
use std::process::Command;

/// Checks that a document says which schema it follows, in which version.
fn check_schema(arguments: &[&str], schema: &str) -> Value {
    let document: Value = serde_json::from_str(&answer(arguments)).expect("the answer is JSON");
    assert_eq!(document["schema"], schema, "{arguments:?}");
    assert!(document["version"].as_u64().is_some_and(|version| version >= 1), "{arguments:?}");
    document
}

#[test]
fn every_document_says_what_it_is() {
    let report = check_schema(&["replay", "--format", "json", trace()], "malloscope.report");
    assert_eq!(report["outcome"]["fidelity"]["placements"], report["outcome"]["fidelity"]["same_placements"]);
    let comparison = ["compare", "--format", "json", "--top-pad", "0,1M", trace()];
    let comparison = check_schema(&comparison, "malloscope.comparison");
    let dynamic = |run: usize| &comparison["runs"][run]["outcome"]["settings"]["dynamic_thresholds"];
    assert_eq!([dynamic(0), dynamic(1), dynamic(2)], [&Value::Bool(true), &false.into(), &false.into()]);
    let info = check_schema(&["info", "--format", "json", trace()], "malloscope.info");
    assert_eq!(info["header"]["origin"], "Launched");
    let fidelity = check_schema(&["verify", "--format", "json", trace()], "malloscope.fidelity");
    assert_eq!(fidelity["first_mismatches"], Value::Array(Vec::new()));
}

#[test]
fn the_numbers_of_a_report_add_up() {
    let report = check_schema(&["replay", "--format", "json", trace()], "malloscope.report");
    let outcome = &report["outcome"];
    let sum = |rows: &Value, name: &str| -> u64 {
        rows.as_array().unwrap().iter().map(|row| row[name].as_u64().unwrap()).sum()
    };
    for bin in outcome["bins"].as_array().unwrap() {
        let [requests, hits, misses] = ["requests", "hits", "misses"].map(|name| bin[name].as_u64().unwrap());
        assert_eq!(requests, hits + misses, "{bin}");
    }
    let requests = outcome["requests"].as_u64().unwrap();
    assert_eq!(sum(&outcome["served"], "requests"), requests);
    assert!(requests > 5000 && requests < outcome["calls"].as_u64().unwrap());
}

#[test]
fn what_can_be_set_is_listed_by_release() {
    let document = check_schema(&["tunables", "--format", "json", "--glibc", "2.31"], "malloscope.tunables");
    let tunables = document["tunables"].as_array().unwrap();
    let tunable = |name: &str| tunables.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!(tunable("mxfast")["values"], "0 to 160");
    assert_eq!(tunable("arena_max")["variable"], "MALLOC_ARENA_MAX");
    assert_eq!(tunable("hugetlb")["values"], Value::Null);
    let listed = rows(&answer(["tunables", "--format", "csv", "--glibc", "2.31"]));
    assert_eq!(listed.len(), tunables.len() + 1);
    assert!(listed.iter().all(|row| row.len() == 5), "{listed:?}");
    assert!(answer(["tunables"]).contains("1 or more"));
}

#[test]
fn differences_are_from_the_run_that_was_asked_for() {
    let compare = ["compare", "--format", "differences", "--mmap-threshold", "64K,1M", trace()];
    let differences = |against: &[&str]| rows(&answer(compare.iter().chain(against)));
    let value = |rows: &[Vec<String>], run: &str, column: usize| -> i64 {
        let row = rows.iter().find(|row| row[0] == "minor faults" && row[2] == run).unwrap();
        row[column].parse().unwrap()
    };
    let (recorded, other) = ("as recorded", "mmap_threshold 64K");
    let from_recorded = differences(&[]);
    let from_other = differences(&["--against", other]);
    assert_eq!(from_recorded.len(), 1 + 3 * 22);
    assert_eq!(value(&from_recorded, recorded, 4), 0);
    assert_eq!(value(&from_other, other, 4), 0);
    assert_eq!(value(&from_recorded, other, 4), -value(&from_other, recorded, 4));
    assert_eq!(value(&from_recorded, other, 3), value(&from_other, other, 3));
    let said = said(malloscope(compare).args(["--against", "nothing"]));
    assert!(said.err.contains("they are “as recorded”, “mmap_threshold 64K”"), "{}", said.err);
}

#[test]
fn ranges_of_a_trace_add_up_and_every_section_says_which_it_is_of() {
    let whole = check_schema(&["replay", "--format", "json", trace()], "malloscope.report");
    let requests = |range: &str| {
        let report = answer(["replay", "--format", "json", "--range", range, trace()]);
        let report: Value = serde_json::from_str(&report).unwrap();
        report["outcome"]["requests"].as_u64().unwrap()
    };
    assert_eq!(requests("..3000") + requests("3000.."), whole["outcome"]["requests"].as_u64().unwrap());
    let text = answer(["replay", "--range", "1000..3000", trace()]);
    assert!(text.contains("only records 1,000 to 2,999 of "), "{text}");
    let sections = text.split("\n\n").skip(1);
    for section in sections {
        assert!(section.contains("records 1,000 to 2,999"), "{section}");
    }
    let comparison = answer(["compare", "--top-pad", "0", "--range", "1000..3000", trace()]);
    assert!(comparison.contains("2,000 calls (records 1,000 to 2,999"), "{comparison}");
    let refused = said(&mut malloscope(["replay", "--range", "5..5", trace()]));
    assert!(refused.err.contains("no record is from 5 on and before 5"), "{}", refused.err);
}

#[test]
fn a_table_over_time_is_in_rows_too() {
    let rows = rows(&answer(["replay", "--format", "csv", trace()]));
    let sum = |section: &str, item: &str, measure: &str| -> u64 {
        let those = rows.iter().filter(|row| row[1] == section && row[2].starts_with(item));
        let those = those.filter(|row| row[3] == measure || row[3].starts_with(&format!("{measure}.")));
        those.map(|row| row[4].parse::<u64>().unwrap()).sum()
    };
    let hits = sum("slices.bins", "tcache 0", "hits");
    assert!(hits > 0);
    assert_eq!(hits, sum("bins", "tcache 0", "hits"));
    assert_eq!(sum("request_flows", "tcache from", "requests"), sum("served", "tcache", "requests"));
    assert_eq!(sum("request_flows", "", "requests"), sum("requests", "", ""));
}

/// The fields of each row (RFC 4180).
pub fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = vec![vec![String::new()]];
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let row = rows.last_mut().unwrap();
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => row.last_mut().unwrap().push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(String::new()),
            '\n' if !quoted => rows.push(vec![String::new()]),
            other => row.last_mut().unwrap().push(other),
        }
    }
    assert_eq!(rows.pop(), Some(vec![String::new()]), "the last line ends");
    rows
}

#[test]
fn every_row_is_as_long_as_the_first() {
    let replay = answer(["replay", "--format", "csv", trace()]);
    let compare = ["compare", "--format", "csv", "--mmap-threshold", "64K,1M", "--top-pad", "0", trace()];
    for text in [replay, answer(compare)] {
        let rows = rows(&text);
        assert_eq!(rows[0], ["run", "section", "item", "measure", "value"]);
        assert!(rows.len() > 100);
        for row in &rows {
            assert_eq!(row.len(), 5, "{row:?}");
        }
    }
}

#[test]
fn markdown_tables_are_rectangular() {
    for arguments in [&["replay", trace()][..], &["compare", "--top-pad", "0", trace()]] {
        let text = answer(arguments.iter().chain(&["--format", "markdown"]));
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.len() > 5, "{text}");
        let mut columns = None;
        for line in text.lines() {
            let bars = line.matches('|').count();
            if line.starts_with('|') {
                assert_eq!(*columns.get_or_insert(bars), bars, "{line}");
            } else {
                columns = None;
            }
        }
    }
}

/// What the command says on a terminal, if there is a program that plays one.
fn on_a_terminal(no_color: Option<&str>) -> Option<String> {
    let command = format!("'{}' replay '{}'", env!("CARGO_BIN_EXE_malloscope"), trace());
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
    script.envs(no_color.map(|value| ("NO_COLOR", value)));
    script.stdin(std::process::Stdio::null());
    let output = script.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn colour_is_for_terminals_and_can_be_refused() {
    assert!(!answer(["replay", trace()]).contains('\u{1b}'), "a pipe is no terminal");
    let Some(coloured) = on_a_terminal(None) else {
        eprintln!("skipped: there is no script(1) to play a terminal");
        return;
    };
    assert!(coloured.contains("\u{1b}["), "{coloured}");
    assert!(on_a_terminal(Some("")).is_some_and(|text| text.contains("\u{1b}[")), "empty is as if not set");
    let plain = on_a_terminal(Some("1")).unwrap_or_default();
    assert!(!plain.is_empty() && !plain.contains("\u{1b}["), "{plain}");
}

#[test]
fn no_format_complains_of_a_sound_trace() {
    for format in ["terminal", "json", "csv", "markdown"] {
        let said = said(&mut malloscope(["replay", "--format", format, trace()]));
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{format}");
        assert!(said.out.ends_with('\n'), "{format}");
    }
}

#[test]
fn what_is_followed_ends_with_the_report_of_the_whole() {
    let followed = answer(["replay", "--follow", "--format", "csv", trace()]);
    let whole = answer(["replay", "--format", "csv", trace()]);
    // What the replay took differs each time, and stacks are for those who wait.
    let numbers = |report: &str| -> Vec<String> {
        let last = report.rsplit_once("run,section,").unwrap().1;
        let differs = |line: &&str| !line.contains(",cost,") && !line.contains(",stacks,");
        last.lines().filter(differs).map(str::to_owned).collect()
    };
    assert_eq!(numbers(&followed), numbers(&whole));
    assert!(numbers(&whole).len() > 100);
}
