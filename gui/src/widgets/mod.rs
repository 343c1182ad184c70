//! Drawing that knows numbers and rectangles, and has never heard of heaps.

pub mod band;
pub mod bars;
pub mod cells;
pub mod csv;
pub mod grid;
pub mod hatch;
pub mod layer;
pub mod long_table;
pub mod matrix;
pub mod message;
pub mod patches;
pub mod sankey;
pub mod scale;
pub mod swatch;
pub mod table;
pub mod toast;
