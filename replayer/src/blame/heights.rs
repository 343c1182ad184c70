//! Which live chunk is the highest, and who answers for it: the live chunks of one stretch of memory.
//!
//! The stretch is cut into pages of 64 KiB. A page that a chunk ever began in has a bit and an owner for
//! every place where one may begin; a bit for every page says whether any begins there now. So the
//! next lower live chunk is found in some steps however far below it lies, and what lives between
//! far apart chunks takes no room.

/// Bits in a word.
const BITS: usize = u64::BITS as usize;
/// Places in a page where a chunk may begin: of all that share one, only one can be alive.
const PLACES: usize = 2048;

/// Nobody is known to answer for a chunk.
pub(super) const NOBODY: u32 = u32::MAX;

#[derive(Debug)]
struct Page {
    /// Whether a chunk begins in each place.
    live: [u64; PLACES / BITS],
    /// Whether it begins in the middle of the place.
    in_middle: [u64; PLACES / BITS],
    /// Who answers for it.
    owners: [u32; PLACES],
}

/// The live chunks of a stretch of memory, by the address they begin at.
#[derive(Debug)]
pub(super) struct Heights {
    start: u64,
    /// Places are two to this bytes long: as long as the smallest chunk.
    shift: u32,
    pages: Vec<Option<Box<Page>>>,
    /// The pages in which chunks begin.
    used: Vec<u64>,
}

impl Heights {
    /// No chunk lives. They will begin at or above `start`, and none is smaller than `smallest`, a power
    /// of two; all begin at multiples of half of that.
    pub(super) fn new(start: u64, smallest: u64) -> Heights {
        let shift = smallest.trailing_zeros();
        Heights { start: start >> shift << shift, shift, pages: Vec::new(), used: Vec::new() }
    }

    /// The page and the place in it of an address; `None` below the stretch.
    #[inline]
    fn place(&self, at: u64) -> Option<(usize, usize)> {
        let place = usize::try_from(at.checked_sub(self.start)? >> self.shift).ok()?;
        Some((place / PLACES, place % PLACES))
    }

    /// Whether a chunk at this address can be noted, or lies below the stretch.
    #[inline]
    pub(super) fn has_room(&self, at: u64) -> bool {
        self.place(at).is_none_or(|(page, _)| matches!(self.pages.get(page), Some(Some(_))))
    }

    /// Makes room for a chunk at this address.
    #[cold]
    pub(super) fn make_room(&mut self, at: u64) {
        let Some((page, _)) = self.place(at) else { return };
        if page >= self.pages.len() {
            let length = (page + 1).next_power_of_two().max(64);
            self.pages.resize_with(length, || None);
            self.used.resize(length / BITS, 0);
        }
        self.pages[page].get_or_insert_with(|| {
            let none = [0; PLACES / BITS];
            Box::new(Page { live: none, in_middle: none, owners: [NOBODY; PLACES] })
        });
    }

    /// A chunk lives, and `owner` answers for it. Whether there was room to note that.
    #[inline]
    pub(super) fn insert(&mut self, at: u64, owner: u32) -> bool {
        let Some((number, place)) = self.place(at) else { return false };
        let Some(Some(page)) = self.pages.get_mut(number) else { return false };
        let (word, bit) = (place / BITS, place % BITS);
        page.live[word] |= 1 << bit;
        let middle = at >> (self.shift - 1) & 1;
        page.in_middle[word] = page.in_middle[word] & !(1 << bit) | middle << bit;
        page.owners[place] = owner;
        self.used[number / BITS] |= 1 << (number % BITS);
        true
    }

    /// A chunk lives no more. Whether it was known to.
    #[inline]
    pub(super) fn remove(&mut self, at: u64) -> bool {
        let Some((number, place)) = self.place(at) else { return false };
        let Some(Some(page)) = self.pages.get_mut(number) else { return false };
        let (word, bit) = (place / BITS, 1 << (place % BITS));
        let was_live = page.live[word] & bit != 0;
        page.live[word] &= !bit;
        if page.live[word] == 0 && page.live.iter().all(|&word| word == 0) {
            self.used[number / BITS] &= !(1 << (number % BITS));
        }
        was_live
    }

    /// The highest live chunk that begins below `limit`, and who answers for it.
    pub(super) fn highest_below(&self, limit: u64) -> Option<(u64, u32)> {
        let (page, place) = self.place(limit.checked_sub(1)?)?;
        if let Some(Some(same)) = self.pages.get(page)
            && let Some(found) = highest(&same.live, place)
        {
            return Some(self.at(page, found));
        }
        let page = highest(&self.used, page.checked_sub(1)?)?;
        let found = highest(&self.pages[page].as_ref()?.live, PLACES - 1)?;
        Some(self.at(page, found))
    }

    /// Where the chunk of a place begins.
    fn at(&self, page: usize, place: usize) -> (u64, u32) {
        let (middle, owner) = self.pages[page].as_ref().map_or((0, NOBODY), |page| {
            (page.in_middle[place / BITS] >> (place % BITS) & 1, page.owners[place])
        });
        let below = self.start + (((page * PLACES + place) as u64) << self.shift);
        (below + (middle << (self.shift - 1)), owner)
    }

    /// Nobody answers any more for any chunk that lives.
    pub(super) fn disown(&mut self) {
        for page in self.pages.iter_mut().flatten() {
            page.owners.fill(NOBODY);
        }
    }
}

/// The highest bit that is set at or below `last`.
fn highest(words: &[u64], last: usize) -> Option<usize> {
    let (word, bit) = (last / BITS, last % BITS);
    let word = match words.get(word) {
        Some(&bits) => {
            let bits = bits & (u64::MAX >> (BITS - 1 - bit));
            if bits != 0 {
                return Some(word * BITS + bits.ilog2() as usize);
            }
            word
        }
        None => words.len(),
    };
    let (word, bits) = words[..word].iter().enumerate().rev().find(|&(_, &bits)| bits != 0)?;
    Some(word * BITS + bits.ilog2() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn it_knows_what_a_plain_map_knows() {
        let start = 0x5555_0010;
        let mut heights = Heights::new(start, 32);
        let mut plain: BTreeMap<u64, u32> = BTreeMap::new();
        let mut random = 1_u64;
        for step in 0..200_000_u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Chunks of 48 bytes, near the start, and of all sizes up to 64 MiB away from each other.
            let far = [1 << 12, 1 << 17, 1 << 21][(random >> 20 & 3).min(2) as usize];
            let at = start + 48 * ((random >> 33) % far);
            if plain.remove(&at).is_some() {
                assert!(heights.remove(at));
            } else {
                if !heights.has_room(at) {
                    assert!(!heights.insert(at, step));
                    heights.make_room(at);
                }
                assert!(heights.insert(at, step));
                plain.insert(at, step);
            }
            while plain.len() > 40 {
                let lowest = plain.pop_first().unwrap().0;
                assert!(heights.remove(lowest) && !heights.remove(lowest));
            }
            for limit in [u64::MAX, at, at + 1] {
                let known = plain.range(..limit).next_back().map(|(&at, &owner)| (at, owner));
                let found = heights.highest_below(limit);
                // Chunks in the same place as the limit are found whether they begin below it or not.
                if known != found {
                    let same = |limit: u64| limit.saturating_sub(1).wrapping_sub(heights.start) >> 5;
                    assert_eq!(
                        found.map(|found| found.0.wrapping_sub(heights.start) >> 5),
                        Some(same(limit))
                    );
                }
            }
        }
        heights.disown();
        let highest = plain.last_key_value().map(|(&at, _)| (at, NOBODY));
        assert_eq!(heights.highest_below(u64::MAX), highest);
    }

    #[test]
    fn what_lies_below_the_stretch_is_not_in_it() {
        let mut heights = Heights::new(0x2000, 32);
        heights.make_room(0x1000);
        assert!(heights.has_room(0x1000) && !heights.insert(0x1000, 1) && !heights.remove(0x1000));
        assert_eq!(heights.highest_below(0x1000), None);
    }
}
