//! A script into records.

use std::collections::HashMap;
use std::io::{BufRead, Read, Write};

use super::line::{Line, Verb};
use crate::foreign::{ImportError, lines};
use crate::header::{Clock, Header, Origin};
use crate::record::{Call, Nanos, Placed, Pointer, Record, Thread};
use crate::write::Writer;

/// What a binary script begins with; its numbers of slots and threads follow.
const MAGIC: &[u8; 8] = b"MOPSCRP1";

/// The alignment of a binary call that asked for none.
const UNALIGNED: u8 = 0xff;

/// The header of a trace that is imported from a script.
pub fn header() -> Header {
    let clock = Clock { resolution: 1, ..Clock::default() };
    Header { origin: Origin::Imported("ops".to_owned()), clock, ..Header::default() }
}

/// Appends the calls of a script to a trace that has [`header`], or one like it without placements.
pub fn import<W: Write>(script: impl BufRead, trace: &mut Writer<W>) -> Result<(), ImportError> {
    let mut script = script;
    let mut begin = Vec::new();
    script.by_ref().take(MAGIC.len() as u64).read_to_end(&mut begin)?;
    let mut slots = Slots::default();
    if begin == MAGIC {
        return import_binary(script, &mut slots, trace);
    }
    import_text(begin.chain(script), &mut slots, trace)
}

fn import_text<W: Write>(
    script: impl BufRead,
    slots: &mut Slots,
    trace: &mut Writer<W>,
) -> Result<(), ImportError> {
    lines(script, |text| {
        if let Some(line) = Line::parse(text)? {
            trace.record(&slots.record(line))?;
        }
        Ok(())
    })
}

fn import_binary<W: Write>(
    mut script: impl Read,
    slots: &mut Slots,
    trace: &mut Writer<W>,
) -> Result<(), ImportError> {
    let mut counts = [0; 8];
    script.read_exact(&mut counts)?;
    for index in 0.. {
        let mut bytes = Vec::with_capacity(16);
        script.by_ref().take(16).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            break;
        }
        let line = decode(&bytes).ok_or(ImportError::Record {
            index,
            at: 16 + 16 * index,
            problem: "cannot be understood",
        })?;
        trace.record(&slots.record(line))?;
    }
    Ok(())
}

/// Reads a call of a binary script: a code, the logarithm of an alignment, a thread, a slot (or
/// thread, or parameter), and a size (or whatever else is a number).
fn decode(bytes: &[u8]) -> Option<Line> {
    let &[code, alignment, thread_low, thread_high, ref rest @ ..] = bytes.first_chunk::<16>()?;
    let slot = u32::from_le_bytes(*rest.first_chunk()?);
    let size = u64::from_le_bytes(*rest.last_chunk()?);
    let verb = Verb::from_code(code)?;
    let numbers = match verb {
        Verb::Memalign | Verb::PosixMemalign | Verb::AlignedAlloc if alignment == UNALIGNED => {
            [slot.into(), 0, size]
        }
        Verb::Memalign | Verb::PosixMemalign | Verb::AlignedAlloc => {
            [slot.into(), 1u64.checked_shl(alignment.into())?, size]
        }
        Verb::Trim | Verb::MoveBreak => [size, 0, 0],
        Verb::Mallopt => [i64::from(slot.cast_signed()).cast_unsigned(), size, 0],
        _ => [slot.into(), size, 0],
    };
    Some(Line { thread: u16::from_le_bytes([thread_low, thread_high]).into(), verb, numbers })
}

/// What the slots of a script hold.
#[derive(Default)]
struct Slots {
    /// The pointer in each slot that has one. Allocations are told apart by numbers that take the place of addresses.
    pointers: HashMap<u64, Pointer>,
    allocations: u64,
}

impl Slots {
    #[expect(clippy::cast_possible_truncation, reason = "C cuts a parameter of mallopt off in the same way")]
    fn record(&mut self, line: Line) -> Record {
        let [slot, number, last] = line.numbers;
        let (alignment, request) = (number, last);
        let call = match line.verb {
            Verb::Malloc => Call::Malloc { request: number, to: self.fill(slot) },
            Verb::Calloc => Call::Calloc { count: 1, size: number, to: self.fill(slot) },
            Verb::Realloc => self.realloc(slot, number),
            Verb::Free => Call::Free { pointer: self.pointers.remove(&slot).unwrap_or(Pointer::NULL) },
            Verb::Memalign => Call::Memalign { alignment, request, to: self.fill(slot) },
            Verb::PosixMemalign => Call::PosixMemalign { alignment, request, to: self.fill(slot) },
            Verb::AlignedAlloc => Call::AlignedAlloc { alignment, request, to: self.fill(slot) },
            Verb::Valloc => Call::Valloc { request: number, to: self.fill(slot) },
            Verb::Pvalloc => Call::Pvalloc { request: number, to: self.fill(slot) },
            Verb::UsableSize => Call::UsableSize { pointer: self.pointer(slot) },
            Verb::Trim => Call::Trim { pad: slot, returned: 0 },
            Verb::Mallopt => Call::Mallopt { parameter: slot as i32, value: number as i32, returned: 0 },
            Verb::MoveBreak => Call::MoveBreak { by: slot.cast_signed() },
            Verb::Spawn => Call::Spawn { thread: Thread(slot as u32) },
            Verb::Join => Call::Join { thread: Thread(slot as u32) },
        };
        Record { time: Nanos(0), thread: Thread(line.thread), program_break: 0, call }
    }

    fn realloc(&mut self, slot: u64, request: u64) -> Call {
        let old = self.pointer(slot);
        let to = if old.is_null() {
            self.fill(slot)
        } else if request == 0 {
            self.pointers.remove(&slot);
            Placed { pointer: Pointer::NULL, head: 0 }
        } else {
            Placed { pointer: old, head: 0 }
        };
        Call::Realloc { old, request, to }
    }

    /// A new allocation, whose pointer goes into a slot.
    fn fill(&mut self, slot: u64) -> Placed {
        self.allocations += 1;
        // As far apart as glibc's are, which is what a writer's table of addresses is made for.
        let pointer = Pointer::seen(self.allocations * 32);
        self.pointers.insert(slot, pointer);
        Placed { pointer, head: 0 }
    }

    fn pointer(&self, slot: u64) -> Pointer {
        self.pointers.get(&slot).copied().unwrap_or(Pointer::NULL)
    }
}
