//! The Firefox Profiler's files: tables whose columns are as long as they say, numbers that refer to
//! something, and frees that find their allocations.

use super::trace;
use super::{Format, json};
use serde_json::Value;
use std::collections::BTreeMap;

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("{name} is a list"))
}

/// Checks that a table has these columns, and that all of them are as long as it says.
fn check_table(table: &Value, columns: &[&str]) -> usize {
    let length = usize::try_from(table["length"].as_u64().unwrap()).unwrap();
    for column in columns {
        assert_eq!(list(table, column).len(), length, "{column}");
    }
    let others = table.as_object().unwrap().keys().map(String::as_str);
    let others = others.filter(|name| !["length", "weightType", "weight"].contains(name));
    let mut expected: Vec<&str> = columns.iter().copied().filter(|name| *name != "weight").collect();
    expected.sort_unstable();
    assert_eq!(others.collect::<Vec<_>>(), expected);
    length
}

/// Checks that every number of a column is below a limit. Null and -1 stand for none.
fn check_below(table: &Value, column: &str, limit: usize) {
    for value in list(table, column) {
        let is_number = value.as_u64().is_some_and(|number| number < limit as u64);
        assert!(is_number || value.is_null() || *value == -1, "{column}: {value}");
    }
}

fn check_shared(file: &Value) -> usize {
    let shared = &file["shared"];
    let strings = list(shared, "stringArray");
    assert!(strings.iter().all(Value::is_string));
    let stacks = check_table(&shared["stackTable"], &["frame", "prefixOffset"]);
    for (row, offset) in (0..).zip(list(&shared["stackTable"], "prefixOffset")) {
        assert!(offset.as_u64().unwrap() <= row, "a stack comes after its caller's");
    }
    let frame_columns = [
        "address",
        "category",
        "column",
        "func",
        "inlineDepth",
        "innerWindowID",
        "line",
        "nativeSymbol",
        "originalLocation",
        "subcategory",
    ];
    let frames = check_table(&shared["frameTable"], &frame_columns);
    check_below(&shared["stackTable"], "frame", frames);
    let func_columns = [
        "columnNumber",
        "isJS",
        "lineNumber",
        "name",
        "originalLocation",
        "relevantForJS",
        "resource",
        "source",
    ];
    let functions = check_table(&shared["funcTable"], &func_columns);
    check_below(&shared["frameTable"], "func", functions);
    check_below(&shared["frameTable"], "category", list(&file["meta"], "categories").len());
    check_below(&shared["funcTable"], "name", strings.len());
    let resources = check_table(&shared["resourceTable"], &["host", "lib", "name", "type"]);
    check_below(&shared["funcTable"], "resource", resources);
    check_below(&shared["resourceTable"], "lib", list(file, "libs").len());
    check_below(&shared["resourceTable"], "name", strings.len());
    let source_columns = ["content", "filename", "id", "sourceMapURL", "startColumn", "startLine"];
    let sources = check_table(&shared["sources"], &source_columns);
    assert_eq!(sources, 1, "app.c");
    check_below(&shared["funcTable"], "source", sources);
    check_table(&shared["nativeSymbols"], &["address", "functionSize", "libIndex", "name"]);
    check_table(&shared["sourceLocationTable"], &["column", "line", "source"]);
    stacks
}

#[test]
fn every_allocation_is_in_the_profile_and_every_free_finds_its_own() {
    let (trace, truth) = trace::random(5000, trace::ALL);
    let file = json(&trace, Format::Firefox);
    assert_eq!(file["meta"]["preprocessedProfileVersion"], 66);
    assert_eq!(file["meta"]["startTime"], 1_700_000_000_000.0);
    assert!(file["meta"]["markerSchema"].is_array() && file["meta"]["product"] == "app");
    let stacks = check_shared(&file);
    for library in list(&file, "libs") {
        assert_eq!(library["breakpadId"], "24180C003C30544860 6C7884909CA8B40".replace(' ', ""));
        assert_eq!(library["codeId"], "000c1824303c4854606c7884909ca8b4c0ccd8e4");
    }
    let (mut allocated, mut freed, mut rows) = (0, 0, 0);
    let mut foreign = 0;
    let threads = list(&file, "threads");
    assert_eq!(threads.len(), 3);
    for thread in threads {
        assert!(thread["pid"] == "4242" && thread["tid"].is_string() && thread["name"].is_string());
        let table = &thread["nativeAllocations"];
        let columns = ["memoryAddress", "stack", "threadId", "time", "weight"];
        let length = check_table(table, &columns);
        assert_eq!(table["weightType"], "bytes");
        check_below(table, "stack", stacks);
        check_table(&thread["markers"], &["category", "data", "endTime", "name", "phase", "startTime"]);
        check_table(&thread["samples"], &["stack", "timeDeltas"]);
        let mut live = BTreeMap::new();
        let mut before = 0.0;
        for row in 0..length {
            let [address, stack, by, time, weight] = columns.map(|column| &table[column][row]);
            assert!(time.as_f64().unwrap() >= before);
            before = time.as_f64().unwrap();
            let (address, weight) = (address.as_u64().unwrap(), weight.as_i64().unwrap());
            foreign += usize::from(thread["tid"].as_str().unwrap().parse() != Ok(by.as_u64().unwrap()));
            if weight > 0 {
                allocated += weight;
                assert_eq!(live.insert(address, (weight, stack)), None, "the address is taken");
            } else {
                freed -= weight;
                assert_eq!(live.remove(&address), Some((-weight, stack)), "nothing lives there");
            }
        }
        rows += length;
        assert!(before < file["meta"]["profilingEndTime"].as_f64().unwrap(), "the end is not shown");
    }
    truth.check("allocated", u64::try_from(allocated).unwrap(), |site| site.allocated.1);
    truth.check("live", u64::try_from(allocated - freed).unwrap(), |site| site.live.1);
    let frees = truth.sum(|site| site.allocated.0 - site.live.0);
    assert_eq!(rows as f64, truth.sum(|site| site.allocated.0) + frees);
    assert!(foreign > 100, "threads free what others allocated");
}

#[test]
fn the_memory_track_ends_at_what_is_live() {
    let (trace, truth) = trace::random(5000, trace::SAMPLED);
    let file = json(&trace, Format::Firefox);
    let [counter] = list(&file, "counters").as_slice() else { panic!("one counter") };
    assert!(counter["category"] == "Memory" && counter["pid"] == "4242" && counter["mainThreadIndex"] == 0);
    check_table(&counter["samples"], &["count", "number", "timeDeltas"]);
    let mut level = 0;
    let levels = list(&counter["samples"], "count").iter().map(|count| {
        level += count.as_i64().unwrap();
        level
    });
    assert_eq!(levels.max(), Some(i64::try_from(truth.peak).unwrap()));
    assert_eq!(level, i64::try_from(truth.live).unwrap(), "calls without a stack are in it");
    let time: f64 = list(&counter["samples"], "timeDeltas").iter().map(|delta| delta.as_f64().unwrap()).sum();
    assert!((99.0..=100.0).contains(&time), "{time} ms");
}
