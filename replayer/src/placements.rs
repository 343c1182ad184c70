//! One line for every call: where its chunk landed. And one for every call to the kernel.
//!
//! The lines are those of the C driver that is run against real glibc to judge a replay:
//!
//! ```text
//! INDEX CALL LOCATION HEAD BREAK [Eerrno]
//!   LOCATION  m+OFF        main heap: payload − initial program break
//!             aN.hK+OFF    secondary arena N, segment K, both numbered in order of first sight
//!             M+PREV/PAGE  a mapping of its own: how far in the chunk begins, and payload & 4095
//!             F+OFF        main arena, but in a mapping in place of the break
//!             0, -         no memory; a call that returns no pointer (HEAD is then its result)
//! ```

use crate::engine::Answer;
use malloscope_allocator::address::Address;
use malloscope_allocator::chunk::Chunk;
use malloscope_allocator::corruption::Refusal;
use malloscope_allocator::memory::{Access, Memory, Words};
use malloscope_allocator::observe::KernelCall;
use malloscope_traces::Call;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Writes the lines of a run's placements.
#[derive(Debug)]
pub struct Placements {
    initial_break: Address,
    /// How long a segment is at most, and what all are aligned to.
    longest_segment: u64,
    arenas: Vec<u64>,
    segments: Vec<u64>,
    first_outside: Option<Address>,
}

impl Placements {
    /// Nothing has been placed yet.
    pub fn new(initial_break: Address, longest_segment: u64) -> Placements {
        Placements {
            initial_break,
            longest_segment,
            arenas: Vec::new(),
            segments: Vec::new(),
            first_outside: None,
        }
    }

    /// Writes the line of one call, if the record is a call.
    pub fn write<M: Memory>(
        &mut self,
        out: &mut impl Write,
        memory: &M,
        program_break: Address,
        index: u64,
        call: &Call,
        answer: Answer,
    ) -> io::Result<()> {
        let Some(name) = name(call) else { return Ok(()) };
        let moved = program_break - self.initial_break;
        match answer {
            Answer::Payload(payload) if !payload.is_null() => {
                let head = Chunk::of(memory, payload).head(memory).0;
                let location = self.locate(memory, program_break, payload);
                writeln!(out, "{index} {name} {location} {head:x} {moved:x}")
            }
            // The call freed its allocation.
            Answer::Payload(_) => writeln!(out, "{index} {name} 0 0 {moved:x} E0"),
            Answer::Refused(Refusal::Unsaid) => writeln!(out, "{index} {name} 0 0 {moved:x} E0"),
            Answer::Refused(Refusal::Invalid) => writeln!(out, "{index} {name} 0 0 {moved:x} E22"),
            Answer::Refused(_) => writeln!(out, "{index} {name} 0 0 {moved:x} E12"),
            Answer::Number(number) => writeln!(out, "{index} {name} - {number:x} {moved:x}"),
            Answer::Nothing | Answer::Skipped => writeln!(out, "{index} {name} - 0 {moved:x}"),
        }
    }

    fn locate(&mut self, memory: &impl Words, program_break: Address, payload: Address) -> String {
        let chunk = Chunk::of(memory, payload);
        let head = chunk.head(memory);
        if head.is_mapped() {
            return format!("M+{:x}/{:x}", chunk.previous_size(memory).bytes(), payload.0 % 4096);
        }
        if head.is_foreign() {
            let segment = payload.0 & !(self.longest_segment - 1);
            let arena = number(&mut self.arenas, memory.load(Address(segment)));
            let ordinal = number(&mut self.segments, segment);
            return format!("a{arena}.h{ordinal}+{:x}", payload.0 - segment);
        }
        if payload >= self.initial_break && payload < program_break {
            return format!("m+{:x}", payload - self.initial_break);
        }
        let first = *self.first_outside.get_or_insert(payload);
        if payload < first { format!("F+-{:x}", first - payload) } else { format!("F+{:x}", payload - first) }
    }
}

/// The place of a value in a list of those seen so far, from 1.
fn number(seen: &mut Vec<u64>, value: u64) -> usize {
    let place = seen.iter().rposition(|&other| other == value).unwrap_or_else(|| {
        seen.push(value);
        seen.len() - 1
    });
    place + 1
}

/// What a call is called in the lines; `None` for a record that is no call.
fn name(call: &Call) -> Option<&'static str> {
    Some(match call {
        Call::Malloc { .. } => "malloc",
        Call::Calloc { .. } => "calloc",
        Call::Realloc { .. } => "realloc",
        Call::Reallocarray { .. } => "reallocarray",
        Call::Free { .. } => "free",
        Call::Memalign { .. } => "memalign",
        Call::AlignedAlloc { .. } => "aligned_alloc",
        Call::PosixMemalign { .. } => "posix_memalign",
        Call::Valloc { .. } => "valloc",
        Call::Pvalloc { .. } => "pvalloc",
        Call::Trim { .. } => "trim",
        Call::Mallopt { .. } => "mallopt",
        Call::UsableSize { .. } => "usable",
        Call::MoveBreak { .. } => "sbrk",
        Call::Spawn { .. } => "spawn",
        Call::Join { .. } => "join",
        Call::ThreadStart { .. }
        | Call::ThreadExit
        | Call::Fork { .. }
        | Call::Watched
        | Call::Interrupted { .. } => return None,
    })
}

/// Writes the lines of a run's calls to the kernel. Mappings are numbered in the order they are
/// made; a mapping that `mremap` gave another length counts as a new one.
#[derive(Debug)]
pub struct KernelCalls {
    initial_break: Address,
    /// The latest mapping made at each address: its length, and its number.
    mappings: BTreeMap<u64, (u64, usize)>,
    made: usize,
}

impl KernelCalls {
    /// The kernel has not been called yet.
    pub fn new(initial_break: Address) -> KernelCalls {
        KernelCalls { initial_break, mappings: BTreeMap::new(), made: 0 }
    }

    /// Writes the line of one call, made for the record of this number.
    pub fn write(&mut self, out: &mut impl Write, index: u64, call: KernelCall) -> io::Result<()> {
        write!(out, "{index} ")?;
        match call {
            KernelCall::MoveBreak { by, from } => match from {
                Some(from) => {
                    writeln!(out, "brk +{:x}", from.0.wrapping_add_signed(by) - self.initial_break.0)
                }
                None => writeln!(out, "brk refused"),
            },
            KernelCall::Map { mapping, at } => {
                let reserve = if mapping.no_reserve { "|MAP_NORESERVE" } else { "" };
                let hint = if mapping.hint.is_some() { " hint" } else { "" };
                let access = access(mapping.access);
                let huge = match mapping.huge_page {
                    0 => String::new(),
                    page => format!("|MAP_HUGETLB|{}<<MAP_HUGE_SHIFT", page.trailing_zeros()),
                };
                let flags = format!("{access} MAP_PRIVATE|MAP_ANONYMOUS{reserve}{huge}{hint}");
                let made = self.made(at, mapping.length);
                writeln!(out, "mmap {} {flags} -> {made}", mapping.length)
            }
            KernelCall::MapOver { at, length } => {
                writeln!(
                    out,
                    "mmap {} {length} PROT_NONE MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED",
                    self.place(at)
                )
            }
            KernelCall::Unmap { at, length } => writeln!(out, "munmap {} {length}", self.place(at)),
            KernelCall::Remap { at, from, to, now } => {
                let place = self.place(at);
                let made = self.made(now, to);
                writeln!(out, "mremap {place} {from} -> {to} {made}")
            }
            KernelCall::Protect { at, length, access: a } => {
                writeln!(out, "mprotect {} {length} {}", self.place(at), access(a))
            }
            KernelCall::Discard { at, length } => {
                writeln!(out, "madvise {} {length} MADV_DONTNEED", self.place(at))
            }
            KernelCall::RecommendHuge { at, length } => {
                writeln!(out, "madvise {} {length} MADV_HUGEPAGE", self.place(at))
            }
        }
    }

    fn made(&mut self, at: Option<Address>, length: u64) -> String {
        let Some(at) = at else { return "refused".to_owned() };
        let number = self.made;
        self.made += 1;
        self.mappings.insert(at.0, (length, number));
        format!("#{number}")
    }

    /// A place in a mapping, or above the initial break.
    fn place(&self, at: Address) -> String {
        match self.mappings.range(..=at.0).next_back() {
            Some((&start, &(length, number))) if at.0 - start < length => {
                format!("#{number}+{:x}", at.0 - start)
            }
            _ => format!("+{:x}", at.0.wrapping_sub(self.initial_break.0)),
        }
    }
}

fn access(access: Access) -> &'static str {
    match access {
        Access::None => "PROT_NONE",
        Access::ReadWrite => "PROT_READ|PROT_WRITE",
    }
}
