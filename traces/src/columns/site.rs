//! Which stack each call was made from.
//!
//! Programs go round in loops: what a thread asks for, and from where, follows from what it asked for
//! before. So a stack is guessed from the thread's stack before and the request, then from the stack
//! before alone, and said only where both are wrong. What is remembered begins empty with every batch.
//!
//! Every call that asks for memory has a code. The stacks of other calls, which are rare, come first, each
//! with how many records lie between it and the one before.

use super::cursors::{Cursors, Stop};
use super::{Column, Columns};
use crate::record::{Record, Thread};
use crate::stacks::Stack;
use crate::varint::{put, put_signed};

/// How many guesses are remembered, as a power of two: a batch has as many records.
const MEMORY_LOG2: u32 = 15;

/// How many threads are remembered apart.
const THREADS: usize = 64;

/// What a code says: the guess by stack and request was right, the one by stack alone, or neither.
const BY_REQUEST: u8 = 0;
const BY_STACK: u8 = 1;
const SAID: u8 = 2;

/// What a reader and a writer remember of the calls before.
#[derive(Debug)]
struct Past {
    by_request: Vec<u32>,
    by_stack: Vec<u32>,
    before: [u32; THREADS],
    said: u32,
}

/// Where the guesses for a call are remembered.
#[derive(Clone, Copy)]
struct Places {
    by_request: usize,
    by_stack: usize,
}

impl Past {
    fn new() -> Past {
        let empty = || vec![0; 1 << MEMORY_LOG2];
        Past { by_request: empty(), by_stack: empty(), before: [0; THREADS], said: 0 }
    }

    /// Forgets all.
    fn clear(&mut self) {
        self.by_request.fill(0);
        self.by_stack.fill(0);
        self.before.fill(0);
        self.said = 0;
    }

    fn places(&self, thread: usize, request: u64) -> Places {
        let before = u64::from(self.before[thread]);
        Places { by_request: place(before << 32 ^ request ^ 1 << 63), by_stack: place(before) }
    }

    fn learn(&mut self, thread: usize, places: Places, stack: u32) {
        self.by_request[places.by_request] = stack;
        self.by_stack[places.by_stack] = stack;
        self.before[thread] = stack;
    }
}

/// What of a record its stack is told with.
#[derive(Clone, Copy, Debug)]
struct Site {
    thread: Thread,
    stack: Stack,
    /// How many bytes it asked for; of one that did not ask for any, [`Site::NO_CODE`].
    request: u64,
}

/// The stacks of the records that wait to be written.
#[derive(Debug)]
pub(crate) struct Sites {
    waiting: Vec<Site>,
    past: Past,
}

impl Default for Sites {
    fn default() -> Sites {
        Sites { waiting: Vec::new(), past: Past::new() }
    }
}

impl Sites {
    /// Adds that of a record.
    #[inline(always)]
    pub fn push(&mut self, record: &Record, stack: Stack) {
        self.waiting.push(Site::new(record, stack));
    }

    /// Puts the stacks of a batch into its columns: one for each of its records.
    pub(super) fn put(&mut self, columns: &mut Columns) {
        put_stacks(&self.waiting, &mut self.past, columns);
    }

    /// Begins another batch.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

impl Site {
    /// Nobody asks for so much.
    const NO_CODE: u64 = u64::MAX;

    /// Of this record. Always inline, to be made where it is kept: the processor waits when what was just written
    /// is copied on.
    #[inline(always)]
    fn new(record: &Record, stack: Stack) -> Site {
        let request = record.call.request().map_or(Site::NO_CODE, |request| request.min(Site::NO_CODE - 1));
        Site { thread: record.thread, stack, request }
    }

    fn is_coded(&self) -> bool {
        self.request != Site::NO_CODE
    }

    /// Where the thread's stack before is remembered.
    fn place(&self) -> usize {
        self.thread.0 as usize % THREADS
    }
}

fn place(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - MEMORY_LOG2)) as usize
}

fn put_stacks(sites: &[Site], past: &mut Past, columns: &mut Columns) {
    columns[Column::Sites].clear();
    columns[Column::Stacks].clear();
    if sites.iter().all(|site| site.stack.is_none()) {
        return;
    }
    past.clear();
    let others = sites.iter().enumerate().filter(|(_, site)| !site.is_coded() && !site.stack.is_none());
    put(&mut columns[Column::Stacks], others.clone().count() as u64);
    let mut next = 0;
    for (at, site) in others {
        put(&mut columns[Column::Stacks], (at - next) as u64);
        past.say(site.stack, columns);
        next = at + 1;
    }
    for site in sites.iter().filter(|site| site.is_coded()) {
        let places = past.places(site.place(), site.request);
        let stack = site.stack.0;
        let code = if past.by_request[places.by_request] == stack {
            BY_REQUEST
        } else if past.by_stack[places.by_stack] == stack {
            BY_STACK
        } else {
            past.say(site.stack, columns);
            SAID
        };
        columns[Column::Sites].push(code);
        past.learn(site.place(), places, stack);
    }
}

/// Takes the stacks of these records, all of a batch, from its columns. They are none at all if no record
/// has one.
pub(super) fn take_stacks(
    records: &[Record],
    cursors: &mut Cursors<'_>,
    into: &mut Vec<Stack>,
) -> Result<(), Stop> {
    into.clear();
    if cursors.is_empty(Column::Stacks) {
        return Ok(());
    }
    into.resize(records.len(), Stack::NONE);
    let (mut next, mut past) = (0_u64, Past::new());
    for _ in 0..cursors.number(Column::Stacks)? {
        let at = next.saturating_add(cursors.number(Column::Stacks)?);
        let stack = past.hear(cursors)?;
        let place = usize::try_from(at).ok().and_then(|at| into.get_mut(at));
        *place.ok_or_else(|| cursors.mistaken(Column::Stacks))? = Stack(stack);
        next = at + 1;
    }
    let sites = records.iter().map(|record| Site::new(record, Stack::NONE));
    for (site, stack) in sites.zip(into).filter(|(site, _)| site.is_coded()) {
        let places = past.places(site.place(), site.request);
        *stack = Stack(match cursors.byte(Column::Sites)? {
            BY_REQUEST => past.by_request[places.by_request],
            BY_STACK => past.by_stack[places.by_stack],
            SAID => past.hear(cursors)?,
            _ => return Err(cursors.mistaken(Column::Sites)),
        });
        past.learn(site.place(), places, stack.0);
    }
    Ok(())
}

impl Past {
    fn say(&mut self, stack: Stack, columns: &mut Columns) {
        put_signed(&mut columns[Column::Stacks], i64::from(stack.0) - i64::from(self.said));
        self.said = stack.0;
    }

    fn hear(&mut self, cursors: &mut Cursors<'_>) -> Result<u32, Stop> {
        let stack = cursors.signed(Column::Stacks)?.checked_add(self.said.into());
        match stack.and_then(|stack| u32::try_from(stack).ok()) {
            Some(stack) => self.said = stack,
            None => return Err(cursors.mistaken(Column::Stacks)),
        }
        Ok(self.said)
    }
}
