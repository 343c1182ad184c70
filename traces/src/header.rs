//! What a replay must know before the first call: the program, its machine, its C library.
//!
//! Every field that can change a placement is here: see the table of hidden inputs in
//! `FORMAT.md`. What could not be found out is empty or zero, never guessed.

use serde::{Deserialize, Serialize};

use crate::record::Record;

/// The first thing in a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// What wrote the trace, with its version: `malloscope 0.1.0`.
    pub recorder: String,
    /// How the trace came to be.
    pub origin: Origin,
    /// The traced program.
    pub program: Program,
    /// The machine it ran on.
    pub host: Host,
    /// The C library whose malloc it used.
    pub libc: Libc,
    /// Where the heap stood before the first call.
    pub heap: Heap,
    /// What the times are measured with.
    pub clock: Clock,
}

/// How a trace came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The process was recorded from its very first call.
    #[default]
    Launched,
    /// The process is a copy of a recorded one, made by `fork`: its heap began as the parent's stood.
    Forked {
        /// The parent's process id.
        parent: u32,
        /// The file name of the parent's trace, beside this one.
        trace: String,
        /// How many records of that trace had been made when the child began.
        after: u64,
    },
    /// Read from another format; the name of that format.
    Imported(String),
    /// The process was recorded from its middle on: it had run before somebody attached to it.
    Attached {
        /// For how long it had run, in nanoseconds; 0 where unknown.
        age: u64,
        /// For how long all its threads were stopped for it, in nanoseconds.
        stopped: u64,
    },
}

/// The file that sets tunables for all programs of a machine (glibc 2.44). Among the variables of a program its
/// entries that concern malloc have this name, each in its words: `nonoverridable glibc.malloc.top_pad=0`.
pub const SYSTEM_WIDE_TUNABLES: &str = "/etc/tunables.conf";

/// The traced program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The path of the executable.
    pub path: String,
    /// Its arguments, the program's own name first.
    pub arguments: Vec<String>,
    /// Its process id.
    pub pid: u32,
    /// Its parent's process id.
    pub parent: u32,
    /// The environment variables malloc reads: `MALLOC_*` and `GLIBC_TUNABLES`, nothing else. Before them stands
    /// what the machine sets for all programs, under the name [`SYSTEM_WIDE_TUNABLES`].
    pub environment: Vec<(String, String)>,
}

impl Program {
    /// What the machine sets for all programs, as variables.
    pub fn system_wide(&self) -> Vec<(&str, &str)> {
        let all = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(name, _)| *name == SYSTEM_WIDE_TUNABLES).collect()
    }
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// The kernel's release, as `uname -r` prints it.
    pub kernel: String,
    /// The processor architecture: `x86_64`.
    pub architecture: String,
    /// Bytes in a page.
    pub page_size: u64,
    /// Processors online: what glibc's arena limit is computed from (`__get_nprocs`).
    pub processors_online: u32,
    /// Processors in the affinity mask: what it was computed from in 2.35 to 2.38 (`__get_nprocs_sched`).
    pub processors_allowed: u32,
    /// Transparent huge pages: the word in brackets in `/sys/kernel/mm/transparent_hugepage/enabled`.
    pub huge_pages: String,
    /// `vm.overcommit_memory`; 2 makes glibc shrink arenas by mapping instead of `madvise`.
    pub overcommit: u8,
}

/// The C library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Libc {
    /// What `gnu_get_libc_version()` returned: `2.36`.
    pub version: String,
    /// The file it was loaded from.
    pub path: String,
    /// The build id in its notes; empty where it has none.
    pub build_id: Vec<u8>,
    /// What it answered when it was probed: some calls that a program of the recorder's own made to
    /// the same file, and where they landed. The first record is the start of a thread, and its
    /// program break is where that stood before the first call. Empty where nobody probed it.
    ///
    /// In the file this is not in the header but in a part of its own, because a header that is
    /// longer than the reader expects cannot be read.
    #[serde(skip)]
    pub probe: Vec<Record>,
}

/// Where the heap stood before the first call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heap {
    /// The program break. Its place within a page decides how the main heap is aligned. 0 where unknown.
    pub initial_break: u64,
    /// Whether addresses, heads and program breaks were seen. False in a script, where a pointer's
    /// address only tells one allocation from another.
    pub placements: bool,
}

/// What the times are measured with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The source.
    pub source: ClockSource,
    /// When the trace began, in nanoseconds since 1970.
    pub began: u64,
    /// What a time in the trace is a multiple of, in nanoseconds; at least 1.
    pub resolution: u64,
}

impl Clock {
    /// The resolution we record with, in nanoseconds: about as long as a call takes.
    ///
    /// The order of records does not depend on it. Times take 0.1 to 0.5 bytes a record with 64 ns,
    /// 0.2 to 0.7 with 16, and 0.4 to 1.4 with 1, where they would be more than half of most traces
    /// (`MEASURED.md`); and reading the clock alone takes 10 ns.
    pub const FINE_ENOUGH: u64 = 64;
}

/// Where times come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClockSource {
    /// There are none: every time is 0.
    #[default]
    None,
    /// The processor's time stamp counter, invariant and the same on every core.
    Tsc,
    /// `clock_gettime(CLOCK_MONOTONIC)`.
    Monotonic,
}
