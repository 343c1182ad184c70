//! Chunks that arrive on a fastbin while a call of another thread is under way.
//!
//! `free` puts a chunk on a fastbin without the arena's lock (glibc: the fast branch of `_int_free`). So
//! it may do that while another thread, which has the lock, moves chunks from the same fastbin to its
//! tcache, or empties one fastbin after the other: then the chunk comes to lie where it would come to lie
//! neither before that thread's call nor after it. Whoever makes calls one after the other says so here.

use crate::arena::{Arena, ArenaId};
use crate::chunk::Chunk;
use crate::corruption::Corruption;
use crate::heap::{Context, Heap};
use crate::layout::Geometry;
use crate::memory::Memory;
use crate::observe::Observer;
use alloc::vec::Vec;

/// How many fastbins are emptied one after the other (glibc: `malloc_consolidate`), where words have 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "they are ten")]
pub const FASTBINS: u32 = Geometry::OF_64_BITS.fast_stacks() as u32;

/// When a chunk arrives on a fastbin: during a later call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct During {
    /// The call's number, which is the caller's to choose.
    pub call: u64,
    /// How often that call takes chunks from fastbins before: each that it moves to the tcache counts, and
    /// each fastbin that it empties, whether there is anything in it or not. At the latest the chunk
    /// arrives when the call is over.
    pub takes: u32,
}

/// What is to arrive, and whether more is to be delayed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lockless {
    delay: Option<During>,
    coming: Vec<Coming>,
    /// The call under way.
    call: Option<u64>,
}

/// A chunk that is still to arrive.
#[derive(Clone, Copy, Debug)]
struct Coming {
    arena: ArenaId,
    chunk: Chunk,
    during: During,
}

impl Lockless {
    /// When what is put on a fastbin now arrives there, if not at once.
    #[inline]
    pub(crate) fn delay(&self) -> Option<During> {
        self.delay
    }

    /// A chunk is to arrive in this arena.
    #[cold]
    pub(crate) fn put(&mut self, arena: ArenaId, chunk: Chunk, during: During) {
        self.coming.push(Coming { arena, chunk, during });
    }

    /// Everything that is to arrive, and where.
    pub(crate) fn each(&self) -> impl Iterator<Item = (ArenaId, Chunk)> + '_ {
        self.coming.iter().map(|one| (one.arena, one.chunk))
    }

    /// The next chunk to arrive now during the call under way, if that is in this arena.
    fn next(&mut self, arena: ArenaId) -> Option<Chunk> {
        let call = self.call?;
        let arrives = |one: &Coming| one.arena == arena && one.during == During { call, takes: 0 };
        let number = self.coming.iter().position(arrives)?;
        Some(self.coming.remove(number).chunk)
    }

    /// The call under way takes chunks from a fastbin.
    fn note_take(&mut self, arena: ArenaId) {
        for one in &mut self.coming {
            if one.arena == arena && Some(one.during.call) == self.call {
                one.during.takes = one.during.takes.saturating_sub(1);
            }
        }
    }
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// From now on, what a call puts on a fastbin arrives there during a later one; with `None`, at once,
    /// as usual.
    pub fn delay_fast(&mut self, during: Option<During>) {
        self.cx.lockless.delay = during;
    }

    /// Whether chunks are to arrive during a later call.
    #[inline]
    pub fn has_delayed(&self) -> bool {
        !self.cx.lockless.coming.is_empty()
    }

    /// The call with this number begins.
    pub fn begin_call(&mut self, call: u64) {
        self.cx.lockless.call = Some(call);
    }

    /// It is over: what was to arrive meanwhile is there.
    pub fn end_call(&mut self) -> Result<(), Corruption> {
        let Some(call) = self.cx.lockless.call.take() else { return Ok(()) };
        let coming = core::mem::take(&mut self.cx.lockless.coming);
        let (now, later) = coming.into_iter().partition(|one| one.during.call == call);
        self.cx.lockless.coming = later;
        let now: Vec<Coming> = now;
        now.into_iter().try_for_each(|Coming { arena, chunk, .. }| {
            self.arenas[arena.0 as usize].receive(&mut self.cx, chunk)
        })
    }
}

impl Arena {
    /// Lets what arrives arrive before the call under way takes chunks from a fastbin.
    #[inline]
    pub(crate) fn let_arrive<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
    ) -> Result<(), Corruption> {
        if cx.lockless.coming.is_empty() { Ok(()) } else { self.let_some_arrive(cx) }
    }

    #[cold]
    fn let_some_arrive<M: Memory, O: Observer>(&mut self, cx: &mut Context<M, O>) -> Result<(), Corruption> {
        while let Some(chunk) = cx.lockless.next(self.id()) {
            self.receive(cx, chunk)?;
        }
        cx.lockless.note_take(self.id());
        Ok(())
    }

    /// A chunk that was delayed arrives.
    fn receive<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
    ) -> Result<(), Corruption> {
        let size = chunk.size(&cx.memory);
        self.push_fast(cx, chunk, size).map(drop)
    }
}
