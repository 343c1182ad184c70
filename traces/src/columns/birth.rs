//! The allocations made or moved in a batch, in order: what the rest of the batch refers to.

use super::place::Class;

/// The number of a birth in its batch, from 1; 0 stands for none.
pub(super) type Nth = u32;

/// An allocation made or moved in this batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Birth {
    /// Where.
    pub address: u64,
    /// The slot it has.
    pub slot: u32,
    /// What its place is filed under when it leaves it.
    pub class: Class,
    /// Once it has left: the one below it in the stack of places that were left.
    pub below: Nth,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Births(Vec<Birth>);

impl Default for Births {
    fn default() -> Births {
        Births(vec![Birth::default()])
    }
}

impl Births {
    /// Another batch begins.
    pub fn clear(&mut self) {
        self.0.truncate(1);
    }

    /// An allocation is made or moved.
    #[inline(always)]
    pub fn push(&mut self, address: u64, slot: u32, class: Class) {
        self.0.push(Birth { address, slot, class, below: 0 });
    }

    /// The youngest.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "there is one for each record of a batch at most")]
    pub fn last(&self) -> Nth {
        (self.0.len() - 1) as Nth
    }

    /// The nth, if there is one.
    #[inline(always)]
    pub fn get(&self, nth: Nth) -> Option<&Birth> {
        if nth == 0 { None } else { self.0.get(nth as usize) }
    }
}

impl std::ops::Index<Nth> for Births {
    type Output = Birth;

    #[inline(always)]
    fn index(&self, nth: Nth) -> &Birth {
        &self.0[nth as usize]
    }
}

impl std::ops::IndexMut<Nth> for Births {
    #[inline(always)]
    fn index_mut(&mut self, nth: Nth) -> &mut Birth {
        &mut self.0[nth as usize]
    }
}
