//! `malloscope replay`: the report on a trace, or a line for every call, or what malloc says in the end.

use crate::Outcome;
use crate::names;
use crate::output::{self, Format};
use crate::progress::Meter;
use crate::trial::{RangeArg, SingleArgs, TrialArgs};
use anyhow::Context;
use clap::ValueEnum;
use malloscope_replayer::blame::What;
use malloscope_replayer::blame::fold::Folder;
use malloscope_replayer::introspection::Question;
use malloscope_replayer::outcome;
use malloscope_replayer::report::so_far;
use malloscope_replayer::report::stacks::blamed;
use malloscope_replayer::report::{Report, TraceInfo};
use malloscope_replayer::run::{Job, Lines};
use malloscope_replayer::worker::{News, hear_worker, run_in_worker};
use malloscope_traces::Reader;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Replay a trace and report what malloc did
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope replay app.mscope --set mmap_threshold=64K")]
pub struct Args {
    /// The trace
    pub trace: PathBuf,
    /// How to print the report
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    pub format: Format,
    /// Print where every call's chunk landed instead of the report
    #[arg(long, conflicts_with = "syscalls")]
    pub placements: bool,
    /// Print every call to the kernel instead of the report
    #[arg(long)]
    pub syscalls: bool,
    /// Print what malloc would tell the program after the last call instead of the report
    #[arg(long, value_name = "FUNCTION", conflicts_with_all = ["placements", "syscalls"])]
    pub introspect: Vec<QuestionArg>,
    /// Write those lines into a file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Say now and then what came of it so far, and go on with what is recorded meanwhile
    ///
    /// A line each time; with `--format json` or `csv` a whole report each time. The report of the whole run comes
    /// when the trace has ended. One that nobody writes any more ends where it ends. The replay leaves the
    /// processors to whoever needs them.
    #[arg(long, conflicts_with_all = ["placements", "syscalls", "introspect"])]
    pub follow: bool,
    #[command(flatten)]
    pub range: RangeArg,
    #[command(flatten)]
    pub single: SingleArgs,
    #[command(flatten)]
    pub trial: TrialArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum QuestionArg {
    /// Every bin of every arena, as XML
    #[value(name = "malloc_info")]
    MallocInfo,
    /// What each arena has and uses, as text
    #[value(name = "malloc_stats")]
    MallocStats,
    /// Ten numbers, which wrap at 2 GiB
    Mallinfo,
    /// The same numbers in 64 bits; glibc has it since 2.33
    Mallinfo2,
}

impl From<QuestionArg> for Question {
    fn from(argument: QuestionArg) -> Question {
        match argument {
            QuestionArg::MallocInfo => Question::MallocInfo,
            QuestionArg::MallocStats => Question::MallocStats,
            QuestionArg::Mallinfo => Question::Mallinfo,
            QuestionArg::Mallinfo2 => Question::Mallinfo2,
        }
    }
}

impl Args {
    fn lines(&self) -> Option<Lines> {
        if self.placements {
            Some(Lines::Placements)
        } else if self.syscalls {
            Some(Lines::KernelCalls)
        } else {
            let questions: Vec<Question> = self.introspect.iter().map(|&asked| asked.into()).collect();
            (!questions.is_empty()).then_some(Lines::Answers(questions))
        }
    }
}

pub fn run(args: Args) -> Outcome {
    let lines = args.lines();
    let writes_lines = lines.is_some();
    let trial = args.single.of(args.trial);
    let job = Job { lines, range: args.range.range, ..Job::of(&args.trace, trial) };
    if args.follow {
        return follow(&args.trace, job, args.format);
    }
    if writes_lines {
        let mut out = output::open(args.output.as_deref())?;
        let outcome = replay(&job, &mut out)?;
        out.flush()?;
        warn(&outcome);
        return Ok(ExitCode::SUCCESS);
    }
    let report = report(&args.trace, job)?;
    output::print_report(&report, args.format)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what came of it so far whenever it is heard, and the whole at last.
fn follow(trace: &Path, job: Job, format: Format) -> Outcome {
    let compare = job.trial.is_as_recorded();
    let job = Job { compare, follow: true, so_far: true, ..job };
    let outcome = hear_worker(&super::launcher()?, &job, &mut io::sink(), &mut |news| match news {
        News::Progress(_) => Ok(()),
        News::SoFar(outcome) => {
            let printed = print_so_far(trace, *outcome, format);
            printed.map_err(|error| error.downcast().unwrap_or_else(io::Error::other))
        }
    });
    let outcome = outcome.with_context(|| whose(trace))?;
    output::print_report(&alone(trace, outcome)?, format)?;
    Ok(ExitCode::SUCCESS)
}

fn print_so_far(trace: &Path, outcome: outcome::Outcome, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Terminal | Format::Markdown => {
            let mut out = output::open(None)?;
            writeln!(out, "{}", so_far::line(&outcome))?;
            Ok(out.flush()?)
        }
        Format::Json | Format::Csv => output::print_report(&alone(trace, outcome)?, format),
    }
}

/// A report without stacks: they take a replay of all records.
fn alone(trace: &Path, outcome: outcome::Outcome) -> anyhow::Result<Report> {
    Ok(Report { trace: TraceInfo::of(trace)?, outcome, stacks: Vec::new() })
}

/// Replays, and puts what came of it beside what is known of the trace. Placements are compared
/// where the settings are the recorded ones.
pub fn report(trace: &Path, job: Job) -> anyhow::Result<Report> {
    let info = TraceInfo::of(trace)?;
    let compare = job.trial.is_as_recorded();
    let stacks = Reader::open_file(trace)?.stacks()?;
    let blame = if stacks.capture.is_some() { What::REPORTED.to_vec() } else { Vec::new() };
    let mut outcome = replay(&Job { compare, blame, ..job }, &mut io::sink())?;
    // Every stack there is, by number: the report names the few that matter.
    let blames = std::mem::take(&mut outcome.blame);
    let stacks = if blames.is_empty() {
        Vec::new()
    } else {
        blamed(&blames, &mut Folder::new(&stacks, names::namer(trace, &stacks)?))
    };
    Ok(Report { trace: info, outcome, stacks })
}

/// Runs a job in a worker, with a meter.
pub fn replay(job: &Job, lines: &mut dyn Write) -> anyhow::Result<outcome::Outcome> {
    let mut meter = Meter::new("replaying");
    let outcome = run_in_worker(&super::launcher()?, job, lines, &mut |progress| meter.update(progress));
    meter.finish();
    outcome.with_context(|| whose(&job.trace))
}

/// What was being done when something went wrong.
fn whose(trace: &Path) -> String {
    format!("while replaying {}", trace.display())
}

/// What a report would say in its opening, for those who see only lines.
pub fn warn(outcome: &outcome::Outcome) {
    for damage in &outcome.damage {
        eprintln!("malloscope: {damage}");
    }
    if let Some(corrupted) = &outcome.corruption {
        eprintln!("malloscope: the heap is corrupted at record {}: {}", corrupted.record, corrupted.message);
    }
}
