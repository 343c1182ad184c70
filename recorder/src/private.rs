//! Files that their owner alone may read: a trace says what a program was told and where its files lie.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Creates a file, or empties the one that is there. A new one is its owner's alone; one that was there keeps its mode.
///
/// # Errors
///
/// Those of opening it.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
