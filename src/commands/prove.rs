//! `malloscope prove`: predictions beside real runs.

use crate::Outcome;
use crate::output::{self, Format};
use crate::progress::Waiting;
use crate::sweeping::SweepArgs;
use crate::trial::{ThpArg, TouchArg};
use anyhow::{Context, bail};
use malloscope_recorder::witness::{self, Seen, Witnessed};
use malloscope_replayer::detail::Detail;
use malloscope_replayer::proof::{Actual, Proved};
use malloscope_replayer::recognition::Recording;
use malloscope_replayer::report::TraceInfo;
use malloscope_replayer::report::proof::Proof;
use malloscope_replayer::setting::Setting;
use malloscope_replayer::trial::Trial;
use malloscope_replayer::variables;
use malloscope_traces::Header;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Put what is predicted of other settings beside real runs under them
///
/// The program runs as always: nothing is loaded into it, and it stops for a moment whenever it has memory from the
/// kernel or gives it back. Its output is thrown away. It runs once as recorded, and once for each --set.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  malloscope prove app.mscope --set mmap_threshold=64K -- xmllint --noout big.xml"
)]
pub struct Args {
    /// The trace, of a run of the same program with the same input
    trace: PathBuf,
    /// A setting to predict and to try, in any of glibc's spellings; several at once between spaces
    #[arg(long, value_name = "SETTINGS")]
    set: Vec<String>,
    /// Run the program so often under each setting: what differs from run to run is shown as a range
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// Exit with 1 unless all calls of the kernel are as predicted, and faults and bytes are off by no more
    #[arg(long, value_name = "PERCENT")]
    within: Option<f64>,
    /// A file that the program reads as its standard input [default: nothing]
    #[arg(long, value_name = "FILE")]
    stdin: Option<PathBuf>,
    /// How to print the proof
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: Format,
    /// Which bytes of its memory the program is taken to write
    #[arg(long, value_name = "WHAT", default_value = "pages")]
    touch: TouchArg,
    /// When the kernel uses transparent huge pages, for `hugetlb=1` [default: as recorded, or madvise]
    #[arg(long, value_name = "MODE")]
    thp: Option<ThpArg>,
    #[command(flatten)]
    sweep: SweepArgs,
    /// The program, and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

pub fn run(args: Args) -> Outcome {
    let trace = TraceInfo::of(&args.trace)?;
    let recording = Recording::from(trace.header.clone());
    let mut trials = vec![Trial { touch: args.touch.into(), ..Trial::default() }];
    for text in &args.set {
        let settings = Setting::parse_all(text).map_err(|why| anyhow::anyhow!("--set '{text}': {why}"))?;
        if settings.is_empty() {
            bail!("--set '{text}' sets nothing; try, for example, --set mmap_threshold=64K");
        }
        let mut trial = Trial { transparent_huge_pages: args.thp.map(Into::into), ..trials[0].clone() };
        for setting in settings {
            setting.apply(&mut trial);
        }
        trials.push(trial);
    }
    let names: Vec<String> = trials.iter().map(Trial::name).collect();
    let mut spelled = Vec::new();
    for trial in &mut trials {
        let variables = variables::of(trial, &recording)?;
        // What the loader makes of the very variables is replayed.
        trial.settings.clear();
        trial.variables.clone_from(&variables);
        spelled.push(variables);
    }
    let predicted = args.sweep.sweeper(&args.trace, None, "predicting", Detail::Whole)?.run(&trials)?;
    let recorded = spelled.first().map_or(0, Vec::len);
    let mut waiting = Waiting::new();
    let mut settings = Vec::new();
    for ((name, variables), predicted) in names.into_iter().zip(spelled).zip(predicted) {
        let mut actual = Vec::new();
        for number in 1..=args.times {
            waiting.say(&format!("{name}: real run {number} of {}", args.times));
            let seen =
                real(&args, &variables, recorded).with_context(|| format!("while running it, {name}"))?;
            actual.push(as_traced(seen, &recording.header));
        }
        settings.push(Proved { name, variables, predicted, actual });
    }
    waiting.finish();
    let proof = Proof { trace, settings };
    output::print_proof(&proof, args.format)?;
    let holds = |share: f64| proof.settings.iter().all(|proved| proved.holds_within(share));
    let fails = args.within.is_some_and(|percent| !holds(percent / 100.0));
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A variable in place of the one by which the recorder was loaded (`LD_PRELOAD`), about as long: some programs
/// ask malloc for room for each variable. A setting that needs a variable more takes its place.
const IN_PLACE_OF_OURS: (&str, &str) = ("MALLOSCOPE", "/proc/00000/fd/0");

/// One real run with these variables that concern malloc, of which so many were recorded.
fn real(args: &Args, set: &[variables::Variable], recorded: usize) -> anyhow::Result<Seen> {
    let is_mallocs = |name: &str| variables::concerns_malloc(name);
    let ours = env::vars_os().filter(|(name, _)| !name.to_str().is_some_and(is_mallocs));
    let added = set.iter().map(|(name, value)| (name.into(), value.into()));
    let in_place = (set.len() <= recorded).then(|| (IN_PLACE_OF_OURS.0.into(), IN_PLACE_OF_OURS.1.into()));
    let [program, arguments @ ..] = args.program.as_slice() else { bail!("there is no program to run") };
    let run = witness::Run {
        program,
        arguments,
        environment: ours.chain(in_place).chain(added).collect(),
        input: args.stdin.as_deref(),
    };
    Ok(witness::witness(&run)?)
}

/// What was seen of the program that was traced, of all that were run; the last to end, if none is called as that.
fn as_traced(seen: Seen, header: &Header) -> Actual {
    let mut programs = seen.programs;
    let place = programs.iter().position(|seen| seen.program == Path::new(&header.program.path));
    let place = place.or(programs.len().checked_sub(1));
    place.map(|place| programs.swap_remove(place)).map_or_else(Actual::default, |seen| plain(&seen))
}

fn plain(seen: &Witnessed) -> Actual {
    Actual {
        break_grown: seen.calls.break_grown,
        break_trimmed: seen.calls.break_trimmed,
        mmap: seen.calls.mmap,
        munmap: seen.calls.munmap,
        mremap: seen.calls.mremap,
        mprotect: seen.calls.mprotect,
        madvise: seen.calls.madvise,
        faults: seen.faults,
        peak_resident: seen.peak_resident,
        resident: seen.resident,
    }
}
