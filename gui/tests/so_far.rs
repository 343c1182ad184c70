//! What is seen of a replay before its end, and of a trace that is still being written.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use malloscope_gui::app::App;
use malloscope_gui::app::command::Command;
use malloscope_gui::jobs::WORK;
use malloscope_gui::jobs::record::RecordingNews;
use malloscope_gui::jobs::replay::{News, Replay};
use malloscope_gui::model::recording::RecordingForm;
use malloscope_gui::model::runs::RunId;
use malloscope_gui::model::view::View;
use malloscope_gui::model::{Model, Replayed, Tile};
use malloscope_replayer::outcome::Outcome;
use malloscope_replayer::range::Range;
use malloscope_replayer::report::{Report, TraceInfo};
use malloscope_replayer::run::{Audience, Job, Progress, run, run_before};
use malloscope_replayer::trial::Trial;
use malloscope_replayer::worker::Launcher;
use malloscope_traces::{Reader, Writer, growing};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver};
use tempfile::NamedTempFile;

/// Records in the trace, and in a batch of it.
const RECORDS: u64 = 4452;
const BATCH: usize = 500;

/// A small trace of many batches.
static TRACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/samples/sqlite.mscope");
    let mut reader = Reader::open_file(&from).unwrap();
    let (header, ending) = (reader.header().clone(), reader.ending().cloned().unwrap());
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("so far.mscope");
    let mut writer = Writer::new(File::create(&to).unwrap(), &header).unwrap();
    for (number, record) in (1..).zip(reader.records()) {
        writer.record(&record.unwrap()).unwrap();
        if number % BATCH == 0 {
            writer.flush().unwrap();
        }
    }
    writer.finish(&ending).unwrap();
    to
});

fn sample() -> PathBuf {
    TRACE.clone()
}

fn job(trace: impl Into<PathBuf>) -> Job {
    Job { compare: true, follow: true, so_far: true, ..Job::of(trace, Trial::default()) }
}

fn launcher() -> Launcher {
    Launcher { program: env!("CARGO_BIN_EXE_malloscope-gui").into(), arguments: vec![WORK.into()] }
}

/// A trace that is being written, with so much of the sample in it.
fn growing(share: usize) -> (NamedTempFile, File, Vec<u8>) {
    let mut bytes = fs::read(sample()).unwrap();
    let rest = bytes.split_off(bytes.len() * share / 100);
    let trace = NamedTempFile::new().unwrap();
    let mut file = trace.reopen().unwrap();
    growing::hold(&file);
    file.write_all(&bytes).unwrap();
    (trace, file, rest)
}

/// A replay, and who wakes us.
fn started(trace: &Path) -> (Replay, Receiver<()>) {
    let (wake, woken) = mpsc::channel();
    // A test that has heard enough listens no more.
    (Replay::start(&launcher(), job(trace), move || _ = wake.send(())), woken)
}

/// What came of a replay the first time that something is heard of it.
fn first(replay: &Replay, woken: &Receiver<()>) -> Box<Replayed> {
    loop {
        woken.recv().unwrap();
        for news in replay.news() {
            match news {
                News::SoFar(replayed) => return replayed,
                News::Progress(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn what_is_recorded_is_seen_so_far_and_then_whole() {
    let (trace, mut file, rest) = growing(60);
    let (replay, woken) = started(trace.path());
    let so_far = first(&replay, &woken).report.outcome;
    let at = so_far.so_far.unwrap();
    assert_eq!((at.done, at.total), (so_far.records, None));
    // The command prints the same.
    let range = Some(Range::new(0, at.done).unwrap());
    let part = run(&Job { range, ..job(sample()) }, &mut io::sink(), &mut |_| {}).unwrap();
    assert_eq!((so_far.measured, so_far.bins, so_far.slices), (part.measured, part.bins, part.slices));
    file.write_all(&rest).unwrap();
    drop(file);
    let whole = loop {
        woken.recv().unwrap();
        if let Some(News::Done(whole)) = replay.news().last() {
            break whole;
        }
    };
    assert!(whole.report.trace.ending.is_some() && whole.report.outcome.so_far.is_none());
    assert_eq!(whole.report.trace.records, Some(whole.report.outcome.records));
}

#[test]
fn what_is_not_wanted_any_more_ends_although_the_trace_grows() {
    let (trace, _file, _) = growing(60);
    let (replay, woken) = started(trace.path());
    first(&replay, &woken);
    drop(replay);
    // The thread that waits for the process ends, and lets go of who wakes us.
    while woken.recv().is_ok() {}
}

/// Keeps the first of what came of a run so far that has so many records.
struct Keeper(u64, Option<Outcome>);

impl Audience for Keeper {
    fn progress(&mut self, _: Progress) {}

    fn wants_outcome(&mut self, at: Progress) -> bool {
        self.1.is_none() && at.done >= self.0
    }

    fn hear(&mut self, outcome: Outcome) {
        self.1 = Some(outcome);
    }
}

/// What came of the sample after some of its records; and how many there are, if that is known.
fn part(records: u64, is_growing: bool) -> Box<Replayed> {
    let mut keeper = Keeper(records, None);
    run_before(&job(sample()), &mut io::sink(), &mut keeper).unwrap();
    let mut outcome = keeper.1.unwrap();
    let mut trace = TraceInfo::of(&sample()).unwrap();
    if is_growing {
        (trace.ending, trace.records) = (None, None);
        outcome.so_far = outcome.so_far.map(|at| Progress { total: None, ..at });
    }
    Box::new(Replayed::new(Report { trace, outcome, stacks: Vec::new() }))
}

/// A recorder that records nothing, as long as this process is there.
static RECORDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recorder");
    fs::write(&path, "#!/bin/sh\nexec tail --pid=$PPID -f /dev/null\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
});

/// A window whose replays say nothing but what a test says.
struct Window(Harness<'static, Option<App>>);

impl Window {
    fn open(trace: Option<PathBuf>) -> Window {
        // This worker ends when its leash is let go: it reads the leash.
        let silent = Launcher { program: "cat".into(), arguments: Vec::new() };
        let show = move |ui: &mut egui::Ui, app: &mut Option<App>| {
            let new = || {
                let mut app = App::new(ui.ctx(), silent.clone(), trace.clone());
                app.record_with(RECORDER.clone());
                app
            };
            app.get_or_insert_with(new).ui(ui);
        };
        let mut harness = Harness::builder().with_size([1400.0, 900.0]).build_ui_state(show, None);
        harness.step();
        Window(harness)
    }

    fn model(&self) -> &Model {
        self.0.state().as_ref().unwrap().model()
    }

    fn apply(&mut self, command: Command) {
        self.0.state_mut().as_mut().unwrap().apply(command);
        self.0.run_steps(3);
    }

    fn hear(&mut self, news: News) {
        self.apply(Command::Heard(RunId::RECORDED, news));
    }

    fn says(&self, text: &str) -> bool {
        self.0.query_all_by_label_contains(text).next().is_some()
    }

    fn press(&mut self, name: &str) {
        self.0.get_by_label(name).click();
        self.0.run_steps(3);
    }
}

#[test]
fn a_run_that_is_not_at_its_end_is_shown_and_named_as_such() {
    let mut window = Window::open(Some(sample()));
    assert!(window.says("Replaying") && !window.says("Timeline of"));
    let part = part(1800, false);
    let at = part.report.outcome.so_far.unwrap();
    assert_eq!((at.done, at.total), (2000, Some(RECORDS)));
    window.hear(News::SoFar(part));
    assert!(window.says("So far, 2,000 of 4,452 records (44.9"));
    assert!(window.says("All numbers are of those") && window.says("Resident, so far"));
    // The axis is the trace's, and what is not there yet is empty.
    assert_eq!(window.model().records(), Some(RECORDS));
    assert!(window.says("Timeline of 2,000 of 4,452 records"));
    let drawn = window.model().seen().unwrap().timeline.end().unwrap().record;
    assert_eq!(drawn, at.done);
    assert!(window.says("This is no whole run: so far, 2,000 of 4,452 records"));
    // Tables and report say the same; what speaks of the whole trace waits, and nothing is compared.
    window.apply(Command::Look(View::Report));
    assert!(window.says("so far, 2,000 of 4,452 records"));
    window.apply(Command::Look(View::Flame));
    assert!(window.says("This is there when the replay is done"));
    assert!(window.model().whole().is_none() && window.model().runs.drawn().next().is_none());
    assert!(window.model().runs.differences().is_none());
    window.apply(Command::Select(Some((100, 200))));
    assert_eq!(window.model().ranged, Tile::Missing, "it is counted alone when the run is whole");
}

#[test]
fn what_was_stopped_stays_under_its_name_and_can_be_replayed() {
    let mut window = Window::open(Some(sample()));
    window.hear(News::SoFar(part(1800, false)));
    window.press("Cancel");
    assert!(window.says("So far, 2,000") && window.says("The replay was stopped here"));
    assert!(window.says("Timeline of") && !window.model().recorded().is_loading());
    assert_eq!(window.model().trace, Some(sample()));
    window.press("Replay all");
    assert!(window.model().recorded().is_loading() && window.model().seen().is_none());
    // Where there is nothing to see yet, there is nothing to stay for.
    window.press("Cancel");
    assert_eq!(window.model().trace, None);
}

#[test]
fn a_recording_is_watched_and_becomes_the_run_it_was() {
    let mut window = Window::open(None);
    let form = RecordingForm { command: "app".to_owned(), ..RecordingForm::default() };
    window.apply(Command::Record(form.job().unwrap()));
    window.apply(Command::HeardRecording(RecordingNews::Began(sample())));
    assert_eq!(window.model().trace, Some(sample()));
    window.hear(News::SoFar(part(1800, true)));
    assert!(window.model().is_growing() && window.says("So far, 2,000 records"));
    assert!(window.says("The trace is still being recorded") && !window.says("cut short"));
    assert!(window.says("Stop"), "the program can be stopped");
    // Runs of what grows would be of different records.
    window.apply(Command::Try(vec![Trial { settings: vec![("top_pad".to_owned(), 1)], ..Trial::default() }]));
    assert_eq!(window.model().runs.all().len(), 1);
    window.apply(Command::HeardRecording(RecordingNews::Done(sample())));
    assert!(window.model().recording.is_none() && window.model().recorded().is_loading());
    let whole = run(&job(sample()), &mut io::sink(), &mut |_| {}).unwrap();
    let trace = TraceInfo::of(&sample()).unwrap();
    window.hear(News::Done(Box::new(Replayed::new(Report { trace, outcome: whole, stacks: Vec::new() }))));
    assert!(!window.model().is_growing() && !window.says("So far,"));
    assert!(window.says("Timeline of 4,452 records"));
}

#[test]
fn who_looks_at_another_trace_is_offered_the_one_that_is_recorded() {
    let mut window = Window::open(Some("another.mscope".into()));
    let form = RecordingForm { command: "app".to_owned(), ..RecordingForm::default() };
    window.apply(Command::Record(form.job().unwrap()));
    window.apply(Command::HeardRecording(RecordingNews::Began(sample())));
    assert_eq!(window.model().trace, Some("another.mscope".into()));
    window.press("Watch");
    assert_eq!(window.model().trace, Some(sample()));
    assert!(!window.says("Watch"));
    // The program became another one: its trace has the same name.
    window.hear(News::SoFar(part(1800, true)));
    window.apply(Command::HeardRecording(RecordingNews::Began(sample())));
    assert!(window.model().seen().is_none() && window.model().recorded().is_loading());
}
