//! Why a trace could not be written or read, and in which file.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::damage::Damage;

/// Why a trace could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The trace could not be written.
    #[error("the trace cannot be written: {0}")]
    Writing(#[source] io::Error),
    /// The header or the ending would be longer than a reader can be asked to believe.
    #[error("the {part} takes {length} bytes, and {limit} is the most there can be")]
    TooLong {
        /// Which of them.
        part: &'static str,
        /// Its length.
        length: usize,
        /// The longest there can be.
        limit: usize,
    },
    /// More allocations are alive than slots can be numbered.
    #[error("more than four billion allocations are alive at one time")]
    TooManyAllocations,
    /// The file could not be read.
    #[error("{file}: {source}")]
    Reading {
        /// Which file.
        file: Name,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{file} is not a trace: it does not begin with a trace's mark")]
    NotATrace {
        /// Which file.
        file: Name,
    },
    /// The trace is newer than this program, or the number of its version is damaged.
    #[error("{file} is a trace of version {found}, and {known} is the newest that is known here")]
    Version {
        /// Which file.
        file: Name,
        /// The version in the file.
        found: u32,
        /// The newest this reader knows.
        known: u32,
    },
    /// Both copies of the header are damaged, and nothing can be understood without it.
    #[error("{file}: the header cannot be read, nor can its copy: {damage}")]
    Header {
        /// Which file.
        file: Name,
        /// What is wrong with the first of them.
        damage: Damage,
    },
    /// The heap as it stood before the first record is damaged, and what follows makes no sense without it.
    #[error("{file}: the heap as it stood before the first record cannot be read: {damage}")]
    Snapshot {
        /// Which file.
        file: Name,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A part of the trace cannot be read. This is not the end: reading goes on behind it.
    #[error("{file}: {damage}")]
    Damaged {
        /// Which file.
        file: Name,
        /// Where, why, and what it costs.
        damage: Damage,
    },
    /// There is no such batch.
    #[error("{file} has {batches} batches, so there is no batch {asked}")]
    NoSuchBatch {
        /// Which file.
        file: Name,
        /// The number asked for.
        asked: u32,
        /// How many there are.
        batches: u32,
    },
}

/// The name of a trace, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Arc<str>);

impl Name {
    pub(crate) fn new(name: &str) -> Name {
        Name(name.into())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
