//! Who makes a call of the kernel: malloc, or something else.
//!
//! Malloc makes its calls through the C library's `mmap`, `mprotect` and `madvise`, which have nothing on the stack, or
//! what they saved of their caller's registers. So the first word there that points into code is where they return
//! to, and if that is in the C library as well, it is malloc's doing: of all that is in there, only malloc maps private
//! memory without a file that is no stack. (`mremap` has more there, of which some may be left from earlier calls.)

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use super::tracee::Call;
use crate::heap::copy::Range;
use crate::heap::maps;

/// How far up the stack is looked for where a call returns to.
const WORDS: usize = 8;

/// The code of a process, and its stacks.
#[derive(Debug)]
pub struct Callers {
    pid: u32,
    memory: Option<File>,
    code: Option<Code>,
}

#[derive(Debug)]
struct Code {
    all: Vec<Range>,
    libc: Vec<Range>,
}

impl Callers {
    /// Those of a process that runs a program from its start.
    pub fn of(pid: u32) -> Callers {
        Callers { pid, memory: File::open(format!("/proc/{pid}/mem")).ok(), code: None }
    }

    /// There may be other code than there was.
    pub fn forget(&mut self) {
        self.code = None;
    }

    /// Whether the code of the C library makes this call, and on whose behalf: not that of the program.
    pub fn is_within_libc(&mut self, call: &Call) -> bool {
        let pid = self.pid;
        let code = self.code.get_or_insert_with(|| Code::of(pid));
        if !is_in(&code.libc, call.at) {
            return false;
        }
        let mut stack = [0; 8 * WORDS];
        let Some(memory) = &self.memory else { return false };
        // A stack that ends sooner is read as far as it goes.
        let Ok(length) = memory.read_at(&mut stack, call.stack) else { return false };
        let words = stack.get(..length).unwrap_or_default().as_chunks().0.iter();
        let back = words.map(|word| u64::from_le_bytes(*word)).find(|&word| is_in(&code.all, word));
        back.is_some_and(|back| is_in(&code.libc, back))
    }
}

impl Code {
    fn of(pid: u32) -> Code {
        let mapped = maps::parse(&fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default());
        let code = || mapped.iter().filter(|mapped| mapped.is_code);
        Code {
            all: code().map(|mapped| mapped.range).collect(),
            libc: code().filter(|mapped| is_libc(&mapped.name)).map(|mapped| mapped.range).collect(),
        }
    }
}

/// Whether a file of this path is glibc's `libc.so.6`; it is called `libc-2.31.so` too.
fn is_libc(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name == "libc.so.6" || (name.starts_with("libc-2.") && name.ends_with(".so"))
}

fn is_in(ranges: &[Range], address: u64) -> bool {
    ranges.iter().any(|range| (range.start..range.end).contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_is_known_by_its_names() {
        for path in ["/lib/x86_64-linux-gnu/libc.so.6", "/opt/glibc/libc-2.31.so"] {
            assert!(is_libc(path), "{path}");
        }
        for path in ["/usr/lib/libcap.so.2", "/usr/lib/libc-client.so", "/lib/ld-linux-x86-64.so.2", ""] {
            assert!(!is_libc(path), "{path}");
        }
    }
}
