//! What the frames of a trace's stacks are called: the one place where symbols come in.

use crate::commands::symbolize;
use anyhow::Result;
use malloscope_replayer::export::names::{Function, Names};
use malloscope_traces::stacks::Frame;
use malloscope_traces::{Reader, Stacks};
use std::path::Path;

/// Who says what the frames of a trace are called: by the symbols it carries, or, if it carries none, by
/// what is found on this machine.
pub fn namer<'a>(trace: &Path, stacks: &'a Stacks) -> Result<impl Names + 'a> {
    let embedded = Reader::open_file(trace)?.symbols()?;
    let symbols = embedded.unwrap_or_else(|| symbolize::resolve(stacks, Vec::new()).symbols);
    Ok(Symbolized(malloscope_symbols::names(stacks, &symbols)))
}

struct Symbolized<'a>(malloscope_symbols::Names<'a>);

impl Names for Symbolized<'_> {
    fn functions(&mut self, _: &Stacks, frame: Frame) -> Vec<Function> {
        let function = |named: &malloscope_symbols::Named| Function {
            name: named.function.clone(),
            file: named.file.clone(),
            line: named.line,
            is_named: named.is_known,
        };
        self.0.frame(frame).iter().map(function).collect()
    }
}
