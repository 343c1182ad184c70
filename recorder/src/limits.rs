//! How much a recording may take: of the disk, and of memory.
//!
//! What comes to its limit ends, says so, and is complete up to there; programs go on without it. Half of the memory is for
//! rings: threads that find none left are not recorded, and their calls are counted as lost. The other half is what the
//! recorder may need itself, which grows with what programs hold at one time.

use std::fs;

use malloscope_traces::Cause;
use malloscope_wire::{RINGS, ring};

/// So many bytes and no more.
#[derive(Clone, Debug)]
pub struct Limit {
    /// How many. What is on its way when they are reached still comes.
    pub bytes: u64,
    /// How the traces say so.
    pub name: String,
}

impl Limit {
    fn cause(&self) -> Cause {
        Cause::Limited { limit: self.name.clone() }
    }
}

/// What a recording is kept to.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// How long the files of all traces may be together.
    pub size: Option<Limit>,
    /// How much memory the recorder may have, with what it shares with programs.
    pub memory: Option<Limit>,
}

/// So much is kept of what threads wrote before it can be recorded: of a million calls a second, those of some seconds.
const MOST_HOARDED: u64 = 256 << 20;

impl Limits {
    /// Why the recording ends now, if its files are so long.
    pub fn reached(&self, written: impl FnOnce() -> u64) -> Option<Cause> {
        let is_full = |limit: &&Limit| written() >= limit.bytes;
        self.size.as_ref().filter(is_full).map(Limit::cause).or_else(|| self.is_out_of_memory())
    }

    /// Why it ends now, if its memory is used up.
    pub fn is_out_of_memory(&self) -> Option<Cause> {
        self.memory.as_ref().filter(|limit| resident() >= limit.bytes).map(Limit::cause)
    }

    /// How many bytes may be kept of what threads wrote before it can be recorded.
    pub fn hoard(&self) -> usize {
        let most = self.memory.as_ref().map_or(MOST_HOARDED, |limit| MOST_HOARDED.min(limit.bytes / 4));
        usize::try_from(most).unwrap_or(0)
    }

    /// How many threads may have rings at one time.
    pub fn rings(&self) -> usize {
        let Some(limit) = &self.memory else { return RINGS };
        usize::try_from(limit.bytes / 2 / ring::BYTES as u64).unwrap_or(RINGS).clamp(1, RINGS)
    }
}

/// How much of this process is in memory, also of what it shares.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|all| all.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
}

/// Half of the memory that this process could have: of the machine's, or of its control group's where that has less.
pub fn half_of_all() -> u64 {
    let kilobytes =
        |line: &str| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok();
    let told = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let machine = told.lines().find_map(kilobytes).map(|kilobytes| kilobytes.saturating_mul(1024));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let most = group.and_then(|group| fs::read_to_string(format!("/sys/fs/cgroup/{group}/memory.max")).ok());
    let group = most.and_then(|most| most.trim().parse().ok());
    machine.into_iter().chain(group).min().unwrap_or(u64::MAX) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(bytes: u64) -> Option<Limit> {
        Some(Limit { bytes, name: format!("{bytes} bytes") })
    }

    #[test]
    fn what_is_reached_first_ends_the_recording() {
        let none = Limits::default();
        assert_eq!((none.reached(|| u64::MAX), none.rings()), (None, RINGS));
        let [small, large] = [1, 1 << 60].map(|bytes| Limits { size: limit(100), memory: limit(bytes) });
        let cause = |name: &str| Some(Cause::Limited { limit: name.to_owned() });
        assert_eq!(large.reached(|| 99), None);
        assert_eq!(large.reached(|| 100), cause("100 bytes"));
        assert_eq!(small.reached(|| 99), cause("1 bytes"));
        assert_eq!((small.rings(), large.rings()), (1, RINGS));
        let some = Limits { memory: limit(64 << 20), ..Limits::default() };
        assert_eq!(some.rings(), 64);
    }

    #[test]
    fn we_have_memory_and_there_is_more() {
        let all = half_of_all();
        assert!(resident() > 1 << 20 && all > resident() / 2 && all < u64::MAX / 2, "{} {all}", resident());
    }
}
