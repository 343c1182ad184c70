//! The table of allocation sites, of a program recorded with all its stacks.

use super::flame::stacked;
use super::run::{answer, malloscope, said, trace};
use serde_json::Value;

fn json(arguments: &[&str]) -> Value {
    let answer = answer(["sites", "--format", "json", stacked()].iter().chain(arguments));
    serde_json::from_str(&answer).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn rows_add_up_to_what_the_report_and_the_flamegraphs_say() {
    let sites = json(&["--top", "1000000", "--replay"]);
    let rows = sites["sites"].as_array().unwrap();
    let sum = |column: &str, part: &str| rows.iter().map(|row| number(&row[column][part])).sum::<f64>();
    let folded = |of: &str| {
        let lines = answer(["flame", "--format", "folded", "--of", of, stacked()]);
        let weight = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
        lines.lines().map(weight).sum::<f64>()
    };
    for (column, part, of) in [
        ("allocated", "bytes", "bytes"),
        ("peak", "bytes", "peak"),
        ("end", "bytes", "leaks"),
        ("temporary", "blocks", "temporary"),
        ("temporary", "bytes", "temporary-bytes"),
    ] {
        assert_eq!(sum(column, part), folded(of), "{of}");
        assert_eq!(sum(column, part), number(&sites["total"][column][part]), "{of}");
    }
    let report: Value = serde_json::from_str(&answer(["replay", "--format", "json", stacked()])).unwrap();
    let measured = &report["outcome"]["measured"];
    assert_eq!(sum("peak", "bytes"), number(&measured["peaks"]["live"]["bytes"]));
    assert_eq!(sum("end", "bytes"), number(&measured["live"]));
    assert_eq!(sum("allocated", "blocks"), number(&sites["counted"]["allocations"]));
    let pinned: f64 = rows.iter().map(|row| number(&row["pinned"])).sum();
    let blamed = report["stacks"].as_array().unwrap().iter().find(|blamed| blamed["what"] == "pinned");
    let expected = number(&blamed.unwrap()["total"]);
    assert!((pinned - expected).abs() <= expected * 1e-9, "{pinned} {expected}");
}

#[test]
fn ranges_add_up_to_the_whole() {
    let bytes = |range: &str| {
        let sites = json(&["--range", range, "--top", "1000000"]);
        let rows = sites["sites"].as_array().unwrap();
        let sum: f64 = rows.iter().map(|row| number(&row["allocated"]["bytes"])).sum();
        let folded = answer(["flame", "--format", "folded", "--range", range, stacked()]);
        let lines = folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap());
        assert_eq!(sum, lines.sum::<f64>(), "{range}");
        sum
    };
    assert_eq!(bytes("..5000") + bytes("5000..9000") + bytes("9000.."), bytes(".."));
    let faults = |range: &str| {
        let folded = answer(["flame", "--format", "folded", "--of", "faults", "--range", range, stacked()]);
        folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum::<u64>()
    };
    assert_eq!(faults("..5000") + faults("5000.."), faults(".."));
    assert!(faults("..5000") > 0);
}

#[test]
fn rows_are_sorted_chosen_and_filtered() {
    let sites = json(&["--sort", "peak", "--top", "3"]);
    let rows = sites["sites"].as_array().unwrap();
    let peaks: Vec<f64> = rows.iter().map(|row| number(&row["peak"]["bytes"])).collect();
    assert!(rows.len() == 3 && peaks.is_sorted_by(|a, b| a >= b), "{peaks:?}");
    assert!(number(&sites["stacks"]) > 3.0 && number(&sites["chosen"]) == 3.0);
    let by_main = json(&["--filter", "MAIN"]);
    let has_main = |row: &Value| {
        let frames = row["frames"].as_array().unwrap();
        frames.iter().any(|frame| frame["function"].as_str().unwrap().contains("main"))
    };
    assert!(by_main["sites"].as_array().unwrap().iter().all(has_main));
    assert_eq!(json(&["--filter", "nobody is called so"])["chosen"], 0);
}

#[test]
fn people_and_spreadsheets_get_the_same_rows() {
    let table = answer(["sites", "--top", "4", stacked()]);
    assert!(table.starts_with("Allocation sites\n") && table.contains("all ") && table.contains("main"));
    let csv = answer(["sites", "--top", "4", "--format", "csv", stacked()]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 5, "{csv}");
    assert!(lines[0].starts_with("allocations,bytes,peak,end,temporary,mean_size,"), "{csv}");
    assert!(lines[0].ends_with(",stack") && lines[1].ends_with(";main"), "{csv}");
}

#[test]
fn what_is_not_there_is_said() {
    let without = said(&mut malloscope(["sites", trace()]));
    assert!(without.code == Some(1) && without.err.contains("--stacks all"), "{}", without.err);
    let unreplayed = said(&mut malloscope(["sites", "--sort", "pinned", stacked()]));
    assert!(unreplayed.code == Some(1) && unreplayed.err.contains("--replay"), "{}", unreplayed.err);
}

#[test]
fn single_allocations_are_listed_and_all_are_counted() {
    let list = |arguments: &[&str]| {
        let fixed = ["allocations", "--format", "json"];
        let answer = answer(fixed.iter().chain(arguments).chain([&stacked()]));
        serde_json::from_str::<Value>(&answer).unwrap()
    };
    let all = list(&["--top", "5"]);
    let sites = json(&[]);
    assert_eq!(all["matching"], sites["counted"]["allocations"]);
    assert_eq!(all["matching_bytes"], sites["counted"]["bytes"]);
    let sizes: Vec<f64> =
        all["allocations"].as_array().unwrap().iter().map(|row| number(&row["request"])).collect();
    assert!(sizes.len() == 5 && sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    assert!(all["allocations"][0]["frames"].as_array().unwrap().iter().any(|frame| frame == "main"));
    let live = list(&["--live", "--top", "1000000"]);
    assert_eq!(live["matching_bytes"], sites["end"]["live_bytes"]);
    assert!(live["allocations"].as_array().unwrap().iter().all(|row| row["freed"].is_null()));
    let table = answer(["allocations", "--sort", "lifetime", "--top", "3", trace()]);
    assert!(table.starts_with("Allocations\n") && !table.contains("stack,"), "{table}");
    let csv = answer(["allocations", "--format", "csv", "--top", "3", stacked()]);
    assert!(csv.lines().count() == 4 && csv.starts_with("size,chunk,address,thread,"), "{csv}");
}
