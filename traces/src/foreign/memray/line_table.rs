//! The lines of a Python function's instructions, as its code object has them (`co_linetable`, before 3.10 `co_lnotab`).

/// The line of the instruction that a frame of Python stood at; none if the table does not say, or is damaged.
///
/// `python` is `PY_VERSION_HEX`, `first` the line where the function begins. An instruction is told in bytes, but for
/// 3.10, where it is counted.
pub(super) fn line(python: u32, table: &[u8], first: u32, instruction: i64) -> Option<u32> {
    let instruction = u64::try_from(instruction).ok()?;
    let line = match python >> 16 {
        0x030b.. => by_location(table, first, instruction / 2),
        0x030a => by_range(table, first, instruction.checked_mul(2)?),
        _ => by_increment(table, first, instruction),
    };
    line.and_then(|line| u32::try_from(line).ok()).filter(|line| *line > 0)
}

/// Since 3.11: an entry for some code units, with a kind, how the line moves, and columns.
fn by_location(table: &[u8], first: u32, instruction: u64) -> Option<i64> {
    let mut bytes = table.iter().copied();
    let (mut line, mut end) = (i64::from(first), 0_u64);
    while let Some(head) = bytes.next() {
        let kind = head >> 3 & 15;
        match kind {
            15 => {}
            14 => {
                line += signed(&mut bytes)?;
                for _ in ["the last line", "the first column", "the last column"] {
                    unsigned(&mut bytes)?;
                }
            }
            13 => line += signed(&mut bytes)?,
            10..13 => {
                line += i64::from(kind) - 10;
                bytes.nth(1)?;
            }
            _ => {
                bytes.next()?;
            }
        }
        end += u64::from(head & 7) + 1;
        if instruction < end {
            return (kind != 15).then_some(line);
        }
    }
    None
}

/// 3.10: by how much the instruction and the line move; −128 is no line.
fn by_range(table: &[u8], first: u32, instruction: u64) -> Option<i64> {
    let (mut line, mut end) = (i64::from(first), 0_u64);
    for &[length, moved] in table.as_chunks::<2>().0 {
        let moved = moved.cast_signed();
        let has_line = moved != i8::MIN;
        if has_line {
            line += i64::from(moved);
        }
        end += u64::from(length);
        if instruction < end {
            return has_line.then_some(line);
        }
    }
    None
}

/// Before: where the next line begins, and by how much it moves.
fn by_increment(table: &[u8], first: u32, instruction: u64) -> Option<i64> {
    let (mut line, mut begin) = (i64::from(first), 0_u64);
    for &[length, moved] in table.as_chunks::<2>().0 {
        begin += u64::from(length);
        if instruction < begin {
            break;
        }
        line += i64::from(moved.cast_signed());
    }
    Some(line)
}

/// A number of six bits a byte, the lowest first.
fn unsigned(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut number = 0;
    for shift in (0..60).step_by(6) {
        let byte = bytes.next()?;
        number |= u64::from(byte & 63) << shift;
        if byte & 64 == 0 {
            return Some(number);
        }
    }
    None
}

/// One that may be negative: its lowest bit is the sign.
fn signed(bytes: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let folded = unsigned(bytes)?;
    let size = i64::try_from(folded >> 1).ok()?;
    Some(if folded & 1 == 0 { size } else { -size })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines, and how many instructions one behind the other are on each.
    fn lines(python: u32, table: &[u8], instructions: &[i64]) -> Vec<(Option<u32>, u32)> {
        let mut runs: Vec<(Option<u32>, u32)> = Vec::new();
        for instruction in instructions {
            let line = line(python, table, 1, *instruction);
            match runs.last_mut() {
                Some((last, count)) if *last == line => *count += 1,
                _ => runs.push((line, 1)),
            }
        }
        runs
    }

    /// A Python, a table, and lines with how many instructions one behind the other are on each; 0 is no line.
    type Known = (u32, &'static [u8], &'static [(u32, u32)]);

    /// Pythons and what they have for a function of ten lines, with what they themselves say of it (`co_positions()`,
    /// `co_lines()` and `dis.findlinestarts`):
    ///
    /// ```python
    /// def f(a):
    ///     if a:
    ///         return [
    ///             a]
    ///     for i in a:
    ///         try:
    ///             print(i,
    ///                   a)
    ///         finally:
    ///             a = 1
    /// ```
    const TABLES: [Known; 4] = [
        (
            0x0308,
            &[0, 1, 4, 2, 2, 255, 4, 2, 8, 1, 2, 1, 4, 1, 2, 255, 8, 3],
            &[(2, 2), (4, 1), (3, 2), (5, 4), (6, 1), (7, 2), (8, 1), (7, 4), (10, 6)],
        ),
        (
            0x030a,
            &[4, 1, 2, 2, 4, 255, 8, 2, 2, 1, 4, 1, 2, 1, 6, 255, 12, 3, 4, 251],
            &[(2, 2), (4, 1), (3, 2), (5, 4), (6, 1), (7, 2), (8, 1), (7, 3), (10, 6), (5, 2)],
        ),
        (
            0x030b,
            &[
                128, 0, 216, 7, 8, 240, 0, 2, 5, 15, 224, 12, 13, 240, 3, 1, 16, 15, 240, 0, 1, 9, 15, 224,
                13, 14, 240, 0, 5, 5, 18, 240, 0, 5, 5, 18, 136, 1, 240, 2, 4, 9, 18, 221, 12, 17, 144, 33,
                216, 18, 19, 241, 3, 1, 13, 21, 244, 0, 1, 13, 21, 240, 0, 1, 13, 21, 240, 6, 0, 17, 18, 136,
                65, 136, 65, 248, 144, 1, 136, 65, 136, 69, 136, 69, 136, 69, 136, 69, 240, 11, 5, 5, 18,
                240, 0, 5, 5, 18,
            ],
            &[
                (1, 1),
                (2, 2),
                (4, 1),
                (3, 2),
                (5, 4),
                (6, 1),
                (7, 7),
                (8, 1),
                (7, 8),
                (10, 3),
                (0, 1),
                (10, 6),
                (5, 2),
            ],
        ),
        (
            0x030d,
            &[
                128, 0, 222, 7, 8, 224, 12, 13, 240, 3, 1, 16, 15, 240, 0, 1, 9, 15, 227, 13, 14, 136, 1,
                240, 2, 4, 9, 18, 220, 12, 17, 144, 33, 216, 18, 19, 244, 3, 1, 13, 21, 240, 6, 0, 17, 18,
                138, 65, 242, 11, 0, 14, 15, 248, 240, 10, 0, 17, 18, 137, 65, 250,
            ],
            &[
                (1, 1),
                (2, 7),
                (4, 1),
                (3, 2),
                (5, 5),
                (6, 1),
                (7, 6),
                (8, 1),
                (7, 5),
                (10, 4),
                (5, 3),
                (0, 1),
                (10, 3),
                (0, 3),
            ],
        ),
    ];

    #[test]
    fn the_lines_are_those_that_python_says() {
        for (python, table, expected) in TABLES {
            let count: u32 = expected.iter().map(|(_, count)| count).sum();
            let step = if python == 0x030a { 1 } else { 2 };
            let instructions: Vec<i64> = (0..i64::from(count)).map(|at| at * step).collect();
            let expected: Vec<_> =
                expected.iter().map(|&(line, count)| ((line > 0).then_some(line), count)).collect();
            assert_eq!(lines(python << 16, table, &instructions), expected, "{python:x}");
        }
    }

    #[test]
    fn a_table_that_breaks_off_says_nothing_false() {
        for (python, table, _) in TABLES {
            for length in 0..table.len() {
                let cut = &table[..length];
                for instruction in [-1, 0, 7, 40, 1 << 40] {
                    let said = line(python << 16, cut, 1, instruction);
                    assert!(
                        said.is_none_or(|line| (1..=10).contains(&line)),
                        "{python:x}, {length}: {said:?}"
                    );
                }
            }
        }
        assert_eq!(line(0x030b_0000, &[0xf0, 0xff, 0xff], 1, 0), None);
    }
}
