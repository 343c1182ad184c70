//! The heap of a process as it stood at one moment: every chunk, every bin, and the limits in force.
//!
//! In a trace it is a part of its own behind the header and the probe, of a process that was not recorded from
//! its first call on. A reader that does not know the part steps over it.
//!
//! It says where chunks lay and in which order the free ones waited; how they were linked with each other
//! follows from that. Addresses are those of the process. What is here was read from a stranger's memory,
//! and from a file: whoever builds a heap from it checks that it makes sense.

use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};

use crate::batch::{Packer, Unpacker};
use crate::damage::Fault;
use crate::encoding;
use crate::error::Error;
use crate::frame::{self, Frame, Kind};
use crate::source::Source;

/// The form of what is in the part: others are not read.
const FORM: u32 = 1;

/// A heap at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The program break.
    pub program_break: u64,
    /// The limits in force.
    pub limits: Limits,
    /// The arenas: the main one, then the others in the order of their ring.
    pub arenas: Vec<Arena>,
    /// The number, in that list, of the arena that is given out next when there can be no more: `next_to_use`.
    pub turn: u32,
    /// The threads, the process's first in front.
    pub threads: Vec<Thread>,
    /// Whether the process has, or ever had, a second thread, as far as can be seen.
    pub threaded: bool,
    /// The chunks with mappings of their own that were found.
    pub mappings: Vec<Mapping>,
    /// The parts of all that which hold memory, from each start to its end; `None` where nobody knows.
    pub resident: Option<Vec<(u64, u64)>>,
    /// How long the process was stopped, in nanoseconds; 0 of one that does not run.
    pub stopped: u64,
}

/// The limits in force: glibc's `mp_`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the first six are glibc's own parameters")]
pub struct Limits {
    pub trim_threshold: u64,
    pub top_pad: u64,
    pub mmap_threshold: u64,
    pub arena_test: u64,
    pub arena_max: u64,
    pub mmap_max: i32,
    /// Whether freeing a mapped chunk moves the thresholds: the opposite of `no_dyn_threshold`.
    pub are_dynamic: bool,
    /// Chunks that have a mapping of their own, and the most there ever were.
    pub mapped_chunks: i32,
    /// See there.
    pub greatest_mapped_chunks: i32,
    /// The bytes of those mappings, and the most there ever were.
    pub mapped_bytes: u64,
    /// See there.
    pub greatest_mapped_bytes: u64,
    /// Where the main arena's memory begins; 0 before there is any.
    pub heap_start: u64,
}

/// An arena.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arena {
    /// Where its `malloc_state` lies.
    pub state: u64,
    /// Whether its memory is taken for one piece that ends at the break.
    pub contiguous: bool,
    /// Whether fastbins may hold something, by its own account.
    pub may_hold_fast: bool,
    /// The chunk that borders unclaimed memory; 0 before there is any memory.
    pub top: u64,
    /// What was left of the latest chunk that was split for a small request; 0 if there is none.
    pub last_remainder: u64,
    /// A bit for every list that may hold something: `binmap`.
    pub marked: [u64; 2],
    /// The number of the arena that follows on the list of those without threads.
    pub next_free: Option<u32>,
    /// Threads that allocate here, by its own account.
    pub attached_threads: u64,
    /// Bytes from the kernel.
    pub system_bytes: u64,
    /// The most there ever were.
    pub greatest_system_bytes: u64,
    /// The fastbins that hold something, each from its top.
    pub fast: Vec<Stack>,
    /// The lists that hold something, each from its front.
    pub lists: Vec<Stack>,
    /// Its memory: of the main arena the lowest first, of others the latest segment first.
    pub regions: Vec<Region>,
}

/// Free chunks that wait in one bin, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// The number of the bin among those of its kind.
    pub number: u8,
    /// The chunks: addresses of their boundary tags.
    pub chunks: Vec<u64>,
}

/// Memory in which one chunk follows the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Where it begins: of a segment, at its head.
    pub start: u64,
    /// The lowest chunk.
    pub first: u64,
    /// Where it ends.
    pub end: u64,
    /// Bytes that have ever been made accessible, of a segment.
    pub accessible: u64,
    /// The heads of all chunks from the lowest on, the top chunk and fenceposts among them.
    pub heads: Vec<u64>,
}

/// A thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The kernel's name for it.
    pub id: u32,
    /// The number of its arena, if it has one.
    pub arena: Option<u32>,
    /// Its cache, if it has one.
    pub cache: Option<Cache>,
}

/// A thread's cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// The chunk that it is kept in.
    pub chunk: u64,
    /// What it holds, each stack from its top.
    pub stacks: Vec<Stack>,
}

/// A chunk with a mapping of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Where the mapping begins.
    pub start: u64,
    /// Its length.
    pub length: u64,
    /// The chunk.
    pub chunk: u64,
    /// Its head.
    pub head: u64,
}

impl Region {
    /// The chunks, each with its head.
    pub fn chunks(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut at = self.first;
        self.heads.iter().map(move |&head| {
            let chunk = at;
            at = at.wrapping_add(head & !FLAGS);
            (chunk, head)
        })
    }
}

/// The bits of a head that are no part of the size.
const FLAGS: u64 = 7;

impl Snapshot {
    /// Appends the body of the part. Returns how long it is when unpacked.
    pub(crate) fn pack(&self, packer: &mut Packer, into: &mut Vec<u8>) -> Result<u32, Error> {
        let mut plain = Vec::new();
        encoding::encode(&FORM, &mut plain);
        encoding::encode(self, &mut plain);
        let (length, limit) = (plain.len(), frame::LONGEST);
        let too_long = || Error::TooLong { part: Kind::Snapshot.name(), length, limit };
        let unpacked = u32::try_from(length).ok().filter(|_| length <= limit).ok_or_else(too_long)?;
        let mut packed = Vec::new();
        packer.squeeze(&plain, &mut packed).map_err(Error::Writing)?;
        into.extend_from_slice(&packed);
        Ok(unpacked)
    }
}

/// Reads such a body.
fn unpack(frame: Frame, body: &[u8]) -> Result<Snapshot, Fault> {
    let mut unpacker = Unpacker::new().map_err(|_| Fault::Encoding)?;
    let mut plain = Vec::new();
    if !unpacker.unsqueeze(body, frame.unpacked, &mut plain) {
        return Err(Fault::Encoding);
    }
    let (form, snapshot): (u32, Snapshot) = encoding::decode(&plain)?;
    if form == FORM { Ok(snapshot) } else { Err(Fault::Encoding) }
}

impl<R: Read + Seek> Source<R> {
    /// The heap as it stood before the first record, if the trace has that; `Err` inside if it is there and cannot
    /// be read.
    pub fn snapshot(&mut self) -> Result<Option<Result<Snapshot, Fault>>, Error> {
        let Some((at, frame)) = self.before_records(Kind::Snapshot)? else { return Ok(None) };
        let mut body = Vec::new();
        Ok(Some(self.body(at, frame, &mut body)?.and_then(|()| unpack(frame, &body))))
    }
}
