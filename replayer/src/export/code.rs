//! The code that stacks run through: places in modules, and the functions they are in.
//!
//! Many frames of the tree of stacks are the same place, called from elsewhere, and many places are in the
//! same function. Each is in here once, and formats refer to it by its number. So is every path of places
//! that leads to a call: a [`Node`] of a tree, which says the same as the trace's frames, but never twice.

use super::names::{self, Function, Names};
use super::sites::Site;
use malloscope_traces::Stack;
use malloscope_traces::stacks::{Frame, Stacks};
use std::collections::HashMap;

/// Places of a stack that are written at most, from the innermost on, where stacks are lists: as many as
/// a recorder captures. A hostile trace may have a stack as deep as it is long, and a site on each frame.
pub const DEPTH: usize = 256;

/// The number of the place that stands for calls without a stack.
pub const NO_STACK: u32 = 0;

/// A place in the code: an instruction that made a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of its module, if it is in one.
    pub module: Option<usize>,
    /// The address of the call in the module's file, or in memory where there is no module.
    pub address: u64,
    /// The functions it is in: of inlined ones the innermost first. At least one.
    pub lines: Vec<Line>,
}

/// Where in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The number of the function in [`Code::functions`].
    pub function: u32,
    /// The line, from 1, where known.
    pub line: Option<u32>,
}

/// A function, wherever in it one is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Named {
    /// Its name, or `module+0xoffset`.
    pub name: String,
    /// The file it is written in, where known.
    pub file: Option<String>,
    /// The number of the module its code is in, if it is in one.
    pub module: Option<usize>,
    /// Whether it has a name of its own.
    pub is_named: bool,
}

/// A stack: a place, and the stack of whoever called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// The number of the caller's node, which is below that of this one.
    pub caller: Option<u32>,
    /// The number of the place.
    pub place: u32,
}

/// All that some stacks run through.
#[derive(Clone, Debug)]
pub struct Code {
    /// The places. The first is [`NO_STACK`].
    pub places: Vec<Place>,
    /// The functions.
    pub functions: Vec<Named>,
    /// The stacks. The first is that of calls without one: [`NO_STACK`] and no caller.
    pub nodes: Vec<Node>,
    /// The node of each frame of the trace that is needed; 0 for the others.
    of_frame: Vec<u32>,
}

/// What has a number already.
#[derive(Default)]
struct Known {
    places: HashMap<(Option<usize>, u64), u32>,
    functions: HashMap<Named, u32>,
    nodes: HashMap<Node, u32>,
}

impl Code {
    /// The code that the stacks of these sites run through.
    pub fn of(stacks: &Stacks, sites: &[Site], names: &mut dyn Names) -> Code {
        let mut code = Code {
            places: Vec::new(),
            functions: Vec::new(),
            nodes: vec![Node { caller: None, place: NO_STACK }],
            of_frame: vec![0; stacks.frames.len()],
        };
        let mut known = Known::default();
        let none = Function { name: "[no stack]".to_owned(), file: None, line: None, is_named: true };
        let lines = code.lines(None, vec![none], &mut known);
        code.places.push(Place { module: None, address: 0, lines });
        let needed = needed(stacks, sites);
        // A frame comes after its caller, so that the caller's node is there when it is asked for.
        for number in (1..stacks.frames.len()).filter(|number| needed[*number]) {
            let stack = Stack(u32::try_from(number).unwrap_or(u32::MAX));
            let Some((_, frame)) = stacks.of(stack).next() else { continue };
            let place = code.place(stacks, frame, names, &mut known);
            let caller = code.of_frame[frame.caller.0 as usize];
            let node = Node { caller: (caller != 0).then_some(caller), place };
            let next = number_of(&code.nodes);
            let node = *known.nodes.entry(node).or_insert_with(|| {
                code.nodes.push(node);
                next
            });
            code.of_frame[number] = node;
        }
        code
    }

    fn place(&mut self, stacks: &Stacks, frame: Frame, names: &mut dyn Names, known: &mut Known) -> u32 {
        let module = frame.module.map(|module| module.0 as usize);
        let module = module.filter(|module| *module < stacks.modules.len());
        let address = names::call_address(frame);
        let next = number_of(&self.places);
        let place = *known.places.entry((module, address)).or_insert(next);
        if place == next {
            let lines = self.lines(module, names.functions(stacks, frame), known);
            self.places.push(Place { module, address, lines });
        }
        place
    }

    fn lines(&mut self, module: Option<usize>, functions: Vec<Function>, known: &mut Known) -> Vec<Line> {
        let functions = functions.into_iter().map(|Function { name, file, line, is_named }| {
            let next = number_of(&self.functions);
            let named = Named { name, file, module, is_named };
            let function = *known.functions.entry(named.clone()).or_insert(next);
            if function == next {
                self.functions.push(named);
            }
            Line { function, line }
        });
        functions.collect()
    }

    /// The number of the node of a site's stack; one that is lost is as good as none.
    pub fn node_of(&self, stack: Stack) -> u32 {
        self.of_frame.get(stack.0 as usize).copied().unwrap_or(0)
    }

    /// The places of a node, the innermost first: at least one.
    pub fn places_of(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let nodes = std::iter::successors(self.nodes.get(node as usize), |inner| {
            self.nodes.get(inner.caller? as usize)
        });
        nodes.map(|node| node.place).take(DEPTH)
    }

    /// The functions of a node, inlined ones too, the outermost first.
    pub fn lines_from_outermost(&self, node: u32) -> Vec<Line> {
        let places = self.places_of(node);
        let mut lines: Vec<Line> =
            places.flat_map(|place| self.places[place as usize].lines.iter().copied()).collect();
        lines.reverse();
        lines
    }

    /// The function of a line.
    pub fn function(&self, line: Line) -> &Named {
        &self.functions[line.function as usize]
    }
}

/// The number that the next to be added will have.
fn number_of<T>(table: &[T]) -> u32 {
    // No table is longer than that of the trace's frames, whose numbers have 32 bits, times the functions
    // that are inlined at one place; what is beyond would all be the last.
    u32::try_from(table.len()).unwrap_or(u32::MAX)
}

/// Which frames are in a stack of some site.
fn needed(stacks: &Stacks, sites: &[Site]) -> Vec<bool> {
    let mut needed = vec![false; stacks.frames.len()];
    for site in sites {
        for (stack, _) in stacks.of(site.stack) {
            // Whoever needed it needed its callers too.
            if std::mem::replace(&mut needed[stack.0 as usize], true) {
                break;
            }
        }
    }
    needed
}
