//! A worker's end: it ends when whoever started it lets go, by will or by dying.
//!
//! The window keeps the writing end of a pipe and tells the worker where the reading end is found,
//! under `/proc`. Nothing is ever written. The worker reads, and what it reads is the end of the
//! file, when the last writer is gone.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::thread;

/// What holds a worker. Dropping it ends the worker.
#[derive(Debug)]
pub struct Leash {
    _writer: PipeWriter,
}

/// The worker's side of a leash, to be kept until the worker has ended: it opens this by its name.
#[derive(Debug)]
pub struct Collar {
    reader: PipeReader,
}

/// A leash and its other side.
///
/// # Errors
///
/// When the kernel gives us no pipe.
pub fn leash() -> io::Result<(Leash, Collar)> {
    let (reader, writer) = io::pipe()?;
    Ok((Leash { _writer: writer }, Collar { reader }))
}

impl Collar {
    /// What a worker is told, to call [`end_with`].
    pub fn name(&self) -> OsString {
        format!("/proc/{}/fd/{}", std::process::id(), self.reader.as_raw_fd()).into()
    }
}

/// Ends this process when the leash of this name is let go. A leash that cannot be opened holds
/// nobody: then the work is done for nothing, which is no harm.
pub fn end_with(name: PathBuf) {
    thread::spawn(move || {
        let Ok(mut pipe) = File::open(name) else { return };
        if let Ok(0) = pipe.read(&mut [0]) {
            std::process::exit(0);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_opens_the_name_sees_the_end_when_the_leash_is_let_go() {
        let (leash, collar) = leash().unwrap();
        let mut pipe = File::open(PathBuf::from(collar.name())).unwrap();
        drop(leash);
        assert_eq!(pipe.read(&mut [0]).unwrap(), 0);
    }
}
