//! The search among calls that put a chunk on a fastbin while another call was under way.
//!
//! A thread needs no lock for that. If it comes upon one that has the arena's lock and moves chunks from
//! the same fastbin to its tcache, or empties all fastbins, perhaps repeatedly, then no order of the two
//! gives what was recorded: the chunk comes to lie among others, and is handed out from there much later.

use super::Orderer;
use super::past::{Made, Traffic};
use super::search::{Move, Order, Window};
use malloscope_allocator::bins::Bin;
use malloscope_allocator::bins::lockless::{During, FASTBINS};
use malloscope_traces::Thread;
use std::collections::BTreeSet;

/// Calls before the doubtful one among which those are looked for that took chunks from fastbins.
const BACK: usize = 40_000;
/// Calls before and after such a one among which those are looked for that put one there.
const NEAR: usize = 200;
/// How long it takes to take chunks, at most, in nanoseconds.
const LONG: u64 = 100_000;
/// The most of these that are tried at once.
const PUTS: usize = 16;
/// The most orders that are tried for one call.
const ORDERS: usize = 1000;
/// The most orders from which those are chosen.
const MOST_ORDERS: usize = 5000;
/// Calls made in search of such an order, at most.
const PATIENCE: usize = 3_000_000;

/// When a chunk arrives on a fastbin, as seen from a call that takes chunks from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Arrival {
    Before,
    /// At the so manieth of the moments that make a difference.
    During(u32),
    After,
}

/// A call that took chunks from fastbins, and others that put some there about then.
#[derive(Debug)]
struct Meeting {
    taker: usize,
    puts: Vec<usize>,
    /// How many moments there are during the call.
    moments: u32,
}

impl Orderer {
    /// Tries calls that put chunks on fastbins while others took some from there, the latest first.
    pub(super) fn put_meanwhile(&mut self, window: &mut Window) -> bool {
        let limit = window.limit;
        window.limit = limit.min(self.past.executions() + PATIENCE);
        let is_proven = self.meetings(window).iter().any(|meeting| self.try_meeting(window, meeting));
        window.limit = limit;
        is_proven
    }

    fn try_meeting(&mut self, window: &mut Window, meeting: &Meeting) -> bool {
        let times: Vec<Arrival> = [Arrival::Before]
            .into_iter()
            .chain((0..meeting.moments).map(Arrival::During))
            .chain([Arrival::After])
            .collect();
        let orders = ascending(&times, meeting.puts.len(), ORDERS);
        orders.into_iter().any(|arrivals| {
            let is_new = arrivals.iter().any(|one| matches!(one, Arrival::During(_)));
            let order = if is_new { self.met(window, meeting, &arrivals) } else { None };
            order.is_some_and(|order| !self.is_tired(window) && self.attempt(window, order))
        })
    }

    /// Calls that may have taken chunks from fastbins just when others put some there.
    fn meetings(&self, window: &Window) -> Vec<Meeting> {
        let made = &self.past.made()[..=window.doubtful];
        let first = window.doubtful.saturating_sub(BACK);
        // To take chunks takes long now and then, above all where many are merged; to put one does not.
        let may_meet = |put: &Made, taker: &Made| {
            let brief = window.brief();
            let from = taker.item.from(if taker.item.has_waited { brief } else { LONG.max(brief) });
            put.item.may_precede(&taker.item, brief) && from <= put.item.until(brief)
        };
        let meeting = |taker: usize| {
            let traffic = made[taker].outcome.traffic.filter(|_| window.concerns(&made[taker]))?;
            let suits = |place: usize| match (traffic, made[place].outcome.traffic) {
                (Traffic::Moved { bin, .. }, Some(Traffic::Put { bin: other })) => bin == other,
                (Traffic::Emptied { .. }, Some(Traffic::Put { .. })) => true,
                _ => false,
            };
            let near = taker.saturating_sub(NEAR)..made.len().min(taker + NEAR);
            let mut puts: Vec<usize> = near
                .filter(|&put| {
                    suits(put) && window.concerns(&made[put]) && may_meet(&made[put], &made[taker])
                })
                .collect();
            puts.sort_by_key(|&put| put.abs_diff(taker));
            let moments = match traffic {
                Traffic::Moved { chunks, .. } => chunks + 1,
                // What arrives after all fastbins were emptied may be a reason to empty them again.
                Traffic::Emptied { times } => times + 2,
                Traffic::Put { .. } => 0,
            };
            puts.truncate(PUTS);
            while count_ascending(moments as usize + 2, puts.len()) > MOST_ORDERS {
                puts.pop();
            }
            puts.sort_unstable();
            (!puts.is_empty()).then_some(Meeting { taker, puts, moments })
        };
        (first..made.len()).rev().filter_map(meeting).collect()
    }

    /// The order in which chunks arrive like this. What a thread does after its chunk has arrived, and
    /// needs the lock, it does when the other call is over. None if there is no such order.
    fn met(&self, window: &Window, meeting: &Meeting, arrivals: &[Arrival]) -> Option<Order> {
        let made = self.past.made();
        let taker = meeting.taker;
        let arrival_of =
            |place: usize| meeting.puts.iter().position(|&put| put == place).map(|number| arrivals[number]);
        let call = made[taker].item.numbered.turn.index;
        let mut order = Order::default();
        let threads: BTreeSet<Thread> = meeting.puts.iter().map(|&put| made[put].item.thread()).collect();
        for thread in threads {
            let own = self.places_of(window, thread);
            let near = own.partition_point(|&place| place + NEAR < taker)
                ..own.partition_point(|&place| place < taker + NEAR);
            let own = &own[near];
            let (before, after) = own.split_at(own.partition_point(|&place| place < taker));
            let mut latest = Arrival::Before;
            let mut is_waiting = false;
            for &place in before {
                let arrival = arrival_of(place);
                latest = arrival.unwrap_or(latest);
                let is_after = latest == Arrival::After
                    || arrival.is_none() && latest > Arrival::Before && window.concerns(&made[place]);
                if is_after {
                    is_waiting = true;
                    order.moves.push(Move { from: place, to: taker, is_after: true });
                } else if is_waiting && arrival.is_some() {
                    return None;
                }
            }
            let is_early = |&place: &usize| arrival_of(place).is_some_and(|arrival| arrival < Arrival::After);
            let early = &after[..after.iter().rposition(is_early).map_or(0, |last| last + 1)];
            if is_waiting && !early.is_empty() {
                return None;
            }
            order.moves.extend(early.iter().map(|&from| Move { from, to: taker, is_after: false }));
        }
        for (&put, &arrival) in meeting.puts.iter().zip(arrivals) {
            let during = match arrival {
                Arrival::During(moment) => Some(During {
                    call,
                    takes: takes(made[put].outcome.traffic, made[taker].outcome.traffic, moment),
                }),
                Arrival::Before | Arrival::After => None,
            };
            if during != made[put].item.numbered.turn.during {
                order.meanwhile.push((put, during));
            }
        }
        Some(order)
    }
}

/// How often the taker takes before a moment: between two it takes from the put's fastbin once.
fn takes(put: Option<Traffic>, taker: Option<Traffic>, moment: u32) -> u32 {
    match (put, taker) {
        (Some(Traffic::Put { bin: Bin::Fast(number) }), Some(Traffic::Emptied { .. })) => {
            moment * FASTBINS + u32::from(number) + 1
        }
        _ => moment,
    }
}

/// The ways to choose so many of these in ascending order, with repetitions: at most `most`, those with
/// the fewest different ones first.
fn ascending<T: Copy + PartialEq>(all: &[T], count: usize, most: usize) -> Vec<Vec<T>> {
    let mut ways = vec![(0, Vec::new())];
    for _ in 0..count {
        let longer = ways.iter().flat_map(|(first, chosen): &(usize, Vec<T>)| {
            (*first..all.len()).map(move |next| (next, [chosen.as_slice(), &[all[next]]].concat()))
        });
        ways = longer.collect();
    }
    let mut ways: Vec<Vec<T>> = ways.into_iter().map(|(_, chosen)| chosen).collect();
    ways.sort_by_key(|chosen| chosen.windows(2).filter(|pair| pair[0] != pair[1]).count());
    ways.truncate(most);
    ways
}

/// How many there are.
fn count_ascending(of: usize, count: usize) -> usize {
    (1..=count).fold(1, |ways: usize, number| ways.saturating_mul(of + number - 1) / number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_chosen_and_counted() {
        let all = ascending(&[1, 2, 3], 2, 10);
        assert_eq!(all, [[1, 1], [2, 2], [3, 3], [1, 2], [1, 3], [2, 3]]);
        assert_eq!(count_ascending(3, 2), all.len());
        assert_eq!(ascending(&[1, 2, 3], 2, 4), all[..4]);
        // A trace may say that a tcache holds 65,535 chunks of a size.
        assert!(count_ascending(65_537, 16) > MOST_ORDERS);
    }
}
