//! What a process has mapped, as `/proc/PID/maps` tells it, and which of its pages hold memory.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::copy::{PAGE, Range};

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Where it lies.
    pub range: Range,
    /// Whether the process may write to it, and no other process sees that.
    pub is_private_and_writable: bool,
    /// Whether what is there may be run.
    pub is_code: bool,
    /// Whether anything at all may be done with it.
    pub is_accessible: bool,
    /// The file it was made from, or a name in brackets; empty where there is none.
    pub name: String,
}

impl Mapped {
    /// Whether there is no file behind it, and it is not the kernel's.
    pub fn is_anonymous(&self) -> bool {
        self.name.is_empty() || self.name == "[heap]" || self.name.starts_with("[anon")
    }
}

/// Reads lines of `/proc/PID/maps`; what is no such line is left out.
pub fn parse(text: &str) -> Vec<Mapped> {
    text.lines().filter_map(line).collect()
}

/// Reads such a line; `None` if it is none.
pub fn line(line: &str) -> Option<Mapped> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    let range = Range { start: number(start)?, end: number(end)? };
    let access = rest.split(' ').next()?;
    // The name comes after access, offset, device and inode, and may have blanks in it.
    let name = rest.splitn(5, ' ').nth(4).map_or("", str::trim).to_owned();
    let is_private_and_writable = access.starts_with("rw") && access.ends_with('p');
    let is_code = access.contains('x');
    let is_accessible = !access.starts_with("---");
    let mapped = Mapped { range, is_private_and_writable, is_code, is_accessible, name };
    (range.end > range.start).then_some(mapped)
}

/// A page holds memory.
const PRESENT: u64 = 1 << 63;
/// A page is in swap.
const SWAPPED: u64 = 1 << 62;

/// Which pages of a process hold memory.
#[derive(Debug)]
pub struct Pages(File);

/// The pages of a range: those that are in memory, and those that hold anything at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Residency {
    /// In memory.
    pub resident: Vec<Range>,
    /// In memory or in swap.
    pub present: Vec<Range>,
}

impl Pages {
    /// Those of a process; `None` if we may not know.
    pub fn of(pid: u32) -> Option<Pages> {
        File::open(format!("/proc/{pid}/pagemap")).ok().map(Pages)
    }

    /// Those in a range; `None` if they cannot be told.
    pub fn within(&self, range: Range) -> Option<Residency> {
        let mut found = Residency::default();
        let mut entries = vec![0; 1 << 16];
        let mut page = range.start / PAGE;
        let end = range.end.div_ceil(PAGE);
        while page < end {
            let wanted = usize::try_from((end - page).saturating_mul(8)).ok()?.min(entries.len());
            let buffer = entries.get_mut(..wanted)?;
            self.0.read_exact_at(buffer, page * 8).ok()?;
            for entry in buffer.chunks_exact(8).filter_map(|entry| entry.first_chunk()) {
                let entry = u64::from_le_bytes(*entry);
                if entry & PRESENT != 0 {
                    extend(&mut found.resident, page * PAGE);
                }
                if entry & (PRESENT | SWAPPED) != 0 {
                    extend(&mut found.present, page * PAGE);
                }
                page += 1;
            }
        }
        Some(found)
    }
}

/// Adds a page to ranges that end at it or before.
fn extend(ranges: &mut Vec<Range>, page: u64) {
    match ranges.last_mut() {
        Some(last) if last.end == page => last.end += PAGE,
        _ => ranges.push(Range { start: page, end: page + PAGE }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_read_and_what_is_none_is_not() {
        let text = "55d0-55d8 rw-p 00000000 00:00 0                          [heap]\n\
                    7f00-7f10 r--p 00001000 fe:00 17    /lib/with blanks.so (deleted)\n\
                    7f10-7f20 rw-s 00000000 00:01 5     /memfd:x\n\
                    nonsense\n7f30-7f20 rw-p 0 0 0\n7f40-7f50 rw-p 00000000 00:00 0 \n";
        let maps = parse(text);
        let names: Vec<_> = maps.iter().map(|one| (one.name.as_str(), one.is_private_and_writable)).collect();
        assert_eq!(
            names,
            [("[heap]", true), ("/lib/with blanks.so (deleted)", false), ("/memfd:x", false), ("", true)]
        );
        assert_eq!(maps[0].range, Range { start: 0x55d0, end: 0x55d8 });
        assert_eq!(maps.iter().map(Mapped::is_anonymous).collect::<Vec<_>>(), [true, false, false, true]);
    }

    #[test]
    fn pages_that_were_written_hold_memory() {
        let bytes = vec![1_u8; 64 << 10];
        let start = (bytes.as_ptr() as u64).next_multiple_of(PAGE);
        let range = Range { start, end: start + 4 * PAGE };
        let pages = Pages::of(std::process::id()).and_then(|pages| pages.within(range)).expect("our own");
        assert_eq!(pages.present, [range]);
    }
}
