//! A process we attach to: its memory, and what the kernel tells of it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// The longest piece of memory that is read at once: what a process says of lengths is not believed.
const MOST: u64 = 256 << 20;

/// A process.
#[derive(Debug)]
pub struct Target {
    /// Its id.
    pub pid: u32,
    memory: File,
}

impl Target {
    /// The process with this id, as long as it runs the program that it runs now.
    pub fn open(pid: u32) -> io::Result<Target> {
        let path = format!("/proc/{pid}/mem");
        let memory = File::options().read(true).write(true).open(path)?;
        Ok(Target { pid, memory })
    }

    /// Bytes of its memory, if all of them are there.
    pub fn bytes(&self, at: u64, length: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length.min(MOST)).ok()?];
        self.memory.read_exact_at(&mut bytes, at).ok()?;
        (length <= MOST).then_some(bytes)
    }

    /// A word of its memory.
    pub fn word(&self, at: u64) -> Option<u64> {
        let mut word = [0; 8];
        self.memory.read_exact_at(&mut word, at).ok()?;
        Some(u64::from_le_bytes(word))
    }

    /// Half a word.
    pub fn half(&self, at: u64) -> Option<u32> {
        let mut half = [0; 4];
        self.memory.read_exact_at(&mut half, at).ok()?;
        Some(u32::from_le_bytes(half))
    }

    /// Writes to its memory, whether or not it could itself write there.
    pub fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.memory.write_all_at(bytes, at)
    }

    /// Writes a word.
    pub fn write_word(&self, at: u64, word: u64) -> io::Result<()> {
        self.write(at, &word.to_le_bytes())
    }

    /// A string in its memory: up to the next zero, or as much as a path may be long.
    pub fn string(&self, at: u64) -> Option<Vec<u8>> {
        const LONGEST: usize = 4096;
        let mut string = Vec::new();
        while string.len() < LONGEST {
            // Not beyond a page: the next may not be there.
            let from = at + string.len() as u64;
            let piece = self.bytes(from, 256 - from % 256)?;
            let end = piece.iter().position(|byte| *byte == 0);
            string.extend(piece.iter().take(end.unwrap_or(piece.len())));
            if end.is_some() {
                return Some(string);
            }
        }
        None
    }

    /// What the kernel has under this name for the process, as text.
    pub fn told(&self, name: &str) -> String {
        told(self.pid, name)
    }

    /// Opens a file the process has open, by its descriptor.
    pub fn opened(&self, descriptor: u64) -> io::Result<File> {
        File::options().read(true).write(true).open(format!("/proc/{}/fd/{descriptor}", self.pid))
    }

    /// What is in its auxiliary vector under this kind.
    pub fn auxiliary(&self, kind: u64) -> Option<u64> {
        let vector = fs::read(format!("/proc/{}/auxv", self.pid)).ok()?;
        let (pairs, _) = vector.as_chunks::<16>();
        pairs.iter().map(|pair| u128::from_le_bytes(*pair)).find_map(|pair| {
            let (found, value) = (pair & u128::from(u64::MAX), pair >> 64);
            (found == u128::from(kind)).then(|| u64::try_from(value).unwrap_or(0))
        })
    }

    /// The mappings of files whose name begins so: where each begins, and how far into the file that is.
    pub fn mappings(&self, name: &str) -> Vec<(u64, u64)> {
        self.told("maps").lines().filter_map(|line| mapping(line, name)).collect()
    }
}

/// Where the mapping on this line of `maps` begins and how far into its file, if that has a name that begins so.
fn mapping(line: &str, name: &str) -> Option<(u64, u64)> {
    let mut words = line.split_ascii_whitespace();
    let (start, _) = words.next()?.split_once('-')?;
    let offset = words.nth(1)?;
    let is_its = words.nth(2)?.starts_with(name);
    let number = |text| u64::from_str_radix(text, 16).ok();
    if is_its { Some((number(start)?, number(offset)?)) } else { None }
}

/// What the kernel has under this name for a process, as text; empty if that is gone, or not to be seen.
pub fn told(pid: u32, name: &str) -> String {
    fs::read(format!("/proc/{pid}/{name}"))
        .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// What a line of `status` says under this name.
pub fn status(pid: u32, name: &str) -> Option<String> {
    status_in(pid, "status", name)
}

/// What a line of this file, which is like `status`, says under this name.
pub fn status_in(pid: u32, file: &str, name: &str) -> Option<String> {
    value_in(&told(pid, file), name).map(str::to_owned)
}

/// What a line of a text that is like `status` says under this name.
pub fn value_in<'t>(status: &'t str, name: &str) -> Option<&'t str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// When a process began, in the kernel's ticks since the machine did.
pub fn began(pid: u32) -> Option<u64> {
    let stat = told(pid, "stat");
    // The fields follow the name, which is in parentheses and may hold any character.
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

/// The path of its program.
pub fn executable(pid: u32) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe"))
}
