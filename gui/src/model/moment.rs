//! What is looked at, apart from what there is to see: what undo takes back, and a command line says.

use super::Model;
use super::bins::Sorting;
use super::runs::RunId;
use super::view::View;
use malloscope_replayer::filter::Filter;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The record that is looked at.
    pub cursor: Option<u64>,
    /// The records that are looked at: the first of them, and the first after them.
    pub range: Option<(u64, u64)>,
    /// The panel that was brought to the front last.
    pub front: View,
    /// Whether it is shown alone.
    pub is_alone: bool,
    /// How the table of bins is sorted.
    pub sorting: Sorting,
    /// The replay that the tables show.
    pub shown: RunId,
    /// Which allocations count.
    pub filter: Filter,
}

impl Moment {
    /// What is looked at now.
    pub fn of(model: &Model) -> Moment {
        let &Model { cursor, range, front, is_alone, sorting, filter, .. } = model;
        Moment { cursor, range, front, is_alone, sorting, shown: model.runs.shown().id, filter }
    }

    /// Whether the other differs in nothing but the cursor.
    pub fn differs_by_cursor_alone(&self, other: &Moment) -> bool {
        self.cursor != other.cursor && Moment { cursor: self.cursor, ..*other } == *self
    }
}
