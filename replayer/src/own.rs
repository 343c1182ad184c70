//! Our own code and data, which are to be in memory before a replay over real memory begins: what is met for
//! the first time during it takes a fault, and faults are how its pages are counted.

use malloscope_allocator::address::Address;
use malloscope_allocator::memory::process::Process;
use std::fs;

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
