//! What is true. Nothing in here has heard of egui.

pub mod bins;
pub mod colouring;
pub mod failure;
pub mod figures;
pub mod heap;
pub mod notices;
pub mod picture;
pub mod served;
pub mod settings;
pub mod timeline;
pub mod view;

use bins::{BinLine, Sorting};
use failure::Failure;
use figures::Figure;
use heap::Exploring;
use malloscope_replayer::report::{Comparison, Report, Run, Section, TraceInfo};
use malloscope_replayer::run::Progress;
use notices::Notice;
use served::ServedLine;
use settings::Settings;
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

/// One of the two replays there can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// Under the recorded settings.
    #[default]
    Recorded,
    /// Under others.
    Other,
}

/// What the window shows.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The trace that is open.
    pub trace: Option<PathBuf>,
    /// Its replay under the recorded settings.
    pub recorded: Tile<Replayed>,
    /// The other settings that were asked for.
    pub settings: Settings,
    /// Its replay under those.
    pub other: Tile<Replayed>,
    /// What is the difference between the two.
    pub differences: Option<Section>,
    /// Which of the two the tables show.
    pub shown: Which,
    /// The heap at one record.
    pub exploring: Exploring,
    /// How the table of bins is sorted.
    pub sorting: Sorting,
    /// The record that is looked at.
    pub cursor: Option<u64>,
    /// The records that are looked at: the first of them, and the first after them.
    pub range: Option<(u64, u64)>,
}

impl Model {
    /// The replay that the tables show.
    pub fn shown(&self) -> Option<&Replayed> {
        match self.shown {
            Which::Other => self.other.ready().or(self.recorded.ready()),
            Which::Recorded => self.recorded.ready(),
        }
    }

    /// One of the replays.
    pub fn replay_mut(&mut self, which: Which) -> &mut Tile<Replayed> {
        match which {
            Which::Recorded => &mut self.recorded,
            Which::Other => &mut self.other,
        }
    }
}

/// A replay made ready to be looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// The numbers in the head line.
    pub figures: Vec<Figure>,
    /// What should be noticed.
    pub notices: Vec<Notice>,
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

/// The same table that `malloscope compare` prints.
pub fn differences(recorded: &Replayed, other: &Replayed) -> Option<Section> {
    let run = |name: &str, replayed: &Replayed| Run {
        name: name.to_owned(),
        outcome: replayed.report.outcome.clone(),
    };
    let runs = vec![run("recorded", recorded), run("with this", other)];
    let comparison = Comparison { trace: recorded.report.trace.clone(), runs };
    comparison.sections().into_iter().next()
}
