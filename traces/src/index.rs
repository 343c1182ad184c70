//! Where each batch begins, so that reading can start at any of them.

use serde::{Deserialize, Serialize};

use crate::record::Nanos;

/// Where the batches of a trace begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// One entry for each batch, in order.
    pub batches: Vec<Entry>,
}

/// Where a batch begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The byte in the file.
    pub at: u64,
    /// The number of its first record.
    pub first: u64,
    /// The time of its first record.
    pub time: Nanos,
}

impl Index {
    /// The batch that `record` is in, or would be in if the trace went on.
    pub fn batch_of_record(&self, record: u64) -> usize {
        self.batches.partition_point(|entry| entry.first <= record).saturating_sub(1)
    }

    /// The last batch that begins at `time` or before.
    pub fn batch_at_time(&self, time: Nanos) -> usize {
        self.batches.partition_point(|entry| entry.time <= time).saturating_sub(1)
    }
}
