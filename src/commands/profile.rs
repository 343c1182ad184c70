//! `malloscope profile`: record, replay and report in one go.

use super::{record, replay};
use crate::Outcome;
use crate::output::{self, Format};
use crate::stacks::StackArgs;
use crate::trial::{SingleArgs, TrialArgs};
use anyhow::Context;
use malloscope_recorder::{RecordedProcess, Sampling};
use malloscope_replayer::report::units::count;
use malloscope_replayer::run::Job;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Run a program, record it, replay the trace, and report what malloc did
///
/// Of several processes, the one that called malloc most is reported.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope profile -- git log --oneline -1000")]
pub struct Args {
    /// Keep the trace in this file [default: it is removed]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Lose calls rather than make the program wait when the recorder is behind
    #[arg(long)]
    drop: bool,
    #[command(flatten)]
    stacks: StackArgs,
    /// How to print the report
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: Format,
    #[command(flatten)]
    single: SingleArgs,
    #[command(flatten)]
    trial: TrialArgs,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

pub fn run(args: Args) -> Outcome {
    let folder = tempfile::tempdir().context("while making a folder for the trace")?;
    let output = args.output.clone().unwrap_or_else(|| folder.path().join("profile.mscope"));
    let stacks = args.stacks.capture(Some(Sampling::All));
    let options = record::options(&output, args.drop, stacks);
    let recorded = record::What::program(&args.program)?.record_and_show(&options)?;
    record::warn(&recorded);
    let busiest = recorded.traces.iter().max_by_key(|trace| trace.calls);
    let Some(busiest) = busiest else {
        eprintln!("malloscope: the program made no call of malloc");
        return Ok(ExitCode::from(recorded.exit_code()));
    };
    tell_others(&recorded.traces, busiest);
    let job = Job::of(&busiest.path, args.single.of(args.trial));
    let report = replay::report(&busiest.path, job)?;
    output::print_report(&report, args.format)?;
    if args.output.is_some() {
        eprintln!("\nThe trace is in {}.", busiest.path.display());
    } else {
        eprintln!("\nTo keep the trace and ask what if:");
        eprintln!("  malloscope profile -o app.mscope -- …");
        eprintln!("  malloscope compare app.mscope --mmap-threshold 64K,128K,1M,32M");
    }
    Ok(ExitCode::from(recorded.exit_code()))
}

/// Says which process is reported, if there were several.
fn tell_others(traces: &[RecordedProcess], busiest: &RecordedProcess) {
    if traces.len() < 2 {
        return;
    }
    let all: u64 = traces.iter().map(|trace| trace.calls).sum();
    eprintln!(
        "malloscope: of {} processes, this is {} ({}), which made {} of {} calls",
        traces.len(),
        busiest.program,
        busiest.pid,
        count(busiest.calls),
        count(all)
    );
}
