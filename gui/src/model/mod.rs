//! What is true. Nothing in here has heard of egui.

pub mod account;
pub mod allocations;
pub mod bins;
pub mod colouring;
pub mod differences;
pub mod draft;
pub mod failure;
pub mod figures;
pub mod flame;
pub mod flows;
pub mod heap;
pub mod heat;
pub mod layout;
pub mod matching;
pub mod moment;
pub mod notices;
pub mod picture;
pub mod presets;
pub mod processes;
pub mod recent;
pub mod recording;
pub mod runs;
pub mod samples;
pub mod served;
pub mod sites;
pub mod span;
pub mod stacks;
pub mod terms;
pub mod timeline;
pub mod trial;
pub mod view;

use account::Account;
use bins::{BinLine, Sorting};
use failure::Failure;
use figures::Figure;
use flows::{Flows, Side};
use heap::Exploring;
use heat::Heat;
use malloscope_replayer::filter::Filter;
use malloscope_replayer::funnel::{Stop, stops};
use malloscope_replayer::report::{Report, Section, TraceInfo};
use malloscope_replayer::run::Progress;
use notices::Notice;
use processes::Processes;
use recent::Recent;
use recording::Recording;
use runs::{Run, RunId, Runs};
use samples::Sample;
use served::ServedLine;
use std::path::PathBuf;
use std::sync::Arc;
use timeline::Timeline;
use view::View;

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

    /// Why it came to nothing, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Tile::Failed(failure) => Some(failure),
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
    /// The replay that is shown, counting the records of the range alone.
    pub ranged: Tile<Replayed>,
    /// Of which run that is, and of which records.
    pub ranged_of: Option<(RunId, (u64, u64))>,
    /// The traces that were opened last.
    pub recent: Recent,
    /// The samples there are to begin with.
    pub samples: Vec<Sample>,
    /// Whether it was tried and found that the desktop has no dialog for files.
    pub has_no_dialog: bool,
    /// The recording that is being made.
    pub recording: Option<Recording>,
    /// The processes that may be attached to.
    pub processes: Tile<Processes>,
    /// The heap at one record.
    pub exploring: Exploring,
    /// How the table of bins is sorted.
    pub sorting: Sorting,
    /// What is known of the trace's stacks.
    pub stacks: stacks::Stacks,
    /// The flamegraph of them.
    pub flame: flame::Flame,
    /// The table of them.
    pub sites: sites::Sites,
    /// Single allocations.
    pub allocations: allocations::Allocations,
    /// Which allocations count for the flamegraph, the sites and the single ones.
    pub filter: Filter,
    /// The record that is looked at.
    pub cursor: Option<u64>,
    /// The records that are looked at: the first of them, and the first after them.
    pub range: Option<(u64, u64)>,
    /// The panel that was brought to the front last.
    pub front: View,
    /// Whether it is shown alone.
    pub is_alone: bool,
}

impl Model {
    /// What is left when a trace is closed: what is not about the trace.
    pub(crate) fn emptied(&mut self) -> Model {
        Model {
            recent: std::mem::take(&mut self.recent),
            samples: std::mem::take(&mut self.samples),
            has_no_dialog: self.has_no_dialog,
            recording: self.recording.take(),
            processes: std::mem::take(&mut self.processes),
            sorting: self.sorting,
            front: self.front,
            is_alone: self.is_alone,
            exploring: self.exploring.restarted(),
            ..Model::default()
        }
    }

    /// The records of the trace, as far as that is known, once there is something to see.
    pub fn records(&self) -> Option<u64> {
        let timeline = &self.seen()?.timeline;
        timeline.end().map(|_| timeline.extent().1)
    }

    /// The record that the heap map is wanted at: the one that is looked at, or the last.
    pub fn wanted_record(&self) -> Option<u64> {
        let last = self.whole()?.report.outcome.records.saturating_sub(1);
        Some(self.cursor.unwrap_or(last).min(last))
    }

    /// Whether the heap that is there is that of the shown run at this record.
    pub fn is_explored(&self) -> bool {
        let exploring = &self.exploring;
        let at = exploring.moment.as_ref().and_then(|moment| moment.record());
        exploring.of.as_ref() == Some(&self.runs.shown().trial) && at.is_some() && at == self.wanted_record()
    }

    /// The run that stacks are compared with: the one that is shown, or the first other that is drawn.
    pub fn compared(&self) -> Option<&Run> {
        let is_other = |run: &&Run| run.id != RunId::RECORDED && run.replay.ready().is_some();
        let drawn = || self.runs.drawn().map(|(run, _)| run).find(is_other);
        Some(self.runs.shown()).filter(is_other).or_else(drawn)
    }

    /// The replay under the recorded settings.
    pub fn recorded(&self) -> &Tile<Replayed> {
        &self.runs.recorded().replay
    }

    /// The replay under the recorded settings: all of it, or what came of it so far.
    pub fn seen(&self) -> Option<&Replayed> {
        self.runs.recorded().seen()
    }

    /// Whether it is not known how long the trace will be: somebody still writes it.
    pub fn is_growing(&self) -> bool {
        self.seen().and_then(|seen| seen.report.outcome.so_far).is_some_and(|at| at.total.is_none())
    }

    /// Whether a panel waits for what is not there yet: it speaks of the whole trace, or of several runs.
    pub fn is_awaited(&self, view: View) -> bool {
        self.whole().is_none()
            && match view {
                View::Timeline | View::Bins | View::Served | View::Report => false,
                View::Runs => self.is_growing(),
                View::Map => self.is_growing() || self.cursor.is_none(),
                View::Flame | View::Sites | View::Allocations => true,
            }
    }

    /// The replay that the tables show: that of the range, where there is one, as soon as it is there; or what
    /// there is so far.
    pub fn shown(&self) -> Option<&Replayed> {
        self.ranged.ready().or_else(|| self.runs.shown().seen())
    }

    /// The same replay with all its records.
    pub fn whole(&self) -> Option<&Replayed> {
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
    /// What the bins did over the records; shared, since it is large and never changes.
    pub heat: Arc<Heat>,
    /// Where requests were served from.
    pub served: Vec<ServedLine>,
    /// The same by the sizes asked for.
    pub requests: Flows,
    /// Where freed chunks went, by their sizes.
    pub frees: Flows,
    /// The way of the requests, stop by stop.
    pub stops: Vec<Stop>,
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
            heat: Arc::new(Heat::of(&report.outcome)),
            served: served::of(&report.outcome),
            requests: Flows::of(&report.outcome, Side::Requests),
            frees: Flows::of(&report.outcome, Side::Frees),
            stops: stops(&report.outcome),
            sections: report.sections(),
            report,
        }
    }

    /// What is known of the trace.
    pub fn trace(&self) -> &TraceInfo {
        &self.report.trace
    }
}
