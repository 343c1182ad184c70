//! The options that decide how a trace is replayed, for every subcommand that replays.

use clap::{Args, ValueEnum};
use malloscope_replayer::sizes;
use malloscope_replayer::trial::{MemoryKind, Touch, Trial};

/// How to replay.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Replay")]
pub struct TrialArgs {
    /// Where the replayed heap lives: in a table, or in a process of its own by real system calls
    #[arg(long, value_name = "WHERE", default_value = "simulated")]
    pub memory: MemoryArg,
    /// Which bytes of its memory the program is taken to write
    #[arg(long, value_name = "WHAT", default_value = "pages")]
    pub touch: TouchArg,
    /// Replay as this glibc release instead of the recorded one
    #[arg(long, value_name = "RELEASE")]
    pub glibc: Option<String>,
    /// Set a malloc tunable: `mmap_threshold=64K`, `arena_max=1`, `tcache_count=0`, …
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub set: Vec<(String, u64)>,
    /// Processors, which bound the number of arenas [default: as recorded]
    #[arg(long, value_name = "N")]
    pub processors: Option<u32>,
    /// The initial program break's place in its page, in bytes [default: as recorded]
    #[arg(long, value_name = "BYTES", value_parser = sizes::parse)]
    pub break_offset: Option<u64>,
    /// Put a wall across the program break's way, this far above its beginning [default: none]
    #[arg(long, value_name = "BYTES", value_parser = sizes::parse)]
    pub break_limit: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MemoryArg {
    /// A table with Linux's rules: the same every time
    Simulated,
    /// brk, mmap and page faults of a real process
    Real,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum TouchArg {
    /// None: only malloc's own writes count
    None,
    /// The first word
    First,
    /// A word in every page
    Pages,
    /// Every byte
    All,
}

/// Reads `name=value`.
fn setting(text: &str) -> Result<(String, u64), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    Ok((name.trim().to_owned(), sizes::parse(value.trim())?))
}

impl From<TrialArgs> for Trial {
    fn from(args: TrialArgs) -> Trial {
        Trial {
            memory: match args.memory {
                MemoryArg::Simulated => MemoryKind::Simulated,
                MemoryArg::Real => MemoryKind::Real,
            },
            touch: match args.touch {
                TouchArg::None => Touch::None,
                TouchArg::First => Touch::First,
                TouchArg::Pages => Touch::Pages,
                TouchArg::All => Touch::All,
            },
            release: args.glibc,
            settings: args.set,
            processors: args.processors,
            break_offset: args.break_offset,
            break_limit: args.break_limit,
        }
    }
}
