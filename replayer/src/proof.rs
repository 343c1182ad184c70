//! What was predicted of a run under other settings, beside what a real run did.

use crate::outcome::Outcome;
use crate::report::comparison::Measure;
use serde::Serialize;

/// What malloc of a real run asked of the kernel, and what memory it touched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Actual {
    /// Calls of `brk` that moved the program break up.
    pub break_grown: u64,
    /// Calls of `brk` that moved it down.
    pub break_trimmed: u64,
    /// Calls of `mmap`.
    pub mmap: u64,
    /// Calls of `munmap`.
    pub munmap: u64,
    /// Calls of `mremap`.
    pub mremap: u64,
    /// Calls of `mprotect`.
    pub mprotect: u64,
    /// Calls of `madvise`.
    pub madvise: u64,
    /// First touches of pages of malloc's memory.
    pub faults: u64,
    /// The most bytes of it that were resident at any time.
    pub peak_resident: u64,
    /// Bytes of it that were resident at the end.
    pub resident: u64,
}

/// Under one setting: a prediction, and real runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proved {
    /// What distinguishes the setting: `mmap_threshold 64K`.
    pub name: String,
    /// The variables of the environment that set it.
    pub variables: Vec<(String, String)>,
    /// What was predicted.
    pub predicted: Outcome,
    /// What the real runs did.
    pub actual: Vec<Actual>,
}

/// How exact a prediction is to be, and what it is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number of calls.
    Calls,
    /// A number of pages.
    Pages,
    /// A number of bytes.
    Bytes,
}

/// A number that is predicted and can be seen in a real run.
#[derive(Clone, Copy, Debug)]
pub struct Predicted {
    /// What it is called: a [`Measure`], which says what is predicted.
    pub name: &'static str,
    /// What it counts.
    pub kind: Kind,
    actual: fn(&Actual) -> u64,
}

/// Everything that is predicted and seen, in the order it is shown.
pub const PREDICTED: [Predicted; 10] = [
    Predicted { name: "break grown", kind: Kind::Calls, actual: |seen| seen.break_grown },
    Predicted { name: "break trimmed", kind: Kind::Calls, actual: |seen| seen.break_trimmed },
    Predicted { name: "mmap", kind: Kind::Calls, actual: |seen| seen.mmap },
    Predicted { name: "munmap", kind: Kind::Calls, actual: |seen| seen.munmap },
    Predicted { name: "mremap", kind: Kind::Calls, actual: |seen| seen.mremap },
    Predicted { name: "mprotect", kind: Kind::Calls, actual: |seen| seen.mprotect },
    Predicted { name: "madvise", kind: Kind::Calls, actual: |seen| seen.madvise },
    Predicted { name: "minor faults", kind: Kind::Pages, actual: |seen| seen.faults },
    Predicted { name: "resident, peak", kind: Kind::Bytes, actual: |seen| seen.peak_resident },
    Predicted { name: "resident, end", kind: Kind::Bytes, actual: |seen| seen.resident },
];

/// A prediction, and the least and the most that real runs did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// What was predicted.
    pub predicted: u64,
    /// The least of all real runs.
    pub least: u64,
    /// The most.
    pub most: u64,
}

impl Held {
    /// How far the prediction is outside of what real runs did, as a share of the nearer of them.
    /// Nothing at all if it is within; nothing to compare with is infinitely far from anything.
    pub fn off(&self) -> f64 {
        let nearest = self.predicted.clamp(self.least, self.most);
        let by = self.predicted.abs_diff(nearest);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        if by == 0 { 0.0 } else { by as f64 / nearest as f64 }
    }
}

impl Proved {
    /// One of the numbers.
    pub fn held(&self, what: &Predicted) -> Held {
        let actual = || self.actual.iter().map(what.actual);
        let measure = Measure::named(what.name).expect("what is predicted is a measure");
        Held {
            predicted: measure.of(&self.predicted),
            least: actual().min().unwrap_or(0),
            most: actual().max().unwrap_or(0),
        }
    }

    /// The greatest share by which a number of this kind is off.
    pub fn worst(&self, is_of: impl Fn(Kind) -> bool) -> f64 {
        let of_kind = PREDICTED.iter().filter(|what| is_of(what.kind));
        of_kind.map(|what| self.held(what).off()).fold(0.0, f64::max)
    }

    /// Whether all calls are the very number, and everything else is off by no more than this share.
    pub fn holds_within(&self, share: f64) -> bool {
        self.worst(|kind| kind == Kind::Calls) == 0.0 && self.worst(|_| true) <= share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_predicted_is_what_runs_are_compared_by() {
        for what in PREDICTED {
            let measure = Measure::named(what.name).unwrap();
            assert_eq!(measure.is_bytes, what.kind == Kind::Bytes, "{}", what.name);
        }
    }

    #[test]
    fn a_prediction_is_off_by_what_it_is_outside_of_real_runs() {
        for (predicted, least, most, off) in
            [(10, 10, 10, 0.0), (10, 9, 12, 0.0), (11, 10, 10, 0.1), (9, 10, 20, 0.1), (0, 0, 0, 0.0)]
        {
            let held = Held { predicted, least, most };
            assert!((held.off() - off).abs() < 1e-9, "{held:?}");
        }
        assert_eq!(Held { predicted: 3, least: 0, most: 0 }.off(), f64::INFINITY);
    }
}
