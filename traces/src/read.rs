//! Records out of a trace, in order or from any batch. Whatever is damaged costs only itself.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::batch::{ColumnSize, Unpacker};
use crate::columns::{Column, Columns, Unfold};
use crate::damage::{Damage, Fault};
use crate::encoding;
use crate::ending::Ending;
use crate::error::{Error, Name};
use crate::frame::{self, Frame, Kind};
use crate::header::Header;
use crate::index::{Entry, Index};
use crate::record::{Nanos, Record};
use crate::salvage;
use crate::write::{Last, MAGIC, PREAMBLE, Totals, VERSION};

/// Reads one trace.
///
/// What it keeps in memory is one batch and, for every slot, where its allocation lives; and the
/// index, once somebody asks for it.
#[derive(Debug)]
pub struct Reader<R: Read + Seek> {
    input: R,
    file: Name,
    /// How long the file is.
    length: u64,
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
}

impl<R: Read + Seek> Reader<R> {
    /// Opens a trace: reads its header, and its ending if there is one.
    pub fn open(input: R) -> Result<Self, Error> {
        Reader::open_named(input, Name::new("the trace"))
    }

    fn open_named(mut input: R, file: Name) -> Result<Self, Error> {
        let reading = |source| Error::Reading { file: file.clone(), source };
        let length = input.seek(SeekFrom::End(0)).map_err(reading)?;
        check_preamble(&mut input, &file)?;
        let header = read_header(&mut input, length, &file)?;
        let last = read_last(&mut input, length).map_err(reading)?;
        Ok(Reader {
            length,
            last,
            index: None,
            at: PREAMBLE as u64,
            batch: 0,
            record: 0,
            unpacker: Unpacker::new().map_err(reading)?,
            unfold: Unfold::new(header.heap.placements, header.clock.resolution.max(1)),
            body: Vec::new(),
            columns: Columns::default(),
            input,
            file,
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
            let index = match self.read_index()? {
                Some(index) => index,
                None => self.rebuild_index()?,
            };
            self.index = Some(index);
        }
        Ok(self.index.as_ref().expect("it was just put there"))
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
        into.clear();
        while self.at < self.length {
            let frame = match self.frame_at(self.at)? {
                Ok(frame) => frame,
                Err(fault) => return Err(self.skip(fault, None)?),
            };
            if let Some(first) = self.enter(frame, into)? {
                return Ok(Some(first));
            }
        }
        Ok(None)
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
            return Err(Error::NoSuchBatch { file: self.file.clone(), asked: batch, batches });
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
        if let Err(fault) = self.read_body(frame)? {
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
        self.at = end_of(self.at, frame);
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
        Error::Damaged { file: self.file.clone(), damage }
    }

    /// Steps over what cannot be read, to the next intact frame. `frame` is what it began with, if
    /// that much is sure.
    fn skip(&mut self, fault: Fault, frame: Option<Frame>) -> Result<Error, Error> {
        let next = self.frame_after(frame)?;
        let (at, record) = match (next, frame) {
            (Some((at, next)), _) => (at, Some(next.first)),
            (None, Some(frame)) => (self.length, Some(frame.first.saturating_add(frame.records.into()))),
            (None, None) => (self.length, self.last.as_ref().map(|last| last.totals.records)),
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
        Ok(Error::Damaged { file: self.file.clone(), damage })
    }

    /// The next intact frame behind a damaged part, at best where that says it ends.
    fn frame_after(&mut self, frame: Option<Frame>) -> Result<Option<(u64, Frame)>, Error> {
        if let Some(frame) = frame {
            let end = end_of(self.at, frame);
            if end == self.length {
                return Ok(None);
            }
            if end < self.length
                && let Ok(next) = self.frame_at(end)?
            {
                return Ok(Some((end, next)));
            }
        }
        salvage::next_frame(&mut self.input, self.at + 1).map_err(|source| self.reading(source))
    }

    /// The frame that begins at a byte, if it does.
    fn frame_at(&mut self, at: u64) -> Result<Result<Frame, Fault>, Error> {
        let missing = (at + frame::LENGTH as u64).saturating_sub(self.length);
        if missing > 0 {
            return Ok(Err(Fault::Cut { missing }));
        }
        read_frame(&mut self.input, at).map_err(|source| self.reading(source))
    }

    fn read_body(&mut self, frame: Frame) -> Result<Result<(), Fault>, Error> {
        let missing = end_of(self.at, frame).saturating_sub(self.length);
        if missing > 0 {
            return Ok(Err(Fault::Cut { missing }));
        }
        let at = self.at + frame::LENGTH as u64;
        read_body(&mut self.input, at, frame, &mut self.body).map_err(|source| self.reading(source))
    }

    fn read_index(&mut self) -> Result<Option<Index>, Error> {
        let Some(at) = self.last.as_ref().map(|last| last.index).filter(|at| *at > 0) else {
            return Ok(None);
        };
        let read = read_part(&mut self.input, at, self.length, Kind::Index);
        read.map_err(|source| self.reading(source))
    }

    fn rebuild_index(&mut self) -> Result<Index, Error> {
        let mut index = Index::default();
        let mut at = PREAMBLE as u64;
        while at < self.length {
            let Ok(frame) = self.frame_at(at)? else {
                match salvage::next_frame(&mut self.input, at + 1).map_err(|source| self.reading(source))? {
                    Some((next, _)) => at = next,
                    None => break,
                }
                continue;
            };
            if frame.kind == Kind::Records {
                let time = Nanos(frame.time.saturating_mul(self.header.clock.resolution.max(1)));
                index.batches.push(Entry { at, first: frame.first, time });
            }
            at = end_of(at, frame);
        }
        Ok(index)
    }

    fn reading(&self, source: io::Error) -> Error {
        Error::Reading { file: self.file.clone(), source }
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

fn end_of(at: u64, frame: Frame) -> u64 {
    at + frame::LENGTH as u64 + u64::from(frame.stored)
}

fn check_preamble(input: &mut (impl Read + Seek), file: &Name) -> Result<(), Error> {
    let mut preamble = Vec::new();
    let read = input
        .seek(SeekFrom::Start(0))
        .and_then(|_| input.by_ref().take(PREAMBLE as u64).read_to_end(&mut preamble));
    read.map_err(|source| Error::Reading { file: file.clone(), source })?;
    let Some(version) = preamble.strip_prefix(&MAGIC).and_then(|rest| rest.first_chunk()) else {
        return Err(Error::NotATrace { file: file.clone() });
    };
    match u32::from_le_bytes(*version) {
        VERSION => Ok(()),
        found => Err(Error::Version { file: file.clone(), found, known: VERSION }),
    }
}

/// Reads the header, or the copy behind it.
fn read_header(input: &mut (impl Read + Seek), length: u64, file: &Name) -> Result<Header, Error> {
    let reading = |source| Error::Reading { file: file.clone(), source };
    let mut at = PREAMBLE as u64;
    for _ in 0..2 {
        if let Some(header) = read_part(input, at, length, Kind::Header).map_err(reading)? {
            return Ok(header);
        }
        let Some((next, _)) = salvage::next_frame(input, at + 1).map_err(reading)? else {
            break;
        };
        at = next;
    }
    let fault = match length.checked_sub(PREAMBLE as u64 + frame::LENGTH as u64) {
        None => Fault::Cut { missing: PREAMBLE as u64 + frame::LENGTH as u64 - length },
        Some(_) => Fault::Encoding,
    };
    let damage = Damage {
        batch: 0,
        at: PREAMBLE as u64,
        length: at - PREAMBLE as u64,
        first: 0,
        records: None,
        fault,
    };
    Err(Error::Header { file: file.clone(), damage })
}

/// Reads the ending that the tail points to, if both are intact.
fn read_last(input: &mut (impl Read + Seek), length: u64) -> io::Result<Option<Last>> {
    let Some(at) = length.checked_sub(frame::LENGTH as u64 + 8) else {
        return Ok(None);
    };
    match read_part(input, at, length, Kind::Tail)? {
        Some(ending) => read_part(input, u64::from_le_bytes(ending), length, Kind::Ending),
        None => Ok(None),
    }
}

/// Reads the structure in the frame at a byte, if it is intact and of that kind.
fn read_part<T: serde::de::DeserializeOwned>(
    input: &mut (impl Read + Seek),
    at: u64,
    length: u64,
    kind: Kind,
) -> io::Result<Option<T>> {
    if at.checked_add(frame::LENGTH as u64).is_none_or(|begin| begin > length) {
        return Ok(None);
    }
    let Ok(frame) = read_frame(input, at)? else {
        return Ok(None);
    };
    if frame.kind != kind || end_of(at, frame) > length {
        return Ok(None);
    }
    let mut body = Vec::new();
    let intact = read_body(input, at + frame::LENGTH as u64, frame, &mut body)?;
    Ok(intact.and_then(|()| encoding::decode(&body)).ok())
}

fn read_frame(input: &mut (impl Read + Seek), at: u64) -> io::Result<Result<Frame, Fault>> {
    let mut bytes = [0; frame::LENGTH];
    input.seek(SeekFrom::Start(at))?;
    input.read_exact(&mut bytes)?;
    Ok(Frame::from_bytes(&bytes))
}

fn read_body(
    input: &mut (impl Read + Seek),
    at: u64,
    frame: Frame,
    into: &mut Vec<u8>,
) -> io::Result<Result<(), Fault>> {
    into.clear();
    input.seek(SeekFrom::Start(at))?;
    input.by_ref().take(frame.stored.into()).read_to_end(into)?;
    Ok(frame.check(into))
}
