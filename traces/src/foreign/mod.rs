//! Recordings of other tools, as traces.
//!
//! | format | tool | threads | times | what a trace of it lacks |
//! |---|---|---|---|---|
//! | `aosp.rs` | Android's `memory_replay` | yes, and their ends | if they are there | |
//! | `mtrace.rs` | `mtrace(3)` of glibc | no | no | alignments; what `calloc` was asked for |
//! | `malloc_trace.rs` | glibc-malloc-trace-utils, glibc's branch `dj/malloc` | yes | no | ends of threads |
//! | `heaptrack/` | heaptrack, raw or interpreted, with its stacks | no | every 10 ms | alignments; `calloc`; `realloc`; `memalign`; interpreted, which allocation ends |
//! | `memray/` | memray of Python, with its stacks | yes | every 10 ms | alignments; ends of threads; what `pymalloc` serves |
//! | `ltrace.rs` | ltrace(1) | with `-f` | with `-ttt` | what `posix_memalign` returned; calls that libraries make |
//!
//! bytehound's files are not read: what is in them is known from its source, but no file of its own was to be had, which
//! takes a compiler of 2022, and a reader that was never held against one would be a guess.
//!
//! None of them says where glibc put a chunk, or it was another malloc: the addresses only tell which
//! allocation is given back. A trace of them has none of its own, and no fidelity.
//!
//! What is given back without having been allocated there was allocated before the recording began, and the trace
//! says that; see [`Oddities`] for what an import counts.

mod addresses;
mod aosp;
mod heaptrack;
mod lines;
mod ltrace;
mod malloc_trace;
mod memray;
mod mtrace;
mod threads;
mod tree;
mod words;

pub use addresses::Oddities;
pub(crate) use lines::{Trouble, lines};
pub use words::Problem;
pub(crate) use words::{Words, narrow, number};

use crate::error::Error;
use crate::header::{Clock, Header, Origin};
use crate::record::{Call, Nanos, Record, Thread};
use crate::write::Writer;
use std::io::{self, BufRead, Write};

/// The format of another tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text of Android's `memory_replay`: `TID: malloc POINTER SIZE`.
    Aosp,
    /// The text of `mtrace(3)`: `@ FILE:[CALLER] + POINTER SIZE`.
    Mtrace,
    /// The records of glibc-malloc-trace-utils, 64 bytes each.
    MallocTrace,
    /// What heaptrack writes, packed or not.
    Heaptrack,
    /// What memray writes, packed or not.
    Memray,
    /// The text of ltrace(1).
    Ltrace,
}

/// Why another tool's file could not become a trace.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line that says nothing.
    #[error("line {line}, column {column}: {problem}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// Where in it, from 1.
        column: usize,
        /// What is wrong there.
        problem: Problem,
    },
    /// A record that says nothing.
    #[error("record {index}, at byte {at}, {problem}")]
    Record {
        /// Its number, from 0.
        index: u64,
        /// Where it begins.
        at: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Reading(#[from] io::Error),
    /// The trace cannot be written.
    #[error(transparent)]
    Writing(#[from] Error),
}

impl Format {
    /// The name of the format, as a trace's header has it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Aosp => "aosp",
            Format::Mtrace => "mtrace",
            Format::MallocTrace => "malloc-trace",
            Format::Heaptrack => "heaptrack",
            Format::Memray => "memray",
            Format::Ltrace => "ltrace",
        }
    }

    /// What the format does not say, and a replay therefore cannot know; a sentence each.
    pub fn lacks(self) -> &'static [&'static str] {
        match self {
            Format::Aosp => &["The calls of all threads are in the order in which they were written down."],
            Format::Mtrace => &[
                "All calls are taken for one thread's: mtrace(3) does not say whose they were.",
                "Aligned allocations and those of calloc are taken for malloc's: mtrace(3) writes the same of them.",
            ],
            Format::MallocTrace => &["No thread ends before the trace does: its ends are not written down."],
            Format::Heaptrack => &[
                "All calls are taken for one thread's: heaptrack does not say whose they were.",
                "Every request is taken for malloc's, and realloc for free and malloc: heaptrack writes the same of them.",
                "If heaptrack has interpreted the file, the oldest of equal allocations is taken to be the one that is freed: \
                 only what `heaptrack --raw` writes says which.",
                "Allocations of memalign, valloc and pvalloc are missing: heaptrack does not see them.",
                "What its stacks are called is what heaptrack found, if it has interpreted the file; otherwise it is looked up in the \
                 files that lie where they lay, which should be the same ones.",
            ],
            Format::Memray => &[
                "Aligned allocations are taken for malloc's, as memray does not write down their alignment; those of valloc and \
                 pvalloc are their own.",
                "A free right before a realloc by the same thread is taken for a part of it, as memray writes both down for one.",
                "What realloc frees because it is asked for nothing lives on: memray does not write that down.",
                "Of Python's own allocations, which are there if memray was run with --trace-python-allocators, those of up to \
                 512 bytes are pymalloc's and left out, unless Python asked malloc for all of them.",
                "No thread ends before the trace does: its ends are not written down.",
                "Its stacks are those of Python: frames of machine code are left out.",
            ],
            Format::Ltrace => &[
                "Calls that libraries make are there only if ltrace was asked for them (-e '@*').",
                "What posix_memalign returned is not written down: it lives to the end here, and its free is taken for one of \
                 something from before.",
                "Every process that ltrace followed is taken for a thread of one.",
            ],
        }
    }

    /// The header of a trace of such a file.
    pub fn header(self) -> Header {
        let clock = Clock { resolution: 1, ..Clock::default() };
        Header { origin: Origin::Imported(self.name().to_owned()), clock, ..Header::default() }
    }

    /// Writes the calls of a file to a trace, and says what was odd about them.
    ///
    /// # Errors
    ///
    /// The first line or record that cannot be understood, and those of reading and writing.
    pub fn import<W: Write>(
        self,
        file: impl BufRead,
        trace: &mut Writer<W>,
    ) -> Result<Oddities, ImportError> {
        match self {
            Format::Aosp => aosp::import(file, trace),
            Format::Mtrace => mtrace::import(file, trace),
            Format::MallocTrace => malloc_trace::import(file, trace),
            Format::Heaptrack => heaptrack::import(file, trace),
            Format::Memray => memray::import(file, trace),
            Format::Ltrace => ltrace::import(file, trace),
        }
    }
}

/// A record without a program break.
fn record(time: u64, thread: Thread, call: Call) -> Record {
    Record { time: Nanos(time), thread, program_break: 0, call }
}
