//! Every colour, gap and font size, light and dark.
//!
//! There is one accent colour, for the break and for shares; everything else is a shade of the text.
//! Warnings have egui's own colour, and a word that says so.

use egui::{
    Color32, CornerRadius, FontDefinitions, FontFamily, FontId, Margin, TextStyle, Theme, Vec2, Visuals,
};

/// Between things that belong together.
pub const GAP: f32 = 8.0;
/// Between things that do not.
pub const WIDE_GAP: f32 = 16.0;
/// The height of a table's row.
pub const ROW: f32 = 20.0;
/// How wide text is at most where it is read in sentences.
pub const READING_WIDTH: f32 = 560.0;
/// The greatest width of a field for a number of bytes.
pub const FIELD: f32 = 72.0;

/// Between two panels.
pub const DIVIDER: f32 = 2.0;
/// Around the contents of a panel.
pub const MARGIN: Margin = Margin { left: 10, right: 10, top: 8, bottom: 8 };

/// Sets fonts and styles, for both themes.
pub fn set(context: &egui::Context) {
    let mut fonts = FontDefinitions::default();
    // Arrows and triangles are in Hack only.
    if let Some(family) = fonts.families.get_mut(&FontFamily::Proportional) {
        family.push("Hack".to_owned());
    }
    context.set_fonts(fonts);
    for theme in [Theme::Dark, Theme::Light] {
        context.style_mut_of(theme, |style| {
            let proportional = |size| FontId::new(size, FontFamily::Proportional);
            style.text_styles = [
                (TextStyle::Small, proportional(11.5)),
                (TextStyle::Body, proportional(13.5)),
                (TextStyle::Button, proportional(13.5)),
                (TextStyle::Heading, proportional(18.0)),
                (TextStyle::Monospace, FontId::new(12.5, FontFamily::Monospace)),
            ]
            .into();
            style.spacing.item_spacing = Vec2::new(GAP, 4.0);
            style.spacing.button_padding = Vec2::new(8.0, 3.0);
            style.visuals = visuals(theme);
            // A label that can be selected takes the click that was meant for what is below it.
            style.interaction.selectable_labels = false;
        });
    }
}

fn visuals(theme: Theme) -> Visuals {
    let (mut visuals, panel, faint, field, text, edge) = match theme {
        Theme::Dark => (Visuals::dark(), 0x1a, 0x22, 0x0c, 0xd8, 0x38),
        Theme::Light => (Visuals::light(), 0xfa, 0xf0, 0xe8, 0x22, 0xd4),
    };
    visuals.panel_fill = Color32::from_gray(panel);
    visuals.faint_bg_color = Color32::from_gray(faint);
    visuals.text_edit_bg_color = Some(Color32::from_gray(field));
    visuals.widgets.noninteractive.fg_stroke.color = Color32::from_gray(text);
    visuals.widgets.noninteractive.bg_stroke.color = Color32::from_gray(edge);
    visuals.selection.bg_fill = accent(&visuals).gamma_multiply(0.45);
    visuals.hyperlink_color = accent(&visuals);
    visuals.warn_fg_color = match theme {
        Theme::Dark => Color32::from_rgb(0xe8, 0xa3, 0x3d),
        Theme::Light => Color32::from_rgb(0x96, 0x55, 0x00),
    };
    visuals.widgets.noninteractive.corner_radius = CornerRadius::same(4);
    visuals
}

/// The accent colour.
pub fn accent(visuals: &Visuals) -> Color32 {
    if visuals.dark_mode { Color32::from_rgb(0x56, 0xb4, 0xe9) } else { Color32::from_rgb(0x00, 0x5f, 0xa8) }
}

/// The ground of a bar that shows a share.
pub fn bar_ground(visuals: &Visuals) -> Color32 {
    visuals.widgets.noninteractive.bg_stroke.color.gamma_multiply(0.6)
}

/// What shows a share.
pub fn bar(visuals: &Visuals) -> Color32 {
    accent(visuals).gamma_multiply(if visuals.dark_mode { 0.55 } else { 0.40 })
}

/// The lines that divide a plot.
pub fn grid(visuals: &Visuals) -> Color32 {
    visuals.widgets.noninteractive.bg_stroke.color
}

/// A line that stands behind the one that matters.
pub fn quiet_line(visuals: &Visuals) -> Color32 {
    Color32::from_gray(if visuals.dark_mode { 0x98 } else { 0x70 })
}

/// A line beside the one that matters.
pub fn second_line(visuals: &Visuals) -> Color32 {
    visuals.strong_text_color()
}

/// Lines that are told apart by colour and by dashes: five colours and four patterns, so that twenty lines
/// in a row are all different. The first is the accent's.
///
/// The colours are those of Okabe and Ito, darker on a light ground until they stand out from it.
pub fn series(visuals: &Visuals, number: usize) -> Color32 {
    const DARK: [u32; 5] = [0xe6_9f_00, 0x00_b8_86, 0xe8_71_1c, 0xcc_79_a7, 0xf0_e4_42];
    const LIGHT: [u32; 5] = [0x9a_64_00, 0x00_7a_59, 0xb8_4a_00, 0xa0_46_7a, 0x6f_68_00];
    let Some(place) = number.checked_sub(1) else { return accent(visuals) };
    let colours = if visuals.dark_mode { DARK } else { LIGHT };
    let [_, red, green, blue] = colours[place % colours.len()].to_be_bytes();
    Color32::from_rgb(red, green, blue)
}

/// What is less than it was.
pub fn less(visuals: &Visuals) -> Color32 {
    if visuals.dark_mode { Color32::from_rgb(0x56, 0xb4, 0xe9) } else { Color32::from_rgb(0x00, 0x5f, 0xa8) }
}

/// What is more than it was.
pub fn more(visuals: &Visuals) -> Color32 {
    if visuals.dark_mode { Color32::from_rgb(0xf0, 0x94, 0x3c) } else { Color32::from_rgb(0xa6, 0x4b, 0x00) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much lighter one is than the other (WCAG 2.2, contrast ratio).
    fn contrast(a: Color32, b: Color32) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let luminance = |colour: Color32| {
            0.2126 * linear(colour.r()) + 0.7152 * linear(colour.g()) + 0.0722 * linear(colour.b())
        };
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn every_line_and_difference_stands_out_from_its_ground() {
        for theme in [Theme::Dark, Theme::Light] {
            let visuals = visuals(theme);
            let ground = visuals.panel_fill;
            // Text of differences wants 4.5, lines and bars 3.
            for colour in [less(&visuals), more(&visuals)] {
                assert!(contrast(colour, ground) >= 4.5, "{theme:?} {colour:?} {}", contrast(colour, ground));
            }
            for number in 0..20 {
                let colour = series(&visuals, number);
                assert!(contrast(colour, ground) >= 3.0, "{theme:?} {number} {}", contrast(colour, ground));
            }
        }
    }
}
