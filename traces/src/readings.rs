//! What the kernel said of the process now and then while it was recorded: the truth that a replay can be held against.
//!
//! Each reading is a part of its own between the batches, and nothing else depends on it: a reader that does not
//! know the part steps over it, and one that is damaged is left out. How they are taken is left to whoever records.

use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};

use crate::encoding;
use crate::error::Error;
use crate::frame::Kind;
use crate::preamble;
use crate::record::Nanos;
use crate::source::Source;

/// What the kernel said of a process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// When, as records have it.
    pub time: Nanos,
    /// Bytes of the process that are in memory: `VmRSS`.
    pub resident: u64,
    /// The most there ever were, also before the recording: `VmHWM`.
    pub most_resident: u64,
    /// Pages that it touched for the first time, or that were shared until then, since it began.
    pub minor_faults: u64,
    /// Pages that had to come from a disk, since it began.
    pub major_faults: u64,
    /// What its mappings say; nothing where asking would have cost too much.
    pub mappings: Option<Mappings>,
}

/// What a process's mappings (`smaps`) say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mappings {
    /// Bytes in memory, those shared with other processes divided by their number: `Pss`.
    pub proportional: u64,
    /// The memory below the program break.
    pub heap: Extent,
    /// The memory of the other arenas.
    pub arenas: Extent,
}

/// How much memory there is of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Bytes that the process may use.
    pub mapped: u64,
    /// Bytes of them that are in memory.
    pub resident: u64,
}

impl<R: Read + Seek> Source<R> {
    /// All readings there are, but for those that are damaged.
    pub fn readings(&mut self) -> Result<Vec<Reading>, Error> {
        let mut readings = Vec::new();
        let mut next = self.next_frame(preamble::LENGTH)?;
        let mut body = Vec::new();
        while let Some((at, frame)) = next {
            if frame.kind == Kind::Reading && self.body(at, frame, &mut body)?.is_ok() {
                readings.extend(encoding::decode::<Reading>(&body));
            }
            next = self.frame_after(at, Some(frame))?;
        }
        Ok(readings)
    }
}
