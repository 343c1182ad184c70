//! A thread's own cache: short stacks of chunks of one size, which nobody else touches.
//!
//! glibc keeps the stacks' counts and heads in a chunk of its own, the first the thread allocates
//! (`tcache_perthread_struct`); here the chunk is allocated all the same, since it shifts everything
//! after it, and stays empty: nobody points at what is in it. The links between cached chunks lie
//! in their payloads as in glibc, mangled where the release does that.

use crate::address::{Address, ChunkSize, Request, index};
use crate::arena::Arena;
use crate::bins::{Bin, narrow};
use crate::chunk::Chunk;
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::layout::{Geometry, Layout};
use crate::memory::{Memory, Words};
use crate::observe::{Event, Found, Observer, Source};
use crate::release::{LargeTcache, TcacheMade, TcacheRules};

/// How many stacks of one size each there are: glibc's `TCACHE_SMALL_BINS`.
pub(crate) const SMALL_STACKS: usize = 64;
/// How many there are at most, with those for a range of sizes each: glibc's `TCACHE_MAX_BINS`.
pub(crate) const STACKS: usize = SMALL_STACKS + 12;

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

/// The number of the stack for chunks of this size (glibc: `csize2tidx`, `large_csize2tidx`).
#[inline]
pub(crate) fn number(geometry: Geometry, size: ChunkSize) -> usize {
    if size <= geometry.greatest_cached_small() {
        index((size - geometry.smallest_chunk()).0 / geometry.alignment)
    } else {
        large_number(geometry, size)
    }
}

/// The greatest chunk that any release can cache: one less than would need a stack more.
pub(crate) fn greatest(geometry: Geometry) -> ChunkSize {
    large_sizes(geometry, STACKS - 1).1
}

/// The large stacks hold sizes of as many bits each.
fn large_number(geometry: Geometry, size: ChunkSize) -> usize {
    let more_bits = geometry.greatest_cached_small().0.leading_zeros() - size.0.leading_zeros();
    SMALL_STACKS + more_bits as usize
}

/// The sizes of the large stack of this number: the smallest and the greatest.
pub(crate) fn large_sizes(geometry: Geometry, number: usize) -> (ChunkSize, ChunkSize) {
    let Geometry { alignment, .. } = geometry;
    let greatest_small = geometry.greatest_cached_small().0;
    let bits = greatest_small.ilog2() as usize + number.saturating_sub(SMALL_STACKS);
    let least = 1 << bits;
    (ChunkSize(greatest_small.max(least - alignment) + alignment), ChunkSize(2 * least - alignment))
}

/// Whether chunks of this size are put by when an allocation finds more of them than it needs.
#[inline]
pub(crate) fn has_stack<M: Words, O>(cx: &Context<M, O>, size: ChunkSize) -> bool {
    let geometry = cx.geometry();
    size <= geometry.greatest_cached_small() && number(geometry, size) < cx.parameters.tcache_stacks
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
        self.closed = false;
    }

    /// There is no cache from now on unless it is [opened](Tcache::open) at once, so that memory for it
    /// is not asked for again. Returns whether it should be opened: not if it could never hold
    /// anything.
    pub(crate) fn give_up_unless_made<M, O>(&mut self, cx: &Context<M, O>) -> bool {
        self.closed = true;
        cx.parameters.tcache_count != 0
    }

    /// The chunk glibc keeps the stacks in, if there is a cache.
    pub(crate) fn own_chunk(&self) -> Option<Chunk> {
        (self.chunk != Chunk::NONE).then_some(self.chunk)
    }

    /// The chunks cached and their bytes.
    pub(crate) fn total<M: Memory, O: Observer>(&self, cx: &Context<M, O>) -> (u64, u64) {
        let sizes = (0u64..).map(|n| M::Layout::SMALLEST_CHUNK.0 + n * cx.alignment());
        let small = sizes.zip(&self.counts[..SMALL_STACKS]);
        let mut total = small.fold((0, 0), |(chunks, bytes), (size, &count)| {
            (chunks + u64::from(count), bytes + u64::from(count) * size)
        });
        if self.counts[SMALL_STACKS..].iter().any(|&count| count != 0) {
            self.each_from(cx, SMALL_STACKS, |chunk| {
                total.0 += 1;
                total.1 += chunk.size(&cx.memory).bytes();
            });
        }
        total
    }

    /// The latest chunk cached of this size.
    #[inline]
    pub(crate) fn take<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        if size > cx.parameters.greatest_cached {
            return Ok(None);
        }
        let number = number(cx.geometry(), size);
        if number >= SMALL_STACKS {
            return self.take_large(cx, number, size);
        }
        if self.counts[number] == 0 {
            return Ok(missed(cx, number));
        }
        self.take_latest(cx, number).map(|chunk| Some(found(chunk, number)))
    }

    /// The latest chunk of a stack that has one.
    #[inline]
    pub(crate) fn take_latest<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        number: usize,
    ) -> Result<Chunk, Corruption> {
        self.take_from(cx, number, None, self.heads[number % STACKS])
    }

    /// The shortest chunk of a large stack that serves a request for `size`, if the release finds it
    /// short enough (glibc: `tcache_get_large`).
    #[cold]
    fn take_large<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        number: usize,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        let place = self.find(cx, number, |chunk| chunk.size(&cx.memory) >= size);
        let serves = |chunk: Chunk| match cx.release.tcache.large {
            LargeTcache::None => false,
            LargeTcache::NoShorter => true,
            LargeTcache::Exact => chunk.size(&cx.memory) == size,
        };
        let place = place.filter(cx, serves);
        self.take_found(cx, number, place)
    }

    /// The latest chunk cached of this size whose payload is a multiple of `alignment` (glibc:
    /// `tcache_get_align`).
    pub(crate) fn take_aligned<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        size: ChunkSize,
        alignment: u64,
    ) -> Result<Option<Found>, Corruption> {
        if size > cx.parameters.greatest_cached {
            return Ok(None);
        }
        let number = number(cx.geometry(), size);
        let serves = |chunk: Chunk| {
            let is_exact = number < SMALL_STACKS || chunk.size(&cx.memory) == size;
            is_exact && chunk.payload(&cx.memory).is_aligned(alignment)
        };
        let is_too_long = |chunk: Chunk| number >= SMALL_STACKS && chunk.size(&cx.memory) > size;
        let place = self.find(cx, number, |chunk| serves(chunk) || is_too_long(chunk)).filter(cx, serves);
        self.take_found(cx, number, place)
    }

    /// Takes a chunk out of its stack, wherever it is there. Returns whether it was there.
    pub(crate) fn take_out<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
    ) -> Result<bool, Corruption> {
        let number = number(cx.geometry(), chunk.size(&cx.memory));
        let place = self.find(cx, number, |other| other == chunk);
        let Some(payload) = place.found else { return Ok(false) };
        self.take_from(cx, number, place.before, payload)?;
        Ok(true)
    }

    /// Takes what was found in a stack, if anything was.
    fn take_found<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        number: usize,
        place: Place,
    ) -> Result<Option<Found>, Corruption> {
        let Some(payload) = place.found else { return Ok(missed(cx, number)) };
        let chunk = self.take_from(cx, number, place.before, payload)?;
        Ok(Some(found(chunk, number)))
    }

    /// The first payload in a stack whose chunk is `wanted`, and the one before it.
    fn find<M: Memory, O: Observer>(
        &self,
        cx: &Context<M, O>,
        number: usize,
        wanted: impl Fn(Chunk) -> bool,
    ) -> Place {
        let number = number % STACKS;
        let mut place = Place { before: None, found: None };
        let mut at = self.heads[number];
        for _ in 0..self.counts[number] {
            if wanted(Chunk::of(&cx.memory, at)) {
                place.found = Some(at);
                break;
            }
            place.before = Some(at);
            at = cx.revealed(at);
        }
        place
    }

    /// Takes a payload out of a stack, where it lies after `before` (glibc: `tcache_get_n`).
    #[inline(always)]
    fn take_from<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        number: usize,
        before: Option<Address>,
        payload: Address,
    ) -> Result<Chunk, Corruption> {
        let number = number % STACKS;
        if cx.release.checks.links_aligned && !payload.is_aligned(cx.alignment()) {
            return Err(Corruption::TcacheUnaligned);
        }
        let next = cx.revealed(payload);
        match before {
            None => self.heads[number] = next,
            Some(before) => cx.conceal(before, next),
        }
        self.counts[number] = self.counts[number].wrapping_sub(1);
        mark(cx, payload, 0);
        Ok(Chunk::of(&cx.memory, payload))
    }

    /// Whether a chunk of this size, that an allocation found, could be put.
    #[inline]
    pub(crate) fn has_room<M: Words, O>(&self, cx: &Context<M, O>, size: ChunkSize) -> bool {
        has_stack(cx, size) && self.stack_has_room(cx, number(cx.geometry(), size))
    }

    #[inline]
    fn stack_has_room<M, O>(&self, cx: &Context<M, O>, number: usize) -> bool {
        self.chunk != Chunk::NONE && u64::from(self.counts[number % STACKS]) < cx.parameters.tcache_count
    }

    /// Puts a chunk for which there is room.
    #[inline]
    pub(crate) fn put<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
    ) {
        let number = number(cx.geometry(), size) % STACKS;
        let payload = chunk.payload(&cx.memory);
        mark(cx, payload, KEY);
        cx.conceal(payload, self.heads[number]);
        self.heads[number] = payload;
        self.counts[number] += 1;
    }

    /// Puts a chunk into a large stack, before the first that is no shorter (glibc: `tcache_put_large`).
    #[cold]
    fn put_large<M: Memory, O: Observer>(&mut self, cx: &mut Context<M, O>, chunk: Chunk, size: ChunkSize) {
        let number = number(cx.geometry(), size) % STACKS;
        let place = self.find(cx, number, |other| other.size(&cx.memory) >= size);
        let Some(before) = place.before else { return self.put(cx, chunk, size) };
        let payload = chunk.payload(&cx.memory);
        mark(cx, payload, KEY);
        cx.conceal(payload, place.found.unwrap_or(Address::NULL));
        cx.conceal(before, payload);
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
        if self.chunk == Chunk::NONE || size > cx.parameters.greatest_cached {
            return Ok(false);
        }
        if cx.release.checks.cached_twice
            && cx.memory.load(chunk.payload(&cx.memory) + M::Layout::WORD) == M::Layout::cut(KEY)
        {
            self.look_for(cx, chunk, size)?;
        }
        if size < M::Layout::SMALLEST_CHUNK {
            // Only a release that looks at the size afterwards comes here.
            return Ok(false);
        }
        if !self.stack_has_room(cx, number(cx.geometry(), size)) {
            return Ok(false);
        }
        if size <= cx.geometry().greatest_cached_small() {
            self.put(cx, chunk, size);
        } else if self.takes_large(cx, chunk) {
            self.put_large(cx, chunk, size);
        } else {
            return Ok(false);
        }
        cx.tell(Event::Released { chunk, size, into: Bin::Tcache(narrow(number(cx.geometry(), size))) });
        Ok(true)
    }

    /// Whether a large chunk may be cached.
    #[cold]
    fn takes_large<M: Memory, O: Observer>(&self, cx: &Context<M, O>, chunk: Chunk) -> bool {
        cx.release.tcache.large != LargeTcache::None
            && (cx.release.tcache.takes_mapped || !chunk.head(&cx.memory).is_mapped())
    }

    /// The chunk looks cached: is it, or do the program's bytes only happen to look so?
    #[cold]
    fn look_for<M: Memory, O: Observer>(
        &self,
        cx: &Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
    ) -> Result<(), Corruption> {
        if cx.release.checks.whole_cache {
            let mut heads = self.heads.iter();
            heads.try_for_each(|&head| look_along(cx, head, chunk))
        } else {
            look_along(cx, self.heads[number(cx.geometry(), size) % STACKS], chunk)
        }
    }

    /// All that is cached, from the top of each stack.
    pub(crate) fn each<M: Memory, O: Observer>(&self, cx: &Context<M, O>, f: impl FnMut(Chunk)) {
        self.each_from(cx, 0, f);
    }

    fn each_from<M: Memory, O: Observer>(&self, cx: &Context<M, O>, first: usize, mut f: impl FnMut(Chunk)) {
        for (&count, &head) in self.counts.iter().zip(&self.heads).skip(first) {
            let mut payload = head;
            for _ in 0..count {
                f(Chunk::of(&cx.memory, payload));
                payload = cx.revealed(payload);
            }
        }
    }

    /// All that is left to free of a cache that was closed, apart from its own chunk.
    pub(crate) fn each_left<M: Memory, O: Observer>(&self, cx: &Context<M, O>, mut f: impl FnMut(Chunk)) {
        for &head in &self.heads {
            let mut payload = head;
            while !payload.is_null() {
                f(Chunk::of(&cx.memory, payload));
                payload = cx.revealed(payload);
            }
        }
    }

    /// Stops caching, for good unless what was cached is to be lost. What was cached must now be freed:
    /// every stack from its top, the stacks in the order of their sizes, the cache's own chunk last.
    pub(crate) fn close(&mut self, rules: &TcacheRules) -> Tcache {
        core::mem::replace(self, Tcache { closed: !rules.is_lost_at_exit, ..Tcache::default() })
    }

    /// The payload of the chunk that is the next to free if the cache is closed.
    pub(crate) fn next(&self, words: &impl Words) -> Option<Address> {
        let cached = self.heads.iter().copied().find(|head| !head.is_null());
        cached.or_else(|| (self.chunk != Chunk::NONE).then(|| self.chunk.payload(words)))
    }

    /// The next chunk to free of a cache that was closed.
    pub(crate) fn next_to_free<M: Memory, O: Observer>(
        &mut self,
        cx: &Context<M, O>,
    ) -> Result<Option<Chunk>, Corruption> {
        let Some(head) = self.heads.iter_mut().find(|head| !head.is_null()) else {
            let own = core::mem::take(&mut self.chunk);
            return Ok((own != Chunk::NONE).then_some(own));
        };
        let payload = *head;
        if cx.release.checks.links_aligned && !payload.is_aligned(cx.alignment()) {
            return Err(Corruption::TcacheUnalignedInExit);
        }
        *head = cx.revealed(payload);
        Ok(Some(Chunk::of(&cx.memory, payload)))
    }
}

/// Marks a payload as cached, or as served, if the release looks for such marks.
#[inline]
fn mark<M: Memory, O: Observer>(cx: &mut Context<M, O>, payload: Address, key: u64) {
    if cx.release.checks.cached_twice {
        cx.memory.store(payload + M::Layout::WORD, key);
    }
}

/// Looks for a chunk along a stack (glibc: `tcache_double_free_verify`).
fn look_along<M: Memory, O: Observer>(
    cx: &Context<M, O>,
    head: Address,
    chunk: Chunk,
) -> Result<(), Corruption> {
    let checks = &cx.release.checks;
    let mut at = head;
    let mut seen = 0;
    while !at.is_null() {
        if checks.cache_length && seen >= cx.parameters.tcache_count {
            return Err(Corruption::TcacheTooLong);
        }
        if checks.links_aligned && !at.is_aligned(cx.alignment()) {
            return Err(Corruption::TcacheUnalignedInFree);
        }
        if at == chunk.payload(&cx.memory) {
            return Err(Corruption::TcacheDoubleFree);
        }
        if seen > u64::from(u16::MAX) {
            // No stack is that long.
            return Err(Corruption::CacheGoesRound);
        }
        at = cx.revealed(at);
        seen += 1;
    }
    Ok(())
}

/// Where something is in a stack.
struct Place {
    /// The payload before it, if it is not the first.
    before: Option<Address>,
    /// Its payload, if it is there.
    found: Option<Address>,
}

impl Place {
    /// The same place, if the chunk there serves; else nothing is found.
    fn filter<M: Memory, O>(self, cx: &Context<M, O>, serves: impl Fn(Chunk) -> bool) -> Place {
        Place { found: self.found.filter(|&payload| serves(Chunk::of(&cx.memory, payload))), ..self }
    }
}

/// A chunk that was in the stack of this number.
#[inline(always)]
fn found(chunk: Chunk, number: usize) -> Found {
    Found { chunk, source: Source::Tcache(narrow(number)) }
}

/// Nothing, and the news that nothing was in the stack of this number.
#[inline(always)]
fn missed<M: Memory, O: Observer>(cx: &mut Context<M, O>, number: usize) -> Option<Found> {
    cx.tell(Event::Missed { bin: Bin::Tcache(narrow(number)) });
    None
}

impl Arena {
    /// Gives the thread a cache, in the arena it is just being served from, if that is the release's way
    /// (glibc: `tcache_init` called from `_int_malloc`).
    #[inline]
    pub(crate) fn ensure_tcache<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
    ) -> Result<(), Corruption> {
        if tcache.is_wanted() && cx.release.tcache.made == TcacheMade::AtFirstFree {
            self.make_tcache(cx, tcache)
        } else {
            Ok(())
        }
    }

    #[cold]
    fn make_tcache<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
    ) -> Result<(), Corruption> {
        if !tcache.give_up_unless_made(cx) {
            return Ok(());
        }
        let request = Request(cx.release.tcache_bytes_while_allocating());
        let Some(size) = cx.size_for(request) else { return Ok(()) };
        if let Some(Found { chunk, .. }) = self.allocate(cx, tcache, request, size)? {
            cx.memory.fill(chunk.payload(&cx.memory), cx.release.tcache_bytes(), 0);
            tcache.open(chunk);
        }
        Ok(())
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
