//! What is known only when a recording is over; absent from a trace that was cut short.

use serde::{Deserialize, Serialize};

use crate::identity::Oddities;
use crate::record::{Nanos, Thread};

/// The last thing in a trace that was finished properly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Why there is no more.
    pub cause: Cause,
    /// How long the recording ran, in nanoseconds.
    pub duration: Nanos,
    /// Calls the recorder saw and could not keep.
    pub lost: u64,
    /// Of those, the ones whose thread is known. A thread that lost nothing is not listed.
    pub lost_by_thread: Vec<(Thread, u64)>,
    /// What the recorder counted on its own, to be held against what the trace contains.
    pub observed: Observed,
}

/// Why a recording ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Nobody said.
    #[default]
    Unknown,
    /// The program exited.
    Exited {
        /// Its exit status.
        status: i32,
    },
    /// The program was ended by a signal.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// The process became another program (`execve`), whose heap is a new one.
    Replaced {
        /// The path of the other program.
        by: String,
    },
    /// Whoever recorded asked to stop; the program went on.
    Stopped,
    /// The recording reached a limit it was given; the program went on.
    Limited {
        /// The limit, as the user gave it.
        limit: String,
    },
    /// The text it was imported from was at its end.
    Imported,
}

/// What the recorder counted on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Calls it saw, those lost included.
    pub calls: u64,
    /// Bytes it took from the program, before any of this crate's encoding.
    pub bytes: u64,
}

/// What the writer counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Records in the trace.
    pub records: u64,
    /// Batches of them.
    pub batches: u32,
    /// Allocations made; one that is moved is not counted again.
    pub allocations: u64,
    /// How many slots a replay needs: one more than the highest, and the most allocations there
    /// ever were at one time.
    pub slots: u32,
    /// What did not fit together.
    pub oddities: Oddities,
}

/// The last frame but one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Last {
    pub ending: Ending,
    pub totals: Totals,
    /// Where the index begins; 0 if it would have been too long to be read.
    pub index: u64,
}
