//! The heap of a live process, or of one that left a core, walked from outside.
//!
//! [`take`] stops a process's threads ([`crate::stopped`]), finds malloc's own variables in the data of its C library
//! (`find.rs`), copies what they lead to ([`copy`]), and lets the threads go. The copy is then walked from chunk
//! to chunk and from list to list (`walk.rs`), the threads' caches are found in their thread-local variables
//! (`caches.rs`), and chunks with mappings of their own by their heads (`mapped.rs`).
//!
//! Nothing is believed of what is read: a lie is an error that says what was wrong. A thread may have been
//! stopped in the midst of malloc; then things do not agree with each other, and they are looked at anew.
//!
//! What a heap means is left to those who know an allocator.

mod caches;
pub mod copy;
mod core_file;
mod facts;
mod find;
mod mapped;
pub mod maps;
pub mod remote;
mod walk;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;

use malloscope_traces::Header;
use malloscope_traces::snapshot::{Arena, Mapping, Region, Snapshot};

use copy::{Copy, Memory, PAGE, Range};
use find::{ArenaAt, Found, LimitsAt};
use maps::{Mapped, Pages};
use remote::Remote;
use walk::Met;
pub use walk::Unsound;

use crate::attach::target::Target;
use crate::program::number;
use crate::stopped::code::Code;
use crate::stopped::{Stopped, Trouble};

/// Why a heap could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum HeapError {
    /// There is no such process.
    #[error("there is no process {0}, or it has just ended")]
    Gone(u32),
    /// The kernel does not let us.
    #[error(
        "process {pid} may not be looked at: {source}. It takes the same user, or CAP_SYS_PTRACE; a process that is traced already can have no second tracer"
    )]
    Refused {
        /// The process.
        pid: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// A thread does not stop.
    #[error(
        "thread {thread} of process {pid} does not stop: it waits for something in the kernel that cannot be interrupted"
    )]
    RunsOn {
        /// The process.
        pid: u32,
        /// The thread.
        thread: u32,
    },
    /// Memory could not be copied.
    #[error("the memory from {start:#x} to {end:#x} cannot be read: {source}")]
    Unreadable {
        /// Where it begins.
        start: u64,
        /// Where it ends.
        end: u64,
        /// What the kernel said.
        source: io::Error,
    },
    /// There is no glibc malloc in it, or it was not used yet.
    #[error("no malloc of glibc was found: the process has another one, or has not called it yet")]
    NoMalloc,
    /// Its limits were not found.
    #[error("malloc’s limits (mp_) were not found, or more than one place looks like them")]
    NoLimits,
    /// Somebody was in the midst of something.
    #[error("an arena was locked whenever its threads were stopped: try again")]
    Busy,
    /// What was found makes no sense.
    #[error("the heap contradicts itself: {0}")]
    Unsound(#[source] Unsound),
    /// A core file cannot be read.
    #[error("{path}: {reason}")]
    Core {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A heap that was taken, and what it was taken of.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The program, its machine, its C library.
    pub header: Header,
    /// The heap.
    pub snapshot: Snapshot,
}

/// How often we look anew at a process that was in the midst of something.
const TRIES: u32 = 20;
/// How long we let it go in between.
const PAUSE: Duration = Duration::from_millis(1);
/// How long all threads together may take to be led out of the C library: as a rule it is less than one.
pub const PATIENCE_IN_STEPS: Duration = Duration::from_millis(4);

/// Takes the heap of a process, which stands still meanwhile.
///
/// # Errors
///
/// When the process may not be looked at, has no glibc malloc, or its heap makes no sense.
pub fn take(pid: u32) -> Result<Taken, HeapError> {
    let header = facts::of_process(pid)?;
    let mut rehearsed = rehearse(pid);
    let mut tries = 0;
    loop {
        tries += 1;
        let taken = take_once(pid, tries == TRIES, &mut rehearsed);
        match taken {
            Err(HeapError::Busy | HeapError::Unsound(_) | HeapError::NoLimits) if tries < TRIES => {
                std::thread::sleep(PAUSE)
            }
            Err(error) => return Err(error),
            Ok((snapshot, library)) => {
                let header = facts::with_library(header, pid, &library, snapshot.limits.heap_start);
                return Ok(Taken { header, snapshot });
            }
        }
    }
}

/// Takes the heap of a process that left a core file, and was of this program.
///
/// # Errors
///
/// When the file is no such core, or what it has makes no sense.
pub fn of_core(core: &Path, exe: &Path) -> Result<Taken, HeapError> {
    core_file::take(core, exe)
}

/// One look. Returns also the file of the library that malloc is in. If it is the last one, threads may be
/// anywhere in the C library: what is copied shows whether they were in malloc.
fn take_once(pid: u32, is_last: bool, rehearsed: &mut Rehearsed) -> Result<(Snapshot, String), HeapError> {
    let refused = |source| HeapError::Refused { pid, source };
    let target = Target::open(pid).map_err(refused)?;
    let code = code_of_malloc(&target)?;
    let mut stopped = Stopped::all(pid).map_err(|trouble| of_trouble(pid, trouble))?;
    if !stopped.lead_out(&code, &target, PATIENCE_IN_STEPS) && !is_last {
        return Err(HeapError::Busy);
    }
    let captured = capture_stopped(pid, stopped.thread_pointers(), rehearsed);
    let elapsed = stopped.elapsed();
    drop(stopped);
    let captured = captured?;
    let mut snapshot = captured.parse()?;
    snapshot.stopped = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
    Ok((snapshot, captured.library))
}

/// What trouble with its threads means for a heap.
fn of_trouble(pid: u32, trouble: Trouble) -> HeapError {
    match trouble {
        Trouble::Gone => HeapError::Gone(pid),
        Trouble::Denied => HeapError::Refused { pid, source: io::Error::from_raw_os_error(libc::EPERM) },
        Trouble::Unstoppable(thread) => HeapError::RunsOn { pid, thread },
        Trouble::Failed(source) => HeapError::Refused { pid, source },
    }
}

/// What a process has mapped.
fn maps_of(pid: u32) -> Result<Vec<Mapped>, HeapError> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).map_err(|_| HeapError::Gone(pid))?;
    Ok(maps::parse(&maps))
}

/// Where malloc's code is, and that of the whole C library.
///
/// # Errors
///
/// When the process is gone.
pub fn code_of_malloc(target: &Target) -> Result<Code, HeapError> {
    let mut code = Code::default();
    let mut base = 0;
    let mut name = "";
    // A library's header is where its first mapping begins.
    let maps = maps_of(target.pid)?;
    for one in maps.iter().filter(|one| is_libc(&one.name)) {
        if one.name != name {
            (name, base) = (&one.name, one.range.start);
        }
        if one.is_code {
            code.add_library(target, base, [one.range]);
        }
    }
    Ok(code)
}

/// Copies the heap of a process whose threads somebody has stopped, none of them in the midst of a call of malloc:
/// the kernel's names for them, and where their variables are, the first in front.
///
/// # Errors
///
/// When the process may not be looked at, or has no glibc malloc.
pub fn capture_stopped(
    pid: u32,
    threads: Vec<(u32, u64)>,
    rehearsed: &mut Rehearsed,
) -> Result<Captured, HeapError> {
    let pages = Pages::of(pid);
    let source = Source { memory: &Remote(pid), maps: maps_of(pid)?, threads, pages: pages.as_ref() };
    capture(source, rehearsed)
}

/// What is left of a heap that was copied once.
#[derive(Debug, Default)]
pub struct Rehearsed {
    /// The memory it was copied to.
    copy: Copy,
    /// Where chunks with mappings of their own were.
    mappings: Vec<Mapping>,
}

/// Copies the heap of a process while it runs. What comes of that makes no sense; but the memory it takes is there when the
/// heap is copied again while the process stands still, which then takes a fifth of the time, and chunks with mappings of their own
/// need not be searched for if they are still where they were.
pub fn rehearse(pid: u32) -> Rehearsed {
    let mut rehearsed = Rehearsed::default();
    let pages = Pages::of(pid);
    if let Ok(maps) = maps_of(pid) {
        let source = Source { memory: &Remote(pid), maps, threads: Vec::new(), pages: pages.as_ref() };
        // Where the process was changing something, it ends early.
        if let Ok(arenas) = copy_arenas(&source, &mut rehearsed.copy, false) {
            rehearsed.mappings = arenas.mappings(&source, &[]);
        }
    }
    rehearsed
}

/// A process that stands still: what can be read of it, and its threads with their pointers, the first in front.
pub struct Source<'a> {
    /// Its memory.
    pub memory: &'a dyn Memory,
    /// What it has mapped.
    pub maps: Vec<Mapped>,
    /// Its threads: the kernel's names for them, and where their variables are.
    pub threads: Vec<(u32, u64)>,
    /// Which pages hold memory, if that can be known.
    pub pages: Option<&'a Pages>,
}

/// Copies of all that a heap is made of.
#[derive(Clone, Debug)]
pub struct Captured {
    copy: Copy,
    maps: Vec<Mapped>,
    threads: Vec<(u32, u64)>,
    found: Found,
    /// The data of the library malloc is in, and its file.
    data: Vec<Range>,
    library: String,
    /// The other arenas, in the order of the ring, and how long a segment's head is.
    others: Vec<u64>,
    limits: LimitsAt,
    mappings: Vec<Mapping>,
    resident: Option<Vec<Range>>,
}

/// The greatest length of a segment, and what all are aligned to: glibc's `HEAP_MAX_SIZE`.
pub const SEGMENT: u64 = 64 << 20;
/// The lengths that a segment's head has had: glibc's `heap_info`.
const SEGMENT_HEADS: [u64; 2] = [0x20, 0x30];
/// More arenas than this no process has: nobody has so many processors.
const MOST_ARENAS: usize = 1 << 16;
/// More data than this no library is searched for malloc.
const MOST_DATA: u64 = 64 << 20;
/// How far below a thread's pointer the variables of its C library are looked for.
const VARIABLES: u64 = 64 << 10;
/// What lies behind a thread's pointer: its control block.
const CONTROL_BLOCK: u64 = 64;

/// Copies what a heap is made of to memory that another copy may have been in.
pub fn capture(source: Source<'_>, rehearsed: &mut Rehearsed) -> Result<Captured, HeapError> {
    let Rehearsed { copy, mappings: before } = rehearsed;
    let arenas = copy_arenas(&source, copy, true)?;
    let mappings = arenas.mappings(&source, before);
    let Arenas { place, limits, mut resident, .. } = arenas;
    let Source { memory, maps, threads, pages } = source;
    for &(_, pointer) in &threads {
        if let Some(mapping) = mapping_of(&maps, pointer) {
            let start = pointer.saturating_sub(VARIABLES).max(mapping.range.start);
            let end = pointer.saturating_add(CONTROL_BLOCK).min(mapping.range.end);
            copy.load(memory, Range { start, end }, None)?;
        }
    }
    let Place { found, data, library, others } = place;
    if let (Some(all), Some(pages)) = (&mut resident, pages) {
        for one in &mappings {
            let range = Range { start: one.start, end: one.start.saturating_add(one.length) };
            all.extend(pages.within(range).unwrap_or_default().resident);
        }
    }
    let copy = mem::take(copy);
    Ok(Captured { copy, maps, threads, found, data, library, others, limits, mappings, resident })
}

/// Where the arenas are whose memory was copied.
struct Arenas {
    place: Place,
    limits: LimitsAt,
    /// What the main arena's memory is part of.
    homes: Vec<Range>,
    /// That of the others.
    segments: Vec<Range>,
    /// Which of it holds memory, if that can be known.
    resident: Option<Vec<Range>>,
}

impl Arenas {
    /// The chunks with mappings of their own, of which some were seen before.
    fn mappings(&self, source: &Source<'_>, before: &[Mapping]) -> Vec<Mapping> {
        if self.limits.limits.mapped_chunks <= 0 {
            return Vec::new();
        }
        let mut taken: Vec<Range> = self.homes.iter().chain(&self.segments).copied().collect();
        taken.sort_unstable_by_key(|range| range.start);
        let Source { memory, maps, pages, .. } = source;
        let like_others = self.place.found.front.mapped_like_others();
        mapped::find(*memory, maps, *pages, &self.limits.limits, like_others, &taken, before)
    }
}

/// Copies the memory of all arenas. If it is to make sense, nobody may be at one of them.
fn copy_arenas(source: &Source<'_>, copy: &mut Copy, makes_sense: bool) -> Result<Arenas, HeapError> {
    let Source { memory, maps, pages, .. } = source;
    copy.clear();
    let place = find_malloc(copy, *memory, maps)?;
    let Place { found, data, others, .. } = &place;
    for &state in [&found.state].into_iter().chain(others) {
        let arena = ArenaAt { copy, front: found.front, state };
        let is_locked = arena.is_locked().ok_or(Unsound::new("arenas can be read", state))?;
        if is_locked && makes_sense {
            return Err(HeapError::Busy);
        }
    }
    let main = ArenaAt { copy, front: found.front, state: found.state };
    let top = main.top().filter(|_| main.has_memory() == Some(true)).unwrap_or(0);
    let home = mapping_of(maps, top);
    let is_contiguous = main.is_contiguous() == Some(true);
    let can_begin = |start: u64| match home {
        None => start == 0,
        Some(home) if is_contiguous => home.range.contains(start) && start <= top,
        Some(_) => start != 0 && mapping_of(maps, start).is_some_and(Mapped::is_anonymous),
    };
    let limits = find::limits(copy, data, found.front, can_begin).ok_or(HeapError::NoLimits)?;
    let mut memory_of_chunks =
        Chunks { copy, memory: *memory, pages: *pages, resident: pages.map(|_| Vec::new()) };
    let start = limits.limits.heap_start;
    if let Some(mapping) = mapping_of(maps, start) {
        let range = Range { start, ..mapping.range };
        memory_of_chunks.load(range, first_chunk_from(start), top)?;
        if let Some(other) = home.filter(|home| home.range != mapping.range) {
            memory_of_chunks.load(other.range, other.range.start, top)?;
        }
    }
    let homes = [top, start].into_iter().filter_map(|at| Some(mapping_of(maps, at)?.range)).collect();
    let mut all_segments = Vec::new();
    for &state in others {
        let arena = ArenaAt { copy: &Copy::default(), front: found.front, state };
        for segment in segments(memory_of_chunks.copy, *memory, maps, arena)? {
            all_segments.push(segment);
            let (first, top) = ends(memory_of_chunks.copy, arena, segment);
            memory_of_chunks.load(segment, first, top)?;
        }
    }
    let resident = memory_of_chunks.resident;
    Ok(Arenas { place, limits, homes, segments: all_segments, resident })
}

/// The lowest chunk of memory that begins here.
fn first_chunk_from(start: u64) -> u64 {
    start.saturating_add(find::HEADER).saturating_add(15) / 16 * 16 - find::HEADER
}

/// The lowest chunk of a segment, and the top chunk of its arena.
fn ends(copy: &Copy, arena: ArenaAt<'_>, segment: Range) -> (u64, u64) {
    let at = ArenaAt { copy, ..arena };
    let head = arena.state % SEGMENT;
    let behind_state = first_chunk_from(arena.state.saturating_add(arena.front.size()));
    let is_first = arena.state == segment.start + head;
    (if is_first { behind_state } else { segment.start + head }, at.top().unwrap_or(0))
}

/// Copies the memory of chunks, as far as it says anything of the heap.
struct Chunks<'a> {
    copy: &'a mut Copy,
    memory: &'a dyn Memory,
    pages: Option<&'a Pages>,
    /// Which of it holds memory, if that can be known.
    resident: Option<Vec<Range>>,
}

/// How much is copied at one time, at first and behind a long chunk, and at most: four times as much each time.
const WINDOW: u64 = 16 << 10;
/// See there.
const WIDEST_WINDOW: u64 = 256 << 10;
/// Behind a chunk longer than this there may be another: little is copied until there is not.
const LONG: u64 = 64 << 10;
/// Bytes of a chunk that malloc may write to: its boundary tag and all its links.
const LINKS: u64 = 48;

impl Chunks<'_> {
    /// Goes from chunk to chunk through a range, to the top chunk or where heads make no sense, and copies what lies
    /// between the first and the last, but for what is in long chunks. Behind heads that make no sense all is copied.
    fn load(&mut self, range: Range, first: u64, top: u64) -> Result<(), HeapError> {
        let residency = self.pages.and_then(|pages| pages.within(range));
        match (&mut self.resident, &residency) {
            (Some(all), Some(residency)) => all.extend(&residency.resident),
            _ => self.resident = None,
        }
        let present = residency.as_ref().map(|residency| residency.present.as_slice());
        let mut chunk = first;
        let mut window = WINDOW;
        while range.contains(chunk) {
            let start = (chunk & !(PAGE - 1)).max(range.start);
            let end = range.end.min(start + window);
            window = WIDEST_WINDOW.min(4 * window);
            self.copy.load(self.memory, Range { start, end }, present)?;
            let mut makes_sense = true;
            // In one piece: there are millions of chunks, and the process stands still.
            let piece = self.copy.bytes(Range { start, end }).unwrap_or_default();
            while chunk + LINKS <= end {
                if chunk == top {
                    return Ok(());
                }
                let head = usize::try_from(chunk + 8 - start).unwrap_or_default();
                let size = number::<8>(piece, head) & !7;
                makes_sense = size >= 2 * find::HEADER
                    && size.is_multiple_of(find::HEADER)
                    && size <= range.end - chunk;
                if !makes_sense {
                    break;
                }
                chunk += size;
                if size > LONG {
                    window = WINDOW;
                }
            }
            if !makes_sense {
                let rest = Range { start: end, ..range };
                return self.copy.load(self.memory, rest, present);
            }
            if end == range.end && chunk < end {
                break;
            }
        }
        Ok(())
    }
}

/// The private mapping that an address lies in, if it can be written to.
fn mapping_of(maps: &[Mapped], at: u64) -> Option<&Mapped> {
    let after = maps.partition_point(|one| one.range.start <= at);
    maps.get(after.checked_sub(1)?).filter(|one| one.is_private_and_writable && one.range.contains(at))
}

/// Whether a file is called as the C library is.
fn is_libc(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with("libc.so") || name.starts_with("libc-2")
}

/// Where malloc's variables are.
struct Place {
    found: Found,
    data: Vec<Range>,
    library: String,
    others: Vec<u64>,
}

/// Looks for malloc in the data of libraries: first in what is called libc, then in all others, and in the program,
/// which may have it inside.
fn find_malloc(copy: &mut Copy, memory: &dyn Memory, maps: &[Mapped]) -> Result<Place, HeapError> {
    let mut libraries: Vec<&str> = Vec::new();
    for one in maps.iter().filter(|one| one.is_private_and_writable && one.name.starts_with('/')) {
        if !libraries.contains(&one.name.as_str()) {
            libraries.push(&one.name);
        }
    }
    libraries.sort_by_key(|path| !is_libc(path));
    for library in libraries {
        let data = data_of(maps, library);
        if data.iter().map(Range::length).sum::<u64>() > MOST_DATA {
            continue;
        }
        data.iter().try_for_each(|range| copy.load(memory, *range, None))?;
        let may_hold_chunks = |at: u64| mapping_of(maps, at).is_some();
        for found in find::main_arenas(copy, &data, may_hold_chunks) {
            if let Some(others) = ring(copy, memory, maps, found)? {
                return Ok(Place { found, data, library: library.to_owned(), others });
            }
        }
    }
    Err(HeapError::NoMalloc)
}

/// What a library has to write to: what is mapped from its file, and what lies directly behind, which it is to
/// begin with zeros.
fn data_of(maps: &[Mapped], library: &str) -> Vec<Range> {
    let mut data: Vec<Range> = Vec::new();
    for one in maps.iter().filter(|one| one.is_private_and_writable) {
        let follows = data.last().is_some_and(|last| last.end == one.range.start) && one.name.is_empty();
        if one.name == library || follows {
            data.push(one.range);
        }
    }
    data
}

/// The arenas that follow the main one in their ring, if it leads back to it.
fn ring(
    copy: &mut Copy,
    memory: &dyn Memory,
    maps: &[Mapped],
    found: Found,
) -> Result<Option<Vec<u64>>, HeapError> {
    let mut others = Vec::new();
    let mut met = BTreeSet::new();
    let mut at = found.state;
    loop {
        let Some(next) = (ArenaAt { copy, front: found.front, state: at }).next() else { return Ok(None) };
        if next == found.state {
            return Ok(Some(others));
        }
        let segment = next & !(SEGMENT - 1);
        let is_arena = SEGMENT_HEADS.contains(&(next - segment)) && mapping_of(maps, segment).is_some();
        if !is_arena || !met.insert(next) || met.len() > MOST_ARENAS {
            return Ok(None);
        }
        copy.load(memory, Range { start: segment, end: segment + PAGE }, None)?;
        if copy.word(segment) != Some(next) {
            return Ok(None);
        }
        others.push(next);
        at = next;
    }
}

/// The segments of an arena, the latest first, each as far as it has memory.
fn segments(
    copy: &mut Copy,
    memory: &dyn Memory,
    maps: &[Mapped],
    arena: ArenaAt<'_>,
) -> Result<Vec<Range>, HeapError> {
    let state = arena.state;
    let top = (ArenaAt { copy, ..arena }).top().ok_or(Unsound::new("arenas can be read", state))?;
    let mut segment = top & !(SEGMENT - 1);
    let mut all: Vec<Range> = Vec::new();
    while segment != 0 {
        let mapping = mapping_of(maps, segment).ok_or(Unsound::new("segments are mapped", segment))?;
        copy.load(memory, Range { start: segment, end: segment + PAGE }, None)?;
        let head = |number: u64| {
            copy.word(segment + 8 * number).ok_or(Unsound::new("segments can be read", segment))
        };
        let (owner, previous, size) = (head(0)?, head(1)?, head(2)?);
        let is_sound = owner == state
            && (PAGE..=SEGMENT).contains(&size)
            && segment + size <= mapping.range.end
            && previous.is_multiple_of(SEGMENT)
            && all.iter().all(|other| other.start != segment);
        if !is_sound {
            return Err(
                Unsound::new("a segment belongs to its arena, and is as long as it says", segment).into()
            );
        }
        all.push(Range { start: segment, end: segment + size });
        segment = previous;
    }
    Ok(all)
}

impl Captured {
    /// Walks the copy.
    ///
    /// # Errors
    ///
    /// When what was copied contradicts itself.
    pub fn parse(&self) -> Result<Snapshot, HeapError> {
        let states: Vec<u64> = [self.found.state].into_iter().chain(self.others.iter().copied()).collect();
        let arena_at = |state: u64| ArenaAt { copy: &self.copy, front: self.found.front, state };
        let mut met = Met::new(&self.copy);
        let mut arenas = Vec::new();
        for (number, &state) in (0..).zip(&states) {
            let mut arena = walk::describe(arena_at(state))?;
            arena.regions = match number {
                0 => self.main_regions(&mut met, &arena)?,
                _ => self.segment_regions(&mut met, number, &arena)?,
            };
            let next_free = arena_at(state).next_free().unwrap_or(0);
            arena.next_free =
                states.iter().position(|&one| one == next_free).and_then(|place| u32::try_from(place).ok());
            arenas.push(arena);
        }
        met.sort();
        for (number, arena) in (0..).zip(&mut arenas) {
            let at = arena_at(arena.state);
            arena.fast = met.fastbins(at, number)?;
            arena.lists = met.lists(at, number)?;
            if met.size(arena.last_remainder).is_none() {
                // It has been merged with its neighbours: glibc never looks at more than the address.
                arena.last_remainder = 0;
            }
        }
        let threads = caches::Variables {
            copy: &self.copy,
            threads: &self.threads,
            arenas: &arenas,
            fill: self.limits.fill,
            is_of_library: &|at| self.is_of_library(at),
        }
        .find(&mut met)?;
        met.check()?;
        let is_threaded =
            |pointer: u64| self.copy.int(pointer.wrapping_add(THREADED)).is_some_and(|flag| flag != 0);
        let threaded = threads.len() > 1
            || arenas.len() > 1
            || self.threads.first().is_some_and(|one| is_threaded(one.1));
        let turn = self.turn(&arenas);
        let resident = self.resident.as_ref().map(|all| all.iter().map(|one| (one.start, one.end)).collect());
        Ok(Snapshot {
            program_break: self.program_break(&arenas),
            limits: self.limits.limits,
            turn,
            threads,
            threaded,
            mappings: self.mappings.clone(),
            resident,
            stopped: 0,
            arenas,
        })
    }

    /// Whether an address lies in the file of the library malloc is in, or in its data.
    fn is_of_library(&self, at: u64) -> bool {
        let of_file = self.maps.iter().any(|one| one.name == self.library && one.range.contains(at));
        of_file || self.data.iter().any(|range| range.contains(at))
    }

    /// The main arena's memory: one region, or where others have moved the break, several.
    fn main_regions(&self, met: &mut Met<'_>, arena: &Arena) -> Result<Vec<Region>, HeapError> {
        if arena.top == 0 {
            return Ok(Vec::new());
        }
        let start = self.limits.limits.heap_start;
        let home = |at: u64| {
            let mapping =
                mapping_of(&self.maps, at).ok_or(Unsound::new("the main arena’s memory is mapped", at))?;
            Ok::<Range, HeapError>(mapping.range)
        };
        let mut range = Range { start, end: home(start)?.end };
        let mut first = first_chunk_from(start);
        let mut regions: Vec<Region> = Vec::new();
        loop {
            let mut region = met.region(0, range, first, arena.top)?;
            let (last, head) = region.chunks().last().unwrap_or((first, 0));
            region.end = last + (head & !7);
            regions.push(region);
            if last == arena.top {
                return Ok(regions);
            }
            // Behind fenceposts lies what others have taken.
            let from = last + find::HEADER;
            range = if range.contains(arena.top) { Range { start: from, ..range } } else { home(arena.top)? };
            first = met.next_part(range, arena.top)?;
            range.start = first;
        }
    }

    fn segment_regions(
        &self,
        met: &mut Met<'_>,
        number: u32,
        arena: &Arena,
    ) -> Result<Vec<Region>, HeapError> {
        let at = ArenaAt { copy: &self.copy, front: self.found.front, state: arena.state };
        let word = |at: u64| self.copy.word(at).ok_or(Unsound::new("segments can be read", at));
        let mut regions = Vec::new();
        let mut segment = arena.top & !(SEGMENT - 1);
        while segment != 0 {
            let range = Range { start: segment, end: segment + word(segment + 16)? };
            let (first, _) = ends(&self.copy, at, range);
            let mut region = met.region(number, range, first, arena.top)?;
            region.accessible = word(segment + 24)?;
            regions.push(region);
            segment = word(segment + 8)?;
        }
        Ok(regions)
    }

    /// The break, which is where the main arena's memory ends, unless others have moved it.
    fn program_break(&self, arenas: &[Arena]) -> u64 {
        let end = arenas[0].regions.last().map_or(0, |region| region.end);
        let heap = self.maps.iter().find(|one| one.name == "[heap]").map(|one| one.range);
        match heap {
            Some(heap) if heap.end.wrapping_sub(end) >= PAGE => heap.end,
            Some(_) => end,
            None => end.max(self.limits.limits.heap_start),
        }
    }

    /// Which arena is given out next: of the words of the library that name one, the one that neither its ring nor
    /// its list of free ones accounts for.
    fn turn(&self, arenas: &[Arena]) -> u32 {
        if arenas.len() < 2 {
            return 0;
        }
        let own = Range { start: self.found.state, end: self.found.state + self.found.front.size() };
        let is_followed = |number: u32| arenas.iter().any(|arena| arena.next_free == Some(number));
        let numbers = (0..).take(arenas.len());
        let free: Option<u32> = numbers
            .zip(arenas)
            .find(|(number, arena)| arena.attached_threads == 0 && !is_followed(*number))
            .map(|(number, _)| number);
        let mut named: Vec<u32> = Vec::new();
        for range in &self.data {
            for at in (range.start..range.end).step_by(8).filter(|at| !own.contains(*at)) {
                let named_here =
                    self.copy.word(at).and_then(|word| arenas.iter().position(|arena| arena.state == word));
                named.extend(named_here.and_then(|place| u32::try_from(place).ok()));
            }
        }
        if let Some(place) = free.and_then(|free| named.iter().position(|&one| one == free)) {
            named.remove(place);
        }
        named.retain(|&number| number != 0);
        match named.as_slice() {
            [only] => *only,
            _ => 0,
        }
    }
}

/// From a thread's pointer to whether its process has ever had a second thread (`multiple_threads`).
const THREADED: u64 = 0x18;
