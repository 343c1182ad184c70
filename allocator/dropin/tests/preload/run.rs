//! One run of a program, and what could be seen of it.

use crate::build;
use std::process::{Command, ExitStatus, Stdio};

/// A run that is over.
pub struct Run {
    pub process: u32,
    pub status: ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Run {
    pub fn of(mut command: Command) -> Run {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let process = child.id();
        let output = child.wait_with_output().unwrap();
        Run { process, status: output.status, out: output.stdout, err: output.stderr }
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }
}

/// The same command, on the twin.
pub fn twin(mut command: Command) -> Command {
    command.env("LD_PRELOAD", build::library());
    command
}
