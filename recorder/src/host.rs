//! The machine a program is recorded on, as far as it changes what glibc does.

use std::fs;

use malloscope_traces::header::Host;
use rustix::process::Pid;
use rustix::thread::sched_getaffinity;

/// This machine, as the process with this id has it.
pub fn facts(process: u32) -> Host {
    let system = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    Host {
        name: text(system.nodename()),
        kernel: text(system.release()),
        architecture: text(system.machine()),
        page_size: rustix::param::page_size() as u64,
        processors_online: count(&read("/sys/devices/system/cpu/online")),
        processors_allowed: allowed(process),
        huge_pages: chosen(&read("/sys/kernel/mm/transparent_hugepage/enabled")).to_owned(),
        overcommit: read("/proc/sys/vm/overcommit_memory").trim().parse().unwrap_or(0),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// How many numbers a list like `0-3,8` has.
fn count(list: &str) -> u32 {
    list.trim().split(',').filter_map(length).fold(0, u32::saturating_add)
}

/// How many numbers a range like `0-3`, or a single one, has.
fn length(range: &str) -> Option<u32> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1)
}

/// Processors in the affinity mask; 0 if the process is gone already.
fn allowed(process: u32) -> u32 {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    let Some(process) = process else { return 0 };
    sched_getaffinity(Some(process)).map_or(0, |processors| processors.count())
}

/// The word in brackets.
fn chosen(choices: &str) -> &str {
    let inside = choices.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or("", |(chosen, _)| chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_in_lists_of_ranges() {
        for (list, expected) in [("0-1\n", 2), ("0", 1), ("0-3,8,10-11", 7), ("", 0), ("3-1", 0), ("x", 0)] {
            assert_eq!(count(list), expected, "{list}");
        }
    }

    #[test]
    fn the_chosen_word_is_the_one_in_brackets() {
        assert_eq!(chosen("always [madvise] never\n"), "madvise");
        assert_eq!(chosen(""), "");
    }
}
