//! `malloscope check`: a new trace held against an old one, for continuous integration.

use crate::Outcome;
use crate::output::{self, Format};
use crate::sweeping::SweepArgs;
use crate::trial::TouchArg;
use anyhow::bail;
use malloscope_replayer::detail::Detail;
use malloscope_replayer::limit::Limit;
use malloscope_replayer::outcome;
use malloscope_replayer::report::TraceInfo;
use malloscope_replayer::report::comparison::{MEASURES, Measure};
use malloscope_replayer::report::gate::{Check, Gate};
use malloscope_replayer::trial::Trial;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Hold a trace against an earlier one, and fail if malloc needs more than it may
///
/// Both are replayed as recorded. Exits with 1, and says why, if a number is beyond its limit. A limit is what may be
/// added, in per cent or absolute, or the most that may be at all: +5%, +10M, 512M.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  malloscope check new.mscope --against old.mscope --max-rss +5% --max-faults +10%"
)]
pub struct Args {
    /// The new trace
    trace: PathBuf,
    /// The trace it is held against
    #[arg(long, value_name = "TRACE")]
    against: PathBuf,
    /// Resident bytes of malloc's memory at the peak
    #[arg(long, value_name = "LIMIT", value_parser = Limit::parse, allow_hyphen_values = true)]
    max_rss: Option<Limit>,
    /// First touches of pages
    #[arg(long, value_name = "LIMIT", value_parser = Limit::parse, allow_hyphen_values = true)]
    max_faults: Option<Limit>,
    /// Any other number that `compare` prints, by its name: 'pinned, end=+1M', mprotect=+0%
    #[arg(long, value_name = "NAME=LIMIT", value_parser = named)]
    max: Vec<Named>,
    /// How to print what was found
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: Format,
    /// Which bytes of its memory the program is taken to write
    #[arg(long, value_name = "WHAT", default_value = "pages")]
    touch: TouchArg,
    #[command(flatten)]
    sweep: SweepArgs,
}

/// A number, and how much it may be.
#[derive(Clone, Copy, Debug)]
struct Named {
    measure: Measure,
    limit: Limit,
}

fn measure(name: &str) -> Result<Measure, String> {
    let known = || MEASURES.iter().map(|measure| measure.name).collect::<Vec<_>>().join("”, “");
    Measure::named(name).ok_or_else(|| format!("nothing is called “{name}”; there are “{}”", known()))
}

fn named(text: &str) -> Result<Named, String> {
    let (name, limit) = text.rsplit_once('=').ok_or_else(|| format!("`{text}` is not NAME=LIMIT"))?;
    Ok(Named { measure: measure(name.trim())?, limit: Limit::parse(limit.trim())? })
}

pub fn run(args: Args) -> Outcome {
    let given = [("resident, peak", args.max_rss), ("minor faults", args.max_faults)];
    let mut limits = Vec::new();
    for (name, limit) in given {
        if let Some(limit) = limit {
            limits.push(Named { measure: measure(name).map_err(anyhow::Error::msg)?, limit });
        }
    }
    limits.extend(args.max.iter().copied());
    if limits.is_empty() {
        bail!("there is no limit; say, for example, --max-rss +5% --max-faults +10%");
    }
    let (against, trace) = (TraceInfo::of(&args.against)?, TraceInfo::of(&args.trace)?);
    let (before, now) = (replay(&args, &args.against)?, replay(&args, &args.trace)?);
    let checks = limits.iter().map(|named| Check::of(&named.measure, named.limit, &before, &now)).collect();
    let gate = Gate { against, trace, checks };
    output::print_gate(&gate, args.format)?;
    Ok(if gate.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn replay(args: &Args, trace: &Path) -> anyhow::Result<outcome::Outcome> {
    let trial = Trial { touch: args.touch.into(), ..Trial::default() };
    let mut outcomes = args.sweep.sweeper(trace, None, "checking", Detail::Whole)?.run(&[trial])?;
    let outcome = outcomes.swap_remove(0);
    if let Some(corrupted) = &outcome.corruption {
        bail!(
            "{}: the heap is corrupted at record {}: {}",
            trace.display(),
            corrupted.record,
            corrupted.message
        );
    }
    Ok(outcome)
}
