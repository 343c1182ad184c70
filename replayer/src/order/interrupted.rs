//! The search among calls whose threads were interrupted.
//!
//! A thread that is taken off the processor during a call has made it just before, or makes it when it
//! goes on: what lies between may be tens of thousands of other threads' calls, but the call's place is
//! nearly always at one of the two ends. Threads that were interrupted in the same arena at the same time
//! hide each other's places, so two or three are tried at once.

use super::Orderer;
use super::search::{Move, Order, Window};
use malloscope_allocator::arena::ArenaId;
use std::ops::RangeInclusive;

/// Calls before the doubtful one among which interrupted ones are looked for.
const BACK: usize = 40_000;
/// The most interrupted calls that are tried in other places.
const CALLS: usize = 12;
/// The same in other arenas.
const ELSEWHERE: usize = 40;
/// Places that are tried at each end of a call's time.
const ENDS: usize = 3;
/// Calls made in search of such an order, at most.
const PATIENCE: usize = 2_000_000;

/// Another place for an interrupted call.
#[derive(Clone, Copy, Debug)]
enum Change {
    Move(Move),
    Wait(usize),
}

impl Orderer {
    /// Tries interrupted calls at the other end of their time, so many at once: the fewest first.
    pub(super) fn move_interrupted(
        &mut self,
        window: &mut Window,
        mut counts: RangeInclusive<usize>,
    ) -> bool {
        let calls = self.interrupted(window);
        counts.any(|count| self.change_within_patience(window, &calls, count))
    }

    /// Does the same in other arenas, one at a time: what threads have cached of their own arenas decides
    /// whether a chunk they free goes back to its arena.
    pub(super) fn move_interrupted_elsewhere(&mut self, window: &mut Window) -> bool {
        window.forget_prints();
        let calls = self.interrupted_elsewhere(window);
        self.change_within_patience(window, &calls, 1)
    }

    fn change_within_patience(&mut self, window: &mut Window, calls: &[Vec<Change>], count: usize) -> bool {
        let limit = window.limit;
        window.limit = limit.min(self.past.executions() + PATIENCE);
        let is_proven = self.change(window, calls, count, &mut Vec::new());
        window.limit = limit;
        is_proven
    }

    /// Tries every change of so many more of these calls, besides those already chosen.
    fn change(
        &mut self,
        window: &mut Window,
        calls: &[Vec<Change>],
        count: usize,
        chosen: &mut Vec<Change>,
    ) -> bool {
        if count == 0 {
            return !self.is_tired(window) && self.attempt(window, order_of(chosen));
        }
        calls.iter().enumerate().any(|(number, changes)| {
            changes.iter().any(|&one| {
                chosen.push(one);
                let is_proven = self.change(window, &calls[number + 1..], count - 1, chosen);
                chosen.pop();
                is_proven
            })
        })
    }

    /// The other places of each interrupted call that may matter to the doubtful one.
    fn interrupted(&self, window: &mut Window) -> Vec<Vec<Change>> {
        if self.watched.is_empty() {
            return Vec::new();
        }
        let arena = window.arena;
        let earliest = self.earliest(window, window.doubtful, window.doubtful, arena);
        let mut calls = vec![self.nearest(window).chain(earliest).collect()];
        for place in self.calls_that_wait(window) {
            let item = self.item(window, place);
            if item.arena.is_none() || item.arena == window.arena {
                let before = Change::Move(window.before_doubtful(place));
                let early = self.earliest(window, place, window.doubtful, arena);
                calls.push([before].into_iter().chain(early).collect());
            }
        }
        for late in self.late(window) {
            let place = window.place_of(late);
            let before = Change::Move(window.before_doubtful(place));
            let early = self.earliest(window, place, window.doubtful, arena);
            calls.push([before].into_iter().chain(early).collect());
        }
        let own =
            self.interrupted_made(window).filter(|&place| self.past.made()[place].outcome.arena == arena);
        let own = own.map(|place| self.changes(window, place, arena)).filter(|changes| !changes.is_empty());
        calls.extend(own.take(CALLS));
        calls
    }

    /// The other places of each interrupted call in another arena.
    fn interrupted_elsewhere(&self, window: &Window) -> Vec<Vec<Change>> {
        let others = self.interrupted_made(window).filter_map(|place| {
            let arena = self.past.made()[place].outcome.arena.filter(|&arena| Some(arena) != window.arena)?;
            Some(self.changes(window, place, Some(arena))).filter(|changes| !changes.is_empty())
        });
        others.take(ELSEWHERE).collect()
    }

    /// The interrupted calls among those made, the latest first.
    fn interrupted_made(&self, window: &Window) -> impl Iterator<Item = usize> {
        (window.doubtful.saturating_sub(BACK)..window.doubtful).rev().filter(|&place| {
            let item = &self.past.made()[place].item;
            (item.is_interrupted || !item.is_brief)
                && self.watched.contains(&item.thread())
                && !item.is_exit()
        })
    }

    /// The other places of a call that was made in this arena.
    fn changes(&self, window: &Window, place: usize, arena: Option<ArenaId>) -> Vec<Change> {
        self.earliest(window, place, place, arena).chain(self.latest(window, place, arena)).collect()
    }

    /// Places a little before the doubtful call.
    fn nearest(&self, window: &Window) -> impl Iterator<Item = Change> + use<> {
        let from = window.doubtful;
        let places: Vec<usize> =
            self.places_before(window, from, from, window.arena).take(2 * ENDS).collect();
        places.into_iter().map(move |to| Change::Move(Move { from, to, is_after: false }))
    }

    /// Places at the beginning of a call's time, before `end`.
    fn earliest(
        &self,
        window: &Window,
        from: usize,
        end: usize,
        arena: Option<ArenaId>,
    ) -> impl Iterator<Item = Change> + use<> {
        let mut places: Vec<usize> = self.places_before(window, from, end, arena).collect();
        places.reverse();
        places.truncate(ENDS);
        places.into_iter().map(move |to| Change::Move(Move { from, to, is_after: false }))
    }

    /// Places at the end of a call's time; it waits if that is not over.
    fn latest(
        &self,
        window: &Window,
        from: usize,
        arena: Option<ArenaId>,
    ) -> impl Iterator<Item = Change> + use<> {
        let item = self.item(window, from);
        let made = self.past.made()[..window.doubtful].iter().enumerate().skip(from + 1);
        let mut is_over = false;
        let able = made.take_while(|(_, made)| {
            is_over = made.item.thread() == item.thread() || made.item.from(window.brief()) > item.until;
            !is_over
        });
        let concerned = able.filter(|(_, made)| arena.is_some_and(|arena| made.concerns(arena)));
        let places: Vec<usize> = concerned.map(|(place, _)| place).collect();
        let may_wait = !is_over
            && from < window.doubtful
            && !item.is_stamped_last
            && item.thread() != self.item(window, window.doubtful).thread();
        let wait = may_wait.then_some(Change::Wait(from));
        let last = places.into_iter().rev().take(ENDS);
        wait.into_iter().chain(last.map(move |to| Change::Move(Move { from, to, is_after: true })))
    }
}

/// The order with these changes.
fn order_of(changes: &[Change]) -> Order {
    let mut order = Order::default();
    for change in changes {
        match *change {
            Change::Move(one) => order.moves.push(one),
            Change::Wait(place) => order.wait.push(place),
        }
    }
    order
}
