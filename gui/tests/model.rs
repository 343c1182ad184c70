//! What the window says about a replay, from reports with something the matter.

use malloscope_gui::model::Replayed;
use malloscope_replayer::outcome::Corrupted;
use malloscope_replayer::report::{Report, TraceInfo};
use malloscope_replayer::run::{Job, run};
use malloscope_replayer::trial::Trial;
use std::io;
use std::path::Path;

/// Something that is the matter with a report.
type Spoil = fn(&mut Report);

/// A report on the sample, after something has been done to it.
#[expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
fn replayed(spoil: impl FnOnce(&mut Report)) -> Replayed {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/samples/xz.mscope");
    let trace = TraceInfo::of(&path).unwrap();
    let job = Job { compare: true, ..Job::of(path, Trial::default()) };
    let outcome = run(&job, &mut io::sink(), &mut |_| {}).unwrap();
    let mut report = Report { trace, outcome, stacks: Vec::new() };
    spoil(&mut report);
    Replayed::new(report)
}

#[test]
fn every_figure_has_a_value_with_its_unit_and_a_meaning() {
    let replayed = replayed(|_| {});
    let figures: Vec<_> =
        replayed.figures.iter().map(|figure| (figure.name, figure.value.as_str())).collect();
    let names = [
        "Calls",
        "Fidelity",
        "Resident, peak",
        "Resident, mean",
        "Resident, end",
        "Minor faults",
        "Break, peak",
    ];
    assert_eq!(figures.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    for (name, value) in &figures {
        let is_bytes = name.starts_with("Resident") || name.starts_with("Break");
        assert!(!is_bytes || value.ends_with('B'), "{name}: {value}");
    }
    assert!(replayed.figures.iter().all(|figure| figure.meaning.ends_with('.')));
}

#[test]
fn without_compared_placements_there_is_no_fidelity() {
    let replayed = replayed(|report| report.outcome.fidelity = None);
    assert_eq!(replayed.figures[1].value, "–");
}

#[test]
fn what_is_the_matter_comes_with_what_to_do() {
    let check = |spoil: Spoil, what: &str, next: &str| {
        let replayed = replayed(spoil);
        let found = replayed.notices.iter().find(|notice| notice.what.contains(what));
        let notice = found.unwrap_or_else(|| panic!("{what:?} is not in {:?}", replayed.notices));
        assert!(notice.next.contains(next), "{notice:?}");
    };
    let corrupted = Corrupted { record: 12345, message: "double free or corruption (out)".to_owned() };
    let spoilt: [(Spoil, &str, &str); 5] = [
        (
            |report| report.outcome.damage = vec!["batch 3".into(), "batch 4".into()],
            "batch 3 (and 1 more)",
            "record again",
        ),
        (|report| report.trace.ending = None, "was cut short", "Record again"),
        (
            |report| report.outcome.oddities.unknown_freed = 7,
            "7 frees of memory",
            "from the program's beginning",
        ),
        (|report| report.outcome.oddities.refused = 2, "2 requests", "replay with others"),
        (
            |report| {
                if let Some(ending) = &mut report.trace.ending {
                    ending.lost = 1000;
                }
            },
            "1,000 calls were lost",
            "Record again",
        ),
    ];
    for (spoil, what, next) in spoilt {
        check(spoil, what, next);
    }
    let replayed = replayed(|report| report.outcome.corruption = Some(corrupted));
    assert!(replayed.notices[0].what.contains("record 12,345; glibc says: double free"));
}

#[test]
fn the_table_of_bins_agrees_with_the_report() {
    let replayed = replayed(|_| {});
    let hits: u64 = replayed.report.outcome.bins.iter().map(|row| row.hits).sum();
    assert!(hits > 0 && !replayed.bins.is_empty());
    let shares: f64 = replayed.served.iter().map(|line| line.share).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
}
