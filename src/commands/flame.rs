//! `malloscope flame`: who caused how much of something, as a flamegraph or as folded stacks.

use super::replay;
use crate::Outcome;
use crate::choice::choice;
use crate::filter::{self, FilterArgs};
use crate::progress::Meter;
use crate::trial::{SingleArgs, TrialArgs};
use crate::{names, output};
use anyhow::{Context, bail};
use clap::ValueEnum;
use inferno::flamegraph::color::{BackgroundColor, BasicPalette, Color, Palette};
use inferno::flamegraph::{self, Direction};
use malloscope_replayer::blame::fold::{self, Scale};
use malloscope_replayer::blame::legend::Legend;
use malloscope_replayer::blame::tree::{Shape, Tree};
use malloscope_replayer::blame::{Blame, Of, What, recorded_within};
use malloscope_replayer::filter::Filter;
use malloscope_replayer::range::Range;
use malloscope_replayer::report::TraceInfo;
use malloscope_replayer::report::calls;
use malloscope_replayer::report::units::count;
use malloscope_replayer::run::Job;
use malloscope_replayer::setting::Setting;
use malloscope_replayer::trial::Trial;
use malloscope_traces::{Reader, Stacks};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Draw who allocates, holds, pins, and makes malloc slow
///
/// A flamegraph of call stacks: the wider a frame, the more it and what it called caused of what was
/// asked for. The trace must have been recorded with `--stacks`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope flame app.mscope --of pinned -o pinned.svg")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// What to draw
    #[arg(long, value_name = "WHAT", default_value = "bytes")]
    of: WhatArg,
    /// Write into a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// As a picture for browsers, or as lines that other programs read
    #[arg(long, value_name = "FORMAT", default_value = "svg")]
    format: FlameFormat,
    /// Draw the outermost frame at the top
    #[arg(long)]
    inverted: bool,
    /// Count only these records: 1000..2000, 1000.. or ..2000
    #[arg(long, value_name = "A..B")]
    range: Option<Range>,
    #[command(flatten)]
    tree: TreeArgs,
    #[command(flatten)]
    only: FilterArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    difference: DifferenceArgs,
    #[command(flatten)]
    single: SingleArgs,
    #[command(flatten)]
    trial: TrialArgs,
}

/// What a tree shows.
#[derive(Debug, clap::Args)]
struct TreeArgs {
    /// In a tree, leave functions out that caused less than this, in percent of all
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    least: f64,
    /// In a tree, show what stands in the source, where the file is at hand
    #[arg(long)]
    source: bool,
}

/// How stacks are put together.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Stacks")]
struct ShapeArgs {
    /// Put the functions that asked for memory themselves first, and who called them behind them
    #[arg(long)]
    callers: bool,
    /// Show a function that calls itself once
    #[arg(long)]
    merge_recursion: bool,
    /// Count only stacks with this function: what it called, or with `--callers` who called it
    #[arg(long, value_name = "FUNCTION")]
    focus: Option<String>,
    /// Leave stacks with this function out
    #[arg(long, value_name = "FUNCTION")]
    hide: Vec<String>,
}

impl ShapeArgs {
    /// By the functions of a trace.
    fn shape(&self, legend: &Legend) -> anyhow::Result<Shape> {
        let called = |name: &String| {
            legend.called(name).with_context(|| format!("no stack has a function called “{name}”"))
        };
        Ok(Shape {
            is_inverted: self.callers,
            merges_recursion: self.merge_recursion,
            focus: self.focus.as_ref().map(called).transpose()?,
            hidden: self.hide.iter().map(called).collect::<anyhow::Result<_>>()?,
        })
    }
}

/// What to compare with: widths are the second one's, red is what grew, blue is what shrank.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Difference (red grew, blue shrank)")]
struct DifferenceArgs {
    /// Draw what is different in this trace
    #[arg(long, value_name = "TRACE")]
    diff: Option<PathBuf>,
    /// Draw what is different with this malloc tunable, besides those of `--set`
    #[arg(long, value_name = "NAME=VALUE", value_parser = Setting::parse, conflicts_with = "diff")]
    against_set: Vec<Setting>,
    /// Draw what is different in this glibc
    #[arg(long, value_name = "RELEASE", conflicts_with = "diff")]
    against_glibc: Option<String>,
    /// Weigh the first as if it were as much in all as the second
    #[arg(long)]
    normalize: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FlameFormat {
    /// A flamegraph: click to zoom, Ctrl-F to search
    Svg,
    /// A line for each stack, the outermost frame first, and a whole number; byte-seconds in thousandths
    Folded,
    /// A table, in which what a function called is below it and further in
    Tree,
}

choice! {
    /// What to draw; see the table in `malloscope_replayer::blame`.
    WhatArg of What, What::help
}

/// One side of a picture.
struct Side {
    blame: Blame,
    lines: BTreeMap<String, u64>,
    command: String,
    /// What the total is of, where a filter leaves something out.
    of: String,
}

pub fn run(args: Args) -> Outcome {
    let what = args.of.0;
    let trial = args.single.of(args.trial);
    if !what.needs_replay() && trial != Trial::default() {
        bail!("`{}` is what the program did, whatever the settings: leave them out", what.name());
    }
    let other = other_side(&args.trace, what, &trial, args.difference.sides())?;
    let only = Only { range: args.range, filter: args.only.filter() };
    let first = blamed(&args.trace, what, trial, only)?;
    let second = other.map(|(trace, trial)| blamed(&trace, what, trial, only)).transpose()?;
    if args.format == FlameFormat::Tree {
        if second.is_some() {
            bail!("a difference is drawn or folded: say `--format svg` or `--format folded`");
        }
        return print_tree(&first, &args.shape, &args.tree, args.output.as_deref());
    }
    let drawn = second.as_ref().unwrap_or(&first);
    let scale = match args.format {
        FlameFormat::Folded | FlameFormat::Tree => Scale::of_lines(drawn.blame.unit),
        FlameFormat::Svg => Scale::of_picture(drawn.blame.unit, drawn.blame.attributed()),
    };
    let fold = |side: Charged| side.fold(scale, &args.shape);
    let (first, second) = (fold(first)?, second.map(fold).transpose()?);
    warn(&second.as_ref().unwrap_or(&first).blame);
    let lines = lines(&first, second.as_ref(), args.difference.normalize);
    if lines.is_empty() {
        bail!("there is nothing to draw: no stack has caused any {} here (`{}`)", scale.name, what.name());
    }
    let mut out = output::open(args.output.as_deref())?;
    match args.format {
        FlameFormat::Folded | FlameFormat::Tree => {
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))?
        }
        FlameFormat::Svg => {
            let direction = if args.inverted { Direction::Inverted } else { Direction::Straight };
            draw(&first, second.as_ref(), scale, direction, &lines, &mut out)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

impl DifferenceArgs {
    /// Another trace, or what is otherwise set.
    fn sides(&self) -> Option<Against> {
        match &self.diff {
            Some(trace) => Some(Against::Trace(trace.clone())),
            None if self.against_set.is_empty() && self.against_glibc.is_none() => None,
            None => Some(Against::Settings(self.against_set.clone(), self.against_glibc.clone())),
        }
    }
}

/// What a picture of a difference is against.
enum Against {
    Trace(PathBuf),
    Settings(Vec<Setting>, Option<String>),
}

/// The trace and the trial of the other side.
fn other_side(
    trace: &Path,
    what: What,
    trial: &Trial,
    against: Option<Against>,
) -> anyhow::Result<Option<(PathBuf, Trial)>> {
    match against {
        None => Ok(None),
        Some(Against::Trace(other)) => Ok(Some((other, trial.clone()))),
        Some(Against::Settings(..)) if !what.needs_replay() => {
            bail!("`{}` is what the program did: it is the same whatever the settings", what.name())
        }
        Some(Against::Settings(settings, release)) => {
            let mut other = trial.clone();
            other.release = release.or(other.release);
            settings.into_iter().for_each(|setting| setting.apply(&mut other));
            Ok(Some((trace.to_owned(), other)))
        }
    }
}

/// Who is to blame, with all that is needed to name them.
struct Charged {
    blame: Blame,
    filter: Filter,
    stacks: Stacks,
    command: String,
    trace: PathBuf,
}

/// What counts.
#[derive(Clone, Copy, Debug)]
struct Only {
    range: Option<Range>,
    filter: Filter,
}

/// Reads or replays a trace.
fn blamed(trace: &Path, what: What, trial: Trial, only: Only) -> anyhow::Result<Charged> {
    let Only { range, filter } = only;
    let mut reader = Reader::open_file(trace)?;
    let stacks = reader.stacks()?;
    if stacks.capture.is_none() && stacks.frames.len() < 2 {
        bail!("{} has no stacks: record it with `malloscope record --stacks all`", trace.display());
    }
    let command = TraceInfo::of(trace)?.command();
    let (mut blames, damage) = if what.needs_replay() {
        let job = Job { blame: vec![what], range, filter, ..Job::of(trace, trial) };
        let outcome = replay::replay(&job, &mut io::sink())?;
        replay::warn(&outcome);
        (outcome.blame, Vec::new())
    } else {
        let range = range.unwrap_or(Range::ALL);
        let selection = filter::selection(&filter, trace, range)?;
        let mut meter = Meter::new("reading");
        let of = Of { whats: &[what], range, selection: selection.as_ref() };
        let read = recorded_within(&mut reader, of, &mut |progress| meter.update(progress));
        meter.finish();
        let read = read.with_context(|| format!("while reading {}", trace.display()))?;
        (read.blames, read.damage)
    };
    for damage in damage {
        eprintln!("malloscope: {damage}");
    }
    let blame = blames.pop().context("the replay's process charged nobody")?;
    Ok(Charged { blame, filter, stacks, command, trace: trace.to_owned() })
}

impl Charged {
    fn tree(&self, shape: &ShapeArgs) -> anyhow::Result<(Legend, Tree)> {
        let legend = Legend::of(&self.stacks, names::namer(&self.trace, &self.stacks)?);
        let tree = Tree::of(&legend, &self.blame, None, &shape.shape(&legend)?);
        Ok((legend, tree))
    }

    fn fold(self, scale: Scale, shape: &ShapeArgs) -> anyhow::Result<Side> {
        let (legend, tree) = self.tree(shape)?;
        let lines = fold::of_tree(&tree, &legend, scale);
        let of = of_how_much(&self.blame, &self.filter);
        Ok(Side { blame: self.blame, lines, command: self.command, of })
    }
}

/// Prints the tree as a table.
fn print_tree(charged: &Charged, shape: &ShapeArgs, shown: &TreeArgs, output: Option<&Path>) -> Outcome {
    let (legend, tree) = charged.tree(shape)?;
    warn(&charged.blame);
    let of = of_how_much(&charged.blame, &charged.filter);
    let title = format!("{}: {}{of}", charged.blame.what.title(), tree.unit.shown(tree.root().total.first));
    let section = calls::section(&tree, &legend, &title, shown.least / 100.0, shown.source);
    output::print_for_people_into(&[section], output)?;
    Ok(ExitCode::SUCCESS)
}

/// What a total is of, where a filter is set: all there is, and which part of that it is.
fn of_how_much(blame: &Blame, filter: &Filter) -> String {
    if filter.is_all() {
        return String::new();
    }
    format!(" of {} ({})", blame.unit.shown(blame.total + blame.left_out), filter.said())
}

/// Says what is not exact.
fn warn(blame: &Blame) {
    if let Some(error) = blame.standard_error {
        eprintln!(
            "malloscope: stacks were sampled: these are estimates, which add up to {:.0} {} (standard error {error:.0}); \
             counted were {:.0}",
            blame.attributed(),
            blame.unit.name(),
            blame.total,
        );
    }
}

/// The lines of one side, or of both: then with two numbers, before and after.
fn lines(first: &Side, second: Option<&Side>, normalize: bool) -> Vec<String> {
    let Some(second) = second else {
        return first.lines.iter().map(|(line, weight)| format!("{line} {weight}")).collect();
    };
    let sum = |side: &Side| side.lines.values().sum::<u64>();
    let (before, after) = (sum(first), sum(second));
    let balanced = |weight: u64| {
        let weight = u128::from(weight) * u128::from(after);
        weight.checked_div(before.into()).and_then(|weight| u64::try_from(weight).ok()).unwrap_or(0)
    };
    let mut both: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (line, &weight) in &first.lines {
        both.entry(line).or_default().0 = if normalize { balanced(weight) } else { weight };
    }
    for (line, &weight) in &second.lines {
        both.entry(line).or_default().1 = weight;
    }
    both.iter().map(|(line, (before, after))| format!("{line} {before} {after}")).collect()
}

fn draw(
    first: &Side,
    second: Option<&Side>,
    scale: Scale,
    direction: Direction,
    lines: &[String],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let what = first.blame.what;
    let mut options = flamegraph::Options::default();
    let sum = |side: &Side| count(side.lines.values().sum::<u64>());
    let (title, subtitle) = match second {
        None => (
            what.title().to_owned(),
            format!("{} · {} {}{}", shortened(&first.command), sum(first), scale.name, first.of),
        ),
        Some(second) => (
            format!("{}: what is different", what.title()),
            format!(
                "{} · {} → {} {}{}",
                shortened(&second.command),
                sum(first),
                sum(second),
                scale.name,
                second.of
            ),
        ),
    };
    options.title = title;
    options.subtitle = Some(subtitle);
    options.count_name = scale.name.to_owned();
    options.name_type = "Function".to_owned();
    options.direction = direction;
    // The same function has the same colour in every picture.
    options.hash = true;
    options.colors = Palette::Basic(if what.is_memory() { BasicPalette::Mem } else { BasicPalette::Hot });
    options.bgcolors = Some(BackgroundColor::Flat(Color { r: 255, g: 255, b: 255 }));
    options.image_width = Some(WIDTH);
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), out)
        .context("while drawing the flamegraph")
}

/// Pixels that a picture is wide.
const WIDTH: usize = 1400;
/// The longest command below the title: what fits, with what follows.
const LONGEST: usize = 120;

/// A command, of a long one its beginning.
fn shortened(text: &str) -> String {
    let text: String = text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
