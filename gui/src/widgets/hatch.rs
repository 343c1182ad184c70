//! Slanting lines over a ground: here is nothing to say.

use egui::{
    Color32, ColorImage, Mesh, Painter, Pos2, Rect, TextureHandle, TextureOptions, TextureWrapMode, Ui,
};

/// How far apart the lines are, in points.
const APART: f32 = 6.0;
/// How wide they are along a row of pixels, in pixels.
const WIDE: f32 = 1.5;

/// One square of the pattern, as it was made for so many pixels a side and this colour.
type Made = Option<(u8, Color32, TextureHandle)>;

/// Hatches some places, as if they were one. It is one square of the pattern, again and again: long thin lines cost more than the ground.
pub fn paint(ui: &Ui, painter: &Painter, places: impl IntoIterator<Item = Rect>, colour: Color32) {
    let scale = ui.ctx().pixels_per_point();
    let side = side(scale);
    let id = egui::Id::unique("hatching");
    let made: Made = ui.data_mut(|data| data.get_temp(id)).flatten();
    let texture = match made {
        Some((of, with, texture)) if (of, with) == (side, colour) => texture,
        _ => {
            let options = TextureOptions { wrap_mode: TextureWrapMode::Repeat, ..TextureOptions::NEAREST };
            let texture = ui.ctx().load_texture("hatching", square(side, colour), options);
            ui.data_mut(|data| data.insert_temp(id, Some((side, colour, texture.clone()))));
            texture
        }
    };
    let mut mesh = Mesh::with_texture(texture.id());
    // Whole squares from the corner of the screen, so that lines go on from place to place.
    let square = |at: Pos2| (at.to_vec2() * scale / f32::from(side)).to_pos2();
    for place in places {
        let uv = Rect::from_min_max(square(place.min), square(place.max));
        mesh.add_rect_with_uv(place, uv, Color32::WHITE);
    }
    painter.add(mesh);
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 2 and 255")]
fn side(scale: f32) -> u8 {
    (APART * scale).round().clamp(2.0, 255.0) as u8
}

/// A square whose lines go on where the next one begins.
fn square(side: u8, colour: Color32) -> ColorImage {
    let covered = |column: u8, row: u8| {
        (WIDE - f32::from((u16::from(column) + u16::from(row)) % u16::from(side))).clamp(0.0, 1.0)
    };
    let pixels =
        (0..side).flat_map(|row| (0..side).map(move |column| colour.gamma_multiply(covered(column, row))));
    ColorImage::new([usize::from(side); 2], pixels.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_square_go_on_in_the_next() {
        for scale in [0.1, 1.0, 1.5, 4.0, 1000.0] {
            let side = side(scale);
            let square = square(side, Color32::WHITE);
            let (last, side) = (usize::from(side) - 1, usize::from(side));
            let at = |column: usize, row: usize| square.pixels[row * side + column];
            for n in 0..last {
                // One further down is one further to the left, over the edge too.
                assert_eq!(at(0, n), at(last, n + 1));
                assert_eq!(at(n, 0), at(n + 1, last));
            }
            assert_eq!(at(0, 0), Color32::WHITE);
        }
    }
}
