//! Trials that are replayed side by side come to the same as each by itself.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

#[path = "common/imported.rs"]
mod imported;
#[path = "common/samples.rs"]
mod samples;

use imported::imported;
use malloscope_replayer::outcome::{Cost, Outcome};
use malloscope_replayer::range::Range;
use malloscope_replayer::run::{Audience, Job, Progress, run};
use malloscope_replayer::together::{Answered, Group, replay};
use malloscope_replayer::trial::{MemoryKind, Trial, WordWidth};
use malloscope_traces::header::Origin;
use malloscope_traces::{Ending, Header, Writer, ops};
use std::fs::{self, File};
use std::path::Path;
use tempfile::NamedTempFile;

/// Who wants to know nothing.
struct Nobody;

impl Audience for Nobody {
    fn progress(&mut self, _: Progress) {}
}

/// What came of it, without what it took.
fn found(outcome: Outcome) -> Outcome {
    Outcome { cost: Cost::default(), ..outcome }
}

/// What comes of a job by itself.
fn by_itself(job: &Job) -> Result<Outcome, String> {
    run(job, &mut std::io::sink(), &mut |_| {}).map(found).map_err(|error| error.to_string())
}

fn set(name: &str, value: u64) -> Trial {
    Trial { settings: vec![(name.to_owned(), value)], ..Trial::default() }
}

/// Trials that differ in all that a trial can differ in.
fn trials() -> Vec<Trial> {
    let release = |name: &str| Trial { release: Some(name.to_owned()), ..Trial::default() };
    vec![
        Trial::default(),
        set("top_pad", 1 << 20),
        set("mmap_threshold", 1 << 12),
        Trial { malloc_trim: Some("after:100".parse().unwrap()), ..set("tcache_count", 0) },
        release("2.23"),
        release("1.0"),
        release("2.43"),
        Trial { words: WordWidth::Bits32, ..Trial::default() },
    ]
}

/// Replays all trials side by side, and each by itself.
fn check(trace: &Path, range: Option<Range>) {
    let job = Job { range, ..Job::of(trace, Trial::default()) };
    let trials = trials();
    let group = Group { others: trials[1..].to_vec(), ..Group::alone(job.clone()) };
    let answers = replay(&group, &mut Nobody).unwrap();
    assert_eq!(answers.len(), trials.len());
    for (trial, answer) in trials.into_iter().zip(answers) {
        let name = trial.name();
        let answer = match answer {
            Answered::Outcome(outcome) => Ok(found(*outcome)),
            Answered::Failed(error) => Err(error.to_string()),
            Answered::PutOff => panic!("{name} was put off"),
        };
        assert!(answer == by_itself(&Job { trial, ..job.clone() }), "{}: {name}", trace.display());
    }
}

#[test]
fn trials_side_by_side_come_to_what_each_comes_to_by_itself() {
    let samples = samples::samples();
    assert!(!samples.is_empty());
    for trace in samples {
        check(&trace, None);
        check(&trace, Some(Range::new(1000, 5000).unwrap()));
    }
}

#[test]
fn what_a_parent_did_is_replayed_for_each() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, header: &Header, script: &str| {
        let path = folder.path().join(name);
        let mut writer = Writer::new(File::create(&path).unwrap(), header).unwrap();
        ops::import(script.as_bytes(), &mut writer).unwrap();
        writer.finish(&Ending::default()).unwrap();
        path
    };
    let calls = |from: u64| (from..from + 900).map(|call| format!("0 malloc {call} {}\n", call * 37 % 5000));
    let parent = ops::header();
    write("parent.mscope", &parent, &calls(0).collect::<String>());
    let origin = Origin::Forked { parent: 1, trace: "parent.mscope".to_owned(), after: 700 };
    let child = Header { origin, ..parent };
    let child = write("child.mscope", &child, &calls(2000).collect::<String>());
    let with_parent = by_itself(&Job::of(&child, Trial::default())).unwrap();
    assert!(with_parent.measured.live > 900 * 2500 * 3 / 2, "{}", with_parent.measured.live);
    check(&child, None);
}

#[test]
fn damage_is_told_of_each() {
    let sample = samples::samples().into_iter().find(|path| path.ends_with("json.mscope")).unwrap();
    let mut bytes = fs::read(sample).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    let damaged = NamedTempFile::new().unwrap();
    fs::write(damaged.path(), &bytes).unwrap();
    assert!(!by_itself(&Job::of(damaged.path(), Trial::default())).unwrap().damage.is_empty());
    check(damaged.path(), None);
}

#[test]
fn where_there_is_no_memory_for_all_of_them_the_last_are_put_off() {
    let sample = samples::samples().into_iter().find(|path| path.ends_with("json.mscope")).unwrap();
    let others = vec![set("top_pad", 0), set("top_pad", 1 << 20)];
    let job = Job::of(sample, Trial::default());
    let group = Group { others, memory: Some(1), ..Group::alone(job.clone()) };
    let answers = replay(&group, &mut Nobody).unwrap();
    assert!(matches!(&answers[..], [Answered::Outcome(_), .., Answered::PutOff]), "{answers:?}");
    let Some(Answered::Outcome(outcome)) = answers.into_iter().next() else { panic!("it was not replayed") };
    assert_eq!(Ok(found(*outcome)), by_itself(&job));
}

#[test]
fn real_memory_is_not_shared() {
    let trace = imported("0 malloc 1 40\n0 free 1\n");
    let real = Trial { memory: MemoryKind::Real, ..Trial::default() };
    let group = Group { others: vec![real], ..Group::alone(Job::of(trace.path(), Trial::default())) };
    let answers = replay(&group, &mut Nobody).unwrap();
    assert!(matches!(answers[..], [Answered::Outcome(_), Answered::Failed(_)]), "{answers:?}");
}
