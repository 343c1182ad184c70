//! Where in its `malloc.c` each release asserts what can fail over a corrupted heap: glibc prints the line.
//!
//! By the sources of each release and branch. Of a release that distributions build from its branch, the
//! branch's.

use super::Release;
use crate::corruption::Corruption;

/// What a release is called; the line in `sysmalloc` where the break's alignment is asserted, and that in
/// `mremap_chunk` where whole pages are, 0 where they are not; and that in `_int_memalign` where the aligned chunk's
/// length is, 0 where no request can be so great that it matters.
type Row = (&'static str, u32, u32, u32);

/// In the order of [`Release::ALL`].
const LINES: [Row; Release::ALL.len()] = [
    ("2.23", 2650, 2869, 4463),
    ("2.24", 2656, 2880, 4497),
    ("2.25", 2622, 2845, 4469),
    ("2.26", 2668, 2891, 4770),
    ("2.26-branch", 2656, 2875, 4712),
    ("2.27", 2651, 2868, 0),
    ("2.28", 2635, 2852, 0),
    ("2.28-branch", 2639, 0, 0),
    ("2.29", 2642, 0, 0),
    ("2.30", 2632, 0, 0),
    ("2.31", 2632, 0, 0),
    ("2.32", 2647, 0, 0),
    ("2.33", 2796, 0, 0),
    ("2.34", 2755, 0, 0),
    ("2.35", 2862, 0, 0),
    ("2.36", 2861, 0, 0),
    ("2.37", 2843, 0, 0),
    ("2.38", 2837, 0, 0),
    ("2.38-branch", 2842, 0, 0),
    ("2.39", 2847, 0, 0),
    ("2.40", 2847, 0, 0),
    ("2.41", 2849, 0, 0),
    ("2.42", 2855, 0, 0),
    ("2.42-branch", 2858, 0, 0),
    ("2.43", 2624, 0, 0),
    ("2.44", 2452, 0, 0),
];

impl Release {
    /// The line in `malloc.c` at which this is asserted; 0 where it is not, or that is not known.
    pub(crate) fn line_of(&self, corruption: Corruption) -> u32 {
        let row = LINES.iter().find(|(name, ..)| *name == self.name);
        match (corruption, row) {
            (Corruption::BreakMisaligned, Some((_, line, _, _)))
            | (Corruption::RemapAssertion, Some((_, _, line, _)))
            | (Corruption::MemalignTooShort, Some((_, _, _, line))) => *line,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_lines() {
        assert_eq!(LINES.map(|(name, ..)| name), Release::ALL.map(|row| row.name));
        for row in Release::ALL {
            let line = row.line_of(Corruption::RemapAssertion);
            assert_eq!(line != 0, !row.checks.mapped_place, "{}", row.name);
        }
    }
}
