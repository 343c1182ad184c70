//! Orders that were found and could be others, and the way back to them.
//!
//! Several orders may explain a doubtful call, and the one that explains most of what follows may still be
//! wrong. It shows some calls later, when nothing explains another. Then the others are tried: the latest
//! choice first.

use super::past::Lost;
use super::search::{Order, Window};
use super::{Item, Orderer, Reordering};
use malloscope_allocator::arena::ArenaId;

/// Calls of other orders that are kept to go back to, over all choices.
const KEPT: usize = 1 << 18;
/// Other orders that are tried when nothing explains a call.
const TRIALS: usize = 32;
/// An order is believed if everything is explained for so many calls beyond the one that was not.
const BEYOND_IT: usize = 400;

/// A doubt for which several orders were found, as it stood before one was chosen.
struct Choice {
    window: Window,
    /// The orders that have not been tried, the best last.
    ways: Vec<Order>,
    state: State,
}

/// How far the calls had come.
#[derive(Clone)]
struct State {
    /// The calls made from this place on.
    first: usize,
    made: Vec<Item>,
    waiting: Vec<Item>,
    current: Option<Item>,
    lost: Lost,
    result: Reordering,
    /// How many calls had been taken from those ahead, and how many of those ahead had been made early.
    taken: usize,
    early: usize,
}

/// The latest choices.
#[derive(Default)]
pub(super) struct Choices {
    choices: Vec<Choice>,
    /// What was taken from the calls ahead since the first choice.
    taken: Vec<Item>,
    /// The numbers of the calls ahead that were made before their turn since then.
    early: Vec<u64>,
    /// Whether another way is being tried.
    is_trial: bool,
}

impl Choices {
    /// Whether there is one after so many of the calls made.
    pub(super) fn is_any_since(&self, calls: usize) -> bool {
        self.choices.last().is_some_and(|choice| choice.window.doubtful > calls)
    }

    /// Whether there is another way, or one is being tried.
    pub(super) fn is_any(&self) -> bool {
        self.is_trial || self.choices.iter().any(|choice| !choice.ways.is_empty())
    }

    /// There is no way back any more.
    pub(super) fn forget(&mut self) {
        *self = Choices::default();
    }

    /// A call was taken from those ahead.
    pub(super) fn note_taken(&mut self, item: Item) {
        if !self.choices.is_empty() {
            self.taken.push(item);
        }
    }

    /// The call ahead with this number is made before its turn.
    pub(super) fn note_early(&mut self, number: u64) {
        if !self.choices.is_empty() {
            self.early.push(number);
        }
    }

    /// A call was put among those ahead, with this number.
    pub(super) fn note_inserted(&mut self, number: u64) {
        for early in self.early.iter_mut().filter(|early| **early >= number) {
            *early += 1;
        }
    }

    /// The next order to try, and of which choice: of the latest in this arena, if there is one.
    fn next_way(&mut self, arena: Option<ArenaId>) -> Option<(usize, Order)> {
        let choices = self.choices.iter_mut().enumerate().filter(|(_, choice)| !choice.ways.is_empty());
        let (number, choice) =
            choices.max_by_key(|(number, choice)| (choice.window.arena == arena, *number))?;
        choice.ways.pop().map(|order| (number, order))
    }

    /// Adds one, and forgets the earliest if they have become too many.
    fn add(&mut self, choice: Choice) {
        self.choices.push(choice);
        let mut kept = 0;
        let too_many = self.choices.iter().rposition(|choice| {
            kept += choice.state.made.len();
            kept > KEPT
        });
        self.choices.drain(..too_many.map_or(0, |last| last + 1));
    }
}

impl Orderer {
    /// Chooses this order, where there are others.
    pub(super) fn choose_among(&mut self, window: Window, ways: Vec<Order>, order: &Order) {
        let all = ways.iter().chain([order]);
        let first = all.map(|order| order.first(&window)).min().unwrap_or(window.doubtful);
        if window.doubtful - first >= KEPT {
            return self.adopt(&window, order);
        }
        self.choices.add(Choice { window: Window::default(), ways, state: self.state_from(first) });
        self.adopt_at_choice(self.choices.choices.len() - 1, window, order);
    }

    /// How far the calls have come, with those made from this place on.
    fn state_from(&self, first: usize) -> State {
        State {
            first,
            made: self.past.made()[first..].iter().map(|made| made.item).collect(),
            waiting: self.waiting.clone(),
            current: self.current,
            lost: self.past.lost().clone(),
            result: self.result,
            taken: self.choices.taken.len(),
            early: self.choices.early.len(),
        }
    }

    /// Nothing explains the call made last: tries other orders for the calls before, until one leads on.
    /// If none does, the twin has lost track.
    pub(super) fn find_another_way(&mut self) {
        let first = self.choices.choices.iter().map(|choice| choice.state.first).min();
        let stuck = self.state_from(first.unwrap_or(self.past.made().len()));
        let early = self.choices.early.clone();
        let goal = self.past.made().len() + BEYOND_IT;
        let arena = self.past.made().last().and_then(|made| self.arena_in_doubt(made));
        self.choices.is_trial = true;
        for _ in 0..TRIALS {
            let Some((number, order)) = self.choices.next_way(arena) else { break };
            let before = self.past.executions();
            self.try_way(number, &order, goal);
            self.effort = self.effort.saturating_sub(self.past.executions() - before);
            if !self.is_stuck || self.effort == 0 {
                break;
            }
        }
        self.choices.is_trial = false;
        if self.is_stuck {
            self.go_back_to(0);
            self.go_forth_to(stuck, early);
            self.choices.forget();
            self.give_up();
        }
    }

    /// Goes back to a choice, chooses another order, and goes on until it is stuck or has come far enough.
    fn try_way(&mut self, number: usize, order: &Order, goal: usize) {
        self.go_back_to(number);
        let window = std::mem::take(&mut self.choices.choices[number].window);
        self.adopt_at_choice(number, window, order);
        while !self.is_stuck && self.past.made().len() < goal && !self.is_through() {
            self.advance();
        }
    }

    /// Adopts an order, and keeps the window with the choice: there may be more ways to try.
    fn adopt_at_choice(&mut self, number: usize, window: Window, order: &Order) {
        self.adopt(&window, order);
        self.choices.choices[number].window = window;
    }

    /// Makes everything as it was before a choice.
    fn go_back_to(&mut self, number: usize) {
        self.is_stuck = false;
        self.choices.choices.truncate(number + 1);
        let Some(state) = self.choices.choices.last().map(|choice| choice.state.clone()) else { return };
        for item in self.choices.taken.drain(state.taken..).rev() {
            self.ahead.push_front(item);
        }
        let early = self.choices.early.split_off(state.early);
        early.into_iter().for_each(|number| self.set_early(number, false));
        self.stand_as(state);
    }

    /// Makes everything as it was later, with these calls ahead made before their turn.
    fn go_forth_to(&mut self, state: State, early: Vec<u64>) {
        for &number in &early[self.choices.early.len()..] {
            self.set_early(number, true);
        }
        self.choices.early = early;
        while self.choices.taken.len() < state.taken && self.next_ahead().is_some() {}
        self.stand_as(state);
    }

    /// Makes the calls that had been made, and forgets others; those ahead are not touched.
    fn stand_as(&mut self, state: State) {
        self.past.replace(state.first, state.made);
        self.past.set_lost(state.lost);
        self.waiting = state.waiting;
        self.current = state.current;
        self.result = state.result;
    }

    /// The call ahead with this number has been made before its turn, or not.
    fn set_early(&mut self, number: u64, is_made: bool) {
        if let Some(item) = self.numbered_ahead(number) {
            item.is_made = is_made;
        }
    }
}
