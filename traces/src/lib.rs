//! What a trace is, and how it is written, read and salvaged.
#![forbid(unsafe_code)]

pub mod header;
pub mod record;

pub use header::Header;
pub use record::{Call, Nanos, Placed, Pointer, Record, Slot, Thread};
