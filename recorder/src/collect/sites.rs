//! From where calls were made: the frames that threads tell, each in a tree of its own, put into the one
//! tree of the trace, and the modules they lie in.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use malloscope_traces::Writer;
use malloscope_traces::redaction::Redaction;
use malloscope_traces::stacks::{Capture, Frame, Module, ModuleId, Sampling, Stack};
use malloscope_wire::Control;
use malloscope_wire::slot::TEXT_BYTES;
use std::sync::atomic::Ordering;

use super::facts;

/// The most frames a thread tells before it begins anew.
const FRAMES: usize = 1 << 20;

/// How many numbers the threads of a process may leave out, all in all: those of frames that were lost, which are kept as
/// numbers of no stack. A program that leaves out more is not told from one that makes up its numbers.
const GAPS: usize = 1 << 24;

/// The most modules of a process: a trace is not believed to have more.
const MODULES: usize = 1 << 16;

/// The longest build id that is kept. They have 20 bytes.
const BUILD_ID: usize = 64;

/// What a recording wants to know of stacks, as it stands in the shared memory.
pub fn capture(control: &Control) -> Option<Capture> {
    let depth = control.stack_depth.load(Ordering::Relaxed);
    let mean = control.stack_every.load(Ordering::Relaxed);
    let sampling = if mean == 0 { Sampling::All } else { Sampling::Bytes { mean } };
    (depth != 0).then_some(Capture { sampling, depth })
}

/// The stacks of one process.
#[derive(Debug, Default)]
pub struct Sites {
    /// The path of the program, which the dynamic linker has no name for.
    program: String,
    /// What is left out of the trace.
    redaction: Redaction,
    /// Where modules lie, by where each begins. No two overlap.
    mapped: BTreeMap<u64, Mapped>,
    /// How many numbers were left out.
    gaps: usize,
    modules: HashMap<Module, ModuleId>,
    frames: HashMap<Frame, Stack>,
}

/// Where a module lies.
#[derive(Clone, Copy, Debug)]
struct Mapped {
    end: u64,
    bias: u64,
    module: ModuleId,
}

/// What one thread has told.
#[derive(Debug, Default)]
pub struct Told {
    /// The stack that each of its numbers stands for, from 1 on.
    stacks: Vec<Stack>,
    /// The module it is telling of.
    module: Option<Unnamed>,
}

/// A module whose name is being told.
#[derive(Debug)]
struct Unnamed {
    module: Module,
    path_length: usize,
    length: usize,
    text: Vec<u8>,
}

impl Told {
    /// The stack with this number.
    #[inline]
    pub fn stack(&self, number: u32) -> Stack {
        let place = usize::try_from(number).unwrap_or(0).checked_sub(1);
        place.and_then(|place| self.stacks.get(place)).copied().unwrap_or(Stack::NONE)
    }

    /// Its numbers begin anew.
    pub fn forget(&mut self) {
        self.stacks.clear();
    }

    /// Begins to tell of a module.
    pub fn begin(&mut self, start: u64, end: u64, bias: u64, lengths: u64) {
        let half = |word: u64| usize::from(u16::try_from(word & 0xffff).unwrap_or(0));
        let path_length = half(lengths);
        let module = Module { path: String::new(), build_id: Vec::new(), start, end, bias };
        let length = path_length + half(lengths >> 16);
        self.module = Some(Unnamed { module, path_length, length, text: Vec::new() });
    }
}

impl Sites {
    /// Of the program with this path, in a trace that leaves this out.
    pub fn new(program: &str, redaction: Redaction) -> Sites {
        Sites { program: program.to_owned(), redaction, ..Sites::default() }
    }

    /// Takes a piece of what a module is called; nothing, if there is none.
    pub fn name<W: Write>(&mut self, told: &mut Told, words: Option<[u64; 2]>, writer: &mut Writer<W>) {
        let Some(unnamed) = &mut told.module else { return };
        for word in words.into_iter().flatten() {
            unnamed.text.extend_from_slice(&word.to_le_bytes());
        }
        if unnamed.text.len() >= unnamed.length
            && let Some(named) = told.module.take()
        {
            self.add(named, writer);
        }
    }

    /// A module is known.
    fn add<W: Write>(
        &mut self,
        Unnamed { mut module, path_length, length, text }: Unnamed,
        writer: &mut Writer<W>,
    ) {
        debug_assert!(text.len() < length + TEXT_BYTES, "no piece was taken that is not its own");
        module.path = facts::path(&text[..path_length]);
        module.build_id = text[path_length..length].iter().copied().take(BUILD_ID).collect();
        if module.path.is_empty() {
            module.path.clone_from(&self.program);
        }
        self.redaction.of_path(&mut module.path);
        let Module { start, end, bias, .. } = module;
        if start >= end || self.modules.len() >= MODULES && !self.modules.contains_key(&module) {
            return;
        }
        self.forget(start, end);
        let module = *self.modules.entry(module).or_insert_with_key(|module| writer.module(module.clone()));
        self.mapped.insert(start, Mapped { end, bias, module });
    }

    /// Nothing that was said to lie there does any more.
    fn forget(&mut self, start: u64, end: u64) {
        while let Some((&other, _)) =
            self.mapped.range(..end).next_back().filter(|(_, other)| other.end > start)
        {
            self.mapped.remove(&other);
        }
    }

    /// Takes a frame: where it returns to, and its own and its caller's number.
    pub fn frame<W: Write>(
        &mut self,
        told: &mut Told,
        caller: u64,
        returns_to: u64,
        number: u64,
        writer: &mut Writer<W>,
    ) {
        let Some(place) = usize::try_from(number).ok().and_then(|number| number.checked_sub(1)) else {
            return;
        };
        let gap = place.saturating_sub(told.stacks.len());
        if place >= FRAMES || gap > GAPS - self.gaps {
            return;
        }
        self.gaps += gap;
        let caller = told.stack(u32::try_from(caller).unwrap_or(0));
        let call = returns_to.wrapping_sub(1);
        let below = self.mapped.range(..=call).next_back();
        let mapped = below.map(|(_, mapped)| mapped).filter(|mapped| call < mapped.end);
        let bias = mapped.map_or(0, |mapped| mapped.bias);
        let module = mapped.map(|mapped| mapped.module);
        let frame = Frame { caller, module, address: returns_to.wrapping_sub(bias) };
        let stack = *self.frames.entry(frame).or_insert_with(|| writer.frame(frame));
        // Those in between were lost.
        told.stacks.resize(place, Stack::NONE);
        told.stacks.push(stack);
    }
}
