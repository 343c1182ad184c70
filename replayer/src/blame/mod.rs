//! Who is to blame: how much of something each call stack caused.
//!
//! A [`What`] is a quantity that is made up of what single calls and allocations did: bytes asked for,
//! say, or first touches of pages. A [`Blame`] says for every stack how much of it its calls caused. It
//! is plain data; `fold.rs` and the reports put names to it.
//!
//! | what | charged to a stack |
//! |---|---|
//! | `bytes` | bytes asked for by its calls, as far as they were given |
//! | `calls` | its calls that asked for memory |
//! | `peak` | bytes asked for by its allocations that lived when all live bytes were greatest (the first such moment) |
//! | `peak-contribution` | at that same moment, the bytes of their chunks: heads, padding and whole pages included |
//! | `leaks` | bytes asked for by its allocations that live at the end |
//! | `temporary` | its allocations that were freed before the thread that made them made another |
//! | `temporary-bytes` | the bytes asked for by those |
//! | `temporary10` | its allocations that were freed no more than ten records later, by whomever |
//! | `temporary10-bytes` | the bytes asked for by those |
//! | `pinned` | while an allocation of it is the highest live one of the main heap, or of a segment of another arena: the free bytes below that allocation's end, times how long |
//! | `held` | chunk bytes of its allocations, times how long they lived |
//! | `faults` | pages first touched in its calls, by malloc or, as the touch policy says, by the program |
//! | `break-grown` | bytes by which its calls moved the program break up |
//! | `break-trimmed` | bytes by which its calls moved it down |
//! | `misses` | requests that were not served from the tcache, by the place that served them |
//!
//! **Whose a call is.** A call's own stack's. A call that gives memory back often has none: what it does
//! goes to the stack of the allocation that it ended. What neither explains, such as a thread's exit, goes
//! to [`Stack::NONE`].
//!
//! **`realloc`** begins an allocation anew, for its stack, even in place: what was allocated before is no
//! longer charged with anything. It is no `free`, so it makes nothing temporary. A `realloc` that stays
//! where it is has found its memory without looking anywhere, and is no miss.
//!
//! **Time** is that of the records and never runs backward: what a call leaves behind lasts until the next
//! record, and the last record is the end. In a trace without a clock, such as a script, every record
//! takes as long as any other, and the unit is the byte-record.
//!
//! **Sampling.** Where only some calls have a stack ([`Sampling::Bytes`]), an allocation that has one
//! stands for `w` ([`Sampling::weight`]) like it, and what it caused, `x`, is counted as `w·x` (Horvitz
//! and Thompson). The estimates' standard errors are the roots of `Σ w·(w−1)·x²`. Totals
//! ([`Blame::total`]) are counted, not estimated: calls without a stack are in the trace as well.
//!
//! **Filters.** A [`Filter`](crate::filter::Filter) lets some allocations through; each charge is that of an
//! allocation, or of a call that asks for one, and those of the others are added up apart ([`Blame::left_out`]).
//! Nothing else changes: the peak is when all live bytes were greatest, and what pins is the highest live
//! allocation of all. What no allocation is to blame for is left out too. How long an allocation lives is a fact of
//! the trace, also where only a range of it counts.
//!
//! [`Stack::NONE`]: malloscope_traces::Stack::NONE
//! [`Sampling::Bytes`]: malloscope_traces::stacks::Sampling::Bytes
//! [`Sampling::weight`]: malloscope_traces::stacks::Sampling::weight

mod at_peak;
pub mod fold;
mod growing;
mod heights;
mod ledger;
pub mod legend;
pub(crate) mod names;
mod recorded;
mod region;
mod tally;
#[cfg(test)]
mod tests;
pub mod tree;

pub use recorded::{Of, Recorded, recorded, recorded_within};
pub(crate) use tally::Tally;

use crate::report::units::{bytes, count, signed_bytes, signed_count};
use malloscope_allocator::observe::counters::SourceKind;
use malloscope_traces::Stack;
use malloscope_traces::header::{Clock, ClockSource};
use serde::{Deserialize, Serialize};

/// A quantity that stacks are to blame for; the table above says what each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the table at the head of the module has them")]
pub enum What {
    Bytes,
    Calls,
    Peak,
    PeakContribution,
    Leaks,
    Temporary,
    TemporaryBytes,
    #[serde(rename = "temporary10")]
    Temporary10,
    #[serde(rename = "temporary10-bytes")]
    Temporary10Bytes,
    Pinned,
    Held,
    Faults,
    BreakGrown,
    BreakTrimmed,
    Misses,
}

/// What is said of a [`What`] to people.
struct Description {
    name: &'static str,
    title: &'static str,
    unit: Unit,
    needs_replay: bool,
}

impl What {
    /// All there are: first those that the trace alone tells.
    pub const ALL: [What; 15] = [
        What::Bytes,
        What::Calls,
        What::Peak,
        What::PeakContribution,
        What::Leaks,
        What::Temporary,
        What::TemporaryBytes,
        What::Temporary10,
        What::Temporary10Bytes,
        What::Pinned,
        What::Held,
        What::Faults,
        What::BreakGrown,
        What::BreakTrimmed,
        What::Misses,
    ];

    /// Those that a report names stacks for.
    pub const REPORTED: [What; 4] = [What::Pinned, What::Peak, What::Faults, What::Misses];

    fn description(self) -> Description {
        use Unit::{Allocations, ByteSeconds, Bytes, Calls, Faults, Requests};
        let (name, title, unit, needs_replay) = match self {
            What::Bytes => ("bytes", "Bytes allocated", Bytes, false),
            What::Calls => ("calls", "Calls that asked for memory", Calls, false),
            What::Peak => ("peak", "Live at the peak", Bytes, false),
            What::PeakContribution => ("peak-contribution", "Chunks live at the peak", Bytes, false),
            What::Leaks => ("leaks", "Live at the end", Bytes, false),
            What::Temporary => ("temporary", "Temporary allocations", Allocations, false),
            What::TemporaryBytes => ("temporary-bytes", "Temporary allocations", Bytes, false),
            What::Temporary10 => ("temporary10", "Allocations freed within ten records", Allocations, false),
            What::Temporary10Bytes => {
                ("temporary10-bytes", "Allocations freed within ten records", Bytes, false)
            }
            What::Pinned => ("pinned", "Free memory pinned below live allocations", ByteSeconds, true),
            What::Held => ("held", "Memory held", ByteSeconds, true),
            What::Faults => ("faults", "First touches of pages", Faults, true),
            What::BreakGrown => ("break-grown", "Growth of the program break", Bytes, true),
            What::BreakTrimmed => ("break-trimmed", "Trimming of the program break", Bytes, true),
            What::Misses => ("misses", "Requests not served from the tcache", Requests, true),
        };
        Description { name, title, unit, needs_replay }
    }

    /// How the user writes it.
    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// What stands above a picture of it.
    pub fn title(self) -> &'static str {
        self.description().title
    }

    /// Whether the trace alone does not tell.
    pub fn needs_replay(self) -> bool {
        self.description().needs_replay
    }

    /// In a few words, what it is.
    pub fn help(self) -> &'static str {
        match self {
            What::Bytes => "Bytes asked for",
            What::Calls => "Calls that asked for memory",
            What::Peak => "Bytes asked for that lived when all that lived was most",
            What::PeakContribution => "The chunks of those, in bytes",
            What::Leaks => "Bytes asked for that live at the end",
            What::Temporary => "Allocations freed before their thread made another",
            What::TemporaryBytes => "The bytes of those",
            What::Temporary10 => "Allocations freed within ten records",
            What::Temporary10Bytes => "The bytes of those",
            What::Pinned => {
                "Free bytes that could not go back to the kernel because this lay above, × time (from a replay, as all below)"
            }
            What::Held => "Chunk bytes × time",
            What::Faults => "Pages first touched",
            What::BreakGrown => "Bytes by which the program break was moved up",
            What::BreakTrimmed => "Bytes by which it was moved down",
            What::Misses => "Requests not served from the tcache, and by which bin",
        }
    }

    /// Whether it is counted in bytes, or bytes × time.
    pub fn is_memory(self) -> bool {
        matches!(self.description().unit, Unit::Bytes | Unit::ByteSeconds)
    }

    /// What it is counted in, in a trace with this clock.
    pub fn unit(self, clock: &Clock) -> Unit {
        match self.description().unit {
            Unit::ByteSeconds if clock.source == ClockSource::None => Unit::ByteRecords,
            unit => unit,
        }
    }
}

/// What a quantity is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Unit {
    Bytes,
    ByteSeconds,
    /// Bytes times records: the trace has no clock.
    ByteRecords,
    Calls,
    Allocations,
    Requests,
    Faults,
}

impl Unit {
    /// Its name, in the plural.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Bytes => "bytes",
            Unit::ByteSeconds => "byte-seconds",
            Unit::ByteRecords => "byte-records",
            Unit::Calls => "calls",
            Unit::Allocations => "allocations",
            Unit::Requests => "requests",
            Unit::Faults => "faults",
        }
    }

    /// So much of it, as people read it: `1.50 MiB`, `2.00 GiB·s`, `17`.
    pub fn shown(self, value: f64) -> String {
        let whole = whole(value);
        self.suffixed(if self.is_bytes() { bytes(whole) } else { count(whole) })
    }

    /// By so much more or less of it, with a sign.
    pub fn shown_signed(self, value: f64) -> String {
        let magnitude = i128::from(whole(value.abs()));
        let signed = if value < 0.0 { -magnitude } else { magnitude };
        self.suffixed(if self.is_bytes() { signed_bytes(signed) } else { signed_count(signed) })
    }

    fn is_bytes(self) -> bool {
        matches!(self, Unit::Bytes | Unit::ByteSeconds | Unit::ByteRecords)
    }

    fn suffixed(self, text: String) -> String {
        match self {
            Unit::ByteSeconds => text + "·s",
            Unit::ByteRecords => text + "·records",
            _ => text,
        }
    }

    /// How many of what ledgers count in make one of these: time is counted in nanoseconds there.
    fn in_counted(self) -> f64 {
        if self == Unit::ByteSeconds { 1e9 } else { 1.0 }
    }
}

/// The nearest whole number, for people.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, for people")]
fn whole(value: f64) -> u64 {
    value.round().max(0.0) as u64
}

/// How much of something each stack caused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blame {
    /// What.
    pub what: What,
    /// What the numbers count.
    pub unit: Unit,
    /// All there was of it that the filter lets through, whoever caused it: counted, also where stacks were sampled.
    pub total: f64,
    /// What there was besides of it, that the filter left out.
    #[serde(default)]
    pub left_out: f64,
    /// By how much the rows' sum is likely to be off; `None` where every call has its stack, and the rows
    /// are exact.
    pub standard_error: Option<f64>,
    /// Every stack that caused any, those that caused most first. [`Stack::NONE`] is among them where
    /// rows are exact: then they add up to the total.
    pub rows: Vec<Row>,
}

/// How much one stack caused.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The stack.
    pub stack: Stack,
    /// What of the whole this is, where that is told apart: the place that served the request.
    pub place: Option<Place>,
    /// How much.
    pub weight: f64,
    /// By how much that is likely to be off; 0 where it is exact.
    pub error: f64,
}

/// A place that serves requests, other than a tcache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place(u8);

impl Place {
    /// How many there are, those included that count as no miss.
    const COUNT: usize = SourceKind::ALL.len();

    /// The place that is a miss; `None` where a request was served as fast as can be.
    fn missed(from: SourceKind) -> Option<Place> {
        let is_fast = matches!(from, SourceKind::Tcache | SourceKind::Stayed);
        let number = SourceKind::ALL.iter().position(|&kind| kind == from)?;
        if is_fast { None } else { u8::try_from(number).ok().map(Place) }
    }

    /// What it is called in reports.
    pub fn name(self) -> &'static str {
        SourceKind::ALL.get(usize::from(self.0)).map_or("?", |kind| kind.name())
    }
}

impl Blame {
    /// The sum of the rows: the total, or what it is estimated as.
    pub fn attributed(&self) -> f64 {
        self.rows.iter().map(|row| row.weight).sum()
    }
}
