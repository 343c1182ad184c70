//! Drawing that knows numbers and rectangles, and has never heard of heaps.

pub mod matrix;
pub mod message;
pub mod swatch;
pub mod table;
