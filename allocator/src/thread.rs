//! What malloc keeps for each thread: its arena and its cache.

use crate::arena::ArenaId;
use crate::bins::tcache::Tcache;

/// A thread of the program: 0 is the main thread, and the numbers have few gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(pub u32);

impl ThreadId {
    /// The thread the program began with.
    pub const MAIN: ThreadId = ThreadId(0);
}

/// A thread's own state: glibc's `thread_arena` and `tcache`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Thread {
    /// Where it allocates; `None` until it first needs to.
    pub(crate) arena: Option<ArenaId>,
    pub(crate) tcache: Tcache,
    /// What is still to be freed of its cache, while the thread exits.
    pub(crate) closing: Option<Box<Tcache>>,
}
