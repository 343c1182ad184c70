//! Our own code and data, which are to be in memory before a replay over real memory begins: what is met for
//! the first time during it takes a fault, and faults are how its pages are counted.

use malloscope_allocator::address::Address;
use malloscope_allocator::memory::process::Process;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Has the kernel find all pages of the files that this process runs from. Where it cannot, they are found one by
/// one as ever.
pub(crate) fn settle(process: &Process) {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    for (start, end, is_written) in maps.lines().filter_map(of_a_file) {
        process.populate(Address(start), end - start, is_written);
    }
}

/// The most memory that this process ever had, in bytes (proc(5): `VmHWM`); 0 if the system does not say.
pub(crate) fn greatest_memory() -> u64 {
    bytes_of("/proc/self/status", "VmHWM:").unwrap_or(0)
}

/// The memory that this process has, in bytes (proc(5): `VmRSS`); 0 if the system does not say.
pub(crate) fn memory() -> u64 {
    bytes_of("/proc/self/status", "VmRSS:").unwrap_or(0)
}

/// The memory that the system could give to whoever asks for it, in bytes (proc(5): `MemAvailable`), if it says so.
pub(crate) fn available_memory() -> Option<u64> {
    bytes_of("/proc/meminfo", "MemAvailable:")
}

/// What counts as the most memory that this process ever had begins anew (proc(5): `clear_refs`). Where the system
/// does not do that, it goes on counting what was before.
pub(crate) fn forget_greatest_memory() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// What this process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Minor faults.
    pub(crate) faults: u64,
    /// The processor's seconds, the program's and the system's.
    pub(crate) processor: f64,
}

/// What this process has used so far (proc(5): `stat`); nothing, if the system does not say.
pub(crate) fn usage() -> Usage {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name is in brackets, and may have spaces in it.
    let fields: Vec<&str> =
        text.rsplit_once(") ").map_or_else(Vec::new, |(_, fields)| fields.split(' ').collect());
    // The third field of proc(5) is the first behind the name.
    let field =
        |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let ticks = Duration::from_millis((field(14) + field(15)).saturating_mul(1000 / TICKS_A_SECOND));
    Usage { faults: field(10), processor: ticks.as_secs_f64() }
}

/// `USER_HZ` of every architecture that Linux has for servers.
const TICKS_A_SECOND: u64 = 100;

/// The directories of the files that this process runs from.
pub(crate) fn library_directories() -> BTreeSet<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let files = maps.lines().filter_map(|line| Path::new(&line[line.find('/')?..]).parent());
    files.map(Path::to_owned).collect()
}

/// A number of bytes that a file of proc(5) says in kilobytes, on the line that begins like this.
fn bytes_of(file: &str, beginning: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(beginning))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Where a mapping of a program or library begins and ends, and whether it is written; of a line of
/// `/proc/self/maps` (proc(5)).
fn of_a_file(line: &str) -> Option<(u64, u64, bool)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let access = words.next()?;
    let path = words.nth(3)?;
    let is_wanted = path.starts_with('/') && access.starts_with('r') && access.ends_with('p');
    let number = |text| u64::from_str_radix(text, 16).ok();
    is_wanted.then_some((number(start)?, number(end)?, access.contains('w')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_libraries_are_told_from_the_rest() {
        let text = "55d4c0a00000-55d4c0b00000 r-xp 00001000 fe:00 1234    /usr/bin/app with a space";
        assert_eq!(of_a_file(text), Some((0x55d4_c0a0_0000, 0x55d4_c0b0_0000, false)));
        let data = "7f00-7f01 rw-p 00000000 fe:00 9 /lib/libc.so.6";
        assert_eq!(of_a_file(data), Some((0x7f00, 0x7f01, true)));
        for other in [
            "7f00-7f01 rw-p 00000000 00:00 0",
            "7f00-7f01 rw-p 00000000 00:00 0 [stack]",
            "7f00-7f01 rw-s 00000000 00:05 7 /dev/shm/other",
            "7f00-7f01 ---p 00000000 fe:00 9 /lib/libc.so.6",
            "",
        ] {
            assert_eq!(of_a_file(other), None, "{other}");
        }
    }
}
