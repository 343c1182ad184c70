//! The single questions: what pins memory, when to trim, storms, thresholds, arenas, an upgrade; and advice.

use super::run::{answer, imported, malloscope, said, trace};
use serde_json::Value;
use std::fmt::Write as _;

/// The answer as JSON, which names its schema.
fn json(arguments: &[&str], schema: &str) -> Value {
    let document: Value =
        serde_json::from_str(&answer(arguments.iter().chain(&["--format", "json"]))).expect("it is JSON");
    assert_eq!(document["schema"], schema, "{arguments:?}");
    document
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is a number"))
}

/// Asks for blocks of 4000 bytes and for two more above them, and frees the blocks.
fn pinned_by_two(frees_them: bool) -> String {
    let mut script = String::new();
    for block in 1..=1000 {
        writeln!(script, "0 malloc {block} 4000").unwrap();
    }
    script.push_str("0 malloc 2001 2000\n0 malloc 2002 2000\n");
    for block in 1..=1000 {
        writeln!(script, "0 free {block}").unwrap();
    }
    if frees_them {
        script.push_str("0 free 2002\n0 free 2001\n");
    }
    imported(if frees_them { "unpinned" } else { "pinned_by_two" }, &script)
}

#[test]
fn what_pins_is_named_and_what_it_keeps_is_what_goes_back_without_it() {
    // With a static threshold glibc trims as soon as the top chunk is large enough.
    let settings = ["--set", "tcache_count=0", "--set", "trim_threshold=128K"];
    let pins = json(&[&["pins", &pinned_by_two(false)], &settings[..]].concat(), "malloscope.pins");
    let region = &pins["regions"][0];
    let step = &region["steps"][0];
    assert_eq!((number(&step["chunks"]), number(&step["pins"][0]["request"])), (2, 2000), "{pins}");
    assert!(number(&region["below"]) > 1000 * 4000, "{pins}");
    // What glibc's malloc gives back when the two are freed, less what it would have anyway.
    let report = json(&[&["replay", &pinned_by_two(true)], &settings[..]].concat(), "malloscope.report");
    assert_eq!(step["returns"], report["outcome"]["kernel"]["break_trimmed_bytes"]);
    let page = answer([&["pins", &pinned_by_two(false)], &settings[..]].concat());
    assert!(page.contains("2,000 bytes of record 1,001") && page.contains("--stacks all"), "{page}");
    assert!(answer(["pins", &pinned_by_two(false), "--at", "500"]).contains("Nothing is pinned"));
}

#[test]
fn a_trim_plan_has_the_moment_that_gives_back_most() {
    let plan = json(&["trim-plan", &pinned_by_two(false)], "malloscope.comparison");
    let runs = plan["runs"].as_array().unwrap();
    let best = runs.iter().map(|run| number(&run["outcome"]["trims"]["returned"])).max().unwrap();
    assert!(best > 3_500_000, "{best}");
    let page = answer(["trim-plan", &pinned_by_two(false)]);
    assert!(page.contains("after:2") && page.contains("gives back"), "{page}");
}

#[test]
fn a_storm_is_found_where_it_is() {
    let mut script = String::new();
    for calm in 1..=2000 {
        writeln!(script, "0 malloc {calm} 100").unwrap();
    }
    for _ in 0..1000 {
        script.push_str("0 malloc 5001 120000\n0 malloc 5002 120000\n0 malloc 5003 120000\n");
        script.push_str("0 free 5001\n0 free 5002\n0 free 5003\n");
    }
    let trace = imported("storm", &script);
    let storms = json(&["storms", &trace], "malloscope.storms");
    let all = storms["storms"].as_array().unwrap();
    assert_eq!(all.len(), 1, "{storms}");
    let (from, to) = (number(&all[0]["from"]), number(&all[0]["to"]));
    assert!((1500..2200).contains(&from) && to == 8000, "{storms}");
    assert!(number(&all[0]["up"]) > 900 && number(&all[0]["churned"]) > 200 << 20, "{storms}");
    assert!(answer(["storms", &trace]).contains("1 − |Σ moves|"));
    // A higher trim threshold ends it.
    assert!(answer(["storms", &trace, "--set", "trim_threshold=1M"]).contains("No storm"));
}

#[test]
fn thresholds_are_told_move_by_move() {
    let trace = imported("moves", "0 malloc 1 200000\n0 malloc 2 300000\n0 free 1\n0 free 2\n");
    let told = json(&["thresholds", &trace], "malloscope.thresholds");
    let moves: Vec<(u64, u64)> = told["moves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (number(&one["record"]), number(&one["to"])))
        .collect();
    // The sizes of the mappings, less nothing: 200,016 and 300,016 in whole pages.
    assert_eq!(moves, [(2, 200_704), (3, 303_104)]);
    assert!(
        answer(["thresholds", &trace]).contains("303,104")
            || answer(["thresholds", &trace]).contains("296 KiB")
    );
    let fixed = answer(["thresholds", &trace, "--set", "top_pad=128K"]);
    assert!(fixed.contains("none moves") && fixed.contains("is the default, but"), "{fixed}");
}

#[test]
fn arenas_are_told_apart() {
    let trace = imported("two_arenas", "0 malloc 1 1000\n1 malloc 2 2000\n1 malloc 3 5000\n1 free 3\n");
    let told = json(&["arenas", &trace], "malloscope.arenas");
    let arenas = told["arenas"].as_object().unwrap();
    assert_eq!(arenas.len(), 2, "{told}");
    assert!(number(&arenas["1"]["live_bytes"]) >= 2000 && number(&arenas["0"]["live_chunks"]) == 1, "{told}");
    let one = json(&["arenas", &trace, "--set", "arena_max=1"], "malloscope.arenas");
    assert_eq!(one["arenas"].as_object().unwrap().len(), 1);
    assert!(answer(["arenas", &trace]).contains("Main arena"));
}

#[test]
fn an_upgrade_is_measured_against_the_release_it_is_from() {
    let comparison = json(&["upgrade", trace(), "2.31", "2.43"], "malloscope.comparison");
    let release = |run: usize| &comparison["runs"][run]["outcome"]["settings"]["release"];
    assert_eq!([release(0), release(1)], ["2.31", "2.43"]);
    assert_eq!(comparison["runs"][0]["name"], "glibc 2.31");
    assert!(answer(["upgrade", trace(), "2.31", "2.43"]).contains("mmap threshold, end"));
    assert_eq!(said(&mut malloscope(["upgrade", trace(), "2.31", "1.0"])).code, Some(1));
}

#[test]
fn advice_says_what_pins_and_only_what_the_release_reads() {
    // Large blocks below one that stays: they could have had mappings of their own.
    let blocks = |call: fn(u32) -> String| (1..=100).map(call).collect::<String>();
    let asked = blocks(|block| format!("0 malloc {block} 100000\n"));
    let script = format!("{asked}0 malloc 2001 2000\n{}", blocks(|block| format!("0 free {block}\n")));
    let trace = imported("advised", &script);
    let advice = json(&["advise", &trace, "--goal", "rss"], "malloscope.advice");
    // A trace without times is not said to have a storm.
    assert_eq!(advice["classes"], serde_json::json!(["pinned"]), "{}", advice["facts"]);
    assert_eq!(advice["facts"]["kernel_share"], Value::Null);
    let chosen = &advice["recommended"];
    assert!(chosen["weight"]["memory"].as_f64().unwrap() < 0.97, "{chosen}");
    // What is assumed of the program's writes lies within what could be.
    let band = &advice["bands"][1];
    let resident = &band["resident_peak"];
    assert!(number(&band["faults"][0]) < number(&band["faults"][1]), "{band}");
    assert!(number(&resident[0]) < number(&resident[1]), "{band}");
    // What it promises is what a replay with the pasted line says.
    let tunables = advice["paste"]["tunables"].as_str().unwrap();
    let report = json(&["replay", &trace, "--set", tunables], "malloscope.report");
    let promised = |name: &str| {
        let measures = chosen["measures"].as_array().unwrap();
        number(&measures.iter().find(|row| row[0] == name).unwrap()[1])
    };
    assert_eq!(promised("resident, end"), number(&report["outcome"]["measured"]["resident"]));
    assert_eq!(promised("minor faults"), number(&report["outcome"]["measured"]["faults"]));
    assert_eq!(report["outcome"]["settings"]["ignored"], Value::Array(Vec::new()));
    let page = answer(["advise", &trace, "--goal", "rss"]);
    for part in [
        "What to set",
        "What it buys",
        "Why",
        "Alternatives",
        "How sure",
        "GLIBC_TUNABLES=",
        "malloc_trim(0)",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn what_is_no_problem_of_mallocs_is_said_to_be_none() {
    let blocks: String = (1..=3000).map(|block| format!("0 malloc {block} 100000\n")).collect();
    let trace = imported("all_lives", &blocks);
    let advice = json(&["advise", &trace, "--goal", "rss"], "malloscope.advice");
    assert_eq!(advice["recommended"], Value::Null, "{}", advice["recommended"]);
    assert!(advice["verdict"].as_str().unwrap().len() > 20);
    assert!(answer(["advise", &trace, "--goal", "rss"]).contains("Nothing: of "));
    // Its memory lives; only the kernel's work could be too much, and that is measured on the machine.
    let classes = advice["classes"].as_array().unwrap();
    assert!(classes.iter().all(|class| class == "none" || class == "storm"), "{classes:?}");
}

#[test]
fn a_setting_that_saves_less_than_a_mebibyte_is_not_advised_and_a_trace_without_times_has_no_mean_over_time()
{
    // Chunks of all sizes that are cached, and then larger ones that cannot have their memory: `count` of them each.
    let script = |sizes: u32, larger: u32| {
        let small: Vec<u32> = (0..sizes * 7).map(|n| 24 + n / 7 * 16 % 1008).collect();
        let first = small.len();
        let made: String =
            small.iter().enumerate().map(|(n, size)| format!("0 malloc {n} {size}\n")).collect();
        let freed: String = (0..first).map(|n| format!("0 free {n}\n")).collect();
        let then = first..first + usize::try_from(larger).unwrap();
        let larger: String = then.clone().map(|n| format!("0 malloc {n} 2000\n")).collect();
        format!("{made}{freed}{larger}{}", then.map(|n| format!("0 free {n}\n")).collect::<String>())
    };
    let small = imported("small", &script(63, 120));
    let page = answer(["advise", &small, "--goal", "rss"]);
    assert!(page.contains("which is not worth one."), "{page}");
    let advice = json(&["advise", &small, "--goal", "rss"], "malloscope.advice");
    assert_eq!(advice["recommended"], Value::Null, "{}", advice["recommended"]);
    let runs = advice["runs"].as_array().unwrap();
    assert!(runs.iter().any(|run| run["weight"]["memory"].as_f64().unwrap() < 0.7), "{runs:?}");
    // The same of ten mebibytes, of a program that goes on.
    let blocks = |call: fn(u32) -> String| (1..=100).map(call).collect::<String>();
    let asked = blocks(|block| format!("0 malloc {block} 100000\n"));
    let large = format!("{asked}0 malloc 2001 2000\n{}", blocks(|block| format!("0 free {block}\n")));
    let page = answer(["advise", &imported("large", &large), "--goal", "rss"]);
    assert!(page.contains("resident, mean ") && page.contains("and over the calls"), "{page}");
    assert!(!page.contains("resident, mean over time"), "{page}");
}

#[test]
fn advice_over_releases_shows_each_and_advises_none() {
    let without = json(&["advise", trace(), "--goal", "p99"], "malloscope.advice");
    let with = json(&["advise", trace(), "--goal", "p99", "--releases"], "malloscope.advice");
    let page = answer(["advise", trace(), "--goal", "p99", "--releases"]);
    let (_, releases) = page.split_once("Other releases").unwrap();
    for release in ["2.31", "2.43"] {
        assert!(releases.contains(&format!("glibc {release} ")), "{page}");
        let run = format!("glibc {release}");
        let named =
            |advice: &Value| advice["runs"].as_array().unwrap().iter().any(|row| row["name"] == run.as_str());
        assert_eq!((named(&without), named(&with)), (false, true), "{release}");
    }
    // It is no setting, so it is not what is advised.
    assert_eq!(without["recommended"].is_null(), with["recommended"].is_null());
    assert!(
        !with["recommended"]["name"].as_str().unwrap_or_default().starts_with("glibc"),
        "{}",
        with["recommended"]
    );
    assert!(!answer(["advise", trace(), "--goal", "p99"]).contains("Other releases"));
}

#[test]
fn advice_within_a_budget_says_what_was_not_tried() {
    let whole = json(&["advise", trace(), "--goal", "p99"], "malloscope.advice");
    let names = |advice: &Value, of: &str| -> Vec<String> {
        let name = |row: &Value| row["name"].as_str().or(row.as_str()).unwrap().to_owned();
        advice[of].as_array().unwrap().iter().map(name).collect()
    };
    assert_eq!(names(&whole, "untried"), [""; 0]);
    // What is not advised is not tried.
    assert!(names(&whole, "runs").iter().all(|name| !name.contains("hugetlb")), "{whole:#}");
    let some = json(&["advise", trace(), "--goal", "p99", "--budget", "8"], "malloscope.advice");
    let tried = names(&some, "runs");
    // The recorded settings come on top, and of everything that the usual runs change there is one before there is a second.
    assert!(tried.len() > 1 && tried.len() <= 9, "{tried:?}");
    assert_eq!(tried[0], "as recorded");
    let kind = |name: &String| name.split(' ').next().unwrap().to_owned();
    let mut kinds: Vec<String> = tried[1..7].iter().map(kind).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds.len(), 6, "{tried:?}");
    // What was run as without a budget came out the same.
    for row in some["runs"].as_array().unwrap() {
        if let Some(other) =
            whole["runs"].as_array().unwrap().iter().find(|other| other["name"] == row["name"])
        {
            assert_eq!(row["measures"], other["measures"]);
        }
    }
    let untried = names(&some, "untried");
    assert!(!untried.is_empty() && untried.iter().all(|name| !tried.contains(name)), "{untried:?}");
    let page = answer(["advise", trace(), "--goal", "p99", "--budget", "8"]);
    assert!(page.contains("The budget was spent on ") && page.contains(&untried[0]), "{page}");
    // No time at all is enough for the recorded settings alone.
    let nothing = json(&["advise", trace(), "--budget", "1us"], "malloscope.advice");
    assert_eq!(
        (names(&nothing, "runs"), nothing["recommended"].is_null()),
        (vec!["as recorded".to_owned()], true)
    );
    let refused = said(&mut malloscope(["advise", trace(), "--budget", "soon"]));
    assert!(
        refused.code == Some(2) && refused.err.contains("neither a number of runs nor a time"),
        "{}",
        refused.err
    );
}
