//! The table of allocation sites: how it is sorted, which rows are shown, and which is looked at.

use super::Tile;
use malloscope_replayer::sites::{Column, SiteRow, SiteTable};
use malloscope_traces::Stack;
use std::sync::Arc;

/// How the table is sorted, and what of it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub by: Column,
    /// The greatest first?
    pub is_descending: bool,
    /// Only stacks with this text in a function or a module.
    pub filter: String,
}

impl Default for Order {
    fn default() -> Order {
        Order { by: Column::Bytes, is_descending: true, filter: String::new() }
    }
}

impl Order {
    /// What a click on a column's title leads to: by that column, from the greatest; a second click turns
    /// it round.
    pub fn clicked(&self, column: Column) -> Order {
        let is_descending = self.by != column || !self.is_descending;
        Order { by: column, is_descending, filter: self.filter.clone() }
    }
}

/// Rows in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Sorted {
    /// The table that they are of: while another one is made, this is shown.
    pub table: Arc<SiteTable>,
    /// The order.
    pub order: Order,
    /// The numbers of the rows that are shown.
    pub rows: Arc<Vec<u32>>,
    /// Their sum.
    pub sum: SiteRow,
}

/// The table of allocation sites.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    /// Whether anybody has looked at it: until then nothing is done for it.
    pub is_wanted: bool,
    /// Whether what was being done for it was stopped: then it waits until it is asked for.
    pub is_stopped: bool,
    /// Whether what stacks pinned is wanted too, for which a replay is made.
    pub wants_pinned: bool,
    /// The table.
    pub table: Tile<Arc<SiteTable>>,
    /// How it should be sorted.
    pub order: Order,
    /// The order that is being made, and of which table.
    pub asked: Option<(Arc<SiteTable>, Order)>,
    /// The rows in order.
    pub sorted: Option<Sorted>,
    /// The stack that is looked at.
    pub chosen: Option<Stack>,
}

/// What a user does to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SitesCommand {
    /// Look at it.
    Want,
    /// The title of a column was clicked.
    Sort(Column),
    /// Show only stacks with this text.
    Filter(String),
    /// Look at this stack.
    Choose(Stack),
    /// Replay the trace to know what stacks pinned.
    Pin,
    /// Stop what is being done for it.
    Cancel,
}
