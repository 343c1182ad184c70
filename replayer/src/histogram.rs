//! How many of many numbers are how large, in a fixed number of bytes: counts in steps of a part of a power of two.

/// Counts of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    /// A power of two falls into two to this steps: a percentile is right to as fine a part.
    steps_log: u32,
    counts: Vec<u64>,
    sum: u128,
    number: u64,
    greatest: u64,
}

impl Histogram {
    /// None yet, of numbers below two to `bits`; larger ones are counted with the largest.
    pub(crate) fn new(steps_log: u32, bits: u32) -> Histogram {
        let length = ((bits - steps_log + 1) as usize) << steps_log;
        // Written, so that none of it is met for the first time later: over real memory that would be a fault.
        let counts = (0..length).map(|place| (place == length).into()).collect();
        Histogram { steps_log, counts, sum: 0, number: 0, greatest: 0 }
    }

    /// Counts a number.
    #[inline]
    pub(crate) fn count(&mut self, value: u64) {
        self.count_times(value, 1);
    }

    /// Counts a number so many times.
    #[inline]
    pub(crate) fn count_times(&mut self, value: u64, times: u64) {
        let place = step(self.steps_log, value).min(self.counts.len() - 1);
        self.counts[place] += times;
        self.sum += u128::from(value) * u128::from(times);
        self.number += times;
        self.greatest = self.greatest.max(value);
    }

    /// Those of another, which has the same steps, are counted with these.
    pub(crate) fn absorb(&mut self, other: &Histogram) {
        debug_assert_eq!(self.counts.len(), other.counts.len(), "both have the same steps");
        for (count, others) in self.counts.iter_mut().zip(&other.counts) {
            *count += others;
        }
        self.sum += other.sum;
        self.number += other.number;
        self.greatest = self.greatest.max(other.greatest);
    }

    /// Forgets all of them, and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.counts.fill(0);
        (self.sum, self.number, self.greatest) = (0, 0, 0);
    }

    /// How many there are.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The sum of all.
    pub(crate) fn sum(&self) -> u128 {
        self.sum
    }

    /// The greatest; 0 if there is none.
    pub(crate) fn greatest(&self) -> u64 {
        self.greatest
    }

    /// All of them on average; 0 if there is none.
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    pub(crate) fn mean(&self) -> f64 {
        self.sum as f64 / self.number.max(1) as f64
    }

    /// What so many of a thousand are no greater than, rounded down to a step.
    pub(crate) fn at(&self, of_a_thousand: u64) -> u64 {
        let wanted = (u128::from(self.number) * u128::from(of_a_thousand)).div_ceil(1000);
        let mut seen = 0_u128;
        let mut enough = |&(_, &count): &(usize, &u64)| {
            seen += u128::from(count);
            seen >= wanted.max(1)
        };
        let place = self.counts.iter().enumerate().find(|each| enough(each)).map(|(place, _)| place);
        place.map_or(0, |place| least_of(self.steps_log, place))
    }
}

/// The step of a number.
#[inline]
fn step(steps_log: u32, value: u64) -> usize {
    let shift = (63 - (value | 1).leading_zeros()).saturating_sub(steps_log);
    let step = (u64::from(shift) << steps_log) + (value >> shift);
    usize::try_from(step).expect("at most 64 times the steps of a power of two")
}

/// The least number of a step.
fn least_of(steps_log: u32, step: usize) -> u64 {
    let step = step as u64;
    let shift = (step >> steps_log).saturating_sub(1);
    (step - (shift << steps_log)) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_holds_what_is_nearly_the_same() {
        for steps_log in [3, 5] {
            for value in (0..5000).chain([1 << 20, (1 << 40) + 12345, u64::MAX]) {
                let least = least_of(steps_log, step(steps_log, value));
                let is_near = least <= value && value - least <= value >> steps_log;
                assert!(is_near, "{value} in the step of {least}");
                assert_eq!(step(steps_log, least), step(steps_log, value));
            }
            assert_eq!(step(steps_log, u64::MAX), Histogram::new(steps_log, 64).counts.len() - 1);
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_numbers() {
        let mut histogram = Histogram::new(5, 64);
        (1..=1000).for_each(|value| histogram.count(value));
        assert_eq!((histogram.at(500), histogram.greatest(), histogram.number()), (496, 1000, 1000));
        assert!(histogram.at(990) <= 990 && histogram.at(990) > 960);
        assert!(histogram.at(999) <= 999 && histogram.at(999) > 968);
        assert!((histogram.mean() - 500.5).abs() < 1e-9);
        histogram.clear();
        assert_eq!((histogram.at(990), histogram.number(), histogram.sum()), (0, 0, 0));
    }

    #[test]
    fn what_is_too_large_is_the_largest() {
        let mut histogram = Histogram::new(3, 8);
        histogram.count(1 << 20);
        assert_eq!((histogram.at(1000), histogram.greatest()), (240, 1 << 20));
    }
}
