//! Programs that stand still until they are told to go on.

use serde_json::Value;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use tempfile::TempDir;

/// Builds the program of `NAME.c`.
pub fn built(folder: &TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("recorder/tests/programs").join(format!("{name}.c"));
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-fno-builtin", "-pthread", "-w", "-o"]).arg(&path).arg(source);
    assert!(compiler.status().expect("there is a C compiler").success(), "{name}.c does not compile");
    path
}

/// The command.
pub fn malloscope<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_malloscope"));
    command.args(arguments).stdin(Stdio::null()).env_remove("COLUMNS");
    command
}

/// The answer of a command that should succeed.
pub fn answer<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> String {
    let output = malloscope(arguments).output().expect("the command runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let answer = String::from_utf8(output.stdout).expect("the command says text");
    assert!(output.status.success(), "{error}\n{answer}");
    answer
}

/// The same as JSON.
pub fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&answer(arguments)).expect("the answer is JSON")
}

/// A C library that programs are run on.
pub enum Library {
    /// The machine's own.
    Own,
    /// One that lies in a folder, loader and all.
    In(PathBuf),
}

/// All there are to be had.
pub fn libraries() -> Vec<Library> {
    let folders = env::var_os("MALLOSCOPE_LIBCS").unwrap_or_default();
    let others = env::split_paths(&folders).filter(|path| !path.as_os_str().is_empty()).map(Library::In);
    [Library::Own].into_iter().chain(others).collect()
}

impl Library {
    /// The words that run a program on it.
    pub fn command(&self, program: &Path, arguments: &[&str]) -> Vec<String> {
        let mut words = match self {
            Library::Own => Vec::new(),
            Library::In(folder) => {
                let loader = folder.join("ld-linux-x86-64.so.2").display().to_string();
                vec![loader, "--library-path".to_owned(), folder.display().to_string()]
            }
        };
        words.push(program.display().to_string());
        words.extend(arguments.iter().map(|&word| word.to_owned()));
        words
    }
}

/// A program that stands still.
pub struct Paused {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Paused {
    /// Starts it.
    pub fn start<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> Paused {
        let mut command = Command::new(program);
        let pipes =
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = pipes.spawn().expect("the program starts");
        let says = BufReader::new(child.stdout.take().expect("it has a pipe"));
        Paused { child, says }
    }

    /// The next line that it says.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("it says something");
        line.trim_end().to_owned()
    }

    /// The next byte that it says.
    pub fn byte(&mut self) {
        self.says.read_exact(&mut [0]).expect("it says something");
    }

    /// Its process.
    pub fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// The process that it has started.
    pub fn child(&self) -> u32 {
        let own = self.child.id();
        let listed = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).expect("it runs");
        listed.split_whitespace().next().expect("it has started one").parse().expect("a number")
    }

    /// Lets it go on.
    pub fn go_on(&mut self) {
        self.child.stdin.take().expect("it still listens").write_all(b".").expect("it still listens");
    }

    /// Waits for its end.
    pub fn end(&mut self) {
        self.child.wait().expect("it ends");
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
