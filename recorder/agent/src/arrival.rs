//! A process's first call: it finds the shared memory, takes an entry there and says what it is.
//!
//! How far a process has come is kept in memory that is wiped in a forked child, so a child arrives
//! by itself, even one made by a bare `clone`. What a child needs to know of its parent is kept in
//! memory that is not. Where a recorder [attached](attachment), it has taken the entry for the process.

use core::ffi::CStr;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use malloscope_wire::attachment::SEATED;
use malloscope_wire::process::{Label, Leaving, Process, State, Text, Verdict};
use malloscope_wire::{Control, Shared};

use crate::attachment::{self, ATTACHMENT};
use crate::objects::{self, Object};
use crate::stack::Stack;
use crate::system::{self, Advice, Undisturbed};
use crate::threads::WIPED;
use crate::{callers, calls, clock, filters, fork, giving_back, memory, real, room};

/// How far a process has come.
#[repr(u32)]
enum Progress {
    /// It has not called yet.
    New = 0,
    /// Its first call is being made.
    Arriving,
    /// It is recorded.
    Recorded,
    /// It is not.
    Silent,
    /// A recorder has attached to it, and it has not called since.
    Seated = SEATED,
}

const RECORDED: u32 = Progress::Recorded as u32;
const SILENT: u32 = Progress::Silent as u32;

/// The entry of this process, or in a forked child that has not arrived that of its parent.
static ENTRY: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());

/// Whether process ids here are the recorder's: not so in a process id namespace of the target's own.
static NAMES_ARE_SHARED: AtomicBool = AtomicBool::new(false);

/// Set when this program was found not to be recorded; its copies need not ask again.
static TURNED_AWAY: AtomicBool = AtomicBool::new(false);

/// What every recorded process has.
#[derive(Clone, Copy)]
pub struct Here {
    /// The shared memory.
    pub shared: &'static Shared,
    /// The process's entry in it.
    pub process: &'static Process,
}

/// The process's place, which is found at its first call; `None` if it is not recorded.
pub fn here() -> Option<Here> {
    let progress = WIPED.progress.load(Ordering::Acquire);
    if progress == Progress::New as u32 || progress == Progress::Seated as u32 {
        arrive();
    } else if progress != Progress::Recorded as u32 {
        return None;
    }
    // SAFETY: null, or an entry in memory that stays mapped.
    let process = unsafe { ENTRY.load(Ordering::Acquire).as_ref() }?;
    (WIPED.progress.load(Ordering::Acquire) == Progress::Recorded as u32)
        .then_some(Here { shared: memory::shared()?, process })
}

/// The same, if it has been found.
pub fn already_here() -> Option<Here> {
    if WIPED.progress.load(Ordering::Acquire) == RECORDED { here() } else { None }
}

impl Here {
    /// The number of the process's entry.
    pub fn number(self) -> u16 {
        let bytes = ptr::from_ref(self.process) as usize - ptr::from_ref(&self.shared.processes) as usize;
        (bytes / size_of::<Process>()) as u16
    }
}

/// Stops recording this process, for good.
pub fn fall_silent() {
    WIPED.progress.store(Progress::Silent as u32, Ordering::Release);
}

/// Whether this process is recorded, or is known not to be.
pub fn has_been() -> bool {
    matches!(WIPED.progress.load(Ordering::Relaxed), RECORDED | SILENT)
}

/// Whether the recorder means the same by a process id as we do.
pub fn names_are_shared() -> bool {
    NAMES_ARE_SHARED.load(Ordering::Relaxed)
}

/// Whether this process is a copy of a recorded one, and has one thread as far as we know.
pub fn is_lonely_copy() -> bool {
    // SAFETY: null, or an entry, which is static.
    let first = unsafe { WIPED.first.load(Ordering::Acquire).as_ref() };
    let has_company = first.is_some_and(|first| first.has_company.load(Ordering::Acquire) != 0);
    WIPED.is_copy.load(Ordering::Relaxed) != 0 && !has_company
}

fn arrive() {
    let _undisturbed = Undisturbed::begin();
    let arrives = |from: Progress| {
        let arriving = Progress::Arriving as u32;
        WIPED.progress.compare_exchange(from as u32, arriving, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    let is_seated = arrives(Progress::Seated);
    if !is_seated && !arrives(Progress::New) {
        return;
    }
    real::find_all();
    let place = if is_seated { take_seat() } else { take_place() };
    let progress = if place.is_some() { Progress::Recorded } else { Progress::Silent };
    if matches!(progress, Progress::Silent) {
        callers::choose(0, 0);
    }
    WIPED.progress.store(progress as u32, Ordering::Release);
}

/// Takes the entry that the recorder has filled in. `None` if it has left.
fn take_seat() -> Option<()> {
    let shared = memory::shared()?;
    heed(&shared.control)?;
    room::begin_anew();
    let process = shared.processes.get(ATTACHMENT.process.load(Ordering::Relaxed) as usize)?;
    NAMES_ARE_SHARED.store(!attachment::hides_copies(), Ordering::Relaxed);
    ENTRY.store(ptr::from_ref(process).cast_mut(), Ordering::Release);
    Some(())
}

/// Does as the recorder wants. `None` if it has left.
fn heed(control: &Control) -> Option<()> {
    clock::choose(control.clock.load(Ordering::Relaxed));
    callers::choose(control.stack_depth.load(Ordering::Relaxed), control.stack_every.load(Ordering::Relaxed));
    (control.ended.load(Ordering::Relaxed) == 0).then_some(())
}

/// Finds the recorder and takes an entry. `None` if the process is not to be recorded.
fn take_place() -> Option<()> {
    if TURNED_AWAY.load(Ordering::Relaxed) || attachment::hides_copies() {
        return None;
    }
    let copied = memory::shared().is_some();
    if !copied && has_other_rights() {
        TURNED_AWAY.store(true, Ordering::Relaxed);
        return None;
    }
    let Some(shared) = memory::shared().or_else(memory::map) else {
        TURNED_AWAY.store(true, Ordering::Relaxed);
        return None;
    };
    heed(&shared.control)?;
    WIPED.is_copy.store(u32::from(copied), Ordering::Relaxed);
    // A copy is what its parent was. And it must not ask the dynamic linker: another thread of the parent may have had
    // its lock when the copy was made, and nobody is here to give that back.
    let verdict = if copied { Verdict::Recorded } else { judge() };
    if !is_wanted(&shared.control) {
        TURNED_AWAY.store(true, Ordering::Relaxed);
        return None;
    }
    let Some(process) = take_entry(shared) else {
        shared.control.turned_away.fetch_add(1, Ordering::Relaxed);
        return None;
    };
    describe(process, copied, verdict);
    ATTACHMENT.serial.store(take_serial(shared, process), Ordering::Relaxed);
    ENTRY.store(ptr::from_ref(process).cast_mut(), Ordering::Release);
    process.state.store(State::Ready as u32, Ordering::Release);
    shared.control.arrivals.fetch_add(1, Ordering::Release);
    if verdict != Verdict::Recorded {
        TURNED_AWAY.store(true, Ordering::Relaxed);
        return None;
    }
    Some(())
}

/// Whether the recorder wants this process, or only those that it is not one of.
fn is_wanted(control: &Control) -> bool {
    let (path, length) = program();
    control.children.include(process_id(), path.get(..length).unwrap_or_default())
}

/// The path of this process's program, and how long that is.
fn program() -> ([u8; 1024], usize) {
    memory::link(c"/proc/self/exe")
}

/// This process's id as the recorder knows it, where that can be told.
fn process_id() -> u32 {
    seen_from_outside().unwrap_or_else(system::process_id)
}

/// Whether this program has rights that its caller has not: whoever may read what it does could be given what it knows.
///
/// The dynamic linker loads nothing into such a program by a path that its caller names, so we are hardly ever asked.
fn has_other_rights() -> bool {
    first_stack().is_some_and(Stack::is_secure)
}

/// Whether this process can be recorded.
fn judge() -> Verdict {
    let at = ptr::from_ref(&WIPED) as usize;
    let mut verdict = Verdict::AnotherAllocator;
    real::with_allocator(|object| {
        if object.own_name() == Some(c"libc.so.6") {
            verdict = Verdict::Recorded;
            giving_back::expect_top_in(object);
        }
    });
    if system::advise(at, size_of_val(&WIPED), Advice::WipeOnFork).is_err() {
        verdict = Verdict::OldKernel;
    }
    verdict
}

fn take_entry(shared: &'static Shared) -> Option<&'static Process> {
    let [free, taken] = [State::Free, State::Taken].map(|state| state as u32);
    let (number, process) = shared.processes.iter().enumerate().find(|(_, process)| {
        process.state.compare_exchange(free, taken, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    })?;
    shared.control.processes_used.fetch_max(number as u32 + 1, Ordering::Relaxed);
    Some(process)
}

fn take_serial(shared: &Shared, process: &Process) -> u64 {
    let serial = shared.control.serials.fetch_add(1, Ordering::Relaxed) + 1;
    process.serial.store(serial, Ordering::Relaxed);
    serial
}

/// Says what this process is.
fn describe(process: &Process, copied: bool, verdict: Verdict) {
    let (own, pid) = (system::process_id(), process_id());
    NAMES_ARE_SHARED.store(pid == own, Ordering::Relaxed);
    let parent = if pid == own { system::parent_id() } else { 0 };
    process.pid.store(pid, Ordering::Relaxed);
    process.parent.store(parent, Ordering::Relaxed);
    process.began.store(clock::now(), Ordering::Relaxed);
    giving_back::begin();
    process.program_break.store(calls::program_break() as u64, Ordering::Relaxed);
    process.lost.store(0, Ordering::Relaxed);
    process.leaving.store(Leaving::Not as u32, Ordering::Relaxed);
    // A copy has the filters its parent had.
    let before = ENTRY.load(Ordering::Acquire);
    // SAFETY: null, or an entry in memory that stays mapped.
    let parent = unsafe { before.as_ref() }.filter(|_| copied);
    let may_look = match parent {
        Some(parent) => parent.may_look.load(Ordering::Relaxed) != 0,
        None => filters::are_none(),
    };
    process.may_look.store(may_look.into(), Ordering::Relaxed);
    process.verdict.store(verdict as u32, Ordering::Relaxed);
    let parent_serial = if copied { ATTACHMENT.serial.load(Ordering::Relaxed) } else { 0 };
    process.copy_of.store(parent_serial, Ordering::Relaxed);
    process.ticket.store(fork::take_ticket(), Ordering::Relaxed);
    // A copy may have written over its arguments, and is what its parent said it was.
    let used = if copied { 0 } else { tell(&process.text) };
    process.text_length.store(used as u32, Ordering::Relaxed);
}

/// This process's id as the recorder's `/proc` has it.
fn seen_from_outside() -> Option<u32> {
    let (name, length) = memory::link::<16>(c"/proc/self");
    str::from_utf8(name.get(..length)?).ok()?.parse().ok()
}

/// Writes names and arguments. Returns how much that took.
fn tell(text: &Text) -> usize {
    let mut used = 0;
    let mut say = |label, piece: &[u8]| used = text.append(used, label, piece.iter().copied());
    let (path, length) = program();
    say(Label::Executable, path.get(..length).unwrap_or_default());
    // SAFETY: returns a constant of libc's, or ours.
    let version = unsafe { real::gnu_get_libc_version() };
    // SAFETY: as above.
    say(Label::LibcVersion, unsafe { CStr::from_ptr(version) }.to_bytes());
    real::with_allocator(|object| {
        say(Label::LibcPath, object.name().to_bytes());
        say(Label::LibcBuildId, object.build_id());
    });
    let Some(stack) = first_stack() else { return used };
    stack
        .environment()
        .map(CStr::to_bytes)
        .filter(|variable| variable.starts_with(b"MALLOC_") || variable.starts_with(b"GLIBC_TUNABLES="))
        .for_each(|variable| say(Label::Variable, variable));
    stack.arguments().for_each(|argument| say(Label::Argument, argument.to_bytes()));
    used
}

/// The stack the program began with, where the dynamic linker wrote it down.
fn first_stack() -> Option<Stack> {
    let mut end = None;
    objects::each(|object: &Object| {
        end = object.find(c"__libc_stack_end");
        if end.is_some() { core::ops::ControlFlow::Break(()) } else { core::ops::ControlFlow::Continue(()) }
    });
    // SAFETY: that is a pointer to a pointer.
    let end = unsafe { end?.cast::<*const usize>().read() };
    // SAFETY: it is the address of the argument count.
    unsafe { Stack::at(end) }
}
