//! The numbers of a run, and the definitions they rest on.
//!
//! Everything is kept in a fixed number of bytes whatever the length of the trace, except what grows
//! with the live heap: one bit for every two words of the main heap.
//!
//! | number | definition |
//! |---|---|
//! | live | Σ bytes asked for by allocations not yet given back |
//! | held | Σ sizes of their chunks (head, payload, padding) |
//! | system | Σ over arenas of the bytes from the kernel (glibc: `system_mem`), and all mappings of chunks |
//! | resident | pages the kernel has found for any of it, × page size |
//! | pinned | in the main heap, free bytes below the end of the highest live chunk: they cannot be returned by moving the program break |
//! | cached | free chunks in threads' caches |
//! | faults | first touches of pages: minor faults |
//!
//! Resident memory has two means: over the records, and over the time between the first and the last of them, which is
//! what a machine pays for. They differ where a program does nothing for a while.

pub mod books;
pub mod fragmentation;
pub(crate) mod live;
pub mod pages;
pub mod retention;
pub mod searches;
pub mod series;
pub mod slices;

use crate::detail::Detail;
use crate::engine::{Answer, Engine, Held};
use crate::machine::Machine;
use crate::watch::Watch;
use books::{Bookkeeping, Books};
use live::LiveMap;
use malloscope_allocator::address::Address;
use malloscope_allocator::chunk::{Chunk, Head};
use malloscope_allocator::layout::Layout;
use malloscope_allocator::memory::simulated::Residency;
use malloscope_traces::{Call, Record};
use pages::{Pages, Waits};
use retention::Retention;
use serde::{Deserialize, Serialize};
use series::{Sample, Series};

/// The greatest value of something, and when it was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peak {
    /// The value, in bytes.
    pub bytes: u64,
    /// The record after which it was reached first.
    pub record: u64,
}

impl Peak {
    #[inline]
    fn note(&mut self, bytes: u64, record: u64) {
        if bytes > self.bytes {
            *self = Peak { bytes, record };
        }
    }
}

/// At so many samples the resident pages are counted one by one, which takes long; in between they follow
/// from faults and from what is given back.
const SAMPLES_A_COUNT: u32 = 32;

/// What is measured while a trace is replayed.
#[derive(Debug)]
pub struct Metrics {
    live: u64,
    held: u64,
    live_map: LiveMap,
    /// Bytes of the main heap that others took by moving the break, and whether others ever moved it.
    foreign: u64,
    has_foreign: bool,
    apart: Apart,
    books: Bookkeeping,
    /// Which pages are free, if how long they wait is measured.
    pages: Option<Pages>,
    course: Course,
    /// What came before the first record that counts.
    before: Before,
    initial_break: Address,
    page_size: u64,
    exact: bool,
    /// Samples since the resident pages were counted one by one.
    uncounted: u32,
}

/// Chunks with mappings of their own. Bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Apart {
    /// Those that are held.
    held: u64,
    /// And their mappings.
    mappings: u64,
}

/// How it went, in a fixed number of bytes.
#[derive(Clone, Debug)]
struct Course {
    peaks: Peaks,
    series: Series,
    /// Since the sample before.
    since: Since,
    resident_sum: u128,
    resident_terms: u64,
    over_time: OverTime,
}

/// The integral of the resident pages over time: what was true at one moment holds until the next.
#[derive(Clone, Copy, Debug, Default)]
struct OverTime {
    began: Option<u64>,
    latest: u64,
    pages: u64,
    page_nanos: u128,
}

impl OverTime {
    #[inline]
    fn note(&mut self, pages: u64, time: u64) {
        if self.began.is_none() {
            (self.began, self.latest) = (Some(time), time);
        }
        // Of calls that overlapped, one may carry an earlier time than the one before it.
        if time > self.latest {
            self.page_nanos += u128::from(self.pages) * u128::from(time - self.latest);
            self.latest = time;
        }
        self.pages = pages;
    }

    /// Pages on average; nothing if no time has passed.
    fn mean(&self) -> Option<u64> {
        let nanos = self.latest - self.began?;
        let pages = self.page_nanos.checked_div(u128::from(nanos))?;
        u64::try_from(pages).ok()
    }
}

impl Course {
    fn beginning() -> Course {
        Course {
            peaks: Peaks::default(),
            series: Series::new(),
            since: Since::beginning(),
            resident_sum: 0,
            resident_terms: 0,
            over_time: OverTime::default(),
        }
    }
}

/// When each quantity was greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peaks {
    /// Bytes asked for.
    pub live: Peak,
    /// Bytes of chunks.
    pub held: Peak,
    /// Bytes from the kernel.
    pub system: Peak,
    /// The program break above its beginning.
    pub program_break: Peak,
    /// Resident bytes.
    pub resident: Peak,
    /// Pinned bytes; as sampled.
    pub pinned: Peak,
}

/// What is known since the sample before; the counts are those of the run as they were then.
#[derive(Clone, Copy, Debug)]
struct Since {
    least_break: u64,
    greatest_break: u64,
    greatest_resident: u64,
    greatest_live: u64,
    break_grown: u64,
    break_trimmed: u64,
}

impl Since {
    fn beginning() -> Since {
        Since {
            least_break: u64::MAX,
            greatest_break: 0,
            greatest_resident: 0,
            greatest_live: 0,
            break_grown: 0,
            break_trimmed: 0,
        }
    }
}

/// What came before the first record that counts, where that is not the first of all.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    records: u64,
    faults: u64,
    greatest_pages: u64,
}

/// What a call will end, looked at before it is made: afterwards the chunk may be anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ending {
    pub(crate) held: Held,
    pub(crate) chunk: Chunk,
    pub(crate) head: u64,
    /// The length of its mapping, where it has one of its own.
    mapping: u64,
}

impl Metrics {
    /// Nothing has been replayed yet. `exact` is whether the machine's resident pages may be asked
    /// for after every record.
    pub fn new<M: Machine>(machine: &M, initial_break: Address, exact: bool, detail: Detail) -> Metrics {
        let is_whole = detail == Detail::Whole;
        Metrics {
            live: 0,
            held: 0,
            live_map: LiveMap::new(initial_break, M::Layout::HEADER),
            foreign: 0,
            has_foreign: false,
            apart: Apart::default(),
            books: Bookkeeping::at_samples(is_whole && exact),
            pages: is_whole.then(|| Pages::new(initial_break)),
            course: Course::beginning(),
            before: Before::default(),
            initial_break,
            page_size: machine.page_size(),
            exact,
            uncounted: 0,
        }
    }

    /// The heap stood already: what the engine holds lives from before the first record, and so many bytes between
    /// parts of the main heap are others'.
    pub(crate) fn inherit<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, foreign: u64) {
        let payloads: Vec<Held> = engine.all_held().map(|(_, held)| held).collect();
        for held in payloads {
            let chunk = Chunk::of(engine.heap().memory(), held.payload);
            let head = chunk.head(engine.heap().memory());
            if is_in_main_heap(head) && !self.live_map.has_room(chunk.0) {
                self.make_room(engine, chunk);
            }
            self.began(engine, chunk, head, held.request, 0);
        }
        self.foreign = foreign;
        self.has_foreign = foreign > 0;
        self.books.expect_others();
        self.begin(engine, 0, 0);
    }

    /// Looks at what is known of a chunk that a coming call will end.
    #[inline]
    pub(crate) fn glance(&self, chunk: Chunk) -> u64 {
        self.live_map.around(chunk.0)
    }

    /// Looks at the allocation that a call is about to end.
    #[inline]
    pub fn before<M: Machine>(&self, engine: &Engine<M, Watch>, record: &Record) -> Ending {
        let pointer = match record.call {
            Call::Free { pointer } => pointer,
            Call::Realloc { old, .. } | Call::Reallocarray { old, .. } => old,
            _ => return Ending::default(),
        };
        match engine.held(pointer) {
            Some(held) => {
                let memory = engine.heap().memory();
                let chunk = Chunk::of(memory, held.payload);
                let head = chunk.head(memory);
                let mapping = if head.is_mapped() { engine.heap().mapping_of(chunk).1 } else { 0 };
                Ending { held, chunk, head: head.0, mapping }
            }
            None => Ending::default(),
        }
    }

    /// Takes a call into account that has been made; `index` is its record's number.
    #[inline]
    pub fn after<M: Machine>(
        &mut self,
        engine: &mut Engine<M, Watch>,
        index: u64,
        record: &Record,
        ending: Ending,
        answer: Answer,
    ) {
        let refused = matches!(answer, Answer::Refused(_));
        if !ending.held.payload.is_null() && !refused {
            self.ended(ending, record.time.0);
        }
        if let Answer::Payload(payload) = answer
            && !payload.is_null()
        {
            let chunk = Chunk::of(engine.heap().memory(), payload);
            let head = chunk.head(engine.heap().memory());
            if is_in_main_heap(head) && !self.live_map.has_room(chunk.0) {
                self.make_room(engine, chunk);
            }
            let request = M::Layout::cut(record.call.request().unwrap_or(0));
            self.began(engine, chunk, head, request, record.time.0);
        }
        if let Call::MoveBreak { by } = record.call {
            self.foreign = self.foreign.wrapping_add_signed(by);
            self.has_foreign = true;
        }
        self.course.peaks.live.note(self.live, index);
        self.course.peaks.held.note(self.held, index);
        self.course.since.greatest_live = self.course.since.greatest_live.max(self.live);
        if engine.heap().observer().kernel_called {
            self.kernel_called(engine, index, record.time.0);
        }
        if self.exact {
            let pages = engine.heap_mut().memory_mut().pages_now();
            self.course.resident_sum += u128::from(pages);
            self.course.resident_terms += 1;
            self.course.over_time.note(pages, record.time.0);
            self.course.since.greatest_resident =
                self.course.since.greatest_resident.max(pages * self.page_size);
        }
        if self.course.series.is_due(index + 1) {
            self.sample(engine, index, record.time.0);
        }
    }

    #[inline]
    fn ended(&mut self, ending: Ending, time: u64) {
        let head = Head(ending.head);
        let size = head.size().bytes();
        self.live = self.live.wrapping_sub(ending.held.request);
        self.held = self.held.wrapping_sub(size);
        if head.is_mapped() {
            self.apart.held = self.apart.held.wrapping_sub(size);
            self.apart.mappings = self.apart.mappings.wrapping_sub(ending.mapping);
            return;
        }
        if is_in_main_heap(head) {
            self.live_map.remove(ending.chunk.0, size);
        }
        if let Some(pages) = &mut self.pages {
            pages.remove(ending.chunk.0, size, time);
        }
    }

    /// The bits take memory of ours, which is not the heap's.
    #[cold]
    fn make_room<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, chunk: Chunk) {
        if chunk.0 >= engine.heap().memory().program_break() {
            return;
        }
        let mark = engine.heap().memory().faults_so_far();
        self.live_map.make_room(chunk.0);
        engine.heap_mut().memory_mut().disown_faults_since(mark);
    }

    #[inline]
    fn began<M: Machine>(
        &mut self,
        engine: &mut Engine<M, Watch>,
        chunk: Chunk,
        head: Head,
        request: u64,
        time: u64,
    ) {
        let size = head.size().bytes();
        self.live = self.live.wrapping_add(request);
        self.held = self.held.wrapping_add(size);
        if head.is_mapped() {
            self.apart.held = self.apart.held.wrapping_add(size);
            self.apart.mappings = self.apart.mappings.wrapping_add(engine.heap().mapping_of(chunk).1);
            return;
        }
        if is_in_main_heap(head) {
            self.live_map.insert(chunk.0, size);
        }
        let Some(pages) = &mut self.pages else { return };
        if !pages.has_room(chunk.0, size) {
            let mark = engine.heap().memory().faults_so_far();
            pages.make_room(chunk.0, size);
            engine.heap_mut().memory_mut().disown_faults_since(mark);
        }
        pages.insert(chunk.0, size, time);
    }

    /// Memory was given back at this time, between two records.
    pub(crate) fn trimmed<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, time: u64) {
        let pages = engine.heap_mut().memory_mut().pages_now();
        let over_time = &mut self.course.over_time;
        over_time.note(over_time.pages, time);
        over_time.note(pages, time);
        self.give_back(engine, time);
    }

    /// What went back to the kernel since this was last asked.
    fn give_back<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, time: u64) {
        for (at, length) in engine.heap_mut().observer_mut().given_back.drain(..) {
            if let Some(pages) = &mut self.pages {
                pages.give_back(at, length, time);
            }
        }
    }

    /// The break or what is mapped may have changed.
    #[cold]
    fn kernel_called<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, index: u64, time: u64) {
        engine.heap_mut().observer_mut().kernel_called = false;
        self.give_back(engine, time);
        let program_break = engine.heap().memory().program_break() - self.initial_break;
        self.course.peaks.program_break.note(program_break, index);
        self.course.peaks.system.note(system_bytes(engine), index);
        self.course.since.least_break = self.course.since.least_break.min(program_break);
        self.course.since.greatest_break = self.course.since.greatest_break.max(program_break);
        let resident = engine.heap_mut().memory_mut().pages_now() * self.page_size;
        self.course.peaks.resident.note(resident, index);
        self.course.since.greatest_resident = self.course.since.greatest_resident.max(resident);
    }

    #[cold]
    fn sample<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, index: u64, time: u64) {
        let memory = engine.heap_mut().memory_mut();
        let pages = if self.uncounted == 0 { memory.residency().pages } else { memory.pages_now() };
        self.uncounted = (self.uncounted + 1) % SAMPLES_A_COUNT;
        self.sample_with(engine, pages, index, time);
    }

    /// Takes a sample in which so many pages are resident.
    fn sample_with<M: Machine>(&mut self, engine: &Engine<M, Watch>, pages: u64, index: u64, time: u64) {
        let resident = pages * self.page_size;
        if !self.exact {
            // Samples are denser at the beginning: each stands for the records since the one before.
            let records = (index + 1).saturating_sub(self.before.records + self.course.resident_terms);
            self.course.resident_sum += u128::from(pages) * u128::from(records);
            self.course.resident_terms += records;
            self.course.over_time.note(pages, time);
        }
        self.check_books(engine, index);
        let program_break = engine.heap().memory().program_break() - self.initial_break;
        let pinned = self.pinned(engine);
        self.course.peaks.resident.note(self.course.since.greatest_resident.max(resident), index);
        self.course.peaks.pinned.note(pinned, index);
        let kernel = &engine.heap().observer().counters.kernel;
        let (break_grown, break_trimmed) = (kernel.break_grown, kernel.break_trimmed);
        let now = Since { break_grown, break_trimmed, ..Since::beginning() };
        let since = std::mem::replace(&mut self.course.since, now);
        self.course.series.push(Sample {
            record: index + 1,
            time,
            live: self.live,
            held: self.held,
            system: system_bytes(engine),
            mapped: engine.heap().parameters().mapped_bytes,
            resident,
            program_break,
            pinned,
            cached: engine.heap().cached().1,
            least_break: since.least_break.min(program_break),
            greatest_break: since.greatest_break.max(program_break),
            greatest_resident: since.greatest_resident.max(resident),
            greatest_live: since.greatest_live.max(self.live),
            break_grown: break_grown - since.break_grown,
            break_trimmed: break_trimmed - since.break_trimmed,
        });
    }

    /// Free bytes of the main heap below the end of its highest live chunk.
    fn pinned<M: Machine>(&self, engine: &Engine<M, Watch>) -> u64 {
        let heap = engine.heap();
        let end_of_break = heap.memory().program_break();
        let Some(start) = heap.parameters().heap_start else { return 0 };
        let Some(highest) = self.live_map.highest_below(end_of_break) else { return 0 };
        let end = Chunk(highest).above(heap.memory()).0;
        let own: u64 = heap
            .cache_chunks()
            .filter(|chunk| chunk.0 >= start && chunk.0 < end)
            .map(|chunk| chunk.size(heap.memory()).bytes())
            .sum();
        (end - start).saturating_sub(self.live_map.bytes() + own + self.foreign)
    }

    /// What is pinned now.
    #[cfg(test)]
    pub(crate) fn pinned_now<M: Machine>(&self, engine: &Engine<M, Watch>) -> u64 {
        self.pinned(engine)
    }

    /// What has been measured so far was another process's; what lives is ours.
    pub(crate) fn restart(&mut self) {
        self.course = Course::beginning();
        self.books.restart();
        self.pages.iter_mut().for_each(Pages::restart);
        // What other threads had cached is nobody's in the child.
        self.books.expect_others();
    }

    /// What has been measured so far does not count: after so many records, and at this time, begins what does.
    /// The peaks begin with what is there already, which is the first point of the series too.
    pub(crate) fn begin<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, records: u64, time: u64) {
        self.course = Course::beginning();
        self.books.restart();
        self.pages.iter_mut().for_each(Pages::restart);
        let residency = engine.heap_mut().memory_mut().residency();
        let Residency { faults, greatest_pages, pages } = residency;
        self.before = Before { records, faults, greatest_pages };
        self.course.peaks.live.note(self.live, records);
        self.course.peaks.held.note(self.held, records);
        self.course.peaks.resident.note(pages * self.page_size, records);
        self.kernel_called(engine, records, time);
        let Some(last) = records.checked_sub(1) else { return };
        self.sample(engine, last, time);
    }

    /// What was measured, when all records have been replayed. It can be asked once.
    pub fn finish<M: Machine>(&mut self, engine: &mut Engine<M, Watch>, records: u64, time: u64) -> Measured {
        let last = records.saturating_sub(1);
        self.sample(engine, last, time);
        let residency = engine.heap_mut().memory_mut().residency();
        self.measured(engine, residency, last)
    }

    /// What was measured so far, as if that were all; what is measured later is as if nobody had asked.
    /// Resident pages are not counted one by one for it, so where they are guessed at, so they are here.
    pub(crate) fn so_far<M: Machine>(
        &mut self,
        engine: &mut Engine<M, Watch>,
        records: u64,
        time: u64,
    ) -> Measured {
        let (course, books) = (self.course.clone(), self.books.clone());
        let last = records.saturating_sub(1);
        let residency = engine.heap_mut().memory_mut().residency_now();
        self.sample_with(engine, residency.pages, last, time);
        let measured = self.measured(engine, residency, last);
        (self.course, self.books) = (course, books);
        measured
    }

    /// What was measured up to the sample just taken, after the record `last`.
    fn measured<M: Machine>(
        &mut self,
        engine: &Engine<M, Watch>,
        residency: Residency,
        last: u64,
    ) -> Measured {
        let books = self.look_at_books(engine, last);
        let Course { peaks, series, resident_sum, resident_terms, over_time, .. } = &mut self.course;
        // What was reached before does not count, and what was reached within a call is no less reached.
        if residency.greatest_pages > self.before.greatest_pages {
            peaks.resident.note(residency.greatest_pages * self.page_size, last);
        }
        let samples = series.take();
        let mean_pages = resident_sum.checked_div(u128::from(*resident_terms)).unwrap_or(0);
        Measured {
            peaks: *peaks,
            retention: Retention::of(&samples),
            series: samples,
            live: self.live,
            held: self.held,
            system: system_bytes(engine),
            resident: residency.pages * self.page_size,
            mean_resident: u64::try_from(mean_pages).unwrap_or(u64::MAX) * self.page_size,
            mean_resident_over_time: over_time.mean().map(|pages| pages * self.page_size),
            pinned: self.pinned(engine),
            books,
            waits: self.pages.as_ref().map(Pages::waits),
            faults: residency.faults - self.before.faults,
            program_break: engine.heap().memory().program_break() - self.initial_break,
        }
    }
}

/// What was measured over a run: values at its end, peaks, and the series. Bytes, unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// What the program has asked for and not given back.
    pub live: u64,
    /// The chunks of those allocations.
    pub held: u64,
    /// What the heap has from the kernel.
    pub system: u64,
    /// Resident memory.
    pub resident: u64,
    /// Resident memory, on average over the records.
    pub mean_resident: u64,
    /// Resident memory, on average over time; nothing if no time passed.
    #[serde(default)]
    pub mean_resident_over_time: Option<u64>,
    /// Pinned memory.
    pub pinned: u64,
    /// Whether the books balanced, and what was free at the end.
    #[serde(default)]
    pub books: Books,
    /// How long free pages waited to go back, or to be used again, if that was measured.
    #[serde(default)]
    pub waits: Option<Waits>,
    /// How long what was no longer needed stayed resident.
    #[serde(default)]
    pub retention: Option<Retention>,
    /// Minor faults: a number, not bytes.
    pub faults: u64,
    /// The program break above its beginning.
    pub program_break: u64,
    /// The greatest values.
    pub peaks: Peaks,
    /// How it went.
    pub series: Vec<Sample>,
}

/// Whether a chunk with this head lies in the main arena.
#[inline]
fn is_in_main_heap(head: Head) -> bool {
    !head.is_mapped() && !head.is_foreign()
}

/// What all arenas and mapped chunks have from the kernel.
fn system_bytes<M: Machine>(engine: &Engine<M, Watch>) -> u64 {
    let heap = engine.heap();
    heap.arenas().iter().map(|arena| arena.system_bytes()).sum::<u64>() + heap.parameters().mapped_bytes
}
