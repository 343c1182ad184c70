//! Allocations one by one, from birth to death: all of them, or a fair sample of bounded size.
//!
//! When there are too many, a Poisson process over the bytes asked for decides which stay, as it does when
//! stacks are sampled: an allocation of `request` bytes stays with probability `1 - exp(-request / mean)`,
//! and one that stays stands for one over that many. How far apart the hits must be is found on the way:
//! every allocation draws the greatest mean with which it would still be hit, and when there is no more room
//! the mean is raised so that half of them go. So what stays is what would have stayed, had the last mean
//! been known from the beginning. The draws come from the records' numbers: the same trace gives the same
//! sample.

use super::sites::real;
use malloscope_traces::stacks::Sampling;

/// Allocations that are kept at most: two rows each make a file that a browser still opens.
pub const MOST: usize = 500_000;

/// A record, and when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub record: u64,
    /// Nanoseconds since the trace began.
    pub time: u64,
    /// The number of the thread that made it.
    pub thread: u32,
}

/// An allocation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Life {
    /// The number of the site that made it.
    pub site: u32,
    /// Bytes asked for.
    pub request: u64,
    /// Its address; where that is not known, a number that no other has at the time.
    pub address: u64,
    /// Its first record.
    pub born: Step,
    /// Its last, if it was freed.
    pub died: Option<Step>,
    /// The slot it is in while it lives.
    slot: u32,
    /// The greatest mean with which it is still hit.
    draw: f64,
}

/// The allocations that are kept.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    kept: Vec<Life>,
    /// Bytes between two hits on average; 0 while all are kept.
    mean: u64,
}

impl Lives {
    /// The allocations, in the order of their births.
    pub fn kept(&self) -> &[Life] {
        &self.kept
    }

    /// Which of the trace's allocations with a stack are kept.
    pub fn sampling(&self) -> Sampling {
        if self.mean == 0 { Sampling::All } else { Sampling::Bytes { mean: self.mean } }
    }

    /// An allocation is born into `slot`. Returns its number plus one if it is kept, else 0. `moved` is told
    /// when others get another number, or 0, and the slots they live in.
    pub(super) fn bear(
        &mut self,
        (slot, site, request, address): (u32, u32, u64, u64),
        born: Step,
        most: usize,
        moved: impl FnMut(u32, u32),
    ) -> u32 {
        let draw = real(request.max(1)) / -(-uniform(born.record)).ln_1p();
        if self.kept.len() >= most {
            self.thin(moved);
        }
        if self.mean > 0 && draw <= real(self.mean) {
            return 0;
        }
        self.kept.push(Life { site, request, address, born, died: None, slot, draw });
        u32::try_from(self.kept.len()).unwrap_or(0)
    }

    /// The allocation with this number, less one, is gone.
    pub(super) fn bury(&mut self, number: u32, died: Step) {
        let life = (number as usize).checked_sub(1).and_then(|index| self.kept.get_mut(index));
        if let Some(life) = life {
            life.died = Some(died);
        }
    }

    /// Raises the mean so that half of those kept go.
    fn thin(&mut self, mut moved: impl FnMut(u32, u32)) {
        let mut draws: Vec<f64> = self.kept.iter().map(|life| life.draw).collect();
        let middle = draws.len() / 2;
        let (_, median, _) = draws.select_nth_unstable_by(middle, f64::total_cmp);
        self.mean = super::sites::whole(median.ceil()).max(self.mean + 1);
        let mean = real(self.mean);
        let mut number = 0;
        self.kept.retain(|life| {
            let stays = life.draw > mean;
            number += u32::from(stays);
            if life.died.is_none() {
                moved(life.slot, if stays { number } else { 0 });
            }
            stays
        });
    }
}

/// A number between 0 and 1, neither of them, that looks drawn by chance (splitmix64).
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn uniform(record: u64) -> f64 {
    let mut mixed = record.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    ((mixed >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(record: u64) -> Step {
        Step { record, time: record, thread: 0 }
    }

    #[test]
    fn few_are_all_kept() {
        let mut lives = Lives::default();
        for record in 0..100 {
            let number = lives.bear((0, 0, record, 1), step(record), 100, |_, _| panic!("nobody moves"));
            assert_eq!(u64::from(number), record + 1);
            lives.bury(number, step(record));
        }
        assert_eq!((lives.kept().len(), lives.sampling()), (100, Sampling::All));
    }

    #[test]
    fn many_are_a_fair_sample_and_keep_their_slots() {
        let mut lives = Lives::default();
        let mut slots = vec![0; 1000];
        let (mut bytes, mut small) = (0.0, 0.0);
        for record in 0..200_000_u64 {
            let slot = u32::try_from(record % 1000).unwrap();
            let number = std::mem::take(&mut slots[slot as usize]);
            lives.bury(number, step(record));
            let request = if record % 10 == 0 { 10_000 } else { 16 + record % 100 };
            bytes += real(request);
            small += if request < 10_000 { 1.0 } else { 0.0 };
            let mut told = Vec::new();
            let number =
                lives.bear((slot, 7, request, 1), step(record), 4000, |slot, to| told.push((slot, to)));
            for (slot, to) in told {
                slots[slot as usize] = to;
            }
            slots[slot as usize] = number;
        }
        assert!((1000..=4000).contains(&lives.kept().len()));
        for (slot, number) in slots.iter().enumerate().filter(|(_, number)| **number != 0) {
            let life = lives.kept()[*number as usize - 1];
            assert!(life.slot as usize == slot && life.died.is_none());
        }
        let alive = lives.kept().iter().filter(|life| life.died.is_none()).count();
        assert_eq!(alive, slots.iter().filter(|number| **number != 0).count());
        let weight = |life: &Life| lives.sampling().weight(life.request);
        let estimate: f64 = lives.kept().iter().map(|life| weight(life) * real(life.request)).sum();
        // A Poisson sample of n has a relative error of one over the root of n; five of those.
        assert!((estimate / bytes - 1.0).abs() < 0.08, "{estimate} of {bytes}");
        let estimate: f64 = lives.kept().iter().filter(|life| life.request < 10_000).map(weight).sum();
        assert!((estimate / small - 1.0).abs() < 0.25, "{estimate} of {small}");
    }
}
