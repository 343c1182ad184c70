//! The same trace under several settings: one worker each, so many at a time, reported in the order they were asked
//! for.
//!
//! Each worker is a process with one replay in it, so a sweep takes the memory of as many replays as there are
//! workers, however many trials there are. What is kept (`kept.rs`) is not run again.

use crate::kept::Kept;
use crate::outcome::Outcome;
use crate::range::Range;
use crate::run::{Job, Progress};
use crate::trial::Trial;
use crate::worker::{Launcher, WorkerError, run_in_worker};
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// The most workers at a time, if not as many as there are processors.
    pub workers: Option<usize>,
    /// Where outcomes are kept, and looked for.
    pub kept: Option<&'a Kept>,
}

/// Processors to be used, where nobody says how many.
fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl Sweep<'_> {
    /// Workers at one time for so many trials.
    pub fn workers_for(&self, trials: usize) -> usize {
        self.workers.unwrap_or_else(processors).clamp(1, trials.max(1))
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
        let next = AtomicUsize::new(0);
        let results: Vec<Mutex<Option<Result<Outcome, WorkerError>>>> =
            trials.iter().map(|_| Mutex::new(None)).collect();
        thread::scope(|scope| {
            for _ in 0..self.workers_for(trials.len()) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(trial) = trials.get(number) else { return };
                        let mut report = |at| progress(SweepProgress { trial: number, progress: at });
                        let outcome = self.run_one(trial, &mut report);
                        *results[number].lock().unwrap_or_else(|poisoned| poisoned.into_inner()) =
                            Some(outcome);
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

    fn run_one(&self, trial: &Trial, progress: &mut dyn FnMut(Progress)) -> Result<Outcome, WorkerError> {
        let job = Job { range: self.range, ..Job::of(self.trace, trial.clone()) };
        if let Some(kept) = self.kept
            && let Some(outcome) = kept.find(&job)
        {
            progress(Progress { done: outcome.records, total: Some(outcome.records) });
            return Ok(outcome);
        }
        let outcome = run_in_worker(self.launcher, &job, &mut io::sink(), progress)?;
        if let Some(kept) = self.kept {
            kept.keep(&job, &outcome)?;
        }
        Ok(outcome)
    }
}
