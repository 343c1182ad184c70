//! A window without a screen that tells when it wants to be drawn again.

use egui_kittest::Harness;
use malloscope_gui::app::App;
use std::sync::mpsc::{self, Receiver};

/// A window of this size, in points, and what receives something whenever it asks to be drawn.
pub fn waking(
    size: impl Into<egui::Vec2>,
    show: impl FnMut(&mut egui::Ui, &mut Option<App>) + 'static,
) -> (Harness<'static, Option<App>>, Receiver<()>) {
    let (wake, woken) = mpsc::channel();
    let harness = Harness::builder()
        .with_size(size)
        .with_context_setup(move |context| {
            context.set_request_repaint_callback(move |_| {
                let _ = wake.send(());
            });
        })
        .build_ui_state(show, None);
    (harness, woken)
}
