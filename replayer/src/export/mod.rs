//! A trace with stacks in the formats of tools that people already use.
//!
//! One pass over the trace collects a [`Profile`]: what each stack allocated, freed and left, and how the
//! heap went over time. Every format is given that and the [`Code`] its stacks run through, and is a file of
//! its own that knows nothing of the others.
//!
//! ```text
//! trace ──► collect ──► Profile ──┬──► pprof       gzipped profile.proto
//!             │ │ │               ├──► firefox     processed profile, JSON
//!             │ │ └ counters      ├──► speedscope  JSON
//!             │ └── lives         ├──► perfetto    native trace, protobuf
//!             └──── sites         ├──► dhat        JSON version 2
//!                     names ──► Code ► folded      a stack a line
//! ```
//!
//! What holds in all of them:
//!
//! - Bytes are those the program asked for. A call that failed counts for nothing.
//! - An allocation belongs to the stack of the call that gave it its present size: a `realloc` ends what it
//!   was handed, and makes a new one.
//! - Where stacks were sampled, a call that has one stands for [`Sampling::weight`] calls like it, and
//!   everything that is counted by stack is an estimate. What is counted over time is not: every call is in
//!   the trace.
//! - Times are nanoseconds since the trace began, and never go back. A trace without a clock is given one
//!   that ticks a microsecond a record.

pub mod code;
pub mod collect;
pub mod counters;
pub mod dhat;
pub mod firefox;
pub mod folded;
pub mod lives;
pub mod names;
pub mod perfetto;
pub mod pprof;
mod protobuf;
mod sequence;
pub mod sites;
pub mod speedscope;
pub mod symbolized;

use crate::metrics::series::Sample;
use code::Code;
use collect::{Counted, Lane, Moment};
use counters::Point;
use lives::Lives;
use malloscope_traces::header::Header;
use malloscope_traces::stacks::{Sampling, Stacks};
use names::Names;
use sites::{Dump, Site};
use std::io::{self, Write};

/// A format of another tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Gzipped `profile.proto`: pprof, Pyroscope, Parca.
    Pprof,
    /// The Firefox Profiler's processed profile.
    Firefox,
    /// Speedscope's own JSON.
    Speedscope,
    /// A Perfetto trace.
    Perfetto,
    /// DHAT's JSON, version 2.
    Dhat,
    /// Stacks with semicolons, for flamegraphs.
    Folded,
}

impl Format {
    /// Whether there is nothing to say in it about a trace without stacks.
    pub fn needs_stacks(self) -> bool {
        self != Format::Perfetto
    }

    /// Whether a file in it is text.
    pub fn is_text(self) -> bool {
        !matches!(self, Format::Pprof | Format::Perfetto)
    }
}

/// All that a trace has to say to the formats.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What was known before the first call.
    pub header: Header,
    /// Nanoseconds from the trace's beginning to its end.
    pub duration: u64,
    /// Whether the trace has times.
    pub has_clock: bool,
    /// All stacks of the trace.
    pub stacks: Stacks,
    /// What each stack did; stacks that allocated nothing are not in it.
    pub sites: Vec<Site>,
    /// All allocations that are selected, also of calls whose stack is not known.
    pub counted: Counted,
    /// All others.
    pub left_out: Counted,
    /// How the sites stood at some moments on the way; empty unless it was asked for.
    pub dumps: Vec<Dump>,
    /// Allocations one by one; empty unless it was asked for.
    pub lives: Lives,
    /// How the heap went.
    pub counters: Vec<Point>,
    /// How it went in a replay, which knows more of it; empty unless somebody made one.
    pub replayed: Vec<Sample>,
    /// The threads.
    pub lanes: Vec<Lane>,
    /// When the most bytes were live.
    pub peak: Moment,
    /// What was live at the end.
    pub end: Moment,
    /// What of the trace is damaged and was left out.
    pub damage: Vec<String>,
}

impl Profile {
    /// Whether anybody captured stacks.
    pub fn has_stacks(&self) -> bool {
        self.stacks.capture.is_some() || self.stacks.frames.len() > 1
    }

    /// Which calls have a stack.
    pub fn sampling(&self) -> Sampling {
        self.stacks.capture.map_or(Sampling::All, |capture| capture.sampling)
    }

    /// The program and its arguments, as they were called.
    pub fn command(&self) -> String {
        let program = &self.header.program;
        if program.arguments.is_empty() { program.path.clone() } else { program.arguments.join(" ") }
    }

    /// The file name of the program.
    pub fn program(&self) -> &str {
        names::file_name(&self.header.program.path)
    }

    /// The program's process id. Imported traces have none, and 0 is the idle process to most tools.
    pub fn pid(&self) -> u32 {
        self.header.program.pid.max(1)
    }

    /// When a record was: at its time, or at the tick of its number where there is no clock.
    pub fn time_of(&self, record: u64, time: u64) -> u64 {
        let time = if self.has_clock { time } else { record.saturating_mul(collect::TICK) };
        // Formats' times have a sign.
        time.min(i64::MAX as u64)
    }

    /// What a reader of the file should know, in sentences.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Sampling::Bytes { mean } = self.sampling() {
            remarks.push(format!(
                "stacks were sampled, one in {} bytes asked for: what is counted by stack is an estimate",
                crate::sizes::shortest(mean)
            ));
        }
        if !self.has_clock {
            remarks.push("the trace has no times: a microsecond stands for a record".to_owned());
        }
        remarks
    }
}

/// Writes a profile in a format. `names` says what the code of its stacks is called.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write(
    format: Format,
    profile: &Profile,
    names: &mut dyn Names,
    out: &mut dyn Write,
) -> io::Result<()> {
    let code = Code::of(&profile.stacks, &profile.sites, names);
    match format {
        Format::Pprof => pprof::write(profile, &code, out),
        Format::Firefox => firefox::write(profile, &code, out),
        Format::Speedscope => speedscope::write(profile, &code, out),
        Format::Perfetto => perfetto::write(profile, &code, out),
        Format::Dhat => dhat::write(profile, &code, out),
        Format::Folded => folded::write(profile, &code, out),
    }
}
