//! What every bin did over the records: how often it had what was wanted, slice by slice.

use super::bins::{bin_name, sizes};
use malloscope_replayer::outcome::{BinRow, Outcome};
use malloscope_replayer::report::units::{bytes, count, percent};

/// What is drawn of each bin and slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Hits among requests.
    #[default]
    HitRate,
    /// Requests that looked into the bin.
    Requests,
    /// Requests that found nothing in it.
    Misses,
    /// Chunk bytes of the requests it served.
    Bytes,
}

impl Measure {
    /// All, in the order they are offered.
    pub const ALL: [Measure; 4] = [Measure::HitRate, Measure::Requests, Measure::Misses, Measure::Bytes];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Measure::HitRate => "Hit rate",
            Measure::Requests => "Requests",
            Measure::Misses => "Misses",
            Measure::Bytes => "Bytes",
        }
    }

    /// What exactly it is.
    pub fn meaning(self) -> &'static str {
        match self {
            Measure::HitRate => {
                "Of the requests that looked into the bin, those it served. Where few looked, the colour fades."
            }
            Measure::Requests => {
                "Requests that looked into the bin: hits and misses. Each step of colour doubles."
            }
            Measure::Misses => {
                "Requests that found nothing in the bin and went on. Each step of colour doubles."
            }
            Measure::Bytes => "The bytes of the chunks the bin served. Each step of colour doubles.",
        }
    }
}

/// What happened in one bin, in some records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Requests it served.
    pub hits: u64,
    /// Requests that found nothing in it.
    pub misses: u64,
    /// Chunk bytes of those it served.
    pub bytes: u64,
}

impl Cell {
    /// Requests that looked into it.
    pub fn requests(self) -> u64 {
        self.hits + self.misses
    }

    /// Hits among requests, if there were any: between 0 and 1.
    pub fn hit_rate(self) -> Option<f64> {
        (self.requests() > 0).then(|| self.hits as f64 / self.requests() as f64)
    }

    fn add(&mut self, other: Cell) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.bytes = self.bytes.wrapping_add(other.bytes);
    }

    /// What a measure is of it, as a number.
    fn amount(self, measure: Measure) -> u64 {
        match measure {
            Measure::HitRate | Measure::Requests => self.requests(),
            Measure::Misses => self.misses,
            Measure::Bytes => self.bytes,
        }
    }

    /// It in words: the numbers behind the colour.
    pub fn said(self) -> String {
        format!(
            "{} of {} requests served ({}), {}",
            count(self.hits),
            count(self.requests()),
            percent(self.hits, self.requests()),
            bytes(self.bytes)
        )
    }
}

/// A bin over time.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatRow {
    /// Its name: `tcache 3`.
    pub name: String,
    /// Its kind: the band it stands in.
    pub kind: String,
    /// The chunk sizes it holds.
    pub sizes: String,
    /// What the table says of it.
    pub row: BinRow,
    /// All of the run.
    pub total: Cell,
    /// Slice by slice.
    cells: Vec<Cell>,
}

/// All bins over time, as they follow each other by kind and size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heat {
    /// The record at which the first slice begins, and those before which each ends.
    edges: Vec<u64>,
    /// The bins.
    pub rows: Vec<HeatRow>,
    /// Requests that bins served, all in all.
    pub served: u64,
}

/// What is to be painted for one bin and some slices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shade {
    /// Nobody looked into the bin.
    Nothing,
    /// A share of the colours' range, and how much of the colour there is: both between 0 and 1.
    Some(f64, f64),
}

/// The bands, from the top: kinds of bins as the table calls them.
pub const BANDS: [&str; 7] = ["tcache", "fast", "small", "unsorted", "large", "top", "mapped"];

impl Heat {
    /// What the bins of a run did.
    pub fn of(outcome: &Outcome) -> Heat {
        let slices = &outcome.slices;
        let length = slices.ends.len();
        let mut rows: Vec<HeatRow> = Vec::new();
        for over_time in &slices.bins {
            let is_this = |row: &&BinRow| row.kind == over_time.kind && row.number == over_time.number;
            let Some(row) = outcome.bins.iter().find(is_this) else { continue };
            let mut cells = vec![Cell::default(); length];
            for (number, &slice) in over_time.slices.iter().enumerate() {
                let of = |list: &[u64]| list.get(number).copied().unwrap_or(0);
                let (hits, misses) = (of(&over_time.hits), of(&over_time.misses));
                if let Some(cell) = cells.get_mut(slice) {
                    *cell = Cell { hits, misses, bytes: of(&over_time.hit_bytes) };
                }
            }
            rows.push(HeatRow {
                name: bin_name(row),
                kind: row.kind.clone(),
                sizes: sizes(row),
                row: row.clone(),
                total: Cell { hits: row.hits, misses: row.misses, bytes: row.hit_bytes },
                cells,
            });
        }
        let band = |row: &HeatRow| BANDS.iter().position(|band| *band == row.kind).unwrap_or(BANDS.len());
        rows.sort_by_key(band);
        Heat {
            edges: std::iter::once(slices.first).chain(slices.ends.iter().copied()).collect(),
            served: rows.iter().map(|row| row.total.hits).sum(),
            rows,
        }
    }

    /// The records there are: the first, and the one after the last.
    pub fn extent(&self) -> (u64, u64) {
        (self.edges.first().copied().unwrap_or(0), self.edges.last().copied().unwrap_or(0))
    }

    /// How many slices there are.
    pub fn slices(&self) -> usize {
        self.edges.len().saturating_sub(1)
    }

    /// The slices put together in columns, at most so many: the slices of each.
    pub fn columns(&self, most: usize) -> Vec<std::ops::Range<usize>> {
        let each = self.slices().div_ceil(most.max(1)).max(1);
        (0..self.slices()).step_by(each).map(|first| first..(first + each).min(self.slices())).collect()
    }

    /// The records of some slices: the first, and the one after the last.
    pub fn records(&self, slices: &std::ops::Range<usize>) -> (u64, u64) {
        let edge = |number: usize| self.edges.get(number).copied().unwrap_or(0);
        (edge(slices.start), edge(slices.end))
    }

    /// What a bin did in some slices.
    pub fn cell(&self, row: usize, slices: &std::ops::Range<usize>) -> Cell {
        let mut sum = Cell::default();
        let cells = self.rows.get(row).and_then(|row| row.cells.get(slices.clone())).unwrap_or_default();
        cells.iter().for_each(|&cell| sum.add(cell));
        sum
    }

    /// What is to be painted, bin by bin, in each of these columns.
    pub fn shades(&self, columns: &[std::ops::Range<usize>], measure: Measure) -> Vec<Shade> {
        let cells: Vec<Cell> = (0..self.rows.len())
            .flat_map(|row| columns.iter().map(move |slices| self.cell(row, slices)))
            .collect();
        let most = cells.iter().map(|cell| cell.amount(measure)).max().unwrap_or(0);
        let doubled = |amount: u64| ((amount + 1) as f64).log2();
        let shade = |cell: Cell| {
            if cell.requests() == 0 {
                return Shade::Nothing;
            }
            match measure {
                Measure::HitRate => {
                    let certain = 0.3 + 0.7 * (doubled(cell.requests()) / doubled(MANY)).min(1.0);
                    Shade::Some(cell.hit_rate().unwrap_or(0.0), certain)
                }
                // Few and none are different colours; from few to most, each step doubles.
                _ => Shade::Some(doubled(cell.amount(measure)) / doubled(most).max(1.0), 1.0),
            }
        };
        cells.into_iter().map(shade).collect()
    }
}

/// With so many requests a hit rate is what it seems: its standard error is below a twentieth.
const MANY: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn heat() -> Heat {
        let row = |name: &str, cells: &[(u64, u64)]| {
            let cells: Vec<Cell> =
                cells.iter().map(|&(hits, misses)| Cell { hits, misses, bytes: hits * 16 }).collect();
            HeatRow {
                name: name.to_owned(),
                kind: name.to_owned(),
                sizes: String::new(),
                row: super::super::bins::tests::row(name, None, 0, 0),
                total: Cell::default(),
                cells,
            }
        };
        let rows = vec![row("tcache", &[(4, 0), (0, 0), (1, 3)]), row("top", &[(0, 9), (100, 100), (7, 0)])];
        Heat { edges: vec![10, 20, 30, 35], rows, served: 0 }
    }

    #[test]
    fn what_nobody_looked_into_is_nothing_and_not_no_hits() {
        let heat = heat();
        let shades = heat.shades(&heat.columns(99), Measure::HitRate);
        assert_eq!(shades[1], Shade::Nothing);
        let Shade::Some(rate, certain) = shades[3] else { panic!("{shades:?}") };
        assert!(rate == 0.0 && certain < 0.8, "nine requests are few");
        assert_eq!(shades[4], Shade::Some(0.5, 1.0));
    }

    #[test]
    fn columns_are_made_of_slices_and_add_up() {
        let heat = heat();
        assert_eq!(heat.columns(2), [0..2, 2..3]);
        assert_eq!(heat.columns(0).len(), 1);
        assert_eq!(heat.records(&(0..2)), (10, 30));
        assert_eq!(heat.cell(1, &(0..3)), Cell { hits: 107, misses: 109, bytes: 107 * 16 });
        assert_eq!(heat.cell(1, &(1..9)), Cell::default(), "there are not so many");
        assert_eq!(heat.cell(0, &(0..3)).said(), "5 of 8 requests served (62.5 %), 80 B");
    }

    #[test]
    fn the_most_has_the_last_colour() {
        let heat = heat();
        for measure in [Measure::Requests, Measure::Misses, Measure::Bytes] {
            let shades = heat.shades(&heat.columns(99), measure);
            assert_eq!(shades[4], Shade::Some(1.0, 1.0), "{measure:?}");
        }
    }
}
