//! The command, run as a person would, and what it said.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The command, with nothing of our own surroundings that it would heed.
pub fn malloscope<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_malloscope"));
    command.args(arguments).stdin(Stdio::null());
    for variable in ["COLUMNS", "NO_COLOR", "CLICOLOR_FORCE", "RUST_BACKTRACE"] {
        command.env_remove(variable);
    }
    command
}

/// What a command came to.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn said(command: &mut Command) -> Said {
    let output = loop {
        match command.output() {
            // A file that was just written is open for a moment in what another test starts.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            output => break output.expect("the command runs"),
        }
    };
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).expect("the command says text");
    let said = Said { code: status.code(), out: text(stdout), err: text(stderr) };
    assert!(!said.err.contains("panicked"), "{command:?}: {}", said.err);
    said
}

/// The answer of a command that should succeed and have nothing to complain about.
pub fn answer<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> String {
    let mut command = malloscope(arguments);
    let said = said(&mut command);
    assert!(said.code == Some(0) && said.err.is_empty(), "{command:?}: {:?}: {}", said.code, said.err);
    said.out
}

/// Where all tests of this process put their files.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| TempDir::new().expect("there is a folder for temporary files")).path()
}

/// The program of `program.c`, built with these flags.
pub fn built(name: &str, flags: &[&str]) -> PathBuf {
    compiled("program.c", name, flags)
}

/// A program of this folder, compiled.
pub fn compiled(source: &str, name: &str, flags: &[&str]) -> PathBuf {
    let path = folder().join(name);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O1", "-fno-builtin", "-Wall", "-Wextra", "-o"])
        .arg(&path)
        .arg(folder.join(source))
        .args(flags);
    let status = compiler.status().expect("there is a C compiler");
    assert!(status.success(), "{source} does not compile");
    path
}

/// The program as everybody builds it.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| built("program", &[]))
}

/// A recording of it.
pub fn trace() -> &'static str {
    static TRACE: OnceLock<String> = OnceLock::new();
    TRACE.get_or_init(|| {
        let trace = folder().join("program.mscope").display().to_string();
        let mut command = malloscope(["record", "-o", &trace, "--"]);
        let said = said(command.arg(program()));
        assert_eq!(said.code, Some(0), "{}", said.err);
        trace
    })
}

/// A trace made from a script.
pub fn imported(name: &str, script: &str) -> String {
    let (ops, trace) = (folder().join(format!("{name}.ops")), folder().join(format!("{name}.mscope")));
    std::fs::write(&ops, script).expect("a script can be written");
    let (ops, trace) = (ops.display().to_string(), trace.display().to_string());
    answer(["import", "--from", "ops", &ops, "-o", &trace]);
    trace
}
