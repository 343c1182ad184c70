//! `malloscope snapshot`: the heap of a process, as it stands.

use crate::Outcome;
use crate::output::{self, Format};
use anyhow::Context;
use malloscope_recorder::heap::{self, Taken};
use malloscope_recorder::private;
use malloscope_replayer::report::snapshot::SnapshotReport;
use malloscope_replayer::snapshot::Account;
use malloscope_replayer::trial::Trial;
use malloscope_traces::{Ending, Writer};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Show the heap of a running process, as it stands: held, free, pinned
///
/// The process is stopped while what its heap is made of is copied, and goes on while that is looked at. Nothing
/// in it is changed. It takes the rights to trace the process: the same user, or CAP_SYS_PTRACE.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope snapshot $(pgrep -n redis-server) -o redis.mscope")]
pub struct Args {
    /// The process
    #[arg(value_name = "PID", required_unless_present = "core")]
    pid: Option<u32>,
    /// Look at a process that left this core file, and was of this program
    #[arg(long, num_args = 2, value_names = ["CORE", "EXE"], conflicts_with = "pid")]
    core: Option<Vec<PathBuf>>,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: Format,
    /// Also write a trace without calls that begins with this heap: `malloscope heap` and the window show it
    /// chunk by chunk
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The glibc release to take it for, if not what it behaves as
    #[arg(long, value_name = "RELEASE")]
    glibc: Option<String>,
}

pub fn run(args: Args) -> Outcome {
    let taken = match (args.pid, args.core.as_deref()) {
        (_, Some([core, exe])) => heap::of_core(core, exe)?,
        (pid, _) => heap::take(pid.unwrap_or(0))?,
    };
    if let Some(path) = &args.output {
        write(&taken, path).with_context(|| format!("while writing {}", path.display()))?;
    }
    let Taken { header, snapshot } = taken;
    let snapshot = Arc::new(snapshot);
    let trial = Trial { release: args.glibc, ..Trial::default() };
    let account = Account::of(&header, &snapshot, &trial)?;
    let report = SnapshotReport { header: &header, snapshot: &snapshot, account: &account };
    output::print(
        None,
        args.format,
        || report.sections(),
        |out| report.write_json(out),
        |out| report.write_csv(out),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a trace without calls.
fn write(taken: &Taken, path: &Path) -> anyhow::Result<()> {
    let mut writer = Writer::new(BufWriter::new(private::create(path)?), &taken.header)?;
    writer.snapshot(&taken.snapshot)?;
    writer.finish(&Ending { cause: malloscope_traces::Cause::Stopped, ..Ending::default() })?;
    Ok(())
}
