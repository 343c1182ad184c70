//! Python's frames as memray tells them: functions by their code objects, and each thread's stack by what comes and goes.

use super::line_table;
use crate::foreign::tree::Tree;
use crate::stacks::{Frame, Module, ModuleId, Stack};
use crate::symbols::{Builder, Function, Symbols};
use crate::write::Writer;
use std::collections::HashMap;
use std::io::Write;

/// A function of Python.
#[derive(Debug)]
pub(super) struct Code {
    pub function: String,
    pub file: String,
    pub first_line: u32,
    pub lines: Vec<u8>,
}

/// A function, which one it is, and the module it is in.
#[derive(Debug)]
struct Known {
    code: Code,
    number: u64,
    module: ModuleId,
}

/// The stacks of all threads, and what has gone into the trace of them.
///
/// In the trace a file of Python is a module, and the lines that calls are made from have numbers there in place of
/// addresses. What they are called goes into the symbols.
#[derive(Debug)]
pub(super) struct Frames {
    python: u32,
    /// Of this thread the first so many frames are memray's own.
    skipped: (u64, u64),
    /// The functions, by memray's numbers for them.
    codes: HashMap<u64, Known>,
    /// How many there ever were: a number may be given again, to another one.
    learned: u64,
    modules: HashMap<String, ModuleId>,
    /// The lines that calls were made from, by the function, in the order of learning, and the line.
    places: HashMap<(u64, Option<u32>), u64>,
    tree: Tree,
    names: Builder,
    stacks: HashMap<u64, Vec<Stack>>,
}

impl Frames {
    pub fn new(python: u32, skipped: (u64, u64), tree: Tree) -> Frames {
        Frames {
            python,
            skipped,
            codes: HashMap::new(),
            learned: 0,
            modules: HashMap::new(),
            places: HashMap::new(),
            tree,
            names: Builder::default(),
            stacks: HashMap::new(),
        }
    }

    /// A function that frames will be of.
    pub fn learn<W: Write>(&mut self, number: u64, code: Code, trace: &mut Writer<W>) {
        let module = *self
            .modules
            .entry(code.file.clone())
            .or_insert_with(|| trace.module(Module { path: code.file.clone(), ..Module::default() }));
        self.codes.insert(number, Known { code, number: self.learned, module });
        self.learned += 1;
    }

    /// A frame on top of a thread's stack.
    pub fn push<W: Write>(&mut self, thread: u64, code: u64, instruction: i64, trace: &mut Writer<W>) {
        let frame = self.place(code, instruction);
        let stack = self.stacks.entry(thread).or_default();
        let is_skipped = thread == self.skipped.0 && (stack.len() as u64) < self.skipped.1;
        let caller = stack.last().copied().unwrap_or(Stack::NONE);
        let top = match frame {
            Some((module, address)) if !is_skipped => {
                self.tree.stack(Frame { caller, module: Some(module), address }, trace)
            }
            _ => caller,
        };
        stack.push(top);
    }

    /// So many frames are gone.
    pub fn pop(&mut self, thread: u64, count: usize) {
        let stack = self.stacks.entry(thread).or_default();
        stack.truncate(stack.len().saturating_sub(count));
    }

    /// The stack of a thread.
    pub fn stack(&self, thread: u64) -> Stack {
        self.stacks.get(&thread).and_then(|stack| stack.last()).copied().unwrap_or(Stack::NONE)
    }

    /// What all that is called.
    pub fn symbols(self) -> Symbols {
        self.names.finish()
    }

    /// Where a frame is, if its function is known.
    fn place(&mut self, number: u64, instruction: i64) -> Option<(ModuleId, u64)> {
        let Known { code, number, module } = self.codes.get(&number)?;
        let line = line_table::line(self.python, &code.lines, code.first_line, instruction);
        let next = self.places.len() as u64 + 1;
        let address = *self.places.entry((*number, line)).or_insert_with(|| {
            let function = Function { name: &code.function, file: Some(&code.file), line };
            self.names.put(*module, next, [function]);
            next
        });
        Some((*module, address))
    }
}
