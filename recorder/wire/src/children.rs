//! Which processes that a recorded one makes are recorded too.

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Bytes of the names of programs, each with a zero behind it.
pub const NAMES_BYTES: usize = 1024;

/// Which are recorded. The recorder writes it before any program is there, but for the first process.
#[derive(Debug)]
#[repr(C)]
pub struct Children {
    /// A [`Which`].
    which: AtomicU32,
    /// The id of the process that was launched or attached to, which is recorded whatever program it becomes: of the first
    /// that is there.
    first: AtomicU32,
    names: [AtomicU8; NAMES_BYTES],
}

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Which {
    /// All.
    All,
    /// None.
    None,
    /// Those that run a program of one of the names.
    Named,
}

impl Children {
    /// These are, of programs with these names. False if there is no room for so many.
    pub fn choose<'n>(&self, which: Which, names: impl Iterator<Item = &'n [u8]>) -> bool {
        let bytes = names.flat_map(|name| name.iter().chain(&[0]));
        let mut room = self.names.iter();
        for byte in bytes {
            let Some(place) = room.next() else { return false };
            place.store(*byte, Ordering::Relaxed);
        }
        self.which.store(which as u32, Ordering::Release);
        // A zero is behind the last name, too.
        room.next().is_some()
    }

    /// Whether the process with this id, which runs the program with this path, is recorded.
    pub fn include(&self, process: u32, program: &[u8]) -> bool {
        let first = self.first.compare_exchange(0, process, Ordering::AcqRel, Ordering::Acquire);
        let is_first = first.is_ok() || first == Err(process);
        match self.which.load(Ordering::Acquire) {
            which if which == Which::None as u32 => is_first,
            which if which == Which::Named as u32 => is_first || self.has_name(program),
            _ => true,
        }
    }

    fn has_name(&self, program: &[u8]) -> bool {
        let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let names = self.names.split(|byte| byte.load(Ordering::Relaxed) == 0);
        let is_it = |other: &[AtomicU8]| {
            other.iter().map(|byte| byte.load(Ordering::Relaxed)).eq(name.iter().copied())
        };
        !name.is_empty() && { names }.any(is_it)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    fn children(which: Which, names: &[&str]) -> Children {
        let names_here = [const { AtomicU8::new(0) }; NAMES_BYTES];
        let children = Children { which: AtomicU32::new(0), first: AtomicU32::new(0), names: names_here };
        assert!(children.choose(which, names.iter().map(|name| name.as_bytes())));
        children
    }

    #[test]
    fn the_first_process_is_recorded_and_others_if_they_are_wanted() {
        for (which, expected) in
            [(Which::All, [true; 4]), (Which::None, [false; 4]), (Which::Named, [true, true, false, false])]
        {
            let children = children(which, &["cc1", "as"]);
            assert!(children.include(7, b"/usr/bin/make"));
            assert!(children.include(7, b"/usr/bin/sh"), "whatever it becomes");
            let programs: [&[u8]; 4] = [b"/usr/lib/cc1", b"as", b"/usr/bin/cc1plus", b""];
            assert_eq!(programs.map(|program| children.include(8, program)), expected, "{which:?}");
        }
    }

    #[test]
    fn more_names_than_there_is_room_for_are_refused() {
        let children = children(Which::All, &[]);
        let long = [b'x'; NAMES_BYTES - 2];
        assert!(children.choose(Which::Named, [&long[..]].into_iter()));
        assert!(children.include(1, b"x") && children.include(2, &long) && !children.include(2, b"x"));
        assert!(!children.choose(Which::Named, [&long[..], b"y"].into_iter()));
    }
}
