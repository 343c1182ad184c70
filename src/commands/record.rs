//! `malloscope record`: run a program and write its trace.

use crate::Outcome;
use crate::progress::{Lines, Meter};
use crate::stacks::StackArgs;
use anyhow::Context;
use malloscope_recorder::{Capture, Options, Recorded, RecordedProcess, Target, WhenFull, record};
use malloscope_replayer::report::units::{count, percent};
use malloscope_replayer::run::Progress;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Run a program and record every call it makes of malloc
///
/// The exit status is the program's own; 128 and more if a signal ended it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope record -o app.mscope -- python3 script.py")]
pub struct Args {
    /// Where the trace goes; those of other processes go beside it
    #[arg(short, long, value_name = "FILE", default_value = "malloscope.mscope")]
    pub output: PathBuf,
    /// Lose calls rather than make the program wait when the recorder is behind
    #[arg(long)]
    pub drop: bool,
    #[command(flatten)]
    pub stacks: StackArgs,
    /// Say every second on standard error how many calls there are, a line each
    #[arg(long, conflicts_with = "quiet")]
    pub progress: bool,
    /// Say nothing about the recording
    #[arg(short, long)]
    pub quiet: bool,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

pub fn run(args: Args) -> Outcome {
    let stacks = args.stacks.capture(None);
    let recorded = if args.progress {
        let mut lines = Lines::new("recording");
        run_program(&args.output, args.drop, stacks, &args.program, &mut |calls| lines.update(calls))?
    } else {
        run_and_show(&args.output, args.drop, stacks, &args.program)?
    };
    if !args.quiet {
        tell(&recorded);
    }
    Ok(ExitCode::from(recorded.exit_code()))
}

/// Runs and records a program, and shows on a terminal how far it is.
pub fn run_and_show(
    output: &Path,
    drop: bool,
    stacks: Option<Capture>,
    program: &[OsString],
) -> anyhow::Result<Recorded> {
    let mut meter = Meter::new("recording");
    let recorded = run_program(output, drop, stacks, program, &mut |calls| {
        meter.update(Progress { done: calls, total: None });
    });
    meter.finish();
    recorded
}

/// Runs and records a program; `progress` is told the calls so far.
fn run_program(
    output: &Path,
    drop: bool,
    stacks: Option<Capture>,
    program: &[OsString],
    progress: &mut dyn FnMut(u64),
) -> anyhow::Result<Recorded> {
    let (program, arguments) = program.split_first().context("no program was given")?;
    let target = Target { program: program.clone(), arguments: arguments.to_vec() };
    let when_full = if drop { WhenFull::Drop } else { WhenFull::Wait };
    let options = Options { output: output.to_owned(), when_full, clock: None, stacks };
    let recorded = record(&target, &options, &mut |at| progress(at.calls));
    recorded.with_context(|| format!("while recording {}", program.display()))
}

/// Says on standard error what was recorded, and what was not.
pub fn tell(recorded: &Recorded) {
    for trace in &recorded.traces {
        eprintln!("malloscope: {}", summary(trace));
    }
    if recorded.traces.is_empty() {
        eprintln!("malloscope: no calls were recorded");
    }
    warn(recorded);
}

/// Says on standard error what was not recorded.
pub fn warn(recorded: &Recorded) {
    for process in &recorded.not_recorded {
        eprintln!(
            "malloscope: process {} ({}) was not recorded: {:?}",
            process.pid, process.program, process.why
        );
    }
    if recorded.turned_away > 0 {
        eprintln!(
            "malloscope: {} more processes were not recorded: too many ran at one time",
            recorded.turned_away
        );
    }
    if let Some(trouble) = &recorded.trouble {
        eprintln!("malloscope: the recording stopped early: {trouble}");
    }
}

fn summary(trace: &RecordedProcess) -> String {
    let program = Path::new(&trace.program).file_name().map(|name| name.display().to_string());
    let program = program.unwrap_or_else(|| trace.program.clone());
    let mut line =
        format!("{}: {} calls of {program} ({})", trace.path.display(), count(trace.calls), trace.pid);
    if trace.lost > 0 {
        let share = percent(trace.lost, trace.lost + trace.calls);
        line.push_str(&format!("; {} calls were LOST ({share})", count(trace.lost)));
    }
    if trace.waits > 0 {
        line.push_str(&format!("; it waited {} times for the recorder", count(trace.waits)));
    }
    line
}
