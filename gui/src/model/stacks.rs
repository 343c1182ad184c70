//! What is known of the stacks of the trace that is open.

use super::Tile;
use super::runs::RunId;
use crate::jobs::stacks::Source;
use malloscope_replayer::blame::legend::Legend;
use malloscope_replayer::blame::{Blame, What};
use malloscope_replayer::served::Servings;
use std::sync::Arc;

/// What is known of the stacks of the trace that is open.
#[derive(Clone, Debug, Default)]
pub struct Stacks {
    /// What frames are called.
    pub legend: Tile<Arc<Legend>>,
    /// Where names are looked for at the moment.
    pub looking: String,
    /// What the trace alone says they are to blame for.
    pub by_trace: Tile<Arc<Vec<Blame>>>,
    /// What a replay under the recorded settings says.
    pub by_recorded: Tile<Arc<Vec<Blame>>>,
    /// What a replay under the other settings says.
    pub by_other: Tile<Arc<Vec<Blame>>>,
    /// Which run has those.
    pub other: Option<RunId>,
    /// Who served the requests under the recorded settings.
    pub servings: Tile<Arc<Servings>>,
}

impl Stacks {
    /// What this source says.
    pub fn by(&self, source: Source) -> &Tile<Arc<Vec<Blame>>> {
        match source {
            Source::Trace => &self.by_trace,
            Source::Recorded => &self.by_recorded,
            Source::Other => &self.by_other,
        }
    }

    /// What this source says, to be changed.
    pub fn by_mut(&mut self, source: Source) -> &mut Tile<Arc<Vec<Blame>>> {
        match source {
            Source::Trace => &mut self.by_trace,
            Source::Recorded => &mut self.by_recorded,
            Source::Other => &mut self.by_other,
        }
    }

    /// What this source says of one thing, if it is there.
    pub fn blame(&self, source: Source, what: What) -> Option<&Blame> {
        self.by(source).ready()?.iter().find(|blame| blame.what == what)
    }
}

/// Who is asked about this: once, or for two runs.
pub fn sources(what: What, compares: bool) -> &'static [Source] {
    match (what.needs_replay(), compares) {
        (false, _) => &[Source::Trace],
        (true, false) => &[Source::Recorded],
        (true, true) => &[Source::Recorded, Source::Other],
    }
}
