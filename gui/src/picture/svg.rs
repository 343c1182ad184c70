//! What a frame paints, as SVG: lines, areas and letters stay what they are. What has no shape in SVG, which
//! is meshes and textures, goes in as pixels.

use super::camera::Shot;
use super::raster;
use egui::epaint::text::{Glyph, LayoutJob, PlacedRow};
use egui::epaint::{ClippedShape, ColorMode, PathStroke, RectShape, TextShape};
use egui::{Color32, Context, CornerRadius, FontFamily, FontId, Pos2, Rect, Shape, Stroke, StrokeKind};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Writes a part of what was painted, in points, or all there is.
///
/// # Errors
///
/// Those of the writer.
pub fn write(shot: &Shot, part: Option<Rect>, context: &Context, to: &mut impl Write) -> io::Result<()> {
    let part = part.unwrap_or(shot.screen).intersect(shot.screen);
    let mut svg = Svg { shot, context, part, clips: 0, body: String::new() };
    let mut shapes = shot.shapes.iter().peekable();
    while let Some(first) = shapes.next() {
        let mut together = vec![first];
        while let Some(next) = shapes.next_if(|next| next.clip_rect == first.clip_rect) {
            together.push(next);
        }
        svg.clipped(first.clip_rect, &together)?;
    }
    let (min, size) = (part.min, part.size());
    writeln!(
        to,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}" viewBox="{} {} {} {}">"#,
        short(size.x),
        short(size.y),
        short(min.x),
        short(min.y),
        short(size.x),
        short(size.y)
    )?;
    writeln!(to, "<rect {}{}/>", sides(part), fill(shot.ground))?;
    to.write_all(svg.body.as_bytes())?;
    writeln!(to, "</svg>")
}

struct Svg<'a> {
    shot: &'a Shot,
    context: &'a Context,
    part: Rect,
    clips: usize,
    body: String,
}

impl Svg<'_> {
    fn clipped(&mut self, clip: Rect, shapes: &[&ClippedShape]) -> io::Result<()> {
        let clip = clip.intersect(self.part);
        if !clip.is_positive() {
            return Ok(());
        }
        self.clips += 1;
        let number = self.clips;
        self.line(format_args!("<clipPath id=\"c{number}\"><rect {}/></clipPath>", sides(clip)));
        self.line(format_args!("<g clip-path=\"url(#c{number})\">"));
        for shape in shapes {
            self.shape(&shape.shape, clip)?;
        }
        self.line(format_args!("</g>"));
        Ok(())
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.body, "{text}"); // A `String` takes everything.
    }

    fn shape(&mut self, shape: &Shape, clip: Rect) -> io::Result<()> {
        if let Shape::Vec(shapes) = shape {
            return shapes.iter().try_for_each(|shape| self.shape(shape, clip));
        }
        let bounds = shape.visual_bounding_rect();
        if !bounds.intersects(clip) {
            return Ok(());
        }
        match shape {
            Shape::Noop | Shape::Vec(_) | Shape::Callback(_) => {}
            Shape::Rect(rect) if rect.brush.is_none() && rect.blur_width == 0.0 && rect.angle == 0.0 => {
                self.rect(rect);
            }
            Shape::Circle(circle) => {
                let (centre, paint) = (circle.center, fill(circle.fill) + &stroke(circle.stroke));
                let (x, y, radius) = (short(centre.x), short(centre.y), short(circle.radius));
                self.line(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"{paint}/>"));
            }
            Shape::LineSegment { points, stroke: line } => {
                self.line(format_args!("<path d=\"{}\"{}/>", polyline(points, false), stroke(*line)));
            }
            Shape::Path(path) if solid(&path.stroke).is_some() => {
                let (line, area) = (solid(&path.stroke).unwrap_or_default(), fill(path.fill));
                let way = polyline(&path.points, path.closed);
                self.line(format_args!("<path d=\"{way}\"{area}{}/>", stroke(line)));
            }
            Shape::CubicBezier(curve) if solid(&curve.stroke).is_some() => {
                let line = stroke(solid(&curve.stroke).unwrap_or_default());
                let [from, first, second, to] = curve.points.map(point);
                let area = fill(curve.fill);
                self.line(format_args!("<path d=\"M{from}C{first} {second} {to}\"{area}{line}/>"));
            }
            Shape::QuadraticBezier(curve) if solid(&curve.stroke).is_some() => {
                let line = stroke(solid(&curve.stroke).unwrap_or_default());
                let [from, middle, to] = curve.points.map(point);
                self.line(format_args!("<path d=\"M{from}Q{middle} {to}\"{}{line}/>", fill(curve.fill)));
            }
            Shape::Text(text) => self.text(text),
            other => self.pixels(other.clone(), bounds.intersect(clip))?,
        }
        Ok(())
    }

    fn rect(&mut self, rect: &RectShape) {
        let width = rect.stroke.width;
        let outward = match rect.stroke_kind {
            StrokeKind::Inside => -width / 2.0,
            StrokeKind::Middle => 0.0,
            StrokeKind::Outside => width / 2.0,
        };
        let CornerRadius { nw, ne, sw, se } = rect.corner_radius;
        if !rect.stroke.is_empty() && outward != 0.0 && rect.fill != Color32::TRANSPARENT {
            self.line(format_args!("<rect {} rx=\"{nw}\"{}/>", sides(rect.rect), fill(rect.fill)));
            let line = stroke(rect.stroke);
            self.line(format_args!("<rect {} rx=\"{nw}\"{line}/>", sides(rect.rect.expand(outward))));
            return;
        }
        let paint = fill(rect.fill) + &stroke(rect.stroke);
        let sides = sides(rect.rect.expand(outward));
        if [ne, sw, se] == [nw; 3] {
            let round = if nw == 0 { String::new() } else { format!(" rx=\"{nw}\"") };
            self.line(format_args!("<rect {sides}{round}{paint}/>"));
        } else {
            self.line(format_args!("<path d=\"{}\"{paint}/>", rounded(rect.rect, rect.corner_radius)));
        }
    }

    fn text(&mut self, text: &TextShape) {
        let turned = match text.angle {
            0.0 => String::new(),
            angle => format!(" transform=\"rotate({} {})\"", short(angle.to_degrees()), point(text.pos)),
        };
        let mut format = Formats { job: &text.galley.job, at: 0 };
        for row in &text.galley.rows {
            for run in runs(row, text, &mut format) {
                let at = text.pos + row.pos.to_vec2() + run.at.to_vec2();
                let (x, y, length, size) =
                    (short(at.x), short(at.y), short(run.length), short(run.font.size));
                let family = match run.font.family {
                    FontFamily::Monospace => "Hack, monospace",
                    _ => "Ubuntu, sans-serif\" font-weight=\"300",
                };
                let (paint, words) = (fill(run.colour), escaped(&run.words));
                self.line(format_args!(
                    "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\" \
                     font-size=\"{size}\" font-family=\"{family}\"{paint}{turned}>{words}</text>"
                ));
            }
        }
    }

    /// A shape as pixels that let through what is behind it.
    fn pixels(&mut self, shape: Shape, bounds: Rect) -> io::Result<()> {
        let clipped = vec![ClippedShape::new(bounds, shape)];
        let scale = self.shot.pixels_per_point;
        // On whole pixels, as the picture is.
        let bounds =
            Rect::from_min_max((bounds.min * scale).floor() / scale, (bounds.max * scale).ceil() / scale);
        let primitives = self.context.tessellate(clipped, scale);
        let clear = Color32::TRANSPARENT;
        let picture = raster::draw(&primitives, &self.shot.textures, bounds, scale, clear);
        let mut png = Vec::new();
        picture.write_png(&mut png)?;
        let (sides, code) = (sides(bounds), base64(&png));
        self.line(format_args!(
            "<image {sides} preserveAspectRatio=\"none\" href=\"data:image/png;base64,{code}\"/>"
        ));
        Ok(())
    }
}

/// Letters in a row that look alike.
struct Run {
    /// Where the first begins on its base line, from the row's corner.
    at: Pos2,
    length: f32,
    font: FontId,
    colour: Color32,
    words: String,
}

/// The fonts of a text's letters, one after the other.
struct Formats<'a> {
    job: &'a LayoutJob,
    at: usize,
}

impl Formats<'_> {
    /// The font of the next letter. Where the text was cut short, letters are shown that are not in it:
    /// they have the font of the one before.
    fn next(&mut self, letter: char) -> FontId {
        let rest = self.job.text.get(self.at..).unwrap_or_default();
        let skipped: usize =
            rest.chars().take_while(|&other| other == '\n' && letter != '\n').map(char::len_utf8).sum();
        if rest[skipped..].starts_with(letter) {
            self.at += skipped + letter.len_utf8();
        }
        let last = self.at.saturating_sub(1);
        let sections = &self.job.sections;
        let section =
            sections.iter().rfind(|section| section.byte_range.start.0 <= last).or(sections.first());
        section.map_or_else(FontId::default, |section| section.format.font_id.clone())
    }
}

fn runs(row: &PlacedRow, text: &TextShape, formats: &mut Formats<'_>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for glyph in &row.glyphs {
        let font = formats.next(glyph.chr);
        let end = glyph.pos.x + glyph.advance_width;
        let painted = colour(row, glyph, text);
        match runs.last_mut() {
            Some(run) if run.font == font && painted.is_none_or(|colour| colour == run.colour) => {
                run.words.push(glyph.chr);
                run.length = end - run.at.x;
            }
            _ => {
                // What cannot be seen begins nothing.
                let Some(colour) = painted else { continue };
                let length = glyph.advance_width;
                runs.push(Run { at: glyph.pos, length, font, colour, words: glyph.chr.into() });
            }
        }
    }
    runs
}

/// The colour a letter is painted in; none of a space.
fn colour(row: &PlacedRow, glyph: &Glyph, text: &TextShape) -> Option<Color32> {
    if glyph.uv_rect.is_nothing() {
        return None;
    }
    let vertex = row.visuals.mesh.vertices.get(glyph.first_vertex as usize)?;
    let own = if vertex.color == Color32::PLACEHOLDER { text.fallback_color } else { vertex.color };
    Some(text.override_text_color.unwrap_or(own).gamma_multiply(text.opacity_factor))
}

fn solid(stroke: &PathStroke) -> Option<Stroke> {
    match stroke.color {
        ColorMode::Solid(color) => Some(Stroke::new(stroke.width, color)),
        ColorMode::UV(_) => None,
    }
}

/// A number with two digits after the point at most.
fn short(value: f32) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn point(at: Pos2) -> String {
    format!("{} {}", short(at.x), short(at.y))
}

fn sides(rect: Rect) -> String {
    let (x, y, width, height) = (rect.min.x, rect.min.y, rect.width(), rect.height());
    format!("x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", short(x), short(y), short(width), short(height))
}

fn polyline(points: &[Pos2], closed: bool) -> String {
    let mut way = String::new();
    for (number, &at) in points.iter().enumerate() {
        way.push(if number == 0 { 'M' } else { 'L' });
        way += &point(at);
    }
    if closed {
        way.push('Z');
    }
    way
}

/// A rectangle whose corners are not all alike.
fn rounded(rect: Rect, corners: CornerRadius) -> String {
    let CornerRadius { nw, ne, sw, se } = corners;
    let arc = |radius: u8, x: f32, y: f32| format!("A{radius} {radius} 0 0 1 {}", point(Pos2::new(x, y)));
    let [nw_, ne_, sw_, se_] = [nw, ne, sw, se].map(f32::from);
    let (left, top, right, bottom) = (rect.left(), rect.top(), rect.right(), rect.bottom());
    format!(
        "M{}H{}{}V{}{}H{}{}V{}{}Z",
        point(Pos2::new(left + nw_, top)),
        short(right - ne_),
        arc(ne, right, top + ne_),
        short(bottom - se_),
        arc(se, right - se_, bottom),
        short(left + sw_),
        arc(sw, left, bottom - sw_),
        short(top + nw_),
        arc(nw, left + nw_, top)
    )
}

fn fill(colour: Color32) -> String {
    match colour.a() {
        0 => " fill=\"none\"".to_owned(),
        _ => paint("fill", colour),
    }
}

/// A line alone leaves what is inside it to whoever says so.
fn stroke(line: Stroke) -> String {
    if line.is_empty() {
        return String::new();
    }
    format!(
        " {}stroke-width=\"{}\"",
        paint("stroke", line.color).trim_start().to_owned() + " ",
        short(line.width)
    )
}

fn paint(what: &str, colour: Color32) -> String {
    let [r, g, b, a] = colour.to_srgba_unmultiplied();
    let opacity = match a {
        255 => String::new(),
        _ => format!(" {what}-opacity=\"{}\"", short(f32::from(a) / 255.0)),
    };
    format!(" {what}=\"#{r:02x}{g:02x}{b:02x}\"{opacity}")
}

/// Text as XML has it; what XML cannot say is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            ' ' => escaped.push('\u{a0}'),
            '\u{fffe}' | '\u{ffff}' => {}
            letter if letter.is_control() => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for letter in 0..4 {
            let sextet = bits >> (18 - 6 * letter) & 63;
            text.push(if letter > three.len() { '=' } else { char::from(LETTERS[sextet as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_letters() {
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("\u{7f}~?", "f34/"),
        ];
        for (bytes, letters) in pairs {
            assert_eq!(base64(bytes.as_bytes()), letters);
        }
    }

    #[test]
    fn numbers_are_short_and_text_is_escaped() {
        assert_eq!([1.0, -0.001, 2.5, 1.005, 100.0].map(short), ["1", "0", "2.5", "1", "100"]);
        assert_eq!(escaped("a<b>\u{1b}&\u{ffff}c"), "a&lt;b&gt;&amp;c");
    }
}
