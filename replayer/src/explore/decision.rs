//! What the allocator decided during a call, in words: a clause for each thing it did, in order.
//!
//! Sizes of chunks and what is left of them are hexadecimal, as debuggers show them; memory from the
//! kernel is in KiB and MiB.

use crate::report::units::{bytes, count};
use malloscope_allocator::arena::ArenaId;
use malloscope_allocator::bins::Bin;
use malloscope_allocator::chunk::Chunk;
use malloscope_allocator::heap::Heap;
use malloscope_allocator::layout::{Geometry, Layout};
use malloscope_allocator::memory::{Access, Memory};
use malloscope_allocator::observe::{Event, KernelCall, Observer, Source};

/// The clauses of what a call did, after it was made. `tops` are the arenas' top chunks before it.
pub(super) fn clauses<M: Memory, O: Observer>(
    events: &[Event],
    heap: &Heap<M, O>,
    tops: &[Chunk],
) -> Vec<String> {
    let geometry = <M::Layout as Layout>::geometry(heap.release());
    let mut teller = Teller { geometry, tops: tops.to_vec(), clauses: Vec::new() };
    let mut rest = events;
    while let Some((event, after)) = rest.split_first() {
        let told = teller.tell(event, after, heap);
        rest = &after[told.min(after.len())..];
    }
    if teller.clauses.is_empty() {
        teller.clauses.push("nothing changes in the heap".to_owned());
    }
    teller.clauses
}

/// The thread had no cache before, and has one now.
pub(super) fn cache_made<M: Memory, O: Observer>(chunk: Chunk, heap: &Heap<M, O>) -> String {
    let size = chunk.size(heap.memory()).bytes();
    format!("the thread has no tcache yet: one is made, in chunk {:#x} of {size:#x}", chunk.0.0)
}

struct Teller {
    geometry: Geometry,
    /// The top chunks as they were when the next event happened.
    tops: Vec<Chunk>,
    clauses: Vec<String>,
}

impl Teller {
    fn say(&mut self, clause: String) {
        self.clauses.push(clause);
    }

    /// Tells of an event, and perhaps of some that follow: how many of those.
    fn tell<M: Memory, O: Observer>(&mut self, event: &Event, after: &[Event], heap: &Heap<M, O>) -> usize {
        match *event {
            Event::Asked { request, size } => {
                self.say(format!("{} bytes need a chunk of {:#x}", count(request.0), size.bytes()));
            }
            Event::Missed { bin } => self.say(self.missed(bin)),
            Event::Served { from, chunk, size } => {
                let place = self.source(from);
                let left = self.left_in_top(from, chunk, heap);
                self.say(format!("{place}: a chunk of {:#x} at {:#x}{left}", size.bytes(), chunk.0.0));
                if let Some(top) = self.tops.iter_mut().find(|top| **top == chunk) {
                    *top = Chunk(chunk.0 + size.bytes());
                }
            }
            Event::Split { remainder, .. } => return self.split(remainder, after),
            Event::Stashed { from, .. } => {
                let more = alike(
                    after,
                    |event| matches!(event, Event::Stashed { from: other, .. } if *other == from),
                );
                let chunks = chunks(more + 1);
                self.say(format!("{chunks} from {} moved into the tcache", self.bin(from)));
                return more;
            }
            Event::Sorted { chunk, into } => {
                let more = alike(after, |event| matches!(event, Event::Sorted { .. }));
                self.say(match more {
                    0 => format!("unsorted chunk {:#x} sorted into {}", chunk.0.0, self.bin(into)),
                    more => format!(
                        "{} sorted from the unsorted bin into the bins of their sizes",
                        chunks(more + 1)
                    ),
                });
                return more;
            }
            Event::Released { chunk, size, into: Bin::Mapped } => {
                self.say(format!("mapped chunk {:#x} of {} is unmapped", chunk.0.0, bytes(size.bytes())));
            }
            Event::Released { chunk, size, into } => {
                self.say(format!("chunk {:#x} of {:#x} goes to {}", chunk.0.0, size.bytes(), self.bin(into)));
            }
            Event::Merged { kept, gone } => return self.merged(kept, gone, after),
            Event::Consolidated { arena } => {
                self.say(format!("the fastbins of {} are emptied and their chunks merged", name(arena)));
            }
            Event::TopGrew { arena, by } => {
                self.say(format!("the top chunk of {} grows by {}", name(arena), bytes(by)));
                self.look_again(arena, heap);
            }
            Event::TopShrank { arena, by } => {
                self.say(format!("the top chunk of {} shrinks by {}", name(arena), bytes(by)));
                self.look_again(arena, heap);
            }
            Event::ThresholdMoved { to } => self.say(format!(
                "the mmap threshold moves to {} bytes, the trim threshold to twice that",
                count(to)
            )),
            Event::ArenaMade { arena } => self.say(format!("{} is made for the thread", name(arena))),
            Event::ArenaReused { arena } => self.say(format!("the thread is attached to {}", name(arena))),
            Event::ForeignBreak { by, from: Some(_) } => {
                self.say(format!("the program break is moved {} by somebody other than malloc", moved(by)));
            }
            Event::ForeignBreak { by, from: None } => {
                self.say(format!("somebody other than malloc cannot move the program break {}", moved(by)));
            }
            Event::Kernel(call) => self.say(kernel(call)),
            Event::LookedAt { .. } => {}
        }
        0
    }

    fn missed(&self, bin: Bin) -> String {
        match bin {
            Bin::Tcache(_) | Bin::Fast(_) | Bin::Small(_) => format!("{} is empty", self.bin(bin)),
            Bin::Unsorted => "the unsorted bin has nothing that fits".to_owned(),
            Bin::Large(_) => format!("{} has nothing large enough", self.bin(bin)),
            Bin::Top => "the top chunk is too small".to_owned(),
            Bin::Mapped => "no mapping".to_owned(),
        }
    }

    /// Where a chunk came from, as the beginning of a clause.
    fn source(&self, from: Source) -> String {
        match from {
            Source::Tcache(number) => format!("served from {}", self.bin(Bin::Tcache(number))),
            Source::Fast(number) => format!("served from {}", self.bin(Bin::Fast(number))),
            Source::Small(number) => format!("served from {}", self.bin(Bin::Small(number))),
            Source::Unsorted => "served from the unsorted bin, which had the size".to_owned(),
            Source::LastRemainder => "split from the last remainder".to_owned(),
            Source::Large(number) => format!("served whole from {}", self.bin(Bin::Large(number))),
            Source::Split(number) if number < FIRST_LARGE => {
                format!("cut from a larger chunk of {}", self.bin(Bin::Small(number)))
            }
            Source::Split(number) => format!("cut from a larger chunk of {}", self.bin(Bin::Large(number))),
            Source::Top => "cut from the top chunk".to_owned(),
            Source::GrownTop => "cut from the top chunk, now that it has grown".to_owned(),
            Source::Mapped => "served by a mapping of its own".to_owned(),
            Source::Stayed => "stays where it is".to_owned(),
            Source::Extended => "stays, and takes in free memory above it".to_owned(),
            Source::Remapped => "its mapping is given another length".to_owned(),
        }
    }

    /// What is left of the top chunk that was cut.
    fn left_in_top<M: Memory, O: Observer>(&self, from: Source, chunk: Chunk, heap: &Heap<M, O>) -> String {
        if !matches!(from, Source::Top | Source::GrownTop) {
            return String::new();
        }
        let payload = chunk.payload(heap.memory());
        let arena = heap.arena_of_payload(payload).and_then(|id| heap.arenas().get(id.0 as usize));
        arena.map_or(String::new(), |arena| format!(", {:#x} left", arena.top().size(heap.memory()).bytes()))
    }

    fn split(&mut self, remainder: Chunk, after: &[Event]) -> usize {
        match after.first() {
            Some(Event::Released { chunk, size, into }) if *chunk == remainder => {
                let into = self.bin(*into);
                self.say(format!("a larger chunk is split, {:#x} left, which goes to {into}", size.bytes()));
                1
            }
            _ => {
                self.say(format!("a larger chunk is split at {:#x}", remainder.0.0));
                0
            }
        }
    }

    fn merged(&mut self, kept: Chunk, gone: Chunk, after: &[Event]) -> usize {
        if let Some(top) = self.tops.iter_mut().find(|top| **top == gone) {
            *top = kept;
            self.say(format!("chunk {:#x} becomes part of the top chunk", kept.0.0));
            return 0;
        }
        let tops = &self.tops;
        let is_usual = |event: &Event| matches!(event, Event::Merged { gone, .. } if !tops.contains(gone));
        let more = alike(after, is_usual);
        self.say(match more {
            0 => format!("merged: free neighbours {:#x} and {:#x} become one", kept.0.0, gone.0.0),
            more => format!(
                "merged {} times with free neighbours, at last {}",
                more + 1,
                last_merged(after, more)
            ),
        });
        more
    }

    /// A bin, by its name, its number, and the sizes it holds.
    fn bin(&self, bin: Bin) -> String {
        let sizes = match bin.sizes(self.geometry) {
            Some((least, greatest)) if least == greatest => format!(" ({:#x})", least.bytes()),
            Some((least, greatest)) if greatest.bytes() > FARTHEST => {
                format!(" ({:#x} and more)", least.bytes())
            }
            Some((least, greatest)) => format!(" ({:#x} to {:#x})", least.bytes(), greatest.bytes()),
            None => String::new(),
        };
        match bin.name() {
            ("tcache", Some(number)) => format!("tcache bin {number}{sizes}"),
            ("fast", Some(number)) => format!("fastbin {number}{sizes}"),
            (name, Some(number)) => format!("{name} bin {number}{sizes}"),
            (name, None) => format!("the {name} {}", if bin == Bin::Top { "chunk" } else { "bin" }),
        }
    }

    /// The kernel was called: the top chunk is another.
    fn look_again<M: Memory, O: Observer>(&mut self, arena: ArenaId, heap: &Heap<M, O>) {
        let now = heap.arenas().get(arena.0 as usize).map(|arena| arena.top());
        if let (Some(top), Some(now)) = (self.tops.get_mut(arena.0 as usize), now) {
            *top = now;
        }
    }
}

/// The number of the first large bin among an arena's lists: glibc's `NSMALLBINS`.
const FIRST_LARGE: u8 = 64;
/// No chunk is larger: a bin that goes further has no end.
const FARTHEST: u64 = 1 << 47;

fn name(arena: ArenaId) -> String {
    if arena == ArenaId::MAIN { "the main arena".to_owned() } else { format!("arena {}", arena.0) }
}

fn chunks(number: usize) -> String {
    if number == 1 { "1 chunk".to_owned() } else { format!("{} chunks", count(number as u64)) }
}

fn alike(events: &[Event], is_like: impl Fn(&Event) -> bool) -> usize {
    events.iter().take_while(|event| is_like(event)).count()
}

fn last_merged(after: &[Event], more: usize) -> String {
    match after.get(more.wrapping_sub(1)) {
        Some(Event::Merged { kept, .. }) => format!("into {:#x}", kept.0.0),
        _ => String::new(),
    }
}

fn moved(by: i64) -> String {
    format!("{} by {}", if by < 0 { "down" } else { "up" }, bytes(by.unsigned_abs()))
}

/// A call to the kernel and its answer.
fn kernel(call: KernelCall) -> String {
    match call {
        KernelCall::MoveBreak { by: 0, from: Some(at) } => {
            format!("the program break is asked for: {:#x}", at.0)
        }
        KernelCall::MoveBreak { by, from: Some(_) } => format!("the program break moves {}", moved(by)),
        KernelCall::MoveBreak { by, from: None } => {
            format!("the kernel refuses to move the program break {}", moved(by))
        }
        KernelCall::Map { mapping, at: Some(at) } => {
            format!("{} are mapped at {:#x}", bytes(mapping.length), at.0)
        }
        KernelCall::Map { mapping, at: None } => {
            format!("the kernel refuses to map {}", bytes(mapping.length))
        }
        KernelCall::MapOver { at, length } => {
            format!("{} at {:#x} are mapped anew, empty", bytes(length), at.0)
        }
        KernelCall::Unmap { at, length } => format!("{} at {:#x} are unmapped", bytes(length), at.0),
        KernelCall::Remap { from, to, now: Some(now), .. } => {
            format!("a mapping of {} becomes one of {} at {:#x}", bytes(from), bytes(to), now.0)
        }
        KernelCall::Remap { from, to, now: None, .. } => {
            format!("the kernel refuses to make a mapping of {} one of {}", bytes(from), bytes(to))
        }
        KernelCall::Protect { at, length, access: Access::ReadWrite } => {
            format!("{} at {:#x} become accessible", bytes(length), at.0)
        }
        KernelCall::Protect { at, length, .. } => {
            format!("{} at {:#x} become inaccessible", bytes(length), at.0)
        }
        KernelCall::RecommendHuge { at, length } => {
            format!("huge pages are recommended for {} at {:#x}", bytes(length), at.0)
        }
        KernelCall::Discard { at, length } => {
            format!("{} at {:#x} are given back to the kernel", bytes(length), at.0)
        }
    }
}
