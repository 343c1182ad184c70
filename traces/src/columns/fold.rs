//! Records into columns.

use super::birth::Births;
use super::handed::{Elder, Handed, Holder};
use super::kind::{self, Kind};
use super::place::{Asker, Class, Guesses, moved_away};
use super::site::Sites;
use super::slot::{Taken, Told};
use super::time::Times;
use super::{Column, Columns, Opening};
use crate::error::Error;
use crate::identity::Live;
use crate::record::{Call, Placed, Pointer, Record};
use crate::varint::{put, put_signed};

/// Turns records into columns, one batch after the other.
#[derive(Debug)]
pub(crate) struct Fold {
    columns: Columns,
    /// The time of the first record, in units.
    began: u64,
    opening: Opening,
    records: u32,
    /// Whether addresses, heads and program breaks are known.
    placements: bool,
    times: Times,
    thread: u32,
    program_break: u64,
    births: Births,
    /// The number of this batch's first birth, counted from the beginning of the trace.
    first_birth: u32,
    elder: Elder,
    told: Told,
    guesses: Guesses,
}

impl Fold {
    pub fn new(placements: bool, resolution: u64) -> Fold {
        Fold {
            columns: Columns::default(),
            began: 0,
            opening: Opening::default(),
            records: 0,
            placements,
            times: Times::new(resolution),
            thread: 0,
            program_break: 0,
            births: Births::default(),
            first_birth: 0,
            elder: Elder::default(),
            told: Told::default(),
            guesses: Guesses::default(),
        }
    }

    /// How many records the batch has so far.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// The time of the batch's first record, in units of the clock's resolution.
    pub fn began(&self) -> u64 {
        self.began
    }

    /// The time of the record that came last, in the same units.
    pub fn last(&self) -> u64 {
        self.times.last()
    }

    pub fn opening(&self) -> Opening {
        self.opening
    }

    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Adds the stacks of the batch's records, which come last.
    pub fn put_stacks(&mut self, sites: &mut Sites) {
        sites.put(&mut self.columns);
    }

    /// Begins another batch.
    pub fn clear(&mut self) {
        self.columns.clear();
        self.records = 0;
        self.first_birth = self.first_birth.wrapping_add(self.births.last());
        self.births.clear();
        self.elder = Elder::default();
        self.told = Told::default();
        self.guesses.clear();
    }

    /// Appends a record. `live` tells which allocations it speaks of.
    #[inline(always)]
    pub fn put(&mut self, record: &Record, live: &mut Live) -> Result<(), Error> {
        let program_break = if self.placements { record.program_break } else { 0 };
        if self.records == 0 {
            self.open(self.times.units(record.time), Opening { thread: record.thread.0, program_break });
        }
        self.records += 1;
        self.times.put(record.time, &mut self.columns);
        let mut byte = 0;
        if record.thread.0 != self.thread || program_break != self.program_break {
            byte = self.put_surroundings(record.thread.0, program_break);
        }
        byte |= match record.call {
            Call::Malloc { request, to } => {
                self.put_request(request);
                Kind::Malloc as u8 | self.put_placed(request, to, live)?
            }
            Call::Free { pointer } => {
                self.put_freed(pointer, live);
                Kind::Free as u8
            }
            ref call => self.put_rarer(call, live)?,
        };
        self.columns[Column::Kinds].push(byte);
        Ok(())
    }

    fn open(&mut self, began: u64, opening: Opening) {
        self.began = began;
        self.opening = opening;
        self.times.begin(began);
        self.thread = opening.thread;
        self.program_break = opening.program_break;
    }

    fn put_surroundings(&mut self, thread: u32, program_break: u64) -> u8 {
        let mut flags = 0;
        if thread != self.thread {
            self.thread = thread;
            put(&mut self.columns[Column::Threads], thread.into());
            flags |= kind::THREAD;
        }
        if program_break != self.program_break {
            let by = program_break.wrapping_sub(self.program_break).cast_signed();
            self.program_break = program_break;
            put_signed(&mut self.columns[Column::Breaks], by);
            flags |= kind::BREAK;
        }
        flags
    }

    /// The calls that are neither `malloc` nor `free`.
    #[inline(never)]
    fn put_rarer(&mut self, call: &Call, live: &mut Live) -> Result<u8, Error> {
        let flags = match *call {
            Call::Calloc { count, size, to } => {
                self.put_request(count);
                self.put_request(size);
                self.put_placed(count.saturating_mul(size), to, live)?
            }
            Call::Realloc { old, request, to } => {
                self.put_request(request);
                self.put_moved(old, request, to, live)?
            }
            Call::Reallocarray { old, count, size, to } => {
                self.put_request(count);
                self.put_request(size);
                self.put_moved(old, count.saturating_mul(size), to, live)?
            }
            Call::Memalign { alignment, request, to }
            | Call::AlignedAlloc { alignment, request, to }
            | Call::PosixMemalign { alignment, request, to } => {
                self.put_request(alignment);
                self.put_request(request);
                self.put_placed(request, to, live)?
            }
            Call::Valloc { request, to } | Call::Pvalloc { request, to } => {
                self.put_request(request);
                self.put_placed(request, to, live)?
            }
            Call::UsableSize { pointer } => {
                let holder = live.find(pointer);
                self.put_handed(pointer.address, holder);
                0
            }
            _ => self.put_rest(call),
        };
        Ok(Kind::of(call) as u8 | flags)
    }

    /// The calls that neither take nor return memory.
    fn put_rest(&mut self, call: &Call) -> u8 {
        let rest = &mut self.columns[Column::Rest];
        match *call {
            Call::Trim { pad, returned } => {
                put(rest, pad);
                put_signed(rest, returned.into());
            }
            Call::Mallopt { parameter, value, returned } => {
                for number in [parameter, value, returned] {
                    put_signed(rest, number.into());
                }
            }
            Call::MoveBreak { by } => put_signed(rest, by),
            Call::ThreadStart { id } => put(rest, id.into()),
            Call::Interrupted { waits, preemptions } => {
                put(rest, waits.into());
                put(rest, preemptions.into());
            }
            Call::Spawn { thread } | Call::Join { thread } => put(rest, thread.0.into()),
            Call::Fork { child } => put(rest, child.into()),
            _ => {}
        }
        0
    }

    #[inline(always)]
    fn put_request(&mut self, number: u64) {
        put(&mut self.columns[Column::Requests], number);
    }

    #[inline(always)]
    fn put_handed(&mut self, address: u64, holder: Option<Holder>) -> Handed {
        self.elder.put(address, holder, self.first_birth, &self.births, &mut self.columns)
    }

    #[inline(always)]
    fn put_freed(&mut self, pointer: Pointer, live: &mut Live) {
        let (address, holder) = live.free(pointer);
        if let Handed::Young(nth) = self.put_handed(address, holder) {
            self.guesses.leave(self.thread, nth, &mut self.births);
        }
    }

    /// An allocation made by a call that was handed none.
    #[inline(always)]
    fn put_placed(&mut self, request: u64, to: Placed, live: &mut Live) -> Result<u8, Error> {
        if to.pointer.is_null() {
            Guesses::put_null(&mut self.columns);
            return Ok(0);
        }
        let taken = live.place(to.pointer.address, self.next_birth())?;
        let slot = self.put_slot(taken);
        if !self.placements {
            self.put_somewhere(slot);
            return Ok(0);
        }
        let class = Class::of(request);
        let flags = self.put_guess(class, to, 0);
        self.births.push(to.pointer.address, slot, class);
        Ok(flags)
    }

    /// A `realloc`.
    fn put_moved(&mut self, old: Pointer, request: u64, to: Placed, live: &mut Live) -> Result<u8, Error> {
        if old.is_null() {
            self.put_handed(0, None);
            return self.put_placed(request, to, live);
        }
        let moved = live.realloc(old, request, to.pointer.address, self.next_birth())?;
        let handed = self.put_handed(moved.address, moved.holder);
        let slot = match (moved.taken, moved.holder) {
            _ if to.pointer.is_null() => None,
            (Some(taken), _) => Some(self.put_slot(taken)),
            (None, holder) => holder.map(|holder| holder.slot),
        };
        let flags = match slot {
            None => {
                Guesses::put_null(&mut self.columns);
                0
            }
            Some(slot) if !self.placements => {
                self.put_somewhere(slot);
                0
            }
            Some(slot) => {
                let class = Class::of(request);
                let flags = self.put_guess(class, to, moved.address);
                let class = class.after(handed, to.pointer.address == moved.address, &self.births);
                self.births.push(to.pointer.address, slot, class);
                flags
            }
        };
        if let Handed::Young(nth) = handed
            && moved_away(request, to.pointer.address, moved.address)
        {
            self.guesses.leave(self.thread, nth, &mut self.births);
        }
        Ok(flags)
    }

    #[inline(always)]
    fn put_slot(&mut self, taken: Taken) -> u32 {
        if !taken.known {
            self.told.put(taken.slot, &mut self.columns);
        }
        taken.slot
    }

    #[inline(always)]
    fn put_guess(&mut self, class: Class, to: Placed, old: u64) -> u8 {
        let asker = Asker::new(self.thread, class);
        let Fold { guesses, births, columns, .. } = self;
        let surprised = guesses.put(asker, to.pointer.address, to.head, old, births, columns);
        if surprised { kind::HEAD } else { 0 }
    }

    fn put_somewhere(&mut self, slot: u32) {
        Guesses::put_somewhere(&mut self.columns);
        self.births.push(0, slot, Class::NONE);
    }

    /// The number of the birth that comes next.
    #[inline(always)]
    fn next_birth(&self) -> u32 {
        self.first_birth.wrapping_add(self.births.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Unfold;
    use crate::record::{Nanos, Slot, Thread};

    #[test]
    fn an_allocation_older_than_four_billion_others_is_not_taken_for_a_young_one() {
        let at = |address| Placed { pointer: Pointer::seen(address), head: 0x21 };
        let malloc = |address| Call::Malloc { request: 24, to: at(address) };
        let free = |address| Call::Free { pointer: Pointer::seen(address) };
        let (mut fold, mut live) = (Fold::new(true, 1), Live::default());
        // The numbers of births come round to 0 within this batch, and pass that of an old allocation.
        fold.first_birth = u32::MAX - 1;
        live.place(0x9000, 0).unwrap();
        for call in
            [malloc(0x10), malloc(0x30), malloc(0x50), malloc(0x70), free(0x70), free(0x9000), free(0x50)]
        {
            let record = Record { time: Nanos(0), thread: Thread(0), program_break: 0, call };
            fold.put(&record, &mut live).unwrap();
        }
        let (mut unfold, mut records) = (Unfold::new(true, 1), Vec::new());
        unfold.forget();
        unfold.batch(0, fold.opening(), fold.columns(), fold.records(), &mut records).unwrap();
        let freed = records[4..].iter().map(|record| record.call.handed().unwrap());
        let freed = freed.map(|pointer| (pointer.slot, pointer.address)).collect::<Vec<_>>();
        assert_eq!(freed, [(Slot(4), 0x70), (Slot(0), Pointer::UNKNOWN), (Slot(3), 0x50)]);
    }
}
