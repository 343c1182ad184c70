//! The window without a screen: it is shown to nobody until nothing is on its way any more, and then a
//! picture is taken of it.

use crate::app::App;
use crate::app::persist::{Colours, Kept};
use crate::arguments::Arguments;
use crate::jobs::saving;
use crate::picture::camera::{Camera, Shot};
use anyhow::{Context as _, bail};
use egui::{Context, Pos2, RawInput, Rect, Vec2, ViewportId, ViewportInfo};
use malloscope_replayer::worker::Launcher;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Frames after the last news: layouts settle in the second, scroll areas in the third.
const FRAMES_TO_SETTLE: u32 = 4;
/// Something that asks for frames for ever is an animation, and is not waited for.
const MOST_FRAMES_TO_SETTLE: u32 = 60;
/// Whoever is busy says when there is news; this is for those who do not.
const PATIENCE: Duration = Duration::from_millis(200);

/// Writes the picture that `arguments` ask for.
///
/// # Errors
///
/// A trace that cannot be shown, and a file that cannot be written.
pub fn write_picture(
    arguments: &Arguments,
    to: &Path,
    size: [f32; 2],
    launcher: Launcher,
) -> anyhow::Result<()> {
    let mut unseen = Unseen::new(size, arguments.scale);
    let mut looks = arguments.looks.clone();
    looks.alone |= looks.view.is_some();
    let mut app = App::new(&unseen.context, launcher, arguments.trace.clone());
    // A picture is the same on every desktop.
    app.restore(Kept { colours: looks.colours().unwrap_or(Colours::Dark), ..Kept::default() });
    app.look_at(&looks);
    let shot = unseen.settle_and_shoot(&mut app);
    if let Some(failure) = app.model().recorded().failure() {
        bail!("{}\n{}", failure.what, failure.next);
    }
    saving::write(&shot, None, to, &unseen.context).with_context(|| format!("while writing {}", to.display()))
}

/// A window that nobody sees.
pub struct Unseen {
    /// What it is shown in.
    pub context: Context,
    size: Vec2,
    scale: f32,
    wakes: Receiver<()>,
    began: Instant,
}

impl Unseen {
    /// A window of this size in points, with so many pixels a point.
    pub fn new(size: [f32; 2], scale: f32) -> Unseen {
        let context = Context::default();
        let (wake, wakes) = mpsc::channel();
        context.set_request_repaint_callback(move |_| {
            // Nobody waits for the last frame.
            let _ = wake.send(());
        });
        // Nothing moves in a picture.
        context.all_styles_mut(|style| style.animation_time = 0.0);
        Unseen { context, size: size.into(), scale, wakes, began: Instant::now() }
    }

    /// One frame, with these events; whether the next is wanted at once.
    pub fn frame(&mut self, app: &mut App, events: Vec<egui::Event>) -> bool {
        let info = ViewportInfo { native_pixels_per_point: Some(self.scale), ..ViewportInfo::default() };
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, self.size)),
            time: Some(self.began.elapsed().as_secs_f64()),
            viewports: std::iter::once((ViewportId::ROOT, info)).collect(),
            focused: true,
            events,
            ..RawInput::default()
        };
        let mut output = self.context.run_ui(input, |ui| app.ui(ui));
        // The camera has them.
        output.textures_delta.clear();
        let root = output.viewport_output.get(&ViewportId::ROOT);
        root.is_some_and(|root| root.repaint_delay.is_zero())
    }

    /// Shows the window until nothing is on its way, and takes a picture.
    pub fn settle_and_shoot(&mut self, app: &mut App) -> Shot {
        self.settle(app);
        loop {
            self.context.with_plugin(Camera::make_ready);
            self.frame(app, Vec::new());
            if let Some(shot) = self.context.with_plugin(Camera::take).flatten() {
                return shot;
            }
        }
    }

    /// Shows the window until nothing is on its way.
    pub fn settle(&mut self, app: &mut App) {
        let (mut quiet, mut frames) = (0, 0);
        while quiet < FRAMES_TO_SETTLE && frames < MOST_FRAMES_TO_SETTLE {
            let again = self.frame(app, Vec::new());
            if app.is_busy() {
                (quiet, frames) = (0, 0);
                // Late or early, the next frame finds out.
                let _ = self.wakes.recv_timeout(PATIENCE);
                while self.wakes.try_recv().is_ok() {}
            } else {
                quiet = if again { 0 } else { quiet + 1 };
                frames += 1;
            }
        }
    }
}
