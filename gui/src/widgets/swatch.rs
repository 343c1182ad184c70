//! A short piece of a line, in its colour and pattern and with its mark: says which line is whose.

use crate::theme;
use egui::{Color32, Pos2, Rect, Sense, Shape, Stroke, Ui, Vec2, epaint::PathStroke, vec2};

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
    let painter = ui.painter();
    match Dash::of(number) {
        Dash::Solid => {
            painter.line_segment(points, Stroke::new(2.0, colour));
        }
        Dash::Dashed => {
            painter.extend(Shape::dashed_line(&points, Stroke::new(2.0, colour), 4.0, 3.0));
        }
        Dash::Dotted => {
            painter.extend(Shape::dotted_line(&points, colour, 4.0, 1.3));
        }
        Dash::Long => {
            painter.extend(Shape::dashed_line(&points, Stroke::new(2.0, colour), 9.0, 5.0));
        }
    }
    mark(ui, rect.center(), number);
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
