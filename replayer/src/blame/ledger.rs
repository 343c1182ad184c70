//! How much every stack is charged with, of one quantity.
//!
//! What a filter leaves out is counted too, in one row of its own behind those of the stacks, so that what is
//! charged and what is left out add up to all there was.
//!
//! What was counted is kept as whole numbers, so that the sums are exact: times in nanoseconds. Where
//! only a sample of the calls has stacks, the estimates are kept beside them. An allocation is sampled as
//! a whole, so all that it is charged with is added up before it is squared.

use super::{Blame, Place, Row, What};
use malloscope_traces::Stack;
use malloscope_traces::header::Clock;

/// Whom something is charged to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Culprit {
    pub(super) stack: Stack,
    /// For how many like it the call stands.
    pub(super) weight: f64,
    /// Whether the filter lets it through: if not, what it caused is left out.
    pub(super) is_selected: bool,
}

impl Culprit {
    /// Nobody: where there is a filter, nobody is what it selects.
    pub(super) fn nobody(is_filtered: bool) -> Culprit {
        Culprit { stack: Stack::NONE, weight: 1.0, is_selected: !is_filtered }
    }

    /// Its row in a table with one for each stack and a last one for what is left out. A stack that the trace
    /// does not have is none.
    #[inline]
    pub(super) fn row(&self, rows: usize) -> usize {
        let (number, last) = (self.stack.0 as usize, rows - 1);
        match self.is_selected {
            false => last,
            true if number < last => number,
            true => 0,
        }
    }
}

/// A sum of estimates, and its variance.
#[derive(Clone, Copy, Debug, Default)]
struct Estimate {
    weight: f64,
    variance: f64,
}

/// What is charged with one quantity, by stack, or by stack and [`Place`].
#[derive(Debug)]
pub(super) struct Ledger {
    what: What,
    /// By number of the stack times `places`, plus that of the place. What is left out comes last.
    counted: Vec<u128>,
    places: usize,
    estimates: Option<Estimates>,
}

#[derive(Debug, Default)]
struct Estimates {
    by_stack: Vec<Estimate>,
    /// What the allocation in each slot was charged with so far.
    pending: Vec<f64>,
}

impl Ledger {
    /// Nothing is charged to any of so many stacks yet.
    pub(super) fn new(what: What, stacks: usize, is_sampled: bool) -> Ledger {
        let places = if what == What::Misses { Place::COUNT } else { 1 };
        let length = (stacks.max(1) + 1).saturating_mul(places);
        let mut ledger =
            Ledger { what, counted: Vec::new(), places, estimates: is_sampled.then(Estimates::default) };
        // Written, not only reserved: a page first touched later would pass for one of the heap's.
        ledger.counted.resize(length, 0);
        if let Some(estimates) = &mut ledger.estimates {
            estimates.by_stack.resize(length, Estimate::default());
        }
        ledger
    }

    pub(super) fn what(&self) -> What {
        self.what
    }

    #[inline]
    fn row(&self, culprit: Culprit, place: Option<Place>) -> usize {
        let row = culprit.row(self.counted.len() / self.places) * self.places;
        row + place.map_or(0, |place| usize::from(place.0))
    }

    /// Charges something once and for all.
    #[inline]
    pub(super) fn charge(&mut self, culprit: Culprit, place: Option<Place>, amount: u128) {
        let row = self.row(culprit, place);
        self.counted[row] += amount;
        if self.estimates.is_some() {
            self.settle_amount(culprit, row, in_floating_point(amount));
        }
    }

    /// Charges what several allocations of one row (see [`Culprit::row`]) amount to: counted, estimated, and
    /// its variance.
    pub(super) fn charge_sum(&mut self, row: usize, counted: u128, weight: f64, variance: f64) {
        let row = row * self.places;
        self.counted[row] += counted;
        // What came and went leaves rounding errors behind.
        if let Some(estimates) = self.estimates.as_mut().filter(|_| counted > 0 && row > 0) {
            estimates.by_stack[row].weight += weight;
            estimates.by_stack[row].variance += variance.max(0.0);
        }
    }

    /// Charges something to the allocation in a slot, which may be charged with more.
    #[inline]
    pub(super) fn charge_slot(&mut self, culprit: Culprit, slot: Option<usize>, amount: u128) {
        let row = self.row(culprit, None);
        self.counted[row] += amount;
        if self.estimates.is_some() {
            self.postpone(culprit, row, slot, in_floating_point(amount));
        }
    }

    /// The allocation in a slot will not be charged with any more.
    #[inline]
    pub(super) fn settle(&mut self, culprit: Culprit, slot: usize) {
        let Some(estimates) = &mut self.estimates else { return };
        let Some(pending) = estimates.pending.get_mut(slot) else { return };
        let amount = std::mem::take(pending);
        let row = self.row(culprit, None);
        self.settle_amount(culprit, row, amount);
    }

    #[cold]
    fn postpone(&mut self, culprit: Culprit, row: usize, slot: Option<usize>, amount: f64) {
        let Some(estimates) = &mut self.estimates else { return };
        let pending = slot.and_then(|slot| estimates.pending.get_mut(slot));
        match pending {
            Some(pending) => *pending += amount,
            None => self.settle_amount(culprit, row, amount),
        }
    }

    #[cold]
    fn settle_amount(&mut self, Culprit { stack, weight, .. }: Culprit, row: usize, amount: f64) {
        let Some(estimates) = &mut self.estimates else { return };
        // Who has no stack was not hit: it stands for nobody.
        if stack.is_none() || amount == 0.0 {
            return;
        }
        let estimate = &mut estimates.by_stack[row];
        estimate.weight += weight * amount;
        estimate.variance += weight * (weight - 1.0) * amount * amount;
    }

    /// Makes room for so many slots.
    #[cold]
    pub(super) fn make_room(&mut self, slots: usize) {
        if let Some(estimates) = &mut self.estimates {
            estimates.pending.resize(slots, 0.0);
        }
    }

    /// All that was charged so far does not count: it was another process's doing, or before the range.
    pub(super) fn restart(&mut self) {
        self.counted.fill(0);
        if let Some(estimates) = &mut self.estimates {
            estimates.by_stack.fill(Estimate::default());
            estimates.pending.fill(0.0);
        }
    }

    /// Who is to blame.
    pub(super) fn finish(self, clock: &Clock) -> Blame {
        let unit = self.what.unit(clock);
        let in_units = |amount: f64| amount / unit.in_counted();
        let places = self.places;
        let row = |number: usize, weight: f64, error: f64| Row {
            stack: Stack(u32::try_from(number / places).unwrap_or(0)),
            place: u8::try_from(number % places).ok().filter(|_| places > 1).map(Place),
            weight: in_units(weight),
            error: in_units(error),
        };
        let sum = |amounts: &[u128]| amounts.iter().fold(0_u128, |sum, amount| sum.saturating_add(*amount));
        let (counted, left_out) = self.counted.split_at(self.counted.len() - places);
        let (total, left_out) = (sum(counted), sum(left_out));
        let is_sampled = self.estimates.is_some();
        let mut variance = 0.0;
        let mut rows: Vec<Row> = match self.estimates {
            None => {
                let charged = counted.iter().enumerate().filter(|&(_, &amount)| amount > 0);
                charged.map(|(number, &amount)| row(number, in_floating_point(amount), 0.0)).collect()
            }
            Some(estimates) => {
                let by_stack = &estimates.by_stack[..counted.len()];
                variance = by_stack.iter().map(|estimate| estimate.variance).sum();
                let charged = by_stack.iter().enumerate().filter(|(_, estimate)| estimate.weight > 0.0);
                charged.map(|(number, found)| row(number, found.weight, found.variance.sqrt())).collect()
            }
        };
        rows.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        Blame {
            what: self.what,
            unit,
            total: in_units(in_floating_point(total)),
            left_out: in_units(in_floating_point(left_out)),
            standard_error: is_sampled.then(|| in_units(variance.sqrt())),
            rows,
        }
    }
}

/// A number, as nearly as 53 bits can say it.
#[expect(clippy::cast_precision_loss, reason = "beyond 2⁵³ the last digits are nobody's concern")]
fn in_floating_point(amount: u128) -> f64 {
    amount as f64
}
