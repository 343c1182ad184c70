//! `rerun`: the calls of a trace, made to other mallocs.

use super::run::{answer, compiled, imported, malloscope, said, trace};
use serde_json::Value;

/// What came of making the calls of a trace to these libraries' mallocs.
fn reran(trace: &str, libraries: &[&str]) -> Value {
    let preloads = libraries.iter().flat_map(|library| ["--preload", library]);
    let options = ["rerun", "--times=1", "--format=json", trace];
    serde_json::from_str(&answer(options.into_iter().chain(preloads))).unwrap()
}

/// A number of the malloc in this place.
fn number(reran: &Value, place: usize, name: &str) -> u64 {
    reran["mallocs"][place]["median"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {reran:#}"))
}

#[test]
fn the_malloc_that_is_called_is_the_one_that_was_asked_for() {
    let library = compiled("paged.c", "paged.so", &["-shared", "-fPIC", "-fno-builtin"]);
    let library = library.display().to_string();
    // A thousand allocations of which half are given back, and a page each of which one is kept.
    let script: String = (0..1000).map(|n| format!("0 malloc {n} 100\n0 free {}\n", n / 2 * 2)).collect();
    let script = imported("paged", &script);
    let reran = reran(&script, &[&library]);
    assert_eq!(reran["mallocs"][1]["name"], "paged.so".trim_end_matches(".so"));
    assert_eq!(reran["mallocs"][1]["median"]["file"], library.as_str());
    for place in [0, 1] {
        assert_eq!(number(&reran, place, "calls"), 1500, "{reran:#}");
        assert_eq!(number(&reran, place, "refused"), 0);
        assert_eq!(number(&reran, place, "threads"), 1);
    }
    let faults = [0, 1].map(|place| number(&reran, place, "faults"));
    // One for the head and one for what the program writes.
    assert!(faults[1] >= 2000 && faults[1] < 2200, "{faults:?}");
    assert!(faults[0] < 500, "{faults:?}");
    let peaks = [0, 1].map(|place| number(&reran, place, "resident_peak"));
    assert!(peaks[1] > 7_000_000 && peaks[1] < 10_000_000, "{peaks:?}");
    assert!(peaks[0] < 2_000_000, "{peaks:?}");
}

#[test]
fn another_malloc_is_set_by_variables_of_its_own() {
    let library = compiled("paged.c", "set.so", &["-shared", "-fPIC", "-fno-builtin"]).display().to_string();
    let script: String = (0..1000).map(|n| format!("0 malloc {n} 100\n")).collect();
    let script = imported("set", &script);
    let mut command = malloscope(["rerun", "--times=1", "--format=json", "--preload", &library, &script]);
    // glibc of this machine is called as the program was recorded, whatever is set here.
    command.env("MALLOC_CONF", "twice").env("MALLOC_TOP_PAD_", "100000000");
    let made = said(&mut command);
    let reran: Value = serde_json::from_str(&made.out).unwrap_or_else(|_| panic!("{}", made.err));
    let faults = [0, 1].map(|place| number(&reran, place, "faults"));
    assert!(faults[1] >= 3000 && faults[1] < 3200 && faults[0] < 500, "{faults:?}");
}

#[test]
fn the_machines_own_malloc_stands_beside_what_is_predicted_of_it() {
    let reran = reran(trace(), &[]);
    assert!(number(&reran, 0, "calls") > 100, "{reran:#}");
    assert!(reran["mallocs"][0]["median"]["file"].as_str().unwrap().contains("libc"), "{reran:#}");
    assert!(reran["predicted"]["faults"].as_u64().unwrap() > 0, "{reran:#}");
    let table = answer(["rerun", "--times=1", trace()]);
    assert!(table.contains("this machine's glibc") && table.contains(", replayed"), "{table}");
}

#[test]
fn a_library_without_a_malloc_is_told_from_one_that_has_one() {
    let library = compiled("moves.c", "moves.so", &["-shared", "-fPIC"]).display().to_string();
    let failed = said(&mut malloscope(["rerun", "--times=1", "--preload", &library, trace()]));
    assert_eq!(failed.code, Some(1));
    assert!(failed.err.contains("moves was not loaded: malloc was found in"), "{}", failed.err);
    let failed = said(&mut malloscope(["rerun", "--libc", "/", trace()]));
    assert_eq!(failed.code, Some(1));
    assert!(failed.err.contains("there is no loader"), "{}", failed.err);
}

#[test]
fn threads_run_freely_beside_the_recorded_order() {
    // Two threads hand half of what they allocate to each other, and reallocate it.
    let script: String = (0..2000)
        .map(|n| {
            let (one, other) = (n % 2 + 1, (n + 1) % 2 + 1);
            format!("{one} malloc {n} {}\n{other} realloc {n} 400\n{one} free {n}\n", 20 + n % 300)
        })
        .collect();
    let script = imported("handed", &format!("0 spawn 1\n0 spawn 2\n{script}"));
    let options = ["rerun", "--times=1", "--free-running", "--format=json", &script];
    let reran: Value = serde_json::from_str(&answer(options)).unwrap();
    for (place, order) in ["recorded", "free"].into_iter().enumerate() {
        let median = &reran["mallocs"][place]["median"];
        assert_eq!(median["order"], order);
        assert_eq!((number(&reran, place, "calls"), number(&reran, place, "refused")), (6000, 0));
        let kinds = median["kinds"].as_array().unwrap();
        let kinds: Vec<_> =
            kinds.iter().map(|kind| (kind["call"].as_str().unwrap(), &kind["calls"])).collect();
        assert_eq!(kinds, [("malloc", &2000.into()), ("realloc", &2000.into()), ("free", &2000.into())]);
        assert!(
            median["kinds"][0]["nanos"]["longest"].as_u64() >= median["kinds"][0]["nanos"]["p50"].as_u64()
        );
    }
    let table = answer(["rerun", "--times=1", "--free-running", &script]);
    assert!(table.contains("this machine's glibc, freely") && table.contains("realloc"), "{table}");
    assert!(!answer(["rerun", "--times=1", &script]).contains("freely"));
}
