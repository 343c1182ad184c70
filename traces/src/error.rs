//! What can go wrong with a trace, and where.

use std::io;

/// Why a trace could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is something else.
    #[error("not a trace: it does not begin with malloscope's mark")]
    NotATrace,
    /// A part of the trace cannot be read. Reading may go on behind it.
    #[error("{0}")]
    Damaged(String),
}
