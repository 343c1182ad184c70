//! Columns into records.

use std::ops::{Index, IndexMut};

use super::handed::{Birth, Family, Handed, moved_away};
use super::kind::{self, Kind};
use super::place::{Asker, Class, Guesses};
use super::slot::Told;
use super::time::Times;
use super::{Column, Columns, Opening};
use crate::damage::Fault;
use crate::record::{Call, Nanos, Placed, Pointer, Record, Slot, Thread};
use crate::varint::Cursor;

/// How far each column has been read.
#[derive(Debug)]
pub(crate) struct Cursors<'bytes>([Cursor<'bytes>; Column::ALL.len()]);

impl<'bytes> Cursors<'bytes> {
    /// The beginning of all columns.
    pub fn new(columns: &'bytes Columns) -> Self {
        Cursors(Column::ALL.map(|column| Cursor::new(column, &columns[column])))
    }

    /// Every column must be at its end.
    pub fn finish(self) -> Result<(), Fault> {
        self.0.into_iter().try_for_each(Cursor::finish)
    }
}

impl<'bytes> Index<Column> for Cursors<'bytes> {
    type Output = Cursor<'bytes>;

    fn index(&self, column: Column) -> &Cursor<'bytes> {
        &self.0[column as usize]
    }
}

impl<'bytes> IndexMut<Column> for Cursors<'bytes> {
    fn index_mut(&mut self, column: Column) -> &mut Cursor<'bytes> {
        &mut self.0[column as usize]
    }
}

/// Which address the allocation in each slot lives at: all that is remembered from one batch to the next.
#[derive(Debug)]
pub(crate) struct Table {
    addresses: Vec<u64>,
    /// Whether every record since the beginning was read, so that everything is known.
    whole: bool,
    /// How many allocations were put into it.
    occupied: u64,
}

/// The entry of a slot nobody holds.
const VACANT: u64 = 0;

/// How much further than there were allocations a table may grow after a loss. Before one, slots come
/// in order; after it they may begin anywhere, and a damaged or hostile number must not cost gigabytes.
const STRIDE: u64 = 1 << 22;

impl Default for Table {
    fn default() -> Table {
        Table { addresses: Vec::new(), whole: true, occupied: 0 }
    }
}

impl Table {
    /// Records are lost or skipped, and with them any knowledge of the slots.
    pub fn forget(&mut self) {
        self.addresses.clear();
        self.whole = false;
    }

    /// Where the allocation in `slot` lives.
    #[inline]
    fn address(&self, slot: u32) -> Result<u64, Fault> {
        match self.addresses.get(slot as usize) {
            Some(&VACANT) => Err(Fault::Vacant(Slot(slot))),
            Some(&address) => Ok(address),
            None if self.whole => Err(Fault::Vacant(Slot(slot))),
            None => Ok(Pointer::UNKNOWN),
        }
    }

    /// A new allocation takes `slot`.
    #[inline]
    fn occupy(&mut self, slot: u32, address: u64) -> Result<(), Fault> {
        self.occupied += 1;
        match self.addresses.get_mut(slot as usize) {
            Some(entry @ (&mut VACANT | &mut Pointer::UNKNOWN)) => *entry = address,
            Some(_) => return Err(Fault::Occupied(Slot(slot))),
            None => self.grow(slot, address)?,
        }
        Ok(())
    }

    fn grow(&mut self, slot: u32, address: u64) -> Result<(), Fault> {
        let index = slot as usize;
        if self.whole && index > self.addresses.len() {
            return Err(Fault::Skipped(Slot(slot)));
        }
        // A slot beyond the bound is not remembered: its address will be unknown when it is named.
        if u64::from(slot) < self.occupied + STRIDE {
            self.addresses.resize(index, Pointer::UNKNOWN);
            self.addresses.push(address);
        }
        Ok(())
    }

    /// The allocation in `slot` moves.
    #[inline]
    fn relocate(&mut self, slot: u32, address: u64) {
        if let Some(entry) = self.addresses.get_mut(slot as usize) {
            *entry = address;
        }
    }

    /// The allocation in `slot` is gone.
    #[inline]
    fn vacate(&mut self, slot: u32) {
        self.relocate(slot, VACANT);
    }
}

/// Turns columns into records, one batch after the other.
#[derive(Debug)]
pub(crate) struct Unfold {
    placements: bool,
    resolution: u64,
    times: Times,
    thread: u32,
    program_break: u64,
    family: Family,
    /// The slots vacated in this batch and not taken again, the latest last.
    vacated: Vec<u32>,
    told: Told,
    guesses: Guesses,
}

impl Unfold {
    pub fn new(placements: bool, resolution: u64) -> Unfold {
        Unfold {
            placements,
            resolution,
            times: Times(0),
            thread: 0,
            program_break: 0,
            family: Family::default(),
            vacated: Vec::new(),
            told: Told::default(),
            guesses: Guesses::default(),
        }
    }

    /// Begins a batch.
    pub fn open(&mut self, time: u64, opening: Opening) {
        self.times = Times(time);
        self.thread = opening.thread;
        self.program_break = opening.program_break;
        self.family.clear();
        self.vacated.clear();
        self.told = Told::default();
        self.guesses.clear();
    }

    /// The next record.
    #[inline]
    pub fn take(&mut self, cursors: &mut Cursors<'_>, table: &mut Table) -> Result<Record, Fault> {
        let byte = cursors[Column::Kinds].byte()?;
        let kind = Kind::from_code(byte)?;
        let time = self.times.take(cursors)?;
        if byte & kind::THREAD != 0 {
            self.thread = cursors[Column::Threads].word()?;
        }
        if byte & kind::BREAK != 0 {
            let by = cursors[Column::Breaks].signed()?;
            self.program_break = self.program_break.wrapping_add_signed(by);
        }
        let mut one = One { unfold: self, cursors, table, surprise: byte & kind::HEAD != 0 };
        let call = one.call(kind)?;
        Ok(Record {
            time: Nanos(time.wrapping_mul(self.resolution)),
            thread: Thread(self.thread),
            program_break: self.program_break,
            call,
        })
    }
}

/// One record being read.
struct One<'a, 'bytes> {
    unfold: &'a mut Unfold,
    cursors: &'a mut Cursors<'bytes>,
    table: &'a mut Table,
    surprise: bool,
}

impl One<'_, '_> {
    #[inline]
    fn call(&mut self, kind: Kind) -> Result<Call, Fault> {
        Ok(match kind {
            Kind::Malloc => {
                let request = self.request()?;
                Call::Malloc { request, to: self.placed(request)? }
            }
            Kind::Free => Call::Free { pointer: self.freed()? },
            Kind::Calloc => {
                let (count, size) = (self.request()?, self.request()?);
                Call::Calloc { count, size, to: self.placed(count.saturating_mul(size))? }
            }
            Kind::Realloc => {
                let request = self.request()?;
                let (old, to) = self.moved(request)?;
                Call::Realloc { old, request, to }
            }
            Kind::Reallocarray => {
                let (count, size) = (self.request()?, self.request()?);
                let (old, to) = self.moved(count.saturating_mul(size))?;
                Call::Reallocarray { old, count, size, to }
            }
            Kind::Memalign => {
                let (alignment, request) = (self.request()?, self.request()?);
                Call::Memalign { alignment, request, to: self.placed(request)? }
            }
            Kind::AlignedAlloc => {
                let (alignment, request) = (self.request()?, self.request()?);
                Call::AlignedAlloc { alignment, request, to: self.placed(request)? }
            }
            Kind::PosixMemalign => {
                let (alignment, request) = (self.request()?, self.request()?);
                Call::PosixMemalign { alignment, request, to: self.placed(request)? }
            }
            Kind::Valloc => {
                let request = self.request()?;
                Call::Valloc { request, to: self.placed(request)? }
            }
            Kind::Pvalloc => {
                let request = self.request()?;
                Call::Pvalloc { request, to: self.placed(request)? }
            }
            Kind::UsableSize => Call::UsableSize { pointer: self.handed()?.1 },
            _ => self.rest(kind)?,
        })
    }

    /// The calls that neither take nor return memory.
    fn rest(&mut self, kind: Kind) -> Result<Call, Fault> {
        let rest = &mut self.cursors[Column::Rest];
        Ok(match kind {
            Kind::Trim => Call::Trim { pad: rest.number()?, returned: rest.small()? },
            Kind::Mallopt => {
                Call::Mallopt { parameter: rest.small()?, value: rest.small()?, returned: rest.small()? }
            }
            Kind::MoveBreak => Call::MoveBreak { by: rest.signed()? },
            Kind::ThreadStart => Call::ThreadStart { id: rest.word()? },
            Kind::ThreadExit => Call::ThreadExit,
            Kind::Spawn => Call::Spawn { thread: Thread(rest.word()?) },
            Kind::Join => Call::Join { thread: Thread(rest.word()?) },
            Kind::Fork => Call::Fork { child: rest.word()? },
            _ => unreachable!("the other kinds were told apart before"),
        })
    }

    #[inline]
    fn request(&mut self) -> Result<u64, Fault> {
        self.cursors[Column::Requests].number()
    }

    /// What the call was handed.
    #[inline]
    fn handed(&mut self) -> Result<(Handed, Pointer), Fault> {
        let handed = self.unfold.family.take(self.cursors)?;
        let pointer = match handed {
            Handed::Null => Pointer::NULL,
            Handed::Stray(address) => Pointer::seen(address),
            Handed::Elder(slot) | Handed::Young(Birth { slot, .. }) => {
                Pointer { address: self.table.address(slot)?, slot: Slot(slot) }
            }
        };
        Ok((handed, pointer))
    }

    #[inline]
    fn freed(&mut self) -> Result<Pointer, Fault> {
        let (handed, pointer) = self.handed()?;
        self.release(handed);
        self.vacate(pointer.slot);
        Ok(pointer)
    }

    #[inline]
    fn placed(&mut self, request: u64) -> Result<Placed, Fault> {
        self.place(request, Handed::Null, Pointer::NULL)
    }

    fn moved(&mut self, request: u64) -> Result<(Pointer, Placed), Fault> {
        let (handed, old) = self.handed()?;
        let to = self.place(request, handed, old)?;
        if moved_away(request, to.pointer.address, old.address) {
            self.release(handed);
        }
        if to.pointer.is_null() && request == 0 {
            self.vacate(old.slot);
        }
        Ok((old, to))
    }

    /// Where an allocation landed that was at `old` before.
    #[inline]
    fn place(&mut self, request: u64, handed: Handed, old: Pointer) -> Result<Placed, Fault> {
        let class = Class::of(request);
        let (mut address, head) = if self.unfold.placements {
            let asker = Asker::new(self.unfold.thread, class);
            self.unfold.guesses.take(asker, old.address, self.surprise, self.cursors)?
        } else {
            (u64::from(Guesses::take_somewhere(self.cursors)?), 0)
        };
        if address == 0 {
            return Ok(Placed { pointer: Pointer::NULL, head });
        }
        let slot = if old.slot == Slot::NONE { self.take_slot()? } else { old.slot.0 };
        let mut filed = Class::NONE;
        if self.unfold.placements {
            filed = handed.class_after(class, address == old.address);
        } else {
            address = u64::from(slot) + 1;
        }
        if old.slot == Slot::NONE {
            self.table.occupy(slot, address)?;
        } else {
            self.table.relocate(slot, address);
        }
        self.unfold.family.bear(Birth { address, slot, class: filed });
        Ok(Placed { pointer: Pointer { address, slot: Slot(slot) }, head })
    }

    /// The slot of an allocation that has none yet.
    #[inline]
    fn take_slot(&mut self) -> Result<u32, Fault> {
        match self.unfold.vacated.pop() {
            Some(slot) => Ok(slot),
            None => self.unfold.told.take(self.cursors),
        }
    }

    /// An allocation gave up its slot.
    #[inline]
    fn vacate(&mut self, slot: Slot) {
        if slot != Slot::NONE {
            self.table.vacate(slot.0);
            self.unfold.vacated.push(slot.0);
        }
    }

    /// An allocation gave up its place.
    #[inline]
    fn release(&mut self, handed: Handed) {
        if let Handed::Young(birth) = handed
            && birth.class != Class::NONE
        {
            self.unfold.guesses.release(Asker::new(self.unfold.thread, birth.class), birth.address);
        }
    }
}
