//! A recording in the background: `malloscope record`, and a thread that listens to it.

use crate::model::failure::Failure;
use crate::model::recording::{RecordingJob, Subject};
use malloscope_traces::Reader;
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The command's executable.
const COMMAND: &str = "malloscope";
/// A line is no longer than this; what follows is one of its own.
const LONGEST_LINE: u64 = 4096;
/// So often it is looked whether there is a trace.
const LOOKS: Duration = Duration::from_millis(50);
/// So long the last lines may take when the recorder has ended.
const LAST_LINES: Duration = Duration::from_millis(500);

/// What is heard of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordingNews {
    /// The recorder or the program said this.
    Line(String),
    /// Its trace has begun, and can be read as far as it is.
    Began(PathBuf),
    /// It has ended, and here is the trace.
    Done(PathBuf),
    /// It came to nothing.
    Failed(Failure),
}

impl RecordingNews {
    /// Whether more will be heard.
    pub fn goes_on(&self) -> bool {
        matches!(self, RecordingNews::Line(_) | RecordingNews::Began(_))
    }
}

/// A recording under way.
#[derive(Debug)]
pub struct RecordingProcess {
    news: Receiver<RecordingNews>,
    recorder: Option<Arc<Mutex<Child>>>,
    is_attached: bool,
}

impl RecordingProcess {
    /// Starts a recording with the command `recorder`; `wake` is called whenever there is news.
    pub fn start(
        recorder: &Path,
        job: &RecordingJob,
        wake: impl Fn() + Clone + Send + 'static,
    ) -> RecordingProcess {
        let (sender, news) = mpsc::channel();
        let output = job.path();
        let is_attached = matches!(job.subject, Subject::Process { .. });
        let before = Version::of(&output);
        match command(recorder, job).spawn() {
            Ok(mut child) => {
                let said = [
                    child.stdout.take().map(|out| Box::new(out) as Box<dyn Read + Send>),
                    child.stderr.take().map(|err| Box::new(err) as Box<dyn Read + Send>),
                ];
                let child = Arc::new(Mutex::new(child));
                let recorder = Some(Arc::clone(&child));
                thread::spawn(move || listen(&child, said, output, before.as_ref(), &sender, &wake));
                RecordingProcess { news, recorder, is_attached }
            }
            Err(error) => {
                let _ = sender.send(RecordingNews::Failed(not_started(&error, recorder, job)));
                wake();
                RecordingProcess { news, recorder: None, is_attached }
            }
        }
    }

    /// Asks the program to end, as a terminal would; the recorder passes it on, and writes the trace. A process
    /// that was attached to is left, and goes on.
    pub fn stop(&self) {
        let Some(mut child) = self.recorder.as_deref().map(held) else { return };
        // Whoever has ended is not asked: its number may be another process's by now.
        let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if let (Ok(None), Some(process)) = (child.try_wait(), process) {
            let _ = kill_process(process, Signal::TERM);
        }
    }

    /// All there is to hear now.
    pub fn news(&self) -> impl Iterator<Item = RecordingNews> + '_ {
        self.news.try_iter()
    }
}

impl Drop for RecordingProcess {
    /// Nobody could say any more that it is enough.
    fn drop(&mut self) {
        if self.is_attached {
            self.stop();
        }
    }
}

/// What changes when a file is written anew. Not its time alone, which the kernel rounds down to its ticks.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Version {
    /// That of the file there is, if there is one.
    fn of(path: &Path) -> Option<Version> {
        let file = path.metadata().ok()?;
        Some(Version { inode: file.ino(), length: file.len(), modified: (file.mtime(), file.mtime_nsec()) })
    }
}

fn command(recorder: &Path, job: &RecordingJob) -> Command {
    let mut command = Command::new(recorder);
    command.args(["record", "--progress", "--stacks", job.stacks.word(), "-o"]).arg(&job.output);
    match &job.subject {
        Subject::Program(words) => command.arg("--").args(words),
        Subject::Process { pid, time, engine, .. } => {
            let of = |name: &'static str, value: &Option<String>| {
                value.iter().flat_map(|value| [name.to_owned(), value.clone()]).collect::<Vec<String>>()
            };
            command.arg("--pid").arg(pid.to_string()).args(of("--for", time)).args(of("--engine", engine))
        }
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(folder) = &job.folder {
        command.current_dir(folder);
    }
    command
}

/// The command's executable beside this one, or its name to be looked for in PATH.
pub fn recorder() -> PathBuf {
    let beside = env::current_exe().ok().map(|own| own.with_file_name(COMMAND));
    beside.filter(|beside| beside.is_file()).unwrap_or_else(|| COMMAND.into())
}

fn not_started(error: &io::Error, recorder: &Path, job: &RecordingJob) -> Failure {
    let no_folder = job.folder.as_ref().filter(|folder| !folder.is_dir());
    if let Some(folder) = no_folder {
        let what = format!("{} is no folder", folder.display());
        return Failure { what, next: "Type another folder, or none for the window's own.".to_owned() };
    }
    not_found(error, recorder)
}

/// Why the command cannot be started.
pub fn not_found(error: &io::Error, recorder: &Path) -> Failure {
    Failure {
        what: format!("{} cannot be started: {error}", recorder.display()),
        next: format!(
            "It records, and should be beside this window or in PATH; \
             in the source, `cargo build --release -p {COMMAND}` builds it."
        ),
    }
}

/// The recorder, which nobody else asks meanwhile whether it has ended.
fn held(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(
    child: &Mutex<Child>,
    said: [Option<Box<dyn Read + Send>>; 2],
    output: PathBuf,
    before: Option<&Version>,
    sender: &Sender<RecordingNews>,
    wake: &(impl Fn() + Clone + Send + 'static),
) {
    let pass = |from: Box<dyn Read + Send>| {
        let (sender, wake) = (sender.clone(), wake.clone());
        thread::spawn(move || pass_lines(from, &sender, &wake))
    };
    let lines = said.map(|said| said.map(pass));
    let ended = wait(child, |begun| {
        let now = Version::of(&output)?;
        let is_new = match begun {
            Some(inode) => now.inode != inode,
            None => Some(&now) != before,
        };
        (is_new && Reader::open_file(&output).is_ok()).then(|| {
            let _ = sender.send(RecordingNews::Began(output.clone()));
            wake();
            now.inode
        })
    });
    // The last lines are on their way. What the program left running may keep its output open for ever, and
    // nobody waits for that.
    let waited = Instant::now();
    let is_talking =
        |lines: &Option<JoinHandle<()>>| lines.as_ref().is_some_and(|lines| !lines.is_finished());
    while lines.iter().any(is_talking) && waited.elapsed() < LAST_LINES {
        thread::sleep(LAST_LINES / 50);
    }
    let now = Version::of(&output);
    let news = match ended {
        _ if now.is_some() && now.as_ref() != before => RecordingNews::Done(output),
        Ok(status) => RecordingNews::Failed(Failure {
            what: format!("Nothing was recorded ({status})."),
            next: "What was said above tells why.".to_owned(),
        }),
        Err(error) => RecordingNews::Failed(Failure {
            what: format!("The recorder cannot be waited for: {error}"),
            next: "Try again.".to_owned(),
        }),
    };
    let _ = sender.send(news);
    wake();
}

/// Waits for the recorder, and looks now and then for the trace it writes: `look` is given the file that was
/// found last, and says which it has found.
fn wait(child: &Mutex<Child>, look: impl Fn(Option<u64>) -> Option<u64>) -> io::Result<ExitStatus> {
    let mut begun = None;
    loop {
        let ended = held(child).try_wait()?;
        if let Some(status) = ended {
            return Ok(status);
        }
        begun = look(begun).or(begun);
        thread::sleep(LOOKS);
    }
}

fn pass_lines(from: impl Read, sender: &Sender<RecordingNews>, wake: &impl Fn()) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let shown = text.trim_end().chars().map(|char| if char.is_control() { '·' } else { char }).collect();
        if sender.send(RecordingNews::Line(shown)).is_err() {
            // Nobody listens: read on, so that the program is not kept waiting.
            let _ = io::copy(&mut from, &mut io::sink());
            return;
        }
        wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::recording::RecordingForm;
    use std::os::unix::fs::PermissionsExt;

    /// All that is heard of a recording made by a recorder that is this script.
    fn heard(script: &str, stop: bool) -> Vec<RecordingNews> {
        let folder = tempfile::tempdir().unwrap();
        let recorder = folder.path().join("recorder");
        std::fs::write(&recorder, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&recorder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let form = RecordingForm {
            command: "app 'with words'".to_owned(),
            folder: folder.path().display().to_string(),
            ..RecordingForm::default()
        };
        let (wake, woken) = mpsc::channel();
        let process = RecordingProcess::start(&recorder, &form.job().unwrap(), move || {
            let _ = wake.send(());
        });
        let mut news: Vec<RecordingNews> = Vec::new();
        loop {
            woken.recv().unwrap();
            news.extend(process.news());
            match news.last() {
                Some(RecordingNews::Line(line)) if stop && line == "ready" => process.stop(),
                Some(RecordingNews::Began(_)) if stop => process.stop(),
                Some(RecordingNews::Done(_) | RecordingNews::Failed(_)) => return news,
                _ => {}
            }
        }
    }

    #[test]
    fn what_is_said_is_heard_and_the_trace_is_opened() {
        let news = heard("echo \"$@\" >&2; touch \"$6\"", false);
        let said = "record --progress --stacks all -o app.mscope -- app with words";
        assert_eq!(news[0], RecordingNews::Line(said.to_owned()));
        assert!(matches!(&news[1], RecordingNews::Done(path) if path.ends_with("app.mscope")), "{news:?}");
    }

    #[test]
    fn a_recording_that_is_stopped_still_gives_its_trace() {
        let news =
            heard("trap 'touch \"$6\"; exit 0' TERM; echo ready >&2; while :; do sleep 0.01; done", true);
        assert!(matches!(news.last(), Some(RecordingNews::Done(_))), "{news:?}");
    }

    #[test]
    fn a_trace_is_there_as_soon_as_it_can_be_read_and_again_when_it_is_another_file() {
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../traces/samples/xz.mscope");
        let loops = "while :; do sleep 0.01; done";
        let begun = format!("trap 'exit 0' TERM; cp {sample} \"$6\"; {loops}");
        let news = heard(&begun, true);
        assert!(
            matches!(&news[..], [RecordingNews::Began(begun), RecordingNews::Done(done)] if begun == done),
            "{news:?}"
        );
        // The program became another one, whose trace takes the name.
        let again = format!(
            "trap 'trap \"exit 0\" TERM; cp {sample} new; mv new \"$6\"; {loops}' TERM; cp {sample} \"$6\"; {loops}"
        );
        let news = heard(&again, true);
        let begun = news.iter().filter(|news| matches!(news, RecordingNews::Began(_))).count();
        assert_eq!((begun, news.len()), (2, 3), "{news:?}");
    }

    #[test]
    fn what_cannot_be_recorded_says_why() {
        let news = heard("echo 'malloscope: no such program' >&2; exit 1", false);
        assert_eq!(news[0], RecordingNews::Line("malloscope: no such program".to_owned()));
        let Some(RecordingNews::Failed(failure)) = news.last() else { panic!("{news:?}") };
        assert!(failure.what.contains("exit status: 1"), "{failure:?}");
        let form = RecordingForm { command: "a".to_owned(), ..RecordingForm::default() };
        let process = RecordingProcess::start(Path::new("/nowhere/malloscope"), &form.job().unwrap(), || {});
        let news: Vec<RecordingNews> = process.news().collect();
        assert!(
            matches!(&news[..], [RecordingNews::Failed(failure)] if failure.next.contains("cargo build"))
        );
    }
}
