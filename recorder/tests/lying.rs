//! A program that lies: whatever it writes to the memory it shares with the recorder, and whenever, the recorder writes
//! nothing there but what is its own to write, takes no memory without end, comes to an end, and keeps what was good before.
//!
//! The program is this test. What it writes is decided by a seed, `SEEDS=0..1000` asks for others.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::{env, fs};

use malloscope_recorder::clock::{Moment, Scale, now};
use malloscope_recorder::collect::Collector;
use malloscope_recorder::memory::Memory;
use malloscope_recorder::{Capture, Clock, Sampling, WhenFull};
use malloscope_traces::{Call, Cause, Reader};
use malloscope_wire::process::{Label, Leaving, State, Verdict};
use malloscope_wire::ring::{self, Stage, Tenancy};
use malloscope_wire::slot::{self, Kind, WIDE};
use malloscope_wire::{PROCESSES, Process, RINGS, Ring, Shared, Slot};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

/// How many calls are made before the first lie.
const GOOD: u64 = 500;

/// How often the recorder looks while lies are told.
const ROUNDS: usize = 24;

/// How many lies are told in between.
const LIES: usize = 40;

/// How many rings and entries are lied about most: those in use.
const NEAR: u32 = 6;

/// How much memory the recorder may have beside what it shares. Some megabytes would do.
const MEMORY: u64 = 1 << 30;

/// How many files it may have open: two for each process that there can be, and some.
const DESCRIPTORS: u64 = 2 * PROCESSES as u64 + 200;

/// What a process may have is all its threads', so there is one such recording at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const CLOCK: Clock = Clock::Monotonic;

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 29) ^ self.0.rotate_left(17)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A number where it hurts, or any.
    fn word(&mut self) -> u64 {
        let (any, small) = (self.next(), self.next() % 70_000);
        self.one_of(&[0, 1, small, u64::MAX, u64::MAX - small, 1 << 47, any, any, any & 0xffff_ffff])
    }

    fn half(&mut self) -> u32 {
        u32::try_from(self.word() & 0xffff_ffff).unwrap()
    }
}

/// What a program can write to.
struct Liar<'m> {
    shared: &'m Shared,
    slots: Vec<&'m [Slot]>,
    random: Random,
}

impl<'m> Liar<'m> {
    fn of(memory: &'m Memory, seed: u64) -> Self {
        let slots = (0..RINGS).map(|ring| memory.ring(ring).unwrap().1).collect();
        Liar { shared: memory.shared(), slots, random: Random(seed) }
    }

    fn ring(&mut self) -> &'m Ring {
        let number = self.number_of_ring();
        &self.shared.rings[number]
    }

    fn number_of_ring(&mut self) -> usize {
        let (near, any) = (self.random.below(NEAR as usize), self.random.below(RINGS));
        self.random.one_of(&[near, near, near, any])
    }

    fn process(&mut self) -> &'m Process {
        let (near, any) = (self.random.below(NEAR as usize), self.random.below(PROCESSES));
        let number = self.random.one_of(&[near, near, near, any]);
        &self.shared.processes[number]
    }

    /// Tells one lie.
    fn lie(&mut self) {
        match self.random.below(16) {
            0 => self.lie_about_all(),
            1 => self.lie_about_a_ring(),
            2 | 3 => self.lie_about_a_thread(),
            4 => self.lie_about_a_process(),
            5 | 6 => self.come(),
            7 => self.lie_in_text(),
            8 => self.lie_in_slots(),
            9 => self.leave_and_ask(),
            10 => self.count_frames(),
            11 => self.tell_modules(),
            12 => self.begin_and_never_end(),
            _ => self.write_what_looks_true(),
        }
    }

    fn lie_about_all(&mut self) {
        let control = &self.shared.control;
        let halves = [
            &control.version,
            &control.when_full,
            &control.clock,
            &control.recorder,
            &control.asleep,
            &control.arrivals,
            &control.rings_used,
            &control.processes_used,
            &control.turned_away,
            &control.stack_depth,
            &control.heartbeat.0,
        ];
        let value = self.random.half();
        self.random.one_of(&halves).store(value, Ordering::Relaxed);
        let word = self.random.word();
        self.random.one_of(&[&control.serials, &control.stack_every]).store(word, Ordering::Relaxed);
        // Looked for always, so that other lies are heard of.
        control.arrivals.fetch_add(1, Ordering::Relaxed);
    }

    fn lie_about_a_ring(&mut self) {
        let ring = self.ring();
        let words = [&ring.cursor, &ring.lost, &ring.waits, &ring.tenancy, &ring.reader.head];
        let value = self.random.word();
        self.random.one_of(&words).store(value, Ordering::Relaxed);
        let value = self.random.half();
        self.random.one_of(&[&ring.thread, &ring.reader.waiting]).store(value, Ordering::Relaxed);
    }

    /// A thread that there is not comes, goes on, or goes.
    fn lie_about_a_thread(&mut self) {
        let stage = self.random.one_of(&[Stage::Taken, Stage::Open, Stage::Leaving, Stage::Left]);
        let process = self.random.one_of(&[0, 1, 2, 3, 255, u16::MAX]);
        let tenancy = Tenancy::taking(process, self.random.next()).at(stage);
        self.ring().tenancy.store(tenancy.word(), Ordering::Release);
        self.shared.control.rings_used.fetch_max(NEAR, Ordering::Relaxed);
        self.shared.control.arrivals.fetch_add(1, Ordering::Release);
    }

    fn lie_about_a_process(&mut self) {
        let process = self.process();
        let halves = [
            &process.state,
            &process.pid,
            &process.parent,
            &process.verdict,
            &process.leaving,
            &process.text_length,
        ];
        let value = self.random.half();
        self.random.one_of(&halves).store(value, Ordering::Relaxed);
        let words = [
            &process.serial,
            &process.copy_of,
            &process.ticket,
            &process.began,
            &process.program_break,
            &process.lost,
        ];
        let value = self.random.word();
        self.random.one_of(&words).store(value, Ordering::Relaxed);
    }

    /// A process that there is not makes its first call, or seems to become another program.
    fn come(&mut self) {
        let us = std::process::id();
        let process = self.process();
        let pid = self.random.one_of(&[us, us, 0, 1, 2, u32::MAX]);
        process.pid.store(pid, Ordering::Relaxed);
        let verdict = self.random.one_of(&Verdict::ALL);
        process.verdict.store(verdict as u32, Ordering::Relaxed);
        let copy_of = self.random.word();
        process.copy_of.store(self.random.one_of(&[0, 0, 1, copy_of]), Ordering::Relaxed);
        process.began.store(self.random.word(), Ordering::Relaxed);
        arrive(self.shared, process, self.random.next());
    }

    /// Names and arguments, of any length, of letters that take four bytes, and cut off.
    fn lie_in_text(&mut self) {
        let process = self.process();
        let piece = "𝐀".repeat(self.random.below(4000));
        let label = self.random.one_of(&Label::ALL);
        let used = process.text.append(0, label, piece.bytes());
        let used = (0..self.random.below(5000))
            .fold(used, |used, _| process.text.append(used, Label::Argument, [].into_iter()));
        let length = self.random.half();
        let length = self.random.one_of(&[u32::try_from(used).unwrap(), length]);
        process.text_length.store(length, Ordering::Relaxed);
    }

    fn lie_in_slots(&mut self) {
        let number = self.number_of_ring();
        let slots = self.slots[number];
        for _ in 0..self.random.below(200) {
            let place = self.random.below(slots.len());
            let value = self.random.word();
            slots[place].words[self.random.below(4)].store(value, Ordering::Relaxed);
        }
    }

    fn leave_and_ask(&mut self) {
        let process = self.process();
        let leaving = self.random.one_of(&[Leaving::Asks, Leaving::Not, Leaving::Seen]);
        process.leaving.store(leaving as u32, Ordering::SeqCst);
    }

    /// Writes slots as an agent does, where the recorder will look for them next.
    fn write(&mut self, slots: impl IntoIterator<Item = (u8, u64, [u64; 3])>) {
        let number = self.number_of_ring();
        self.write_to(number, slots);
    }

    fn write_to(&self, number: usize, slots: impl IntoIterator<Item = (u8, u64, [u64; 3])>) {
        let (ring, room) = (&self.shared.rings[number], self.slots[number]);
        let (head, cursor) = (ring.reader.head.load(Ordering::Relaxed), ring.cursor.load(Ordering::Relaxed));
        // Where the recorder was lied to about that, it looks where it stopped.
        let mut index = if cursor.wrapping_sub(head) <= ring::SLOTS { cursor } else { head };
        for (kind, small, words) in slots {
            let slot = &room[ring::place(index)];
            for (to, word) in slot.words[1..].iter().zip(words) {
                to.store(word, Ordering::Relaxed);
            }
            slot.words[0].store(slot::label(index, kind, small & 0xffff_ffff_ffff), Ordering::Release);
            index = index.wrapping_add(1);
        }
        ring.cursor.store(index, Ordering::Release);
    }

    fn write_what_looks_true(&mut self) {
        let slots: Vec<_> = (0..self.random.below(300))
            .map(|_| {
                let kind = self.random.one_of(Kind::ALL) as u8;
                let wide = self.random.one_of(&[0, 0, WIDE]);
                let time = self.random.word();
                let time = self.random.one_of(&[now(CLOCK), now(CLOCK), time]);
                (kind | wide, self.random.word(), [time, self.random.word(), self.random.word()])
            })
            .collect();
        self.write(slots);
    }

    /// Frames that are said to be the millionth of their thread, and to begin anew.
    fn count_frames(&mut self) {
        let numbers = [1 << 20, (1 << 20) - 1, 1 << 19, 1, 1 << 40];
        let frames: Vec<_> = (0..self.random.below(50))
            .map(|_| {
                (
                    Kind::Frame as u8,
                    self.random.word(),
                    [now(CLOCK), self.random.word(), self.random.one_of(&numbers)],
                )
            })
            .collect();
        self.write(frames);
        if self.random.below(4) == 0 {
            self.write([(Kind::NoFrames as u8, 0, [now(CLOCK), 0, 0])]);
        }
    }

    /// Modules without a name, which the program's is put in for, or with one that never comes to its end.
    fn tell_modules(&mut self) {
        let at = self.random.next() & 0x7fff_ffff_f000;
        let lengths = self.random.word();
        let lengths = self.random.one_of(&[0, 0, lengths]);
        let count = self.random.below(2000) as u64;
        self.write((0..count).flat_map(|module| told(at + module * 0x1000, lengths)));
        self.write((0..10).map(|_| (Kind::Text as u8, 0, [now(CLOCK), u64::MAX, 0x2f2f_2f2f_2f2f_2f2f])));
    }

    /// Calls of realloc that begin, and never end, by a thread that then goes.
    fn begin_and_never_end(&mut self) {
        let old = self.random.word();
        self.write((0..40).map(|i| (Kind::Realloc as u8, 8, [now(CLOCK), old.wrapping_add(i * 32), 0])));
        self.write([(Kind::ThreadExit as u8, 0, [now(CLOCK), 0, 0])]);
    }
}

/// The two slots that tell of a module, whose name is so long.
fn told(start: u64, lengths: u64) -> [(u8, u64, [u64; 3]); 2] {
    let arguments = (Kind::Arguments as u8, 0, [now(CLOCK), 0, lengths]);
    [arguments, (Kind::Module as u8 | WIDE, 0, [now(CLOCK), start, start + 0x1000])]
}

/// The process with this entry makes its first call, with this serial.
fn arrive(shared: &Shared, entry: &Process, serial: u64) {
    entry.serial.store(serial, Ordering::Relaxed);
    entry.state.store(State::Ready as u32, Ordering::Release);
    shared.control.processes_used.fetch_max(NEAR, Ordering::Relaxed);
    shared.control.arrivals.fetch_add(1, Ordering::Release);
}

/// A thread of that process gets that ring.
fn enrol(shared: &Shared, ring: usize, process: u16) {
    let tenancy = Tenancy::taking(process, ring::FIRST).at(Stage::Open);
    shared.rings[ring].tenancy.store(tenancy.word(), Ordering::Release);
    shared.control.rings_used.fetch_max(u32::try_from(ring).unwrap() + 1, Ordering::Relaxed);
    shared.control.arrivals.fetch_add(1, Ordering::Release);
}

/// The process that calls before any lie is told, as its agent tells it.
fn call(memory: &Memory) {
    let shared = memory.shared();
    let entry = &shared.processes[0];
    entry.pid.store(std::process::id(), Ordering::Relaxed);
    entry.began.store(now(CLOCK), Ordering::Relaxed);
    let used = entry.text.append(0, Label::Executable, b"/usr/bin/good".iter().copied());
    entry.text_length.store(u32::try_from(used).unwrap(), Ordering::Relaxed);
    let (ring, slots) = memory.ring(0).unwrap();
    for (index, request) in (ring::FIRST..).zip(0..GOOD) {
        let words = &slots[ring::place(index)].words;
        words[1].store(now(CLOCK), Ordering::Relaxed);
        words[2].store(0x1000 + 0x100 * request, Ordering::Relaxed);
        words[3].store(0x21, Ordering::Relaxed);
        words[0].store(slot::label(index, Kind::Malloc as u8, request), Ordering::Release);
    }
    ring.cursor.store(ring::FIRST + GOOD, Ordering::Release);
    let thread = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
    ring.thread.store(thread, Ordering::Relaxed);
    shared.control.serials.store(1, Ordering::Relaxed);
    enrol(shared, 0, 0);
    arrive(shared, entry, 1);
}

/// All that the recorder has no business writing to.
fn of_the_program(memory: &Memory) -> Vec<u64> {
    let shared = memory.shared();
    let mut words = Vec::new();
    let mut see = |halves: &[&AtomicU32], whole: &[&AtomicU64]| {
        words.extend(halves.iter().map(|half| u64::from(half.load(Ordering::Relaxed))));
        words.extend(whole.iter().map(|word| word.load(Ordering::Relaxed)));
    };
    let control = &shared.control;
    see(
        &[
            &control.version,
            &control.when_full,
            &control.clock,
            &control.recorder,
            &control.arrivals,
            &control.rings_used,
            &control.processes_used,
            &control.turned_away,
            &control.stack_depth,
        ],
        &[&control.serials, &control.stack_every],
    );
    for ring in &shared.rings {
        see(&[&ring.thread], &[&ring.cursor, &ring.lost, &ring.waits]);
    }
    for entry in &shared.processes {
        see(
            &[&entry.pid, &entry.parent, &entry.verdict, &entry.text_length],
            &[&entry.serial, &entry.copy_of, &entry.ticket, &entry.began, &entry.program_break, &entry.lost],
        );
    }
    for number in 0..NEAR as usize {
        let (_, slots) = memory.ring(number).unwrap();
        for slot in slots {
            see(&[], &slot.words.each_ref());
        }
    }
    words
}

/// Keeps this process to so much of something: more is a test that fails.
fn keep_to(resource: Resource, most: u64) {
    setrlimit(resource, Rlimit { current: Some(most), ..getrlimit(resource) }).unwrap();
}

/// A recording of a program that made some calls, then `lies` to `recorder`, and ends.
fn check(what: &str, lies: impl FnOnce(&Memory, &mut Collector<'_>)) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    keep_to(Resource::Data, MEMORY);
    keep_to(Resource::Nofile, DESCRIPTORS);
    let directory = TempDir::new().unwrap();
    let output = directory.path().join("app.mscope");
    let memory = Memory::new(CLOCK, WhenFull::Wait).unwrap();
    memory.want_stacks(Capture { sampling: Sampling::All, depth: 64 });
    let scale = Scale::measured(CLOCK, Moment::now());
    let mut collector = Collector::new(&memory, CLOCK, scale, &output, std::process::id(), None);
    call(&memory);
    while collector.progress().calls < GOOD {
        collector.round().unwrap();
    }
    lies(&memory, &mut collector);
    collector.end(&Cause::Exited { status: 0 }).unwrap_or_else(|error| panic!("{what}: {error}"));
    let good = collector.finished().iter().find(|finished| finished.arrival.serial == 1);
    let good = good.unwrap_or_else(|| panic!("{what}: the trace of what was good is not there"));
    let mut requests = Vec::new();
    let mut files = HashSet::new();
    for finished in collector.finished() {
        let called = read(&finished.path, what);
        if finished.path == good.path {
            requests = called;
        }
        assert!(files.insert(&finished.path), "{what}: two traces have one name");
    }
    let expected: Vec<u64> = (0..GOOD).collect();
    assert_eq!(requests[..expected.len().min(requests.len())], expected, "{what}");
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        names(&collector),
        "{what}: no file is left over"
    );
}

/// How many names the traces have.
fn names(collector: &Collector<'_>) -> usize {
    let finished = collector.finished().iter();
    finished
        .map(|finished| {
            1 + usize::from(finished.lasting_path.as_ref().is_some_and(|path| *path != finished.path))
        })
        .sum()
}

/// What was asked for in a trace, which can be read to its end.
fn read(path: &Path, what: &str) -> Vec<u64> {
    let mut reader =
        Reader::open_file(path).unwrap_or_else(|error| panic!("{what}: {}: {error}", path.display()));
    let (mut requests, mut batch) = (Vec::new(), Vec::new());
    while reader.next_batch(&mut batch).unwrap_or_else(|error| panic!("{what}: {error}")).is_some() {
        requests.extend(batch.iter().filter_map(|record| match record.call {
            Call::Malloc { request, .. } => Some(request),
            _ => None,
        }));
    }
    assert!(reader.ending().is_some(), "{what}: {}", path.display());
    requests
}

fn seeds() -> std::ops::Range<u64> {
    let asked = env::var("SEEDS").ok();
    let range = asked.as_deref().and_then(|asked| asked.split_once(".."));
    range.map_or(0..24, |(first, end)| first.parse().unwrap()..end.parse().unwrap())
}

#[test]
fn no_lie_makes_the_recorder_do_harm_or_forget() {
    for seed in seeds() {
        check(&format!("seed {seed}"), |memory, collector| {
            let mut liar = Liar::of(memory, seed);
            for round in 0..ROUNDS {
                (0..LIES).for_each(|_| liar.lie());
                let before = (round % 8 == 0).then(|| of_the_program(memory));
                collector.round().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                let is_same = before.is_none_or(|before| before == of_the_program(memory));
                assert!(is_same, "seed {seed}: the recorder wrote where only programs do");
            }
        });
    }
}

#[test]
fn lies_that_are_told_while_the_recorder_looks_do_no_more() {
    for seed in seeds().step_by(6) {
        check(&format!("seed {seed}"), |memory, collector| {
            let enough = AtomicBool::new(false);
            let mut liar = Liar::of(memory, seed);
            thread::scope(|scope| {
                scope.spawn(|| {
                    while !enough.load(Ordering::Relaxed) {
                        liar.lie();
                    }
                });
                for _ in 0..ROUNDS {
                    collector.round().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                }
                enough.store(true, Ordering::Relaxed);
            });
        });
    }
}

#[test]
fn an_entry_is_somebodys_until_it_is_given_back() {
    check("an entry", |memory, collector| {
        let shared = memory.shared();
        let entry = &shared.processes[1];
        entry.pid.store(std::process::id(), Ordering::Relaxed);
        entry.copy_of.store(77, Ordering::Relaxed);
        for serial in 2..3000 {
            arrive(shared, entry, serial);
            collector.round().unwrap();
        }
    });
}

#[test]
fn a_process_that_seems_to_be_one_program_after_another_uses_up_no_descriptors() {
    check("programs", |memory, collector| {
        let shared = memory.shared();
        for serial in 2..1500 {
            let entry = &shared.processes[1 + (serial % 3) as usize];
            entry.pid.store(std::process::id(), Ordering::Relaxed);
            arrive(shared, entry, serial);
            collector.round().unwrap();
        }
        assert!(collector.finished().len() > 1000);
    });
}

#[test]
fn numbers_of_frames_that_were_never_told_take_no_room_to_speak_of() {
    check("frames", |memory, collector| {
        let liar = Liar::of(memory, 0);
        for ring in 1..RINGS {
            enrol(memory.shared(), ring, 0);
            liar.write_to(ring, [(Kind::Frame as u8, 0, [now(CLOCK), 0x1000, 1 << 20])]);
        }
        collector.round().unwrap();
    });
}

#[test]
fn modules_with_long_names_are_told_in_parts_that_can_be_read() {
    check("modules", |memory, collector| {
        let liar = Liar::of(memory, 0);
        let entry = &memory.shared().processes[1];
        entry.pid.store(std::process::id(), Ordering::Relaxed);
        let used = entry.text.append(0, Label::Executable, [b'/'; 4096].into_iter());
        entry.text_length.store(u32::try_from(used).unwrap(), Ordering::Relaxed);
        arrive(memory.shared(), entry, 2);
        enrol(memory.shared(), 1, 1);
        for modules in [0..8000, 8000..16_000, 16_000..24_000] {
            liar.write_to(1, modules.flat_map(|module| told(0x1000 * module, 0)));
            collector.round().unwrap();
        }
    });
}

#[test]
fn what_was_asked_for_is_not_what_a_program_says_that_it_was() {
    check("capture", |memory, collector| {
        let shared = memory.shared();
        shared.control.stack_depth.store(u32::MAX, Ordering::Relaxed);
        let entry = &shared.processes[1];
        entry.pid.store(std::process::id(), Ordering::Relaxed);
        arrive(shared, entry, 2);
        collector.round().unwrap();
        collector.end(&Cause::Unknown).unwrap();
        let last = collector.finished().iter().find(|finished| finished.arrival.serial == 2).unwrap();
        let stacks = Reader::open_file(&last.path).unwrap().stacks().unwrap();
        assert_eq!(stacks.capture.map(|capture| capture.depth), Some(64));
    });
}
