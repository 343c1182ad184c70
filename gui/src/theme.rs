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

/// Categories that have a colour of their own: Okabe and Ito's, without the yellow and the black, which
/// mean other things here. They are told apart by people who see few colours.
const CATEGORIES: [Color32; 6] = [
    Color32::from_rgb(0xe6, 0x9f, 0x00),
    Color32::from_rgb(0x56, 0xb4, 0xe9),
    Color32::from_rgb(0x00, 0x9e, 0x73),
    Color32::from_rgb(0xcc, 0x79, 0xa7),
    Color32::from_rgb(0x00, 0x72, 0xb2),
    Color32::from_rgb(0xd5, 0x5e, 0x00),
];

/// What is less in a difference, and what is more.
const LESS: Color32 = Color32::from_rgb(0x00, 0x72, 0xb2);
const MORE: Color32 = Color32::from_rgb(0xd5, 0x5e, 0x00);

/// The ground of a bar of a category; beyond the last, all have one. `shade` tells neighbours of the same
/// category apart.
pub fn category(visuals: &Visuals, number: usize, shade: u32) -> Color32 {
    let strength = 0.42 + 0.08 * (shade % 3) as f32;
    match CATEGORIES.get(number) {
        Some(colour) => ground(visuals).lerp_to_gamma(*colour, strength),
        None => ground(visuals).lerp_to_gamma(Color32::from_gray(0x90), strength),
    }
}

/// The ground of a bar that belongs to no category.
pub fn no_category(visuals: &Visuals) -> Color32 {
    ground(visuals).lerp_to_gamma(Color32::from_gray(0x80), 0.25)
}

/// The ground of a bar of a difference: −1 is all gone, 1 is all new.
pub fn difference(visuals: &Visuals, change: f64) -> Color32 {
    let neutral = ground(visuals).lerp_to_gamma(Color32::from_gray(0x80), 0.3);
    #[expect(clippy::cast_possible_truncation, reason = "a colour has 256 shades")]
    let strength = change.abs().clamp(0.0, 1.0).sqrt() as f32 * 0.9;
    neutral.lerp_to_gamma(if change < 0.0 { LESS } else { MORE }, strength)
}

/// The ground of what is searched for.
pub fn found(visuals: &Visuals) -> Color32 {
    if visuals.dark_mode { Color32::from_rgb(0xf0, 0xe4, 0x42) } else { Color32::from_rgb(0xf7, 0xdf, 0x1e) }
}

/// A colour that stands back, because something else was searched for.
pub fn stand_back(visuals: &Visuals, colour: Color32) -> Color32 {
    colour.lerp_to_gamma(ground(visuals), 0.62)
}

/// Black or white: on the ground of a bar, what the theme's text is like, unless that could not be read.
pub fn ink_on(visuals: &Visuals, ground: Color32) -> Color32 {
    let (usual, other) =
        if visuals.dark_mode { (Color32::WHITE, Color32::BLACK) } else { (Color32::BLACK, Color32::WHITE) };
    if contrast(usual, ground) >= LEGIBLE { usual } else { other }
}

/// The least contrast of text that WCAG 2.1 calls legible (1.4.3, level AA).
const LEGIBLE: f32 = 4.5;

/// What bars lie on.
fn ground(visuals: &Visuals) -> Color32 {
    if visuals.dark_mode { visuals.panel_fill } else { Color32::WHITE }
}

/// The contrast of two colours, from 1 to 21, as WCAG 2.1 defines it.
fn contrast(a: Color32, b: Color32) -> f32 {
    let luminance = |colour: Color32| {
        let [red, green, blue] = [colour.r(), colour.g(), colour.b()].map(|part| {
            let part = f32::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_readable_on_every_ground_and_categories_are_not_the_panel() {
        for theme in [Theme::Dark, Theme::Light] {
            let visuals = visuals(theme);
            let mut grounds = vec![no_category(&visuals), found(&visuals)];
            grounds.extend((0..7).flat_map(|number| (0..3).map(move |shade| (number, shade))).map(
                |(number, shade)| {
                    let ground = category(&visuals, number, shade);
                    assert!(contrast(ground, visuals.panel_fill) > 1.3, "{theme:?} {number} {shade}");
                    ground
                },
            ));
            grounds.extend([-1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0].map(|change| difference(&visuals, change)));
            for ground in grounds.clone() {
                let back = stand_back(&visuals, ground);
                for ground in [ground, back] {
                    let contrast = contrast(ink_on(&visuals, ground), ground);
                    assert!(contrast >= LEGIBLE, "{theme:?} {ground:?}: {contrast}");
                }
            }
        }
    }
}
