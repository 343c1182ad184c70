//! A layer of pixels painted here and shown as one picture, for what would be thousands of slivers otherwise.
//!
//! Without a graphics processor every triangle is drawn in blocks of some pixels, and a rectangle narrower than
//! a block costs as much as the block, twice; a line with smooth edges takes six triangles a piece. Here it costs
//! the pixels it covers, and only when it changes, and then those rows alone that have; the picture costs the area of what is
//! not clear.

use super::patches::{Patch, patches};
use egui::mutex::Mutex;
use egui::{
    Color32, ColorImage, Mesh, Painter, Pos2, Rangef, Rect, TextureHandle, TextureOptions, Ui, Vec2, pos2,
    vec2,
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

/// What a layer showed last.
type Last = Arc<Mutex<Option<Shown>>>;

/// What is shown: the picture is painted again only as far as that has changed.
struct Shown {
    layer: Layer,
    texture: TextureHandle,
    /// Which tiles have anything in them, row by row.
    tiles: Vec<bool>,
    /// Where those are.
    patches: Vec<Patch>,
}

/// Pixels a tile, to its right and down.
const TILE: usize = 32;

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
        let last: Last = ui.data_mut(|data| data.get_temp_mut_or_default::<Last>(id).clone());
        let mut last = last.lock();
        let shown = last.get_or_insert_with(|| Shown {
            layer: Layer { size: [0, 0], strokes: Vec::new(), ..self },
            texture: ui.ctx().load_texture(name, ColorImage::default(), TextureOptions::NEAREST),
            tiles: Vec::new(),
            patches: Vec::new(),
        });
        shown.become_of(self);
        painter.add(shown.mesh());
    }

    /// How many tiles there are in a row, and rows of them.
    fn tiles(&self) -> [usize; 2] {
        self.size.map(|side| side.div_ceil(TILE))
    }

    /// The rows of tiles in which it differs from what was shown before; all, if that was of another size.
    fn changed(&self, before: &Layer) -> Range<usize> {
        let all = 0..self.tiles()[1];
        let are_alike = (before.place, before.scale, before.size) == (self.place, self.scale, self.size);
        if !are_alike || before.strokes.len() != self.strokes.len() {
            return all;
        }
        let both = before.strokes.iter().zip(&self.strokes).filter(|(before, now)| before != now);
        let rows = both.map(|(before, now)| self.rows_of(before).union(self.rows_of(now)));
        let rows = rows.fold(Rangef::NOTHING, Rangef::union);
        if rows.min <= rows.max {
            // Some pixels more, for smooth edges, which reach further where a line is aslant.
            pixel(rows.min - 2.0) / TILE..(pixel(rows.max + 2.0) / TILE + 1).min(all.end)
        } else {
            0..0
        }
    }

    /// The rows of pixels that a stroke may cover.
    fn rows_of(&self, stroke: &Stroke) -> Rangef {
        let row = |y: f32| Rangef::point(self.row(y));
        match stroke {
            Stroke::Fill(rect, _) => row(rect.top()).union(row(rect.bottom())),
            Stroke::Line(points, width, _) => points.iter().fold(Rangef::NOTHING, |rows, point| {
                rows.union(row(point.y - width)).union(row(point.y + width))
            }),
            Stroke::Ribbon(sections, _) => sections.iter().fold(Rangef::NOTHING, |rows, section| {
                rows.union(row(section.y.min)).union(row(section.y.max))
            }),
        }
    }

    /// What some rows of pixels look like. Many are painted by several processors, each some of them.
    fn picture(&self, rows: Range<usize>) -> ColorImage {
        /// A thread is begun in the time of some ten thousand pixels.
        const WORTHWHILE: usize = 100_000;
        const MOST: usize = 4;
        let size = [self.size[0], rows.len()];
        let mut image = ColorImage::filled(size, Color32::TRANSPARENT);
        let processors = std::thread::available_parallelism().map_or(1, usize::from).min(MOST);
        let bands = processors.min(size[0] * size[1] / WORTHWHILE).max(1);
        self.paint(&mut image.pixels, rows.start, size[1].div_ceil(bands));
        image
    }

    /// Paints rows of pixels from one on, so many at a time, all at once.
    fn paint(&self, pixels: &mut [Color32], first: usize, rows: usize) {
        let columns = self.size[0];
        let all = pixels.chunks_mut((rows * columns).max(1)).enumerate();
        let mut bands = all.map(|(number, pixels)| Band { pixels, columns, first: first + number * rows });
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

    /// Paints every column of pixels whose middle lies between two sections, as high as the ribbon is there. It is painted row by
    /// row, which is quicker: of each the pixels that are covered wholly all at once, and those at both ends as far as they are.
    fn paint_ribbon(&self, band: &mut Band<'_>, sections: &[Section], colour: Color32) {
        for ends in sections.windows(2) {
            let [first, last] = [ends[0], ends[1]];
            let columns = self.column(first.x)..self.column(last.x);
            let edge = |from: f32, to: f32| {
                let slope = (to - from) / (last.x - first.x);
                let left = self.place.left() + (columns.start as f32 + 0.5) / self.scale - first.x;
                Edge {
                    row: (from + left * slope - self.place.top()) * self.scale,
                    slope,
                    columns: columns.len(),
                }
            };
            let (top, bottom) = (edge(first.y.min, last.y.min), edge(first.y.max, last.y.max));
            let rows =
                pixel(top.least()).max(band.first)..pixel(bottom.most().ceil()).min(band.first + band.rows());
            for row in rows {
                let (above, below) = (row as f32, row as f32 + 1.0);
                let touched = common(bottom.below(above), top.above(below));
                let whole = common(common(bottom.below(below), top.above(above)), touched.clone());
                let whole = if whole.is_empty() { touched.end..touched.end } else { whole };
                for column in (touched.start..whole.start).chain(whole.end..touched.end) {
                    let covered = bottom.at(column).min(below) - top.at(column).max(above);
                    let column = columns.start + column;
                    band.paint_row(row, column..column + 1, colour.gamma_multiply(covered.clamp(0.0, 1.0)));
                }
                band.paint_row(row, columns.start + whole.start..columns.start + whole.end, colour);
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

impl Shown {
    /// Shows this layer from now on.
    fn become_of(&mut self, layer: Layer) {
        let changed = layer.changed(&self.layer);
        let is_whole = changed == (0..layer.tiles()[1]);
        let size = layer.size;
        self.layer = layer;
        if changed.is_empty() {
            return;
        }
        let rows = changed.start * TILE..(changed.end * TILE).min(size[1]);
        let image = self.layer.picture(rows.clone());
        self.tiles.resize(self.layer.tiles().iter().product(), false);
        self.note_tiles(changed, &image);
        match is_whole {
            true => self.texture.set(image, TextureOptions::NEAREST),
            false => self.texture.set_partial([0, rows.start], image, TextureOptions::NEAREST),
        }
    }

    /// Looks which tiles of some rows have anything in them.
    fn note_tiles(&mut self, rows: Range<usize>, image: &ColorImage) {
        let [across, down] = self.layer.tiles();
        self.tiles[rows.start * across..rows.end * across].fill(false);
        for (number, pixels) in image.pixels.chunks_exact(image.size[0]).enumerate() {
            let first = (rows.start + number / TILE) * across;
            for (tile, pixels) in self.tiles[first..first + across].iter_mut().zip(pixels.chunks(TILE)) {
                *tile = *tile || pixels.iter().any(|pixel| *pixel != Color32::TRANSPARENT);
            }
        }
        self.patches = patches([across, down], |column, row| self.tiles[row * across + column]);
    }

    /// The parts of the picture that are not clear, where they belong.
    fn mesh(&self) -> Mesh {
        let Layer { place, scale, size, .. } = self.layer;
        let mut mesh = Mesh::with_texture(self.texture.id());
        for Patch { columns, rows } in &self.patches {
            let end = |tiles: usize, side: usize| (tiles * TILE).min(side) as f32;
            let corner = |column, row| vec2(end(column, size[0]), end(row, size[1]));
            let [from, to] = [corner(columns.start, rows.start), corner(columns.end, rows.end)];
            let share = |at: Vec2| (at / vec2(size[0] as f32, size[1] as f32)).to_pos2();
            let part = Rect::from_min_max(place.min + from / scale, place.min + to / scale);
            mesh.add_rect_with_uv(part, Rect::from_min_max(share(from), share(to)), Color32::WHITE);
        }
        mesh
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
            self.paint_row(row, columns.clone(), colour);
        }
    }

    /// Paints these columns of a row that is here.
    fn paint_row(&mut self, row: usize, columns: Range<usize>, colour: Color32) {
        let before = (row - self.first) * self.columns;
        let pixels = &mut self.pixels[before + columns.start..before + columns.end];
        if colour.is_opaque() {
            pixels.fill(colour);
        } else {
            pixels.iter_mut().for_each(|pixel| *pixel = over(*pixel, colour));
        }
    }
}

/// The straight top or bottom of a ribbon between two sections, over columns that are counted from its left.
struct Edge {
    /// Where it is in the middle of the first, in rows.
    row: f32,
    /// And how much further down in each that follows.
    slope: f32,
    columns: usize,
}

impl Edge {
    fn at(&self, column: usize) -> f32 {
        self.row + self.slope * column as f32
    }

    fn least(&self) -> f32 {
        self.row.min(self.at(self.columns))
    }

    fn most(&self) -> f32 {
        self.row.max(self.at(self.columns))
    }

    /// In which columns it is further down than a row.
    fn below(&self, row: f32) -> Range<usize> {
        Edge::positive(self.row - row, self.slope, self.columns)
    }

    /// In which columns it is further up than a row.
    fn above(&self, row: f32) -> Range<usize> {
        Edge::positive(row - self.row, -self.slope, self.columns)
    }

    /// In which columns something is more than nothing that is so much in the first and grows so in each that follows.
    fn positive(first: f32, slope: f32, columns: usize) -> Range<usize> {
        let turn = -first / slope;
        if slope > 0.0 {
            (if turn < 0.0 { 0 } else { pixel(turn.floor()).saturating_add(1) }).min(columns)..columns
        } else if slope < 0.0 {
            0..pixel(turn.ceil()).min(columns)
        } else {
            0..if first > 0.0 { columns } else { 0 }
        }
    }
}

/// What two ranges have in common.
fn common(one: Range<usize>, other: Range<usize>) -> Range<usize> {
    let start = one.start.max(other.start);
    start..one.end.min(other.end).max(start)
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
        let alphas: Vec<u8> = layer.picture(0..layer.size[1]).pixels.iter().map(|pixel| pixel.a()).collect();
        alphas.chunks(layer.size[0]).map(<[u8]>::to_vec).collect()
    }

    /// But for rounding.
    fn are_alike((one, other): (&Color32, &Color32)) -> bool {
        one.to_array().iter().zip(other.to_array()).all(|(one, other)| one.abs_diff(other) <= 1)
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
    fn ribbons_cover_of_each_pixel_what_lies_between_their_edges() {
        let section = |x, min, max| Section { x, y: Rangef::new(min, max) };
        let ribbons = [
            [section(0.0, 3.3, 9.7), section(23.0, 30.2, 33.0)],
            [section(0.0, 30.5, 31.0), section(23.0, 2.25, 9.0)],
            [section(2.0, 5.0, 6.5), section(20.0, 5.0, 30.5)],
            [section(-7.0, -9.0, 50.0), section(40.0, 12.0, 14.0)],
        ];
        for ends in ribbons {
            let mut layer = Layer::new(rect(0.0, 24.0, 0.0, 40.0), 1.0, 4096);
            layer.ribbon(ends.to_vec(), RED);
            let alphas = alphas(&layer);
            for (column, row) in (0..24).flat_map(|column| (0..40).map(move |row| (column, row))) {
                let (x, y) = (column as f32 + 0.5, row as f32);
                let share = (x - ends[0].x) / (ends[1].x - ends[0].x);
                let at = |from: f32, to: f32| from + (to - from) * share;
                let (top, bottom) = (at(ends[0].y.min, ends[1].y.min), at(ends[0].y.max, ends[1].y.max));
                let is_within = (0.0..=1.0).contains(&share);
                let covered =
                    if is_within { (bottom.min(y + 1.0) - top.max(y)).clamp(0.0, 1.0) } else { 0.0 };
                let painted = f32::from(alphas[row][column]) / 255.0;
                assert!(
                    (painted - covered).abs() < 0.01,
                    "{ends:?} {column} {row}: {painted} is not {covered}"
                );
            }
        }
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
            layer.paint(&mut pixels, 0, rows);
            pixels
        };
        let whole = painted(40);
        assert!(whole.iter().any(|pixel| pixel.a() > 200));
        for rows in [1, 7, 20, 39] {
            assert!(painted(rows).iter().zip(&whole).all(are_alike), "{rows} rows at a time");
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

    #[test]
    fn only_what_has_changed_is_painted_again_and_only_what_is_there_is_shown() {
        let context = egui::Context::default();
        let texture = context.load_texture("layer", ColorImage::default(), TextureOptions::NEAREST);
        let tile = TILE as f32;
        let layer = |second: Color32, from: f32| {
            let mut layer = Layer::new(rect(0.0, tile * 4.0, 0.0, tile * 8.0), 1.0, 4096);
            layer.fill(rect(0.0, tile, 0.0, tile), RED);
            layer.line(vec![pos2(3.0, from), pos2(tile * 3.0, tile * 4.5)], 3.0, second);
            layer
        };
        let first = layer(RED, tile * 4.5);
        let mut shown = Shown {
            layer: Layer { size: [0, 0], strokes: Vec::new(), ..first },
            texture,
            tiles: Vec::new(),
            patches: Vec::new(),
        };
        let rows = |layer: &Layer, shown: &Shown| layer.changed(&shown.layer);
        assert_eq!(rows(&first, &shown), 0..8, "it was of another size");
        shown.become_of(first.clone());
        assert_eq!(rows(&first, &shown), 0..0);
        let patch = |columns, rows| Patch { columns, rows };
        assert_eq!(shown.patches, [patch(0..1, 0..1), patch(0..4, 4..5)]);
        let (blue, slanting) = (layer(Color32::BLUE, tile * 4.5), layer(Color32::BLUE, tile * 6.5));
        assert_eq!((rows(&blue, &shown), rows(&slanting, &shown)), (4..5, 4..7));
        let all = slanting.picture(0..slanting.size[1]);
        let part = slanting.picture(4 * TILE..7 * TILE);
        assert!(all.pixels[4 * TILE * all.size[0]..].iter().zip(&part.pixels).all(are_alike));
        shown.become_of(slanting);
        let tiles = |shown: &Shown| shown.tiles.iter().filter(|is_there| **is_there).count();
        let seen = tiles(&shown);
        assert!((7..=9).contains(&seen), "{seen}");
        let mesh = shown.mesh();
        assert_eq!(mesh.vertices.len(), shown.patches.len() * 4);
        let corner = mesh.vertices[3];
        assert_eq!((corner.pos, corner.uv), (pos2(tile, tile), pos2(0.25, 0.125)));
        shown.become_of(first);
        assert_eq!(shown.patches, [patch(0..1, 0..1), patch(0..4, 4..5)]);
    }
}
