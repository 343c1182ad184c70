//! An axis of numbers: which part of it is seen, where each number lies on the screen, and which are written.

use egui::Rangef;

/// A number of the axis or the screen as the screen wants it.
#[expect(clippy::cast_possible_truncation, reason = "a place on a screen needs no more digits")]
pub fn narrow(value: f64) -> f32 {
    value as f32
}

/// A place on the axis as a whole number; what lies before zero is zero.
#[expect(clippy::cast_possible_truncation, reason = "an axis ends where the whole numbers of its kind do")]
#[expect(clippy::cast_sign_loss, reason = "what lies before zero is zero")]
pub fn whole(value: f64) -> u64 {
    value.round().max(0.0) as u64
}

/// The part of an axis that is seen. There is always something to see: it is never empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Where it begins.
    pub from: f64,
    /// Where it ends: after that.
    pub to: f64,
}

/// No less is seen, however near one looks.
const LEAST: f64 = 8.0;

impl Seen {
    /// All between two numbers.
    pub fn all(from: u64, to: u64) -> Seen {
        let (from, to) = (from as f64, to as f64);
        Seen { from, to: to.max(from + 1.0) }
    }

    fn length(self) -> f64 {
        self.to - self.from
    }

    /// Nearer or farther, by a factor, with `at` where it was; within `bounds`.
    pub fn zoomed(self, at: f64, factor: f64, bounds: Seen) -> Seen {
        let length = (self.length() / factor).clamp(LEAST.min(bounds.length()), bounds.length());
        let before = (at - self.from) / self.length();
        let from = at - before * length;
        Seen { from, to: from + length }.within(bounds)
    }

    /// Moved by so much; within `bounds`.
    pub fn moved(self, by: f64, bounds: Seen) -> Seen {
        Seen { from: self.from + by, to: self.to + by }.within(bounds)
    }

    /// Moved as far as is needed to lie within `bounds`, and no longer than those.
    pub fn within(self, bounds: Seen) -> Seen {
        let length = self.length().min(bounds.length());
        let from = self.from.clamp(bounds.from, (bounds.to - length).max(bounds.from));
        Seen { from, to: from + length }
    }
}

/// An axis on the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// What is seen of it.
    pub seen: Seen,
    /// From where to where, in points: upward if the first is the greater.
    pub first: f32,
    /// See `first`.
    pub last: f32,
}

impl Scale {
    /// An axis from left to right.
    pub fn across(seen: Seen, range: Rangef) -> Scale {
        Scale { seen, first: range.min, last: range.max }
    }

    /// An axis from the bottom to the top.
    pub fn up(seen: Seen, range: Rangef) -> Scale {
        Scale { seen, first: range.max, last: range.min }
    }

    /// Where a number lies.
    pub fn place(&self, value: f64) -> f32 {
        let share = (value - self.seen.from) / self.seen.length();
        // Far outside the screen there is nothing to be exact about.
        self.first + narrow(share.clamp(-8.0, 9.0)) * (self.last - self.first)
    }

    /// What lies at a place.
    pub fn value(&self, place: f32) -> f64 {
        let across = self.last - self.first;
        let share = if across == 0.0 { 0.0 } else { f64::from((place - self.first) / across) };
        self.seen.from + share * self.seen.length()
    }

    /// How many numbers lie in a point.
    pub fn per_point(&self) -> f64 {
        self.seen.length() / f64::from((self.last - self.first).abs().max(1.0))
    }

    /// Round numbers at least so many points apart: decimal ones.
    pub fn tens(&self, apart: f32) -> Vec<f64> {
        let least = (self.per_point() * f64::from(apart)).max(1.0);
        let power = 10_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|by| by * power).find(|step| *step >= least);
        self.multiples(step.unwrap_or(power * 10.0))
    }

    /// Powers of two, and their multiples, at least so many points apart: as bytes are divided.
    pub fn twos(&self, apart: f32) -> Vec<f64> {
        let least = (self.per_point() * f64::from(apart)).max(1.0);
        self.multiples(least.log2().ceil().exp2())
    }

    fn multiples(&self, step: f64) -> Vec<f64> {
        let first = (self.seen.from / step).ceil();
        // A step takes some points of a screen, so there are some hundreds at most.
        (0..1000)
            .map(|number| (first + f64::from(number)) * step)
            .take_while(|value| *value <= self.seen.to)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_again() {
        let seen = Seen { from: 100.0, to: 300.0 };
        for scale in
            [Scale::across(seen, Rangef::new(10.0, 410.0)), Scale::up(seen, Rangef::new(10.0, 410.0))]
        {
            for value in [100.0, 150.0, 299.0] {
                assert!((scale.value(scale.place(value)) - value).abs() < 1e-3);
            }
        }
        let flat = Scale::across(seen, Rangef::new(5.0, 5.0));
        assert_eq!(flat.value(5.0), 100.0, "nothing is divided by nothing");
    }

    #[test]
    fn looking_nearer_keeps_what_is_pointed_at_and_stays_within() {
        let all = Seen::all(0, 1000);
        let near = all.zoomed(250.0, 2.0, all);
        assert_eq!(near, Seen { from: 125.0, to: 625.0 });
        assert_eq!(near.zoomed(125.0, 0.1, all), all);
        assert_eq!(near.moved(1e9, all), Seen { from: 500.0, to: 1000.0 });
        assert_eq!(near.moved(-1e9, all), Seen { from: 0.0, to: 500.0 });
        let nearest = (0..100).fold(all, |seen, _| seen.zoomed(3.0, 2.0, all));
        assert!((nearest.to - nearest.from - LEAST).abs() < 1e-9);
        let few = Seen::all(5, 5);
        assert!(few.to > few.from && few.zoomed(5.0, 2.0, few) == few);
    }

    #[test]
    fn marks_are_round_and_apart() {
        let scale = Scale::across(Seen { from: 130.0, to: 1130.0 }, Rangef::new(0.0, 500.0));
        assert_eq!(scale.tens(60.0), [200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert_eq!(scale.twos(100.0), [256.0, 512.0, 768.0, 1024.0]);
        let small = Scale::across(Seen { from: 0.0, to: 3.0 }, Rangef::new(0.0, 500.0));
        assert_eq!(small.tens(60.0), [0.0, 1.0, 2.0, 3.0], "records are whole");
    }
}
