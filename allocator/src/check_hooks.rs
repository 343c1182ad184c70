//! `MALLOC_CHECK_`: slower functions that stand in front of malloc's own, and look at every chunk that
//! comes back (glibc until 2.33: `malloc/hooks.c`).
//!
//! They ask for a byte more than the program does, and write to what lies behind its bytes, down to which
//! a way leads from the chunk's end:
//!
//! ```text
//!   payload ─► ┌──────────────────────┬───────┬─ … ─┬─────┬─ … ─┬────┐
//!              │ the program's bytes  │ magic │     │ 255 │     │ 40 │  each says how far below the next is
//!              └──────────────────────┴───────┴─ … ─┴─────┴─ … ─┴────┘
//! ```
//!
//! The magic byte is made from the chunk's address. One who wrote too far has most likely written over it,
//! and it is turned over when the chunk is freed, so that this is found out if it is freed again.
//!
//! Until 2.26 the value says what is done about corruption, and may let the process live on: then what was
//! to be freed is not, and what was to be reallocated is allocated. What it would print of that nobody is
//! told.
//!
//! All threads use the main arena, and none is given a cache; so `malloc` and `free` look whether to come
//! here ([`Heap::is_checked`]) only where there is no cache, and cost no more than without these functions.

use crate::address::{Address, ChunkSize, Request, align_down, index};
use crate::arena::{Arena, ArenaId, first_chunk_from};
use crate::bins::Bin;
use crate::chunk::{Chunk, Head, PREVIOUS_IN_USE};
use crate::corruption::{Corruption, Refusal};
use crate::heap::{Context, Heap};
use crate::layout::Layout;
use crate::memory::Memory;
use crate::observe::{Event, Found, Observer, Source};
use crate::release::CheckHooks;
use crate::system::mapping;
use crate::thread::ThreadId;

/// The farthest one byte of the way leads.
const FARTHEST_STEP: u64 = 0xff;
/// The longest way that is written. glibc has no such limit; but only an alignment greater than this
/// leaves more behind the program's bytes, and glibc then touches gigabytes.
const LONGEST_WAY: u64 = 256 << 20;

/// A chunk that was found sound, and where its magic byte is, which is turned over now.
struct Vouched {
    chunk: Chunk,
    magic: Address,
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// Whether these functions stand in front of malloc's own. Then no thread ever has a cache.
    #[inline]
    pub(crate) fn is_checked(&self) -> bool {
        self.cx.parameters.checks_chunks
    }

    /// `malloc(request)` (glibc: `malloc_check`).
    #[cold]
    pub(crate) fn malloc_checked(&mut self, thread: ThreadId, request: Request) -> Result<Address, Refusal> {
        self.meet(thread);
        let padded = padded::<M>(request)?;
        self.tell_asked(request, padded);
        let found = self.allocate_checked(thread, padded)?;
        self.hand_out_checked(found, request)
    }

    /// `calloc(count, size)` with their product.
    #[cold]
    pub(crate) fn calloc_checked(&mut self, thread: ThreadId, request: Request) -> Result<Address, Refusal> {
        let payload = self.malloc_checked(thread, request)?;
        self.cx.memory.fill(payload, request.0, 0);
        Ok(payload)
    }

    /// `free(payload)` (glibc: `free_check`).
    #[cold]
    pub(crate) fn free_checked(&mut self, thread: ThreadId, payload: Address) -> Result<(), Corruption> {
        self.meet(thread);
        let Some(vouched) = self.cx.vouch(&self.arenas[0], payload) else {
            return self.live_with(Corruption::FreePointer);
        };
        let head = vouched.chunk.head(&self.cx.memory);
        if head.is_mapped() {
            // The thresholds stay where they are.
            self.cx.tell(Event::Released { chunk: vouched.chunk, size: head.size(), into: Bin::Mapped });
            return mapping::unmap(&mut self.cx, vouched.chunk);
        }
        let (cx, tcache, arena) = self.lend(thread, ArenaId::MAIN);
        arena.release(cx, tcache, vouched.chunk)
    }

    /// `realloc(payload, request)` of what is not null (glibc: `realloc_check`).
    #[cold]
    pub(crate) fn realloc_checked(
        &mut self,
        thread: ThreadId,
        payload: Address,
        request: Request,
    ) -> Result<Address, Refusal> {
        self.meet(thread);
        let padded = padded::<M>(request)?;
        if request.0 == 0 {
            self.free_checked(thread, payload)?;
            return Ok(Address::NULL);
        }
        let Some(vouched) = self.cx.vouch(&self.arenas[0], payload) else {
            self.live_with(Corruption::ReallocPointer)?;
            return self.malloc_checked(thread, request);
        };
        let Some(size) = self.cx.size_for(padded) else {
            return Err(match self.cx.release.check_hooks {
                CheckHooks::Mending => {
                    self.cx.turn_over(vouched.magic);
                    Refusal::Unsaid
                }
                _ => Refusal::OutOfMemory,
            });
        };
        self.cx.tell(Event::Asked { request, size });
        let head = vouched.chunk.head(&self.cx.memory);
        let found = if head.is_mapped() {
            self.realloc_mapped_checked(thread, vouched.chunk, head, padded, size)?
        } else if self.top_can_be_used()? {
            let (cx, tcache, arena) = self.lend(thread, ArenaId::MAIN);
            arena.reallocate(cx, tcache, vouched.chunk, head, size)?
        } else {
            None
        };
        if found.is_none() {
            self.cx.turn_over(vouched.magic);
        }
        self.hand_out_checked(found, request)
    }

    fn realloc_mapped_checked(
        &mut self,
        thread: ThreadId,
        chunk: Chunk,
        head: Head,
        padded: Request,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        if let Some(now) = mapping::resize(&mut self.cx, chunk, size)? {
            return Ok(Some(Found { chunk: now, source: Source::Remapped }));
        }
        if head.size() - ChunkSize(M::Layout::WORD) >= size {
            return Ok(Some(Found { chunk, source: Source::Stayed }));
        }
        let Some(found) = self.allocate_checked(thread, padded)? else { return Ok(None) };
        let (from, to) = (chunk.payload(&self.cx.memory), found.chunk.payload(&self.cx.memory));
        self.cx.memory.copy(from, to, head.size().bytes() - M::Layout::HEADER);
        mapping::unmap(&mut self.cx, chunk)?;
        Ok(Some(found))
    }

    /// `memalign(alignment, request)`, of a greater alignment than every chunk has (glibc:
    /// `memalign_check`).
    #[cold]
    pub(crate) fn memalign_checked(
        &mut self,
        thread: ThreadId,
        alignment: u64,
        request: Request,
    ) -> Result<Address, Refusal> {
        if request.0 > M::Layout::cut(u64::MAX) - alignment - M::Layout::SMALLEST_CHUNK.0 {
            return Err(Refusal::OutOfMemory);
        }
        self.meet(thread);
        let padded = padded::<M>(request)?;
        self.tell_asked(request, padded);
        let size = self.cx.size_for(padded);
        let found = match self.top_can_be_used()? {
            true => self.align_in(thread, Some(ArenaId::MAIN), alignment.next_power_of_two(), size)?,
            false => None,
        };
        self.hand_out_checked(found, request)
    }

    /// Serves a padded request from the main arena, if its top chunk can be used.
    fn allocate_checked(&mut self, thread: ThreadId, padded: Request) -> Result<Option<Found>, Corruption> {
        if self.top_can_be_used()? { self.allocate_in(thread, Some(ArenaId::MAIN), padded) } else { Ok(None) }
    }

    /// Looks at the main arena's top chunk (glibc: `top_check`). Returns whether there is one that can be
    /// used: where the process lives on with a broken one, a new one is begun.
    fn top_can_be_used(&mut self) -> Result<bool, Corruption> {
        if self.cx.top_is_sound(&self.arenas[0]) {
            return Ok(true);
        }
        let top = self.arenas[0].top().0;
        let broken = self.cx.blame(top, Corruption::BrokenTop);
        self.live_with(broken)?;
        Ok(self.cx.begin_new_top(&mut self.arenas[0]))
    }

    /// Goes on with a main arena in which something is corrupted, if the process may (glibc:
    /// `malloc_printerr`).
    fn live_with(&mut self, corruption: Corruption) -> Result<(), Corruption> {
        self.arenas[0].is_corrupted = true;
        if self.cx.parameters.corruption_is_the_end() {
            return Err(corruption);
        }
        self.cx.blamed = None;
        Ok(())
    }

    fn tell_asked(&mut self, request: Request, padded: Request) {
        if let Some(size) = self.cx.size_for(padded) {
            self.cx.tell(Event::Asked { request, size });
        }
    }

    /// Writes the way to what was found, if anything was, and hands it out.
    fn hand_out_checked(&mut self, found: Option<Found>, request: Request) -> Result<Address, Refusal> {
        let found = found.ok_or(Refusal::OutOfMemory)?;
        self.cx.write_way(found.chunk, request);
        Ok(self.served(found))
    }
}

/// The request with a byte more; refused if there is none.
fn padded<M: Memory>(request: Request) -> Result<Request, Refusal> {
    let is_greatest = request.0 == M::Layout::cut(u64::MAX);
    if is_greatest { Err(Refusal::OutOfMemory) } else { Ok(Request(request.0 + 1)) }
}

impl<M: Memory, O: Observer> Context<M, O> {
    /// The bytes that a program asked for when it was given this chunk (glibc:
    /// `malloc_check_get_size`).
    #[cold]
    pub(crate) fn requested(&self, chunk: Chunk) -> Result<u64, Corruption> {
        let magic = self.find_magic(chunk).ok_or(Corruption::ChunkOverrun)?;
        Ok(magic - chunk.payload(&self.memory))
    }

    /// Whether the top chunk can be, and ends where the arena does.
    fn top_is_sound(&self, main: &Arena) -> bool {
        let head = main.top().head(&self.memory);
        let ends_where_it_should = || !main.contiguous || main.top().at(head.size()).0 == self.heap_end(main);
        !main.has_memory()
            || !head.is_mapped()
                && head.size() >= M::Layout::SMALLEST_CHUNK
                && head.previous_in_use()
                && ends_where_it_should()
    }

    /// Leaves the old top chunk where it is, and begins another above the break. Returns whether there is
    /// memory for it.
    fn begin_new_top(&mut self, main: &mut Arena) -> bool {
        let Some(now) = self.move_break(0) else { return false };
        let chunk = first_chunk_from(self, now);
        let unused = chunk.0 - now;
        let least = unused + self.parameters.top_pad + M::Layout::SMALLEST_CHUNK.0;
        // A whole page more if it ends with one.
        let page_size = self.memory.page_size();
        let length = least + page_size - ((now + least).0 & (page_size - 1));
        let Some(start) = self.move_break(length.cast_signed()) else { return false };
        main.system_bytes = start - self.heap_start() + length;
        main.top = chunk;
        chunk.set_head(&mut self.memory, Head::new(ChunkSize(length - unused), PREVIOUS_IN_USE));
        true
    }

    /// The chunk whose payload this is, if it looks like one in use in which nobody wrote too far; its magic
    /// byte is turned over (glibc: `mem2chunk_check`).
    fn vouch(&mut self, main: &Arena, payload: Address) -> Option<Vouched> {
        if !payload.is_aligned(self.alignment()) {
            return None;
        }
        let chunk = Chunk::of(&self.memory, payload);
        let head = chunk.head(&self.memory);
        let is_plausible = if head.is_mapped() {
            self.may_be_mapped(chunk, head)
        } else {
            self.may_be_in(main, chunk, head)
        };
        let magic = is_plausible.then(|| self.find_magic(chunk))??;
        self.turn_over(magic);
        Some(Vouched { chunk, magic })
    }

    /// Whether a chunk may be one in use of the main arena.
    fn may_be_in(&self, main: &Arena, chunk: Chunk, head: Head) -> bool {
        let start = self.heap_start();
        let is_within = |chunk: Chunk| !main.contiguous || chunk.0 >= start;
        let below_is_sound = || {
            let foot = chunk.previous_size(&self.memory);
            let below = chunk.below(&self.memory);
            foot.0 & (self.alignment() - 1) == 0 && is_within(below) && below.above(&self.memory) == chunk
        };
        is_within(chunk)
            && (!main.contiguous || chunk.at(head.size()).0 < self.heap_end(main))
            && head.size() >= M::Layout::SMALLEST_CHUNK
            && head.size().0 & (self.alignment() - 1) == 0
            && chunk.is_in_use(&self.memory)
            && (head.previous_in_use() || below_is_sound())
    }

    /// Whether a chunk may be one with a mapping of its own.
    fn may_be_mapped(&self, chunk: Chunk, head: Head) -> bool {
        let in_page = |number: u64| number & (self.memory.page_size() - 1);
        let offset = in_page(chunk.payload(&self.memory).0);
        let before = chunk.previous_size(&self.memory).0;
        let is_at_a_power =
            offset == 0 || offset == self.alignment() || offset.is_power_of_two() && offset >= LEAST_OFFSET;
        is_at_a_power
            && !head.previous_in_use()
            && in_page(chunk.0.0.wrapping_sub(before)) == 0
            && in_page(before.wrapping_add(head.size().0)) == 0
    }

    /// Where the main arena's memory begins.
    fn heap_start(&self) -> Address {
        self.parameters.heap_start.unwrap_or_default()
    }

    /// Where the main arena's memory ends, if it is in one piece.
    fn heap_end(&self, main: &Arena) -> Address {
        self.heap_start() + main.system_bytes()
    }

    /// Writes the magic byte behind the program's bytes, and the way that leads to it (glibc:
    /// `mem2mem_check`).
    fn write_way(&mut self, chunk: Chunk, request: Request) {
        let magic = magic_of(chunk);
        let payload = chunk.payload(&self.memory);
        let mut at = self.usable(chunk.head(&self.memory)).wrapping_sub(1);
        let end = request.0.max(at.saturating_sub(LONGEST_WAY));
        while at > end {
            let mut step = (at - end).min(FARTHEST_STEP);
            // The magic byte itself must not be met on the way. It is never 1.
            if step == u64::from(magic) {
                step -= 1;
            }
            self.memory.fill(payload + at, 1, low_byte(step));
            at -= step;
        }
        self.memory.fill(payload + end, 1, magic);
    }

    /// Goes the way down from a chunk's end to its magic byte; `None` if it does not lead there.
    fn find_magic(&self, chunk: Chunk) -> Option<Address> {
        let magic = magic_of(chunk);
        let mut at = self.usable(chunk.head(&self.memory)).wrapping_add(M::Layout::HEADER).wrapping_sub(1);
        loop {
            let byte = self.byte(chunk.0 + at);
            if byte == magic {
                return Some(chunk.0 + at);
            }
            let step = u64::from(byte);
            if step == 0 || at < step + M::Layout::HEADER {
                return None;
            }
            at -= step;
        }
    }

    fn turn_over(&mut self, at: Address) {
        let byte = !self.byte(at);
        self.memory.fill(at, 1, byte);
    }

    fn byte(&self, at: Address) -> u8 {
        let word = Address(align_down(at.0, M::Layout::WORD));
        self.memory.load(word).to_le_bytes()[index(at - word)]
    }
}

/// The least offset in a page, of a power of two, at which a mapped chunk's payload may lie, besides the
/// alignment.
const LEAST_OFFSET: u64 = 0x10;

/// What stands behind the program's bytes in this chunk (glibc: `magicbyte`).
fn magic_of(chunk: Chunk) -> u8 {
    let at = chunk.0.0;
    match low_byte(at >> 3 ^ at >> 11) {
        1 => 2,
        byte => byte,
    }
}

fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}
