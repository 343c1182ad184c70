//! `malloscope record`: run a program, or attach to one that runs, and write its trace.

use crate::Outcome;
use crate::output;
use crate::processes;
use crate::progress::{Lines, Meter};
use crate::stacks::StackArgs;
use anyhow::Context;
use malloscope_recorder::attach::{self, Attach, Engine};
use malloscope_recorder::limits::{Limit, Limits, half_of_all};
use malloscope_recorder::manners::Manners;
use malloscope_recorder::status::{self, Status};
use malloscope_recorder::{
    Capture, Children, Options, Pauses, Recorded, RecordedProcess, Redaction, Target, WhenFull, record,
};
use malloscope_replayer::report::json;
use malloscope_replayer::report::units::{bytes, count, nanos, percent};
use malloscope_replayer::run::Progress;
use malloscope_replayer::sizes;
use malloscope_traces::Cause;
use serde::Serialize;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Run a program and record every call it makes of malloc; or attach to one that runs
///
/// The exit status is the program's own; 128 and more if a signal ended it.
///
/// A process that is attached to (`malloscope record --pid 1234 --for 60s`) is recorded until Ctrl-C, --for,
/// --until-bytes or its end, and goes on as it was before. The heap as it stands then is taken along, so that
/// the replay is exact from there on: threads are led out of malloc for that. If one does not come out of it,
/// the replay begins with an empty heap, and says so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope record -o app.mscope -- python3 script.py")]
pub struct Args {
    /// Attach to this process, instead of running a program
    #[arg(long, value_name = "PID", conflicts_with = "program")]
    pub pid: Option<u32>,
    /// By what the calls of the process come to malloscope: 'got' changes the words through which modules call malloc, and
    /// no code. 'gum' has malloc's functions begin with a jump, all threads standing still meanwhile: then calls come too that go
    /// through no such word. That is made with frida-gum, and not in every build
    #[arg(long, value_name = "ENGINE", default_value = "got", requires = "pid", conflicts_with = "program")]
    pub engine: EngineName,
    /// Leave the process after so long, such as 500ms, 60s or 5m
    #[arg(long = "for", value_name = "TIME", requires = "pid", conflicts_with = "program", value_parser = duration)]
    pub time: Option<Duration>,
    /// Leave the process when the traces are so large, such as 2G
    #[arg(long, value_name = "SIZE", requires = "pid", conflicts_with = "program", value_parser = sizes::parse)]
    pub until_bytes: Option<u64>,
    /// Attach when more than so much of the process is in memory, such as 'rss>2G'
    #[arg(long, value_name = "WHEN", requires = "pid", conflicts_with = "program", value_parser = trigger)]
    pub trigger: Option<u64>,
    /// End the recording when the traces are so large, such as 2G; the program goes on without it. What is on its
    /// way by then is still written
    #[arg(long, value_name = "SIZE", value_parser = size_limit)]
    pub max_size: Option<Limit>,
    /// End the recording when the recorder has so much memory, with what it shares with the program; the program goes on
    /// without it. Half of it is for threads, half a mebibyte each: of those that find none, calls are lost, and counted.
    /// Half of the memory there is, if nothing is said
    #[arg(long, value_name = "SIZE", value_parser = memory_limit)]
    pub max_memory: Option<Limit>,
    /// How readily the recorder stands back for others: from -20 to 19, which is most
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-20..=19))]
    pub nice: Option<i32>,
    /// The processors that the recorder runs on, such as 0,2-3: those that the program has no use for
    #[arg(long, value_name = "LIST", value_parser = processors)]
    pub collector_cpus: Option<Processors>,
    /// Say how the recording of this process goes, which somebody else makes: calls, losses, what the recorder takes
    #[arg(long, value_name = "PID", group = "asked", conflicts_with_all = ["pid", "program", "output", "drop", "max_size", "max_memory", "follow_children", "nice",
        "collector_cpus", "redact", "sample_system", "progress", "quiet"])]
    pub status: Option<u32>,
    /// Say which processes there are and which can be attached to, as far as that is seen without stopping any
    #[arg(long, group = "asked", conflicts_with_all = ["pid", "program", "output", "drop", "max_size", "max_memory", "follow_children", "nice",
        "collector_cpus", "redact", "sample_system", "progress", "quiet"])]
    pub list: bool,
    /// How --status and --list are printed
    #[arg(long, value_name = "FORMAT", default_value = "terminal", requires = "asked")]
    pub format: StatusFormat,
    /// Where the trace goes; those of other processes go beside it
    #[arg(short, long, value_name = "FILE", default_value = "malloscope.mscope")]
    pub output: PathBuf,
    /// Which processes are recorded too that the program makes, each into a trace that is named for its program and its
    /// process: yes, no, or only=PROGRAM, such as only=cc1,as. Of a process that is attached to these are its copies; programs
    /// that they become are not recorded
    #[arg(long, value_name = "WHICH", default_value = "yes", value_parser = children)]
    pub follow_children: Children,
    /// Lose calls rather than make the program wait when the recorder is behind
    #[arg(long)]
    pub drop: bool,
    #[command(flatten)]
    pub stacks: StackArgs,
    /// Leave out of the traces what may be secret, and say so in them: the program's arguments, words in its
    /// environment, or folders of files. What a replay goes by stays
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub redact: Vec<Redact>,
    /// Ask the kernel so often how much of the process is in memory and how often it faulted; 0 for never. The
    /// mappings are added up too, as often as that takes up at most a hundredth of the time
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub sample_system: Duration,
    /// Say every second on standard error how many calls there are, a line each
    #[arg(long, conflicts_with = "quiet")]
    pub progress: bool,
    /// Say nothing about the recording
    #[arg(short, long)]
    pub quiet: bool,
    /// The program and its arguments
    #[arg(
        required_unless_present_any = ["pid", "asked"],
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PROGRAM"
    )]
    pub program: Vec<OsString>,
}

/// What may be left out of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Redact {
    /// The arguments of programs
    Argv,
    /// Words in their environment; numbers stay, because malloc goes by them
    Environment,
    /// The folders of their files
    Paths,
}

pub fn run(args: Args) -> Outcome {
    if let Some(pid) = args.status {
        return tell_status(pid, args.format);
    }
    if args.list {
        processes::list(args.format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let stacks = args.stacks.capture(None);
    let mut options = Options {
        readings: Some(args.sample_system).filter(|period| !period.is_zero()),
        manners: Manners {
            nice: args.nice,
            processors: args.collector_cpus.clone().map(|all| all.0).unwrap_or_default(),
        },
        redaction: Redaction {
            arguments: args.redact.contains(&Redact::Argv),
            environment: args.redact.contains(&Redact::Environment),
            paths: args.redact.contains(&Redact::Paths),
        },
        children: args.follow_children.clone(),
        ..options(&args.output, args.drop, stacks)
    };
    options.limits.size = args.max_size.clone();
    if let Some(memory) = &args.max_memory {
        options.limits.memory = Some(memory.clone());
    }
    let what = args.what()?;
    let recorded = if args.progress {
        let mut lines = Lines::new("recording");
        what.record(&options, &mut |calls| lines.update(calls))?
    } else {
        what.record_and_show(&options)?
    };
    if args.quiet {
        warn_of_trouble(&recorded);
    } else {
        tell(&recorded);
    }
    Ok(ExitCode::from(recorded.exit_code()))
}

/// The engines, by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineName {
    /// Words are changed
    Got,
    /// Code is changed, by frida-gum
    Gum,
}

impl From<EngineName> for Engine {
    fn from(name: EngineName) -> Engine {
        match name {
            EngineName::Got => Engine::Got,
            EngineName::Gum => Engine::Gum,
        }
    }
}

/// How the state of a recording is printed, or which processes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StatusFormat {
    /// For people
    Terminal,
    /// For programs, under names that stay
    Json,
}

/// Says how the recording of a process goes.
fn tell_status(pid: u32, format: StatusFormat) -> Outcome {
    let status = status::of(pid).with_context(|| {
        format!(
            "process {pid} is not being recorded, as far as can be seen: its recorder may be another user's"
        )
    })?;
    let mut out = output::open(None)?;
    match format {
        StatusFormat::Terminal => write_status(&status, &mut out)?,
        StatusFormat::Json => json::write("malloscope.status", &Told::from(status), &mut out)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// How a recording goes, under names that stay.
#[derive(Debug, Serialize)]
struct Told {
    process: u64,
    recorder: u32,
    processes: u64,
    elapsed_nanos: u64,
    calls: u64,
    calls_a_second: u64,
    lost: u64,
    waits: u64,
    recorder_cpu_nanos: u64,
    recorder_resident_bytes: u64,
}

impl From<Status> for Told {
    fn from(Status { recorder, numbers, resident }: Status) -> Told {
        Told {
            process: numbers.process,
            recorder,
            processes: numbers.processes,
            elapsed_nanos: numbers.elapsed,
            calls: numbers.calls,
            calls_a_second: numbers.rate,
            lost: numbers.lost,
            waits: numbers.waits,
            recorder_cpu_nanos: numbers.recorder_time,
            recorder_resident_bytes: resident,
        }
    }
}

fn write_status(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let numbers = status.numbers;
    let mut row = |name: &str, value: String| writeln!(out, "{name:<10} {value}");
    let over = nanos(numbers.elapsed);
    row("process", format!("{}, by recorder {}", numbers.process, status.recorder))?;
    let them = if numbers.processes == 1 { "process" } else { "processes" };
    row("recorded", format!("for {over}, {} {them} now", count(numbers.processes)))?;
    row("calls", format!("{}, {} a second of late", count(numbers.calls), count(numbers.rate)))?;
    row("lost", format!("{} calls", count(numbers.lost)))?;
    row("waits", format!("{} times for the recorder", count(numbers.waits)))?;
    let share = percent(numbers.recorder_time, numbers.elapsed.max(1));
    row("recorder", format!("{} of a processor, {} in memory", share, bytes(status.resident)))
}

/// How often the kernel is asked what it knows of a process.
const READINGS: Duration = Duration::from_secs(1);

/// How to record.
pub fn options(output: &Path, drop: bool, stacks: Option<Capture>) -> Options {
    let when_full = if drop { WhenFull::Drop } else { WhenFull::Wait };
    let name = "half of the memory there is (--max-memory)".to_owned();
    let memory = Some(Limit { bytes: half_of_all(), name });
    let limits = Limits { memory, size: None };
    Options { when_full, stacks, limits, readings: Some(READINGS), ..Options::to(output.to_owned()) }
}

/// What is recorded.
pub enum What {
    /// A program that is run for it.
    Program(Target),
    /// A process that runs.
    Process(Attach),
}

impl Args {
    fn what(&self) -> anyhow::Result<What> {
        let Some(pid) = self.pid else { return What::program(&self.program) };
        let guard = Some(("/proc/self/exe".into(), super::GUARD.to_owned()));
        Ok(What::Process(Attach {
            pid,
            time: self.time,
            bytes: self.until_bytes,
            resident: self.trigger,
            guard,
            engine: self.engine.into(),
        }))
    }
}

impl What {
    /// A program and its arguments, as they are typed.
    pub fn program(words: &[OsString]) -> anyhow::Result<What> {
        let (program, arguments) = words.split_first().context("no program was given")?;
        Ok(What::Program(Target { program: program.clone(), arguments: arguments.to_vec() }))
    }

    /// Records it, and shows on a terminal how far that is.
    pub fn record_and_show(&self, options: &Options) -> anyhow::Result<Recorded> {
        let mut meter = Meter::new("recording");
        let recorded = self.record(options, &mut |calls| {
            meter.update(Progress { done: calls, total: None });
        });
        meter.finish();
        recorded
    }

    /// Records it; `progress` is told the calls so far.
    fn record(&self, options: &Options, progress: &mut dyn FnMut(u64)) -> anyhow::Result<Recorded> {
        let report = &mut |at: malloscope_recorder::Progress| progress(at.calls);
        match self {
            What::Program(target) => {
                let recorded = record(target, options, report);
                recorded.with_context(|| format!("while recording {}", target.program.display()))
            }
            What::Process(attach) => {
                let recorded = attach::record(attach, options, report);
                recorded.with_context(|| format!("while attaching to process {}", attach.pid))
            }
        }
    }
}

/// The condition under which a recording begins: so far, more than this resident.
fn trigger(text: &str) -> Result<u64, String> {
    let size = text.strip_prefix("rss>").ok_or_else(|| format!("{text} is no condition such as rss>2G"))?;
    sizes::parse(size)
}

fn size_limit(text: &str) -> Result<Limit, String> {
    let bytes = sizes::parse(text)?;
    Ok(Limit { bytes, name: format!("{text} of traces (--max-size)") })
}

fn memory_limit(text: &str) -> Result<Limit, String> {
    let bytes = sizes::parse(text)?;
    Ok(Limit { bytes, name: format!("{text} of memory (--max-memory)") })
}

fn children(text: &str) -> Result<Children, String> {
    let only = text.strip_prefix("only=").filter(|names| names.split(',').all(|name| !name.is_empty()));
    match (text, only) {
        ("yes", _) => Ok(Children::All),
        ("no", _) => Ok(Children::None),
        (_, Some(names)) => Ok(Children::Named(names.split(',').map(str::to_owned).collect())),
        _ => Err(format!("{text} is none of yes, no and only=PROGRAM")),
    }
}

/// Processors by their numbers.
#[derive(Clone, Debug)]
pub struct Processors(Vec<usize>);

/// A list of processors as the kernel writes it: `0,2-3`.
fn processors(text: &str) -> Result<Processors, String> {
    /// More than any machine has: a longer range is a slip.
    const MOST: usize = 1 << 16;
    let number = |digits: &str| digits.trim().parse::<usize>().ok().filter(|number| *number < MOST);
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(number(first)?..=number(last)?).filter(|range| !range.is_empty())
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    let ranges = ranges.ok_or_else(|| format!("{text} is no list of processors such as 0,2-3"))?;
    Ok(Processors(ranges.into_iter().flatten().collect()))
}

/// A time as people write it: `500ms`, `60s`, `5m`, `1h`; seconds where no unit is named.
fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)];
    let found = units.into_iter().find_map(|(unit, seconds)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok()
    });
    found.ok_or_else(|| format!("{text} is no time such as 500ms, 60s or 5m"))
}

/// Says on standard error what was recorded, and what was not.
pub fn tell(recorded: &Recorded) {
    for trace in &recorded.traces {
        eprintln!("malloscope: {}", summary(trace));
    }
    if let Some(pauses) = recorded.pauses {
        eprintln!("malloscope: {}", stood_still(pauses));
    }
    if recorded.traces.is_empty() {
        eprintln!("malloscope: no calls were recorded");
    }
    warn(recorded);
}

/// Says on standard error what was not recorded.
pub fn warn(recorded: &Recorded) {
    for process in &recorded.not_recorded {
        eprintln!(
            "malloscope: process {} ({}) was not recorded: {:?}",
            process.pid, process.program, process.why
        );
    }
    if recorded.turned_away > 0 {
        eprintln!(
            "malloscope: {} more processes were not recorded: too many ran at one time",
            recorded.turned_away
        );
    }
    warn_of_trouble(recorded);
}

/// Says on standard error why there is not more, if there should be.
fn warn_of_trouble(recorded: &Recorded) {
    if let Some(trouble) = &recorded.trouble {
        eprintln!("malloscope: the recording stopped early: {trouble}");
    }
}

fn stood_still(pauses: Pauses) -> String {
    let time = |pause: Duration| nanos(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
    let left =
        pauses.leaving.map_or_else(String::new, |left| format!(", and for {} when it was left", time(left)));
    let [coming, copying] = [pauses.coming, pauses.copying].map(time);
    format!(
        "the process stood still for {coming} when it was attached to, {copying} of it for a copy of its heap{left}"
    )
}

fn summary(trace: &RecordedProcess) -> String {
    let program = Path::new(&trace.program).file_name().map(|name| name.display().to_string());
    let program = program.unwrap_or_else(|| trace.program.clone());
    let mut line =
        format!("{}: {} calls of {program} ({})", trace.path.display(), count(trace.calls), trace.pid);
    if trace.lost > 0 {
        let share = percent(trace.lost, trace.lost + trace.calls);
        line.push_str(&format!("; {} calls were LOST ({share})", count(trace.lost)));
    }
    if let Cause::Limited { limit } = &trace.cause {
        line.push_str(&format!("; recorded up to the limit of {limit}"));
    }
    if trace.waits > 0 {
        line.push_str(&format!("; it waited {} times for the recorder", count(trace.waits)));
    }
    line
}
