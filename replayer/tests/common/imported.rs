//! Traces of calls that a test writes down.

use malloscope_traces::{Ending, Writer, ops};
use tempfile::NamedTempFile;

/// The trace of a script of calls.
pub fn imported(script: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("there is room");
    let mut writer = Writer::new(file.reopen().expect("it is there"), &ops::header()).expect("there is room");
    ops::import(script.as_bytes(), &mut writer).expect("it is a script");
    writer.finish(&Ending::default()).expect("there is room");
    file
}
