//! What came of a run before its end is what comes of a run that ends there; and a trace that is still being
//! written is replayed as it grows.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

use malloscope_replayer::metrics::series::Sample;
use malloscope_replayer::outcome::{Cost, Outcome};
use malloscope_replayer::range::Range;
use malloscope_replayer::report::{Line, Report, TraceInfo, so_far};
use malloscope_replayer::run::{Audience, Job, Progress, run, run_before};
use malloscope_replayer::trial::Trial;
use malloscope_traces::growing;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/samples").join(name)
}

fn job(trace: impl Into<PathBuf>) -> Job {
    Job { compare: true, ..Job::of(trace, Trial::default()) }
}

fn replayed(job: &Job) -> Outcome {
    run(job, &mut io::sink(), &mut |_| {}).unwrap()
}

/// An outcome without what depends on how it was asked for, and what only the end can tell.
fn alone(outcome: &Outcome) -> Outcome {
    Outcome { so_far: None, range: None, cost: Cost::default(), reordering: None, ..outcome.clone() }
}

/// Wants to know after every batch, as soon as there was any, what came of it so far.
#[derive(Default)]
struct Curious(Vec<Outcome>);

impl Audience for Curious {
    fn progress(&mut self, _: Progress) {}

    fn wants_outcome(&mut self, progress: Progress) -> bool {
        progress.done > 0
    }

    fn hear(&mut self, outcome: Outcome) {
        self.0.push(outcome);
    }
}

#[test]
fn what_came_of_it_so_far_is_what_comes_of_a_run_of_so_many_records() {
    for name in ["json.mscope", "pinned.mscope", "threads.mscope"] {
        let job = job(sample(name));
        let mut curious = Curious::default();
        let whole = run_before(&job, &mut io::sink(), &mut curious).unwrap();
        assert!(!curious.0.is_empty(), "{name}: {}", curious.0.len());
        for so_far in &curious.0 {
            let at = so_far.so_far.unwrap();
            assert_eq!((at.done, at.total), (so_far.records, Some(whole.records)), "{name}");
            let range = Some(Range::new(0, at.done).unwrap());
            assert!(
                alone(so_far) == alone(&replayed(&Job { range, ..job.clone() })),
                "{name} at {}",
                at.done
            );
            check_points(&so_far.measured.series, &whole.measured.series);
        }
        assert_eq!(whole.so_far, None, "{name}");
        assert!(alone(&whole) == alone(&replayed(&job)), "{name}: to be asked changes nothing");
    }
}

#[test]
fn a_report_before_the_end_says_everywhere_that_it_is_of_a_part() {
    let job = job(sample("json.mscope"));
    let mut curious = Curious::default();
    run_before(&job, &mut io::sink(), &mut curious).unwrap();
    let outcome = curious.0.swap_remove(1);
    let mut trace = TraceInfo::of(&job.trace).unwrap();
    let said = "so far, 65,536 of 165,882 records (39.5 %)";
    check_report(&Report { trace: trace.clone(), outcome: outcome.clone(), stacks: Vec::new() }, said);
    // One that is still being written has no ending yet, which is no loss.
    (trace.ending, trace.records) = (None, None);
    let so_far = outcome.so_far.map(|at| Progress { total: None, ..at });
    let outcome = Outcome { so_far, ..outcome };
    assert!(so_far::line(&outcome).starts_with("65,536 records, "), "{}", so_far::line(&outcome));
    check_report(&Report { trace, outcome, stacks: Vec::new() }, "so far, 65,536 records");
}

fn check_report(report: &Report, said: &str) {
    let sections = report.sections();
    let warnings = sections[0].lines.iter().filter(|line| matches!(line, Line::Warning(_)));
    let whole = Line::Warning(format!("This is no whole run: {said}."));
    assert_eq!(warnings.collect::<Vec<_>>(), [&whole]);
    for section in &sections[1..] {
        assert_eq!(section.lines[0], Line::Text(said.to_owned()), "{}", section.title);
    }
}

/// Points at the same records say the same.
fn check_points(some: &[Sample], all: &[Sample]) {
    let mut same = 0;
    for sample in some {
        let Some(point) = all.iter().find(|point| point.record == sample.record) else { continue };
        let values = |of: &Sample| (of.live, of.held, of.system, of.resident, of.program_break, of.pinned);
        assert_eq!(values(sample), values(point), "record {}", sample.record);
        same += 1;
    }
    assert!(same > 100, "{same}");
}

/// Writes the next bytes of a trace whenever those before were read, and closes the file at last.
struct Recorder<'a> {
    file: Option<File>,
    pieces: std::slice::Chunks<'a, u8>,
    done: Vec<u64>,
    so_far: u32,
}

impl Recorder<'_> {
    fn write(&mut self) {
        match (self.pieces.next(), &mut self.file) {
            (Some(piece), Some(file)) => file.write_all(piece).unwrap(),
            _ => self.file = None,
        }
    }
}

impl Audience for Recorder<'_> {
    fn progress(&mut self, progress: Progress) {
        assert_eq!(progress.total, None, "nobody knows how long it will be");
        self.done.push(progress.done);
        self.write();
    }

    fn wants_outcome(&mut self, _: Progress) -> bool {
        true
    }

    fn hear(&mut self, outcome: Outcome) {
        assert!(self.file.is_none() || outcome.damage.is_empty(), "{:?}", outcome.damage);
        self.so_far += 1;
    }
}

/// Follows a trace while so many of its bytes are written, in pieces; and what comes of it.
fn followed(bytes: &[u8]) -> Outcome {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let file = trace.reopen().unwrap();
    growing::hold(&file);
    let mut recorder =
        Recorder { file: Some(file), pieces: bytes.chunks(bytes.len() / 8), done: Vec::new(), so_far: 0 };
    recorder.write();
    let job = Job { follow: true, ..job(trace.path()) };
    let outcome = run_before(&job, &mut io::sink(), &mut recorder).unwrap();
    assert!(recorder.done.is_sorted(), "{:?}", recorder.done);
    let grew = recorder.done.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!(grew >= 1 && recorder.so_far >= 8, "{:?}", recorder.done);
    Outcome { reordering: None, ..alone(&outcome) }
}

#[test]
fn a_trace_is_followed_while_it_is_written_and_ends_as_any_other() {
    for name in ["json.mscope", "threads.mscope"] {
        let bytes = fs::read(sample(name)).unwrap();
        assert!(followed(&bytes) == alone(&replayed(&job(sample(name)))), "{name}");
    }
}

#[test]
fn where_the_recorder_is_killed_the_run_ends_with_what_there_is() {
    let bytes = fs::read(sample("json.mscope")).unwrap();
    let bytes = &bytes[..bytes.len() * 9 / 10];
    let cut = tempfile::NamedTempFile::new().unwrap();
    fs::write(cut.path(), bytes).unwrap();
    let (followed, cut) = (followed(bytes), replayed(&job(cut.path())));
    assert!(followed.damage.len() == 1 && cut.damage.len() == 1, "{:?} {:?}", followed.damage, cut.damage);
    assert!(followed.records > 0);
    assert_eq!((followed.records, followed.measured), (cut.records, cut.measured));
}

#[test]
fn a_trace_that_nobody_writes_is_followed_to_its_end_at_once() {
    let job = job(sample("xz.mscope"));
    let followed = replayed(&Job { follow: true, ..job.clone() });
    assert!(alone(&followed) == alone(&replayed(&job)));
}
