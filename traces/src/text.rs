//! A record as a line of text, for eyes and for `grep`.
//!
//! ```text
//! 17 0.000001234 t0 malloc(24) = #3 0x55d0c0a2b2a0 head 0x21 break 0x55d0c0a4c000
//! 18 0.000001300 t1 realloc(#3 0x55d0c0a2b2a0, 400) = #3 0x55d0c0a2b400 head 0x1a1 break 0x55d0c0a4c000
//! 19 0.000002000 t1 free(#3 0x55d0c0a2b400) break 0x55d0c0a4c000
//! ```
//!
//! The number of the record, its time in seconds, its thread, the call with what it was handed, and
//! what it returned: `#3` is a slot. `0x…` without a slot is a pointer whose allocation was never
//! seen, `#3 ?` one whose address is in a part of the trace that is lost.

use std::fmt::{Display, Formatter, Result};

use crate::record::{Call, Nanos, Placed, Pointer, Record, Slot, Thread};

/// A record of a trace, to be displayed as a line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The number of the record.
    pub number: u64,
    /// The record.
    pub record: &'a Record,
    /// Whether the trace says where allocations are: see [`Heap::placements`](crate::header::Heap::placements).
    pub placements: bool,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Record { time: Nanos(nanos), thread: Thread(thread), program_break, call } = self.record;
        let (seconds, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        write!(f, "{} {seconds}.{nanos:09} t{thread} ", self.number)?;
        self.call(call, f)?;
        if *program_break != 0 {
            write!(f, " break {program_break:#x}")?;
        }
        Ok(())
    }
}

impl Line<'_> {
    fn call(&self, call: &Call, f: &mut Formatter<'_>) -> Result {
        match *call {
            Call::Malloc { request, .. } => write!(f, "malloc({request})"),
            Call::Calloc { count, size, .. } => write!(f, "calloc({count}, {size})"),
            Call::Realloc { old, request, .. } => write!(f, "realloc({}, {request})", self.pointer(old)),
            Call::Reallocarray { old, count, size, .. } => {
                write!(f, "reallocarray({}, {count}, {size})", self.pointer(old))
            }
            Call::Free { pointer } => write!(f, "free({})", self.pointer(pointer)),
            Call::Memalign { alignment, request, .. } => write!(f, "memalign({alignment}, {request})"),
            Call::AlignedAlloc { alignment, request, .. } => {
                write!(f, "aligned_alloc({alignment}, {request})")
            }
            Call::PosixMemalign { alignment, request, .. } => {
                write!(f, "posix_memalign({alignment}, {request})")
            }
            Call::Valloc { request, .. } => write!(f, "valloc({request})"),
            Call::Pvalloc { request, .. } => write!(f, "pvalloc({request})"),
            Call::Trim { pad, returned } => write!(f, "malloc_trim({pad}) = {returned}"),
            Call::Mallopt { parameter, value, returned } => {
                write!(f, "mallopt({parameter}, {value}) = {returned}")
            }
            Call::UsableSize { pointer } => write!(f, "malloc_usable_size({})", self.pointer(pointer)),
            Call::MoveBreak { by } => write!(f, "sbrk({by})"),
            Call::ThreadStart { id } => write!(f, "thread starts, id {id}"),
            Call::ThreadExit => write!(f, "thread exits"),
            Call::Spawn { thread } => write!(f, "spawns t{}", thread.0),
            Call::Join { thread } => write!(f, "joins t{}", thread.0),
            Call::Fork { child } => write!(f, "fork() = {child}"),
            Call::Watched => write!(f, "is watched for interruptions"),
            Call::Interrupted { waits, preemptions } => {
                write!(f, "was interrupted in its last call: waited {waits}, preempted {preemptions}")
            }
        }?;
        call.placed().map_or(Ok(()), |placed| self.placed(placed, f))
    }

    fn placed(&self, Placed { pointer, head }: Placed, f: &mut Formatter<'_>) -> Result {
        write!(f, " = {}", self.pointer(pointer))?;
        if head != 0 { write!(f, " head {head:#x}") } else { Ok(()) }
    }

    fn pointer(&self, pointer: Pointer) -> String {
        let address = match pointer {
            Pointer::NULL => return "null".to_owned(),
            Pointer { slot: Slot::NONE, address } => return format!("{address:#x}"),
            Pointer { address: Pointer::UNKNOWN, .. } => " ?".to_owned(),
            _ if !self.placements => String::new(),
            Pointer { address, .. } => format!(" {address:#x}"),
        };
        format!("#{}{address}", pointer.slot.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(call: Call, expected: &str) {
        let record = Record { time: Nanos(1_000_001_234), thread: Thread(2), program_break: 0x1000, call };
        let line = Line { number: 17, record: &record, placements: true }.to_string();
        assert_eq!(line, format!("17 1.000001234 t2 {expected} break 0x1000"));
    }

    #[test]
    fn a_record_is_a_line() {
        let known = Pointer { address: 0x5010, slot: Slot(3) };
        let lost = Pointer { address: Pointer::UNKNOWN, slot: Slot(3) };
        let to = Placed { pointer: known, head: 0x21 };
        let failed = Placed { pointer: Pointer::NULL, head: 0 };
        check(Call::Malloc { request: 24, to }, "malloc(24) = #3 0x5010 head 0x21");
        check(Call::Calloc { count: 2, size: 8, to: failed }, "calloc(2, 8) = null");
        check(Call::Realloc { old: lost, request: 400, to }, "realloc(#3 ?, 400) = #3 0x5010 head 0x21");
        check(Call::Free { pointer: Pointer::NULL }, "free(null)");
        check(Call::Free { pointer: Pointer::seen(0x70) }, "free(0x70)");
        check(Call::Mallopt { parameter: -8, value: 1, returned: 1 }, "mallopt(-8, 1) = 1");
    }
}
