//! The top chunk borders unclaimed memory: it serves what no bin can, and can be made larger.

use crate::address::ChunkSize;
use crate::arena::Arena;
use crate::chunk::{Head, PREVIOUS_IN_USE};
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::layout::Layout;
use crate::memory::Memory;
use crate::observe::{Event, Found, Observer, Source};

impl Arena {
    /// Serves a request from the top chunk, if a smallest chunk remains after it: there must
    /// always be room for fenceposts.
    pub(crate) fn take_from_top<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        let whole = self.top.size(&cx.memory);
        if cx.release.checks.top_size && whole.0 > self.system_bytes {
            return Err(Corruption::TopSize);
        }
        if whole < size + M::Layout::SMALLEST_CHUNK {
            cx.tell(Event::Missed { bin: crate::bins::Bin::Top });
            return Ok(None);
        }
        Ok(Some(self.cut_from_top(cx, whole, size, Source::Top)))
    }

    /// Cuts a chunk from the lower end of the top chunk, which is `whole` long and long enough.
    pub(crate) fn cut_from_top<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        whole: ChunkSize,
        size: ChunkSize,
        source: Source,
    ) -> Found {
        let chunk = self.top;
        self.top = chunk.at(size);
        chunk.set_head(&mut cx.memory, Head::new(size, PREVIOUS_IN_USE | self.flag));
        self.top.set_head(&mut cx.memory, Head::new(whole - size, PREVIOUS_IN_USE));
        Found { chunk, source }
    }
}
