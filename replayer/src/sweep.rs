//! The same trace under several settings: one worker each, as many at a time as there are processors,
//! reported in the order they were asked for.

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

/// Runs every trial on the trace; only the records of a range count, if there is one.
///
/// # Errors
///
/// The first run that failed, in the order of the trials.
pub fn sweep(
    launcher: &Launcher,
    trace: &Path,
    trials: &[Trial],
    range: Option<Range>,
    progress: &(dyn Fn(SweepProgress) + Sync),
) -> Result<Vec<Outcome>, WorkerError> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<Outcome, WorkerError>>>> =
        trials.iter().map(|_| Mutex::new(None)).collect();
    let workers = thread::available_parallelism().map_or(1, usize::from).min(trials.len());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(trial) = trials.get(number) else { return };
                    let job = Job { range, ..Job::of(trace, trial.clone()) };
                    let mut report = |at| progress(SweepProgress { trial: number, progress: at });
                    let outcome = run_in_worker(launcher, &job, &mut io::sink(), &mut report);
                    *results[number].lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(outcome);
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
