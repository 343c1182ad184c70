//! The textures that the meshes of a frame refer to, kept as they were given to the graphics processor.

use egui::epaint::textures::TexturesDelta;
use egui::{Color32, ColorImage, ImageData, TextureId, TextureOptions};
use std::collections::HashMap;
use std::sync::Arc;

/// A texture.
#[derive(Clone, Debug)]
pub struct Texture {
    /// Its texels, row by row, with premultiplied alpha.
    pub image: Arc<ColorImage>,
    /// What lies between texels and beyond the edges.
    pub options: TextureOptions,
}

/// All textures there are. A copy shares the texels.
#[derive(Clone, Debug, Default)]
pub struct Textures(HashMap<TextureId, Texture>);

impl Textures {
    /// One texture alone, under the identity that meshes have by default.
    #[cfg(test)]
    pub fn of(image: ColorImage, options: TextureOptions) -> Textures {
        let texture = Texture { image: Arc::new(image), options };
        Textures(HashMap::from([(TextureId::default(), texture)]))
    }

    /// One of them; none if it was never set, or is gone.
    pub fn get(&self, id: TextureId) -> Option<&Texture> {
        self.0.get(&id)
    }

    /// Sets what is to be set before a frame is painted. What may be freed after it is kept until
    /// [`Textures::free`].
    pub fn set(&mut self, delta: &TexturesDelta) {
        for (&id, changes) in &delta.set {
            for change in changes {
                let ImageData::Color(image) = &change.image;
                match (change.pos, self.0.get_mut(&id)) {
                    (None, _) => {
                        let texture = Texture { image: Arc::clone(image), options: change.options };
                        self.0.insert(id, texture);
                    }
                    (Some(at), Some(texture)) => paste(Arc::make_mut(&mut texture.image), image, at),
                    // A part of what was never there as a whole has nowhere to go.
                    (Some(_), None) => {}
                }
            }
        }
    }

    /// Lets go what is not needed after a frame is painted.
    pub fn free(&mut self, delta: &TexturesDelta) {
        for id in &delta.free {
            self.0.remove(id);
        }
    }
}

/// Puts `patch` over a part of `image`; what would lie outside is left out.
fn paste(image: &mut ColorImage, patch: &ColorImage, [left, top]: [usize; 2]) {
    let [width, height] = image.size;
    let columns = patch.width().min(width.saturating_sub(left));
    for row in 0..patch.height().min(height.saturating_sub(top)) {
        let (to, from) = ((top + row) * width + left, row * patch.width());
        let texels: &[Color32] = &patch.pixels[from..from + columns];
        image.pixels[to..to + columns].copy_from_slice(texels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::epaint::ImageDelta;

    fn image(size: [usize; 2], grey: u8) -> ColorImage {
        ColorImage::new(size, vec![Color32::from_gray(grey); size[0] * size[1]])
    }

    #[test]
    fn a_part_of_a_texture_is_changed_and_the_texture_freed() {
        let id = TextureId::Managed(7);
        let (mut textures, mut delta) = (Textures::default(), TexturesDelta::default());
        let whole = ImageDelta::full(image([3, 2], 10), TextureOptions::NEAREST);
        let part = ImageDelta::partial([2, 1], image([4, 4], 90), TextureOptions::NEAREST);
        delta.set.entry(id).or_default().push(whole);
        delta.set.entry(id).or_default().push(part);
        delta.free.insert(id);
        textures.set(&delta);
        let greys: Vec<u8> = textures.get(id).unwrap().image.pixels.iter().map(|texel| texel.r()).collect();
        assert_eq!(greys, [10, 10, 10, 10, 10, 90]);
        textures.free(&delta);
        assert!(textures.get(id).is_none());
        delta.clear();
    }
}
