//! One run in a process of its own: its program break and its faults are the run's alone.
//!
//! The parent starts its own executable again with a word that says “work”, sends a [`Job`] to its
//! standard input as JSON, and reads frames from its standard output:
//!
//! ```text
//! kind: 1 byte   P progress (JSON)   L lines (text)   O outcome (JSON)   E error (text)
//! length: 4 bytes, little-endian
//! body: that many bytes
//! ```

use crate::outcome::Outcome;
use crate::run::{Job, Progress, run};
use std::ffi::OsString;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

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
    /// Whoever wanted the lines does not take them any more.
    #[error("the lines cannot be written: {0}")]
    Lines(#[source] io::Error),
}

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
    let mut child = Command::new(&launcher.program)
        .args(&launcher.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let sent = send(&mut child, job);
    let answer = listen(&mut child, lines, progress);
    if !matches!(answer, Ok(Some(_))) {
        // It may still be at work for nobody.
        let _ = child.kill();
    }
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(4096).read_to_string(&mut said);
    }
    let status = child.wait()?;
    match answer? {
        Some(answer) => answer.map_err(WorkerError::Failed),
        None => {
            sent?;
            let said = said.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
            Err(WorkerError::Silent { status: status.to_string(), said })
        }
    }
}

fn send(child: &mut Child, job: &Job) -> io::Result<()> {
    let mut stdin = child.stdin.take().ok_or_else(|| io::Error::other("no standard input"))?;
    serde_json::to_writer(&mut stdin, job)?;
    Ok(())
}

/// Reads frames until the outcome or the end.
fn listen(
    child: &mut Child,
    lines: &mut dyn Write,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Result<Outcome, String>>, WorkerError> {
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
    let mut input = BufReader::new(stdout);
    let mut body = Vec::new();
    while let Some(kind) = read_frame(&mut input, &mut body)? {
        match kind {
            b'P' => progress(serde_json::from_slice(&body).map_err(io::Error::other)?),
            b'L' => lines.write_all(&body).map_err(WorkerError::Lines)?,
            b'O' => return Ok(Some(Ok(serde_json::from_slice(&body).map_err(io::Error::other)?))),
            _ => return Ok(Some(Err(String::from_utf8_lossy(&body).into_owned()))),
        }
    }
    Ok(None)
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

/// The worker's side: reads a job from standard input, runs it, answers on standard output.
///
/// # Errors
///
/// When the parent is not listening.
pub fn work() -> io::Result<()> {
    let job: Job = serde_json::from_reader(io::stdin().lock())?;
    let mut progress = |at: Progress| {
        if let Ok(body) = serde_json::to_vec(&at) {
            // A parent that has gone is found out when the outcome is sent.
            let mut out = io::stdout().lock();
            let _ = write_frame(&mut out, b'P', &body).and_then(|()| out.flush());
        }
    };
    let mut lines = BufWriter::with_capacity(PIECE, LineFrames(io::stdout()));
    let answer = run(&job, &mut lines, &mut progress);
    drop(lines);
    let mut out = io::stdout().lock();
    match answer {
        Ok(outcome) => write_frame(&mut out, b'O', &serde_json::to_vec(&outcome)?)?,
        Err(error) => write_frame(&mut out, b'E', error.to_string().as_bytes())?,
    }
    out.flush()
}
