//! The stacks of heaptrack's text: raw, addresses and what was mapped; interpreted, addresses and what they are called.

use super::line::OfStacks;
use crate::error::Error;
use crate::foreign::tree::Tree;
use crate::stacks::{Frame, Module, ModuleId, Stack};
use crate::symbols::{Builder, Function};
use crate::write::Writer;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;

/// How many frames a stack of heaptrack's has at most (`Trace::MAX_SIZE`).
const DEPTH: u32 = 64;

/// The stacks, and what has gone into the trace of them. A number that nothing has is that of no stack, no text, nothing.
#[derive(Debug)]
pub(super) struct Stacks {
    tree: Tree,
    /// By the number less one.
    stacks: Vec<Stack>,
    /// The path of the program.
    program: String,
    /// What is mapped, by where it begins: where it ends, the module, and its bias.
    mapped: BTreeMap<u64, (u64, ModuleId, u64)>,
    modules: HashMap<(String, u64), ModuleId>,
    /// By the number less one.
    texts: Vec<String>,
    /// Where each address is, by the number less one.
    places: Vec<(Option<ModuleId>, u64)>,
    /// Whether addresses have numbers.
    is_interpreted: bool,
    names: Builder,
}

impl Stacks {
    pub fn begin<W: Write>(trace: &mut Writer<W>) -> Stacks {
        Stacks {
            tree: Tree::begin(DEPTH, trace),
            stacks: Vec::new(),
            program: String::new(),
            mapped: BTreeMap::new(),
            modules: HashMap::new(),
            texts: Vec::new(),
            places: Vec::new(),
            is_interpreted: false,
            names: Builder::default(),
        }
    }

    /// The stack of a number.
    pub fn stack(&self, number: u64) -> Stack {
        of(&self.stacks, number).copied().unwrap_or(Stack::NONE)
    }

    pub fn take<W: Write>(&mut self, line: OfStacks<'_>, trace: &mut Writer<W>) {
        match line {
            OfStacks::Program(path) => path.clone_into(&mut self.program),
            OfStacks::Modules => self.mapped.clear(),
            OfStacks::Module { file, start, segments } => self.map(file, start, &segments, trace),
            OfStacks::Text(text) => self.texts.push(text.to_owned()),
            OfStacks::Place { address, module, functions } => {
                self.is_interpreted = true;
                self.name(address, module, &functions, trace);
            }
            OfStacks::Frame { address, caller } => {
                let place = if self.is_interpreted {
                    of(&self.places, address).copied()
                } else {
                    Some(self.place(address))
                };
                let caller = self.stack(caller);
                let stack = place.map_or(caller, |(module, address)| {
                    self.tree.stack(Frame { caller, module, address }, trace)
                });
                self.stacks.push(stack);
            }
        }
    }

    /// Puts what addresses are called into the trace, if that was said.
    pub fn finish<W: Write>(self, trace: &mut Writer<W>) -> Result<(), Error> {
        if self.is_interpreted { trace.symbols(&self.names.finish()) } else { Ok(()) }
    }

    /// A module was mapped.
    fn map<W: Write>(&mut self, file: &str, bias: u64, segments: &[[u64; 2]], trace: &mut Writer<W>) {
        let path = if file == "x" { &self.program } else { file };
        let bounds = segments.iter().map(|&[at, length]| {
            let start = bias.wrapping_add(at);
            (start, start.saturating_add(length))
        });
        let start = bounds.clone().map(|(start, _)| start).min().unwrap_or(bias);
        let end = bounds.clone().map(|(_, end)| end).max().unwrap_or(bias);
        let module = Module { path: path.to_owned(), build_id: Vec::new(), start, end, bias };
        let id = *self.modules.entry((module.path.clone(), bias)).or_insert_with(|| trace.module(module));
        self.mapped.extend(bounds.map(|(start, end)| (start, (end, id, bias))));
    }

    /// Where an address is in what is mapped.
    fn place(&self, address: u64) -> (Option<ModuleId>, u64) {
        // The call is before where it returns to, which may be behind the end.
        let call = address.saturating_sub(1);
        let found = self.mapped.range(..=call).next_back().filter(|(_, (end, ..))| call < *end);
        found.map_or((None, address), |(_, &(_, id, bias))| (Some(id), address.wrapping_sub(bias)))
    }

    /// An address, its module, and its functions: the innermost first, each with a name, a file and a line.
    fn name<W: Write>(&mut self, address: u64, module: u64, functions: &[[u64; 3]], trace: &mut Writer<W>) {
        let module = of(&self.texts, module).map(|path| {
            // Where it was mapped is not said: addresses are those of the process.
            let new = || trace.module(Module { path: path.clone(), ..Module::default() });
            *self.modules.entry((path.clone(), 0)).or_insert_with(new)
        });
        self.places.push((module, address));
        let Some(module) = module else { return };
        let text = |number| of(&self.texts, number).map(String::as_str);
        let known = functions.iter().filter(|&&[name, file, _]| name > 0 || file > 0);
        let named = known.map(|&[name, file, line]| Function {
            name: text(name).unwrap_or_default(),
            file: text(file),
            line: u32::try_from(line).ok().filter(|line| *line > 0),
        });
        self.names.put(module, address, named);
    }
}

/// What has a number, from 1 on.
fn of<T>(all: &[T], number: u64) -> Option<&T> {
    all.get(usize::try_from(number).ok()?.checked_sub(1)?)
}
