//! The agent within a process: put there, given memory and a place, and sent away again.
//!
//! Everything is done while all threads are stopped, from outside and by system calls that one of them is made to
//! make. None is made to call a function: so it matters little where they are, and no lock is waited for.
//!
//! The agent stays where it is when the recorder leaves: a thread may be within it, and the program may have
//! kept the address of a function of it. Nor is the room given up that the shared memory had: private memory
//! takes its place, which says that the recorder has gone. It is used again by the next recorder.

use std::fs::File;
use std::io::{self, Write};
use std::mem::offset_of;
use std::thread;
use std::time::{Duration, Instant};

use malloscope_wire::attachment::{ENTRY_BYTES, Kept, SEATED, Table};
use malloscope_wire::{BANK_BYTES, BANKS, BANKS_AT, Control, PAGE, Shared};

use super::hooks::{Pair, Survey, Way};
use super::image::{Fields, image};
use super::modules;
use super::patches::{self, Engine, NotPatched};
use super::refusal::Refusal;
use super::target::{self, Target};
use crate::heap::copy::Range;
use crate::heap::{self, Captured, HeapError, PATIENCE_IN_STEPS, Rehearsed, maps};
use crate::stopped::calls::CallFailed;
use crate::stopped::code::Code;
use crate::stopped::{Registers, Stopped};

/// What the agent's file is called.
const NAME: &str = "malloscope-agent.so";

/// How the kernel shows the file.
const MAPPED_NAME: &str = "/memfd:malloscope-agent.so";

/// How often we look for a moment at which no thread is where it must not be, and how long we let them go on in
/// between.
const TRIES: u32 = 100;
/// So many of them are for one that is good in every respect: each time threads are led out of where they are, and
/// few do not come to an end of that in time.
const TRIES_OUTSIDE: u32 = 20;
const PAUSE: Duration = Duration::from_millis(1);
/// See there: each is longer than the one before.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// How long calls that are under way have to reach their ring before it is taken away.
const GRACE: Duration = Duration::from_millis(2);

/// An agent within a process.
#[derive(Clone, Copy, Debug)]
pub struct Inside {
    base: u64,
    fields: Fields,
}

/// A process whose threads are stopped, and that can be made to make system calls.
#[derive(Debug)]
pub struct Held<'t> {
    target: &'t Target,
    stopped: Stopped,
    /// Where there is the instruction for a system call.
    instruction: u64,
    /// Whether every thread is outside the code that it was to be outside of.
    is_outside: bool,
    /// Since when.
    pub since: Instant,
}

/// Code that threads are led out of.
#[derive(Clone, Copy, Debug)]
pub struct Passage<'c> {
    /// Where some may stay, if it takes too long.
    left: &'c Code,
    /// Where none may be, nor come back to from the handler of a signal.
    shut: &'c [Range],
}

impl Passage<'static> {
    /// None but what all are led out of.
    const ANY: Passage<'static> = Passage { left: &Code::NONE, shut: &[] };
}

/// What the process's agent needs to know of its place.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// The number of the process's entry.
    pub process: u32,
    /// Its serial.
    pub serial: u64,
    /// Whether process ids are others for the process.
    pub names_differ: bool,
}

impl<'t> Held<'t> {
    /// Stops a process, leads its threads out of the dynamic linker, of this agent and of other code, and learns what
    /// modules there are then. A thread that waits for the kernel is left in there; if one does not come out of it, after
    /// a while that is as good. Calls `meanwhile` after every moment that was not like that.
    pub fn at_a_good_moment(
        target: &'t Target,
        survey: &mut Survey,
        agent: Option<&Inside>,
        way: Passage<'_>,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Held<'t>, Refusal> {
        let of_trouble = |trouble| Refusal::of_trouble(target.pid, trouble);
        let linker = modules::linker(target).ok_or(Refusal::Unsettled(target.pid))?;
        let code: Vec<(u64, Vec<u8>)> = linker.loaded_bytes(target).collect();
        let instruction = instruction(&code).ok_or(Refusal::Unsettled(target.pid))?;
        let mut forbidden = Code::default();
        let range = |start: &u64, length: usize| Range { start: *start, end: start + length as u64 };
        forbidden.add_library(
            target,
            linker.bias,
            code.iter().map(|(start, bytes)| range(start, bytes.len())),
        );
        if let Some(inside) = agent {
            let code = image().code(inside.base);
            forbidden.add_library(target, inside.base, [Range { start: code.start, end: code.end }]);
        }
        way.shut.iter().for_each(|range| forbidden.add(*range));
        let mut left = forbidden.clone();
        left.add_all(way.left);
        for number in 0..TRIES {
            let since = Instant::now();
            let mut stopped = Stopped::all(target.pid).map_err(of_trouble)?;
            let is_outside = stopped.lead_out(&left, target, PATIENCE_IN_STEPS);
            let is_good = (is_outside || number >= TRIES_OUTSIDE)
                && !stopped.registers().any(|registers| forbidden.contains(registers.rip))
                && (way.shut.is_empty() || !may_come_back(target, &stopped, way.shut));
            if is_good && survey.renew(target).is_ok() {
                return Ok(Held { target, stopped, instruction, is_outside, since });
            }
            drop(stopped);
            meanwhile();
            // One that waits for a processor all the while would be stopped anew before it makes a step.
            thread::sleep(LONGEST_PAUSE.min(PAUSE * (number + 1)));
        }
        Err(Refusal::Busy(target.pid))
    }

    /// The same, at a moment when no arena is locked, and a copy of the heap as it stands then: none if a thread may be
    /// in the midst of changing it, or it cannot be understood. And how long copying took.
    pub fn with_heap(
        target: &'t Target,
        survey: &mut Survey,
        agent: Option<&Inside>,
        shut: &[Range],
    ) -> Result<(Held<'t>, Option<Captured>, Duration), Refusal> {
        let left = &heap::code_of_malloc(target).unwrap_or_default();
        let mut rehearsed = heap::rehearse(target.pid);
        let mut tries = 0;
        loop {
            tries += 1;
            let held = Held::at_a_good_moment(target, survey, agent, Passage { left, shut }, &mut || ())?;
            let copying = Instant::now();
            match held.heap(&mut rehearsed) {
                Err(HeapError::Busy) if tries < TRIES_OUTSIDE => drop(held),
                heap => return Ok((held, heap.ok(), copying.elapsed())),
            }
            thread::sleep(PAUSE);
        }
    }

    fn heap(&self, rehearsed: &mut Rehearsed) -> Result<Captured, HeapError> {
        if !self.is_outside {
            return Err(HeapError::Busy);
        }
        heap::capture_stopped(self.target.pid, self.stopped.thread_pointers(), rehearsed)
    }

    fn call(&mut self, number: i64, arguments: [u64; 6]) -> Result<u64, CallFailed> {
        self.stopped.call(self.instruction, number, arguments)
    }

    /// Maps memory, as `mmap` does.
    fn map(&mut self, at: u64, length: u64, access: i32, what: What) -> Result<u64, CallFailed> {
        let fixed = if at == 0 { 0 } else { libc::MAP_FIXED };
        let (flags, file, offset) = match what {
            What::Zeros => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE, u64::MAX, 0),
            What::Copy { file, offset } => (libc::MAP_PRIVATE, file, offset),
            What::Shared { file, offset } => (libc::MAP_SHARED, file, offset),
        };
        let [access, flags] = [access, flags | fixed].map(|bits| u64::from(bits.unsigned_abs()));
        self.call(libc::SYS_mmap, [at, length, access, flags, file, offset])
    }

    fn unmap(&mut self, at: u64, length: u64) {
        // If it is not there, all is well.
        let _ = self.call(libc::SYS_munmap, [at, length, 0, 0, 0, 0]);
    }

    fn advise(&mut self, at: u64, length: u64, advice: i32) -> Result<u64, CallFailed> {
        self.call(libc::SYS_madvise, [at, length, u64::from(advice.unsigned_abs()), 0, 0, 0])
    }

    /// Has the process make a file in memory, and opens it too. `scratch` is memory of it to write a name in.
    /// Returns its descriptor there and the file here.
    fn file(&mut self, scratch: u64, name: &str, flags: u32) -> Result<(u64, File), CallFailed> {
        let mut text = name.as_bytes().to_vec();
        text.push(0);
        self.target.write(scratch, &text).map_err(CallFailed::Refused)?;
        let flags = u64::from(flags | libc::MFD_CLOEXEC);
        let descriptor = self.call(libc::SYS_memfd_create, [scratch, flags, 0, 0, 0, 0])?;
        match self.target.opened(descriptor) {
            Ok(file) => Ok((descriptor, file)),
            Err(error) => {
                self.close(descriptor);
                Err(CallFailed::Refused(error))
            }
        }
    }

    /// The process.
    pub fn target(&self) -> &'t Target {
        self.target
    }

    /// Makes room of its memory, wherever there is some.
    pub fn make_room(&mut self, length: u64, access: i32) -> Result<u64, NotPatched> {
        Ok(self.map(0, length, access, What::Zeros)?)
    }

    /// Gives memory back.
    pub fn give_back(&mut self, range: Range) {
        self.unmap(range.start, range.length());
    }

    /// Changes how memory may be used.
    pub fn protect(&mut self, range: Range, access: i32) -> Result<(), NotPatched> {
        let access = u64::from(access.unsigned_abs());
        self.call(libc::SYS_mprotect, [range.start, range.length(), access, 0, 0, 0])?;
        Ok(())
    }

    /// Has it run code: see [`Stopped::run`].
    pub fn run(&mut self, code: u64, stack: u64, until: u32) -> Result<Option<(u64, u64)>, NotPatched> {
        Ok(self.stopped.run(code, stack, until)?)
    }

    fn close(&mut self, descriptor: u64) {
        // Nothing can be done if the kernel disagrees.
        let _ = self.call(libc::SYS_close, [descriptor, 0, 0, 0, 0, 0]);
    }

    fn refused(&self, what: &'static str, failed: CallFailed) -> Refusal {
        let pid = self.target.pid;
        match failed {
            CallFailed::Refused(source) => Refusal::NoRoom { pid, what, source },
            CallFailed::Trouble(trouble) => Refusal::of_trouble(pid, trouble),
        }
    }
}

/// Whether a thread may come back to this code: if a signal interrupted it there, its registers are on a stack that it is on
/// now, or was. What was left there by calls that are over may look the same; then the next moment is as good.
fn may_come_back(target: &Target, stopped: &Stopped, shut: &[Range]) -> bool {
    /// Handlers that take more than this of a stack are not foreseen.
    const MOST: u64 = 256 << 10;
    let maps = maps::parse(&target.told("maps"));
    let used = |registers: &Registers| {
        let mapped = maps.iter().find(|mapped| mapped.range.contains(registers.rsp))?;
        // What lies below the pointer belongs to nobody.
        let start = registers.rsp / 8 * 8;
        target.bytes(start, (mapped.range.end - start).min(MOST))
    };
    let is_there = |bytes: Vec<u8>| {
        let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let mut words = words.filter(|word| shut.iter().any(|range| range.contains(*word)));
        words.next().is_some()
    };
    stopped.registers().filter_map(used).any(is_there)
}

/// What is mapped.
#[derive(Clone, Copy, Debug)]
enum What {
    Zeros,
    Copy { file: u64, offset: u64 },
    Shared { file: u64, offset: u64 },
}

/// Memory that is read and written.
const READ_AND_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// Where the instruction for a system call is in this code.
fn instruction(code: &[(u64, Vec<u8>)]) -> Option<u64> {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    // Of what is there, the second piece is the code, but in a linker of one piece.
    let in_piece = |(start, bytes): &(u64, Vec<u8>)| {
        bytes.windows(2).position(|pair| pair == SYSCALL).map(|at| start + at as u64)
    };
    code.iter().skip(usize::from(code.len() > 1)).find_map(in_piece)
}

impl Inside {
    /// The agent that a process has already, if it is one of ours.
    pub fn find(target: &Target) -> Option<Inside> {
        let starts = target.mappings(MAPPED_NAME).into_iter().filter(|(_, offset)| *offset == 0);
        let is_ours = |base: &u64| {
            let (at, bytes) = image().constant(*base);
            target.bytes(at, bytes.len() as u64).is_some_and(|found| found == bytes)
        };
        starts.map(|(base, _)| base).find(is_ours).map(|base| Inside { base, fields: Fields::at(base) })
    }

    /// Puts an agent into a process.
    pub fn load(held: &mut Held<'_>, survey: &Survey) -> Result<Inside, Refusal> {
        const WHAT: &str = "memory for the agent";
        let image = image();
        let base = held
            .map(0, image.length(), READ_AND_WRITE, What::Zeros)
            .map_err(|why| held.refused(WHAT, why))?;
        match load_at(held, survey, base) {
            Ok(()) => Ok(Inside { base, fields: Fields::at(base) }),
            Err(failed) => {
                held.unmap(base, image.length());
                Err(held.refused(WHAT, failed))
            }
        }
    }

    /// Which recorder is attached by it, and when that began; `None` if none is.
    pub fn recorder(&self, target: &Target) -> Option<(u32, u64)> {
        let recorder = target.half(self.fields.recorder()).filter(|recorder| *recorder != 0)?;
        Some((recorder, target.word(self.fields.recorder_began())?))
    }

    /// Whether it was loaded with the program, rather than put into it: or put there just now, and told nothing yet.
    pub fn is_launched(&self, target: &Target) -> bool {
        let first = self.fields.wanted().first().and_then(|(at, _)| target.word(*at));
        first.is_none_or(|address| address == 0)
    }

    /// Whether it is still there: a process that begins another program loses it.
    pub fn is_there(&self, target: &Target) -> bool {
        target.half(self.fields.recorder()).is_some()
    }

    /// Tells it where the functions are that it calls, and returns what it stands before.
    fn acquaint(&self, target: &Target, survey: &Survey) -> io::Result<Vec<Pair>> {
        for (at, name) in self.fields.wanted() {
            target.write_word(at, survey.find(&name).map_or(0, |(found, _)| found))?;
        }
        let found = image()
            .defined
            .iter()
            .filter_map(|(hook, name)| Some(Pair { hook: self.base + hook, original: survey.find(name)?.0 }));
        Ok(found.collect())
    }

    /// Writes down what the agent stands before.
    fn note_pairs(&self, target: &Target, pairs: &[Pair]) -> io::Result<()> {
        let none = Pair { hook: 0, original: 0 };
        for ((at, original), pair) in self.fields.pairs().zip(pairs.iter().chain([&none])) {
            target.write_word(at, pair.hook)?;
            target.write_word(original, pair.original)?;
        }
        Ok(())
    }

    /// What it stands before, as was written down.
    fn pairs(&self, target: &Target) -> Vec<Pair> {
        let pairs = self.fields.pairs().map_while(|(at, original)| {
            let pair = Pair { hook: target.word(at)?, original: target.word(original)? };
            (pair.hook != 0).then_some(pair)
        });
        pairs.collect()
    }

    /// Makes the shared memory in the process, and maps it there: where it was before, if it was.
    pub fn share(&self, held: &mut Held<'_>) -> Result<File, Refusal> {
        const WHAT: &str = "the memory it would share with the recorder";
        self.try_share(held).map_err(|failed| held.refused(WHAT, failed))
    }

    fn try_share(&self, held: &mut Held<'_>) -> Result<File, CallFailed> {
        // Where the name is written comes the process's state afterwards.
        let wiped = self.wiped(held.target);
        let (descriptor, file) = held.file(wiped.0, "malloscope", libc::MFD_ALLOW_SEALING)?;
        let mapped = self.map_shared(held, descriptor, &file);
        held.close(descriptor);
        mapped.map(|()| file)
    }

    fn map_shared(&self, held: &mut Held<'_>, file: u64, here: &File) -> Result<(), CallFailed> {
        here.set_len(malloscope_wire::FILE_BYTES as u64).map_err(CallFailed::Refused)?;
        let target = held.target;
        let before = target.word(self.fields.memory()).unwrap_or(0);
        let at = held.map(before, SHARED_BYTES, READ_AND_WRITE, What::Shared { file, offset: 0 })?;
        // Without it core files are larger, that is all.
        let _ = held.advise(at, SHARED_BYTES, libc::MADV_DONTDUMP);
        target.write_word(self.fields.memory(), at).map_err(CallFailed::Refused)?;
        for (bank, at) in self.banks(target) {
            let offset = BANKS_AT as u64 + bank * BANK_BYTES as u64;
            held.map(at, BANK_BYTES as u64, READ_AND_WRITE, What::Shared { file, offset })?;
        }
        Ok(())
    }

    /// The banks that are mapped: their numbers, and where.
    fn banks(&self, target: &Target) -> Vec<(u64, u64)> {
        let banks =
            (0..BANKS as u64).map(|bank| (bank, target.word(self.fields.banks() + bank * 8).unwrap_or(0)));
        banks.filter(|(_, at)| *at != 0).collect()
    }

    /// Where what is wiped is, and how much of it there is.
    fn wiped(&self, target: &Target) -> (u64, u64) {
        let [at, length] =
            [self.fields.wiped(), self.fields.wiped_length()].map(|at| target.word(at).unwrap_or(0));
        (at, length)
    }

    /// Gives the process its place, and lets its calls come here from now on. Returns how many words were changed.
    pub fn begin(
        &self,
        held: &mut Held<'_>,
        survey: &Survey,
        seat: Seat,
        engine: Engine,
    ) -> Result<usize, Refusal> {
        const WHAT: &str = "hooks";
        let pid = held.target.pid;
        self.wipe(held).map_err(|failed| held.refused("memory that copies of it do not have", failed))?;
        let (at, length) = self.wiped(held.target);
        if held.advise(at, length, libc::MADV_WIPEONFORK).is_err() {
            return Err(Refusal::OldKernel(pid));
        }
        let refused = |source| Refusal::NoRoom { pid, what: WHAT, source };
        let target = held.target;
        let mut pairs = self.acquaint(target, survey).map_err(refused)?;
        self.write_seat(target, seat).map_err(refused)?;
        if engine == Engine::Gum {
            let patched = patches::put_in(held, self.fields, self.base, survey);
            let patched = patched.map_err(|why| Refusal::Unpatched { pid, why })?;
            pairs.retain(|pair| !patched.contains(&pair.original));
        }
        self.note_pairs(target, &pairs).and_then(|()| survey.turn(target, &pairs, Way::In)).map_err(refused)
    }

    fn write_seat(&self, target: &Target, seat: Seat) -> io::Result<()> {
        let us = std::process::id();
        target.write(self.fields.recorder(), &us.to_le_bytes())?;
        target.write_word(self.fields.recorder_began(), target::began(us).unwrap_or(0))?;
        target.write(self.fields.process(), &seat.process.to_le_bytes())?;
        target.write_word(self.fields.serial(), seat.serial)?;
        target.write(self.fields.names_differ(), &u32::from(seat.names_differ).to_le_bytes())?;
        target.write(self.wiped(target).0, &SEATED.to_le_bytes())
    }

    /// Puts zeros where the agent keeps what is of one recording.
    fn wipe(&self, held: &mut Held<'_>) -> Result<(), CallFailed> {
        let (at, length) = self.wiped(held.target);
        held.map(at, length, READ_AND_WRITE, What::Zeros).map(drop)
    }

    /// How many words are not as they should be while it is attached: of modules that came, or were bound, just
    /// when it did.
    pub fn missed(&self, target: &Target, survey: &Survey, way: Way) -> usize {
        survey.count(target, &self.pairs(target), way)
    }

    /// Turns those words too.
    pub fn turn_missed(&self, target: &Target, survey: &mut Survey, way: Way) -> Result<(), Refusal> {
        let held = Held::at_a_good_moment(target, survey, None, Passage::ANY, &mut || ())?;
        let turned = survey.turn(target, &self.pairs(target), way);
        drop(held);
        turned.map(drop).map_err(|source| Refusal::NoRoom {
            pid: target.pid,
            what: "its own functions",
            source,
        })
    }

    /// Takes the hooks out: first that, and when calls under way have come to their end, the memory.
    /// `meanwhile` is called while it waits for those. Returns how long all threads stood still, the longer of
    /// both times.
    pub fn leave(
        &self,
        target: &Target,
        survey: &mut Survey,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Duration, Refusal> {
        let begun = Held::at_a_good_moment(target, survey, None, Passage::ANY, meanwhile)?;
        self.unhook(target, survey)?;
        let first = begun.since;
        drop(begun);
        let first = first.elapsed();
        meanwhile();
        thread::sleep(GRACE);
        let mut held = Held::at_a_good_moment(target, survey, Some(self), Passage::ANY, meanwhile)?;
        self.unhook(target, survey)?;
        self.let_go(&mut held).map_err(|failed| held.refused("its own memory back", failed))?;
        let second = held.since;
        drop(held);
        Ok(first.max(second.elapsed()))
    }

    /// Takes back what was done before something could not be. An agent that does not know its process yet is taken out:
    /// no word leads to it. One that does stays.
    pub fn abandon(&self, held: &mut Held<'_>) {
        let target = held.target;
        // The hooks are last; without them nobody comes here.
        let _ = patches::turn_out(target, self.fields);
        let _ = self.let_go(held);
        if self.is_launched(target) {
            let memory = target.word(self.fields.memory()).unwrap_or(0);
            if memory != 0 {
                held.unmap(memory, SHARED_BYTES);
            }
            for (_, at) in self.banks(target) {
                held.unmap(at, BANK_BYTES as u64);
            }
            held.unmap(self.base, image().length());
        }
    }

    fn unhook(&self, target: &Target, survey: &Survey) -> Result<(), Refusal> {
        let turned = survey.turn(target, &self.pairs(target), Way::Out);
        let turned = turned.and_then(|_| patches::turn_out(target, self.fields));
        turned.map_err(|source| Refusal::NoRoom { pid: target.pid, what: "its own functions", source })
    }

    /// Tells the agent that nobody reads any more: it waits for nobody then.
    pub fn end(&self, target: &Target) {
        let memory = target.word(self.fields.memory()).unwrap_or(0);
        if memory != 0 {
            // If it is gone, nobody waits.
            let _ = target.write(memory + offset_of!(Control, ended) as u64, &1_u32.to_le_bytes());
        }
    }

    /// Takes away what is of this recording.
    fn let_go(&self, held: &mut Held<'_>) -> Result<(), CallFailed> {
        let target = held.target;
        let shortcut = target.word(self.fields.shortcut()).unwrap_or(0);
        if shortcut != 0 {
            for thread in held.stopped.registers().map(|registers| registers.fs_base) {
                target.write_word(thread.wrapping_add(shortcut), 0).map_err(CallFailed::Refused)?;
            }
        }
        let memory = target.word(self.fields.memory()).unwrap_or(0);
        if memory != 0 {
            held.map(memory, SHARED_BYTES, READ_AND_WRITE, What::Zeros)?;
            self.end(target);
        }
        for (_, at) in self.banks(target) {
            held.map(at, BANK_BYTES as u64, READ_AND_WRITE, What::Zeros)?;
        }
        self.drop_kept(held);
        self.wipe(held)?;
        target.write(self.fields.recorder(), &0_u32.to_le_bytes()).map_err(CallFailed::Refused)
    }

    /// Gives back what threads kept for their stacks, but for what somebody is at.
    fn drop_kept(&self, held: &mut Held<'_>) {
        const MOST: usize = 1 << 16;
        let target = held.target;
        let mut at = target.word(self.fields.kept()).unwrap_or(0);
        for _ in 0..MOST {
            let field = |offset: usize| target.word(at + offset as u64).unwrap_or(0);
            if at == 0 {
                break;
            }
            let [next, length, busy] =
                [offset_of!(Kept, next), offset_of!(Kept, length), offset_of!(Kept, busy)].map(field);
            let table = field(size_of::<Kept>() + offset_of!(Table, at));
            let size = field(size_of::<Kept>() + offset_of!(Table, size_log2)) & 0x1f;
            if busy == 0 {
                if table != 0 {
                    held.unmap(table, (ENTRY_BYTES as u64) << size);
                }
                held.unmap(at, length);
            }
            at = next;
        }
        let _ = target.write_word(self.fields.kept(), 0);
    }
}

/// The names of the functions that an agent wants to know.
pub fn wanted() -> impl Iterator<Item = String> {
    let function = image().wanted_functions().map(str::to_owned);
    Fields::at(0).wanted().into_iter().map(|(_, name)| name).chain(function)
}

/// Bytes of what is mapped beside the banks.
const SHARED_BYTES: u64 = size_of::<Shared>() as u64;

const _: () = assert!(size_of::<Shared>().is_multiple_of(PAGE));

/// Puts an agent where room was made for it.
fn load_at(held: &mut Held<'_>, survey: &Survey, base: u64) -> Result<(), CallFailed> {
    // Kernels before 6.3 do not know that one has to say so.
    let made = match held.file(base, NAME, libc::MFD_EXEC) {
        Err(CallFailed::Refused(error)) if error.raw_os_error() == Some(libc::EINVAL) => {
            held.file(base, NAME, 0)
        }
        made => made,
    };
    let (descriptor, mut file) = made?;
    let bytes = image().laid_out(base, |name| survey.find(name).map(|(at, _)| at));
    let written = file.write_all(&bytes).map_err(CallFailed::Refused);
    let mapped = written.and_then(|()| {
        image().pieces().into_iter().try_for_each(|piece| {
            let what =
                if piece.is_zeros { What::Zeros } else { What::Copy { file: descriptor, offset: piece.at } };
            held.map(base + piece.at, piece.length, piece.access, what).map(drop)
        })
    });
    held.close(descriptor);
    mapped
}
