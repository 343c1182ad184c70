//! A program that runs, to be attached to.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use malloscope_recorder::attach::{self, Attach, Engine};
use malloscope_recorder::{Capture, Children, Error, Options, Progress, Recorded};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// How long a program may run, with a recorder or without. None of a test that passes takes so long.
const LIMIT: Duration = Duration::from_secs(60);

/// A program that runs until its standard input ends. It is killed, with all that it made, if a test ends before that or it
/// takes too long.
pub struct Running {
    child: Child,
    says: BufReader<ChildStdout>,
    /// Dropped when it has ended.
    _watched: Sender<()>,
}

impl Running {
    /// Starts a program, and waits until it says that it is ready.
    pub fn start(program: &Path, arguments: &[&str]) -> Running {
        let mut command = Command::new(program);
        command.args(arguments);
        Running::by(&mut command)
    }

    /// The same, by this command.
    pub fn by(command: &mut Command) -> Running {
        Running::limited(command, LIMIT)
    }

    /// The same, for something that takes longer.
    pub fn limited(command: &mut Command, limit: Duration) -> Running {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let (watched, ended) = mpsc::channel();
        let pid = child.id();
        thread::spawn(move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                eprintln!("process {pid} is killed after {limit:?}");
                kill_group(pid);
            }
        });
        let mut running = Running { child, says, _watched: watched };
        assert_eq!(running.line(), "ready");
        running
    }

    /// The next line it says.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it end. Returns what it says then; it must end well.
    pub fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.says.read_to_string(&mut said).unwrap();
        // We are its parent and its tracer: if it ended when it was traced, we have been told already.
        if let Ok(status) = self.child.wait() {
            assert!(status.success(), "it ended with {status}, and said {said}");
        }
        said.trim_end().to_owned()
    }

    /// Writes to its standard input.
    pub fn tell(&mut self, bytes: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Ends its standard input.
    pub fn say_no_more(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        kill_group(self.pid());
        let _ = self.child.wait();
    }
}

fn kill_group(pid: u32) {
    // Already gone is fine.
    let _ = kill_process_group(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
}

/// What came of attaching, and where the traces are.
pub struct Taken {
    pub recorded: Recorded,
    directory: TempDir,
}

impl Taken {
    /// The trace of the process.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("app.mscope")
    }
}

/// By what calls come to the recorder in these tests: `ENGINE=gum` for the other, if it is built in.
pub fn engine() -> Engine {
    match std::env::var("ENGINE").as_deref() {
        Ok("gum") => Engine::Gum,
        Ok("got") | Err(_) => Engine::Got,
        Ok(other) => panic!("ENGINE={other} is neither got nor gum"),
    }
}

/// For how long, in most tests. What is asserted does not depend on it.
pub const A_WHILE: Duration = Duration::from_millis(100);

/// How often the kernel is asked what it knows of a process.
const OFTEN: Duration = Duration::from_millis(10);

/// Attaches to a process for a while.
pub fn attach(pid: u32) -> Result<Taken, Error> {
    attach_wanting(pid, Some(A_WHILE), None, &mut |_| ())
}

/// The same, by this engine, and for this time.
pub fn attach_by(pid: u32, engine: Engine, time: Duration) -> Result<Taken, Error> {
    let attach = Attach { pid, time: Some(time), bytes: None, resident: None, guard: None, engine };
    take(&attach, None, &mut |_| ())
}

/// The same, with stacks, until something else ends it, and with something done while it is recorded.
pub fn attach_wanting(
    pid: u32,
    time: Option<Duration>,
    stacks: Option<Capture>,
    report: &mut dyn FnMut(Progress),
) -> Result<Taken, Error> {
    take(&Attach { pid, time, bytes: None, resident: None, guard: None, engine: engine() }, stacks, report)
}

/// Attaches to a process until its traces are that long.
pub fn attach_until_bytes(pid: u32, bytes: u64) -> Result<Taken, Error> {
    take(
        &Attach { pid, time: None, bytes: Some(bytes), resident: None, guard: None, engine: engine() },
        None,
        &mut |_| (),
    )
}

/// Attaches to a process for some reports, and follows these of the processes that it makes.
pub fn attach_following(
    pid: u32,
    children: Children,
    report: &mut dyn FnMut(Progress),
) -> Result<Taken, Error> {
    let time = Some(5 * A_WHILE);
    let options = Options { children, ..Options::to(PathBuf::new()) };
    take_with(
        &Attach { pid, time, bytes: None, resident: None, guard: None, engine: engine() },
        options,
        report,
    )
}

fn take(attach: &Attach, stacks: Option<Capture>, report: &mut dyn FnMut(Progress)) -> Result<Taken, Error> {
    take_with(attach, Options { stacks, readings: Some(OFTEN), ..Options::to(PathBuf::new()) }, report)
}

fn take_with(attach: &Attach, options: Options, report: &mut dyn FnMut(Progress)) -> Result<Taken, Error> {
    let directory = TempDir::new().unwrap();
    let options = Options { output: directory.path().join("app.mscope"), ..options };
    let recorded = attach::record(attach, &options, report)?;
    Ok(Taken { recorded, directory })
}
