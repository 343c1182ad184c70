//! A walk over a trace that finds every allocation, as soon as all is known of it.
//!
//! It keeps an entry for every slot. What was freed is found when it is; what lives at the end, then.

use super::{Allocation, When};
use crate::range::Range;
use crate::run::Progress;
use malloscope_traces::header::ClockSource;
use malloscope_traces::{Call, Error, Placed, Pointer, Reader, Record, Slot, Stack, Thread};
use std::io::{Read, Seek};

/// What lives at the end is found from the last slot on, and room is given back every so many slots: where millions
/// live, they need not be there twice.
const GIVE_BACK: usize = 1 << 20;

/// Where a walk has ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct End {
    /// Behind the last record.
    pub(crate) at: When,
    /// Whether the trace has times.
    pub(crate) has_clock: bool,
    /// What of the trace could not be read.
    pub(crate) damage: Vec<String>,
}

/// What lives in a slot.
#[derive(Clone, Copy, Debug)]
struct Living {
    made: When,
    request: u64,
    /// [`Pointer::UNKNOWN`] where that was not seen.
    address: u64,
    /// 0 where that was not seen.
    chunk: u64,
    thread: u32,
    stack: Stack,
}

impl Living {
    /// Of a slot in which nothing lives.
    const NOTHING: Living = Living {
        made: When { record: u64::MAX, time: 0 },
        request: 0,
        address: Pointer::UNKNOWN,
        chunk: 0,
        thread: 0,
        stack: Stack::NONE,
    };

    fn allocation(self, freed: Option<When>) -> Option<Allocation> {
        (self.made.record != u64::MAX).then_some(Allocation {
            made: self.made,
            freed,
            thread: self.thread,
            request: self.request,
            address: (self.address != Pointer::UNKNOWN).then_some(self.address),
            chunk: (self.chunk > 0).then_some(self.chunk),
            served_from: None,
            stack: self.stack,
        })
    }
}

/// Goes through a trace, of which nothing has been read, from the range's beginning to its own end: what frees the
/// range's allocations later counts. `found` is told of the allocations made in the range, and the end of those that
/// live then.
///
/// # Errors
///
/// When the trace cannot be read. What is damaged costs itself, and is told.
pub(crate) fn each<R: Read + Seek>(
    reader: &mut Reader<R>,
    range: Range,
    progress: &mut dyn FnMut(Progress),
    found: &mut dyn FnMut(Allocation, When),
) -> Result<End, Error> {
    let has_clock = reader.header().clock.source != ClockSource::None;
    let whole = Range::new(range.first(), u64::MAX).unwrap_or(Range::ALL);
    let total = whole.begin(reader)?;
    let end = End { has_clock, ..End::default() };
    let has_places = reader.header().heap.placements;
    let mut walk = Walk { range, has_places, slots: Vec::new(), endless: Vec::new(), end, found };
    let mut batch = Vec::new();
    loop {
        let first = match reader.next_batch(&mut batch) {
            Ok(Some(first)) => first,
            Ok(None) => break,
            Err(error @ Error::Damaged { .. }) => {
                walk.end.damage.push(error.to_string());
                continue;
            }
            Err(error) => return Err(error),
        };
        let stacks = reader.batch_stacks();
        let stacks = stacks.iter().copied().chain(std::iter::repeat(Stack::NONE));
        for ((number, record), stack) in (first..).zip(&batch).zip(stacks) {
            if number >= range.first() {
                walk.record(number, record, stack);
            }
        }
        progress(Progress { done: whole.done(first.saturating_add(batch.len() as u64)), total });
    }
    Ok(walk.finish())
}

struct Walk<'a> {
    range: Range,
    /// Whether the trace says where chunks were placed: otherwise addresses only tell them apart.
    has_places: bool,
    slots: Vec<Living>,
    /// What has no slot: nobody will see it end.
    endless: Vec<Living>,
    end: End,
    found: &'a mut dyn FnMut(Allocation, When),
}

impl Walk<'_> {
    fn record(&mut self, number: u64, record: &Record, stack: Stack) {
        let time = if self.end.has_clock { record.time.0.max(self.end.at.time) } else { 0 };
        let now = When { record: number, time };
        // What lives was not freed by the last record, but lives on behind it.
        self.end.at = When { record: number + 1, time };
        let request = record.call.request().unwrap_or(0);
        match record.call {
            Call::Free { pointer } => self.free(now, pointer.slot),
            Call::Realloc { old, to, .. } | Call::Reallocarray { old, to, .. } => {
                // A call that fails leaves what it was handed as it was; one for nothing frees it.
                if !to.pointer.is_null() || request == 0 {
                    self.free(now, old.slot);
                }
                self.make(now, record.thread, request, to, stack);
            }
            call => {
                if let Some(to) = call.placed() {
                    self.make(now, record.thread, request, to, stack);
                }
            }
        }
    }

    fn make(&mut self, made: When, Thread(thread): Thread, request: u64, to: Placed, stack: Stack) {
        const FLAGS: u64 = 7;
        if to.pointer.is_null() {
            return;
        }
        let Pointer { address, slot: Slot(slot) } = to.pointer;
        let address = if self.has_places { address } else { Pointer::UNKNOWN };
        let living = Living { made, request, address, chunk: to.head & !FLAGS, thread, stack };
        let counts = self.range.contains(made.record);
        if to.pointer.slot == Slot::NONE {
            self.endless.extend(counts.then_some(living));
            return;
        }
        // In a part of the trace that is lost, what was there may have been freed unseen.
        self.free(made, to.pointer.slot);
        if !counts {
            return;
        }
        let slot = slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, Living::NOTHING);
        }
        self.slots[slot] = living;
    }

    fn free(&mut self, now: When, Slot(slot): Slot) {
        let Some(living) = self.slots.get_mut(slot as usize) else { return };
        let living = std::mem::replace(living, Living::NOTHING);
        if let Some(allocation) = living.allocation(Some(now)) {
            (self.found)(allocation, now);
        }
    }

    fn finish(mut self) -> End {
        while let Some(living) = self.slots.pop().or_else(|| self.endless.pop()) {
            if let Some(allocation) = living.allocation(None) {
                (self.found)(allocation, self.end.at);
            }
            if self.slots.len().is_multiple_of(GIVE_BACK) {
                self.slots.shrink_to_fit();
            }
        }
        self.end
    }
}
