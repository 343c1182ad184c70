//! What a heap is besides its memory, so that whoever tries an order of calls can go back.
//!
//! What the calls did to memory a [`Journal`](crate::memory::journal::Journal) knows.

use crate::address::Address;
use crate::arena::choice::Choice;
use crate::arena::{Arena, ArenaId};
use crate::bins::lockless::Lockless;
use crate::bins::{LISTS, UNSORTED, fast};
use crate::chunk::Chunk;
use crate::heap::Heap;
use crate::memory::Memory;
use crate::observe::Observer;
use crate::parameters::Parameters;
use crate::thread::Threads;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

/// A heap as it stood at some moment, without its memory.
#[derive(Clone, Debug)]
pub struct Snapshot {
    arenas: Vec<Arena>,
    threads: Threads,
    choice: Choice,
    parameters: Parameters,
    threaded: bool,
    left_over_segment: Option<Address>,
    lockless: Lockless,
}

impl Snapshot {
    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(self.arenas.as_slice()) + self.threads.bytes()
    }
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// How things stand.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            arenas: self.arenas.clone(),
            threads: self.threads.clone(),
            choice: self.choice.clone(),
            parameters: self.cx.parameters,
            threaded: self.cx.threaded,
            left_over_segment: self.cx.left_over_segment,
            lockless: self.cx.lockless.clone(),
        }
    }

    /// Makes things stand as they did. Memory must be taken back as well.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        self.arenas.clone_from(&snapshot.arenas);
        self.threads.clone_from(&snapshot.threads);
        self.choice.clone_from(&snapshot.choice);
        self.cx.parameters = snapshot.parameters;
        self.cx.threaded = snapshot.threaded;
        self.cx.left_over_segment = snapshot.left_over_segment;
        self.cx.lockless.clone_from(&snapshot.lockless);
    }

    /// A number that tells states apart which differ in what will be allocated from an arena: its free
    /// chunks in their order, and those its threads have cached. `print` is fresh, and does the hashing.
    pub fn fingerprint(&self, id: ArenaId, mut print: impl Hasher) -> u64 {
        let Some(arena) = self.arenas.get(id.0 as usize) else { return 0 };
        let words = &self.cx.memory;
        (arena.top, arena.last_remainder, arena.system_bytes, arena.fast.may_hold).hash(&mut print);
        for (number, &top) in arena.fast.tops().iter().enumerate() {
            number.hash(&mut print);
            let mut chunk = top;
            while chunk != Chunk::NONE {
                chunk.hash(&mut print);
                chunk = fast::next(&self.cx, chunk);
            }
        }
        for number in UNSORTED..LISTS {
            if number != UNSORTED && !arena.map.is_marked(number) {
                continue;
            }
            for chunk in arena.list(&self.cx.memory, number).backwards(words) {
                (number, chunk, chunk.size(words)).hash(&mut print);
            }
        }
        for (number, thread) in self.threads.iter() {
            if thread.arena == Some(id) {
                number.hash(&mut print);
                thread.tcache.each(&self.cx, |chunk| chunk.hash(&mut print));
            }
        }
        print.finish()
    }

    /// The arena an allocation lies in; none if it is null or has a mapping of its own.
    pub fn arena_of_payload(&self, payload: Address) -> Option<ArenaId> {
        let chunk = Chunk::of(&self.cx.memory, payload);
        if payload.is_null() || chunk.head(&self.cx.memory).is_mapped() {
            return None;
        }
        self.arena_of(chunk).ok()
    }
}
