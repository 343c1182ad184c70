//! Fastbins: an arena's stacks of small chunks that are not merged with their neighbours.
//!
//! A chunk in a fastbin still counts as in use. That keeps it whole, and keeps its free neighbours
//! apart, until [`Arena::consolidate`] empties the stacks.

use crate::address::ChunkSize;
use crate::arena::Arena;
use crate::bins::{Bin, narrow, tcache::Tcache};
use crate::chunk::Chunk;
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::layout::Layout;
use crate::memory::Memory;
use crate::observe::{Event, Found, Observer, Source};

/// How many stacks there can be: glibc's `NFASTBINS` is no greater on any machine.
pub(crate) const STACKS: usize = 11;

/// An arena's stacks: the top chunk of each.
#[derive(Clone, Debug)]
pub(crate) struct Fastbins {
    tops: [Chunk; STACKS],
    /// Whether something was put since the stacks were last emptied. Tells only whether emptying
    /// them is worth a look: glibc's `have_fastchunks`.
    pub(crate) may_hold: bool,
}

impl Default for Fastbins {
    fn default() -> Fastbins {
        Fastbins { tops: [Chunk::NONE; STACKS], may_hold: false }
    }
}

impl Fastbins {
    /// Empties one stack at once and returns its top chunk.
    pub(crate) fn empty(&mut self, number: usize) -> Chunk {
        core::mem::take(&mut self.tops[number])
    }

    /// A stack has this top chunk.
    pub(crate) fn set_top(&mut self, number: usize, top: Chunk) {
        self.tops[number] = top;
    }

    /// The top chunk of every stack.
    pub(crate) fn tops(&self) -> &[Chunk; STACKS] {
        &self.tops
    }
}

/// The chunk below `chunk` in a stack of fast chunks, which are linked by their boundary tags.
#[inline]
pub(crate) fn next<M: Memory, O: Observer>(cx: &Context<M, O>, chunk: Chunk) -> Chunk {
    Chunk(cx.revealed(chunk.payload(&cx.memory)))
}

impl Arena {
    /// Serves a request from the fastbin of its size, latest first, and while it is there fills
    /// the tcache from the same bin.
    #[inline]
    pub(crate) fn take_fast<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        if size.0 > cx.parameters.greatest_fast {
            return Ok(None);
        }
        let number = cx.geometry().fast_number(size);
        let Some(top) = self.fast.tops.get_mut(number) else { return Ok(None) };
        let victim = *top;
        if victim == Chunk::NONE {
            cx.tell(Event::Missed { bin: Bin::Fast(narrow(number)) });
            return Ok(None);
        }
        if cx.release.checks.links_aligned && cx.is_misaligned(victim) {
            return Err(Corruption::FastUnaligned);
        }
        *top = next(cx, victim);
        // With threads glibc takes the chunk by compare-and-swap and looks at the next one first.
        if cx.threaded && cx.release.checks.links_aligned && *top != Chunk::NONE && cx.is_misaligned(*top) {
            return Err(Corruption::FastUnalignedNext);
        }
        if cx.geometry().fast_number(victim.size(&cx.memory)) != number {
            return Err(cx.blame(victim.payload(&cx.memory), Corruption::FastSize));
        }
        self.stash_fast(cx, tcache, size)?;
        Ok(Some(Found { chunk: victim, source: Source::Fast(narrow(number)) }))
    }

    /// Moves chunks from the fastbin of this size to the tcache until one is empty or the other full.
    fn stash_fast<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        size: ChunkSize,
    ) -> Result<(), Corruption> {
        let number = cx.geometry().fast_number(size);
        while tcache.has_room(cx, size) {
            self.let_arrive(cx)?;
            let top = &mut self.fast.tops[number];
            let chunk = *top;
            if chunk == Chunk::NONE {
                break;
            }
            let checks = &cx.release.checks;
            if checks.links_aligned && cx.is_misaligned(chunk) {
                return Err(Corruption::FastUnalignedInStash);
            }
            if checks.fast_size_when_cached && cx.geometry().fast_number(chunk.size(&cx.memory)) != number {
                return Err(Corruption::FastSizeInStash);
            }
            *top = next(cx, chunk);
            if cx.threaded && checks.links_aligned && *top != Chunk::NONE && cx.is_misaligned(*top) {
                return Err(Corruption::FastUnalignedNext);
            }
            tcache.put(cx, chunk, size);
            cx.tell(Event::Stashed { chunk, from: Bin::Fast(narrow(number)) });
        }
        Ok(())
    }

    /// Puts a freed chunk on the fastbin of its size and returns the one that was on top (glibc: the
    /// fast branch of `_int_free`).
    #[inline]
    pub(crate) fn put_fast<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
    ) -> Result<Chunk, Corruption> {
        cx.tell(Event::Released { chunk, size, into: Bin::Fast(narrow(cx.geometry().fast_number(size))) });
        if let Some(during) = cx.lockless.delay() {
            cx.lockless.put(self.id(), chunk, during);
            return Ok(Chunk::NONE);
        }
        self.push_fast(cx, chunk, size)
    }

    /// A chunk arrives on the fastbin of its size.
    #[inline]
    pub(crate) fn push_fast<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
    ) -> Result<Chunk, Corruption> {
        let above = chunk.at(size).head(&cx.memory);
        if above.0 <= M::Layout::HEADER || above.size().0 >= self.system_bytes {
            return Err(Corruption::FreeNextSizeFast);
        }
        cx.perturb_freed(chunk, size);
        self.fast.may_hold = true;
        let number = cx.geometry().fast_number(size);
        let top = &mut self.fast.tops[number % STACKS];
        let old = *top;
        if old == chunk {
            return Err(Corruption::FastDoubleFree);
        }
        cx.conceal(chunk.payload(&cx.memory), old.0);
        *top = chunk;
        Ok(old)
    }

    /// Takes a chunk out of its fastbin, wherever it is there. Returns whether it was there.
    pub(crate) fn take_out_fast<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
    ) -> bool {
        let number = cx.geometry().fast_number(chunk.size(&cx.memory)) % STACKS;
        let mut before = Chunk::NONE;
        let mut at = self.fast.tops[number];
        while at != Chunk::NONE {
            let next = next(cx, at);
            if at == chunk {
                match before {
                    Chunk::NONE => self.fast.tops[number] = next,
                    _ => cx.conceal(before.payload(&cx.memory), next.0),
                }
                return true;
            }
            (before, at) = (at, next);
        }
        false
    }

    /// Whether a chunk that was on top of the fastbin for `size` is of that size. glibc looks only
    /// where it holds the arena's lock, which is when it frees a chunk of its own making.
    pub(crate) fn check_fast_entry<M: Memory, O: Observer>(
        cx: &Context<M, O>,
        entry: Chunk,
        size: ChunkSize,
    ) -> Result<(), Corruption> {
        if entry != Chunk::NONE
            && cx.geometry().fast_number(entry.size(&cx.memory)) != cx.geometry().fast_number(size)
        {
            return Err(Corruption::FastEntry);
        }
        Ok(())
    }
}
