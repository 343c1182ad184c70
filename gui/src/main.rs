//! `malloscope-gui`: arguments, and a window.

use anyhow::anyhow;
use clap::Parser;
use malloscope_gui::app::persist::{self, Kept};
use malloscope_gui::app::{App, state};
use malloscope_gui::arguments::Arguments;
use malloscope_gui::jobs::keeper::Keeper;
use malloscope_gui::jobs::{WORK, leash};
use malloscope_gui::{headless, screen};
use malloscope_replayer::worker::{self, Launcher};
use std::path::PathBuf;
use std::process::ExitCode;

/// The window's size at first, in points.
const SIZE: [f32; 2] = [1280.0, 800.0];
/// Smaller than this, numbers would be cut.
const LEAST_SIZE: [f32; 2] = [880.0, 560.0];

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let outcome = match words.next() {
        Some(word) if word == WORK => work(words.next().map(PathBuf::from)),
        _ => show(Arguments::parse()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("malloscope-gui: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One replay for the window that started us; without the window there is nobody to work for.
fn work(leash: Option<PathBuf>) -> anyhow::Result<()> {
    if let Some(leash) = leash {
        leash::end_with(leash);
    }
    Ok(worker::work()?)
}

fn show(arguments: Arguments) -> anyhow::Result<()> {
    // Not `current_exe`, whose answer names a file that may have been replaced since.
    let launcher = Launcher { program: "/proc/self/exe".into(), arguments: vec![WORK.into()] };
    if let Some(to) = &arguments.screenshot {
        let size = arguments.window_size.unwrap_or(SIZE);
        return headless::write_picture(&arguments, to, size, launcher);
    }
    let folder = state::folder().filter(|_| !arguments.no_persist);
    let path = folder.as_deref().map(persist::path);
    let kept = path.as_deref().map(Kept::read).unwrap_or_default();
    let viewport = egui::ViewportBuilder::default()
        .with_app_id("malloscope")
        .with_inner_size(arguments.window_size.or(kept.size).unwrap_or(SIZE))
        .with_min_inner_size(LEAST_SIZE);
    let start = move |cx: &eframe::CreationContext<'_>| {
        let mut app = App::new(&cx.egui_ctx, launcher, arguments.trace);
        app.restore(kept);
        app.look_at(&arguments.looks);
        if let Some(folder) = folder {
            app.remember_in(folder);
        }
        if let Some(path) = path {
            app.keep_with(Keeper::of(path));
        }
        Ok(Box::new(Window(app)) as Box<dyn eframe::App>)
    };
    let shown = eframe::run_native("malloscope", screen::options(viewport), Box::new(start));
    shown.map_err(|error| {
        anyhow!("{}\nWithout a window, `malloscope replay TRACE` prints the same", why(&error))
    })
}

/// Why there is no window. winit says where in its source it found out; that is no news for a user.
fn why(error: &eframe::Error) -> String {
    match error {
        eframe::Error::WinitEventLoop(_) => {
            "there is no display: neither WAYLAND_DISPLAY nor DISPLAY leads to one".to_owned()
        }
        other => format!("the window cannot be shown: {other}"),
    }
}

/// The application, as eframe wants it.
struct Window(App);

impl eframe::App for Window {
    /// The panels' own colour, which they therefore need not paint.
    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }

    fn ui(&mut self, ui: &mut egui::Ui, _: &mut eframe::Frame) {
        self.0.ui(ui);
    }
}
