//! What a process said of itself at its first call, read with distrust.

use std::sync::atomic::Ordering;

use malloscope_traces::header::{Libc, Program};
use malloscope_wire::process::{self, Label, Process};

/// The longest path that the kernel goes by. Paths of modules and programs are kept to it.
pub const LONGEST_PATH: usize = 4096;

/// What a process is, but for what differs between copies made by `fork`.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The program.
    pub program: Program,
    /// Its C library.
    pub libc: Libc,
}

impl Facts {
    /// What the process with this entry said.
    pub fn read(entry: &Process) -> Facts {
        let used = usize::try_from(entry.text_length.load(Ordering::Relaxed)).unwrap_or(0);
        let bytes: Vec<u8> = entry.text.bytes(used).collect();
        let mut facts = Facts::default();
        for (label, piece) in process::pieces(&bytes) {
            facts.add(label, piece);
        }
        facts
    }

    fn add(&mut self, label: Label, piece: &[u8]) {
        let text = || String::from_utf8_lossy(piece).into_owned();
        match label {
            Label::Executable => self.program.path = path(piece),
            Label::Argument => self.program.arguments.push(text()),
            Label::Variable => self.program.environment.extend(variable(&text())),
            Label::LibcPath => self.libc.path = path(piece),
            Label::LibcVersion => self.libc.version = text(),
            Label::LibcBuildId => self.libc.build_id = piece.to_vec(),
        }
    }

    /// The name of the program, without its directories.
    pub fn name(&self) -> &str {
        self.program.path.rsplit('/').next().unwrap_or_default()
    }
}

/// A path, as far as one may be long.
pub fn path(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_PATH)]).into_owned()
}

/// Name and value of `NAME=value`.
fn variable(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}
