//! A recorder in a process of its own, to be stopped, killed, signalled, or given an environment.

use std::env;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use malloscope_recorder::{Options, Target, record};
use malloscope_traces::Reader;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::deadline::Deadline;
use crate::programs::{library, program};
use crate::run::{Trace, options, read_said};

/// Tells the test below what to record.
const OUTPUT: &str = "RECORD_TO";
const PROGRAM: &str = "RECORD_PROGRAM";
const ARGUMENTS: &str = "RECORD_ARGUMENTS";

/// Not a test: what [`Apart::start`] runs.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn recorder() {
    let (Some(output), Some(program)) = (env::var_os(OUTPUT), env::var_os(PROGRAM)) else { return };
    let arguments = env::var(ARGUMENTS).unwrap();
    let target = Target { program, arguments: arguments.split(' ').map(Into::into).collect() };
    // A library that is preloaded for the program is in this process too, and the one here knows no aligned memory, which
    // channels between threads ask for.
    let options = Options { readings: None, ..options(output.into()) };
    let recorded = record(&target, &options, &mut |_| ()).unwrap();
    std::process::exit(recorded.exit_code().into());
}

/// A recorder, and the program it records.
struct Apart {
    recorder: Child,
    directory: TempDir,
    _deadline: Deadline,
}

impl Apart {
    fn start(program: &Path, arguments: &str, preload: Option<&OsStr>) -> Apart {
        let directory = TempDir::new().unwrap();
        let said = directory.path().join("said");
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", "apart::recorder"])
            .env(OUTPUT, directory.path().join("app.mscope"))
            .env(PROGRAM, program)
            .env(ARGUMENTS, format!("{} {arguments}", said.display()))
            .stdout(Stdio::null());
        if let Some(preload) = preload {
            command.env("LD_PRELOAD", preload);
        }
        let _deadline = Deadline::of_programs_with(&said);
        Apart { recorder: command.spawn().unwrap(), directory, _deadline }
    }

    fn said(&self) -> PathBuf {
        self.directory.path().join("said")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.recorder), signal).unwrap();
    }

    /// Waits until the program has said something that begins so. Returns the rest of it.
    fn wait_for(&self, remark: &str) -> String {
        let found = || {
            read_said(&self.said())
                .into_iter()
                .find_map(|(_, what)| Some(what.strip_prefix(remark)?.to_owned()))
        };
        eventually(remark, found)
    }
}

/// Tries until there is something. There is no test without: what is waited for happens in another process.
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{what} does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_program_goes_on_when_the_recorder_is_killed() {
    let mut apart = Apart::start(&program("busy"), "20000000", None);
    let output = apart.directory.path().join("app.mscope");
    let has_batch = || Reader::open_file(&output).ok()?.next_batch(&mut Vec::new()).ok()?.map(|_| ());
    eventually("a batch of records", has_batch);
    apart.signal(Signal::KILL);
    apart.recorder.wait().unwrap();
    let calls = apart.wait_for("calls ");
    assert_eq!(calls.trim(), "20000000");
    let mut trace = Reader::open_file(&output).unwrap();
    let mut records = Vec::new();
    while trace.next_batch(&mut records).unwrap().is_some() {}
    assert!(trace.ending().is_none(), "what was written can be read, and says that there was more");
}

#[test]
fn the_program_goes_on_when_the_recorder_is_stopped() {
    let mut apart = Apart::start(&program("busy"), "2000000", None);
    apart.wait_for("begun");
    apart.signal(Signal::STOP);
    apart.wait_for("calls ");
    apart.signal(Signal::CONT);
    assert!(apart.recorder.wait().unwrap().success());
    let trace = Trace::read(&apart.directory.path().join("app.mscope"));
    assert_eq!(trace.ending.observed.calls, 2_000_000, "what was not recorded is counted");
}

/// Whether this process was told to ignore a signal.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() >> (signal.as_raw() - 1) & 1 != 0
}

#[test]
fn a_signal_sent_to_the_recorder_reaches_the_program_and_its_trace_is_written() {
    // A shell that runs us in the background has us ignore some, and who ignores one goes on doing so.
    for signal in [Signal::TERM, Signal::INT].into_iter().filter(|signal| !is_ignored(*signal)) {
        let mut apart = Apart::start(&program("busy"), "100000000000", None);
        apart.wait_for("begun");
        apart.signal(signal);
        let status = apart.recorder.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(40), None));
        assert_eq!(apart.wait_for("signal ").trim(), signal.as_raw().to_string());
        let trace = Trace::read(&apart.directory.path().join("app.mscope"));
        assert_eq!(trace.ending.observed.calls.to_string(), apart.wait_for("calls ").trim());
    }
}

#[test]
fn what_the_user_preloads_is_asked_first_and_we_record_what_reaches_glibc() {
    let shim = library("shim");
    let mut apart = Apart::start(&program("peak"), "", Some(shim.as_os_str()));
    assert!(apart.recorder.wait().unwrap().success());
    let trace = Trace::read(&apart.directory.path().join("app.mscope"));
    let said = read_said(&apart.said());
    let pid = trace.header.program.pid;
    let told = trace.told_of(pid);
    let first = said.iter().find_map(|(_, what)| what.strip_prefix("malloc ")).unwrap();
    let asked: u64 = first.split(' ').next().unwrap().parse().unwrap();
    assert!(told.iter().any(|told| told.starts_with(&format!("malloc {} ", asked + 16))));
    assert_eq!(trace.totals.oddities, Default::default());
}
