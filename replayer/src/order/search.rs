//! The search for an order that explains a placement.
//!
//! When a chunk turns out to lie elsewhere than we placed it, some call was made in another order than
//! its stamp says. The likeliest are tried first:
//!
//! 1. frees that have been kept waiting come before the doubtful call;
//! 2. frees of other threads, stamped and then kept waiting, come after it: whoever sleeps with an
//!    arena's lock keeps all others waiting. They wait on until their own threads go on;
//! 3. the doubtful call came earlier: its thread slept before it could stamp it;
//! 4. an allocation of another thread that is stamped later came before it;
//! 5. two earlier calls in the same arena came the other way round, and it only shows now.
//!
//! An order is believed when the doubtful call and those that follow come out as recorded.

use super::{Item, Orderer, is_stamped_first};
use malloscope_allocator::arena::ArenaId;
use malloscope_traces::Thread;
use std::collections::{HashMap, HashSet};

/// Calls after the doubtful one that are looked at: all of them right is proof.
const PROOF: usize = 1500;
/// So many of them right is enough not to look further afield.
const ENOUGH: usize = 60;
/// Calls that are looked at for one that came before the doubtful one and is stamped after it.
const LATECOMERS: usize = 64;
/// The most frees that are tried to wait, or to wait no longer.
const WAITING: usize = 32;
/// How far apart two calls are that are tried the other way round, in calls of the same arena.
const APART: usize = 16;
/// Calls made in search of one order, at most.
const PATIENCE: usize = 4_000_000;

/// The calls around a doubtful one. They are known by their places: first those made, the doubtful
/// one last; then those ahead; then those that wait.
struct Window {
    items: Vec<Item>,
    /// Where the doubtful one is.
    doubtful: usize,
    /// Where the first of those that wait is.
    waiting: usize,
    /// For each call made, the arena it concerned, if it concerned more than its thread's cache.
    arenas: Vec<Option<ArenaId>>,
    /// The arena the doubtful one concerned.
    arena: Option<ArenaId>,
    /// How many calls stand made, in the order of their places.
    made: usize,
    /// How many more calls may be made.
    patience: usize,
    /// The best order so far, and how many of the calls after it come out right.
    best: Option<(Order, usize)>,
}

/// Another order for the calls of a window, from one place on up to the doubtful call.
#[derive(Clone, Debug)]
struct Order {
    /// The first place that another call has.
    first: usize,
    /// The calls from there on, by their places.
    places: Vec<usize>,
    /// Calls that were made and now wait.
    wait: Vec<usize>,
}

impl Orderer {
    /// The call made last gave another placement than was recorded: finds an order that does not.
    pub(super) fn resolve(&mut self) {
        self.result.doubts += 1;
        let index = self.history.last().map_or(0, |step| step.item.numbered.index);
        let mut window = self.window();
        self.search(&mut window);
        match window.best.take() {
            Some((order, _)) => {
                self.result.resolved += 1;
                self.adopt(&mut window, &order);
            }
            None => {
                // The call stands made in the order of its stamp, whatever comes of it.
                let all = window.doubtful + 1;
                self.stand_at(&mut window, all);
                self.lose(index);
            }
        }
    }

    fn window(&self) -> Window {
        let mut items: Vec<Item> = self.history.iter().map(|step| step.item).collect();
        let doubtful = items.len() - 1;
        items.extend(self.ahead.iter().take(PROOF + LATECOMERS));
        let waiting = items.len();
        items.extend(&self.waiting);
        self.close(&mut items, doubtful + 1, waiting);
        let thread = self.engine.thread_of(items[doubtful].thread());
        Window {
            arenas: self.history.iter().map(|step| step.arena).collect(),
            arena: self.engine.heap().arena_of_thread(thread),
            made: doubtful + 1,
            patience: PATIENCE,
            best: None,
            items,
            doubtful,
            waiting,
        }
    }

    /// A call that is stamped first was over when its thread made the next. The items are those made,
    /// those ahead, and those that wait; what a thread has waiting lies between its others.
    fn close(&self, items: &mut [Item], made: usize, ahead: usize) {
        let mut next: HashMap<Thread, u64> = HashMap::new();
        for item in self.ahead.iter().skip(ahead - made).rev() {
            next.insert(item.thread(), item.numbered.record.time.0);
        }
        let (before, waiting) = items.split_at_mut(ahead);
        let (made, ahead) = before.split_at_mut(made);
        for item in ahead.iter_mut().rev().chain(waiting).chain(made.iter_mut().rev()) {
            let stamp = item.numbered.record.time.0;
            if is_stamped_first(&item.numbered.record.call) {
                item.until =
                    next.get(&item.thread()).copied().filter(|&next| next >= stamp).unwrap_or(u64::MAX);
            }
            next.insert(item.thread(), stamp);
        }
    }

    /// Looks for an order until one explains everything that is looked at.
    fn search(&mut self, window: &mut Window) {
        let _ = self.end_waiting(window)
            || self.begin_waiting(window)
            || window.is_satisfied()
            || self.put_earlier(window, window.doubtful)
            || self.put_latecomers_first(window)
            || window.is_satisfied()
            || self.swap_earlier(window);
    }

    /// Tries calls that wait before the doubtful one: those that began first, each alone, all.
    fn end_waiting(&mut self, window: &mut Window) -> bool {
        let doubtful = window.doubtful;
        let waiting: Vec<usize> = (window.waiting..window.items.len()).take(WAITING).collect();
        let sets = (1..=waiting.len()).map(|count| waiting[..count].to_vec());
        let sets = sets.chain(waiting.iter().skip(1).map(|&place| vec![place]));
        sets.collect::<Vec<_>>().into_iter().any(|mut places| {
            places.push(doubtful);
            self.attempt(window, Order { first: doubtful, places, wait: Vec::new() })
        })
    }

    /// Tries to let the latest calls of other threads wait: all that may have been kept waiting so
    /// long, those that began last, each alone.
    fn begin_waiting(&mut self, window: &mut Window) -> bool {
        let able = window.able_to_wait();
        let sets = (1..=able.len()).rev().map(|count| able[..count].to_vec());
        let sets = sets.chain(able.iter().skip(1).map(|&place| vec![place]));
        sets.collect::<Vec<_>>().into_iter().any(|wait| self.attempt(window, window.without(wait)))
    }

    /// Tries a call ever earlier: its thread may have slept between the call and its stamp. The
    /// doubtful call must come out right there, or when its turn comes.
    fn put_earlier(&mut self, window: &mut Window, from: usize) -> bool {
        for to in (0..from.min(window.doubtful)).rev() {
            let passed = window.items[to];
            if !window.items[from].may_precede(&passed) || window.patience == 0 {
                return false;
            }
            // Passing a call in another arena, or a private one, changes nothing.
            if window.arenas[to] != window.arena {
                continue;
            }
            let is_likely = from != window.doubtful || self.comes_out_right(window, from, to);
            if is_likely && self.attempt(window, window.moved(from, to)) {
                return true;
            }
        }
        false
    }

    /// Whether a call comes out right in another place, nothing else being looked at.
    fn comes_out_right(&mut self, window: &mut Window, from: usize, to: usize) -> bool {
        self.stand_at(window, to);
        window.patience = window.patience.saturating_sub(1);
        let is_right = self.make(window.items[from]);
        self.take_back(to);
        is_right
    }

    /// Tries allocations of other threads that are stamped after the doubtful call before it.
    fn put_latecomers_first(&mut self, window: &mut Window) -> bool {
        let mut seen = HashSet::from([window.items[window.doubtful].thread()]);
        for late in window.doubtful + 1..window.waiting.min(window.doubtful + 1 + LATECOMERS) {
            if seen.insert(window.items[late].thread())
                && window.allows(late, window.doubtful)
                && (self.attempt(window, window.moved(late, window.doubtful))
                    || self.put_earlier(window, late))
            {
                return true;
            }
        }
        false
    }

    /// Tries every two calls of the same arena that are near each other the other way round, the
    /// latest first.
    fn swap_earlier(&mut self, window: &mut Window) -> bool {
        let concerned: Vec<usize> =
            (0..window.doubtful).rev().filter(|&place| window.arenas[place] == window.arena).collect();
        for (number, &later) in concerned.iter().enumerate() {
            for &earlier in concerned[number + 1..].iter().take(APART) {
                for (from, to) in [(earlier, later), (later, earlier)] {
                    if window.patience == 0 {
                        return false;
                    }
                    if window.allows(from, to) && self.attempt(window, window.moved(from, to)) {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Tries an order. Returns whether it explains everything that is looked at; if it explains the
    /// doubtful call, and more of what follows than any before, it is remembered.
    fn attempt(&mut self, window: &mut Window, order: Order) -> bool {
        self.stand_at(window, order.first);
        let explains = order.places.iter().all(|&place| self.try_one(window, place));
        let mut proven = 0;
        let proof = if explains { window.proof(&order) } else { Vec::new() };
        while proven < proof.len() && self.try_one(window, proof[proven]) {
            proven += 1;
        }
        self.take_back(order.first);
        if explains && window.best.as_ref().is_none_or(|&(_, most)| proven > most) {
            window.best = Some((order, proven));
        }
        explains && proven == proof.len()
    }

    fn try_one(&mut self, window: &mut Window, place: usize) -> bool {
        window.patience = window.patience.saturating_sub(1);
        self.make(window.items[place])
    }

    /// Makes the first `count` calls of the window stand made in its own order, and no others.
    fn stand_at(&mut self, window: &mut Window, count: usize) {
        self.take_back(window.made.min(count));
        for place in window.made.min(count)..count {
            self.try_one(window, place);
        }
        window.made = count;
    }

    /// Makes the calls up to the doubtful one for good, in the order found.
    fn adopt(&mut self, window: &mut Window, order: &Order) {
        self.stand_at(window, order.first);
        for &place in &order.places {
            self.make(window.items[place]);
        }
        // What was made before its turn is not made again.
        let mut early: Vec<usize> =
            order.places.iter().copied().filter(|&place| place > window.doubtful).collect();
        early.sort_unstable_by(|a, b| b.cmp(a));
        for place in early {
            match place.checked_sub(window.waiting) {
                Some(number) => drop(self.waiting.remove(number)),
                None => drop(self.ahead.remove(place - window.doubtful - 1)),
            }
        }
        self.waiting.extend(order.wait.iter().map(|&place| window.items[place]));
        self.waiting.sort_by_key(|item| item.numbered.record.time);
    }
}

impl Window {
    /// Whether the best order explains enough.
    fn is_satisfied(&self) -> bool {
        self.best.as_ref().is_some_and(|&(_, proven)| proven >= ENOUGH)
    }

    /// The latest call of each other thread, if it may have been kept waiting until after the
    /// doubtful one; the latest first.
    fn able_to_wait(&self) -> Vec<usize> {
        let mut seen = HashSet::from([self.items[self.doubtful].thread()]);
        seen.extend(self.items[self.waiting..].iter().map(Item::thread));
        let mut able = Vec::new();
        for place in (0..self.doubtful).rev() {
            let item = &self.items[place];
            if !seen.insert(item.thread()) {
                continue;
            }
            let concerns_arena = self.arenas[place].is_some() && self.arenas[place] == self.arena;
            if is_stamped_first(&item.numbered.record.call)
                && concerns_arena
                && self.allows(place, self.doubtful)
            {
                able.push(place);
            }
            if able.len() == WAITING || seen.len() > 4 * WAITING {
                break;
            }
        }
        able
    }

    /// The order in which some calls wait; the latest first.
    fn without(&self, wait: Vec<usize>) -> Order {
        let first = wait.last().copied().unwrap_or(self.doubtful);
        let places = (first..=self.doubtful).filter(|place| !wait.contains(place)).collect();
        Order { first, places, wait }
    }

    /// The order in which one call is moved to another place.
    fn moved(&self, from: usize, to: usize) -> Order {
        let first = from.min(to);
        let mut places: Vec<usize> = (first..=self.doubtful).filter(|&place| place != from).collect();
        places.insert(to - first, from);
        Order { first, places, wait: Vec::new() }
    }

    /// The calls to come after an order: those ahead, and what waits when its thread goes on.
    fn proof(&self, order: &Order) -> Vec<usize> {
        let mut waiting: Vec<usize> = (self.waiting..self.items.len()).collect();
        waiting.extend(&order.wait);
        waiting.retain(|place| !order.places.contains(place));
        let mut proof = Vec::new();
        for place in self.doubtful + 1..self.waiting.min(self.doubtful + 1 + PROOF) {
            if order.places.contains(&place) {
                continue;
            }
            let thread = self.items[place].thread();
            if let Some(number) = waiting.iter().position(|&waiting| self.items[waiting].thread() == thread) {
                proof.push(waiting.remove(number));
            }
            proof.push(place);
        }
        proof
    }

    /// Whether the stamps allow a call to be moved.
    fn allows(&self, from: usize, to: usize) -> bool {
        let moved = &self.items[from];
        if from < to {
            self.items[from + 1..=to].iter().all(|item| item.may_precede(moved))
        } else {
            self.items[to..from].iter().all(|item| moved.may_precede(item))
        }
    }
}
