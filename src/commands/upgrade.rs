//! `malloscope upgrade`: the same calls in one glibc release and in another.

use super::compare::CompareFormat;
use crate::Outcome;
use crate::sweeping::SweepArgs;
use crate::trial::TrialArgs;
use malloscope_replayer::plan::{Change, Plan};
use malloscope_replayer::report::TraceInfo;
use malloscope_replayer::trial::Trial;
use std::path::PathBuf;
use std::process::ExitCode;

/// Say what would change for a program with another glibc
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope upgrade app.mscope 2.36 2.43")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// The release it is with now
    from: String,
    /// The release it would be with
    to: String,
    /// How to print the comparison
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: CompareFormat,
    #[command(flatten)]
    sweeping: SweepArgs,
    #[command(flatten)]
    trial: TrialArgs,
}

pub fn run(args: Args) -> Outcome {
    let base = Trial { release: Some(args.from.clone()), ..args.trial.into() };
    let mut plan = Plan::named(format!("glibc {}", args.from), base);
    plan.add_changes(&[Change::Release(args.to)]);
    let mut sweeper = args.sweeping.sweeper(&args.trace, None, "comparing", args.format.detail())?;
    let comparison = sweeper.compare(TraceInfo::of(&args.trace)?, &plan)?;
    args.format.print(&comparison)?;
    Ok(ExitCode::SUCCESS)
}
