//! Filters: what the flamegraph, the sites and the single allocations say of the same allocations is the same, and
//! the parts add up to the whole.

use super::flame::stacked;
use super::run::{answer, malloscope, said};
use serde_json::Value;

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&answer(arguments.iter().chain(&["--format", "json"]))).unwrap()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

/// How many allocations a filter lets through and the bytes they asked for, as `allocations` has it.
fn matching(filter: &[&str]) -> (u64, u64) {
    let listed = json(&[&["allocations", stacked(), "--top", "0"], filter].concat());
    assert_eq!(count(&listed["all"]), matching_of(&json(&["allocations", stacked(), "--top", "0"])).0);
    matching_of(&listed)
}

fn matching_of(listed: &Value) -> (u64, u64) {
    (count(&listed["matching"]), count(&listed["matching_bytes"]))
}

/// What the lines of a flamegraph add up to; there is none if nothing is left.
fn folded(of: &str, filter: &[&str]) -> u64 {
    let arguments = ["flame", "--format", "folded", "--of", of, stacked()];
    let said = said(malloscope(arguments).args(filter));
    if said.code != Some(0) {
        assert!(said.err.contains("there is nothing to draw"), "{}", said.err);
        return 0;
    }
    let weight = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap();
    said.out.lines().map(weight).sum()
}

#[test]
fn flamegraph_sites_and_allocations_agree_on_what_a_filter_lets_through() {
    let filters: [&[&str]; 10] = [
        &[],
        &["--thread", "0"],
        &["--size", "64..1K"],
        &["--lifetime", "..11"],
        &["--lifetime", "100..", "--size", "..=512"],
        &["--lifetime", "never-freed"],
        &["--place", "tcache,top"],
        &["--place", "split-of-a-larger-chunk", "--size", "1K.."],
        &["--freed-to", "tcache,unsorted-bin"],
        &["--freed-to", "top", "--lifetime", "100..", "--place", "tcache,top,unsorted-bin"],
    ];
    for filter in filters {
        let (allocations, bytes) = matching(filter);
        assert_eq!(folded("bytes", filter), bytes, "{filter:?}");
        let sites = json(&[&["sites", stacked(), "--top", "1000000"], filter].concat());
        let counted = &sites["counted"];
        assert_eq!((count(&counted["allocations"]), count(&counted["bytes"])), (allocations, bytes));
        let all = matching(&[]);
        let left_out = &sites["left_out"];
        assert_eq!(count(&left_out["allocations"]) + allocations, all.0, "{filter:?}");
        assert_eq!(count(&left_out["bytes"]) + bytes, all.1, "{filter:?}");
        let end = &sites["total"]["end"]["bytes"];
        assert_eq!(end.as_f64().unwrap(), folded("leaks", filter) as f64, "{filter:?}");
    }
}

#[test]
fn parts_add_up_to_the_whole_of_everything_that_allocations_cause() {
    let parts: [&[&str]; 3] =
        [&["..64", "64..1K", "1K.."], &["..11", "11..100", "100.."], &["0", "1", "2", "3"]];
    for of in ["bytes", "peak", "peak-contribution", "leaks", "temporary", "misses"] {
        let whole = folded(of, &[]);
        let sum = |option: &str, values: &[&str]| -> u64 {
            values.iter().map(|value| folded(of, &[option, value])).sum()
        };
        assert_eq!(sum("--size", parts[0]), whole, "{of}");
        assert_eq!(sum("--thread", parts[2]), whole, "{of}");
    }
    // What was not freed has lived for some records, but not for fewer than others.
    let freed = |lifetime: &str| matching(&["--lifetime", lifetime]).0;
    let live = freed("never-freed");
    assert!(live > 0);
    assert_eq!(freed("..11") + freed("11..100") + freed("100.."), matching(&[]).0 - short_lived_at_the_end());
}

/// Allocations made in the last records and never freed: alive for too few records to be in the last part.
fn short_lived_at_the_end() -> u64 {
    let listed = json(&["allocations", stacked(), "--live", "--top", "1000000"]);
    let lived = |one: &&Value| count(&one["lived"]["record"]) < 100;
    listed["allocations"].as_array().unwrap().iter().filter(lived).count() as u64
}

#[test]
fn every_place_has_served_as_many_as_the_report_says() {
    let report = json(&["replay", stacked()]);
    let mut sum = 0;
    for row in report["outcome"]["served"].as_array().unwrap() {
        let (from, requests) = (row["from"].as_str().unwrap(), count(&row["requests"]));
        assert_eq!(matching(&["--place", from]).0, requests, "{from}");
        sum += requests;
    }
    assert_eq!(sum, matching(&[]).0);
    let bins = report["outcome"]["bins"].as_array().unwrap();
    let mut hit = 0;
    for row in bins.iter().filter(|row| row["kind"] == "tcache" && count(&row["hits"]) > 0) {
        let bin = format!("tcache-{}", row["number"]);
        assert_eq!(matching(&["--place", &bin]).0, count(&row["hits"]), "{bin}");
        hit += 1;
    }
    assert!(hit > 1, "the program uses several");
    // Each is where the list of all says that it was.
    let listed =
        json(&["allocations", stacked(), "--top", "1000000", "--place", "tcache", "--sort", "place"]);
    for one in listed["allocations"].as_array().unwrap() {
        assert!(one["served_from"].as_str().unwrap().starts_with("tcache "), "{one}");
    }
}

#[test]
fn as_many_were_freed_to_every_place_as_the_report_says() {
    let report = json(&["replay", stacked()]);
    let flows = report["outcome"]["free_flows"].as_array().unwrap();
    let (mut sum, mut places) = (0, 0);
    for into in ["tcache", "fastbin", "small bin", "unsorted bin", "top", "top, then trimmed", "unmapped"] {
        let flowed =
            flows.iter().filter(|row| row["into"] == into).map(|row| count(&row["frees"])).sum::<u64>();
        let name = into.replace(',', "").replace(' ', "-");
        assert_eq!(matching(&["--freed-to", &name]).0, flowed, "{into}");
        sum += flowed;
        places += u64::from(flowed > 0);
    }
    assert!(places > 2, "the program frees to several");
    // What a realloc left where it was ends too, and goes nowhere.
    let kept = matching(&["--place", "realloc-stayed,realloc-extended,realloc-remapped"]).0;
    assert!(kept > 0);
    assert_eq!(sum + kept + matching(&["--lifetime", "never-freed"]).0, matching(&[]).0);
    // A replay charges stacks before anything is freed.
    let refused = said(&mut malloscope(["flame", "--of", "misses", "--freed-to", "top", stacked()]));
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("leave out --freed-to"), "{}", refused.err);
    let wrong = said(&mut malloscope(["sites", "--freed-to", "mapped", stacked()]));
    assert!(wrong.err.contains("top-then-trimmed, unmapped"), "{}", wrong.err);
}

#[test]
fn a_stack_is_chosen_by_its_number() {
    let sites = json(&["sites", stacked()]);
    let site = &sites["sites"][0];
    let stack = site["stack"].to_string();
    let (allocations, bytes) = matching(&["--stack", &stack]);
    assert_eq!(site["allocated"]["blocks"].as_f64().unwrap(), allocations as f64);
    assert_eq!(folded("bytes", &["--stack", &stack]), bytes);
    let listed = json(&["allocations", stacked(), "--stack", &stack]);
    assert_eq!(listed["allocations"][0]["stack"].to_string(), stack);
}

#[test]
fn a_total_says_what_it_is_of() {
    let tree = answer(["flame", "--format", "tree", "--thread", "0", "--lifetime", "..11", stacked()]);
    let title = tree.lines().next().unwrap().to_lowercase();
    assert!(title.contains(" of ") && title.contains("(thread 0, freed within 10 records)"), "{tree}");
    let listed = answer(["allocations", "--size", "64..1K", stacked()]);
    assert!(listed.contains("out of"), "{listed}");
    for wrong in [["--size", "9..9"], ["--lifetime", "soon"], ["--place", "nowhere"]] {
        let said = said(malloscope(["flame", stacked()]).args(wrong));
        assert_eq!(said.code, Some(2), "{}", said.err);
    }
}
