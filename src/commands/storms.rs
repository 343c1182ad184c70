//! `malloscope storms`: when memory goes to the kernel and comes back, over and over.

use super::replay::replay;
use crate::Outcome;
use crate::output::print_page;
use crate::page::PageArgs;
use malloscope_replayer::report::storms::Storms;
use std::io;
use std::process::ExitCode;

/// Say when the program break or mappings go up and down, over and over
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope storms app.mscope")]
pub struct Args {
    #[command(flatten)]
    page: PageArgs,
}

pub fn run(Args { page }: Args) -> Outcome {
    let storms = Storms::of(&replay(&page.job(), &mut io::sink())?);
    print_page(page.format, || storms.sections(), |out| storms.write_json(out))?;
    Ok(ExitCode::SUCCESS)
}
