//! One set of settings to replay a trace under: what the recording had, and what is changed.

use crate::recognition::{self, Recognition};
use malloscope_allocator::release::Release;
use malloscope_allocator::tunables::{Parameters, Tunable, Tunables};
use malloscope_traces::Header;
use malloscope_traces::header::Libc;
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
    /// How the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            MemoryKind::Simulated => "simulated",
            MemoryKind::Real => "real",
        }
    }
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
    /// A word in every page.
    #[default]
    Pages,
    /// All of them.
    All,
}

impl Touch {
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

/// What a replay changes about the recording; what is not set is as recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Where the heap lives.
    pub memory: MemoryKind,
    /// Which bytes the program writes.
    pub touch: Touch,
    /// Another glibc release.
    pub release: Option<String>,
    /// Tunables to set, by name (`mmap_threshold`), in addition to the recorded environment.
    pub settings: Vec<(String, u64)>,
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
    /// No tunable of that name.
    #[error("there is no malloc tunable `{asked}`; try {}", known_tunables())]
    UnknownTunable {
        /// What was asked for.
        asked: String,
    },
    /// A value outside the tunable's bounds.
    #[error("{value} is not a value for `{tunable}` that glibc would take")]
    OutOfBounds {
        /// The tunable.
        tunable: &'static str,
        /// The value.
        value: u64,
    },
}

fn known_releases() -> String {
    Release::ALL.map(|release| release.name).join(", ")
}

fn known_tunables() -> String {
    Tunable::all().map(Tunable::name).collect::<Vec<_>>().join(", ")
}

/// The release that a libc behaves as, if it was probed and is one we know.
fn recognized(libc: &Libc) -> Option<Release> {
    let Recognition::As(name) = recognition::recognize(libc) else { return None };
    Release::named(&name)
}

impl Trial {
    /// Whether the replay goes by exactly what the recording went by, so that its placements should
    /// be the recorded ones.
    pub fn is_as_recorded(&self) -> bool {
        let changed = self.release.is_some()
            || !self.settings.is_empty()
            || self.processors.is_some()
            || self.break_offset.is_some()
            || self.break_limit.is_some();
        !changed
    }

    /// The release to replay as: what was asked for, or what was recorded. That is what the recorded libc
    /// behaves as if it was probed, and otherwise what its version says.
    pub fn release(&self, header: &Header) -> Result<Release, BadTrial> {
        match &self.release {
            Some(asked) => {
                Release::of(asked).ok_or_else(|| BadTrial::UnknownRelease { asked: asked.clone() })
            }
            None if let Some(release) = recognized(&header.libc) => Ok(release),
            None if header.libc.version.is_empty() => Ok(Release::OF_SCRIPTS),
            None => {
                let asked = &header.libc.version;
                Release::of(asked).ok_or_else(|| BadTrial::UnknownRelease { asked: asked.clone() })
            }
        }
    }

    /// The tunables: the recorded environment's, and over them what was asked for.
    pub fn tunables(&self, header: &Header) -> Result<Tunables, BadTrial> {
        let environment =
            header.program.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let (mut tunables, _) = Tunables::from_environment(environment);
        let release = self.release(header)?;
        let mut parameters = Parameters::new(&release, &tunables);
        for (name, value) in &self.settings {
            let tunable =
                Tunable::named(name).ok_or_else(|| BadTrial::UnknownTunable { asked: name.clone() })?;
            let refused = BadTrial::OutOfBounds { tunable: tunable.name(), value: *value };
            tunables.set(tunable, *value).map_err(|_| refused.clone())?;
            // malloc has bounds of its own, beyond which it would ignore the value without a word.
            if !parameters.set(&release, tunable, *value) {
                return Err(refused);
            }
        }
        Ok(tunables)
    }
}
