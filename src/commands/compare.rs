//! `malloscope compare`: the same trace under several settings, side by side.

use crate::Outcome;
use crate::output::{self, Format};
use crate::progress::Meter;
use crate::trial::{RangeArg, TrialArgs};
use anyhow::{Context, bail};
use clap::ValueEnum;
use malloscope_replayer::range::Range;
use malloscope_replayer::report::{Comparison, Run, TraceInfo};
use malloscope_replayer::run::Progress;
use malloscope_replayer::sizes;
use malloscope_replayer::sweep::{SweepProgress, sweep};
use malloscope_replayer::trial::Trial;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

/// Replay a trace under several settings or glibc releases, side by side
///
/// `--glibc 2.31,2.36,2.43` asks what an upgrade would do.
///
/// The first run is under the recorded settings. Where several lists are given, every combination
/// of their values is run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope compare app.mscope --mmap-threshold 64K,128K,1M,32M")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    #[command(flatten)]
    lists: Lists,
    /// How to print the comparison
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: CompareFormat,
    /// Measure the others against the run of this name, such as `mmap_threshold 64K` [default: as recorded]
    #[arg(long, value_name = "RUN")]
    against: Option<String>,
    #[command(flatten)]
    range: RangeArg,
    #[command(flatten)]
    trial: TrialArgs,
}

/// How a comparison is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum CompareFormat {
    /// For people, with colour where it is wanted
    Terminal,
    /// Everything, under names that stay
    Json,
    /// Everything, a number a line
    Csv,
    /// For people, to put into a text
    Markdown,
    /// The numbers for people as CSV, each with its difference from the first run's
    Differences,
}

/// The values to try.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Values to compare, separated by commas")]
struct Lists {
    /// glibc releases: 2.23 to 2.44, or the head of a branch, `2.28-branch`
    #[arg(long, value_name = "RELEASE,…", value_delimiter = ',')]
    glibc: Vec<String>,
    /// Requests of this size and more get a mapping of their own
    #[arg(long, value_name = "BYTES,…", value_delimiter = ',', value_parser = sizes::parse)]
    mmap_threshold: Vec<u64>,
    /// The program break is trimmed when the top chunk has grown to this
    #[arg(long, value_name = "BYTES,…", value_delimiter = ',', value_parser = sizes::parse)]
    trim_threshold: Vec<u64>,
    /// Bytes to take from the kernel beyond what is needed
    #[arg(long, value_name = "BYTES,…", value_delimiter = ',', value_parser = sizes::parse)]
    top_pad: Vec<u64>,
    /// Chunks that may have a mapping of their own at one time
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    mmap_max: Vec<u64>,
    /// Arenas
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    arena_max: Vec<u64>,
    /// Chunks of a size that a thread caches
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    tcache_count: Vec<u64>,
    /// The greatest request that is cached
    #[arg(long, value_name = "BYTES,…", value_delimiter = ',', value_parser = sizes::parse)]
    tcache_max: Vec<u64>,
    /// The greatest request that is served by fastbins
    #[arg(long, value_name = "BYTES,…", value_delimiter = ',', value_parser = sizes::parse)]
    mxfast: Vec<u64>,
}

impl Lists {
    /// Every tunable that has values, with them.
    fn tunables(self) -> Vec<(&'static str, Vec<u64>)> {
        let all = [
            ("mmap_threshold", self.mmap_threshold),
            ("trim_threshold", self.trim_threshold),
            ("top_pad", self.top_pad),
            ("mmap_max", self.mmap_max),
            ("arena_max", self.arena_max),
            ("tcache_count", self.tcache_count),
            ("tcache_max", self.tcache_max),
            ("mxfast", self.mxfast),
        ];
        all.into_iter().filter(|(_, values)| !values.is_empty()).collect()
    }
}

/// The settings of every combination.
fn combinations(lists: &[(&'static str, Vec<u64>)]) -> Vec<Vec<(String, u64)>> {
    let mut combinations = vec![Vec::new()];
    for (name, values) in lists {
        combinations = combinations
            .iter()
            .flat_map(|settings: &Vec<(String, u64)>| {
                values.iter().map(|&value| {
                    let mut settings = settings.clone();
                    settings.push(((*name).to_owned(), value));
                    settings
                })
            })
            .collect();
    }
    combinations
}

/// Puts the run of this name first, where the others are measured against it.
fn put_first(runs: &mut [Run], name: &str) -> anyhow::Result<()> {
    let Some(place) = runs.iter().position(|run| run.name == name) else {
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        bail!("no run is called “{name}”; they are “{}”", names.join("”, “"));
    };
    runs[..=place].rotate_right(1);
    Ok(())
}

pub fn run(args: Args) -> Outcome {
    let mut releases: Vec<Option<String>> = args.lists.glibc.iter().cloned().map(Some).collect();
    let lists = args.lists.tunables();
    if releases.is_empty() && lists.is_empty() {
        bail!(
            "there is nothing to compare: say, for example, --mmap-threshold 64K,128K,1M,32M \
             or --glibc 2.31,2.36,2.43"
        );
    }
    if releases.is_empty() {
        releases.push(None);
    }
    let base: Trial = args.trial.into();
    let mut names = vec!["as recorded".to_owned()];
    let mut trials = vec![base.clone()];
    for release in releases {
        for settings in combinations(&lists) {
            let changed = Trial { release: release.clone(), settings, ..Trial::default() };
            names.push(changed.name());
            let settings = changed.settings;
            let settings = base.settings.iter().cloned().chain(settings).collect();
            trials.push(Trial { release: release.clone(), settings, ..base.clone() });
        }
    }
    let trace = TraceInfo::of(&args.trace)?;
    let outcomes = run_all(&args.trace, &trials, args.range.range)?;
    let runs = names.into_iter().zip(outcomes).map(|(name, outcome)| Run { name, outcome });
    let mut runs: Vec<Run> = runs.collect();
    if let Some(name) = &args.against {
        put_first(&mut runs, name)?;
    }
    let comparison = Comparison { trace, runs };
    match args.format {
        CompareFormat::Terminal => output::print_comparison(&comparison, Format::Terminal)?,
        CompareFormat::Json => output::print_comparison(&comparison, Format::Json)?,
        CompareFormat::Csv => output::print_comparison(&comparison, Format::Csv)?,
        CompareFormat::Markdown => output::print_comparison(&comparison, Format::Markdown)?,
        CompareFormat::Differences => output::print_differences(&comparison)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Replays every trial, and says how far they are.
pub fn run_all(
    trace: &std::path::Path,
    trials: &[Trial],
    range: Option<Range>,
) -> anyhow::Result<Vec<malloscope_replayer::outcome::Outcome>> {
    let meter = Mutex::new((Meter::new("comparing"), vec![0; trials.len()]));
    let report = |at: SweepProgress| {
        let mut guard = meter.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (meter, done) = &mut *guard;
        done[at.trial] = at.progress.done;
        let total = at.progress.total.map(|total| total * trials.len() as u64);
        meter.update(Progress { done: done.iter().sum(), total });
    };
    let outcomes = sweep(&super::launcher()?, trace, trials, range, &report);
    meter.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).0.finish();
    outcomes.with_context(|| format!("while replaying {}", trace.display()))
}
