//! The frames of another tool's stacks, each once in the trace.

use crate::stacks::{Capture, Frame, Sampling, Stack};
use crate::write::Writer;
use std::collections::HashMap;
use std::io::Write;

/// The frames that a trace has got.
#[derive(Debug, Default)]
pub(super) struct Tree {
    known: HashMap<Frame, Stack>,
}

impl Tree {
    /// Begins the stacks of a trace in which every call that asks for memory has one, of so many frames at most.
    pub fn begin<W: Write>(depth: u32, trace: &mut Writer<W>) -> Tree {
        trace.capture(Capture { sampling: Sampling::All, depth });
        Tree::default()
    }

    /// The stack whose innermost frame this is.
    pub fn stack<W: Write>(&mut self, frame: Frame, trace: &mut Writer<W>) -> Stack {
        *self.known.entry(frame).or_insert_with(|| trace.frame(frame))
    }
}
