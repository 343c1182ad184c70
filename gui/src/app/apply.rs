//! The only code that changes the model.

use super::command::Command;
use crate::jobs::explore;
use crate::jobs::replay::News;
use crate::model::failure::Failure;
use crate::model::heap::Ask;
use crate::model::picture::Canvas;
use crate::model::view::View;
use crate::model::{Model, Replayed, Tile, Which, differences};
use malloscope_replayer::run::Job;
use malloscope_replayer::trial::Trial;
use std::path::Path;

/// What has to be done outside the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Start this replay, in place of the one there may be.
    Start(Which, Box<Job>),
    /// Stop a replay.
    Stop(Which),
    /// Stop all.
    StopAll,
    /// Bring a panel to the front.
    Look(View),
    /// Ask whoever goes through the trace, in this trial.
    Explore(Ask, Box<Trial>),
    /// Draw the heap.
    Paint(Box<Canvas>),
}

/// Changes the model, and says what else is to be done.
pub fn apply(model: &mut Model, command: Command) -> Option<Task> {
    match command {
        Command::Open(trace) => {
            let job = job(&trace, Trial::default());
            *model = Model {
                trace: Some(trace),
                recorded: Tile::Loading(None),
                sorting: model.sorting,
                exploring: model.exploring.restarted(),
                ..Model::default()
            };
            Some(Task::Start(Which::Recorded, Box::new(job)))
        }
        Command::Close => {
            *model =
                Model { sorting: model.sorting, exploring: model.exploring.restarted(), ..Model::default() };
            Some(Task::StopAll)
        }
        Command::Cancel(Which::Recorded) => apply(model, Command::Close),
        Command::Cancel(Which::Other) | Command::Forget => {
            model.other = Tile::Missing;
            model.differences = None;
            model.shown = Which::Recorded;
            Some(Task::Stop(Which::Other))
        }
        Command::ReplayWith(settings) => {
            model.shown = Which::Recorded;
            model.differences = None;
            let trial = settings.trial();
            model.settings = settings;
            let trace = model.trace.as_deref()?;
            match trial {
                Ok(trial) => {
                    model.other = Tile::Loading(None);
                    Some(Task::Start(Which::Other, Box::new(job(trace, trial))))
                }
                Err(what) => {
                    let next = "K, M and G are multiples of 1024; -1 is never.".to_owned();
                    model.other = Tile::Failed(Failure { what, next });
                    Some(Task::Stop(Which::Other))
                }
            }
        }
        Command::Show(which) => {
            if model.shown != which {
                // It is another heap.
                model.exploring = model.exploring.restarted();
            }
            model.shown = which;
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
        Command::Explore(ask) => {
            let trial = model.shown()?.report.outcome.trial.clone();
            model.exploring.asked(ask);
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
            explored(model, news);
            None
        }
        Command::Look(view) => Some(Task::Look(view)),
        Command::Heard(which, news) => {
            heard(model, which, news);
            None
        }
    }
}

fn heard(model: &mut Model, which: Which, news: News) {
    *model.replay_mut(which) = match news {
        News::Progress(progress) => Tile::Loading(Some(progress)),
        News::Failed(failure) => Tile::Failed(failure),
        News::Done(report) => Tile::Ready(Replayed::new(*report)),
    };
    if let (Tile::Ready(recorded), Tile::Ready(other)) = (&model.recorded, &model.other) {
        model.differences = differences(recorded, other);
    }
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

/// Placements are compared where the settings are the recorded ones.
fn job(trace: &Path, trial: Trial) -> Job {
    let compare = trial.is_as_recorded();
    Job { trace: trace.to_owned(), trial, compare, lines: None, blame: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::Settings;
    use malloscope_replayer::run::Progress;

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
        assert_eq!(task, Some(Task::Start(Which::Recorded, Box::new(expected))));
        let progress = Progress { done: 3, total: Some(9) };
        apply(&mut model, Command::Heard(Which::Recorded, News::Progress(progress)));
        assert_eq!(model.recorded, Tile::Loading(Some(progress)));
        assert_eq!(apply(&mut model, Command::Cancel(Which::Recorded)), Some(Task::StopAll));
        assert_eq!((model.trace, model.recorded), (None, Tile::Missing));
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
        apply(&mut model, Command::Open("a.mscope".into()));
        let settings = Settings { mmap_threshold: "64K".to_owned(), ..Settings::default() };
        let task = apply(&mut model, Command::ReplayWith(settings));
        let Some(Task::Start(Which::Other, job)) = task else { panic!("{task:?}") };
        assert!(!job.compare);
        assert_eq!(job.trial.settings, vec![("mmap_threshold".to_owned(), 65536)]);
        assert!(model.other.is_loading());
        assert_eq!(
            apply(&mut model, Command::ReplayWith(Settings::default())),
            Some(Task::Stop(Which::Other))
        );
        assert!(matches!(model.other, Tile::Failed(_)));
        apply(&mut model, Command::Forget);
        assert_eq!(model.other, Tile::Missing);
    }
}
