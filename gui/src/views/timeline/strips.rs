//! What is counted slice by slice: a bar each.

use super::Drawn;
use crate::model::timeline::{Slice, Strip};
use crate::theme;
use crate::widgets::grid;
use crate::widgets::layer::Layer;
use crate::widgets::scale::whole;
use crate::widgets::scale::{Scale, narrow};
use egui::{Align2, Color32, Painter, Rect, TextStyle, Ui, Visuals, pos2};
use malloscope_replayer::report::units::count;

/// What a slice has, in words.
pub(super) fn said(slice: &Slice, strip: Strip) -> String {
    let records = slice.end - slice.first;
    match strip {
        Strip::Calls => match whole(slice.rates(strip).0) {
            0 => "–".to_owned(),
            rate => count(rate),
        },
        Strip::Moves => {
            format!("▲ {} ▼ {} in {} records", count(slice.grown), count(slice.trimmed), count(records))
        }
        Strip::Faults => format!("{} in {} records", count(slice.faults), count(records)),
        Strip::Mappings => format!("{} in {} records", count(slice.mappings), count(records)),
    }
}

pub(super) fn colour(visuals: &Visuals, strip: Strip) -> Color32 {
    match strip {
        Strip::Calls | Strip::Faults => theme::quiet_line(visuals),
        Strip::Moves => theme::accent(visuals),
        Strip::Mappings => theme::category(visuals, 3),
    }
}

/// Draws a strip: of several slices in one point, the highest.
pub(super) fn show(ui: &Ui, painter: &Painter, place: Rect, across: Scale, drawn: &Drawn<'_>, strip: Strip) {
    let visuals = ui.visuals();
    let font = TextStyle::Small.resolve(ui.style());
    let at = pos2(place.left() - 8.0, place.center().y);
    // The name of the moves is longer than there is room.
    let name = if strip == Strip::Moves { "▲ ▼ moves" } else { strip.name() };
    painter.text(at, Align2::RIGHT_CENTER, name, font.clone(), visuals.weak_text_color());
    let (from, to) = (across.seen.from, across.seen.to);
    let mut bars: Vec<(f32, f32, f64, f64)> = Vec::new();
    let mut most = 0.0_f64;
    for part in &drawn.parts {
        let (from, to) = (from.max(part.from), to.min(part.to));
        if from >= to {
            continue;
        }
        for slice in &part.timeline.slices[part.timeline.slices_between(from, to)] {
            let (up, down) = slice.rates(strip);
            most = most.max(up).max(down);
            let left = across.place((slice.first as f64).max(from));
            let right = across.place((slice.end as f64).min(to));
            bars.push((left, right.max(left + 1.0), up, down));
        }
    }
    // Moves go both ways from the middle.
    let line = if strip == Strip::Moves { place.center().y } else { place.bottom() };
    grid::level(ui, painter, place.x_range(), line);
    let greatest = most;
    // A few that tower above all others would make those invisible: they are cut, and say so.
    let most = bulk(&bars).unwrap_or(most);
    if most == 0.0 {
        let text = "none";
        painter.text(
            place.left_center() + egui::vec2(6.0, 0.0),
            Align2::LEFT_CENTER,
            text,
            font,
            visuals.weak_text_color(),
        );
        return;
    }
    let height = if strip == Strip::Moves { place.height() / 2.0 } else { place.height() };
    let colour = colour(visuals, strip);
    let tall = |value: f64| if value > 0.0 { narrow(value / most).clamp(0.08, 1.0) * height } else { 0.0 };
    let mut layer = Layer::over(ui, place);
    for (left, right, up, down) in bars {
        if up > 0.0 {
            layer.fill(Rect::from_x_y_ranges(left..=right, line - tall(up)..=line), colour);
        }
        if down > 0.0 {
            let trimmed = theme::category(visuals, 2);
            layer.fill(Rect::from_x_y_ranges(left..=right, line..=line + tall(down)), trimmed);
        }
    }
    layer.show(ui, painter, strip.name());
    if greatest > most {
        let at = pos2(place.right() + 5.0, place.center().y);
        let text = format!("cut {}", short(whole(most)));
        painter.text(at, Align2::LEFT_CENTER, text, font, visuals.weak_text_color());
        return;
    }
    if strip == Strip::Calls {
        let at = pos2(place.right() + 5.0, place.center().y);
        let text = format!("≤ {}", short(whole(most)));
        painter.text(at, Align2::LEFT_CENTER, text, font, visuals.weak_text_color());
    }
}

/// How often a bar must be higher than nearly all others to be cut.
const TOWERS: f64 = 4.0;

/// What nearly all bars stay below, if a few are much higher.
fn bulk(bars: &[(f32, f32, f64, f64)]) -> Option<f64> {
    let mut heights: Vec<f64> =
        bars.iter().map(|bar| bar.2.max(bar.3)).filter(|height| *height > 0.0).collect();
    heights.sort_by(f64::total_cmp);
    let nearly_all = *heights.get(heights.len() * 19 / 20)?;
    let most = *heights.last()?;
    (most > nearly_all * TOWERS).then_some(nearly_all * 1.25)
}

/// A number in few characters.
fn short(value: u64) -> String {
    match value {
        0..10_000 => count(value),
        10_000..1_000_000 => format!("{} k", value / 1000),
        1_000_000..100_000_000 => format!("{:.1} M", value as f64 / 1e6),
        _ => format!("{} M", count(value / 1_000_000)),
    }
}
