//! A frame: poll jobs, show views, apply what they asked.

pub mod apply;
pub mod command;

use crate::jobs::replay::{News, Replay};
use crate::model::{Model, Which};
use crate::theme;
use crate::views::Views;
use apply::{Task, apply, follow_range};
use command::{Command, Commands};
use malloscope_replayer::worker::Launcher;
use std::path::PathBuf;

/// The window's contents.
#[derive(Debug)]
pub struct App {
    model: Model,
    views: Views,
    launcher: Launcher,
    context: egui::Context,
    recorded: Option<Replay>,
    other: Option<Replay>,
    ranged: Option<Replay>,
}

impl App {
    /// A window that starts its replays with `launcher`, and opens `trace` if there is one.
    pub fn new(context: &egui::Context, launcher: Launcher, trace: Option<PathBuf>) -> App {
        theme::set(context);
        let mut app = App {
            model: Model::default(),
            views: Views::default(),
            launcher,
            context: context.clone(),
            recorded: None,
            other: None,
            ranged: None,
        };
        if let Some(trace) = trace {
            app.apply(Command::Open(trace));
        }
        app
    }

    /// What is shown.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Changes what is shown.
    pub fn apply(&mut self, command: Command) {
        let task = apply(&mut self.model, command);
        let following = follow_range(&mut self.model);
        for task in task.into_iter().chain(following) {
            self.perform(task);
        }
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::Start(which, job) => {
                let context = self.context.clone();
                let wake = move || context.request_repaint();
                // The one before is dropped, and stops.
                *self.replay(which) = Some(Replay::start(&self.launcher, *job, wake));
                if which == Which::Recorded {
                    (self.other, self.ranged) = (None, None);
                }
            }
            Task::Stop(which) => *self.replay(which) = None,
            Task::Look(view) => self.views.look(view),
            Task::StopAll => (self.recorded, self.other, self.ranged) = (None, None, None),
        }
    }

    /// One frame.
    pub fn ui(&mut self, ui: &mut egui::Ui) {
        let mut commands = self.poll();
        commands.extend(dropped(ui.ctx()));
        for command in commands {
            self.apply(command);
        }
        let mut commands = Commands::new();
        self.views.ui(ui, &self.model, &mut commands);
        let anything = !commands.is_empty();
        for command in commands {
            self.apply(command);
        }
        if anything {
            ui.ctx().request_repaint();
        }
    }

    fn replay(&mut self, which: Which) -> &mut Option<Replay> {
        match which {
            Which::Recorded => &mut self.recorded,
            Which::Other => &mut self.other,
            Which::Range => &mut self.ranged,
        }
    }

    /// What has been heard of the replays since the frame before.
    fn poll(&mut self) -> Commands {
        let mut commands = Commands::new();
        for which in [Which::Recorded, Which::Other, Which::Range] {
            let replay = self.replay(which);
            let news: Vec<News> = replay.iter().flat_map(Replay::news).collect();
            if news.iter().any(|news| !matches!(news, News::Progress(_))) {
                *replay = None;
            }
            commands.extend(news.into_iter().map(|news| Command::Heard(which, news)));
        }
        commands
    }
}

/// A file that was dropped on the window.
fn dropped(context: &egui::Context) -> Option<Command> {
    let path = context.input(|input| input.raw.dropped_files.last().map(|file| file.path().to_owned()));
    path.map(Command::Open)
}
