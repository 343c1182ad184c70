//! `malloscope generate`: the man page and completions, from the same definition as the help.

use crate::{Cli, Outcome};
use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print the man page, or completions for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  malloscope generate completions bash > /etc/bash_completion.d/malloscope"
)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print the man page, or write one for every subcommand into a folder
    Man {
        /// The folder
        #[arg(long, value_name = "FOLDER")]
        into: Option<PathBuf>,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

pub fn run(args: Args) -> Outcome {
    let mut command = Cli::command();
    match args.what {
        What::Man { into: None } => clap_mangen::Man::new(command).render(&mut io::stdout())?,
        What::Man { into: Some(folder) } => write_all(command, &folder)?,
        What::Completions { shell } => {
            // Into memory first: it takes every failure to write for a fault.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "malloscope", &mut script);
            io::stdout().write_all(&script)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write_all(command: clap::Command, folder: &Path) -> anyhow::Result<()> {
    let writing = || format!("while writing into {}", folder.display());
    std::fs::create_dir_all(folder).with_context(writing)?;
    clap_mangen::generate_to(command, folder).with_context(writing)
}
