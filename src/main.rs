//! `malloscope`: record what a program asks of glibc's malloc, replay it exactly, ask what if.
//!
//! One file per subcommand in `commands/`: its arguments, and a call of plain data. What they do is
//! in the packages below; here is only what a person types and sees.

mod choice;
mod commands;
mod filter;
mod memory;
mod names;
mod output;
mod page;
mod parquet;
mod process_malloc;
mod processes;
mod progress;
mod stacks;
mod sweeping;
mod trial;

use clap::{Parser, Subcommand};
use std::io;
use std::process::ExitCode;

/// Record what a program asks of glibc's malloc, replay it exactly, and see what another setting would have done
#[derive(Debug, Parser)]
#[command(name = "malloscope", version, arg_required_else_help = true, propagate_version = true)]
#[command(after_help = "Example:\n  malloscope profile -- python3 -c 'print(sum(range(10**6)))'")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Profile(commands::profile::Args),
    Record(commands::record::Args),
    Replay(commands::replay::Args),
    Verify(commands::verify::Args),
    Compare(commands::compare::Args),
    Prove(commands::prove::Args),
    Rerun(commands::rerun::Args),
    Check(commands::check::Args),
    Advise(commands::advise::Args),
    Upgrade(commands::upgrade::Args),
    Pins(commands::pins::Args),
    TrimPlan(commands::trim_plan::Args),
    Storms(commands::storms::Args),
    Thresholds(commands::thresholds::Args),
    Arenas(commands::arenas::Args),
    Flame(commands::flame::Args),
    Sites(commands::sites::Args),
    Allocations(commands::allocations::Args),
    Heap(commands::heap::Args),
    Snapshot(commands::snapshot::Args),
    Explain(commands::explain::Args),
    Info(commands::info::Args),
    Symbolize(commands::symbolize::Args),
    Dump(commands::dump::Args),
    Import(commands::import::Args),
    Export(commands::export::Args),
    Tunables(commands::tunables::Args),
    Gui(commands::gui::Args),
    Generate(commands::generate::Args),
    /// Run one replay for another malloscope process
    #[command(name = commands::WORK, hide = true)]
    Work,
    /// Make calls to another malloc for another malloscope process
    #[command(name = commands::rerun::RERUN, hide = true)]
    CallMalloc,
    /// Leave a process if the recorder that is attached to it is killed
    #[command(name = commands::GUARD, hide = true)]
    Guard {
        /// The process
        pid: u32,
        /// The recorder
        recorder: u32,
    },
}

/// What a subcommand ends with: the code for the shell, or why it could not.
type Outcome = anyhow::Result<ExitCode>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Profile(args) => commands::profile::run(args),
        Command::Record(args) => commands::record::run(args),
        Command::Replay(args) => commands::replay::run(args),
        Command::Verify(args) => commands::verify::run(args),
        Command::Compare(args) => commands::compare::run(args),
        Command::Check(args) => commands::check::run(args),
        Command::Prove(args) => commands::prove::run(args),
        Command::Rerun(args) => commands::rerun::run(args),
        Command::Advise(args) => commands::advise::run(args),
        Command::Flame(args) => commands::flame::run(args),
        Command::Sites(args) => commands::sites::run(args),
        Command::Allocations(args) => commands::allocations::run(args),
        Command::Heap(args) => commands::heap::run(args),
        Command::Snapshot(args) => commands::snapshot::run(args),
        Command::Upgrade(args) => commands::upgrade::run(args),
        Command::TrimPlan(args) => commands::trim_plan::run(args),
        Command::Storms(args) => commands::storms::run(args),
        Command::Thresholds(args) => commands::thresholds::run(args),
        Command::Arenas(args) => commands::arenas::run(args),
        Command::Pins(args) => commands::pins::run(args),
        Command::Explain(args) => commands::explain::run(args),
        Command::Info(args) => commands::info::run(args),
        Command::Symbolize(args) => commands::symbolize::run(args),
        Command::Dump(args) => commands::dump::run(args),
        Command::Import(args) => commands::import::run(args),
        Command::Export(args) => commands::export::run(args),
        Command::Gui(args) => commands::gui::run(args),
        Command::Tunables(args) => commands::tunables::run(args),
        Command::Generate(args) => commands::generate::run(args),
        Command::Guard { pid, recorder } => malloscope_recorder::attach::guard::stand(pid, recorder)
            .map(|()| ExitCode::SUCCESS)
            .map_err(Into::into),
        Command::CallMalloc => commands::rerun::work().map(|()| ExitCode::SUCCESS),
        Command::Work => malloscope_replayer::worker::work().map(|()| ExitCode::SUCCESS).map_err(Into::into),
    };
    match outcome {
        Ok(code) => code,
        // Whoever reads our output has seen enough: no error.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("malloscope: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, each of them once: some tell their cause themselves.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io_error = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    error.chain().any(io_error)
}
