//! The same trace under several settings: so many worker processes at a time, reported in the order they were asked
//! for.
//!
//! Over simulated memory each worker replays a group of trials side by side over one reading of the trace
//! (`together.rs`), over real memory one. So a sweep takes the memory of as many replays as there are workers times
//! trials of a group, however many trials there are; and if that is more than the machine has to give, some of a group
//! are put off and run later. Workers are processes, so that what ends one, such as a kernel that is out of memory,
//! costs a group: each of its trials is run once more by itself. What is kept (`kept.rs`) is not run again.

use crate::detail::Detail;
use crate::kept::Kept;
use crate::outcome::Outcome;
use crate::own;
use crate::range::Range;
use crate::run::{Job, Progress};
use crate::together::Group;
use crate::trial::Trial;
use crate::worker::{self, Launcher, WorkerError};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::thread;

/// How far a sweep is: one run's progress.
#[derive(Clone, Copy, Debug)]
pub struct SweepProgress {
    /// The number of the trial.
    pub trial: usize,
    /// How far it is.
    pub progress: Progress,
}

/// A sweep over one trace.
#[derive(Debug)]
pub struct Sweep<'a> {
    /// How workers are started.
    pub launcher: &'a Launcher,
    /// The trace.
    pub trace: &'a Path,
    /// The records that count, if not all do.
    pub range: Option<Range>,
    /// How much is measured of each.
    pub detail: Detail,
    /// The most workers at a time, if not as many as there are processors.
    pub workers: Option<usize>,
    /// The most trials that a worker replays side by side, if not [`SIDE_BY_SIDE`].
    pub side_by_side: Option<usize>,
    /// Where outcomes are kept, and looked for.
    pub kept: Option<&'a Kept>,
}

/// Processors to be used, where nobody says how many.
fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Trials that a worker replays side by side, where nobody says how many. With 8 an eighth of the decoding is left to
/// each; more would save little and take more memory: `BENCHMARKS.md`.
pub const SIDE_BY_SIDE: usize = 8;

/// The share of the memory which the machine has to give that a sweep may take, as a fraction.
const SHARE_OF_MEMORY: (u64, u64) = (3, 4);

/// What came of a trial, once it has been run.
type Slot = Mutex<Option<Result<Outcome, WorkerError>>>;

impl Sweep<'_> {
    /// Workers at one time for so many trials.
    pub fn workers_for(&self, trials: usize) -> usize {
        self.workers.unwrap_or_else(processors).clamp(1, trials.max(1))
    }

    /// Trials of so many that a worker replays side by side.
    pub fn side_by_side_for(&self, trials: usize) -> usize {
        let most = self.side_by_side.unwrap_or(SIDE_BY_SIDE).max(1);
        let workers = self.workers_for(trials);
        // So that all workers have as much to do, and as often.
        let rounds = trials.div_ceil(workers * most).max(1);
        trials.div_ceil(workers * rounds).max(1)
    }

    /// Runs every trial.
    ///
    /// # Errors
    ///
    /// The first run that failed, in the order of the trials. Those that did not are kept all the same.
    pub fn run(
        &self,
        trials: &[Trial],
        progress: &(dyn Fn(SweepProgress) + Sync),
    ) -> Result<Vec<Outcome>, WorkerError> {
        let results: Vec<Slot> = trials.iter().map(|_| Mutex::new(None)).collect();
        let mut missing = Vec::new();
        for (trial, result) in results.iter().enumerate() {
            match self.kept.and_then(|kept| kept.find(&self.job(&trials[trial]))) {
                Some(outcome) => {
                    let whole = Progress { done: outcome.records, total: Some(outcome.records) };
                    progress(SweepProgress { trial, progress: whole });
                    fill(result, Ok(outcome));
                }
                None => missing.push(trial),
            }
        }
        let workers = self.workers_for(missing.len());
        let available = own::available_memory().map(|bytes| bytes / SHARE_OF_MEMORY.1 * SHARE_OF_MEMORY.0);
        let memory = available.map(|bytes| bytes / workers as u64);
        let groups = Mutex::new(self.groups(trials, &missing));
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    let next = || guard(&groups).pop_front();
                    while let Some(group) = next() {
                        let again = self.run_group(trials, &group, memory, &results, progress);
                        guard(&groups).extend(again);
                    }
                });
            }
        });
        let results = results.into_iter().map(|result| {
            let result = result.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
            result.expect("every trial has been run when all threads have ended")
        });
        results.collect()
    }

    fn job(&self, trial: &Trial) -> Job {
        Job { range: self.range, detail: self.detail, ..Job::of(self.trace, trial.clone()) }
    }

    /// The numbers of the trials that are replayed side by side.
    fn groups(&self, trials: &[Trial], missing: &[usize]) -> VecDeque<Vec<usize>> {
        let (shared, alone): (Vec<usize>, Vec<usize>) =
            missing.iter().partition(|&&trial| Group::may_be_shared(&self.job(&trials[trial])));
        let together = shared.chunks(self.side_by_side_for(shared.len())).map(<[usize]>::to_vec);
        together.chain(alone.into_iter().map(|trial| vec![trial])).collect()
    }

    /// Runs a group. What of it has to be run again by itself is given back.
    fn run_group(
        &self,
        trials: &[Trial],
        group: &[usize],
        memory: Option<u64>,
        results: &[Slot],
        progress: &(dyn Fn(SweepProgress) + Sync),
    ) -> Vec<Vec<usize>> {
        let asked = Group {
            job: self.job(&trials[group[0]]),
            others: group[1..].iter().map(|&trial| trials[trial].clone()).collect(),
            memory,
        };
        let mut report = |at| group.iter().for_each(|&trial| progress(SweepProgress { trial, progress: at }));
        let mut missing = group.to_vec();
        let mut heard = |number: usize, answer: Option<Result<Outcome, WorkerError>>| {
            let trial = group[number];
            if let Some(answer) = answer {
                missing.retain(|&other| other != trial);
                fill(&results[trial], answer.and_then(|outcome| self.keep(&trials[trial], outcome)));
            }
        };
        let ended = worker::run_group(self.launcher, &asked, &mut heard, &mut report);
        match ended {
            // Nobody else can have been to blame.
            Err(error) if group.len() == 1 => {
                fill(&results[group[0]], Err(error));
                Vec::new()
            }
            // One of them ended all: which, will be seen.
            Err(_) => missing.into_iter().map(|trial| vec![trial]).collect(),
            // There was no room for them beside the others.
            Ok(()) if missing.is_empty() => Vec::new(),
            Ok(()) => vec![missing],
        }
    }

    fn keep(&self, trial: &Trial, outcome: Outcome) -> Result<Outcome, WorkerError> {
        if let Some(kept) = self.kept {
            kept.keep(&self.job(trial), &outcome)?;
        }
        Ok(outcome)
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn fill(result: &Slot, answer: Result<Outcome, WorkerError>) {
    *guard(result) = Some(answer);
}
