//! The options of every subcommand that replays a trace several times, and how far that is.

use crate::commands::launcher;
use crate::progress::Meter;
use anyhow::Context;
use malloscope_replayer::detail::Detail;
use malloscope_replayer::kept::Kept;
use malloscope_replayer::outcome::Outcome;
use malloscope_replayer::plan::Plan;
use malloscope_replayer::plan::budget::Purse;
use malloscope_replayer::range::Range;
use malloscope_replayer::report::{Comparison, Run, TraceInfo};
use malloscope_replayer::run::Progress;
use malloscope_replayer::sweep::{Sweep, SweepProgress};
use malloscope_replayer::trial::Trial;
use malloscope_replayer::worker::Launcher;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

/// How several runs are made.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Sweep")]
pub struct SweepArgs {
    /// Keep what came of each run in this directory, and do not run again what is kept there
    ///
    /// A comparison that was killed goes on where it was. A trace or a malloscope that has changed is run anew.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Processes at one time [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Runs that a process makes side by side over one reading of the trace [default: 8]
    ///
    /// Each takes the memory of a run. Where there is not enough of it, fewer are made at a time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    side_by_side: Option<u32>,
}

/// Runs trials of one trace.
pub struct Sweeper<'a> {
    trace: &'a Path,
    range: Option<Range>,
    detail: Detail,
    launcher: Launcher,
    kept: Option<Kept>,
    workers: Option<usize>,
    side_by_side: Option<usize>,
    what: &'static str,
    /// What has been run already.
    done: Vec<(Trial, Outcome)>,
}

impl SweepArgs {
    /// Gets ready for the trials of a trace; `what` is what is done with them, and so much is measured of each.
    pub fn sweeper<'a>(
        &self,
        trace: &'a Path,
        range: Option<Range>,
        what: &'static str,
        detail: Detail,
    ) -> anyhow::Result<Sweeper<'a>> {
        let launcher = launcher()?;
        let open = |directory: &PathBuf| {
            Kept::open(directory, trace, &launcher)
                .with_context(|| format!("while opening {}", directory.display()))
        };
        let kept = self.keep.as_ref().map(open).transpose()?;
        let number = |asked: Option<u32>| asked.and_then(|asked| usize::try_from(asked).ok());
        let (workers, side_by_side) = (number(self.jobs), number(self.side_by_side));
        Ok(Sweeper { trace, range, detail, kept, workers, side_by_side, what, launcher, done: Vec::new() })
    }
}

impl Sweeper<'_> {
    fn sweep(&self) -> Sweep<'_> {
        let &Sweeper { trace, range, detail, ref launcher, ref kept, workers, side_by_side, .. } = self;
        Sweep { launcher, trace, range, detail, workers, side_by_side, kept: kept.as_ref() }
    }

    /// The runs of a plan side by side.
    pub fn compare(&mut self, trace: TraceInfo, plan: &Plan) -> anyhow::Result<Comparison> {
        let trials: Vec<Trial> = plan.runs().iter().map(|run| run.trial.clone()).collect();
        let workers = self.sweep().workers_for(trials.len());
        let side_by_side = self.sweep().side_by_side_for(trials.len());
        let outcomes = self.run(&trials)?;
        let names = plan.runs().iter().map(|run| run.name.clone());
        let runs = names.zip(outcomes).map(|(name, outcome)| Run { name, outcome }).collect();
        Ok(Comparison { trace, runs, workers, side_by_side })
    }

    /// What comes of each trial, with a meter. What has been run already is not run again.
    pub fn run(&mut self, trials: &[Trial]) -> anyhow::Result<Vec<Outcome>> {
        let mut missing: Vec<Trial> = Vec::new();
        for trial in trials {
            if self.outcome_of(trial).is_none() && !missing.contains(trial) {
                missing.push(trial.clone());
            }
        }
        let outcomes = self.run_all(&missing)?;
        self.done.extend(missing.into_iter().zip(outcomes));
        let found = |trial: &Trial| self.outcome_of(trial).expect("each has been run").clone();
        Ok(trials.iter().map(found).collect())
    }

    /// The same of the first of the trials, as many as there is something left for.
    pub fn run_within(
        &mut self,
        trials: &[Trial],
        purse: &mut Purse,
        is_last: bool,
    ) -> anyhow::Result<Vec<Outcome>> {
        let sweep = self.sweep();
        let at_once = sweep.workers_for(trials.len()) * sweep.side_by_side_for(trials.len());
        let portion = if purse.is_of_time() { at_once } else { trials.len() };
        let mut outcomes = Vec::new();
        for trials in trials.chunks(portion.max(1)) {
            let granted = &trials[..purse.grants(trials.len(), is_last)];
            let began = Instant::now();
            outcomes.extend(self.run(granted)?);
            purse.spend(granted.len(), began.elapsed());
            if granted.len() < trials.len() {
                break;
            }
        }
        Ok(outcomes)
    }

    /// What came of this trial is known, and it need not be run.
    pub fn knows(&mut self, trial: Trial, outcome: Outcome) {
        self.done.push((trial, outcome));
    }

    fn outcome_of(&self, trial: &Trial) -> Option<&Outcome> {
        self.done.iter().find(|(done, _)| done == trial).map(|(_, outcome)| outcome)
    }

    fn run_all(&self, trials: &[Trial]) -> anyhow::Result<Vec<Outcome>> {
        let meter = Mutex::new((Meter::new(self.what), vec![0; trials.len()]));
        let report = |at: SweepProgress| {
            let mut guard = meter.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let (meter, done) = &mut *guard;
            done[at.trial] = at.progress.done;
            let total = at.progress.total.map(|total| total * trials.len() as u64);
            meter.update(Progress { done: done.iter().sum(), total });
        };
        let outcomes = self.sweep().run(trials, &report);
        meter.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).0.finish();
        outcomes.with_context(|| format!("while replaying {}", self.trace.display()))
    }
}
