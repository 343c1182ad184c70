//! Records into a trace. Every full batch reaches the file at once, so that a recorder that is killed
//! loses at most the records of the last one.

use std::io::{self, Write};

use serde::Serialize;

use crate::batch::{self, Packer};
use crate::columns::{Fold, Sites};
use crate::encoding;
use crate::ending::{Ending, Last, Totals};
use crate::error::Error;
use crate::frame::{self, Frame};
use crate::growth::Growth;
use crate::header::Header;
use crate::identity::Live;
use crate::index::{Entry, Index};
use crate::preamble;
use crate::probe;
use crate::readings::Reading;
use crate::record::{Nanos, Record, Slot};
use crate::redaction::Redaction;
use crate::snapshot::Snapshot;
use crate::stacks::{self, Capture, Module, ModuleId, Stack};
use crate::symbols::Symbols;
use crate::untouched::Untouched;

/// Writes one trace.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    /// How many bytes were written.
    at: u64,
    fold: Fold,
    packer: Packer,
    live: Live,
    index: Index,
    /// How many batches were written, and how many records in them.
    batches: u32,
    records: u64,
    resolution: u64,
    frame: Vec<u8>,
    /// What the tree of stacks grew by since the last batch.
    growth: Growth,
    /// From where the batch's records come; kept if any are to have a stack.
    sites: Option<Sites>,
}

impl<W: Write> Writer<W> {
    /// Begins a trace. The header's clock says in how many nanoseconds times are counted
    /// (they are rounded down), and its heap whether addresses are worth keeping.
    pub fn new(out: W, header: &Header) -> Result<Self, Error> {
        let resolution = header.clock.resolution.max(1);
        let mut writer = Writer {
            out,
            at: 0,
            fold: Fold::new(header.heap.placements, resolution),
            packer: Packer::new().map_err(Error::Writing)?,
            live: Live::default(),
            index: Index::default(),
            batches: 0,
            records: 0,
            resolution,
            frame: Vec::new(),
            growth: Growth::default(),
            sites: None,
        };
        writer.begin(header)?;
        Ok(writer)
    }

    /// Says how the heap stood before the first record. To be called before that.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] if there are more chunks than a reader can be asked to believe: some twenty million.
    pub fn snapshot(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        self.frame.clear();
        self.frame.resize(frame::LENGTH, 0);
        let unpacked = snapshot.pack(&mut self.packer, &mut self.frame)?;
        self.send_frame(frame::Kind::Snapshot, 0, unpacked)
    }

    /// Says what is left out. To be called before the first record; who calls it leaves it out.
    pub fn redacted(&mut self, redaction: &Redaction) -> Result<(), Error> {
        self.send_plain(frame::Kind::Redaction, redaction)
    }

    /// Says what the kernel said of the process. It stands behind the records of the batches sent so far.
    pub fn reading(&mut self, reading: &Reading) -> Result<(), Error> {
        self.send_plain(frame::Kind::Reading, reading)
    }

    /// Appends a record. If that fails because the file takes no more, the record is kept, and can
    /// still be sent once there is room.
    ///
    /// Slots in it are ignored and found out anew, but for one that [`claim`](Self::claim) gave and
    /// that is now the slot of the pointer that a `realloc` was handed.
    #[inline]
    pub fn record(&mut self, record: &Record) -> Result<(), Error> {
        self.record_from(record, Stack::NONE)
    }

    /// Appends a record of a call that was made from this stack.
    #[inline]
    pub fn record_from(&mut self, record: &Record, stack: Stack) -> Result<(), Error> {
        self.fold.put(record, &mut self.live)?;
        if let Some(sites) = &mut self.sites {
            sites.push(record, stack);
        }
        // There are more if a full batch could not be sent.
        if self.fold.records() >= batch::RECORDS { self.send_batch() } else { Ok(()) }
    }

    /// Says that records which speak of these addresses are about to come; it need not be true. What is
    /// known of them is fetched from memory meanwhile, for all at a time.
    #[inline]
    pub fn expect(&self, addresses: impl Iterator<Item = u64>) {
        self.live.fetch(addresses);
    }

    /// Says which calls will have a stack. To be called before the first record, if any is to have one.
    pub fn capture(&mut self, capture: Capture) {
        self.growth.capture(capture);
        self.sites.get_or_insert_default();
    }

    /// Adds a module that code of later frames is in.
    pub fn module(&mut self, module: Module) -> ModuleId {
        self.growth.module(module)
    }

    /// Adds a frame, whose caller was added before. Returns the stack it is the innermost frame of; none
    /// if the trace has as many as it may have. That no frame is added twice is the caller's to see to.
    pub fn frame(&mut self, frame: stacks::Frame) -> Stack {
        self.growth.frame(frame)
    }

    /// Says which memory was never touched. To be called last; where there is too much to tell, nothing is told.
    pub fn untouched(&mut self, untouched: &Untouched) -> Result<(), Error> {
        self.flush()?;
        match self.send_plain(frame::Kind::Untouched, untouched) {
            Err(Error::TooLong { .. }) => Ok(()),
            sent => sent,
        }
    }

    /// Says what the frames of stacks are called. To be called last; where there is too much to tell, nothing is told.
    pub fn symbols(&mut self, symbols: &Symbols) -> Result<(), Error> {
        self.flush()?;
        self.send_growth()?;
        self.frame.clear();
        self.frame.resize(frame::LENGTH, 0);
        match symbols.pack(&mut self.frame) {
            Err(Error::TooLong { .. }) => Ok(()),
            packed => self.send_frame(frame::Kind::Symbols, 0, packed?),
        }
    }

    /// Takes the allocation at `address` out of the live ones, because a `realloc` of it has begun
    /// that is not recorded yet: until then another call may be given the same address. The slot
    /// goes into that record's `old`. If the record says that the call failed, the allocation
    /// returns to its address. [`Slot::NONE`] if no allocation is known to live there.
    pub fn claim(&mut self, address: u64) -> Slot {
        self.live.claim(address)
    }

    /// Whether an allocation is known to live at `address`.
    pub fn is_alive(&self, address: u64) -> bool {
        self.live.is_alive(address)
    }

    /// The time of the record that was appended last.
    pub fn last_time(&self) -> Nanos {
        Nanos(self.fold.last().saturating_mul(self.resolution))
    }

    /// Sends what there is to the file, in a batch shorter than usual.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.fold.records() > 0 {
            self.send_batch()?;
        }
        self.out.flush().map_err(Error::Writing)
    }

    /// Ends the trace.
    pub fn finish(mut self, ending: &Ending) -> Result<W, Error> {
        self.flush()?;
        self.send_growth()?;
        let (allocations, slots, oddities) = self.live.totals();
        let totals = Totals { records: self.records, batches: self.batches, allocations, slots, oddities };
        let index = self.send_index()?;
        let at = self.at;
        self.send_plain(frame::Kind::Ending, &Last { ending: ending.clone(), totals, index })?;
        self.send_tail(at)?;
        self.out.flush().map_err(Error::Writing)?;
        Ok(self.out)
    }

    fn begin(&mut self, header: &Header) -> Result<(), Error> {
        self.send(&preamble::bytes())?;
        // Twice, because without it nothing else can be understood.
        self.send_plain(frame::Kind::Header, header)?;
        self.send_plain(frame::Kind::Header, header)?;
        if header.libc.probe.is_empty() { Ok(()) } else { self.send_probe(&header.libc.probe) }
    }

    fn send_probe(&mut self, answers: &[Record]) -> Result<(), Error> {
        self.frame.clear();
        self.frame.resize(frame::LENGTH, 0);
        let (records, unpacked) = probe::pack(answers, &mut self.packer, &mut self.frame)?;
        self.send_frame(frame::Kind::Probe, records, unpacked)
    }

    #[cold]
    fn send_batch(&mut self) -> Result<(), Error> {
        self.send_growth()?;
        if let Some(sites) = &mut self.sites {
            self.fold.put_stacks(sites);
        }
        let time = Nanos(self.fold.began().saturating_mul(self.resolution));
        let entry = Entry { at: self.at, first: self.records, time };
        self.frame.clear();
        self.frame.resize(frame::LENGTH, 0);
        let unpacked = self
            .packer
            .pack(self.fold.opening(), self.fold.columns(), &mut self.frame)
            .map_err(Error::Writing)?;
        let records = self.fold.records();
        self.send_frame(frame::Kind::Records, records, unpacked)?;
        self.index.batches.push(entry);
        self.batches += 1;
        self.records += u64::from(records);
        self.fold.clear();
        self.sites.iter_mut().for_each(Sites::clear);
        self.live.forget();
        Ok(())
    }

    /// Sends what the tree of stacks grew by.
    fn send_growth(&mut self) -> Result<(), Error> {
        while !self.growth.is_empty() {
            self.frame.clear();
            self.frame.resize(frame::LENGTH, 0);
            let unpacked = self.growth.pack(&mut self.packer, &mut self.frame)?;
            self.send_frame(frame::Kind::Stacks, 0, unpacked)?;
            self.growth.sent();
        }
        Ok(())
    }

    /// Sends the index, unless it is too long. Returns where it begins.
    fn send_index(&mut self) -> Result<u64, Error> {
        let at = self.at;
        let index = std::mem::take(&mut self.index);
        match self.send_plain(frame::Kind::Index, &index) {
            Err(Error::TooLong { .. }) => Ok(0),
            sent => sent.map(|()| at),
        }
    }

    fn send_tail(&mut self, ending: u64) -> Result<(), Error> {
        self.frame.clear();
        self.frame.resize(frame::LENGTH, 0);
        self.frame.extend_from_slice(&ending.to_le_bytes());
        self.send_frame(frame::Kind::Tail, 0, 8)
    }

    /// Sends a frame whose body is one structure.
    fn send_plain(&mut self, kind: frame::Kind, body: &impl Serialize) -> Result<(), Error> {
        self.frame.clear();
        self.frame.resize(frame::LENGTH, 0);
        encoding::encode(body, &mut self.frame);
        let length = self.frame.len() - frame::LENGTH;
        if length > frame::LONGEST {
            return Err(Error::TooLong { part: kind.name(), length, limit: frame::LONGEST });
        }
        self.send_frame(kind, 0, short(length))
    }

    /// Fills in the frame before the body that is in `self.frame`, and sends both.
    fn send_frame(&mut self, kind: frame::Kind, records: u32, unpacked: u32) -> Result<(), Error> {
        let (room, body) = self.frame.split_at_mut(frame::LENGTH);
        let frame = Frame {
            kind,
            batch: self.batches,
            records,
            unpacked,
            stored: short(body.len()),
            first: self.records,
            time: self.fold.began(),
            body_checksum: crc32fast::hash(body),
        };
        room.copy_from_slice(&frame.to_bytes());
        let frame = std::mem::take(&mut self.frame);
        let sent = self.send(&frame);
        self.frame = frame;
        sent
    }

    /// Writes bytes, and counts every one that was taken even if then an error comes.
    fn send(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            match self.out.write(bytes) {
                Ok(0) => return Err(Error::Writing(io::ErrorKind::WriteZero.into())),
                Ok(taken) => {
                    self.at += taken as u64;
                    bytes = &bytes[taken..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Writing(error)),
            }
        }
        Ok(())
    }
}

fn short(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("batches are short, and other bodies were measured")
}
