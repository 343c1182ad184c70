//! The options that say which allocations count, for every subcommand that shows some.

use crate::progress::Meter;
use anyhow::Context;
use malloscope_replayer::filter::{Destinations, Filter, Lifetime, Places, Sizes};
use malloscope_replayer::range::Range;
use malloscope_replayer::selection::Selection;
use malloscope_replayer::served::Servings;
use malloscope_replayer::trial::Trial;
use malloscope_traces::Reader;
use std::path::Path;
use std::sync::Arc;

/// Which allocations count.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Filter")]
pub struct FilterArgs {
    /// Only allocations of this thread, by its number in the trace
    #[arg(long, value_name = "N")]
    pub thread: Option<u32>,
    /// Only allocations of so many bytes: 64..1K, 17..=32, 4K.. or 24
    #[arg(long, value_name = "A..B")]
    pub size: Option<Sizes>,
    /// Only allocations that lived so long, in records: ..11 (freed within 10), 1000.. or never-freed
    ///
    /// What was never freed has lived until the end, so it has no upper bound.
    #[arg(long, value_name = "A..B")]
    pub lifetime: Option<Lifetime>,
    /// Only allocations that were served from there, which a replay finds out: tcache, small-bin, top, or tcache-3
    ///
    /// Several are separated by commas. A wrong name lists the right ones.
    #[arg(long, value_name = "PLACE,…")]
    pub place: Option<Places>,
    /// Only allocations that went there when they were freed, which a replay finds out: tcache, unsorted-bin, top, unmapped
    ///
    /// Several are separated by commas. A wrong name lists the right ones. Not with what a replay charges stacks with.
    #[arg(long, value_name = "PLACE,…")]
    pub freed_to: Option<Destinations>,
    /// Only allocations of this stack, by its number in the trace
    #[arg(long, value_name = "N")]
    pub stack: Option<u32>,
}

impl FilterArgs {
    /// What they come to.
    pub fn filter(&self) -> Filter {
        let &FilterArgs { thread, size, lifetime, place, freed_to, stack } = self;
        Filter { thread, sizes: size, lifetime, places: place, freed_to, stack }
    }
}

/// Who served the requests of a trace under the recorded settings, by a replay.
///
/// # Errors
///
/// When it cannot be replayed.
pub fn servings(trace: &Path) -> anyhow::Result<Arc<Servings>> {
    let mut meter = Meter::new("replaying");
    let launcher = crate::commands::launcher()?;
    let found =
        Servings::replayed(&launcher, trace, Trial::default(), &mut |progress| meter.update(progress));
    meter.finish();
    found.map(Arc::new).with_context(|| format!("while replaying {}", trace.display()))
}

/// What a filter selects of a trace; nothing is said where it selects all.
///
/// # Errors
///
/// When the trace cannot be read or replayed, as the filter needs it.
pub fn selection(filter: &Filter, trace: &Path, range: Range) -> anyhow::Result<Option<Selection>> {
    let served = filter.needs_servings().then(|| servings(trace)).transpose()?;
    let mut meter = Meter::new("looking for lifetimes");
    let mut reader = Reader::open_file(trace)?;
    let found = Selection::of(filter, &mut reader, range, served, &mut |progress| meter.update(progress));
    meter.finish();
    found.with_context(|| format!("while reading {}", trace.display()))
}
