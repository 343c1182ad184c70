//! Drawing that knows numbers and rectangles, and has never heard of heaps.

pub mod bars;
pub mod long_table;
pub mod message;
pub mod table;
