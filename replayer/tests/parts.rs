//! A run in parts: its slices and the flows of its requests and frees add up to its totals, and so do runs that
//! count only some records.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

#[path = "common/imported.rs"]
mod imported;

use imported::imported;
use malloscope_replayer::metrics::slices::SLICES;
use malloscope_replayer::outcome::{BinRow, Cost, Outcome};
use malloscope_replayer::range::Range;
use malloscope_replayer::run::{Job, run};
use malloscope_replayer::trial::Trial;
use malloscope_replayer::{blame::What, flows::FreeFlow};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

fn replayed(trace: &Path, trial: Trial, range: Option<(u64, u64)>) -> Outcome {
    let range = range.map(|(first, end)| Range::new(first, end).unwrap());
    run(&Job { range, compare: true, ..Job::of(trace, trial) }, &mut io::sink(), &mut |_| {}).unwrap()
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/samples").join(name)
}

/// The traces that are kept, with the settings of one replay each.
fn samples() -> impl Iterator<Item = (PathBuf, Trial)> {
    let set = |name: &str, value| Trial { settings: vec![(name.to_owned(), value)], ..Trial::default() };
    let release = |name: &str| Trial { release: Some(name.to_owned()), ..Trial::default() };
    [
        ("json.mscope", Trial::default()),
        ("leak.mscope", release("2.43")),
        ("mappings.mscope", set("mmap_threshold", 4096)),
        ("oscillation.mscope", release("2.23")),
        ("pinned.mscope", set("tcache_count", 0)),
        ("sqlite.mscope", Trial::default()),
        ("threads.mscope", Trial::default()),
        ("xz.mscope", set("mmap_max", 0)),
    ]
    .into_iter()
    .map(|(name, trial)| (sample(name), trial))
}

#[test]
fn slices_add_up_to_the_run() {
    for (trace, trial) in samples() {
        let outcome = replayed(&trace, trial, None);
        let slices = &outcome.slices;
        let sum = |values: &[u64]| values.iter().sum::<u64>();
        assert!(
            slices.ends.len() <= SLICES && slices.ends.len() as u64 >= outcome.records.min(SLICES as u64 / 2)
        );
        assert_eq!(slices.ends.last(), Some(&outcome.records));
        assert!(slices.ends.is_sorted() && slices.times.is_sorted());
        let asked: Vec<&BinRow> = outcome.bins.iter().filter(|row| row.requests > 0).collect();
        assert_eq!(slices.bins.len(), asked.len());
        for (over_time, row) in slices.bins.iter().zip(asked) {
            assert_eq!((&over_time.kind, over_time.number), (&row.kind, row.number));
            assert!(over_time.slices.iter().all(|&slice| slice < slices.ends.len()));
            assert!(over_time.slices.is_sorted_by(|a, b| a < b));
            let sums = (sum(&over_time.hits), sum(&over_time.misses), sum(&over_time.hit_bytes));
            assert_eq!(sums, (row.hits, row.misses, row.hit_bytes), "{row:?}");
        }
        let all = &slices.all;
        assert_eq!(sum(&all.calls), outcome.calls);
        assert_eq!(sum(&all.faults), outcome.measured.faults);
        let kernel = &outcome.kernel;
        assert_eq!(
            (sum(&all.break_grown), sum(&all.break_trimmed)),
            (kernel.break_grown, kernel.break_trimmed)
        );
        assert_eq!((sum(&all.mmap), sum(&all.munmap)), (kernel.mmap, kernel.munmap));
        let by_thread = slices.threads.iter().map(|thread| sum(&thread.calls));
        assert_eq!(by_thread.sum::<u64>(), outcome.calls);
        let at_the_end = slices.arenas.iter().map(|arena| arena.system.last().copied());
        assert!(at_the_end.eq(outcome.arenas.iter().map(|arena| Some(arena.system))));
        let series = &outcome.measured.series;
        assert_eq!(series.iter().map(|sample| sample.break_grown).sum::<u64>(), kernel.break_grown);
        assert_eq!(series.iter().map(|sample| sample.break_trimmed).sum::<u64>(), kernel.break_trimmed);
    }
}

#[test]
fn many_threads_are_counted_together() {
    let mut script = String::from("0 malloc 0 100\n");
    for thread in 1..100 {
        script.push_str(&format!("0 spawn {thread}\n{thread} malloc {thread} 100\n{thread} free {thread}\n"));
    }
    let outcome = replayed(imported(&script).path(), Trial::default(), None);
    let lanes: Vec<(Option<u32>, u64)> =
        outcome.slices.threads.iter().map(|lane| (lane.thread, lane.calls.iter().sum())).collect();
    assert_eq!(lanes.len(), 65);
    assert_eq!((lanes[0], lanes[63], lanes[64]), ((Some(0), 1), (Some(63), 2), (None, 2 * 36)));
}

#[test]
fn flows_add_up_to_what_was_served() {
    for (trace, trial) in samples() {
        let outcome = replayed(&trace, trial, None);
        let mut by_place: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for flow in &outcome.request_flows {
            let sum = by_place.entry(&flow.from).or_default();
            *sum = (sum.0 + flow.requests, sum.1 + flow.bytes);
        }
        for row in &outcome.served {
            let (requests, bytes) = by_place.get(row.from.as_str()).copied().unwrap_or_default();
            assert_eq!((requests, bytes), (row.requests, row.bytes), "{}", row.from);
        }
    }
}

/// Checks how many chunks of a script went where, and that as many were freed as the script frees.
fn check_frees(script: &str, trial: Trial, expected: &[(&str, u64)]) {
    let outcome = replayed(imported(script).path(), trial, None);
    let mut found: HashMap<&str, u64> = HashMap::new();
    for FreeFlow { into, frees, .. } in &outcome.free_flows {
        *found.entry(into.as_str()).or_default() += frees;
    }
    assert_eq!(found, expected.iter().copied().collect(), "{script}");
}

#[test]
fn every_free_is_counted_where_it_went() {
    let of = |release: &str| Trial { release: Some(release.to_owned()), ..Trial::default() };
    let uncached = |release: &str| Trial { settings: vec![("tcache_count".to_owned(), 0)], ..of(release) };
    let two = "0 malloc 0 SIZE\n0 malloc 1 24\n0 free 0\n";
    let sized = |size: &str| two.replace("SIZE", size);
    check_frees(&sized("24"), of("2.36"), &[("tcache", 1)]);
    check_frees(&sized("24"), uncached("2.36"), &[("fastbin", 1)]);
    check_frees(&sized("2000"), of("2.36"), &[("unsorted bin", 1)]);
    check_frees(&sized("200"), uncached("2.43"), &[("small bin", 1)]);
    check_frees(&sized("500000"), of("2.36"), &[("unmapped", 1)]);
    check_frees("0 malloc 0 2000\n0 free 0\n", of("2.36"), &[("top", 1)]);
    let trimming = "0 malloc 0 24\n0 malloc 1 120000\n0 malloc 2 120000\n0 free 1\n0 free 2\n";
    check_frees(trimming, of("2.36"), &[("unsorted bin", 1), ("top, then trimmed", 1)]);
    // What waits on a fastbin comes to rest when the large chunk is freed, and is not what is freed then.
    let consolidating = "0 malloc 0 24\n0 malloc 1 24\n0 malloc 2 100000\n0 free 0\n0 free 2\n";
    check_frees(consolidating, uncached("2.36"), &[("fastbin", 1), ("top", 1)]);
}

#[test]
fn a_reallocation_that_keeps_its_chunk_frees_nothing() {
    let moves = "0 malloc 0 24\n0 malloc 1 24\n0 realloc 0 1000\n";
    check_frees(moves, Trial::default(), &[("tcache", 1)]);
    let stays = "0 malloc 0 1000\n0 malloc 1 24\n0 realloc 0 990\n";
    check_frees(stays, Trial::default(), &[]);
    let shrinks = "0 malloc 0 1000\n0 malloc 1 24\n0 realloc 0 100\n";
    check_frees(shrinks, Trial::default(), &[]);
    let remaps = "0 malloc 0 500000\n0 realloc 0 900000\n";
    check_frees(remaps, Trial::default(), &[]);
}

#[test]
fn as_many_are_freed_as_do_not_live_on() {
    for (trace, trial) in samples() {
        let outcome = replayed(&trace, trial, None);
        let kept = ["realloc: stayed", "realloc: extended", "realloc: remapped"];
        let made = outcome.served.iter().filter(|row| !kept.contains(&row.from.as_str()));
        let made: u64 = made.map(|row| row.requests).sum();
        let freed: u64 = outcome.free_flows.iter().map(|flow| flow.frees).sum();
        assert!(freed <= made, "{freed} of {made}");
        let lives_on = outcome.measured.held > 0;
        assert_eq!(freed < made, lives_on, "{freed} of {made}, {} held", outcome.measured.held);
        let unmapped = outcome.free_flows.iter().filter(|flow| flow.into == "unmapped");
        let unmapped: u64 = unmapped.map(|flow| flow.frees).sum();
        let mapped = outcome.bins.iter().find(|row| row.kind == "mapped").map_or(0, |row| row.released);
        // A `realloc` that moves gives a mapping back without a word.
        assert!(unmapped >= mapped, "{unmapped} of {mapped}");
    }
}

/// Everything about a run that does not depend on how long it took.
fn without_cost(outcome: Outcome) -> Outcome {
    Outcome { cost: Cost::default(), range: None, ..outcome }
}

#[test]
fn a_range_of_all_is_the_whole() {
    for (trace, trial) in samples() {
        let whole = replayed(&trace, trial.clone(), None);
        for end in [whole.records, u64::MAX] {
            let range = replayed(&trace, trial.clone(), Some((0, end)));
            assert_eq!(range.range, Some(Range::new(0, whole.records).unwrap()));
            // The end of a run is known when the last record is replayed, not when the trace has been read.
            let range = Outcome { reordering: whole.reordering, threads: whole.threads, ..range };
            assert_eq!(without_cost(range), without_cost(whole.clone()));
        }
    }
}

/// Numbers of which those of adjacent ranges add up.
fn counted(outcome: &Outcome) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    let mut add = |name: String, value: u64| *all.entry(name).or_default() += value;
    add("records".into(), outcome.records);
    add("calls".into(), outcome.calls);
    add("requests".into(), outcome.requests);
    add("nanos".into(), outcome.traced_nanos);
    add("faults".into(), outcome.measured.faults);
    add("moved".into(), outcome.thresholds.moved);
    add("kernel".into(), outcome.kernel.total());
    add("grown".into(), outcome.kernel.break_grown_bytes);
    add("trimmed".into(), outcome.kernel.break_trimmed_bytes);
    for row in &outcome.bins {
        let name = format!("{} {:?}", row.kind, row.number);
        let counts = [row.hits, row.misses, row.hit_bytes, row.released, row.stashed, row.sorted];
        for (number, count) in counts.into_iter().enumerate().filter(|&(_, count)| count > 0) {
            add(format!("{name} {number}"), count);
        }
    }
    for row in &outcome.served {
        add(row.from.clone(), row.requests);
    }
    for flow in &outcome.request_flows {
        add(format!("{} {}", flow.from, flow.least_request), flow.bytes);
    }
    for flow in &outcome.free_flows {
        add(format!("{} {}", flow.into, flow.least_chunk), flow.frees);
    }
    if let Some(fidelity) = &outcome.fidelity {
        add("placements".into(), fidelity.placements);
        add("same".into(), fidelity.same_placements);
    }
    all
}

#[test]
fn adjacent_ranges_add_up() {
    for (trace, trial) in samples() {
        let whole = replayed(&trace, trial.clone(), None);
        let cuts = [0, 1, whole.records / 3, whole.records / 2, whole.records];
        let mut sum: BTreeMap<String, u64> = BTreeMap::new();
        let mut peaks = [0; 3];
        for cut in cuts.windows(2).filter(|cut| cut[0] < cut[1]) {
            let part = replayed(&trace, trial.clone(), Some((cut[0], cut[1])));
            assert_eq!(part.records, cut[1] - cut[0]);
            for (name, value) in counted(&part) {
                *sum.entry(name).or_default() += value;
            }
            let Outcome { measured, slices, .. } = &part;
            let here = [measured.peaks.live, measured.peaks.held, measured.peaks.program_break];
            for (peak, here) in peaks.iter_mut().zip(here) {
                assert!((cut[0]..cut[1]).contains(&here.record) || here.bytes == 0, "{here:?}");
                *peak = here.bytes.max(*peak);
            }
            assert_eq!((slices.first, slices.ends.last()), (cut[0], Some(&cut[1])));
            assert!(slices.ends.len() as u64 >= part.records.min(SLICES as u64 / 2));
            let records = measured.series.iter().map(|sample| sample.record);
            assert!(records.clone().all(|record| (cut[0]..=cut[1]).contains(&record)));
            let hits: u64 = slices.bins.iter().flat_map(|bin| &bin.hits).sum();
            assert_eq!(hits, part.bins.iter().map(|row| row.hits).sum::<u64>());
        }
        let expected = counted(&whole);
        sum.retain(|name, value| *value > 0 || expected.contains_key(name));
        assert_eq!(sum, expected);
        let all = &whole.measured.peaks;
        assert_eq!(peaks, [all.live, all.held, all.program_break].map(|peak| peak.bytes));
    }
}

#[test]
fn a_range_that_begins_behind_the_end_counts_nothing() {
    let outcome = replayed(&sample("xz.mscope"), Trial::default(), Some((1 << 40, 1 << 41)));
    assert_eq!((outcome.records, outcome.calls, outcome.requests), (0, 0, 0));
    assert!(outcome.bins.is_empty() && outcome.request_flows.is_empty());
    assert_eq!(outcome.range, Some(Range::new(1 << 40, 1 << 41).unwrap()));
}

/// What stacks are charged with by what they did, and so by what they did in each part.
const ADD_UP: [What; 6] =
    [What::Pinned, What::Held, What::Faults, What::BreakGrown, What::BreakTrimmed, What::Misses];

/// What each stack was charged with.
fn charges(trace: &Path, range: Option<(u64, u64)>) -> BTreeMap<(String, u32), f64> {
    let range = range.map(|(first, end)| Range::new(first, end).unwrap());
    let job = Job { range, blame: ADD_UP.to_vec(), ..Job::of(trace, Trial::default()) };
    let outcome = run(&job, &mut io::sink(), &mut |_| {}).unwrap();
    let mut charges = BTreeMap::new();
    for blame in &outcome.blame {
        for row in &blame.rows {
            *charges.entry((blame.what.name().to_owned(), row.stack.0)).or_default() += row.weight;
        }
    }
    charges
}

#[test]
fn what_stacks_are_charged_with_adds_up_too() {
    for name in ["json.mscope", "pinned.mscope", "threads.mscope"] {
        let trace = sample(name);
        let records = replayed(&trace, Trial::default(), None).records;
        let mut sum: BTreeMap<(String, u32), f64> = BTreeMap::new();
        for cut in [0, records / 4, records / 3, records].windows(2) {
            for (key, amount) in charges(&trace, Some((cut[0], cut[1]))) {
                *sum.entry(key).or_default() += amount;
            }
        }
        let whole = charges(&trace, None);
        assert!(whole.len() >= 4 && whole.keys().eq(sum.keys()), "{name}");
        for (key, amount) in whole {
            assert!((sum[&key] - amount).abs() <= amount * 1e-9, "{name} {key:?}: {} {amount}", sum[&key]);
        }
    }
}

#[test]
fn the_peak_of_a_range_is_made_up_of_its_stacks() {
    let trace = sample("pinned.mscope");
    let records = replayed(&trace, Trial::default(), None).records;
    for (first, end) in [(0, records / 3), (records / 2, records), (records - 1, records)] {
        let range = Range::new(first, end).ok();
        let job = Job { range, blame: vec![What::Peak], ..Job::of(&trace, Trial::default()) };
        let outcome = run(&job, &mut io::sink(), &mut |_| {}).unwrap();
        assert_eq!(outcome.blame[0].total, outcome.measured.peaks.live.bytes as f64);
    }
}
