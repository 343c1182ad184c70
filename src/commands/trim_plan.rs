//! `malloscope trim-plan`: when to call `malloc_trim`, what that gives back, and what it costs.

use crate::Outcome;
use crate::output::{self, PageFormat};
use crate::sweeping::SweepArgs;
use crate::trial::TrialArgs;
use anyhow::Context;
use malloscope_replayer::detail::Detail;
use malloscope_replayer::plan::{Change, Plan};
use malloscope_replayer::report::{TraceInfo, json, trim_plan};
use malloscope_replayer::trial::Trial;
use std::path::PathBuf;
use std::process::ExitCode;

/// Say what calling `malloc_trim` would give back, and when
///
/// And what of it would be touched again. Tries the moments when most is resident that does not live, periods, and idle times.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope trim-plan app.mscope")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: PageFormat,
    #[command(flatten)]
    sweeping: SweepArgs,
    #[command(flatten)]
    trial: TrialArgs,
}

pub fn run(args: Args) -> Outcome {
    let base: Trial = args.trial.into();
    let detail = args.format.detail(Detail::Compared);
    let mut sweeper = args.sweeping.sweeper(&args.trace, None, "trimming", detail)?;
    let first = sweeper.run(std::slice::from_ref(&base))?;
    let outcome = first.first().context("nothing was replayed")?;
    let mut plan = Plan::new(base);
    for schedule in trim_plan::schedules(outcome) {
        plan.add_changes(&[Change::Trim(Some(schedule))]);
    }
    let comparison = sweeper.compare(TraceInfo::of(&args.trace)?, &plan)?;
    let sections = || trim_plan::sections(&comparison);
    output::print_page(args.format, sections, |out| json::write_comparison(&comparison, out))?;
    Ok(ExitCode::SUCCESS)
}
