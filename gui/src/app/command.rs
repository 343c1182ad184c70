//! Everything that can happen, as data.

use crate::jobs::dialog::Chosen;
use crate::jobs::record::RecordingNews;
use crate::jobs::replay::News;
use crate::model::bins::Column;
use crate::model::recording::RecordingJob;
use crate::model::runs::RunId;
use crate::model::samples::Sample;
use crate::model::view::View;
use malloscope_replayer::trial::Trial;
use std::path::PathBuf;

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
    /// Ask the program that is recorded to end.
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
    /// Something was heard of the replay of a run.
    Heard(RunId, News),
}

/// What was asked during a frame, in order.
pub type Commands = Vec<Command>;
