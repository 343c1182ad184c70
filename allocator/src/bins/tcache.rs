//! A thread's own cache: short stacks of chunks of one size, which nobody else touches.
//!
//! glibc keeps the stacks' counts and heads in a chunk of its own, the first the thread allocates
//! (`tcache_perthread_struct`); here the chunk is allocated all the same, since it shifts everything
//! after it, and stays empty: nobody points at what is in it. The links between cached chunks lie
//! in their payloads as in glibc, mangled where the release does that.

use crate::address::{ALIGNMENT, Address, ChunkSize, SMALLEST_CHUNK, WORD, index};
use crate::bins::{Bin, narrow};
use crate::chunk::Chunk;
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::memory::{Memory, Words};
use crate::observe::{Event, Observer};

/// How many stacks there are at most: glibc's `TCACHE_MAX_BINS`.
pub(crate) const STACKS: usize = 64;

/// Marks a chunk as cached, in the second word of its payload. glibc draws it at random
/// (`tcache_key`), so that no program can have it there by accident; any odd number will do here.
const KEY: u64 = 0x7a6b_5c4d_3e2f_1a0b;

/// A thread's cache.
#[derive(Clone, Debug)]
pub(crate) struct Tcache {
    /// The chunk glibc keeps the stacks in; `NONE` until the thread first needs the cache, and
    /// again once it exits. Without it nothing is cached: all counts are 0 and there is no room.
    chunk: Chunk,
    /// Whether the thread is going, and the cache must not be made again.
    closed: bool,
    counts: [u16; STACKS],
    /// Payloads, as glibc links cached chunks by their payloads.
    heads: [Address; STACKS],
}

impl Default for Tcache {
    fn default() -> Tcache {
        Tcache { chunk: Chunk::NONE, closed: false, counts: [0; STACKS], heads: [Address::NULL; STACKS] }
    }
}

/// The number of the stack for chunks of this size (glibc: `csize2tidx`).
#[inline]
pub(crate) fn number(size: ChunkSize) -> usize {
    index((size - SMALLEST_CHUNK).0 / ALIGNMENT)
}

impl Tcache {
    /// Whether the thread should be given a cache before it goes on.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        self.chunk == Chunk::NONE && !self.closed
    }

    /// Begins to cache, in the room of `chunk`.
    pub(crate) fn open(&mut self, chunk: Chunk) {
        self.chunk = chunk;
    }

    /// The chunk glibc keeps the stacks in, if there is a cache.
    pub(crate) fn own_chunk(&self) -> Option<Chunk> {
        (self.chunk != Chunk::NONE).then_some(self.chunk)
    }

    /// The chunks cached and their bytes.
    pub(crate) fn total(&self) -> (u64, u64) {
        let sizes = (0u64..).map(|n| SMALLEST_CHUNK.0 + n * ALIGNMENT);
        sizes.zip(self.counts).fold((0, 0), |(chunks, bytes), (size, count)| {
            (chunks + u64::from(count), bytes + u64::from(count) * size)
        })
    }

    /// The latest chunk cached of this size.
    #[inline]
    pub(crate) fn take<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        size: ChunkSize,
    ) -> Result<Option<Chunk>, Corruption> {
        let number = number(size);
        if number >= cx.parameters.tcache_stacks {
            return Ok(None);
        }
        let Some(count) = self.counts.get_mut(number) else { return Ok(None) };
        if *count == 0 {
            cx.tell(Event::Missed { bin: Bin::Tcache(narrow(number)) });
            return Ok(None);
        }
        let payload = self.heads[number];
        if !payload.is_aligned(ALIGNMENT) {
            return Err(Corruption::TcacheUnaligned);
        }
        *count -= 1;
        self.heads[number] = cx.revealed(payload);
        cx.memory.store(payload + WORD, 0);
        Ok(Some(Chunk::of(payload)))
    }

    /// Whether a chunk of this size could be put.
    #[inline]
    pub(crate) fn has_room<M, O>(&self, cx: &Context<M, O>, size: ChunkSize) -> bool {
        let number = number(size);
        self.chunk != Chunk::NONE
            && number < cx.parameters.tcache_stacks
            && self.counts.get(number).is_some_and(|&count| u64::from(count) < cx.parameters.tcache_count)
    }

    /// Puts a chunk for which there is room.
    #[inline]
    pub(crate) fn put<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
    ) {
        let number = number(size) % STACKS;
        let payload = chunk.payload();
        cx.memory.store(payload + WORD, KEY);
        cx.conceal(payload, self.heads[number]);
        self.heads[number] = payload;
        self.counts[number] += 1;
    }

    /// Takes in a chunk the program gives back, if there is room; finds out if it is there already.
    #[inline]
    pub(crate) fn accept<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
    ) -> Result<bool, Corruption> {
        if self.chunk == Chunk::NONE || number(size) >= cx.parameters.tcache_stacks {
            return Ok(false);
        }
        if cx.memory.load(chunk.payload() + WORD) == KEY {
            self.look_for(cx, chunk, size)?;
        }
        if !self.has_room(cx, size) {
            return Ok(false);
        }
        self.put(cx, chunk, size);
        cx.tell(Event::Released { chunk, size, into: Bin::Tcache(narrow(number(size))) });
        Ok(true)
    }

    /// The chunk looks cached: is it, or do the program's bytes only happen to look so?
    #[cold]
    fn look_for<M: Memory, O: Observer>(
        &self,
        cx: &Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
    ) -> Result<(), Corruption> {
        let mut at = self.heads[number(size) % STACKS];
        let mut seen = 0;
        while !at.is_null() {
            if seen >= cx.parameters.tcache_count {
                return Err(Corruption::TcacheTooLong);
            }
            if !at.is_aligned(ALIGNMENT) {
                return Err(Corruption::TcacheUnalignedInFree);
            }
            if at == chunk.payload() {
                return Err(Corruption::TcacheDoubleFree);
            }
            at = cx.revealed(at);
            seen += 1;
        }
        Ok(())
    }

    /// All that is cached, from the top of each stack.
    pub(crate) fn each<M: Memory, O: Observer>(&self, cx: &Context<M, O>, mut f: impl FnMut(Chunk)) {
        for (&count, &head) in self.counts.iter().zip(&self.heads) {
            let mut payload = head;
            for _ in 0..count {
                f(Chunk::of(payload));
                payload = cx.revealed(payload);
            }
        }
    }

    /// Stops caching, for good. What was cached must now be freed: every stack from its top, the
    /// stacks in the order of their sizes, the cache's own chunk last.
    pub(crate) fn close(&mut self) -> Tcache {
        std::mem::replace(self, Tcache { closed: true, ..Tcache::default() })
    }

    /// The payload of the chunk that is the next to free if the cache is closed.
    pub(crate) fn next(&self) -> Option<Address> {
        let cached = self.heads.iter().copied().find(|head| !head.is_null());
        cached.or_else(|| (self.chunk != Chunk::NONE).then(|| self.chunk.payload()))
    }

    /// The next chunk to free of a cache that was closed.
    pub(crate) fn next_to_free<M: Memory, O: Observer>(
        &mut self,
        cx: &Context<M, O>,
    ) -> Result<Option<Chunk>, Corruption> {
        let Some(head) = self.heads.iter_mut().find(|head| !head.is_null()) else {
            let own = std::mem::take(&mut self.chunk);
            return Ok((own != Chunk::NONE).then_some(own));
        };
        let payload = *head;
        if !payload.is_aligned(ALIGNMENT) {
            return Err(Corruption::TcacheUnalignedInExit);
        }
        *head = cx.revealed(payload);
        Ok(Some(Chunk::of(payload)))
    }
}

impl<M: Words, O> Context<M, O> {
    /// The link stored at a payload, in a stack of cached or fast chunks (glibc: `REVEAL_PTR`).
    #[inline]
    pub(crate) fn revealed(&self, at: Address) -> Address {
        let stored = self.memory.load(at);
        Address(if self.release.links_are_mangled { stored ^ (at.0 >> 12) } else { stored })
    }

    /// Stores a link at a payload (glibc: `PROTECT_PTR`).
    #[inline]
    pub(crate) fn conceal(&mut self, at: Address, link: Address) {
        let stored = if self.release.links_are_mangled { link.0 ^ (at.0 >> 12) } else { link.0 };
        self.memory.store(at, stored);
    }
}
