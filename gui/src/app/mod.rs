//! A frame: poll jobs, show views, apply what they asked.

pub mod apply;
pub mod command;
pub mod stacks;

use crate::jobs::replay::{News, Replay};
use crate::jobs::stacks::Jobs;
use crate::model::{Model, Which};
use crate::theme;
use crate::views::Views;
use apply::{Task, apply};
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
    stacks: Jobs,
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
            stacks: Jobs::default(),
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
                    self.stacks.stop_all();
                }
            }
            Some(Task::Stop(which)) => *self.replay(which) = None,
            Some(Task::Look(view)) => self.views.look(view),
            Some(Task::StopAll) => {
                (self.recorded, self.other) = (None, None);
                self.stacks.stop_all();
            }
            Some(Task::Stacks(todo)) => self.see_to_stacks(todo),
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

    fn see_to_stacks(&mut self, todo: stacks::Todo) {
        todo.stop.into_iter().for_each(|slot| self.stacks.stop(slot));
        for work in todo.start {
            let context = self.context.clone();
            self.stacks.start(&self.launcher, work, move || context.request_repaint());
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
        let heard = self.stacks.news().into_iter();
        commands.extend(heard.map(|(slot, news)| Command::HeardOfStacks(slot, Box::new(news))));
        commands
    }
}

/// A file that was dropped on the window.
fn dropped(context: &egui::Context) -> Option<Command> {
    let path = context.input(|input| input.raw.dropped_files.last().map(|file| file.path().to_owned()));
    path.map(Command::Open)
}
