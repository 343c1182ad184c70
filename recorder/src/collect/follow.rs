//! A thread that is followed: what it writes, what of it is not complete, and its end.
//!
//! Others wait for it where order demands it, but never for long: a record that does not come is
//! given up and counted, so that no thread can hold up another one through us.

use std::io::Write;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use malloscope_traces::{Error, Thread};
use malloscope_wire::slot::Kind;

use super::compose::{Composer, Unfinished};
use super::merge::{Front, Source};
use super::strand::{Next, Strand};
use super::task::{Doing, Task};

/// How long others wait for a thread that has run its last destructor to be gone.
///
/// Long enough for libc's own clean-up. What may follow that, in a process's last thread, are the
/// handlers of `atexit`, which may take for ever.
const LEAVING: Duration = Duration::from_millis(20);

/// How long others wait for a slot that is reserved and not written, before we ask what its thread does.
///
/// Nearly always it was preempted there, for as long as others have the processor.
const WRITING: Duration = Duration::from_millis(100);

/// A thread that is followed.
#[derive(Debug)]
pub struct Follower<'m, W> {
    /// The number of its ring.
    pub ring: usize,
    /// What it writes.
    pub strand: Strand<'m>,
    task: Task,
    unfinished: Unfinished,
    stage: Stage,
    /// The index others wait for, and since when.
    awaited: Option<(u64, Instant)>,
    sink: PhantomData<fn(W)>,
}

/// How far a thread has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It runs.
    Present,
    /// It has run its last destructor.
    Leaving,
    /// Its exit is recorded.
    Departed,
}

impl<'m, W: Write> Follower<'m, W> {
    /// Follows this thread, which has that ring.
    pub fn new(ring: usize, strand: Strand<'m>, task: Task) -> Self {
        Follower {
            ring,
            strand,
            task,
            unfinished: Unfinished::default(),
            stage: Stage::Present,
            awaited: None,
            sink: PhantomData,
        }
    }

    /// Its number in the trace, if it has a record there.
    pub fn thread(&self) -> Option<Thread> {
        self.unfinished.thread()
    }

    /// Its process is gone, or is not to be recorded any longer: nobody waits for it.
    pub fn is_cut_off(&mut self) {
        self.task = Task::GONE;
    }

    /// The kernel has no such thread any more, or one that has its place in memory: it will not
    /// write again, and what it has written is to be looked for once more.
    pub fn is_gone(&mut self) {
        self.task = Task::GONE;
        self.stage = self.stage.max(Stage::Leaving);
        self.strand.look();
    }

    /// Whether the kernel knows it no more. Asked now and then of threads that end without a word.
    pub fn has_vanished(&self) -> bool {
        self.task.doing() == Doing::Nothing
    }

    /// Whether it is gone and all of it is recorded.
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Departed && self.task.is_gone() && self.strand.is_read()
    }

    /// Takes the next slot.
    #[inline]
    fn take(&mut self, sink: &mut Composer<W>) -> Result<(), Error> {
        let Some((index, slot)) = self.strand.take() else { return Ok(()) };
        let Some(kind) = slot.kind() else {
            self.strand.unread += 1;
            return Ok(());
        };
        if kind == Kind::ThreadExit {
            self.stage = Stage::Leaving;
        }
        sink.take(&mut self.unfinished, index, kind, &slot)
    }

    /// Whether others have waited that long for what comes next.
    fn has_kept_waiting(&mut self, limit: Duration) -> bool {
        let index = self.strand.next();
        match self.awaited {
            _ if self.task.is_gone() => true,
            Some((awaited, since)) if awaited == index => since.elapsed() >= limit,
            _ => {
                self.awaited = Some((index, Instant::now()));
                false
            }
        }
    }

    /// Gives up a slot that will not be written, or will be too late. True if so.
    fn give_up(&mut self) -> bool {
        if !self.has_kept_waiting(WRITING) {
            return false;
        }
        // A thread that runs will write it, unless it went on without it.
        if !self.strand.goes_on() && self.task.doing() == Doing::Running {
            self.awaited = None;
            return false;
        }
        self.strand.skip();
        true
    }

    /// What comes when all it wrote has been read: its exit, or nothing.
    fn rest(&self) -> Front {
        if self.stage == Stage::Leaving { Front::At(self.strand.latest()) } else { Front::Nothing }
    }

    /// Records its exit, if it is gone or others have waited long enough. False if they have not.
    fn depart(&mut self, sink: &mut Composer<W>) -> Result<bool, Error> {
        if !self.task.is_gone() && self.task.doing() == Doing::Nothing {
            self.is_gone();
            // What it wrote last comes first.
            if !self.strand.is_read() {
                return Ok(true);
            }
        }
        if !self.has_kept_waiting(LEAVING) {
            return Ok(false);
        }
        self.stage = Stage::Departed;
        sink.exit(&mut self.unfinished, self.strand.latest())?;
        Ok(true)
    }
}

impl<W: Write> Source for Follower<'_, W> {
    type Sink = Composer<W>;
    type Error = Error;

    fn front(&mut self) -> Front {
        loop {
            match self.strand.peek() {
                Next::At(time) => return Front::At(time),
                Next::Unwritten if self.give_up() => {}
                Next::Unwritten => return Front::Coming,
                Next::Nothing => return self.rest(),
            }
        }
    }

    fn pass(&mut self, until: u64, sink: &mut Composer<W>) -> Result<Front, Error> {
        loop {
            match self.strand.peek() {
                Next::At(time) if time <= until => self.take(sink)?,
                Next::At(time) => return Ok(Front::At(time)),
                Next::Unwritten if self.give_up() => {}
                Next::Unwritten => return Ok(Front::Coming),
                Next::Nothing => match self.rest() {
                    Front::At(time) if time <= until => {
                        if !self.depart(sink)? {
                            return Ok(Front::Coming);
                        }
                    }
                    rest => return Ok(rest),
                },
            }
        }
    }
}
