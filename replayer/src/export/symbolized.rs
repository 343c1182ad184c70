//! What frames are called by symbols: those that a trace carries, or those that are found on this machine.
//!
//! The command and the window name frames by this, so that both call them the same.

use super::names::{Function, Names};
use malloscope_symbols::{Named, Progress, Search, Symbolizer};
use malloscope_traces::stacks::Frame;
use malloscope_traces::{Error, Reader, Stacks, Symbols};
use std::path::Path;

/// The symbols of a trace: those it carries, or, if it carries none, what is found on this machine for its
/// stacks, which may take a while: `said` is told how far that is.
///
/// # Errors
///
/// When the trace cannot be read.
pub fn symbols(trace: &Path, stacks: &Stacks, said: &mut dyn FnMut(Progress<'_>)) -> Result<Symbols, Error> {
    let embedded = Reader::open_file(trace)?.symbols()?;
    let found = || Symbolizer::new(Search::from_environment(Vec::new())).resolve(stacks, said).symbols;
    Ok(embedded.unwrap_or_else(found))
}

/// Who says what frames are called, by these symbols.
pub fn namer<'a>(stacks: &'a Stacks, symbols: &Symbols) -> impl Names + use<'a> {
    Symbolized(malloscope_symbols::names(stacks, symbols))
}

struct Symbolized<'a>(malloscope_symbols::Names<'a>);

impl Names for Symbolized<'_> {
    fn functions(&mut self, _: &Stacks, frame: Frame) -> Vec<Function> {
        let function = |named: &Named| Function {
            name: named.function.clone(),
            file: named.file.clone(),
            line: named.line,
            is_named: named.is_known,
        };
        self.0.frame(frame).iter().map(function).collect()
    }
}
