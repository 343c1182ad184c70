//! What a trace is, and how it is written, read and salvaged.
#![forbid(unsafe_code)]

pub mod ending;
pub mod error;
pub mod header;
mod identity;
pub mod read;
pub mod record;
mod rows;
pub mod write;

pub use ending::Ending;
pub use error::Error;
pub use header::Header;
pub use read::Reader;
pub use record::{Call, Nanos, Placed, Pointer, Record, Slot, Thread};
pub use write::Writer;
