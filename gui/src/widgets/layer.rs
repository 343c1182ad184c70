//! A layer of pixels painted here and shown as one picture, for what would be thousands of slivers otherwise.
//!
//! Without a graphics processor every triangle is drawn in blocks of some pixels, and a rectangle narrower than
//! a block costs as much as the block, twice; a line with smooth edges takes six triangles a piece. Here it costs
//! the pixels it covers, and only when it changes; the picture costs its area.

use egui::mutex::Mutex;
use egui::{
    Color32, ColorImage, Painter, Pos2, Rangef, Rect, TextureHandle, TextureOptions, Ui, Vec2, pos2, vec2,
};
use std::cmp::Ordering;
use std::ops::Range;
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
    Ribbon(Vec<Section>, Color32),
}

/// Where a ribbon is cut from top to bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Section {
    /// How far from the left.
    pub x: f32,
    /// What it has there, from its top to its bottom.
    pub y: Rangef,
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

    /// Paints what lies between two lines over what is there, straight from section to section, which go from left
    /// to right.
    pub fn ribbon(&mut self, sections: Vec<Section>, colour: Color32) {
        self.strokes.push(Stroke::Ribbon(sections, colour));
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

    /// What it looks like. A large one is painted by several processors, each some of its rows.
    fn picture(&self) -> ColorImage {
        /// A thread is begun in the time of some ten thousand pixels.
        const WORTHWHILE: usize = 100_000;
        const MOST: usize = 4;
        let [columns, rows] = self.size;
        let mut image = ColorImage::filled(self.size, Color32::TRANSPARENT);
        let processors = std::thread::available_parallelism().map_or(1, usize::from).min(MOST);
        let bands = processors.min(columns * rows / WORTHWHILE).max(1);
        self.paint(&mut image.pixels, rows.div_ceil(bands));
        image
    }

    /// Paints so many rows at a time, all at once.
    fn paint(&self, pixels: &mut [Color32], rows: usize) {
        let columns = self.size[0];
        let all = pixels.chunks_mut((rows * columns).max(1)).enumerate();
        let mut bands = all.map(|(number, pixels)| Band { pixels, columns, first: number * rows });
        let own = bands.next();
        std::thread::scope(|scope| {
            for mut band in bands {
                scope.spawn(move || self.paint_band(&mut band));
            }
            if let Some(mut band) = own {
                self.paint_band(&mut band);
            }
        });
    }

    fn paint_band(&self, band: &mut Band<'_>) {
        // Only lines need it.
        let mut covered = None;
        let above = vec2(0.0, band.first as f32);
        for stroke in &self.strokes {
            match stroke {
                Stroke::Fill(rect, colour) => self.paint_fill(band, *rect, *colour),
                Stroke::Line(points, width, colour) => {
                    let covered = covered.get_or_insert_with(|| Covered::new([band.columns, band.rows()]));
                    for ends in points.windows(2) {
                        let [from, to] =
                            [ends[0], ends[1]].map(|end| (end - self.place.min) * self.scale - above);
                        covered.add(from, to, width * self.scale / 2.0);
                    }
                    covered.paint(band.pixels, *colour);
                }
                Stroke::Ribbon(sections, colour) => self.paint_ribbon(band, sections, *colour),
            }
        }
    }

    /// Paints every column of pixels whose middle lies between two sections, as high as the ribbon is there. Of some
    /// columns side by side, what all of them cover is painted row by row, which is quicker.
    fn paint_ribbon(&self, band: &mut Band<'_>, sections: &[Section], colour: Color32) {
        const TOGETHER: usize = 16;
        let mut columns: Vec<(usize, Rangef)> = Vec::new();
        for ends in sections.windows(2) {
            let [first, last] = [ends[0], ends[1]];
            for column in self.column(first.x)..self.column(last.x) {
                let x = self.place.left() + (column as f32 + 0.5) / self.scale;
                let share = ((x - first.x) / (last.x - first.x)).clamp(0.0, 1.0);
                let row = |from: f32, to: f32| self.row(from + (to - from) * share);
                columns
                    .push((column, Rangef::new(row(first.y.min, last.y.min), row(first.y.max, last.y.max))));
            }
        }
        for columns in columns.chunks(TOGETHER) {
            let top = columns.iter().map(|(_, y)| y.min.ceil()).fold(0.0, f32::max);
            let bottom = columns.iter().map(|(_, y)| y.max.floor()).fold(f32::INFINITY, f32::min);
            let ([(first, _), ..], [.., (last, _)]) = (columns, columns) else { continue };
            let is_common = top < bottom && last - first + 1 == columns.len();
            if is_common {
                band.paint_rows(*first..last + 1, Rangef::new(top, bottom), colour);
            }
            for &(column, y) in columns {
                let parts = if is_common {
                    [Rangef::new(y.min, top), Rangef::new(bottom, y.max)]
                } else {
                    [y, Rangef::NOTHING]
                };
                parts.into_iter().for_each(|y| band.paint_rows(column..column + 1, y, colour));
            }
        }
    }

    fn paint_fill(&self, band: &mut Band<'_>, rect: Rect, colour: Color32) {
        let columns = self.column(rect.left())..self.column(rect.right());
        let rows = Rangef::new(self.row(rect.top()), self.row(rect.bottom()));
        band.paint_rows(columns, rows, colour);
    }

    /// The column of pixels at which something begins that covers only those whose middle it covers.
    fn column(&self, x: f32) -> usize {
        pixel(((x - self.place.left()) * self.scale).round()).min(self.size[0])
    }

    /// How many rows of pixels lie above a place.
    fn row(&self, y: f32) -> f32 {
        ((y - self.place.top()) * self.scale).clamp(0.0, self.size[1] as f32)
    }
}

/// Some rows of a picture.
struct Band<'a> {
    pixels: &'a mut [Color32],
    columns: usize,
    /// The number of its first row.
    first: usize,
}

impl Band<'_> {
    fn rows(&self) -> usize {
        self.pixels.len() / self.columns.max(1)
    }

    /// Paints these columns of the picture, as far as its rows are here, and of the rows at the ends only as much as is
    /// covered.
    fn paint_rows(&mut self, columns: Range<usize>, rows: Rangef, colour: Color32) {
        // Nothing, or not a number.
        if columns.is_empty() || rows.min.partial_cmp(&rows.max) != Some(Ordering::Less) {
            return;
        }
        let (first, end) = (pixel(rows.min), pixel(rows.max.ceil()));
        for row in first.max(self.first)..end.min(self.first + self.rows()) {
            let covered = rows.max.min(row as f32 + 1.0) - rows.min.max(row as f32);
            let colour = if covered < 1.0 { colour.gamma_multiply(covered) } else { colour };
            let before = (row - self.first) * self.columns;
            let pixels = &mut self.pixels[before + columns.start..before + columns.end];
            if colour.is_opaque() {
                pixels.fill(colour);
            } else {
                pixels.iter_mut().for_each(|pixel| *pixel = over(*pixel, colour));
            }
        }
    }
}

/// A colour on top of a pixel, as [`Color32::blend`] has it to the nearest, two channels at a time. No channel may be
/// greater than the alpha: the colour is one that was made paler, not one that shines.
fn over(pixel: Color32, colour: Color32) -> Color32 {
    const PAIR: u32 = 0x00ff_00ff;
    let keep = 255 - u32::from(colour.a());
    let paler = |pair: u32| {
        let scaled = pair * keep + 0x0080_0080;
        ((scaled + ((scaled >> 8) & PAIR)) >> 8) & PAIR
    };
    let below = u32::from_le_bytes(pixel.to_array());
    let below = paler(below & PAIR) | (paler((below >> 8) & PAIR) << 8);
    let [r, g, b, a] = below.wrapping_add(u32::from_le_bytes(colour.to_array())).to_le_bytes();
    Color32::from_rgba_premultiplied(r, g, b, a)
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
    fn paint(&mut self, pixels: &mut [Color32], colour: Color32) {
        for number in self.touched.drain(..) {
            let covered = std::mem::take(&mut self.pixels[number]);
            let pixel = &mut pixels[number];
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
        let aslant = (1.0 + slope * slope).sqrt();
        let [columns, rows] = self.size;
        let [along, across] = if is_steep { [rows, columns] } else { [columns, rows] };
        for x in pixel(first.x - reach)..pixel((last.x + reach).ceil()).min(along) {
            let middle = x as f32 + 0.5;
            let nearest = middle.clamp(first.x, last.x);
            let beyond = middle - nearest;
            let on = first.y + slope * (nearest - first.x);
            for y in pixel(on - reach * aslant)..pixel((on + reach * aslant).ceil()).min(across) {
                let aside = (y as f32 + 0.5 - on) / aslant;
                let distance = (aside * aside + beyond * beyond).sqrt();
                let covered = of_255((half + 0.5 - distance).min(2.0 * half));
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

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
fn of_255(share: f32) -> u8 {
    (share * 255.0).clamp(0.0, 255.0) as u8
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
        let alphas: Vec<u8> = layer.picture().pixels.iter().map(|pixel| pixel.a()).collect();
        alphas.chunks(layer.size[0]).map(<[u8]>::to_vec).collect()
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
    fn a_colour_is_blended_as_elsewhere() {
        let grounds = [Color32::TRANSPARENT, Color32::WHITE, Color32::from_rgba_premultiplied(3, 90, 17, 90)];
        for ground in grounds {
            for strength in 0..=255 {
                let colour = Color32::from_rgb(200, 10, 255).gamma_multiply_u8(strength);
                let [ours, theirs] =
                    [over(ground, colour), ground.blend(colour)].map(|colour| colour.to_array());
                let differs = ours.iter().zip(theirs).any(|(ours, theirs)| ours.abs_diff(theirs) > 1);
                assert!(!differs, "{ours:?} is not {theirs:?}");
            }
        }
    }

    #[test]
    fn a_ribbon_is_painted_once_in_every_column() {
        let mut layer = Layer::new(rect(0.0, 4.0, 0.0, 4.0), 1.0, 4096);
        let section = |x, min, max| Section { x, y: Rangef::new(min, max) };
        let half = RED.gamma_multiply(0.5);
        layer.ribbon(vec![section(0.0, 0.0, 2.0), section(2.2, 0.0, 2.0), section(4.0, 0.0, 2.0)], half);
        assert_eq!(alphas(&layer), [[128; 4], [128; 4], [0; 4], [0; 4]]);
        let mut slanting = Layer::new(rect(0.0, 2.0, 0.0, 2.0), 1.0, 4096);
        slanting.ribbon(vec![section(0.0, -0.5, 0.5), section(2.0, 1.5, 2.5)], RED);
        assert_eq!(alphas(&slanting), [[255, 0], [0, 255]]);
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
    fn it_looks_the_same_however_many_rows_are_painted_at_a_time() {
        let mut layer = Layer::new(rect(100.0, 140.0, 50.0, 90.0), 1.0, 4096);
        layer.fill(rect(103.0, 130.0, 52.5, 77.25), RED.gamma_multiply(0.3));
        let section = |x, min, max| Section { x, y: Rangef::new(min, max) };
        let sections =
            vec![section(100.0, 45.0, 60.0), section(120.0, 70.0, 80.0), section(140.0, 51.0, 99.0)];
        layer.ribbon(sections, Color32::BLUE.gamma_multiply(0.5));
        for to in [pos2(139.0, 61.0), pos2(110.0, 89.5)] {
            layer.line(vec![pos2(101.0, 51.0), to], 2.0, RED);
        }
        let painted = |rows: usize| {
            let mut pixels = vec![Color32::TRANSPARENT; layer.size[0] * layer.size[1]];
            layer.paint(&mut pixels, rows);
            pixels
        };
        let whole = painted(40);
        assert!(whole.iter().any(|pixel| pixel.a() > 200));
        for rows in [1, 7, 20, 39] {
            let differ = |(ours, whole): (&Color32, &Color32)| {
                ours.to_array().iter().zip(whole.to_array()).any(|(ours, whole)| ours.abs_diff(whole) > 1)
            };
            assert!(!painted(rows).iter().zip(&whole).any(differ), "{rows} rows at a time");
        }
    }

    #[test]
    fn a_line_over_itself_is_no_darker() {
        let line = [pos2(1.5, 5.5), pos2(8.0, 5.5)];
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
