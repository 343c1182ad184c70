//! The arguments of subcommands that replay a trace once and print a page about it: about the whole run, or about
//! the heap at one moment of it.

use crate::commands::heap::{go_to, open};
use crate::output::PageFormat;
use crate::trial::{SingleArgs, TrialArgs};
use malloscope_replayer::explore::Explorer;
use malloscope_replayer::run::Job;
use std::path::PathBuf;

/// What is replayed, and how the page is printed.
#[derive(Clone, Debug, clap::Args)]
pub struct PageArgs {
    /// The trace
    pub trace: PathBuf,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    pub format: PageFormat,
    #[command(flatten)]
    single: SingleArgs,
    #[command(flatten)]
    trial: TrialArgs,
}

impl PageArgs {
    /// The replay.
    pub fn job(&self) -> Job {
        Job::of(&self.trace, self.single.clone().of(self.trial.clone()))
    }
}

/// What is replayed, and up to where.
#[derive(Clone, Debug, clap::Args)]
pub struct MomentArgs {
    #[command(flatten)]
    pub page: PageArgs,
    /// After so many records [default: all]
    #[arg(long, value_name = "RECORDS")]
    at: Option<u64>,
}

impl MomentArgs {
    /// A replay that stands still there. What of the trace cannot be read is told.
    pub fn explorer(&self) -> anyhow::Result<Explorer> {
        let Job { trace, trial, .. } = self.page.job();
        let mut explorer = open(&trace, &trial)?;
        go_to(&mut explorer, self.at.unwrap_or(u64::MAX))?;
        explorer.damage().iter().for_each(|damage| eprintln!("malloscope: {damage}"));
        Ok(explorer)
    }
}
