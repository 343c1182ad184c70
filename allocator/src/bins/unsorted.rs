//! The unsorted bin: what was freed, in a queue, until an allocation walks it.
//!
//! Sorting is the only place where chunks are put into small and large bins. Every chunk gets one
//! chance to be served on the way: if it is exactly what is wanted, or if it is the latest
//! remainder and nothing else waits, so that a run of small requests is cut from one place.

use crate::address::ChunkSize;
use crate::arena::Arena;
use crate::bins::tcache::{self, Tcache};
use crate::bins::{self, Bin, large};
use crate::chunk::{Chunk, Head, PREVIOUS_IN_USE};
use crate::corruption::{Corruption, UnsortedChecks};
use crate::heap::Context;
use crate::layout::Layout;
use crate::list::{self, List};
use crate::memory::{Memory, Words};
use crate::observe::{Event, Found, Observer, Source};

/// How many chunks are sorted before the request is served from what there is: glibc's `MAX_ITERS`.
const PATIENCE: u32 = 10_000;

impl Arena {
    /// Walks the unsorted bin from its oldest chunk, sorts what does not fit, and serves the
    /// request if something does.
    ///
    /// Where the size is cached, exact fits go to the tcache until that is full, and the last of
    /// them is taken back out at the end.
    pub(crate) fn take_while_sorting<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        let mut chunks = 0;
        let found = self.sort_until_found(cx, tcache, size, &mut chunks);
        if chunks > 0 {
            cx.tell(Event::LookedAt { bin: Bin::Unsorted, chunks });
        }
        found
    }

    /// As [`take_while_sorting`](Self::take_while_sorting); counts the chunks that it looks at.
    #[inline(always)]
    fn sort_until_found<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        size: ChunkSize,
        looked_at: &mut u32,
    ) -> Result<Option<Found>, Corruption> {
        let unsorted = self.unsorted();
        let mut stashed = false;
        let mut sorted = 0;
        while sorted < PATIENCE {
            let victim = unsorted.last(&cx.memory);
            if victim == unsorted.sentinel {
                break;
            }
            *looked_at += 1;
            let behind = victim.backward(&cx.memory);
            let whole = self.checked_size(cx, unsorted, victim, behind);
            let whole = whole.map_err(|broken| cx.blame(victim.payload(&cx.memory), broken))?;

            let alone = behind == unsorted.sentinel;
            if alone && victim == self.last_remainder && self.remainder_serves(cx, whole, size) {
                self.split_last_remainder(cx, victim, whole, size);
                return Ok(Some(Found { chunk: victim, source: Source::LastRemainder }));
            }

            let checks = cx.release.checks.unsorted;
            if checks == UnsortedChecks::SizeAndLink && behind.forward(&cx.memory) != victim {
                return Err(Corruption::UnsortedLinkBehind);
            }
            unsorted.drop_last(&mut cx.memory, behind);
            if whole == size {
                self.hand_out_whole(cx, victim, size);
                if !cx.release.exact_fits_are_cached {
                    return Ok(Some(Found { chunk: victim, source: Source::Unsorted }));
                }
                self.ensure_tcache(cx, tcache)?;
                if !tcache.has_room(cx, size) {
                    return Ok(Some(Found { chunk: victim, source: Source::Unsorted }));
                }
                tcache.put(cx, victim, size);
                cx.tell(Event::Stashed { chunk: victim, from: Bin::Unsorted });
                stashed = true;
                continue;
            }
            self.sort(cx, victim, whole)?;
            sorted += 1;
            let limit = cx.parameters.tcache_unsorted_limit;
            if stashed && limit > 0 && u64::from(sorted) > limit {
                break;
            }
        }
        if stashed {
            let chunk = tcache.take_latest(cx, tcache::number(cx.geometry(), size))?;
            return Ok(Some(Found { chunk, source: Source::Unsorted }));
        }
        cx.tell(Event::Missed { bin: Bin::Unsorted });
        Ok(None)
    }

    /// The size of the oldest unsorted chunk, if it and its neighbours agree about it.
    #[inline]
    fn checked_size<M: Memory, O: Observer>(
        &self,
        cx: &Context<M, O>,
        unsorted: List,
        victim: Chunk,
        behind: Chunk,
    ) -> Result<ChunkSize, Corruption> {
        let size = victim.size(&cx.memory);
        let checks = cx.release.checks.unsorted;
        if size.0 <= M::Layout::HEADER || size.0 > self.system_bytes {
            let looks_at_all = checks == UnsortedChecks::All;
            return Err(if looks_at_all { Corruption::UnsortedSize } else { Corruption::UnsortedMemory });
        }
        if checks != UnsortedChecks::All {
            return Ok(size);
        }
        let above = victim.at(size);
        let head = above.head(&cx.memory);
        if head.0 < M::Layout::HEADER || head.0 > self.system_bytes {
            return Err(Corruption::UnsortedNextSize);
        }
        if Head(above.previous_size(&cx.memory).0).size() != size {
            return Err(Corruption::UnsortedFoot);
        }
        if behind.forward(&cx.memory) != victim || victim.forward(&cx.memory) != unsorted.sentinel {
            return Err(Corruption::UnsortedLinks);
        }
        if head.previous_in_use() {
            return Err(Corruption::UnsortedInUse);
        }
        Ok(size)
    }

    /// Whether the latest remainder, of this whole size, should be cut again for a request.
    #[inline]
    fn remainder_serves<M: Memory, O: Observer>(
        &self,
        cx: &Context<M, O>,
        whole: ChunkSize,
        size: ChunkSize,
    ) -> bool {
        !cx.geometry().is_large(size) && whole > size + M::Layout::SMALLEST_CHUNK
    }

    /// Cuts a request from the latest remainder, which is the only unsorted chunk and remains so.
    fn split_last_remainder<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        victim: Chunk,
        whole: ChunkSize,
        size: ChunkSize,
    ) {
        let remainder = victim.at(size);
        let sentinel = self.unsorted().sentinel;
        list::insert(&mut cx.memory, sentinel, remainder, sentinel);
        self.last_remainder = remainder;
        self.finish_split(cx, victim, size, remainder, whole - size);
    }

    /// Puts a chunk into the bin of its size (it is on no list now).
    #[inline]
    fn sort<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
    ) -> Result<(), Corruption> {
        let number = bins::number(cx.geometry(), size);
        let list = self.list(&cx.memory, number);
        if cx.geometry().is_large(size) {
            let chunks = large::insert_sorted(&mut cx.memory, &cx.release.checks, list, chunk, size)?;
            if chunks > 0 {
                cx.tell(Event::LookedAt { bin: bins::list(number), chunks });
            }
        } else {
            let first = list.first(&cx.memory);
            list::insert(&mut cx.memory, list.sentinel, chunk, first);
        }
        self.map.mark(number);
        cx.tell(Event::Sorted { chunk, into: bins::list(number) });
        Ok(())
    }

    /// Puts a free chunk into the unsorted bin and writes its head and foot; `broken` is what to
    /// say if the bin is found damaged.
    #[inline]
    pub(crate) fn put_unsorted<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
        broken: Corruption,
    ) -> Result<(), Corruption> {
        let pushed = self.unsorted().push_front(&mut cx.memory, chunk, broken);
        pushed.map_err(|broken| cx.blame(chunk.payload(&cx.memory), broken))?;
        write_free(cx, chunk, size);
        cx.tell(Event::Released { chunk, size, into: Bin::Unsorted });
        Ok(())
    }

    /// Hands out a free chunk as long as it is: the one above learns of it.
    #[inline]
    pub(crate) fn hand_out_whole<M: Memory, O: Observer>(
        &self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
    ) {
        chunk.mark_in_use(&mut cx.memory, size);
        chunk.add_flag(&mut cx.memory, self.flag);
    }

    /// Cuts `size` off a free chunk that is on no list; the rest goes to the unsorted bin.
    pub(crate) fn split_off<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        whole: ChunkSize,
        size: ChunkSize,
        broken: Corruption,
    ) -> Result<Chunk, Corruption> {
        let remainder = chunk.at(size);
        let pushed = self.unsorted().push_front(&mut cx.memory, remainder, broken);
        pushed.map_err(|broken| cx.blame(chunk.payload(&cx.memory), broken))?;
        self.finish_split(cx, chunk, size, remainder, whole - size);
        Ok(remainder)
    }

    /// Writes the heads of both parts of a chunk that was cut, the rest being unsorted.
    #[inline]
    fn finish_split<M: Memory, O: Observer>(
        &self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
        remainder: Chunk,
        rest: ChunkSize,
    ) {
        chunk.set_head(&mut cx.memory, Head::new(size, PREVIOUS_IN_USE | self.flag));
        write_free(cx, remainder, rest);
        cx.tell(Event::Split { chunk, remainder });
        cx.tell(Event::Released { chunk: remainder, size: rest, into: Bin::Unsorted });
    }
}

/// Writes the head and foot of an unsorted chunk; it is on no skip list.
#[inline]
pub(crate) fn write_free<M: Words, O>(cx: &mut Context<M, O>, chunk: Chunk, size: ChunkSize) {
    let is_large = cx.geometry().is_large(size);
    let words = &mut cx.memory;
    if is_large {
        chunk.set_smaller(words, Chunk::NONE);
        chunk.set_larger(words, Chunk::NONE);
    }
    chunk.set_head(words, Head::new(size, PREVIOUS_IN_USE));
    chunk.set_foot(words, size);
}
