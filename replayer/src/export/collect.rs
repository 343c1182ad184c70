//! One pass over a trace, which finds all that the formats say.
//!
//! What it keeps in memory is 40 bytes for every slot, some for every stack that allocated, and what the
//! modules beside this one bound: nothing grows with the number of records.

use super::Profile;
use super::counters::{Counters, Point};
use super::lives::{self, Lives, Step};
use super::sites::{Amount, Dump, Lifetime, Sites, real};
use crate::range::Range;
use crate::report::units::{bytes, count};
use crate::run::Progress;
use crate::selection::Selection;
use malloscope_traces::header::ClockSource;
use malloscope_traces::stacks::Sampling;
use malloscope_traces::{Call, Placed, Pointer, Reader, Record, Slot, Stack};
use serde::Serialize;
use std::collections::HashMap;
use std::io::{Read, Seek};

/// Dumps of the sites on the way, before the one at the end.
const DUMPS: u64 = 15;

/// Threads that have a lane of their own; all later ones share the last.
const LANES: usize = 1024;

/// What a trace without a clock has instead: nanoseconds a record.
pub(super) const TICK: u64 = 1000;

/// The bits of a head that are no size, and the one that says that a chunk has a mapping of its own.
const FLAGS: u64 = 7;
const MAPPED: u64 = 2;

/// In the place of a flag: this allocation is the latest that its thread made.
const LATEST: u64 = 4;

/// No site: the call has no stack and nobody stands for it.
const NO_SITE: u32 = u32::MAX;

/// No site: it is not selected.
const LEFT_OUT: u32 = NO_SITE - 1;

fn is_site(site: u32) -> bool {
    site < LEFT_OUT
}

/// What of a [`Profile`] is wanted beside what costs next to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// [`Profile::dumps`].
    pub dumps: bool,
    /// [`Profile::lives`].
    pub lives: bool,
    /// These records alone; without it, all.
    pub range: Option<Range>,
    /// Only these allocations, as far as sites are concerned; all others live as well.
    pub selection: Option<&'a Selection>,
}

impl Wanted<'_> {
    /// What a format needs.
    pub fn for_format(format: super::Format) -> Wanted<'static> {
        Wanted {
            dumps: format == super::Format::Perfetto,
            lives: format == super::Format::Firefox,
            range: None,
            selection: None,
        }
    }
}

/// A moment, and what was live then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds since the trace began.
    pub time: u64,
    /// Bytes asked for and not given back.
    pub live: u64,
}

/// Allocations that were counted one by one, whether they have a stack or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Calls that were given memory.
    pub allocations: u64,
    /// Bytes that they asked for.
    pub bytes: u64,
    /// Of these allocations, those that were temporary: freed before the thread that made them made another.
    pub temporary: u64,
}

impl Counted {
    /// Behind what was counted: all there is with these, which were left out; nothing if there are none.
    pub fn out_of(self, counted: Counted) -> String {
        if self.allocations == 0 {
            return String::new();
        }
        let sum = (self.allocations + counted.allocations, self.bytes.saturating_add(counted.bytes));
        format!(", out of {} allocations of {}", count(sum.0), bytes(sum.1))
    }
}

/// A thread, or all those that have no lane of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// The kernel's name for it; 0 where unknown.
    pub id: u32,
    /// When it was first seen, and when last.
    pub seen: (u64, u64),
    /// Records it made.
    pub records: u64,
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The trace cannot be read.
    #[error(transparent)]
    Trace(#[from] malloscope_traces::Error),
    /// It can, but says nothing of stacks.
    #[error("the trace has no stacks, and this is about them; record it anew with `--stacks all`")]
    NoStacks,
}

/// Reads a trace to its end. With `needs_stacks`, one that has none is an error, found at once. `progress` is
/// told after every batch.
///
/// # Errors
///
/// See [`Error`]. What of the trace is damaged is no error, but in [`Profile::damage`].
pub fn collect<R: Read + Seek>(
    reader: &mut Reader<R>,
    needs_stacks: bool,
    wanted: Wanted<'_>,
    mut progress: impl FnMut(Progress),
) -> Result<Profile, Error> {
    let mut pass = Pass::new(reader, wanted)?;
    if needs_stacks && !pass.profile.has_stacks() {
        return Err(Error::NoStacks);
    }
    let range = wanted.range.unwrap_or(Range::ALL);
    let total = range.begin(reader)?;
    let mut records = Vec::new();
    loop {
        let first = match reader.next_batch(&mut records) {
            Ok(Some(first)) => first,
            Ok(None) => break,
            Err(error @ malloscope_traces::Error::Damaged { .. }) => {
                pass.profile.damage.push(error.to_string());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if first >= range.end() {
            break;
        }
        let stacks = reader.batch_stacks();
        let stacks = stacks.iter().copied().chain(std::iter::repeat(Stack::NONE));
        for ((number, record), stack) in (first..).zip(&records).zip(stacks) {
            if range.contains(number) {
                pass.record(number, record, stack);
            }
        }
        progress(Progress { done: range.done(first.saturating_add(records.len() as u64)), total });
    }
    // What lived at the end of a range lived until then, and not until the trace's.
    let recorded =
        if range.end() == u64::MAX { reader.ending().map_or(0, |ending| ending.duration.0) } else { 0 };
    Ok(pass.finish(recorded))
}

/// What lives in a slot.
#[derive(Clone, Copy, Debug, Default)]
struct Living {
    request: u64,
    /// The size of its chunk, with the bit for a mapping of its own; [`LATEST`]; and the lowest bit if
    /// something lives.
    chunk: u64,
    born: u64,
    /// The record that made it.
    record: u64,
    site: u32,
    /// Its number among the lives that are kept, plus one.
    life: u32,
}

impl Living {
    /// How long it has lived at a time and a record.
    fn until(&self, time: u64, record: u64) -> Lifetime {
        Lifetime { nanos: time.saturating_sub(self.born), records: record.saturating_sub(self.record) }
    }
}

struct Pass<'a> {
    profile: Profile,
    wanted: Wanted<'a>,
    sampling: Sampling,
    slots: Vec<Living>,
    sites: Sites,
    /// The slot and the record of the latest allocation of each thread.
    latest: HashMap<u32, (u32, u64)>,
    counters: Counters,
    now: u64,
    /// How many records there are so far, with those that are lost.
    records: u64,
    live: u128,
    most_live: u128,
    held: u128,
    mapped: u128,
    initial_break: u64,
    program_break: u64,
    calls: u64,
    next_dump: u64,
    between_dumps: u64,
}

impl<'a> Pass<'a> {
    fn new<R: Read + Seek>(reader: &mut Reader<R>, wanted: Wanted<'a>) -> Result<Pass<'a>, Error> {
        let header = reader.header().clone();
        let stacks = reader.stacks()?;
        let has_clock = header.clock.source != ClockSource::None;
        let expected = expected_duration(reader, has_clock)?;
        let between_dumps = if wanted.dumps { (expected / (DUMPS + 1)).max(1) } else { u64::MAX };
        let initial_break = header.heap.initial_break;
        let sites = Sites::new(stacks.frames.len());
        let profile = Profile {
            header,
            duration: 0,
            has_clock,
            stacks,
            sites: Vec::new(),
            counted: Counted::default(),
            left_out: Counted::default(),
            dumps: Vec::new(),
            lives: Lives::default(),
            counters: Vec::new(),
            replayed: Vec::new(),
            lanes: Vec::new(),
            peak: Moment::default(),
            end: Moment::default(),
            damage: Vec::new(),
        };
        Ok(Pass {
            sampling: profile.sampling(),
            profile,
            wanted,
            slots: Vec::new(),
            sites,
            latest: HashMap::new(),
            counters: Counters::new(),
            now: 0,
            records: 0,
            live: 0,
            most_live: 0,
            held: 0,
            mapped: 0,
            initial_break,
            program_break: initial_break,
            calls: 0,
            next_dump: between_dumps,
            between_dumps,
        })
    }

    fn record(&mut self, number: u64, record: &Record, stack: Stack) {
        self.now = self.now.max(self.profile.time_of(number, record.time.0));
        self.records = self.records.max(number.saturating_add(1));
        let step = Step { record: number, time: self.now, thread: record.thread.0 };
        self.lane(step, record);
        if record.program_break != 0 {
            self.program_break = record.program_break;
            if self.initial_break == 0 {
                self.initial_break = record.program_break;
            }
        }
        self.calls += u64::from(record.call.is_of_malloc());
        let is_selected =
            self.wanted.selection.is_none_or(|selection| selection.selects(number, record, stack));
        self.call(step, &record.call, stack, is_selected);
        self.counters.note(self.point());
        if self.now >= self.next_dump {
            self.profile.dumps.push(self.sites.dump(self.now));
            self.next_dump = (self.now / self.between_dumps + 1).saturating_mul(self.between_dumps);
        }
    }

    fn lane(&mut self, step: Step, record: &Record) {
        let lane = lane_of(step.thread);
        let lanes = &mut self.profile.lanes;
        if lane >= lanes.len() {
            lanes.resize(lane + 1, Lane::default());
        }
        let lane = &mut lanes[lane];
        if lane.records == 0 {
            lane.seen.0 = step.time;
        }
        lane.seen.1 = step.time;
        lane.records += 1;
        if let Call::ThreadStart { id } = record.call {
            lane.id = id;
        }
    }

    fn call(&mut self, step: Step, call: &Call, stack: Stack, is_selected: bool) {
        let request = call.request().unwrap_or(0);
        match *call {
            Call::Free { pointer } => self.free(step, pointer.slot),
            Call::Realloc { old, to, .. } | Call::Reallocarray { old, to, .. } => {
                // A call that fails leaves what it was handed as it was; one for nothing frees it.
                if !to.pointer.is_null() || request == 0 {
                    self.end(step, old.slot);
                }
                self.begin(step, (request, is_selected), to, stack);
            }
            _ => {
                if let Some(to) = call.placed() {
                    self.begin(step, (request, is_selected), to, stack);
                }
            }
        }
    }

    /// An allocation is made, unless the call failed.
    fn begin(&mut self, step: Step, (request, is_selected): (u64, bool), to: Placed, stack: Stack) {
        if to.pointer.is_null() {
            return;
        }
        // A call without a stack is a site like another where all have one; where few have, others stand for it.
        let site = match self.sampling {
            _ if !is_selected => LEFT_OUT,
            Sampling::Bytes { .. } if stack.is_none() => NO_SITE,
            _ => self.sites.of(stack),
        };
        if is_site(site) {
            self.sites.allocate(site, self.amount(request));
        }
        let counted = self.counted(site);
        counted.allocations += 1;
        counted.bytes = counted.bytes.saturating_add(request);
        let Slot(slot) = to.pointer.slot;
        self.outdate(step, slot);
        if to.pointer.slot == Slot::NONE {
            return;
        }
        // In a part of the trace that is lost, it may have been freed unseen.
        self.end(step, to.pointer.slot);
        let life = self.bear(step, (slot, site, request), to.pointer);
        let chunk = to.head & !FLAGS | to.head & MAPPED | LATEST | 1;
        let living = Living { request, chunk, born: step.time, record: step.record, site, life };
        let index = slot as usize;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, Living::default());
        }
        self.slots[index] = living;
        self.live += u128::from(request);
        self.hold(chunk, |total, bytes| total.wrapping_add(bytes));
        if self.live > self.most_live {
            self.most_live = self.live;
            self.profile.peak = Moment { time: step.time, live: bounded(self.live) };
            self.sites.peak();
        }
    }

    fn bear(&mut self, step: Step, (slot, site, request): (u32, u32, u64), pointer: Pointer) -> u32 {
        if !self.wanted.lives || !is_site(site) {
            return 0;
        }
        let is_known = self.profile.header.heap.placements && pointer.address != Pointer::UNKNOWN;
        let address = if is_known { pointer.address } else { u64::from(slot) + 1 };
        let slots = &mut self.slots;
        let moved = |slot: u32, life: u32| {
            if let Some(living) = slots.get_mut(slot as usize) {
                living.life = life;
            }
        };
        self.profile.lives.bear((slot, site, request, address), step, lives::MOST, moved)
    }

    /// The thread makes an allocation in this slot: the one before is no longer its latest.
    fn outdate(&mut self, step: Step, slot: u32) {
        let Some((slot, record)) = self.latest.insert(step.thread, (slot, step.record)) else { return };
        // Something else may live there by now.
        if let Some(before) = self.slots.get_mut(slot as usize).filter(|living| living.record == record) {
            before.chunk &= !LATEST;
        }
    }

    /// The program frees what lives in the slot. A `realloc` that moves it does not: it begins it anew.
    fn free(&mut self, step: Step, slot: Slot) {
        let living = self.slots.get(slot.0 as usize).copied().unwrap_or_default();
        if living.chunk & (LATEST | 1) == LATEST | 1 {
            self.counted(living.site).temporary += 1;
            if is_site(living.site) {
                self.sites.was_temporary(living.site, self.amount(living.request));
            }
        }
        self.end(step, slot);
    }

    /// What lives in the slot is no more, if anything does.
    fn end(&mut self, step: Step, slot: Slot) {
        let Some(living) = self.slots.get_mut(slot.0 as usize).filter(|living| living.chunk & 1 == 1) else {
            return;
        };
        let living = std::mem::take(living);
        if is_site(living.site) {
            let amount = self.amount(living.request);
            self.sites.free(living.site, amount, living.until(step.time, step.record));
        }
        self.profile.lives.bury(living.life, step);
        self.live -= u128::from(living.request);
        self.hold(living.chunk, |total, bytes| total.wrapping_sub(bytes));
    }

    /// Where allocations of a site are counted one by one.
    fn counted(&mut self, site: u32) -> &mut Counted {
        if site == LEFT_OUT { &mut self.profile.left_out } else { &mut self.profile.counted }
    }

    /// How much the calls are that an allocation stands for.
    fn amount(&self, request: u64) -> Amount {
        let blocks = self.sampling.weight(request);
        Amount { blocks, bytes: blocks * real(request) }
    }

    fn hold(&mut self, chunk: u64, change: impl Fn(u128, u128) -> u128) {
        let bytes = u128::from(chunk & !FLAGS);
        self.held = change(self.held, bytes);
        if chunk & MAPPED != 0 {
            self.mapped = change(self.mapped, bytes);
        }
    }

    fn point(&self) -> Point {
        Point {
            time: self.now,
            live: bounded(self.live),
            held: bounded(self.held),
            mapped: bounded(self.mapped),
            program_break: self.program_break.saturating_sub(self.initial_break),
            calls: self.calls,
        }
    }

    fn finish(mut self, recorded: u64) -> Profile {
        let records = self.records;
        let recorded = if self.profile.has_clock { recorded.min(i64::MAX as u64) } else { 0 };
        let end = self.now.max(recorded);
        for index in 0..self.slots.len() {
            let living = self.slots[index];
            if living.chunk & 1 == 1 && is_site(living.site) {
                let amount = self.amount(living.request);
                self.sites.outlive(living.site, amount, living.until(end, records));
            }
        }
        let mut profile = self.profile;
        if self.wanted.dumps {
            let last: Dump = self.sites.dump(end);
            profile.dumps.push(last);
        }
        profile.duration = end;
        profile.end = Moment { time: end, live: bounded(self.live) };
        profile.sites = self.sites.finish();
        profile.counters = self.counters.finish();
        profile
    }
}

/// The lane of a thread.
pub(super) fn lane_of(thread: u32) -> usize {
    (thread as usize).min(LANES - 1)
}

/// Sums of what a hostile trace claims may be greater than any number of bytes.
fn bounded(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX).min(i64::MAX as u64)
}

/// How long the trace goes on, as it says itself; it need not be true.
fn expected_duration<R: Read + Seek>(reader: &mut Reader<R>, has_clock: bool) -> Result<u64, Error> {
    let said = match has_clock {
        true => reader.ending().map(|ending| ending.duration.0).filter(|duration| *duration > 0),
        false => reader.totals().map(|totals| totals.records.saturating_mul(TICK)),
    };
    if let Some(said) = said {
        return Ok(said);
    }
    let last = reader.index()?.batches.last().copied().unwrap_or_default();
    Ok(if has_clock { last.time.0 } else { last.first.saturating_mul(TICK) })
}
