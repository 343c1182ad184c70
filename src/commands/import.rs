//! `malloscope import`: a trace from another format.

use crate::Outcome;
use anyhow::Context;
use clap::ValueEnum;
use malloscope_traces::{Cause, Ending, Writer, ops};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make a trace from calls in another format
#[derive(Debug, clap::Args)]
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
}

pub fn run(args: Args) -> Outcome {
    let Source::Ops = args.from;
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
    let mut header = ops::header();
    header.program.path = args.input.display().to_string();
    let mut writer = Writer::new(BufWriter::new(output), &header).with_context(writing)?;
    ops::import(input, &mut writer).with_context(|| format!("while reading {}", args.input.display()))?;
    let ending = Ending { cause: Cause::Imported, ..Ending::default() };
    writer.finish(&ending).with_context(writing)?;
    Ok(ExitCode::SUCCESS)
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    Ok(Box::new(BufReader::new(File::open(path)?)))
}
