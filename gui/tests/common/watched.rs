//! A window without a screen: who wakes it, and what can be read in it.

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use malloscope_gui::app::App;
use std::sync::mpsc::{self, Receiver};

/// A window, and what receives something whenever it asks to be drawn.
pub struct Window {
    pub harness: Harness<'static, Option<App>>,
    pub woken: Receiver<()>,
}

impl Window {
    /// A window of this size, in points.
    pub fn of(
        size: impl Into<egui::Vec2>,
        show: impl FnMut(&mut egui::Ui, &mut Option<App>) + 'static,
    ) -> Window {
        let (wake, woken) = mpsc::channel();
        let harness = Harness::builder()
            .with_size(size)
            .with_context_setup(move |context| {
                context.set_request_repaint_callback(move |_| {
                    let _ = wake.send(());
                });
            })
            .build_ui_state(show, None);
        Window { harness, woken }
    }

    /// Whether a label contains this text.
    pub fn says(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    /// Fails unless each of these texts is in a label.
    #[track_caller]
    pub fn must_say(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.says(text), "{text:?} is not in\n{:?}", self.harness.root());
        }
    }
}
