//! The records of glibc-malloc-trace-utils and of glibc's branch `dj/malloc` (`malloc/mtrace.h` there): 64 bytes each
//! on a machine of 64 bits, in its order of bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 0–3 | the thread |
//! | 4 | the call: 1 `malloc`, 2 `calloc`, 3 `free`, 4 `realloc`, 5 `memalign`, 6 `valloc`, 7 `pvalloc`, 8 `posix_memalign`; 0 nothing; 255 what kind of machine it was |
//! | 8–15 | the pointer that `free` and `realloc` were handed |
//! | 16–23 | what was returned |
//! | 24–31 | the size, in all |
//! | 32–39 | the alignment |
//!
//! What is in the other bits is malloc's way through itself, which a replay finds by itself.

use super::addresses::{Addresses, Oddities};
use super::threads::Threads;
use super::{ImportError, record};
use crate::record::Call;
use crate::write::Writer;
use std::io::{BufRead, Read, Write};

const RECORD: usize = 64;
/// The kind of record that says what machine it was.
const MACHINE: u8 = 255;
/// The word in it that tells the order of bytes.
const MAGIC: u64 = 0x1234;

pub(super) fn import<W: Write>(
    mut file: impl BufRead,
    trace: &mut Writer<W>,
) -> Result<Oddities, ImportError> {
    let mut addresses = Addresses::default();
    let mut threads = Threads::default();
    for index in 0.. {
        let mut bytes = Vec::with_capacity(RECORD);
        file.by_ref().take(RECORD as u64).read_to_end(&mut bytes)?;
        let wrong = |problem| ImportError::Record { index, at: index * RECORD as u64, problem };
        if bytes.is_empty() {
            break;
        }
        let bytes: &[u8; RECORD] = bytes.first_chunk().ok_or_else(|| wrong("is cut off"))?;
        let raw = Raw::of(bytes);
        if index == 0 && raw.kind == MACHINE && (raw.handed, raw.size) != (MAGIC, 8) {
            return Err(wrong("is of a machine with another order of bytes, or of 32 bits"));
        }
        let Some(call) = raw.call(&mut addresses).ok_or_else(|| wrong("is of no call that is known"))? else {
            continue;
        };
        let thread = threads.of(raw.thread, 0, trace)?;
        trace.record(&record(0, thread, call))?;
    }
    Ok(addresses.oddities)
}

struct Raw {
    thread: u32,
    kind: u8,
    handed: u64,
    returned: u64,
    size: u64,
    alignment: u64,
}

impl Raw {
    fn of(bytes: &[u8; RECORD]) -> Raw {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |n: usize| words.get(n).map_or(0, |word| u64::from_le_bytes(*word));
        let [a, b, c, d, kind, ..] = word(0).to_le_bytes();
        let thread = u32::from_le_bytes([a, b, c, d]);
        Raw { thread, kind, handed: word(1), returned: word(2), size: word(3), alignment: word(4) }
    }

    /// The call; none within if the record is none, none at all if it is of a kind that does not exist.
    fn call(&self, addresses: &mut Addresses) -> Option<Option<Call>> {
        let &Raw { handed, returned, size: request, alignment, .. } = self;
        let call = match self.kind {
            0 | MACHINE => return Some(None),
            1 => Call::Malloc { request, to: addresses.fill(returned) },
            2 => Call::Calloc { count: 1, size: request, to: addresses.fill(returned) },
            3 => Call::Free { pointer: addresses.take(handed) },
            4 => {
                let (old, to) = addresses.remake(handed, returned, request == 0);
                Call::Realloc { old, request, to }
            }
            5 => Call::Memalign { alignment, request, to: addresses.fill(returned) },
            6 => Call::Valloc { request, to: addresses.fill(returned) },
            7 => Call::Pvalloc { request, to: addresses.fill(returned) },
            8 => Call::PosixMemalign { alignment, request, to: addresses.fill(returned) },
            _ => return None,
        };
        Some(Some(call))
    }
}
