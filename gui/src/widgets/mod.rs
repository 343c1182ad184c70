//! Drawing that knows numbers and rectangles, and has never heard of heaps.

pub mod cells;
pub mod message;
pub mod sankey;
pub mod scale;
pub mod table;
