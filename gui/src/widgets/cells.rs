//! Cells in rows and columns, a colour each, as one texture: a cell costs a pixel of memory and nothing to draw, and one that is
//! clear is left out.

use super::patches::{Patch, patches};
use egui::{Color32, ColorImage, Context, Mesh, Painter, Rect, TextureHandle, TextureOptions};
use std::ops::Range;

/// A picture of cells that is painted again only when what it shows has changed.
#[derive(Clone)]
pub struct Cells<K> {
    made: Option<Made<K>>,
}

#[derive(Clone)]
struct Made<K> {
    key: K,
    size: [usize; 2],
    texture: TextureHandle,
    /// Where there are colours, and where the ground can be seen: some columns at a time.
    seen: Vec<Patch>,
    ground: Vec<Patch>,
}

/// Columns that are drawn or left out together: more rectangles than a few thousand would cost more than they spare.
const TOGETHER: usize = 16;

impl<K> Default for Cells<K> {
    fn default() -> Cells<K> {
        Cells { made: None }
    }
}

impl<K> std::fmt::Debug for Cells<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = self.made.as_ref().map(|made| made.size);
        f.debug_struct("Cells").field("size", &size).finish_non_exhaustive()
    }
}

impl<K: PartialEq> Cells<K> {
    /// Makes sure that the picture is the one of `key`; `paint` gives the colours of so many columns, row by row.
    pub fn update(
        &mut self,
        context: &Context,
        key: K,
        columns: usize,
        paint: impl FnOnce() -> Vec<Color32>,
    ) {
        if self.made.as_ref().is_some_and(|made| made.key == key) {
            return;
        }
        let mut pixels = paint();
        let rows = pixels.len().checked_div(columns).unwrap_or(0);
        pixels.truncate(rows * columns);
        let size = [columns, rows];
        let any = |is_there: fn(&Color32) -> bool| {
            let together = [columns.div_ceil(TOGETHER), rows];
            let parts = |column: usize, row: usize| {
                let first = column * TOGETHER;
                pixels[row * columns..][first..columns.min(first + TOGETHER)].iter().any(is_there)
            };
            let mut found = patches(together, parts);
            for Patch { columns: part, .. } in &mut found {
                *part = part.start * TOGETHER..(part.end * TOGETHER).min(columns);
            }
            found
        };
        let seen = any(|colour| *colour != Color32::TRANSPARENT);
        let ground = any(|colour| !colour.is_opaque());
        let image = ColorImage::new(size, pixels);
        let texture = context.load_texture("cells", image, TextureOptions::NEAREST);
        self.made = Some(Made { key, size, texture, seen, ground });
    }

    /// Draws some rows of the picture, all their columns, each part where it belongs.
    pub fn draw(&self, painter: &Painter, parts: impl Iterator<Item = (Range<usize>, Rect)>) {
        let Some(made) = &self.made else { return };
        let mut mesh = Mesh::with_texture(made.texture.id());
        for (part, place) in parts {
            for (uv, place) in made.within(&made.seen, &part, place) {
                mesh.add_rect_with_uv(place, uv, Color32::WHITE);
            }
        }
        painter.add(mesh);
    }

    /// Where the ground can be seen in some rows of the picture that belong here.
    pub fn ground(&self, part: &Range<usize>, place: Rect) -> impl Iterator<Item = Rect> {
        self.made.iter().flat_map(move |made| made.within(&made.ground, part, place).map(|(_, place)| place))
    }
}

impl<K> Made<K> {
    /// What of some patches lies in some rows: which part of the picture, and where, if those rows belong here.
    fn within(&self, all: &[Patch], rows: &Range<usize>, place: Rect) -> impl Iterator<Item = (Rect, Rect)> {
        let [columns, height] = self.size.map(|side| side as f32);
        all.iter().filter_map(move |patch| {
            let (first, end) = (patch.rows.start.max(rows.start), patch.rows.end.min(rows.end));
            let (left, right) = (patch.columns.start as f32, patch.columns.end as f32);
            (first < end).then(|| {
                let row = |row: usize| (row - rows.start) as f32 / rows.len() as f32;
                let share = Rect::from_x_y_ranges(left / columns..=right / columns, row(first)..=row(end));
                let uv = share.with_min_y(first as f32 / height).with_max_y(end as f32 / height);
                (
                    uv,
                    Rect::from_min_max(
                        place.lerp_inside(share.min.to_vec2()),
                        place.lerp_inside(share.max.to_vec2()),
                    ),
                )
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::{pos2, vec2};

    #[test]
    fn ground_is_where_cells_let_it_through_and_nothing_is_drawn_where_all_are_clear() {
        let context = Context::default();
        let mut cells = Cells::default();
        let (clear, faded, full) = (Color32::TRANSPARENT, Color32::from_black_alpha(90), Color32::RED);
        let wide = TOGETHER * 2;
        cells.update(&context, 1, wide, || {
            let row = |left: Color32, right: Color32| [vec![left; TOGETHER], vec![right; TOGETHER]].concat();
            [row(full, full), row(full, clear), row(faded, clear)].concat()
        });
        let place = Rect::from_min_size(pos2(10.0, 20.0), vec2(wide as f32, 3.0));
        let rect = |x: (f32, f32), y: (f32, f32)| {
            let (x, y) = ((x.0 * 16.0 + 10.0, x.1 * 16.0 + 10.0), (y.0 + 20.0, y.1 + 20.0));
            Rect::from_x_y_ranges(x.0..=x.1, y.0..=y.1)
        };
        let mut ground: Vec<Rect> = cells.ground(&(0..3), place).collect();
        ground.sort_by(|one, other| one.min.y.total_cmp(&other.min.y));
        assert_eq!(ground, [rect((1.0, 2.0), (1.0, 2.0)), rect((0.0, 2.0), (2.0, 3.0))]);
        let made = cells.made.as_ref().unwrap();
        // Of the lower two rows, which are drawn as high as all three were.
        let mut seen: Vec<(Rect, Rect)> = made.within(&made.seen, &(1..3), place).collect();
        seen.sort_by(|one, other| one.0.min.y.total_cmp(&other.0.min.y));
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].1, rect((0.0, 1.0), (0.0, 3.0)));
        assert_eq!(seen[0].0, Rect::from_x_y_ranges(0.0..=0.5, 1.0 / 3.0..=1.0));
    }
}
