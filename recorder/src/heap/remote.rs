//! The memory of a process, read in many pieces at one time.
//!
//! # Unsafe code
//!
//! What could go wrong: the kernel writes beyond what it was given to write to. Who promises what: this
//! file, that each buffer is as long as the kernel is told, and lives until the call returns.
#![expect(unsafe_code, reason = "see above")]

use std::io;
use std::ptr;

use super::copy::{Memory, Range};

/// The most parts the kernel reads at one time: `UIO_MAXIOV`.
const MOST_PARTS: usize = 1024;

/// The memory of a process, which should stand still.
#[derive(Clone, Copy, Debug)]
pub struct Remote(pub u32);

impl Memory for Remote {
    fn read(&self, parts: &[Range], mut into: &mut [u8]) -> io::Result<()> {
        for parts in parts.chunks(MOST_PARTS) {
            let length: u64 = parts.iter().map(Range::length).sum();
            let (buffer, rest) =
                into.split_at_mut_checked(bytes(length)?).ok_or(io::ErrorKind::InvalidInput)?;
            read_parts(self.0, parts, buffer)?;
            into = rest;
        }
        Ok(())
    }
}

/// Reads so many parts of a process's memory into one buffer that they fill.
fn read_parts(pid: u32, parts: &[Range], into: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < into.len() {
        let theirs = after(parts, done as u64)?;
        let rest = &mut into[done..];
        let ours = libc::iovec { iov_base: rest.as_mut_ptr().cast(), iov_len: rest.len() };
        let count = theirs.len() as libc::c_ulong;
        // SAFETY: the kernel writes to `ours` alone, which is what is left of the buffer; what `theirs` names
        // is another process's, and may be anything.
        let read = unsafe {
            libc::process_vm_readv(pid.cast_signed(), &raw const ours, 1, theirs.as_ptr(), count, 0)
        };
        match usize::try_from(read) {
            Err(_) => return Err(io::Error::last_os_error()),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => done += read,
        }
    }
    Ok(())
}

/// What is left of these parts after so many bytes.
fn after(parts: &[Range], mut skipped: u64) -> io::Result<Vec<libc::iovec>> {
    let mut left = Vec::new();
    for part in parts {
        let skip = skipped.min(part.length());
        skipped -= skip;
        if skip < part.length() {
            let length = bytes(part.length() - skip)?;
            left.push(libc::iovec {
                iov_base: ptr::without_provenance_mut(bytes(part.start + skip)?),
                iov_len: length,
            });
        }
    }
    Ok(left)
}

fn bytes(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(|_| io::ErrorKind::InvalidInput.into())
}
