//! Who lives at an address: an open hash table in which neighbours in memory are neighbours too.
//!
//! A heap is not a random set of addresses. What is allocated, and often what is freed, one after the
//! other lies side by side, so the entries of a stretch of memory are kept side by side as well: the
//! hash of the stretch says where, the place within the stretch is added to it. With a hash that
//! scatters every address, each lookup in a table of a million entries waited for memory, and
//! recording took up to twice as long.
//!
//! A stretch of small allocations fills a run of entries with hardly a gap. Were the next free entry
//! taken when two such runs collide, they would grow together and push each other aside without end,
//! so one goes ahead in strides that lead far away. A whole run then goes the same way and stays together.
//! Which entries were gone past is marked beside them, so that whoever moves out of another need not look a
//! stride ahead, where memory would be waited for once more.

use crate::columns::Holder;

/// The distance from one entry to the next that is tried, and the number that undoes a
/// multiplication by it. It is odd, so that all entries are tried.
const STRIDE: usize = 0x9e37_79b9_7f4a_7c15;
const UNSTRIDE: usize = inverse(STRIDE);

/// Two to this power is the length of a stretch, and of the addresses that share an entry's place in
/// it: no two allocations of glibc's begin within 32 bytes.
const STRETCH: u32 = 20;
const GRAIN: u32 = 5;

/// How many entries there are at first: no fewer than a stretch has places, or it would come round onto
/// itself. Always a power of two.
const SMALLEST: usize = 1 << (STRETCH - GRAIN);

/// How many entries are marked in a word.
const BITS: usize = u64::BITS as usize;

/// Who lives at an address.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// 0 if nobody does.
    address: u64,
    holder: Holder,
}

const EMPTY: Entry = Entry { address: 0, holder: Holder { slot: 0, born: 0 } };

/// Who lives at every address.
#[derive(Debug)]
pub(crate) struct Addresses {
    entries: Vec<Entry>,
    /// A bit for each entry: whether somebody on the way from home may have gone past it.
    passed: Vec<u64>,
    inhabited: usize,
}

impl Default for Addresses {
    fn default() -> Addresses {
        Addresses::of(SMALLEST)
    }
}

impl Addresses {
    fn of(entries: usize) -> Addresses {
        Addresses { entries: vec![EMPTY; entries], passed: vec![0; entries / BITS], inhabited: 0 }
    }

    /// These addresses will soon be asked for. What is known of them is fetched from memory, of all at a
    /// time: one after the other would take as long for each.
    #[inline]
    pub fn fetch(&self, addresses: impl Iterator<Item = u64>) {
        let fetched = addresses.fold(0, |all, address| all ^ self.entries[self.home(address)].address);
        // Otherwise it would not be read at all.
        std::hint::black_box(fetched);
    }

    /// Who lives at `address`, which is not 0.
    #[inline(always)]
    pub fn get(&self, address: u64) -> Option<Holder> {
        let entry = &self.entries[self.find(address)];
        (entry.address != 0).then_some(entry.holder)
    }

    /// `holder` moves in at `address`, which is not 0. Returns who lived there.
    #[inline(always)]
    pub fn insert(&mut self, address: u64, holder: Holder) -> Option<Holder> {
        let at = self.find(address);
        let before = std::mem::replace(&mut self.entries[at], Entry { address, holder });
        if before.address != 0 {
            return Some(before.holder);
        }
        self.mark(address, at);
        self.inhabited += 1;
        // The fuller, the more strides; the emptier, the more memory to be waited for.
        if self.inhabited > self.entries.len() / 2 {
            self.grow();
        }
        None
    }

    /// Whoever lives at `address`, which is not 0, moves out.
    #[inline(always)]
    pub fn remove(&mut self, address: u64) -> Option<Holder> {
        let at = self.find(address);
        let before = self.entries[at];
        if before.address == 0 {
            return None;
        }
        self.inhabited -= 1;
        self.vacate(at);
        Some(before.holder)
    }

    /// The entry of `address`, or the empty one it would take.
    #[inline(always)]
    fn find(&self, address: u64) -> usize {
        let mut at = self.home(address);
        loop {
            let entry = self.entries[at].address;
            if entry == address || entry == 0 {
                return at;
            }
            at = self.wrap(at.wrapping_add(STRIDE));
        }
    }

    /// Marks the entries that `address` went past on the way from home to where it lives.
    #[inline(always)]
    fn mark(&mut self, address: u64, lives_at: usize) {
        let mut at = self.home(address);
        while at != lives_at {
            self.passed[at / BITS] |= 1 << (at % BITS);
            at = self.wrap(at.wrapping_add(STRIDE));
        }
    }

    /// Empties an entry.
    #[inline(always)]
    fn vacate(&mut self, at: usize) {
        if self.passed[at / BITS] & 1 << (at % BITS) == 0 {
            self.entries[at] = EMPTY;
        } else {
            self.move_up(at);
        }
    }

    /// Empties an entry. Whoever had to go past it on the way from home moves up.
    fn move_up(&mut self, mut hole: usize) {
        let (mut at, mut strides) = (hole, 0);
        loop {
            at = self.wrap(at.wrapping_add(STRIDE));
            strides += 1;
            let entry = self.entries[at];
            if entry.address == 0 {
                break;
            }
            let from_home = self.wrap(at.wrapping_sub(self.home(entry.address)).wrapping_mul(UNSTRIDE));
            if from_home >= strides {
                self.entries[hole] = entry;
                (hole, strides) = (at, 0);
            }
        }
        self.entries[hole] = EMPTY;
        // Nobody lives on the far side of it any more.
        self.passed[hole / BITS] &= !(1 << (hole % BITS));
    }

    #[cold]
    fn grow(&mut self) {
        let doubled = Addresses::of(self.entries.len() * 2);
        for Entry { address, holder } in std::mem::replace(self, doubled).entries {
            if address != 0 {
                self.insert(address, holder);
            }
        }
    }

    /// Where an address belongs: the hash of its stretch, and its place within.
    #[inline(always)]
    fn home(&self, address: u64) -> usize {
        let stretch = (address >> STRETCH).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24;
        self.wrap(stretch.wrapping_add(address >> GRAIN) as usize)
    }

    #[inline(always)]
    fn wrap(&self, at: usize) -> usize {
        at & (self.entries.len() - 1)
    }
}

/// The number that undoes a multiplication by an odd `number`: each step doubles the right bits.
const fn inverse(number: usize) -> usize {
    let mut inverse = number;
    let mut right_bits = 3;
    while right_bits < usize::BITS {
        inverse = inverse.wrapping_mul(2usize.wrapping_sub(number.wrapping_mul(inverse)));
        right_bits *= 2;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Dense runs, single large allocations, and numbers that are no addresses of glibc's.
    fn address() -> impl Strategy<Value = u64> {
        prop_oneof![
            (1..200u64).prop_map(|n| 0x5555_0000_0000 + n * 32),
            (1..50u64).prop_map(|n| 0x7fff_0000_0010 + (n << 20)),
            1..50u64,
            1..u64::MAX,
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((address(), 0..3u8, any::<u32>()), 0..4000)) {
            let (mut addresses, mut plain) = (Addresses::default(), HashMap::new());
            for (address, step, slot) in steps {
                let holder = Holder { slot, born: slot ^ 1 };
                match step {
                    0 => prop_assert_eq!(addresses.remove(address), plain.remove(&address)),
                    1 => prop_assert_eq!(addresses.get(address), plain.get(&address).copied()),
                    _ => prop_assert_eq!(addresses.insert(address, holder), plain.insert(address, holder)),
                }
            }
            for (address, holder) in plain {
                prop_assert_eq!(addresses.get(address), Some(holder));
            }
        }
    }

    #[test]
    fn it_grows_and_whoever_went_past_another_is_found_when_that_one_is_gone() {
        // Four share each home.
        const ALL: u32 = 100_000;
        let lived = |n: u32| 0x5555_0000_0000 + u64::from(n / 4) * 96 + u64::from(n % 4);
        let mut addresses = Addresses::default();
        for n in 0..ALL {
            assert!(addresses.insert(lived(n), Holder { slot: n, born: n ^ 1 }).is_none());
        }
        assert!(addresses.entries.len() > SMALLEST);
        for n in (0..ALL).filter(|n| n % 3 != 0) {
            assert_eq!(addresses.remove(lived(n)), Some(Holder { slot: n, born: n ^ 1 }));
        }
        for n in 0..ALL {
            let left = (n % 3 == 0).then_some(Holder { slot: n, born: n ^ 1 });
            assert_eq!(addresses.get(lived(n)), left);
        }
    }

    #[test]
    fn a_stride_is_undone() {
        assert_eq!(STRIDE.wrapping_mul(UNSTRIDE), 1);
    }
}
