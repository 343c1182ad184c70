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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// A strand whose records are times, of which `None` has not been written.
    struct Times(VecDeque<Option<u64>>);

    impl Source for Times {
        type Sink = Vec<u64>;
        type Error = Infallible;

        fn front(&mut self) -> Front {
            match self.0.front() {
                None => Front::Nothing,
                Some(None) => Front::Coming,
                Some(Some(time)) => Front::At(*time),
            }
        }

        fn pass(&mut self, until: u64, sink: &mut Vec<u64>) -> Result<Front, Infallible> {
            while let Some(Some(time)) = self.0.front()
                && *time <= until
            {
                sink.extend(self.0.pop_front().flatten());
            }
            Ok(self.front())
        }
    }

    fn strands() -> impl Strategy<Value = Vec<Vec<u64>>> {
        let strand = prop::collection::vec(0..1000_u64, 0..50).prop_map(|mut times| {
            times.sort_unstable();
            times
        });
        prop::collection::vec(strand, 0..6)
    }

    proptest! {
        #[test]
        fn all_up_to_the_horizon_is_passed_on_in_order(strands in strands(), horizon in 0..1200_u64) {
            let mut expected: Vec<u64> = strands.concat();
            expected.retain(|time| *time <= horizon);
            expected.sort_unstable();
            let mut sources: Vec<Times> =
                strands.into_iter().map(|times| Times(times.into_iter().map(Some).collect())).collect();
            let mut passed = Vec::new();
            prop_assert_eq!(Merge::default().run(&mut sources, horizon, &mut passed), Ok(None));
            prop_assert_eq!(passed, expected);
        }

        #[test]
        fn nothing_overtakes_what_is_coming(strands in strands(), late in 0..1000_u64) {
            let mut sources: Vec<Times> =
                strands.into_iter().map(|times| Times(times.into_iter().map(Some).collect())).collect();
            let before: Vec<_> = (0..late).step_by(100).map(Some).collect();
            sources.push(Times(before.into_iter().chain([None]).collect()));
            let mut passed = Vec::new();
            let _ = Merge::default().run(&mut sources, u64::MAX, &mut passed);
            let Some(Times(last)) = sources.last_mut() else { unreachable!("it was pushed") };
            last.retain(Option::is_some);
            last.push_back(Some(late));
            let _ = Merge::default().run(&mut sources, u64::MAX, &mut passed);
            prop_assert!(passed.is_sorted());
        }
    }
}
