//! Traces with stacks, and what they say, found by a plain map.

use malloscope_traces::header::{Clock, ClockSource, Heap, Program};
use malloscope_traces::stacks::{Capture, Frame, Module, ModuleId, Sampling, Stack};
use malloscope_traces::{Call, Ending, Header, Nanos, Placed, Pointer, Record, Thread, Writer};
use std::collections::BTreeMap;

pub const ALL: Sampling = Sampling::All;
pub const SAMPLED: Sampling = Sampling::Bytes { mean: 2000 };

/// How long the recording ran.
pub const DURATION: u64 = 100_000_000;

/// Blocks and bytes.
pub type Amount = (f64, f64);

/// What is true of one stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Site {
    pub allocated: Amount,
    pub live: Amount,
    pub at_peak: Amount,
    /// Nanoseconds.
    pub lifetimes: f64,
}

/// What is true of a trace.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub sites: BTreeMap<u32, Site>,
    /// Bytes live: all calls count, with a stack or without.
    pub live: u64,
    pub peak: u64,
    pub peak_time: u64,
    pub held: u64,
    pub records: u64,
}

impl Truth {
    /// The sum of something over all stacks.
    pub fn sum(&self, of: impl Fn(&Site) -> f64) -> f64 {
        self.sites.values().map(of).sum()
    }

    /// Whether a number is this sum, but for the rounding of each stack.
    pub fn check(&self, name: &str, found: u64, of: impl Fn(&Site) -> f64) {
        let expected = self.sum(of);
        let bound = if expected.fract() == 0.0 { 0.5 } else { self.sites.len() as f64 };
        assert!((found as f64 - expected).abs() <= bound, "{name}: {found}, not {expected}");
    }
}

pub fn header() -> Header {
    Header {
        recorder: "malloscope test".to_owned(),
        program: Program {
            path: "/usr/bin/app".to_owned(),
            arguments: vec!["app".to_owned(), "--quietly".to_owned()],
            pid: 4242,
            ..Program::default()
        },
        heap: Heap { initial_break: 0x10_0000, placements: true },
        clock: Clock { source: ClockSource::Tsc, began: 1_700_000_000_000_000_000, resolution: 1 },
        ..Header::default()
    }
}

pub fn without_stacks(header: &Header) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), header).unwrap();
    for number in 0..1000 {
        let to = Placed { pointer: Pointer::seen(0x20_0000 + number * 64), head: 65 };
        let call = Call::Malloc { request: 50, to };
        let record = Record { time: Nanos(number * 100), thread: Thread(0), program_break: 0x30_0000, call };
        writer.record(&record).unwrap();
    }
    writer.finish(&Ending::default()).unwrap()
}

/// A trace with a stack of so many frames, and an allocation of 100 bytes at each of them.
pub fn deep(frames: u32) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    writer.capture(Capture { sampling: Sampling::All, depth: u32::MAX });
    let mut caller = Stack::NONE;
    for number in 0..frames {
        caller = writer.frame(Frame { caller, module: None, address: 0x1000 + u64::from(number) });
        let to = Placed { pointer: Pointer::seen(0x20_0000 + u64::from(number) * 128), head: 113 };
        let call = Call::Malloc { request: 100, to };
        let record = Record { time: Nanos(0), thread: Thread(0), program_break: 0, call };
        writer.record_from(&record, caller).unwrap();
    }
    writer.finish(&Ending::default()).unwrap()
}

/// Numbers that look drawn by chance.
pub struct Random(u64);

impl Random {
    pub fn new() -> Random {
        Random(0x9e37_79b9_7f4a_7c15)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A trace whose program does anything, and what is true of it.
pub fn random(records: u64, sampling: Sampling) -> (Vec<u8>, Truth) {
    random_with(records, sampling, &header())
}

pub fn random_with(records: u64, sampling: Sampling, header: &Header) -> (Vec<u8>, Truth) {
    let mut writer = Writer::new(Vec::new(), header).unwrap();
    writer.capture(Capture { sampling, depth: 64 });
    let mut random = Random::new();
    let stacks = grow(&mut writer, &mut random);
    let mut program = Running { sampling, live: BTreeMap::new(), next: 0x20_0000, truth: Truth::default() };
    for number in 0..records {
        let time = if number == 0 { 0 } else { number * (DURATION / records) + random.below(50) };
        let (call, stack) = program.step(time, &stacks, &mut random);
        let thread = Thread(u32::try_from(random.below(3).min(number)).unwrap());
        let record = Record { time: Nanos(time), thread, program_break: 0x10_0000 + number * 16, call };
        writer.record_from(&record, stack).unwrap();
    }
    let ending = Ending { duration: Nanos(DURATION), ..Ending::default() };
    let trace = writer.finish(&ending).unwrap();
    program.truth.records = records;
    (trace, program.finish())
}

/// Two modules, and a tree of frames in them and outside.
fn grow(writer: &mut Writer<Vec<u8>>, random: &mut Random) -> Vec<Stack> {
    for (path, start) in [("/usr/bin/app", 0x40_0000), ("/usr/lib/libc.so.6", 0x7f00_0000_0000)] {
        let build_id = (0..20).map(|byte| byte * 12).collect();
        let module = Module { path: path.to_owned(), build_id, start, end: start + 0x10_0000, bias: start };
        writer.module(module);
    }
    let mut stacks = vec![Stack::NONE];
    for _ in 0..300 {
        let caller = stacks[usize::try_from(random.below(stacks.len() as u64)).unwrap()];
        let module = [Some(ModuleId(0)), Some(ModuleId(1)), None][usize::try_from(random.below(3)).unwrap()];
        let address = 0x1000 + random.below(500);
        let frame = writer.frame(Frame { caller, module, address });
        stacks.push(frame);
    }
    stacks
}

/// The program, on its way.
struct Running {
    sampling: Sampling,
    /// By address: request, stack, birth and chunk.
    live: BTreeMap<u64, (u64, Stack, u64, u64)>,
    next: u64,
    truth: Truth,
}

impl Running {
    fn step(&mut self, time: u64, stacks: &[Stack], random: &mut Random) -> (Call, Stack) {
        let request = 1 + random.below(3000);
        let chosen = stacks[usize::try_from(random.below(stacks.len() as u64)).unwrap()];
        let hit = match self.sampling {
            Sampling::All => true,
            Sampling::Bytes { .. } => random.below(3) == 0,
        };
        let stack = if hit { chosen } else { Stack::NONE };
        let refused = Placed { pointer: Pointer::NULL, head: 0 };
        let some = match self.live.len() as u64 {
            0 => None,
            length => self.live.keys().nth(usize::try_from(random.below(length)).unwrap()).copied(),
        };
        let kind = random.below(20);
        match (kind, some) {
            (0, _) => (Call::Malloc { request: 1 << 60, to: refused }, stack),
            (1, Some(old)) => {
                (Call::Realloc { old: Pointer::seen(old), request: 1 << 60, to: refused }, stack)
            }
            (2, Some(old)) => {
                self.end(old, time);
                (Call::Realloc { old: Pointer::seen(old), request: 0, to: refused }, stack)
            }
            (3..=5, Some(old)) => {
                self.end(old, time);
                let to = self.begin(if kind == 3 { old } else { self.next }, request, stack, time);
                (Call::Realloc { old: Pointer::seen(old), request, to }, stack)
            }
            (6..=10, Some(pointer)) => {
                self.end(pointer, time);
                (Call::Free { pointer: Pointer::seen(pointer) }, Stack::NONE)
            }
            (11, _) => (Call::Free { pointer: Pointer::NULL }, Stack::NONE),
            (12, _) => {
                let to = self.begin(self.next, request * 3, stack, time);
                (Call::Calloc { count: 3, size: request, to }, stack)
            }
            (13, _) => {
                let to = self.begin(self.next, request, stack, time);
                (Call::AlignedAlloc { alignment: 64, request, to }, stack)
            }
            _ => {
                let to = self.begin(self.next, request, stack, time);
                (Call::Malloc { request, to }, stack)
            }
        }
    }

    /// Whom a call counts for, and for how many.
    fn weight(&self, request: u64, stack: Stack) -> f64 {
        match self.sampling {
            Sampling::Bytes { .. } if stack.is_none() => 0.0,
            sampling => sampling.weight(request),
        }
    }

    fn begin(&mut self, address: u64, request: u64, stack: Stack, time: u64) -> Placed {
        self.next = self.next.max(address + 0x4000);
        let chunk = (request + 8).next_multiple_of(16).max(32);
        self.live.insert(address, (request, stack, time, chunk));
        let weight = self.weight(request, stack);
        if weight > 0.0 {
            let site = self.truth.sites.entry(stack.0).or_default();
            add(&mut site.allocated, request, weight);
            add(&mut site.live, request, weight);
        }
        self.truth.live += request;
        self.truth.held += chunk;
        if self.truth.live > self.truth.peak {
            self.truth.peak = self.truth.live;
            self.truth.peak_time = time;
            for site in self.truth.sites.values_mut() {
                site.at_peak = site.live;
            }
        }
        Placed { pointer: Pointer::seen(address), head: chunk | 1 }
    }

    fn end(&mut self, address: u64, time: u64) {
        let (request, stack, born, chunk) = self.live.remove(&address).unwrap();
        let weight = self.weight(request, stack);
        if weight > 0.0 {
            let site = self.truth.sites.get_mut(&stack.0).unwrap();
            add(&mut site.live, request, -weight);
            site.lifetimes += weight * (time - born) as f64;
        }
        self.truth.live -= request;
        self.truth.held -= chunk;
    }

    fn finish(mut self) -> Truth {
        for (request, stack, born, _) in std::mem::take(&mut self.live).into_values() {
            let weight = self.weight(request, stack);
            if weight > 0.0 {
                let site = self.truth.sites.get_mut(&stack.0).unwrap();
                site.lifetimes += weight * (DURATION - born) as f64;
            }
        }
        self.truth
    }
}

fn add((blocks, bytes): &mut Amount, request: u64, weight: f64) {
    *blocks += weight;
    *bytes += weight * request as f64;
}
