//! What memray writes, packed by lz4 or not: records of one byte and more, behind a header.
//!
//! | file | what is in it |
//! |---|---|
//! | `bytes.rs` | numbers, texts and differences |
//! | `header.rs` | what stands before the records |
//! | `record.rs` | one record |
//! | `frames.rs`, `line_table.rs` | Python's frames and lines |
//!
//! Python's own allocations are there if memray was asked for them. Those that come to malloc are made in the trace:
//! all of them if Python asks malloc for everything, otherwise those of more than 512 bytes, and whatever stays where
//! such a one was.

mod bytes;
mod frames;
mod header;
mod line_table;
mod record;

use super::addresses::{Addresses, Oddities};
use super::threads::Threads;
use super::tree::Tree;
use super::{ImportError, record as record_of};
use crate::record::Call;
use crate::stacks::Stack;
use crate::write::Writer;
use bytes::{Bytes, Stop};
use frames::Frames;
use header::{Header, PythonAllocator};
use record::{Allocation, Allocator, Event, Memory};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};

/// What `pymalloc` serves itself, at most.
const OWN: u64 = 512;

pub(super) fn import<W: Write>(
    mut file: impl BufRead,
    trace: &mut Writer<W>,
) -> Result<Oddities, ImportError> {
    match file.fill_buf()? {
        [0x04, 0x22, 0x4d, 0x18, ..] => {
            import_plain(BufReader::new(lz4_flex::frame::FrameDecoder::new(file)), trace)
        }
        _ => import_plain(file, trace),
    }
}

fn import_plain<W: Write>(file: impl BufRead, trace: &mut Writer<W>) -> Result<Oddities, ImportError> {
    let mut bytes = Bytes::of(file);
    let stopped = |stop, index, at| match stop {
        Stop::End => ImportError::Record { index, at, problem: "is cut off" },
        Stop::Wrong(problem) => ImportError::Record { index, at, problem },
        Stop::Reading(error) => ImportError::Reading(error),
    };
    let header = Header::read(&mut bytes).map_err(|stop| stopped(stop, 0, 0))?;
    let mut memory = Memory::new(header.has_native_frames);
    let mut recording = Recording::new(header, trace);
    // A record counts when another one follows: where a recording broke off, zeros are read as a part of the last.
    let mut waiting = None;
    for index in 1.. {
        let at = bytes.at();
        match memory.read(&mut bytes) {
            Ok(Event::Filler) => {}
            Ok(event) => {
                let is_last = matches!(event, Event::Trailer);
                if let Some(event) = waiting.replace(event) {
                    recording.take(event)?;
                }
                if is_last {
                    return recording.finish(false);
                }
            }
            Err(Stop::End) => break,
            // The zeros behind a recording that broke off make no sense as a part of a record.
            Err(Stop::Wrong(_)) if bytes.rest_is_unused()? => break,
            Err(stop) => return Err(stopped(stop, index, at)),
        }
    }
    recording.finish(true)
}

/// The calls on their way into a trace.
struct Recording<'trace, W: Write> {
    trace: &'trace mut Writer<W>,
    addresses: Addresses,
    threads: Threads,
    frames: Frames,
    allocator: PythonAllocator,
    time: u64,
    thread: u64,
    /// The end of an allocation that may be part of a `realloc`: memray writes that down right behind it.
    ended: Option<Ended>,
    /// What `pymalloc` served itself and is alive.
    own: HashSet<u64>,
}

#[derive(Clone, Copy)]
struct Ended {
    thread: u64,
    time: u64,
    address: u64,
    is_python: bool,
}

impl<'trace, W: Write> Recording<'trace, W> {
    fn new(header: Header, trace: &'trace mut Writer<W>) -> Self {
        let skipped = (header.main_thread, header.skipped_frames);
        let frames = Frames::new(header.python, skipped, Tree::begin(u32::MAX, trace));
        Recording {
            trace,
            addresses: Addresses::default(),
            threads: Threads::default(),
            frames,
            allocator: header.allocator,
            time: 0,
            thread: 0,
            ended: None,
            own: HashSet::new(),
        }
    }

    fn take(&mut self, event: Event) -> Result<(), ImportError> {
        match event {
            Event::Filler | Event::Trailer | Event::Other => {}
            Event::Time(milliseconds) => self.time = self.time.max(milliseconds.saturating_mul(1_000_000)),
            Event::Thread(thread) => self.thread = thread,
            Event::Code(number, code) => self.frames.learn(number, code, self.trace),
            Event::Push(code, instruction) => {
                self.frames.push(self.thread, code, instruction, self.trace);
            }
            Event::Pop(count) => self.frames.pop(self.thread, count),
            Event::Allocation(allocation) => return self.allocation(allocation),
        }
        Ok(())
    }

    fn allocation(&mut self, Allocation { by, address, size }: Allocation) -> Result<(), ImportError> {
        let call = match by {
            Allocator::Free | Allocator::PythonFree => {
                self.end()?;
                let is_python = by == Allocator::PythonFree;
                self.ended = Some(Ended { thread: self.thread, time: self.time, address, is_python });
                return Ok(());
            }
            Allocator::Realloc => {
                let old = self.moved(false)?;
                let (old, to) = self.addresses.remake(old, address, false);
                Call::Realloc { old, request: size, to }
            }
            Allocator::PythonRealloc => {
                let old = self.moved(true)?;
                match self.python_realloc(old, address, size) {
                    Some(call) => call,
                    None => return Ok(()),
                }
            }
            Allocator::PythonMalloc | Allocator::PythonCalloc => {
                self.end()?;
                if !self.is_mallocs(address, size) {
                    return Ok(());
                }
                let to = self.addresses.fill(address);
                // Python asks for a byte where it is asked for none.
                match by {
                    Allocator::PythonMalloc => Call::Malloc { request: size.max(1), to },
                    _ => Call::Calloc { count: 1, size: size.max(1), to },
                }
            }
            Allocator::Mmap | Allocator::Munmap => return self.end(),
            _ => {
                self.end()?;
                let to = self.addresses.fill(address);
                match by {
                    Allocator::Calloc => Call::Calloc { count: 1, size, to },
                    Allocator::Valloc => Call::Valloc { request: size, to },
                    Allocator::Pvalloc => Call::Pvalloc { request: size, to },
                    // Of the others that ask for an alignment, it is not written down.
                    _ => Call::Malloc { request: size, to },
                }
            }
        };
        let stack = self.frames.stack(self.thread);
        self.write((self.thread, self.time), call, stack)
    }

    /// What a `realloc` of this thread was handed; 0 if it was nothing.
    fn moved(&mut self, is_python: bool) -> Result<u64, ImportError> {
        let thread = self.thread;
        let old = self.ended.take_if(|ended| ended.thread == thread && ended.is_python == is_python);
        self.end()?;
        Ok(old.map_or(0, |ended| ended.address))
    }

    /// What Python asked of malloc when one of its allocations became another; nothing if it did not.
    fn python_realloc(&mut self, old: u64, new: u64, size: u64) -> Option<Call> {
        if self.allocator == PythonAllocator::Malloc || self.addresses.is_alive(old) {
            let (old, to) = self.addresses.remake(old, new, false);
            return Some(Call::Realloc { old, request: size.max(1), to });
        }
        self.own.remove(&old);
        self.is_mallocs(new, size).then(|| Call::Malloc { request: size, to: self.addresses.fill(new) })
    }

    /// Whether what Python asked for came from malloc; what did not is remembered.
    fn is_mallocs(&mut self, address: u64, size: u64) -> bool {
        match self.allocator {
            PythonAllocator::Malloc => true,
            PythonAllocator::Pymalloc if size > OWN => true,
            PythonAllocator::Pymalloc => {
                self.own.insert(address);
                false
            }
            PythonAllocator::Other => false,
        }
    }

    /// The end that waited is one.
    fn end(&mut self) -> Result<(), ImportError> {
        let Some(Ended { thread, time, address, is_python }) = self.ended.take() else { return Ok(()) };
        let is_own = is_python && self.own.remove(&address);
        // What Python had from before is `pymalloc`'s, as most is.
        let is_unknown =
            is_python && self.allocator != PythonAllocator::Malloc && !self.addresses.is_alive(address);
        if is_own || is_unknown {
            return Ok(());
        }
        let call = Call::Free { pointer: self.addresses.take(address) };
        self.write((thread, time), call, Stack::NONE)
    }

    fn write(&mut self, (thread, time): (u64, u64), call: Call, stack: Stack) -> Result<(), ImportError> {
        // memray numbers threads from 1 on, and not as the kernel does.
        let id = u32::try_from(thread).unwrap_or(u32::MAX);
        let thread = self.threads.of(id, time, self.trace)?;
        Ok(self.trace.record_from(&record_of(time, thread, call), stack)?)
    }

    fn finish(mut self, is_cut: bool) -> Result<Oddities, ImportError> {
        self.end()?;
        self.trace.symbols(&self.frames.symbols())?;
        Ok(Oddities { is_cut, ..self.addresses.oddities })
    }
}
