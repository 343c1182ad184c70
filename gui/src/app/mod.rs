//! A frame: poll jobs, show views, apply what they asked.

pub mod apply;
pub mod command;
pub mod state;

use crate::jobs::dialog::Dialog;
use crate::jobs::queue::Queue;
use crate::jobs::record::{self, RecordingProcess};
use crate::model::failure::Failure;
use crate::model::runs::RunId;
use crate::model::{Model, Tile, samples};
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
    /// Where is kept what survives the window.
    state: Option<PathBuf>,
    dialog: Option<Dialog>,
    recorder: PathBuf,
    recording: Option<RecordingProcess>,
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
            state: None,
            dialog: None,
            recorder: record::recorder(),
            recording: None,
        };
        let places = [std::env::current_exe(), std::env::current_dir()];
        let near = places.into_iter().flatten().find_map(|place| samples::folder_near(&place));
        app.model.samples = samples::all(near.as_deref());
        if let Some(trace) = trace {
            app.apply(Command::Open(trace));
        }
        app
    }

    /// Remembers in this folder what was opened, and shows what was opened before.
    pub fn remember_in(&mut self, folder: PathBuf) {
        self.model.recent = state::recent(&folder);
        self.state = Some(folder);
    }

    /// Records with this command instead of the one beside the window or in PATH.
    pub fn record_with(&mut self, recorder: PathBuf) {
        self.recorder = recorder;
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
            Some(Task::Unpack(name, bytes)) => self.unpack(name, bytes),
            Some(Task::Browse) => self.dialog = Some(Dialog::open(self.wake())),
            Some(Task::Keep(recent)) => {
                if let Some(folder) = &self.state {
                    state::keep_recent(folder.clone(), recent);
                }
            }
            Some(Task::Record(job)) => {
                self.recording = Some(RecordingProcess::start(&self.recorder, &job, self.wake()));
            }
            Some(Task::StopRecording) => {
                if let Some(recording) = &self.recording {
                    recording.stop();
                }
            }
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
        let mut commands: Commands = news.into_iter().map(|(run, news)| Command::Heard(run, news)).collect();
        if let Some(chosen) = self.dialog.as_ref().and_then(Dialog::chosen) {
            self.dialog = None;
            commands.push(Command::Browsed(chosen));
        }
        if let Some(recording) = &self.recording {
            commands.extend(recording.news().map(Command::HeardRecording));
        }
        commands
    }

    /// Puts a sample into a file, and opens it.
    fn unpack(&mut self, name: &str, bytes: &[u8]) {
        let folder = self.state.clone().unwrap_or_else(std::env::temp_dir);
        match state::unpack(&folder, name, bytes) {
            Ok(path) => self.apply(Command::Open(path)),
            Err(error) => {
                let what = format!("The sample cannot be written into {}: {error}", folder.display());
                let next = "Record a trace of your own, or open one.".to_owned();
                self.model.runs.hear(RunId::RECORDED, Tile::Failed(Failure { what, next }));
            }
        }
    }
}

/// A file that was dropped on the window.
fn dropped(context: &egui::Context) -> Option<Command> {
    let path = context.input(|input| input.raw.dropped_files.last().map(|file| file.path().to_owned()));
    path.map(Command::Open)
}
