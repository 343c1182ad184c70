//! From chunk to chunk and from list to list through a copy of memory.
//!
//! Nothing that is read is believed. A chunk must be followed by another up to where memory ends; a list may
//! lead only to chunks that were met, and to each of them once, so that no circle is walked twice; and what
//! the lists say must be what the chunks say.

use malloscope_traces::snapshot::{Arena, Cache, Region, Stack};

use super::HeapError;
use super::copy::{Copy, Range};
use super::find::{ArenaAt, HEADER, LISTS};

/// The bits of a head that are no part of the size.
const FLAGS: u64 = 7;
const PREVIOUS_IN_USE: u64 = 1;
const MAPPED: u64 = 2;
/// The smallest chunk: glibc's `MINSIZE`.
const SMALLEST: u64 = 32;
/// What chunks and their sizes are multiples of.
const ALIGNMENT: u64 = 16;
/// The number of the unsorted bin.
const UNSORTED: u64 = 1;
/// The first number of a large bin.
const FIRST_LARGE: u64 = 64;

/// What is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}, which is not so at {at:#x}")]
pub struct Unsound {
    /// What should hold.
    pub rule: &'static str,
    /// The address it is about.
    pub at: u64,
}

impl Unsound {
    /// It does not hold there.
    pub fn new(rule: &'static str, at: u64) -> Unsound {
        Unsound { rule, at }
    }
}

/// An error, unless this holds.
fn require(holds: bool, rule: &'static str, at: u64) -> Result<(), Unsound> {
    if holds { Ok(()) } else { Err(Unsound { rule, at }) }
}

/// What a chunk turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Nobody knows of it: in use.
    Unknown,
    /// On a list.
    Listed,
    /// On a fastbin or in a cache: it counts as in use.
    Set,
    /// The top chunk, or a fencepost.
    End,
}

/// Every chunk that was met, and what is known of it.
#[derive(Debug)]
pub struct Met<'a> {
    copy: &'a Copy,
    /// In the order of their addresses: the chunk, its head, its arena, and what it is.
    chunks: Vec<(u64, u64, u32, Role)>,
    /// Whether links between cached and fast chunks are mangled, once one has been met that tells.
    mangled: Option<bool>,
}

impl<'a> Met<'a> {
    /// Nothing was met yet.
    pub fn new(copy: &'a Copy) -> Met<'a> {
        Met { copy, chunks: Vec::new(), mangled: None }
    }

    /// Walks the memory of an arena from its lowest chunk on, to the top chunk or to fenceposts.
    pub fn region(&mut self, arena: u32, range: Range, first: u64, top: u64) -> Result<Region, Unsound> {
        let mut heads = Vec::new();
        let mut chunk = first;
        loop {
            require(chunk.is_multiple_of(ALIGNMENT), "chunks are aligned", chunk)?;
            require(
                range.contains(chunk) && range.contains(chunk + 8),
                "chunks lie in their arena's memory",
                chunk,
            )?;
            let head =
                self.copy.word(chunk + 8).ok_or(Unsound::new("memory of arenas can be read", chunk))?;
            let size = head & !FLAGS;
            heads.push(head);
            // The second fencepost has no size, the first that of a header: nothing comes behind them.
            let is_fencepost = size < SMALLEST;
            if is_fencepost {
                require(size == 0 || size == HEADER, "only fenceposts are smaller than a chunk", chunk)?;
            } else {
                require(size.is_multiple_of(ALIGNMENT), "sizes are multiples of the alignment", chunk)?;
                require(head & MAPPED == 0, "chunks of arenas have no mapping of their own", chunk)?;
                require(size <= range.end - chunk, "chunks end in their arena's memory", chunk)?;
            }
            let role = if chunk == top || is_fencepost { Role::End } else { Role::Unknown };
            self.chunks.push((chunk, head, arena, role));
            if chunk == top || size == 0 {
                break;
            }
            chunk += size;
            // Fenceposts of the main arena are two of a header each; those of others may be one.
            if is_fencepost
                && (heads.len() >= 2 && heads[heads.len() - 2] & !FLAGS == HEADER
                    || !range.contains(chunk + 8))
            {
                break;
            }
        }
        Ok(Region { start: range.start, first, end: range.end, accessible: 0, heads })
    }

    /// Where, in a range, chunks begin that lead to the top chunk or to fenceposts: behind memory that others have
    /// taken, nobody knows how much.
    pub fn next_part(&self, range: Range, top: u64) -> Result<u64, Unsound> {
        let mut left = range.length() / ALIGNMENT * 4;
        let lost = Unsound::new("chunks lead to the top chunk", range.start);
        let mut first = range.start.next_multiple_of(ALIGNMENT);
        while range.contains(first) {
            let mut chunk = first;
            let ends_well = loop {
                left = left.checked_sub(1).ok_or(lost)?;
                let Some(head) = self.copy.word(chunk + 8) else { break false };
                let size = head & !FLAGS;
                if chunk == top {
                    break true;
                }
                if size < SMALLEST {
                    break chunk != first && self.are_fenceposts(chunk);
                }
                let is_chunk = size.is_multiple_of(ALIGNMENT) && head & MAPPED == 0;
                if !is_chunk || size >= range.end - chunk {
                    break false;
                }
                chunk += size;
            };
            if ends_well {
                return Ok(first);
            }
            first += ALIGNMENT;
        }
        Err(lost)
    }

    /// Whether the two fenceposts begin here that end a part of the main arena.
    fn are_fenceposts(&self, chunk: u64) -> bool {
        let is_fencepost = |at: u64| self.copy.word(at + 8).is_some_and(|head| head & !FLAGS == HEADER);
        is_fencepost(chunk) && is_fencepost(chunk + HEADER)
    }

    /// All regions have been walked: from now on lists can be.
    pub fn sort(&mut self) {
        self.chunks.sort_unstable_by_key(|chunk| chunk.0);
    }

    fn place(&self, chunk: u64) -> Option<usize> {
        self.chunks.binary_search_by_key(&chunk, |one| one.0).ok()
    }

    /// The size of a chunk that was met; `None` if there is no such chunk.
    pub fn size(&self, chunk: u64) -> Option<u64> {
        self.place(chunk).map(|place| self.chunks[place].1 & !FLAGS)
    }

    /// A chunk is on a list or in a stack; an error if it is nowhere, or somewhere else already.
    fn claim(&mut self, chunk: u64, arena: Option<u32>, role: Role) -> Result<u64, Unsound> {
        let place = self.place(chunk).ok_or(Unsound::new("free chunks lie among the others", chunk))?;
        let (_, head, of, known) = &mut self.chunks[place];
        require(*known == Role::Unknown, "a free chunk waits in one place", chunk)?;
        require(arena.is_none_or(|arena| arena == *of), "an arena's bins hold its own chunks", chunk)?;
        *known = role;
        Ok(*head & !FLAGS)
    }

    /// Whether the chunk below the one that follows is in use, and what it says of the size of that.
    fn above(&self, chunk: u64, size: u64) -> Result<(bool, u64), Unsound> {
        let missing = Unsound::new("a chunk follows a free one", chunk);
        let above = chunk + size;
        let head = self.copy.word(above + 8).ok_or(missing)?;
        Ok((head & PREVIOUS_IN_USE != 0, self.copy.word(above).ok_or(missing)?))
    }

    /// Walks all lists of an arena.
    pub fn lists(&mut self, at: ArenaAt<'_>, arena: u32) -> Result<Vec<Stack>, Unsound> {
        let mut lists = Vec::new();
        for number in UNSORTED..=LISTS {
            let chunks = self.list(at.sentinel(number), number, arena)?;
            if !chunks.is_empty() {
                lists.push(Stack { number: narrow(number), chunks });
            }
        }
        Ok(lists)
    }

    /// Walks a list from its front to its back.
    fn list(&mut self, sentinel: u64, number: u64, arena: u32) -> Result<Vec<u64>, Unsound> {
        let link = |at: u64, offset: u64| {
            let missing = Unsound::new("links can be read", at);
            self.copy.word(at.checked_add(HEADER + offset).ok_or(missing)?).ok_or(missing)
        };
        let mut found = Vec::new();
        let mut behind = sentinel;
        let mut chunk = link(sentinel, 0)?;
        while chunk != sentinel {
            require(self.place(chunk).is_some(), "lists lead from chunk to chunk", chunk)?;
            require(link(chunk, 8)? == behind, "a list's links agree", chunk)?;
            found.push(chunk);
            require(found.len() <= self.chunks.len(), "lists end", chunk)?;
            (behind, chunk) = (chunk, link(chunk, 0)?);
        }
        require(link(sentinel, 8)? == behind, "a list's links agree", sentinel)?;
        let mut least = u64::MAX;
        for &chunk in &found {
            let size = self.claim(chunk, Some(arena), Role::Listed)?;
            let (in_use, foot) = self.above(chunk, size)?;
            require(!in_use, "a chunk on a list is free", chunk)?;
            require(foot == size, "a free chunk's foot tells its size", chunk)?;
            if number == UNSORTED {
                continue;
            }
            if number < FIRST_LARGE {
                require(size == number * ALIGNMENT, "a small bin holds one size", chunk)?;
            } else {
                require(
                    size >= FIRST_LARGE * ALIGNMENT && size <= least,
                    "a large bin is sorted by size",
                    chunk,
                )?;
                least = size;
            }
        }
        Ok(found)
    }

    /// Walks the fastbins of an arena.
    pub fn fastbins(&mut self, at: ArenaAt<'_>, arena: u32) -> Result<Vec<Stack>, Unsound> {
        let tops = at.fast_tops().ok_or(Unsound::new("arenas can be read", at.state))?;
        let mut stacks = Vec::new();
        for (number, top) in (0..).zip(tops) {
            if top != 0 {
                let stack = Links { first: top, to_chunk: 0, length: None };
                let chunks = self.stack(stack)?;
                for &chunk in &chunks {
                    let size = self.claim(chunk, Some(arena), Role::Set)?;
                    require(size == SMALLEST + number * ALIGNMENT, "a fastbin holds one size", chunk)?;
                }
                stacks.push(Stack { number: narrow(number), chunks });
            }
        }
        Ok(stacks)
    }

    /// Whether a cache kept in this chunk makes sense, and if so what it holds; nothing is claimed.
    pub fn cache(&mut self, chunk: u64, fill: u64) -> Result<Cache, Unsound> {
        let size = self.size(chunk).ok_or(Unsound::new("a cache is kept in a chunk", chunk))?;
        let form = CacheForm::of(size).ok_or(Unsound::new("a cache's chunk has a cache's size", chunk))?;
        let payload = chunk + HEADER;
        let mut stacks = Vec::new();
        for number in 0..form.stacks {
            let missing = Unsound::new("a cache can be read", chunk);
            let count = form.count(self.copy, payload, number, fill).ok_or(missing)?;
            let first = self.copy.word(payload + form.heads() + 8 * number).ok_or(missing)?;
            require((count == 0) == (first == 0), "a cache's counts and stacks agree", chunk)?;
            if count == 0 {
                continue;
            }
            let stack = Links { first, to_chunk: HEADER, length: Some(count) };
            let chunks = self.stack(stack)?;
            for &one in &chunks {
                let size = self.size(one).unwrap_or(0);
                let fits = if number < SMALL_STACKS {
                    size == SMALLEST + number * ALIGNMENT
                } else {
                    size > SMALLEST + (SMALL_STACKS - 1) * ALIGNMENT
                };
                require(fits, "a cache's stack holds its own sizes", one)?;
            }
            stacks.push(Stack { number: narrow(number), chunks });
        }
        Ok(Cache { chunk, stacks })
    }

    /// The chunks of a cache are taken.
    pub fn claim_cache(&mut self, cache: &Cache) -> Result<(), Unsound> {
        self.claim(cache.chunk, None, Role::Set)?;
        let chunks = cache.stacks.iter().flat_map(|stack| &stack.chunks);
        chunks.copied().try_for_each(|chunk| self.claim(chunk, None, Role::Set).map(drop))
    }

    /// Walks chunks that are linked one way, whichever way links are written.
    fn stack(&mut self, links: Links) -> Result<Vec<u64>, Unsound> {
        if let Some(mangled) = self.mangled {
            return self.stack_written(links, mangled);
        }
        let plain = self.stack_written(links, false);
        let mangled = self.stack_written(links, true);
        match (plain, mangled) {
            (Err(_), Err(broken)) => Err(broken),
            (Ok(chunks), Err(_)) => {
                self.mangled = Some(false);
                Ok(chunks)
            }
            (Err(_), Ok(chunks)) => {
                self.mangled = Some(true);
                Ok(chunks)
            }
            (Ok(chunks), Ok(others)) => {
                require(chunks == others, "links are written in one way", links.first)?;
                Ok(chunks)
            }
        }
    }

    fn stack_written(&self, links: Links, mangled: bool) -> Result<Vec<u64>, Unsound> {
        let mut chunks = Vec::new();
        let mut at = links.first;
        while at != 0 {
            let chunk = at.wrapping_sub(links.to_chunk);
            require(self.place(chunk).is_some(), "stacks lead from chunk to chunk", chunk)?;
            chunks.push(chunk);
            let most = links.length.unwrap_or(self.chunks.len() as u64);
            require(chunks.len() as u64 <= most, "stacks are as long as is counted", chunk)?;
            let payload = chunk + HEADER;
            let stored = self.copy.word(payload).ok_or(Unsound::new("links can be read", chunk))?;
            at = if mangled { stored ^ (payload >> 12) } else { stored };
        }
        let is_whole = links.length.is_none_or(|length| length == chunks.len() as u64);
        require(is_whole, "stacks are as long as is counted", links.first)?;
        Ok(chunks)
    }

    /// All bins were walked: what they hold must be what is not in use.
    pub fn check(&self) -> Result<(), Unsound> {
        let mut below: Option<(u64, u64, Role)> = None;
        for &(chunk, head, _, role) in &self.chunks {
            if let Some((lower, size, known)) = below
                && lower + size == chunk
                && known != Role::End
            {
                let in_use = head & PREVIOUS_IN_USE != 0;
                require(
                    in_use != (known == Role::Listed),
                    "a chunk that is not in use is on a list, and only such",
                    lower,
                )?;
            }
            below = Some((chunk, head & !FLAGS, role));
        }
        Ok(())
    }
}

/// Chunks linked one way.
#[derive(Clone, Copy, Debug)]
struct Links {
    first: u64,
    /// How far links lead behind chunks.
    to_chunk: u64,
    /// How many there are, if that is known.
    length: Option<u64>,
}

/// Stacks of one size each.
const SMALL_STACKS: u64 = 64;

/// The form of a cache: glibc's `tcache_perthread_struct`.
#[derive(Clone, Copy, Debug)]
struct CacheForm {
    stacks: u64,
    /// Bytes of a count.
    width: u64,
    /// Whether it counts what there is room for.
    counts_down: bool,
}

impl CacheForm {
    /// That of a cache in a chunk of this size.
    fn of(size: u64) -> Option<CacheForm> {
        match size {
            0x250 => Some(CacheForm { stacks: SMALL_STACKS, width: 1, counts_down: false }),
            0x290 => Some(CacheForm { stacks: SMALL_STACKS, width: 2, counts_down: false }),
            0x300 | 0x310 => Some(CacheForm { stacks: SMALL_STACKS + 12, width: 2, counts_down: true }),
            _ => None,
        }
    }

    /// From its beginning to the first of its stacks.
    fn heads(&self) -> u64 {
        self.stacks * self.width
    }

    fn count(&self, copy: &Copy, payload: u64, number: u64, fill: u64) -> Option<u64> {
        let at = payload + number * self.width;
        let shift = at % 8 * 8;
        let counted = copy.word(at & !7)? >> shift & (u64::MAX >> (64 - 8 * self.width));
        if self.counts_down { fill.checked_sub(counted) } else { Some(counted) }
    }
}

/// The number of a bin: none is greater than 127.
fn narrow(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// The parts of an arena that are words, and not chunks.
pub fn describe(at: ArenaAt<'_>) -> Result<Arena, Unsound> {
    let read = || {
        let has_memory = at.has_memory()?;
        Some(Arena {
            state: at.state,
            contiguous: at.is_contiguous()?,
            may_hold_fast: at.may_hold_fast()?,
            top: if has_memory { at.top()? } else { 0 },
            last_remainder: at.last_remainder()?,
            marked: at.marked()?,
            attached_threads: at.attached_threads()?,
            system_bytes: at.system_bytes()?,
            greatest_system_bytes: at.greatest_system_bytes()?,
            ..Arena::default()
        })
    };
    read().ok_or(Unsound::new("arenas can be read", at.state))
}

/// An error about the heap as such.
impl From<Unsound> for HeapError {
    fn from(unsound: Unsound) -> HeapError {
        HeapError::Unsound(unsound)
    }
}
