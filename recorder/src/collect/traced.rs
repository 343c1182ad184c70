//! One process that is recorded: its threads, its trace, its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use malloscope_traces::readings::Reading;
use malloscope_traces::redaction::Redaction;
use malloscope_traces::{Cause, Ending, Observed};
use malloscope_traces::{Error, Thread, Writer};
use malloscope_wire::Slot;
use malloscope_wire::process::Leaving;
use rustix::thread::futex;

use super::arrival::Arrival;
use super::compose::{Composer, ForkPoint, Forks, Tally};
use super::follow::Follower;
use super::merge::Merge;
use super::names::Names;
use super::rings::Rings;
use super::sites::Sites;
use super::untouched::{self, Look};
use crate::clock::Scale;

/// A process that is recorded.
#[derive(Debug)]
pub struct Traced<'m> {
    /// What it is.
    pub arrival: Arrival<'m>,
    /// The file of its trace.
    pub path: PathBuf,
    lasting_path: Option<PathBuf>,
    composer: Composer<File>,
    followers: Vec<Follower<'m, File>>,
    merge: Merge,
    losses: Losses,
    /// What was seen of its memory at its end.
    last_look: Option<Look>,
}

/// What was lost, and how often threads waited so that nothing was.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    /// Calls that are not in the trace.
    pub calls: u64,
    /// Of those, the ones whose thread is known.
    pub by_thread: Vec<(Thread, u64)>,
    /// How often a thread waited for the recorder.
    pub waits: u64,
}

impl<'m> Traced<'m> {
    /// Begins the trace of a process, which leaves this out.
    pub fn begin(
        arrival: Arrival<'m>,
        path: PathBuf,
        writer: Writer<File>,
        scale: Scale,
        redaction: Redaction,
    ) -> Self {
        let sites = Sites::new(&arrival.facts.program.path, redaction);
        let composer = Composer::new(writer, scale, arrival.began, arrival.program_break, sites);
        let (lasting_path, followers, merge, losses, last_look) = Default::default();
        let traced = Traced { arrival, path, lasting_path, composer, followers, merge, losses, last_look };
        traced.let_it_look();
        traced
    }

    /// A path of its trace that will not become another's: traces of copies speak of it.
    ///
    /// The name that was asked for goes from one program of the launched process to the next. If
    /// this is not the last, its file has this second name from now on; if it is, it has both.
    pub fn lasting_path(&mut self, names: &mut Names) -> &Path {
        if self.path == names.output() && self.lasting_path.is_none() {
            let name = names.for_image(self.arrival.facts.name(), self.arrival.pid);
            // Where a file can have one name only, copies speak of that.
            self.lasting_path = fs::hard_link(&self.path, &name).is_ok().then_some(name);
        }
        self.lasting_path.as_ref().unwrap_or(&self.path)
    }

    /// What was composed so far.
    pub fn tally(&self) -> Tally {
        self.composer.tally()
    }

    /// Calls that were lost so far, and how often threads waited.
    pub fn losses(&self, rings: &Rings<'m>) -> (u64, u64) {
        let without_ring = self.arrival.entry.lost.load(Ordering::Relaxed);
        let sum = (self.losses.calls.saturating_add(without_ring), self.losses.waits);
        self.followers.iter().fold(sum, |(lost, waits), follower| {
            let unread = rings.lost(follower.ring).saturating_add(follower.strand.unread);
            (lost.saturating_add(unread), waits.saturating_add(rings.waits(follower.ring)))
        })
    }

    /// Where the fork with this ticket was, if it was recorded.
    pub fn fork_point(&self, ticket: u64) -> Option<ForkPoint> {
        self.composer.fork_point(ticket)
    }

    /// Where a fork would be now.
    pub fn point(&self) -> ForkPoint {
        self.composer.point()
    }

    /// Follows one more of its threads.
    pub fn follow(&mut self, follower: Follower<'m, File>) {
        self.followers.push(follower);
    }

    /// The thread with this ring is gone.
    pub fn lose(&mut self, ring: usize) {
        if let Some(follower) = self.followers.iter_mut().find(|follower| follower.ring == ring) {
            follower.is_gone();
        }
    }

    /// Looks for threads that ended without a word.
    pub fn look_for_vanished(&mut self) {
        for follower in &mut self.followers {
            if follower.has_vanished() {
                follower.is_gone();
            }
        }
    }

    /// Lets it look at its own memory, or not any more.
    pub fn let_it_look(&self) {
        let may = untouched::may_look(self.arrival.pid);
        self.arrival.entry.may_look.store(may.into(), Ordering::Relaxed);
    }

    /// Looks at its memory, if it is about to end and waits for that; once.
    #[inline]
    pub fn look_if_asked(&mut self) {
        if self.is_asked() {
            self.look();
        }
    }

    /// Whether it waits for that.
    #[inline]
    pub fn is_asked(&self) -> bool {
        let asks = Leaving::Asks as u32;
        self.arrival.entry.leaving.load(Ordering::SeqCst) == asks && self.last_look.is_none()
    }

    #[cold]
    fn look(&mut self) {
        // Once: where nothing can be seen, nothing is known.
        self.last_look = Some(Look::at(self.arrival.pid).unwrap_or_default());
        let leaving = &self.arrival.entry.leaving;
        leaving.store(Leaving::Seen as u32, Ordering::Release);
        // If nobody waits, nobody is woken.
        let _ = futex::wake(leaving, futex::Flags::empty(), 1);
    }

    /// Records what its threads wrote until `horizon`, or some of it, if there is much. Returns how many slots that was.
    pub fn advance_a_while(&mut self, horizon: u64, rings: &mut Rings<'m>) -> Result<u64, Error> {
        let enough = self.followers.iter().filter_map(|follower| follower.strand.enough_until()).min();
        self.advance(enough.map_or(horizon, |enough| enough.min(horizon)), rings)
    }

    /// Records what its threads wrote until `horizon`. Returns how many slots that was.
    pub fn advance(&mut self, horizon: u64, rings: &mut Rings<'m>) -> Result<u64, Error> {
        let before = self.tally().slots;
        for follower in &mut self.followers {
            follower.strand.look();
        }
        self.merge.run(&mut self.followers, horizon, &mut self.composer)?;
        for follower in &mut self.followers {
            follower.strand.give_back();
        }
        let done = self.followers.extract_if(.., |follower| follower.is_done());
        for follower in done {
            self.losses.add(&follower, rings);
            rings.give_back(follower.ring, follower.strand.next());
        }
        Ok(self.tally().slots - before)
    }

    /// Writes what the kernel said of it at that time.
    pub fn reading(&mut self, ticks: u64, reading: Reading) -> Result<(), Error> {
        self.composer.reading(ticks, reading)
    }

    /// Sends to the file what there is.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.composer.flush()
    }

    /// Records what is left in its rings, and ends the trace.
    /// Returns where forks were, too, and where one would be now.
    pub fn finish(
        mut self,
        cause: Cause,
        rings: &mut Rings<'m>,
    ) -> Result<(Finished<'m>, Forks, ForkPoint), Error> {
        for follower in &mut self.followers {
            follower.is_cut_off();
        }
        self.advance(u64::MAX, rings)?;
        for follower in &self.followers {
            self.losses.add(follower, rings);
            rings.give_back(follower.ring, follower.strand.next());
        }
        self.composer.release()?;
        let (tally, point) = (self.tally(), self.point());
        let without_ring = self.arrival.entry.lost.load(Ordering::Relaxed);
        self.losses.calls = self.losses.calls.saturating_add(tally.misfits).saturating_add(without_ring);
        let ending = Ending {
            cause: cause.clone(),
            duration: tally.latest,
            lost: self.losses.calls,
            lost_by_thread: self.losses.by_thread.clone(),
            observed: Observed {
                calls: tally.calls.saturating_add(self.losses.calls),
                bytes: tally.slots * size_of::<Slot>() as u64,
            },
        };
        let (mut writer, forks, ledger) = self.composer.into_parts();
        let untouched = ledger.told(&self.last_look.unwrap_or_default());
        if !untouched.is_empty() {
            writer.untouched(&untouched)?;
        }
        writer.finish(&ending)?;
        rings.abandon(self.arrival.number);
        self.arrival.give_back();
        // There may be many that have ended, and descriptors are few.
        self.arrival.watch = None;
        let finished = Finished {
            arrival: self.arrival,
            path: self.path,
            lasting_path: self.lasting_path,
            tally,
            losses: self.losses,
            cause,
        };
        Ok((finished, forks, point))
    }
}

/// A process whose trace is complete.
#[derive(Debug)]
pub struct Finished<'m> {
    /// What it was.
    pub arrival: Arrival<'m>,
    /// The file of its trace.
    pub path: PathBuf,
    /// Another name of that file, if copies speak of it.
    pub lasting_path: Option<PathBuf>,
    /// What was composed.
    pub tally: Tally,
    /// What was lost.
    pub losses: Losses,
    /// Why it ended.
    pub cause: Cause,
}

impl Losses {
    fn add(&mut self, follower: &Follower<'_, File>, rings: &Rings<'_>) {
        let lost = rings.lost(follower.ring).saturating_add(follower.strand.unread);
        self.calls = self.calls.saturating_add(lost);
        self.waits = self.waits.saturating_add(rings.waits(follower.ring));
        if let Some(thread) = follower.thread()
            && lost > 0
        {
            self.by_thread.push((thread, lost));
        }
    }
}
