//! The curves of what a heap had, with every grow and trim of its break.

use super::Drawn;
use crate::model::timeline::{Curve, Timeline};
use crate::theme;
use crate::widgets::band;
use crate::widgets::grid;
use crate::widgets::layer::{Layer, Section};
use crate::widgets::scale::{Scale, Seen, whole};
use crate::widgets::swatch;
use egui::{
    Align2, Color32, Mesh, Painter, Pos2, Rangef, Rect, Sense, Stroke, TextStyle, Ui, Visuals, WidgetInfo,
    accesskit::Role, pos2, vec2,
};
use malloscope_replayer::metrics::series::Sample;
use malloscope_replayer::report::units::{bytes, count};

/// Marks of moves are at least so many points apart: those nearer are one.
const APART: f32 = 7.0;
/// Marks reach so far beyond the curves.
const MARGIN: f32 = 4.0;
/// The room above the highest curve, as a share of it.
const ABOVE: f64 = 1.06;

/// The colour of a curve.
pub(super) fn colour(visuals: &Visuals, curve: Curve) -> Color32 {
    match curve {
        Curve::Break => theme::accent(visuals),
        Curve::Live => theme::quiet_line(visuals),
        Curve::Held => theme::category(visuals, 5),
        Curve::Resident => theme::category(visuals, 1),
        Curve::Pinned => theme::category(visuals, 4),
        Curve::Mapped => theme::category(visuals, 3),
        Curve::System => theme::category(visuals, 2),
    }
}

/// Draws the curves, their axis and their names.
pub(super) fn show(
    ui: &Ui,
    painter: &Painter,
    plot: Rect,
    across: Scale,
    drawn: &Drawn<'_>,
    curves: &[Curve],
    has_threshold: bool,
) {
    let Seen { from, to } = across.seen;
    let greatest = drawn
        .parts
        .iter()
        .filter(|part| part.from < to && part.to > from)
        .map(|part| part.timeline.greatest(curves, from.max(part.from), to.min(part.to)));
    let others = if curves.contains(&Curve::Break) { drawn.others.as_slice() } else { &[] };
    let of_others = others.iter().map(|other| other.timeline.greatest(&[Curve::Break], from, to)).max();
    let greatest = greatest.max().max(of_others).unwrap_or(0).max(1);
    let up = Scale::up(Seen { from: 0.0, to: greatest as f64 * ABOVE }, plot.y_range());
    bytes_axis(ui, painter, plot, up);
    let visuals = ui.visuals();
    for (number, part) in drawn.parts.iter().enumerate() {
        let range = Rangef::new(across.place(part.from.max(from)), across.place(part.to.min(to)));
        if part.from >= to || part.to <= from || range.span() <= 0.0 {
            continue;
        }
        let inside = painter.with_clip_rect(Rect::from_x_y_ranges(range, plot.y_range().expand(MARGIN)));
        let samples = part.timeline.between(from.max(part.from), to.min(part.to));
        let mut layer = Layer::over(ui, inside.clip_rect());
        // What matters most is drawn last.
        for &curve in Curve::ALL.iter().rev().filter(|curve| curves.contains(curve)) {
            let line = through(curve, samples, across, up);
            let colour = colour(visuals, curve);
            let width = if curve == Curve::Break { 2.0 } else { 1.2 };
            let below = (curve == Curve::Live).then(|| colour.gamma_multiply(0.22));
            let pixel = 1.0 / ui.ctx().pixels_per_point();
            if let Some(below) = below {
                let section = |at: &Pos2| Section { x: at.x, y: Rangef::new(at.y, plot.bottom()) };
                layer.ribbon(line.iter().map(section).collect(), below);
            }
            if band::is_dense(&line, pixel) {
                band::paint(&line, pixel, width, |covered| layer.fill(covered, colour));
            } else {
                layer.line(line, width, colour);
            }
        }
        layer.show(ui, &inside, &format!("curves {number}"));
        if curves.contains(&Curve::Break) {
            marks(ui, &inside, samples, across, up);
        }
    }
    let inside = painter.with_clip_rect(plot);
    for other in others {
        let line = through(Curve::Break, other.timeline.between(from, to), across, up);
        swatch::line(&inside, &line, theme::series(visuals, other.series), other.series);
    }
    if has_threshold {
        let line = threshold(drawn.parts.first().map(|part| part.timeline), across, up);
        inside.add(swatch::interrupted(&line, 6.0, 4.0, Stroke::new(1.0, visuals.weak_text_color())));
    }
    names(ui, painter, plot, across, up, drawn, curves);
}

fn bytes_axis(ui: &Ui, painter: &Painter, plot: Rect, up: Scale) {
    let font = TextStyle::Small.resolve(ui.style());
    for value in up.twos(28.0) {
        let y = up.place(value);
        grid::level(ui, painter, plot.x_range(), y);
        let at = pos2(plot.left() - 8.0, y);
        let text = bytes(whole(value));
        painter.text(at, Align2::RIGHT_CENTER, text, font.clone(), ui.visuals().weak_text_color());
    }
}

/// The points of a curve: in steps, if that is how it changes, and out to its extremes in between.
fn through(curve: Curve, samples: &[Sample], across: Scale, up: Scale) -> Vec<Pos2> {
    let mut points: Vec<Pos2> = Vec::with_capacity(samples.len() * 2);
    let mut before = None;
    for sample in samples {
        let x = across.place(sample.record as f64);
        let now = curve.value(sample);
        let (least, greatest) = curve.extremes(sample);
        let at = |value: u64| pos2(x, up.place(value as f64));
        let mut push = |value: u64| {
            let point = at(value);
            if points.last() != Some(&point) {
                points.push(point);
            }
        };
        if curve.is_in_steps()
            && let Some(before) = before
        {
            push(before);
        }
        for value in [greatest, least] {
            if value != now && before.is_none_or(|before| value > now.max(before) || value < now.min(before))
            {
                push(value);
            }
        }
        push(now);
        before = Some(now);
    }
    points
}

/// The mmap threshold, in steps.
fn threshold(timeline: Option<&Timeline>, across: Scale, up: Scale) -> Vec<Pos2> {
    let Some(timeline) = timeline.filter(|timeline| !timeline.thresholds.is_empty()) else {
        return Vec::new();
    };
    let mut points: Vec<Pos2> = Vec::new();
    for &(record, bytes) in &timeline.thresholds {
        let (x, y) = (across.place(record as f64), up.place(bytes as f64));
        points.extend(points.last().map(|before| pos2(x, before.y)));
        points.push(pos2(x, y));
    }
    let end = timeline.extent().1 as f64;
    points.extend(points.last().map(|before| pos2(across.place(end), before.y)));
    points
}

/// Moves of the break that are too near to each other to be told apart.
struct Moves {
    x: f32,
    y: f32,
    times: u64,
}

/// Marks every grow and every trim, with how many there are in one place.
fn marks(ui: &Ui, painter: &Painter, samples: &[Sample], across: Scale, up: Scale) {
    /// How often it moved, and where to.
    type Of = fn(&Sample) -> (u64, u64);
    let kinds: [(&str, f32, Of); 2] = [
        ("grown", -1.0, |sample| (sample.break_grown, sample.greatest_break)),
        ("trimmed", 1.0, |sample| (sample.break_trimmed, sample.least_break)),
    ];
    let colour = theme::accent(ui.visuals());
    let mut mesh = Mesh::default();
    for (name, direction, of) in kinds {
        let mut together: Vec<Moves> = Vec::new();
        for sample in samples {
            let (times, value) = of(sample);
            if times == 0 {
                continue;
            }
            let (x, y) = (across.place(sample.record as f64), up.place(value as f64));
            match together.last_mut() {
                Some(last) if x - last.x < APART => last.times += times,
                _ => together.push(Moves { x, y, times }),
            }
        }
        for moves in together {
            let tip = pos2(moves.x, moves.y + direction * 3.0);
            let Ok(index) = u32::try_from(mesh.vertices.len()) else { break };
            let size = if moves.times > 1 { 3.8 } else { 3.0 };
            for corner in [vec2(0.0, direction * size * 1.4), vec2(-size, 0.0), vec2(size, 0.0)] {
                mesh.colored_vertex(tip + corner, colour);
            }
            mesh.add_triangle(index, index + 1, index + 2);
            let place = Rect::from_center_size(tip, vec2(APART, APART * 2.0));
            if painter.clip_rect().intersects(place) {
                let id = ui.scope_id().with((name, whole(across.value(moves.x))));
                let said = || format!("Break {name} {} times", count(moves.times));
                let response = ui.interact(place, id, Sense::hover());
                response.widget_info(|| WidgetInfo::labeled(Role::Label, true, said()));
            }
        }
    }
    painter.add(mesh);
}

/// The name of each curve, where it ends, as near to that as the others leave room.
fn names(
    ui: &Ui,
    painter: &Painter,
    plot: Rect,
    across: Scale,
    up: Scale,
    drawn: &Drawn<'_>,
    curves: &[Curve],
) {
    let font = TextStyle::Small.resolve(ui.style());
    let Some(timeline) = drawn.at(across.seen.to).or(drawn.parts.last().map(|part| part.timeline)) else {
        return;
    };
    let Some(sample) = timeline.at(across.seen.to) else { return };
    let mut ends: Vec<(f32, Curve)> =
        curves.iter().map(|&curve| (up.place(curve.value(sample) as f64), curve)).collect();
    ends.sort_by(|a, b| b.0.total_cmp(&a.0));
    // From the lowest upward: each a line above the one before, if it must; and then back, if that led too high.
    let mut lowest = plot.bottom() - font.size / 2.0;
    for (y, _) in &mut ends {
        *y = y.min(lowest);
        lowest = *y - font.size;
    }
    let mut highest = plot.top() + font.size / 2.0;
    for (y, _) in ends.iter_mut().rev() {
        *y = y.max(highest);
        highest = *y + font.size;
    }
    for (y, curve) in ends {
        let at = pos2(plot.right() + 5.0, y);
        painter.text(at, Align2::LEFT_CENTER, curve.name(), font.clone(), colour(ui.visuals(), curve));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_is_drawn_in_steps_and_out_to_its_extremes() {
        let sample = |record, program_break, least_break, greatest_break| Sample {
            record,
            program_break,
            least_break,
            greatest_break,
            ..Sample::default()
        };
        let samples = [sample(0, 10, 10, 10), sample(10, 20, 10, 40), sample(20, 20, 20, 20)];
        let across = Scale::across(Seen { from: 0.0, to: 100.0 }, Rangef::new(0.0, 100.0));
        let up = Scale::up(Seen { from: 0.0, to: 100.0 }, Rangef::new(0.0, 100.0));
        let points = through(Curve::Break, &samples, across, up);
        let drawn: Vec<(f32, f32)> =
            points.iter().map(|point| (point.x.round(), 100.0 - point.y.round())).collect();
        assert_eq!(drawn, [(0., 10.), (10., 10.), (10., 40.), (10., 20.), (20., 20.)]);
    }
}
