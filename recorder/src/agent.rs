//! The agent's file: it travels inside this crate, and is handed to programs through memory, so
//! that nothing has to be installed anywhere.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use malloscope_wire::handover::{MARK, PATH_BYTES};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;

/// The shared object, as `build.rs` made it.
pub const BYTES: &[u8] = include_bytes!(env!("MALLOSCOPE_AGENT"));

/// The agent's file, made for one recording.
#[derive(Debug)]
pub struct Agent {
    file: OwnedFd,
}

impl Agent {
    /// An agent that will find the shared memory at this path.
    pub fn for_memory(path: &str) -> io::Result<Agent> {
        Agent::made_of(&addressed(path)?)
    }

    /// An agent that records nothing: the program that it also is.
    pub fn for_probing() -> io::Result<Agent> {
        Agent::made_of(BYTES)
    }

    fn made_of(bytes: &[u8]) -> io::Result<Agent> {
        let mut file = File::from(executable_file("malloscope-agent.so")?);
        file.write_all(bytes)?;
        Ok(Agent { file: file.into() })
    }

    /// Where a program of the same user finds it, as long as we are there.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }
}

/// The agent with a path written into it.
fn addressed(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = BYTES.to_vec();
    let at = bytes.windows(MARK.len()).position(|window| *window == MARK);
    let room = at.and_then(|at| bytes.get_mut(at + MARK.len()..)?.get_mut(..PATH_BYTES - 1));
    let place = room.and_then(|room| room.get_mut(..path.len()));
    place.ok_or(io::ErrorKind::InvalidData)?.copy_from_slice(path.as_bytes());
    Ok(bytes)
}

/// A file in memory from which code may be loaded. Kernels before 6.3 do not know that one has to say so.
fn executable_file(name: &str) -> io::Result<OwnedFd> {
    match memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => Ok(memfd_create(name, MemfdFlags::CLOEXEC)?),
        made => Ok(made?),
    }
}
