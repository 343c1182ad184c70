//! Cells in rows and columns, a colour each, as one texture: a cell costs a pixel of memory and nothing to draw.

use egui::{Color32, ColorImage, Context, Mesh, Painter, Rect, TextureHandle, TextureOptions, pos2};

/// A picture of cells that is painted again only when what it shows has changed.
#[derive(Clone)]
pub struct Cells<K> {
    made: Option<(K, [usize; 2], TextureHandle)>,
}

impl<K> Default for Cells<K> {
    fn default() -> Cells<K> {
        Cells { made: None }
    }
}

impl<K> std::fmt::Debug for Cells<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = self.made.as_ref().map(|(_, size, _)| size);
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
        if self.made.as_ref().is_some_and(|(made, ..)| *made == key) {
            return;
        }
        let mut pixels = paint();
        let rows = pixels.len().checked_div(columns).unwrap_or(0);
        pixels.truncate(rows * columns);
        let size = [columns, rows];
        let image = ColorImage::new(size, pixels);
        let texture = context.load_texture("cells", image, TextureOptions::NEAREST);
        self.made = Some((key, size, texture));
    }

    /// Draws some rows of the picture, all their columns, each part where it belongs.
    pub fn draw(&self, painter: &Painter, parts: impl Iterator<Item = (std::ops::Range<usize>, Rect)>) {
        let Some((_, [columns, rows], texture)) = &self.made else { return };
        if *columns == 0 || *rows == 0 {
            return;
        }
        let mut mesh = Mesh::with_texture(texture.id());
        let share = |row: usize| row as f32 / *rows as f32;
        for (part, place) in parts {
            let uv = Rect::from_min_max(pos2(0.0, share(part.start)), pos2(1.0, share(part.end)));
            mesh.add_rect_with_uv(place, uv, Color32::WHITE);
        }
        painter.add(mesh);
    }
}
