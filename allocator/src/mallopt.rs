//! `mallopt`: settings that change while the program runs.
//!
//! | parameter | | sets | values | returns 0 |
//! |---|---|---|---|---|
//! | `M_MXFAST` | 1 | `mxfast` | 0 to 160 | beyond |
//! | `M_TRIM_THRESHOLD` | -1 | `trim_threshold` | any | |
//! | `M_TOP_PAD` | -2 | `top_pad` | any | |
//! | `M_MMAP_THRESHOLD` | -3 | `mmap_threshold` | up to 32 MiB; from 2.35 on any | beyond |
//! | `M_MMAP_MAX` | -4 | `mmap_max` | any; a negative one maps nothing | |
//! | `M_CHECK_ACTION` | -5 | what is done about corruption, until 2.26; then nothing | any | |
//! | `M_PERTURB` | -6 | `perturb` | any; the low byte counts | |
//! | `M_ARENA_TEST` | -7 | `arena_test` | 1 or more, others do nothing | |
//! | `M_ARENA_MAX` | -8 | `arena_max` | 1 or more, others do nothing | |
//!
//! A negative value becomes a very large size: -1 is “never” for a threshold. What is no parameter
//! does nothing and returns 1. Every call consolidates the main arena's fast chunks first, whatever
//! it is about, as long as there are any (until 2.42).

use crate::corruption::Corruption;
use crate::heap::Heap;
use crate::memory::Memory;
use crate::observe::Observer;
use crate::release::Release;
use crate::tunables::Tunable;

/// What a parameter sets to this value, if anything.
fn meant(release: &Release, parameter: i32, value: i32) -> Option<Tunable> {
    match parameter {
        1 => Some(Tunable::Mxfast),
        -1 => Some(Tunable::TrimThreshold),
        -2 => Some(Tunable::TopPad),
        -3 => Some(Tunable::MmapThreshold),
        -4 => Some(Tunable::MmapMax),
        -5 => Some(Tunable::Check),
        -6 => Some(Tunable::Perturb),
        -7 if value > 0 => Some(Tunable::ArenaTest),
        -8 if value > 0 => Some(release.meant_by(Tunable::ArenaMax)),
        _ => None,
    }
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// `mallopt(parameter, value)`; what it returns.
    ///
    /// # Errors
    ///
    /// What is wrong with the fast chunks that it consolidates.
    pub fn mallopt(&mut self, parameter: i32, value: i32) -> Result<i32, Corruption> {
        self.arenas[0].consolidate(&mut self.cx)?;
        let Some(tunable) = meant(&self.cx.release, parameter, value) else { return Ok(1) };
        // The C converts the int to a size_t: a negative one becomes very large.
        let value = i64::from(value).cast_unsigned();
        Ok(i32::from(self.cx.parameters.set(&self.cx.release, tunable, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::heap;
    use crate::release::{V2_23, V2_31, V2_36};

    #[test]
    fn values_beyond_the_bounds_are_refused_or_do_nothing() {
        for (release, parameter, value, returned, changed) in [
            (V2_36, 1, 160, 1, true),
            (V2_36, 1, 161, 0, false),
            (V2_36, 1, -1, 0, false),
            (V2_36, -1, -1, 1, true),
            (V2_36, -2, -1, 1, true),
            (V2_31, -3, 32 << 20, 1, true),
            (V2_31, -3, (32 << 20) + 1, 0, false),
            (V2_36, -3, (32 << 20) + 1, 1, true),
            (V2_36, -4, -1, 1, true),
            (V2_36, -5, 3, 1, false),
            (V2_23, -5, 1, 1, true),
            (V2_36, -6, 0x1234, 1, true),
            (V2_36, -7, 0, 1, false),
            (V2_36, -7, 1, 1, true),
            (V2_36, -8, -1, 1, false),
            (V2_36, -8, 1, 1, true),
            (V2_36, 77, 1, 1, false),
        ] {
            let mut heap = heap(release);
            let before = *heap.parameters();
            let what = format!("{} mallopt({parameter}, {value})", release.name);
            assert_eq!(heap.mallopt(parameter, value), Ok(returned), "{what}");
            assert_eq!(*heap.parameters() != before, changed, "{what}");
        }
    }

    #[test]
    fn one_release_takes_the_limit_on_arenas_for_the_test() {
        let mut heap = heap(Release { arena_max_sets_arena_test: true, ..V2_31 });
        assert_eq!(heap.mallopt(-8, 3), Ok(1));
        assert_eq!((heap.parameters().arena_max, heap.parameters().arena_test), (0, 3));
    }
}
