//! What the frames of a trace's stacks are called: the one place where symbols come in.

use malloscope_replayer::blame::names::{Namer, Offsets};

/// Who says what frames are called.
pub fn namer() -> impl Namer {
    Offsets
}
