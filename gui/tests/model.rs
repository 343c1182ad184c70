//! What the window says about a replay, from reports with something the matter.

use malloscope_gui::model::Replayed;
use malloscope_gui::model::draft::Effect;
use malloscope_replayer::fidelity::{Difference, Mismatch};
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
    let job = Job { trace: path, trial: Trial::default(), compare: true, lines: None, blame: Vec::new() };
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

#[test]
fn fidelity_is_told_in_plain_words() {
    let exact = replayed(|_| {}).account;
    assert!(exact.sentences[0].starts_with("Each of the "), "{exact:?}");
    assert!(exact.parted.is_empty());
    let other = replayed(|report| {
        let fidelity = report.outcome.fidelity.as_mut().unwrap();
        fidelity.same_placements -= 3;
        fidelity.same_breaks -= 1;
        fidelity.first_mismatches.push(Mismatch {
            record: 12345,
            thread: 0,
            call: "malloc(5)".to_owned(),
            difference: Difference::Placement,
            recorded: "the break +0x10".to_owned(),
            replayed: "the break +0x20".to_owned(),
            why: "2 other threads called within 10 µs".to_owned(),
        });
    });
    let account = other.account;
    assert!(account.sentences[0].contains("; 3 of "), "{account:?}");
    assert!(account.sentences[1].starts_with("After 1 of "), "{account:?}");
    assert_eq!((account.parted[0].record, account.parted.len()), (12345, 1));
    assert!(account.parted[0].what.contains("Record 12,345, malloc(5): it landed elsewhere"));
    assert!(account.parted[0].why.contains("2 other threads"));
    let imported = replayed(|report| report.outcome.fidelity = None).account;
    assert!(imported.sentences[0].contains("imported"), "{imported:?}");
}

#[test]
fn what_a_form_comes_to_is_known_before_the_replay() {
    let trace = replayed(|_| {}).report.trace;
    let trial = Trial {
        release: Some("2.31".to_owned()),
        settings: vec![("mxfast".to_owned(), 4096), ("top_pad".to_owned(), 65536)],
        ..Trial::default()
    };
    let effect = Effect::of(&trial, &trace).unwrap();
    assert_eq!((effect.release.as_str(), &effect.taken[..]), ("2.31", &["top_pad=64K".to_owned()][..]));
    assert_eq!(effect.ignored, ["glibc 2.31 ignores mxfast=4096: the value is not within 0 to 160."]);
    let unknown = Trial { settings: vec![("luck".to_owned(), 1)], ..Trial::default() };
    assert!(Effect::of(&unknown, &trace).unwrap_err().contains("there is no malloc tunable `luck`"));
}
