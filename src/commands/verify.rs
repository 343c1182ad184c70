//! `malloscope verify`: our placements beside the recorded ones.

use super::replay::replay;
use crate::Outcome;
use crate::output;
use crate::trial::{SingleArgs, TrialArgs};
use anyhow::{Context, bail};
use clap::ValueEnum;
use malloscope_replayer::fidelity::Fidelity;
use malloscope_replayer::report::units::count;
use malloscope_replayer::report::{TraceInfo, beginning, json};
use malloscope_replayer::run::Job;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Replay a trace and compare every placement with the recorded one
///
/// Exits with 1 if fewer than --at-least percent of placements are the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope verify app.mscope")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// The share of placements that must be the same
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0)]
    at_least: f64,
    /// How to print the result
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: VerifyFormat,
    #[command(flatten)]
    single: SingleArgs,
    #[command(flatten)]
    trial: TrialArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum VerifyFormat {
    /// For people
    Terminal,
    /// For programs
    Json,
}

pub fn run(args: Args) -> Outcome {
    let job = Job { compare: true, ..Job::of(&args.trace, args.single.of(args.trial)) };
    let outcome = replay(&job, &mut io::sink())?;
    for damage in &outcome.damage {
        eprintln!("malloscope: {damage}");
    }
    if let Some(missing) = beginning::missing(&TraceInfo::of(&args.trace)?) {
        eprintln!("malloscope: {missing}");
    }
    if let Some(corrupted) = &outcome.corruption {
        bail!("the heap is corrupted at record {}: {}", corrupted.record, corrupted.message);
    }
    let missing = || format!("{} has no placements to compare with: it was imported", args.trace.display());
    let fidelity = outcome.fidelity.as_ref().with_context(missing)?;
    if fidelity.placements == 0 {
        bail!("{} has no placement to compare with", args.trace.display());
    }
    let mut out = output::open(None)?;
    match args.format {
        VerifyFormat::Json => json::write_fidelity(fidelity, &mut out)?,
        VerifyFormat::Terminal => print(fidelity, &mut out)?,
    }
    out.flush()?;
    let enough = fidelity.percent_rounded_down() >= args.at_least;
    Ok(if enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(fidelity: &Fidelity, out: &mut dyn Write) -> io::Result<()> {
    let percent = fidelity.percent_rounded_down();
    let (same, all) = (count(fidelity.same_placements), count(fidelity.placements));
    writeln!(out, "placements  {percent:.4} %  {same} of {all} are the recorded ones")?;
    if fidelity.claimed > 0 {
        writeln!(
            out,
            "put there   {} more, since no order of the calls explains them",
            count(fidelity.claimed)
        )?;
    }
    writeln!(out, "heads       {} differ in size or flags", count(fidelity.other_heads))?;
    let (same, all) = (count(fidelity.same_breaks), count(fidelity.breaks));
    writeln!(out, "break       the same after {same} of {all} calls")?;
    for mismatch in &fidelity.first_mismatches {
        writeln!(out)?;
        writeln!(out, "record {}, thread {}: {}", count(mismatch.record), mismatch.thread, mismatch.call)?;
        writeln!(out, "  recorded {}", mismatch.recorded)?;
        writeln!(out, "  replayed {}", mismatch.replayed)?;
        writeln!(out, "  {}", mismatch.why)?;
    }
    Ok(())
}
