//! Symbols put into a trace that is there already: everything else of it stays byte for byte.
//!
//! They go where the records are over: in front of the index, whose frame and all behind it move. A
//! trace that was cut short stays one: they go behind its last whole frame, and what was broken off
//! there stays its end. Symbols that were there are left out.

use std::io::{Read, Seek, Write};

use crate::encoding;
use crate::ending::Last;
use crate::error::Error;
use crate::frame::{self, Frame, Kind};
use crate::read::Reader;
use crate::source::Source;
use crate::symbols::Symbols;

/// How much is copied at a time.
const STRETCH: u64 = 1 << 16;

/// Writes the trace in `input` to `output`, with these symbols instead of any it has. If the trace is to say nothing of
/// folders, the symbols do not either.
///
/// # Errors
///
/// [`Error::TooLong`] if the symbols take more than a reader can be asked to believe, and whatever reading
/// and writing may say.
pub fn embed<R: Read + Seek, W: Write>(input: R, symbols: &Symbols, output: W) -> Result<W, Error> {
    let mut reader = Reader::open(input)?;
    let from = reader.last_parts()?;
    let mut body = Vec::new();
    let unpacked = if reader.redaction()?.paths {
        symbols.without_folders().pack(&mut body)
    } else {
        symbols.pack(&mut body)
    }?;
    let mut embedding = Embedding {
        source: reader.into_source(),
        out: output,
        copied: 0,
        written: 0,
        symbols: Some((body, unpacked)),
        index: None,
        ending: None,
    };
    embedding.run(from)?;
    embedding.out.flush().map_err(Error::Writing)?;
    Ok(embedding.out)
}

/// A trace on its way from one file to another.
struct Embedding<R, W> {
    source: Source<R>,
    out: W,
    /// How many bytes of the input are done with, and how many of the output are there.
    copied: u64,
    written: u64,
    /// The body that is still to be written, and how long it is when unpacked.
    symbols: Option<(Vec<u8>, u32)>,
    /// Where the index and the ending were, and where they are now.
    index: Option<(u64, u64)>,
    ending: Option<(u64, u64)>,
}

impl<R: Read + Seek, W: Write> Embedding<R, W> {
    fn run(&mut self, from: u64) -> Result<(), Error> {
        // What the frame of the symbols says of records, if no frame behind them says it.
        let mut around = Frame::of_nothing(Kind::Symbols);
        self.copy_to(from)?;
        let mut next = self.source.next_frame(from)?;
        while let Some((at, frame)) = next {
            self.copy_to(at)?;
            // What is broken off stays behind the symbols.
            if frame.end(at) > self.source.length() {
                break;
            }
            self.part(at, frame)?;
            if frame.kind == Kind::Records {
                around.batch = frame.batch.saturating_add(1);
                around.first = frame.first.saturating_add(frame.records.into());
                around.time = frame.time;
            }
            next = self.source.frame_after(at, Some(frame))?;
        }
        self.send_symbols(around)?;
        self.copy_to(self.source.length())
    }

    /// Copies a part or what has become of it. What is copied as it is may wait.
    fn part(&mut self, at: u64, frame: Frame) -> Result<(), Error> {
        if matches!(frame.kind, Kind::Index | Kind::Ending | Kind::Tail) {
            self.send_symbols(frame)?;
        }
        match frame.kind {
            Kind::Symbols => {
                self.copied = frame.end(at);
                Ok(())
            }
            Kind::Index => {
                self.index = Some((at, self.written));
                self.copy_to(frame.end(at))
            }
            Kind::Ending => self.send_ending(at, frame),
            Kind::Tail => self.send_tail(at, frame),
            _ => self.copy_to(frame.end(at)),
        }
    }

    fn send_symbols(&mut self, around: Frame) -> Result<(), Error> {
        let Some((body, unpacked)) = self.symbols.take() else { return Ok(()) };
        self.send(Frame { kind: Kind::Symbols, records: 0, unpacked, ..around }, &body)
    }

    /// The ending says where the index is.
    fn send_ending(&mut self, at: u64, frame: Frame) -> Result<(), Error> {
        self.ending = Some((at, self.written));
        // One that cannot be read stays as it is, and is one that cannot be read.
        let Ok(mut last) = self.source.part::<Last>(at, Kind::Ending)? else {
            return self.copy_to(frame.end(at));
        };
        last.index = moved(self.index, last.index);
        let mut body = Vec::new();
        encoding::encode(&last, &mut body);
        self.copied = frame.end(at);
        self.send(Frame { unpacked: 0, ..frame }, &body)
    }

    /// The tail says where the ending is.
    fn send_tail(&mut self, at: u64, frame: Frame) -> Result<(), Error> {
        let Ok(ending) = self.source.part(at, Kind::Tail)? else { return self.copy_to(frame.end(at)) };
        let ending = moved(self.ending, u64::from_le_bytes(ending));
        self.copied = frame.end(at);
        self.send(frame, &ending.to_le_bytes())
    }

    /// Writes a frame and its body; the lengths and checksums are found out here.
    fn send(&mut self, frame: Frame, body: &[u8]) -> Result<(), Error> {
        let too_long =
            || Error::TooLong { part: frame.kind.name(), length: body.len(), limit: frame::LONGEST };
        let stored = u32::try_from(body.len()).map_err(|_| too_long())?;
        // Only a body that is packed has another length when it is not.
        let unpacked = if frame.kind == Kind::Symbols { frame.unpacked } else { stored };
        let frame = Frame { stored, unpacked, body_checksum: crc32fast::hash(body), ..frame };
        self.write(&frame.to_bytes())?;
        self.write(body)
    }

    /// Copies what is not yet copied of the input, to a byte.
    fn copy_to(&mut self, end: u64) -> Result<(), Error> {
        let mut bytes = Vec::new();
        while self.copied < end {
            self.source.read(self.copied, (end - self.copied).min(STRETCH), &mut bytes)?;
            if bytes.is_empty() {
                break;
            }
            self.copied += bytes.len() as u64;
            self.write(&bytes)?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes).map_err(Error::Writing)
    }
}

/// Where a part is now that was said to be at `place`.
fn moved(part: Option<(u64, u64)>, place: u64) -> u64 {
    part.filter(|(before, _)| *before == place).map_or(place, |(_, now)| now)
}
