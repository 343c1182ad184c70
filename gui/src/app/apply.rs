//! The only code that changes the model.

use super::command::Command;
use crate::jobs::replay::News;
use crate::model::runs::RunId;
use crate::model::view::View;
use crate::model::{Model, Replayed, Tile};
use malloscope_replayer::run::Job;
use malloscope_replayer::trial::Trial;
use std::path::Path;

/// What has to be done outside the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Stop all replays, and start these.
    StartOver(Vec<(RunId, Job)>),
    /// Start these replays, when it is their turn.
    Start(Vec<(RunId, Job)>),
    /// Stop a replay.
    Stop(RunId),
    /// Bring a panel to the front.
    Look(View),
}

/// Changes the model, and says what else is to be done.
pub fn apply(model: &mut Model, command: Command) -> Option<Task> {
    match command {
        Command::Open(trace) => {
            let job = job(&trace, Trial::default());
            *model = Model { trace: Some(trace), sorting: model.sorting, ..Model::default() };
            model.runs.hear(RunId::RECORDED, Tile::Loading(None));
            Some(Task::StartOver(vec![(RunId::RECORDED, job)]))
        }
        Command::Close => {
            *model = Model { sorting: model.sorting, ..Model::default() };
            Some(Task::StartOver(Vec::new()))
        }
        Command::Cancel(RunId::RECORDED) => apply(model, Command::Close),
        Command::Cancel(run) | Command::Forget(run) => {
            model.runs.remove(run);
            (run != RunId::RECORDED).then_some(Task::Stop(run))
        }
        Command::Try(trials) => try_all(model, trials),
        Command::Retry(run) => {
            let job = job(model.trace.as_deref()?, model.runs.get(run)?.trial.clone());
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
            None
        }
        Command::Look(view) => Some(Task::Look(view)),
        Command::Heard(run, news) => {
            let replay = match news {
                News::Progress(progress) => Tile::Loading(Some(progress)),
                News::Failed(failure) => Tile::Failed(failure),
                News::Done(report) => Tile::Ready(Replayed::new(*report)),
            };
            model.runs.hear(run, replay);
            None
        }
    }
}

/// Adds a run for each of these settings; where there is one already, it is drawn.
fn try_all(model: &mut Model, trials: Vec<Trial>) -> Option<Task> {
    let trace = model.trace.clone()?;
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

/// Placements are compared where the settings are the recorded ones.
fn job(trace: &Path, trial: Trial) -> Job {
    let compare = trial.is_as_recorded();
    Job { trace: trace.to_owned(), trial, compare, lines: None, blame: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_replayer::run::Progress;

    fn trial(value: u64) -> Trial {
        Trial { settings: vec![("mmap_threshold".to_owned(), value)], ..Trial::default() }
    }

    #[test]
    fn a_trace_is_opened_replayed_and_closed() {
        let mut model = Model::default();
        let task = apply(&mut model, Command::Open("a.mscope".into()));
        let expected = Job {
            trace: "a.mscope".into(),
            trial: Trial::default(),
            compare: true,
            lines: None,
            blame: Vec::new(),
        };
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
