//! `malloscope arenas`: what each arena has, and what of it lives.

use crate::Outcome;
use crate::output::print_page;
use crate::page::MomentArgs;
use malloscope_replayer::report::arenas::Arenas;
use std::process::ExitCode;

/// Say what each arena has from the kernel, and what of it lives, is cached and is free
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope arenas app.mscope --set arena_max=2")]
pub struct Args {
    #[command(flatten)]
    moment: MomentArgs,
}

pub fn run(Args { moment }: Args) -> Outcome {
    let arenas = Arenas::of(&moment.explorer()?.heap()?);
    print_page(moment.page.format, || arenas.sections(), |out| arenas.write_json(out))?;
    Ok(ExitCode::SUCCESS)
}
