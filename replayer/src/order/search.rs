//! The search for an order that explains a placement.
//!
//! When a chunk turns out to lie elsewhere than we placed it, some call was made in another order than
//! its stamp says. The likeliest are tried first, before all others that a thread's first call came earlier, if that
//! had to wait; then:
//!
//! 1. frees that have been kept waiting come before the doubtful call;
//! 2. frees of other threads, stamped and then kept waiting, come after it: whoever sleeps with an
//!    arena's lock keeps all others waiting. They wait on until their own threads go on;
//! 3. the doubtful call came earlier: its thread slept before it could stamp it;
//! 4. a chunk arrived on a fastbin in the middle of another thread's call, see
//!    [`meanwhile`](super::meanwhile);
//! 5. a call that was interrupted, or two, were made at the other end of their time, see
//!    [`interrupted`](super::interrupted); or both the doubtful call and another have other places;
//! 6. an allocation of another thread that is stamped later came before it;
//! 7. an earlier call in the same arena came before or after others that it overlaps, and it only
//!    shows now; or two such calls did;
//! 8. of the calls just before the doubtful one, two have other places at once, or one while another
//!    waits.
//!
//! When nothing helps, threads that have exited are tried at other paces, see [`exits`](super::exits).
//!
//! Calls that were not interrupted are first taken to have been short, then not so short, then of any
//! length.
//!
//! An order is believed when the doubtful call and those that follow come out as recorded.

use super::exits::Rest;
use super::past::{Made, Outcome};
use super::{Item, Orderer};
use malloscope_allocator::arena::ArenaId;
use malloscope_allocator::bins::lockless::During;
use malloscope_traces::Thread;
use std::cell::{Cell, OnceCell};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// Calls after the doubtful one that are looked at: all of them right is proof.
const PROOF: usize = 3000;
/// So many of them right is enough not to look further afield.
const ENOUGH: usize = 60;
/// How long a call may have taken during which its thread ran all the time, in nanoseconds: so long at
/// most unless nothing else explains what was recorded. The processor may itself have been stopped.
const BRIEF: [u64; 3] = [5_000, 200_000, u64::MAX];
/// The most frees that are tried to wait, or to wait no longer.
const WAITING: usize = 32;
/// The most places in which an allocation that is stamped late is tried.
const LATE: usize = 200;
/// The most places in which it is tried, from the earliest on.
const EARLY: usize = 60;
/// The most places in which it is tried together with another.
const TOGETHER: usize = 2000;
/// Places near its own that are tried first for a call.
const NEAR: usize = 4;
/// The most calls of the same thread that move along.
const ALONG: usize = 16;
/// The most moves of earlier calls that are tried.
const MOVES: usize = 4096;
/// The most places that are looked at for them.
const SEEN: usize = 30_000_000;
/// Calls whose threads' arenas are searched when nothing in the doubtful call's own explains it.
const ELSEWHERE: usize = 4096;
/// Calls before the doubtful one of which two are moved at once.
const NEARBY: usize = 400;
/// Calls made in search of such an order, at most.
const NEARBY_PATIENCE: usize = 4_000_000;
/// Calls between two fingerprints.
const PRINTS_APART: usize = 128;
/// Calls for which fingerprints are found together.
const PRINTS_AT_ONCE: usize = 8192;
/// Calls made in search of one order, at most.
const PATIENCE: usize = 20_000_000;
/// The same while earlier orders could be others.
const CAREFUL_PATIENCE: usize = 8_000_000;
/// Calls made in search of a better order than one that explains enough, at most.
const SECOND_THOUGHTS: usize = 300_000;
/// Other orders that are kept besides the best.
const WAYS: usize = 8;

/// The calls around a doubtful one. They are known by their places: first those made, the doubtful
/// one last; then those ahead; then those that wait.
#[derive(Default)]
pub(super) struct Window {
    /// Where the doubtful one is.
    pub(super) doubtful: usize,
    /// The arena it concerned.
    pub(super) arena: Option<ArenaId>,
    /// The calls after it, and where they are from.
    beyond: Vec<(Item, Origin)>,
    /// How many of those are next ahead: these are proof.
    next: usize,
    /// How long a call takes at most during which its thread ran all the time, in nanoseconds.
    brief: u64,
    /// The search ends when the twin has made so many calls.
    pub(super) limit: usize,
    /// The best order so far, how many of the calls after it come out right, and a fingerprint of the
    /// arena after it.
    best: Option<(Order, usize, u64)>,
    /// The next best, and the same of each.
    others: Vec<(Order, usize, u64)>,
    /// Fingerprints of the arena after so many of the calls made, as they were made.
    prints: Prints,
    /// The places of each thread's calls among those made, once somebody asks.
    by_thread: OnceCell<HashMap<Thread, Vec<usize>>>,
}

/// Fingerprints of an arena while calls are made in the order that is in doubt. What leads to the
/// same state as that order explains no more than it does.
#[derive(Debug, Default)]
struct Prints {
    arena: Option<ArenaId>,
    by_calls: HashMap<usize, u64>,
    /// From here on they are known; nothing is if this is 0.
    known_from: usize,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    /// Everything that is looked at comes out as recorded.
    Proven,
    /// The doubtful call comes out as recorded, and something later does not.
    Promising,
    /// Everything up to the doubtful call comes out as recorded, but that does not.
    Idle,
    /// It contradicts what was recorded before, or makes no difference.
    Vain,
}

/// Where a call that was not made yet is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Ahead(usize),
    Waiting(usize),
}

/// Another order for the calls of a window, from one place on up to the doubtful call.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// Calls that have other places.
    pub(super) moves: Vec<Move>,
    /// Calls that were made and now wait.
    pub(super) wait: Vec<usize>,
    /// Calls that put a chunk on a fastbin, which arrives there during another, or not any more.
    pub(super) meanwhile: Vec<(usize, Option<During>)>,
    /// When the exiting threads among these give back the rest.
    pub(super) rest: Rest,
}

/// A call is made beside another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) is_after: bool,
}

impl Orderer {
    /// The call made last gave another placement than was recorded: finds an order that does not.
    pub(super) fn resolve(&mut self) {
        self.result.doubts += 1;
        let mut window = self.window();
        let before = self.past.executions();
        self.search(&mut window);
        self.effort = self.effort.saturating_sub(self.past.executions() - before);
        match window.best.take() {
            Some((order, ..)) => {
                self.result.resolved += 1;
                self.choose(window, &order);
            }
            None if self.choices.is_any() => self.is_stuck = true,
            None => self.give_up(),
        }
    }

    /// Nothing explains the call made last: it stands made in the order of its stamp, and its chunk is put where it
    /// was recorded, if that can be.
    pub(super) fn give_up(&mut self) {
        let calls = self.past.made().len();
        self.past.stand_at(calls);
        let made = self.past.made()[calls - 1];
        self.lose(made.item.numbered.turn.index, self.arena_in_doubt(&made));
        self.past.replace(calls - 1, [made.item]);
    }

    /// The arena in which a call that came out wrong was made. What is moved stays in the arena it was
    /// in, whoever moves it.
    pub(super) fn arena_in_doubt(&self, made: &Made) -> Option<ArenaId> {
        made.outcome.arena.or_else(|| self.past.arena_of(made.item.thread()))
    }

    /// Chooses an order, and remembers that there are others.
    fn choose(&mut self, mut window: Window, order: &Order) {
        let mut others = std::mem::take(&mut window.others);
        if others.is_empty() {
            return self.adopt(&window, order);
        }
        others.reverse();
        others.sort_by_key(|&(_, proven, _)| proven);
        let ways = others.into_iter().map(|(order, ..)| order).collect();
        self.choose_among(window, ways, order);
    }

    fn window(&self) -> Window {
        let doubtful = self.past.made().len() - 1;
        let made = self.past.made()[doubtful];
        let ahead = self.ahead.iter().enumerate().filter(|(_, item)| !item.is_made).take(PROOF);
        let mut beyond: Vec<_> = ahead.map(|(number, &item)| (item, Origin::Ahead(number))).collect();
        let next = beyond.len();
        let waiting = self.waiting.iter().enumerate();
        beyond.extend(waiting.map(|(number, &item)| (item, Origin::Waiting(number))));
        Window { doubtful, arena: self.arena_in_doubt(&made), beyond, next, ..Window::default() }
    }

    /// The call with this place.
    pub(super) fn item<'a>(&'a self, window: &'a Window, place: usize) -> &'a Item {
        match place.checked_sub(window.doubtful + 1) {
            None => &self.past.made()[place].item,
            Some(beyond) => &window.beyond[beyond].0,
        }
    }

    /// Looks for an order: first for one in which calls took as long as they usually do.
    fn search(&mut self, window: &mut Window) {
        let is_watched = !self.watched.is_empty();
        for brief in BRIEF.into_iter().filter(|&brief| is_watched || brief == u64::MAX) {
            window.brief = brief;
            let patience = if self.choices.is_any() { CAREFUL_PATIENCE } else { PATIENCE };
            window.limit = self.past.executions() + patience.min(self.effort);
            if self.search_among_likely(window) || window.is_satisfied() {
                break;
            }
        }
        if window.best.is_none() {
            self.pace_exits(window);
        }
    }

    /// Looks for an order until one explains everything that is looked at. Returns whether one does.
    fn search_among_likely(&mut self, window: &mut Window) -> bool {
        self.put_first_call_earlier(window)
            || self.end_waiting(window)
            || self.begin_waiting(window)
            || self.tire_if_satisfied(window)
            || self.put_earlier(window, window.doubtful, LATE)
            || self.put_earliest(window, window.doubtful)
            || self.put_earlier(window, window.doubtful, usize::MAX)
            || self.put_meanwhile(window)
            || self.move_interrupted(window, 1..=2)
            || self.put_earlier_with_another(window)
            || self.end_some_and_begin_others(window)
            || self.put_latecomers_first(window)
            || self.tire_if_satisfied(window)
            || self.move_some(window, window.arena)
            || window.is_satisfied()
            || self.move_two_nearby(window)
            || self.move_interrupted(window, 3..=3)
            || self.move_interrupted_elsewhere(window)
            || self.move_some_elsewhere(window)
    }

    /// If the best order explains enough, only a little more effort is spent on looking for a better one.
    fn tire_if_satisfied(&self, window: &mut Window) -> bool {
        if window.is_satisfied() {
            self.tire(window);
        }
        false
    }

    /// Only a little more effort is spent on looking for better orders.
    fn tire(&self, window: &mut Window) {
        window.limit = window.limit.min(self.past.executions() + SECOND_THOUGHTS);
    }

    /// Tries a thread's first call earlier, if the thread waited in it: it may have found its chunk long before it could
    /// write to it.
    fn put_first_call_earlier(&mut self, window: &mut Window) -> bool {
        let item = *self.item(window, window.doubtful);
        let is_first = window.doubtful.checked_sub(1).is_some_and(|before| {
            let before = self.item(window, before);
            before.is_preparation() && before.thread() == item.thread()
        });
        is_first
            && !item.is_certain()
            && (self.put_earliest(window, window.doubtful) || self.put_earlier(window, window.doubtful, LATE))
    }

    /// Tries calls that wait before the doubtful one: each alone, then those that began first, then all.
    fn end_waiting(&mut self, window: &mut Window) -> bool {
        let waiting = self.calls_that_wait(window);
        let first = (2..=waiting.len()).map(|count| &waiting[..count]);
        let sets: Vec<&[usize]> = waiting.chunks(1).chain(first).collect();
        let is_proven = sets.into_iter().any(|set| {
            let moves = set.iter().map(|&from| window.before_doubtful(from)).collect();
            self.attempt(window, Order { moves, ..Order::default() })
        });
        is_proven
            || waiting.iter().any(|&from| self.put_earlier(window, from, LATE))
            || self.go_on_exiting(window)
    }

    /// Tries to let the latest calls of other threads wait: all that may have been kept waiting so
    /// long, those that began last, each alone.
    fn begin_waiting(&mut self, window: &mut Window) -> bool {
        let able = self.able_to_wait(window);
        let last = (1..=able.len()).rev().map(|count| &able[..count]);
        let sets: Vec<&[usize]> = last.chain(able.chunks(1).skip(1)).collect();
        sets.into_iter().any(|set| self.attempt(window, Order { wait: set.to_vec(), ..Order::default() }))
            || self.pause_exits(window)
    }

    /// The latest call of each other thread, if it may have been kept waiting until after the
    /// doubtful one; the latest first.
    fn able_to_wait(&self, window: &Window) -> Vec<usize> {
        let mut seen = HashSet::from([self.item(window, window.doubtful).thread()]);
        seen.extend(self.waiting.iter().map(Item::thread));
        let mut able = Vec::new();
        let brief = window.brief;
        let mut soonest = self.item(window, window.doubtful).until(brief);
        for (place, made) in self.past.made()[..window.doubtful].iter().enumerate().rev() {
            let item = &made.item;
            if seen.insert(item.thread())
                && !item.is_stamped_last
                && !item.is_exit()
                && window.concerns(made)
                && soonest >= item.from(brief)
                && item.until(brief) >= self.item(window, window.doubtful).from(brief)
            {
                able.push(place);
            }
            soonest = soonest.min(item.until(brief));
            if able.len() == WAITING || seen.len() >= self.latest.len().min(4 * WAITING) {
                break;
            }
        }
        able
    }

    /// Tries a call ever earlier: its thread may have slept between the call and its stamp. It must come
    /// out right there.
    fn put_earlier(&mut self, window: &mut Window, from: usize, most: usize) -> bool {
        let mut tried = 0;
        let item = *self.item(window, from);
        for to in (0..from.min(window.doubtful)).rev() {
            let passed = self.past.made()[to];
            if passed.item.thread() == item.thread() {
                continue;
            }
            if !item.may_precede(&passed.item, window.brief) || tried >= most || self.is_tired(window) {
                return false;
            }
            // Passing a call in another arena, or a private one, changes nothing.
            if !window.concerns(&passed) {
                continue;
            }
            tried += 1;
            match self.put_before(window, &[from], to) {
                Some(false) => {}
                Some(true) => return true,
                None => return false,
            }
        }
        false
    }

    /// Tries the doubtful call ever earlier together with another that has another place too: with one
    /// that waits, which comes just before it; or with one that was made, and waits.
    fn put_earlier_with_another(&mut self, window: &mut Window) -> bool {
        let doubtful = *self.item(window, window.doubtful);
        if doubtful.is_brief {
            return false;
        }
        let made = self.past.made()[..window.doubtful].iter().enumerate().rev();
        let able = made.take_while(|(_, made)| doubtful.from(window.brief) <= made.item.until(window.brief));
        let concerned =
            able.filter(|(_, made)| window.concerns(made) && made.item.thread() != doubtful.thread());
        let places: Vec<usize> = concerned.map(|(place, _)| place).take(TOGETHER).collect();
        let ends = self.calls_that_wait(window).into_iter().any(|other| {
            places.iter().any(|&to| {
                !self.is_tired(window) && self.put_before(window, &[other, window.doubtful], to) == Some(true)
            })
        });
        let earliest: Vec<usize> = places.iter().rev().take(EARLY).copied().collect();
        ends || pairs_of(&self.able_to_wait(window)).into_iter().any(|wait| {
            earliest.iter().any(|&to| {
                let moves = vec![Move { from: window.doubtful, to, is_after: false }];
                let order = Order { moves, wait: wait.clone(), ..Order::default() };
                !self.is_tired(window) && self.attempt(window, order)
            })
        })
    }

    /// Tries calls that wait, and allocations that are stamped later, before the doubtful call, while
    /// others that were made wait.
    fn end_some_and_begin_others(&mut self, window: &mut Window) -> bool {
        let late: Vec<usize> = self.late(window).into_iter().map(|late| window.place_of(late)).collect();
        let ended = pairs_of(&[self.calls_that_wait(window), late].concat());
        let begun = pairs_of(&self.able_to_wait(window));
        let alone = [Vec::new()];
        ended.iter().any(|ended| {
            begun.iter().chain(&alone).any(|wait| {
                let moves = ended.iter().map(|&from| window.before_doubtful(from)).collect();
                let order = Order { moves, wait: wait.clone(), ..Order::default() };
                !self.is_tired(window) && self.attempt(window, order)
            })
        }) || begun
            .into_iter()
            .any(|wait| !self.is_tired(window) && self.attempt(window, Order { wait, ..Order::default() }))
    }

    /// The calls that wait, except threads' exits.
    pub(super) fn calls_that_wait(&self, window: &Window) -> Vec<usize> {
        let waits = |place: &usize| !self.item(window, *place).is_exit();
        window.waiting().filter(waits).take(WAITING).collect()
    }

    /// Tries calls, and those of their threads in between, before another. Returns whether the order is
    /// proven; none if too many would move along.
    fn put_before(&mut self, window: &mut Window, calls: &[usize], to: usize) -> Option<bool> {
        let moves: Vec<Move> = calls.iter().map(|&from| Move { from, to, is_after: false }).collect();
        let order = self.order(window, &moves)?;
        self.past.stand_at(to);
        let outcomes = order.moves.iter().map(|one| self.attempt_one(window, one.from));
        let outcome = outcomes.take_while(|outcome| outcome.is_right).nth(order.moves.len() - 1);
        let item = *self.item(window, *calls.last()?);
        let is_likely = outcome.is_some_and(|outcome| window.concerns(&Made { item, outcome }));
        Some(is_likely && self.attempt(window, order))
    }

    /// Tries a call as early as it may have been made, and ever later: its thread may have slept right after
    /// the call, before it could stamp it.
    fn put_earliest(&mut self, window: &mut Window, from: usize) -> bool {
        let places: Vec<usize> = self.places_before(window, from, window.doubtful, window.arena).collect();
        let mut earliest = places.into_iter().rev().take(EARLY);
        earliest.any(|to| !self.is_tired(window) && self.put_before(window, &[from], to) == Some(true))
    }

    /// The places before which a call may have been made, among those of an arena before `end`: the latest
    /// first.
    pub(super) fn places_before(
        &self,
        window: &Window,
        from: usize,
        end: usize,
        arena: Option<ArenaId>,
    ) -> impl Iterator<Item = usize> {
        let (item, brief) = (*self.item(window, from), window.brief);
        let made = self.past.made()[..end].iter().enumerate().rev();
        let able = made.take_while(move |(_, made)| item.may_precede(&made.item, brief));
        able.filter(move |(_, made)| arena.is_some_and(|arena| made.concerns(arena))).map(|(place, _)| place)
    }

    /// Tries the next call of each other thread, if it is an allocation that may have been made
    /// already, before the doubtful call and ever earlier.
    fn put_latecomers_first(&mut self, window: &mut Window) -> bool {
        self.late(window).into_iter().any(|late| {
            let from = window.place_of(late);
            let order = Order { moves: vec![window.before_doubtful(from)], ..Order::default() };
            !self.is_tired(window) && self.attempt(window, order)
                || self.put_earlier(window, from, LATE)
                || self.put_earliest(window, from)
        })
    }

    /// The next call of each other thread, if it is an allocation that may have been made already.
    pub(super) fn late(&self, window: &Window) -> Vec<(Item, Origin)> {
        let doubtful = *self.item(window, window.doubtful);
        let mut seen = HashSet::from([doubtful.thread()]);
        let brief = window.brief;
        let mut soonest = doubtful.until(brief);
        let mut late = Vec::new();
        for (number, &item) in self.ahead.iter().enumerate().filter(|(_, item)| !item.is_moved) {
            if seen.insert(item.thread())
                && !item.is_made
                && item.is_stamped_last
                && item.from(brief) <= soonest
            {
                late.push((item, Origin::Ahead(number)));
            }
            // What is passed must be able to come later.
            soonest = soonest.min(item.until(brief));
            if seen.len() >= self.latest.len().min(4 * WAITING) || late.len() == WAITING {
                break;
            }
        }
        late
    }

    /// Tries every earlier call of the same arena in every other place it may have, the latest first;
    /// then those two together that contradict nothing.
    fn move_some(&mut self, window: &mut Window, arena: Option<ArenaId>) -> bool {
        window.prints = Prints { arena, ..Prints::default() };
        let mut idle = Vec::new();
        for one in self.moves(window, 0) {
            if self.is_tired(window) {
                return false;
            }
            let Some(order) = self.order(window, &[one]) else { continue };
            match self.try_order(window, order) {
                Attempt::Proven => return true,
                Attempt::Idle => idle.push(one),
                Attempt::Promising | Attempt::Vain => {}
            }
        }
        let pairs = every_two(&idle).map(|(later, earlier)| ([earlier, later], Vec::new()));
        window.is_satisfied() || self.move_any(window, pairs)
    }

    /// Tries every two moves at once among the latest calls, and every one while a call waits: each alone may
    /// contradict what the other explains.
    ///
    /// After [`move_some`](Self::move_some) in the same arena, whose fingerprints are used.
    fn move_two_nearby(&mut self, window: &mut Window) -> bool {
        let limit = window.limit;
        window.limit = limit.min(self.past.executions() + NEARBY_PATIENCE);
        let first = window.doubtful.saturating_sub(NEARBY);
        let moves: Vec<Move> = self.moves(window, first).into_iter().filter(|one| one.to >= first).collect();
        let able = self.able_to_wait(window);
        let waiting = moves.iter().flat_map(|&one| able.iter().map(move |&place| ([one], vec![place])));
        let pairs = every_two(&moves).map(|(one, other)| ([one, other], Vec::new()));
        let is_proven = self.move_any(window, waiting) || self.move_any(window, pairs);
        window.limit = limit;
        is_proven
    }

    /// Tries these moves, each while some calls wait.
    fn move_any<M: AsRef<[Move]>>(
        &mut self,
        window: &mut Window,
        mut moves: impl Iterator<Item = (M, Vec<usize>)>,
    ) -> bool {
        moves.any(|(moves, wait)| {
            let order = self.order(window, moves.as_ref()).map(|order| Order { wait, ..order });
            let possible = order.filter(Order::is_possible);
            possible.is_some_and(|order| !self.is_tired(window) && self.attempt(window, order))
        })
    }

    /// Does the same in other arenas. What threads have cached of their own arenas decides whether a
    /// chunk they free goes back to its arena.
    fn move_some_elsewhere(&mut self, window: &mut Window) -> bool {
        let mut arenas: Vec<ArenaId> = Vec::new();
        for made in self.past.made().iter().rev().take(ELSEWHERE) {
            let arena = self.past.arena_of(made.item.thread());
            if let Some(arena) = arena.filter(|arena| window.arena != Some(*arena) && !arenas.contains(arena))
            {
                arenas.push(arena);
            }
        }
        arenas.into_iter().any(|arena| self.move_some(window, Some(arena)))
    }

    /// The places that calls of the arena, made from `first` on, may have among others of it: the likely
    /// ones first, of those the latest calls' first. A thread that slept did so just before it called or just after, so what
    /// is likely is near the call's own place and at the end of those it may have.
    fn moves(&self, window: &Window, first: usize) -> Vec<Move> {
        let made = &self.past.made()[..window.doubtful];
        let arena = window.prints.arena;
        let is_concerned = |place: &usize| arena.is_some_and(|arena| made[*place].concerns(arena));
        let (mut likely, mut others) = (Vec::new(), Vec::new());
        let seen = Cell::new(0);
        for from in (first..made.len()).rev().filter(is_concerned) {
            let item = &made[from].item;
            let is_others = |to: &usize| {
                seen.set(seen.get() + 1);
                made[*to].item.thread() != item.thread()
            };
            let later = (from + 1..made.len())
                .filter(is_others)
                .take_while(|&to| made[to].item.may_precede(item, window.brief))
                .filter(is_concerned)
                .map(|to| Move { from, to, is_after: true });
            let earlier = (0..from)
                .rev()
                .filter(is_others)
                .take_while(|&to| item.may_precede(&made[to].item, window.brief))
                .filter(is_concerned)
                .map(|to| Move { from, to, is_after: false });
            for moves in [later.collect::<Vec<_>>(), earlier.collect()] {
                for (distance, &one) in moves.iter().enumerate() {
                    let is_likely = distance < NEAR || distance + 1 == moves.len();
                    (if is_likely { &mut likely } else { &mut others }).push(one);
                }
            }
            if likely.len() > MOVES || seen.get() > SEEN {
                break;
            }
        }
        likely.extend(others.into_iter().take(MOVES));
        likely
    }

    /// The order with these moves. Calls of the same threads in between move along: if a call may pass
    /// another, then so may those its thread made before it, or after it, in the same direction. None if
    /// these are many: then it is rather the other that moves.
    fn order(&self, window: &Window, moves: &[Move]) -> Option<Order> {
        let mut order = Order::default();
        for &Move { from, to, is_after } in moves {
            let own = self.places_of(window, self.item(window, from).thread());
            let between = if is_after { from + 1..to } else { to + 1..from };
            let rank = |place: usize| own.partition_point(|&own| own < place);
            let own = &own[rank(between.start)..rank(between.end).max(rank(between.start))];
            if own.len() > ALONG {
                return None;
            }
            let own = own.iter().map(|&from| Move { from, to, is_after });
            let this = Move { from, to, is_after };
            if is_after {
                order.moves.push(this);
                order.moves.extend(own);
            } else {
                order.moves.extend(own);
                order.moves.push(this);
            }
        }
        Some(order)
    }

    /// The places of a thread's calls among those made.
    pub(super) fn places_of<'a>(&self, window: &'a Window, thread: Thread) -> &'a [usize] {
        let by_thread = window.by_thread.get_or_init(|| self.places_by_thread());
        by_thread.get(&thread).map_or(&[][..], Vec::as_slice)
    }

    /// The places of each thread's calls among those made.
    fn places_by_thread(&self) -> HashMap<Thread, Vec<usize>> {
        let mut places: HashMap<Thread, Vec<usize>> = HashMap::new();
        for (place, made) in self.past.made().iter().enumerate() {
            places.entry(made.item.thread()).or_default().push(place);
        }
        places
    }

    /// Whether it is time to give up.
    pub(super) fn is_tired(&self, window: &Window) -> bool {
        self.past.executions() >= window.limit
    }

    /// Tries an order. Returns whether it explains everything that is looked at, and no other is likely to
    /// do so too: a call that was interrupted may have many places that show only later.
    pub(super) fn attempt(&mut self, window: &mut Window, order: Order) -> bool {
        let places = order.moves.iter().map(|one| one.from).chain(order.wait.iter().copied());
        let is_brief = places.chain([window.doubtful]).all(|place| self.item(window, place).is_certain());
        let is_proven = self.try_order(window, order) == Attempt::Proven;
        if is_proven && !is_brief {
            self.tire(window);
        }
        is_proven && is_brief
    }

    /// Tries an order that changes much. Returns whether it explains everything that is looked at; if not, it
    /// is forgotten.
    pub(super) fn attempt_all_or_nothing(&mut self, window: &mut Window, order: Order) -> bool {
        let (best, others) = (window.best.take(), std::mem::take(&mut window.others));
        let is_proven = self.try_order(window, order) == Attempt::Proven;
        if !is_proven {
            (window.best, window.others) = (best, others);
        }
        is_proven
    }

    /// Tries an order; if it explains the doubtful call, and more of what follows than any before, it
    /// is remembered.
    fn try_order(&mut self, window: &mut Window, order: Order) -> Attempt {
        let first = order.first(window);
        // From here on the calls made are those that were made.
        let mut settled = order.settled(window);
        if settled < window.doubtful {
            self.find_prints(window, first);
        }
        self.past.stand_at(first);
        for place in order.places(window) {
            let item = order.arranged(place, *self.item(window, place));
            if !self.attempt_item(window, place, &item).is_right {
                return if place == window.doubtful { Attempt::Idle } else { Attempt::Vain };
            }
            if place < settled {
                continue;
            }
            if let (Some(arena), Some(&print)) = window.prints.after(place) {
                if self.past.fingerprint(arena) == print {
                    return Attempt::Vain;
                }
                settled = place + (place - order.settled(window));
            }
        }
        let print = window.arena.map_or(0, |arena| self.past.fingerprint(arena));
        let proof = self.proof(window, &order);
        let proven = proof.iter().take_while(|&&place| {
            let outcome = self.attempt_one(window, place);
            // What is wrong in another arena is another doubt.
            outcome.is_right || {
                let thread = self.item(window, place).thread();
                outcome.arena.or_else(|| self.past.arena_of(thread)) != window.arena
            }
        });
        let proven = proven.count();
        window.remember(order, proven, print);
        if proven == proof.len() { Attempt::Proven } else { Attempt::Promising }
    }

    /// Finds fingerprints of the arena from a place on.
    fn find_prints(&mut self, window: &mut Window, from: usize) {
        let Some(arena) = window.prints.arena else { return };
        let known = if window.prints.known_from == 0 { window.doubtful } else { window.prints.known_from };
        if from >= known {
            return;
        }
        let from = from.saturating_sub(PRINTS_AT_ONCE).max(1);
        for calls in (from.next_multiple_of(PRINTS_APART)..known).step_by(PRINTS_APART) {
            self.past.stand_at(calls);
            window.prints.by_calls.insert(calls, self.past.fingerprint(arena));
        }
        window.prints.known_from = from;
    }

    fn attempt_one(&mut self, window: &Window, place: usize) -> Outcome {
        let item = *self.item(window, place);
        self.attempt_item(window, place, &item)
    }

    fn attempt_item(&mut self, window: &Window, place: usize, item: &Item) -> Outcome {
        self.past.attempt(item, Some(place).filter(|&place| place < window.doubtful))
    }

    /// The calls to come after an order: those ahead, what waits when its thread goes on, and what exiting
    /// threads give back meanwhile.
    fn proof(&self, window: &Window, order: &Order) -> Vec<usize> {
        let is_moved = |place: usize| order.moves.iter().any(|one| one.from == place);
        let rest = window.waiting().filter(|&place| !is_moved(place));
        let all = order.wait.iter().copied().chain(rest);
        let (exits, mut waiting): (Vec<usize>, Vec<usize>) =
            all.partition(|&place| self.item(window, place).is_exit());
        let mut due = self.due_after(window, order, exits).into_iter().peekable();
        let mut proof = Vec::new();
        for place in window.ahead().filter(|&place| !is_moved(place)) {
            let item = self.item(window, place);
            while let Some((_, exit)) = due.next_if(|&(due, _)| due <= item.stamp()) {
                proof.push(exit);
            }
            let waits = |&place: &usize| self.item(window, place).thread() == item.thread();
            if let Some(number) = waiting.iter().position(waits) {
                proof.push(waiting.remove(number));
            }
            proof.push(place);
        }
        proof
    }

    /// Makes the calls up to the doubtful one, in the order found.
    pub(super) fn adopt(&mut self, window: &Window, order: &Order) {
        let items: Vec<Item> =
            order.places(window).map(|place| order.arranged(place, *self.item(window, place))).collect();
        let waits = |&place: &usize| Item {
            arena: self.past.made()[place].outcome.arena,
            ..*self.item(window, place)
        };
        let wait: Vec<Item> = order.wait.iter().map(waits).collect();
        let paces = self.paces(window, order);
        self.past.replace(order.first(window), items);
        // What was made before its turn is not made again.
        let early = order.moves.iter().filter_map(|one| one.from.checked_sub(window.doubtful + 1));
        let mut ended = Vec::new();
        for beyond in early {
            match window.beyond[beyond].1 {
                Origin::Ahead(number) => {
                    self.choices.note_early(self.gone() + number as u64);
                    self.ahead[number].is_made = true;
                }
                Origin::Waiting(number) => ended.push(number),
            }
        }
        ended.sort_unstable_by(|a, b| b.cmp(a));
        for number in ended {
            self.waiting.remove(number);
        }
        // What an exiting thread gives back comes before what it has yet to give back.
        self.waiting.splice(..0, wait);
        self.sort_waiting();
        self.set_due(paces);
    }
}

impl Prints {
    /// The arena, and its fingerprint after the call with this place.
    fn after(&self, place: usize) -> (Option<ArenaId>, Option<&u64>) {
        (self.arena, self.by_calls.get(&(place + 1)))
    }
}

impl Window {
    /// What is moved is not in the arena whose fingerprints were found.
    pub(super) fn forget_prints(&mut self) {
        self.prints = Prints::default();
    }

    /// How long a call takes at most during which its thread ran all the time.
    pub(super) fn brief(&self) -> u64 {
        self.brief
    }

    /// Remembers an order if it is better than others, or as good and leads elsewhere.
    fn remember(&mut self, order: Order, proven: usize, print: u64) {
        let is_best = self.best.as_ref().is_none_or(|&(_, most, _)| proven > most);
        let known =
            self.best.iter().chain(&self.others).any(|&(_, other, known)| (other, known) == (proven, print));
        if known {
            return;
        }
        let this = (order, proven, print);
        let other = if is_best { self.best.replace(this) } else { Some(this) };
        self.others.extend(other);
        if self.others.len() > WAYS {
            self.others.sort_by_key(|&(_, proven, _)| Reverse(proven));
            self.others.truncate(WAYS);
        }
    }

    /// Whether the best order explains enough.
    fn is_satisfied(&self) -> bool {
        self.best.as_ref().is_some_and(|&(_, proven, _)| proven >= ENOUGH)
    }

    /// Whether a call may matter to the doubtful one.
    pub(super) fn concerns(&self, made: &Made) -> bool {
        self.arena.is_some_and(|arena| made.concerns(arena))
    }

    /// The places of the calls next ahead.
    fn ahead(&self) -> impl Iterator<Item = usize> + use<> {
        let first = self.doubtful + 1;
        first..first + self.next
    }

    /// The places of the calls that wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = usize> {
        let first = self.doubtful + 1;
        let waits = |&(_, &(_, origin)): &(usize, &(Item, Origin))| matches!(origin, Origin::Waiting(_));
        self.beyond.iter().enumerate().filter(waits).map(move |(number, _)| first + number)
    }

    /// The place of a call ahead, which may be too far ahead to have had one till now.
    pub(super) fn place_of(&mut self, (item, origin): (Item, Origin)) -> usize {
        let known = self.beyond.iter().position(|&(_, other)| other == origin);
        self.doubtful
            + 1
            + known.unwrap_or_else(|| {
                self.beyond.push((item, origin));
                self.beyond.len() - 1
            })
    }

    pub(super) fn before_doubtful(&self, from: usize) -> Move {
        Move { from, to: self.doubtful, is_after: false }
    }
}

impl Order {
    /// Whether no call has two places.
    fn is_possible(&self) -> bool {
        let placed = self.moves.iter().map(|one| one.from).chain(self.wait.iter().copied());
        placed.clone().collect::<HashSet<usize>>().len() == placed.count()
    }

    /// The place from which on no call has another place.
    fn settled(&self, window: &Window) -> usize {
        let moved = self.moves.iter().map(|one| one.from.max(one.to));
        let moved = moved.chain(self.meanwhile.iter().map(|_| window.doubtful));
        let waits = self.wait.iter().map(|_| window.doubtful);
        moved.chain(waits).max().unwrap_or(window.doubtful)
    }

    /// The first place that another call has.
    pub(super) fn first(&self, window: &Window) -> usize {
        let moved = self.moves.iter().map(|one| one.from.min(one.to));
        let late = self.meanwhile.iter().map(|&(place, _)| place);
        moved.chain(self.wait.iter().copied()).chain(late).min().unwrap_or(window.doubtful)
    }

    /// The calls from there on up to the doubtful one, by their places.
    fn places(&self, window: &Window) -> impl Iterator<Item = usize> {
        (self.first(window)..=window.doubtful).flat_map(move |place| {
            let beside = move |is_after: bool| {
                let beside = move |one: &&Move| one.to == place && one.is_after == is_after;
                self.moves.iter().filter(beside).map(|one| one.from)
            };
            let is_here = !self.moves.iter().any(|one| one.from == place) && !self.wait.contains(&place);
            beside(false).chain(is_here.then_some(place)).chain(beside(true))
        })
    }

    /// The call with a place, as it is made in this order.
    fn arranged(&self, place: usize, mut item: Item) -> Item {
        if let Some(&(_, during)) = self.meanwhile.iter().find(|&&(late, _)| late == place) {
            item.numbered.turn.during = during;
        }
        item
    }
}

/// Each alone, and every two.
fn pairs_of(places: &[usize]) -> Vec<Vec<usize>> {
    let pairs = every_two(places).map(|(first, second)| vec![first, second]);
    places.iter().map(|&place| vec![place]).chain(pairs).collect()
}

/// Every two, in order.
fn every_two<T: Copy>(all: &[T]) -> impl Iterator<Item = (T, T)> {
    all.iter().enumerate().flat_map(|(number, &one)| all[number + 1..].iter().map(move |&other| (one, other)))
}
