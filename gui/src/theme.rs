//! Every colour, gap and font size, light and dark.
//!
//! There is one accent colour, for the break and for shares; everything else is a shade of the text.
//! Warnings have egui's own colour, and a word that says so.

use crate::model::colouring::Tone;
use egui::{
    Color32, CornerRadius, FontDefinitions, FontFamily, FontId, Margin, TextStyle, Theme, Vec2, Visuals,
};
use malloscope_replayer::explore::map::State;

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

/// The colours of Okabe and Ito, which nearly everybody can tell apart, black left out: orange, sky blue,
/// bluish green, yellow, blue, vermilion, reddish purple.
pub const CATEGORIES: [Color32; 7] = [
    Color32::from_rgb(0xe6, 0x9f, 0x00),
    Color32::from_rgb(0x56, 0xb4, 0xe9),
    Color32::from_rgb(0x00, 0x9e, 0x73),
    Color32::from_rgb(0xf0, 0xe4, 0x42),
    Color32::from_rgb(0x00, 0x72, 0xb2),
    Color32::from_rgb(0xd5, 0x5e, 0x00),
    Color32::from_rgb(0xcc, 0x79, 0xa7),
];

/// The colours of a sequence, from little to much: cividis (Nuñez, Anderton and Renslow 2018), at equal
/// distances.
pub const SEQUENCE: [Color32; 7] = [
    Color32::from_rgb(0x00, 0x20, 0x4c),
    Color32::from_rgb(0x21, 0x3d, 0x6b),
    Color32::from_rgb(0x55, 0x5b, 0x6c),
    Color32::from_rgb(0x7b, 0x7a, 0x77),
    Color32::from_rgb(0xa5, 0x9c, 0x74),
    Color32::from_rgb(0xd3, 0xc0, 0x64),
    Color32::from_rgb(0xff, 0xe9, 0x45),
];

/// What a class of a heap map is shown in: the same in both themes, but for the greys.
pub fn tone(visuals: &Visuals, tone: Tone) -> Color32 {
    let grey = |dark, light| Color32::from_gray(if visuals.dark_mode { dark } else { light });
    match tone {
        Tone::State(State::Live) => CATEGORIES[4],
        Tone::State(State::Cached) => CATEGORIES[0],
        Tone::State(State::Fast) => CATEGORIES[3],
        Tone::State(State::Unsorted) => CATEGORIES[5],
        Tone::State(State::Small) => CATEGORIES[6],
        Tone::State(State::Large) => CATEGORIES[1],
        Tone::State(State::Other) => CATEGORIES[2],
        Tone::State(State::Top) => grey(0x42, 0xd8),
        Tone::State(State::Own) => grey(0x8c, 0x78),
        Tone::Free => grey(0x5c, 0xb8),
        Tone::Rest => grey(0xb4, 0x50),
        Tone::Category(number) => CATEGORIES[usize::from(number) % CATEGORIES.len()],
        Tone::Sequence(number, of) => {
            let last = SEQUENCE.len() - 1;
            SEQUENCE[(usize::from(number) * last / usize::from(of.max(2) - 1)).min(last)]
        }
    }
}

/// What is written on a ground of this colour.
pub fn on(ground: Color32) -> Color32 {
    let [red, green, blue, _] = ground.to_array().map(u32::from);
    // Rec. 601: how bright it seems.
    if red * 299 + green * 587 + blue * 114 > 140_000 { Color32::BLACK } else { Color32::WHITE }
}
