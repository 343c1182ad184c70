//! A limit to how long a recording may take: a program that hangs is a test that fails, and soon.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take. All but a few take a second, on a machine with others on it.
const PROGRAM: Duration = Duration::from_secs(60);

/// How much longer its recorder may take.
const RECORDER: Duration = Duration::from_secs(20);

/// The limit for the programs of one test.
pub struct Deadline {
    /// Dropped when they have ended.
    running: Sender<()>,
    watch: JoinHandle<bool>,
}

impl Deadline {
    /// From now on, for programs that have this file among their arguments.
    pub fn of_programs_with(file: &Path) -> Deadline {
        let (running, ended) = mpsc::channel();
        let file = file.to_owned();
        let watch = thread::spawn(move || {
            let is_over = |limit| ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if !is_over(PROGRAM) {
                return false;
            }
            kill_programs_with(&file);
            if is_over(RECORDER) {
                eprintln!("the recorder does not end, although its program was killed");
                std::process::abort();
            }
            true
        });
        Deadline { running, watch }
    }

    /// They have ended. Panics if they were made to.
    pub fn check(self) {
        drop(self.running);
        assert!(!self.watch.join().unwrap(), "the program was killed after {PROGRAM:?}");
    }
}

fn kill_programs_with(file: &Path) {
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let has_it = line.split(|byte| *byte == 0).any(|argument| argument == file.as_os_str().as_bytes());
        if let Some(pid) = pid.filter(|_| has_it) {
            // Already gone is fine.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
