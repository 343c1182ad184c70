//! What the code at an address is called.

use malloscope_traces::stacks::{Frame, Stacks};

/// A function that a frame is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// Its name; of code without one, `module+0xoffset`.
    pub name: String,
    /// The file it is written in, where known.
    pub file: Option<String>,
    /// The line of the call, from 1, where known.
    pub line: Option<u32>,
    /// Whether it has a name of its own.
    pub is_named: bool,
}

/// Whoever knows the names of code.
pub trait Names {
    /// The functions that a frame is in: of inlined ones the innermost first, and last the one whose code it
    /// is. At least one.
    fn functions(&mut self, stacks: &Stacks, frame: Frame) -> Vec<Function>;
}

/// Names nothing: every frame is its module and the place in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offsets;

impl Names for Offsets {
    fn functions(&mut self, stacks: &Stacks, frame: Frame) -> Vec<Function> {
        vec![Function { name: offset(stacks, frame), file: None, line: None, is_named: false }]
    }
}

/// The address of the call that a frame made: of the instruction before the one it returns to.
pub fn call_address(frame: Frame) -> u64 {
    frame.address.saturating_sub(1)
}

/// `module+0xoffset`, or the address alone where there is no module.
pub fn offset(stacks: &Stacks, frame: Frame) -> String {
    let address = call_address(frame);
    match stacks.module(frame) {
        Some(module) => format!("{}+{address:#x}", file_name(&module.path)),
        None => format!("{address:#x}"),
    }
}

/// The last part of a path.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}
