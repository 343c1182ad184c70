//! Records into columns.

use super::handed::{Birth, Family, Handed, Holder, moved_away};
use super::kind::{self, Kind};
use super::place::{Asker, Class, Guesses};
use super::slot::{Taken, Told};
use super::time::Times;
use super::{Column, Columns, Opening};
use crate::record::{Call, Placed, Record};
use crate::varint::{put, put_signed};

/// Which allocations a record speaks of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resolved {
    /// The one the call was handed.
    pub handed: Option<Holder>,
    /// The address of the pointer the call was handed.
    pub address: u64,
    /// The slot the one it made took; `None` if it made none or a moved one kept its slot.
    pub taken: Option<Taken>,
}

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
    /// How many nanoseconds make a unit of time.
    resolution: u64,
    times: Times,
    thread: u32,
    program_break: u64,
    family: Family,
    /// The number of this batch's first birth, and of the next.
    first_birth: u32,
    next_birth: u32,
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
            resolution: resolution.max(1),
            times: Times(0),
            thread: 0,
            program_break: 0,
            family: Family::default(),
            first_birth: 0,
            next_birth: 0,
            told: Told::default(),
            guesses: Guesses::default(),
        }
    }

    /// How many records the batch has so far.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// The number that the next allocation to be made or moved will have.
    pub fn next_birth(&self) -> u32 {
        self.next_birth
    }

    /// The time of the batch's first record, in units of the clock's resolution.
    pub fn began(&self) -> u64 {
        self.began
    }

    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Begins another batch.
    pub fn clear(&mut self) {
        self.columns.0.iter_mut().for_each(Vec::clear);
        self.records = 0;
        self.family.clear();
        self.first_birth = self.next_birth;
        self.told = Told::default();
        self.guesses.clear();
    }

    /// Appends a record.
    #[inline]
    pub fn put(&mut self, record: &Record, resolved: Resolved) {
        let time = record.time.0 / self.resolution;
        let program_break = if self.placements { record.program_break } else { 0 };
        if self.records == 0 {
            self.open(time, Opening { thread: record.thread.0, program_break });
        }
        self.records += 1;
        self.times.put(time, &mut self.columns);
        let flags = self.put_thread(record.thread.0)
            | self.put_break(program_break)
            | self.put_call(record, resolved);
        self.columns[Column::Kinds].push(Kind::of(&record.call) as u8 | flags);
    }

    fn open(&mut self, time: u64, opening: Opening) {
        self.began = time;
        self.opening = opening;
        self.times = Times(time);
        self.thread = opening.thread;
        self.program_break = opening.program_break;
    }

    #[inline]
    fn put_thread(&mut self, thread: u32) -> u8 {
        if thread == self.thread {
            return 0;
        }
        self.thread = thread;
        put(&mut self.columns[Column::Threads], thread.into());
        kind::THREAD
    }

    #[inline]
    fn put_break(&mut self, program_break: u64) -> u8 {
        if program_break == self.program_break {
            return 0;
        }
        let by = program_break.wrapping_sub(self.program_break).cast_signed();
        self.program_break = program_break;
        put_signed(&mut self.columns[Column::Breaks], by);
        kind::BREAK
    }

    #[inline]
    fn put_call(&mut self, record: &Record, resolved: Resolved) -> u8 {
        match record.call {
            Call::Malloc { request, to } | Call::Valloc { request, to } | Call::Pvalloc { request, to } => {
                self.put_request(request);
                self.put_placed(request, to, resolved)
            }
            Call::Calloc { count, size, to } => {
                self.put_request(count);
                self.put_request(size);
                self.put_placed(count.saturating_mul(size), to, resolved)
            }
            Call::Memalign { alignment, request, to }
            | Call::AlignedAlloc { alignment, request, to }
            | Call::PosixMemalign { alignment, request, to } => {
                self.put_request(alignment);
                self.put_request(request);
                self.put_placed(request, to, resolved)
            }
            Call::Realloc { request, to, .. } => {
                self.put_request(request);
                self.put_moved(request, to, resolved)
            }
            Call::Reallocarray { count, size, to, .. } => {
                self.put_request(count);
                self.put_request(size);
                self.put_moved(count.saturating_mul(size), to, resolved)
            }
            Call::Free { .. } => {
                let handed = self.put_handed(resolved);
                self.release(handed);
                0
            }
            Call::UsableSize { .. } => {
                self.put_handed(resolved);
                0
            }
            _ => self.put_rest(&record.call),
        }
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
            Call::Spawn { thread } | Call::Join { thread } => put(rest, thread.0.into()),
            Call::Fork { child } => put(rest, child.into()),
            _ => {}
        }
        0
    }

    #[inline]
    fn put_request(&mut self, number: u64) {
        put(&mut self.columns[Column::Requests], number);
    }

    #[inline]
    fn put_handed(&mut self, resolved: Resolved) -> Handed {
        self.family.put(resolved.address, resolved.handed, self.first_birth, &mut self.columns)
    }

    fn put_moved(&mut self, request: u64, to: Placed, resolved: Resolved) -> u8 {
        let handed = self.put_handed(resolved);
        let flags = self.put_place(request, to, handed, resolved);
        if moved_away(request, to.pointer.address, resolved.address) {
            self.release(handed);
        }
        flags
    }

    #[inline]
    fn put_placed(&mut self, request: u64, to: Placed, resolved: Resolved) -> u8 {
        self.put_place(request, to, Handed::Null, resolved)
    }

    #[inline]
    fn put_place(&mut self, request: u64, to: Placed, handed: Handed, resolved: Resolved) -> u8 {
        if to.pointer.is_null() {
            Guesses::put_null(&mut self.columns);
            return 0;
        }
        let slot = match (resolved.taken, resolved.handed) {
            (Some(Taken { slot, known: true }), _) => slot,
            (Some(Taken { slot, known: false }), _) => {
                self.told.put(slot, &mut self.columns);
                slot
            }
            (None, Some(holder)) => holder.slot,
            (None, None) => unreachable!("what is placed either takes a slot or has one"),
        };
        self.next_birth = self.next_birth.wrapping_add(1);
        if !self.placements {
            Guesses::put_somewhere(&mut self.columns);
            self.family.bear(Birth { address: 0, slot, class: Class::NONE });
            return 0;
        }
        let class = Class::of(request);
        let address = to.pointer.address;
        let surprise = self.guesses.put(
            Asker::new(self.thread, class),
            address,
            to.head,
            resolved.address,
            &mut self.columns,
        );
        let class = handed.class_after(class, address == resolved.address);
        self.family.bear(Birth { address, slot, class });
        if surprise { kind::HEAD } else { 0 }
    }

    /// An allocation gave up its place.
    #[inline]
    fn release(&mut self, handed: Handed) {
        if let Handed::Young(birth) = handed
            && birth.class != Class::NONE
        {
            self.guesses.release(Asker::new(self.thread, birth.class), birth.address);
        }
    }
}
