//! What a window shows, as a picture: made without a screen and without a graphics processor.
//!
//! A [`camera::Camera`] in egui's context keeps the textures and, when it is told to, what one frame
//! paints. [`raster`] colours pixels with that as a graphics processor would; [`svg`] writes it as lines
//! and letters. Nothing in here has heard of heaps.

pub mod camera;
pub mod raster;
pub mod svg;
pub mod textures;
