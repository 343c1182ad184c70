//! What a call changes besides memory, so that whoever tries an order of calls can take one back.
//!
//! What it changes in memory a [`Journal`](crate::memory::journal::Journal) knows.

use crate::address::Address;
use crate::arena::choice::Choice;
use crate::arena::{Arena, ArenaId};
use crate::bins::tcache::Change;
use crate::chunk::Chunk;
use crate::heap::Heap;
use crate::memory::Memory;
use crate::observe::Observer;
use crate::thread::{Thread, ThreadId};
use crate::tunables::Parameters;

/// How things stood before a call.
#[derive(Clone, Debug)]
pub enum Before {
    /// Before an allocation by a thread that has an arena, or a call about one allocation.
    Call(Box<Call>),
    /// Before a call that may change anything.
    Everything(Box<Everything>),
}

/// What one call may change.
#[derive(Clone, Debug)]
pub struct Call {
    thread: ThreadId,
    state: Thread,
    arenas: [Option<Arena>; 2],
    parameters: Parameters,
    left_over_segment: Option<Address>,
}

/// All there is.
#[derive(Clone, Debug)]
pub struct Everything {
    arenas: Vec<Arena>,
    threads: Vec<Thread>,
    choice: Choice,
    parameters: Parameters,
    threaded: bool,
    left_over_segment: Option<Address>,
}

/// How to take a call back.
#[derive(Clone, Debug)]
pub enum Undo {
    /// It changed one stack of its thread's cache, or nothing.
    Cache(ThreadId, Option<Change>),
    /// It may have changed anything.
    Whole(Before),
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// How things stand before a call by a thread about the allocation at `payload`, or about none
    /// if that is null.
    pub fn before_call(&self, thread: ThreadId, payload: Address) -> Before {
        // A thread without an arena may make one, which changes what all threads go by.
        let Some(own) = self.arena_of_thread(thread) else { return self.before_anything() };
        let theirs = self.arena_of_payload(payload).filter(|&id| id != own);
        let arena = |id: ArenaId| self.arenas.get(id.0 as usize).cloned();
        Before::Call(Box::new(Call {
            thread,
            state: self.threads[thread.0 as usize].clone(),
            arenas: [arena(own), theirs.and_then(arena)],
            parameters: self.cx.parameters,
            left_over_segment: self.cx.left_over_segment,
        }))
    }

    /// How things stand before a call that may change anything.
    pub fn before_anything(&self) -> Before {
        Before::Everything(Box::new(Everything {
            arenas: self.arenas.clone(),
            threads: self.threads.clone(),
            choice: self.choice.clone(),
            parameters: self.cx.parameters,
            threaded: self.cx.threaded,
            left_over_segment: self.cx.left_over_segment,
        }))
    }

    /// The arena an allocation lies in; none if it is null or has a mapping of its own.
    pub fn arena_of_payload(&self, payload: Address) -> Option<ArenaId> {
        let chunk = Chunk::of(payload);
        if payload.is_null() || chunk.head(&self.cx.memory).is_mapped() {
            return None;
        }
        self.arena_of(chunk).ok()
    }

    /// How to take back the call that was made since; `is_private` is whether it is known to have
    /// concerned only its thread's own cache.
    pub fn undo_of(&self, before: Before, is_private: bool) -> Undo {
        match &before {
            Before::Call(call) if is_private => {
                let now = &self.threads[call.thread.0 as usize];
                Undo::Cache(call.thread, now.tcache.change_since(&call.state.tcache))
            }
            _ => Undo::Whole(before),
        }
    }

    /// Takes a call back, the latest first. Memory must be taken back as well.
    pub fn undo(&mut self, undo: &Undo) {
        match undo {
            Undo::Cache(thread, change) => {
                if let Some(change) = change {
                    self.meet(*thread).tcache.revert(*change);
                }
            }
            Undo::Whole(Before::Call(before)) => {
                self.threads[before.thread.0 as usize] = before.state.clone();
                for arena in before.arenas.iter().flatten() {
                    self.arenas[arena.id().0 as usize] = arena.clone();
                }
                self.cx.parameters = before.parameters;
                self.cx.left_over_segment = before.left_over_segment;
            }
            Undo::Whole(Before::Everything(before)) => {
                self.arenas.clone_from(&before.arenas);
                self.threads.clone_from(&before.threads);
                self.choice = before.choice.clone();
                self.cx.parameters = before.parameters;
                self.cx.threaded = before.threaded;
                self.cx.left_over_segment = before.left_over_segment;
            }
        }
    }
}
