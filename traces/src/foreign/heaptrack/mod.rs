//! What heaptrack writes, plain or packed by zstd or gzip: text, one thing a line, its numbers hexadecimal.
//!
//! | file | what is in it |
//! |---|---|
//! | `line.rs` | the lines that say something, with a table of them |
//! | `stacks.rs` | the stacks that they tell of |
//!
//! Other lines are about the machine and what is resident, and are stepped over. Where only kinds of allocations are known,
//! the oldest of a kind is taken to be the one that ends.

mod line;
mod stacks;

use super::addresses::{Addresses, Oddities};
use super::words::Problem;
use super::{ImportError, Trouble, lines, record};
use crate::record::{Call, Thread};
use crate::stacks::Stack;
use crate::write::Writer;
use line::Line;
use stacks::Stacks;
use std::io::{BufRead, BufReader, Write};

pub(super) fn import<W: Write>(
    mut file: impl BufRead,
    trace: &mut Writer<W>,
) -> Result<Oddities, ImportError> {
    match file.fill_buf()? {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => import_text(BufReader::new(zstd::Decoder::with_buffer(file)?), trace),
        [0x1f, 0x8b, ..] => import_text(BufReader::new(flate2::bufread::MultiGzDecoder::new(file)), trace),
        _ => import_text(file, trace),
    }
}

fn import_text<W: Write>(file: impl BufRead, trace: &mut Writer<W>) -> Result<Oddities, ImportError> {
    let mut addresses = Addresses::default();
    let mut stacks = Stacks::begin(trace);
    // The sizes of the kinds of allocations, and their stacks.
    let mut kinds: Vec<(u64, Stack)> = Vec::new();
    // The version of the format: none before the first line.
    let (mut time, mut format) = (0_u64, None);
    lines(file, |text| {
        let Some(line) = Line::parse(text, format.unwrap_or(0))? else { return Ok(()) };
        if format.is_none() && !matches!(line, Line::Version(_)) {
            return Err((1, Problem::Missing).into());
        }
        let (call, stack) = match line {
            Line::Version(version) => {
                format = Some(version);
                return Ok(());
            }
            Line::Time(milliseconds) => {
                time = time.max(milliseconds.saturating_mul(1_000_000));
                return Ok(());
            }
            Line::OfStacks(line) => {
                stacks.take(line, trace);
                return Ok(());
            }
            Line::Kind { size, stack } => {
                kinds.push((size, stacks.stack(stack)));
                return Ok(());
            }
            Line::Made { size, stack, pointer } => {
                (Call::Malloc { request: size, to: addresses.fill(pointer) }, stacks.stack(stack))
            }
            Line::MadeOf { kind, at } => {
                let known = usize::try_from(kind).ok().and_then(|kind| kinds.get(kind));
                let &(request, stack) = known.ok_or((at, Problem::TooLarge(format!("{kind:x}"))))?;
                (Call::Malloc { request, to: addresses.fill(kind + 1) }, stack)
            }
            Line::Ended(pointer) => {
                let place = if kinds.is_empty() { pointer } else { pointer.saturating_add(1) };
                (Call::Free { pointer: addresses.take(place) }, Stack::NONE)
            }
        };
        Ok::<(), Trouble>(trace.record_from(&record(time, Thread(0), call), stack)?)
    })?;
    if !kinds.is_empty() {
        // Of one kind many are alive, and nothing is odd about that.
        addresses.oddities.twice = 0;
    }
    stacks.finish(trace)?;
    Ok(addresses.oddities)
}
