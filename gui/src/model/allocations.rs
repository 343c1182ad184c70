//! The table of single allocations: how it is sorted, what it is of, and which row is looked at.

use super::Tile;
use crate::jobs::stacks::News;
use malloscope_replayer::allocations::{Allocation, Listing, Order};
use malloscope_replayer::filter::Filter;
use std::sync::Arc;

/// A longer table goes before another is made: the two together would take too much memory.
const LONG: usize = 1 << 20;

/// How the table is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sorting {
    /// By what.
    pub by: Order,
    /// The other way round?
    pub is_reversed: bool,
}

impl Sorting {
    /// What a click on a column's title leads to: by that column; a second click turns it round.
    pub fn clicked(self, by: Order) -> Sorting {
        Sorting { by, is_reversed: self.by == by && !self.is_reversed }
    }
}

/// What a table is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How it is sorted.
    pub sorting: Sorting,
    /// Which allocations are in it.
    pub filter: Filter,
    /// Made in which records: the first of them, and the first after them.
    pub range: Option<(u64, u64)>,
    /// Whether it says who served them.
    pub shows_places: bool,
}

/// A table that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The table.
    pub listing: Arc<Listing>,
    /// What it is of.
    pub of: Asked,
}

/// The table of single allocations.
#[derive(Clone, Debug, Default)]
pub struct Allocations {
    /// Whether anybody has looked at it: until then nothing is done for it.
    pub is_wanted: bool,
    /// Whether what was being done for it was stopped: then it waits until it is asked for.
    pub is_stopped: bool,
    /// Whether it should say who served them, for which a replay is made.
    pub wants_places: bool,
    /// How it should be sorted.
    pub sorting: Sorting,
    /// What is being made, or was made last.
    pub asked: Option<Asked>,
    /// How far that is.
    pub state: Tile<()>,
    /// The table that is there: while another is made, the one before.
    pub listed: Option<Listed>,
    /// The allocation that is looked at.
    pub chosen: Option<Allocation>,
}

impl Allocations {
    /// Asks for a table; whether it is another than the one that was asked for before.
    pub fn ask(&mut self, asked: Asked) -> bool {
        if self.asked == Some(asked) {
            return false;
        }
        (self.asked, self.state) = (Some(asked), Tile::Loading(None));
        if self.listed.as_ref().is_some_and(|listed| listed.listing.rows.len() > LONG) {
            self.listed = None;
        }
        true
    }

    /// Something was heard of the table that was asked for.
    pub fn heard(&mut self, news: News) {
        match (news, self.asked) {
            (News::Progress(progress), Some(_)) => self.state = Tile::Loading(Some(progress)),
            (News::Failed(failure), Some(_)) => self.state = Tile::Failed(failure),
            (News::Scanned(listing), Some(of)) => {
                self.state = Tile::Ready(());
                self.listed = Some(Listed { listing, of });
            }
            _ => {}
        }
    }
}

/// What a user does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocationsCommand {
    /// Look at it.
    Want,
    /// The title of a column was clicked.
    Sort(Order),
    /// Look at this allocation.
    Choose(Allocation),
    /// Replay the trace to know who served them.
    Places,
    /// Stop what is being done for it.
    Cancel,
}
