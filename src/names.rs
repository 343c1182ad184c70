//! What the frames of a trace's stacks are called, and how far the search for it is.

use crate::commands::symbolize;
use anyhow::Result;
use malloscope_replayer::export::names::Names;
use malloscope_replayer::export::symbolized;
use malloscope_traces::Stacks;
use std::path::Path;

/// Who says what the frames of a trace are called: by the symbols it carries, or, if it carries none, by
/// what is found on this machine.
pub fn namer<'a>(trace: &Path, stacks: &'a Stacks) -> Result<impl Names + 'a> {
    let symbols = symbolize::waiting(|said| symbolized::symbols(trace, stacks, said))?;
    Ok(symbolized::namer(stacks, &symbols))
}
