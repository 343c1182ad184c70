//! Columns into records.

use super::birth::{Births, Nth};
use super::cursors::{Cursors, Stop};
use super::handed::{Elder, Handed};
use super::kind::{self, Kind};
use super::place::{Asker, Class, Guesses, moved_away};
use super::site::take_stacks;
use super::slot::Told;
use super::table::Table;
use super::time::Times;
use super::{Column, Columns, Opening};
use crate::damage::Fault;
use crate::record::{Call, Nanos, Placed, Pointer, Record, Slot, Thread};
use crate::stacks::Stack;

/// Turns columns into records, one batch after the other.
#[derive(Debug)]
pub(crate) struct Unfold {
    /// Whether addresses, heads and program breaks are known.
    placements: bool,
    times: Times,
    thread: u32,
    program_break: u64,
    table: Table,
    births: Births,
    elder: Elder,
    told: Told,
    guesses: Guesses,
    /// The slots vacated in this batch and not taken again, the latest last.
    vacated: Vec<u32>,
    /// The stacks of the latest batch's records; none at all if no record has one.
    stacks: Vec<Stack>,
}

impl Unfold {
    pub fn new(placements: bool, resolution: u64) -> Unfold {
        Unfold {
            placements,
            times: Times::new(resolution),
            thread: 0,
            program_break: 0,
            table: Table::default(),
            births: Births::default(),
            elder: Elder::default(),
            told: Told::default(),
            guesses: Guesses::default(),
            vacated: Vec::new(),
            stacks: Vec::new(),
        }
    }

    /// Goes back to the beginning, when every slot was vacant.
    pub fn restart(&mut self) {
        self.table = Table::default();
    }

    /// Records are lost or skipped, and with them any knowledge of the slots.
    pub fn forget(&mut self) {
        self.table.forget();
    }

    /// Appends the records of a batch, the first of which was made at `began`.
    pub fn batch(
        &mut self,
        began: u64,
        opening: Opening,
        columns: &Columns,
        records: u32,
        into: &mut Vec<Record>,
    ) -> Result<(), Fault> {
        self.open(began, opening, records);
        let mut cursors = Cursors::new(columns);
        let begin = into.len();
        let read = self.records(records as usize, &mut cursors, into);
        match read.and_then(|()| take_stacks(&into[begin..], &mut cursors, &mut self.stacks)) {
            Ok(()) => cursors.finish(),
            Err(Stop) => Err(cursors.fault()),
        }
    }

    /// The stacks of the latest batch's records: one for each, or none at all if no record has one.
    pub fn stacks(&self) -> &[Stack] {
        &self.stacks
    }

    fn open(&mut self, began: u64, opening: Opening, records: u32) {
        self.times.begin(began);
        self.thread = opening.thread;
        self.program_break = opening.program_break;
        self.births.clear();
        self.elder = Elder::default();
        self.vacated.clear();
        self.told = Told::default();
        self.guesses.clear();
        self.table.expect(records);
    }

    fn records(
        &mut self,
        records: usize,
        cursors: &mut Cursors<'_>,
        into: &mut Vec<Record>,
    ) -> Result<(), Stop> {
        let kinds = cursors.rest(Column::Kinds, records)?;
        let times = cursors.rest(Column::Times, records)?;
        into.reserve(records);
        for (kind, later) in kinds.iter().zip(times) {
            self.record(*kind, *later, cursors, into)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn record(
        &mut self,
        byte: u8,
        later: u8,
        cursors: &mut Cursors<'_>,
        into: &mut Vec<Record>,
    ) -> Result<(), Stop> {
        let time = self.times.take(later, cursors)?;
        let surprise = if byte & !kind::CODE == 0 { 0 } else { self.flagged(byte, cursors)? };
        match Kind::from_code(byte) {
            Some(Kind::Malloc) => {
                let request = cursors.number(Column::Requests)?;
                let to = self.placed(request, surprise, cursors)?;
                self.push(time, Call::Malloc { request, to }, into)
            }
            Some(Kind::Free) => {
                let pointer = self.freed(cursors)?;
                self.push(time, Call::Free { pointer }, into)
            }
            Some(kind) => self.rarer(kind, time, surprise, cursors, into),
            None => {
                let fault = Fault::Code { column: Column::Kinds, code: byte & kind::CODE };
                Err(cursors.stop(fault))
            }
        }
    }

    /// Every call is pushed where it is made, so that it is built where it stays. Handed on as a value it
    /// would be read as a whole right after it was written in parts, which processors are slow at.
    #[inline(always)]
    fn push(&self, time: Nanos, call: Call, into: &mut Vec<Record>) -> Result<(), Stop> {
        into.push(Record { time, thread: Thread(self.thread), program_break: self.program_break, call });
        Ok(())
    }

    /// What the flags speak of. Returns how far the head is from what one expects.
    fn flagged(&mut self, byte: u8, cursors: &mut Cursors<'_>) -> Result<i64, Stop> {
        if byte & kind::THREAD != 0 {
            self.thread = cursors.word(Column::Threads)?;
        }
        if byte & kind::BREAK != 0 {
            let by = cursors.signed(Column::Breaks)?;
            self.program_break = self.program_break.wrapping_add_signed(by);
        }
        if byte & kind::HEAD != 0 { cursors.signed(Column::Heads) } else { Ok(0) }
    }

    /// The calls that are neither `malloc` nor `free`.
    #[inline(never)]
    fn rarer(
        &mut self,
        kind: Kind,
        time: Nanos,
        surprise: i64,
        cursors: &mut Cursors<'_>,
        into: &mut Vec<Record>,
    ) -> Result<(), Stop> {
        const REQUESTS: Column = Column::Requests;
        match kind {
            Kind::Realloc => {
                let request = cursors.number(REQUESTS)?;
                let (old, to) = self.moved(request, surprise, cursors)?;
                self.push(time, Call::Realloc { old, request, to }, into)
            }
            Kind::Reallocarray => {
                let (count, size) = (cursors.number(REQUESTS)?, cursors.number(REQUESTS)?);
                let (old, to) = self.moved(count.saturating_mul(size), surprise, cursors)?;
                self.push(time, Call::Reallocarray { old, count, size, to }, into)
            }
            Kind::Calloc => {
                let (count, size) = (cursors.number(REQUESTS)?, cursors.number(REQUESTS)?);
                let to = self.placed(count.saturating_mul(size), surprise, cursors)?;
                self.push(time, Call::Calloc { count, size, to }, into)
            }
            Kind::Memalign => {
                let (alignment, request) = (cursors.number(REQUESTS)?, cursors.number(REQUESTS)?);
                let to = self.placed(request, surprise, cursors)?;
                self.push(time, Call::Memalign { alignment, request, to }, into)
            }
            Kind::AlignedAlloc => {
                let (alignment, request) = (cursors.number(REQUESTS)?, cursors.number(REQUESTS)?);
                let to = self.placed(request, surprise, cursors)?;
                self.push(time, Call::AlignedAlloc { alignment, request, to }, into)
            }
            Kind::PosixMemalign => {
                let (alignment, request) = (cursors.number(REQUESTS)?, cursors.number(REQUESTS)?);
                let to = self.placed(request, surprise, cursors)?;
                self.push(time, Call::PosixMemalign { alignment, request, to }, into)
            }
            Kind::Valloc => {
                let request = cursors.number(REQUESTS)?;
                let to = self.placed(request, surprise, cursors)?;
                self.push(time, Call::Valloc { request, to }, into)
            }
            Kind::Pvalloc => {
                let request = cursors.number(REQUESTS)?;
                let to = self.placed(request, surprise, cursors)?;
                self.push(time, Call::Pvalloc { request, to }, into)
            }
            Kind::UsableSize => {
                let (_, pointer) = self.handed(cursors)?;
                self.push(time, Call::UsableSize { pointer }, into)
            }
            _ => self.push(time, rest(kind, cursors)?, into),
        }
    }

    /// The allocation a call ends.
    #[inline(always)]
    fn freed(&mut self, cursors: &mut Cursors<'_>) -> Result<Pointer, Stop> {
        let slot = match self.elder.take(&self.births, cursors)? {
            Handed::Young(nth) => {
                self.leave(nth);
                self.births[nth].slot
            }
            Handed::Elder(slot) => slot,
            Handed::Stray(address) => return Ok(Pointer::seen(address)),
            Handed::Null => return Ok(Pointer::NULL),
        };
        let address = self.vacate(slot, cursors)?;
        Ok(Pointer { address, slot: Slot(slot) })
    }

    /// The allocation a call was handed, which may live on.
    #[inline(always)]
    fn handed(&mut self, cursors: &mut Cursors<'_>) -> Result<(Handed, Pointer), Stop> {
        let handed = self.elder.take(&self.births, cursors)?;
        let slot = match handed {
            Handed::Young(nth) => self.births[nth].slot,
            Handed::Elder(slot) => slot,
            Handed::Stray(address) => return Ok((handed, Pointer::seen(address))),
            Handed::Null => return Ok((handed, Pointer::NULL)),
        };
        let address = self.table.address(slot, cursors)?;
        Ok((handed, Pointer { address, slot: Slot(slot) }))
    }

    /// Where a call that was handed nothing placed an allocation.
    #[inline(always)]
    fn placed(&mut self, request: u64, surprise: i64, cursors: &mut Cursors<'_>) -> Result<Placed, Stop> {
        if !self.placements {
            return self.somewhere(Pointer::NULL, cursors);
        }
        let class = Class::of(request);
        let (address, head) = self.guess(class, 0, surprise, cursors)?;
        if address == 0 {
            return Ok(Placed { pointer: Pointer::NULL, head });
        }
        let slot = self.occupy(address, cursors)?;
        self.births.push(address, slot, class);
        Ok(Placed { pointer: Pointer { address, slot: Slot(slot) }, head })
    }

    /// Which allocation a `realloc` was handed, and where it placed it.
    #[inline(always)]
    fn moved(
        &mut self,
        request: u64,
        surprise: i64,
        cursors: &mut Cursors<'_>,
    ) -> Result<(Pointer, Placed), Stop> {
        let (handed, old) = self.handed(cursors)?;
        let to = if self.placements {
            self.replaced(request, surprise, handed, old, cursors)?
        } else {
            self.somewhere(old, cursors)?
        };
        if let Handed::Young(nth) = handed
            && moved_away(request, to.pointer.address, old.address)
        {
            self.leave(nth);
        }
        if to.pointer.is_null() && request == 0 && old.slot != Slot::NONE {
            self.vacate(old.slot.0, cursors)?;
        }
        Ok((old, to))
    }

    #[inline(always)]
    fn replaced(
        &mut self,
        request: u64,
        surprise: i64,
        handed: Handed,
        old: Pointer,
        cursors: &mut Cursors<'_>,
    ) -> Result<Placed, Stop> {
        let class = Class::of(request);
        let (address, head) = self.guess(class, old.address, surprise, cursors)?;
        if address == 0 {
            return Ok(Placed { pointer: Pointer::NULL, head });
        }
        let slot = self.keep_slot(old, address, cursors)?;
        let class = class.after(handed, address == old.address, &self.births);
        self.births.push(address, slot, class);
        Ok(Placed { pointer: Pointer { address, slot: Slot(slot) }, head })
    }

    /// Where a call placed what was `old`, in a trace that does not say: an address then only tells
    /// allocations apart.
    fn somewhere(&mut self, old: Pointer, cursors: &mut Cursors<'_>) -> Result<Placed, Stop> {
        if !Guesses::take_somewhere(cursors)? {
            return Ok(Placed { pointer: Pointer::NULL, head: 0 });
        }
        let slot = if old.slot == Slot::NONE { self.take_slot(cursors)? } else { old.slot.0 };
        let address = u64::from(slot) + 1;
        if old.slot == Slot::NONE {
            self.table.occupy(slot, address, cursors)?;
        }
        self.births.push(address, slot, Class::NONE);
        Ok(Placed { pointer: Pointer { address, slot: Slot(slot) }, head: 0 })
    }

    #[inline(always)]
    fn guess(
        &mut self,
        class: Class,
        old: u64,
        surprise: i64,
        cursors: &mut Cursors<'_>,
    ) -> Result<(u64, u64), Stop> {
        self.guesses.take(Asker::new(self.thread, class), old, surprise, &mut self.births, cursors)
    }

    /// An allocation at `address` takes a slot, unless it is one that was moved and keeps its own.
    fn keep_slot(&mut self, old: Pointer, address: u64, cursors: &mut Cursors<'_>) -> Result<u32, Stop> {
        if old.slot == Slot::NONE {
            return self.occupy(address, cursors);
        }
        self.table.relocate(old.slot.0, address);
        Ok(old.slot.0)
    }

    /// An allocation at `address` takes a slot.
    #[inline(always)]
    fn occupy(&mut self, address: u64, cursors: &mut Cursors<'_>) -> Result<u32, Stop> {
        let slot = self.take_slot(cursors)?;
        self.table.occupy(slot, address, cursors)?;
        Ok(slot)
    }

    #[inline(always)]
    fn take_slot(&mut self, cursors: &mut Cursors<'_>) -> Result<u32, Stop> {
        match self.vacated.pop() {
            Some(slot) => Ok(slot),
            None => self.told.take(cursors),
        }
    }

    /// The allocation in `slot` is gone. Returns where it lived.
    #[inline(always)]
    fn vacate(&mut self, slot: u32, cursors: &mut Cursors<'_>) -> Result<u64, Stop> {
        let address = self.table.vacate(slot, cursors)?;
        self.vacated.push(slot);
        Ok(address)
    }

    /// The nth birth's place is free.
    #[inline(always)]
    fn leave(&mut self, nth: Nth) {
        self.guesses.leave(self.thread, nth, &mut self.births);
    }
}

/// The calls that neither take nor return memory.
fn rest(kind: Kind, cursors: &mut Cursors<'_>) -> Result<Call, Stop> {
    const REST: Column = Column::Rest;
    Ok(match kind {
        Kind::Trim => Call::Trim { pad: cursors.number(REST)?, returned: cursors.small(REST)? },
        Kind::Mallopt => Call::Mallopt {
            parameter: cursors.small(REST)?,
            value: cursors.small(REST)?,
            returned: cursors.small(REST)?,
        },
        Kind::MoveBreak => Call::MoveBreak { by: cursors.signed(REST)? },
        Kind::ThreadStart => Call::ThreadStart { id: cursors.word(REST)? },
        Kind::ThreadExit => Call::ThreadExit,
        Kind::Spawn => Call::Spawn { thread: Thread(cursors.word(REST)?) },
        Kind::Join => Call::Join { thread: Thread(cursors.word(REST)?) },
        Kind::Fork => Call::Fork { child: cursors.word(REST)? },
        Kind::Watched => Call::Watched,
        Kind::Interrupted => {
            Call::Interrupted { waits: cursors.word(REST)?, preemptions: cursors.word(REST)? }
        }
        _ => unreachable!("the other kinds were told apart before"),
    })
}
