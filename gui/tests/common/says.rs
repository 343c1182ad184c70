//! What can be read in a window.

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use malloscope_gui::app::App;

/// A window in which texts are looked for.
pub trait Says {
    /// The window.
    fn harness(&self) -> &Harness<'static, Option<App>>;

    /// Whether a label contains this text.
    fn says(&self, text: &str) -> bool {
        self.harness().query_all_by_label_contains(text).next().is_some()
    }

    /// Fails unless each of these texts is in a label.
    #[track_caller]
    fn must_say(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.says(text), "{text:?} is not in\n{:?}", self.harness().root());
        }
    }
}
