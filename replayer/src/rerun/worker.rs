//! Makes the calls that it is sent to the malloc of its process, by as many threads as there were, and measures.
//!
//! In the recorded order (`free.rs` has the other) one thread at a time has all there is, in a box, and makes calls until the next is another's: to that one it gives
//! the box. So calls come in the order in which they were sent, each by a real thread of its own, and no thread
//! waits for another within malloc. A thread that exits is over before the next call.

use super::act::{Act, Doing, LENGTH, PIECE};
use super::caller::{Caller, Made};
use super::{Measured, Order, Task, free, read_line};
use crate::own;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

/// A malloc, whose memory is freed once because it can be had once.
pub trait Malloc: Send + Sync + 'static {
    /// Memory that it gave.
    type Block: Send;

    /// The file it is in.
    fn file(&self) -> String;
    /// `malloc`
    fn allocate(&self, size: u64) -> Option<Self::Block>;
    /// `calloc`
    fn allocate_zeroed(&self, size: u64) -> Option<Self::Block>;
    /// `posix_memalign`
    fn allocate_aligned(&self, alignment: u64, size: u64) -> Option<Self::Block>;
    /// `realloc`; the block as it was, if there is no memory.
    fn reallocate(&self, block: Self::Block, size: u64) -> Result<Self::Block, Self::Block>;
    /// `free`
    fn free(&self, block: Self::Block);
    /// `malloc_trim`
    fn trim(&self, pad: u64);
    /// How many bytes were asked for.
    fn size(block: &Self::Block) -> u64;
    /// Writes a byte at this place, if it is within the block.
    fn write(block: &mut Self::Block, at: u64);
}

/// A thread here needs little: it makes one call at a time.
pub(super) const STACK: usize = 256 << 10;

/// Where acts come from, in pieces.
pub(super) struct Acts {
    input: Box<dyn Read + Send>,
    piece: Vec<u8>,
    /// What of it has been taken, and where it ends.
    taken: usize,
    end: usize,
}

impl Acts {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Acts {
        // Written, so that none of it is met for the first time later.
        Acts { input, piece: (0..PIECE).map(|place| (place % 251 == 250).into()).collect(), taken: 0, end: 0 }
    }

    /// The next one; it stays the next until it is taken.
    pub(super) fn peek(&mut self) -> io::Result<Option<Act>> {
        if self.taken == self.end {
            (self.taken, self.end) = (0, 0);
            while self.end < PIECE {
                match self.input.read(&mut self.piece[self.end..])? {
                    0 => break,
                    more => self.end += more,
                }
            }
        }
        let (acts, _) = self.piece[self.taken..self.end].as_chunks::<LENGTH>();
        match acts.first() {
            None if self.taken == self.end => Ok(None),
            Some(act) => Act::read(act).map(Some).ok_or_else(nonsense),
            None => Err(nonsense()),
        }
    }

    pub(super) fn take(&mut self) {
        self.taken += LENGTH;
    }
}

fn nonsense() -> io::Error {
    io::Error::other("what was sent is no call")
}

/// Who has the turn, and gives it to others.
struct Hand<M: Malloc> {
    give: SyncSender<Box<All<M>>>,
    thread: JoinHandle<()>,
}

/// All there is: whoever has it may go on.
struct All<M: Malloc> {
    caller: Caller<M>,
    acts: Acts,
    blocks: Vec<Option<M::Block>>,
    threads: u32,
    /// The threads besides the first, by their numbers.
    hands: HashMap<u32, Hand<M>>,
    first: SyncSender<Box<All<M>>>,
    /// A thread that is on its way out.
    leaving: Option<JoinHandle<()>>,
    /// How it ended, when it has.
    ended: Option<io::Result<()>>,
}

/// The first thread of the recording, which is the process's own.
pub(super) const FIRST: u32 = 0;

impl<M: Malloc> All<M> {
    /// All there is before the first call, and where the first thread will get it back.
    fn new(caller: Caller<M>, acts: Acts, slots: u32) -> (Box<All<M>>, Receiver<Box<All<M>>>) {
        let (first, take) = sync_channel(1);
        let mut blocks = Vec::with_capacity(slots as usize);
        blocks.resize_with(slots as usize, || None);
        let (hands, leaving, ended) = Default::default();
        let mut all = Box::new(All { caller, acts, blocks, threads: 1, hands, first, leaving, ended });
        // So that the first piece is there.
        let _ = all.acts.peek();
        (all, take)
    }

    /// Makes this thread's calls until the next is another's; whether the thread goes on.
    fn go_on(&mut self, me: u32) -> bool {
        loop {
            let act = match self.acts.peek() {
                Ok(Some(act)) => act,
                Ok(None) => {
                    self.ended = Some(Ok(()));
                    return true;
                }
                Err(error) => {
                    self.ended = Some(Err(error));
                    return true;
                }
            };
            if act.thread != me {
                return true;
            }
            self.acts.take();
            if act.doing == Doing::Exit && me != FIRST {
                self.leaving = self.hands.remove(&me).map(|hand| hand.thread);
                return false;
            }
            self.make(act);
        }
    }

    fn make(&mut self, act: Act) {
        let place = act.slot as usize;
        if place >= self.blocks.len() {
            return;
        }
        let old = act.ended().and_then(|slot| self.blocks.get_mut(slot as usize)?.take());
        if let Some(block) = self.caller.make(act.asked(), old) {
            // A slot that is filled twice is a trace that is not sound; nothing is lost but the first.
            self.blocks[place] = Some(block);
        }
    }

    /// Gives all to whom the next call is, and if there is none, to the first thread.
    fn pass_on(mut self: Box<Self>) {
        let next = match (&self.ended, self.acts.peek()) {
            (None, Ok(Some(act))) => act.thread,
            _ => FIRST,
        };
        let give = match next {
            FIRST => self.first.clone(),
            next => match self.hand(next) {
                Ok(give) => give,
                Err(error) => {
                    self.ended = Some(Err(error));
                    self.first.clone()
                }
            },
        };
        // Whoever does not take it has panicked, and the process ends.
        let _ = give.send(self);
    }

    /// The thread of this number; it begins here, if it is not there yet.
    fn hand(&mut self, number: u32) -> io::Result<SyncSender<Box<All<M>>>> {
        if let Some(hand) = self.hands.get(&number) {
            return Ok(hand.give.clone());
        }
        let (give, take) = sync_channel(1);
        let serve = move || serve::<M>(number, &take);
        let thread = Builder::new().stack_size(STACK).spawn(serve)?;
        self.threads += 1;
        self.hands.insert(number, Hand { give: give.clone(), thread });
        Ok(give)
    }
}

/// The life of a thread besides the first.
fn serve<M: Malloc>(me: u32, take: &Receiver<Box<All<M>>>) {
    while let Ok(mut all) = take.recv() {
        join_leaving(&mut all);
        let goes_on = all.go_on(me);
        all.pass_on();
        if !goes_on {
            return;
        }
    }
}

/// A thread that exits gives back what it has before the next call is made.
fn join_leaving<M: Malloc>(all: &mut All<M>) {
    if let Some(leaving) = all.leaving.take() {
        // If it has panicked, so has the process.
        let _ = leaving.join();
    }
}

/// Makes the calls that `input` sends to `malloc`, and measures.
///
/// # Errors
///
/// When what is sent is no call, or a thread cannot be made.
pub fn measure<M: Malloc>(malloc: M, mut input: Box<dyn Read + Send>) -> io::Result<Measured> {
    let task: Task = serde_json::from_slice(&read_line(&mut input)?)?;
    let malloc = Arc::new(malloc);
    let caller = Caller::new(Arc::clone(&malloc), task.touch);
    let acts = Acts::new(input);
    match task.order {
        Order::Recorded => {
            let (all, take) = All::new(caller, acts, task.slots);
            measured(malloc.as_ref(), task.order, || one_at_a_time(all, &take))
        }
        Order::Free => {
            let threads =
                free::Threads::new(acts, task.slots, || Caller::new(Arc::clone(&malloc), task.touch))?;
            measured(malloc.as_ref(), task.order, || threads.run())
        }
    }
}

/// What making some calls has taken.
fn measured<M: Malloc>(
    malloc: &M,
    order: Order,
    make: impl FnOnce() -> io::Result<Made>,
) -> io::Result<Measured> {
    own::forget_greatest_memory();
    let before = own::usage();
    let resident = own::memory();
    let began = Instant::now();
    let made = make()?;
    let seconds = began.elapsed().as_secs_f64();
    let after = own::usage();
    let (end, peak) = (own::memory(), own::greatest_memory());
    Ok(Measured {
        file: malloc.file(),
        order,
        calls: made.calls,
        refused: made.refused,
        threads: made.threads,
        resident_peak: peak.max(end).saturating_sub(resident),
        resident_end: end.saturating_sub(resident),
        faults: after.faults.saturating_sub(before.faults),
        processor_seconds: (after.processor - before.processor).max(0.0),
        seconds,
        nanos: made.clocks.all(),
        kinds: made.clocks.kinds(),
    })
}

/// Makes all calls, one after another.
fn one_at_a_time<M: Malloc>(mut all: Box<All<M>>, take: &Receiver<Box<All<M>>>) -> io::Result<Made> {
    loop {
        join_leaving(&mut all);
        all.go_on(FIRST);
        if let Some(ended) = all.ended.take() {
            return ended.map(|()| Made { threads: all.threads, ..all.caller.made });
        }
        all.pass_on();
        all = take.recv().map_err(io::Error::other)?;
    }
}

/// Makes the calls that come by standard input, and says on standard output what came of it.
///
/// # Errors
///
/// Those of [`measure`].
pub fn work<M: Malloc>(malloc: M) -> io::Result<()> {
    let measured = measure(malloc, Box::new(io::stdin()))?;
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &measured)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Touch;
    use std::io::Cursor;
    use std::sync::Mutex;
    use std::thread::{self, ThreadId};

    /// A malloc that writes down what is asked of it, and by whom.
    #[derive(Default)]
    struct Noting(Arc<Mutex<Vec<(ThreadId, String)>>>);

    impl Noting {
        fn note(&self, what: String) {
            self.0.lock().unwrap().push((thread::current().id(), what));
        }
    }

    fn zeros(size: u64) -> Vec<u8> {
        vec![0; usize::try_from(size).unwrap()]
    }

    impl Malloc for Noting {
        type Block = Vec<u8>;

        fn file(&self) -> String {
            "a test".to_owned()
        }
        fn allocate(&self, size: u64) -> Option<Vec<u8>> {
            self.note(format!("malloc {size}"));
            (size < 1 << 20).then(|| zeros(size))
        }
        fn allocate_zeroed(&self, size: u64) -> Option<Vec<u8>> {
            self.note(format!("calloc {size}"));
            Some(zeros(size))
        }
        fn allocate_aligned(&self, alignment: u64, size: u64) -> Option<Vec<u8>> {
            self.note(format!("aligned {alignment} {size}"));
            Some(zeros(size))
        }
        fn reallocate(&self, mut block: Vec<u8>, size: u64) -> Result<Vec<u8>, Vec<u8>> {
            self.note(format!("realloc {} {size}", block.len()));
            if size > 1 << 20 {
                return Err(block);
            }
            block.resize(zeros(size).len(), 0);
            Ok(block)
        }
        fn free(&self, block: Vec<u8>) {
            let written = block.iter().filter(|&&byte| byte != 0).count();
            self.note(format!("free {} {written}", block.len()));
        }
        fn trim(&self, pad: u64) {
            self.note(format!("trim {pad}"));
        }
        fn size(block: &Vec<u8>) -> u64 {
            block.len() as u64
        }
        fn write(block: &mut Vec<u8>, at: u64) {
            if let Some(byte) = usize::try_from(at).ok().and_then(|at| block.get_mut(at)) {
                *byte = 1;
            }
        }
    }

    fn act(thread: u32, doing: Doing, slot: u32, size: u64) -> Act {
        Act { doing, alignment: 6, thread, slot, old: slot, size }
    }

    /// What is asked of a malloc for these acts, by which of the threads, and what was measured.
    fn made(order: Order, slots: u32, acts: &[Act]) -> (Vec<(usize, String)>, io::Result<Measured>) {
        let task = Task { slots, touch: Touch::Pages, order };
        let mut sent = serde_json::to_vec(&task).unwrap();
        sent.push(b'\n');
        sent.extend(acts.iter().flat_map(Act::bytes));
        let noting = Noting::default();
        let noted = Arc::clone(&noting.0);
        let measured = measure(noting, Box::new(Cursor::new(sent)));
        let mut threads: Vec<ThreadId> = Vec::new();
        let noted = std::mem::take(&mut *noted.lock().unwrap());
        let number = |(thread, what): (ThreadId, String)| {
            let number = threads.iter().position(|&known| known == thread).unwrap_or_else(|| {
                threads.push(thread);
                threads.len() - 1
            });
            (number, what)
        };
        (noted.into_iter().map(number).collect(), measured)
    }

    #[test]
    fn calls_come_in_their_order_from_threads_of_their_own() {
        let acts = [
            act(0, Doing::Allocate, 0, 10_000),
            act(5, Doing::AllocateZeroed, 1, 100),
            act(0, Doing::Reallocate, 0, 20_000),
            act(5, Doing::Free, 0, 0),
            act(5, Doing::Exit, 0, 0),
            act(6, Doing::AllocateAligned, 2, 64),
            act(0, Doing::Trim, 0, 7),
            act(6, Doing::Free, 1, 0),
            act(6, Doing::Free, 1, 0),
            act(6, Doing::Reallocate, 2, 1 << 30),
            act(6, Doing::Allocate, 99, 1),
        ];
        let (noted, measured) = made(Order::Recorded, 3, &acts);
        let expected = [
            (0, "malloc 10000"),
            (1, "calloc 100"),
            (0, "realloc 10000 20000"),
            // At 0, 4096, 8192 and 9999; and at 10000, 14096, 18192 and 19999.
            (1, "free 20000 8"),
            (2, "aligned 64 64"),
            (0, "trim 7"),
            (2, "free 100 2"),
            (2, "realloc 64 1073741824"),
        ];
        assert_eq!(noted, expected.map(|(thread, what)| (thread, what.to_owned())));
        let measured = measured.unwrap();
        assert_eq!((measured.calls, measured.refused, measured.threads), (7, 1, 3));
        assert!(measured.nanos.longest >= measured.nanos.p50, "{measured:?}");
    }

    /// What each thread asked, in its own order.
    fn by_thread(noted: Vec<(usize, String)>) -> Vec<Vec<String>> {
        let mut threads: Vec<Vec<String>> = Vec::new();
        for (thread, what) in noted {
            threads.resize_with(threads.len().max(thread + 1), Vec::new);
            threads[thread].push(what);
        }
        threads.sort();
        threads
    }

    #[test]
    fn threads_that_run_freely_wait_for_what_they_are_handed_and_for_nothing_else() {
        let mut acts = vec![act(0, Doing::Allocate, 0, 1)];
        // Two threads hand a block to and fro, and a third frees what each of them leaves; all use slots again.
        for round in 0..300 {
            acts.extend([
                act(1, Doing::Reallocate, 0, 1000 + round),
                act(2, Doing::Reallocate, 0, 2000 + round),
                act(3, Doing::Allocate, 1, 3000 + round),
                act(1, Doing::Free, 1, 0),
                act(2, Doing::AllocateZeroed, 1, 4000 + round),
                act(3, Doing::Free, 1, 0),
                act(3, Doing::Free, 1, 0),
            ]);
        }
        acts.extend([act(3, Doing::Exit, 0, 0), act(0, Doing::Free, 0, 0), act(0, Doing::Trim, 0, 7)]);
        let (in_order, recorded) = made(Order::Recorded, 2, &acts);
        for _ in 0..20 {
            let (noted, measured) = made(Order::Free, 2, &acts);
            let sizes = |noted: &[(usize, String)]| -> Vec<String> {
                // How much of a block had been written when it was freed says that it was whole.
                let mut all: Vec<String> = noted.iter().map(|(_, what)| what.clone()).collect();
                all.sort();
                all
            };
            assert_eq!(sizes(&noted), sizes(&in_order));
            assert_eq!(by_thread(noted), by_thread(in_order.clone()));
            let (measured, recorded) = (measured.unwrap(), recorded.as_ref().unwrap());
            assert_eq!((measured.calls, measured.threads), (recorded.calls, 4));
            let kinds = |measured: &Measured| {
                measured.kinds.iter().map(|kind| (kind.call.clone(), kind.calls)).collect::<Vec<_>>()
            };
            assert_eq!(kinds(&measured), kinds(recorded));
            assert_eq!(kinds(&measured).iter().map(|(_, calls)| calls).sum::<u64>(), measured.calls);
        }
    }

    #[test]
    fn what_was_refused_is_not_waited_for() {
        let acts = [
            act(0, Doing::Allocate, 0, 1 << 30),
            act(1, Doing::Free, 0, 0),
            act(1, Doing::Allocate, 0, 1 << 30),
            act(2, Doing::Reallocate, 0, 50),
            act(0, Doing::Free, 0, 0),
        ];
        for order in [Order::Recorded, Order::Free] {
            let (noted, measured) = made(order, 1, &acts);
            let measured = measured.unwrap();
            assert_eq!((measured.calls, measured.refused, measured.threads), (4, 2, 3), "{noted:?}");
        }
    }

    #[test]
    fn what_is_no_call_is_an_error() {
        let mut sent = br#"{"slots":1,"touch":"pages","order":"recorded"}"#.to_vec();
        sent.extend([b'\n', 0xff]);
        assert!(measure(Noting::default(), Box::new(Cursor::new(sent))).is_err());
        assert!(measure(Noting::default(), Box::new(Cursor::new(b"{}\n".to_vec()))).is_err());
    }
}
