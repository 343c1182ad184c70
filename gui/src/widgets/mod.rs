//! Drawing that knows numbers and rectangles, and has never heard of heaps.

pub mod csv;
pub mod message;
pub mod table;
pub mod toast;
