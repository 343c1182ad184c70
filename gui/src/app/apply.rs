//! The only code that changes the model.

use super::command::Command;
use super::shell::Shell;
use super::stacks::{self, Todo};
use crate::jobs::dialog::Chosen;
use crate::jobs::explore;
use crate::jobs::record::RecordingNews;
use crate::jobs::replay::News;
use crate::model::heap::Ask;
use crate::model::picture::Canvas;
use crate::model::recent::Recent;
use crate::model::recording::{Recording, RecordingJob, Subject};
use crate::model::runs::RunId;
use crate::model::samples::{Place, Sample};
use crate::model::view::View;
use crate::model::{Model, Replayed, Tile};
use malloscope_replayer::range::Range;
use malloscope_replayer::run::Job;
use malloscope_replayer::trial::Trial;
use std::path::Path;

/// What has to be done outside the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Stop all replays, and start these.
    StartOver(Vec<(RunId, Job)>),
    /// Start these replays, when it is their turn.
    Start(Vec<(RunId, Job)>),
    /// Stop a replay.
    Stop(RunId),
    /// Replay a range, in place of the one there may be.
    StartRange(Box<Job>),
    /// Stop the replay of the range.
    StopRange,
    /// Bring a panel to the front.
    Look(View),
    /// Do this with the window.
    Shell(Shell),
    /// Put a sample into a file, and open it.
    Unpack(&'static str, &'static [u8]),
    /// Open the desktop's dialog.
    Browse,
    /// Keep what was opened last.
    Keep(Recent),
    /// Ask which processes can be attached to.
    ListProcesses,
    /// Start a recording.
    Record(RecordingJob),
    /// Stop the recording.
    StopRecording,
    /// Stop and start work on stacks.
    Stacks(Todo),
    /// Ask whoever goes through the trace, in this trial.
    Explore(Ask, Box<Trial>),
    /// Draw the heap.
    Paint(Box<Canvas>),
}

/// Changes the model, and says what else is to be done.
pub fn apply(model: &mut Model, command: Command) -> Option<Task> {
    match command {
        Command::Open(trace) => {
            let job = recorded(&trace);
            *model = Model { trace: Some(trace), ..model.emptied() };
            model.runs.hear(RunId::RECORDED, Tile::Loading(None));
            Some(Task::StartOver(vec![(RunId::RECORDED, job)]))
        }
        Command::Close => {
            *model = model.emptied();
            Some(Task::StartOver(Vec::new()))
        }
        Command::Cancel(RunId::RECORDED) if model.runs.recorded().so_far.is_some() => {
            // What there is so far stays to be looked at.
            model.runs.hear(RunId::RECORDED, Tile::Missing);
            Some(Task::Stop(RunId::RECORDED))
        }
        Command::Cancel(RunId::RECORDED) => apply(model, Command::Close),
        Command::Cancel(run) | Command::Forget(run) => {
            model.runs.remove(run);
            (run != RunId::RECORDED).then_some(Task::Stop(run))
        }
        Command::Try(trials) => try_all(model, trials),
        Command::Retry(run) => {
            let trace = model.trace.as_deref()?;
            let job = match run {
                RunId::RECORDED => recorded(trace),
                run => job(trace, model.runs.get(run)?.trial.clone()),
            };
            model.runs.hear(run, Tile::Loading(None));
            Some(Task::Start(vec![(run, job)]))
        }
        Command::Show(run) => {
            model.runs.show(run);
            None
        }
        Command::Draw(run, is_drawn) => {
            model.runs.draw(run, is_drawn);
            None
        }
        Command::MeasureAgainst(run) => {
            model.runs.measure_against(run);
            None
        }
        Command::Sort(column) => {
            model.sorting = model.sorting.clicked(column);
            None
        }
        Command::Point(record) => {
            model.cursor = record;
            None
        }
        Command::Select(range) => {
            model.range = range.filter(|(first, end)| first < end);
            Some(Task::Stacks(stacks::look_at_range(model)))
        }
        Command::Look(view) => {
            model.front = view;
            Some(Task::Look(view))
        }
        Command::Alone(alone) => {
            model.is_alone = alone;
            None
        }
        Command::Explore(ask) => {
            let trial = model.runs.shown().trial.clone();
            model.exploring.asked(ask, &trial);
            Some(Task::Explore(ask, Box::new(trial)))
        }
        Command::Colour(colouring) => {
            model.exploring.colouring = colouring;
            None
        }
        Command::Choose(chunk) => {
            model.exploring.choose(chunk);
            None
        }
        Command::Play(calls) => {
            model.exploring.playing = calls;
            None
        }
        Command::Paint(canvas) => Some(Task::Paint(canvas)),
        Command::Painted(picture) => {
            model.exploring.picture = Some(picture);
            None
        }
        Command::Explored(news) => {
            let is_of_names = matches!(news, explore::News::Named(..));
            explored(model, news);
            is_of_names.then(|| Task::Stacks(stacks::look_at_names(model)))
        }
        Command::Flame(command) => Some(Task::Stacks(stacks::flame(model, command))),
        Command::Sites(command) => Some(Task::Stacks(stacks::sites(model, command))),
        Command::Allocations(command) => Some(Task::Stacks(stacks::allocations(model, command))),
        Command::Filter(filter) => Some(Task::Stacks(stacks::look_at_filter(model, filter))),
        Command::HeardOfStacks(slot, news) => Some(Task::Stacks(stacks::heard(model, slot, *news))),
        Command::Arrange(sorting) => {
            model.sorting = sorting;
            None
        }
        Command::Shell(shell) => Some(Task::Shell(shell)),
        Command::OpenSample(Sample { place: Place::File(path), .. }) => apply(model, Command::Open(path)),
        Command::OpenSample(Sample { place: Place::BuiltIn(bytes), name, .. }) => {
            Some(Task::Unpack(name, bytes))
        }
        Command::Browse => Some(Task::Browse),
        Command::Browsed(chosen) => {
            model.has_no_dialog = chosen == Chosen::NoDialog;
            let Chosen::File(path) = chosen else { return None };
            apply(model, Command::Open(path))
        }
        Command::ForgetRecent(path) => {
            model.recent.forget(&path);
            Some(Task::Keep(model.recent.clone()))
        }
        Command::Record(job) => record(model, job),
        Command::ListProcesses => {
            model.processes = Tile::Loading(None);
            Some(Task::ListProcesses)
        }
        Command::HeardProcesses(answer) => {
            model.processes = answer.map_or_else(Tile::Failed, Tile::Ready);
            None
        }
        Command::StopRecording => {
            model.recording.as_mut()?.is_stopping = true;
            Some(Task::StopRecording)
        }
        Command::ForgetRecording => {
            model.recording = None;
            None
        }
        Command::HeardRecording(news) => heard_recording(model, news),
        Command::HeardRange(news) => {
            if let Some(tile) = tile(news) {
                model.ranged = tile;
            }
            None
        }
        Command::Heard(run, News::SoFar(replayed)) => {
            model.runs.hear_so_far(run, replayed);
            None
        }
        Command::Heard(run, news) => {
            let is_opened = run == RunId::RECORDED && matches!(news, News::Done(_));
            model.runs.hear(run, tile(news)?);
            // What can be opened is worth being opened again; by a path that holds wherever the window is.
            let path = std::path::absolute(model.trace.as_ref().filter(|_| is_opened)?).ok()?;
            model.recent.add(path);
            Some(Task::Keep(model.recent.clone()))
        }
    }
}

/// Starts the replay of the range that is wanted, or stops it, if it is not the one there is.
///
/// It is that of the run which is shown, so it follows whatever changes that; to be called after each command.
pub fn follow_range(model: &mut Model) -> Option<Task> {
    let whole = model.whole();
    let wanted = whole.and(model.range).map(|range| (model.runs.shown().id, range));
    if wanted == model.ranged_of {
        return None;
    }
    let trial = whole.map(|whole| whole.report.outcome.trial.clone());
    model.ranged_of = wanted;
    let range = wanted.and_then(|(_, (first, end))| Range::new(first, end).ok());
    match (model.trace.as_deref(), trial, range) {
        (Some(trace), Some(trial), Some(range)) => {
            let job = Job { range: Some(range), ..job(trace, trial) };
            model.ranged = Tile::Loading(None);
            Some(Task::StartRange(Box::new(job)))
        }
        _ => {
            model.ranged = Tile::Missing;
            Some(Task::StopRange)
        }
    }
}

/// Has stacks compared with the run that is compared now, if it is not the one they were compared with; to be
/// called after each command.
pub fn follow_compared(model: &mut Model) {
    let compared = model.compared().map(|run| run.id);
    if compared != model.stacks.other {
        stacks::forget_other(model);
        model.stacks.other = compared;
    }
}

/// What is there after some news of it, if that is another thing.
fn tile(news: News) -> Option<Tile<Replayed>> {
    match news {
        News::Progress(progress) => Some(Tile::Loading(Some(progress))),
        News::SoFar(_) => None,
        News::Failed(failure) => Some(Tile::Failed(failure)),
        News::Done(replayed) => Some(Tile::Ready(*replayed)),
    }
}

/// Starts a recording, unless there is one.
fn record(model: &mut Model, job: RecordingJob) -> Option<Task> {
    if model.recording.as_ref().is_some_and(Recording::is_under_way) {
        return None;
    }
    let is_attached = matches!(job.subject, Subject::Process { .. });
    model.recording = Some(Recording { what: job.subject.said(), is_attached, ..Recording::default() });
    Some(Task::Record(job))
}

fn heard_recording(model: &mut Model, news: RecordingNews) -> Option<Task> {
    let recording = model.recording.as_mut()?;
    match news {
        RecordingNews::Line(line) => {
            recording.hear(line);
            None
        }
        RecordingNews::Failed(failure) => {
            recording.failure = Some(failure);
            None
        }
        RecordingNews::Began(path) => {
            let is_watched = model.trace.as_ref() == Some(&path);
            recording.growing = Some(path.clone());
            // It is there, or it is another file of that name: that of the program the first one became.
            (model.trace.is_none() || is_watched).then(|| apply(model, Command::Open(path)))?
        }
        RecordingNews::Done(path) if model.trace.as_ref() == Some(&path) => {
            model.recording = None;
            let is_cut = model.whole().is_some_and(|whole| whole.report.trace.ending.is_none());
            (is_cut || model.recorded().failure().is_some()).then(|| apply(model, Command::Open(path)))?
        }
        // Nobody's trace is taken from under their eyes.
        RecordingNews::Done(path) if model.trace.is_some() => {
            recording.trace = Some(path);
            None
        }
        RecordingNews::Done(path) => {
            model.recording = None;
            apply(model, Command::Open(path))
        }
    }
}

/// Adds a run for each of these settings; where there is one already, it is drawn.
fn try_all(model: &mut Model, trials: Vec<Trial>) -> Option<Task> {
    // Runs of a trace that grows would be of different records.
    let trace = model.trace.clone().filter(|_| !model.is_growing())?;
    let mut jobs = Vec::new();
    for trial in trials {
        if let Some(run) = model.runs.of(&trial) {
            let id = run.id;
            model.runs.draw(id, true);
        } else if let Some(id) = model.runs.add(trial.clone()) {
            jobs.push((id, job(&trace, trial)));
        }
    }
    Some(Task::Start(jobs))
}

fn explored(model: &mut Model, news: explore::News) {
    let exploring = &mut model.exploring;
    match news {
        explore::News::Progress(progress) => {
            if let Some((_, under_way)) = &mut exploring.under_way {
                *under_way = Some(progress);
            }
        }
        explore::News::Arrived(moment) => {
            if let Some(record) = exploring.arrived(moment) {
                model.cursor = Some(record);
            }
        }
        explore::News::Failed(failure) => {
            (exploring.under_way, exploring.playing) = (None, None);
            exploring.failure = Some(failure);
        }
        explore::News::Named(stack, lines) => {
            exploring.names.insert(stack, lines);
        }
    }
}

/// The replay under the recorded settings, which is looked at from its beginning on, and goes on with what is
/// recorded meanwhile.
fn recorded(trace: &Path) -> Job {
    Job { follow: true, so_far: true, ..job(trace, Trial::default()) }
}

/// Placements are compared where the settings are the recorded ones.
fn job(trace: &Path, trial: Trial) -> Job {
    let compare = trial.is_as_recorded();
    Job { compare, ..Job::of(trace, trial) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::failure::Failure;
    use crate::model::recording::RecordingForm;
    use malloscope_replayer::run::Progress;

    fn trial(value: u64) -> Trial {
        Trial { settings: vec![("mmap_threshold".to_owned(), value)], ..Trial::default() }
    }

    #[test]
    fn a_trace_is_opened_replayed_and_closed() {
        let mut model = Model::default();
        let task = apply(&mut model, Command::Open("a.mscope".into()));
        let expected =
            Job { compare: true, follow: true, so_far: true, ..Job::of("a.mscope", Trial::default()) };
        assert_eq!(task, Some(Task::StartOver(vec![(RunId::RECORDED, expected)])));
        let progress = Progress { done: 3, total: Some(9) };
        apply(&mut model, Command::Heard(RunId::RECORDED, News::Progress(progress)));
        assert_eq!(*model.recorded(), Tile::Loading(Some(progress)));
        let stopped = apply(&mut model, Command::Cancel(RunId::RECORDED));
        assert_eq!(stopped, Some(Task::StartOver(Vec::new())));
        assert_eq!((&model.trace, model.recorded()), (&None, &Tile::Missing));
    }

    #[test]
    fn records_are_pointed_at_and_selected_until_another_trace_is_opened() {
        let mut model = Model::default();
        apply(&mut model, Command::Open("a.mscope".into()));
        apply(&mut model, Command::Point(Some(7)));
        apply(&mut model, Command::Select(Some((3, 9))));
        assert_eq!((model.cursor, model.range), (Some(7), Some((3, 9))));
        apply(&mut model, Command::Select(Some((4, 4))));
        assert_eq!(model.range, None, "no record is no range");
        apply(&mut model, Command::Select(Some((3, 9))));
        apply(&mut model, Command::Open("b.mscope".into()));
        assert_eq!((model.cursor, model.range), (None, None));
    }

    #[test]
    fn what_is_not_about_the_trace_stays_when_another_is_opened() {
        let mut model = Model::default();
        model.recent.add("/a.mscope".into());
        assert_eq!(apply(&mut model, Command::Browsed(Chosen::NoDialog)), None);
        apply(&mut model, Command::Browsed(Chosen::File("/b.mscope".into())));
        assert_eq!((model.trace.as_deref(), model.recent.paths().len()), (Some(Path::new("/b.mscope")), 1));
        apply(&mut model, Command::Close);
        let kept = apply(&mut model, Command::ForgetRecent("/a.mscope".into()));
        assert_eq!(kept, Some(Task::Keep(Recent::default())));
    }

    #[test]
    fn a_recording_is_made_once_at_a_time_and_its_trace_is_opened() {
        let mut model = Model::default();
        let form = RecordingForm { command: "ls".to_owned(), ..RecordingForm::default() };
        let job = form.job().unwrap();
        assert_eq!(apply(&mut model, Command::Record(job.clone())), Some(Task::Record(job.clone())));
        assert_eq!(apply(&mut model, Command::Record(job.clone())), None);
        let heard = |model: &mut Model, news| apply(model, Command::HeardRecording(news));
        heard(&mut model, RecordingNews::Line("5 calls".to_owned()));
        assert_eq!(apply(&mut model, Command::StopRecording), Some(Task::StopRecording));
        let recording = model.recording.as_ref().unwrap();
        assert!(recording.is_stopping && recording.lines == ["5 calls"]);
        let failure = Failure { what: "no".to_owned(), next: "yes".to_owned() };
        heard(&mut model, RecordingNews::Failed(failure));
        assert!(apply(&mut model, Command::Record(job)).is_some());
        let task = heard(&mut model, RecordingNews::Done("/ls.mscope".into()));
        assert!(matches!(task, Some(Task::StartOver(_))));
        assert_eq!((model.trace.as_deref(), &model.recording), (Some(Path::new("/ls.mscope")), &None));
        // Where a trace is looked at, the next one waits.
        apply(&mut model, Command::Record(form.job().unwrap()));
        assert_eq!(heard(&mut model, RecordingNews::Done("/other.mscope".into())), None);
        assert_eq!(model.trace.as_deref(), Some(Path::new("/ls.mscope")));
        assert_eq!(model.recording.unwrap().trace, Some("/other.mscope".into()));
    }

    #[test]
    fn other_settings_are_replayed_beside_the_first() {
        let mut model = Model::default();
        assert_eq!(apply(&mut model, Command::Try(vec![trial(1)])), None);
        apply(&mut model, Command::Open("a.mscope".into()));
        let task = apply(&mut model, Command::Try(vec![trial(65536), trial(1 << 20)]));
        let Some(Task::Start(jobs)) = task else { panic!("{task:?}") };
        let [(first, job), (second, _)] = &jobs[..] else { panic!("{jobs:?}") };
        assert!(!job.compare && job.trial == trial(65536));
        assert!(model.runs.is_any_loading());
        // What is there is not made again.
        apply(&mut model, Command::Draw(*first, false));
        let task = apply(&mut model, Command::Try(vec![trial(65536), Trial::default()]));
        assert_eq!(task, Some(Task::Start(Vec::new())));
        assert!(model.runs.get(*first).unwrap().is_drawn);
        assert_eq!(apply(&mut model, Command::Forget(*first)), Some(Task::Stop(*first)));
        assert_eq!(apply(&mut model, Command::Cancel(*second)), Some(Task::Stop(*second)));
        assert_eq!(model.runs.all().len(), 1);
        assert_eq!(apply(&mut model, Command::Forget(RunId::RECORDED)), None);
        assert!(apply(&mut model, Command::Retry(RunId::RECORDED)).is_some());
    }
}
