//! What the C library answered when it was probed: a batch of records in a frame of its own, behind
//! the headers.
//!
//! These records are no part of what the program did. They have allocations, slots and addresses of
//! their own, and no times; so they are folded and unfolded apart from all others. A reader that does
//! not know the frame steps over it, and a trace without it says nothing of the kind.
//!
//! What the answers tell is for whoever knows an allocator.

use std::io::{Read, Seek};

use crate::batch::{Packer, Unpacker};
use crate::columns::{Columns, Fold, Unfold};
use crate::damage::Fault;
use crate::error::Error;
use crate::frame::{Frame, Kind};
use crate::identity::Live;
use crate::record::Record;
use crate::source::Source;

/// The most records a probe is believed to have: each may be replayed as every release there is.
/// Ours has about fifty.
const MOST_RECORDS: u32 = 1 << 10;

/// Appends the body of the frame. Returns how many records are in it, and how long its columns are
/// when unpacked.
pub(crate) fn pack(answers: &[Record], packer: &mut Packer, into: &mut Vec<u8>) -> Result<(u32, u32), Error> {
    let mut fold = Fold::new(true, 1);
    let mut live = Live::default();
    for record in answers.iter().take(MOST_RECORDS as usize) {
        fold.put(record, &mut live)?;
    }
    let unpacked = packer.pack(fold.opening(), fold.columns(), into).map_err(Error::Writing)?;
    Ok((fold.records(), unpacked))
}

/// Reads such a body.
fn unpack(frame: Frame, body: &[u8]) -> Result<Vec<Record>, Fault> {
    // Without memory for a decompressor the trace itself will not be read either, and say so.
    let mut unpacker = Unpacker::new().map_err(|_| Fault::Encoding)?;
    let (mut columns, mut records) = (Columns::default(), Vec::new());
    let opening = unpacker.unpack(body, frame.unpacked, &mut columns)?;
    Unfold::new(true, 1).batch(frame.time, opening, &columns, frame.records, &mut records)?;
    Ok(records)
}

impl<R: Read + Seek> Source<R> {
    /// What the C library answered; nothing if it was not asked, or what it said cannot be read.
    ///
    /// Damage is not told of here: whoever reads on comes past it.
    pub fn probe(&mut self) -> Result<Vec<Record>, Error> {
        let probe = self.before_records(Kind::Probe)?.filter(|(_, frame)| frame.records <= MOST_RECORDS);
        let Some((at, frame)) = probe else { return Ok(Vec::new()) };
        let mut body = Vec::new();
        let read = self.body(at, frame, &mut body)?.and_then(|()| unpack(frame, &body));
        Ok(read.unwrap_or_default())
    }
}
