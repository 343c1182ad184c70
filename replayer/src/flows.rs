//! Which requests were served where, by their sizes, and where freed chunks went, by theirs.
//!
//! Sizes are put into classes, each twice as wide as the one before: 0 to 16 bytes, 17 to 32, 33 to 64, and so
//! on. Of requests that is the size asked for; of freed chunks it is the chunk's. Every request that was served
//! is in one cell of one table, every allocation that ended in one of the other: the sums are those of the
//! report's other tables.

use malloscope_allocator::address::ChunkSize;
use malloscope_allocator::bins::Bin;
use malloscope_allocator::chunk::{Chunk, Head};
use malloscope_allocator::observe::counters::SourceKind;
use malloscope_allocator::observe::{Event, Source};
use serde::{Deserialize, Serialize};

/// Classes of sizes: the first ends at 16 bytes, the one before the last at 2³⁹; the last holds what is larger.
const CLASSES: usize = 37;
/// The first class holds what takes no more than so many bits, less one.
const FIRST_BITS: u32 = 4;
const PLACES: usize = SourceKind::ALL.len();

/// The kinds of places that serve requests, by the names they have in reports.
pub const SOURCES: [&str; PLACES] = {
    let mut names = [""; PLACES];
    let mut number = 0;
    while number < PLACES {
        names[number] = SourceKind::ALL[number].name();
        number += 1;
    }
    names
};

/// Where a freed chunk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The thread's own cache.
    Tcache,
    /// A fastbin.
    Fast,
    /// The small bin of its size, merged with its free neighbours: glibc 2.42 and later.
    Small,
    /// The unsorted bin, merged with its free neighbours.
    Unsorted,
    /// The top chunk, which it bordered.
    Top,
    /// The top chunk, which then gave memory back to the kernel.
    Trimmed,
    /// Back to the kernel: it had a mapping of its own.
    Unmapped,
}

impl Destination {
    /// All, the nearest first.
    pub const ALL: [Destination; 7] = [
        Destination::Tcache,
        Destination::Fast,
        Destination::Small,
        Destination::Unsorted,
        Destination::Top,
        Destination::Trimmed,
        Destination::Unmapped,
    ];

    /// What it is called in reports.
    pub fn name(self) -> &'static str {
        match self {
            Destination::Tcache => "tcache",
            Destination::Fast => "fastbin",
            Destination::Small => "small bin",
            Destination::Unsorted => "unsorted bin",
            Destination::Top => "top",
            Destination::Trimmed => "top, then trimmed",
            Destination::Unmapped => "unmapped",
        }
    }
}

/// How many, and how many chunk bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    times: u64,
    bytes: u64,
}

impl Amount {
    #[inline]
    fn add(&mut self, bytes: u64) {
        self.times += 1;
        self.bytes = self.bytes.wrapping_add(bytes);
    }
}

/// The class of a size in bytes.
#[inline]
fn class(bytes: u64) -> usize {
    let bits = u64::BITS - bytes.saturating_sub(1).leading_zeros();
    (bits.saturating_sub(FIRST_BITS) as usize).min(CLASSES - 1)
}

/// The least and the greatest size of a class; the last has no end.
fn sizes(class: usize) -> (u64, Option<u64>) {
    let end = |class: usize| (1_u64 << FIRST_BITS) << class;
    let least = if class == 0 { 0 } else { end(class - 1) + 1 };
    (least, (class < CLASSES - 1).then(|| end(class)))
}

/// Counts flows, in a fixed number of bytes.
#[derive(Clone, Debug)]
pub struct Flows {
    served: [[Amount; PLACES]; CLASSES],
    freed: [[Amount; Destination::ALL.len()]; CLASSES],
    /// What the program asks for now.
    asked: Option<u64>,
    /// The chunk that the program gives back now.
    freeing: Option<Chunk>,
    /// Where that has come to rest.
    into: Option<Bin>,
    trimmed: bool,
    /// The latest request was served by the chunk that the program had: it was not given back.
    kept: bool,
}

impl Default for Flows {
    fn default() -> Flows {
        Flows {
            served: [[Amount::default(); PLACES]; CLASSES],
            freed: [[Amount::default(); Destination::ALL.len()]; CLASSES],
            asked: None,
            freeing: None,
            into: None,
            trimmed: false,
            kept: false,
        }
    }
}

impl Flows {
    /// Takes note of an event.
    #[inline]
    pub fn event(&mut self, event: &Event) {
        match *event {
            Event::Asked { request, .. } => self.asked = Some(request.0),
            Event::Served { from, size, .. } => self.note_served(from, size.bytes()),
            // Others may come to rest in the same call: what was left over, or waited on a fastbin.
            Event::Released { chunk, size, into }
                if self.into.is_none() && self.frees_within(chunk, size) =>
            {
                self.into = Some(into);
            }
            Event::TopShrank { .. } => self.trimmed = true,
            _ => {}
        }
    }

    /// Whether the chunk that the program gives back is this one, or has become part of it.
    #[inline]
    fn frees_within(&self, chunk: Chunk, size: ChunkSize) -> bool {
        self.freeing.is_some_and(|freed| freed >= chunk && freed.0.0 - chunk.0.0 < size.bytes())
    }

    #[inline]
    fn note_served(&mut self, from: Source, bytes: u64) {
        // A release that rounds a huge request to a small one asks for nothing: then it is the chunk that counts.
        let asked = self.asked.take().unwrap_or(bytes);
        self.served[class(asked)][SourceKind::of(from) as usize].add(bytes);
        self.kept = matches!(from, Source::Stayed | Source::Extended | Source::Remapped);
    }

    /// A call is about to be made that may give this chunk back.
    #[inline]
    pub fn before(&mut self, chunk: Chunk) {
        self.freeing = Some(chunk);
        self.into = None;
        self.trimmed = false;
        self.kept = false;
    }

    /// The call has been made, and was not refused; this had been the chunk's head. Where it went, if it was given back.
    #[inline]
    pub fn after(&mut self, head: Head) -> Option<Destination> {
        self.freeing = None;
        if self.kept {
            return None;
        }
        let destination = match self.into {
            Some(Bin::Tcache(_)) => Destination::Tcache,
            Some(Bin::Fast(_)) => Destination::Fast,
            Some(Bin::Small(_)) => Destination::Small,
            Some(Bin::Unsorted | Bin::Large(_)) => Destination::Unsorted,
            Some(Bin::Mapped) => Destination::Unmapped,
            // A `realloc` that moves a mapped chunk tells of no release.
            None if head.is_mapped() => Destination::Unmapped,
            // What borders the top chunk becomes part of it, and rests in no bin.
            Some(Bin::Top) | None if self.trimmed => Destination::Trimmed,
            Some(Bin::Top) | None => Destination::Top,
        };
        let bytes = head.size().bytes();
        self.freed[class(bytes)][destination as usize].add(bytes);
        Some(destination)
    }

    /// Requests by size and by the place that served them: those there were.
    pub fn requests(&self) -> Vec<RequestFlow> {
        let cell = |class: usize, kind: SourceKind| {
            let Amount { times, bytes } = self.served[class][kind as usize];
            let (least_request, greatest_request) = sizes(class);
            let from = kind.name().to_owned();
            RequestFlow { from, least_request, greatest_request, requests: times, bytes }
        };
        let all = (0..CLASSES).flat_map(|class| SourceKind::ALL.map(|kind| cell(class, kind)));
        all.filter(|flow| flow.requests > 0).collect()
    }

    /// Freed chunks by size and by the place where they went: those there were.
    pub fn frees(&self) -> Vec<FreeFlow> {
        let cell = |class: usize, destination: Destination| {
            let Amount { times, bytes } = self.freed[class][destination as usize];
            let (least_chunk, greatest_chunk) = sizes(class);
            let into = destination.name().to_owned();
            FreeFlow { into, least_chunk, greatest_chunk, frees: times, bytes }
        };
        let all = (0..CLASSES).flat_map(|class| Destination::ALL.map(|to| cell(class, to)));
        all.filter(|flow| flow.frees > 0).collect()
    }
}

/// Requests of some sizes that one kind of place served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFlow {
    /// The kind of place, by its name in [`ServedRow`](crate::outcome::ServedRow).
    pub from: String,
    /// The least size of the class, in bytes.
    pub least_request: u64,
    /// The greatest, if it has one.
    pub greatest_request: Option<u64>,
    /// Requests.
    pub requests: u64,
    /// The bytes of their chunks.
    pub bytes: u64,
}

/// Chunks of some sizes that the program gave back, and where they went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreeFlow {
    /// Where, by [`Destination::name`].
    pub into: String,
    /// The least size of the class, in bytes.
    pub least_chunk: u64,
    /// The greatest, if it has one.
    pub greatest_chunk: Option<u64>,
    /// Chunks: allocations that ended.
    pub frees: u64,
    /// Their bytes.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_in_the_class_that_says_so() {
        let edges = (0..64).flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1]);
        for bytes in edges.chain([u64::MAX]) {
            let (least, greatest) = sizes(class(bytes));
            assert!(least <= bytes && greatest.is_none_or(|greatest| bytes <= greatest), "{bytes}");
        }
        assert_eq!((sizes(0), sizes(1)), ((0, Some(16)), (17, Some(32))));
        for class in 1..CLASSES {
            assert_eq!(sizes(class - 1).1.map(|greatest| greatest + 1), Some(sizes(class).0));
        }
    }
}
