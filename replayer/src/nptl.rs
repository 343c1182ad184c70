//! What the C library itself asks of malloc when a script creates and joins threads.
//!
//! A recorded trace has these calls in it. A script says only `spawn` and `join`, so they are made
//! here, as glibc's `pthread_create` makes them for a program without thread-local variables of its
//! own: the new thread's DTV is allocated by its creator, unless the stack of a joined thread, which
//! still has one, is used again.

use malloscope_allocator::address::Address;
use malloscope_allocator::corruption::{Corruption, Refusal};
use malloscope_allocator::heap::Heap;
use malloscope_allocator::layout::Layout;
use malloscope_allocator::memory::Memory;
use malloscope_allocator::observe::Observer;
use malloscope_allocator::thread::ThreadId;
use std::collections::{HashMap, VecDeque};

/// The DTV has this many entries: two of its own, one for libc, and a surplus of 14.
const DTV_ENTRIES: u64 = 17;
/// Words of an entry (`dtv_t`).
const DTV_ENTRY: u64 = 2;
/// Bytes of a script's thread stacks, the guard page included.
const STACK: u64 = (256 << 10) + 4096;
/// Stacks of joined threads are kept up to this many bytes (`stack_cache_maxsize`).
const GREATEST_CACHE: u64 = 40 << 20;

/// The stacks of running threads and of joined ones, each known by its DTV.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stacks {
    running: HashMap<ThreadId, Address>,
    /// The latest joined first.
    cached: VecDeque<Address>,
}

impl Stacks {
    /// `pthread_create` by one thread of another.
    pub(crate) fn spawn<M: Memory, O: Observer>(
        &mut self,
        heap: &mut Heap<M, O>,
        creator: ThreadId,
        thread: ThreadId,
    ) -> Result<(), Corruption> {
        heap.thread_created(thread);
        let dtv = match self.cached.pop_front() {
            Some(dtv) => dtv,
            None => match heap.calloc(creator, DTV_ENTRIES, DTV_ENTRY * M::Layout::WORD) {
                Ok(dtv) => dtv,
                Err(Refusal::Corrupted(corruption)) => return Err(corruption),
                Err(_) => Address::NULL,
            },
        };
        self.running.insert(thread, dtv);
        Ok(())
    }

    /// What has been allocated for them, and not freed.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = Address> + '_ {
        self.running.values().chain(&self.cached).copied().filter(|dtv| !dtv.is_null())
    }

    /// Threads that have been created and not joined.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// `pthread_join` by one thread of another, which is gone when it returns.
    pub(crate) fn join<M: Memory, O: Observer>(
        &mut self,
        heap: &mut Heap<M, O>,
        joiner: ThreadId,
        thread: ThreadId,
    ) -> Result<(), Corruption> {
        heap.thread_exited(thread)?;
        let Some(dtv) = self.running.remove(&thread) else { return Ok(()) };
        self.cached.push_front(dtv);
        while self.cached.len() as u64 * STACK > GREATEST_CACHE {
            let Some(oldest) = self.cached.pop_back() else { break };
            heap.free(joiner, oldest)?;
        }
        Ok(())
    }
}
