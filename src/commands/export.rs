//! `malloscope export`: a trace in the format of another tool.

use crate::Outcome;
use crate::names;
use crate::output;
use crate::progress::Meter;
use anyhow::{Context, bail};
use clap::ValueEnum;
use malloscope_replayer::export::collect::{Wanted, collect};
use malloscope_replayer::export::{Format, Profile, firefox, write};
use malloscope_replayer::run::Job;
use malloscope_replayer::trial::Trial;
use malloscope_traces::Reader;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write a trace in the format of another tool
///
/// All but Perfetto's are about stacks: the trace must have been recorded with them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope export app.mscope --to pprof -o app.pb.gz")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// The tool's format
    #[arg(long, value_name = "FORMAT")]
    to: Target,
    /// Replay the trace too, and add counters of what only a replay knows: resident memory, memory from the
    /// kernel, pinned and cached memory; for Perfetto
    #[arg(long)]
    replay: bool,
    /// Write into a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// What each stack allocated and left, for pprof, Pyroscope and Parca: profile.proto, gzipped
    Pprof,
    /// Every allocation on its thread's track, for profiler.firefox.com; of more than 500 000 a sample
    Firefox,
    /// What each stack allocated, had at the peak and left, for speedscope.app
    Speedscope,
    /// The heap over time, and heap profiles at 16 moments, for ui.perfetto.dev
    Perfetto,
    /// What each stack allocated, had at the peak and left, and how long it lived, for dh_view.html
    Dhat,
    /// A stack and the bytes it allocated a line, for flamegraphs
    Folded,
}

impl Target {
    fn format(self) -> Format {
        match self {
            Target::Pprof => Format::Pprof,
            Target::Firefox => Format::Firefox,
            Target::Speedscope => Format::Speedscope,
            Target::Perfetto => Format::Perfetto,
            Target::Dhat => Format::Dhat,
            Target::Folded => Format::Folded,
        }
    }
}

pub fn run(args: Args) -> Outcome {
    let format = args.to.format();
    let goes_to_stdout = args.output.as_deref().is_none_or(|output| output == Path::new("-"));
    if goes_to_stdout && !format.is_text() && io::stdout().is_terminal() {
        bail!("this format is not text; name a file with `-o`");
    }
    if args.replay && format != Format::Perfetto {
        bail!("`--replay` adds counters, and of these formats Perfetto's alone has some");
    }
    let mut reader = Reader::open_file(&args.trace)?;
    let mut meter = Meter::new("reading");
    let profile = collect(&mut reader, format.needs_stacks(), Wanted::for_format(format), |progress| {
        meter.update(progress)
    });
    meter.finish();
    let mut profile = profile.with_context(|| format!("while reading {}", args.trace.display()))?;
    if args.replay {
        let job = Job::of(&args.trace, Trial::default());
        profile.replayed = super::replay::replay(&job, &mut io::sink())?.measured.series;
    }
    tell(&profile);
    // The file is made when all that can be wrong with the trace is known.
    let mut out = output::open(args.output.as_deref())?;
    let mut names = names::namer(&args.trace, &profile.stacks)?;
    write(format, &profile, &mut names, &mut out)?;
    out.flush()?;
    Ok(if profile.damage.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says what whoever reads the file should know.
fn tell(profile: &Profile) {
    for remark in profile.damage.iter().cloned().chain(profile.remarks()).chain(firefox::thinned(profile)) {
        eprintln!("malloscope: {remark}");
    }
}
