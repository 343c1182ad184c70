//! What a replay says about the stacks of its calls: told of every call, before and after it is made.
//!
//! A call costs the same however large the heap is: what it did is known from counters that went on,
//! and what is pinned follows from the highest live chunk and the sum of the live ones (`region.rs`).

use super::at_peak::{AtPeak, Bytes};
use super::heights::NOBODY;
use super::ledger::{Culprit, Ledger};
use super::region::Region;
use super::{Blame, Place, What};
use crate::engine::{Answer, Engine};
use crate::machine::Machine;
use crate::metrics::{Ending, Measured};
use crate::selection::Selection;
use crate::served::ServedFrom;
use crate::watch::Watch;
use malloscope_allocator::address::Address;
use malloscope_allocator::chunk::{Chunk, Head};
use malloscope_allocator::layout::Layout;
use malloscope_allocator::observe::Source;
use malloscope_allocator::observe::counters::SourceKind;
use malloscope_traces::header::{Clock, ClockSource};
use malloscope_traces::stacks::{Capture, Sampling};
use malloscope_traces::{Call, Record, Slot, Stack};
use std::collections::HashMap;

/// The allocation in a slot; of one that is empty the size is 0.
#[derive(Clone, Copy, Debug, Default)]
struct Owned {
    chunk: u64,
    size: u64,
    request: u64,
    since: u64,
    stack: Stack,
    is_selected: bool,
}

/// Chunks that no slot stands for: inherited, or lost sight of. Nobody is charged with them.
#[derive(Clone, Copy, Debug, Default)]
struct Unowned {
    bytes: u64,
    since: u64,
    amount: u128,
}

impl Unowned {
    fn change(&mut self, now: u64, bytes: u64) {
        self.amount += u128::from(self.bytes) * u128::from(now.saturating_sub(self.since));
        (self.bytes, self.since) = (bytes, now);
    }
}

/// What a call did, as the counters tell.
#[derive(Clone, Copy, Debug, Default)]
struct Effects {
    faults: u64,
    grown: u64,
    trimmed: u64,
    missed: Option<Place>,
    served: Option<Source>,
}

impl Effects {
    fn are_none(self) -> bool {
        self.faults | self.grown | self.trimmed == 0 && self.missed.is_none()
    }
}

/// The counters after the latest call.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    faults: u64,
    grown: u64,
    trimmed: u64,
}

/// Which ledger keeps what; the others are not wanted.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    pinned: Option<usize>,
    held: Option<usize>,
    faults: Option<usize>,
    grown: Option<usize>,
    trimmed: Option<usize>,
    misses: Option<usize>,
}

/// Charges stacks with what a replay does.
#[derive(Debug)]
pub(crate) struct Tally {
    /// What is to be charged; without it, all is.
    selection: Option<Selection>,
    sampling: Sampling,
    clock: Clock,
    ledgers: Vec<Ledger>,
    places: Places,
    /// By requested bytes, and by chunks; where somebody wants to know.
    peak: Option<AtPeak>,
    peak_chunks: Option<AtPeak>,
    slots: Vec<Owned>,
    unowned: Unowned,
    now: u64,
    seen: Seen,
    /// Faults before the records that count.
    faults_before: u64,
    main: Region,
    segments: Vec<Region>,
    /// The segments by where they begin, and the one that was needed last.
    segments_at: HashMap<u64, usize>,
    latest: Option<(u64, usize)>,
    /// The chunks that threads' caches are kept in, by address, with their sizes.
    caches: Vec<(u64, u64)>,
    latest_cache: Option<Chunk>,
}

/// Where a chunk lies.
#[derive(Clone, Copy, Debug)]
enum Home {
    Main,
    Segment(usize),
    Mapping,
}

impl Tally {
    /// Nobody is charged with anything yet. Of `whats`, those are charged that need a replay, and the peaks.
    pub(crate) fn new<M: Machine>(
        machine: &mut M,
        whats: &[What],
        stacks: usize,
        capture: Option<Capture>,
        clock: Clock,
        selection: Option<Selection>,
    ) -> Tally {
        let mark = machine.faults_so_far();
        let sampling = capture.map_or(Sampling::All, |capture| capture.sampling);
        let is_sampled = sampling != Sampling::All;
        let place = |what: What| whats.iter().position(|&wanted| wanted == what);
        let base = machine.program_break();
        let tally = Tally {
            selection,
            sampling,
            clock,
            ledgers: whats.iter().map(|&what| Ledger::new(what, stacks, is_sampled)).collect(),
            places: Places {
                pinned: place(What::Pinned),
                held: place(What::Held),
                faults: place(What::Faults),
                grown: place(What::BreakGrown),
                trimmed: place(What::BreakTrimmed),
                misses: place(What::Misses),
            },
            peak: place(What::Peak).map(|_| AtPeak::new(stacks)),
            peak_chunks: place(What::PeakContribution).map(|_| AtPeak::new(stacks)),
            slots: Vec::new(),
            unowned: Unowned::default(),
            now: 0,
            seen: Seen::default(),
            faults_before: 0,
            main: Region::new(base.0, M::Layout::SMALLEST_CHUNK.bytes()),
            segments: Vec::new(),
            segments_at: HashMap::new(),
            latest: None,
            caches: Vec::new(),
            latest_cache: None,
        };
        machine.disown_faults_since(mark);
        tally
    }

    /// Free bytes of the main heap below its highest live chunk, and the same of all segments of other
    /// arenas.
    #[cfg(test)]
    pub(crate) fn pinned_now(&self) -> (u64, u64) {
        (self.main.pinned(), self.segments.iter().map(Region::pinned).sum())
    }

    /// Takes a call into account that has been made; `call` is its record's number, the record, and its stack.
    #[inline]
    pub(crate) fn after<M: Machine>(
        &mut self,
        engine: &mut Engine<M, Watch>,
        (number, record, stack): (u64, &Record, Stack),
        ending: &Ending,
        answer: Answer,
    ) {
        self.let_time_pass(record.time.0);
        let effects = self.effects(engine);
        let slot = record.call.handed().and_then(|pointer| self.owned(pointer.slot, ending.chunk));
        let allocated = match answer {
            Answer::Payload(payload) if !payload.is_null() => Some(payload),
            _ => None,
        };
        let request = M::Layout::cut(record.call.request().unwrap_or(0));
        let is_selected = match (&self.selection, record.call.request()) {
            (None, _) => true,
            (Some(selection), Some(_)) => {
                selection.selects_served(number, record, stack, effects.served.map(ServedFrom::of))
            }
            // A call that ends an allocation is let through with it.
            (Some(_), None) => slot.is_some_and(|slot| self.slots[slot].is_selected),
        };
        if !record.call.is_of_malloc() {
            self.something_rare(engine, &record.call);
        } else if self.places.pinned.is_some() {
            let cache = engine.heap().cache_chunk_of(engine.thread_of(record.thread));
            if cache != self.latest_cache {
                self.look_at_cache(engine, cache);
            }
        }
        // Who asks for memory answers for it: that it has no stack may be because it was not sampled.
        let answers = !stack.is_none() || record.call.request().is_some();
        if !answers && !effects.are_none() {
            self.charge(effects, self.culprit_of(slot), slot);
        }
        if !ending.held.payload.is_null() && !matches!(answer, Answer::Refused(_)) {
            self.ended(engine, ending, slot);
        }
        let made = allocated.and_then(|payload| {
            let slot = record.call.placed().map_or(Slot::NONE, |placed| placed.pointer.slot);
            self.began(
                engine,
                payload,
                slot,
                Culprit { is_selected, ..self.culprit(stack, request) },
                request,
            )
        });
        if answers && !effects.are_none() {
            self.charge(effects, Culprit { is_selected, ..self.culprit(stack, request) }, made);
        }
        for peak in self.peak.iter_mut().chain(&mut self.peak_chunks) {
            peak.note();
        }
    }

    /// A chunk was given back by a thread that exits.
    pub(crate) fn after_step<M: Machine>(&mut self, engine: &mut Engine<M, Watch>) {
        let effects = self.effects(engine);
        self.charge(effects, self.nobody(), None);
        self.count_caches(engine);
    }

    /// Everything so far was another process's doing, from which this one was forked.
    pub(crate) fn restart<M: Machine>(&mut self, engine: &mut Engine<M, Watch>) {
        let nobody = self.nobody();
        let owned: u64 = self.slots.iter().map(|owned| owned.size).sum();
        self.unowned = Unowned { bytes: self.unowned.bytes.wrapping_add(owned), ..Unowned::default() };
        self.slots.fill(Owned::default());
        self.ledgers.iter_mut().for_each(Ledger::restart);
        self.peak.iter_mut().chain(&mut self.peak_chunks).for_each(|peak| peak.restart(nobody));
        self.main.restart();
        self.segments.iter_mut().for_each(Region::restart);
        self.now = 0;
        // The report counts these from the beginning of all.
        self.seen = Seen::default();
        let effects = Effects { faults: engine.heap().memory().heap_faults(), ..Effects::default() };
        self.seen.faults = effects.faults;
        self.charge(effects, nobody, None);
        self.count_caches(engine);
    }

    /// What was charged so far does not count; whose everything is that lives is known, and stays so.
    pub(crate) fn begin_range<M: Machine>(&mut self, engine: &Engine<M, Watch>) {
        for home in self.homes() {
            self.settle_region(home);
        }
        self.unowned = Unowned { since: self.now, amount: 0, ..self.unowned };
        self.slots.iter_mut().for_each(|owned| owned.since = self.now);
        self.ledgers.iter_mut().for_each(Ledger::restart);
        self.peak.iter_mut().chain(&mut self.peak_chunks).for_each(AtPeak::begin_range);
        self.faults_before = engine.heap().memory().heap_faults();
        // The counters have begun anew, the machine has not.
        self.seen = Seen { faults: self.faults_before, ..Seen::default() };
    }

    fn homes(&self) -> impl Iterator<Item = Home> + use<> {
        std::iter::once(Home::Main).chain((0..self.segments.len()).map(Home::Segment))
    }

    /// Who is to blame, when all records have been replayed; `measured` is what the report says.
    pub(crate) fn finish<M: Machine>(
        mut self,
        engine: &mut Engine<M, Watch>,
        measured: &Measured,
    ) -> Vec<Blame> {
        // Faults of a process that were seen between two calls are nobody's.
        let faults = (measured.faults + self.faults_before).saturating_sub(self.seen.faults);
        let effects = Effects { faults, ..self.effects(engine) };
        let nobody = self.nobody();
        self.charge(effects, nobody, None);
        for home in self.homes() {
            self.settle_region(home);
        }
        self.unowned.change(self.now, 0);
        if let Some(held) = self.places.held {
            self.ledgers[held].charge(nobody, None, self.unowned.amount);
        }
        for slot in 0..self.slots.len() {
            if self.slots[slot].size > 0 {
                self.settle_slot(slot);
            }
        }
        for ledger in &mut self.ledgers {
            match (ledger.what(), &self.peak, &self.peak_chunks) {
                (What::Peak, Some(peak), _) => peak.settle(ledger),
                (What::PeakContribution, _, Some(peak)) => peak.settle(ledger),
                _ => {}
            }
        }
        self.ledgers.into_iter().map(|ledger| ledger.finish(&self.clock)).collect()
    }

    #[inline]
    fn let_time_pass(&mut self, time: u64) {
        self.now = if self.clock.source == ClockSource::None { self.now + 1 } else { self.now.max(time) };
    }

    /// What the counters say that they did not say before.
    #[inline]
    fn effects<M: Machine>(&mut self, engine: &mut Engine<M, Watch>) -> Effects {
        let faults = if self.places.faults.is_some() { engine.heap().memory().heap_faults() } else { 0 };
        let watch = engine.heap_mut().observer_mut();
        let served = watch.served.take();
        let kernel = &watch.counters.kernel;
        let now = Seen { faults, grown: kernel.break_grown_bytes, trimmed: kernel.break_trimmed_bytes };
        let before = std::mem::replace(&mut self.seen, now);
        Effects {
            faults: now.faults.saturating_sub(before.faults),
            grown: now.grown - before.grown,
            trimmed: now.trimmed - before.trimmed,
            missed: served.and_then(|from| Place::missed(SourceKind::of(from))),
            served,
        }
    }

    /// A stack whose call is let through.
    fn culprit(&self, stack: Stack, request: u64) -> Culprit {
        Culprit { stack, weight: self.sampling.weight(request), is_selected: true }
    }

    fn nobody(&self) -> Culprit {
        Culprit::nobody(self.selection.is_some())
    }

    fn culprit_of(&self, slot: Option<usize>) -> Culprit {
        slot.and_then(|slot| self.slots.get(slot)).map_or(self.nobody(), |owned| Culprit {
            is_selected: owned.is_selected,
            ..self.culprit(owned.stack, owned.request)
        })
    }

    /// The slot, if it stands for this chunk.
    #[inline]
    fn owned(&self, Slot(slot): Slot, chunk: Chunk) -> Option<usize> {
        let slot = slot as usize;
        self.slots.get(slot).filter(|owned| owned.size > 0 && owned.chunk == chunk.0.0).map(|_| slot)
    }

    #[inline]
    fn charge(&mut self, effects: Effects, culprit: Culprit, slot: Option<usize>) {
        let places = self.places;
        let amounts = [
            (places.faults, effects.faults),
            (places.grown, effects.grown),
            (places.trimmed, effects.trimmed),
        ];
        for (ledger, amount) in amounts {
            if let Some(ledger) = ledger
                && amount > 0
            {
                self.ledgers[ledger].charge_slot(culprit, slot, amount.into());
            }
        }
        if let Some(ledger) = places.misses
            && effects.missed.is_some()
        {
            self.ledgers[ledger].charge(culprit, effects.missed, 1);
        }
    }

    /// An allocation has ended.
    #[inline]
    fn ended<M: Machine>(&mut self, engine: &Engine<M, Watch>, ending: &Ending, slot: Option<usize>) {
        let head = Head(ending.head);
        let (at, size) = (ending.chunk.0.0, head.size().bytes());
        if self.places.pinned.is_some() {
            let home = self.home(engine, ending.chunk, head);
            self.settle_if_reached(home, at);
            if let Some(region) = self.region(home) {
                let memory = engine.heap().memory();
                region.remove(at, size, |at| Chunk(Address(at)).size(memory).bytes());
            }
            self.count(home);
        }
        let culprit = self.culprit_of(slot);
        let requested = ending.held.request;
        for (peak, counted) in
            self.peak.iter_mut().zip([requested]).chain(self.peak_chunks.iter_mut().zip([size]))
        {
            peak.ended(culprit, Bytes { requested, counted });
        }
        match slot {
            Some(slot) => {
                self.settle_slot(slot);
                self.slots[slot] = Owned::default();
            }
            None => self.unowned.change(self.now, self.unowned.bytes.wrapping_sub(size)),
        }
    }

    /// An allocation has begun. Its slot, if it has one.
    #[inline]
    fn began<M: Machine>(
        &mut self,
        engine: &mut Engine<M, Watch>,
        payload: Address,
        slot: Slot,
        culprit: Culprit,
        request: u64,
    ) -> Option<usize> {
        let chunk = Chunk::of(engine.heap().memory(), payload);
        let head = chunk.head(engine.heap().memory());
        let (at, size) = (chunk.0.0, head.size().bytes());
        let place = (slot != Slot::NONE).then_some(slot.0 as usize);
        if let Some(place) = place {
            self.make_room_for_slot(engine, place);
            self.lose(place);
        }
        if self.places.pinned.is_some() {
            let home = self.home_of_new(engine, chunk, head);
            self.settle_if_reached(home, at);
            if let Some(region) = self.region(home) {
                region.insert(at, size, slot.0);
            }
            self.count(home);
        }
        let Culprit { stack, is_selected, .. } = culprit;
        let culprit = if place.is_some() { culprit } else { self.nobody() };
        for (peak, counted) in
            self.peak.iter_mut().zip([request]).chain(self.peak_chunks.iter_mut().zip([size]))
        {
            peak.began(culprit, Bytes { requested: request, counted });
        }
        match place {
            Some(place) => {
                let since = self.now;
                self.slots[place] = Owned { chunk: at, size, request, since, stack, is_selected };
            }
            None => self.unowned.change(self.now, self.unowned.bytes.wrapping_add(size)),
        }
        place
    }

    /// What a slot stood for was never seen to end: a part of the trace is damaged. It lives on, and is
    /// nobody's.
    fn lose(&mut self, slot: usize) {
        let lost = self.slots[slot];
        if lost.size == 0 {
            return;
        }
        let (culprit, nobody) = (self.culprit_of(Some(slot)), self.nobody());
        for (peak, counted) in
            self.peak.iter_mut().zip([lost.request]).chain(self.peak_chunks.iter_mut().zip([lost.size]))
        {
            let bytes = Bytes { requested: lost.request, counted };
            peak.ended(culprit, bytes);
            peak.began(nobody, bytes);
        }
        self.settle_slot(slot);
        self.slots[slot] = Owned::default();
        self.unowned.change(self.now, self.unowned.bytes.wrapping_add(lost.size));
    }

    /// The allocation in a slot has been charged with all it will be.
    #[inline]
    fn settle_slot(&mut self, slot: usize) {
        let Owned { size, since, .. } = self.slots[slot];
        let culprit = self.culprit_of(Some(slot));
        if let Some(held) = self.places.held {
            let amount = u128::from(size) * u128::from(self.now.saturating_sub(since));
            self.ledgers[held].charge(culprit, None, amount);
        }
        if self.sampling != Sampling::All {
            self.ledgers.iter_mut().for_each(|ledger| ledger.settle(culprit, slot));
        }
    }

    /// Where a chunk with this head lies, of which the segment is known.
    #[inline]
    fn home<M: Machine>(&mut self, engine: &Engine<M, Watch>, chunk: Chunk, head: Head) -> Home {
        if head.is_mapped() {
            return Home::Mapping;
        }
        if !head.is_foreign() {
            return Home::Main;
        }
        let base = chunk.0.align_down(engine.heap().parameters().huge.longest_segment).0;
        if let Some((latest, number)) = self.latest
            && latest == base
        {
            return Home::Segment(number);
        }
        let Some(&number) = self.segments_at.get(&base) else { return Home::Mapping };
        self.latest = Some((base, number));
        Home::Segment(number)
    }

    /// Where a chunk lies that has just been made, and room for it there.
    #[inline]
    fn home_of_new<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, chunk: Chunk, head: Head) -> Home {
        let home = self.home(engine, chunk, head);
        let is_ready = match home {
            Home::Main => self.main.has_room(chunk.0.0) && !self.main.is_empty(),
            Home::Segment(number) => {
                self.segments[number].has_room(chunk.0.0) && !self.segments[number].is_empty()
            }
            Home::Mapping => head.is_mapped(),
        };
        if is_ready { home } else { self.make_room(engine, chunk, head) }
    }

    /// Makes room for a chunk, in memory of ours, which is not the heap's.
    #[cold]
    fn make_room<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, chunk: Chunk, head: Head) -> Home {
        let mark = engine.heap().memory().faults_so_far();
        let heap = engine.heap();
        let home = if head.is_foreign() {
            let base = chunk.0.align_down(heap.parameters().huge.longest_segment).0;
            let number = *self.segments_at.entry(base).or_insert_with(|| {
                self.segments.push(Region::new(base, M::Layout::SMALLEST_CHUNK.bytes()));
                self.segments.len() - 1
            });
            if self.segments[number].is_empty() {
                self.segments[number].begin_at(heap.lowest_chunk_beside(chunk).0.0);
            }
            self.segments[number].make_room(chunk.0.0);
            Home::Segment(number)
        } else {
            if let Some(start) = heap.parameters().heap_start {
                self.main.begin_at(start.0);
            }
            // Beyond the break is what the kernel gave the arena elsewhere: it is no part of the heap.
            if chunk.0 < heap.memory().program_break() {
                self.main.make_room(chunk.0.0);
            }
            Home::Main
        };
        engine.heap_mut().memory_mut().disown_faults_since(mark);
        home
    }

    #[inline]
    fn make_room_for_slot<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, slot: usize) {
        if slot >= self.slots.len() {
            self.make_slots(engine, slot);
        }
    }

    #[cold]
    fn make_slots<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, slot: usize) {
        let mark = engine.heap().memory().faults_so_far();
        let slots = (slot + 1).next_power_of_two().max(1024);
        self.slots.resize(slots, Owned::default());
        self.ledgers.iter_mut().for_each(|ledger| ledger.make_room(slots));
        engine.heap_mut().memory_mut().disown_faults_since(mark);
    }

    #[inline]
    fn region(&mut self, home: Home) -> Option<&mut Region> {
        match home {
            Home::Main => Some(&mut self.main),
            Home::Segment(number) => self.segments.get_mut(number),
            Home::Mapping => None,
        }
    }

    /// Lets time pass for a region, and charges its highest chunk if that is about to be another.
    #[inline]
    fn settle_if_reached(&mut self, home: Home, at: u64) {
        let now = self.now;
        let Some(region) = self.region(home) else { return };
        region.advance(now);
        if region.reaches(at) {
            self.charge_highest(home);
        }
    }

    fn settle_region(&mut self, home: Home) {
        let now = self.now;
        let Some(region) = self.region(home) else { return };
        region.advance(now);
        self.charge_highest(home);
    }

    #[inline]
    fn charge_highest(&mut self, home: Home) {
        let Some(charge) = self.region(home).and_then(Region::take_charge) else { return };
        let Some(ledger) = self.places.pinned else { return };
        let owner = if charge.slot == NOBODY { Slot::NONE } else { Slot(charge.slot) };
        let slot = self.owned(owner, Chunk(Address(charge.at)));
        let culprit = self.culprit_of(slot);
        self.ledgers[ledger].charge_slot(culprit, slot, charge.amount);
    }

    #[inline]
    fn count(&mut self, home: Home) {
        match home {
            Home::Main => self.main.count(&self.caches),
            Home::Segment(number) => self.segments[number].count(&self.caches),
            Home::Mapping => {}
        }
    }

    /// A thread that was not the latest has called, or it has been given a cache.
    #[cold]
    fn look_at_cache<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, cache: Option<Chunk>) {
        self.latest_cache = cache;
        let is_known = |chunk: Chunk| self.caches.binary_search_by_key(&chunk.0.0, |&(at, _)| at).is_ok();
        if cache.is_some_and(|cache| !is_known(cache)) {
            self.count_caches(engine);
        }
    }

    /// Threads have come or gone, or the break was moved.
    #[cold]
    fn something_rare<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, call: &Call) {
        if self.places.pinned.is_none() {
            return;
        }
        if let Call::MoveBreak { by } = *call {
            self.settle_region(Home::Main);
            self.main.take_foreign(by);
            let memory = engine.heap().memory();
            let size_of = |at| Chunk(Address(at)).size(memory).bytes();
            self.main.find_highest(memory.program_break().0, size_of);
        }
        self.count_caches(engine);
    }

    fn count_caches<M: Machine>(&mut self, engine: &mut Engine<M, Watch>) {
        if self.places.pinned.is_none() {
            return;
        }
        let mark = engine.heap().memory().faults_so_far();
        let heap = engine.heap();
        self.caches.clear();
        let caches = heap.cache_chunks().map(|chunk| (chunk.0.0, chunk.size(heap.memory()).bytes()));
        self.caches.extend(caches);
        self.caches.sort_unstable();
        engine.heap_mut().memory_mut().disown_faults_since(mark);
        let now = self.now;
        for region in std::iter::once(&mut self.main).chain(&mut self.segments) {
            region.advance(now);
            region.count(&self.caches);
        }
    }
}
