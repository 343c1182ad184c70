//! `malloc_stats`: what each arena has and uses, as text.

use super::Heap;
use crate::corruption::Corruption;
use crate::memory::Memory;
use crate::observe::Observer;
use alloc::string::String;
use core::fmt::{self, Write};

impl<M: Memory, O: Observer> Heap<M, O> {
    /// What `malloc_stats()` prints to the standard error stream. All numbers but the last are C's
    /// `unsigned int` and begin anew at every 4 GiB.
    ///
    /// # Errors
    ///
    /// When a fastbin leads nowhere, from glibc 2.32 on.
    pub fn malloc_stats(&self) -> Result<String, Corruption> {
        let mut text = String::new();
        let parameters = &self.cx.parameters;
        let mut system = parameters.mapped_bytes;
        let mut in_use = parameters.mapped_bytes;
        for (number, arena) in self.ring().enumerate() {
            let used = arena.in_use_bytes(arena.free(&self.cx)?);
            let _ = writeln!(text, "Arena {number}:");
            let _ = write_bytes(&mut text, arena.system_bytes, used);
            system = system.wrapping_add(arena.system_bytes);
            in_use = in_use.wrapping_add(used);
        }
        let _ = writeln!(text, "Total (incl. mmap):");
        let _ = write_bytes(&mut text, system, in_use);
        let _ = writeln!(
            text,
            "max mmap regions = {:>10}",
            unsigned(i64::from(parameters.greatest_mapped_chunks) as u64)
        );
        let _ = writeln!(text, "max mmap bytes   = {:>10}", parameters.greatest_mapped_bytes);
        Ok(text)
    }
}

fn write_bytes(out: &mut impl Write, system: u64, in_use: u64) -> fmt::Result {
    writeln!(out, "system bytes     = {:>10}", unsigned(system))?;
    writeln!(out, "in use bytes     = {:>10}", unsigned(in_use))
}

/// The C's conversion of a `size_t` to an `unsigned int`.
fn unsigned(value: u64) -> u64 {
    value & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use crate::address::Request;
    use crate::fresh::heap;
    use crate::release::V2_36;
    use crate::thread::ThreadId;

    #[test]
    fn arenas_are_told_the_latest_first_after_the_main_one() {
        let mut heap = heap(V2_36);
        for (thread, request) in [(0, 100), (1, 1000), (2, 50_000)] {
            heap.malloc(ThreadId(thread), Request(request)).expect("room");
        }
        let large = heap.malloc(ThreadId::MAIN, Request(5 << 30)).expect("room");
        heap.free(ThreadId::MAIN, large).expect("sound");
        heap.malloc(ThreadId::MAIN, Request(9 << 30)).expect("room");
        // An arena begins with its structures, 0x8d0 bytes; a cache takes 0x290.
        let expected = "\
Arena 0:
system bytes     =     135168
in use bytes     =        768
Arena 1:
system bytes     =     135168
in use bytes     =      52928
Arena 2:
system bytes     =     135168
in use bytes     =       3920
Total (incl. mmap):
system bytes     = 1074151424
in use bytes     = 1073803536
max mmap regions =          1
max mmap bytes   = 9663680512
";
        assert_eq!(heap.malloc_stats().expect("sound"), expected);
    }
}
