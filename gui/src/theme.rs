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

/// Colours that are told apart by people who see few: those of Okabe and Ito, the brightest darker on light
/// ground, and grey. A number beyond them is grey.
const CATEGORIES: [(u32, u32); 8] = [
    (0x56_b4_e9, 0x2a_86_be),
    (0x00_9e_73, 0x00_86_61),
    (0xe6_9f_00, 0xb0_76_00),
    (0xcc_79_a7, 0xb0_55_89),
    (0xd5_5e_00, 0xc2_53_00),
    (0xf0_e4_42, 0x8f_83_00),
    (0x2b_8f_d0, 0x00_5f_98),
    (0xa0_a0_a0, 0x76_76_76),
];

/// A colour for the `number`th of some things that are told apart.
pub fn category(visuals: &Visuals, number: usize) -> Color32 {
    let (dark, light) = CATEGORIES.get(number).copied().unwrap_or(CATEGORIES[CATEGORIES.len() - 1]);
    rgb(if visuals.dark_mode { dark } else { light })
}

/// Colours from least to most, as cividis has them: they grow lighter throughout, for everybody.
const SEQUENCE: [u32; 9] = [
    0x00_22_4e, 0x12_35_70, 0x3b_49_6c, 0x57_5d_6d, 0x70_71_73, 0x8a_86_78, 0xa5_9c_74, 0xc3_b3_69,
    0xfe_e8_38,
];

/// The colour of a share between none and all.
pub fn sequence(share: f64) -> Color32 {
    let steps = (SEQUENCE.len() - 1) as f64;
    let at = share.clamp(0.0, 1.0) * steps;
    let below = (0..=SEQUENCE.len() - 2).rev().find(|&step| step as f64 <= at).unwrap_or(0);
    let [from, to] = [SEQUENCE[below], SEQUENCE[below + 1]].map(rgb);
    #[expect(clippy::cast_possible_truncation, reason = "a colour has 256 steps")]
    from.lerp_to_gamma(to, (at - below as f64) as f32)
}

/// What is drawn where there is nothing to say.
pub fn nothing(visuals: &Visuals) -> Color32 {
    Color32::from_gray(if visuals.dark_mode { 0x3a } else { 0xd0 })
}

/// The ground of records that were selected.
pub fn selected(visuals: &Visuals) -> Color32 {
    accent(visuals).gamma_multiply(0.16)
}

fn rgb(colour: u32) -> Color32 {
    let [_, red, green, blue] = colour.to_be_bytes();
    Color32::from_rgb(red, green, blue)
}

/// Categories that have a colour of their own: Okabe and Ito's, without the yellow and the black, which
/// mean other things here. They are told apart by people who see few colours.
const FRAMES: [Color32; 6] = [
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
pub fn frame(visuals: &Visuals, number: usize, shade: u32) -> Color32 {
    let strength = 0.42 + 0.08 * (shade % 3) as f32;
    match FRAMES.get(number) {
        Some(colour) => ground(visuals).lerp_to_gamma(*colour, strength),
        None => ground(visuals).lerp_to_gamma(Color32::from_gray(0x90), strength),
    }
}

/// The ground of a bar that belongs to no category.
pub fn no_frame(visuals: &Visuals) -> Color32 {
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

/// The colours of Okabe and Ito, which nearly everybody can tell apart, black left out: orange, sky blue,
/// bluish green, yellow, blue, vermilion, reddish purple.
const OKABE_ITO: [Color32; 7] = [
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
const CIVIDIS: [Color32; 7] = [
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
        Tone::State(State::Live) => OKABE_ITO[4],
        Tone::State(State::Cached) => OKABE_ITO[0],
        Tone::State(State::Fast) => OKABE_ITO[3],
        Tone::State(State::Unsorted) => OKABE_ITO[5],
        Tone::State(State::Small) => OKABE_ITO[6],
        Tone::State(State::Large) => OKABE_ITO[1],
        Tone::State(State::Other) => OKABE_ITO[2],
        Tone::State(State::Top) => grey(0x42, 0xd8),
        Tone::State(State::Own) => grey(0x8c, 0x78),
        Tone::Free => grey(0x5c, 0xb8),
        Tone::Rest => grey(0xb4, 0x50),
        Tone::Category(number) => OKABE_ITO[usize::from(number) % OKABE_ITO.len()],
        Tone::Sequence(number, of) => {
            let last = CIVIDIS.len() - 1;
            CIVIDIS[(usize::from(number) * last / usize::from(of.max(2) - 1)).min(last)]
        }
    }
}

/// What is written on a ground of this colour.
pub fn on(ground: Color32) -> Color32 {
    let [red, green, blue, _] = ground.to_array().map(u32::from);
    // Rec. 601: how bright it seems.
    if red * 299 + green * 587 + blue * 114 > 100_000 { Color32::BLACK } else { Color32::WHITE }
}
#[cfg(test)]
mod tests {
    use super::*;

    /// How light a colour is (WCAG 2.2).
    fn luminance(colour: Color32) -> f64 {
        let linear = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(colour.r()) + 0.7152 * linear(colour.g()) + 0.0722 * linear(colour.b())
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
    #[test]
    fn every_category_stands_out_from_the_ground() {
        for theme in [Theme::Dark, Theme::Light] {
            let visuals = visuals(theme);
            for number in 0..CATEGORIES.len() {
                let contrast = contrast(category(&visuals, number), visuals.panel_fill);
                assert!(contrast >= 3.0, "{theme:?} {number}: {contrast:.2}");
            }
            assert!(contrast(accent(&visuals), visuals.panel_fill) >= 3.0);
            assert!(contrast(visuals.text_color(), visuals.panel_fill) >= 7.0);
        }
    }

    #[test]
    fn a_sequence_grows_lighter() {
        let colours = (0..=100).map(|percent| luminance(sequence(f64::from(percent) / 100.0)));
        assert!(colours.is_sorted());
        assert_eq!((sequence(-1.0), sequence(2.0)), (rgb(SEQUENCE[0]), rgb(SEQUENCE[8])));
    }

    #[test]
    fn labels_are_readable_on_every_ground_and_categories_are_not_the_panel() {
        for theme in [Theme::Dark, Theme::Light] {
            let visuals = visuals(theme);
            let mut grounds = vec![no_frame(&visuals), found(&visuals)];
            grounds.extend((0..7).flat_map(|number| (0..3).map(move |shade| (number, shade))).map(
                |(number, shade)| {
                    let ground = frame(&visuals, number, shade);
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

    #[test]
    fn what_is_drawn_side_by_side_is_told_apart() {
        let apart = |a: Color32, b: Color32| {
            let part = |a: u8, b: u8| i32::from(a.abs_diff(b));
            part(a.r(), b.r()) + part(a.g(), b.g()) + part(a.b(), b.b())
        };
        for theme in [Theme::Dark, Theme::Light] {
            let visuals = visuals(theme);
            let tones = |tones: &[Tone]| tones.iter().map(|&one| tone(&visuals, one)).collect::<Vec<_>>();
            let states = tones(&State::ALL.map(Tone::State));
            let rest = [Tone::State(State::Top), Tone::State(State::Own), Tone::Free, Tone::Rest];
            let categories: Vec<Tone> = (0..7).map(Tone::Category).chain(rest).collect();
            let sequence: Vec<Tone> = (0..7).map(|place| Tone::Sequence(place, 7)).collect();
            for drawn in [states, tones(&categories), tones(&sequence)] {
                for (number, &colour) in drawn.iter().enumerate() {
                    for &other in &drawn[number + 1..] {
                        assert!(apart(colour, other) >= 48, "{theme:?} {colour:?} {other:?}");
                    }
                    assert!(contrast(on(colour), colour) >= 4.0, "{theme:?} {colour:?} and its letter");
                }
            }
        }
    }
}
