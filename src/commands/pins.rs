//! `malloscope pins`: what keeps free memory from going back to the kernel.

use crate::output::print_page;
use crate::page::MomentArgs;
use crate::{Outcome, names};
use malloscope_replayer::blame::fold::Folder;
use malloscope_replayer::pins::pinned;
use malloscope_replayer::report::pins::{Pins, named};
use malloscope_traces::Reader;
use std::process::ExitCode;

/// Say which chunks keep free memory from going back
///
/// From the top of each arena down: if these were freed, so much could go; if those below them too, so much more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope pins app.mscope --at 12345")]
pub struct Args {
    #[command(flatten)]
    moment: MomentArgs,
    /// Steps to follow down each arena
    #[arg(long, value_name = "N", default_value_t = 12)]
    steps: usize,
}

pub fn run(Args { moment, steps }: Args) -> Outcome {
    let explorer = moment.explorer()?;
    let map = explorer.heap()?;
    let trace = &moment.page.trace;
    let stacks = Reader::open_file(trace)?.stacks()?;
    let mut folder = Folder::new(&stacks, names::namer(trace, &stacks)?);
    let regions = named(pinned(&map, explorer.top_pad(), steps), &mut folder);
    let pins = Pins { record: map.made, regions, has_stacks: stacks.capture.is_some() };
    print_page(moment.page.format, || pins.sections(), |out| pins.write_json(out))?;
    Ok(ExitCode::SUCCESS)
}
