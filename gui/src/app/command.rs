//! Everything that can happen, as data.

use crate::jobs::explore;
use crate::jobs::replay::News;
use crate::model::Which;
use crate::model::bins::Column;
use crate::model::colouring::Colouring;
use crate::model::heap::Ask;
use crate::model::picture::{Canvas, Picture};
use crate::model::settings::Settings;
use crate::model::view::View;
use std::path::PathBuf;
use std::sync::Arc;

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
    /// Ask for the heap at another record, or for names.
    Explore(Ask),
    /// Colour the heap map by something else.
    Colour(Colouring),
    /// Choose the chunk at this address, or none.
    Choose(Option<u64>),
    /// Let the calls go on by themselves, so many at a time, or no more.
    Play(Option<u64>),
    /// Draw the heap.
    Paint(Box<Canvas>),
    /// Something was heard of a replay.
    Heard(Which, News),
    /// Something was heard of the exploration.
    Explored(explore::News),
    /// A picture of the heap was drawn.
    Painted(Arc<Picture>),
}

/// What was asked during a frame, in order.
pub type Commands = Vec<Command>;
