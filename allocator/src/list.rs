//! Circular lists threaded through free chunks, and the one `unlink`.
//!
//! A bin is a list whose sentinel lies in the arena's own memory, placed so that its two links sit
//! where a chunk's would: the sentinel is a chunk that is all links. Chunks are put in at the front
//! and searched from the back, so the oldest is served first.
//!
//! A large bin's list is sorted by size, largest in front, and the first chunk of every size is on
//! a second circular list of its own, the skip list (see [`bins::large`](crate::bins::large)).

use crate::chunk::Chunk;
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::memory::Words;

/// The list around one sentinel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) sentinel: Chunk,
}

impl List {
    /// Makes the list empty, whatever the memory held.
    pub(crate) fn clear(self, words: &mut impl Words) {
        self.sentinel.set_forward(words, self.sentinel);
        self.sentinel.set_backward(words, self.sentinel);
    }

    /// The chunk at the front; the sentinel if the list is empty.
    #[inline]
    pub(crate) fn first(self, words: &impl Words) -> Chunk {
        self.sentinel.forward(words)
    }

    /// The chunk at the back; the sentinel if the list is empty.
    #[inline]
    pub(crate) fn last(self, words: &impl Words) -> Chunk {
        self.sentinel.backward(words)
    }

    /// Whether the list holds nothing.
    pub(crate) fn is_empty(self, words: &impl Words) -> bool {
        self.last(words) == self.sentinel
    }

    /// Puts `chunk` in front; `broken` is what to say when the list is found damaged.
    #[inline]
    pub(crate) fn push_front(
        self,
        words: &mut impl Words,
        chunk: Chunk,
        broken: Corruption,
    ) -> Result<(), Corruption> {
        let first = self.first(words);
        if first.backward(words) != self.sentinel {
            return Err(broken);
        }
        insert(words, self.sentinel, chunk, first);
        Ok(())
    }

    /// Takes away `last`, which is at the back, given the chunk in front of it.
    #[inline]
    pub(crate) fn drop_last(self, words: &mut impl Words, next_to_last: Chunk) {
        self.sentinel.set_backward(words, next_to_last);
        next_to_last.set_forward(words, self.sentinel);
    }

    /// The chunks from the back to the front.
    pub(crate) fn backwards<W: Words>(self, words: &W) -> impl Iterator<Item = Chunk> + '_ {
        let mut at = self.last(words);
        core::iter::from_fn(move || {
            let chunk = (at != self.sentinel).then_some(at)?;
            at = chunk.backward(words);
            Some(chunk)
        })
    }
}

/// Puts `chunk` between two neighbours of a list.
#[inline]
pub(crate) fn insert(words: &mut impl Words, behind: Chunk, chunk: Chunk, before: Chunk) {
    chunk.set_backward(words, behind);
    chunk.set_forward(words, before);
    before.set_backward(words, chunk);
    behind.set_forward(words, chunk);
}

/// Takes a free chunk off whatever list it is on (glibc: `unlink_chunk`).
#[inline]
pub(crate) fn unlink<M: Words, O>(cx: &mut Context<M, O>, chunk: Chunk) -> Result<(), Corruption> {
    let geometry = cx.geometry();
    let size = chunk.size(&cx.memory);
    if cx.release.checks.unlinked_foot && chunk.at(size).previous_size(&cx.memory) != size {
        return Err(cx.blame(chunk.0, Corruption::SizeDiffersFromFoot));
    }
    let words = &mut cx.memory;
    let forward = chunk.forward(words);
    let backward = chunk.backward(words);
    if forward.backward(words) != chunk || backward.forward(words) != chunk {
        return Err(cx.blame(chunk.0, Corruption::ListLinks));
    }
    forward.set_backward(words, backward);
    backward.set_forward(words, forward);
    if geometry.is_large(size) && chunk.smaller(words) != Chunk::NONE {
        leave_skip_list(words, chunk, forward).map_err(|broken| cx.blame(chunk.0, broken))?;
    }
    Ok(())
}

/// Takes the first chunk of its size off the skip list; if `next` is of the same size, it becomes
/// the first and takes over the links.
fn leave_skip_list(words: &mut impl Words, chunk: Chunk, next: Chunk) -> Result<(), Corruption> {
    let smaller = chunk.smaller(words);
    let larger = chunk.larger(words);
    if smaller.larger(words) != chunk || larger.smaller(words) != chunk {
        return Err(Corruption::SkipListLinks);
    }
    if next.smaller(words) != Chunk::NONE {
        smaller.set_larger(words, larger);
        larger.set_smaller(words, smaller);
    } else if smaller == chunk {
        next.set_smaller(words, next);
        next.set_larger(words, next);
    } else {
        next.set_smaller(words, smaller);
        next.set_larger(words, larger);
        smaller.set_larger(words, next);
        larger.set_smaller(words, next);
    }
    Ok(())
}
