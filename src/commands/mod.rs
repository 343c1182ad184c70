//! The subcommands.

pub mod advise;
pub mod allocations;
pub mod arenas;
pub mod check;
pub mod compare;
pub mod dump;
pub mod explain;
pub mod export;
pub mod flame;
pub mod generate;
pub mod gui;
pub mod heap;
pub mod import;
pub mod info;
pub mod pins;
pub mod profile;
pub mod prove;
pub mod record;
pub mod replay;
pub mod rerun;
pub mod sites;
pub mod snapshot;
pub mod storms;
pub mod symbolize;
pub mod thresholds;
pub mod trim_plan;
pub mod tunables;
pub mod upgrade;
pub mod verify;

use malloscope_replayer::worker::Launcher;

/// The word that makes this executable a worker.
pub const WORK: &str = "work-for-malloscope";

/// The word that makes this executable the guard of a recorder.
pub const GUARD: &str = "guard-for-malloscope";

/// How to start a worker: ourselves, with one word.
pub fn launcher() -> anyhow::Result<Launcher> {
    // Not `current_exe`, whose answer names a file that may have been replaced since.
    Ok(Launcher { program: "/proc/self/exe".into(), arguments: vec![WORK.into()] })
}
