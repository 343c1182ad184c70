//! Something that happened, and what to do next.

use crate::theme;
use egui::{Frame, RichText, Ui};

/// Shows what happened, and below it what to do next.
pub fn show(ui: &mut Ui, what: &str, next: &str) {
    let warning = ui.visuals().warn_fg_color;
    Frame::new().fill(warning.gamma_multiply(0.10)).inner_margin(theme::GAP).corner_radius(4).show(
        ui,
        |ui| {
            ui.set_min_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.label(RichText::new(what).color(warning));
            ui.label(next);
        },
    );
}
