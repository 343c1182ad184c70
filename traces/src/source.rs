//! The bytes of a trace that is read: frames and what is in them, wherever one looks.

use std::io::{self, Read, Seek, SeekFrom};

use serde::de::DeserializeOwned;

use crate::damage::{Damage, Fault};
use crate::encoding;
use crate::error::{Error, Name};
use crate::frame::{self, Frame, Kind};
use crate::preamble;

/// Where a trace is read from.
#[derive(Debug)]
pub(crate) struct Source<R> {
    input: R,
    file: Name,
    /// How long the file is.
    length: u64,
}

impl<R: Read + Seek> Source<R> {
    pub fn new(input: R, file: Name) -> Result<Self, Error> {
        let mut source = Source { input, file, length: 0 };
        source.measure()?;
        Ok(source)
    }

    /// Finds out how long the file is now.
    pub fn measure(&mut self) -> Result<(), Error> {
        let length = self.input.seek(SeekFrom::End(0));
        self.length = length.map_err(|source| Error::Reading { file: self.file(), source })?;
        Ok(())
    }

    /// What is read from.
    pub fn input(&self) -> &R {
        &self.input
    }

    /// The name of the file, for errors.
    pub fn file(&self) -> Name {
        self.file.clone()
    }

    /// How long the file is.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Replaces what is in `into` by the bytes from `at` on: as many as `most`, or as there are.
    pub fn read(&mut self, at: u64, most: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        // A place that a damaged number leads to may be one that no file system has heard of.
        if at >= self.length {
            return Ok(());
        }
        self.try_read(at, most, into).map_err(|source| Error::Reading { file: self.file(), source })
    }

    fn try_read(&mut self, at: u64, most: u64, into: &mut Vec<u8>) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(at))?;
        // No more room is made than there are bytes to fill it.
        self.input.by_ref().take(most).read_to_end(into)?;
        Ok(())
    }

    /// The frame that begins at a byte, if one does.
    pub fn frame(&mut self, at: u64) -> Result<Result<Frame, Fault>, Error> {
        let mut bytes = Vec::with_capacity(frame::LENGTH);
        self.read(at, frame::LENGTH as u64, &mut bytes)?;
        Ok(match bytes.first_chunk() {
            Some(bytes) => Frame::from_bytes(bytes),
            None => Err(Fault::Cut { missing: (frame::LENGTH - bytes.len()) as u64 }),
        })
    }

    /// Reads the body behind the frame that begins at a byte, if it is intact.
    pub fn body(&mut self, at: u64, frame: Frame, into: &mut Vec<u8>) -> Result<Result<(), Fault>, Error> {
        self.read(at.saturating_add(frame::LENGTH as u64), frame.stored.into(), into)?;
        let missing = u64::from(frame.stored) - into.len() as u64;
        Ok(if missing > 0 { Err(Fault::Cut { missing }) } else { frame.check(into) })
    }

    /// The structure in the frame that begins at a byte, if it is one of this kind and intact.
    pub fn part<T: DeserializeOwned>(&mut self, at: u64, kind: Kind) -> Result<Result<T, Fault>, Error> {
        let frame = match self.frame(at)? {
            Ok(frame) if frame.kind == kind => frame,
            Ok(_) => return Ok(Err(Fault::NoFrame)),
            Err(fault) => return Ok(Err(fault)),
        };
        let mut body = Vec::new();
        Ok(self.body(at, frame, &mut body)?.and_then(|()| encoding::decode(&body)))
    }

    /// The part of this kind among those that stand between the headers and the records.
    pub fn before_records(&mut self, wanted: Kind) -> Result<Option<(u64, Frame)>, Error> {
        let opening = [Kind::Header, Kind::Probe, Kind::Snapshot, Kind::Redaction];
        let mut next = self.next_frame(preamble::LENGTH)?;
        while let Some((at, frame)) = next.filter(|(_, frame)| opening.contains(&frame.kind)) {
            if frame.kind == wanted {
                return Ok(Some((at, frame)));
            }
            next = self.next_frame(frame.end(at))?;
        }
        Ok(None)
    }

    /// The error that tells of damage.
    pub fn damaged(&self, damage: Damage) -> Error {
        Error::Damaged { file: self.file(), damage }
    }
}
