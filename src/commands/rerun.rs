//! `malloscope rerun`: the calls of a trace, made to real mallocs.

use crate::Outcome;
use crate::output::{PageFormat, print_page};
use crate::process_malloc::ProcessMalloc;
use crate::progress::Meter;
use crate::trial::TouchArg;
use anyhow::{Context, anyhow};
use malloscope_replayer::report::rerun::{Reran, Side};
use malloscope_replayer::rerun::{Measured, Order, Rerun, Target, worker};
use malloscope_replayer::run::{Job, Progress};
use malloscope_replayer::trial::Trial;
use malloscope_replayer::worker::run_in_worker;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// The word that makes this executable call another malloc.
pub const RERUN: &str = "rerun-for-malloscope";

/// Make the calls of a trace to real mallocs: glibc, jemalloc, any other
///
/// Each runs in a process of its own, glibc with the malloc variables of the recording and others with what is set for them
/// now (MALLOC_CONF, MIMALLOC_…), by as many threads as there were, one call after another in the recorded order, or with
/// --free-running also as each thread comes. Beside them stands what a replay predicts for glibc.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  malloscope rerun app.mscope --preload /usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
)]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// A library with a malloc, to be preloaded; may be given several times
    #[arg(long, value_name = "FILE")]
    preload: Vec<PathBuf>,
    /// The directory of another glibc, with its loader and libc.so.6; may be given several times
    #[arg(long, value_name = "DIR")]
    libc: Vec<PathBuf>,
    /// Let the threads run freely, too
    ///
    /// Each makes its own calls as fast as it can, and waits only for memory that another thread hands to it: how long
    /// calls take when threads call at the same time. All calls are kept in memory for that, 24 bytes each.
    #[arg(long)]
    free_running: bool,
    /// Make all calls so many times to each, in turn, and show the medians
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// Which bytes of its memory the program is taken to write, also where it was seen not to
    #[arg(long, value_name = "WHAT", default_value = "pages")]
    touch: TouchArg,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: PageFormat,
}

pub fn run(args: Args) -> Outcome {
    let reading = || format!("while reading {}", args.trace.display());
    let targets: Vec<Target> = [Target::Host]
        .into_iter()
        .chain(args.libc.iter().cloned().map(Target::Libc))
        .chain(args.preload.iter().cloned().map(Target::Preloaded))
        .collect();
    let program = std::env::current_exe().context("while looking for this executable")?;
    let rerun = Rerun::of(&args.trace, args.touch.into(), program, RERUN).with_context(reading)?;
    let mut meter = Meter::new("rerunning");
    let orders: &[Order] =
        if args.free_running { &[Order::Recorded, Order::Free] } else { &[Order::Recorded] };
    let ways: Vec<(&Target, Order)> =
        targets.iter().flat_map(|target| orders.iter().map(move |&order| (target, order))).collect();
    let mut measured: Vec<Vec<Measured>> = vec![Vec::new(); ways.len()];
    let total = u64::from(args.times) * (ways.len() as u64);
    for round in 0..args.times {
        for (place, (target, order)) in ways.iter().enumerate() {
            let calling = || format!("while calling {}", target.name());
            measured[place].push(rerun.on(target, *order).with_context(calling)?);
            let done = u64::from(round) * (ways.len() as u64) + place as u64 + 1;
            meter.update(Progress { done, total: Some(total) });
        }
    }
    meter.finish();
    let trial = Trial { touch: args.touch.into(), ..Trial::default() };
    let job = Job::of(&args.trace, trial);
    let predicted = run_in_worker(&super::launcher()?, &job, &mut io::sink(), &mut |_| {})
        .with_context(|| format!("while replaying {}", args.trace.display()))?;
    let sides = ways.iter().zip(&measured).map(|((target, _), runs)| Side::of(target, runs)).collect();
    let reran = Reran::of(&args.trace, &predicted, sides);
    print_page(args.format, || reran.sections(), |out| reran.write_json(out))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the calls that come by standard input to the malloc of this process.
pub fn work() -> anyhow::Result<()> {
    let malloc = ProcessMalloc::find().ok_or_else(|| anyhow!("no malloc follows our own in this process"))?;
    Ok(worker::work(malloc)?)
}
