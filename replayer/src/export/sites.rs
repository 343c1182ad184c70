//! What each stack did: allocated, freed, and held when the most was live.

use malloscope_traces::Stack;
use serde::Serialize;

/// Allocations, and their bytes. Whole numbers unless stacks were sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Amount {
    /// How many allocations.
    pub blocks: f64,
    /// Bytes asked for.
    pub bytes: f64,
}

impl Amount {
    /// Adds another.
    pub fn add(&mut self, other: Amount) {
        self.blocks += other.blocks;
        self.bytes += other.bytes;
    }

    fn less(self, other: Amount) -> Amount {
        // Where weights are fractions, a sum less its parts may fall short of nothing.
        Amount { blocks: (self.blocks - other.blocks).max(0.0), bytes: (self.bytes - other.bytes).max(0.0) }
    }
}

/// The nearest whole number, for formats that have no others.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded, never negative, and what is too large becomes the largest"
)]
pub fn whole(amount: f64) -> u64 {
    // Most formats' numbers have a sign.
    (amount.round().max(0.0) as u64).min(i64::MAX as u64)
}

/// What one stack did.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The stack; [`Stack::NONE`] stands for all calls that have none.
    pub stack: Stack,
    /// All that it allocated.
    pub allocated: Amount,
    /// Of that, what was freed.
    pub freed: Amount,
    /// What it had live when it had most bytes live.
    pub most: Amount,
    /// What it had live when the whole program had most bytes live.
    pub at_peak: Amount,
    /// Of what was freed, what its thread freed before it made another, or another thread did.
    pub temporary: Amount,
    /// The lifetimes of all it allocated, in nanoseconds together. What was never freed lived to the end.
    pub lifetimes: f64,
    /// The same in records.
    pub lifetime_records: f64,
    /// After which peak it last changed.
    peak: u64,
    /// Whether it changed since the dump before.
    is_changed: bool,
}

impl Site {
    fn new(stack: Stack) -> Site {
        Site {
            stack,
            allocated: Amount::default(),
            freed: Amount::default(),
            most: Amount::default(),
            at_peak: Amount::default(),
            temporary: Amount::default(),
            lifetimes: 0.0,
            lifetime_records: 0.0,
            peak: 0,
            is_changed: false,
        }
    }

    /// What it has live.
    pub fn live(&self) -> Amount {
        self.allocated.less(self.freed)
    }
}

/// How long something lived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) nanos: u64,
    pub(super) records: u64,
}

/// How some sites stood at a moment: those that had changed since the dump before.
#[derive(Clone, Debug, Default)]
pub struct Dump {
    /// When.
    pub time: u64,
    /// The number of the site, what it had allocated so far, and what of that was freed.
    pub sites: Vec<(u32, Amount, Amount)>,
}

/// All sites.
#[derive(Clone, Debug, Default)]
pub(super) struct Sites {
    sites: Vec<Site>,
    /// The number of each stack's site, plus one; 0 for stacks that have none yet.
    by_stack: Vec<u32>,
    /// How often the program had more live than ever before.
    peaks: u64,
    changed: Vec<u32>,
}

impl Sites {
    /// For stacks of a tree of so many frames.
    pub(super) fn new(frames: usize) -> Sites {
        Sites { by_stack: vec![0; frames.max(1)], ..Sites::default() }
    }

    /// The site of a stack. One that the tree does not have is as good as none.
    pub(super) fn of(&mut self, stack: Stack) -> u32 {
        let known = (stack.0 as usize) < self.by_stack.len();
        let stack = if known { stack } else { Stack::NONE };
        let entry = &mut self.by_stack[stack.0 as usize];
        if *entry == 0 {
            self.sites.push(Site::new(stack));
            // There are at most as many sites as frames, and those have numbers of 32 bits.
            *entry = u32::try_from(self.sites.len()).unwrap_or(u32::MAX);
        }
        *entry - 1
    }

    pub(super) fn allocate(&mut self, site: u32, amount: Amount) {
        let site = self.change(site);
        site.allocated.add(amount);
        let live = site.live();
        if live.bytes > site.most.bytes || site.most.blocks == 0.0 {
            site.most = live;
        }
    }

    /// What was freed had lived so long.
    pub(super) fn free(&mut self, site: u32, amount: Amount, lifetime: Lifetime) {
        self.change(site).freed.add(amount);
        self.outlive(site, amount, lifetime);
    }

    /// What was freed had been temporary.
    pub(super) fn was_temporary(&mut self, site: u32, amount: Amount) {
        self.sites[site as usize].temporary.add(amount);
    }

    /// What is live at the end, or was freed, had lived so long.
    pub(super) fn outlive(&mut self, site: u32, amount: Amount, lifetime: Lifetime) {
        let site = &mut self.sites[site as usize];
        site.lifetimes += amount.blocks * real(lifetime.nanos);
        site.lifetime_records += amount.blocks * real(lifetime.records);
    }

    /// The program has more live than ever before.
    pub(super) fn peak(&mut self) {
        self.peaks += 1;
    }

    /// The site, to be changed: what it had at the latest peak is put aside first.
    fn change(&mut self, number: u32) -> &mut Site {
        let site = &mut self.sites[number as usize];
        if site.peak != self.peaks {
            site.at_peak = site.live();
            site.peak = self.peaks;
        }
        if !site.is_changed {
            site.is_changed = true;
            self.changed.push(number);
        }
        site
    }

    /// How those stand that changed since the dump before.
    pub(super) fn dump(&mut self, time: u64) -> Dump {
        let sites = &mut self.sites;
        let stand = |number: u32| {
            let site = &mut sites[number as usize];
            site.is_changed = false;
            (number, site.allocated, site.freed)
        };
        Dump { time, sites: self.changed.drain(..).map(stand).collect() }
    }

    /// All of them, at the end.
    pub(super) fn finish(mut self) -> Vec<Site> {
        for site in &mut self.sites {
            if site.peak != self.peaks {
                site.at_peak = site.live();
            }
        }
        self.sites
    }
}

/// A number of nanoseconds or bytes, to be added up with weights.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2⁵³, which is 9 petabytes or 104 days")]
pub(super) fn real(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(bytes: f64) -> Amount {
        Amount { blocks: 1.0, bytes }
    }

    fn lived(nanos: u64) -> Lifetime {
        Lifetime { nanos, records: 2 * nanos }
    }

    #[test]
    fn a_site_knows_what_it_had_at_the_peak_of_all() {
        let mut sites = Sites::new(3);
        let [one, two] = [1, 2].map(|stack| sites.of(Stack(stack)));
        sites.allocate(one, amount(100.0));
        sites.peak();
        sites.free(one, amount(100.0), lived(7));
        sites.allocate(two, amount(60.0));
        sites.allocate(one, amount(50.0));
        sites.peak();
        sites.free(two, amount(60.0), lived(3));
        let sites = sites.finish();
        assert_eq!(sites.iter().map(|site| site.at_peak.bytes).collect::<Vec<_>>(), [50.0, 60.0]);
        assert_eq!(sites.iter().map(|site| site.most.bytes).collect::<Vec<_>>(), [100.0, 60.0]);
        assert_eq!(sites.iter().map(|site| site.live().bytes).collect::<Vec<_>>(), [50.0, 0.0]);
        assert_eq!(sites.iter().map(|site| site.lifetimes).collect::<Vec<_>>(), [7.0, 3.0]);
        assert_eq!(sites.iter().map(|site| site.lifetime_records).collect::<Vec<_>>(), [14.0, 6.0]);
    }

    #[test]
    fn a_dump_has_what_changed_since_the_one_before() {
        let mut sites = Sites::new(3);
        let [one, two] = [1, 2].map(|stack| sites.of(Stack(stack)));
        sites.allocate(one, amount(10.0));
        sites.allocate(two, amount(20.0));
        assert_eq!(sites.dump(5).sites.len(), 2);
        sites.free(two, amount(20.0), lived(1));
        assert_eq!(sites.dump(6).sites, [(two, amount(20.0), amount(20.0))]);
        assert_eq!(sites.dump(7).sites, []);
    }

    #[test]
    fn a_stack_that_the_tree_does_not_have_is_none() {
        let mut sites = Sites::new(2);
        let [lost, none, one] = [9, 0, 1].map(|stack| sites.of(Stack(stack)));
        assert!(lost == none && none != one);
    }

    #[test]
    fn numbers_are_rounded_and_stay_in_their_bounds() {
        assert_eq!([0.4, 0.5, -3.0, 1e30, f64::NAN].map(whole), [0, 1, 0, i64::MAX as u64, 0]);
    }
}
