//! Records out of a trace, in order or from any batch. Whatever is damaged costs only itself.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use crate::batch::{ColumnSize, Unpacker};
use crate::columns::{Column, Columns, Unfold};
use crate::damage::{Damage, Fault};
use crate::encoding;
use crate::ending::{Ending, Last, Totals};
use crate::error::{Error, Name};
use crate::frame::{self, Frame, Kind};
use crate::growing;
use crate::header::Header;
use crate::index::{Entry, Index};
use crate::preamble;
use crate::readings::Reading;
use crate::record::Record;
use crate::redaction::Redaction;
use crate::snapshot::Snapshot;
use crate::source::Source;
use crate::stacks::{Stack, Stacks};
use crate::symbols::Symbols;
use crate::untouched::Untouched;

/// Reads one trace.
///
/// What it keeps in memory is one batch and, for every slot, where its allocation lives; and the
/// index, once somebody asks for it.
#[derive(Debug)]
pub struct Reader<R: Read + Seek> {
    source: Source<R>,
    header: Header,
    last: Option<Last>,
    index: Option<Index>,
    /// Where the next frame should begin, and the numbers of the batch and the record it should begin with.
    at: u64,
    batch: u32,
    record: u64,
    unpacker: Unpacker,
    unfold: Unfold,
    body: Vec<u8>,
    columns: Columns,
}

impl Reader<File> {
    /// Opens the trace in a file, whose name will be in every error.
    pub fn open_file(path: &Path) -> Result<Self, Error> {
        let file = Name::new(&path.display().to_string());
        match File::open(path) {
            Ok(input) => Reader::open_named(input, file),
            Err(source) => Err(Error::Reading { file, source }),
        }
    }

    /// Whether somebody still [writes](growing::hold) the file.
    pub fn is_being_written(&self) -> bool {
        self.last.is_none() && growing::is_held(self.source.input())
    }
}

/// What a part is that is not whole, at the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Torn {
    /// Damage.
    IsDamaged,
    /// On its way.
    IsUnfinished,
}

impl<R: Read + Seek> Reader<R> {
    /// Opens a trace: reads its header, and its ending if there is one.
    pub fn open(input: R) -> Result<Self, Error> {
        Reader::open_named(input, Name::new("the trace"))
    }

    fn open_named(input: R, file: Name) -> Result<Self, Error> {
        let mut source = Source::new(input, file.clone())?;
        check_preamble(&mut source)?;
        let mut header = read_header(&mut source)?;
        header.libc.probe = source.probe()?;
        Ok(Reader {
            last: read_last(&mut source)?,
            index: None,
            at: preamble::LENGTH,
            batch: 0,
            record: 0,
            unpacker: Unpacker::new().map_err(|source| Error::Reading { file, source })?,
            unfold: Unfold::new(header.heap.placements, header.clock.resolution.max(1)),
            body: Vec::new(),
            columns: Columns::default(),
            source,
            header,
        })
    }

    /// What was known before the first call.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was known after the last; `None` if the trace was cut short.
    pub fn ending(&self) -> Option<&Ending> {
        self.last.as_ref().map(|last| &last.ending)
    }

    /// What the writer counted; `None` if the trace was cut short.
    pub fn totals(&self) -> Option<&Totals> {
        self.last.as_ref().map(|last| &last.totals)
    }

    /// Where each batch begins. A trace that was cut short has no index; it is then made anew, from
    /// the frame of every batch.
    pub fn index(&mut self) -> Result<&Index, Error> {
        if self.index.is_none() {
            self.index = Some(self.find_index()?);
        }
        Ok(self.index.as_ref().expect("it was just put there"))
    }

    /// The names of the trace's frames; `None` if they were not [embedded](crate::embed()), or cannot be read.
    pub fn symbols(&mut self) -> Result<Option<Symbols>, Error> {
        let from = self.last_parts()?;
        self.source.symbols(from)
    }

    /// The heap as it stood before the first record; `None` of a process that was recorded from its first call on.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be read: without it nothing that follows makes sense.
    pub fn snapshot(&mut self) -> Result<Option<Snapshot>, Error> {
        match self.source.snapshot()? {
            None => Ok(None),
            Some(Ok(snapshot)) => Ok(Some(snapshot)),
            Some(Err(fault)) => {
                let damage =
                    Damage { batch: 0, at: preamble::LENGTH, length: 0, first: 0, records: None, fault };
                Err(Error::Snapshot { file: self.source.file(), damage })
            }
        }
    }

    /// What the trace says that it leaves out.
    pub fn redaction(&mut self) -> Result<Redaction, Error> {
        self.source.redaction()
    }

    /// Which memory was never touched; `None` if that is not known.
    pub fn untouched(&mut self) -> Result<Option<Untouched>, Error> {
        let from = self.last_parts()?;
        self.source.untouched(from)
    }

    /// What the kernel said of the process now and then, wherever the trace is being read.
    pub fn readings(&mut self) -> Result<Vec<Reading>, Error> {
        self.source.readings()
    }

    /// How many bytes each column takes in what was read so far.
    pub fn column_sizes(&self) -> [(Column, ColumnSize); Column::ALL.len()] {
        Column::ALL.map(|column| (column, self.unpacker.size(column)))
    }

    /// Replaces what is in `into` by the records of the next batch. Returns the number of the first
    /// of them, or `None` at the end of the trace.
    ///
    /// [`Error::Damaged`] is not the end: the next call goes on with what can be read behind it.
    /// From then on the address of an allocation made before may be [`Pointer::UNKNOWN`](crate::Pointer::UNKNOWN).
    pub fn next_batch(&mut self, into: &mut Vec<Record>) -> Result<Option<u64>, Error> {
        self.next_of(Torn::IsDamaged, into)
    }

    /// The same of a trace that is [still being written](growing): where there is no more yet it returns
    /// `None` too, and can be called again when there is. What is not whole at the end is then no damage.
    pub fn next_batch_yet(&mut self, into: &mut Vec<Record>) -> Result<Option<u64>, Error> {
        self.source.measure()?;
        self.next_of(Torn::IsUnfinished, into)
    }

    fn next_of(&mut self, torn: Torn, into: &mut Vec<Record>) -> Result<Option<u64>, Error> {
        into.clear();
        while self.at < self.source.length() {
            let frame = self.source.frame(self.at)?;
            if torn == Torn::IsUnfinished && self.is_torn(&frame) {
                return Ok(None);
            }
            let frame = match frame {
                Ok(frame) => frame,
                Err(fault) => return Err(self.skip(fault, None)?),
            };
            if let Some(first) = self.enter(frame, into)? {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// Whether the frame that begins here, or its body, does not end in the file.
    fn is_torn(&self, frame: &Result<Frame, Fault>) -> bool {
        match frame {
            Ok(frame) => frame.end(self.at) > self.source.length(),
            Err(fault) => matches!(fault, Fault::Cut { .. }),
        }
    }

    /// The stacks of the records of the latest batch: one for each, or none at all if no record has one.
    /// They are numbers of [`stacks`](Self::stacks).
    pub fn batch_stacks(&self) -> &[Stack] {
        self.unfold.stacks()
    }

    /// All stacks of the trace, wherever it is being read.
    pub fn stacks(&mut self) -> Result<Stacks, Error> {
        self.source.stacks()
    }

    /// Where the last batch but one begins, or the first frame: symbols are behind it, so that not every
    /// frame need be looked at. They may be in front of the last batch, if that was broken off.
    pub(crate) fn last_parts(&mut self) -> Result<u64, Error> {
        Ok(self.index()?.batches.iter().rev().nth(1).map_or(preamble::LENGTH, |entry| entry.at))
    }

    /// Where its bytes come from, for whoever wants them as they are.
    pub(crate) fn into_source(self) -> Source<R> {
        self.source
    }

    /// All records from here on, one by one. After an [`Error::Damaged`] the iteration goes on; after
    /// any other error it should not be trusted to.
    pub fn records(&mut self) -> Records<'_, R> {
        Records { reader: self, batch: Vec::new(), next: 0 }
    }

    /// Goes to the beginning of a batch: the next records read are its own. Addresses of allocations
    /// made before it are unknown, unless it is the first.
    pub fn seek_batch(&mut self, batch: u32) -> Result<(), Error> {
        let batches = &self.index()?.batches;
        let Some(&Entry { at, first, .. }) = batches.get(batch as usize) else {
            let batches = u32::try_from(batches.len()).unwrap_or(u32::MAX);
            return Err(Error::NoSuchBatch { file: self.source.file(), asked: batch, batches });
        };
        if first == 0 {
            self.unfold.restart();
        } else {
            self.unfold.forget();
        }
        (self.at, self.batch, self.record) = (at, batch, first);
        Ok(())
    }

    /// Reads the part of the trace behind `frame`. Returns the number of its first record if there are any.
    fn enter(&mut self, frame: Frame, into: &mut Vec<Record>) -> Result<Option<u64>, Error> {
        if frame.first > self.record {
            return Err(self.missing(frame));
        }
        if let Err(fault) = self.source.body(self.at, frame, &mut self.body)? {
            return Err(self.skip(fault, Some(frame))?);
        }
        match frame.kind {
            Kind::Records if frame.first < self.record => {
                return Err(self.skip(Fault::Repeated { begins: frame.first }, Some(frame))?);
            }
            Kind::Records => {
                if let Err(fault) = self.unfold_records(frame, into) {
                    into.clear();
                    return Err(self.skip(fault, Some(frame))?);
                }
                self.batch = frame.batch.saturating_add(1);
                self.record = frame.first.saturating_add(frame.records.into());
            }
            Kind::Ending if self.last.is_none() => self.last = encoding::decode(&self.body).ok(),
            _ => {}
        }
        self.at = frame.end(self.at);
        Ok((frame.kind == Kind::Records).then_some(frame.first))
    }

    fn unfold_records(&mut self, frame: Frame, into: &mut Vec<Record>) -> Result<(), Fault> {
        let opening = self.unpacker.unpack(&self.body, frame.unpacked, &mut self.columns)?;
        self.unfold.batch(frame.time, opening, &self.columns, frame.records, into)
    }

    /// Batches between the last one and this frame are not in the file.
    fn missing(&mut self, frame: Frame) -> Error {
        let damage = Damage {
            batch: self.batch,
            at: self.at,
            length: 0,
            first: self.record,
            records: Some(frame.first - self.record),
            fault: Fault::Missing,
        };
        self.unfold.forget();
        (self.batch, self.record) = (frame.batch, frame.first);
        self.source.damaged(damage)
    }

    /// Steps over what cannot be read, to the next intact frame. `frame` is what it began with, if
    /// that much is sure.
    fn skip(&mut self, fault: Fault, frame: Option<Frame>) -> Result<Error, Error> {
        let next = self.source.frame_after(self.at, frame)?;
        let (at, record) = match (next, frame) {
            (Some((at, next)), _) => (at, Some(next.first)),
            (None, Some(frame)) => {
                (self.source.length(), Some(frame.first.saturating_add(frame.records.into())))
            }
            (None, None) => (self.source.length(), self.last.as_ref().map(|last| last.totals.records)),
        };
        let damage = Damage {
            batch: self.batch,
            at: self.at,
            length: at - self.at,
            first: self.record,
            records: record.map(|record| record.saturating_sub(self.record)),
            fault,
        };
        if damage.records != Some(0) {
            self.unfold.forget();
        }
        self.at = at;
        self.record = self.record.max(record.unwrap_or(self.record));
        self.batch = next.map_or(self.batch, |(_, next)| next.batch);
        Ok(self.source.damaged(damage))
    }

    /// Reads the index, or makes one where there is none.
    fn find_index(&mut self) -> Result<Index, Error> {
        if let Some(at) = self.last.as_ref().map(|last| last.index).filter(|at| *at > 0)
            && let Ok(index) = self.source.part(at, Kind::Index)?
        {
            return Ok(index);
        }
        self.source.rebuild_index(self.header.clock.resolution.max(1))
    }
}

/// The records of a trace, one by one.
#[derive(Debug)]
pub struct Records<'a, R: Read + Seek> {
    reader: &'a mut Reader<R>,
    batch: Vec<Record>,
    next: usize,
}

impl<R: Read + Seek> Iterator for Records<'_, R> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next == self.batch.len() {
            self.next = 0;
            match self.reader.next_batch(&mut self.batch) {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        self.next += 1;
        Some(Ok(self.batch[self.next - 1]))
    }
}

fn check_preamble<R: Read + Seek>(source: &mut Source<R>) -> Result<(), Error> {
    let mut bytes = Vec::new();
    source.read(0, preamble::LENGTH, &mut bytes)?;
    match preamble::version(&bytes) {
        None => Err(Error::NotATrace { file: source.file() }),
        Some(preamble::VERSION) => Ok(()),
        Some(found) => Err(Error::Version { file: source.file(), found, known: preamble::VERSION }),
    }
}

/// Reads the header, or the copy behind it.
fn read_header<R: Read + Seek>(source: &mut Source<R>) -> Result<Header, Error> {
    let fault = match source.part(preamble::LENGTH, Kind::Header)? {
        Ok(header) => return Ok(header),
        Err(fault) => fault,
    };
    // Not where the first says that it ends: that may be a lie.
    if let Some((at, _)) = source.next_frame(preamble::LENGTH + 1)?
        && let Ok(header) = source.part(at, Kind::Header)?
    {
        return Ok(header);
    }
    let length = source.length().saturating_sub(preamble::LENGTH);
    let damage = Damage { batch: 0, at: preamble::LENGTH, length, first: 0, records: None, fault };
    Err(Error::Header { file: source.file(), damage })
}

/// Reads the ending that the tail points to, if both are intact.
fn read_last<R: Read + Seek>(source: &mut Source<R>) -> Result<Option<Last>, Error> {
    let Some(at) = source.length().checked_sub(frame::TAIL) else {
        return Ok(None);
    };
    match source.part(at, Kind::Tail)? {
        Ok(ending) => Ok(source.part(u64::from_le_bytes(ending), Kind::Ending)?.ok()),
        Err(_) => Ok(None),
    }
}
