//! A line with more points than there are pixels: of each column of pixels what it covers.
//!
//! A stroke through every point of such a line paints the same pixels many times over, and takes several vertices
//! a point. Here a frame costs as much as the line is wide, however many points there are, and less where it is level.

use egui::{Pos2, Rangef, Rect};

/// Whether a line has so many points that it should be drawn by columns, each so wide.
pub fn is_dense(line: &[Pos2], column: f32) -> bool {
    let (Some(first), Some(last)) = (line.first(), line.last()) else { return false };
    let columns = (last.x - first.x).abs() / column.max(f32::EPSILON);
    // Steps take two points each.
    line.len() as f64 > f64::from(columns) / 2.0
}

/// Paints a line, whose points go from left to right, by columns of this width, with rectangles as high as what
/// it covers of them and `thickness` more.
pub fn paint(line: &[Pos2], column: f32, thickness: f32, mut rectangle: impl FnMut(Rect)) {
    let mut paint = |from: f32, to: f32, covered: Rangef| {
        let covered = covered.expand(thickness / 2.0);
        rectangle(Rect::from_x_y_ranges(from * column..=(to + 1.0) * column, covered));
    };
    // Columns that are covered alike, side by side, are one rectangle; behind them the column that is still open.
    let mut alike: Option<(f32, f32, Rangef)> = None;
    let mut close = |number: f32, covered: Rangef, is_last: bool| {
        match &mut alike {
            Some((_, to, before)) if *before == covered && *to + 1.0 == number => *to = number,
            _ => {
                if let Some((from, to, before)) = alike.replace((number, number, covered)) {
                    paint(from, to, before);
                }
            }
        }
        if is_last && let Some((from, to, before)) = alike {
            paint(from, to, before);
        }
    };
    let mut open: Option<(f32, Rangef)> = None;
    let mut cover = |number: f32, from: f32, to: f32| {
        let here = Rangef::new(from.min(to), from.max(to));
        match &mut open {
            Some((at, covered)) if *at == number => {
                *covered = Rangef::new(covered.min.min(here.min), covered.max.max(here.max));
            }
            _ => {
                if let Some((at, covered)) = open.replace((number, here)) {
                    close(at, covered, false);
                }
            }
        }
    };
    for ends in line.windows(2) {
        let [from, to] = [ends[0], ends[1]];
        let (first, last) = ((from.x / column).floor(), (to.x / column).floor());
        let at = |x: f32| from.y + (to.y - from.y) * ((x - from.x) / (to.x - from.x)).clamp(0.0, 1.0);
        let (mut number, mut y) = (first, from.y);
        while number < last {
            let border = at((number + 1.0) * column);
            cover(number, y, border);
            (number, y) = (number + 1.0, border);
        }
        cover(last, y, to.y);
    }
    if let Some((number, covered)) = open {
        close(number, covered, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::pos2;

    /// What a line by columns covers: left, right, top and bottom of each rectangle.
    fn covered(line: &[Pos2], thickness: f32) -> Vec<[f32; 4]> {
        let mut covered = Vec::new();
        paint(line, 1.0, thickness, |rect| {
            covered.push([rect.left(), rect.right(), rect.top(), rect.bottom()]);
        });
        covered
    }

    #[test]
    fn every_column_is_covered_from_the_highest_to_the_lowest_once() {
        let line = [pos2(0.2, 5.0), pos2(0.4, 9.0), pos2(0.6, 1.0), pos2(2.5, 1.0), pos2(2.6, 3.0)];
        assert_eq!(covered(&line, 2.0), [[0.0, 1.0, 0.0, 10.0], [1.0, 2.0, 0.0, 2.0], [2.0, 3.0, 0.0, 4.0]]);
    }

    #[test]
    fn a_slope_is_cut_at_the_borders_of_columns() {
        let expected = [
            [0.0, 1.0, 0.0, 2.0],
            [1.0, 2.0, 2.0, 4.0],
            [2.0, 3.0, 4.0, 6.0],
            [3.0, 4.0, 6.0, 8.0],
            [4.0, 5.0, 8.0, 8.0],
        ];
        assert_eq!(covered(&[pos2(0.0, 0.0), pos2(4.0, 8.0)], 0.0), expected);
    }

    #[test]
    fn what_is_level_is_one_rectangle() {
        let line = [pos2(0.5, 4.0), pos2(90.5, 4.0), pos2(90.5, 8.0), pos2(99.5, 8.0)];
        let expected = [[0.0, 90.0, 4.0, 4.0], [90.0, 91.0, 4.0, 8.0], [91.0, 100.0, 8.0, 8.0]];
        assert_eq!(covered(&line, 0.0), expected);
    }

    #[test]
    fn a_million_points_take_no_more_than_the_columns() {
        let at = |x: u16, n: u16| {
            pos2(f32::from(x) + f32::from(n) / 1000.0, if n.is_multiple_of(2) { 0.0 } else { 50.0 })
        };
        let line: Vec<Pos2> = (0..1000).flat_map(|x| (0..1000).map(move |n| at(x, n))).collect();
        assert!(is_dense(&line, 1.0) && !is_dense(&line[..2], 1.0 / 20_000.0));
        let covered = covered(&line, 1.0);
        assert!(covered.len() <= 1000);
        assert_eq!(covered.iter().map(|[left, right, ..]| right - left).sum::<f32>(), 1000.0);
    }
}
