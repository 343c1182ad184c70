//! A frame: poll jobs, show views, apply what they asked.

pub mod apply;
pub mod command;

use crate::jobs::queue::Queue;
use crate::model::Model;
use crate::model::runs::RunId;
use crate::theme;
use crate::views::Views;
use apply::{Task, apply};
use command::{Command, Commands};
use malloscope_replayer::run::Job;
use malloscope_replayer::worker::Launcher;
use std::path::PathBuf;

/// The window's contents.
#[derive(Debug)]
pub struct App {
    model: Model,
    views: Views,
    queue: Queue,
    context: egui::Context,
}

impl App {
    /// A window that starts its replays with `launcher`, and opens `trace` if there is one.
    pub fn new(context: &egui::Context, launcher: Launcher, trace: Option<PathBuf>) -> App {
        theme::set(context);
        let mut app = App {
            model: Model::default(),
            views: Views::default(),
            queue: Queue::new(launcher),
            context: context.clone(),
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
            Some(Task::StartOver(jobs)) => {
                self.queue.clear();
                self.start(jobs);
            }
            Some(Task::Start(jobs)) => self.start(jobs),
            Some(Task::Stop(run)) => self.queue.remove(run, self.wake()),
            Some(Task::Look(view)) => self.views.look(view),
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

    fn start(&mut self, jobs: Vec<(RunId, Job)>) {
        for (run, job) in jobs {
            self.queue.push(run, job, self.wake());
        }
    }

    /// What a job does when it has news.
    fn wake(&self) -> impl Fn() + Clone + Send + 'static {
        let context = self.context.clone();
        move || context.request_repaint()
    }

    /// What has been heard of the replays since the frame before.
    fn poll(&mut self) -> Commands {
        let news = self.queue.news(self.wake());
        news.into_iter().map(|(run, news)| Command::Heard(run, news)).collect()
    }
}

/// A file that was dropped on the window.
fn dropped(context: &egui::Context) -> Option<Command> {
    let path = context.input(|input| input.raw.dropped_files.last().map(|file| file.path().to_owned()));
    path.map(Command::Open)
}
