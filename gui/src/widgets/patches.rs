//! Rectangles that cover what there is on a grid, and nothing else: what is clear costs as much to draw as what is not, so
//! it is left out.

use std::ops::Range;

/// Some columns of some rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The columns.
    pub columns: Range<usize>,
    /// The rows.
    pub rows: Range<usize>,
}

/// Rectangles that cover what is there, each place once: what lies side by side in a row, and is the same in rows that follow.
pub fn patches(size: [usize; 2], is_there: impl Fn(usize, usize) -> bool) -> Vec<Patch> {
    let (mut done, mut open): (Vec<Patch>, Vec<Patch>) = (Vec::new(), Vec::new());
    for row in 0..size[1] {
        let mut here = Vec::new();
        let mut column = 0;
        while let Some(first) = (column..size[0]).find(|&column| is_there(column, row)) {
            column = (first..size[0]).find(|&column| !is_there(column, row)).unwrap_or(size[0]);
            let columns = first..column;
            here.push(match open.iter().position(|above| above.columns == columns) {
                Some(place) => Patch { rows: open[place].rows.start..row + 1, ..open.swap_remove(place) },
                None => Patch { columns, rows: row..row + 1 },
            });
        }
        done.append(&mut open);
        open = here;
    }
    done.append(&mut open);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_covered_once_and_nothing_else() {
        let drawing = ["##..#", "##..#", "####.", ".....", "#####", "#####"];
        let is_there = |column: usize, row: usize| drawing[row].as_bytes()[column] == b'#';
        let patches = patches([5, 6], is_there);
        assert_eq!(patches.len(), 4);
        for row in 0..6 {
            for column in 0..5 {
                let covers = |patch: &&Patch| patch.columns.contains(&column) && patch.rows.contains(&row);
                let times = patches.iter().filter(covers).count();
                assert_eq!(times, usize::from(is_there(column, row)), "{column} {row}");
            }
        }
        assert!(super::patches([3, 2], |_, _| false).is_empty());
    }
}
