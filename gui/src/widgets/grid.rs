//! Lines of a grid, a pixel wide and on whole pixels: they need no smooth edges, which cost more than themselves.

use crate::theme;
use egui::{Mesh, Painter, Rangef, Rect, Ui};

/// A line from left to right.
pub fn level(ui: &Ui, painter: &Painter, across: Rangef, y: f32) {
    let top = snapped(painter, y);
    line(ui, painter, |pixel| Rect::from_x_y_ranges(across, top..=top + pixel));
}

/// A line from top to bottom.
pub fn upright(ui: &Ui, painter: &Painter, x: f32, down: Rangef) {
    let left = snapped(painter, x);
    line(ui, painter, |pixel| Rect::from_x_y_ranges(left..=left + pixel, down));
}

fn line(ui: &Ui, painter: &Painter, place: impl Fn(f32) -> Rect) {
    let mut mesh = Mesh::default();
    mesh.add_colored_rect(
        place(1.0 / painter.pixels_per_point()),
        theme::grid(ui.visuals()).gamma_multiply(0.5),
    );
    painter.add(mesh);
}

/// Where the nearest pixel begins.
fn snapped(painter: &Painter, at: f32) -> f32 {
    painter.round_to_pixel_center(at) - 0.5 / painter.pixels_per_point()
}
