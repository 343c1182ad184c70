//! What a machine sets for the malloc of all its programs: `/etc/tunables.conf`, from glibc 2.44 on.
//!
//! ldconfig(8) writes what it says into `/etc/ld.so.cache`, where the loader reads it before it looks at
//! the environment. In a trace it stands in the same place, in the words of that file: an entry becomes a
//! variable of the name [`SYSTEM_WIDE_TUNABLES`]. Entries for other programs are left out, and those for
//! programs with more rights than their user's, into which no agent is loaded. Of a value stands there
//! what the loader goes by: ldconfig reads no hexadecimal numbers, and makes 0 of `0x20000`.
//!
//! ```text
//!   0   "glibc-ld.so.cache1.1", files: u32, bytes of strings: u32, flags: u8 ×4, extensions: u32, …
//!   extensions      magic: u32, count: u32, count × (kind: u32, flags: u32, start: u32, length: u32)
//!   kind 2          signature: u32, version: u32, count: u32, 0: u32,
//!                   count × (flags: u32, number: u32, name: u32, value: u32, program: u32, 0: u32, parsed: u64)
//! ```
//!
//! All starts are counted from the beginning of the file, and strings end with a zero.

use std::fs;

use malloscope_traces::header::SYSTEM_WIDE_TUNABLES;

const CACHE: &str = "/etc/ld.so.cache";
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const EXTENSIONS_AT: usize = 32;
const EXTENSIONS_MAGIC: u32 = 0xeaa4_2174;
const TUNABLES_KIND: u32 = 2;
const SIGNATURE: u32 = 0x7c3b_a94f;
const VERSION: u32 = 0x0100_0000;
const HEAD: usize = 16;
const ENTRY: usize = 32;

// What the flags of an entry say.
const IS_PARSED: u32 = 0x1;
const IS_NEGATIVE: u32 = 0x2;
const OVERRIDE: u32 = 0xc;
const OVERRIDE_DENIED: u32 = 0x4;
const NOT_FOR_ORDINARY: u32 = 0x20;
const FILTER: u32 = 0xff00;
const FOR_ALL: u32 = 0;
const FOR_PROGRAM: u32 = 0x100;

/// What this machine sets for the malloc of that program, given by its path.
pub fn variables(program: &str) -> Vec<(String, String)> {
    let cache = fs::read(CACHE).unwrap_or_default();
    entries(&cache, program)
        .into_iter()
        .flatten()
        .map(|entry| (SYSTEM_WIDE_TUNABLES.to_owned(), entry))
        .collect()
}

/// The entries for malloc that the loader goes by in that program; `None` where there are none, or what is
/// there is nothing that the loader would read.
fn entries(cache: &[u8], program: &str) -> Option<Vec<String>> {
    let (start, length) = section(cache)?;
    let section = cache.get(start..start.checked_add(length)?)?;
    let count = number(section, 8)?;
    let is_known = number(section, 0)? == SIGNATURE && number(section, 4)? == VERSION;
    let list = section.get(HEAD..)?;
    if !is_known || Some(list.len()) != ENTRY.checked_mul(usize::try_from(count).ok()?) {
        return None;
    }
    let entries: Option<Vec<_>> =
        list.chunks_exact(ENTRY).map(|entry| words(cache, entry, program)).collect();
    Some(entries?.into_iter().flatten().collect())
}

/// Where the tunables are, if there are any: first byte and length.
fn section(cache: &[u8]) -> Option<(usize, usize)> {
    let directory = usize::try_from(number(cache, EXTENSIONS_AT)?).ok()?;
    if !cache.starts_with(MAGIC) || directory == 0 {
        return None;
    }
    let directory = cache.get(directory..)?;
    if number(directory, 0)? != EXTENSIONS_MAGIC {
        return None;
    }
    let count = usize::try_from(number(directory, 4)?).ok()?;
    let mut all = directory.get(8..)?.chunks_exact(16).take(count);
    let found = all.find(|section| number(section, 0) == Some(TUNABLES_KIND))?;
    let place = |at| number(found, at).and_then(|number| usize::try_from(number).ok());
    Some((place(8)?, place(12)?))
}

/// An entry in the words of the file, if it is for malloc and for that program. `None` outside where it
/// leads to nowhere.
fn words(cache: &[u8], entry: &[u8], program: &str) -> Option<Option<String>> {
    let flags = number(entry, 0)?;
    let name = string(cache, number(entry, 8)?)?;
    let text = string(cache, number(entry, 12)?)?;
    let wanted = number(entry, 16)?;
    let is_for_program = match flags & FILTER {
        FOR_ALL => true,
        FOR_PROGRAM => is_of(&string(cache, wanted)?, program),
        _ => false,
    };
    if !name.starts_with("glibc.malloc.") || !is_for_program || flags & NOT_FOR_ORDINARY != 0 {
        return Some(None);
    }
    let parsed = u64::from_le_bytes(entry.get(24..)?.try_into().ok()?);
    let value = match (flags & IS_PARSED != 0, flags & IS_NEGATIVE != 0) {
        (false, _) => text,
        (true, false) => parsed.to_string(),
        (true, true) => parsed.cast_signed().to_string(),
    };
    let denied = if flags & OVERRIDE == OVERRIDE_DENIED { "nonoverridable " } else { "" };
    Some(Some(format!("{denied}{name}={value}")))
}

/// Whether that is the program meant: by its path, or by its name alone.
fn is_of(wanted: &str, program: &str) -> bool {
    if wanted.starts_with('/') { program == wanted } else { program.rsplit('/').next() == Some(wanted) }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn string(cache: &[u8], at: u32) -> Option<String> {
    let bytes = cache.get(usize::try_from(at).ok()?..)?;
    let length = bytes.iter().position(|&byte| byte == 0)?;
    Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by ldconfig of Debian's glibc 2.44-3, from:
    ///
    /// ```text
    /// glibc.malloc.arena_max=2
    /// nonoverridable glibc.malloc.top_pad = 65536
    /// anysecure glibc.malloc.mmap_threshold=0x20000
    /// onlysecure glibc.malloc.mmap_max=3
    /// [proc:prog]
    /// glibc.malloc.tcache_count=3
    /// [proc:/bin/prog]
    /// glibc.malloc.tcache_max=200
    /// []
    /// - glibc.malloc.trim_threshold=-1
    /// glibc.cpu.x86_ibt=on
    /// glibc.malloc.nothing=4
    /// glibc.malloc.perturb=x
    /// glibc.malloc.arena_max=5
    /// ```
    const REAL: &[u8] = include_bytes!("../tests/golden/tunables.cache");

    fn check(program: &str, of_program: &[&str]) {
        let mut expected = vec![
            "glibc.malloc.arena_max=2",
            "nonoverridable glibc.malloc.top_pad=65536",
            "glibc.malloc.mmap_threshold=0",
        ];
        expected.extend(of_program);
        expected.extend([
            "nonoverridable glibc.malloc.trim_threshold=-1",
            "glibc.malloc.nothing=4",
            "glibc.malloc.perturb=x",
            "glibc.malloc.arena_max=5",
        ]);
        assert_eq!(entries(REAL, program).unwrap(), expected, "{program}");
    }

    #[test]
    fn entries_are_those_of_the_program() {
        check("/usr/bin/other", &[]);
        check("/usr/bin/prog", &["glibc.malloc.tcache_count=3"]);
        check("/bin/prog", &["glibc.malloc.tcache_count=3", "glibc.malloc.tcache_max=200"]);
    }

    #[test]
    fn what_is_cut_short_or_says_something_else_sets_nothing() {
        for length in 0..REAL.len() {
            assert_eq!(entries(&REAL[..length], "/bin/prog"), None, "{length}");
        }
        for at in 0..REAL.len() {
            let mut other = REAL.to_vec();
            other[at] ^= 0xff;
            // Whatever it is then: nothing panics, and no entry comes to it.
            let found = entries(&other, "/bin/prog").unwrap_or_default();
            assert!(found.len() <= 10, "{at}: {found:?}");
        }
    }

    #[test]
    fn a_cache_without_tunables_sets_nothing() {
        let mut without = REAL.to_vec();
        without[EXTENSIONS_AT..EXTENSIONS_AT + 4].fill(0);
        assert_eq!(entries(&without, "/bin/prog"), None);
    }
}
