//! `malloscope import`: a trace from another format.

use crate::Outcome;
use anyhow::Context;
use clap::ValueEnum;
use malloscope_replayer::report::units::count;
use malloscope_traces::foreign::{Format, Oddities};
use malloscope_traces::{Cause, Ending, Writer, ops};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make a trace from calls in another format
#[derive(Debug, clap::Args)]
///
/// What a format does not say is said here, and a replay does without it. Not read are bytehound's files.
#[command(
    after_help = "Example:\n  printf '0 malloc 1 100\\n0 free 1\\n' | malloscope import --from ops - -o small.mscope"
)]
pub struct Args {
    /// The file; `-` is standard input
    input: PathBuf,
    /// Its format
    #[arg(long, value_name = "FORMAT", default_value = "ops")]
    from: Source,
    /// Where the trace goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Source {
    /// A script of calls, one a line: `0 malloc 1 100`
    Ops,
    /// Android's memory_replay, as text: `202: malloc 0xb4827400 1024`
    Aosp,
    /// What mtrace(3) writes to the file that MALLOC_TRACE names
    Mtrace,
    /// The records of glibc-malloc-trace-utils, 64 bytes each
    MallocTrace,
    /// What heaptrack writes, packed or not; that of `heaptrack --raw` says more
    Heaptrack,
    /// What memray 1.19 and 1.20 write, packed or not, with Python's stacks
    Memray,
    /// What ltrace(1) writes, best with -f -ttt
    Ltrace,
}

impl Source {
    /// The format of another tool; none for a script.
    fn foreign(self) -> Option<Format> {
        match self {
            Source::Ops => None,
            Source::Aosp => Some(Format::Aosp),
            Source::Mtrace => Some(Format::Mtrace),
            Source::MallocTrace => Some(Format::MallocTrace),
            Source::Heaptrack => Some(Format::Heaptrack),
            Source::Memray => Some(Format::Memray),
            Source::Ltrace => Some(Format::Ltrace),
        }
    }
}

pub fn run(args: Args) -> Outcome {
    let input = open(&args.input).with_context(|| format!("while opening {}", args.input.display()))?;
    let writing = || format!("while writing {}", args.output.display());
    let output = File::create(&args.output).with_context(writing)?;
    let imported = import(input, output, &args);
    if imported.is_err() && args.output.is_file() {
        // Half a trace would be taken for a whole one.
        let _ = fs::remove_file(&args.output);
    }
    imported
}

fn import(input: Box<dyn BufRead>, output: File, args: &Args) -> Outcome {
    let writing = || format!("while writing {}", args.output.display());
    let reading = || format!("while reading {}", args.input.display());
    let foreign = args.from.foreign();
    let mut header = foreign.map_or_else(ops::header, Format::header);
    header.program.path = args.input.display().to_string();
    let mut writer = Writer::new(BufWriter::new(output), &header).with_context(writing)?;
    match foreign {
        None => ops::import(input, &mut writer).with_context(reading)?,
        Some(format) => {
            let oddities = format.import(input, &mut writer).with_context(reading)?;
            say(format, oddities);
        }
    }
    let ending = Ending { cause: Cause::Imported, duration: writer.last_time(), ..Ending::default() };
    writer.finish(&ending).with_context(writing)?;
    Ok(ExitCode::SUCCESS)
}

/// Says what a replay of the trace does without.
fn say(format: Format, oddities: Oddities) {
    for lack in format.lacks() {
        eprintln!("malloscope: {lack}");
    }
    if oddities.unseen > 0 {
        eprintln!(
            "malloscope: allocations given back that are not made in the file, and so taken to be from before it: {}",
            count(oddities.unseen)
        );
    }
    if oddities.is_cut {
        eprintln!("malloscope: the recording broke off: what came later is not in the file");
    }
    if oddities.twice > 0 {
        eprintln!(
            "malloscope: allocations at an address where another one was still alive, whose end is taken to be the next there: {}",
            count(oddities.twice)
        );
    }
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    Ok(Box::new(BufReader::new(File::open(path)?)))
}
