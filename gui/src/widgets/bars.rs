//! Many rectangles with labels, drawn as one mesh.
//!
//! A rectangle of its own costs as much as eight of a mesh, and a frame has thousands of them. Labels are
//! shortened to what fits; those of the narrowest are left out.

use egui::text::{LayoutJob, TextWrapping};
use egui::{Color32, FontId, Mesh, Painter, Rect, Shape, vec2};

/// Labels that are drawn at most, the widest: a frame has time for no more.
const MOST_LABELS: usize = 1000;
/// Narrower bars have no label.
const LEAST_FOR_LABEL: f32 = 26.0;
/// From here on, bars are a line apart.
const LEAST_FOR_LINE: f32 = 2.5;
/// Before the first letter.
const INDENT: f32 = 4.0;

/// A rectangle.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Where.
    pub rect: Rect,
    /// Its colour.
    pub fill: Color32,
    /// The colour of its label.
    pub ink: Color32,
    /// What stands in it, if there is room.
    pub label: String,
}

impl Bar {
    /// Whether there is room for a label.
    pub fn has_label(width: f32) -> bool {
        width >= LEAST_FOR_LABEL
    }
}

/// Draws them.
pub fn paint(painter: &Painter, bars: &[Bar], font: &FontId) {
    let mut mesh = Mesh::default();
    mesh.reserve_vertices(bars.len() * 4);
    mesh.reserve_triangles(bars.len() * 2);
    for bar in bars {
        let mut rect = bar.rect;
        rect.max.y -= 1.0;
        if rect.width() > LEAST_FOR_LINE {
            rect.max.x -= 1.0;
        }
        mesh.add_colored_rect(rect, bar.fill);
    }
    painter.add(Shape::mesh(mesh));
    let mut labelled: Vec<&Bar> = bars.iter().filter(|bar| Bar::has_label(bar.rect.width())).collect();
    if labelled.len() > MOST_LABELS {
        labelled.sort_by(|a, b| b.rect.width().total_cmp(&a.rect.width()));
        labelled.truncate(MOST_LABELS);
    }
    for bar in labelled {
        text(painter, bar.rect.shrink2(vec2(INDENT, 0.0)), &bar.label, font, bar.ink);
    }
}

/// A text in one line, from the left, shortened to what fits.
pub fn text(painter: &Painter, rect: Rect, text: &str, font: &FontId, ink: Color32) {
    // Nobody sees the end of a longer one, and a name may be as long as a trace.
    const LONGEST: usize = 1000;
    let shown: String = text.chars().take(LONGEST).collect();
    let mut job = LayoutJob::simple_singleline(shown, font.clone(), ink);
    job.wrap = TextWrapping::truncate_at_width(rect.width());
    let galley = painter.layout_job(job);
    let at = egui::pos2(rect.left(), rect.center().y - galley.size().y / 2.0);
    painter.galley(at, galley, ink);
}
