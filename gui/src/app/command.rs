//! Everything that can happen, as data.

use super::shell::Shell;
use crate::jobs::dialog::Chosen;
use crate::jobs::explore;
use crate::jobs::processes::Answer;
use crate::jobs::record::RecordingNews;
use crate::jobs::replay::News;
use crate::jobs::stacks;
use crate::model::allocations::AllocationsCommand;
use crate::model::bins::{Column, Sorting};
use crate::model::colouring::Colouring;
use crate::model::flame::FlameCommand;
use crate::model::heap::Ask;
use crate::model::picture::{Canvas, Picture};
use crate::model::recording::RecordingJob;
use crate::model::runs::RunId;
use crate::model::samples::Sample;
use crate::model::sites::SitesCommand;
use crate::model::view::View;
use malloscope_replayer::filter::Filter;
use malloscope_replayer::trial::Trial;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything that can happen, as data: what a user does, and what is heard of a job.
#[derive(Clone, Debug)]
pub enum Command {
    /// Replay this trace and show it.
    Open(PathBuf),
    /// Open a sample.
    OpenSample(Sample),
    /// Let the user choose a file in the desktop's dialog.
    Browse,
    /// The dialog was closed.
    Browsed(Chosen),
    /// Forget that this trace was opened.
    ForgetRecent(PathBuf),
    /// Record a program, and open its trace.
    Record(RecordingJob),
    /// Ask which processes can be attached to.
    ListProcesses,
    /// They are known.
    HeardProcesses(Answer),
    /// Ask the program that is recorded to end, or leave the process that was attached to.
    StopRecording,
    /// Forget a recording that came to nothing.
    ForgetRecording,
    /// Something was heard of the recording.
    HeardRecording(RecordingNews),
    /// Back to the opening screen.
    Close,
    /// Stop the replay of a run; that of the recorded settings closes the trace.
    Cancel(RunId),
    /// Replay under these settings too; those that are there already are drawn.
    Try(Vec<Trial>),
    /// Try a run again that came to nothing.
    Retry(RunId),
    /// Forget a run; that of the recorded settings stays.
    Forget(RunId),
    /// Show this run in the tables.
    Show(RunId),
    /// Draw this run beside the others, or not.
    Draw(RunId, bool),
    /// Measure the other runs against this one.
    MeasureAgainst(RunId),
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
    /// Something was heard of the replay of the range.
    HeardRange(News),
    /// Something was heard of the replay of a run.
    Heard(RunId, News),
    /// Something is done to the flamegraph.
    Flame(FlameCommand),
    /// Something is done to the table of allocation sites.
    Sites(SitesCommand),
    /// Something is done to the table of single allocations.
    Allocations(AllocationsCommand),
    /// Count only these allocations.
    Filter(Filter),
    /// Something was heard of work on stacks.
    HeardOfStacks(stacks::Slot, Box<stacks::News>),
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
    /// Something was heard of the exploration.
    Explored(explore::News),
    /// A picture of the heap was drawn.
    Painted(Arc<Picture>),
}

/// What was asked during a frame, in order.
pub type Commands = Vec<Command>;
