//! `malloscope symbolize`: the names of a trace's frames, where they are found, and how they get into the trace.

use crate::Outcome;
use crate::output;
use crate::progress::Waiting;
use anyhow::{Context, bail};
use malloscope_replayer::report::units::{bytes, count, percent};
use malloscope_replayer::report::{Column, Line, Section, Table};
use malloscope_symbols::{Lines, Missing, Progress, Resolution, Resolved, Search, Symbolizer, addresses};
use malloscope_traces::stacks::Module;
use malloscope_traces::symbols::Builder;
use malloscope_traces::{Reader, Stacks, Symbols, embed};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How many modules are named of which the same is missing.
const NAMED: usize = 8;

/// Find the functions, files and lines of a trace's stacks, and say where they come from
#[derive(Debug, clap::Args)]
#[command(after_help = "DEBUGINFOD_URLS names servers that are asked for what is not on this machine; \
nobody is asked if it is not set.\n\nExample:\n  malloscope symbolize app.mscope --embed-symbols")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// Put what is found into the trace, so that it can be read on other machines
    #[arg(long)]
    embed_symbols: bool,
    /// Where the trace with symbols goes, instead of into its own place
    #[arg(short, long, value_name = "FILE", requires = "embed_symbols")]
    output: Option<PathBuf>,
    /// Look for programs, libraries and debug information here first; may be given several times
    #[arg(long, value_name = "DIR")]
    debug_dir: Vec<PathBuf>,
}

pub fn run(args: Args) -> Outcome {
    let stacks = Reader::open_file(&args.trace)?.stacks()?;
    if stacks.frames.iter().flatten().next().is_none() {
        bail!("{} has no stacks: record it with `malloscope record --stacks all`", args.trace.display());
    }
    let search = Search::from_environment(args.debug_dir);
    let resolution = waiting(|said| Symbolizer::new(search).resolve(&stacks, said));
    output::print_for_people(&sections(&stacks, &resolution))?;
    if args.embed_symbols {
        let output = args.output.as_deref().unwrap_or(&args.trace);
        let known = Reader::open_file(&args.trace)?.symbols()?.unwrap_or_default();
        put(&args.trace, &together(&stacks, &resolution.symbols, &known), output)
            .with_context(|| format!("while writing {}", output.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Does something that looks for symbols, and says how far it is.
pub fn waiting<T>(look: impl FnOnce(&mut dyn FnMut(Progress<'_>)) -> T) -> T {
    let mut waiting = Waiting::new();
    let mut said = |progress: Progress<'_>| match progress {
        Progress::Module { done, of, path } => {
            waiting.say(&format!("symbols, {} of {}: {path}", done + 1, of));
        }
        Progress::Fetch(fetch) => {
            let (done, total) = fetch.bytes;
            let total = total.map_or_else(String::new, |total| format!(" of {}", bytes(total)));
            waiting.say(&format!("{}, {}{total}", fetch.url, bytes(done)));
        }
    };
    let found = look(&mut said);
    waiting.finish();
    found
}

/// What was found, and what the trace knew already of addresses that nothing was found of: whoever looks
/// where the programs are not should not lose their names.
fn together(stacks: &Stacks, found: &Symbols, known: &Symbols) -> Symbols {
    let mut all = Builder::default();
    for (module, address) in addresses(stacks) {
        all.put(module, address, found.of(module, address));
        // What is said first of an address counts.
        all.put(module, address, known.of(module, address));
    }
    all.finish()
}

/// Writes the trace with symbols, and gives it its name when it is whole.
fn put(trace: &Path, symbols: &Symbols, output: &Path) -> anyhow::Result<()> {
    // Through a link, to the file: a new one is put in its place.
    let output = fs::canonicalize(output).unwrap_or_else(|_| output.to_owned());
    let folder = output.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let input = File::open(trace)?;
    let permissions = input.metadata()?.permissions();
    let file = tempfile::Builder::new().prefix(".malloscope-").tempfile_in(folder)?;
    let written = embed(BufReader::new(input), symbols, BufWriter::new(file))?;
    let file = written.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.as_file().set_permissions(permissions)?;
    file.persist(output)?;
    Ok(())
}

fn sections(stacks: &Stacks, resolution: &Resolution) -> Vec<Section> {
    let all: u64 = resolution.modules.iter().map(|module| module.addresses as u64).sum();
    let sum = |part: fn(&Resolved) -> usize| resolution.modules.iter().map(|each| part(each) as u64).sum();
    let share = |part: u64| percent(part, all.max(1));
    let (named, with_line) = (share(sum(|module| module.named)), share(sum(|module| module.with_line)));
    let mut lines =
        vec![Line::Text(format!("{} addresses: {named} with a name, {with_line} with a line", count(all)))];
    let nowhere = stacks.frames.iter().flatten().filter(|frame| frame.module.is_none()).count();
    if nowhere > 0 {
        lines.push(Line::Text(format!(
            "{} frames more are in no file: they stay addresses",
            count(nowhere as u64)
        )));
    }
    let names =
        [("module", false), ("addresses", true), ("named", true), ("with line", true), ("from", false)];
    let column = |(name, is_number): (&str, bool)| Column { name: name.to_owned(), is_number };
    let rows = resolution.modules.iter().map(|module| row(stacks, module)).collect();
    let table = Table { columns: names.map(column).into(), rows };
    let opening = Section { lines, table: Some(table), ..Section::default() };
    let missing = WAYS_OUT.iter().filter_map(|way| missing(stacks, resolution, way));
    std::iter::once(opening).chain(missing).collect()
}

fn row(stacks: &Stacks, module: &Resolved) -> Vec<String> {
    let numbers = [module.addresses, module.named, module.with_line].map(|number| count(number as u64));
    let path = stacks.modules.get(module.module.0 as usize).map_or("?", |module| &module.path);
    let mut row = vec![path.to_owned()];
    row.extend(numbers);
    row.push(from(module));
    row
}

fn from(module: &Resolved) -> String {
    match (&module.lines, &module.file) {
        (Lines::Separate(path), _) => path.display().to_string(),
        (Lines::Own, _) => "its own debug information".to_owned(),
        (Lines::None, _) if module.named > 0 => "symbol tables".to_owned(),
        (Lines::None, Some(_)) => "nothing: no symbols".to_owned(),
        (Lines::None, None) => "nothing: not found".to_owned(),
    }
}

/// What can be missing, what it is called, and what to do about it.
const WAYS_OUT: [(Missing, &str, &[&str]); 3] = [
    (
        Missing::File,
        "Not found",
        &[
            "The file is not here, or another one is in its place: its build id is what counts.",
            "Name a folder that has it (--debug-dir DIR), or a server (DEBUGINFOD_URLS).",
        ],
    ),
    (
        Missing::DebugInformation,
        "Without debug information",
        &[
            "Install it (Debian: the package's -dbgsym, and libc6-dbg), name a folder that has it (--debug-dir DIR),",
            "or a server (DEBUGINFOD_URLS=https://debuginfod.debian.net). Build your own programs with -g.",
        ],
    ),
    (
        Missing::Supplement,
        "Without what their debug information shares with others",
        &[
            "The file is named in .gnu_debugaltlink, and is in the same package (Debian: under /usr/lib/debug/.dwz).",
        ],
    ),
];

fn missing(stacks: &Stacks, resolution: &Resolution, way: &(Missing, &str, &[&str])) -> Option<Section> {
    let (what, title, notes) = way;
    let of = resolution.modules.iter().filter(|module| module.missing == Some(*what));
    let modules: Vec<&Module> =
        of.filter_map(|module| stacks.modules.get(module.module.0 as usize)).collect();
    let mut lines: Vec<Line> = modules.iter().take(NAMED).map(|module| Line::Text(named(module))).collect();
    if modules.len() > NAMED {
        lines.push(Line::Text(format!("and {} more", count((modules.len() - NAMED) as u64))));
    }
    let notes = notes.iter().map(|note| (*note).to_owned()).collect();
    (!modules.is_empty()).then(|| Section { title: (*title).to_owned(), lines, table: None, notes })
}

fn named(module: &Module) -> String {
    let id: String = module.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    if id.is_empty() {
        format!("{}, which has no build id", module.path)
    } else {
        format!("{}, build id {id}", module.path)
    }
}
