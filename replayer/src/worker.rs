//! One run in a process of its own: its program break and its faults are the run's alone.
//!
//! The parent starts its own executable again with a word that says “work”, sends a [`Group`] to its
//! standard input as JSON, and reads frames from its standard output:
//!
//! ```text
//! kind: 1 byte   P progress (JSON)     L lines (text)     S outcome so far (JSON)
//!                O outcome (JSON)      E error (text)     A put off, to be asked for again (nothing)
//! length: 4 bytes, little-endian
//! body: that many bytes
//! ```
//!
//! An outcome, an error or that it was put off is said once of each trial of the group, in their order.

use crate::outcome::Outcome;
use crate::pace::Pace;
use crate::run::{Audience, Job, Progress, RunError, processor_time, run_before};
use crate::together::{self, Answered, Group};
use malloscope_traces::Reader;
use rustix::process::nice;
use serde::Serialize;
use std::ffi::OsString;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio, exit};
use std::time::{Duration, Instant};

/// How to start a worker.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The executable.
    pub program: PathBuf,
    /// What makes it call [`work`].
    pub arguments: Vec<OsString>,
}

/// Why a worker gave no outcome.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It could not be started, or its answer could not be read.
    #[error("the replay's process cannot be run: {0}")]
    Process(#[from] io::Error),
    /// It said why.
    #[error("{0}")]
    Failed(String),
    /// It went without a word.
    #[error("the replay's process ended without a result ({status}){said}")]
    Silent {
        /// How it ended.
        status: String,
        /// The last it said.
        said: String,
    },
    /// Whoever wanted the lines, or the news, does not take them any more.
    #[error("the lines cannot be written: {0}")]
    Lines(#[source] io::Error),
}

/// What a worker says before its outcome.
#[derive(Clone, Debug)]
pub enum News {
    /// How far it is.
    Progress(Progress),
    /// What came of it so far.
    SoFar(Box<Outcome>),
}

/// Who replays what is still being written leaves the processors to those who write.
const NICE: i32 = 10;
/// The longest frame that is believed.
const GREATEST_FRAME: usize = 1 << 28;
/// Lines are sent in pieces of this many bytes.
const PIECE: usize = 1 << 16;

/// Runs a job in a process of its own.
///
/// # Errors
///
/// What the worker said, or that it said nothing.
pub fn run_in_worker(
    launcher: &Launcher,
    job: &Job,
    lines: &mut dyn Write,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, WorkerError> {
    hear_worker(launcher, job, lines, &mut only_progress(progress))
}

/// Hears how far it is, and nothing else.
fn only_progress(progress: &mut dyn FnMut(Progress)) -> impl FnMut(News) -> io::Result<()> {
    |news| {
        if let News::Progress(at) = news {
            progress(at);
        }
        Ok(())
    }
}

/// Runs the trials of a group in one process, and gives the answer of each to `heard`, with its number, as it comes:
/// `None` where there was no memory for it beside the others.
///
/// # Errors
///
/// That the process could not be run, or ended without having said what came of each.
pub fn run_group(
    launcher: &Launcher,
    group: &Group,
    heard: &mut dyn FnMut(usize, Option<Result<Outcome, WorkerError>>),
    progress: &mut dyn FnMut(Progress),
) -> Result<(), WorkerError> {
    ask(launcher, group, &mut io::sink(), &mut only_progress(progress), &mut |number, answer| {
        heard(number, answer.map(|answer| answer.map_err(WorkerError::Failed)));
    })
}

/// Runs a job in a process of its own, as [`run_in_worker`] does, and hears all it says. If `news` fails, the
/// worker is stopped.
///
/// # Errors
///
/// What the worker said, or that it said nothing.
pub fn hear_worker(
    launcher: &Launcher,
    job: &Job,
    lines: &mut dyn Write,
    news: &mut dyn FnMut(News) -> io::Result<()>,
) -> Result<Outcome, WorkerError> {
    let mut outcome = None;
    let group = Group::alone(job.clone());
    ask(launcher, &group, lines, news, &mut |_, answer| outcome = answer)?;
    let put_off = || Err("it was put off".to_owned());
    outcome.unwrap_or_else(put_off).map_err(WorkerError::Failed)
}

/// What a worker says of a trial, if it was not put off.
type Answer = Option<Result<Outcome, String>>;

/// Starts a worker, and hears it out.
fn ask(
    launcher: &Launcher,
    group: &Group,
    lines: &mut dyn Write,
    news: &mut dyn FnMut(News) -> io::Result<()>,
    heard: &mut dyn FnMut(usize, Answer),
) -> Result<(), WorkerError> {
    let mut child = Command::new(&launcher.program)
        .args(&launcher.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let sent = send(&mut child, group);
    let has_said_all = listen(&mut child, group.trials(), lines, news, heard);
    if !matches!(has_said_all, Ok(true)) {
        // It may still be at work for nobody.
        let _ = child.kill();
    }
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(4096).read_to_string(&mut said);
    }
    let status = child.wait()?;
    if has_said_all? {
        return Ok(());
    }
    sent?;
    let said = said.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
    Err(WorkerError::Silent { status: status.to_string(), said })
}

fn send(child: &mut Child, group: &Group) -> io::Result<()> {
    let mut stdin = child.stdin.take().ok_or_else(|| io::Error::other("no standard input"))?;
    serde_json::to_writer(&mut stdin, group)?;
    Ok(())
}

/// Reads frames until something was said of so many trials, or the end; whether it was.
fn listen(
    child: &mut Child,
    trials: usize,
    lines: &mut dyn Write,
    news: &mut dyn FnMut(News) -> io::Result<()>,
    heard: &mut dyn FnMut(usize, Answer),
) -> Result<bool, WorkerError> {
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
    let mut input = BufReader::new(stdout);
    let mut body = Vec::new();
    let mut told = |what| news(what).map_err(WorkerError::Lines);
    let mut answers = 0..trials;
    while !answers.is_empty() {
        let Some(kind) = read_frame(&mut input, &mut body)? else { return Ok(false) };
        let mut hear = |answer| heard(answers.next().expect("there are some left"), answer);
        match kind {
            b'P' => told(News::Progress(serde_json::from_slice(&body).map_err(io::Error::other)?))?,
            b'S' => told(News::SoFar(serde_json::from_slice(&body).map_err(io::Error::other)?))?,
            b'L' => lines.write_all(&body).map_err(WorkerError::Lines)?,
            b'O' => hear(Some(Ok(serde_json::from_slice(&body).map_err(io::Error::other)?))),
            b'A' => hear(None),
            _ => hear(Some(Err(String::from_utf8_lossy(&body).into_owned()))),
        }
    }
    Ok(true)
}

fn read_frame(input: &mut impl Read, body: &mut Vec<u8>) -> io::Result<Option<u8>> {
    let mut head = [0; 5];
    match input.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > GREATEST_FRAME {
        return Err(io::Error::other("the replay's process sent nonsense"));
    }
    body.resize(length, 0);
    input.read_exact(body)?;
    Ok(Some(head[0]))
}

fn write_frame(out: &mut impl Write, kind: u8, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    out.write_all(&[kind])?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(body)
}

/// Sends lines as frames.
struct LineFrames<W: Write>(W);

impl<W: Write> Write for LineFrames<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_frame(&mut self.0, b'L', bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whoever started this process.
struct Parent {
    /// When it wants to know what came of the run so far, if it does.
    pace: Option<Pace>,
    began: Instant,
    /// What this thread had had of the processor when it wanted to know last.
    asked: Duration,
}

impl Parent {
    /// Tells it something. If it has gone, nobody wants the rest: a replay of a long trace would go on for minutes
    /// beside the one that was started in its place.
    fn tell(kind: u8, what: &impl Serialize) {
        if let Ok(body) = serde_json::to_vec(what) {
            let mut out = io::stdout().lock();
            let told = write_frame(&mut out, kind, &body).and_then(|()| out.flush());
            if told.is_err() {
                exit(1);
            }
        }
    }
}

impl Audience for Parent {
    fn progress(&mut self, progress: Progress) {
        Parent::tell(b'P', &progress);
    }

    fn wants_outcome(&mut self, at: Progress) -> bool {
        let is_due = self.pace.is_some_and(|pace| pace.is_due(self.began.elapsed(), at.done));
        if is_due {
            self.asked = processor_time();
        }
        is_due
    }

    fn hear(&mut self, outcome: Outcome) {
        Parent::tell(b'S', &outcome);
        if let (Some(pace), Some(at)) = (&mut self.pace, outcome.so_far) {
            pace.said(self.began.elapsed(), processor_time().saturating_sub(self.asked), at.done);
        }
    }
}

/// The worker's side: reads a group from standard input, runs it, answers on standard output.
///
/// # Errors
///
/// When the parent is not listening.
pub fn work() -> io::Result<()> {
    let group: Group = serde_json::from_reader(io::stdin().lock())?;
    let job = &group.job;
    if job.follow && Reader::open_file(&job.trace).is_ok_and(|reader| reader.is_being_written()) {
        // Without that it is merely less polite.
        let _ = nice(NICE);
    }
    let mut parent =
        Parent { pace: job.so_far.then(Pace::new), began: Instant::now(), asked: Duration::ZERO };
    let answers = match group.others[..] {
        [] => {
            let mut lines = BufWriter::with_capacity(PIECE, LineFrames(io::stdout()));
            let outcome = run_before(job, &mut lines, &mut parent);
            vec![outcome.map_or_else(Answered::Failed, |outcome| Answered::Outcome(Box::new(outcome)))]
        }
        _ => match together::replay(&group, &mut parent) {
            Ok(answers) => answers,
            Err(error) => return say_of_all(&group, &error),
        },
    };
    let mut out = io::stdout().lock();
    for answer in answers {
        match answer {
            Answered::Outcome(outcome) => write_frame(&mut out, b'O', &serde_json::to_vec(&outcome)?)?,
            Answered::Failed(error) => write_frame(&mut out, b'E', error.to_string().as_bytes())?,
            Answered::PutOff => write_frame(&mut out, b'A', &[])?,
        }
    }
    out.flush()
}

/// Nothing came of any trial, for the same reason.
fn say_of_all(group: &Group, error: &RunError) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for _ in 0..group.trials() {
        write_frame(&mut out, b'E', error.to_string().as_bytes())?;
    }
    out.flush()
}
