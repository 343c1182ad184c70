//! What survives the window, in files of its own: the traces that were opened last, and the sample that was
//! looked at.

use crate::model::recent::Recent;
use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

/// The file of recent traces.
const RECENT: &str = "recent.json";
/// More than this is not ours.
const GREATEST: u64 = 1 << 16;

/// Where such files are kept: `$XDG_STATE_HOME/malloscope`, or `~/.local/state/malloscope`; nowhere without a
/// home.
pub fn folder() -> Option<PathBuf> {
    folder_in(env::var_os("XDG_STATE_HOME").map(PathBuf::from), env::home_dir())
}

/// As the specification of base directories has it, a path that is not absolute is no path.
fn folder_in(state: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let state = state.filter(|path| path.is_absolute());
    let home = home.filter(|path| path.is_absolute()).map(|home| home.join(".local/state"));
    Some(state.or(home)?.join("malloscope"))
}

/// The traces that were opened last. A file that is missing or broken says nothing.
pub fn recent(folder: &Path) -> Recent {
    let mut text = Vec::new();
    let file = File::open(folder.join(RECENT));
    let read = file.and_then(|file| file.take(GREATEST).read_to_end(&mut text));
    read.map(|_| Recent::read(&text)).unwrap_or_default()
}

/// Keeps the traces that were opened last, off this thread. Where that is not possible, nothing is kept.
pub fn keep_recent(folder: PathBuf, recent: Recent) {
    thread::spawn(move || {
        let _ = write(&folder, RECENT, &recent.written());
    });
}

/// Puts a sample into a file; answers which.
///
/// # Errors
///
/// Those of the file system.
pub fn unpack(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    write(folder, &format!("{name}.mscope"), bytes)
}

/// Writes a file: whole, or not at all.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let path = folder.join(name);
    // Two windows may write at once, each to a file of its own, which must not be there; the last wins.
    let beside = folder.join(format!("{name}.{}.new", std::process::id()));
    let _ = fs::remove_file(&beside);
    let written = File::create_new(&beside).and_then(|mut file| file.write_all(bytes));
    let written = written.and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // What remains of it is of no use to anybody, and the first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written.map(|()| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_and_what_is_broken_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("deep/er");
        assert_eq!(recent(&deep), Recent::default());
        let mut kept = Recent::default();
        kept.add("/a.mscope".into());
        write(&deep, RECENT, &kept.written()).unwrap();
        assert_eq!(recent(&deep), kept);
        assert_eq!(fs::read_dir(&deep).unwrap().count(), 1, "nothing is left beside it");
        fs::write(deep.join(RECENT), b"\xff\xfe{").unwrap();
        assert_eq!(recent(&deep), Recent::default());
        let sample = unpack(&deep, "sample", b"bytes").unwrap();
        assert_eq!(fs::read(sample).unwrap(), b"bytes");
    }

    #[test]
    fn it_lies_where_state_lies() {
        let folder =
            |state: Option<&str>, home: Option<&str>| folder_in(state.map(Into::into), home.map(Into::into));
        assert_eq!(folder(Some("/s"), Some("/h")), Some("/s/malloscope".into()));
        assert_eq!(folder(Some("s"), Some("/h")), Some("/h/.local/state/malloscope".into()));
        assert_eq!(folder(None, None), None);
    }
}
