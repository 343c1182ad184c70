//! How far a replay is, and the button that stops it.

use egui::{Align, Layout, ProgressBar, Spinner, Ui};
use malloscope_replayer::report::units::{count, percent};
use malloscope_replayer::run::Progress;

/// Shows how far a replay is.
pub fn ui(ui: &mut Ui, what: &str, progress: Option<Progress>, cancel: impl FnOnce()) {
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if ui.button("Cancel").clicked() {
                cancel();
            }
            match progress {
                Some(Progress { done, total: Some(total) }) if total > 0 => {
                    let text = format!("{what}: {} of {} records", count(done), count(total));
                    ui.add(ProgressBar::new(done as f32 / total as f32).text(text));
                }
                _ => {
                    let done = progress.map(|progress| format!(": {} records", count(progress.done)));
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                        ui.add(Spinner::new());
                        ui.label(format!("{what}{}", done.unwrap_or_else(|| "…".to_owned())));
                    });
                }
            }
        });
    });
}

/// The same in a line with other things, where something is shown already.
pub fn small(ui: &mut Ui, what: &str, progress: Option<Progress>, cancel: impl FnOnce()) {
    ui.add(Spinner::new().size(ui.text_style_height(&egui::TextStyle::Body)));
    let done = match progress {
        Some(Progress { done, total: Some(total) }) => format!(": {}", percent(done, total)),
        _ => "…".to_owned(),
    };
    ui.label(format!("{what}{done}"));
    if ui.button("Cancel").clicked() {
        cancel();
    }
}
