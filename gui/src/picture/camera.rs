//! Takes what one frame paints out of egui's context.

use super::raster::{self, Picture};
use super::textures::Textures;
use egui::epaint::ClippedShape;
use egui::{Color32, Context, FullOutput, Plugin, Rect};

/// What one frame paints, and all that is needed to paint it.
#[derive(Clone, Debug)]
pub struct Shot {
    /// The shapes, from back to front.
    pub shapes: Vec<ClippedShape>,
    /// The textures they refer to.
    pub textures: Textures,
    /// Pixels a point.
    pub pixels_per_point: f32,
    /// What was shown, in points.
    pub screen: Rect,
    /// What lies behind all shapes.
    pub ground: Color32,
}

impl Shot {
    /// The pixels of a part, in points, or of all there is.
    pub fn develop(&self, context: &Context, part: Option<Rect>) -> Picture {
        let part = part.unwrap_or(self.screen).intersect(self.screen);
        let primitives = context.tessellate(self.shapes.clone(), self.pixels_per_point);
        raster::draw(&primitives, &self.textures, part, self.pixels_per_point, self.ground)
    }
}

/// A plugin of egui's that keeps the textures at hand, which are given only once, and keeps what a frame
/// paints when it is told to.
#[derive(Debug, Default)]
pub struct Camera {
    textures: Textures,
    is_ready: bool,
    shot: Option<Shot>,
}

impl Camera {
    /// Has the next frame that ends kept.
    pub fn make_ready(&mut self) {
        self.is_ready = true;
    }

    /// The frame that was kept, if one has ended since.
    pub fn take(&mut self) -> Option<Shot> {
        self.shot.take()
    }
}

impl Plugin for Camera {
    fn debug_name(&self) -> &'static str {
        "camera"
    }

    fn output_hook(&mut self, context: &Context, output: &mut FullOutput) {
        self.textures.set(&output.textures_delta);
        if self.is_ready {
            self.is_ready = false;
            self.shot = Some(Shot {
                shapes: output.shapes.clone(),
                textures: self.textures.clone(),
                pixels_per_point: output.pixels_per_point,
                screen: context.content_rect(),
                ground: context.global_style().visuals.panel_fill,
            });
        }
        self.textures.free(&output.textures_delta);
    }
}
