//! Many strands into one: the records of several threads in the order of their times.
//!
//! A record may be passed on when no other thread can still bring an earlier one. We look at the
//! clock, then how far each thread has reserved: what a thread reserves after that, it stamps after
//! that. So everything before the moment we looked is there, or known to be coming; and while
//! something is coming whose time is not known, the others wait for it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A strand to be merged with others.
pub trait Source {
    /// Where it passes its records on to.
    type Sink;
    /// Why that failed.
    type Error;

    /// What it holds next.
    fn front(&mut self) -> Front;

    /// Passes on what is no later than `until`. Returns what it holds next.
    fn pass(&mut self, until: u64, sink: &mut Self::Sink) -> Result<Front, Self::Error>;
}

/// What a strand holds next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// Nothing, up to the moment we looked.
    Nothing,
    /// Something whose time is not known yet.
    Coming,
    /// Something of this time.
    At(u64),
}

/// Merges strands; kept for the memory it has.
#[derive(Debug, Default)]
pub struct Merge {
    /// The time of each strand's next record, and the strand's number, earliest first.
    order: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Merge {
    /// Passes on all records of these strands up to `horizon`, in order. Returns the strand all
    /// others wait for, if there is one.
    pub fn run<S: Source>(
        &mut self,
        strands: &mut [S],
        horizon: u64,
        sink: &mut S::Sink,
    ) -> Result<Option<usize>, S::Error> {
        self.order.clear();
        for (number, strand) in strands.iter_mut().enumerate() {
            match strand.front() {
                Front::Nothing => {}
                Front::Coming => return Ok(Some(number)),
                Front::At(time) => self.order.push(Reverse((time, number))),
            }
        }
        while let Some(Reverse((time, number))) = self.order.pop()
            && time <= horizon
        {
            let until = self.order.peek().map_or(horizon, |Reverse((next, _))| horizon.min(*next));
            match strands[number].pass(until, sink)? {
                Front::Nothing => {}
                Front::Coming => return Ok(Some(number)),
                Front::At(time) => self.order.push(Reverse((time, number))),
            }
        }
        Ok(None)
    }
}
