//! A frame: poll jobs, show views, apply what they asked.

pub mod actions;
pub mod apply;
pub mod command;
pub mod history;
pub mod persist;
pub mod shell;
pub mod stacks;
pub mod state;

use crate::arguments::Looks;
use crate::jobs::background::Background;
use crate::jobs::dialog::Dialog;
use crate::jobs::explore::Exploration;
use crate::jobs::keeper::Keeper;
use crate::jobs::paint::Painter;
use crate::jobs::processes;
use crate::jobs::queue::Queue;
use crate::jobs::record::{self, RecordingNews, RecordingProcess};
use crate::jobs::replay::{News, Replay};
use crate::jobs::saving::Saving;
use crate::jobs::stacks::Jobs;
use crate::model::failure::Failure;
use crate::model::heap::Ask;
use crate::model::moment::Moment;
use crate::model::runs::RunId;
use crate::model::view::View;
use crate::model::{Model, Tile, samples};
use crate::picture::camera::Camera;
use crate::theme;
use crate::views::Views;
use actions::Action;
use apply::{Task, apply, follow_compared, follow_range};
use command::{Command, Commands};
use egui::ViewportCommand;
use history::{History, way};
use malloscope_replayer::run::Job;
use malloscope_replayer::trial::Trial;
use malloscope_replayer::worker::Launcher;
use persist::{Colours, Kept};
use shell::{Shell, Zoom};
use std::path::PathBuf;
use std::sync::Arc;

/// The window's contents.
#[derive(Debug)]
pub struct App {
    model: Model,
    views: Views,
    queue: Queue,
    launcher: Launcher,
    /// The replay of the range.
    ranged: Option<Replay>,
    context: egui::Context,
    /// Where is kept what survives the window.
    state: Option<PathBuf>,
    dialog: Option<Dialog>,
    recorder: PathBuf,
    recording: Option<RecordingProcess>,
    processes: Option<Background<processes::Answer>>,
    stacks: Jobs,
    exploration: Option<Exploration>,
    painter: Option<Painter>,
    actions: Vec<Action>,
    history: History,
    /// What is to be done once the trace is there.
    pending: Commands,
    kept: Kept,
    keeper: Option<Keeper>,
    picture: Option<Picture>,
    saving: Option<Saving>,
}

/// A picture that is wanted.
#[derive(Debug)]
struct Picture {
    view: Option<View>,
    path: PathBuf,
    /// What asked for it is still seen in the frame in which it was asked for.
    camera_is_ready: bool,
}

impl App {
    /// A window that starts its replays with `launcher`, and opens `trace` if there is one.
    pub fn new(context: &egui::Context, launcher: Launcher, trace: Option<PathBuf>) -> App {
        theme::set(context);
        context.add_plugin(Camera::default());
        // The table of actions says what keys do.
        context.options_mut(|options| options.zoom_with_keyboard = false);
        let mut app = App {
            model: Model::default(),
            views: Views::default(),
            queue: Queue::new(launcher.clone()),
            launcher,
            ranged: None,
            context: context.clone(),
            actions: actions::all(),
            history: History::default(),
            pending: Commands::new(),
            kept: Kept::default(),
            keeper: None,
            picture: None,
            saving: None,
            state: None,
            dialog: None,
            recorder: record::recorder(),
            recording: None,
            processes: None,
            stacks: Jobs::default(),
            exploration: None,
            painter: None,
        };
        let places = [std::env::current_exe(), std::env::current_dir()];
        let near = places.into_iter().flatten().find_map(|place| samples::folder_near(&place));
        app.model.samples = samples::all(near.as_deref());
        if let Some(trace) = trace {
            app.apply(Command::Open(trace));
        }
        app
    }

    /// Makes the window as it was left.
    pub fn restore(&mut self, kept: Kept) {
        self.context.set_theme(egui::ThemePreference::from(kept.colours));
        self.context.set_zoom_factor(kept.zoom);
        if kept.layout.is_some() {
            self.views.arrange(kept.layout.as_ref());
        }
        self.kept = kept;
    }

    /// Has the window kept as it is left, from now on.
    pub fn keep_with(&mut self, keeper: Keeper) {
        self.keeper = Some(keeper);
    }

    /// Looks at what a command line says, as soon as the trace is there.
    pub fn look_at(&mut self, looks: &Looks) {
        if let Some(colours) = looks.colours() {
            self.context.set_theme(egui::ThemePreference::from(colours));
        }
        self.pending = looks.commands();
    }

    /// Whether something is still on its way: a replay, or a picture.
    pub fn is_busy(&self) -> bool {
        let works = self.model.runs.is_any_loading() || self.ranged.is_some() || self.stacks.are_some();
        let explores = self.model.exploring.under_way.is_some();
        let paints = self.painter.as_ref().is_some_and(Painter::is_painting);
        works || explores || paints || self.picture.is_some() || self.saving.is_some()
    }

    /// Where a panel is, in points, if it can be seen.
    pub fn place(&self, view: View) -> Option<egui::Rect> {
        self.views.place(view)
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
        let task = apply(&mut self.model, command);
        follow_compared(&mut self.model);
        let following = follow_range(&mut self.model);
        for task in task.into_iter().chain(following) {
            self.perform(task);
        }
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::StartOver(jobs) => {
                self.queue.clear();
                self.stacks.stop_all();
                self.exploration = None;
                self.start(jobs);
            }
            Task::Start(jobs) => self.start(jobs),
            // The one before is dropped, and stops.
            Task::StartRange(job) => {
                self.ranged = Some(Replay::start(&self.launcher, *job, self.wake()));
            }
            Task::StopRange => self.ranged = None,
            Task::Stop(run) => self.queue.remove(run, self.wake()),
            Task::Look(view) => self.views.look(view),
            Task::Unpack(name, bytes) => self.unpack(name, bytes),
            Task::Browse => self.dialog = Some(Dialog::open(self.wake())),
            Task::Keep(recent) => {
                if let Some(folder) = &self.state {
                    state::keep_recent(folder.clone(), recent);
                }
            }
            Task::Record(job) => {
                self.recording = Some(RecordingProcess::start(&self.recorder, &job, self.wake()));
            }
            Task::ListProcesses => {
                self.processes = Some(processes::ask(self.recorder.clone(), self.wake()));
            }
            Task::StopRecording => {
                if let Some(recording) = &self.recording {
                    recording.stop();
                }
            }
            Task::Stacks(todo) => self.see_to_stacks(todo),
            Task::Shell(shell) => self.shell(shell),
            Task::Explore(ask, trial) => self.explore(ask, *trial),
            Task::Paint(canvas) => {
                let wake = self.wake();
                self.painter.get_or_insert_with(|| Painter::start(wake)).want(*canvas);
            }
        }
    }

    /// One frame.
    pub fn ui(&mut self, ui: &mut egui::Ui) {
        let mut commands = self.poll();
        commands.extend(dropped(ui.ctx()));
        for command in commands {
            self.apply(command);
        }
        self.take_picture();
        let mut commands = self.keys();
        self.views.ui(ui, &self.model, &self.actions, &mut commands);
        let anything = !commands.is_empty();
        for command in commands {
            self.does(command);
        }
        if anything {
            ui.ctx().request_repaint();
        }
        self.keep();
    }

    fn see_to_stacks(&mut self, todo: stacks::Todo) {
        todo.stop.into_iter().for_each(|slot| self.stacks.stop(slot));
        for work in todo.start {
            self.stacks.start(&self.launcher, work, self.wake());
        }
    }

    /// Asks whoever goes through the trace that is open, as in this trial.
    fn explore(&mut self, ask: Ask, trial: Trial) {
        let Some(trace) = self.model.trace.clone() else { return };
        if self.exploration.as_ref().is_none_or(|one| !one.is_of(&trace, &trial)) {
            // The one before is dropped, and ends.
            self.exploration = Some(Exploration::start(trace, trial, self.wake()));
        }
        if let Some(exploration) = &self.exploration {
            exploration.ask(ask);
        }
    }

    /// What the keys pressed since the frame before do.
    fn keys(&self) -> Commands {
        if self.views.is_asking() {
            return Commands::new();
        }
        let plain = !self.context.text_edit_focused();
        self.context.input_mut(|input| actions::pressed(input, &self.actions, plain, &self.model))
    }

    /// Does what the user wants, and remembers how to take it back.
    fn does(&mut self, command: Command) {
        let (trace, before) = (self.model.trace.clone(), Moment::of(&self.model));
        let is_travel = matches!(command, Command::Shell(Shell::Undo | Shell::Redo));
        self.apply(command);
        if self.model.trace != trace {
            self.history.clear();
        } else if !is_travel {
            self.history.changed(before, &Moment::of(&self.model));
        }
    }

    fn shell(&mut self, shell: Shell) {
        let context = self.context.clone();
        match shell {
            Shell::Undo => {
                let to = self.history.undo(Moment::of(&self.model));
                self.go(to, "There is nothing to undo");
            }
            Shell::Redo => {
                let to = self.history.redo(Moment::of(&self.model));
                self.go(to, "There is nothing to redo");
            }
            Shell::Ask(question) => self.views.ask(question, &self.model),
            Shell::Theme => {
                let other =
                    if context.theme() == egui::Theme::Dark { egui::Theme::Light } else { egui::Theme::Dark };
                context.set_theme(other);
            }
            Shell::CopyCommandLine => {
                let line = Looks::of(&self.model, Some(context.theme())).line(self.model.trace.as_deref());
                context.copy_text(line);
                self.views.say("Copied the command line", &context);
            }
            Shell::Save(view, path) => {
                if let Some(view) = view {
                    self.apply(Command::Look(view));
                }
                self.picture = Some(Picture { view, path, camera_is_ready: false });
            }
            Shell::ResetLayout => {
                self.views.arrange(None);
                self.model.is_alone = false;
            }
            Shell::Zoom(Zoom::In) => egui::gui_zoom::zoom_in(&context),
            Shell::Zoom(Zoom::Out) => egui::gui_zoom::zoom_out(&context),
            Shell::Zoom(Zoom::Normal) => context.set_zoom_factor(1.0),
            Shell::FullScreen => {
                let is_full = context.input(|input| input.viewport().fullscreen.unwrap_or(false));
                context.send_viewport_cmd(ViewportCommand::Fullscreen(!is_full));
            }
            Shell::Quit => context.send_viewport_cmd(ViewportCommand::Close),
        }
    }

    fn go(&mut self, to: Option<Moment>, otherwise: &str) {
        let Some(to) = to else {
            let context = self.context.clone();
            self.views.say(otherwise, &context);
            return;
        };
        for command in way(&Moment::of(&self.model), &to) {
            self.apply(command);
        }
    }

    /// Takes the picture that is wanted, over the frames that takes: one without the question, one with
    /// the camera ready.
    fn take_picture(&mut self) {
        if let Some(said) = self.saving.as_ref().and_then(Saving::said) {
            self.saving = None;
            let context = self.context.clone();
            self.views.say(said, &context);
        }
        let Some(mut picture) = self.picture.take() else { return };
        let shot = self.context.with_plugin(|camera: &mut Camera| {
            if !picture.camera_is_ready {
                camera.make_ready();
            }
            camera.take()
        });
        match shot.flatten() {
            Some(shot) if picture.camera_is_ready => {
                let part = picture.view.and_then(|view| self.views.place(view));
                self.saving = Some(Saving::start(shot, part, picture.path, self.context.clone()));
            }
            _ => {
                picture.camera_is_ready = true;
                self.picture = Some(picture);
                self.context.request_repaint();
            }
        }
    }

    /// Has kept what survives a restart, if it has changed.
    fn keep(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        let zoom = self.context.zoom_factor();
        let window = self.context.input(|input| input.viewport().inner_rect);
        let colours = Colours::from(self.context.options(|options| options.theme_preference));
        let kept = Kept {
            colours,
            zoom,
            size: window.map(|window| [window.width() * zoom, window.height() * zoom]).or(self.kept.size),
            layout: self.views.layout(),
        };
        if kept != self.kept {
            keeper.keep(kept.clone());
            self.kept = kept;
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
        let is_done = |command: &Command| matches!(command, Command::Heard(RunId::RECORDED, News::Done(_)));
        if commands.iter().any(is_done) {
            commands.append(&mut self.pending);
        }
        let of_range: Vec<News> = self.ranged.iter().flat_map(Replay::news).collect();
        if !of_range.iter().all(News::goes_on) {
            self.ranged = None;
        }
        commands.extend(of_range.into_iter().map(Command::HeardRange));
        if let Some(chosen) = self.dialog.as_ref().and_then(Dialog::chosen) {
            self.dialog = None;
            commands.push(Command::Browsed(chosen));
        }
        let news: Vec<RecordingNews> = self.recording.iter().flat_map(RecordingProcess::news).collect();
        if !news.iter().all(RecordingNews::goes_on) {
            self.recording = None;
        }
        commands.extend(self.processes.iter().flat_map(Background::news).map(Command::HeardProcesses));
        let heard = self.stacks.news().into_iter();
        commands.extend(heard.map(|(slot, news)| Command::HeardOfStacks(slot, Box::new(news))));
        commands.extend(self.exploration.iter().flat_map(Exploration::news).map(Command::Explored));
        let picture = self.painter.as_mut().and_then(Painter::latest);
        commands.extend(picture.map(|picture| Command::Painted(Arc::new(picture))));
        commands.extend(news.into_iter().map(Command::HeardRecording));
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
