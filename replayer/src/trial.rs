//! One set of settings to replay a trace under: what the recording had, and what is changed.

use crate::recognition::Recording;
use crate::sizes;
use crate::trims::TrimSchedule;
use malloscope_allocator::memory::{HugePages, Transparent};
use malloscope_allocator::release::Release;
use malloscope_allocator::release::field::Field;
use malloscope_allocator::tunables::environment::{self, concerns_malloc};
use malloscope_allocator::tunables::{Ignored, Tunable, Tunables};
use malloscope_traces::Header;
use serde::{Deserialize, Serialize};

/// Where a replayed heap lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemoryKind {
    /// A table: the same every time, and faults are counted, not taken.
    #[default]
    Simulated,
    /// The worker process's own memory, by real system calls.
    Real,
}

impl MemoryKind {
    /// Both.
    pub const ALL: [MemoryKind; 2] = [MemoryKind::Simulated, MemoryKind::Real];

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            MemoryKind::Simulated => "A table with Linux's rules: the same every time.",
            MemoryKind::Real => "The break, mappings and page faults of a real process.",
        }
    }

    /// How the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            MemoryKind::Simulated => "simulated",
            MemoryKind::Real => "real",
        }
    }
}

/// How wide the machine's words are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WordWidth {
    /// 64 bits, as on `x86_64`.
    #[default]
    Bits64,
    /// 32 bits, as on i386; only simulated.
    Bits32,
}

/// Which bytes of an allocation the replayed program writes. A trace does not say, so this is an
/// assumption, and every report names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Touch {
    /// None: only malloc's own writes count.
    None,
    /// The first word.
    First,
    /// A word in every page, but for memory that was seen never to be touched, where a trace tells of it.
    #[default]
    Pages,
    /// All of them.
    All,
}

impl Touch {
    /// Every one, from the least that is written to the most.
    pub const ALL: [Touch; 4] = [Touch::None, Touch::First, Touch::Pages, Touch::All];

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Touch::None => "The program writes nothing: only malloc's own writes count.",
            Touch::First => "The program writes the first word of each allocation.",
            Touch::Pages => {
                "The program writes a word in every page of each allocation, unless it was seen not to."
            }
            Touch::All => "The program writes every byte of each allocation.",
        }
    }

    /// How the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            Touch::None => "none",
            Touch::First => "first",
            Touch::Pages => "pages",
            Touch::All => "all",
        }
    }
}

/// When the machine's kernel uses transparent huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThpMode {
    /// Wherever it can.
    Always,
    /// Where malloc recommends them.
    Madvise,
    /// Never.
    Never,
}

impl ThpMode {
    /// Every one.
    pub const ALL: [ThpMode; 3] = [ThpMode::Always, ThpMode::Madvise, ThpMode::Never];

    /// How the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            ThpMode::Always => "always",
            ThpMode::Madvise => "madvise",
            ThpMode::Never => "never",
        }
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            ThpMode::Always => "The kernel uses huge pages wherever it can.",
            ThpMode::Madvise => "The kernel uses huge pages where malloc recommends them.",
            ThpMode::Never => "The kernel never uses huge pages by itself.",
        }
    }
}

/// What a replay changes about the recording; what is not set is as recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Where the heap lives.
    pub memory: MemoryKind,
    /// How wide its words are.
    #[serde(default)]
    pub words: WordWidth,
    /// Which bytes the program writes.
    pub touch: Touch,
    /// Another glibc release.
    pub release: Option<String>,
    /// What distinguishes the release from what its row says, by field: a distribution may have carried
    /// a change back.
    pub release_changes: Vec<(String, String)>,
    /// Tunables to set, by name (`mmap_threshold`), whatever the environment says.
    pub settings: Vec<(String, u64)>,
    /// Environment variables to set, in place of recorded ones of the same name: `GLIBC_TUNABLES`,
    /// `MALLOC_ARENA_MAX`, …
    pub variables: Vec<(String, String)>,
    /// Tunables that are as if the environment did not set them, by name.
    #[serde(default)]
    pub unset: Vec<String>,
    /// When `malloc_trim(0)` is called, besides where the program did.
    #[serde(default)]
    pub malloc_trim: Option<TrimSchedule>,
    /// When the machine's kernel uses transparent huge pages; as recorded, if it is not said.
    pub transparent_huge_pages: Option<ThpMode>,
    /// Huge pages of the default size that are free in the machine's pool.
    pub huge_pages: u64,
    /// Another number of processors.
    pub processors: Option<u32>,
    /// Another place in its page for the initial program break, in bytes.
    pub break_offset: Option<u64>,
    /// A wall across the break's way, this many bytes above the initial one.
    pub break_limit: Option<u64>,
}

/// Settings that make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTrial {
    /// No row for that release.
    #[error("glibc {asked} is not known; the releases are {}", known_releases())]
    UnknownRelease {
        /// What was asked for.
        asked: String,
    },
    /// Nothing about releases of that name.
    #[error("releases have no field `{asked}`; try {}", known_fields())]
    UnknownField {
        /// What was asked for.
        asked: String,
    },
    /// Not a value of that field.
    #[error("`{value}` is not a value of `{field}`: say {values}")]
    BadField {
        /// The field.
        field: &'static str,
        /// What was asked for.
        value: String,
        /// What can be said.
        values: String,
    },
    /// No tunable of that name.
    #[error("there is no malloc tunable `{asked}`; try {}", known_tunables())]
    UnknownTunable {
        /// What was asked for.
        asked: String,
    },
    /// No variable of a program's environment makes that release do it.
    #[error("glibc {release} cannot be made to go by {asked} by a variable of the program's environment")]
    NotByEnvironment {
        /// The tunable that was asked for.
        asked: String,
        /// The release.
        release: &'static str,
    },
    /// No environment variable that malloc reads.
    #[error("malloc reads no variable `{asked}`; try GLIBC_TUNABLES, {}", known_variables())]
    UnknownVariable {
        /// What was asked for.
        asked: String,
    },
}

fn known_releases() -> String {
    Release::ALL.map(|release| release.name).join(", ")
}

fn known_fields() -> String {
    Field::all().iter().map(|field| field.name).collect::<Vec<_>>().join(", ")
}

fn known_tunables() -> String {
    Tunable::all().map(Tunable::name).collect::<Vec<_>>().join(", ")
}

fn known_variables() -> String {
    Tunable::all().filter_map(Tunable::alias).collect::<Vec<_>>().join(", ")
}

pub(crate) fn tunable_named(name: &str) -> Result<Tunable, BadTrial> {
    Tunable::named(name).ok_or_else(|| BadTrial::UnknownTunable { asked: name.to_owned() })
}

impl Trial {
    /// Whether the replay goes by exactly what the recording went by, so that its placements should
    /// be the recorded ones.
    pub fn is_as_recorded(&self) -> bool {
        let changed = self.words != WordWidth::default()
            || self.release.is_some()
            || !self.release_changes.is_empty()
            || !self.settings.is_empty()
            || !self.variables.is_empty()
            || !self.unset.is_empty()
            || self.malloc_trim.is_some()
            || self.transparent_huge_pages.is_some()
            || self.huge_pages != 0
            || self.processors.is_some()
            || self.break_offset.is_some()
            || self.break_limit.is_some();
        !changed
    }

    /// What distinguishes it from a replay of what was recorded: `glibc 2.31, mmap_threshold 64K`.
    pub fn name(&self) -> String {
        let mut parts: Vec<String> = self.release.iter().map(|release| format!("glibc {release}")).collect();
        parts.extend(self.release_changes.iter().map(|(field, value)| format!("{field}={value}")));
        let settings = self.settings.iter();
        parts.extend(settings.map(|(name, value)| format!("{name} {}", sizes::shortest(*value))));
        parts.extend(self.variables.iter().map(|(name, value)| format!("{name}={value}")));
        if !self.unset.is_empty() {
            parts.push(format!("{} unset", self.unset.join(" ")));
        }
        parts.extend(self.malloc_trim.map(|schedule| format!("malloc_trim {schedule}")));
        if self.memory != MemoryKind::default() {
            parts.push(format!("{} memory", self.memory.name()));
        }
        if self.words == WordWidth::Bits32 {
            parts.push("32 bits".to_owned());
        }
        if self.touch != Touch::default() {
            parts.push(format!("touch {}", self.touch.name()));
        }
        parts.extend(self.transparent_huge_pages.map(|mode| format!("thp {}", mode.name())));
        if self.huge_pages > 0 {
            parts.push(format!("{} huge pages", self.huge_pages));
        }
        parts.extend(self.processors.map(|processors| format!("{processors} processors")));
        parts.extend(self.break_offset.map(|offset| format!("break offset {offset}")));
        parts.extend(self.break_limit.map(|limit| format!("break limit {}", sizes::shortest(limit))));
        if parts.is_empty() { "as recorded".to_owned() } else { parts.join(", ") }
    }

    /// The command's options that mean this trial: `["--glibc", "2.31", "--set", "top_pad=0"]`.
    pub fn options(&self) -> Vec<String> {
        let mut options: Vec<String> = Vec::new();
        let mut option = |name: &str, value: String| options.extend([name.to_owned(), value]);
        if let Some(release) = &self.release {
            option("--glibc", release.clone());
        }
        for (field, value) in &self.release_changes {
            option("--release-set", format!("{field}={value}"));
        }
        for (name, value) in &self.settings {
            option("--set", format!("{name}={}", sizes::shortest(*value)));
        }
        for (name, value) in &self.variables {
            option("--set", format!("{name}={value}"));
        }
        for name in &self.unset {
            option("--unset", name.clone());
        }
        if let Some(schedule) = self.malloc_trim {
            option("--malloc-trim", schedule.to_string());
        }
        if self.memory != MemoryKind::default() {
            option("--memory", self.memory.name().to_owned());
        }
        if self.words == WordWidth::Bits32 {
            option("--bits", "32".to_owned());
        }
        if self.touch != Touch::default() {
            option("--touch", self.touch.name().to_owned());
        }
        if let Some(mode) = self.transparent_huge_pages {
            option("--thp", mode.name().to_owned());
        }
        if self.huge_pages > 0 {
            option("--huge-pages", self.huge_pages.to_string());
        }
        if let Some(processors) = self.processors {
            option("--processors", processors.to_string());
        }
        if let Some(offset) = self.break_offset {
            option("--break-offset", offset.to_string());
        }
        if let Some(limit) = self.break_limit {
            option("--break-limit", sizes::shortest(limit));
        }
        options
    }

    /// The release to replay as: what was asked for, or what was recorded. That is what the recorded libc
    /// behaves as if it was probed, and otherwise what its version says.
    ///
    /// # Errors
    ///
    /// When there is no such release, or no such thing about one.
    pub fn release(&self, recording: &Recording) -> Result<Release, BadTrial> {
        let mut release = self.row(recording)?;
        for (name, value) in &self.release_changes {
            let field = Field::named(name).ok_or_else(|| BadTrial::UnknownField { asked: name.clone() })?;
            if !field.set(&mut release, value) || !release.is_possible() {
                let values = field.values();
                return Err(BadTrial::BadField { field: field.name, value: value.clone(), values });
            }
        }
        Ok(match self.words {
            WordWidth::Bits64 => release,
            WordWidth::Bits32 => release.narrowed(),
        })
    }

    /// The version that was asked for or recorded, if that is a later release than any we know.
    pub fn unknown_version<'a>(&'a self, recording: &'a Recording) -> Option<&'a str> {
        let version = match &self.release {
            Some(asked) => asked,
            None if recording.recognized().is_some() => return None,
            None => &recording.header.libc.version,
        };
        Release::is_beyond(version).then_some(version)
    }

    fn row(&self, recording: &Recording) -> Result<Release, BadTrial> {
        match &self.release {
            Some(asked) => {
                Release::of(asked).ok_or_else(|| BadTrial::UnknownRelease { asked: asked.clone() })
            }
            None if let Some(release) = recording.recognized() => Ok(release),
            None if recording.header.libc.version.is_empty() => Ok(Release::OF_SCRIPTS),
            None => {
                let asked = &recording.header.libc.version;
                Release::of(asked).ok_or_else(|| BadTrial::UnknownRelease { asked: asked.clone() })
            }
        }
    }

    /// The tunables: what this release makes of the recorded environment, with variables replaced,
    /// and over it what was asked for by name; and what of all that it would ignore.
    ///
    /// # Errors
    ///
    /// When something is asked for that no release has.
    pub fn tunables(&self, recording: &Recording) -> Result<(Tunables, Vec<Ignored>), BadTrial> {
        let release = self.release(recording)?;
        if let Some((asked, _)) = self.variables.iter().find(|(name, _)| !concerns_malloc(name)) {
            return Err(BadTrial::UnknownVariable { asked: asked.clone() });
        }
        let (mut tunables, mut ignored) = environment::read(&release, self.environment(&recording.header));
        for name in &self.unset {
            tunables.forget(tunable_named(name)?);
        }
        for (name, value) in &self.settings {
            ignored.extend(tunables.set(&release, tunable_named(name)?, *value).err());
        }
        Ok((tunables, ignored))
    }

    /// The variables that concern malloc: the recorded ones, and those of the trial in their place or
    /// after them.
    pub(crate) fn environment<'a>(
        &'a self,
        header: &'a Header,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
        let is_kept = |(name, _): &&(String, String)| {
            concerns_malloc(name) && self.variables.iter().all(|(other, _)| other != name)
        };
        let recorded = header.program.environment.iter().filter(is_kept);
        recorded.chain(&self.variables).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The initial break's place in its page: as asked for, or as recorded. Some releases begin
    /// with a copy of `GLIBC_TUNABLES` there, so a recorded one is taken away and another's added.
    ///
    /// # Errors
    ///
    /// When the release is not known.
    pub fn break_offset(&self, recording: &Recording) -> Result<u64, BadTrial> {
        let header = &recording.header;
        if let Some(offset) = self.break_offset {
            return Ok(offset);
        }
        let recorded = header.program.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let as_recorded = Trial::default().release(recording)?;
        let copied_then = match header.libc.version.is_empty() {
            true => 0,
            false => environment::copied_onto_break(&as_recorded, recorded),
        };
        let copied_now = environment::copied_onto_break(&self.release(recording)?, self.environment(header));
        Ok(header.heap.initial_break.wrapping_sub(copied_then).wrapping_add(copied_now))
    }

    /// The huge pages of the machine: the recorded mode or another, and nothing in the pool unless
    /// it is said.
    pub fn huge_pages(&self, header: &Header) -> HugePages {
        let as_recorded = match header.host.huge_pages.as_str() {
            "always" => Transparent::Always,
            "never" => Transparent::Never,
            _ => Transparent::Madvise,
        };
        let mode = self.transparent_huge_pages.map_or(as_recorded, |mode| match mode {
            ThpMode::Always => Transparent::Always,
            ThpMode::Madvise => Transparent::Madvise,
            ThpMode::Never => Transparent::Never,
        });
        HugePages { mode, free: self.huge_pages, ..HugePages::default() }
    }
}
