//! Triangles to pixels, by the rules of graphics processors.
//!
//! A pixel belongs to a triangle if its centre does, and to one of two triangles that share an edge
//! through its centre: so that a translucent area of many triangles has no seams. Positions are rounded
//! to 1/256 of a pixel, then everything about edges is exact. Colours are mixed as egui's shaders mix
//! them: premultiplied, in gamma space, eight bits a channel.

use super::textures::{Texture, Textures};
use egui::epaint::{ClippedPrimitive, Primitive, Vertex};
use egui::{Color32, Pos2, Rect, TextureFilter, TextureWrapMode};
use std::io::{self, Write};
use std::ops::Range;

/// Pixels, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// All of them, with premultiplied alpha.
    pub pixels: Vec<Color32>,
}

/// The most pixels a picture may have on a side: more is a mistake, and would be gigabytes.
pub const MOST_PIXELS: usize = 16_384;

impl Picture {
    /// The colour of a pixel; none outside.
    pub fn at(&self, x: usize, y: usize) -> Option<Color32> {
        (x < self.width).then(|| self.pixels.get(y * self.width + x).copied()).flatten()
    }

    /// Writes the picture as a PNG file: opaque ones without alpha, which is smaller.
    ///
    /// # Errors
    ///
    /// Those of the writer, and of a picture without pixels.
    pub fn write_png(&self, to: impl Write) -> io::Result<()> {
        let side = |pixels: usize| u32::try_from(pixels).map_err(io::Error::other);
        let mut encoder = png::Encoder::new(to, side(self.width)?, side(self.height)?);
        let is_opaque = self.pixels.iter().all(|pixel| pixel.is_opaque());
        encoder.set_color(if is_opaque { png::ColorType::Rgb } else { png::ColorType::Rgba });
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let bytes: Vec<u8> = match is_opaque {
            true => self.pixels.iter().flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()]).collect(),
            false => self.pixels.iter().flat_map(|pixel| pixel.to_srgba_unmultiplied()).collect(),
        };
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&bytes)?;
        Ok(writer.finish()?)
    }
}

/// Draws what lies in `part`, which is in points, over `ground`.
pub fn draw(
    primitives: &[ClippedPrimitive],
    textures: &Textures,
    part: Rect,
    pixels_per_point: f32,
    ground: Color32,
) -> Picture {
    let side = |points: f32| index(points * pixels_per_point).clamp(1, MOST_PIXELS);
    let (width, height) = (side(part.width()), side(part.height()));
    let origin = (part.min.to_vec2() * pixels_per_point).round();
    let mut canvas =
        Canvas { picture: Picture { width, height, pixels: vec![ground; width * height] }, clip: Clip::ALL };
    for ClippedPrimitive { clip_rect, primitive } in primitives {
        // Callbacks are for graphics processors, and we have none.
        let Primitive::Mesh(mesh) = primitive else { continue };
        let Some(texture) = textures.get(mesh.texture_id) else { continue };
        let edge = |points: f32, origin: f32| (points * pixels_per_point).round() - origin;
        canvas.clip = Clip {
            columns: index(edge(clip_rect.min.x, origin.x))
                ..index(edge(clip_rect.max.x, origin.x)).min(width),
            rows: index(edge(clip_rect.min.y, origin.y))..index(edge(clip_rect.max.y, origin.y)).min(height),
        };
        let corner = |&number: &u32| {
            let vertex = mesh.vertices.get(number as usize)?;
            Some(Vertex { pos: vertex.pos * pixels_per_point - origin, ..*vertex })
        };
        for [a, b, c] in mesh.indices.as_chunks().0 {
            if let (Some(a), Some(b), Some(c)) = (corner(a), corner(b), corner(c)) {
                canvas.triangle([a, b, c], texture);
            }
        }
    }
    canvas.picture
}

/// The pixels that may be coloured.
#[derive(Clone, Debug)]
struct Clip {
    columns: Range<usize>,
    rows: Range<usize>,
}

impl Clip {
    const ALL: Clip = Clip { columns: 0..MOST_PIXELS, rows: 0..MOST_PIXELS };
}

struct Canvas {
    picture: Picture,
    clip: Clip,
}

impl Canvas {
    fn triangle(&mut self, corners: [Vertex; 3], texture: &Texture) {
        let Some(shape) = Triangle::of(corners.map(|corner| corner.pos)) else { return };
        let ink = Ink::of(&shape, &corners, texture);
        let rows = shape.rows();
        for row in rows.start.max(self.clip.rows.start)..rows.end.min(self.clip.rows.end) {
            let columns = shape.columns(row);
            let columns = columns.start.max(self.clip.columns.start)..columns.end.min(self.clip.columns.end);
            if columns.is_empty() {
                continue;
            }
            let start = row * self.picture.width;
            let pixels = &mut self.picture.pixels[start + columns.start..start + columns.end];
            match &ink {
                Ink::Flat(colour) if colour.is_opaque() => pixels.fill(*colour),
                Ink::Flat(colour) => pixels.iter_mut().for_each(|pixel| *pixel = over(*colour, *pixel)),
                Ink::Varied(varied) => {
                    for (pixel, column) in pixels.iter_mut().zip(columns) {
                        *pixel = over(varied.at(column, row), *pixel);
                    }
                }
            }
        }
    }
}

/// Parts of a pixel that positions are rounded to.
const PARTS: i64 = 256;

/// A triangle, by the three lines it lies to the left of.
struct Triangle {
    lines: [Line; 3],
    least: [i64; 2],
    greatest: [i64; 2],
    /// From the first corner's point, in pixels, the other two: what colours are spread by.
    origin: [f64; 2],
    sides: [[f64; 2]; 2],
}

/// Where `a x + b y + c ≥ 0`, in parts of pixels.
struct Line {
    a: i64,
    b: i64,
    c: i64,
}

impl Triangle {
    /// None if it has no area.
    fn of(points: [Pos2; 3]) -> Option<Triangle> {
        let [p, mut q, mut r] = points.map(|point| [parts(point.x), parts(point.y)]);
        let area = (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
        if area == 0 {
            return None;
        }
        let pixels = |at: [i64; 2], from: [i64; 2]| {
            [(at[0] - from[0]) as f64 / PARTS as f64, (at[1] - from[1]) as f64 / PARTS as f64]
        };
        let sides = [pixels(q, p), pixels(r, p)];
        if area < 0 {
            (q, r) = (r, q);
        }
        let range = |axis: usize| (p[axis].min(q[axis]).min(r[axis]), p[axis].max(q[axis]).max(r[axis]));
        let ((left, right), (top, bottom)) = (range(0), range(1));
        Some(Triangle {
            lines: [Line::through(p, q), Line::through(q, r), Line::through(r, p)],
            least: [left, top],
            greatest: [right, bottom],
            origin: pixels(p, [0, 0]),
            sides,
        })
    }

    /// The rows it may have pixels in.
    fn rows(&self) -> Range<usize> {
        whole(self.least[1].div_euclid(PARTS))..whole(self.greatest[1].div_euclid(PARTS) + 1)
    }

    /// Its pixels of a row.
    fn columns(&self, row: usize) -> Range<usize> {
        let y = row as i64 * PARTS + PARTS / 2;
        let mut first = self.least[0].div_euclid(PARTS);
        let mut last = self.greatest[0].div_euclid(PARTS);
        for line in &self.lines {
            // At a column's centre, the line is `step column + rest`.
            let (step, rest) = (line.a * PARTS, line.a * (PARTS / 2) + line.b * y + line.c);
            if step > 0 {
                first = first.max(-rest.div_euclid(step));
            } else if step < 0 {
                last = last.min(rest.div_euclid(-step));
            } else if rest < 0 {
                return 0..0;
            }
        }
        whole(first)..whole(last + 1)
    }

    /// How much of a value changes along x and along y, if it is 0 at the first corner and so much at
    /// the others.
    fn slopes(&self, at_second: f64, at_third: f64) -> [f64; 2] {
        let [[ax, ay], [bx, by]] = self.sides;
        let area = ax * by - ay * bx;
        [(at_second * by - at_third * ay) / area, (at_third * ax - at_second * bx) / area]
    }
}

impl Line {
    fn through([x, y]: [i64; 2], [to_x, to_y]: [i64; 2]) -> Line {
        let (a, b) = (y - to_y, to_x - x);
        // A centre that lies on a line belongs to the triangle below or to the right of it.
        let takes_its_points = a > 0 || (a == 0 && b > 0);
        Line { a, b, c: -(a * x + b * y) - i64::from(!takes_its_points) }
    }
}

/// What a triangle is coloured with.
enum Ink<'a> {
    Flat(Color32),
    Varied(Varied<'a>),
}

/// Colours and places in the texture, spread between the corners.
struct Varied<'a> {
    texture: &'a Texture,
    /// Where the values are those of the first corner.
    origin: [f64; 2],
    /// Red, green, blue, alpha, and the place in the texture: at the first corner, and the slopes.
    values: [(f64, [f64; 2]); 6],
}

impl<'a> Ink<'a> {
    fn of(shape: &Triangle, corners: &[Vertex; 3], texture: &'a Texture) -> Ink<'a> {
        let [first, second, third] = corners;
        if first.color == second.color
            && first.color == third.color
            && first.uv == second.uv
            && first.uv == third.uv
        {
            let texel = sample(texture, f64::from(first.uv.x), f64::from(first.uv.y));
            return Ink::Flat(times(first.color.to_array().map(f64::from), texel));
        }
        let values = |vertex: &Vertex| {
            let [r, g, b, a] = vertex.color.to_array().map(f64::from);
            [r, g, b, a, f64::from(vertex.uv.x), f64::from(vertex.uv.y)]
        };
        let (base, second, third) = (values(first), values(second), values(third));
        let value = |at: usize| (base[at], shape.slopes(second[at] - base[at], third[at] - base[at]));
        Ink::Varied(Varied { texture, origin: shape.origin, values: std::array::from_fn(value) })
    }
}

impl Varied<'_> {
    fn at(&self, column: usize, row: usize) -> Color32 {
        let (x, y) = (column as f64 + 0.5 - self.origin[0], row as f64 + 0.5 - self.origin[1]);
        let [r, g, b, a, u, v] =
            self.values.map(|(base, [along_x, along_y])| base + along_x * x + along_y * y);
        times([r, g, b, a], sample(self.texture, u, v))
    }
}

/// A colour times a texel, both of 0 to 255.
fn times(colour: [f64; 4], texel: [f64; 4]) -> Color32 {
    let [r, g, b, a] = std::array::from_fn(|channel| byte(colour[channel] * texel[channel] / 255.0));
    Color32::from_rgba_premultiplied(r, g, b, a)
}

/// The texture's colour at a place, both sides of it being 1 long.
fn sample(texture: &Texture, u: f64, v: f64) -> [f64; 4] {
    let [width, height] = texture.image.size;
    if width == 0 || height == 0 {
        return [0.0; 4];
    }
    let mode = texture.options.wrap_mode;
    let texel = |x: f64, y: f64| {
        let at = wrap(y, height, mode) * width + wrap(x, width, mode);
        texture.image.pixels.get(at).copied().unwrap_or_default().to_array().map(f64::from)
    };
    let (x, y) = (u * width as f64, v * height as f64);
    if texture.options.magnification == TextureFilter::Nearest {
        return texel(x.floor(), y.floor());
    }
    let (x, y) = (x - 0.5, y - 0.5);
    let (left, top) = (x.floor(), y.floor());
    let (across, down) = (x - left, y - top);
    let between = |a: [f64; 4], b: [f64; 4], share: f64| -> [f64; 4] {
        std::array::from_fn(|channel| a[channel] + (b[channel] - a[channel]) * share)
    };
    let upper = between(texel(left, top), texel(left + 1.0, top), across);
    let lower = between(texel(left, top + 1.0), texel(left + 1.0, top + 1.0), across);
    between(upper, lower, down)
}

/// The texel at a whole number, which may lie beyond the texture's edges.
fn wrap(at: f64, size: usize, mode: TextureWrapMode) -> usize {
    let length = size as f64;
    let at = match mode {
        TextureWrapMode::ClampToEdge => at,
        TextureWrapMode::Repeat => at.rem_euclid(length),
        TextureWrapMode::MirroredRepeat => {
            let there_and_back = at.rem_euclid(2.0 * length);
            there_and_back.min(2.0 * length - 1.0 - there_and_back)
        }
    };
    texel_index(at).min(size - 1)
}

/// One premultiplied colour over another.
fn over(front: Color32, back: Color32) -> Color32 {
    let left = 255 - u32::from(front.a());
    let mix = |front: u8, back: u8| {
        let sum = u32::from(front) + (u32::from(back) * left + 127) / 255;
        u8::try_from(sum).unwrap_or(u8::MAX)
    };
    let (f, b) = (front.to_array(), back.to_array());
    let [r, g, b, a] = std::array::from_fn(|channel| mix(f[channel], b[channel]));
    Color32::from_rgba_premultiplied(r, g, b, a)
}

/// A channel, rounded.
#[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates, as it should here")]
fn byte(value: f64) -> u8 {
    (value + 0.5) as u8
}

/// A texel's column or row; what lies before the first is the first.
#[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates, as it should here")]
fn texel_index(value: f64) -> usize {
    value as usize
}

/// A number of pixels, rounded; what is less than none is none.
#[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates, as it should here")]
fn index(value: f32) -> usize {
    value.round() as usize
}

/// A position in parts of pixels. Beyond two million pixels it is two million: then all sums fit.
#[expect(clippy::cast_possible_truncation, reason = "the number was brought within bounds before")]
fn parts(pixels: f32) -> i64 {
    (f64::from(pixels) * PARTS as f64).round().clamp(-(2f64.powi(29)), 2f64.powi(29)) as i64
}

/// A row or a column; what lies before the first is the first.
fn whole(at: i64) -> usize {
    usize::try_from(at).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::epaint::Mesh;
    use egui::{ColorImage, TextureOptions, pos2};

    /// One texture, of four texels: black, grey, and below them red and white.
    fn textures(options: TextureOptions) -> Textures {
        let texels = [Color32::BLACK, Color32::from_gray(100), Color32::from_rgb(200, 0, 0), Color32::WHITE];
        let image = ColorImage::new([2, 2], texels.into());
        Textures::of(image, options)
    }

    fn white() -> Textures {
        Textures::of(ColorImage::new([1, 1], vec![Color32::WHITE]), TextureOptions::LINEAR)
    }

    fn paint(mesh: Mesh, textures: &Textures, clip: Rect, side: f32) -> Picture {
        let primitives = [ClippedPrimitive { clip_rect: clip, primitive: Primitive::Mesh(mesh) }];
        let part = Rect::from_min_size(Pos2::ZERO, egui::vec2(side, side));
        draw(&primitives, textures, part, 1.0, Color32::BLACK)
    }

    #[test]
    fn pixels_on_shared_edges_are_painted_once() {
        // A fan of many triangles around a centre, on whole pixels and off them.
        for centre in [pos2(20.0, 20.0), pos2(20.5, 20.5), pos2(19.37, 21.81)] {
            let mut mesh = Mesh::default();
            let colour = Color32::from_white_alpha(40);
            mesh.colored_vertex(centre, colour);
            let side = (0..20).map(|step| 2.0 * step as f32);
            let top = side.clone().map(|at| pos2(at, 0.0));
            let right = side.clone().map(|at| pos2(40.0, at));
            let bottom = side.clone().map(|at| pos2(40.0 - at, 40.0));
            let left = side.map(|at| pos2(0.0, 40.0 - at));
            let rim: Vec<Pos2> = top.chain(right).chain(bottom).chain(left).collect();
            rim.iter().for_each(|&at| mesh.colored_vertex(at, colour));
            for step in 0..80u32 {
                mesh.add_triangle(0, 1 + step, 1 + (step + 1) % 80);
            }
            let picture = paint(mesh, &white(), Rect::EVERYTHING, 40.0);
            let other = picture.pixels.iter().filter(|pixel| pixel.r() != 40).count();
            assert_eq!(other, 0, "around {centre:?}");
        }
    }

    #[test]
    fn what_lies_outside_of_the_clip_or_the_picture_is_left_out() {
        let mut mesh = Mesh::default();
        mesh.add_colored_rect(Rect::from_min_max(pos2(-1e9, 2.0), pos2(f32::INFINITY, 4.0)), Color32::RED);
        mesh.add_colored_rect(Rect::from_min_max(pos2(f32::NAN, 2.0), pos2(3.0, f32::NAN)), Color32::BLUE);
        let clip = Rect::from_min_max(pos2(3.0, 0.0), pos2(5.0, 100.0));
        let picture = paint(mesh, &white(), clip, 8.0);
        let red: Vec<usize> = (0..64).filter(|&at| picture.pixels[at] == Color32::RED).collect();
        assert_eq!(red, [19, 20, 27, 28]);
        assert_eq!(picture.at(8, 0), None);
    }

    #[test]
    fn a_texture_is_spread_over_a_mesh() {
        let mut mesh = Mesh::default();
        let everything = Rect::from_min_max(pos2(0.0, 0.0), pos2(4.0, 4.0));
        let texels = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        mesh.add_rect_with_uv(everything, texels, Color32::WHITE);
        let nearest = paint(mesh.clone(), &textures(TextureOptions::NEAREST), Rect::EVERYTHING, 4.0);
        let row = |picture: &Picture, y: usize| [0, 1, 2, 3].map(|x| picture.at(x, y).unwrap().r());
        assert_eq!((row(&nearest, 1), row(&nearest, 2)), ([0, 0, 100, 100], [200, 200, 255, 255]));
        let linear = paint(mesh, &textures(TextureOptions::LINEAR), Rect::EVERYTHING, 4.0);
        assert_eq!(row(&linear, 0), [0, 25, 75, 100]);
    }

    #[test]
    fn colours_are_spread_between_corners() {
        let mut mesh = Mesh::default();
        for (x, y, grey) in [(0.0, 0.0, 0), (10.0, 0.0, 100), (0.0, 10.0, 0), (10.0, 10.0, 100)] {
            mesh.colored_vertex(pos2(x, y), Color32::from_gray(grey));
        }
        mesh.add_triangle(0, 1, 2);
        mesh.add_triangle(2, 1, 3);
        let picture = paint(mesh, &white(), Rect::EVERYTHING, 10.0);
        let greys: Vec<u8> = (0..10).map(|x| picture.at(x, 5).unwrap().g()).collect();
        assert_eq!(greys, [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]);
    }

    #[test]
    fn a_picture_is_written_and_read_back() {
        let pixels = vec![
            Color32::RED,
            Color32::from_gray(7),
            Color32::WHITE,
            Color32::BLUE,
            Color32::GREEN,
            Color32::BLACK,
        ];
        let picture = Picture { width: 3, height: 2, pixels };
        let mut file = Vec::new();
        picture.write_png(&mut file).unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(file)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (3, 2, png::ColorType::Rgb));
        let expected: Vec<u8> =
            picture.pixels.iter().flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()]).collect();
        assert_eq!(bytes, expected);
    }
}
