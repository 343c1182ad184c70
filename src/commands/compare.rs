//! `malloscope compare`: the same trace under several settings, side by side.

use crate::Outcome;
use crate::choice::choice;
use crate::output::{self, Format};
use crate::sweeping::{SweepArgs, Sweeper};
use crate::trial::{RangeArg, TouchArg, TrialArgs};
use anyhow::{Context, bail};
use clap::ValueEnum;
use malloscope_replayer::detail::Detail;
use malloscope_replayer::plan::recipes::Recipe;
use malloscope_replayer::plan::usual::Known;
use malloscope_replayer::plan::{Change, Plan};
use malloscope_replayer::regime::Regime;
use malloscope_replayer::report::{Comparison, Run, TraceInfo};
use malloscope_replayer::sizes;
use malloscope_replayer::trial::Trial;
use malloscope_replayer::trims::TrimSchedule;
use std::path::PathBuf;
use std::process::ExitCode;

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
    /// Settings that people hand on to each other, by name
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    recipe: Vec<RecipeArg>,
    /// What is worth trying where nobody knows what to look for
    #[arg(long, value_name = "WHICH")]
    sweep: Option<SweepArg>,
    /// How to print the comparison
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: CompareFormat,
    /// Measure the others against the run of this name, such as `mmap_threshold 64K` [default: as recorded]
    #[arg(long, value_name = "RUN")]
    against: Option<String>,
    #[command(flatten)]
    range: RangeArg,
    #[command(flatten)]
    sweeping: SweepArgs,
    #[command(flatten)]
    trial: TrialArgs,
}

/// How a comparison is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CompareFormat {
    /// For people, with colour where it is wanted
    Terminal,
    /// Everything, under names that stay
    Json,
    /// Everything, a number a line
    Csv,
    /// For people, to put into a text
    Markdown,
    /// A page for a browser that needs nothing else: the table, and charts
    Html,
    /// A row for each run, as Parquet, for whoever has many of them
    Parquet,
    /// The numbers for people as CSV, each with its difference from the first run's
    Differences,
}

impl CompareFormat {
    /// How much of each run has to be measured for it.
    pub fn detail(self) -> Detail {
        match self {
            CompareFormat::Json | CompareFormat::Csv => Detail::Whole,
            CompareFormat::Terminal
            | CompareFormat::Markdown
            | CompareFormat::Html
            | CompareFormat::Parquet
            | CompareFormat::Differences => Detail::Compared,
        }
    }

    /// Prints a comparison.
    pub fn print(self, comparison: &Comparison) -> anyhow::Result<()> {
        match self {
            CompareFormat::Terminal => output::print_comparison(comparison, Format::Terminal),
            CompareFormat::Json => output::print_comparison(comparison, Format::Json),
            CompareFormat::Csv => output::print_comparison(comparison, Format::Csv),
            CompareFormat::Markdown => output::print_comparison(comparison, Format::Markdown),
            CompareFormat::Html => output::print_html(comparison),
            CompareFormat::Parquet => output::print_parquet(comparison),
            CompareFormat::Differences => output::print_differences(comparison),
        }
    }
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
    /// Huge pages: 0 for none, 1 for transparent ones, 2 for those of the pool
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    hugetlb: Vec<u64>,
    /// Whether the thresholds move by themselves: setting any of the first four fixes them all
    #[arg(long, value_name = "REGIME,…", value_delimiter = ',')]
    thresholds: Vec<RegimeArg>,
    /// Which bytes of its memory the program is taken to write; one holds for all runs [default: pages]
    #[arg(long, value_name = "WHAT,…", value_delimiter = ',')]
    touch: Vec<TouchArg>,
    /// When `malloc_trim` is called, as the program did not: never, every 60s, on-idle:1s, once after:RECORDS
    #[arg(long, value_name = "WHEN,…", value_delimiter = ',', value_parser = trim_schedule)]
    malloc_trim: Vec<TrimArg>,
}

choice! {
    /// Whether the thresholds move.
    RegimeArg of Regime, Regime::meaning
}

choice! {
    /// Settings that people hand on to each other.
    RecipeArg of Recipe, Recipe::meaning
}

/// When `malloc_trim` is called, if at all.
#[derive(Clone, Copy, Debug)]
struct TrimArg(Option<TrimSchedule>);

fn trim_schedule(text: &str) -> Result<TrimArg, String> {
    if text == "never" { Ok(TrimArg(None)) } else { text.parse().map(|schedule| TrimArg(Some(schedule))) }
}

/// A sweep that is made of what is usual.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SweepArg {
    /// One thing at a time in each regime of the thresholds, the recipes, and glibc releases: about 40 runs
    Default,
}

impl Lists {
    /// One touch policy is what all runs are made with.
    fn for_all(&self, base: Trial) -> Trial {
        let touch = match self.touch[..] {
            [only] => only.into(),
            _ => base.touch,
        };
        Trial { touch, ..base }
    }

    /// The changes of every list that has some.
    fn changes(&self) -> Vec<Vec<Change>> {
        let tunables: [(&'static str, &[u64]); 9] = [
            ("mmap_threshold", &self.mmap_threshold),
            ("trim_threshold", &self.trim_threshold),
            ("top_pad", &self.top_pad),
            ("mmap_max", &self.mmap_max),
            ("arena_max", &self.arena_max),
            ("tcache_count", &self.tcache_count),
            ("tcache_max", &self.tcache_max),
            ("mxfast", &self.mxfast),
            ("hugetlb", &self.hugetlb),
        ];
        let mut lists = vec![
            self.glibc.iter().cloned().map(Change::Release).collect(),
            self.thresholds.iter().map(|regime| Change::Thresholds(regime.0)).collect(),
        ];
        let settings = |(name, values): (&'static str, &[u64])| {
            values.iter().map(|&value| Change::Setting(name, value)).collect::<Vec<_>>()
        };
        lists.extend(tunables.map(settings));
        if self.touch.len() > 1 {
            lists.push(self.touch.iter().map(|&touch| Change::Touch(touch.into())).collect());
        }
        lists.push(self.malloc_trim.iter().map(|trim| Change::Trim(trim.0)).collect());
        lists.retain(|list| !list.is_empty());
        lists
    }
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

/// What is to be run.
fn plan(args: &Args, base: &Trial, sweeper: &mut Sweeper<'_>) -> anyhow::Result<Plan> {
    let mut plan = Plan::new(base.clone());
    let lists = args.lists.changes();
    if !lists.is_empty() {
        plan.add_grid(&lists);
    }
    args.recipe.iter().for_each(|recipe| plan.add_recipe(recipe.0));
    if args.sweep.is_some() {
        // What can matter is known when it has been replayed once.
        let first = sweeper.run(std::slice::from_ref(base))?;
        let known = first.first().and_then(Known::of).context("the release is not known")?;
        plan.add_usual(&known);
        plan.add_usual_releases(&known);
    }
    Ok(plan)
}

pub fn run(args: Args) -> Outcome {
    let asks_for_something =
        !args.lists.changes().is_empty() || !args.recipe.is_empty() || args.sweep.is_some();
    if !asks_for_something {
        bail!(
            "there is nothing to compare: say, for example, --mmap-threshold 64K,128K,1M,32M, \
             --glibc 2.31,2.36,2.43 or --sweep default"
        );
    }
    let base = args.lists.for_all(args.trial.clone().into());
    let mut sweeper =
        args.sweeping.sweeper(&args.trace, args.range.range, "comparing", args.format.detail())?;
    let trace = TraceInfo::of(&args.trace)?;
    let plan = plan(&args, &base, &mut sweeper)?;
    for name in plan.left_out() {
        eprintln!("malloscope: “{name}” contradicts itself, and is left out");
    }
    let comparison = sweeper.compare(trace, &plan)?;
    print(&args, comparison)
}

fn print(args: &Args, mut comparison: Comparison) -> Outcome {
    if let Some(name) = &args.against {
        put_first(&mut comparison.runs, name)?;
    }
    args.format.print(&comparison)?;
    Ok(ExitCode::SUCCESS)
}
