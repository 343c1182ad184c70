//! `malloscope allocations`: single allocations, one a line.

use crate::progress::Meter;
use crate::{Outcome, names, output};
use anyhow::Context;
use clap::ValueEnum;
use clap::builder::PossibleValue;
use malloscope_replayer::allocations::{Order, Wanted, allocations};
use malloscope_replayer::blame::legend::Legend;
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
    /// Which come first
    #[arg(long, value_name = "ORDER", default_value = "size")]
    sort: OrderArg,
    /// Print so many at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Only those that lived at the end
    #[arg(long)]
    live: bool,
    /// Only those of this thread, by its number in the trace
    #[arg(long, value_name = "N")]
    thread: Option<u32>,
    /// Only those of so many bytes at least
    #[arg(long, value_name = "BYTES", value_parser = sizes::parse, default_value = "0")]
    least: u64,
    /// Only those made in these records: 1000..2000, 1000.. or ..2000
    #[arg(long, value_name = "A..B")]
    range: Option<Range>,
    /// How to print the list
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: output::Format,
}

/// What comes first.
#[derive(Clone, Copy, Debug)]
struct OrderArg(Order);

impl ValueEnum for OrderArg {
    fn value_variants<'a>() -> &'a [OrderArg] {
        const ALL: [OrderArg; Order::ALL.len()] =
            [OrderArg(Order::ALL[0]), OrderArg(Order::ALL[1]), OrderArg(Order::ALL[2])];
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()).help(self.0.meaning()))
    }
}

pub fn run(args: Args) -> Outcome {
    let wanted = Wanted {
        most: args.top,
        order: args.sort.0,
        range: args.range.unwrap_or(Range::ALL),
        only_live: args.live,
        thread: args.thread,
        least: args.least,
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
