//! The heap after one record, and calls explained: pictures, tables, and what adds up.

use super::run::{answer, imported, malloscope, said, trace};
use serde_json::Value;

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&answer(arguments)).expect("the answer is JSON")
}

fn sum(rows: &Value, of: impl Fn(&Value) -> u64) -> u64 {
    rows.as_array().unwrap().iter().map(of).sum()
}

#[test]
fn a_heap_is_the_same_in_every_format_and_adds_up() {
    let heap = json(&["heap", trace(), "--at", "2000", "--format", "json"]);
    assert_eq!((&heap["schema"], &heap["version"]), (&"malloscope.heap".into(), &1.into()));
    assert_eq!(heap["moment"]["records"], 2001);
    let size = |piece: &Value| piece["size"].as_u64().unwrap();
    let all = sum(&heap["pieces"], size);
    let regions =
        sum(&heap["regions"], |region| region["end"].as_u64().unwrap() - region["start"].as_u64().unwrap());
    assert_eq!((all, all), (regions, heap["moment"]["system_bytes"].as_u64().unwrap()));
    let live = |piece: &Value| if piece["state"] == "live" { size(piece) } else { 0 };
    assert_eq!(heap["totals"]["live"]["bytes"], sum(&heap["pieces"], live));
    let csv = answer(["heap", trace(), "--at", "2000", "--format", "csv"]);
    let mut lines = csv.lines();
    let columns = lines.next().unwrap().split(',').count();
    let sizes = lines.map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), columns, "{line}");
        cells[3].parse::<u64>().unwrap()
    });
    assert_eq!(sizes.sum::<u64>(), all);
    let picture = answer(["heap", trace(), "--at", "2000"]);
    assert!(picture.contains("After record 2,000") && picture.contains("  main arena 0x"), "{picture}");
    let markdown = answer(["heap", trace(), "--at", "2000", "--format", "markdown"]);
    assert!(markdown.contains("| live |"), "{markdown}");
}

#[test]
fn the_end_is_where_a_heap_is_shown_that_is_asked_for_later() {
    let script = imported("end", "0 malloc 0 100\n0 malloc 1 200\n0 free 0\n");
    let script = script.as_str();
    let end = said(&mut malloscope(["heap", script]));
    assert!(end.out.starts_with("After record 2, by thread 0: free(0x"), "{}", end.out);
    let later = said(&mut malloscope(["heap", script, "--at", "77"]));
    assert_eq!(later.out, end.out);
    assert!(later.err.contains("the trace has 3 records"), "{}", later.err);
    let real = said(&mut malloscope(["heap", script, "--memory", "real"]));
    assert!(real.code == Some(1) && real.err.contains("leave out `--memory real`"), "{}", real.err);
}

#[test]
fn calls_are_explained_one_by_one() {
    let script =
        imported("explained", "0 malloc 0 100\n0 free 0\n0 malloc 1 100\n0 malloc 2 500000\n0 free 2\n");
    let script = script.as_str();
    let told = answer(["explain", script, "--at", "1", "--count", "2"]);
    assert!(
        told.starts_with("1 t0 free(0x")
            && told.contains("goes to tcache bin 5 (0x70)\n2 t0 malloc(100) = 0x"),
        "{told}"
    );
    assert!(
        told.ends_with("000\n") || told.contains("served from tcache bin 5 (0x70): a chunk of 0x70"),
        "{told}"
    );
    let steps = json(&["explain", script, "--next", "map", "--count", "9", "--format", "json"]);
    let steps = steps["steps"].as_array().unwrap();
    assert_eq!(
        (steps.len(), &steps[0]["record"], &steps[0]["call"]),
        (1, &3.into(), &"malloc(500000)".into())
    );
    assert_eq!(answer(["explain", script, "--at", "5"]), "");
}
