//! Everything that can happen, as data.

use crate::jobs::replay::News;
use crate::jobs::stacks;
use crate::model::Which;
use crate::model::bins::Column;
use crate::model::flame::FlameCommand;
use crate::model::settings::Settings;
use crate::model::sites::SitesCommand;
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
    /// Something is done to the flamegraph.
    Flame(FlameCommand),
    /// Something is done to the table of allocation sites.
    Sites(SitesCommand),
    /// Something was heard of work on stacks.
    HeardOfStacks(stacks::Slot, Box<stacks::News>),
    /// Something was heard of a replay.
    Heard(Which, News),
}

/// What was asked during a frame, in order.
pub type Commands = Vec<Command>;
