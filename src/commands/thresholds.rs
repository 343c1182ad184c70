//! `malloscope thresholds`: how the mmap and trim thresholds moved.

use super::replay::replay;
use crate::Outcome;
use crate::output::print_page;
use crate::page::PageArgs;
use malloscope_replayer::report::thresholds::Trajectory;
use std::io;
use std::process::ExitCode;

/// Say how the mmap and trim thresholds moved, and at which record
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope thresholds app.mscope")]
pub struct Args {
    #[command(flatten)]
    page: PageArgs,
}

pub fn run(Args { page }: Args) -> Outcome {
    let outcome = replay(&page.job(), &mut io::sink())?;
    let trajectory = Trajectory::of(&outcome);
    print_page(page.format, || trajectory.sections(), |out| trajectory.write_json(out))?;
    Ok(ExitCode::SUCCESS)
}
