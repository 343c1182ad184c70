//! `malloscope explain`: what malloc decided, call by call.

use super::dump::print_stack;
use super::heap::{go_to, open};
use crate::progress::Meter;
use crate::trial::{SingleArgs, TrialArgs};
use crate::{Outcome, names, output};
use clap::ValueEnum;
use malloscope_replayer::explore::{ExploreError, Explorer, Next, Step, Watched};
use malloscope_replayer::export::names::Names;
use malloscope_replayer::report::json;
use malloscope_traces::{Reader, Stacks};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

/// Say what malloc decided in a call: the bins it looked into, what it found
///
/// Records are counted from 0, in the order in which they are replayed, as in every report. Addresses are
/// those of the replay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope explain app.mscope --at 12345 --count 5")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// The first record to explain
    #[arg(long, value_name = "RECORD", default_value_t = 0)]
    at: u64,
    /// How many to explain
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u64,
    /// Of those from there on, explain only the calls that did this
    #[arg(long, value_name = "WHAT")]
    next: Option<NextArg>,
    /// Print the stack of each call, the innermost frame first
    #[arg(long)]
    stacks: bool,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: ExplainFormat,
    #[command(flatten)]
    single: SingleArgs,
    #[command(flatten)]
    trial: TrialArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ExplainFormat {
    /// For people
    Terminal,
    /// For programs
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NextArg {
    /// Asked for memory and was not served from the thread's cache
    Miss,
    /// Had a top chunk grow: the program break moved up, or a segment grew
    Growth,
    /// Had a top chunk shrink
    Trim,
    /// Mapped memory
    Map,
}

impl From<NextArg> for Next {
    fn from(argument: NextArg) -> Next {
        match argument {
            NextArg::Miss => Next::Miss,
            NextArg::Growth => Next::Growth,
            NextArg::Trim => Next::Trim,
            NextArg::Map => Next::Map,
        }
    }
}

pub fn run(args: Args) -> Outcome {
    let stacks = match args.stacks {
        true => Reader::open_file(&args.trace)?.stacks()?,
        false => Stacks::default(),
    };
    let mut names = names::namer(&args.trace, &stacks)?;
    let mut explorer = open(&args.trace, &args.single.of(args.trial))?;
    let mut out = output::open(None)?;
    go_to(&mut explorer, args.at)?;
    let mut steps = Vec::new();
    for _ in 0..args.count {
        let Some(step) = next(&mut explorer, args.next)? else { break };
        match args.format {
            ExplainFormat::Json => steps.push(step),
            ExplainFormat::Terminal => print(&step, &stacks, &mut names, &mut out)?,
        }
    }
    if let ExplainFormat::Json = args.format {
        json::write_steps(&steps, &mut out)?;
    }
    out.flush()?;
    explorer.damage().iter().for_each(|damage| eprintln!("malloscope: {damage}"));
    Ok(ExitCode::SUCCESS)
}

/// The next call, or the next that did this.
fn next(explorer: &mut Explorer, what: Option<NextArg>) -> Result<Option<Step>, ExploreError> {
    let Some(what) = what else { return explorer.step() };
    let mut meter = Meter::new("replaying");
    let stop = AtomicBool::new(false);
    let mut watched = Watched { progress: &mut |progress| meter.update(progress), stop: &stop };
    let step = explorer.next(what.into(), &mut watched);
    meter.finish();
    step
}

fn print(step: &Step, stacks: &Stacks, names: &mut impl Names, out: &mut dyn Write) -> io::Result<()> {
    let answer = step.answer.as_ref().map(|answer| format!(" = {answer}")).unwrap_or_default();
    let number =
        if step.number == step.record { String::new() } else { format!(" (in the file {})", step.number) };
    writeln!(out, "{}{number} t{} {}{answer}", step.record, step.thread, step.call)?;
    for clause in &step.decision {
        writeln!(out, "  {clause}")?;
    }
    print_stack(stacks, step.stack, names, out)
}
