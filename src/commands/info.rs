//! `malloscope info`: what a trace is.

use crate::Outcome;
use crate::output;
use clap::ValueEnum;
use malloscope_replayer::recognition::Recognition;
use malloscope_replayer::report::readings::KernelSaid;
use malloscope_replayer::report::units::{bytes, count, nanos};
use malloscope_replayer::report::{TraceInfo, beginning, json};
use malloscope_traces::header::{ClockSource, Origin};
use malloscope_traces::redaction::Redaction;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Say what a trace is: its program, machine, C library, and what was recorded
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope info app.mscope")]
pub struct Args {
    /// The trace
    trace: PathBuf,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: InfoFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum InfoFormat {
    /// For people
    Terminal,
    /// For programs
    Json,
}

pub fn run(args: Args) -> Outcome {
    let info = TraceInfo::of(&args.trace)?;
    let mut out = output::open(None)?;
    match args.format {
        InfoFormat::Json => json::write_info(&info, &mut out)?,
        InfoFormat::Terminal => print(&info, &mut out)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn print(info: &TraceInfo, out: &mut dyn Write) -> io::Result<()> {
    let header = &info.header;
    let mut row = |name: &str, value: String| {
        if value.is_empty() { Ok(()) } else { writeln!(out, "{name:<11} {value}") }
    };
    row("file", format!("{}, {}", info.file, bytes(info.file_bytes)))?;
    row("recorder", header.recorder.clone())?;
    row("origin", origin(info))?;
    row("heap", standing(info).unwrap_or_default())?;
    row("beginning", beginning::missing(info).unwrap_or_default())?;
    row("redacted", redacted(info))?;
    row("command", info.command())?;
    row("program", header.program.path.clone())?;
    if header.program.pid != 0 {
        row("process", format!("{}, child of {}", header.program.pid, header.program.parent))?;
    }
    for (name, value) in &header.program.environment {
        row("environment", format!("{name}={value}"))?;
    }
    row("libc", libc(info))?;
    row("behaves", behaviour(info))?;
    row("machine", machine(info))?;
    if header.heap.initial_break != 0 {
        row("break", format!("{:#x} before the first call", header.heap.initial_break))?;
    }
    row("clock", clock(info))?;
    for line in info.kernel_said.iter().flat_map(kernel_said) {
        row("kernel", line)?;
    }
    match (&info.ending, info.records) {
        (Some(ending), Some(records)) => {
            let each = info.file_bytes as f64 / records.max(1) as f64;
            // What was imported from a tool that writes no times took none that is known.
            let over = match ending.duration.0 {
                0 => String::new(),
                duration => format!(" in {}", nanos(duration)),
            };
            row("records", format!("{}{over}, {each:.2} bytes each", count(records)))?;
            row("lost", format!("{} calls", count(ending.lost)))?;
            row("ending", format!("{:?}", ending.cause))
        }
        _ => row("ending", "none: the recording was cut short".to_owned()),
    }
}

/// What the trace leaves out.
fn redacted(info: &TraceInfo) -> String {
    let Some(Redaction { arguments, environment, paths }) = info.redacted else { return String::new() };
    let parts = [
        (arguments, "the arguments"),
        (environment, "words in the environment (numbers are there)"),
        (paths, "folders of files"),
    ];
    let left_out: Vec<&str> =
        parts.into_iter().filter(|(is_left_out, _)| *is_left_out).map(|(_, part)| part).collect();
    left_out.join(", ")
}

/// The heap that the trace begins with, if it begins with one.
fn standing(info: &TraceInfo) -> Option<String> {
    let heap = info.begins_with.as_ref()?;
    let threads = if heap.threads == 1 { "thread" } else { "threads" };
    Some(format!(
        "begins with a heap that stood already: {} chunks, {} from the kernel, {} {threads}, stopped for {}",
        count(heap.chunks),
        bytes(heap.system_bytes),
        count(heap.threads),
        nanos(heap.stopped_nanos)
    ))
}

/// So many of a thing.
fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// What the kernel said of the process while it was recorded.
fn kernel_said(said: &KernelSaid) -> Vec<String> {
    let over = nanos(said.until_nanos.saturating_sub(said.from_nanos));
    let mut lines = vec![format!(
        "{} over {over}: resident {} in the end, {} at most, ever {}; {} minor and {} major faults",
        counted(said.readings, "reading"),
        bytes(said.resident),
        bytes(said.peak_resident),
        bytes(said.most_resident),
        count(said.minor_faults),
        count(said.major_faults)
    )];
    lines.extend(said.mappings.map(|mappings| {
        format!(
            "{} of its mappings: proportional {}, heap and arenas {} resident of {}, {} at most",
            count(mappings.readings),
            bytes(mappings.proportional),
            bytes(mappings.malloc_resident),
            bytes(mappings.malloc_mapped),
            bytes(mappings.peak_malloc_resident)
        )
    }));
    lines
}

fn origin(info: &TraceInfo) -> String {
    match &info.header.origin {
        Origin::Launched if info.begins_with.is_some() => "the heap of a process, as it stood".to_owned(),
        Origin::Launched => "recorded from the first call".to_owned(),
        Origin::Forked { parent, trace, after } => {
            format!("forked from process {parent} after record {} of {trace}", count(*after))
        }
        Origin::Imported(format) => format!("imported from {format}"),
        Origin::Attached { age, stopped } => {
            let (age, stopped) = (nanos(*age), nanos(*stopped));
            format!("attached to when it had run for {age}, for which it was stopped for {stopped}")
        }
    }
}

fn libc(info: &TraceInfo) -> String {
    let libc = &info.header.libc;
    if libc.version.is_empty() {
        return String::new();
    }
    let build_id: String = libc.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("glibc {} {} {build_id}", libc.version, libc.path)
}

fn behaviour(info: &TraceInfo) -> String {
    match &info.recognition {
        _ if info.header.libc.version.is_empty() => String::new(),
        Recognition::NotProbed => "as its version says (not probed)".to_owned(),
        Recognition::As(release) => format!("as {release} (probed)"),
        Recognition::Unlike => "as no release known (probed); it is replayed as its version".to_owned(),
    }
}

fn machine(info: &TraceInfo) -> String {
    let host = &info.header.host;
    if host.kernel.is_empty() {
        return String::new();
    }
    format!(
        "{}, Linux {} on {}, {} processors online and {} allowed, pages of {}, huge pages {}",
        host.name,
        host.kernel,
        host.architecture,
        host.processors_online,
        host.processors_allowed,
        bytes(host.page_size),
        host.huge_pages
    )
}

fn clock(info: &TraceInfo) -> String {
    let clock = &info.header.clock;
    match clock.source {
        ClockSource::None => String::new(),
        ClockSource::Tsc => format!("time stamp counter, to {} ns", clock.resolution),
        ClockSource::Monotonic => format!("CLOCK_MONOTONIC, to {} ns", clock.resolution),
    }
}
