//! Which record is replayed next, and how.

use malloscope_allocator::arena::ArenaPick;
use malloscope_allocator::bins::lockless::During;
use malloscope_allocator::claim::Claim;

/// How much of what a record says is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it, or what is left of it.
    Whole,
    /// A part of it between which and the rest other threads come: one chunk that a thread gives back on exit, as it
    /// frees one after another; or what its first call does [before](malloscope_allocator::heap::Heap::prepare) it looks
    /// for a chunk.
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
    /// Which arena its thread got if it had none: it chose when its call began, which may have been long before this turn.
    pub(crate) arena: Option<ArenaPick>,
}

impl Turn {
    /// All of a record, before the next.
    pub(crate) fn whole(index: u64) -> Turn {
        Turn { index, extent: Extent::Whole, during: None, claim: None, arena: None }
    }
}
