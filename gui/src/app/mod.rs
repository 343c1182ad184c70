//! A frame: poll jobs, show views, apply what they asked.

pub mod apply;
pub mod command;

use crate::jobs::explore::Exploration;
use crate::jobs::paint::Painter;
use crate::jobs::replay::{News, Replay};
use crate::model::heap::Ask;
use crate::model::{Model, Which};
use crate::theme;
use crate::views::Views;
use apply::{Task, apply};
use command::{Command, Commands};
use malloscope_replayer::trial::Trial;
use malloscope_replayer::worker::Launcher;
use std::path::PathBuf;
use std::sync::Arc;

/// The window's contents.
#[derive(Debug)]
pub struct App {
    model: Model,
    views: Views,
    launcher: Launcher,
    context: egui::Context,
    recorded: Option<Replay>,
    other: Option<Replay>,
    exploration: Option<Exploration>,
    painter: Option<Painter>,
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
            exploration: None,
            painter: None,
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
        match apply(&mut self.model, command) {
            Some(Task::Start(which, job)) => {
                let context = self.context.clone();
                let wake = move || context.request_repaint();
                // The one before is dropped, and stops.
                *self.replay(which) = Some(Replay::start(&self.launcher, *job, wake));
                if which == Which::Recorded {
                    self.other = None;
                }
            }
            Some(Task::Stop(which)) => *self.replay(which) = None,
            Some(Task::Look(view)) => self.views.look(view),
            Some(Task::Explore(ask, trial)) => self.explore(ask, *trial),
            Some(Task::Paint(canvas)) => {
                let context = self.context.clone();
                let start = || Painter::start(move || context.request_repaint());
                self.painter.get_or_insert_with(start).want(*canvas);
            }
            Some(Task::StopAll) => (self.recorded, self.other, self.exploration) = (None, None, None),
            None => {}
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

    /// Asks whoever goes through the trace that is open, as in this trial.
    fn explore(&mut self, ask: Ask, trial: Trial) {
        let Some(trace) = self.model.trace.clone() else { return };
        let context = self.context.clone();
        if self.exploration.as_ref().is_none_or(|one| !one.is_of(&trace, &trial)) {
            // The one before is dropped, and ends.
            let wake = move || context.request_repaint();
            self.exploration = Some(Exploration::start(trace, trial, wake));
        }
        if let Some(exploration) = &self.exploration {
            exploration.ask(ask);
        }
    }

    fn replay(&mut self, which: Which) -> &mut Option<Replay> {
        match which {
            Which::Recorded => &mut self.recorded,
            Which::Other => &mut self.other,
        }
    }

    /// What has been heard of the replays since the frame before.
    fn poll(&mut self) -> Commands {
        let mut commands = Commands::new();
        for which in [Which::Recorded, Which::Other] {
            let replay = self.replay(which);
            let news: Vec<News> = replay.iter().flat_map(Replay::news).collect();
            if news.iter().any(|news| !matches!(news, News::Progress(_))) {
                *replay = None;
            }
            commands.extend(news.into_iter().map(|news| Command::Heard(which, news)));
        }
        commands.extend(self.exploration.iter().flat_map(Exploration::news).map(Command::Explored));
        let picture = self.painter.as_ref().and_then(Painter::latest);
        commands.extend(picture.map(|picture| Command::Painted(Arc::new(picture))));
        commands
    }
}

/// A file that was dropped on the window.
fn dropped(context: &egui::Context) -> Option<Command> {
    let path = context.input(|input| input.raw.dropped_files.last().map(|file| file.path().to_owned()));
    path.map(Command::Open)
}
