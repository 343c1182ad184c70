//! `malloscope advise`: what to set, what it buys, and why.

use super::heap::{go_to, open};
use super::replay;
use crate::choice::choice;
use crate::output::{self, PageFormat};
use crate::sweeping::{SweepArgs, Sweeper};
use crate::trial::TrialArgs;
use crate::{Outcome, names};
use anyhow::{Context, bail};
use malloscope_replayer::advise::paste::Paste;
use malloscope_replayer::advise::prices::Prices;
use malloscope_replayer::advise::verdict::{Facts, Moment, worst};
use malloscope_replayer::advise::{Goal, choice as choosing, refine, weigh};
use malloscope_replayer::blame::fold::Folder;
use malloscope_replayer::detail::Detail;
use malloscope_replayer::outcome;
use malloscope_replayer::pins::pinned;
use malloscope_replayer::plan::budget::{Budget, Purse};
use malloscope_replayer::plan::usual::Known;
use malloscope_replayer::plan::{Plan, Planned};
use malloscope_replayer::report::advice::{Advice, Band};
use malloscope_replayer::report::pins::{NamedPinned, named};
use malloscope_replayer::run::Job;
use malloscope_replayer::trial::{Touch, Trial};
use malloscope_replayer::trims::TrimSchedule;
use malloscope_traces::Reader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Say what to set for a program, what that buys and costs, and why
///
/// Or that nothing helps, and that it is no problem of malloc's.
/// Replays the trace under the usual settings, and around the best of them once more. Times are estimates. Huge pages are
/// not advised: what a fault on one of them takes is not measured here.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope advise app.mscope --goal rss")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// What is to become less
    #[arg(long, value_name = "GOAL", default_value = "balanced")]
    goal: GoalArg,
    /// Also say what other glibc releases would bring, under the recorded settings
    #[arg(long)]
    releases: bool,
    /// Try settings for this many runs, or for about this long: `12`, `90s`, `5min`
    ///
    /// Those that differ most come first. The recorded settings, and the two or four runs that say how much depends on
    /// what the program writes, come on top.
    #[arg(long, value_name = "RUNS|TIME")]
    budget: Option<Budget>,
    /// How to print the page
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: PageFormat,
    #[command(flatten)]
    sweeping: SweepArgs,
    #[command(flatten)]
    trial: TrialArgs,
}

choice! {
    /// What is to become less.
    GoalArg of Goal, Goal::meaning
}

/// Steps that are followed down an arena.
const STEPS: usize = 8;

pub fn run(args: Args) -> Outcome {
    let prices = Prices::measured().context("the kernel grants no memory to measure with")?;
    let base: Trial = args.trial.into();
    let goal = args.goal.0;
    let mut sweeper = args.sweeping.sweeper(&args.trace, None, "trying settings", Detail::Weighed)?;
    let report = replay::report(&args.trace, Job::of(&args.trace, base.clone()))?;
    sweeper.knows(base.clone(), report.outcome.clone());
    let goes_on = report.trace.goes_on();
    let known = Known::of(&report.outcome).context("the release is not known")?;
    let Some(sample) = worst(&report.outcome).copied() else { bail!("the trace has no calls") };
    let mut plan = Plan::new(base.clone());
    plan.add_usual(&known);
    plan.retain(|trial| !choosing::has_huge_pages(trial));
    if args.releases {
        plan.add_usual_releases(&known);
    }
    let once = TrimSchedule::After(sample.record);
    plan.add(format!("malloc_trim {once}"), Trial { malloc_trim: Some(once), ..base.clone() });
    let mut purse = Purse::new(args.budget);
    if args.budget.is_some() {
        plan.spread();
    }
    let mut done = vec![report.outcome.clone()];
    let mut untried = try_out(&mut plan, &mut done, &mut sweeper, &mut purse, false)?;
    let around = weigh(tried(&plan, &done), goes_on, prices);
    refine::plan_around(&mut plan, &around, goal);
    untried.extend(try_out(&mut plan, &mut done, &mut sweeper, &mut purse, true)?);
    let runs = weigh(tried(&plan, &done), goes_on, prices);
    let chosen = choosing::best(&runs, goal);
    let trials = [Some(0), chosen].into_iter().flatten().map(|place| &runs[place].planned.trial);
    let bands = trials.map(|trial| band(&mut sweeper, trial)).collect::<anyhow::Result<Vec<_>>>()?;
    let (moment, pins) = moment(&args.trace, &base, sample.record, sample.resident)?;
    let chosen_trial = chosen.map(|place| &runs[place].planned.trial);
    let environment = &report.trace.header.program.environment;
    let paste = chosen_trial.map_or_else(Paste::default, |trial| {
        Paste::of(&known.release, &trial.settings, &trial.unset, environment)
    });
    let advice = Advice {
        trace: &report.trace,
        goal,
        runs: &runs,
        chosen,
        paste,
        facts: Facts::of(&report.outcome, moment, prices),
        pins: &pins,
        stacks: &report.stacks,
        fidelity: report.outcome.fidelity.as_ref(),
        bands,
        prices,
        untried: &untried,
    };
    output::print_page(args.format, || advice.sections(), |out| advice.write_json(out))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs what is planned and not run yet, as far as there is something left for it. The rest is planned no longer, and
/// its names are given back.
fn try_out(
    plan: &mut Plan,
    done: &mut Vec<outcome::Outcome>,
    sweeper: &mut Sweeper<'_>,
    purse: &mut Purse,
    is_last: bool,
) -> anyhow::Result<Vec<String>> {
    let trials: Vec<Trial> = plan.runs()[done.len()..].iter().map(|run| run.trial.clone()).collect();
    done.extend(sweeper.run_within(&trials, purse, is_last)?);
    Ok(plan.cut(done.len()))
}

/// What came of what is planned.
fn tried(plan: &Plan, outcomes: &[outcome::Outcome]) -> Vec<(Planned, outcome::Outcome)> {
    plan.runs().iter().cloned().zip(outcomes.iter().cloned()).collect()
}

/// A run if the program writes nothing, and if it writes everything.
fn band(sweeper: &mut Sweeper<'_>, trial: &Trial) -> anyhow::Result<Band> {
    let of = |touch| Trial { touch, ..trial.clone() };
    let outcomes = sweeper.run(&[of(Touch::None), of(Touch::All)])?;
    let pair = |value: fn(&outcome::Outcome) -> u64| (value(&outcomes[0]), value(&outcomes[1]));
    Ok(Band {
        resident_peak: pair(|outcome| outcome.measured.peaks.resident.bytes),
        faults: pair(|outcome| outcome.measured.faults),
    })
}

/// The heap after so many records, and who pins what there.
fn moment(
    trace: &Path,
    trial: &Trial,
    record: u64,
    resident: u64,
) -> anyhow::Result<(Moment, Vec<NamedPinned>)> {
    let mut explorer = open(trace, trial)?;
    go_to(&mut explorer, record)?;
    let map = explorer.heap()?;
    let stacks = Reader::open_file(trace)?.stacks()?;
    let mut folder = Folder::new(&stacks, names::namer(trace, &stacks)?);
    let pins = named(pinned(&map, explorer.top_pad(), STEPS), &mut folder);
    Ok((Moment::of(&map, resident), pins))
}
