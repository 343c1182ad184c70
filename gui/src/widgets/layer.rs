//! A layer of pixels painted here and shown as one picture, for what would be thousands of slivers otherwise.
//!
//! Without a graphics processor every triangle is drawn in blocks of some pixels, and a rectangle narrower than
//! a block costs as much as the block, twice; a line with smooth edges takes six triangles a piece. Here it costs
//! the pixels it covers, and only when it changes; the picture costs its area.

use egui::mutex::Mutex;
use egui::{Color32, ColorImage, Painter, Pos2, Rect, TextureHandle, TextureOptions, Ui, Vec2, pos2, vec2};
use std::sync::Arc;

/// What is painted, in this order, on ground that is clear.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Where the first pixel begins, and the last ends, in points.
    place: Rect,
    /// Pixels a point.
    scale: f32,
    /// Pixels a row, and rows.
    size: [usize; 2],
    strokes: Vec<Stroke>,
}

#[derive(Clone, Debug, PartialEq)]
enum Stroke {
    Fill(Rect, Color32),
    Line(Vec<Pos2>, f32, Color32),
}

/// What a layer showed last: the picture is painted again only if that has changed.
type Shown = Arc<Mutex<Option<(Layer, TextureHandle)>>>;

impl Layer {
    /// One over a place on the screen, whole pixels of it.
    pub fn over(ui: &Ui, place: Rect) -> Layer {
        Layer::new(place, ui.ctx().pixels_per_point(), ui.ctx().input(|input| input.max_texture_side))
    }

    fn new(place: Rect, scale: f32, most: usize) -> Layer {
        let place = if place.is_finite() { place } else { Rect::ZERO };
        // Coarser, where a texture cannot have so many pixels; some are left for rounding.
        let scale = scale.min(most.saturating_sub(2) as f32 / place.size().max_elem().max(1.0));
        let first = pos2((place.left() * scale).floor(), (place.top() * scale).floor());
        let side = |from: f32, to: f32| pixel((to * scale).ceil() - from);
        let (columns, rows) = (side(first.x, place.right()), side(first.y, place.bottom()));
        let size = vec2(columns as f32, rows as f32) / scale;
        Layer {
            place: Rect::from_min_size(pos2(first.x / scale, first.y / scale), size),
            scale,
            size: [columns, rows],
            strokes: Vec::new(),
        }
    }

    /// Paints a rectangle over what is there. From left to right it takes the pixels whose middle it covers, so that
    /// those side by side have no seam; at its top and bottom each pixel as far as it covers it.
    pub fn fill(&mut self, rect: Rect, colour: Color32) {
        self.strokes.push(Stroke::Fill(rect, colour));
    }

    /// Paints a line through some points over what is there, with smooth edges, as if it were one stroke: where it
    /// touches itself it is no darker.
    pub fn line(&mut self, points: Vec<Pos2>, width: f32, colour: Color32) {
        self.strokes.push(Stroke::Line(points, width, colour));
    }

    /// Shows the layer, under a name that no other has in this part of the window.
    pub fn show(self, ui: &Ui, painter: &Painter, name: &str) {
        if self.size.contains(&0) || self.strokes.is_empty() {
            return;
        }
        let id = ui.scope_id().with(("layer", name));
        let shown: Shown = ui.data_mut(|data| data.get_temp_mut_or_default::<Shown>(id).clone());
        let mut shown = shown.lock();
        match &mut *shown {
            Some((before, _)) if *before == self => {}
            Some((before, texture)) => {
                texture.set(self.picture(), TextureOptions::NEAREST);
                *before = self;
            }
            none => {
                let texture = ui.ctx().load_texture(name, self.picture(), TextureOptions::NEAREST);
                *none = Some((self, texture));
            }
        }
        if let Some((layer, texture)) = &*shown {
            let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            painter.image(texture.id(), layer.place, whole, Color32::WHITE);
        }
    }

    fn picture(&self) -> ColorImage {
        let mut image = ColorImage::filled(self.size, Color32::TRANSPARENT);
        let mut covered = Covered::new(self.size);
        for stroke in &self.strokes {
            match stroke {
                Stroke::Fill(rect, colour) => self.paint_fill(&mut image, *rect, *colour),
                Stroke::Line(points, width, colour) => {
                    for ends in points.windows(2) {
                        let [from, to] = [ends[0], ends[1]].map(|end| (end - self.place.min) * self.scale);
                        covered.add(from, to, width * self.scale / 2.0);
                    }
                    covered.paint(&mut image, *colour);
                }
            }
        }
        image
    }

    fn paint_fill(&self, image: &mut ColorImage, rect: Rect, colour: Color32) {
        let rect = rect.translate(-self.place.min.to_vec2());
        let [columns, rows] = self.size;
        let across = |x: f32| pixel((x * self.scale).round()).min(columns);
        let down = |y: f32| (y * self.scale).clamp(0.0, rows as f32);
        let (left, right) = (across(rect.left()), across(rect.right()));
        let (top, bottom) = (down(rect.top()), down(rect.bottom()));
        // Nothing, or not a number.
        if left >= right || top.partial_cmp(&bottom) != Some(std::cmp::Ordering::Less) {
            return;
        }
        for row in pixel(top.floor())..pixel(bottom.ceil()) {
            let covered = bottom.min(row as f32 + 1.0) - top.max(row as f32);
            let colour = if covered < 1.0 { colour.gamma_multiply(covered) } else { colour };
            let first = row * columns;
            let pixels = &mut image.pixels[first + left..first + right];
            if colour.is_opaque() {
                pixels.fill(colour);
            } else {
                pixels.iter_mut().for_each(|pixel| *pixel = over(*pixel, colour));
            }
        }
    }
}

/// A colour on top of a pixel, which is clear more often than not.
fn over(pixel: Color32, colour: Color32) -> Color32 {
    if pixel == Color32::TRANSPARENT || colour.is_opaque() { colour } else { pixel.blend(colour) }
}

/// What a line covers of each pixel, of 255.
struct Covered {
    size: [usize; 2],
    pixels: Vec<u8>,
    /// The numbers of those of which it covers something.
    touched: Vec<usize>,
}

impl Covered {
    fn new(size: [usize; 2]) -> Covered {
        Covered { size, pixels: vec![0; size[0] * size[1]], touched: Vec::new() }
    }

    /// Paints what is covered, and covers nothing any more.
    fn paint(&mut self, image: &mut ColorImage, colour: Color32) {
        for number in self.touched.drain(..) {
            let covered = std::mem::take(&mut self.pixels[number]);
            let pixel = &mut image.pixels[number];
            *pixel = over(*pixel, colour.gamma_multiply_u8(covered));
        }
    }

    /// Covers what is near a piece of a line, `half` to each side. Only the pixels near it are looked at: row by row
    /// if it is steep, and otherwise column by column.
    fn add(&mut self, from: Vec2, to: Vec2, half: f32) {
        let way = to - from;
        let is_steep = way.y.abs() > way.x.abs();
        let turned = |at: Vec2| if is_steep { at.yx() } else { at };
        let (first, last) = (turned(from), turned(to));
        let (first, last) = if first.x <= last.x { (first, last) } else { (last, first) };
        let slope = if last.x > first.x { (last.y - first.y) / (last.x - first.x) } else { 0.0 };
        let reach = half + 1.0;
        let aside = reach * (1.0 + slope * slope).sqrt();
        let [columns, rows] = self.size;
        let [along, across] = if is_steep { [rows, columns] } else { [columns, rows] };
        let length = way.length_sq().max(f32::EPSILON);
        for x in pixel(first.x - reach)..pixel((last.x + reach).ceil()).min(along) {
            let middle = x as f32 + 0.5;
            let y = first.y + slope * (middle.clamp(first.x, last.x) - first.x);
            for y in pixel(y - aside)..pixel((y + aside).ceil()).min(across) {
                let here = turned(vec2(middle, y as f32 + 0.5)) - from;
                let share = (here.dot(way) / length).clamp(0.0, 1.0);
                let distance = (here - way * share).length_sq().sqrt();
                let covered = ((half + 0.5 - distance).min(2.0 * half) * 255.0).clamp(0.0, 255.0) as u8;
                let [column, row] = if is_steep { [y, x] } else { [x, y] };
                let number = row * columns + column;
                let before = self.pixels[number];
                if covered > before {
                    if before == 0 {
                        self.touched.push(number);
                    }
                    self.pixels[number] = covered;
                }
            }
        }
    }
}

/// The number of a pixel; 0 for what lies before the first.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a screen has some thousand pixels"
)]
fn pixel(at: f32) -> usize {
    at as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: Color32 = Color32::from_rgb(255, 0, 0);

    fn rect(left: f32, right: f32, top: f32, bottom: f32) -> Rect {
        Rect::from_x_y_ranges(left..=right, top..=bottom)
    }

    fn alphas(layer: &Layer) -> Vec<Vec<u8>> {
        layer
            .image
            .pixels
            .chunks(layer.columns)
            .map(|row| row.iter().map(|pixel| pixel.a()).collect())
            .collect()
    }

    #[test]
    fn a_layer_lies_on_whole_pixels() {
        let layer = Layer::new(rect(10.3, 20.2, 5.0, 6.1), 2.0, 4096);
        assert_eq!(layer.size, [21, 3]);
        assert_eq!(layer.place, rect(10.0, 20.5, 5.0, 6.5));
    }

    #[test]
    fn no_layer_is_larger_than_a_texture_may_be() {
        let wide = Layer::new(rect(100.0, 8292.0, 0.0, 3.0), 1.0, 4098);
        assert_eq!(wide.size, [4096, 2]);
        assert_eq!(wide.place, rect(100.0, 8292.0, 0.0, 4.0));
        assert_eq!(Layer::new(rect(0.0, f32::INFINITY, 0.0, 3.0), 1.0, 4096).size, [0, 0]);
        assert_eq!(Layer::new(Rect::NOTHING, 1.0, 4096).size, [0, 0]);
    }

    #[test]
    fn rectangles_side_by_side_have_no_seam_and_cover_nothing_twice() {
        let mut layer = Layer::new(rect(0.0, 4.0, 0.0, 1.0), 1.0, 4096);
        let half = RED.gamma_multiply(0.5);
        layer.fill(rect(0.0, 1.7, 0.0, 1.0), half);
        layer.fill(rect(1.7, 4.0, 0.0, 1.0), half);
        assert_eq!(alphas(&layer), [[128; 4]]);
    }

    #[test]
    fn a_row_is_covered_as_far_as_the_rectangle_goes() {
        let mut layer = Layer::new(rect(10.0, 12.0, 20.0, 24.0), 1.0, 4096);
        layer.fill(rect(11.0, 12.0, 20.5, 22.25), RED);
        assert_eq!(alphas(&layer), [[0, 128], [0, 255], [0, 64], [0, 0]]);
    }

    #[test]
    fn a_line_covers_as_much_as_it_is_wide_whichever_way_it_goes() {
        for (from, to) in
            [((2.0, 10.0), (18.0, 10.0)), ((10.0, 18.0), (10.0, 2.0)), ((3.0, 4.0), (17.0, 15.0))]
        {
            let mut layer = Layer::new(rect(100.0, 120.0, 50.0, 70.0), 1.0, 4096);
            let (from, to) = (pos2(100.0 + from.0, 50.0 + from.1), pos2(100.0 + to.0, 50.0 + to.1));
            layer.line(vec![from, to], 2.0, RED);
            let covered: f32 = alphas(&layer).iter().flatten().map(|&alpha| f32::from(alpha) / 255.0).sum();
            // And the round ends.
            let expected = (to - from).length() * 2.0 + std::f32::consts::PI;
            assert!((covered - expected).abs() < expected * 0.05, "{covered} is not {expected}");
        }
    }

    #[test]
    fn a_line_over_itself_is_no_darker() {
        let line = [pos2(1.5, 5.2), pos2(8.0, 5.2)];
        let mut once = Layer::new(rect(0.0, 10.0, 0.0, 10.0), 1.0, 4096);
        let mut thrice = Layer::new(rect(0.0, 10.0, 0.0, 10.0), 1.0, 4096);
        once.line(line.to_vec(), 1.2, RED);
        thrice.line([line, line].concat(), 1.2, RED);
        assert_eq!(alphas(&once), alphas(&thrice));
        assert!(alphas(&once).concat().contains(&255));
    }

    #[test]
    fn of_a_line_that_leaves_the_layer_the_rest_is_cut() {
        let mut layer = Layer::new(rect(0.0, 4.0, 0.0, 1.0), 1.0, 4096);
        layer.line(vec![pos2(-1e6, 0.5), pos2(1e6, 0.5)], 1.0, RED);
        assert_eq!(alphas(&layer), [[255; 4]]);
        layer.line(vec![pos2(f32::NAN, 0.5), pos2(1.0, f32::INFINITY)], 1.0, RED);
    }

    #[test]
    fn what_lies_outside_is_cut() {
        let mut layer = Layer::new(rect(0.0, 2.0, 0.0, 2.0), 1.0, 4096);
        layer.fill(rect(-5.0, 1.0, -5.0, 9.0), RED);
        layer.fill(rect(5.0, 7.0, 0.0, 1.0), RED);
        layer.fill(rect(1.0, 2.0, f32::NAN, 1.0), RED);
        layer.fill(rect(1.0, 2.0, 2.0, 1.0), RED);
        assert_eq!(alphas(&layer), [[255, 0], [255, 0]]);
    }
}
