//! Attaching to a program that runs: recording it from now on, for as long as it is wanted, and leaving it as it was.
//!
//! The order of things: [`refusal`] looks whether the process can be attached to; [`hooks`] learns where the
//! addresses of malloc stand; all threads are stopped and led out of malloc ([`stopped`]) and the heap is copied as it stands; the
//! agent is put [inside] and given its place; the words are turned; the threads go on. From then on it is
//! recorded as a launched program is, until somebody says that it is enough. Then the words are turned back.
//! How the process is looked at from outside is in [`target`] and [`modules`], how an agent is loaded without
//! the dynamic linker in [`mod@image`]; [`guard`] does the leaving if this process dies.

pub mod candidates;
pub mod filters;
pub mod guard;
pub mod hooks;
pub mod image;
pub mod inside;
pub mod modules;
pub mod patcher;
pub mod patches;
pub mod refusal;
pub mod target;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use malloscope_traces::Cause;
use malloscope_traces::header::Origin;
use malloscope_traces::snapshot::Snapshot;
use malloscope_wire::Shared;
use malloscope_wire::process::{Label, State, Verdict};

use crate::clock::{self, Moment, Scale};
use crate::collect::hoard::Hoard;
use crate::collect::{Collector, Progress};
use crate::heap::Captured;
use crate::launch::{BUSY, REPORTS};
use crate::memory::Memory;
use crate::signals::{PassingOn, survive_long_files};
use crate::{Error, Options, Pauses, Recorded, probe, readings, stopped};
use guard::Guard;
use hooks::Survey;
use image::image;
use inside::{Held, Inside, Seat};
use modules::Module;
pub use patches::Engine;
use refusal::Refusal;
use target::Target;

/// What to attach to, and for how long.
#[derive(Clone, Debug)]
pub struct Attach {
    /// The process.
    pub pid: u32,
    /// For how long, if not until it ends.
    pub time: Option<Duration>,
    /// Until the traces are that large, if there is a limit.
    pub bytes: Option<u64>,
    /// Not before more bytes of it than this are in memory, if it is to be waited for.
    pub resident: Option<u64>,
    /// The program that takes the hooks out if this one is killed, and its first argument; see [`guard`].
    pub guard: Option<(PathBuf, String)>,
    /// By what its calls come to us.
    pub engine: Engine,
}

/// How often we look for words that were missed when we attached: calls that were being bound just then.
const LOOKS: [Duration; 3] =
    [Duration::from_millis(2), Duration::from_millis(20), Duration::from_millis(200)];

/// How often we ask whether the process still runs the program that we attached to.
const HOUSEKEEPING: Duration = Duration::from_millis(100);

/// How often we try to learn a list of modules that is just being changed.
const TRIES: u32 = 100;

/// The number of the entry that the process has which is attached to.
const ENTRY: usize = 0;

/// A process that is attached to.
struct Attached {
    target: Target,
    survey: Survey,
    inside: Inside,
    memory: Memory,
    /// How long all its threads stood still.
    stopped: Duration,
    /// For how long of it the heap was copied.
    copying: Duration,
    /// When.
    began: Instant,
    /// How the heap stood then, if it could be had.
    heap: Option<Captured>,
}

/// Attaches to a process and records it until it is enough. `report` is called now and then.
///
pub fn record(
    attach: &Attach,
    options: &Options,
    report: &mut dyn FnMut(Progress),
) -> Result<Recorded, Error> {
    let since = Moment::now();
    attach.engine.is_there()?;
    survive_long_files().map_err(Error::Signals)?;
    let pid = attach.pid;
    let (linker, program) = refusal::examine(pid)?;
    let clock = options.clock.unwrap_or_else(clock::choose);
    let probed = probe::run(&linker, None);
    let scale = Scale::measured(clock, since);
    options.manners.rehearse().map_err(Error::Manners)?;
    if let Some(resident) = attach.resident {
        wait_for(pid, resident)?;
    }
    let signals = PassingOn::begin().map_err(Error::Signals)?;
    let age = age(pid);
    let guard = Guard::begin(attach);
    // Of a process that ends meanwhile, anything may be missing.
    let of_the_living = |why| if refusal::has_ended(pid) { Refusal::Ended(pid) } else { why };
    let attached = begin(attach, options, clock, &program).map_err(of_the_living)?;
    let origin = Origin::Attached { age, stopped: nanos(attached.stopped) };
    let Attached { mut target, mut survey, inside, memory, stopped, copying, began, heap } = attached;
    // That it can be done was seen; if not now, all is well but for that. A thread keeps to what the one did that made it.
    let _ = options.manners.keep();
    thread::scope(|scope| {
        // The process runs again. Without a thread it may have to wait for us, which it can.
        let hoard = Hoard::begin(scope, &memory, clock, ENTRY, options.limits.hoard());
        // It is only read now.
        let heap =
            heap.and_then(|heap| heap.parse().ok()).map(|heap| Snapshot { stopped: nanos(stopped), ..heap });
        let mut collector = Collector::new(&memory, clock, scale, &options.output, pid, probed);
        if let Ok(hoard) = hoard {
            collector.hoard(hoard);
        }
        collector.take_readings(options.readings);
        collector.keep_to(options);
        collector.attached(origin, heap);
        let mut leaving =
            Leaving { target: &mut target, survey: &mut survey, inside, looks: 0, looked: began };
        let (cause, trouble) = follow(attach, &mut leaving, &mut collector, &signals, began, report);
        let mut trouble = trouble;
        let mut left = None;
        if matches!(cause, Cause::Stopped | Cause::Limited { .. }) {
            left = leaving.leave(&mut collector, &mut trouble)?;
        }
        let trouble = trouble.or(collector.end(&cause).err());
        guard.end();
        let pauses = Some(Pauses { coming: stopped, copying, leaving: left });
        let status = ExitStatus::from_raw(0);
        Ok(Recorded { pauses, ..Recorded::gather(&collector, status, trouble, began.elapsed()) })
    })
}

/// How long a process has run, in nanoseconds; 0 if it is not told.
fn age(pid: u32) -> u64 {
    let began =
        target::began(pid).unwrap_or(0) * (1_000_000_000 / rustix::param::clock_ticks_per_second().max(1));
    clock::nanoseconds(rustix::time::ClockId::Boottime).saturating_sub(began)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Stops the process, puts an agent into it, and lets it go on.
fn begin(
    attach: &Attach,
    options: &Options,
    clock: malloscope_wire::Clock,
    program: &Path,
) -> Result<Attached, Refusal> {
    let pid = attach.pid;
    let target = Target::open(pid).map_err(|_| refusal::denied(pid))?;
    if refusal::is_privileged(&target) {
        return Err(Refusal::Privileged(pid));
    }
    filters::examine(pid)?;
    clear(&target)?;
    let mut survey = survey(&target, TRIES)?;
    let libc = glibc(&target, &survey)?;
    let facts = facts(&target, program, &libc);
    let there = Inside::find(&target);
    let shut = if attach.engine == Engine::Gum { patches::beginnings(&survey) } else { Vec::new() };
    let (mut held, heap, copying) = Held::with_heap(&target, &mut survey, there.as_ref(), &shut)?;
    let inside = match there {
        Some(inside) => inside,
        None => Inside::load(&mut held, &survey)?,
    };
    let memory = inside
        .share(&mut held)
        .and_then(|file| {
            let memory = Memory::in_file(file, clock, options.when_full);
            let memory = memory.and_then(|memory| memory.follow(&options.children).map(|()| memory));
            let memory = memory.map_err(|source| Refusal::NoRoom { pid, what: "memory to share", source })?;
            memory.keep_rings_to(options.limits.rings());
            if let Some(capture) = options.stacks {
                memory.want_stacks(capture);
            }
            let program_break = survey.find("__curbrk").and_then(|(at, _)| target.word(at)).unwrap_or(0);
            let seat = describe(memory.shared(), pid, clock::now(clock), program_break, &facts);
            inside.begin(&mut held, &survey, seat, attach.engine).map(|_| memory)
        })
        .inspect_err(|_| inside.abandon(&mut held))?;
    let since = held.since;
    drop(held);
    let stopped = since.elapsed();
    Ok(Attached { target, survey, inside, memory, stopped, copying, began: Instant::now(), heap })
}

/// Sees to it that no recorder is there: one that was killed may have left its hooks.
fn clear(target: &Target) -> Result<(), Refusal> {
    match clear_of_recorders(target)? {
        Some(inside) => leave_behind(target, inside),
        None => Ok(()),
    }
}

/// Sees to it that no recorder is there that lives; returns what one left behind that does not.
fn clear_of_recorders(target: &Target) -> Result<Option<Inside>, Refusal> {
    let pid = target.pid;
    let Some(inside) = Inside::find(target) else { return Ok(None) };
    if inside.is_launched(target) {
        return Err(Refusal::Recorded { pid, by: ": it was started by `malloscope record`".to_owned() });
    }
    match inside.recorder(target) {
        Some((recorder, began))
            if !refusal::has_ended(recorder) && target::began(recorder) == Some(began) =>
        {
            Err(Refusal::Recorded { pid, by: format!(" by process {recorder}") })
        }
        Some(_) => Ok(Some(inside)),
        None => Ok(None),
    }
}

/// Takes out of a process what a recorder left there that is no more.
fn leave_behind(target: &Target, inside: Inside) -> Result<(), Refusal> {
    inside.end(target);
    inside.leave(target, &mut survey(target, TRIES)?, &mut || ()).map(drop)
}

/// Takes out of a process, and of those it made, what this recorder left there, which is no more, or will soon be.
pub fn leave_orphan(pid: u32, recorder: u32) {
    for pid in [pid].into_iter().chain(descendants(pid)) {
        if let Ok(target) = Target::open(pid)
            && let Some(inside) = Inside::find(&target)
            && inside.recorder(&target).is_some_and(|(theirs, _)| theirs == recorder)
        {
            // Nobody is there to be told, and trying again is all that can be done.
            let tries = (0..TRIES).map(|_| leave_behind(&target, inside));
            let _ =
                tries.into_iter().find(|left| !matches!(left, Err(Refusal::Busy(_) | Refusal::Unsettled(_))));
        }
    }
}

/// The processes that this one made, and those that they made.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut looked = 0;
    while let Some(pid) = found.get(looked).copied() {
        looked += 1;
        for thread in stopped::threads_of(pid).unwrap_or_default() {
            let children = target::told(pid, &format!("task/{thread}/children"));
            let children = children.split_whitespace().filter_map(|child| child.parse().ok());
            found.extend(children.filter(|child| !found.contains(child)).collect::<Vec<u32>>());
        }
    }
    found.remove(0);
    found
}

/// What is known of a process's modules, when its list of them is not just being changed.
fn survey(target: &Target, tries: u32) -> Result<Survey, Refusal> {
    let names = image().defined.iter().map(|(_, name)| name.clone());
    let wanted = inside::wanted().chain(patches::OF_MALLOC.map(str::to_owned));
    let mut names: Vec<String> = names.chain(wanted).collect();
    names.sort_unstable();
    names.dedup();
    for _ in 0..tries {
        if let Ok(survey) = Survey::of(target, names.clone()) {
            return Ok(survey);
        }
        thread::sleep(Duration::from_millis(1));
    }
    Err(Refusal::Unsettled(target.pid))
}

/// The C library, if that is where the process's malloc is.
fn glibc(target: &Target, survey: &Survey) -> Result<Module, Refusal> {
    let (_, module) = survey.find("malloc").ok_or(Refusal::Unsettled(target.pid))?;
    if module.own_name(target) == "libc.so.6" {
        Ok(module.clone())
    } else {
        let library = if module.name.is_empty() { "its own program" } else { &module.name };
        Err(Refusal::AnotherAllocator { pid: target.pid, library: library.to_owned() })
    }
}

/// What the process would say of itself.
fn facts(target: &Target, program: &Path, libc: &Module) -> Vec<(Label, Vec<u8>)> {
    let list = |name: &str| {
        let bytes = fs::read(format!("/proc/{}/{name}", target.pid)).unwrap_or_default();
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes).to_vec();
        bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let of_malloc =
        |variable: &Vec<u8>| variable.starts_with(b"MALLOC_") || variable.starts_with(b"GLIBC_TUNABLES=");
    let mut facts = vec![
        (Label::Executable, program.as_os_str().as_bytes().to_vec()),
        (Label::LibcVersion, version(target, libc)),
        (Label::LibcPath, libc.name.clone().into_bytes()),
        (Label::LibcBuildId, libc.build_id(target)),
    ];
    facts.extend(list("environ").into_iter().filter(of_malloc).map(|variable| (Label::Variable, variable)));
    facts.extend(list("cmdline").into_iter().map(|argument| (Label::Argument, argument)));
    facts
}

/// The version in the words with which a glibc introduces itself: `GNU C Library (…) stable release version 2.36.`
fn version(target: &Target, libc: &Module) -> Vec<u8> {
    let of = |bytes: Vec<u8>| {
        let find = |bytes: &[u8], words: &[u8]| bytes.windows(words.len()).position(|window| window == words);
        let rest = bytes.get(find(&bytes, b"GNU C Library ")?..)?.get(..256)?.to_vec();
        let words = b" version ";
        let rest = rest.get(find(&rest, words)? + words.len()..)?;
        let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
        Some(rest.get(..end)?.strip_suffix(b".").unwrap_or(&rest[..end]).to_vec())
    };
    libc.loaded_bytes(target).find_map(|(_, bytes)| of(bytes)).unwrap_or_default()
}

/// Fills in the process's entry, as it would itself at its first call.
fn describe(shared: &Shared, pid: u32, began: u64, program_break: u64, facts: &[(Label, Vec<u8>)]) -> Seat {
    let control = &shared.control;
    let entry = &shared.processes[ENTRY];
    let serial = control.serials.fetch_add(1, Ordering::Relaxed) + 1;
    let parent = target::status(pid, "PPid").and_then(|id| id.parse().ok()).unwrap_or(0);
    entry.pid.store(pid, Ordering::Relaxed);
    entry.parent.store(parent, Ordering::Relaxed);
    entry.began.store(began, Ordering::Relaxed);
    entry.program_break.store(program_break, Ordering::Relaxed);
    entry.verdict.store(Verdict::Recorded as u32, Ordering::Relaxed);
    entry.serial.store(serial, Ordering::Relaxed);
    let used =
        facts.iter().fold(0, |used, (label, bytes)| entry.text.append(used, *label, bytes.iter().copied()));
    entry.text_length.store(u32::try_from(used).unwrap_or(0), Ordering::Relaxed);
    control.processes_used.store(1, Ordering::Relaxed);
    // Before any other can say that it is the first.
    control.children.include(pid, &[]);
    entry.state.store(State::Ready as u32, Ordering::Release);
    control.arrivals.fetch_add(1, Ordering::Release);
    let names = target::status(pid, "NSpid").unwrap_or_default();
    Seat { process: 0, serial, names_differ: names.split_whitespace().count() > 1 }
}

/// A process that is to be left.
struct Leaving<'t> {
    target: &'t mut Target,
    survey: &'t mut Survey,
    inside: Inside,
    /// How often we have looked for words that were missed, and when last.
    looks: usize,
    looked: Instant,
}

impl Leaving<'_> {
    /// Looks whether words were missed, if that is due.
    fn look(&mut self) {
        let Some(wait) = LOOKS.get(self.looks) else { return };
        if self.looked.elapsed() < *wait {
            return;
        }
        self.looks += 1;
        if self.survey.renew(self.target).is_ok()
            && self.inside.missed(self.target, self.survey, hooks::Way::In) > 0
        {
            // What cannot be done now is tried once more, and lost if it cannot be done at all.
            let _ = self.inside.turn_missed(self.target, self.survey, hooks::Way::In);
        }
    }

    /// Leaves the process, and the copies that it made meanwhile. What they write until then is collected.
    /// Returns for how long the process stood still, if it had not ended.
    fn leave(
        &mut self,
        collector: &mut Collector<'_>,
        trouble: &mut Option<malloscope_traces::Error>,
    ) -> Result<Option<Duration>, Refusal> {
        let others: Vec<u32> = descendants(self.target.pid).into_iter().chain(collector.recorded()).collect();
        let meanwhile = &mut || {
            if trouble.is_none() {
                *trouble = collector.round().err();
            }
            if trouble.is_some() {
                // Nobody reads any more: a thread that waited for that would never come out of the agent.
                collector.stop_agents();
            }
        };
        meanwhile();
        for pid in others.into_iter().filter(|pid| *pid != self.target.pid) {
            if let Ok(target) = Target::open(pid)
                && let Some(inside) = Inside::find(&target)
                && inside.recorder(&target).is_some_and(|(recorder, _)| recorder == std::process::id())
                && let Ok(mut survey) = survey(&target, TRIES)
            {
                // One that ends meanwhile needs nothing.
                let _ = inside.leave(&target, &mut survey, meanwhile);
            }
        }
        match self.inside.leave(self.target, self.survey, meanwhile) {
            Err(Refusal::Ended(_)) => Ok(None),
            Ok(pause) => Ok(Some(pause)),
            Err(refusal) => Err(refusal),
        }
    }
}

/// Waits until so much of a process is in memory.
fn wait_for(pid: u32, resident: u64) -> Result<(), Refusal> {
    loop {
        match readings::counted(pid) {
            None => return Err(Refusal::Ended(pid)),
            Some(reading) if reading.resident > resident => return Ok(()),
            Some(_) => thread::sleep(HOUSEKEEPING),
        }
    }
}

/// Collects until it is enough, or the process has ended. Returns why the trace of the process ends, and what
/// kept us from going on.
fn follow(
    attach: &Attach,
    leaving: &mut Leaving<'_>,
    collector: &mut Collector<'_>,
    signals: &PassingOn,
    began: Instant,
    report: &mut dyn FnMut(Progress),
) -> (Cause, Option<malloscope_traces::Error>) {
    let mut reported = Instant::now();
    let mut asked = Instant::now();
    let is_over = |limit: Option<Duration>| limit.is_some_and(|limit| began.elapsed() >= limit);
    let is_full = |collector: &Collector<'_>| attach.bytes.is_some_and(|limit| collector.bytes() >= limit);
    loop {
        let slots = match collector.round() {
            Ok(slots) => slots,
            Err(error) => return (Cause::Stopped, Some(error)),
        };
        if signals.asked_to_end() || is_over(attach.time) {
            return (Cause::Stopped, None);
        }
        if let Some(limit) = collector.limit_reached() {
            return (limit, None);
        }
        leaving.look();
        if asked.elapsed() >= HOUSEKEEPING {
            asked = Instant::now();
            if is_full(collector) {
                return (Cause::Stopped, None);
            }
            if !leaving.inside.is_there(leaving.target) {
                return (ended(leaving.target.pid, collector), None);
            }
        }
        if reported.elapsed() >= REPORTS {
            reported = Instant::now();
            report(collector.progress());
        }
        if slots < BUSY {
            collector.rest();
        }
    }
}

/// Why a process is not there any more.
fn ended(pid: u32, collector: &Collector<'_>) -> Cause {
    if collector.launched_has_ended() {
        return Cause::Unknown;
    }
    let by = target::executable(pid).map(|program| program.display().to_string());
    by.map_or(Cause::Unknown, |by| Cause::Replaced { by })
}
