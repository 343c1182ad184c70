//! Which rings there are, who has them, and from where the next to have one begins.

use std::fs::File;
use std::sync::atomic::Ordering;

use malloscope_wire::ring::{self, Stage, Tenancy};
use malloscope_wire::{Clock, RINGS};

use super::follow::Follower;
use super::hoard::{Hoard, Strands};
use super::strand::Strand;
use super::task::Task;
use crate::memory::Memory;

/// The rings of a recording.
#[derive(Debug)]
pub struct Rings<'m> {
    memory: &'m Memory,
    clock: Clock,
    known: Vec<Known>,
    /// Somebody who reads rings that are not followed yet, and what came of it.
    hoard: Option<Hoard<'m>>,
    hoarded: Strands<'m>,
    /// How many calls each ring had lost when it was enough: what threads do not record from then on is not lost.
    enough: Vec<u64>,
}

/// What we know of a ring.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Where its reader stopped. Our own note: what lies in the shared memory is not to be trusted.
    position: u64,
    /// Whether somebody follows it.
    followed: bool,
}

/// A ring somebody has.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Its number.
    pub ring: usize,
    /// Who has it.
    pub tenancy: Tenancy,
    /// Whether it is followed already.
    pub followed: bool,
}

impl<'m> Rings<'m> {
    /// The rings in this memory, which are written by this clock.
    pub fn new(memory: &'m Memory, clock: Clock) -> Self {
        Rings { memory, clock, known: Vec::new(), hoard: None, hoarded: Strands::new(), enough: Vec::new() }
    }

    /// The rings that threads write.
    pub fn taken(&mut self) -> Vec<Taken> {
        let used = used(self.memory).max(self.known.len());
        self.known.resize(used, Known { position: ring::FIRST, followed: false });
        let known = |ring: usize| self.known.get(ring).is_some_and(|known| known.followed);
        tenants(self.memory).map(|(ring, tenancy)| Taken { ring, tenancy, followed: known(ring) }).collect()
    }

    /// Somebody hoards what the first process writes, until the first of its threads is followed.
    pub fn hoard(&mut self, hoard: Hoard<'m>) {
        self.hoard = Some(hoard);
    }

    /// Begins to follow the thread of this process that has that ring.
    pub fn follow(&mut self, ring: usize, pid: u32) -> Option<Follower<'m, File>> {
        let (header, slots) = self.memory.ring(ring)?;
        if let Some(hoard) = self.hoard.take() {
            self.hoarded = hoard.end();
        }
        let known = self.known.get_mut(ring)?;
        known.followed = true;
        let strand = self.hoarded.remove(&ring);
        let strand = strand.unwrap_or_else(|| Strand::new(header, slots, known.position, self.clock));
        let task = Task::new(pid, header.thread.load(Ordering::Relaxed));
        Some(Follower::new(ring, strand, task))
    }

    /// It is enough: a thread that waits for room will be told that there is none, and what it was about to record is behind
    /// the end.
    pub fn enough(&mut self) {
        self.enough = (0..RINGS).map(|ring| self.lost(ring)).collect();
    }

    /// Calls that the thread with this ring did not record, although it was to.
    pub fn lost(&self, ring: usize) -> u64 {
        if let Some(lost) = self.enough.get(ring) {
            return *lost;
        }
        self.memory.ring(ring).map_or(0, |(header, _)| header.lost.load(Ordering::Relaxed))
    }

    /// How often it waited.
    pub fn waits(&self, ring: usize) -> u64 {
        self.memory.ring(ring).map_or(0, |(header, _)| header.waits.load(Ordering::Relaxed))
    }

    /// Lets others have the rings this process never came to write.
    pub fn abandon(&mut self, process: usize) {
        for ring in &self.memory.shared().rings {
            let tenancy = Tenancy::read(ring.tenancy.load(Ordering::Acquire));
            if tenancy.is_some_and(|tenancy| usize::from(tenancy.process) == process) {
                ring.tenancy.store(Tenancy::NONE, Ordering::Release);
            }
        }
    }

    /// Lets others have a ring that was read up to this index.
    pub fn give_back(&mut self, ring: usize, position: u64) {
        if let Some((header, _)) = self.memory.ring(ring)
            && let Some(known) = self.known.get_mut(ring)
        {
            // The next has a lap of its own: nothing that lies there can look like what it writes.
            let position = (position / ring::SLOTS + 1) * ring::SLOTS;
            header.reader.head.store(position, Ordering::Relaxed);
            *known = Known { position, followed: false };
            header.tenancy.store(Tenancy::NONE, Ordering::Release);
        }
    }
}

/// How many rings have been somebody's.
fn used(memory: &Memory) -> usize {
    let used = memory.shared().control.rings_used.load(Ordering::Acquire);
    usize::try_from(used).map_or(RINGS, |used| used.min(RINGS))
}

/// The rings that threads write, and whose they are.
pub fn tenants(memory: &Memory) -> impl Iterator<Item = (usize, Tenancy)> {
    let rings = memory.shared().rings.iter().take(used(memory)).enumerate();
    rings.filter_map(|(ring, header)| {
        let tenancy = Tenancy::read(header.tenancy.load(Ordering::Acquire))?;
        (tenancy.stage > Stage::Taken).then_some((ring, tenancy))
    })
}
