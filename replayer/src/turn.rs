//! Which record is replayed next, and how.

use malloscope_allocator::bins::lockless::During;
use malloscope_allocator::claim::Claim;

/// How much of what a record says is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it, or what is left of it.
    Whole,
    /// One chunk that a thread gives back on exit: it frees one after another, and other threads
    /// come in between.
    Step,
}

/// Which record it is that is replayed next, and what is meant of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Its number in the trace.
    pub(crate) index: u64,
    pub(crate) extent: Extent,
    /// When what the call puts on a fastbin arrives there, if not at once: calls are known by the numbers
    /// of their records.
    pub(crate) during: Option<During>,
    /// Where its chunk is put if the replay is to be like the recording: no order of the calls explains why it lay there.
    pub(crate) claim: Option<Claim>,
}

impl Turn {
    /// All of a record, before the next.
    pub(crate) fn whole(index: u64) -> Turn {
        Turn { index, extent: Extent::Whole, during: None, claim: None }
    }
}
