//! A trace held against another.

use super::run::{imported, malloscope, said};

/// A trace of a script: so many allocations of 100 KB that live at one time.
fn trace(name: &str, allocations: usize) -> String {
    let calls = (0..allocations).map(|slot| format!("0 malloc {slot} 100000\n"));
    imported(name, &calls.collect::<String>())
}

#[test]
fn what_grew_more_than_it_may_fails_and_says_why() {
    let (old, new) = (trace("gate-old", 100), trace("gate-new", 110));
    let check = |arguments: &[&str]| said(malloscope(["check", &new, "--against", &old]).args(arguments));
    let holds = check(&["--max-rss", "+15%", "--max-faults", "+12%", "--max", "mmap=+0%"]);
    assert_eq!(holds.code, Some(0), "{}{}", holds.out, holds.err);
    assert!(holds.out.contains("Every number is within its limit"), "{}", holds.out);
    let fails = check(&["--max-rss", "+5%", "--max-faults", "+15%"]);
    assert_eq!(fails.code, Some(1), "{}", fails.out);
    let reason = "resident, peak is 10.5 MiB, which is";
    assert!(fails.out.contains(reason) && fails.out.contains("more than +5% allows"), "{}", fails.out);
    assert!(!fails.out.contains("minor faults is"), "{}", fails.out);
    // The other way round everything has shrunk.
    let shrunk = said(malloscope(["check", &old, "--against", &new]).args(["--max-rss", "-5%"]));
    assert_eq!(shrunk.code, Some(0), "{}", shrunk.out);
    let absolute = check(&["--max-rss", "1M"]);
    assert_eq!(absolute.code, Some(1), "{}", absolute.out);
}

#[test]
fn programs_read_the_same() {
    let (old, new) = (trace("gate-old-2", 10), trace("gate-new-2", 30));
    let mut command = malloscope(["check", &new, "--against", &old, "--max-rss", "+1M", "--format", "json"]);
    let json = said(&mut command);
    assert_eq!(json.code, Some(1));
    let told: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let checked = &told["checks"][0];
    assert_eq!(told["schema"], "malloscope.check");
    assert_eq!(checked["name"], "resident, peak");
    assert_eq!(checked["holds"], false);
    let number = |name: &str| checked[name].as_u64().unwrap();
    assert_eq!(number("most"), number("before") + (1 << 20));
    assert!(number("now") > number("most"));
    let csv =
        said(&mut malloscope(["check", &new, "--against", &old, "--max-rss", "+1M", "--format", "csv"]));
    assert_eq!(csv.out.lines().count(), 2, "{}", csv.out);
}

#[test]
fn what_is_no_limit_is_told() {
    let trace = trace("gate-alone", 1);
    for (arguments, why) in [
        (vec![], "there is no limit"),
        (vec!["--max-rss", "5%"], "say +5% or +10M"),
        (vec!["--max", "nonsense=+5%"], "minor faults"),
        (vec!["--max", "mmap"], "NAME=LIMIT"),
    ] {
        let said = said(malloscope(["check", &trace, "--against", &trace]).args(&arguments));
        assert!(said.code != Some(0), "{arguments:?}");
        assert!(said.err.contains(why), "{arguments:?}: {}", said.err);
    }
}
