//! Records into a trace: every full batch reaches the file at once.

use std::io::Write;

use crate::ending::Ending;
use crate::error::Error;
use crate::header::Header;
use crate::identity::Live;
use crate::record::{Call, Pointer, Record, Slot};

/// Writes one trace.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    live: Live,
    batch: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a trace.
    pub fn new(mut out: W, header: &Header) -> Result<Self, Error> {
        let bytes = bincode::serde::encode_to_vec(header, bincode::config::standard())
            .map_err(|e| Error::Damaged(e.to_string()))?;
        out.write_all(&(bytes.len() as u64).to_le_bytes())?;
        out.write_all(&bytes)?;
        Ok(Writer {
            out,
            live: Live::default(),
            batch: Vec::new(),
        })
    }

    /// Appends a record. A pointer in it whose slot is [`Slot::NONE`] is looked up among the live
    /// allocations; one that carries a slot, given by [`claim`](Self::claim), is believed.
    pub fn record(&mut self, record: &Record) -> Result<(), Error> {
        let resolved = self.resolve(*record);
        crate::rows::write(&resolved, &mut self.batch);
        if self.batch.len() > 1 << 16 {
            self.flush()?;
        }
        Ok(())
    }

    /// Takes the allocation at `address` out of the live ones, because a `realloc` of it has begun
    /// that will be recorded later: until then another call may be given the same address. The
    /// slot goes into that record's `old`. [`Slot::NONE`] if no allocation is known to live there.
    pub fn claim(&mut self, address: u64) -> Slot {
        self.live.lift(address)
    }

    /// Sends what there is to the file, in a batch shorter than usual.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.out.write_all(&self.batch)?;
        self.batch.clear();
        self.out.flush()?;
        Ok(())
    }

    /// Ends the trace.
    pub fn finish(mut self, _ending: &Ending) -> Result<W, Error> {
        self.flush()?;
        Ok(self.out)
    }

    fn resolve(&mut self, mut record: Record) -> Record {
        match &mut record.call {
            Call::Realloc {
                old,
                request: asked,
                to,
            }
            | Call::Reallocarray {
                old,
                size: asked,
                to,
                ..
            } => {
                if old.slot == Slot::NONE && !old.is_null() {
                    old.slot = self.live.lift(old.address);
                }
                if to.pointer.is_null() {
                    if *asked == 0 && old.slot != Slot::NONE {
                        self.live.vacate(old.slot);
                    } else if old.slot != Slot::NONE {
                        self.live.settle(old.slot, old.address);
                    }
                } else if old.slot == Slot::NONE {
                    to.pointer.slot = self.live.place(to.pointer.address);
                } else {
                    to.pointer.slot = old.slot;
                    self.live.settle(old.slot, to.pointer.address);
                }
            }
            Call::Free { pointer } => {
                if pointer.slot == Slot::NONE && !pointer.is_null() {
                    pointer.slot = self.live.lift(pointer.address);
                }
                if pointer.slot != Slot::NONE {
                    self.live.vacate(pointer.slot);
                }
            }
            Call::UsableSize { pointer } => pointer.slot = self.live.find(pointer.address),
            Call::Malloc { to, .. }
            | Call::Calloc { to, .. }
            | Call::Memalign { to, .. }
            | Call::AlignedAlloc { to, .. }
            | Call::PosixMemalign { to, .. }
            | Call::Valloc { to, .. }
            | Call::Pvalloc { to, .. } => {
                if !to.pointer.is_null() {
                    to.pointer = Pointer {
                        address: to.pointer.address,
                        slot: self.live.place(to.pointer.address),
                    };
                }
            }
            _ => {}
        }
        record
    }
}
