//! `malloscope heap`: every chunk there is after one record.

use crate::Outcome;
use crate::output::{self, Format};
use crate::progress::Meter;
use crate::trial::{SingleArgs, TrialArgs};
use anyhow::Context;
use malloscope_replayer::explore::{Explorer, Watched};
use malloscope_replayer::report::heap::HeapReport;
use malloscope_replayer::trial::Trial;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

/// Show the heap after one record: every chunk, and what pins free memory
///
/// Records are counted from 0, in the order in which they are replayed, as in every report.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope heap app.mscope --at 12345")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// The record after whose call to look [default: the last]
    #[arg(long, value_name = "RECORD")]
    at: Option<u64>,
    /// How to print it: as a picture, or chunk by chunk
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: Format,
    /// Write into a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    single: SingleArgs,
    #[command(flatten)]
    trial: TrialArgs,
}

pub fn run(args: Args) -> Outcome {
    let mut explorer = open(&args.trace, &args.single.of(args.trial))?;
    let record = args.at.unwrap_or(u64::MAX);
    go_to(&mut explorer, record)?;
    let mut latest = explorer.step()?;
    if latest.is_none() && explorer.made() > 0 {
        // The trace ends before.
        if args.at.is_some() {
            eprintln!("malloscope: the trace has {} records: this is its end", explorer.made());
        }
        let last = explorer.made() - 1;
        go_to(&mut explorer, last)?;
        latest = explorer.step()?;
    }
    let map = explorer.heap()?;
    let report = HeapReport {
        map: &map,
        latest: latest.as_ref(),
        release: explorer.release(),
        damage: explorer.damage(),
    };
    output::print(
        args.output.as_deref(),
        args.format,
        || report.sections(),
        |out| report.write_json(out),
        |out| report.write_csv(out),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Opens a trace to go about in it.
pub fn open(trace: &Path, trial: &Trial) -> anyhow::Result<Explorer> {
    Explorer::open(trace, trial).with_context(|| format!("while opening {}", trace.display()))
}

/// Goes to where so many records have been replayed, with a meter.
pub fn go_to(explorer: &mut Explorer, made: u64) -> anyhow::Result<()> {
    let mut meter = Meter::new("replaying");
    let stop = AtomicBool::new(false);
    let mut watched = Watched { progress: &mut |progress| meter.update(progress), stop: &stop };
    let gone = explorer.go_to(made, &mut watched);
    meter.finish();
    Ok(gone?)
}
