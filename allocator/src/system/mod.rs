//! Nothing fits: a mapping, the program break, or a segment? (glibc: `sysmalloc`)

pub(crate) mod calls;
pub(crate) mod mapping;
pub(crate) mod program_break;

use crate::address::ChunkSize;
use crate::arena::{Arena, segment};
use crate::bins::tcache::Tcache;
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::layout::Layout;
use crate::memory::Memory;
use crate::observe::{Found, Observer, Source};

impl Arena {
    /// Serves a request with memory from the kernel. `None` when the kernel refuses.
    #[cold]
    pub(crate) fn take_from_system<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        size: ChunkSize,
    ) -> Result<Option<Found>, Corruption> {
        let worth_mapping = cx.parameters.is_worth_mapping(size);
        if worth_mapping && let Some(found) = mapping::take(cx, size) {
            return Ok(Some(found));
        }
        if !self.extend_top(cx, tcache, size)?
            && !worth_mapping
            && let Some(found) = mapping::take_ordinary(cx, size)
        {
            return Ok(Some(found));
        }
        self.note_greatest();
        let whole = self.top.size(&cx.memory);
        if whole < size + M::Layout::SMALLEST_CHUNK {
            return Ok(None);
        }
        Ok(Some(self.cut_from_top(cx, whole, size, Source::GrownTop)))
    }

    /// Gets memory from the kernel, so that the top chunk serves so much. Returns whether there may be enough now.
    pub(crate) fn extend_top<M: Memory, O: Observer>(
        &mut self,
        cx: &mut Context<M, O>,
        tcache: &mut Tcache,
        size: ChunkSize,
    ) -> Result<bool, Corruption> {
        if self.is_main() {
            self.extend_break(cx, tcache, size)?;
            return Ok(true);
        }
        segment::extend(self, cx, tcache, size)
    }
}
