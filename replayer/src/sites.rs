//! Allocation sites: what each call stack allocated, left, had at the peak, and how long that lived.
//!
//! A row is a stack. Rows add up to the total, which is all that the trace says, or, where stacks were
//! sampled, an estimate of it ([`SiteTable::counted`] is counted then all the same). What lived at the end
//! is given the end as its end. The table is as long as there are stacks, however long the trace is.

use crate::blame::{Blame, Unit};
use crate::export::Profile;
use crate::export::collect::{Counted, Moment};
use crate::export::sites::{Amount, Site};
use crate::report::units::{bytes, count, nanos};
use malloscope_traces::Stack;
use malloscope_traces::stacks::Sampling;
use std::cmp::Ordering;

/// What one stack did, or all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SiteRow {
    /// The stack; [`Stack::NONE`] for calls that have none, and for all stacks together.
    pub stack: Stack,
    /// All that it allocated.
    pub allocated: Amount,
    /// Of that, what lived at the end.
    pub end: Amount,
    /// Of that, what lived when the program had most bytes live.
    pub peak: Amount,
    /// Of that, what was freed before the thread that made it made another.
    pub temporary: Amount,
    /// The lifetimes of all its allocations together, in nanoseconds.
    pub nanos: f64,
    /// The same in records.
    pub records: f64,
    /// What it pinned, where a replay was made: see [`What::Pinned`](crate::blame::What::Pinned).
    pub pinned: f64,
}

impl SiteRow {
    fn of(site: &Site) -> SiteRow {
        SiteRow {
            stack: site.stack,
            allocated: site.allocated,
            end: site.live(),
            peak: site.at_peak,
            temporary: site.temporary,
            nanos: site.lifetimes,
            records: site.lifetime_records,
            pinned: 0.0,
        }
    }

    fn add(&mut self, other: &SiteRow) {
        self.allocated.add(other.allocated);
        self.end.add(other.end);
        self.peak.add(other.peak);
        self.temporary.add(other.temporary);
        self.nanos += other.nanos;
        self.records += other.records;
        self.pinned += other.pinned;
    }

    /// A sum for each allocation.
    fn mean(&self, sum: f64) -> f64 {
        if self.allocated.blocks > 0.0 { sum / self.allocated.blocks } else { 0.0 }
    }
}

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    /// Calls that were given memory.
    Allocations,
    /// Bytes they asked for.
    Bytes,
    /// Of these, bytes that lived when the program had most live.
    Peak,
    /// Of these, bytes that lived at the end.
    End,
    /// Allocations freed before their thread made another.
    Temporary,
    /// Bytes of an allocation.
    MeanSize,
    /// Records that an allocation lived.
    MeanRecords,
    /// Time that an allocation lived.
    MeanTime,
    /// Free bytes that could not go back to the kernel because of it, × time; from a replay.
    Pinned,
}

impl Column {
    /// All, in the order in which they are shown.
    pub const ALL: [Column; 9] = [
        Column::Allocations,
        Column::Bytes,
        Column::Peak,
        Column::End,
        Column::Temporary,
        Column::MeanSize,
        Column::MeanRecords,
        Column::MeanTime,
        Column::Pinned,
    ];

    /// How the user writes it, and programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Column::Allocations => "allocations",
            Column::Bytes => "bytes",
            Column::Peak => "peak",
            Column::End => "end",
            Column::Temporary => "temporary",
            Column::MeanSize => "mean-size",
            Column::MeanRecords => "lifetime-records",
            Column::MeanTime => "lifetime",
            Column::Pinned => "pinned",
        }
    }

    /// What stands above it.
    pub fn title(self) -> &'static str {
        match self {
            Column::Allocations => "Allocations",
            Column::Bytes => "Bytes",
            Column::Peak => "Live at peak",
            Column::End => "Live at end",
            Column::Temporary => "Temporary",
            Column::MeanSize => "Mean size",
            Column::MeanRecords => "Mean life, records",
            Column::MeanTime => "Mean life",
            Column::Pinned => "Pinned",
        }
    }

    /// What exactly it means, in a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Column::Allocations => "Calls from this stack that were given memory.",
            Column::Bytes => "The bytes that these calls asked for.",
            Column::Peak => "Bytes of it that lived when all that lived was most, for the first time.",
            Column::End => "Bytes of it that lived at the end of the trace.",
            Column::Temporary => {
                "Its allocations that were freed before the thread that made them made another."
            }
            Column::MeanSize => "Bytes asked for by one of its allocations, on average.",
            Column::MeanRecords => {
                "Records that one of its allocations lived, on average; what lived at the end, until then."
            }
            Column::MeanTime => {
                "Time that one of its allocations lived, on average; what lived at the end, until then."
            }
            Column::Pinned => {
                "Free bytes that could not go back to the kernel because an allocation of it lay above, × time; from a replay."
            }
        }
    }

    /// What a row has in it, in bytes, allocations, nanoseconds, records, or what [`SiteTable::pinned`] says.
    pub fn value(self, row: &SiteRow) -> f64 {
        match self {
            Column::Allocations => row.allocated.blocks,
            Column::Bytes => row.allocated.bytes,
            Column::Peak => row.peak.bytes,
            Column::End => row.end.bytes,
            Column::Temporary => row.temporary.blocks,
            Column::MeanSize => row.mean(row.allocated.bytes),
            Column::MeanRecords => row.mean(row.records),
            Column::MeanTime => row.mean(row.nanos),
            Column::Pinned => row.pinned,
        }
    }

    /// Whether rows add up in it.
    pub fn is_sum(self) -> bool {
        !matches!(self, Column::MeanSize | Column::MeanRecords | Column::MeanTime)
    }
}

/// What all stacks did.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteTable {
    /// The stacks, in the order in which they were met.
    pub rows: Vec<SiteRow>,
    /// Their sum.
    pub total: SiteRow,
    /// What was counted of all calls that are selected, also where few have a stack.
    pub counted: Counted,
    /// What was counted of all others.
    pub left_out: Counted,
    /// Which calls have a stack: if not all, rows are estimates.
    pub sampling: Sampling,
    /// When the most bytes were live, and how many: of all allocations.
    pub peak: Moment,
    /// The end, and what of all was live then.
    pub end: Moment,
    /// What [`SiteRow::pinned`] is counted in; nothing if no replay was made.
    pub pinned: Option<Unit>,
    /// Whether the trace has times.
    pub has_clock: bool,
    /// What of the trace is damaged and was left out.
    pub damage: Vec<String>,
}

impl SiteTable {
    /// The table of a trace, and of what its stacks pinned in a replay, if there was one.
    pub fn of(profile: &Profile, pinned: Option<&Blame>) -> SiteTable {
        let mut table = SiteTable {
            rows: profile.sites.iter().map(SiteRow::of).collect(),
            total: SiteRow::default(),
            counted: profile.counted,
            left_out: profile.left_out,
            sampling: profile.sampling(),
            peak: profile.peak,
            end: profile.end,
            pinned: None,
            has_clock: profile.has_clock,
            damage: profile.damage.clone(),
        };
        for row in &table.rows {
            table.total.add(row);
        }
        if let Some(pinned) = pinned {
            table.pin(pinned);
        }
        table
    }

    /// Adds what stacks pinned in a replay.
    pub fn pin(&mut self, pinned: &Blame) {
        let longest = self.rows.iter().map(|row| row.stack.0 as usize + 1).max().unwrap_or(0);
        let mut by_stack = vec![0.0; longest.max(1)];
        self.total.pinned = 0.0;
        for row in &pinned.rows {
            if let Some(sum) = by_stack.get_mut(row.stack.0 as usize) {
                *sum += row.weight;
            }
            self.total.pinned += row.weight;
        }
        for row in &mut self.rows {
            row.pinned = by_stack[row.stack.0 as usize];
        }
        self.pinned = Some(pinned.unit);
    }

    /// The columns there are in it.
    pub fn columns(&self) -> impl Iterator<Item = Column> + use<> {
        let (has_clock, has_pinned) = (self.has_clock, self.pinned.is_some());
        Column::ALL.into_iter().filter(move |column| match column {
            Column::MeanTime => has_clock,
            Column::Pinned => has_pinned,
            _ => true,
        })
    }

    /// The numbers of the rows that are wanted, in the order of a column; equals in the order of their
    /// stacks. `is_wanted` is by the stacks' numbers, and without it all are.
    pub fn sorted(&self, by: Column, is_descending: bool, is_wanted: Option<&[bool]>) -> Vec<u32> {
        let wanted = |row: &SiteRow| {
            is_wanted.is_none_or(|wanted| wanted.get(row.stack.0 as usize).copied().unwrap_or(false))
        };
        // There are no more rows than stacks, whose numbers have 32 bits.
        let mut keys: Vec<(f64, Stack, u32)> = (0..)
            .zip(&self.rows)
            .filter(|(_, row)| wanted(row))
            .map(|(number, row)| (by.value(row), row.stack, number))
            .collect();
        let order = |a: &(f64, Stack, u32), b: &(f64, Stack, u32)| -> Ordering {
            let by_value = if is_descending { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) };
            by_value.then(a.1.cmp(&b.1))
        };
        keys.sort_unstable_by(order);
        keys.into_iter().map(|(_, _, number)| number).collect()
    }

    /// The sum of some rows.
    pub fn sum(&self, rows: &[u32]) -> SiteRow {
        let mut sum = SiteRow::default();
        for row in rows.iter().filter_map(|&row| self.rows.get(row as usize)) {
            sum.add(row);
        }
        sum
    }

    /// What a row has in a column, as people read it.
    pub fn shown(&self, column: Column, row: &SiteRow) -> String {
        let value = column.value(row);
        let whole = crate::export::sites::whole(value);
        match column {
            Column::Allocations | Column::Temporary => count(whole),
            Column::Bytes | Column::Peak | Column::End | Column::MeanSize => bytes(whole),
            Column::MeanRecords => count(whole),
            Column::MeanTime => nanos(whole),
            Column::Pinned => self.pinned.map_or_else(String::new, |unit| unit.shown(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stack: u32, blocks: f64, bytes: f64) -> SiteRow {
        SiteRow {
            stack: Stack(stack),
            allocated: Amount { blocks, bytes },
            records: 6.0,
            ..SiteRow::default()
        }
    }

    fn table(rows: Vec<SiteRow>) -> SiteTable {
        let mut total = SiteRow::default();
        rows.iter().for_each(|row| total.add(row));
        SiteTable {
            rows,
            total,
            counted: Counted::default(),
            left_out: Counted::default(),
            sampling: Sampling::All,
            peak: Moment::default(),
            end: Moment::default(),
            pinned: None,
            has_clock: false,
            damage: Vec::new(),
        }
    }

    #[test]
    fn rows_are_sorted_by_any_column_and_equals_by_their_stacks() {
        let table = table(vec![row(9, 1.0, 500.0), row(3, 5.0, 500.0), row(4, 2.0, 60.0)]);
        assert_eq!(table.sorted(Column::Bytes, true, None), [1, 0, 2]);
        assert_eq!(table.sorted(Column::Allocations, false, None), [0, 2, 1]);
        assert_eq!(table.sorted(Column::MeanSize, true, None), [0, 1, 2]);
        let wanted = [false, false, false, true, true];
        assert_eq!(table.sorted(Column::Bytes, true, Some(&wanted)), [1, 2]);
        assert_eq!(table.sum(&[1, 2]).allocated, Amount { blocks: 7.0, bytes: 560.0 });
    }

    #[test]
    fn what_is_not_known_has_no_column_and_means_are_of_all() {
        let table = table(vec![row(1, 1.0, 10.0), row(2, 3.0, 50.0)]);
        let columns: Vec<Column> = table.columns().collect();
        assert!(!columns.contains(&Column::MeanTime) && !columns.contains(&Column::Pinned));
        assert_eq!(table.shown(Column::MeanSize, &table.total), "15 B");
        assert_eq!(table.shown(Column::MeanRecords, &table.total), "3");
        assert_eq!(Column::MeanSize.value(&SiteRow::default()), 0.0);
    }
}
