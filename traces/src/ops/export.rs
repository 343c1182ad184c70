//! Records into a script.

use std::collections::HashSet;
use std::io::{self, Read, Seek, Write};

use super::line::{Line, Verb};
use crate::error::Error;
use crate::read::Reader;
use crate::record::{Call, Placed, Pointer, Record, Slot, Thread};

/// Why a trace could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The trace cannot be read.
    #[error(transparent)]
    Reading(#[from] Error),
    /// The script cannot be written.
    #[error("the script cannot be written: {0}")]
    Writing(#[from] io::Error),
}

/// Writes a trace as a script, line by line, so `script` should be buffered. Damaged parts are left out, with a comment that says so. Returns how
/// many records a script cannot say.
pub fn export<R: Read + Seek>(trace: &mut Reader<R>, script: &mut impl Write) -> Result<u64, ExportError> {
    let mut export = Export { running: HashSet::from([0]), script, unsaid: 0 };
    for record in trace.records() {
        match record {
            Ok(record) => export.record(&record)?,
            Err(Error::Damaged { damage, .. }) => writeln!(export.script, "# {damage}")?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(export.unsaid)
}

/// The slot that nothing is ever put in.
const EMPTY: u64 = 0;
/// The slot of calls that failed. When the script is run they may succeed.
const FAILED: u64 = 1;
/// The slot that the trace's first one becomes.
const FIRST: u64 = 2;

struct Export<'a, W> {
    /// The threads that were spawned and not joined.
    running: HashSet<u32>,
    script: &'a mut W,
    unsaid: u64,
}

impl<W: Write> Export<'_, W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        let Thread(thread) = record.thread;
        match record.call {
            Call::ThreadStart { .. } => return self.start(thread),
            Call::ThreadExit if thread != 0 => return self.exit(thread),
            _ => self.start(thread)?,
        }
        let stray = record.call.handed().is_some_and(|pointer| Self::held(pointer).is_none());
        let line = self.line(&record.call);
        if stray || line.is_none() {
            self.unsaid += 1;
            writeln!(self.script, "# not in a script: {:?}", record.call)?;
        }
        match line {
            Some((verb, numbers)) => self.write(Line { thread, verb, numbers }),
            None => Ok(()),
        }
    }

    fn line(&mut self, call: &Call) -> Option<(Verb, [u64; 3])> {
        Some(match *call {
            Call::Malloc { request, to } => (Verb::Malloc, [Self::filled(to), request, 0]),
            Call::Calloc { count, size, to } => {
                (Verb::Calloc, [Self::filled(to), count.saturating_mul(size), 0])
            }
            Call::Realloc { old, request, to } => Self::moved(old, request, to)?,
            Call::Reallocarray { old, count, size, to } => Self::moved(old, count.saturating_mul(size), to)?,
            Call::Free { pointer } => (Verb::Free, [Self::held(pointer)?, 0, 0]),
            Call::Memalign { alignment, request, to } => {
                (Verb::Memalign, [Self::filled(to), alignment, request])
            }
            Call::AlignedAlloc { alignment, request, to } => {
                (Verb::AlignedAlloc, [Self::filled(to), alignment, request])
            }
            Call::PosixMemalign { alignment, request, to } => {
                (Verb::PosixMemalign, [Self::filled(to), alignment, request])
            }
            Call::Valloc { request, to } => (Verb::Valloc, [Self::filled(to), request, 0]),
            Call::Pvalloc { request, to } => (Verb::Pvalloc, [Self::filled(to), request, 0]),
            Call::UsableSize { pointer } => (Verb::UsableSize, [Self::held(pointer)?, 0, 0]),
            Call::Trim { pad, .. } => (Verb::Trim, [pad, 0, 0]),
            Call::Mallopt { parameter, value, .. } => {
                (Verb::Mallopt, [parameter, value, 0].map(|number| i64::from(number).cast_unsigned()))
            }
            Call::MoveBreak { by } => (Verb::MoveBreak, [by.cast_unsigned(), 0, 0]),
            Call::Spawn { thread } => {
                self.running.insert(thread.0);
                (Verb::Spawn, [thread.0.into(), 0, 0])
            }
            Call::Join { thread } => {
                self.running.remove(&thread.0);
                (Verb::Join, [thread.0.into(), 0, 0])
            }
            Call::ThreadStart { .. }
            | Call::ThreadExit
            | Call::Fork { .. }
            | Call::Watched
            | Call::Interrupted { .. } => return None,
        })
    }

    /// Makes sure that a thread runs.
    fn start(&mut self, thread: u32) -> io::Result<()> {
        if self.running.insert(thread) {
            self.write(Line { thread: 0, verb: Verb::Spawn, numbers: [thread.into(), 0, 0] })?;
        }
        Ok(())
    }

    fn exit(&mut self, thread: u32) -> io::Result<()> {
        if self.running.remove(&thread) {
            self.write(Line { thread: 0, verb: Verb::Join, numbers: [thread.into(), 0, 0] })?;
        }
        Ok(())
    }

    fn write(&mut self, line: Line) -> io::Result<()> {
        writeln!(self.script, "{line}")
    }

    /// The slot a call fills.
    fn filled(to: Placed) -> u64 {
        if to.pointer.is_null() { FAILED } else { place(to.pointer.slot) }
    }

    /// The slot a pointer is taken from; `None` if it never was in one.
    fn held(pointer: Pointer) -> Option<u64> {
        match pointer {
            Pointer::NULL => Some(EMPTY),
            Pointer { slot: Slot::NONE, .. } => None,
            Pointer { slot, .. } => Some(place(slot)),
        }
    }

    /// A `realloc`. One of an allocation that never was in a slot makes a new one.
    fn moved(old: Pointer, request: u64, to: Placed) -> Option<(Verb, [u64; 3])> {
        match (old.slot, to.pointer.slot) {
            (Slot::NONE, Slot::NONE) if old.is_null() => Some((Verb::Malloc, [FAILED, request, 0])),
            (Slot::NONE, Slot::NONE) => None,
            (Slot::NONE, slot) | (slot, _) => Some((Verb::Realloc, [place(slot), request, 0])),
        }
    }
}

/// The slot of the script that an allocation's pointer is in.
fn place(slot: Slot) -> u64 {
    FIRST + u64::from(slot.0)
}
