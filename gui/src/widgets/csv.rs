//! A table as text that spreadsheets read.

use malloscope_replayer::report::csv::quoted;

/// A table as CSV: its titles, then its rows. Numbers lose the commas between their thousands.
pub fn of<'a>(
    titles: impl IntoIterator<Item = &'a str>,
    rows: impl IntoIterator<Item = impl IntoIterator<Item = &'a str>>,
) -> String {
    let mut text = line(titles.into_iter());
    for row in rows {
        text += &line(row.into_iter());
    }
    text
}

fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let cells: Vec<String> = cells.map(|cell| quoted(&plain(cell))).collect();
    cells.join(",") + "\n"
}

/// A whole number without the commas that make it readable; other text as it is.
fn plain(cell: &str) -> String {
    let digits = cell.strip_prefix(['+', '-', '−']).unwrap_or(cell);
    let is_number = digits.contains(',')
        && digits.split(',').enumerate().all(|(place, group)| {
            let fits = if place == 0 { (1..=3).contains(&group.len()) } else { group.len() == 3 };
            fits && group.bytes().all(|byte| byte.is_ascii_digit())
        });
    if is_number { cell.replace(',', "").replace('−', "-") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_and_rows_are_lines_and_odd_cells_are_quoted() {
        let rows = [["small 1", "1,234,567", "1.5 MiB"], ["a,b \"c\"", "−1,000", "12,34"]];
        let expected = "Bin,Hits,Served\nsmall 1,1234567,1.5 MiB\n\"a,b \"\"c\"\"\",-1000,\"12,34\"\n";
        assert_eq!(of(["Bin", "Hits", "Served"], rows), expected);
    }
}
