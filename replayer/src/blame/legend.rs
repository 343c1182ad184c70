//! What a trace's frames are called, each name once, with their modules and lines.
//!
//! Many frames are the same function, called from elsewhere; whoever merges, searches or paints stacks
//! asks for numbers here, and for names only of what is seen. Functions that have a name in common are one
//! where they are in the same module. A function that was inlined is a line of its own at its frame.

use super::Place;
use super::fold::{DEEPEST, LOST, NO_STACK, clean};
use super::names::is_own;
use crate::export::names::{Names, file_name};
use malloscope_allocator::observe::counters::SourceKind;
use malloscope_traces::stacks::Frame;
use malloscope_traces::{Stack, Stacks};
use std::collections::HashMap;
use std::ops::Range;

/// Functions at one frame that are told apart, the innermost: more than compilers inline. A hostile trace
/// may name as many as it has bytes, and use them at each of its frames.
const MOST_INLINED: usize = 64;

/// The number of a [`Function`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(pub u32);

/// A function, or what stands where one would.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// Its name, as folded stacks have it; `module+0xoffset` where it is not known.
    pub name: String,
    /// What it is.
    pub kind: FunctionKind,
}

/// What stands in a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// A function with a name, in the module of this number in [`Legend::modules`], if it is in one.
    Named(Option<u32>),
    /// One whose name is not known: an offset into that module.
    Unnamed(Option<u32>),
    /// No function: the place that served a request, no stack, or one that was lost.
    Note,
}

/// A line of a stack: where in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The function.
    pub function: FunctionId,
    /// The number of its file, where that is known: see [`Legend::source`].
    pub file: Option<u32>,
    /// The line in that file, from 1, where that is known.
    pub line: Option<u32>,
}

/// A frame, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Called {
    /// Its lines.
    begin: u32,
    end: u32,
    /// The frame that called it.
    caller: Stack,
    /// How many frames it is from the outermost; no more than [`DEEPEST`].
    depth: u32,
}

/// What all frames of a trace are called.
#[derive(Clone, Debug, PartialEq)]
pub struct Legend {
    functions: Vec<Function>,
    /// The names of the modules' files, without where they are.
    modules: Vec<String>,
    files: Vec<String>,
    lines: Vec<Line>,
    /// By the frames' numbers; `None` where one is lost.
    frames: Vec<Option<Called>>,
    /// The functions that stand for calls without a stack, for what is lost, and for places that serve.
    no_stack: FunctionId,
    lost: FunctionId,
    places: Vec<FunctionId>,
}

/// What has a number already.
#[derive(Default)]
struct Known {
    functions: HashMap<Function, FunctionId>,
    files: HashMap<String, u32>,
    places: HashMap<(Option<u32>, u64), Range<u32>>,
}

impl Legend {
    /// Names all frames.
    pub fn of(stacks: &Stacks, mut names: impl Names) -> Legend {
        let modules = stacks.modules.iter().map(|module| file_name(&module.path).to_owned()).collect();
        let nothing = FunctionId(0);
        let mut legend = Legend {
            functions: Vec::new(),
            modules,
            files: Vec::new(),
            lines: Vec::new(),
            frames: vec![None; stacks.frames.len()],
            no_stack: nothing,
            lost: nothing,
            places: Vec::new(),
        };
        let mut known = Known::default();
        let mut note = |name: &str| legend.function(clean(name), FunctionKind::Note, &mut known);
        let (no_stack, lost) = (note(NO_STACK), note(LOST));
        let places = SourceKind::ALL.iter().map(|kind| note(kind.name())).collect();
        (legend.no_stack, legend.lost, legend.places) = (no_stack, lost, places);
        for number in 1..stacks.frames.len() {
            let stack = Stack(u32::try_from(number).unwrap_or(u32::MAX));
            let Some((_, frame)) = stacks.of(stack).next() else { continue };
            let lines = legend.lines(stacks, frame, &mut names, &mut known);
            let depth = legend.frame_of(frame.caller).map_or(1, |caller| caller.depth + 1);
            // A hostile trace's stack may be as deep as it is long: what is deeper is said of its callers.
            legend.frames[number] = match legend.frame_of(frame.caller) {
                Some(caller) if depth as usize > DEEPEST => Some(*caller),
                _ => Some(Called { begin: lines.start, end: lines.end, caller: frame.caller, depth }),
            };
        }
        legend
    }

    fn frame_of(&self, stack: Stack) -> Option<&Called> {
        self.frames.get(stack.0 as usize)?.as_ref()
    }

    fn lines(
        &mut self,
        stacks: &Stacks,
        frame: Frame,
        names: &mut impl Names,
        known: &mut Known,
    ) -> Range<u32> {
        let module =
            frame.module.map(|module| module.0).filter(|&module| (module as usize) < self.modules.len());
        let place = (module, frame.address);
        if let Some(lines) = known.places.get(&place) {
            return lines.clone();
        }
        let begin = number_of(&self.lines);
        for named in names.functions(stacks, frame).into_iter().take(MOST_INLINED) {
            let kind =
                if named.is_named { FunctionKind::Named(module) } else { FunctionKind::Unnamed(module) };
            let function = self.function(clean(&named.name), kind, known);
            let file = named.file.map(|file| self.file(file, known));
            self.lines.push(Line { function, file, line: named.line });
        }
        let lines = begin..number_of(&self.lines);
        known.places.insert(place, lines.clone());
        lines
    }

    fn function(&mut self, name: String, kind: FunctionKind, known: &mut Known) -> FunctionId {
        let next = FunctionId(number_of(&self.functions));
        let function = Function { name, kind };
        *known.functions.entry(function).or_insert_with_key(|function| {
            self.functions.push(function.clone());
            next
        })
    }

    fn file(&mut self, file: String, known: &mut Known) -> u32 {
        let next = number_of(&self.files);
        *known.files.entry(file).or_insert_with_key(|file| {
            self.files.push(file.clone());
            next
        })
    }

    /// All functions, in the order of their numbers.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// A function. One that is not in this legend is what was lost.
    pub fn get(&self, FunctionId(number): FunctionId) -> &Function {
        self.functions.get(number as usize).unwrap_or(&self.functions[self.lost.0 as usize])
    }

    /// The names of the modules' files, without where they are, in the order of their numbers.
    pub fn modules(&self) -> &[String] {
        &self.modules
    }

    /// The name of the module of a function, if it is in one.
    pub fn module(&self, function: FunctionId) -> Option<&str> {
        match self.get(function).kind {
            FunctionKind::Named(module) | FunctionKind::Unnamed(module) => {
                self.modules.get(module? as usize).map(String::as_str)
            }
            FunctionKind::Note => None,
        }
    }

    /// The file that a line is in, and its number there, as far as they are known.
    pub fn place_in_source(&self, line: &Line) -> Option<(&str, Option<u32>)> {
        let file = self.files.get(line.file? as usize)?;
        Some((file, line.line))
    }

    /// `file:line` of a line, as far as it is known.
    pub fn source(&self, line: &Line) -> Option<String> {
        let (file, line) = self.place_in_source(line)?;
        Some(line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}")))
    }

    /// The function of this name, as it is shown; of several, the first that was met.
    pub fn called(&self, name: &str) -> Option<FunctionId> {
        let place = self.functions.iter().position(|function| function.name == name)?;
        u32::try_from(place).ok().map(FunctionId)
    }

    /// How many functions have names, and how many are offsets into modules.
    pub fn named(&self) -> (usize, usize) {
        let is = |wanted: fn(&FunctionKind) -> bool| {
            self.functions.iter().filter(|function| wanted(&function.kind)).count()
        };
        (
            is(|kind| matches!(kind, FunctionKind::Named(_))),
            is(|kind| matches!(kind, FunctionKind::Unnamed(_))),
        )
    }

    /// How many frames there are; their numbers are below.
    pub(super) fn frames(&self) -> usize {
        self.frames.len()
    }

    /// The caller of a frame, and its own lines, the innermost first; `None` if it is lost.
    pub(super) fn frame(&self, stack: Stack) -> Option<(Stack, &[Line])> {
        let called = self.frame_of(stack)?;
        Some((called.caller, &self.lines[called.begin as usize..called.end as usize]))
    }

    /// The line of no stack, and that of one that was lost.
    pub(super) fn no_stack(&self) -> Line {
        note(self.no_stack)
    }

    pub(super) fn lost(&self) -> Line {
        note(self.lost)
    }

    /// The line of a place that served a request.
    pub(super) fn place(&self, place: Place) -> Line {
        note(self.places.get(usize::from(place.0)).copied().unwrap_or(self.lost))
    }

    /// The lines of a stack, the innermost first; at least one, which may say that there is none.
    pub fn stack(&self, stack: Stack) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut next = stack;
        while let Some((caller, own)) = self.frame(next) {
            lines.extend_from_slice(own);
            next = caller;
        }
        match (stack.is_none(), next.is_none()) {
            (true, _) => lines.push(self.no_stack()),
            (false, false) => lines.push(self.lost()),
            (false, true) => {}
        }
        lines
    }

    /// The innermost lines of a stack that are the program's own, at most so many; if none are, the
    /// innermost of all.
    pub fn own(&self, stack: Stack, most: usize) -> Vec<Line> {
        let lines = self.stack(stack);
        let is_own = |line: &&Line| is_own(self.module(line.function), &self.get(line.function).name);
        let own: Vec<Line> = lines.iter().filter(is_own).take(most).copied().collect();
        if own.is_empty() { lines.into_iter().take(most).collect() } else { own }
    }

    /// Which stacks have a function that is wanted, by the stacks' numbers. `wanted` is by the functions'.
    pub fn stacks_with(&self, wanted: &[bool]) -> Vec<bool> {
        let is_wanted = |line: &Line| wanted.get(line.function.0 as usize).copied().unwrap_or(false);
        let mut found = vec![false; self.frames.len().max(1)];
        found[0] = is_wanted(&self.no_stack());
        for number in 1..self.frames.len() {
            let stack = Stack(u32::try_from(number).unwrap_or(u32::MAX));
            // A frame is written after its caller.
            found[number] = match self.frame(stack) {
                Some((caller, lines)) => {
                    let by_caller = !caller.is_none() && found[caller.0 as usize];
                    by_caller || lines.iter().any(is_wanted)
                }
                None => is_wanted(&self.lost()),
            };
        }
        found
    }

    /// Which functions have a text in their name or their module's, whether in capitals or not; by the
    /// functions' numbers. Nothing has an empty text.
    pub fn search(&self, text: &str) -> Vec<bool> {
        let text = text.trim().to_lowercase();
        let has = |name: &str| !text.is_empty() && name.to_lowercase().contains(&text);
        let modules: Vec<bool> = self.modules.iter().map(|module| has(module)).collect();
        let function = |function: &Function| match function.kind {
            FunctionKind::Named(Some(module)) | FunctionKind::Unnamed(Some(module)) => {
                modules[module as usize] || has(&function.name)
            }
            _ => has(&function.name),
        };
        self.functions.iter().map(function).collect()
    }
}

fn note(function: FunctionId) -> Line {
    Line { function, file: None, line: None }
}

/// The number that the next to be added will have. No table is longer than that of the trace's frames,
/// whose numbers have 32 bits, times the functions inlined at one; what is beyond would all be the last.
fn number_of<T>(table: &[T]) -> u32 {
    u32::try_from(table.len()).unwrap_or(u32::MAX)
}
