//! The table of bins: its lines, its columns, and how it is sorted.

use malloscope_replayer::outcome::{BinRow, Outcome};
use malloscope_replayer::report::units::{bytes, count, percent};
use std::cmp::Ordering;

/// A bin that was looked into.
#[derive(Clone, Debug, PartialEq)]
pub struct BinLine {
    /// Its place among the bins: caches first, then by size.
    place: usize,
    row: BinRow,
}

/// The lines of all bins that were looked into.
pub fn of(outcome: &Outcome) -> Vec<BinLine> {
    let rows = outcome.bins.iter().enumerate().filter(|(_, row)| row.requests > 0);
    rows.map(|(place, row)| BinLine { place, row: row.clone() }).collect()
}

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The bin's name.
    Bin,
    /// The chunk sizes it holds.
    Sizes,
    /// Requests that looked into it.
    Requests,
    /// Requests it served.
    Hits,
    /// Requests that found nothing in it.
    Misses,
    /// Hits among requests.
    HitRate,
    /// Chunk bytes of the requests it served.
    Bytes,
}

impl Column {
    /// All, in the order they are shown.
    pub const ALL: [Column; 7] = [
        Column::Bin,
        Column::Sizes,
        Column::Requests,
        Column::Hits,
        Column::Misses,
        Column::HitRate,
        Column::Bytes,
    ];

    /// What stands above it.
    pub fn title(self) -> &'static str {
        match self {
            Column::Bin => "Bin",
            Column::Sizes => "Chunk bytes",
            Column::Requests => "Requests",
            Column::Hits => "Hits",
            Column::Misses => "Misses",
            Column::HitRate => "Hit rate",
            Column::Bytes => "Served",
        }
    }

    /// What exactly it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Column::Bin => "Where free chunks wait; “top” is the chunk that borders unclaimed memory.",
            Column::Sizes => "The chunk sizes it holds, in bytes: head, payload and padding.",
            Column::Requests => "Requests that looked into the bin: hits and misses.",
            Column::Hits => "Requests the bin served.",
            Column::Misses => "Requests that found nothing in the bin, and went on to the next.",
            Column::HitRate => "Hits among requests.",
            Column::Bytes => "The bytes of the chunks it served.",
        }
    }

    /// Whether it holds numbers, which stand to the right.
    pub fn is_number(self) -> bool {
        self != Column::Bin
    }

    fn compare(self, a: &BinLine, b: &BinLine) -> Ordering {
        let (left, right) = (&a.row, &b.row);
        match self {
            Column::Bin => a.place.cmp(&b.place),
            Column::Sizes => left.least_size.cmp(&right.least_size),
            Column::Requests => left.requests.cmp(&right.requests),
            Column::Hits => left.hits.cmp(&right.hits),
            Column::Misses => left.misses.cmp(&right.misses),
            Column::HitRate => a.hit_rate().total_cmp(&b.hit_rate()),
            Column::Bytes => left.hit_bytes.cmp(&right.hit_bytes),
        }
    }
}

/// How the table is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sorting {
    /// By what.
    pub by: Column,
    /// The greatest first?
    pub descending: bool,
}

impl Default for Sorting {
    fn default() -> Sorting {
        Sorting { by: Column::Requests, descending: true }
    }
}

impl Sorting {
    /// What a click on a column's title leads to: by that column, numbers from the greatest; a second
    /// click turns it round.
    pub fn clicked(self, column: Column) -> Sorting {
        let descending = if self.by == column { !self.descending } else { column.is_number() };
        Sorting { by: column, descending }
    }

    /// The lines in this order; equals stay in the order of bins.
    pub fn sorted(self, lines: &[BinLine]) -> Vec<&BinLine> {
        let mut sorted: Vec<&BinLine> = lines.iter().collect();
        sorted.sort_by(|a, b| {
            let order = self.by.compare(a, b);
            if self.descending { order.reverse() } else { order }
        });
        sorted
    }
}

impl BinLine {
    /// The text in a column.
    pub fn cell(&self, column: Column) -> String {
        let row = &self.row;
        match column {
            Column::Bin => bin_name(row),
            Column::Sizes => sizes(row),
            Column::Requests => count(row.requests),
            Column::Hits => count(row.hits),
            Column::Misses => count(row.misses),
            Column::HitRate => percent(row.hits, row.requests),
            Column::Bytes => bytes(row.hit_bytes),
        }
    }

    /// Hits among requests: between 0 and 1.
    pub fn hit_rate(&self) -> f64 {
        self.row.hit_rate().unwrap_or(0.0)
    }

    /// The bin's name: `tcache 3`.
    pub fn name(&self) -> String {
        bin_name(&self.row)
    }
}

/// A bin's name: `tcache 3`.
pub fn bin_name(row: &BinRow) -> String {
    match row.number {
        Some(number) => format!("{} {number}", row.kind),
        None => row.kind.clone(),
    }
}

/// The chunk sizes that a bin holds.
pub fn sizes(row: &BinRow) -> String {
    match (row.least_size, row.greatest_size) {
        (Some(least), Some(greatest)) if least == greatest => count(least),
        (Some(least), Some(greatest)) if greatest < 1 << 40 => {
            format!("{}–{}", count(least), count(greatest))
        }
        (Some(least), Some(_)) => format!("{} and more", count(least)),
        _ => "any".to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn row(kind: &str, number: Option<u8>, hits: u64, misses: u64) -> BinRow {
        let size = number.map(|number| 32 + 16 * u64::from(number));
        BinRow {
            kind: kind.to_owned(),
            number,
            least_size: size,
            greatest_size: size,
            requests: hits + misses,
            hits,
            misses,
            hit_bytes: hits * 1024,
            released: 0,
            released_bytes: 0,
            stashed: 0,
            sorted: 0,
        }
    }

    fn line(place: usize, kind: &str, number: Option<u8>, hits: u64, misses: u64) -> BinLine {
        BinLine { place, row: row(kind, number, hits, misses) }
    }

    fn names(sorting: Sorting) -> Vec<String> {
        let lines = [
            line(0, "tcache", Some(0), 90, 10),
            line(1, "tcache", Some(1), 1, 999),
            line(2, "top", None, 50, 0),
        ];
        sorting.sorted(&lines).into_iter().map(|line| line.cell(Column::Bin)).collect()
    }

    #[test]
    fn a_click_sorts_and_a_second_turns_it_round() {
        let sorting = Sorting::default();
        assert_eq!(names(sorting), ["tcache 1", "tcache 0", "top"]);
        assert_eq!(names(sorting.clicked(Column::Requests)), ["top", "tcache 0", "tcache 1"]);
        assert_eq!(names(sorting.clicked(Column::HitRate)), ["top", "tcache 0", "tcache 1"]);
        assert_eq!(names(sorting.clicked(Column::Bin)), ["tcache 0", "tcache 1", "top"]);
        assert_eq!(names(sorting.clicked(Column::Misses)), ["tcache 1", "tcache 0", "top"]);
        assert_eq!(names(sorting.clicked(Column::Sizes)), ["tcache 1", "tcache 0", "top"]);
    }

    #[test]
    fn every_number_has_its_unit() {
        let line = line(0, "tcache", Some(3), 1500, 500);
        let cells = Column::ALL.map(|column| line.cell(column));
        assert_eq!(cells, ["tcache 3", "80", "2,000", "1,500", "500", "75.0 %", "1.46 MiB"]);
    }
}
