//! A quantity over time as a few rows of text.
//!
//! Every column is a range of samples. Where a quantity went up and down inside it, the column shows
//! both: solid up to the least, shaded up to the greatest.

/// Eighths of a cell, from the bottom.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Reached, and left again.
const SHADE: char = '░';

/// Draws `points`, each the least and the greatest value in its time, as `rows` rows of at most
/// `columns` characters, the highest row first. The greatest of all reaches the top.
pub fn draw(points: &[(u64, u64)], columns: usize, rows: usize) -> Vec<String> {
    let top = points.iter().map(|&(_, greatest)| greatest).max().unwrap_or(0);
    let columns = columns.min(points.len());
    if top == 0 || columns == 0 || rows == 0 {
        return vec![String::new(); rows];
    }
    let column = |number: usize| {
        let range = &points[number * points.len() / columns..(number + 1) * points.len() / columns];
        let least = range.iter().map(|point| point.0).min().unwrap_or(0);
        let greatest = range.iter().map(|point| point.1).max().unwrap_or(0);
        (eighths(least, top, rows), eighths(greatest, top, rows))
    };
    let columns: Vec<(usize, usize)> = (0..columns).map(column).collect();
    (0..rows)
        .rev()
        .map(|row| columns.iter().map(|&(least, greatest)| cell(row, least, greatest)).collect())
        .collect()
}

/// How high a value is, in eighths of a row; anything above nothing is seen.
fn eighths(value: u64, top: u64, rows: usize) -> usize {
    if value > 0 { scaled(value, top, rows * 8).max(1) } else { 0 }
}

/// `part` of `whole` in `steps`, rounded.
fn scaled(part: u64, whole: u64, steps: usize) -> usize {
    let whole = u128::from(whole);
    let height = (u128::from(part) * steps as u128 + whole / 2).checked_div(whole).unwrap_or(0);
    usize::try_from(height).unwrap_or(steps).min(steps)
}

fn cell(row: usize, least: usize, greatest: usize) -> char {
    let solid = least.saturating_sub(row * 8).min(8);
    if solid == 0 && greatest > row * 8 { SHADE } else { EIGHTHS[solid] }
}

/// A bar for a part of a whole, which would be `width` cells long.
pub fn bar(part: u64, whole: u64, width: usize) -> String {
    let eighths = scaled(part, whole, width * 8);
    let mut bar = "█".repeat(eighths / 8);
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    bar.push_str(PARTS[eighths % 8]);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_shows_ups_and_downs() {
        let rising = [(1, 1), (2, 2), (3, 3), (4, 4)];
        assert_eq!(draw(&rising, 10, 2), ["  ▄█", "▄███"]);
        assert_eq!(draw(&[(0, 4), (4, 4)], 10, 1), ["░█"]);
        assert_eq!(draw(&[(0, 0)], 10, 1), [""]);
        assert_eq!(draw(&[], 10, 2), ["", ""]);
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!([0, 5, 10, 20].map(|part| bar(part, 10, 4)), ["", "██", "████", "████"]);
        assert_eq!((bar(1, 100, 10), bar(1, 0, 10)), ("▏".to_owned(), String::new()));
    }
}
