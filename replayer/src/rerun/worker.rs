//! Makes the calls that it is sent to the malloc of its process, by as many threads as there were, and measures.
//!
//! One thread at a time has all there is, in a box, and makes calls until the next is another's: to that one it gives
//! the box. So calls come in the order in which they were sent, each by a real thread of its own, and no thread
//! waits for another within malloc. A thread that exits is over before the next call.

use super::act::{Act, Doing, LENGTH, PIECE};
use super::times::Times;
use super::{Measured, Task, read_line};
use crate::own;
use crate::trial::Touch;
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

/// Bytes of a page, of which one is written.
const PAGE: u64 = 4096;
/// A thread here needs little: it makes one call at a time.
const STACK: usize = 256 << 10;

/// Where acts come from, in pieces.
struct Acts {
    input: Box<dyn Read + Send>,
    piece: Vec<u8>,
    /// What of it has been taken, and where it ends.
    taken: usize,
    end: usize,
}

impl Acts {
    fn new(input: Box<dyn Read + Send>) -> Acts {
        // Written, so that none of it is met for the first time later.
        Acts { input, piece: (0..PIECE).map(|place| (place % 251 == 250).into()).collect(), taken: 0, end: 0 }
    }

    /// The next one; it stays the next until it is taken.
    fn peek(&mut self) -> io::Result<Option<Act>> {
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

    fn take(&mut self) {
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
    malloc: Arc<M>,
    acts: Acts,
    blocks: Vec<Option<M::Block>>,
    touch: Touch,
    times: Times,
    calls: u64,
    refused: u64,
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
const FIRST: u32 = 0;

impl<M: Malloc> All<M> {
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
        let malloc = &self.malloc;
        let written;
        let began;
        let made = match act.doing {
            Doing::Exit => return,
            Doing::Trim => {
                malloc.trim(act.size);
                return;
            }
            Doing::Free => {
                let Some(block) = self.blocks[place].take() else { return };
                began = Instant::now();
                malloc.free(block);
                self.times.note(began);
                self.calls += 1;
                return;
            }
            Doing::Allocate => {
                written = 0;
                began = Instant::now();
                malloc.allocate(act.size)
            }
            Doing::AllocateZeroed => {
                written = 0;
                began = Instant::now();
                malloc.allocate_zeroed(act.size)
            }
            Doing::AllocateAligned => {
                written = 0;
                began = Instant::now();
                malloc.allocate_aligned(1 << act.alignment, act.size)
            }
            Doing::Reallocate => match self.blocks.get_mut(act.old as usize).and_then(Option::take) {
                None => {
                    written = 0;
                    began = Instant::now();
                    malloc.allocate(act.size)
                }
                Some(block) => {
                    written = M::size(&block);
                    began = Instant::now();
                    match malloc.reallocate(block, act.size) {
                        Ok(block) => Some(block),
                        Err(block) => {
                            self.blocks[place] = Some(block);
                            None
                        }
                    }
                }
            },
        };
        self.times.note(began);
        self.calls += 1;
        match made {
            None => self.refused += 1,
            Some(mut block) => {
                touch::<M>(&mut block, self.touch, written);
                // A slot that is filled twice is a trace that is not sound; nothing is lost but the first.
                self.blocks[place] = Some(block);
            }
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

/// The program writes into its new memory, of which it had so many bytes before.
fn touch<M: Malloc>(block: &mut M::Block, touch: Touch, written: u64) {
    let size = M::size(block);
    let step = match touch {
        Touch::None => return,
        Touch::First if written == 0 => return M::write(block, 0),
        Touch::First => return,
        Touch::Pages => PAGE,
        Touch::All => 1,
    };
    let mut at = written;
    while at < size {
        M::write(block, at);
        at += step;
    }
    if size > written {
        // However it lies in its pages, the last has been written to.
        M::write(block, size - 1);
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
    let file = malloc.file();
    let (first, take) = sync_channel(1);
    let mut blocks = Vec::with_capacity(task.slots as usize);
    blocks.resize_with(task.slots as usize, || None);
    let mut all = Box::new(All {
        malloc,
        acts: Acts::new(input),
        blocks,
        touch: task.touch,
        times: Times::new(),
        calls: 0,
        refused: 0,
        threads: 1,
        hands: HashMap::new(),
        first,
        leaving: None,
        ended: None,
    });
    // So that the first piece is there.
    let _ = all.acts.peek();
    own::forget_greatest_memory();
    let before = own::usage();
    let resident = own::memory();
    loop {
        join_leaving(&mut all);
        all.go_on(FIRST);
        if all.ended.is_some() {
            break;
        }
        all.pass_on();
        all = take.recv().map_err(io::Error::other)?;
    }
    let after = own::usage();
    let (end, peak) = (own::memory(), own::greatest_memory());
    all.ended.take().unwrap_or(Ok(()))?;
    Ok(Measured {
        file,
        calls: all.calls,
        refused: all.refused,
        threads: all.threads,
        resident_peak: peak.max(end).saturating_sub(resident),
        resident_end: end.saturating_sub(resident),
        faults: after.faults.saturating_sub(before.faults),
        processor_seconds: (after.processor - before.processor).max(0.0),
        nanos: all.times.nanos(),
    })
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
    fn made(slots: u32, acts: &[Act]) -> (Vec<(usize, String)>, io::Result<Measured>) {
        let task = Task { slots, touch: Touch::Pages };
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
        let (noted, measured) = made(3, &acts);
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

    #[test]
    fn what_is_no_call_is_an_error() {
        let mut sent = br#"{"slots":1,"touch":"pages"}"#.to_vec();
        sent.extend([b'\n', 0xff]);
        assert!(measure(Noting::default(), Box::new(Cursor::new(sent))).is_err());
        assert!(measure(Noting::default(), Box::new(Cursor::new(b"{}\n".to_vec()))).is_err());
    }
}
