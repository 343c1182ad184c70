//! How the window is drawn on a screen; the same whether it is used or measured.

use eframe::NativeOptions;
use egui::ViewportBuilder;

/// What eframe is told of the drawing, besides where and how large.
///
/// Colours are not dithered: there are no smooth transitions here that would show bands, and without a graphics processor that
/// noise costs more than half of what a picture takes.
pub fn options(viewport: ViewportBuilder) -> NativeOptions {
    NativeOptions {
        viewport: viewport.with_title("Malloscope"),
        dithering: false,
        ..NativeOptions::default()
    }
}
