//! What a trace is, and how it is written, read and salvaged.
#![forbid(unsafe_code)]

mod addresses;
mod batch;
mod columns;
mod damage;
mod encoding;
mod ending;
mod error;
mod frame;
pub mod header;
mod identity;
mod index;
pub mod ops;
mod read;
pub mod record;
mod salvage;
pub mod text;
mod varint;
mod write;

pub use columns::Column;
pub use damage::{Damage, Fault};
pub use ending::{Cause, Ending, Observed};
pub use error::{Error, Name};
pub use header::Header;
pub use identity::Oddities;
pub use index::{Entry, Index};
pub use read::{Reader, Records};
pub use record::{Call, Nanos, Placed, Pointer, Record, Slot, Thread};
pub use write::{Totals, Writer};
