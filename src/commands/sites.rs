//! `malloscope sites`: what each call stack allocated, as a table.

use super::replay;
use crate::choice::choice;
use crate::filter::{self, FilterArgs};
use crate::progress::Meter;
use crate::{Outcome, names, output};
use anyhow::{Context, bail};
use malloscope_replayer::blame::What;
use malloscope_replayer::blame::legend::Legend;
use malloscope_replayer::export::collect::{Wanted, collect};
use malloscope_replayer::filter::Filter;
use malloscope_replayer::range::Range;
use malloscope_replayer::report::sites::Sites;
use malloscope_replayer::run::Job;
use malloscope_replayer::sites::{Column, SiteTable};
use malloscope_replayer::trial::Trial;
use malloscope_traces::Reader;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// List the call stacks that allocate: how much, what lives, for how long
///
/// A row for each stack, and below them the sum. The trace must have been recorded with `--stacks`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope sites app.mscope --sort peak --top 50")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// The column to sort by, the greatest first
    #[arg(long, value_name = "COLUMN", default_value = "bytes")]
    sort: ColumnArg,
    /// Sort the least first
    #[arg(long)]
    ascending: bool,
    /// Print so many rows at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Print only stacks that have this text in a function or a module, in capitals or not
    #[arg(long = "filter", value_name = "TEXT")]
    with: Option<String>,
    /// Count only what is allocated in these records: 1000..2000, 1000.. or ..2000
    #[arg(long, value_name = "A..B", conflicts_with = "replay")]
    range: Option<Range>,
    /// Replay the trace too, and say what each stack pinned
    #[arg(long)]
    replay: bool,
    #[command(flatten)]
    only: FilterArgs,
    /// How to print the table
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: output::Format,
}

choice! {
    /// A column to sort by.
    ColumnArg of Column, |column| column.meaning().trim_end_matches('.')
}

pub fn run(args: Args) -> Outcome {
    if args.sort.0 == Column::Pinned && !args.replay {
        bail!("what a stack pinned is known from a replay alone: say `--replay`");
    }
    let mut reader = Reader::open_file(&args.trace)?;
    let mut meter = Meter::new("reading");
    let filter = args.only.filter();
    let selection = filter::selection(&filter, &args.trace, args.range.unwrap_or(Range::ALL))?;
    let wanted = Wanted { range: args.range, selection: selection.as_ref(), ..Wanted::default() };
    let profile = collect(&mut reader, true, wanted, |progress| meter.update(progress));
    meter.finish();
    let profile = profile.with_context(|| format!("while reading {}", args.trace.display()))?;
    for damage in &profile.damage {
        eprintln!("malloscope: {damage}");
    }
    let mut table = SiteTable::of(&profile, None);
    if args.replay {
        pin(&mut table, &args.trace, filter)?;
    }
    let legend = Legend::of(&profile.stacks, names::namer(&args.trace, &profile.stacks)?);
    let wanted = args.with.as_ref().map(|text| legend.stacks_with(&legend.search(text)));
    let mut rows = table.sorted(args.sort.0, !args.ascending, wanted.as_deref());
    rows.truncate(args.top);
    let trace = args.trace.display().to_string();
    let sites = Sites { trace: &trace, table: &table, legend: &legend, rows: &rows };
    output::print_sites(&sites, args.format)?;
    Ok(if table.damage.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Replays the trace as it was recorded, and adds what stacks pinned.
fn pin(table: &mut SiteTable, trace: &Path, filter: Filter) -> anyhow::Result<()> {
    let blame = vec![What::Pinned];
    let job = Job { blame, filter, ..Job::of(trace, Trial::default()) };
    let outcome = replay::replay(&job, &mut io::sink())?;
    replay::warn(&outcome);
    let pinned = outcome.blame.first().context("the replay's process charged nobody")?;
    table.pin(pinned);
    Ok(())
}
