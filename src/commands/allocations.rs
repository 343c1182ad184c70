//! `malloscope allocations`: single allocations, one a line.

use crate::choice::choice;
use crate::filter::{FilterArgs, servings};
use crate::progress::Meter;
use crate::{Outcome, names, output};
use anyhow::Context;
use malloscope_replayer::allocations::{Order, Wanted, allocations};
use malloscope_replayer::blame::legend::Legend;
use malloscope_replayer::filter::{Filter, Lifetime, Sizes};
use malloscope_replayer::range::Range;
use malloscope_replayer::report::allocations::Allocations;
use malloscope_replayer::sizes;
use malloscope_traces::Reader;
use std::path::PathBuf;
use std::process::ExitCode;

/// List single allocations: their sizes, lifetimes, threads and places
///
/// Each is shown with its stack, if the trace was recorded with `--stacks`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope allocations app.mscope --sort lifetime --least 64K")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// What to sort by
    #[arg(long, value_name = "ORDER", default_value = "size")]
    sort: OrderArg,
    /// Sort the other way round
    #[arg(long)]
    reverse: bool,
    /// Print so many at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Only those that lived at the end, as `--lifetime never-freed`
    #[arg(long, conflicts_with = "lifetime")]
    live: bool,
    /// Only those of so many bytes at least, as `--size BYTES..`
    #[arg(long, value_name = "BYTES", value_parser = sizes::parse, conflicts_with = "size")]
    least: Option<u64>,
    /// Replay the trace too, and say which place served each
    #[arg(long)]
    replay: bool,
    /// Only those made in these records: 1000..2000, 1000.. or ..2000
    #[arg(long, value_name = "A..B")]
    range: Option<Range>,
    #[command(flatten)]
    only: FilterArgs,
    /// How to print the list
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: output::Format,
}

choice! {
    /// What comes first.
    OrderArg of Order, Order::meaning
}

impl Args {
    fn filter(&self) -> Filter {
        let mut filter = self.only.filter();
        filter.sizes = self.least.and_then(|least| Sizes::new(least, None)).or(filter.sizes);
        filter.lifetime = self.live.then_some(Lifetime::NeverFreed).or(filter.lifetime);
        filter
    }
}

pub fn run(args: Args) -> Outcome {
    let filter = args.filter();
    let wants_places = args.replay || filter.needs_servings() || args.sort.0 == Order::Place;
    let servings = if wants_places { Some(servings(&args.trace)?) } else { None };
    let wanted = Wanted {
        most: args.top,
        order: args.sort.0,
        is_reversed: args.reverse,
        range: args.range.unwrap_or(Range::ALL),
        filter,
        servings: servings.as_deref(),
    };
    let mut reader = Reader::open_file(&args.trace)?;
    let stacks = reader.stacks()?;
    let mut meter = Meter::new("reading");
    let listing = allocations(&mut reader, wanted, &mut |progress| meter.update(progress));
    meter.finish();
    let listing = listing.with_context(|| format!("while reading {}", args.trace.display()))?;
    for damage in &listing.damage {
        eprintln!("malloscope: {damage}");
    }
    let has_stacks = stacks.capture.is_some() || stacks.frames.len() > 1;
    let legend = match has_stacks {
        true => Some(Legend::of(&stacks, names::namer(&args.trace, &stacks)?)),
        false => None,
    };
    let trace = args.trace.display().to_string();
    let printed = Allocations { trace: &trace, listing: &listing, legend: legend.as_ref() };
    output::print_allocations(&printed, args.format)?;
    Ok(if listing.damage.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
