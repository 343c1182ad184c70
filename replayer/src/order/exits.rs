//! What threads that exit give back.
//!
//! A thread that exits frees what it has cached, chunk after chunk, and of all that only the beginning is
//! stamped. Others' calls come in between. Unless something speaks against it, it frees them at a steady
//! pace; it may sleep in between, and it may be faster or slower.

use super::search::{Move, Order, Window};
use super::{Item, Numbered, Orderer};
use crate::turn::{Extent, Turn};
use malloscope_traces::Thread;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// The time a thread takes to free a chunk when it exits, in nanoseconds.
const PACE: u64 = 150;
/// The most steps of an exit that are told apart.
const STEPS: usize = 1 << 10;
/// Other paces that are tried.
const PACES: [u64; 8] = [30, 60, 100, 150, 200, 300, 450, 700];
/// How long after its stamp an exit may begin to give back, in nanoseconds.
const DELAYS: [u64; 4] = [0, 2_000, 5_000, 15_000];
/// Calls before the doubtful one among which other paces are tried.
const BACK: usize = 40_000;
/// Calls made in search of one, at most.
const PATIENCE: usize = 4_000_000;
/// The most places in which steps are tried.
const LATE: usize = 200;

/// When an exiting thread gives back the rest of what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rest {
    /// At a steady pace from the doubtful call on.
    #[default]
    Due,
    /// When something speaks for it.
    Waits,
}

impl Orderer {
    /// A thread exits: what it gives back becomes due from then on.
    pub(super) fn begin_exit(&mut self, exit: Item) {
        let arenas = self.past.given_back(exit.thread());
        let turn = Turn { extent: Extent::Step, ..exit.numbered.turn };
        let step = Item { numbered: Numbered { turn, ..exit.numbered }, ..exit };
        let steps = arenas.into_iter().take(STEPS).map(|arena| Item { arena, ..step });
        let dues = (1..).map(|number| exit.from.saturating_add(number * PACE));
        let all = steps.chain([exit]).zip(dues).map(|(item, due)| Item { due, ..item });
        self.waiting.extend(all);
        self.sort_waiting();
    }

    /// Which of those that wait is due before the next call ahead.
    pub(super) fn next_due(&self) -> Option<usize> {
        let stamp = self.ahead.front()?.stamp();
        let due = self.waiting.iter().enumerate().filter(|(_, item)| item.due <= stamp);
        due.min_by_key(|(_, item)| item.due).map(|(number, _)| number)
    }

    /// When these steps of exits are due after an order, the first first.
    pub(super) fn due_after(&self, window: &Window, order: &Order, exits: Vec<usize>) -> Vec<(u64, usize)> {
        let mut paces = self.paces(window, order);
        let due = |place| {
            let item = self.item(window, place);
            (paces.get_mut(&item.thread()).map_or(item.due, Pace::next), place)
        };
        let mut due: Vec<(u64, usize)> = exits.into_iter().map(due).collect();
        due.sort_by_key(|&(due, _)| due);
        due
    }

    /// Makes what waits due accordingly.
    pub(super) fn set_due(&mut self, mut paces: HashMap<Thread, Pace>) {
        for item in self.waiting.iter_mut().filter(|item| item.is_exit()) {
            if let Some(pace) = paces.get_mut(&item.thread()) {
                item.due = pace.next();
            }
        }
    }

    /// How the threads go on exiting that an order concerns.
    pub(super) fn paces(&self, window: &Window, order: &Order) -> HashMap<Thread, Pace> {
        let changed = order.moves.iter().map(|one| one.from).chain(order.wait.iter().copied());
        let exits = changed.map(|place| self.item(window, place)).filter(|item| item.is_exit());
        let now = self.item(window, window.doubtful).stamp();
        exits.map(|item| (item.thread(), Pace { now, rest: order.rest })).collect()
    }

    /// Tries to let threads that exit give back more: all up to a chunk of the arena in doubt. Before the
    /// doubtful call, then ever earlier.
    pub(super) fn go_on_exiting(&mut self, window: &mut Window) -> bool {
        let mut sets: Vec<Vec<usize>> = Vec::new();
        for steps in self.steps_by_thread(window, window.waiting()).values() {
            let ends = (0..steps.len()).filter(|&last| {
                let item = self.item(window, steps[last]);
                item.arena == window.arena || item.numbered.turn.extent == Extent::Whole
            });
            sets.extend(ends.map(|last| steps[..=last].to_vec()));
        }
        sets.sort_by_key(Vec::len);
        let before = |set: &[usize], to, rest| Order {
            moves: set.iter().map(|&from| Move { from, to, is_after: false }).collect(),
            rest,
            ..Order::default()
        };
        for rest in [Rest::Due, Rest::Waits] {
            if sets.iter().any(|set| self.attempt(window, before(set, window.doubtful, rest))) {
                return true;
            }
        }
        let made = &self.past.made()[..window.doubtful];
        let concerned = (0..window.doubtful).rev().filter(|&place| window.concerns(&made[place]));
        let earlier: Vec<usize> = concerned.take(LATE).collect();
        sets.iter().any(|set| {
            let item = *self.item(window, set[0]);
            let able = earlier
                .iter()
                .take_while(|&&to| item.may_precede(&self.past.made()[to].item, window.brief()));
            let able: Vec<usize> = able.copied().collect();
            able.into_iter()
                .any(|to| !self.is_tired(window) && self.attempt(window, before(set, to, Rest::Due)))
        })
    }

    /// Tries to let threads that have exited give back less: nothing from some chunk of the arena in
    /// doubt on.
    pub(super) fn pause_exits(&mut self, window: &mut Window) -> bool {
        let made = &self.past.made()[..window.doubtful];
        let steps = self.steps_by_thread(window, 0..window.doubtful);
        let mut sets = Vec::new();
        for steps in steps.values() {
            let begins = (0..steps.len()).filter(|&first| window.concerns(&made[steps[first]]));
            sets.extend(begins.map(|first| steps[first..].to_vec()));
        }
        // The latest exit first, and what it gave back last.
        sets.sort_by_key(|set| (Reverse(self.item(window, set[0]).numbered.turn.index), set.len()));
        sets.into_iter().any(|set| {
            [Rest::Due, Rest::Waits].into_iter().any(|rest| {
                let order = Order { wait: set.clone(), rest, ..Order::default() };
                !self.is_tired(window) && self.attempt(window, order)
            })
        })
    }

    /// Tries other paces for threads that have exited, the latest first, when nothing else explains the
    /// doubtful call.
    pub(super) fn pace_exits(&mut self, window: &mut Window) -> bool {
        let made = window.doubtful.saturating_sub(BACK)..window.doubtful;
        let mut exits: Vec<Vec<usize>> = self.steps_by_thread(window, made).into_values().collect();
        exits.sort_by_key(|steps| Reverse(steps[0]));
        window.limit = self.past.executions() + PATIENCE.min(self.effort);
        exits.iter().any(|steps| {
            DELAYS.into_iter().any(|delay| {
                PACES.into_iter().any(|pace| {
                    let order = self.paced(window, steps, delay, pace);
                    !self.is_tired(window) && self.attempt_all_or_nothing(window, order)
                })
            })
        })
    }

    /// Which of these places are steps of exits, by thread.
    fn steps_by_thread(
        &self,
        window: &Window,
        places: impl Iterator<Item = usize>,
    ) -> BTreeMap<Thread, Vec<usize>> {
        let mut steps: BTreeMap<Thread, Vec<usize>> = BTreeMap::new();
        for place in places {
            let item = self.item(window, place);
            if item.is_exit() {
                steps.entry(item.thread()).or_default().push(place);
            }
        }
        steps
    }

    /// The order in which an exit's steps come at this pace, with the first so long after its stamp.
    fn paced(&self, window: &Window, steps: &[usize], delay: u64, pace: u64) -> Order {
        let made = self.past.made();
        let exit = self.item(window, steps[0]);
        let end = made[window.doubtful].item.stamp();
        let is_before = |place: &usize| made[*place].item.stamp() >= exit.from;
        let mut to = (0..=steps[0]).rev().take_while(is_before).last().unwrap_or(steps[0]);
        let mut order = Order::default();
        for (&from, number) in steps.iter().zip(1..) {
            let due = exit.from.saturating_add(delay + number * pace);
            let is_passed = |place: usize| {
                let item = &made[place].item;
                item.stamp() <= due || item.is_exit() && item.thread() == exit.thread()
            };
            while to < window.doubtful && is_passed(to) {
                to += 1;
            }
            if to < window.doubtful || due <= end {
                order.moves.push(Move { from, to, is_after: false });
            } else {
                order.wait.push(from);
            }
        }
        order
    }
}

/// How a thread goes on exiting.
pub(super) struct Pace {
    now: u64,
    rest: Rest,
}

impl Pace {
    /// When its next step is due.
    fn next(&mut self) -> u64 {
        match self.rest {
            Rest::Due => {
                self.now = self.now.saturating_add(PACE);
                self.now
            }
            Rest::Waits => u64::MAX,
        }
    }
}
