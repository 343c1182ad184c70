//! A heap laid out in rows of cells, and what the cells of some of these rows are.
//!
//! A [`Plan`] says where every region is: the regions of an arena follow one another in a band, each
//! beginning on a row of its own; the mappings of single chunks share a last band. Above each band there is
//! room for its title. A [`Picture`] is what most of each cell is, for the rows that are to be seen.

use super::colouring::Key;
use super::heap::Moment;
use malloscope_replayer::explore::cells::{Class, NOTHING};
use malloscope_replayer::explore::map::{HeapMap, RegionKind};
use std::sync::Arc;

/// The smallest cell: chunks begin at its multiples.
pub const SMALLEST_CELL: u64 = 16;
/// The largest cell.
pub const LARGEST_CELL: u64 = 1 << 40;

/// Memory that is shown, cell by cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The region.
    pub region: usize,
    /// Its first row.
    pub row: u64,
    /// The place of its first cell in that row.
    pub column: u64,
    /// Where its first cell begins: a multiple of the cell's length.
    pub from: u64,
    /// How many cells it has.
    pub cells: u64,
}

/// The memory of one arena, or the mappings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    /// The arena; `None` of mappings.
    pub arena: Option<u32>,
    /// The first row of its title.
    pub row: u64,
    /// Its spans, by their numbers.
    pub spans: std::ops::Range<usize>,
    /// Bytes of all its regions.
    pub bytes: u64,
    /// What of that is pinned.
    pub pinned: u64,
}

/// Where everything is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of a cell.
    pub cell: u64,
    /// Cells in a row.
    pub columns: u64,
    /// The bands, from above.
    pub bands: Vec<Band>,
    /// The spans, in the order of their first cells.
    pub spans: Vec<Span>,
    /// All rows.
    pub rows: u64,
    /// The number of each region's span.
    of_region: Vec<usize>,
}

impl Plan {
    /// Lays out a heap; a title takes so many rows.
    pub fn of(map: &HeapMap, cell: u64, columns: u64, title: u64) -> Plan {
        let (cell, columns) = (cell.max(1), columns.max(1));
        let mut plan = Plan { cell, columns, of_region: vec![0; map.regions.len()], ..Plan::default() };
        let mut order: Vec<usize> = (0..map.regions.len()).collect();
        let arena = |number: usize| {
            let region = &map.regions[number];
            (region.kind != RegionKind::Mapping).then_some(region.arena)
        };
        // Mappings last.
        order.sort_by_key(|&number| (arena(number).is_none(), arena(number), number));
        let mut column = 0;
        for number in order {
            let region = &map.regions[number];
            if plan.bands.last().is_none_or(|band| band.arena != arena(number)) {
                plan.rows += u64::from(column > 0);
                column = 0;
                let spans = plan.spans.len()..plan.spans.len();
                plan.bands.push(Band { arena: arena(number), row: plan.rows, spans, bytes: 0, pinned: 0 });
                plan.rows += title;
            } else if region.kind != RegionKind::Mapping && column > 0 {
                plan.rows += 1;
                column = 0;
            } else if column > 0 {
                // A gap, so that one can tell them apart.
                column += 1;
                plan.rows += column / columns;
                column %= columns;
            }
            let from = region.start / cell * cell;
            let cells = (region.end - from).div_ceil(cell);
            plan.of_region[number] = plan.spans.len();
            plan.spans.push(Span { region: number, row: plan.rows, column, from, cells });
            plan.rows += (column + cells) / columns;
            column = (column + cells) % columns;
            if let Some(band) = plan.bands.last_mut() {
                band.spans.end = plan.spans.len();
                band.bytes += region.length();
                band.pinned += region.pinned;
            }
        }
        plan.rows += u64::from(column > 0);
        plan
    }

    /// The plan with the smallest cells of which all rows fit.
    pub fn fitting(map: &HeapMap, columns: u64, title: u64, rows: u64) -> Plan {
        let bytes: u64 = map.regions.iter().map(|region| region.length()).sum();
        let least = bytes / columns.max(1) / rows.max(1);
        let mut cell = least.next_power_of_two().clamp(SMALLEST_CELL, LARGEST_CELL);
        loop {
            let plan = Plan::of(map, cell, columns, title);
            if plan.rows <= rows || cell >= LARGEST_CELL {
                return plan;
            }
            // More titles than rows: no cell is large enough.
            if cell > bytes {
                return plan;
            }
            cell *= 2;
        }
    }

    /// The number of the span that has a cell in this place.
    pub fn span_at(&self, row: u64, column: u64) -> Option<&Span> {
        let after = self.spans.partition_point(|span| (span.row, span.column) <= (row, column));
        self.spans.get(after.checked_sub(1)?)
    }

    /// The address of the first byte of a cell, if there is one in this place.
    pub fn address_at(&self, row: u64, column: u64) -> Option<u64> {
        let span = self.span_at(row, column)?;
        let number = (row - span.row) * self.columns + column - span.column;
        (column < self.columns && number < span.cells).then(|| span.from + number * self.cell)
    }

    /// The row and the place in it of the cell of an address in this region.
    pub fn place_of(&self, region: usize, address: u64) -> Option<(u64, u64)> {
        let span = self.spans.get(*self.of_region.get(region)?)?;
        let number = address.checked_sub(span.from)? / self.cell;
        if number >= span.cells {
            return None;
        }
        let place = span.column + number;
        Some((span.row + place / self.columns, place % self.columns))
    }
}

/// What is to be drawn.
#[derive(Clone, Debug)]
pub struct Canvas {
    /// The heap.
    pub moment: Arc<Moment>,
    /// What colours say.
    pub colouring: super::colouring::Colouring,
    /// Where everything is.
    pub plan: Arc<Plan>,
    /// The first row that is to be seen.
    pub first: u64,
    /// How many are.
    pub rows: u64,
}

impl Eq for Canvas {}

impl PartialEq for Canvas {
    /// Whether both would give the same picture.
    fn eq(&self, other: &Canvas) -> bool {
        Arc::ptr_eq(&self.moment, &other.moment)
            && self.colouring == other.colouring
            && (self.plan.cell, self.plan.columns) == (other.plan.cell, other.plan.columns)
            && (self.first, self.rows) == (other.first, other.rows)
            && self.plan.rows == other.plan.rows
    }
}

/// What most of each cell is.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What was to be drawn.
    pub canvas: Canvas,
    /// What the classes are.
    pub key: Arc<Key>,
    /// The cells, row by row.
    pub cells: Vec<Class>,
}

impl Picture {
    /// Draws. It takes as long as there are chunks in the rows.
    pub fn draw(canvas: Canvas, key: Arc<Key>) -> Picture {
        let Plan { cell, columns, ref spans, .. } = *canvas.plan;
        let map = &canvas.moment.heap;
        let (first, end) = (canvas.first * columns, (canvas.first + canvas.rows) * columns);
        let mut cells = vec![NOTHING; usize::try_from(end - first).unwrap_or(0)];
        let begin = spans.partition_point(|span| span.row * columns + span.column + span.cells <= first);
        for span in &spans[begin..] {
            let at = span.row * columns + span.column;
            let (from, to) = (at.max(first), (at + span.cells).min(end));
            if from >= to {
                break;
            }
            let region = &map.regions[span.region];
            let count = usize::try_from(to - from).unwrap_or(0);
            let begins = span.from + (from - at) * cell;
            let drawn = map.cells(region.pieces.clone(), begins, cell, count, |piece| key.class(map, piece));
            let place = usize::try_from(from - first).unwrap_or(0);
            cells[place..place + count].copy_from_slice(&drawn);
        }
        Picture { canvas, key, cells }
    }
}
