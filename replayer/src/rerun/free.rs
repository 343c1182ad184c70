//! Threads that run freely: each makes its own calls, in its own order, as fast as it can.
//!
//! Two things are waited for, and nothing else:
//!
//! * Who gives back or reallocates what another thread allocated waits for that. An address, or a slot of the trace,
//!   that is merely used again is no reason to wait: that is what the recorded malloc did, and another does otherwise.
//! * A thread begins after the call that was recorded last before its own first: whoever made the thread did so by then.
//!   The process's first thread is there from the beginning.
//!
//! Every wait is for a call that was recorded earlier, so no thread waits for ever. That threads are waited for when they
//! end, and locks of the program, are not in a trace: a thread may be farther here than it ever was beside the others.
//!
//! All calls are read before the first is made, in 24 bytes each, and all that is needed meanwhile is there by then.

use super::act::{Act, Doing};
use super::caller::{Asked, Caller, Made};
use super::worker::{Acts, FIRST, Malloc, STACK};
use malloscope_traces::Slot;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle};

/// The most threads: each has room for its times, which is there from the beginning.
const MOST_THREADS: usize = 4096;

/// Where an allocation is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Nowhere,
    /// With the thread that has it from beginning to end.
    Own(u32),
    /// Where threads hand allocations to each other.
    Handed(u32),
}

/// A call, and the places of what it ends and of what it makes.
#[derive(Clone, Copy, Debug)]
struct Step<P> {
    asked: Asked,
    from: P,
    to: P,
}

/// What one thread does.
#[derive(Debug)]
struct Script<P> {
    steps: Vec<Step<P>>,
    /// Threads that begin when so many of the steps have been made.
    begins: Vec<(usize, usize)>,
}

/// An allocation while the calls are read.
#[derive(Clone, Copy, Debug)]
struct Allocation {
    /// The script that makes it.
    maker: usize,
    /// Its number among those that another ends.
    handed: Option<u32>,
}

/// What is read, sorted by thread; allocations are numbered in the order in which they were made.
struct Plan {
    scripts: Vec<Script<Option<u32>>>,
    allocations: Vec<Allocation>,
    handed: u32,
}

/// There are too many of something to be counted.
fn too_many(what: &str) -> io::Error {
    io::Error::other(format!("there are too many {what} to run freely"))
}

impl Plan {
    fn read(mut acts: Acts, slots: u32) -> io::Result<Plan> {
        let empty = || Script { steps: Vec::new(), begins: Vec::new() };
        let mut plan = Plan { scripts: vec![empty()], allocations: Vec::new(), handed: 0 };
        let mut numbers = HashMap::from([(FIRST, 0)]);
        let mut living: Vec<Option<u32>> = vec![None; slots as usize];
        let mut last = 0;
        while let Some(act) = acts.peek()? {
            acts.take();
            // A thread is over after its last call.
            if act.doing == Doing::Exit || act.slot >= slots && act.doing != Doing::Trim {
                continue;
            }
            let script = *numbers.entry(act.thread).or_insert(plan.scripts.len());
            if script == plan.scripts.len() {
                if script == MOST_THREADS {
                    return Err(too_many("threads"));
                }
                plan.scripts.push(empty());
                let before = &mut plan.scripts[last];
                before.begins.push((before.steps.len(), script));
            }
            plan.add(script, act, &mut living)?;
            last = script;
        }
        Ok(plan)
    }

    fn add(&mut self, script: usize, act: Act, living: &mut [Option<u32>]) -> io::Result<()> {
        let from = act.ended().and_then(|slot| living.get_mut(slot as usize)?.take());
        if let Some(ended) = from {
            let ended = &mut self.allocations[ended as usize];
            if ended.maker != script {
                ended.handed = Some(self.handed);
                self.handed += 1;
            }
        } else if act.doing == Doing::Free {
            return Ok(());
        }
        let makes = !matches!(act.doing, Doing::Free | Doing::Trim);
        let number = u32::try_from(self.allocations.len()).ok().filter(|&number| number != Slot::NONE.0);
        let to = if makes { Some(number.ok_or_else(|| too_many("allocations"))?) } else { None };
        if let Some(number) = to {
            self.allocations.push(Allocation { maker: script, handed: None });
            living[act.slot as usize] = Some(number);
        }
        self.scripts[script].steps.push(Step { asked: act.asked(), from, to });
        Ok(())
    }

    /// Every allocation of a script has its place; and how many are its own at one time.
    fn settle(&self, script: Script<Option<u32>>, own: &mut [u32]) -> (Script<Place>, u32) {
        let (mut free, mut most) = (Vec::new(), 0);
        let steps = script.steps.into_iter().map(|Step { asked, from, to }| {
            let from = from.map_or(Place::Nowhere, |number| {
                let handed = self.allocations[number as usize].handed;
                handed.map_or_else(|| Place::Own(own[number as usize]), Place::Handed)
            });
            if let Place::Own(place) = from {
                free.push(place);
            }
            let to = to.map_or(Place::Nowhere, |number| {
                let handed = self.allocations[number as usize].handed;
                handed.map_or_else(
                    || {
                        let place = free.pop().unwrap_or_else(|| {
                            most += 1;
                            most - 1
                        });
                        own[number as usize] = place;
                        Place::Own(place)
                    },
                    Place::Handed,
                )
            });
            Step { asked, from, to }
        });
        (Script { steps: steps.collect(), begins: script.begins }, most)
    }
}

/// An allocation on its way from one thread to another.
enum Way<B> {
    Coming,
    There(B),
    /// It was refused, or has been taken.
    Nothing,
}

/// Where one thread waits for an allocation of another's.
struct Handed<B> {
    way: Mutex<Way<B>>,
    arrived: Condvar,
}

impl<B> Handed<B> {
    fn give(&self, block: Option<B>) {
        *guard(&self.way) = block.map_or(Way::Nothing, Way::There);
        self.arrived.notify_one();
    }

    fn take(&self) -> Option<B> {
        let is_coming = |way: &mut Way<B>| matches!(way, Way::Coming);
        let waited = self.arrived.wait_while(guard(&self.way), is_coming);
        let mut way = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        match std::mem::replace(&mut *way, Way::Nothing) {
            Way::There(block) => Some(block),
            Way::Coming | Way::Nothing => None,
        }
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A thread that has not begun.
struct Ready<M: Malloc> {
    script: Script<Place>,
    blocks: Vec<Option<M::Block>>,
    caller: Caller<M>,
}

/// What all threads know.
struct Shared<M: Malloc> {
    ready: Vec<Mutex<Option<Ready<M>>>>,
    handed: Vec<Handed<M::Block>>,
    /// Threads that have begun and are not waited for yet.
    running: Mutex<Vec<JoinHandle<()>>>,
    /// What came of those that are over.
    made: Mutex<Option<Made>>,
    failed: Mutex<Option<io::Error>>,
}

/// All threads, before the first call.
pub(super) struct Threads<M: Malloc>(Arc<Shared<M>>);

impl<M: Malloc> Threads<M> {
    /// Reads all calls, and makes ready whoever makes them.
    pub(super) fn new(
        acts: Acts,
        slots: u32,
        mut caller: impl FnMut() -> Caller<M>,
    ) -> io::Result<Threads<M>> {
        let mut plan = Plan::read(acts, slots)?;
        let mut own = vec![0; plan.allocations.len()];
        let scripts = std::mem::take(&mut plan.scripts);
        let ready = scripts.into_iter().map(|script| {
            let (script, most) = plan.settle(script, &mut own);
            let mut blocks = Vec::new();
            blocks.resize_with(most as usize, || None);
            Mutex::new(Some(Ready { script, blocks, caller: caller() }))
        });
        let ready: Vec<_> = ready.collect();
        let handed = || Handed { way: Mutex::new(Way::Coming), arrived: Condvar::new() };
        Ok(Threads(Arc::new(Shared {
            handed: (0..plan.handed).map(|_| handed()).collect(),
            running: Mutex::new(Vec::with_capacity(ready.len())),
            ready,
            made: Mutex::new(None),
            failed: Mutex::new(None),
        })))
    }

    /// Lets them run, the first of them in this thread, until all are over.
    pub(super) fn run(&self) -> io::Result<Made> {
        run(&self.0, 0);
        // Each has told of those that it began before it is over itself.
        while let Some(thread) = self.next_running() {
            thread.join().map_err(|_| io::Error::other("a thread has panicked"))?;
        }
        match guard(&self.0.failed).take() {
            Some(error) => Err(error),
            None => guard(&self.0.made).take().ok_or_else(|| io::Error::other("no thread has run")),
        }
    }

    fn next_running(&self) -> Option<JoinHandle<()>> {
        guard(&self.0.running).pop()
    }
}

/// The life of a thread.
fn run<M: Malloc>(shared: &Arc<Shared<M>>, me: usize) {
    let Some(ready) = guard(&shared.ready[me]).take() else { return };
    let Ready { script, mut blocks, mut caller } = ready;
    let mut begins = script.begins.iter().peekable();
    for (number, step) in script.steps.iter().enumerate() {
        while let Some((_, other)) = begins.next_if(|(after, _)| *after <= number) {
            begin(shared, *other);
        }
        let old = match step.from {
            Place::Nowhere => None,
            Place::Own(place) => blocks[place as usize].take(),
            Place::Handed(place) => shared.handed[place as usize].take(),
        };
        let block = caller.make(step.asked, old);
        match step.to {
            Place::Nowhere => {}
            Place::Own(place) => blocks[place as usize] = block,
            Place::Handed(place) => shared.handed[place as usize].give(block),
        }
    }
    begins.for_each(|(_, other)| begin(shared, *other));
    let mut made = guard(&shared.made);
    match &mut *made {
        Some(all) => all.absorb(&caller.made),
        None => *made = Some(caller.made),
    }
}

/// Another thread begins.
fn begin<M: Malloc>(shared: &Arc<Shared<M>>, other: usize) {
    let theirs = Arc::clone(shared);
    match Builder::new().stack_size(STACK).spawn(move || run(&theirs, other)) {
        Ok(thread) => guard(&shared.running).push(thread),
        Err(error) => {
            // It is all over; but who waits for it must not do so for ever.
            *guard(&shared.failed) = Some(error);
            for handed in &shared.handed {
                let mut way = guard(&handed.way);
                if matches!(*way, Way::Coming) {
                    *way = Way::Nothing;
                    handed.arrived.notify_one();
                }
            }
        }
    }
}
