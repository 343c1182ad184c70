//! A short piece of a line, in its colour and pattern and with its mark: says which line is whose.

use crate::theme;
use egui::{Color32, Mesh, Painter, Pos2, Rect, Sense, Shape, Stroke, Ui, Vec2, epaint::PathStroke, vec2};

/// How lines are interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dash {
    /// Not at all.
    Solid,
    /// By gaps as long as its pieces.
    Dashed,
    /// Into points.
    Dotted,
    /// By gaps as long as its pieces, which are long.
    Long,
}

impl Dash {
    /// The pattern of the line of this number.
    pub fn of(number: usize) -> Dash {
        [Dash::Solid, Dash::Dashed, Dash::Dotted, Dash::Long][number % 4]
    }
}

/// How wide a swatch is, in points.
const WIDTH: f32 = 30.0;

/// Shows the line of this number.
pub fn show(ui: &mut Ui, number: usize) {
    let (rect, _) = ui.allocate_exact_size(vec2(WIDTH, theme::ROW), Sense::hover());
    paint(ui, rect, number);
}

/// Paints the line of this number into the middle of a rectangle.
pub fn paint(ui: &Ui, rect: Rect, number: usize) {
    let colour = theme::series(ui.visuals(), number);
    let points = [rect.left_center(), rect.right_center()];
    line(ui.painter(), &points, colour, number);
    mark(ui, rect.center(), number);
}

/// Paints a line in the pattern of this number.
pub fn line(painter: &Painter, points: &[Pos2], colour: Color32, number: usize) {
    let stroke = Stroke::new(2.0, colour);
    let shape: Shape = match Dash::of(number) {
        Dash::Solid => Shape::line(points.to_vec(), stroke),
        Dash::Dashed => interrupted(points, 4.0, 3.0, stroke).into(),
        Dash::Dotted => interrupted(points, 2.0, 2.5, stroke).into(),
        Dash::Long => interrupted(points, 9.0, 5.0, stroke).into(),
    };
    painter.add(shape);
}

/// A line with gaps ends here, wherever it leads: that is longer than a screen has room for.
const MOST_VERTICES: usize = 40_000;
/// And so does the way from one of its points to the next.
const MOST_PIECES: u16 = 20_000;

/// A line with gaps, as one mesh: pieces of a long line that were shapes of their own would be thousands.
pub fn interrupted(line: &[Pos2], piece: f32, gap: f32, stroke: Stroke) -> Mesh {
    let mut mesh = Mesh::default();
    let period = piece + gap;
    // How far it is since the last piece began.
    let mut along = 0.0;
    for pair in line.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let length = from.distance(to);
        if !length.is_finite() || length == 0.0 {
            continue;
        }
        let step = (to - from) / length;
        let across = step.rot90() * (stroke.width / 2.0);
        for number in 0..MOST_PIECES {
            let begins = f32::from(number) * period - along;
            if begins >= length || mesh.vertices.len() >= MOST_VERTICES {
                break;
            }
            let (begin, stop) = (begins.max(0.0), (begins + piece).min(length));
            let Ok(index) = u32::try_from(mesh.vertices.len()) else { return mesh };
            if begin < stop {
                let (begin, stop) = (from + step * begin, from + step * stop);
                for corner in [begin - across, begin + across, stop - across, stop + across] {
                    mesh.colored_vertex(corner, stroke.color);
                }
                mesh.add_triangle(index, index + 1, index + 2);
                mesh.add_triangle(index + 1, index + 2, index + 3);
            }
        }
        along = (along + length) % period;
    }
    mesh
}

/// Paints the mark of the line of this number; the first one's is a ring.
pub fn mark(ui: &Ui, at: Pos2, number: usize) {
    const RADIUS: f32 = 4.0;
    let colour = theme::series(ui.visuals(), number);
    let polygon = |corners: &[[f32; 2]]| {
        let corners = corners.iter().map(|&[x, y]| at + RADIUS * Vec2::new(x, y)).collect();
        Shape::convex_polygon(corners, colour, PathStroke::NONE)
    };
    let shape = match number.checked_sub(1).map(|place| place % 5) {
        None => ring(ui, at, RADIUS, colour),
        Some(0) => Shape::circle_filled(at, RADIUS, colour),
        Some(1) => polygon(&[[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]),
        Some(2) => polygon(&[[0.0, -1.2], [1.2, 0.0], [0.0, 1.2], [-1.2, 0.0]]),
        Some(3) => polygon(&[[0.0, -1.1], [1.1, 0.9], [-1.1, 0.9]]),
        Some(_) => polygon(&[[-1.1, -0.9], [1.1, -0.9], [0.0, 1.1]]),
    };
    ui.painter().add(shape);
}

fn ring(ui: &Ui, at: Pos2, radius: f32, colour: Color32) -> Shape {
    ui.painter().circle_filled(at, radius, ui.visuals().panel_fill);
    Shape::circle_stroke(at, radius, Stroke::new(2.0, colour))
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::pos2;

    #[test]
    fn a_line_with_gaps_is_as_long_as_it_was() {
        let line = [pos2(0.0, 0.0), pos2(7.0, 0.0), pos2(7.0, 0.0), pos2(7.0, 13.0)];
        let mesh = interrupted(&line, 3.0, 2.0, Stroke::new(2.0, Color32::WHITE));
        let length: f32 = mesh.vertices.chunks(4).map(|piece| (piece[2].pos - piece[0].pos).length()).sum();
        // Of four times five points, three each.
        assert!((length - 12.0).abs() < 0.05, "{length}");
        let far = [pos2(0.0, 0.0), pos2(1e9, 0.0)];
        assert!(interrupted(&far, 1.0, 1.0, Stroke::NONE).vertices.len() <= MOST_VERTICES + 4);
    }

    #[test]
    fn a_line_with_gaps_goes_on_to_its_end_wherever_it_begins() {
        for begin in (0_u16..1000).map(|n| f32::from(n) * 0.37) {
            let line = [pos2(begin, 700.0), pos2(begin + 3.3, 700.0), pos2(1543.7, 700.0)];
            let mesh = interrupted(&line, 6.0, 4.0, Stroke::new(1.0, Color32::WHITE));
            let last = mesh.vertices.iter().map(|vertex| vertex.pos.x).fold(0.0, f32::max);
            assert!(last > 1539.0, "from {begin} it goes to {last}");
            assert!(mesh.vertices.len() < 4 * 170, "{} vertices", mesh.vertices.len());
        }
    }
}
