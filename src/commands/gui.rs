//! `malloscope gui`: becomes the window, which is an executable of its own.

use crate::Outcome;
use anyhow::{anyhow, bail};
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// The window's executable.
const WINDOW: &str = "malloscope-gui";

/// Look at a trace in a window
///
/// The window is an executable of its own, `malloscope-gui`. It is looked for beside this one, then in
/// PATH. What follows is passed on to it; `malloscope gui -- --help` lists its options.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  malloscope gui app.mscope")]
pub struct Args {
    /// The trace, and options of the window
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

pub fn run(args: Args) -> Outcome {
    // Only a failure comes back: this process becomes the window.
    let error = Command::new(window()).args(args.arguments).exec();
    if error.kind() == io::ErrorKind::NotFound {
        bail!(
            "{WINDOW} is neither beside this executable nor in PATH; \
             in the source, `cargo build --release -p {WINDOW}` builds it beside this one"
        );
    }
    Err(anyhow!(error).context(format!("while starting {WINDOW}")))
}

/// The window's executable beside this one, or its name to be looked for in PATH.
fn window() -> PathBuf {
    let beside = env::current_exe().ok().map(|own| own.with_file_name(WINDOW));
    beside.filter(|beside| beside.is_file()).unwrap_or_else(|| WINDOW.into())
}
