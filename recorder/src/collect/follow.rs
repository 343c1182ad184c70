//! A thread that is followed: what it writes, what of it is not complete, and its end.
//!
//! Others wait for it where order demands it, but never for long: a record that does not come is
//! given up and counted, so that no thread can hold up another one through us.

use std::io::Write;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use malloscope_traces::{Error, Thread};
use malloscope_wire::slot::{self, Kind};

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

/// How long others wait for it if its thread runs.
///
/// So long a thread does not wait for a processor. It is in a signal handler that came upon it
/// there, and what that spins for may be one of those who wait.
const RUNNING: Duration = Duration::from_secs(5);

/// By how many ticks a call may be stamped before another thread's that came before it: some hundred nanoseconds.
const SKEW: u64 = 600;

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

    /// Whether what comes next hands over an allocation that is yet to be made. Whoever made it was given it before,
    /// but a processor may read the clock for the one call while it still waits for the memory in which it finds what
    /// the other left there.
    fn is_early(&self, sink: &Composer<W>) -> bool {
        self.strand.front().is_some_and(|slot| {
            let hands = matches!(slot.kind(), Some(Kind::Free | Kind::Realloc | Kind::Reallocarray));
            hands && !sink.is_alive(slot::without_site(slot.first, slot.second).0)
        })
    }

    /// Takes the next slot.
    #[inline]
    fn take(&mut self, sink: &mut Composer<W>) -> Result<(), Error> {
        if let Some(slots) = self.strand.ahead() {
            sink.expect(slots);
        }
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
        if !self.has_kept_waiting(WRITING) || !self.strand.goes_on() && self.may_yet_write() {
            return false;
        }
        // The last slot of a thread that is gone belongs to a call that never returned.
        self.strand.unread += u64::from(self.strand.goes_on());
        self.strand.skip();
        true
    }

    /// Whether the thread may yet write a slot that others have waited for, and behind which is nothing.
    fn may_yet_write(&mut self) -> bool {
        match self.task.doing() {
            Doing::Running => !self.has_kept_waiting(RUNNING),
            Doing::Stopped => true,
            Doing::Waiting | Doing::Nothing | Doing::Unknown => false,
        }
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
                Next::At(time) if time <= until => {
                    if until - time < SKEW && self.is_early(sink) {
                        self.strand.postpone(time.saturating_add(SKEW));
                    } else {
                        self.take(sink)?;
                    }
                }
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::iter;
    use std::sync::atomic::Ordering;

    use malloscope_traces::{Call, Header, Reader, Writer};
    use malloscope_wire::Clock;
    use malloscope_wire::ring::{self, Ring};
    use malloscope_wire::slot::Slot;
    use proptest::prelude::*;

    use super::super::merge::Merge;
    use super::*;
    use crate::clock::{Moment, Scale};
    use crate::collect::sites::Sites;

    /// A ring in memory of our own.
    struct Written {
        ring: Ring,
        slots: Vec<Slot>,
    }

    impl Written {
        fn new() -> Self {
            let slots = iter::repeat_with(Slot::default).take(1 << ring::SLOTS_LOG2).collect();
            Written { ring: Ring::default(), slots }
        }

        /// Writes a slot as an agent does.
        fn write(&self, index: u64, kind: Kind, time: u64, first: u64) {
            let words = &self.slots[ring::place(index)].words;
            words[1].store(time, Ordering::Relaxed);
            words[2].store(first, Ordering::Relaxed);
            words[0].store(slot::label(index, kind as u8, 8), Ordering::Release);
            self.ring.cursor.store(index + 1, Ordering::Release);
        }

        fn follow(&self, first: u64) -> Follower<'_, Vec<u8>> {
            Follower::new(0, Strand::new(&self.ring, &self.slots, first, Clock::Monotonic), Task::GONE)
        }
    }

    fn composer() -> Composer<Vec<u8>> {
        let clock = Clock::Monotonic;
        let scale = Scale::measured(clock, Moment::now());
        Composer::new(Writer::new(Vec::new(), &Header::default()).unwrap(), scale, 0, 0, Sites::default())
    }

    /// Follows to the end, in as many rounds as there are.
    fn follow_all(followers: &mut [Follower<'_, Vec<u8>>], sink: &mut Composer<Vec<u8>>) {
        let mut merge = Merge::default();
        for follower in &mut *followers {
            follower.strand.look();
        }
        merge.run(followers, u64::MAX, sink).unwrap();
    }

    #[test]
    fn a_slot_that_is_never_written_is_stepped_over_when_its_thread_is_gone() {
        let written = Written::new();
        let first = ring::FIRST;
        written.write(first, Kind::Malloc, 1, 0x1000);
        written.write(first + 2, Kind::Malloc, 3, 0x2000);
        let mut followers = [written.follow(first)];
        let mut sink = composer();
        follow_all(&mut followers, &mut sink);
        assert_eq!(sink.tally().calls, 2);
        assert_eq!(followers[0].strand.unread, 1);
    }

    #[test]
    fn the_exit_of_a_thread_long_gone_is_not_before_what_others_did_since() {
        let [gone, other] = [Written::new(), Written::new()];
        gone.write(ring::FIRST, Kind::Malloc, 1, 0x1000);
        other.write(ring::FIRST, Kind::Malloc, 10, 0x2000);
        let mut followers = [gone.follow(ring::FIRST), other.follow(ring::FIRST)];
        let mut sink = composer();
        follow_all(&mut followers, &mut sink);
        followers[0].is_gone();
        follow_all(&mut followers, &mut sink);
        assert_eq!((sink.tally().records, sink.tally().latest.0), (3, 10));
    }

    #[test]
    fn what_was_hoarded_comes_before_what_the_thread_wrote_since_and_none_is_lost() {
        const MOST: u64 = 5 * ring::SLOTS / 2;
        let written = Written::new();
        let mut follower = written.follow(ring::FIRST);
        let mut next = ring::FIRST;
        let mut write = |slots: u64| {
            for index in next..next + slots {
                written.write(index, Kind::Malloc, index, 0x1000 * index);
            }
            next += slots;
        };
        let head = || written.ring.reader.head.load(Ordering::Relaxed) - ring::FIRST;
        for lap in 1..4 {
            write(ring::SLOTS);
            follower.strand.hoard(usize::try_from(MOST).expect("some thousands"));
            assert_eq!(head(), (lap * ring::SLOTS).min(MOST));
        }
        assert_eq!(follower.strand.enough_until(), None);
        // What is read makes room for what was written meanwhile, long before all is read.
        let mut sink = composer();
        let mut took = 0;
        while took < 4 * ring::SLOTS - 2048 {
            follower.strand.look();
            assert_eq!(follower.strand.peek(), Next::At(ring::FIRST + took));
            let slot = follower.strand.take().expect("it was written");
            assert_eq!((slot.0, slot.1.first), (ring::FIRST + took, 0x1000 * (ring::FIRST + took)));
            took += 1;
            if took == 2 * ring::SLOTS {
                assert!((3 * ring::SLOTS - 2048..=3 * ring::SLOTS).contains(&head()), "{}", head());
                write(ring::SLOTS - 2048);
            }
        }
        follow_all(&mut [follower], &mut sink);
        assert_eq!(sink.tally().calls, 0);
    }

    #[test]
    fn of_much_that_was_hoarded_some_is_taken_at_a_time_whatever_its_times_are() {
        let written = Written::new();
        let mut follower = written.follow(ring::FIRST);
        let mut next = ring::FIRST;
        for lap in 0..6 {
            for index in next..next + ring::SLOTS {
                // A program may say what it likes.
                let time = if lap % 2 == 0 { index } else { [0, u64::MAX][usize::from(index % 3 == 0)] };
                written.write(index, Kind::Malloc, time, 0x1000 * index);
            }
            next += ring::SLOTS;
            follower.strand.hoard(usize::MAX);
        }
        let (mut followers, mut sink) = ([follower], composer());
        let mut before = 0;
        while let Some(enough) = followers[0].strand.enough_until() {
            Merge::default().run(&mut followers, enough, &mut sink).unwrap();
            assert!(sink.tally().slots > before);
            before = sink.tally().slots;
        }
        assert!(before > ring::SLOTS);
        follow_all(&mut followers, &mut sink);
        assert_eq!(sink.tally().calls, 6 * ring::SLOTS);
    }

    #[test]
    fn a_handler_that_is_stamped_before_what_it_interrupted_comes_after_it() {
        let written = Written::new();
        let first = ring::FIRST;
        written.write(first, Kind::Malloc, 10, 0x1000);
        written.write(first + 1, Kind::Malloc, 7, 0x2000);
        let mut strand = Strand::new(&written.ring, &written.slots, first, Clock::Monotonic);
        strand.look();
        for _ in 0..2 {
            assert_eq!(strand.peek(), Next::At(10));
            assert_eq!(strand.take().map(|(_, slot)| slot.time), Some(10));
        }
    }

    #[test]
    fn an_allocation_is_made_before_it_is_handed_over_whatever_the_stamps_say() {
        for handed in [Kind::Free, Kind::Realloc] {
            let [giver, taker] = [Written::new(), Written::new()];
            giver.write(ring::FIRST, Kind::Malloc, 1000, 0x1000);
            taker.write(ring::FIRST, Kind::Malloc, 990, 0x2000);
            taker.write(ring::FIRST + 1, handed, 995, 0x1000);
            if handed == Kind::Realloc {
                let index = ring::FIRST + 2;
                taker.write(index, Kind::Reallocated, 1005, 0x3000);
                let label = slot::label(index, Kind::Reallocated as u8, slot::low(index - 1));
                taker.slots[ring::place(index)].words[0].store(label, Ordering::Release);
            }
            let mut followers = [giver.follow(ring::FIRST), taker.follow(ring::FIRST)];
            let mut sink = composer();
            follow_all(&mut followers, &mut sink);
            sink.flush().unwrap();
            let (writer, ..) = sink.into_parts();
            let trace = writer.finish(&Default::default()).unwrap();
            let reader = Reader::open(Cursor::new(trace)).unwrap();
            let totals = reader.totals().expect("it was finished");
            assert_eq!((totals.records, totals.oddities.strays), (3, 0), "{handed:?}");
        }
    }

    #[test]
    fn what_nobody_made_is_waited_for_once() {
        let written = Written::new();
        let mut follower = written.follow(ring::FIRST);
        let mut next = ring::FIRST;
        for _ in 0..6 {
            for index in next..next + ring::SLOTS {
                written.write(index, Kind::Free, 5, 0x1000 * index);
            }
            next += ring::SLOTS;
            follower.strand.hoard(usize::MAX);
        }
        let (mut followers, mut sink) = ([follower], composer());
        for _ in 0..next {
            let Some(enough) = followers[0].strand.enough_until() else { break };
            Merge::default().run(&mut followers, enough, &mut sink).unwrap();
        }
        follow_all(&mut followers, &mut sink);
        assert_eq!(sink.tally().slots, 6 * ring::SLOTS);
    }

    #[test]
    fn a_slot_of_times_to_come_keeps_nobody_waiting() {
        let written = Written::new();
        let first = ring::FIRST;
        for (index, time) in [(first, 10), (first + 1, u64::MAX), (first + 2, u64::MAX - 1), (first + 3, 20)]
        {
            written.write(index, Kind::Malloc, time, 0x1000 * index);
        }
        let mut followers = [written.follow(first)];
        let mut sink = composer();
        followers[0].strand.look();
        Merge::default().run(&mut followers, 30, &mut sink).unwrap();
        assert_eq!((sink.tally().calls, sink.tally().latest.0), (4, 20));
    }

    #[test]
    fn a_reallocation_that_another_one_interrupts_ends_as_it_began() {
        let written = Written::new();
        let first = ring::FIRST;
        for (i, (kind, address)) in
            [(Kind::Malloc, 0x1000), (Kind::Malloc, 0x2000), (Kind::Realloc, 0x1000), (Kind::Realloc, 0x2000)]
                .into_iter()
                .enumerate()
        {
            written.write(first + i as u64, kind, i as u64, address);
        }
        for (index, began, address) in [(first + 4, first + 3, 0x2100), (first + 5, first + 2, 0x1100)] {
            written.write(index, Kind::Reallocated, index - first, address);
            let label = slot::label(index, Kind::Reallocated as u8, slot::low(began));
            written.slots[ring::place(index)].words[0].store(label, Ordering::Release);
        }
        let mut followers = [written.follow(first)];
        let mut sink = composer();
        follow_all(&mut followers, &mut sink);
        assert_eq!((sink.tally().calls, sink.tally().misfits), (4, 0));
    }

    #[test]
    fn a_reallocation_whose_thread_is_gone_has_failed() {
        let written = Written::new();
        let first = ring::FIRST;
        for (index, kind) in (first..).zip([Kind::Malloc, Kind::Realloc, Kind::ThreadExit]) {
            written.write(index, kind, index, 0x1000);
        }
        let mut followers = [written.follow(first)];
        let mut sink = composer();
        follow_all(&mut followers, &mut sink);
        assert_eq!((sink.tally().calls, sink.tally().records, sink.tally().misfits), (1, 3, 1));
        let (writer, ..) = sink.into_parts();
        let trace = writer.finish(&Default::default()).unwrap();
        let mut reader = Reader::open(Cursor::new(trace)).unwrap();
        let mut records = Vec::new();
        reader.next_batch(&mut records).unwrap();
        let calls: Vec<Call> = records.iter().map(|record| record.call).collect();
        assert!(
            matches!(calls[..], [Call::Malloc { .. }, Call::Realloc { .. }, Call::ThreadExit]),
            "{calls:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Nothing a program writes makes us panic, go on for ever or take memory without end.
        #[test]
        fn following_ends_whatever_lies_in_the_ring(
            seed in any::<u64>(),
            cursors in prop::collection::vec(prop_oneof![any::<u64>(), ring::FIRST..ring::FIRST + 40_000], 1..8),
            sense in 0..100_u64,
        ) {
            let written = Written::new();
            let mut random = seed | 1;
            let mut next = || {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                random >> 8
            };
            for (place, slot) in written.slots.iter().enumerate() {
                for word in &slot.words {
                    word.store(next(), Ordering::Relaxed);
                }
                if next() % 100 < sense {
                    let index = ring::FIRST + place as u64;
                    let kind = (next() % 200) as u8;
                    slot.words[0].store(slot::label(index, kind, next() & 0xffff), Ordering::Relaxed);
                }
            }
            let mut followers = [written.follow(ring::FIRST)];
            let mut sink = composer();
            for cursor in cursors {
                written.ring.cursor.store(cursor, Ordering::Relaxed);
                if sense > 50 && followers[0].strand.is_read() {
                    followers[0].strand.give_back();
                    followers[0].strand.hoard(20_000);
                }
                follow_all(&mut followers, &mut sink);
                prop_assert!(followers[0].strand.is_read());
            }
            prop_assert!(sink.tally().slots <= 8 * ring::SLOTS);
        }
    }
}
