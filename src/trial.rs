//! The options that decide how a trace is replayed, for every subcommand that replays.

use clap::{Args, ValueEnum};
use malloscope_replayer::range::Range;
use malloscope_replayer::setting::Setting;
use malloscope_replayer::sizes;
use malloscope_replayer::trial::{MemoryKind, ThpMode, Touch, Trial, WordWidth};
use malloscope_replayer::trims::TrimSchedule;

/// How to replay.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Replay")]
pub struct TrialArgs {
    /// Where the replayed heap lives: in a table, or in a process of its own by real system calls
    #[arg(long, value_name = "WHERE", default_value = "simulated")]
    pub memory: MemoryArg,
    /// How wide the machine's words are: 64 bits, or 32 as on i386, which are only simulated
    #[arg(long, value_name = "BITS", default_value = "64")]
    pub bits: BitsArg,
    /// Change one thing about the glibc release, if your distribution has: `arena_limit=affinity`
    #[arg(long, value_name = "FIELD=VALUE", value_parser = release_change)]
    pub release_set: Vec<(String, String)>,
    /// Set a malloc tunable, in any of glibc's spellings
    ///
    /// By name, in K, M or G if you like: `mmap_threshold=64K`, `arena_max=1`, `tcache_count=0`.
    /// As a variable of the program's environment, to the letter: `MALLOC_ARENA_MAX=2`,
    /// `GLIBC_TUNABLES=glibc.malloc.arena_max=2:glibc.malloc.top_pad=0`.
    /// What glibc of the release would ignore is ignored, and said.
    #[arg(long, value_name = "NAME=VALUE", value_parser = Setting::parse)]
    pub set: Vec<Setting>,
    /// Replay as if the program's environment did not set this tunable: `--unset top_pad`
    #[arg(long, value_name = "NAME")]
    pub unset: Vec<String>,
    /// When the kernel uses transparent huge pages, for `hugetlb=1` [default: as recorded, or madvise]
    #[arg(long, value_name = "MODE")]
    pub thp: Option<ThpArg>,
    /// Huge pages that are free in the kernel's pool, for `hugetlb=2`
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub huge_pages: u64,
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
pub enum BitsArg {
    /// As on `x86_64`
    #[value(name = "64")]
    Bits64,
    /// As on i386
    #[value(name = "32")]
    Bits32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum TouchArg {
    /// None: only malloc's own writes count
    None,
    /// The first word
    First,
    /// A word in every page, but for what was seen to be untouched
    Pages,
    /// Every byte
    All,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ThpArg {
    /// Wherever it can
    Always,
    /// Where malloc recommends them
    Madvise,
    /// Never
    Never,
}

/// What a single replay has one of, and a comparison may have several of.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Replay")]
pub struct SingleArgs {
    /// Replay as this glibc instead of the recorded: 2.23 to 2.44, or the head of a branch, `2.28-branch`
    #[arg(long, value_name = "RELEASE")]
    pub glibc: Option<String>,
    /// Which bytes of its memory the program is taken to write
    #[arg(long, value_name = "WHAT", default_value = "pages")]
    pub touch: TouchArg,
    /// Call `malloc_trim` as the program did not: every 60s, on-idle:1s, or once after:RECORDS
    ///
    /// Times are those of the recording: after so much of it, or when there was no call for so long.
    #[arg(long, value_name = "WHEN")]
    pub malloc_trim: Option<TrimSchedule>,
}

impl SingleArgs {
    /// The trial, with these.
    pub fn of(self, args: TrialArgs) -> Trial {
        Trial { release: self.glibc, touch: self.touch.into(), malloc_trim: self.malloc_trim, ..args.into() }
    }
}

impl From<TouchArg> for Touch {
    fn from(arg: TouchArg) -> Touch {
        match arg {
            TouchArg::None => Touch::None,
            TouchArg::First => Touch::First,
            TouchArg::Pages => Touch::Pages,
            TouchArg::All => Touch::All,
        }
    }
}

/// Which records count.
#[derive(Clone, Copy, Debug, Args)]
pub struct RangeArg {
    /// Count only these records, in the order of the replay: 1000..2000, or 1000.. for all that follow
    ///
    /// Those before are replayed too, and make the heap what it is when the range begins.
    #[arg(long, value_name = "FROM..TO")]
    pub range: Option<Range>,
}

/// Reads `field=value`.
fn release_change(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not FIELD=VALUE"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

impl From<ThpArg> for ThpMode {
    fn from(arg: ThpArg) -> ThpMode {
        match arg {
            ThpArg::Always => ThpMode::Always,
            ThpArg::Madvise => ThpMode::Madvise,
            ThpArg::Never => ThpMode::Never,
        }
    }
}

impl From<TrialArgs> for Trial {
    fn from(args: TrialArgs) -> Trial {
        let mut trial = Trial {
            memory: match args.memory {
                MemoryArg::Simulated => MemoryKind::Simulated,
                MemoryArg::Real => MemoryKind::Real,
            },
            words: match args.bits {
                BitsArg::Bits64 => WordWidth::Bits64,
                BitsArg::Bits32 => WordWidth::Bits32,
            },
            touch: Touch::default(),
            release: None,
            release_changes: args.release_set,
            settings: Vec::new(),
            variables: Vec::new(),
            unset: args.unset,
            malloc_trim: None,
            transparent_huge_pages: args.thp.map(ThpMode::from),
            huge_pages: args.huge_pages,
            processors: args.processors,
            break_offset: args.break_offset,
            break_limit: args.break_limit,
        };
        args.set.into_iter().for_each(|setting| setting.apply(&mut trial));
        trial
    }
}
