//! What is true. Nothing in here has heard of egui.

pub mod account;
pub mod bins;
pub mod differences;
pub mod draft;
pub mod failure;
pub mod figures;
pub mod notices;
pub mod presets;
pub mod recent;
pub mod recording;
pub mod runs;
pub mod samples;
pub mod served;
pub mod terms;
pub mod timeline;
pub mod view;

use account::Account;
use bins::{BinLine, Sorting};
use failure::Failure;
use figures::Figure;
use malloscope_replayer::report::{Report, Section, TraceInfo};
use malloscope_replayer::run::Progress;
use notices::Notice;
use recent::Recent;
use recording::Recording;
use runs::Runs;
use samples::Sample;
use served::ServedLine;
use std::path::PathBuf;
use timeline::Timeline;

/// Something that is not there yet has a face.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Tile<T> {
    /// Nobody asked for it.
    #[default]
    Missing,
    /// It is being made; how far it is, once that is known.
    Loading(Option<Progress>),
    /// It came to nothing.
    Failed(Failure),
    /// Here it is.
    Ready(T),
}

impl<T> Tile<T> {
    /// It, if it is there.
    pub fn ready(&self) -> Option<&T> {
        match self {
            Tile::Ready(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it is being made.
    pub fn is_loading(&self) -> bool {
        matches!(self, Tile::Loading(_))
    }
}

/// What the window shows.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The trace that is open.
    pub trace: Option<PathBuf>,
    /// Its replays, under the recorded settings and under others.
    pub runs: Runs,
    /// The traces that were opened last.
    pub recent: Recent,
    /// The samples there are to begin with.
    pub samples: Vec<Sample>,
    /// Whether it was tried and found that the desktop has no dialog for files.
    pub has_no_dialog: bool,
    /// The recording that is being made.
    pub recording: Option<Recording>,
    /// How the table of bins is sorted.
    pub sorting: Sorting,
    /// The record that is looked at.
    pub cursor: Option<u64>,
    /// The records that are looked at: the first of them, and the first after them.
    pub range: Option<(u64, u64)>,
}

impl Model {
    /// What is left when a trace is closed: what is not about the trace.
    pub(crate) fn emptied(&mut self) -> Model {
        Model {
            recent: std::mem::take(&mut self.recent),
            samples: std::mem::take(&mut self.samples),
            has_no_dialog: self.has_no_dialog,
            recording: self.recording.take(),
            sorting: self.sorting,
            ..Model::default()
        }
    }

    /// The replay under the recorded settings.
    pub fn recorded(&self) -> &Tile<Replayed> {
        &self.runs.recorded().replay
    }

    /// The replay that the tables show.
    pub fn shown(&self) -> Option<&Replayed> {
        self.runs.shown().replay.ready()
    }
}

/// A replay made ready to be looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// The numbers in the head line.
    pub figures: Vec<Figure>,
    /// What should be noticed.
    pub notices: Vec<Notice>,
    /// How faithful it is to the recording.
    pub account: Account,
    /// The program break, and what lives in it.
    pub timeline: Timeline,
    /// The bins, in the order of their sizes.
    pub bins: Vec<BinLine>,
    /// Where requests were served from.
    pub served: Vec<ServedLine>,
    /// All that the command prints.
    pub sections: Vec<Section>,
    /// What all this was made of.
    pub report: Report,
}

impl Replayed {
    /// Makes a report ready to be looked at.
    pub fn new(report: Report) -> Replayed {
        Replayed {
            figures: figures::of(&report),
            notices: notices::of(&report),
            account: account::of(&report.outcome),
            timeline: Timeline::of(&report.outcome),
            bins: bins::of(&report.outcome),
            served: served::of(&report.outcome),
            sections: report.sections(),
            report,
        }
    }

    /// What is known of the trace.
    pub fn trace(&self) -> &TraceInfo {
        &self.report.trace
    }
}
