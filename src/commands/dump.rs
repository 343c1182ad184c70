//! `malloscope dump`: a trace's records as text.

use crate::Outcome;
use crate::names;
use crate::output;
use clap::ValueEnum;
use malloscope_replayer::export::names::Names;
use malloscope_traces::{Error, Reader, Stack, Stacks, ops, text};
use std::io::{self, Write};
use std::iter;
use std::path::PathBuf;
use std::process::ExitCode;

/// Print a trace's records, one a line
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope dump app.mscope | grep 'malloc(4096)'")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// How to print them
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Print the stack of each call below it, the innermost frame first
    #[arg(long)]
    stacks: bool,
    /// Write into a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Number, time, thread, call and result
    Text,
    /// A script of calls, which `import --from ops` reads
    Ops,
}

pub fn run(args: Args) -> Outcome {
    let mut reader = Reader::open_file(&args.trace)?;
    let mut out = output::open(args.output.as_deref())?;
    let whole = match args.format {
        Format::Text => {
            let stacks = if args.stacks { reader.stacks()? } else { Stacks::default() };
            let mut names = names::namer(&args.trace, &stacks)?;
            dump(&mut reader, &stacks, &mut names, &mut out)?
        }
        Format::Ops => {
            let left_out = ops::export(&mut reader, &mut out)?;
            if left_out > 0 {
                eprintln!("malloscope: {left_out} records cannot be said in a script and were left out");
            }
            true
        }
    };
    out.flush()?;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints every record; what is damaged is told and stepped over. Returns whether nothing was.
fn dump(
    reader: &mut Reader<std::fs::File>,
    stacks: &Stacks,
    names: &mut impl Names,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let placements = reader.header().heap.placements;
    let mut records = Vec::new();
    let mut whole = true;
    loop {
        let first = match reader.next_batch(&mut records) {
            Ok(Some(first)) => first,
            Ok(None) => return Ok(whole),
            Err(error @ Error::Damaged { .. }) => {
                eprintln!("malloscope: {error}");
                whole = false;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        // There are none at all, or one for each.
        let batch_stacks = reader.batch_stacks().iter().copied().chain(iter::repeat(Stack::NONE));
        for ((number, record), stack) in (first..).zip(&records).zip(batch_stacks) {
            writeln!(out, "{}", text::Line { number, record, placements })?;
            print_stack(stacks, stack, names, out)?;
        }
    }
}

/// Prints the frames of a stack: where in their modules they return to, and the functions that is in.
pub fn print_stack(
    stacks: &Stacks,
    stack: Stack,
    names: &mut impl Names,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (_, frame) in stacks.of(stack) {
        match stacks.module(frame) {
            Some(module) => write!(out, "    {}+0x{:x}", module.path, frame.address)?,
            None => write!(out, "    0x{:x}", frame.address)?,
        }
        for function in names.functions(stacks, frame).into_iter().filter(|function| function.is_named) {
            write!(out, " {}", function.name)?;
            if let (Some(file), Some(line)) = (function.file, function.line) {
                write!(out, " ({file}:{line})")?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
