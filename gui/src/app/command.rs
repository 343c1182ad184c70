//! Everything that can happen, as data.

use super::shell::Shell;
use crate::jobs::replay::News;
use crate::model::Which;
use crate::model::bins::{Column, Sorting};
use crate::model::settings::Settings;
use crate::model::view::View;
use std::path::PathBuf;

/// Everything that can happen, as data: what a user does, and what is heard of a job.
#[derive(Clone, Debug)]
pub enum Command {
    /// Replay this trace and show it.
    Open(PathBuf),
    /// Back to the opening screen.
    Close,
    /// Stop a replay.
    Cancel(Which),
    /// Replay under other settings too.
    ReplayWith(Settings),
    /// Forget the replay under other settings.
    Forget,
    /// Show this replay in the tables.
    Show(Which),
    /// The title of a column was clicked.
    Sort(Column),
    /// Look at this record, or at none.
    Point(Option<u64>),
    /// Look at these records only: the first of them, and the first after them; or at all.
    Select(Option<(u64, u64)>),
    /// Bring a panel to the front.
    Look(View),
    /// Show the panel in front alone, or all of them.
    Alone(bool),
    /// Sort the table of bins like this.
    Arrange(Sorting),
    /// Something is asked of the window as such.
    Shell(Shell),
    /// Something was heard of a replay.
    Heard(Which, News),
}

/// What was asked during a frame, in order.
pub type Commands = Vec<Command>;
