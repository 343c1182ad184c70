//! The calls of a trace, made to a real malloc: the machine's own glibc, another build of it, or any library that can
//! be preloaded.
//!
//! A worker is this executable anew, with the library preloaded or by the loader of the other build; for glibc with the
//! malloc variables of the recording in its environment, for others with those that are set. It is sent the calls as 24 bytes each (`act.rs`) and makes them to
//! the malloc of its process (`worker.rs`), by as many real threads as there were, one call after another in the
//! recorded order: what came of a race then comes of it now. Everything of its own has been touched before the first
//! call, and its own memory is another allocator's, so what its process has more of in the end is that malloc's.
//!
//! Or the threads run freely (`free.rs`), each making its own calls as fast as it can, and wait for each other within
//! malloc as real threads do. What comes of that differs from run to run.
//!
//! What it cannot say: in the recorded order how long threads would have waited for each other, as no two call at one
//! time; running freely what they would have done in between, and waited for besides memory; and in either what a malloc does
//! by the clock, such as giving back what has been free for a while, as calls follow each other at once; and where the
//! program went on reading and writing memory later. Memory from before a trace is not there: what is done to it is left
//! out, and so are `mallopt` and moves of the break by others.

pub mod act;
mod caller;
mod free;
pub mod times;
pub mod worker;

use crate::own;
use crate::trial::Touch;
use crate::variables::{Variable, concerns_malloc};
use act::{Act, Doing};
use malloscope_traces::{Error as TraceError, Header, Reader, Record, Slot};
use serde::{Deserialize, Serialize};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use times::{Nanos, OfKind};

/// A real malloc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// What every program on this machine has.
    Host,
    /// A library that has a malloc.
    Preloaded(PathBuf),
    /// Another glibc: the directory with its loader and its `libc.so.6`.
    Libc(PathBuf),
}

impl Target {
    /// What it is called: `jemalloc` for `/usr/lib/libjemalloc.so.2`.
    pub fn name(&self) -> String {
        let last = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match self {
            Target::Host => "this machine's glibc".to_owned(),
            Target::Libc(directory) => format!("glibc in {}", last(directory)),
            Target::Preloaded(file) => {
                let name = last(file);
                let name = name.split(".so").next().unwrap_or(&name);
                name.strip_prefix("lib").unwrap_or(name).to_owned()
            }
        }
    }

    fn is_glibc(&self) -> bool {
        !matches!(self, Target::Preloaded(_))
    }
}

/// The order in which threads make their calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// One call after another, as recorded.
    #[default]
    Recorded,
    /// Each thread its own calls, as fast as it can; whoever frees or reallocates waits for the allocation.
    Free,
}

/// What a worker is told before the calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Slots that the calls speak of.
    pub slots: u32,
    /// Which bytes of its memory the program writes.
    pub touch: Touch,
    /// The order of the calls.
    pub order: Order,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The file in which that malloc is.
    pub file: String,
    /// The order in which the calls were made.
    pub order: Order,
    /// Calls that were made.
    pub calls: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Threads that made them.
    pub threads: u32,
    /// Bytes that were resident at most, beyond what the process had before the first call.
    pub resident_peak: u64,
    /// Bytes that were resident after the last call.
    pub resident_end: u64,
    /// Minor faults, of the calls and of the program's writing.
    pub faults: u64,
    /// The processor's seconds of the process, its reading of the calls included.
    pub processor_seconds: f64,
    /// How long all of it took, by the clock; in the recorded order with the reading of the calls.
    pub seconds: f64,
    /// How long calls took, without the clock.
    pub nanos: Nanos,
    /// The same by the kind of call.
    pub kinds: Vec<OfKind>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RerunError {
    /// The trace cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The trace speaks of more allocations than it makes.
    #[error("the trace is not sound: it speaks of more allocations than it has records")]
    Unsound,
    /// The worker could not be run.
    #[error("{0} cannot be run: {1}")]
    Process(String, #[source] io::Error),
    /// The worker ended without an answer.
    #[error("{name} gave no answer ({status}){said}")]
    Silent {
        /// Whose malloc it was.
        name: String,
        /// How it ended.
        status: String,
        /// The last it said.
        said: String,
    },
    /// The loader went on without the library.
    #[error("{name} was not loaded: malloc was found in {file}")]
    NotLoaded {
        /// Whose malloc it was to be.
        name: String,
        /// Whose it was.
        file: String,
    },
}

/// A trace whose calls are made again.
#[derive(Debug)]
pub struct Rerun<'a> {
    trace: &'a Path,
    task: Task,
    variables: Vec<Variable>,
    /// The executable that works, by a path that any loader finds.
    program: PathBuf,
    /// The word that makes it work.
    word: &'a str,
}

impl<'a> Rerun<'a> {
    /// Looks through a trace. `program` is the executable that calls [`worker::work`] when it is told `word`.
    ///
    /// # Errors
    ///
    /// When the trace cannot be read.
    pub fn of(
        trace: &'a Path,
        touch: Touch,
        program: PathBuf,
        word: &'a str,
    ) -> Result<Rerun<'a>, RerunError> {
        let (mut slots, mut records) = (0, 0);
        let reader = each(trace, &mut |record| {
            records += 1;
            let named =
                record.call.placed().map(|placed| placed.pointer).into_iter().chain(record.call.handed());
            for pointer in named.filter(|pointer| pointer.slot != Slot::NONE) {
                slots = slots.max(pointer.slot.0.saturating_add(1));
            }
            Ok(())
        });
        let header = reader?;
        if u64::from(slots) > records {
            return Err(RerunError::Unsound);
        }
        let variables =
            header.program.environment.into_iter().filter(|(name, _)| concerns_malloc(name)).collect();
        Ok(Rerun { trace, task: Task { slots, touch, order: Order::default() }, variables, program, word })
    }

    /// Makes the calls to a malloc.
    ///
    /// # Errors
    ///
    /// When its process cannot be run, or does not say what came of it.
    pub fn on(&self, target: &Target, order: Order) -> Result<Measured, RerunError> {
        let name = target.name();
        let process = |error| RerunError::Process(name.clone(), error);
        let mut child = self.command(target).map_err(process)?.spawn().map_err(process)?;
        let stdin = child.stdin.take();
        let mut out = BufWriter::with_capacity(
            act::PIECE,
            stdin.ok_or_else(|| process(io::ErrorKind::BrokenPipe.into()))?,
        );
        let sent = self.send(target, order, &mut out);
        drop(out);
        let output = child.wait_with_output().map_err(process)?;
        let Ok(measured) = serde_json::from_slice::<Measured>(&output.stdout) else {
            // A trace that cannot be read is the better reason.
            if let Err(error @ RerunError::Trace(_)) = sent {
                return Err(error);
            }
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
            return Err(RerunError::Silent { name, status: output.status.to_string(), said });
        };
        let is_there =
            |file: &Path| file.canonicalize().ok() == Path::new(&measured.file).canonicalize().ok();
        match target {
            Target::Preloaded(file) if !is_there(file) => {
                Err(RerunError::NotLoaded { name, file: measured.file })
            }
            _ => Ok(measured),
        }
    }

    fn command(&self, target: &Target) -> io::Result<Command> {
        let mut command = match target {
            Target::Libc(directory) => {
                let directory = directory.canonicalize()?;
                let mut command = Command::new(loader_in(&directory)?);
                command.arg("--library-path").arg(library_path(&directory)).arg(&self.program);
                command
            }
            _ => Command::new(&self.program),
        };
        command.env_remove("LD_PRELOAD");
        // Another malloc reads what is set for it, and jemalloc's variable is called as glibc's are.
        if target.is_glibc() {
            let set = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(concerns_malloc));
            for (name, _) in set {
                command.env_remove(name);
            }
            command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        }
        if let Target::Preloaded(file) = target {
            command.env("LD_PRELOAD", file.canonicalize()?);
        }
        command.arg(self.word).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// Sends the task, as a line, and the calls.
    fn send(&self, target: &Target, order: Order, out: &mut impl Write) -> Result<(), RerunError> {
        let gone = |error| RerunError::Process(target.name(), error);
        let mut line =
            serde_json::to_vec(&Task { order, ..self.task.clone() }).map_err(|error| gone(error.into()))?;
        line.push(b'\n');
        out.write_all(&line).map_err(gone)?;
        let mut failed = None;
        each(self.trace, &mut |record| {
            let act = Act::of(record).filter(|act| act.doing != Doing::Trim || target.is_glibc());
            act.map_or(Ok(()), |act| out.write_all(&act.bytes())).map_err(|error| failed = Some(error))
        })?;
        match failed {
            Some(error) => Err(gone(error)),
            None => out.flush().map_err(gone),
        }
    }
}

/// Hands every sound record of a trace to `take`, until that fails.
fn each(trace: &Path, take: &mut dyn FnMut(&Record) -> Result<(), ()>) -> Result<Header, TraceError> {
    let mut reader = Reader::open_file(trace)?;
    let mut records = Vec::new();
    loop {
        match reader.next_batch(&mut records) {
            Ok(Some(_)) if records.iter().try_for_each(&mut *take).is_ok() => {}
            Ok(_) => return Ok(reader.header().clone()),
            Err(TraceError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The loader among the files of a glibc.
fn loader_in(directory: &Path) -> io::Result<PathBuf> {
    let is_loader = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("ld-") && name.contains(".so")
    };
    let files = directory.read_dir()?.filter_map(|entry| Some(entry.ok()?.path()));
    files
        .into_iter()
        .find(is_loader)
        .ok_or_else(|| io::Error::other("there is no loader ld-*.so in that directory"))
}

/// The other glibc first, and then what else the executable needs, where this process has it from.
fn library_path(directory: &Path) -> std::ffi::OsString {
    let mut path = directory.as_os_str().to_owned();
    for other in own::library_directories() {
        path.push(":");
        path.push(other);
    }
    path
}

/// Reads a short line.
fn read_line(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < 1 << 12 {
        input.read_exact(&mut byte)?;
        if byte == *b"\n" {
            return Ok(line);
        }
        line.extend(byte);
    }
    Err(io::Error::other("there is no task"))
}
