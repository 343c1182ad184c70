//! A JSON array whose elements are made while they are written, so that it is never in memory as a whole.

use serde::{Serialize, Serializer};

/// What makes the elements, from the first each time it is asked.
pub(super) struct Sequence<F>(pub(super) F);

impl<F, I> Serialize for Sequence<F>
where
    F: Fn() -> I,
    I: IntoIterator,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}
