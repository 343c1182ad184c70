//! What cannot be read of a trace: where it is, why, and what it costs.

use std::fmt;

use crate::columns::Column;
use crate::record::Slot;

/// A stretch of a trace that cannot be read, and the records that are lost with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The number of the batch, or what the next one's would have been.
    pub batch: u32,
    /// Where it begins in the file.
    pub at: u64,
    /// How many bytes were skipped. 0 if bytes that should be here are not.
    pub length: u64,
    /// The number of the first record that is lost.
    pub first: u64,
    /// How many records are lost; `None` if nothing readable follows that would tell.
    pub records: Option<u64>,
    /// Why.
    pub fault: Fault,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { batch, at, first, fault, .. } = self;
        write!(f, "batch {batch} at byte {at}: {fault}; ")?;
        match self.records {
            Some(0) => write!(f, "no record is lost"),
            Some(1) => write!(f, "record {first} is lost"),
            Some(records) => write!(f, "records {first} to {} are lost", first.saturating_add(records) - 1),
            None => write!(f, "whatever came from record {first} on is lost"),
        }
    }
}

/// Why a stretch of a trace cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file ends within a batch.
    #[error("the file ends {missing} bytes before the batch does")]
    Cut {
        /// How many bytes are not there.
        missing: u64,
    },
    /// There is no frame where one should begin.
    #[error("no batch begins here")]
    NoFrame,
    /// A frame that contradicts its own checksum.
    #[error("its frame has the checksum {found:08x} instead of {expected:08x}")]
    FrameChecksum {
        /// What the frame says.
        expected: u32,
        /// What was computed.
        found: u32,
    },
    /// A body that contradicts its frame's checksum.
    #[error("its body has the checksum {found:08x} instead of {expected:08x}")]
    BodyChecksum {
        /// What the frame says.
        expected: u32,
        /// What was computed.
        found: u32,
    },
    /// A length beyond what this format allows.
    #[error("it claims to be {length} bytes long, and {limit} is the most there can be")]
    TooLong {
        /// The length in the frame.
        length: u64,
        /// The longest there can be.
        limit: u64,
    },
    /// Records are missing between two good batches.
    #[error("one or more batches are missing before it")]
    Missing,
    /// A batch of records that were in an earlier one.
    #[error("it begins with record {begins}, which was there already")]
    Repeated {
        /// Its first record.
        begins: u64,
    },
    /// Not what bincode makes of the structure that should be here.
    #[error("its structure cannot be decoded")]
    Encoding,
    /// Columns that are not as long together as the frame says.
    #[error("its columns are {found} bytes long instead of {expected}")]
    Lengths {
        /// What the frame says.
        expected: u64,
        /// What they say.
        found: u64,
    },
    /// A column zstd cannot unpack.
    #[error("its column of {0} cannot be unpacked")]
    Packing(Column),
    /// A column that ends before the records do.
    #[error("its column of {0} ends early")]
    ColumnShort(Column),
    /// A column that goes on after the last record.
    #[error("its column of {0} has bytes left over")]
    ColumnLong(Column),
    /// A number beyond what fits where it belongs.
    #[error("its column of {0} has a number that is too large")]
    Number(Column),
    /// A code that stands for nothing.
    #[error("its column of {column} has the code {code}, which means nothing")]
    Code {
        /// Where.
        column: Column,
        /// The code.
        code: u8,
    },
    /// A free, realloc or size query of an allocation that is not alive.
    #[error("it names the allocation in slot {}, which holds none", .0.0)]
    Vacant(Slot),
    /// A new allocation where another one lives.
    #[error("it places an allocation in slot {}, which holds one", .0.0)]
    Occupied(Slot),
    /// A slot number that no writer would have come to.
    #[error("it takes slot {} before any of those below", .0.0)]
    Skipped(Slot),
}
