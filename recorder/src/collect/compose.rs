//! Slots into records: what was written in several slots is put together, and what every record
//! carries is added: its thread, its time in nanoseconds, the program break.

use std::collections::HashMap;
use std::io::Write;

use malloscope_traces::readings::Reading;
use malloscope_traces::{Call, Error, Nanos, Placed, Pointer, Record, Stack, Thread, Writer};
use malloscope_wire::slot::{self, Copied, Kind};

use super::sites::{Sites, Told};
use super::untouched::Ledger;
use crate::clock::Scale;
use crate::heap::copy::Range;

/// How many calls of `realloc` one thread can be in: its own, and those of signal handlers that
/// interrupted it. Of more, the earliest are forgotten: they never ended.
const NESTED: usize = 16;

/// What of a thread's records is not complete.
#[derive(Debug, Default)]
pub struct Unfinished {
    /// Its number, once it has a record.
    thread: Option<Thread>,
    /// Arguments of the call in the next slot.
    arguments: Option<[u64; 2]>,
    /// Calls of `realloc` that have begun, the latest last.
    begun: Vec<Begun>,
    /// From where it calls.
    told: Told,
}

impl Unfinished {
    /// The thread's number, if it has a record.
    pub fn thread(&self) -> Option<Thread> {
        self.thread
    }
}

/// A `realloc` that has begun.
#[derive(Debug)]
struct Begun {
    /// The low end of the index of its slot.
    index: u64,
    old: Pointer,
    asked: Asked,
}

/// What it asked for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Bytes(u64),
    Array { count: u64, size: u64 },
}

/// Composes the records of one process.
#[derive(Debug)]
pub struct Composer<W: Write> {
    writer: Writer<W>,
    scale: Scale,
    /// When the trace began, in ticks.
    began: u64,
    threads: u32,
    program_break: u64,
    /// The last record, if it is a `free`.
    freed: Option<Freed>,
    sites: Sites,
    /// What the calls say of pages.
    ledger: Ledger,
    tally: Tally,
    /// By ticket: where forks were.
    forks: Forks,
}

/// Where forks were, by their tickets.
pub type Forks = HashMap<u64, ForkPoint>;

/// Where in its parent's records a child began.
#[derive(Clone, Copy, Debug)]
pub struct ForkPoint {
    /// How many records there were before that of the fork.
    pub records: u64,
    /// Where the program break was.
    pub program_break: u64,
}

/// The record of a `free`, which is not written before it is known what it did to the program break.
#[derive(Clone, Copy, Debug)]
struct Freed {
    time: Nanos,
    thread: Thread,
    address: u64,
    program_break: u64,
    site: Stack,
}

/// How many forks are remembered, of a program that does nothing else.
const FORKS: usize = 1 << 20;

/// What was composed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Calls of the malloc family.
    pub calls: u64,
    /// Records, which threads and forks have too.
    pub records: u64,
    /// Slots.
    pub slots: u64,
    /// Slots that fitted nowhere.
    pub misfits: u64,
    /// The time of the last record.
    pub latest: Nanos,
}

impl<W: Write> Composer<W> {
    /// Composes records for this writer, of a process that began at that time with that program break.
    pub fn new(writer: Writer<W>, scale: Scale, began: u64, program_break: u64, sites: Sites) -> Self {
        Composer {
            writer,
            scale,
            began,
            threads: 0,
            program_break,
            freed: None,
            sites,
            ledger: Ledger::default(),
            tally: Tally::default(),
            forks: HashMap::new(),
        }
    }

    /// What was composed so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Where the fork with this ticket was, if it was recorded.
    pub fn fork_point(&self, ticket: u64) -> Option<ForkPoint> {
        self.forks.get(&ticket).copied()
    }

    /// Where a fork would be now.
    pub fn point(&self) -> ForkPoint {
        ForkPoint { records: self.tally.records, program_break: self.program_break }
    }

    /// The writer back, where forks were, and what the calls say of pages.
    pub fn into_parts(self) -> (Writer<W>, Forks, Ledger) {
        (self.writer, self.forks, self.ledger)
    }

    /// Slots that are about to be taken, as far as they were there when they were copied.
    #[inline]
    pub fn expect(&self, slots: &[Copied]) {
        self.writer.expect(slots.iter().map(|slot| slot::without_site(slot.first, slot.second).0));
    }

    /// Whether an allocation lives at this address, as far as is known; nothing does at 0, and nobody misses it there.
    pub fn is_alive(&self, address: u64) -> bool {
        let is_freed = self.freed.as_ref().is_some_and(|freed| freed.address == address);
        address == 0 || !is_freed && self.writer.is_alive(address)
    }

    /// Takes the slot with this index, of this kind.
    #[inline]
    pub fn take(
        &mut self,
        thread: &mut Unfinished,
        index: u64,
        kind: Kind,
        slot: &Copied,
    ) -> Result<(), Error> {
        self.tally.slots += 1;
        if ends_a_free(kind) {
            self.release()?;
        }
        let Some([a, b]) = self.arguments(thread, kind, slot) else {
            self.tally.misfits += 1;
            return Ok(());
        };
        let &Copied { time, first, second, .. } = slot;
        let (payload, head, site) = slot::without_site(first, second);
        let to = Placed { pointer: Pointer::seen(payload), head };
        let site = thread.told.stack(site);
        match kind {
            Kind::Malloc => self.write_from(thread, time, site, Call::Malloc { request: a, to }),
            Kind::Free => self.hold_back(thread, time, first),
            Kind::Calloc => self.write_from(thread, time, site, Call::Calloc { count: a, size: b, to }),
            Kind::Realloc => self.begin(thread, index, first, Asked::Bytes(a)),
            Kind::Reallocarray => self.begin(thread, index, first, Asked::Array { count: a, size: b }),
            Kind::Reallocated => self.end(thread, time, site, a, to),
            Kind::ReallocOfNull => {
                self.write_from(thread, time, site, Call::Realloc { old: Pointer::NULL, request: a, to })
            }
            Kind::Memalign => {
                self.write_from(thread, time, site, Call::Memalign { alignment: a, request: b, to })
            }
            Kind::AlignedAlloc => {
                self.write_from(thread, time, site, Call::AlignedAlloc { alignment: a, request: b, to })
            }
            Kind::PosixMemalign => {
                self.write_from(thread, time, site, Call::PosixMemalign { alignment: a, request: b, to })
            }
            Kind::Valloc => self.write_from(thread, time, site, Call::Valloc { request: a, to }),
            Kind::Pvalloc => self.write_from(thread, time, site, Call::Pvalloc { request: a, to }),
            Kind::Trim => {
                let site = thread.told.stack(id(a));
                self.write_from(thread, time, site, Call::Trim { pad: first, returned: int(second) })
            }
            Kind::Mallopt => {
                let (parameter, value, returned) = (int(first), int(second), int(a));
                self.write(thread, time, Call::Mallopt { parameter, value, returned })
            }
            Kind::MoveBreak => self.move_break(thread, time, first, second),
            Kind::ThreadStart => self.write(thread, time, Call::ThreadStart { id: id(first) }),
            Kind::Fork => self.fork(thread, time, first, second),
            Kind::Watched => self.write(thread, time, Call::Watched),
            Kind::Interrupted => {
                let (waits, preemptions) = (id(first), id(second));
                self.write(thread, time, Call::Interrupted { waits, preemptions })
            }
            Kind::BreakIs => self.see_break(first),
            Kind::BreakAfter => self.see_break_after(thread, first, id(a)),
            Kind::Arguments => Self::keep(thread, [first, second]),
            Kind::ThreadExit => Ok(()),
            Kind::Untouched => {
                let hole = Range { start: first, end: second };
                self.ledger.see_untouched(self.tally.records, a, hole);
                Ok(())
            }
            Kind::Module | Kind::Text | Kind::Frame | Kind::NoFrames => {
                self.learn(thread, kind, [a, b], first, second);
                Ok(())
            }
        }
    }

    /// Writes that the thread is gone. What it has begun never ends.
    pub fn exit(&mut self, thread: &mut Unfinished, time: u64) -> Result<(), Error> {
        self.release()?;
        while let Some(begun) = thread.begun.pop() {
            self.give_up(thread, begun)?;
        }
        self.write(thread, time, Call::ThreadExit)
    }

    /// Takes what a thread tells of its stacks.
    #[cold]
    fn learn(&mut self, thread: &mut Unfinished, kind: Kind, [a, b]: [u64; 2], first: u64, second: u64) {
        let Composer { sites, writer, .. } = self;
        let told = &mut thread.told;
        match kind {
            Kind::Module => {
                told.begin(first, second, a, b);
                sites.name(told, None, writer);
            }
            Kind::Text => sites.name(told, Some([first, second]), writer),
            Kind::Frame => sites.frame(told, a, first, second, writer),
            _ => told.forget(),
        }
    }

    #[inline(always)]
    fn write(&mut self, thread: &mut Unfinished, time: u64, call: Call) -> Result<(), Error> {
        self.write_from(thread, time, Stack::NONE, call)
    }

    #[inline(always)]
    fn write_from(
        &mut self,
        thread: &mut Unfinished,
        time: u64,
        site: Stack,
        call: Call,
    ) -> Result<(), Error> {
        let time = self.nanos(time);
        let thread = self.number(thread);
        let record = Record { time, thread, program_break: self.program_break, call };
        self.count(&record);
        self.writer.record_from(&record, site)
    }

    #[inline]
    fn count(&mut self, record: &Record) {
        self.ledger.see(self.tally.records, record);
        self.tally.records += 1;
        self.tally.latest = record.time;
        self.tally.calls += u64::from(record.call.is_of_malloc());
    }

    /// The time of a record that comes next: never before that of the last one. What was given up
    /// and came after all is late, and so is the exit of a thread that is long gone.
    #[inline]
    fn nanos(&self, ticks: u64) -> Nanos {
        Nanos(self.scale.nanoseconds(ticks.saturating_sub(self.began))).max(self.tally.latest)
    }

    #[inline]
    fn number(&mut self, thread: &mut Unfinished) -> Thread {
        *thread.thread.get_or_insert_with(|| {
            self.threads += 1;
            Thread(self.threads - 1)
        })
    }

    /// Holds a `free` back, until it is known what it did to the program break.
    #[inline]
    fn hold_back(&mut self, thread: &mut Unfinished, time: u64, address: u64) -> Result<(), Error> {
        let (time, thread) = (self.nanos(time), self.number(thread));
        let program_break = self.program_break;
        self.freed = Some(Freed { time, thread, address, program_break, site: Stack::NONE });
        Ok(())
    }

    /// Writes the `free` that was held back, if there is one.
    #[inline]
    pub fn release(&mut self) -> Result<(), Error> {
        let Some(Freed { time, thread, address, program_break, site }) = self.freed.take() else {
            return Ok(());
        };
        let call = Call::Free { pointer: Pointer::seen(address) };
        let record = Record { time, thread, program_break, call };
        self.count(&record);
        self.writer.record_from(&record, site)
    }

    /// Writes what the kernel said of the process at that time.
    pub fn reading(&mut self, ticks: u64, reading: Reading) -> Result<(), Error> {
        let time = Nanos(self.scale.nanoseconds(ticks.saturating_sub(self.began)));
        self.writer.reading(&Reading { time, ..reading })
    }

    /// Sends to the file what there is.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.release()?;
        self.writer.flush()
    }

    /// The call's arguments, as far as they are numbers; `None` if they should be there and are not.
    #[inline]
    fn arguments(&mut self, thread: &mut Unfinished, kind: Kind, slot: &Copied) -> Option<[u64; 2]> {
        match (slot.is_wide(), kind) {
            (false, Kind::Calloc) => Some(slot::unpack(slot.small()).into()),
            (false, _) => Some([slot.small(), 0]),
            (true, _) => thread.arguments.take(),
        }
    }

    fn keep(thread: &mut Unfinished, arguments: [u64; 2]) -> Result<(), Error> {
        thread.arguments = Some(arguments);
        Ok(())
    }

    fn fork(&mut self, thread: &mut Unfinished, time: u64, child: u64, ticket: u64) -> Result<(), Error> {
        if self.forks.len() < FORKS {
            self.forks
                .insert(ticket, ForkPoint { records: self.tally.records, program_break: self.program_break });
        }
        self.write(thread, time, Call::Fork { child: id(child) })
    }

    fn move_break(&mut self, thread: &mut Unfinished, time: u64, by: u64, to: u64) -> Result<(), Error> {
        self.program_break = to;
        self.write(thread, time, Call::MoveBreak { by: by.cast_signed() })
    }

    fn see_break(&mut self, now: u64) -> Result<(), Error> {
        self.program_break = now;
        Ok(())
    }

    /// The program break was moved by the thread's last call, which is the one held back unless
    /// another thread has called since.
    fn see_break_after(&mut self, thread: &Unfinished, now: u64, site: u32) -> Result<(), Error> {
        self.program_break = now;
        if let Some(freed) = &mut self.freed
            && Some(freed.thread) == thread.thread
        {
            freed.program_break = now;
            freed.site = thread.told.stack(site);
        }
        Ok(())
    }

    /// A `realloc` begins: from now on somebody else may be given the old memory.
    fn begin(&mut self, thread: &mut Unfinished, index: u64, old: u64, asked: Asked) -> Result<(), Error> {
        if thread.begun.len() == NESTED {
            let earliest = thread.begun.remove(0);
            self.give_up(thread, earliest)?;
        }
        let slot = self.writer.claim(old);
        let old = Pointer { address: old, slot };
        thread.begun.push(Begun { index: slot::low(index), old, asked });
        Ok(())
    }

    /// A `realloc` ends. Those that began later were in signal handlers that never returned.
    fn end(
        &mut self,
        thread: &mut Unfinished,
        time: u64,
        site: Stack,
        began: u64,
        to: Placed,
    ) -> Result<(), Error> {
        if !thread.begun.iter().any(|begun| begun.index == began) {
            self.tally.misfits += 1;
            return Ok(());
        }
        while let Some(begun) = thread.begun.pop() {
            if begun.index == began {
                return self.write_from(thread, time, site, begun.ended(to));
            }
            self.give_up(thread, begun)?;
        }
        Ok(())
    }

    /// A `realloc` never ends: its thread left it by `longjmp`. Recorded as one that failed, which
    /// leaves the old allocation where it is.
    fn give_up(&mut self, thread: &mut Unfinished, begun: Begun) -> Result<(), Error> {
        self.tally.misfits += 1;
        let nothing = Placed { pointer: Pointer::NULL, head: 0 };
        let latest = self.tally.latest;
        let (thread, program_break) = (self.number(thread), self.program_break);
        self.tally.records += 1;
        self.writer.record(&Record { time: latest, thread, program_break, call: begun.ended(nothing) })
    }
}

impl Begun {
    fn ended(self, to: Placed) -> Call {
        let old = self.old;
        match self.asked {
            Asked::Bytes(request) => Call::Realloc { old, request, to },
            Asked::Array { count, size } => Call::Reallocarray { old, count, size, to },
        }
    }
}

/// Whether nothing more is told of a `free` once this comes. What a thread tells of its stacks may come
/// between the `free` and where it left the program break.
#[inline]
fn ends_a_free(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::BreakAfter | Kind::Arguments | Kind::Module | Kind::Text | Kind::Frame | Kind::NoFrames
    )
}

/// The name of a thread or process out of a word; 0 if it is none.
fn id(word: u64) -> u32 {
    u32::try_from(word).unwrap_or(0)
}

/// A C `int` out of a word.
#[expect(clippy::cast_possible_truncation, reason = "the agent put an int there")]
fn int(word: u64) -> i32 {
    word as u32 as i32
}
