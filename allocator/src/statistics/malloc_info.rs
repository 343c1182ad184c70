//! `malloc_info`: every bin of every arena, as XML.
//!
//! ```text
//!   <malloc version="1">
//!   <heap nr="0">                  an arena, by its place in the ring
//!   <sizes>
//!     <size from="17" to="32" total="64" count="2"/>            a fastbin
//!     <size from="1041" to="1041" total="1041" count="1"/>      a sorted bin: heads, with their flags
//!     <unsorted from="177" to="177" total="177" count="1"/>
//!   </sizes>
//!   <total type="fast" count="2" size="64"/>
//!   <total type="rest" count="3" size="132770"/>                the other bins and the top chunk
//!   <system type="current" size="135168"/>
//!   <system type="max" size="135168"/>
//!   <aspace type="total" size="135168"/>                        of segments
//!   <aspace type="mprotect" size="135168"/>
//!   </heap>
//!   …                              the same of all arenas together, and of mappings
//!   </malloc>
//! ```
//!
//! glibc takes the whole head of a chunk in a sorted bin for its size, with the flag that says that
//! the chunk below is in use; so these sizes are odd, and the sums grow by one with every chunk.

use super::{Heap, fast_chunks, require_aligned};
use crate::arena::Arena;
use crate::bins::{LISTS, UNSORTED};
use crate::chunk::Chunk;
use crate::corruption::Corruption;
use crate::heap::Context;
use crate::memory::Memory;
use crate::observe::Observer;
use crate::release::MallocInfo;
use alloc::string::String;
use core::fmt::{self, Write};

/// The chunks of one bin: the least size and the greatest, the sum, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sizes {
    from: u64,
    to: u64,
    total: u64,
    count: u64,
}

/// Chunks and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    size: u64,
}

/// Bytes of the segments an arena is made of; the main arena has none, and counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Space {
    total: u64,
    accessible: u64,
}

/// What is told of an arena, and in the end of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    fast: Sum,
    rest: Sum,
    system: u64,
    greatest_system: u64,
    space: Space,
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// What `malloc_info(0, stream)` prints.
    ///
    /// # Errors
    ///
    /// When a fastbin leads nowhere, from glibc 2.32 on.
    pub fn malloc_info(&self) -> Result<String, Corruption> {
        let mut text = String::new();
        let form = &self.cx.release.malloc_info;
        let mut all = Totals::default();
        let _ = text.write_str("<malloc version=\"1\">\n");
        for (number, arena) in self.ring().enumerate() {
            let _ = write!(text, "<heap nr=\"{number}\">\n<sizes>\n");
            let totals = arena.tell(&self.cx, &mut text)?;
            let _ = text.write_str("</sizes>\n");
            let _ = write_chunks(&mut text, form, &totals);
            let _ = write_memory(&mut text, &totals);
            if form.tells_segments && !arena.is_main() {
                let _ = writeln!(
                    text,
                    "<aspace type=\"subheaps\" size=\"{}\"/>",
                    arena.segments(&self.cx).count()
                );
            }
            let _ = text.write_str("</heap>\n");
            all.add(totals);
        }
        let _ = write_chunks(&mut text, form, &all);
        let parameters = &self.cx.parameters;
        let (count, size) = (parameters.mapped_chunks, parameters.mapped_bytes);
        let _ = writeln!(text, "<total type=\"mmap\" count=\"{count}\" size=\"{size}\"/>");
        let _ = write_memory(&mut text, &all);
        let _ = text.write_str("</malloc>\n");
        Ok(text)
    }
}

fn write_chunks(out: &mut impl Write, form: &MallocInfo, totals: &Totals) -> fmt::Result {
    let Totals { fast, rest, .. } = totals;
    if form.tells_fast {
        writeln!(out, "<total type=\"fast\" count=\"{}\" size=\"{}\"/>", fast.count, fast.size)?;
    }
    writeln!(out, "<total type=\"rest\" count=\"{}\" size=\"{}\"/>", rest.count, rest.size)
}

fn write_memory(out: &mut impl Write, totals: &Totals) -> fmt::Result {
    let Totals { system, greatest_system, space, .. } = totals;
    writeln!(out, "<system type=\"current\" size=\"{system}\"/>")?;
    writeln!(out, "<system type=\"max\" size=\"{greatest_system}\"/>")?;
    writeln!(out, "<aspace type=\"total\" size=\"{}\"/>", space.total)?;
    writeln!(out, "<aspace type=\"mprotect\" size=\"{}\"/>", space.accessible)
}

impl Totals {
    fn add(&mut self, other: Totals) {
        self.fast.add(other.fast);
        self.rest.add(other.rest);
        for (sum, more) in [
            (&mut self.system, other.system),
            (&mut self.greatest_system, other.greatest_system),
            (&mut self.space.total, other.space.total),
            (&mut self.space.accessible, other.space.accessible),
        ] {
            *sum = sum.wrapping_add(more);
        }
    }
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.count += other.count;
        self.size = self.size.wrapping_add(other.size);
    }
}

impl Sizes {
    /// One more chunk.
    fn add(&mut self, size: u64) {
        self.from = if self.count == 0 { size } else { self.from.min(size) };
        self.to = self.to.max(size);
        self.total = self.total.wrapping_add(size);
        self.count += 1;
    }

    fn sum(self) -> Sum {
        Sum { count: self.count, size: self.total }
    }

    fn write(self, out: &mut impl Write, margin: &str, tag: &str) -> fmt::Result {
        let Sizes { from, to, total, count } = self;
        if count == 0 {
            return Ok(());
        }
        writeln!(out, "{margin}  <{tag} from=\"{from}\" to=\"{to}\" total=\"{total}\" count=\"{count}\"/>")
    }
}

impl Arena {
    /// Writes the line of every bin that holds something, and returns the sums.
    fn tell<M: Memory, O: Observer>(
        &self,
        cx: &Context<M, O>,
        out: &mut impl Write,
    ) -> Result<Totals, Corruption> {
        let form = &cx.release.malloc_info;
        let mut totals = Totals {
            system: self.system_bytes,
            greatest_system: self.greatest_system_bytes,
            space: self.space(cx),
            ..Totals::default()
        };
        if form.counts_top {
            totals.rest = Sum { count: 1, size: self.top.size(&cx.memory).bytes() };
        }
        let margin = if form.slips_in_tabs { "\t\t\t\t\t\t\t      " } else { "" };
        for &top in self.fast.tops() {
            let sizes = fast_sizes(cx, top)?;
            totals.fast.add(sizes.sum());
            let _ = sizes.write(out, margin, "size");
        }
        for number in UNSORTED + 1..LISTS {
            let sizes = self.list_sizes(cx, number);
            totals.rest.add(sizes.sum());
            let _ = sizes.write(out, margin, "size");
        }
        let unsorted = self.list_sizes(cx, UNSORTED);
        totals.rest.add(unsorted.sum());
        let _ = unsorted.write(out, "", "unsorted");
        Ok(totals)
    }

    fn list_sizes<M: Memory, O: Observer>(&self, cx: &Context<M, O>, number: usize) -> Sizes {
        let mut sizes = Sizes::default();
        for chunk in self.list(&cx.memory, number).backwards(&cx.memory) {
            sizes.add(chunk.head(&cx.memory).0);
        }
        sizes
    }

    fn space<M: Memory, O: Observer>(&self, cx: &Context<M, O>) -> Space {
        if self.is_main() {
            return Space { total: self.system_bytes, accessible: self.system_bytes };
        }
        let told = if cx.release.malloc_info.tells_segments { usize::MAX } else { 1 };
        let mut space = Space::default();
        for segment in self.segments(cx).take(told) {
            space.total = space.total.wrapping_add(segment.size(&cx.memory));
            space.accessible = space.accessible.wrapping_add(segment.accessible(&cx.memory));
        }
        space
    }
}

/// A fastbin's chunks, which all count as long as its top one.
fn fast_sizes<M: Memory, O: Observer>(cx: &Context<M, O>, top: Chunk) -> Result<Sizes, Corruption> {
    let mut sizes = Sizes::default();
    if top == Chunk::NONE {
        return Ok(sizes);
    }
    sizes.to = top.size(&cx.memory).bytes();
    sizes.from = sizes.to.wrapping_sub(cx.alignment() - 1);
    for chunk in fast_chunks(cx, top) {
        require_aligned(cx, chunk, Corruption::FastUnalignedInMallocInfo)?;
        sizes.count += 1;
    }
    sizes.total = sizes.count.wrapping_mul(sizes.to);
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use crate::address::Request;
    use crate::fresh::{heap, heap_with};
    use crate::release::{MallocInfo, Release, V2_23, V2_31, V2_36, V2_43};
    use crate::thread::ThreadId;
    use crate::tunables::{Tunable, Tunables};

    #[test]
    fn every_bin_that_holds_something_has_a_line() {
        let mut heap = heap(V2_36);
        let main = ThreadId::MAIN;
        let mut malloc = |request| heap.malloc(main, Request(request)).expect("room");
        let small: Vec<_> = (0..8).map(|_| malloc(24)).collect();
        let [one, _, other, _, last, _] = [1100, 100, 1100, 100, 2000, 100].map(&mut malloc);
        malloc(200_000);
        heap.free(main, one).expect("sound");
        heap.free(main, other).expect("sound");
        // Sorts the two.
        heap.malloc(main, Request(3000)).expect("room");
        heap.free(main, last).expect("sound");
        for payload in small {
            heap.free(main, payload).expect("sound");
        }
        let expected = "\
<malloc version=\"1\">
<heap nr=\"0\">
<sizes>
  <size from=\"17\" to=\"32\" total=\"32\" count=\"1\"/>
  <size from=\"1121\" to=\"1121\" total=\"2242\" count=\"2\"/>
  <unsorted from=\"2017\" to=\"2017\" total=\"2017\" count=\"1\"/>
</sizes>
<total type=\"fast\" count=\"1\" size=\"32\"/>
<total type=\"rest\" count=\"4\" size=\"130915\"/>
<system type=\"current\" size=\"135168\"/>
<system type=\"max\" size=\"135168\"/>
<aspace type=\"total\" size=\"135168\"/>
<aspace type=\"mprotect\" size=\"135168\"/>
</heap>
<total type=\"fast\" count=\"1\" size=\"32\"/>
<total type=\"rest\" count=\"4\" size=\"130915\"/>
<total type=\"mmap\" count=\"1\" size=\"200704\"/>
<system type=\"current\" size=\"135168\"/>
<system type=\"max\" size=\"135168\"/>
<aspace type=\"total\" size=\"135168\"/>
<aspace type=\"mprotect\" size=\"135168\"/>
</malloc>
";
        assert_eq!(heap.malloc_info().expect("sound"), expected);
    }

    #[test]
    fn a_release_that_tells_less_counts_less() {
        let form =
            MallocInfo { slips_in_tabs: true, counts_top: false, tells_segments: false, tells_fast: false };
        let mut tunables = Tunables::default();
        tunables.set(&V2_36, Tunable::MmapMax, 0).expect("within bounds");
        let mut heap = heap_with(Release { malloc_info: form, ..V2_36 }, &tunables);
        let thread = ThreadId(1);
        let first = heap.malloc(thread, Request(2000)).expect("room");
        heap.malloc(thread, Request(40 << 20)).expect("room");
        // Does not fit where the others are, and begins a second segment.
        heap.malloc(thread, Request(30 << 20)).expect("room");
        heap.free(thread, first).expect("sound");
        heap.malloc(thread, Request(3000)).expect("room");
        let text = heap.malloc_info().expect("sound");
        let (_, second) = text.split_once("<heap nr=\"1\">\n").expect("two arenas");
        let (second, _) = second.split_once("</heap>").expect("it ends");
        // The first segment's 41951232 bytes are only in the sum of all.
        let expected = "\
<sizes>
\t\t\t\t\t\t\t        <size from=\"2017\" to=\"2017\" total=\"2017\" count=\"1\"/>
  <unsorted from=\"209\" to=\"209\" total=\"209\" count=\"1\"/>
</sizes>
<total type=\"rest\" count=\"2\" size=\"2226\"/>
<system type=\"current\" size=\"73543680\"/>
<system type=\"max\" size=\"73543680\"/>
<aspace type=\"total\" size=\"31592448\"/>
<aspace type=\"mprotect\" size=\"31592448\"/>
";
        assert_eq!(second, expected);
    }

    #[test]
    fn the_lines_of_every_form_there_was() {
        let lines = |release| {
            let mut heap = heap(release);
            let main = ThreadId::MAIN;
            let [one, _] = [2000, 24].map(|request| heap.malloc(main, Request(request)).expect("room"));
            heap.free(main, one).expect("sound");
            heap.malloc(main, Request(3000)).expect("room");
            heap.malloc_info().expect("sound").lines().skip(3).take(4).collect::<Vec<_>>().join("\n")
        };
        let [slip, top, no_fast] = [V2_23, V2_31, V2_43].map(lines);
        let size = "  <size from=\"2017\" to=\"2017\" total=\"2017\" count=\"1\"/>\n</sizes>\n";
        let fast = "<total type=\"fast\" count=\"0\" size=\"0\"/>\n";
        let rest = "<total type=\"rest\" count=\"1\" size=\"2017\"/>";
        assert_eq!(slip, format!("\t\t\t\t\t\t\t      {size}{fast}{rest}"));
        let rest = "<total type=\"rest\" count=\"2\" size=\"131473\"/>";
        assert_eq!(top, format!("{size}{fast}{rest}"));
        let rest =
            "<total type=\"rest\" count=\"2\" size=\"132129\"/>\n<system type=\"current\" size=\"135168\"/>";
        assert_eq!(no_fast, format!("{size}{rest}"));
    }
}
