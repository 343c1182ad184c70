//! Small bins: one size each, first in first out.

use crate::address::{ChunkSize, index};
use crate::arena::Arena;
use crate::bins::tcache::{self, Tcache};
use crate::bins::unsorted::write_free;
use crate::bins::{Bin, narrow};
use crate::chunk::Chunk;
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::layout::Geometry;
use crate::memory::Memory;
use crate::observe::{Event, Found, Observer, Source};

/// The number of the list that holds chunks of exactly this size.
#[inline]
pub(crate) fn number(geometry: Geometry, size: ChunkSize) -> usize {
    index(size.0 / geometry.alignment + geometry.small_shift())
}

/// The size of the chunks in the list of this number.
pub(crate) fn size(geometry: Geometry, number: usize) -> ChunkSize {
    ChunkSize((number as u64).saturating_sub(geometry.small_shift()) * geometry.alignment)
}

impl Arena {
    /// Serves a small request from the bin of its size, oldest first, and while it is there fills
    /// the tcache from the same bin.
    #[inline]
    pub(crate) fn take_small<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        let number = narrow(number(cx.geometry(), size));
        let list = self.list(&cx.memory, number.into());
        let victim = list.last(&cx.memory);
        if victim == list.sentinel {
            cx.tell(Event::Missed { bin: Bin::Small(number) });
            return Ok(None);
        }
        let next_to_last = victim.backward(&cx.memory);
        if next_to_last.forward(&cx.memory) != victim {
            return Err(cx.blame(victim.payload(&cx.memory), Corruption::SmallLinks));
        }
        list.drop_last(&mut cx.memory, next_to_last);
        self.hand_out_whole(cx, victim, size);
        let stashed = self.stash_small(cx, tcache, size)?;
        cx.tell(Event::LookedAt { bin: Bin::Small(number), chunks: 1 + stashed });
        Ok(Some(Found { chunk: victim, source: Source::Small(number) }))
    }

    /// Moves chunks from the bin of this size to the tcache until one is empty or the other full. Returns how many.
    fn stash_small<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        size: ChunkSize,
    ) -> Result<u32, Corruption> {
        if tcache::has_stack(cx, size) {
            self.ensure_tcache(cx, tcache)?;
        }
        let number = narrow(number(cx.geometry(), size));
        let list = self.list(&cx.memory, number.into());
        let mut stashed = 0;
        while tcache.has_room(cx, size) {
            let chunk = list.last(&cx.memory);
            if chunk == list.sentinel {
                break;
            }
            let next_to_last = chunk.backward(&cx.memory);
            list.drop_last(&mut cx.memory, next_to_last);
            self.hand_out_whole(cx, chunk, size);
            tcache.put(cx, chunk, size);
            cx.tell(Event::Stashed { chunk, from: Bin::Small(number) });
            stashed += 1;
        }
        Ok(stashed)
    }

    /// Puts a free chunk into the small bin of its size, and writes its head and foot (glibc: the small
    /// half of `_int_free_create_chunk`).
    pub(crate) fn put_small<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        chunk: Chunk,
        size: ChunkSize,
    ) -> Result<(), Corruption> {
        let number = number(cx.geometry(), size);
        self.list(&cx.memory, number).push_front(&mut cx.memory, chunk, Corruption::SmallInFree)?;
        self.map.mark(number);
        write_free(cx, chunk, size);
        cx.tell(Event::Released { chunk, size, into: Bin::Small(narrow(number)) });
        Ok(())
    }
}
