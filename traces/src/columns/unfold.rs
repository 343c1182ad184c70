//! Columns into records.

use super::birth::{Births, Nth};
use super::cursors::{Cursors, Stop};
use super::handed::{Elder, Handed};
use super::kind::{self, Kind};
use super::place::{Asker, Class, Guesses, moved_away};
use super::slot::Told;
use super::table::Table;
use super::time::Times;
use super::{Column, Columns, Opening};
use crate::damage::Fault;
use crate::record::{Call, Nanos, Placed, Pointer, Record, Slot, Thread};

/// Turns columns into records, one batch after the other.
#[derive(Debug)]
pub(crate) struct Unfold {
    /// Whether addresses, heads and program breaks are known.
    placements: bool,
    times: Times,
    table: Table,
    births: Births,
    guesses: Guesses,
    /// The slots vacated in this batch and not taken again, the latest last.
    vacated: Vec<u32>,
}

impl Unfold {
    pub fn new(placements: bool, resolution: u64) -> Unfold {
        Unfold {
            placements,
            times: Times::new(resolution),
            table: Table::default(),
            births: Births::default(),
            guesses: Guesses::default(),
            vacated: Vec::new(),
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
        self.times.begin(began);
        self.births.clear();
        self.guesses.clear();
        self.vacated.clear();
        self.table.expect(records);
        into.reserve(records as usize);
        let mut batch = Batch {
            cursors: Cursors::new(columns),
            all: self,
            thread: opening.thread,
            program_break: opening.program_break,
            elder: Elder::default(),
            told: Told::default(),
        };
        for _ in 0..records {
            if batch.record(into).is_err() {
                return Err(batch.cursors.fault());
            }
        }
        batch.cursors.finish()
    }
}

/// A batch being read.
struct Batch<'a> {
    cursors: Cursors<'a>,
    all: &'a mut Unfold,
    thread: u32,
    program_break: u64,
    elder: Elder,
    told: Told,
}

impl Batch<'_> {
    #[inline(always)]
    fn record(&mut self, into: &mut Vec<Record>) -> Result<(), Stop> {
        let byte = self.cursors.byte(Column::Kinds)?;
        let time = self.all.times.take(&mut self.cursors)?;
        let surprise = if byte & !kind::CODE == 0 { 0 } else { self.flagged(byte)? };
        // Each arm pushes a record of its own, which is then built where it stays.
        match Kind::from_code(byte) {
            Some(Kind::Malloc) => {
                let request = self.request()?;
                let to = self.placed(request, surprise)?;
                into.push(self.stamped(time, Call::Malloc { request, to }));
            }
            Some(Kind::Free) => {
                let pointer = self.freed()?;
                into.push(self.stamped(time, Call::Free { pointer }));
            }
            Some(kind) => {
                let call = self.rarer(kind, surprise)?;
                into.push(self.stamped(time, call));
            }
            None => return Err(self.meaningless(byte)),
        }
        Ok(())
    }

    #[inline(always)]
    fn stamped(&self, time: Nanos, call: Call) -> Record {
        Record { time, thread: Thread(self.thread), program_break: self.program_break, call }
    }

    /// What the flags speak of. Returns how far the head is from what one expects.
    fn flagged(&mut self, byte: u8) -> Result<i64, Stop> {
        if byte & kind::THREAD != 0 {
            self.thread = self.cursors.word(Column::Threads)?;
        }
        if byte & kind::BREAK != 0 {
            let by = self.cursors.signed(Column::Breaks)?;
            self.program_break = self.program_break.wrapping_add_signed(by);
        }
        if byte & kind::HEAD != 0 { self.cursors.signed(Column::Heads) } else { Ok(0) }
    }

    #[cold]
    fn meaningless(&mut self, byte: u8) -> Stop {
        self.cursors.stop(Fault::Code { column: Column::Kinds, code: byte & kind::CODE })
    }

    /// The calls that are neither `malloc` nor `free`.
    #[inline(never)]
    fn rarer(&mut self, kind: Kind, surprise: i64) -> Result<Call, Stop> {
        Ok(match kind {
            Kind::Calloc => {
                let (count, size) = (self.request()?, self.request()?);
                Call::Calloc { count, size, to: self.placed(count.saturating_mul(size), surprise)? }
            }
            Kind::Realloc => {
                let request = self.request()?;
                let (old, to) = self.moved(request, surprise)?;
                Call::Realloc { old, request, to }
            }
            Kind::Reallocarray => {
                let (count, size) = (self.request()?, self.request()?);
                let (old, to) = self.moved(count.saturating_mul(size), surprise)?;
                Call::Reallocarray { old, count, size, to }
            }
            Kind::Memalign => {
                let (alignment, request) = (self.request()?, self.request()?);
                Call::Memalign { alignment, request, to: self.placed(request, surprise)? }
            }
            Kind::AlignedAlloc => {
                let (alignment, request) = (self.request()?, self.request()?);
                Call::AlignedAlloc { alignment, request, to: self.placed(request, surprise)? }
            }
            Kind::PosixMemalign => {
                let (alignment, request) = (self.request()?, self.request()?);
                Call::PosixMemalign { alignment, request, to: self.placed(request, surprise)? }
            }
            Kind::Valloc => {
                let request = self.request()?;
                Call::Valloc { request, to: self.placed(request, surprise)? }
            }
            Kind::Pvalloc => {
                let request = self.request()?;
                Call::Pvalloc { request, to: self.placed(request, surprise)? }
            }
            Kind::UsableSize => Call::UsableSize { pointer: self.handed()?.1 },
            _ => self.rest(kind)?,
        })
    }

    /// The calls that neither take nor return memory.
    fn rest(&mut self, kind: Kind) -> Result<Call, Stop> {
        const REST: Column = Column::Rest;
        let cursors = &mut self.cursors;
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
            _ => unreachable!("the other kinds were told apart before"),
        })
    }

    #[inline(always)]
    fn request(&mut self) -> Result<u64, Stop> {
        self.cursors.number(Column::Requests)
    }

    /// The allocation a call ends.
    #[inline(always)]
    fn freed(&mut self) -> Result<Pointer, Stop> {
        let slot = match self.elder.take(&self.all.births, &mut self.cursors)? {
            Handed::Young(nth) => {
                self.leave(nth);
                self.all.births[nth].slot
            }
            Handed::Elder(slot) => slot,
            Handed::Stray(address) => return Ok(Pointer::seen(address)),
            Handed::Null => return Ok(Pointer::NULL),
        };
        let address = self.vacate(slot)?;
        Ok(Pointer { address, slot: Slot(slot) })
    }

    /// The allocation a call was handed, which may live on.
    fn handed(&mut self) -> Result<(Handed, Pointer), Stop> {
        let handed = self.elder.take(&self.all.births, &mut self.cursors)?;
        let slot = match handed {
            Handed::Young(nth) => self.all.births[nth].slot,
            Handed::Elder(slot) => slot,
            Handed::Stray(address) => return Ok((handed, Pointer::seen(address))),
            Handed::Null => return Ok((handed, Pointer::NULL)),
        };
        let address = self.all.table.address(slot, &mut self.cursors)?;
        Ok((handed, Pointer { address, slot: Slot(slot) }))
    }

    /// Where a call that was handed nothing placed an allocation.
    #[inline(always)]
    fn placed(&mut self, request: u64, surprise: i64) -> Result<Placed, Stop> {
        if !self.all.placements {
            return self.somewhere(Pointer::NULL);
        }
        let class = Class::of(request);
        let (address, head) = self.guess(class, Pointer::NULL, surprise)?;
        if address == 0 {
            return Ok(Placed { pointer: Pointer::NULL, head });
        }
        let slot = self.occupy(address)?;
        self.all.births.push(address, slot, class);
        Ok(Placed { pointer: Pointer { address, slot: Slot(slot) }, head })
    }

    /// Which allocation a `realloc` was handed, and where it placed it.
    fn moved(&mut self, request: u64, surprise: i64) -> Result<(Pointer, Placed), Stop> {
        let (handed, old) = self.handed()?;
        let to = if self.all.placements {
            self.replaced(request, surprise, handed, old)?
        } else {
            self.somewhere(old)?
        };
        if let Handed::Young(nth) = handed
            && moved_away(request, to.pointer.address, old.address)
        {
            self.leave(nth);
        }
        if to.pointer.is_null() && request == 0 && old.slot != Slot::NONE {
            self.vacate(old.slot.0)?;
        }
        Ok((old, to))
    }

    fn replaced(
        &mut self,
        request: u64,
        surprise: i64,
        handed: Handed,
        old: Pointer,
    ) -> Result<Placed, Stop> {
        let class = Class::of(request);
        let (address, head) = self.guess(class, old, surprise)?;
        if address == 0 {
            return Ok(Placed { pointer: Pointer::NULL, head });
        }
        let slot = self.keep_slot(old, address)?;
        let class = class.after(handed, address == old.address, &self.all.births);
        self.all.births.push(address, slot, class);
        Ok(Placed { pointer: Pointer { address, slot: Slot(slot) }, head })
    }

    /// Where a call placed what was `old`, in a trace that does not say: an address then only tells
    /// allocations apart.
    fn somewhere(&mut self, old: Pointer) -> Result<Placed, Stop> {
        if !Guesses::take_somewhere(&mut self.cursors)? {
            return Ok(Placed { pointer: Pointer::NULL, head: 0 });
        }
        let slot = if old.slot == Slot::NONE { self.take_slot()? } else { old.slot.0 };
        let address = u64::from(slot) + 1;
        if old.slot == Slot::NONE {
            self.all.table.occupy(slot, address, &mut self.cursors)?;
        }
        self.all.births.push(address, slot, Class::NONE);
        Ok(Placed { pointer: Pointer { address, slot: Slot(slot) }, head: 0 })
    }

    #[inline(always)]
    fn guess(&mut self, class: Class, old: Pointer, surprise: i64) -> Result<(u64, u64), Stop> {
        let Unfold { guesses, births, .. } = &mut *self.all;
        guesses.take(Asker::new(self.thread, class), old.address, surprise, births, &mut self.cursors)
    }

    /// An allocation at `address` takes a slot, unless it is one that was moved and keeps its own.
    fn keep_slot(&mut self, old: Pointer, address: u64) -> Result<u32, Stop> {
        if old.slot == Slot::NONE {
            return self.occupy(address);
        }
        self.all.table.relocate(old.slot.0, address);
        Ok(old.slot.0)
    }

    /// An allocation at `address` takes a slot.
    #[inline(always)]
    fn occupy(&mut self, address: u64) -> Result<u32, Stop> {
        let slot = self.take_slot()?;
        self.all.table.occupy(slot, address, &mut self.cursors)?;
        Ok(slot)
    }

    #[inline(always)]
    fn take_slot(&mut self) -> Result<u32, Stop> {
        match self.all.vacated.pop() {
            Some(slot) => Ok(slot),
            None => self.told.take(&mut self.cursors),
        }
    }

    /// The allocation in `slot` is gone. Returns where it lived.
    #[inline(always)]
    fn vacate(&mut self, slot: u32) -> Result<u64, Stop> {
        let address = self.all.table.vacate(slot, &mut self.cursors)?;
        self.all.vacated.push(slot);
        Ok(address)
    }

    /// The nth birth's place is free.
    #[inline(always)]
    fn leave(&mut self, nth: Nth) {
        let Unfold { guesses, births, .. } = &mut *self.all;
        guesses.leave(self.thread, nth, births);
    }
}
