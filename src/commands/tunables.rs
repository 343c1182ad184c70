//! `malloscope tunables`: what a release of glibc lets one set of its malloc.

use crate::Outcome;
use crate::output::{self, Format};
use anyhow::bail;
use malloscope_replayer::tunables;
use std::process::ExitCode;

/// List what can be set of glibc's malloc: names, variables, values and meanings
///
/// Below it, what `--release-set` can change about the release, for a distribution's glibc.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope tunables --glibc 2.31")]
pub struct Args {
    /// Of this glibc: 2.23 to 2.44, or the head of a branch, `2.28-branch`
    #[arg(long, value_name = "RELEASE", default_value = tunables::newest())]
    glibc: String,
    /// How to print them
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    format: Format,
}

pub fn run(args: Args) -> Outcome {
    let (Some(rows), Some(fields)) = (tunables::of(&args.glibc), tunables::fields(&args.glibc)) else {
        bail!("glibc {} is not known; the releases are {}", args.glibc, tunables::releases().join(", "));
    };
    output::print_tunables(&args.glibc, &rows, &fields, args.format)?;
    Ok(ExitCode::SUCCESS)
}
