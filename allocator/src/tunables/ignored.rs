//! A setting that glibc would ignore, and why.

use super::{Kind, Tunable, greatest_mmap_threshold, greatest_tcache_max};
use crate::release::Release;
use alloc::string::String;
use core::fmt;

/// A setting that has no effect, or not the one that was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// As it was written: `MALLOC_ARENA_MAX=0`.
    pub setting: String,
    /// The release that ignores it.
    pub release: &'static str,
    /// Why.
    pub why: Why,
}

/// Why a setting has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// No release reads anything of that name.
    UnknownName,
    /// This release does not read it.
    NotRead,
    /// `GLIBC_TUNABLES` came with 2.26.
    NoTunables,
    /// The value is not within these bounds.
    OutOfBounds {
        /// The least value.
        least: i64,
        /// The greatest; none, if any is small enough.
        greatest: Option<u64>,
    },
    /// The value is no number, or more than one, and the release is strict about that.
    NotANumber,
    /// There is no value.
    NoValue,
    /// The string is not made of `name=value`, and the release then ignores all of it.
    Malformed,
    /// `GLIBC_TUNABLES`, or the same variable before, has set it.
    SetBefore,
    /// The same is set again later in the same place.
    SetAgain,
    /// `/etc/tunables.conf` came with 2.44.
    NotSystemWide,
    /// `/etc/tunables.conf` has set it, and says that nobody else shall.
    Locked,
    /// `glibc.rtld.enable_secure=1` has the loader pass over all tunables.
    Secure,
}

impl Why {
    /// The bounds that a tunable's value is not within: malloc's own, or the loader's.
    pub(super) fn out_of_bounds(tunable: Tunable, release: &Release) -> Why {
        let greatest = |greatest| (greatest != u64::MAX).then_some(greatest);
        let own = match tunable {
            Tunable::MmapThreshold => greatest(greatest_mmap_threshold(release)),
            Tunable::TcacheMax => greatest(greatest_tcache_max(release)),
            Tunable::TcacheCount => greatest(release.greatest_tcache_count),
            Tunable::Mxfast => Some(release.geometry().greatest_fast_request()),
            _ => None,
        };
        match (tunable.int_bounds(release), tunable.row().kind) {
            (Some(bounds), _) => Why::OutOfBounds {
                least: i64::from(*bounds.start()),
                greatest: u64::try_from(*bounds.end()).ok(),
            },
            (None, Kind::Size { least }) => Why::OutOfBounds { least: least.cast_signed(), greatest: own },
            (None, Kind::Int { .. }) => Why::NotRead,
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ignored { setting, release, why } = self;
        match why {
            Why::UnknownName => write!(out, "glibc ignores {setting}: malloc has no such setting"),
            _ => write!(out, "glibc {release} ignores {setting}: {why}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::UnknownName => out.write_str("malloc has no such setting"),
            Why::NotRead => out.write_str("it does not read this tunable"),
            Why::NoTunables => out.write_str("it does not read GLIBC_TUNABLES"),
            Why::OutOfBounds { least, greatest: Some(greatest) } => {
                write!(out, "the value is not within {least} to {greatest}")
            }
            Why::OutOfBounds { least, greatest: None } => write!(out, "the value is less than {least}"),
            Why::NotANumber => out.write_str("the value is not one whole number"),
            Why::NoValue => out.write_str("there is no value"),
            Why::Malformed => out.write_str("it is not made of name=value:name=value"),
            Why::SetBefore => out.write_str("it has been set before"),
            Why::SetAgain => out.write_str("it is set again after that"),
            Why::NotSystemWide => out.write_str("it does not read /etc/tunables.conf"),
            Why::Locked => out.write_str("/etc/tunables.conf does not let it be overridden"),
            Why::Secure => out.write_str("glibc.rtld.enable_secure=1 has it ignore every tunable"),
        }
    }
}
